"""Every port's candidates, each in an empty corner of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.bus.port import Bus
from hub.config import Settings
from hub.wiring import bus_of
from tests.support import TWO_QUEUES, settings


@pytest.fixture(params=["embedded", "rabbitmq"])
def bus_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Where an empty bus is: a file of the test's own, or a virtual host of the test's own."""
    url = f"embedded:///{tmp_path}/bus.db" if request.param == "embedded" else request.getfixturevalue("rabbit_url")
    return settings(HUB_BUS__URL=url)


@pytest.fixture
def empty_bus(bus_settings: Settings) -> Iterator[Bus]:
    """A bus on which nothing was ever declared."""
    with bus_of(bus_settings, "test") as bus:
        yield bus


@pytest.fixture
def bus(empty_bus: Bus) -> Bus:
    """A bus with `q.all` for every order and `q.paid` for those that were paid."""
    empty_bus.declare(TWO_QUEUES)
    return empty_bus
