"""Bad input at every door: taken as it is or refused with a reason, never lost, and nobody else pays for it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pika
import pytest
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from hub import config, migrations
from hub.all_tables import metadata
from hub.bus.port import Bus, Fate, Message
from hub.bus.topology import queue_name, topology
from hub.consumers.receiver import Receiver
from hub.daemon import Vitals
from hub.database import is_postgres, reading, writing
from hub.errors import UNDECODABLE_REASONS, Undecodable
from hub.oms import orders, tokens
from hub.producers.api.app import build
from hub.producers.importer import Tally, import_file
from hub.schemas.lifecycle import Role
from hub.schemas.order import Order
from hub.schemas.registry import decode
from hub.tables import dead_letters, outbox
from hub.tables import ledger as entries
from hub.wiring import bus_of
from tests.hostile import HOSTILE, PERSON, REJECTED, TAKEN, TIME, VIP, WHEN, body, event, line, order_in, swapped
from tests.nodes.rabbitmq import RabbitNode
from tests.support import count, engine_on, eventually, settings

SYSTEM, QUEUE = "crm", queue_name("crm")
PLAN = topology((SYSTEM,))
AT_THE_BUS = {what: case for what, case in HOSTILE.items() if case.bus}
AT_THE_API = {what: case for what, case in HOSTILE.items() if case.api}
IN_A_FILE = {what: case for what, case in HOSTILE.items() if case.file}
NUMBERS = {what: f"SO-{number:03}" for number, what in enumerate(HOSTILE)}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Arrived:
    """What a consumer has after everything was published: the bodies by order, the dead letters by their hash."""

    wanted: Mapping[str, str]
    dead: Mapping[str, Any]


@dataclass(frozen=True)
class Imported:
    """What an import rejected, by the number of the line."""

    tally: Tally
    rejects: Mapping[int, dict[str, Any]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def bus(request: pytest.FixtureRequest, migrated: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    """The bus that goes with the database, for the whole file: a file beside a file, a broker beside a server."""
    if not is_postgres(migrated):
        with declared(f"embedded:///{tmp_path_factory.mktemp('bus')}/bus.db") as bus:
            yield bus
        return
    node: RabbitNode = request.getfixturevalue("rabbit_node")
    name = f"hostile-{uuid.uuid4().hex}"
    node.start()
    with declared(node.create_vhost(name)) as bus:
        yield bus
    node.delete_vhost(name)


@pytest.fixture(scope="module")
def arrived(migrated: Engine, bus: Bus) -> Arrived:
    """Every hostile event with a good one behind it, all published at once and taken in by one consumer."""
    publish(bus, [content for what in AT_THE_BUS for content in (hostile_event(what), event(good(what)))])
    receive(migrated, bus, 2 * len(AT_THE_BUS))
    return kept(migrated)


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Engine]:
    """The hub's own database for one test alone."""
    with engine_on(f"sqlite:///{tmp_path}/hub.db") as engine:
        migrations.upgrade(engine)
        yield engine


@pytest.fixture(scope="module")
def api(migrated: Engine) -> TestClient:
    """The interface, with the token of somebody who may do anything."""
    with writing(migrated) as connection:
        token = tokens.add(connection, "hostile", Role.ADMIN)
    headers = {"Authorization": f"Bearer {token}"}
    return TestClient(build(migrated, config.load({}), Vitals()), raise_server_exceptions=False, headers=headers)


