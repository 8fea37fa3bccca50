"""Subscriptions where the broker's management API is not open: files for rabbitmqctl, and bindings over AMQP."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.exceptions import ProbableAuthenticationError

from hub import wiring
from hub.bus.rabbit.management import Binding, Management
from hub.database import reading
from hub.subscriptions import gaps
from hub.subscriptions.gaps import Gap
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.subscribing import Typed, on_channel, publish, subscribed_machine, taken
from tests.support import eventually

PAID, SHIPPED, ASKED = (
    Binding("oms.events", "order.paid.#"),
    Binding("oms.events", "order.shipped.#"),
    Binding("oms.replay", "sub.finance"),
)


@pytest.fixture
def open_(rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path) -> Typed:
    """A machine that may use the management API; it has the database of the next one."""
    return Typed(subscribed_machine(rabbit_node, rabbit_url, tmp_path))


@pytest.fixture
def closed(open_: Typed) -> Typed:
    """A machine that may not."""
    variables = {name: value for name, value in open_.machine.variables.items() if name != "HUB_BUS__MANAGEMENT_URL"}
    return Typed(Machine(open_.machine.folder, variables))


def test_an_imported_file_makes_what_the_api_makes(
    rabbit_node: RabbitNode, open_: Typed, closed: Typed, tmp_path: Path
) -> None:
    file = tmp_path / "finance.json"
    told = added(closed, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert told["secret"] not in file.read_text()
    assert told["type"] == [f"rabbitmqctl import_definitions {file}"]
    with Management(open_.settings) as broker:
        assert broker.queue("sub.finance") is None
        typed(rabbit_node, told["type"])
        by_file = whole_of(broker)
        publish(closed.settings, "order.paid.jd", b"one")
        assert taken(told["url"], told["queue"]) == [b"one"]
        open_.must("subscription", "remove", "finance", "--yes")
        open_.must("subscription", "add", "finance", "--topics", "order.paid.#")
        assert whole_of(broker) == by_file


def test_without_the_api_add_says_what_to_set_or_to_do_instead(closed: Typed) -> None:
    done = closed.hub("subscription", "add", "finance", "--topics", "order.paid.#")
    assert done.returncode == 78
    assert "HUB_BUS__MANAGEMENT_URL is not set" in done.stderr
    assert "--definitions FILE" in done.stderr


def test_what_the_broker_lacks_is_told_before_a_file_is_written(rabbit_url: str, closed: Typed, tmp_path: Path) -> None:
    on_channel(rabbit_url, lambda channel: channel.exchange_delete("oms.replay"))
    file = tmp_path / "finance.json"
    done = closed.hub("subscription", "add", "finance", "--topics", "order.paid.#", "--definitions", str(file))
    assert done.returncode == 69
    assert "the broker lacks exchange oms.replay: run hub topology apply" in done.stderr
    assert not file.exists()


def test_a_file_that_cannot_be_written_adds_nothing(closed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "finance.json"
    done = closed.hub("subscription", "add", "finance", "--topics", "order.paid.#", "--definitions", str(file))
    assert done.returncode == 65
    assert "cannot be written: No such file or directory" in done.stderr
    assert closed.hub("subscription", "show", "finance").returncode == 4


def test_another_secret_by_file(rabbit_node: RabbitNode, closed: Typed, tmp_path: Path) -> None:
    old = added(closed, tmp_path / "finance.json")
    typed(rabbit_node, old["type"])
    inside = pika.BlockingConnection(pika.URLParameters(old["url"]))
    file = str(tmp_path / "again.json")
    new = json.loads(closed.must("subscription", "rotate-secret", "finance", "--definitions", file, "--output", "json"))
    assert len(new["type"]) == 2
    typed(rabbit_node, new["type"])
    assert eventually(lambda: is_cut_off(inside))
    with pytest.raises(ProbableAuthenticationError):
        taken(old["url"], old["queue"])
    publish(closed.settings, "order.paid.jd", b"one")
    assert taken(new["url"], new["queue"]) == [b"one"]


def test_pause_topics_and_return_go_over_amqp(
    rabbit_node: RabbitNode, open_: Typed, closed: Typed, tmp_path: Path
) -> None:
    typed(rabbit_node, added(closed, tmp_path / "finance.json")["type"])
    with Management(open_.settings) as broker:
        closed.must("subscription", "pause", "finance", "--reason", "they move house")
        assert broker.bindings("sub.finance") == {ASKED}
        closed.must("subscription", "resume", "finance")
        assert broker.bindings("sub.finance") == {PAID, ASKED}
        closed.must("subscription", "change", "finance", "--topics", "order.shipped.#")
        assert broker.bindings("sub.finance") == {SHIPPED, ASKED}


def test_a_return_by_file(rabbit_node: RabbitNode, open_: Typed, closed: Typed, tmp_path: Path) -> None:
    typed(rabbit_node, added(closed, tmp_path / "finance.json")["type"])
    closed.must("subscription", "pause", "finance", "--reason", "they move house")
    said = closed.must("subscription", "resume", "finance", "--definitions", str(tmp_path / "back.json"))
    # Until somebody has imported the file events are missed.
    assert pause_of(closed).until_at is None
    typed(rabbit_node, [line.partition(": ")[2] for line in said.splitlines() if "rabbitmqctl" in line])
    with Management(open_.settings) as broker:
        assert broker.bindings("sub.finance") == {PAID, ASKED}
    assert "hub subscription resume finance --imported" in said
    closed.must("subscription", "resume", "finance", "--imported")
    assert pause_of(closed).until_at is not None
    both = closed.hub("subscription", "resume", "finance", "--imported", "--definitions", str(tmp_path / "back.json"))
    assert (both.returncode, "--definitions or --imported" in both.stderr) == (65, True)


def test_removal_prints_what_to_type(rabbit_node: RabbitNode, open_: Typed, closed: Typed, tmp_path: Path) -> None:
    told = added(closed, tmp_path / "finance.json")
    typed(rabbit_node, told["type"])
    publish(closed.settings, "order.paid.jd", b"one")
    inside = pika.BlockingConnection(pika.URLParameters(told["url"]))
    shown = closed.must("subscription", "remove", "finance")
    assert "queue sub.finance with 1 messages" in shown
    said = closed.must("subscription", "remove", "finance", "--yes")
    typed(rabbit_node, [line.strip() for line in said.splitlines() if line.startswith("  rabbitmqctl")])
    assert eventually(lambda: is_cut_off(inside))
    with Management(open_.settings) as broker:
        assert (broker.queue("sub.finance"), broker.secret_hash("sub.finance")) == (None, None)


def test_a_lost_broker_gets_queues_users_and_secrets_back(
    rabbit_node: RabbitNode, open_: Typed, tmp_path: Path
) -> None:
    finance = added(open_, None)
    sales = added(open_, None, "sales", "order.shipped.#")
    open_.must("subscription", "pause", "sales", "--reason", "they move house")
    with Management(open_.settings) as broker:
        before = [whole_of(broker, name) for name in ("sub.finance", "sub.sales")]
        lose(rabbit_node, broker)
        open_.must("topology", "apply")
        file = tmp_path / "all.json"
        assert f"rabbitmqctl import_definitions {file}" in open_.must("subscription", "definitions", str(file))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        rabbit_node.import_definitions(file)
        assert [whole_of(broker, name) for name in ("sub.finance", "sub.sales")] == before
    publish(open_.settings, "order.paid.jd", b"one")
    publish(open_.settings, "order.shipped.jd", b"paused")
    assert taken(finance["url"], finance["queue"]) == [b"one"]
    assert taken(sales["url"], sales["queue"]) == []


def test_importing_all_of_them_into_a_healthy_broker_changes_nothing(
    rabbit_node: RabbitNode, open_: Typed, tmp_path: Path
) -> None:
    told = added(open_, None)
    with Management(open_.settings) as broker:
        before = whole_of(broker)
        (tmp_path / "all.json").write_text(open_.must("subscription", "definitions"))
        rabbit_node.import_definitions(tmp_path / "all.json")
        assert whole_of(broker) == before
    publish(open_.settings, "order.paid.jd", b"one")
    assert taken(told["url"], told["queue"]) == [b"one"]


def added(on: Typed, file: Path | None, name: str = "finance", topics: str = "order.paid.#") -> dict[str, Any]:
    by_file = [] if file is None else ["--definitions", str(file)]
    told: dict[str, Any] = json.loads(
        on.must("subscription", "add", name, "--topics", topics, "--output", "json", *by_file)
    )
    return told


def pause_of(on: Typed) -> Gap:
    """The only gap."""
    with wiring.hub_engine(on.settings, "test") as engine, reading(engine) as connection:
        (gap,) = gaps.open_gaps(connection, "finance")
    return gap


def typed(node: RabbitNode, lines: list[str]) -> None:
    """Somebody types this on the broker's machine."""
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "rabbitmqctl"
        node.ctl(*arguments)


def whole_of(broker: Management, name: str = "sub.finance") -> dict[str, Any]:
    """Everything that the broker has of a subscription but its secret."""
    queue, user = broker._api.get("queues", broker.vhost, name), broker._api.get("users", name)
    return {
        "queue": {key: queue[key] for key in ("name", "arguments", "durable", "auto_delete", "type")},
        "bindings": broker.bindings(name),
        "user": {key: user[key] for key in ("name", "hashing_algorithm", "tags")},
        "limits": broker._api.get("user-limits", name)[0]["value"],
        "permissions": broker._api.get("permissions", broker.vhost, name),
        "topic permissions": broker._api.get("topic-permissions", broker.vhost, name),
    }


def lose(node: RabbitNode, broker: Management) -> None:
    """A broker that was made anew: nothing is there but the virtual host."""
    for name in ("sub.finance", "sub.sales"):
        broker.delete_user(name)
    node.delete_vhost(broker.vhost)
    node.create_vhost(broker.vhost)


def is_cut_off(connection: pika.BlockingConnection) -> bool:
    try:
        connection.process_data_events(0)
    except pika.exceptions.AMQPError:
        return True
    return not connection.is_open
