"""A hub's own database and its bus, each in an empty corner of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub.bus.port import Bus
from hub.database import is_postgres
from hub.wiring import bus_of
from tests.support import migrated_store, settings, wipe


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The hub's own database, migrated once for a file of tests."""
    with migrated_store(request, tmp_path_factory.mktemp("store")) as engine:
        yield engine


@pytest.fixture
def engine(migrated: Engine) -> Iterator[Engine]:
    """The hub's own database, empty."""
    yield migrated
    wipe(migrated)


@pytest.fixture
def bus(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Iterator[Bus]:
    """The bus that goes with the database: a file beside a file, a broker beside a server. Nothing is declared."""
    url = request.getfixturevalue("rabbit_url") if is_postgres(engine) else f"embedded:///{tmp_path}/bus.db"
    with bus_of(settings(HUB_BUS__URL=url), "test") as bus:
        yield bus