@pytest.fixture(scope="module")
def imported(migrated: Engine, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """A file of every hostile line with a good one behind it."""
    file, rejects = tmp_path_factory.mktemp("file") / "orders.jsonl", io.StringIO()
    lines = [content for what in IN_A_FILE for content in (hostile_line(what), line(in_file(good(what))))]
    file.write_bytes(b"".join(content + b"\n" for content in lines))
    tally = import_file(migrated, file, rejects, lambda _: None)
    told = [json.loads(each) for each in rejects.getvalue().splitlines()]
    return Imported(tally, {reject["line"]: reject for reject in told})


class TestTheTable:
    def test_it_is_long_and_every_reason_is_in_it(self) -> None:
        assert len(HOSTILE) >= 60
        assert {case.bus for case in AT_THE_BUS.values()} == {*UNDECODABLE_REASONS, TAKEN}
        assert {case.api for case in AT_THE_API.values()} == {201, 400, 413, 422}
        assert {case.file for case in IN_A_FILE.values()} == {REJECTED, TAKEN}

    def test_every_case_is_for_some_door_and_none_is_another_one_again(self) -> None:
        assert [what for what, case in HOSTILE.items() if not (case.bus or case.api or case.file)] == []
        assert len({hostile_event(what) for what in AT_THE_BUS}) == len(AT_THE_BUS)

    def test_what_is_spoilt_was_good(self) -> None:
        assert decode(event("SO-1")).order.lines[0].name == order_in(body("SO-1"))["lines"][0]["name"]


class TestTheBus:
    @pytest.mark.parametrize("what", [what for what, case in AT_THE_BUS.items() if case.bus == TAKEN])
    def test_an_event_that_only_looks_bad_is_in_the_ledger_to_the_byte(self, arrived: Arrived, what: str) -> None:
        sent = hostile_event(what)
        assert arrived.wanted[NUMBERS[what]].encode() == sent
        assert sha256(sent) not in arrived.dead
        assert decode(sent).order.lines[0].name == order_in(sent)["lines"][0]["name"]

    @pytest.mark.parametrize("what", [what for what, case in AT_THE_BUS.items() if case.bus != TAKEN])
    def test_an_event_that_is_none_is_kept_raw_with_its_reason(self, arrived: Arrived, what: str) -> None:
        sent, case = hostile_event(what), AT_THE_BUS[what]
        letter = arrived.dead[sha256(sent)]
        assert base64.b64decode(letter.body_base64) == sent
        assert (letter.queue, letter.message_id, letter.reason) == (QUEUE, NUMBERS[what], case.bus)
        assert case.names in letter.detail
        assert NUMBERS[what] not in arrived.wanted
        assert_private(letter.detail)

    @pytest.mark.parametrize("what", AT_THE_BUS)
    def test_the_good_event_behind_a_hostile_one_is_in_the_ledger(self, arrived: Arrived, what: str) -> None:
        assert arrived.wanted[good(what)].encode() == event(good(what))

    def test_nothing_is_in_two_places_and_nothing_is_anywhere_else(self, arrived: Arrived) -> None:
        taken = sum(case.bus == TAKEN for case in AT_THE_BUS.values())
        assert (len(arrived.wanted), len(arrived.dead)) == (len(AT_THE_BUS) + taken, len(AT_THE_BUS) - taken)

    def test_nothing_is_delivered_again(self, bus: Bus, arrived: Arrived) -> None:
        assert arrived.wanted
        subscription = bus.subscribe(QUEUE)
        assert subscription.receive(10, 1) == []
        subscription.close()
        assert bus.depths(PLAN) == {QUEUE: 0}

    def test_all_of_it_once_more_changes_nothing(self, migrated: Engine, bus: Bus, arrived: Arrived) -> None:
        publish(bus, [*map(hostile_event, AT_THE_BUS), event("SO-LAST")])
        receive(migrated, bus, len(arrived.wanted) + len(arrived.dead) + 1)
        again = kept(migrated)
        assert again.wanted == {**arrived.wanted, "SO-LAST": event("SO-LAST").decode()}
        assert {each: again.dead[each].reason for each in again.dead} == {
            each: arrived.dead[each].reason for each in arrived.dead
        }

    def test_seconds_since_1970_as_text_are_no_time(self) -> None:
        with pytest.raises(Undecodable):
            decode(swapped(TIME, '"time":"1772337906"')(event("SO-1")))


# What a message brings beside its body; a publisher of ours brings none of it.
PROPERTIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an id that is no text": {"message_id": b"\xff\xfe"},
    "an id of control characters": {"message_id": "\x00\x1b[31m\r\n"},
    "a header whose name is no text": {"headers": {b"\xff\xfe": "x"}},
    "headers of every kind": {
        "headers": {"table": {"list": [1, None, True]}, "bytes": b"\xff", "when": datetime(2026, 3, 1, tzinfo=UTC)}
    },
    "a header of NUL": {"headers": {"nul": "\x00"}},
    "another content": {"content_type": "text/html", "content_encoding": "gzip", "priority": 9, "expiration": "60000"},
}
KEYS_OF_NOBODY = {"a key that is no text": b"order.\xff\xfe", "a key of control characters": "order.\x00\x1b[31m"}


