"""A hub's own database and its bus, each in an empty corner of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub.bus.port import Bus
from hub.database import is_postgres
from hub.wiring import bus_of
from tests.support import settings


@pytest.fixture
def bus(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Iterator[Bus]:
    """The bus that goes with the database: a file beside a file, a broker beside a server. Nothing is declared."""
    url = request.getfixturevalue("rabbit_url") if is_postgres(engine) else f"embedded:///{tmp_path}/bus.db"
    with bus_of(settings(HUB_BUS__URL=url), "test") as bus:
        yield bus
