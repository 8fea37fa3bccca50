"""The sample subscribers against a real broker: what they keep is what the OMS has, however they are ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pika
import pytest

from hub import config, migrations, wiring
from tests.builders import make_body
from tests.nodes.rabbitmq import RabbitNode
from tests.samples import Sample, sample
from tests.subscribed import Subscribers, subscribers
from tests.support import eventually, order_at

PATIENCE = 90
LANGUAGES = ("python", "node")


@pytest.fixture
def hub(rabbit_url: str, tmp_path: Path) -> Iterator[Subscribers]:
    """A hub with its database in a file, whose subscribers are on a broker."""
    with wiring.hub_engine(config.load({"HUB_DATA_DIR": str(tmp_path)}), "test") as engine:
        migrations.upgrade(engine)
        yield subscribers(engine, rabbit_url, tmp_path)


@pytest.fixture(params=LANGUAGES)
def program(request: pytest.FixtureRequest, hub: Subscribers, tmp_path: Path) -> Iterator[Sample]:
    """A sample that reads the queue of a subscription to everything, not started yet."""
    javascript = request.getfixturevalue("javascript") if request.param == "node" else None
    queue = hub.add()
    made = sample(request.param, tmp_path / "program", javascript, AMQP_URL=hub.bus_url, QUEUE=queue)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def test_backfill_live_and_repeated_events_come_to_what_the_oms_has_though_it_is_killed(
    hub: Subscribers, program: Sample
) -> None:
    numbers = hub.orders(300)
    hub.orders(100, "taobao", ("pay", "pick"))
    with hub.machine.daemon("subscription", "backfill", "finance", "--rate", "400") as backfill:
        program.start()
        for verb in ("pay", "pick"):
            for number in numbers[::3]:
                hub.change(number, verb)
            hub.relay()
            assert eventually(lambda: len(program.orders()) > 10, PATIENCE)
            program.kill()
            program.start()
        assert backfill.ended(PATIENCE) == 0
    hub.must("replay", "finance", "--from", "2020-01-01T00:00")
    assert eventually(lambda: whole(hub, program), PATIENCE), difference(hub, program)
    assert eventually(lambda: hub.depth("sub.finance") == 0, PATIENCE)
    assert program.terminate() == 0
    assert whole(hub, program)
    assert hub.depth("sub.finance") == 0


def test_a_month_later_it_knows_what_it_knew_and_an_older_version_changes_nothing(
    hub: Subscribers, program: Sample
) -> None:
    program.start()
    deliver(hub, make_body(order=order_at(3, "SO-1")), make_body(order=order_at(2, "SO-2")))
    assert eventually(lambda: versions(program) == {"SO-1": 3, "SO-2": 2}, PATIENCE)
    assert program.terminate() == 0
    program.start()
    deliver(hub, make_body(order=order_at(2, "SO-1")), make_body(order=order_at(3, "SO-2")))
    assert eventually(lambda: versions(program) == {"SO-1": 3, "SO-2": 3}, PATIENCE)
    assert eventually(lambda: settled(hub), PATIENCE)


def test_what_it_does_not_know_is_settled_and_what_it_cannot_read_is_kept_aside(
    hub: Subscribers, program: Sample
) -> None:
    known = json.loads(make_body(order=order_at(2, "SO-1")))
    strange = [
        known | {"type": "com.orderhub.order.paid.v2"},
        known | {"type": "com.orderhub.invoice.sent.v1"},
        known | {"type": "com.orderhub.order.paid.v11"},
    ]
    unreadable = [b"\xff\xfe", b"{", b"[]", b"null", b'{"type": "com.orderhub.order.paid.v1"}', b'"text"', b"7"]
    unreadable += [b"[" * 100_000]
    for wrong in ({"subject": []}, {"sequence": "next"}, {"sequence": None}, {"type": None}, {"data": {}}):
        unreadable.append(json.dumps(known | wrong).encode())
    program.start()
    deliver(hub, *(json.dumps(each).encode() for each in strange), *unreadable)
    deliver(hub, json.dumps(known | {"type": "com.orderhub.order.returned.v1", "more": {"a": 1}}).encode())
    assert eventually(lambda: versions(program) == {"SO-1": 2}, PATIENCE)
    assert sorted(program.aside()) == sorted(unreadable)
    assert eventually(lambda: settled(hub), PATIENCE)


def test_it_comes_back_when_the_broker_has_cut_it_off(
    hub: Subscribers, program: Sample, rabbit_node: RabbitNode
) -> None:
    program.start()
    deliver(hub, make_body(order=order_at(1, "SO-1")))
    assert eventually(lambda: versions(program) == {"SO-1": 1}, PATIENCE)
    rabbit_node.ctl("close_all_connections", "--vhost", hub.bus_url.rpartition("/")[2], "a test")
    deliver(hub, make_body(order=order_at(2, "SO-1")))
    assert eventually(lambda: versions(program) == {"SO-1": 2}, PATIENCE)
    assert "lost the broker" in program.log.read_text()


def test_it_comes_back_when_its_queue_was_taken_away_and_is_there_again(hub: Subscribers, program: Sample) -> None:
    program.start()
    deliver(hub, make_body(order=order_at(1, "SO-1")))
    assert eventually(lambda: versions(program) == {"SO-1": 1}, PATIENCE)
    with closing(pika.BlockingConnection(pika.URLParameters(hub.bus_url))) as connection:
        connection.channel().queue_delete("sub.finance")
    assert eventually(lambda: "lost the broker" in program.log.read_text(), PATIENCE)
    hub.declare("sub.finance")
    deliver(hub, make_body(order=order_at(2, "SO-1")))
    assert eventually(lambda: versions(program) == {"SO-1": 2}, PATIENCE)


def test_with_a_secret_that_is_not_right_any_more_it_ends_and_says_so(hub: Subscribers, program: Sample) -> None:
    program.variables = {**program.variables, "AMQP_URL": hub.bus_url.replace("guest:guest@", "guest:changed@")}
    assert program.start().ended(PATIENCE) == 1
    assert "ACCESS_REFUSED" in program.log.read_text() or "ACCESS-REFUSED" in program.log.read_text()


def test_sigterm_ends_it_while_it_waits_for_a_broker(program: Sample) -> None:
    program.variables = {**program.variables, "AMQP_URL": "amqp://guest:guest@127.0.0.1:1/"}
    program.start()
    assert eventually(lambda: program.log.read_text().count("lost the broker") >= 3, PATIENCE)
    assert program.terminate() == 0


def test_a_line_that_a_crash_cut_short_is_taken_away(hub: Subscribers, program: Sample) -> None:
    if program.language == "python":
        pytest.skip("SQLite sees to that")
    program.state.write_text('{"order_no":"SO-1","version":2,"order":{}}\n{"order_no":"SO-2","vers', encoding="utf-8")
    program.start()
    deliver(hub, make_body(order=order_at(1, "SO-1")), make_body(order=order_at(2, "SO-2")))
    assert eventually(lambda: versions(program) == {"SO-1": 2, "SO-2": 2}, PATIENCE)


def whole(hub: Subscribers, program: Sample) -> bool:
    """Whether what the program keeps is what the OMS has."""
    return not difference(hub, program)


def difference(hub: Subscribers, program: Sample) -> dict[str, Any]:
    """The orders that are not the same on both sides."""
    ours = {
        number: (order.version, without_nothing(order.model_dump(mode="json"))) for number, order in hub.oms().items()
    }
    theirs = program.orders()
    both = {number: (ours.get(number), theirs.get(number)) for number in ours | theirs}
    return {number: sides for number, sides in both.items() if sides[0] != sides[1]}


def without_nothing(content: Any) -> Any:
    """As an event has it: what is not there is not named."""
    if isinstance(content, dict):
        return {name: without_nothing(value) for name, value in content.items() if value is not None}
    return [without_nothing(each) for each in content] if isinstance(content, list) else content


def versions(program: Sample) -> dict[str, int]:
    """The version of each order that the program keeps."""
    return {number: version for number, (version, _) in program.orders().items()}


def settled(hub: Subscribers) -> bool:
    """Whether nothing waits in the queue or in the program's hands: with nobody reading, nothing comes back."""
    return hub.depth("sub.finance") == 0


def deliver(hub: Subscribers, *bodies: bytes) -> None:
    """Messages for the queue, in this order."""
    with closing(pika.BlockingConnection(pika.URLParameters(hub.bus_url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("oms.replay", "sub.finance", body, mandatory=True)
