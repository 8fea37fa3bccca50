"""What a subscription asks for, what it becomes on the broker, and what its subscriber is told. Nothing is asked."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from hub import config
from hub.bus.rabbit.management import Binding
from hub.cli.subscription_words import to_import
from hub.errors import BadInput, Refused
from hub.subscriptions import definitions, secret
from hub.subscriptions.access import access_to
from hub.subscriptions.desk import check_bus
from hub.subscriptions.manage import Wish, wanted_by
from hub.subscriptions.plan import plan_of
from tests.support import settings

SETTINGS = settings(HUB_BUS__URL="amqp://guest:guest@127.0.0.1/hub", HUB_SUBSCRIPTIONS__MAX_LENGTH="77")


def test_a_secret_is_kept_as_rabbitmq_keeps_passwords() -> None:
    # The example of RabbitMQ, "Credentials and Passwords".
    assert secret.hashed("test12", bytes.fromhex("908DC60A")) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    told = secret.new()
    kept = base64.b64decode(secret.hashed(told))
    assert kept[4:] == hashlib.sha256(kept[:4] + told.encode()).digest()


def test_no_two_secrets_and_no_two_hashes_are_the_same() -> None:
    assert len({secret.new() for _ in range(100)}) == 100
    assert len({secret.hashed("same") for _ in range(20)}) > 1
    assert len(secret.new()) >= 43


@pytest.mark.parametrize("name", ["f", "finance", "a-1", "a" * 31, "x9"])
def test_a_name_is_small_letters_digits_and_hyphens(name: str) -> None:
    assert wanted(name).queue == f"sub.{name}"


@pytest.mark.parametrize("name", ["", "-a", "1a", "Finance", "a b", "a.b", "a_b", "a" * 32, "ä", "a\n", "../a", "#"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"^name: "):
        wanted(name)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"topics": ""}, "topics: name at least one"),
        ({"topics": "invoice.#"}, "topics: invoice.# takes no event"),
        ({"max_length": 0}, "--max-length: 0 cannot be"),
        ({"max_length": 2**31}, "--max-length: 2147483648 cannot be"),
        ({"max_bytes": 1023}, "--max-bytes: 1023 cannot be"),
        ({"contact": "x" * 257}, "--contact: 257 characters are too long"),
        ({"contact": "a\x00"}, "--contact: character U+0000"),
        ({"major": 99}, "--major: 99 is not published; published are 1"),
        ({"major": 0}, "--major: 0 is not published"),
    ],
)
def test_what_cannot_be_had_is_named(wish: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)):
        wanted("finance", **wish)


def test_what_is_not_said_is_as_the_settings_say() -> None:
    found = wanted("finance", contact="  ")
    assert (found.max_length, found.max_bytes, found.major, found.contact) == (77, 256 * 1024 * 1024, 1, None)


def test_its_user_may_read_its_queue_and_no_other_that_is_called_alike() -> None:
    plan = plan_of(wanted("a-1"), SETTINGS.bus)
    assert plan.read == r"^sub\.a\-1$"
    assert plan.asked == Binding("oms.replay", "sub.a-1")
    assert plan.events == {Binding("oms.events", "order.#")}


def test_a_definitions_file_has_exactly_this_of_one_subscription() -> None:
    plan = plan_of(wanted("finance", topics="order.paid.#"), SETTINGS.bus)
    made = definitions.whole(plan, "hash", "hub")
    assert made["users"] == [
        {
            "name": "sub.finance",
            "password_hash": "hash",
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": [],
            "limits": {"max-connections": 5, "max-channels": 20},
        }
    ]
    assert made["permissions"] == [
        {"user": "sub.finance", "vhost": "hub", "configure": "^$", "write": "^$", "read": r"^sub\.finance$"}
    ]
    assert [(each["source"], each["routing_key"]) for each in made["bindings"]] == [
        ("oms.events", "order.paid.#"),
        ("oms.replay", "sub.finance"),
    ]
    paused = definitions.whole(plan, "hash", "hub", paused=True)
    assert [each["source"] for each in paused["bindings"]] == ["oms.replay"]
    both = definitions.together([made, paused], "hub")
    assert json.loads(definitions.text(both))["vhosts"] == [{"name": "hub"}]
    assert (len(both["users"]), len(both["bindings"])) == (2, 3)


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("amqp://u:p@broker/hub", ["amqp://sub.f:S@broker:5672/hub"]),
        ("amqps://u:p@broker/hub", ["amqps://sub.f:S@broker:5671/hub"]),
        ("amqp://u:p@a,b:5673/hub", ["amqp://sub.f:S@a:5672/hub", "amqp://sub.f:S@b:5673/hub"]),
        ("amqp://u:p%40@broker", ["amqp://sub.f:S@broker:5672/%2F"]),
        ("amqp://u:p@broker/%2F", ["amqp://sub.f:S@broker:5672/%2F"]),
        ("amqp://u:p@broker/a%2Fb", ["amqp://sub.f:S@broker:5672/a%2Fb"]),
    ],
)
def test_a_subscriber_is_told_where_to_connect_as_itself(url: str, urls: list[str]) -> None:
    access = access_to(url, "sub.f", "S")
    assert list(access.urls) == urls == access.facts()["urls"]
    assert access.facts()["url"] == urls[0]


def test_a_secret_does_not_show_where_an_access_is_printed() -> None:
    assert "canary" not in repr(access_to("amqp://u:p@broker/hub", "sub.f", "canary"))


def test_the_embedded_bus_has_no_subscribers() -> None:
    with pytest.raises(Refused, match="HUB_BUS__URL must name a RabbitMQ broker"):
        check_bus(settings())


def wanted(name: str, **wish: Any) -> Any:
    return wanted_by(Wish(name, **{"topics": "order.#"} | wish), SETTINGS)


def prefixed() -> config.Settings:
    return settings(HUB_BUS__URL="amqp://guest:guest@127.0.0.1/hub", HUB_BUS__PREFIX="east.")


def test_a_prefix_stands_before_everything() -> None:
    found = wanted_by(Wish("finance", "order.#"), prefixed())
    plan = plan_of(found, prefixed().bus)
    assert plan.queue == plan.user == "east.sub.finance"
    assert plan.read == r"^east\.sub\.finance$"
    assert plan.events == {Binding("east.oms.events", "order.#")}
    assert plan.asked == Binding("east.oms.replay", "east.sub.finance")
    assert plan.arguments["x-dead-letter-exchange"] == "east.oms.dropped"


def test_a_file_that_somebody_put_in_its_place_is_not_written_into(tmp_path: Path) -> None:
    theirs = tmp_path / f".all.json.{os.getpid()}"
    theirs.write_text("theirs")
    theirs.chmod(0o666)
    definitions.write(tmp_path / "all.json", "ours")
    assert (tmp_path / "all.json").read_text() == "ours"
    assert stat.S_IMODE((tmp_path / "all.json").stat().st_mode) == 0o600


def test_a_path_is_told_as_it_has_to_be_typed() -> None:
    assert to_import(Path("/tmp/our file.json")) == ["rabbitmqctl import_definitions '/tmp/our file.json'"]