class TestTheBroker:
    @pytest.mark.parametrize("properties", [*PROPERTIES.values()], ids=[*PROPERTIES])
    def test_what_stands_beside_a_body_stops_nobody(
        self, lonely: Engine, rabbit_url: str, properties: dict[str, Any]
    ) -> None:
        self.assert_kept(lonely, rabbit_url, "order.paid.jd", properties)

    @pytest.mark.parametrize("key", [*KEYS_OF_NOBODY.values()], ids=[*KEYS_OF_NOBODY])
    def test_a_routing_key_of_nobody_stops_nobody(self, lonely: Engine, rabbit_url: str, key: str | bytes) -> None:
        self.assert_kept(lonely, rabbit_url, key, {})

    def assert_kept(self, engine: Engine, url: str, key: str | bytes, properties: dict[str, Any]) -> None:
        with declared(url) as bus:
            publish_raw(url, key, b"no event", properties)
            publish_raw(url, key, event("SO-1"), properties)
            receive(engine, bus, 2)
        found = kept(engine)
        assert found.wanted == {"SO-1": event("SO-1").decode()}
        assert list(found.dead) == [sha256(b"no event")]


class TestTheInterface:
    @pytest.mark.parametrize("what", [what for what, case in AT_THE_API.items() if case.api == 201])
    def test_a_body_that_only_looks_bad_is_taken_exactly(self, migrated: Engine, api: TestClient, what: str) -> None:
        sent = AT_THE_API[what].spoil(body(NUMBERS[what]))
        answer = post(api, sent)
        assert answer.status_code == 201, answer.text
        read = api.get(f"/v1/orders/{quote(answer.json()['order_no'])}").json()["order"]
        waiting = decode(waiting_event(migrated, answer.json()["order_no"])).order.model_dump(mode="json")
        for seen in (answer.json(), read, waiting):
            assert facts(seen) == facts(order_in(sent))

    @pytest.mark.parametrize("what", [what for what, case in AT_THE_API.items() if case.api != 201])
    def test_a_bad_body_is_refused_by_name_and_writes_nothing(
        self, migrated: Engine, api: TestClient, what: str
    ) -> None:
        case, before = AT_THE_API[what], rows(migrated)
        answer = post(api, case.spoil(body(NUMBERS[what])))
        assert (answer.status_code, answer.headers["content-type"]) == (case.api, "application/problem+json")
        assert case.names in answer.json()["detail"]
        assert case.api != 422 or {case.names, "body"} & {each["field"] for each in answer.json()["errors"]}
        assert rows(migrated) == before
        assert_private(answer.text)

    def test_an_answer_to_18_000_wrong_fields_is_short_and_counts_them(self, api: TestClient) -> None:
        answer = post(api, json.dumps({f"f{number}": 0 for number in range(18_000)}).encode())
        assert (answer.status_code, len(answer.json()["errors"])) == (422, 50)
        assert "(and 18001 more)" in answer.json()["detail"]

    def test_a_field_that_is_called_like_a_header_is_a_field(self, api: TestClient) -> None:
        answer = post(api, swapped(VIP, '"Idempotency-Key":"k"')(body("SO-1")))
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")

    def test_a_wrong_field_of_a_very_long_name_is_named_in_short(self, api: TestClient) -> None:
        answer = post(api, json.dumps({"f" * 200_000: 0}).encode())
        assert answer.status_code == 422
        assert "f" * 64 in {each["field"] for each in answer.json()["errors"]}


STEPS_OUT_OF_TIME = [
    ("history.0.1", [["created", "0001-01-01T00:00:00+08:00"]]),
    ("history.0.1", [["created", "9999-12-31T23:59:59-14:00"]]),
    ("history.1.1", [["created", WHEN], ["paid", "0001-01-01T00:00:00+08:00"]]),
    ("history.1.1", [["created", WHEN], ["paid", "2200-01-02T00:00:00+08:00"]]),
    ("history.1.1", [["created", WHEN], ["paid", "9999-12-31T23:59:59-14:00"]]),
]


