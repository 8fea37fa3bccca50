"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hub.database import UtcTime

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """To this revision."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Back from this revision."""
    ${downgrades if downgrades else "pass"}
