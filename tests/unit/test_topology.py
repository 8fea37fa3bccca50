"""Topic patterns mean what AMQP says, and the definitions give each user the least it can work with."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.topology import (
    ALL_ORDERS,
    DELIVERY_LIMIT,
    Queue,
    exchange_name,
    matches,
    newest_exchange,
    queue_arguments,
    queue_name,
    render,
    topology,
)
from hub.config import SYSTEMS
from hub.schemas.envelope import routing_key
from hub.schemas.order import Change
from tests.majors import TWO, release, two

TAKEN = [
    ("order.#", "order"),
    ("order.#", "order.paid"),
    ("order.#", "order.paid.jd"),
    ("order.paid.#", "order.paid"),
    ("order.paid.#", "order.paid.jd"),
    ("order.paid.#", "order.paid.jd.x"),
    ("order.*.taobao", "order.paid.taobao"),
    ("order.*.*", "order.paid.jd"),
    ("#", "order.paid.jd"),
    ("#", "order"),
    ("#.jd", "jd"),
    ("#.jd", "order.paid.jd"),
    ("order.#.jd", "order.jd"),
    ("order.#.jd", "order.a.b.jd"),
    ("order.#.x.#", "order.x"),
    ("#.#", "order"),
    ("#.*", "order"),
    ("*.#", "order"),
    ("order.paid.jd", "order.paid.jd"),
    ("order.*.shop-1_a", "order.paid.shop-1_a"),
]
PASSED_OVER = [
    ("order.#", "orders"),
    ("order.#", "x.order"),
    ("order.paid.#", "order"),
    ("order.paid.#", "order.paidx.jd"),
    ("order.*", "order"),
    ("order.*", "order.paid.jd"),
    ("order.*.taobao", "order.taobao"),
    ("order.*.taobao", "order.paid.x.taobao"),
    ("*", "order.paid"),
    ("#.*.*", "order"),
    ("order.paid.jd", "order.paid.jd2"),
    ("order.paid.jd", "orderxpaidxjd"),
    ("order.p*d", "order.paid"),
    ("order.pa#", "order.paid"),
    ("order", "Order"),
    ("o+", "oo"),
]
UNUSUAL = [
    ("order.#.#", "order"),
    ("a#b", "a#b"),
]
PLAN, BOTH = topology(SYSTEMS), topology(SYSTEMS, majors=(1, 2))

words = st.sampled_from(["order", "paid", "jd", "a+b", "c[0]", "x_y", "z-1"])
keys = st.lists(words, min_size=1, max_size=5)
patterns = st.lists(words | st.sampled_from("*#"), min_size=1, max_size=5)


def taken(pattern: list[str], key: list[str]) -> bool:
    """AMQP 0-9-1, section 3.1.3.3, word by word."""
    if not pattern:
        return not key
    first, *rest = pattern
    if first == "#":
        return any(taken(rest, key[skipped:]) for skipped in range(len(key) + 1))
    return bool(key) and first in ("*", key[0]) and taken(rest, key[1:])


@pytest.mark.parametrize(("pattern", "key"), TAKEN)
def test_a_pattern_takes_the_keys_that_it_means(pattern: str, key: str) -> None:
    assert matches(pattern, key)


@pytest.mark.parametrize(("pattern", "key"), PASSED_OVER)
def test_a_pattern_passes_over_every_other_key(pattern: str, key: str) -> None:
    assert not matches(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key"),
    UNUSUAL,
)
def test_a_pattern_that_nobody_writes_means_the_same(pattern: str, key: str) -> None:
    assert matches(pattern, key)


@given(patterns, keys)
def test_patterns_take_what_amqp_says(pattern: list[str], key: list[str]) -> None:
    assert matches(".".join(pattern), ".".join(key)) == taken(pattern, key)


@given(keys)
def test_a_key_takes_itself_and_any_word_may_be_a_star(key: list[str]) -> None:
    assert matches(".".join(key), ".".join(key))
    assert matches(".".join("*" for _ in key), ".".join(key))


def test_every_system_has_a_queue_for_every_order() -> None:
    assert [(queue.name, queue.keys, queue.reader) for queue in PLAN.queues] == [
        (f"q.{name}", (ALL_ORDERS,), name) for name in SYSTEMS
    ]


@pytest.mark.parametrize("prefix", ["", "stage-1."])
def test_a_reader_may_read_its_own_queues_and_nothing_else(prefix: str) -> None:
    definitions = rendered(prefix)
    for name in SYSTEMS:
        rights = rights_of(definitions, name)
        own = [queue_name(name, prefix), f"{queue_name(name, prefix)}.dead"]
        assert allowed(rights["read"], definitions) == sorted(own)
        assert allowed(rights["write"], definitions) == allowed(rights["configure"], definitions) == []


def test_a_right_ends_where_the_name_ends() -> None:
    right = rights_of(rendered("stage-1."), "crm")["read"]
    lookalikes = [
        "stage-1xq.crm",
        "stage-1.q.crm2",
        "stage-1.q.crm.dead2",
        "x.stage-1.q.crm",
        "q.crm",
        "",
        "amq.default",
    ]
    assert [name for name in lookalikes if re.search(right, name)] == []


def test_the_relay_may_write_the_exchange_and_nothing_else() -> None:
    definitions = rendered()
    rights = rights_of(definitions, "relay")
    assert allowed(rights["write"], definitions) == ["oms.canary", "oms.events"]
    assert allowed(rights["read"], definitions) == allowed(rights["configure"], definitions) == []


def test_the_relay_may_publish_every_change_and_no_other_topic() -> None:
    (right,) = rendered()["topic_permissions"]
    assert (right["user"], right["exchange"], right["read"]) == ("relay", "oms.events", "^$")
    assert all(re.search(right["write"], routing_key(change, "jd")) for change in Change)
    assert not re.search(right["write"], "orders.paid.jd")


class TestTwoMajors:
    """Each has an exchange of its own, so that whoever reads the older one need not be bound again."""

    def test_the_first_keeps_its_name(self) -> None:
        assert [exchange_name("x.", major) for major in (1, 2, 3)] == [
            "x.oms.events",
            "x.oms.events.v2",
            "x.oms.events.v3",
        ]
        assert (BOTH.exchange, BOTH.published) == ("oms.events", ("oms.events", "oms.events.v2"))

    def test_every_system_hears_of_both(self) -> None:
        bound = {(each["source"], each["destination"], each["routing_key"]) for each in of_both()["bindings"]}
        assert bound >= {(name, f"q.{system}", ALL_ORDERS) for name in BOTH.published for system in SYSTEMS}

    def test_the_relay_may_publish_orders_in_both_and_nothing_else(self) -> None:
        definitions = of_both()
        assert allowed(rights_of(definitions, "relay")["write"], definitions) == [
            "oms.canary",
            "oms.events",
            "oms.events.v2",
        ]
        topics = [(each["exchange"], each["write"]) for each in definitions["topic_permissions"]]
        assert topics == [("oms.events", r"^order\."), ("oms.events.v2", r"^order\.")]

    @pytest.mark.parametrize("majors", [(1,), (1, 2), (2, 3)])
    def test_the_right_of_the_relay_stays_the_same_whichever_majors_there_are(self, majors: tuple[int, ...]) -> None:
        right = rights_of(json.loads(render(topology(SYSTEMS, "a.b.", majors))), "relay")["write"]
        assert right == r"^(a\.b\.oms\.events(\.v[0-9]+)?|a\.b\.oms\.canary)$"
        lookalikes = [
            "a.b.oms.events.dead",
            "a.b.oms.events.v",
            "axb.oms.events",
            "a.b.oms.events.v2.x",
            "a.b.oms.eventsxv2",
            "a.b.oms.canaryx",
        ]
        assert [name for name in lookalikes if re.search(right, name)] == []

    def test_the_majors_are_those_that_the_catalogue_publishes(self) -> None:
        with release(TWO):
            assert topology(SYSTEMS) == BOTH
            assert newest_exchange("x.") == "x.oms.events.v2"
        with release(two(published_from=2)):
            assert topology(SYSTEMS).published == ("oms.events.v2",)
        assert topology(SYSTEMS).published == ("oms.events",)


def test_the_monitor_touches_nothing() -> None:
    definitions = rendered()
    rights = rights_of(definitions, "monitor")
    assert all(allowed(rights[right], definitions) == [] for right in ("configure", "write", "read"))


def test_no_user_comes_with_a_password_and_none_administers() -> None:
    users = rendered()["users"]
    assert {user["name"] for user in users} == {"relay", "replay", "watcher", "monitor", "deployer", *SYSTEMS}
    assert {user["password_hash"] for user in users} == {""}
    assert all("administrator" not in user["tags"] for user in users)


def test_every_binding_leads_from_a_declared_exchange_to_a_declared_queue() -> None:
    definitions = rendered("stage.")
    exchanges = {exchange["name"]: exchange["type"] for exchange in definitions["exchanges"]}
    queues = {queue["name"] for queue in definitions["queues"]}
    assert exchanges == {
        "stage.oms.events": "topic",
        "stage.oms.dead": "direct",
        "stage.oms.replay": "direct",
        "stage.oms.dropped": "fanout",
        "stage.oms.canary": "direct",
    }
    # Subscribers' queues are bound to this one, each when it is made.
    assert {binding["source"] for binding in definitions["bindings"]} == exchanges.keys() - {"stage.oms.replay"}
    assert {binding["destination"] for binding in definitions["bindings"]} == queues


def test_every_system_gets_the_canary_by_an_exchange_that_no_pattern_of_a_subscriber_is_bound_to() -> None:
    bound = [each for each in rendered()["bindings"] if each["source"] == "oms.canary"]
    assert {(each["destination"], each["routing_key"]) for each in bound} == {
        (f"q.{name}", "canary") for name in SYSTEMS
    }
    assert "oms.canary" not in PLAN.published


def test_what_is_delivered_too_often_has_a_queue_to_go_to() -> None:
    definitions = rendered()
    for queue in PLAN.queues:
        arguments = next(each["arguments"] for each in definitions["queues"] if each["name"] == queue.name)
        dead = {
            "source": arguments["x-dead-letter-exchange"],
            "destination": queue.dead,
            "routing_key": arguments["x-dead-letter-routing-key"],
        }
        assert any(dead.items() <= binding.items() for binding in definitions["bindings"])


def test_a_queue_is_replicated_bounded_in_deliveries_and_loses_no_dead_letter() -> None:
    arguments = queue_arguments(Queue("q.crm", (ALL_ORDERS,), "crm"), "oms.dead")
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-delivery-limit"] == DELIVERY_LIMIT
    assert (arguments["x-dead-letter-strategy"], arguments["x-overflow"]) == ("at-least-once", "reject-publish")


@pytest.mark.parametrize("prefix", ["", "stage-1."])
def test_the_policy_bounds_the_dead_letter_queues_and_no_others(prefix: str) -> None:
    definitions = rendered(prefix)
    (policy,) = definitions["policies"]
    names = [each["name"] for each in definitions["queues"]]
    taken_by = [name for name in names if re.search(policy["pattern"], name)]
    assert taken_by == [f"{queue_name(name, prefix)}.dead" for name in SYSTEMS]
    assert policy["definition"]["overflow"] == "reject-publish"
    # Of a limit the smaller one of argument and policy holds: theirs is what keeps dead letters.
    assert "delivery-limit" not in policy["definition"]


def test_everything_is_durable_and_in_the_virtual_host_that_was_asked_for() -> None:
    definitions = json.loads(render(PLAN, vhost="shop"))
    assert definitions["vhosts"] == [{"name": "shop"}]
    placed = [each for kind in ("exchanges", "queues", "bindings", "permissions") for each in definitions[kind]]
    assert {each["vhost"] for each in placed} == {"shop"}
    assert all(each["durable"] for each in placed if "durable" in each)


def rendered(prefix: str = "") -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(render(topology(SYSTEMS, prefix)))
    return definitions


def of_both() -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(render(BOTH))
    return definitions


def rights_of(definitions: dict[str, Any], user: str) -> dict[str, str]:
    """The one line of rights that a user has."""
    (rights,) = [each for each in definitions["permissions"] if each["user"] == user]
    return rights


def allowed(right: str, definitions: dict[str, Any]) -> list[str]:
    """The names that a right covers, as RabbitMQ searches them."""
    names = {each["name"] for kind in ("exchanges", "queues") for each in definitions[kind]} | {
        "amq.default",
        "amq.topic",
    }
    return sorted(name for name in names if re.search(right, name))
