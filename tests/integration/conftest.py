"""A hub's own database and its bus, each in an empty corner of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub.bus.port import Bus
from hub.database import is_postgres
from hub.simulators.faults import ITS_OWN_WORDS, NOTHING_HAPPENED, ON_THE_WIRE
from hub.wiring import bus_of
from tests.support import settings

EVERY_DAY = {"500", "error_body", "unauthorised", "commit_500", "truncated"}
"""One vendor's failure of each sort; `make integration` goes through all of them at every step."""
_RARER = {*NOTHING_HAPPENED, *ITS_OWN_WORDS, *ON_THE_WIRE} - EVERY_DAY


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is left out every day is slow."""
    for item in items:
        given = getattr(getattr(item, "callspec", None), "params", {})
        if item.name.startswith("test_after_any_failure") and given.get("fault") in _RARER:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def bus(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Iterator[Bus]:
    """The bus that goes with the database: a file beside a file, a broker beside a server. Nothing is declared."""
    url = request.getfixturevalue("rabbit_url") if is_postgres(engine) else f"embedded:///{tmp_path}/bus.db"
    with bus_of(settings(HUB_BUS__URL=url), "test") as bus:
        yield bus