class TestAFile:
    @pytest.mark.parametrize("what", [what for what, case in IN_A_FILE.items() if case.file == TAKEN])
    def test_a_line_that_only_looks_bad_comes_in_exactly(self, migrated: Engine, imported: Imported, what: str) -> None:
        assert line_number(what) not in imported.rejects
        sent, order = order_in(hostile_line(what)), loaded(migrated, in_file(NUMBERS[what]))
        assert [each.name for each in order.lines] == [each["name"] for each in sent["lines"]]

    @pytest.mark.parametrize("what", [what for what, case in IN_A_FILE.items() if case.file == REJECTED])
    def test_a_bad_line_is_rejected_with_its_field_and_reason(self, imported: Imported, what: str) -> None:
        case, reject = IN_A_FILE[what], imported.rejects[line_number(what)]
        assert reject["field"] in (case.names, "body")
        assert case.names in reject["reason"]
        assert_private(reject["reason"])

    @pytest.mark.parametrize("what", IN_A_FILE)
    def test_the_good_line_behind_a_hostile_one_is_in(self, migrated: Engine, imported: Imported, what: str) -> None:
        assert line_number(what) + 1 not in imported.rejects
        assert loaded(migrated, in_file(good(what))).total == 2500

    @pytest.mark.parametrize(("field", "history"), STEPS_OUT_OF_TIME)
    def test_a_step_in_a_year_that_no_store_keeps_is_rejected_and_the_others_are_in(
        self, migrated: Engine, tmp_path: Path, field: str, history: list[list[str]]
    ) -> None:
        file, rejects, number = tmp_path / "orders.jsonl", io.StringIO(), uuid.uuid4().hex
        bad = json.dumps(json.loads(line(f"{number}-BAD")) | {"history": history}).encode()
        file.write_bytes(bad + b"\n" + line(number) + b"\n")
        assert import_file(migrated, file, rejects, lambda _: None).lines == 2
        assert loaded(migrated, number).total == 2500
        assert json.loads(rejects.getvalue())["field"] == field

    def test_nothing_else_was_rejected(self, imported: Imported) -> None:
        expected = [line_number(what) for what, case in IN_A_FILE.items() if case.file == REJECTED]
        assert sorted(imported.rejects) == expected
        assert imported.tally.lines == 2 * len(IN_A_FILE)


def hostile_event(what: str) -> bytes:
    return AT_THE_BUS[what].spoil(event(NUMBERS[what]))


def hostile_line(what: str) -> bytes:
    return IN_A_FILE[what].spoil(line(in_file(NUMBERS[what])))


def good(what: str) -> str:
    """The number of the good order that goes behind a hostile one."""
    return f"{NUMBERS[what]}-GOOD"


def in_file(number: str) -> str:
    """A number of its own, for all doors lead into one database."""
    return f"FILE-{number}"


def line_number(what: str) -> int:
    return 2 * list(IN_A_FILE).index(what) + 1


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def declared(url: str) -> Iterator[Bus]:
    with bus_of(settings(HUB_BUS__URL=url), "test") as bus:
        bus.declare(PLAN)
        yield bus


def publish(bus: Bus, bodies: list[bytes]) -> None:
    """One batch, in which a message has the id of its order where that is known."""
    ids = {hostile_event(what): NUMBERS[what] for what in AT_THE_BUS}
    messages = [Message(ids.get(each, "good"), "order.paid.jd", each) for each in bodies]
    with closing(bus.publisher()) as publisher:
        assert set(publisher.publish(messages)) == {Fate.CONFIRMED}


def publish_raw(url: str, key: str | bytes, content: bytes, properties: dict[str, Any]) -> None:
    """One message as any client of the broker could send it."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(PLAN.exchange, key, content, pika.BasicProperties(**properties), mandatory=True)


def receive(engine: Engine, bus: Bus, expected: int) -> None:
    """Let a consumer take in what waits, until it has kept so many or time is up."""
    with closing(Receiver(SYSTEM, QUEUE, engine, bus, settings().consumer)) as receiver:
        eventually(lambda: not receiver.step() and count(engine, entries) + count(engine, dead_letters) >= expected, 30)


def kept(engine: Engine) -> Arrived:
    with reading(engine) as connection:
        wanted = connection.execute(select(entries.c.order_no, entries.c.wanted_body)).all()
        dead = connection.execute(select(dead_letters)).all()
    return Arrived({row.order_no: row.wanted_body for row in wanted}, {row.body_hash: row for row in dead})


def post(api: TestClient, content: bytes) -> httpx2.Response:
    return api.post("/v1/orders", content=content, headers=JSON | {"Idempotency-Key": uuid.uuid4().hex})


def rows(engine: Engine) -> dict[str, int]:
    return {name: count(engine, table) for name, table in metadata.tables.items()}


def waiting_event(engine: Engine, order_no: str) -> bytes:
    with reading(engine) as connection:
        found = connection.execute(select(outbox.c.body).where(outbox.c.order_no == order_no)).scalar_one()
    return str(found).encode()


def loaded(engine: Engine, channel_order_no: str) -> Order:
    with reading(engine) as connection:
        order_no = orders.find(connection, "jd", "main", channel_order_no)
        assert order_no is not None, f"{channel_order_no} is not in"
        return orders.load(connection, order_no)


def facts(order: dict[str, Any]) -> dict[str, Any]:
    """What must not change on the way."""
    receiver = {name: value for name, value in order["receiver"].items() if value is not None}
    return {"lines": order["lines"], "receiver": receiver, "customer_id": order["customer_id"]}


def assert_private(text: str) -> None:
    assert [value for name, value in PERSON.items() if name != "city" and value in text] == []
