"""What a comparison knows of messages that wait, also where a queue or the whole broker is gone."""

from __future__ import annotations

from pathlib import Path

import pika
import pytest

from hub import config, wiring
from hub.bus.port import Message
from tests.running import wait_until
from tests.support import settings

KEY = "order.paid.taobao"


@pytest.fixture
def given(rabbit_url: str, tmp_path: Path) -> config.Settings:
    """A hub on a file with a broker, where one event waits for each system."""
    made = settings(HUB_DATA_DIR=str(tmp_path), HUB_BUS__URL=rabbit_url, HUB_BUS__PREFIX="other.")
    wiring.prepare(made)
    with wiring.bus_of(made, "test") as bus:
        publisher = bus.publisher()
        publisher.publish([Message("event-1", KEY, b"{}")])
        publisher.close()
    return made


def test_of_a_queue_that_is_gone_nothing_is_known_and_of_the_others_all(
    given: config.Settings, rabbit_url: str
) -> None:
    with wiring.reconciling(given, config.SYSTEMS) as ready:
        assert wait_until(lambda: ready.queued() == dict.fromkeys(config.SYSTEMS, 1), seconds=20)
        with pika.BlockingConnection(pika.URLParameters(rabbit_url)) as connection:
            connection.channel().queue_delete("other.q.crm")
        assert ready.queued() == {"kingdee": 1, "wms": 1, "erp": 1}


def test_without_a_broker_nothing_is_known(tmp_path: Path) -> None:
    away = settings(HUB_DATA_DIR=str(tmp_path), HUB_BUS__URL="amqp://127.0.0.1:9/")
    with wiring.hub_engine(away, "test") as engine:
        wiring.upgrade(engine, away)
    with wiring.reconciling(away, config.SYSTEMS) as ready:
        assert ready.queued() == {}
