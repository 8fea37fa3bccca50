"""The OMS over HTTP: who may do what, what is refused, and that a request is carried out once."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg2
import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from sqlalchemy import Engine, func, select
from starlette.testclient import TestClient

from hub import config, migrations
from hub.all_tables import metadata
from hub.daemon import Vitals
from hub.database import open_engine, reading, writing
from hub.oms import tokens
from hub.producers.api.app import build
from hub.schemas.lifecycle import TRANSITIONS, Role
from hub.schemas.order import Status
from tests.nodes.ports import free_ports
from tests.nodes.postgres import PostgresNode
from tests.nodes.processes import wait_until
from tests.running import Machine, series
from tests.support import engine_on

LINE = {"sku": "TEA-250", "name": "明前龙井 250g", "quantity": 2, "unit_price": 16800}
RECEIVER = {"name": "张伟", "phone": "13800138000", "city": "杭州市", "address": "文一西路 1 号"}
PROBLEM = "application/problem+json"
LIMIT = 256 * 1024

# Who may do what, as the business says it. (verb, status that the order is in): roles.
WHO_MAY = {
    ("create", "nothing"): "channel sales operator admin",
    ("pay", "pending_payment"): "channel finance admin",
    ("pick", "paid"): "warehouse admin",
    ("ship", "picking"): "warehouse admin",
    ("complete", "shipped"): "channel operator admin",
    ("cancel", "pending_payment"): "channel service operator admin",
    ("cancel", "paid"): "channel service operator admin",
    ("cancel", "picking"): "operator admin",
    ("cancel", "intercepted"): "operator admin",
    ("cancel", "shipped"): "operator admin",
    ("intercept", "paid"): "service operator admin",
    ("intercept", "picking"): "service operator admin",
    ("release", "intercepted"): "operator admin",
    ("refund", "paid"): "finance admin",
    ("refund", "shipped"): "finance admin",
    ("refund", "completed"): "finance admin",
}
ROLES = ("admin", "operator", "sales", "service", "warehouse", "finance", "channel", "viewer", "monitor")
VERBS = ("pay", "pick", "ship", "complete", "cancel", "intercept", "release", "refund")
MAY_DO = {
    "sales": {"create"},
    "viewer": set(),
    "monitor": set(),
    "warehouse": {"pick", "ship"},
    "service": {"cancel", "intercept"},
    "finance": {"pay", "refund"},
}
LEADS_TO = {
    "nothing": None,
    "pending_payment": [],
    "paid": ["pay"],
    "picking": ["pay", "pick"],
    "shipped": ["pay", "pick", "ship"],
    "completed": ["pay", "pick", "ship", "complete"],
    "cancelled": ["cancel"],
    "intercepted": ["pay", "intercept"],
    "refunded": ["pay", "refund"],
}
SEES_RECEIVER = {
    "admin": True,
    "service": True,
    "warehouse": True,
    "channel": True,
    "operator": False,
    "sales": False,
    "finance": False,
    "viewer": False,
}

GOOD = json.dumps(
    {
        "channel": "jd",
        "channel_order_no": "HOSTILE-1",
        "customer_id": "C-1",
        "vip": False,
        "receiver": RECEIVER,
        "lines": [LINE],
    },
    ensure_ascii=False,
)
NAME, QUANTITY, PRICE, LINES = '"明前龙井 250g"', '"quantity": 2', '"unit_price": 16800', json.dumps([LINE])


def swapped(old: str, new: str) -> bytes:
    """The good body with one thing in it replaced."""
    return GOOD.replace(old, new).encode()


def listed(lines: list[object]) -> bytes:
    """The good body with other lines."""
    return json.dumps(json.loads(GOOD) | {"lines": lines}).encode()


# What is wrong: (body, status, the word that the answer names the place with).
HOSTILE = {
    "NaN": (swapped(QUANTITY, '"quantity": NaN'), 400, "body"),
    "infinity": (swapped(PRICE, '"unit_price": -Infinity'), 400, "body"),
    "NUL as an escape": (swapped(NAME, '"tea\\u0000"'), 422, "lines.0.name"),
    "NUL as a byte": (swapped(NAME, '"tea\x00"'), 400, "body"),
    "lone surrogate": (swapped(NAME, '"tea\\ud800"'), 400, "body"),
    "control character": (swapped(NAME, '"tea\\u0007"'), 422, "lines.0.name"),
    "negative quantity": (swapped(QUANTITY, '"quantity": -2'), 422, "lines.0.quantity"),
    "no quantity": (swapped(QUANTITY, '"quantity": 0'), 422, "lines.0.quantity"),
    "quantity of 10^18": (swapped(QUANTITY, f'"quantity": {10**18}'), 422, "lines.0.quantity"),
    "quantity of 5,000 digits": (swapped(QUANTITY, f'"quantity": {"9" * 5000}'), 400, "body"),
    "quantity as text": (swapped(QUANTITY, '"quantity": "2"'), 422, "lines.0.quantity"),
    "quantity as truth": (swapped(QUANTITY, '"quantity": true'), 422, "lines.0.quantity"),
    "negative price": (swapped(PRICE, '"unit_price": -1'), 422, "lines.0.unit_price"),
    "fraction of a fen": (swapped(PRICE, '"unit_price": 168.5'), 422, "lines.0.unit_price"),
    "float that is whole": (swapped(PRICE, '"unit_price": 16800.0'), 422, "lines.0.unit_price"),
    "float with an exponent": (swapped(PRICE, '"unit_price": 1e4'), 422, "lines.0.unit_price"),
    "total over every limit": (listed([LINE | {"quantity": 10**6, "unit_price": 10**14}]), 422, "lines"),
    "unknown field": (swapped('"vip": false', '"vip": false, "discount": 1'), 422, "discount"),
    "unknown field in a line": (swapped(QUANTITY, f'{QUANTITY}, "gift": true'), 422, "lines.0.gift"),
    "status given by the shop": (swapped('"vip": false', '"status": "completed"'), 422, "status"),
    "vip as text": (swapped('"vip": false', '"vip": "no"'), 422, "vip"),
    "customer as a list": (swapped('"C-1"', '["C-1"]'), 422, "customer_id"),
    "customer is nobody": (swapped('"C-1"', "null"), 422, "customer_id"),
    "customer of 65 letters": (swapped('"C-1"', f'"{"C" * 65}"'), 422, "customer_id"),
    "channel with a dot": (swapped('"jd"', '"jd.evil"'), 422, "channel"),
    "number with a line break": (swapped("HOSTILE-1", "HOSTILE-1\\n"), 422, "channel_order_no"),
    "no number": (swapped('"channel_order_no": "HOSTILE-1", ', ""), 422, "channel_order_no"),
    "receiver without a phone": (swapped('"phone": "13800138000", ', ""), 422, "receiver.phone"),
    "empty lines": (listed([]), 422, "lines"),
    "1,001 lines": (listed([{"sku": "S", "name": "n", "quantity": 1, "unit_price": 1}] * 1001), 422, "lines"),
    "a line that is a number": (listed([7]), 422, "lines.0"),
    "lines as an object": (swapped('"lines": [', '"lines": {"0": [').rstrip(b"}") + b"}}]}}", 400, "body"),
    "100,000 brackets": (b"[" * 100_000, 400, "body"),
    "100,000 braces": (b'{"a":' * 40_000, 400, "body"),
    "brackets where a name belongs": (swapped(NAME, "[" * 5000 + "]" * 5000), 400, "body"),
    "invalid UTF-8": (GOOD.encode().replace("明".encode(), b"\xe6\x98"), 400, "body"),
    "UTF-16": (GOOD.encode("utf-16"), 400, "body"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), 400, "body"),
    "half a body": (GOOD.encode()[:-9], 400, "body"),
    "two bodies": (GOOD.encode() * 2, 400, "body"),
    "nothing": (b"", 422, "body"),
    "null": (b"null", 422, "body"),
    "a list": (b"[]", 422, "body"),
    "a word": (b'"order"', 422, "body"),
    "a form": (b"channel=jd&customer_id=C-1", 400, "body"),
    "one byte over 256 KiB": (GOOD.encode().ljust(LIMIT + 1), 413, "body"),
}


# A schema cannot add up lines, has no word for characters that a store cannot keep, and takes 1e4 for an integer;
# Python's own `$`, with which the validator reads a pattern, also stands before a last line break.
BEYOND_A_SCHEMA = {
    "NUL as an escape",
    "control character",
    "total over every limit",
    "float that is whole",
    "float with an exponent",
    "number with a line break",
}


class Oms:
    """The interface, and a token for each role."""

    def __init__(self, engine: Engine, known: dict[str, str] | None = None) -> None:
        self.engine = engine
        settings, vitals = config.load({}), Vitals()
        vitals.checks = {"database": lambda: migrations.check(engine)}
        self.client = TestClient(build(engine, settings, vitals), raise_server_exceptions=False)
        self.tokens = known or made_tokens(engine)

    def call(self, method: str, path: str, by: str = "admin", key: str | None = None, **more: Any) -> httpx2.Response:
        """One request, under a key of its own unless one is given."""
        headers = {"Authorization": f"Bearer {self.tokens[by]}", "Idempotency-Key": key or uuid.uuid4().hex}
        given: dict[str, str] = more.pop("headers", {})
        return self.client.request(method, path, headers=headers | given, **more)

    def place(self, by: str = "admin", key: str | None = None, **fields: Any) -> httpx2.Response:
        """Place an order."""
        return self.call("POST", "/v1/orders", by, key, json=new_order(**fields))

    def act(
        self, order_no: str, verb: str, by: str = "admin", key: str | None = None, reason: str | None = "because"
    ) -> httpx2.Response:
        """Carry out a verb."""
        return self.call("POST", f"/v1/orders/{order_no}/{verb}", by, key, json={"reason": reason} if reason else {})

    def read(self, order_no: str, by: str = "admin") -> dict[str, Any]:
        """An order as somebody sees it."""
        answer = self.call("GET", f"/v1/orders/{order_no}", by)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def order_in(self, status: str, **fields: Any) -> str:
        """The number of a new order that went the way to a status."""
        order_no = str(self.place(**fields).json()["order_no"])
        for verb in LEADS_TO[status] or []:
            assert self.act(order_no, verb).status_code == 200
        return order_no

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        with reading(self.engine) as connection:
            return {
                name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for name, table in metadata.tables.items()
            }


def made_tokens(engine: Engine) -> dict[str, str]:
    """A token for each role, and two that belong to a shop."""
    with writing(engine) as connection:
        made = {str(role): tokens.add(connection, str(role), role) for role in Role}
        shops = {name: tokens.add(connection, name, Role.CHANNEL, name) for name in ("jd", "taobao")}
    return made | shops


def new_order(**fields: Any) -> dict[str, Any]:
    """An order that nobody has placed before."""
    content = {"channel": "jd", "channel_order_no": uuid.uuid4().hex, "customer_id": "C-1", "lines": [LINE]}
    return content | fields


@pytest.fixture(scope="module", params=["sqlite"])
def oms(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oms]:
    """The interface on SQLite, or on PostgreSQL where a test asks for both."""
    if request.param == "sqlite":
        with engine_on(f"sqlite:///{tmp_path_factory.mktemp('oms')}/hub.db") as engine:
            migrations.upgrade(engine)
            yield Oms(engine)
        return
    node: PostgresNode = request.getfixturevalue("postgres_node")
    with database_of(node) as url, engine_on(url) as engine:
        migrations.upgrade(engine)
        yield Oms(engine)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """`hub api` as a process of its own on SQLite, at the port that its settings name."""
    machine = Machine(
        tmp_path_factory.mktemp("api"), {"HUB_API__PORT": str(free_ports(1)[0]), "HUB_OMS__CANARY_SECONDS": "0"}
    )
    machine.must("db", "upgrade")
    with machine.daemon("api") as daemon:
        assert daemon.ready(), daemon.said()
        yield machine


both = pytest.mark.parametrize("oms", ["sqlite", "postgresql"], indirect=True)


@both
def test_an_order_is_created_changed_and_read(oms: Oms) -> None:
    placed = oms.place(by="channel", warehouse="HZ-01", note="放门口", receiver=RECEIVER)
    assert placed.status_code == 201
    order = placed.json()
    assert (order["version"], order["status"]) == (1, "pending_payment")
    assert (order["total"], order["currency"]) == (33600, "CNY")
    paid = oms.act(order["order_no"], "pay", by="finance", reason="wire transfer 2026-11-23")
    assert (paid.status_code, paid.json()["version"], paid.json()["status"]) == (200, 2, "paid")
    seen = oms.read(order["order_no"])
    assert seen["order"] == paid.json() | {"receiver": RECEIVER}
    assert seen["order"]["lines"] == [LINE]
    assert [(step["version"], step["change"], step["actor"], step["role"]) for step in seen["history"]] == [
        (1, "created", "channel", "channel"),
        (2, "paid", "finance", "finance"),
    ]
    assert seen["history"][1]["reason"] == "wire transfer 2026-11-23"
    assert seen["next"] == ["pick", "cancel", "intercept", "refund"]


@both
def test_every_version_of_an_order_waits_in_the_outbox(oms: Oms) -> None:
    before = oms.rows()["outbox"]
    oms.order_in("completed")
    assert oms.rows()["outbox"] - before == 5


@both
def test_a_repeated_order_gets_the_same_answer_and_writes_nothing(oms: Oms) -> None:
    body = new_order(receiver=RECEIVER)
    first = oms.call("POST", "/v1/orders", "channel", "place-1", json=body)
    before = oms.rows()
    again = oms.call("POST", "/v1/orders", "channel", "place-1", json=body)
    assert (first.status_code, first.headers["Idempotency-Replayed"]) == (201, "false")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.json() == first.json()
    assert oms.rows() == before


@both
def test_a_repeated_change_gets_the_same_answer_and_makes_no_version(oms: Oms) -> None:
    order_no = oms.order_in("pending_payment")
    first = oms.act(order_no, "pay", key=f"pay-{order_no}")
    later = oms.act(order_no, "pick")
    again = oms.act(order_no, "pay", key=f"pay-{order_no}")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.json() == first.json()
    assert oms.read(order_no)["order"]["version"] == later.json()["version"] == 3


@both
def test_the_same_key_with_another_body_is_refused(oms: Oms) -> None:
    order_no, key = oms.order_in("paid"), uuid.uuid4().hex
    assert oms.place(key=key).status_code == 201
    before = oms.rows()
    for answer in (oms.place(key=key), oms.act(order_no, "pick", key=key)):
        assert_problem(answer, 409, "used before with another body")
    assert oms.rows() == before


def test_a_shop_has_keys_of_its_own(oms: Oms) -> None:
    key = uuid.uuid4().hex
    jd, taobao = oms.place("jd", key, channel="jd"), oms.place("taobao", key, channel="taobao")
    assert (jd.status_code, taobao.status_code) == (201, 201)
    assert jd.json()["order_no"] != taobao.json()["order_no"]


def test_a_repeat_by_somebody_who_may_not_is_refused(oms: Oms) -> None:
    order_no, key = oms.order_in("pending_payment"), uuid.uuid4().hex
    assert oms.act(order_no, "pay", by="finance", key=key).status_code == 200
    assert oms.act(order_no, "pay", by="viewer", key=key).status_code == 403


@pytest.mark.parametrize("key", [None, "", "k" * 129], ids=["none", "empty", "too long"])
def test_a_request_without_a_usable_key_is_refused(oms: Oms, key: str | None) -> None:
    headers = {"Authorization": f"Bearer {oms.tokens['admin']}"} | ({} if key is None else {"Idempotency-Key": key})
    before = oms.rows()
    answer = oms.client.post("/v1/orders", json=new_order(), headers=headers)
    assert_problem(answer, 400, "Idempotency-Key")
    assert oms.rows() == before


@both
def test_thirty_identical_posts_at_once_make_one_order(oms: Oms) -> None:
    body, key, before = new_order(), uuid.uuid4().hex, oms.rows()
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: oms.call("POST", "/v1/orders", "jd", key, json=body), range(30)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 29}
    assert len({answer.text for answer in answers}) == 1
    assert oms.rows()["orders"] - before["orders"] == 1
    assert oms.rows()["outbox"] - before["outbox"] == 1


def test_thirty_identical_posts_at_once_make_one_order_in_the_real_server(served: Machine) -> None:
    token = served.must("token", "add", "thirty", "--role", "channel").strip()
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "thirty"}
    body, start = new_order(), threading.Barrier(30)

    def post(client: httpx2.Client) -> httpx2.Response:
        start.wait()
        return client.post(f"{base(served)}/v1/orders", json=body, headers=headers)

    with httpx2.Client(timeout=30) as client, ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: post(client), range(30)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 29}
    assert len({answer.text for answer in answers}) == 1


@both
def test_an_order_of_a_shop_is_taken_once_whatever_the_keys(oms: Oms) -> None:
    body = new_order()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: oms.call("POST", "/v1/orders", json=body), range(8)))
    created = [answer.json()["order_no"] for answer in answers if answer.status_code == 201]
    assert len(created) == 1
    for answer in answers:
        if answer.status_code != 201:
            assert_problem(answer, 409, f"is order {created[0]} already")


@both
def test_a_change_that_many_ask_for_at_once_happens_once(oms: Oms) -> None:
    order_no = oms.order_in("pending_payment")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: oms.act(order_no, "pay"), range(12)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 11}
    assert [step["version"] for step in oms.read(order_no)["history"]] == [1, 2]


@pytest.mark.parametrize("oms", ["postgresql"], indirect=True)
def test_a_request_whose_first_try_still_runs_is_asked_to_come_again(oms: Oms) -> None:
    body, key = new_order(), uuid.uuid4().hex
    url = oms.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with engine_on(url, lock_seconds=0.3) as engine:
        impatient = Oms(engine, oms.tokens)
        with closing(psycopg2.connect(url)) as first:
            first.cursor().execute("INSERT INTO requests VALUES ('*', %s, 'hash', NULL, now())", (key,))
            answer = impatient.call("POST", "/v1/orders", key=key, json=body)
        assert_problem(answer, 409, "still running")
        assert answer.headers["Retry-After"] == "1"
        assert impatient.call("POST", "/v1/orders", key=key, json=body).status_code == 201


@both
def test_a_locked_order_is_answered_with_try_again(oms: Oms) -> None:
    order_no = oms.order_in("paid")
    with engine_on(oms.engine.url.render_as_string(hide_password=False), lock_seconds=0.3) as engine:
        impatient, key = Oms(engine, oms.tokens), uuid.uuid4().hex
        with writing(oms.engine) as connection:
            connection.exec_driver_sql("UPDATE orders SET version = version")
            answer = impatient.act(order_no, "pick", key=key)
        assert_problem(answer, 503, "lock")
        assert answer.headers["Retry-After"] == "5"
        assert impatient.act(order_no, "pick", key=key).status_code == 200


def test_this_file_says_of_every_step_who_may_take_it() -> None:
    steps = {(row.verb, str(source or "nothing")) for row in TRANSITIONS for source in row.sources}
    assert steps == set(WHO_MAY)
    assert set(ROLES) == {str(role) for role in Role}
    assert set(LEADS_TO) == {str(status) for status in Status} | {"nothing"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("verb", "status"), WHO_MAY)
def test_each_step_is_open_to_those_roles_and_no_others(oms: Oms, role: str, verb: str, status: str) -> None:
    allowed = WHO_MAY[verb, status].split()
    if verb == "create":
        before = oms.rows()
        answer = oms.place(role)
        changed = oms.rows() != before
    else:
        order_no = oms.order_in(status)
        before_history = oms.read(order_no)["history"]
        answer = oms.act(order_no, verb, role)
        changed = oms.read(order_no)["history"] != before_history
    if role in allowed:
        assert (answer.status_code, changed) == (201 if verb == "create" else 200, True)
        return
    assert_problem(answer, 403, f"role {role} may not {verb}", *allowed)
    assert not changed


@pytest.mark.parametrize("role", MAY_DO)
def test_these_roles_have_one_kind_of_work_each(role: str) -> None:
    assert {verb for (verb, _), roles in WHO_MAY.items() if role in roles.split()} == MAY_DO[role]


@pytest.mark.parametrize("status", [status for status in LEADS_TO if status != "nothing"])
def test_even_an_admin_cannot_take_a_step_that_the_status_does_not_allow(oms: Oms, status: str) -> None:
    order_no = oms.order_in(status)
    before = oms.read(order_no)
    for verb in VERBS:
        if (verb, status) not in WHO_MAY:
            needed = [source for step, source in WHO_MAY if step == verb]
            assert_problem(oms.act(order_no, verb), 409, f"an order that is {status} cannot {verb}", *needed)
    assert oms.read(order_no) == before


@pytest.mark.parametrize("verb", ["cancel", "intercept", "refund"])
def test_what_needs_a_reason_is_refused_without_one(oms: Oms, verb: str) -> None:
    order_no = oms.order_in("paid")
    assert_problem(oms.act(order_no, verb, reason=None), 422, "reason")
    assert oms.read(order_no)["order"]["version"] == 2


def test_blanks_are_no_reason(oms: Oms) -> None:
    assert oms.act(oms.order_in("paid"), "cancel", reason="  ").status_code == 422


def test_a_token_of_jd_has_nothing_to_do_with_an_order_of_taobao(oms: Oms) -> None:
    order_no = oms.order_in("pending_payment", channel="taobao")
    before = oms.rows()
    assert_problem(oms.act(order_no, "pay", by="jd"), 403, "jd", "taobao")
    assert_problem(oms.place("jd", channel="taobao"), 403, "jd", "taobao")
    assert_problem(oms.call("GET", f"/v1/orders/{order_no}", "jd"), 404, "no order")
    assert oms.rows() == before
    assert oms.act(order_no, "pay", by="taobao").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer hub_nobody", "Bearer hub_üñí".encode(), "Basic YWRtaW46YWRtaW4=", "admin"],
)
def test_without_a_valid_token_nothing_is_told_or_done(oms: Oms, authorization: str | bytes | None) -> None:
    order_no = oms.order_in("pending_payment")
    before = oms.rows()
    headers = {"Idempotency-Key": "k"} | ({} if authorization is None else {"Authorization": authorization})
    for method, path in (("POST", "/v1/orders"), ("POST", f"/v1/orders/{order_no}/pay"), ("GET", "/v1/orders/SO-1")):
        answer = oms.client.request(method, path, headers=headers, json=new_order() if path == "/v1/orders" else None)
        assert_problem(answer, 401, "valid token")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert oms.rows() == before


def test_a_revoked_token_is_worth_nothing_at_once(oms: Oms) -> None:
    with writing(oms.engine) as connection:
        oms.tokens["leaver"] = tokens.add(connection, "leaver", Role.ADMIN)
    assert oms.place("leaver").status_code == 201
    with writing(oms.engine) as connection:
        tokens.revoke(connection, "leaver")
    assert_problem(oms.place("leaver"), 401, "valid token")


@both
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_body_is_refused_by_name_and_writes_nothing(oms: Oms, what: str) -> None:
    body, status, named = HOSTILE[what]
    before = oms.rows()
    answer = oms.call("POST", "/v1/orders", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, status, named)
    assert oms.rows() == before
    for personal in (RECEIVER["name"], RECEIVER["phone"], RECEIVER["address"]):
        assert personal not in answer.text


def test_the_good_body_is_taken_as_it_stands_up_to_256_kib(oms: Oms) -> None:
    body = GOOD.encode().ljust(LIMIT)
    answer = oms.call("POST", "/v1/orders", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_json_that_is_not_called_json_is_refused(oms: Oms, kind: str) -> None:
    body = swapped("HOSTILE-1", "UNNAMED-1")
    before = oms.rows()
    assert_problem(oms.call("POST", "/v1/orders", content=body, headers={"Content-Type": kind}), 422, "body")
    assert oms.rows() == before


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"reason": 7}', "reason"),
        (b'{"reason": "a\\u0000b"}', "reason"),
        (b'{"reason": "' + b"x" * 1025 + b'"}', "reason"),
        (b'{"why": "x"}', "why"),
        (b'["x"]', "body"),
        (b"{", "body"),
    ],
)
def test_a_hostile_change_is_refused_and_changes_nothing(oms: Oms, body: bytes, named: str) -> None:
    order_no = oms.order_in("paid")
    headers = {"Content-Type": "application/json"}
    answer = oms.call("POST", f"/v1/orders/{order_no}/cancel", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code, named)
    assert oms.read(order_no)["order"]["version"] == 2


@pytest.mark.parametrize("order_no", ["%00", "a%20b", "x" * 65, "..%5c..", "%ed%a0%80", "'; DROP TABLE orders; --"])
def test_a_number_that_is_none_is_refused(oms: Oms, order_no: str) -> None:
    for method, path in (("GET", f"/v1/orders/{order_no}"), ("POST", f"/v1/orders/{order_no}/pay")):
        assert_problem(oms.call(method, path), 422, "order_no")


def test_what_is_not_there_is_a_problem_document_too(oms: Oms) -> None:
    assert_problem(oms.call("GET", "/v1/orders/SO-NONE"), 404, "no order SO-NONE")
    assert_problem(oms.act("SO-NONE", "pay"), 404, "no order SO-NONE")
    assert_problem(oms.act(oms.order_in("paid"), "dance"), 422, "verb", "'pay'")
    assert_problem(oms.call("GET", "/v2/orders"), 404, "Not Found")
    assert_problem(oms.call("DELETE", "/v1/orders/SO-1"), 405, "Method Not Allowed")


def test_a_body_that_grows_without_an_announced_length_is_cut_off(served: Machine, oms: Oms) -> None:
    chunks = (b" " * 4096 for _ in range(65))
    headers = {"Content-Type": "application/json"}
    assert_problem(oms.call("POST", "/v1/orders", content=chunks, headers=headers), 413, str(LIMIT))
    with socket.create_connection(("127.0.0.1", port_of(served)), timeout=10) as peer:
        peer.sendall(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
        peer.sendall((b"1000\r\n" + b" " * 4096 + b"\r\n") * 64)
        assert peer.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_request_that_broke_off_is_not_carried_out(served: Machine) -> None:
    token = served.must("token", "add", "broken-off", "--role", "admin").strip()
    with httpx2.Client(base_url=base(served), headers={"Authorization": f"Bearer {token}"}) as client:
        placed = client.post("/v1/orders", json=new_order(), headers={"Idempotency-Key": "whole"}).json()
        with socket.create_connection(("127.0.0.1", port_of(served))) as peer:
            head = f"POST /v1/orders/{placed['order_no']}/pay HTTP/1.1\r\nHost: x\r\nIdempotency-Key: broken\r\n"
            peer.sendall(f"{head}Authorization: Bearer {token}\r\nContent-Length: 40\r\n\r\n".encode())
        assert not wait_until(lambda: version_of(client, placed["order_no"]) == 2, seconds=1)


def test_who_sends_alerts_sees_no_order(oms: Oms) -> None:
    answer = oms.call("GET", f"/v1/orders/{oms.order_in('paid')}", "monitor")
    assert_problem(answer, 403, "monitor")


@pytest.mark.parametrize("role", SEES_RECEIVER)
def test_the_receiver_is_masked_for_those_who_need_not_know(oms: Oms, role: str) -> None:
    order_no = oms.order_in("pending_payment", receiver=RECEIVER)
    receiver = oms.read(order_no, by=role)["order"]["receiver"]
    masked = {"name": "张*", "phone": "138****8000", "city": "杭州市", "address": "***"}
    assert receiver == (RECEIVER if SEES_RECEIVER[role] else masked)


def test_the_answer_to_a_change_is_masked_too(oms: Oms) -> None:
    placed = oms.place("sales", receiver=RECEIVER)
    assert RECEIVER["phone"] not in placed.text
    assert RECEIVER["phone"] not in oms.act(placed.json()["order_no"], "pay", by="finance").text


def test_a_database_that_is_gone_is_answered_with_try_again(postgres_node: PostgresNode) -> None:
    with database_of(postgres_node) as url:
        engine = open_engine(config.Database(url=SecretStr(url)), "gone")
        migrations.upgrade(engine)
        lonely = Oms(engine)
        order_no = lonely.order_in("paid")
        assert lonely.client.get("/readyz").status_code == 200
        postgres_node.drop_database(urlsplit(url).path[1:])
        for answer in (lonely.place(), lonely.act(order_no, "pick"), lonely.call("GET", f"/v1/orders/{order_no}")):
            assert_problem(answer, 503, "database")
            assert answer.headers["Retry-After"] == "5"
        ready = lonely.client.get("/readyz")
        assert (ready.status_code, list(ready.json()["failing"])) == (503, ["database"])
        assert lonely.client.get("/livez").status_code == 200
        engine.dispose()


def test_metrics_count_requests_by_route_and_never_by_order(oms: Oms) -> None:
    order_no = oms.order_in("paid")
    found = oms.client.get("/metrics").text
    assert series(found)['hub_api_requests_total{route="/v1/orders/{order_no}/{verb}",status="200"}'] >= 1
    assert order_no not in found


def test_metrics_count_an_error_of_our_own_as_what_the_caller_gets(oms: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: object) -> None:
        raise ZeroDivisionError

    name = 'hub_api_requests_total{route="/v1/orders/{order_no}",status="500"}'
    before = series(oms.client.get("/metrics").text).get(name, 0)
    monkeypatch.setattr("hub.producers.api.app.orders.load", broken)
    assert oms.call("GET", "/v1/orders/SO-1").status_code == 500
    assert series(oms.client.get("/metrics").text)[name] == before + 1


def test_the_openapi_document_shows_every_route_with_its_problems(oms: Oms) -> None:
    document = oms.client.get("/openapi.json").json()
    shown = {(method, path) for path, item in document["paths"].items() for method in item}
    assert shown == {
        ("post", "/v1/orders"),
        ("get", "/v1/orders/{order_no}"),
        ("post", "/v1/orders/{order_no}/{verb}"),
    }
    for path, item in document["paths"].items():
        for operation in item.values():
            problems = {code for code, answer in operation["responses"].items() if PROBLEM in answer.get("content", {})}
            assert problems == {"400", "401", "403", "404", "409", "413", "422", "503"}
            in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert in_path == {word.strip("{}") for word in path.split("/") if word.startswith("{")}
            assert operation["security"] == [{"HTTPBearer": []}]
            assert operation["description"]


def test_the_openapi_document_is_valid_and_fits_what_is_sent(oms: Oms) -> None:
    document = oms.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for reference in references(document):
        assert resolved(document, reference), reference
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    order_no = oms.order_in("paid", receiver=RECEIVER)
    assert_fits(document, "NewOrder", json.loads(GOOD))
    assert_fits(document, "Order", oms.act(order_no, "pick").json())


def test_an_order_that_is_read_fits_the_openapi_document(oms: Oms) -> None:
    document = oms.client.get("/openapi.json").json()
    assert_fits(document, "OrderView", oms.read(oms.order_in("paid", receiver=RECEIVER)))


def test_the_openapi_document_forbids_what_is_refused(oms: Oms) -> None:
    document = oms.client.get("/openapi.json").json()
    validator = Draft202012Validator(component(document, "NewOrder"))
    bodies = {what: body for what, (body, status, _) in HOSTILE.items() if status == 422 and body}
    assert {what for what, body in bodies.items() if validator.is_valid(json.loads(body))} == BEYOND_A_SCHEMA


def assert_problem(answer: httpx2.Response, status: int, *words: str) -> None:
    """A problem document with this status whose detail has these words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    document = answer.json()
    assert (document["status"], bool(document["title"])) == (status, True)
    for word in words:
        assert word in document["detail"]


def assert_fits(document: dict[str, Any], name: str, value: object) -> None:
    """The value is what the document says of it."""
    Draft202012Validator(component(document, name)).validate(value)


def component(document: dict[str, Any], name: str) -> dict[str, Any]:
    """One schema of the document, with the others at hand."""
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def references(node: object) -> Iterator[str]:
    """Every $ref there is."""
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(document: Any, reference: str) -> object:
    """What a reference within the document points to."""
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


@contextmanager
def database_of(node: PostgresNode) -> Iterator[str]:
    """An empty database, gone at the end."""
    name = f"api_{uuid.uuid4().hex}"
    node.start()
    yield node.create_database(name)
    node.drop_database(name)


def port_of(machine: Machine) -> int:
    return int(machine.variables["HUB_API__PORT"])


def base(machine: Machine) -> str:
    return f"http://127.0.0.1:{port_of(machine)}"


def version_of(client: httpx2.Client, order_no: str) -> int:
    return int(client.get(f"/v1/orders/{order_no}").json()["order"]["version"])
