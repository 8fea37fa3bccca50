"""`hub subscription` on a real broker: what each verb makes there, writes down and says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.exceptions import ProbableAuthenticationError
from sqlalchemy import Engine

from hub import wiring
from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.bus.rabbit.management import Binding, Management, QueueState
from hub.database import reading
from hub.errors import Refused
from hub.subscriptions import facts, flow, gaps, manage, secret, store
from hub.subscriptions.access import Access
from hub.subscriptions.broker import ByApi
from hub.subscriptions.desk import Desk
from hub.subscriptions.gaps import Gap
from hub.subscriptions.overview import overviews
from hub.subscriptions.store import Subscription
from tests.nodes.ports import free_ports
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.subscribing import (
    Typed,
    broker_settings,
    on_channel,
    prepare_bus,
    publish,
    subscribe,
    subscribed_machine,
    taken,
    taken_whole,
)
from tests.support import eventually

PAID, TAOBAO, SHIPPED = (Binding("oms.events", key) for key in ("order.paid.#", "order.*.taobao", "order.shipped.#"))
LOST = (
    "queue sub.finance is not there: hub subscription definitions, to be imported, makes it again, "
    "then hub subscription backfill"
)
THEIRS = secret.hashed("theirs")
ASKED = Binding("oms.replay", "sub.finance")


@pytest.fixture
def given(rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path) -> Typed:
    return Typed(subscribed_machine(rabbit_node, rabbit_url, tmp_path))


@pytest.fixture
def broker(given: Typed) -> Iterator[Management]:
    with Management(given.settings) as management:
        yield management


def test_add_makes_queue_bindings_and_a_user_and_shows_once_how_to_connect(given: Typed, broker: Management) -> None:
    told = added(given, "finance", "order.paid.#, order.*.taobao", "--contact", "Finance desk", "--by", "ada")
    assert broker.bindings("sub.finance") == {PAID, TAOBAO, ASKED}
    assert queue(broker).arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 100,
        "x-overflow": "drop-head",
        "x-max-length": 100_000,
        "x-max-length-bytes": 256 * 1024 * 1024,
        "x-dead-letter-exchange": "oms.dropped",
    }
    publish(given.settings, "order.paid.jd", b"one")
    publish(given.settings, "order.created.jd", b"nobody asked for it")
    publish(given.settings, "order.shipped.taobao", b"two")
    publish(given.settings, "sub.finance", b"three", "oms.replay")
    assert taken(told["url"], told["queue"]) == [b"one", b"two", b"three"]
    row = stored(given)
    assert (row.topics, row.state, row.contact, row.created_by) == (
        ("order.paid.#", "order.*.taobao"),
        "active",
        "Finance desk",
        "ada",
    )
    assert verbs(given) == [("ada", "subscription.add", "finance", None)]
    assert told["secret"] not in json.dumps(whole_database(given))


def test_add_tells_a_person_the_parameters_and_the_next_steps(given: Typed) -> None:
    said = given.machine.must("subscription", "add", "finance", "--topics", "order.#")
    words = dict(line.split(maxsplit=1) for line in said.splitlines() if line.startswith("  "))
    assert words["user"] == words["queue"] == "sub.finance"
    assert said.count("hub subscription backfill finance") == 1
    url = said.split("AMQP URL", 1)[1].split()[0]
    assert url == given.settings.bus_url.replace("guest:guest", f"sub.finance:{words['secret']}")
    publish(given.settings, "order.paid.jd", b"one")
    assert taken(url, "sub.finance") == [b"one"]


def test_whoever_is_there_is_not_added_again_and_keeps_the_secret(given: Typed) -> None:
    told = added(given, "finance", "order.paid.#")
    again = given.hub("subscription", "add", "finance", "--topics", "order.paid.#")
    assert (again.returncode, again.stdout) == (4, "")
    assert "hub subscription rotate-secret finance" in again.stderr
    assert taken(told["url"], told["queue"]) == []


def test_add_says_what_the_broker_lacks_and_makes_nothing(
    rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path
) -> None:
    machine = Typed(subscribed_machine(rabbit_node, rabbit_url, tmp_path))
    on_channel(rabbit_url, lambda channel: (channel.exchange_delete("oms.replay"), channel.queue_delete("q.dropped")))
    done = machine.hub("subscription", "add", "finance", "--topics", "order.#")
    assert done.returncode == 69
    assert "the broker lacks exchange oms.replay, queue q.dropped: run hub topology apply" in done.stderr
    with Management(machine.settings) as broker:
        assert broker.queue("sub.finance") is None
    machine.must("topology", "apply")
    assert added(machine, "finance", "order.#")


def test_a_queue_that_is_there_with_other_arguments_is_refused_with_the_difference(
    given: Typed, broker: Management
) -> None:
    broker.declare_queue("sub.finance", {"x-queue-type": "quorum", "x-max-length": 7})
    done = given.hub("subscription", "add", "finance", "--topics", "order.#")
    assert done.returncode == 69
    assert "x-max-length is 7 and not 100000" in done.stderr
    assert "x-overflow is None and not drop-head" in done.stderr


def test_a_prefix_is_on_everything(rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path) -> None:
    machine = Typed(subscribed_machine(rabbit_node, rabbit_url, tmp_path, HUB_BUS__PREFIX="east."))
    told = added(machine, "finance", "order.paid.#")
    assert (told["queue"], told["user"]) == ("east.sub.finance", "east.sub.finance")
    publish(machine.settings, "order.paid.jd", b"one", "east.oms.events")
    assert taken(told["url"], told["queue"]) == [b"one"]


def test_a_pause_begins_a_gap_and_a_return_ends_it(given: Typed, broker: Management) -> None:
    told = added(given, "finance", "order.paid.#")
    publish(given.settings, "order.paid.jd", b"before")
    assert "hub subscription resume finance" in given.must(
        "subscription", "pause", "finance", "--reason", "they move house", "--by", "ada"
    )
    assert broker.bindings("sub.finance") == {ASKED}
    publish(given.settings, "order.paid.jd", b"meanwhile")
    publish(given.settings, "sub.finance", b"asked for", "oms.replay")
    (gap,) = open_gaps(given)
    assert (gap.why, gap.until_at, stored(given).state) == ("paused", None, "paused")
    assert "hub subscription resume finance" in given.must("subscription", "show", "finance")
    assert "replay finance --missed" in given.must("subscription", "resume", "finance")
    assert broker.bindings("sub.finance") == {PAID, ASKED}
    publish(given.settings, "order.paid.jd", b"after")
    assert taken(told["url"], told["queue"]) == [b"before", b"asked for", b"after"]
    (gap,) = open_gaps(given)
    assert gap.until_at is not None
    assert stored(given).state == "active"
    assert verbs(given)[1:] == [
        ("ada", "subscription.pause", "finance", "they move house"),
        (None, "subscription.resume", "finance", None),
    ]


def test_to_pause_twice_begins_one_gap_and_to_resume_twice_mends_bindings(given: Typed, broker: Management) -> None:
    added(given, "finance", "order.paid.#")
    for _ in range(2):
        given.must("subscription", "pause", "finance", "--reason", "twice")
        broker.bind("sub.finance", PAID)
    assert len(open_gaps(given)) == 1
    given.must("subscription", "resume", "finance")
    broker.unbind("sub.finance", PAID)
    broker.bind("sub.finance", SHIPPED)
    assert "was not paused; its bindings are there" in given.must("subscription", "resume", "finance")
    assert broker.bindings("sub.finance") == {PAID, ASKED}
    assert [verb for _, verb, _, _ in verbs(given)] == [
        "subscription.add",
        "subscription.pause",
        "subscription.resume",
    ]


def test_other_topics_are_bound_before_the_old_ones_go(given: Typed, broker: Management) -> None:
    told = added(given, "finance", "order.paid.#,order.*.taobao")
    given.must("subscription", "change", "finance", "--topics", "order.paid.#,order.shipped.#", "--contact", "Bob")
    assert broker.bindings("sub.finance") == {PAID, SHIPPED, ASKED}
    assert (stored(given).topics, stored(given).contact) == (("order.paid.#", "order.shipped.#"), "Bob")
    publish(given.settings, "order.shipped.jd", b"new")
    publish(given.settings, "order.created.taobao", b"gone")
    assert taken(told["url"], told["queue"]) == [b"new"]
    assert "Bob" not in json.dumps(audited(given), default=str)


def test_topics_of_a_paused_one_are_bound_when_it_comes_back(given: Typed, broker: Management) -> None:
    added(given, "finance", "order.paid.#")
    given.must("subscription", "pause", "finance", "--reason", "they move house")
    given.must("subscription", "change", "finance", "--topics", "order.shipped.#")
    assert broker.bindings("sub.finance") == {ASKED}
    given.must("subscription", "resume", "finance")
    assert broker.bindings("sub.finance") == {SHIPPED, ASKED}


def test_with_another_secret_the_old_one_is_refused_and_who_came_in_with_it_is_cut_off(
    given: Typed, broker: Management
) -> None:
    old = added(given, "finance", "order.paid.#")
    inside = pika.BlockingConnection(pika.URLParameters(old["url"]))
    new = json.loads(given.must("subscription", "rotate-secret", "finance", "--output", "json"))
    assert eventually(lambda: is_cut_off(inside))
    with pytest.raises(ProbableAuthenticationError):
        taken(old["url"], old["queue"])
    publish(given.settings, "order.paid.jd", b"one")
    assert taken(new["url"], new["queue"]) == [b"one"]
    assert stored(given).secret_hash == broker.secret_hash("sub.finance")


def test_remove_says_what_goes_and_takes_away_queue_user_and_row(given: Typed, broker: Management) -> None:
    told = added(given, "finance", "order.paid.#")
    for _ in range(3):
        publish(given.settings, "order.paid.jd", b"waits")
    assert eventually(lambda: queue(broker).ready == 3, seconds=30)
    shown = given.must("subscription", "remove", "finance")
    assert "queue sub.finance with 3 messages" in shown
    assert stored(given)
    given.must("subscription", "remove", "finance", "--yes")
    assert broker.queue("sub.finance") is None
    assert broker.secret_hash("sub.finance") is None
    with pytest.raises(ProbableAuthenticationError):
        taken(told["url"], told["queue"])
    gone = given.hub("subscription", "remove", "finance", "--yes")
    assert (gone.returncode, gone.stderr) == (4, "hub: there is no subscription finance; see hub subscription list\n")


def test_a_full_queue_lets_the_oldest_go_refuses_nobody_and_says_whose_it_was(given: Typed) -> None:
    told = added(given, "finance", "order.paid.#", "--max-length", "3")
    for number in range(5):
        # With confirm: it raises where a queue refuses.
        publish(given.settings, "order.paid.jd", str(number).encode())
    assert taken(told["url"], told["queue"]) == [b"2", b"3", b"4"]
    dropped = list[tuple[pika.BasicProperties, bytes]]()

    def arrived() -> bool:
        dropped.extend(taken_whole(given.settings.bus_url, "q.dropped"))
        return len(dropped) >= 2

    assert eventually(arrived)
    assert [body for _, body in dropped] == [b"0", b"1"]
    for properties, _ in dropped:
        assert properties.headers["x-first-death-queue"] == "sub.finance"
        assert properties.headers["x-first-death-reason"] == "maxlen"


def test_every_verb_works_on_both_databases(engine: Engine, rabbit_node: RabbitNode, rabbit_url: str) -> None:
    bus = broker_settings(rabbit_node, rabbit_url)
    prepare_bus(bus)
    desk = Desk(engine, bus, Operator("ada"))
    told = subscribe(engine, bus, "finance", "order.paid.#", max_length=9)
    with Management(bus) as broker:
        assert flow.pause(desk, "finance", "they move house", broker)
        assert flow.resume(desk, "finance", broker)
        assert flow.change(desk, "finance", broker, topics="order.shipped.#").topics == ("order.shipped.#",)
        new = manage.rotate_secret(desk, "finance", ByApi(broker, bus.bus))
        assert new.secret != told.secret
        known = facts.known(engine, "finance", bus)
        assert (known["topics"], known["arguments"]["x-max-length"], len(known["gaps"])) == (["order.shipped.#"], 9, 1)
        manage.remove(desk, "finance", broker)
    with reading(engine) as connection:
        assert overviews(connection) == []
        done = [row["verb"].removeprefix("subscription.") for row in audit.listed(connection)[::-1]]
    assert done == ["add", "pause", "resume", "change", "rotate-secret", "remove"]


def test_list_and_show_tell_terms_rights_and_the_queue_as_it_is(given: Typed, broker: Management) -> None:
    added(given, "finance", "order.paid.#", "--contact", "Finance desk")
    publish(given.settings, "order.paid.jd", b"waits")
    assert eventually(lambda: queue(broker).ready == 1, seconds=30)
    assert "finance" in given.must("subscription", "list")
    (row,) = json.loads(given.must("subscription", "list", "--output", "json"))
    assert (row["name"], row["depth"], row["looked_seconds"], row["missed"]) == ("finance", None, None, 0)
    shown = json.loads(given.must("subscription", "show", "finance", "--json"))
    assert shown["rights"] == {
        "read": r"^sub\.finance$",
        "write": "^$",
        "configure": "^$",
        "max-connections": 5,
        "max-channels": 20,
    }
    assert (shown["live"]["ready"], shown["live"]["apart"], shown["gaps"]) == (1, None, [])
    assert "secret_hash" not in shown
    broker.unbind("sub.finance", PAID)
    broker.delete_user("sub.finance")
    told = given.must("subscription", "show", "finance")
    assert "queue sub.finance is not bound to oms.events by order.paid.#" in told
    assert "user sub.finance is not there" in told


def test_of_two_who_add_at_once_one_is_told_no_and_the_other_s_secret_holds(given: Typed) -> None:
    def attempt(engine: Engine) -> Access | Refused:
        try:
            return subscribe(engine, given.settings)
        except Refused as refused:
            return refused

    with wiring.hub_engine(given.settings, "test", threads=2) as engine, ThreadPoolExecutor(2) as pool:
        one, other = sorted(pool.map(attempt, [engine, engine]), key=lambda each: isinstance(each, Refused))
    assert isinstance(one, Access)
    assert isinstance(other, Refused)
    assert taken(one.urls[0], one.queue) == []


def test_a_user_of_another_hub_on_this_broker_is_left_alone(given: Typed, rabbit_node: RabbitNode) -> None:
    with Management(given.settings) as broker:
        elsewhere = "another-hub"
        rabbit_node.create_vhost(elsewhere)
        try:
            broker.put_user("sub.finance", THEIRS)
            broker._api.put("permissions", elsewhere, "sub.finance", body={"configure": "", "write": "", "read": ""})
            done = given.hub("subscription", "add", "finance", "--topics", "order.#")
            assert done.returncode == 4
            assert "user sub.finance has rights in virtual host another-hub" in done.stderr
            assert broker.secret_hash("sub.finance") == THEIRS
            assert doctor(given) == (True, f"0 as they should be, says the {broker.where}, RabbitMQ {broker.version()}")
        finally:
            broker.delete_user("sub.finance")
            rabbit_node.delete_vhost(elsewhere)


def test_the_doctor_finds_what_lacks_on_the_broker_and_what_nobody_registered(given: Typed, broker: Management) -> None:
    added(given, "finance", "order.paid.#")
    assert doctor(given)[0]
    broker.delete_queue("sub.finance")
    assert doctor(given) == (
        False,
        LOST,
    )
    given.must("subscription", "remove", "finance", "--yes")
    broker.declare_queue("sub.stray", {"x-queue-type": "quorum"})
    assert doctor(given) == (
        False,
        "queue sub.stray belongs to no subscription: hub subscription add stray takes it over, or delete it",
    )


def test_the_doctor_says_when_the_api_does_not_answer_or_is_not_set(given: Typed) -> None:
    added(given, "finance", "order.paid.#")
    nobody = given.machine.given(HUB_BUS__MANAGEMENT_URL=f"http://guest:guest@127.0.0.1:{free_ports(1)[0]}")
    good, detail = doctor(Typed(nobody))
    assert not good
    assert "nobody answers" in detail
    without = {name: value for name, value in given.machine.variables.items() if name != "HUB_BUS__MANAGEMENT_URL"}
    assert doctor(Typed(Machine(given.machine.folder, without))) == (
        True,
        "1, not looked at on the broker: HUB_BUS__MANAGEMENT_URL is not set",
    )
    shown = given.machine.given(HUB_BUS__MANAGEMENT_URL=nobody.variables["HUB_BUS__MANAGEMENT_URL"])
    assert "not asked" in Typed(shown).must("subscription", "show", "finance")


def test_the_asyncapi_document_names_its_queue_and_only_what_it_takes(given: Typed) -> None:
    added(given, "finance", "order.paid.#,order.*.taobao")
    added(given, "sales", "order.shipped.#")
    document = json.loads(given.must("subscription", "asyncapi", "sales"))
    assert document["channels"]["subscription"]["address"] == "sub.sales"
    assert list(document["channels"]["subscription"]["messages"]) == ["orderShippedV1"]


def test_on_the_embedded_bus_nobody_subscribes(tmp_path: Path) -> None:
    machine = Typed(Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path / "data")}))
    machine.must("db", "upgrade")
    for verb in (
        "add finance --topics order.#",
        "pause finance --reason none",
        "resume finance",
        "change finance --topics order.#",
        "rotate-secret finance",
        "remove finance --yes",
    ):
        done = machine.hub("subscription", *verb.split())
        assert done.returncode == 4
        assert "the embedded bus is a file of this machine" in done.stderr
        assert "HUB_BUS__URL must name a RabbitMQ broker" in done.stderr
    assert doctor(machine) == (True, "none: nobody else can connect to the embedded bus")


def added(given: Typed, name: str, topics: str, *more: str) -> dict[str, Any]:
    """What `add` tells a script."""
    told: dict[str, Any] = json.loads(
        given.must("subscription", "add", name, "--topics", topics, "--output", "json", *more)
    )
    return told


def doctor(given: Typed) -> tuple[bool, str]:
    """What the doctor says of subscriptions."""
    (found,) = [row for row in json.loads(given.hub("doctor", "--json").stdout) if row["check"] == "subscriptions"]
    return found["good"], found["detail"]


def queue(broker: Management, name: str = "sub.finance") -> QueueState:
    state = broker.queue(name)
    assert state is not None
    return state


def stored(given: Typed, name: str = "finance") -> Subscription:
    with wiring.hub_engine(given.settings, "test") as engine, reading(engine) as connection:
        return store.find(connection, name)


def open_gaps(given: Typed, name: str = "finance") -> list[Gap]:
    with wiring.hub_engine(given.settings, "test") as engine, reading(engine) as connection:
        return gaps.open_gaps(connection, name)


def audited(given: Typed) -> list[dict[str, Any]]:
    with wiring.hub_engine(given.settings, "test") as engine, reading(engine) as connection:
        return audit.listed(connection)[::-1]


def verbs(given: Typed) -> list[tuple[str | None, str, str, str | None]]:
    """Who did what to what, and why; of whoever did not say, no name."""
    return [
        (row["actor"] if row["actor"] == "ada" else None, row["verb"], row["subject"], row["reason"])
        for row in audited(given)
    ]


def whole_database(given: Typed) -> list[str]:
    """Every byte of it as text."""
    return [path.read_bytes().decode("latin-1") for path in given.settings.data_dir.rglob("hub.db*") if path.is_file()]


def is_cut_off(connection: pika.BlockingConnection) -> bool:
    try:
        connection.process_data_events(0)
    except pika.exceptions.AMQPError:
        return True
    return not connection.is_open
