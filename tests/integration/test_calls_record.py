"""Every call is on record before it leaves, whatever happens then; without anything personal. On both databases."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from hub import clock
from hub.call_tables import call_orders, calls
from hub.calls.client import About, Call, Client
from hub.calls.listing import Filter, entry, listed, query
from hub.calls.record import Answered, Record, Sent
from hub.database import RELAXED, is_postgres, reading, relaxed, writing
from hub.errors import DependencyDown, OutcomeUnknown, Postponed, Rejected, SystemFailure
from hub.interfaces.http import Http
from hub.migrations import partitions
from hub.vendors.answers import Answer, check_status
from tests.builders import make_order
from tests.running import Machine
from tests.support import ROOT, count, engine_on
from tests.wire import OK, Peer, Server, answering

only_postgres = pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)
SHOWN = frozenset({"order_no", "status", "code"})
CANARIES = ("张三丰", "13911112222", "13911113333", "Lujiazui 88", "c4nary-secret-0123456789", "明前龙井", "C-canary")
ABOUT = (About("SO-1", 2), About("SO-2", 5))
DIE_IN_THE_MIDDLE = """
import sys
from hub.calls.client import About, Call, Client
from hub.calls.record import Record
from hub.database import open_engine
from hub.groups import Database
from hub.interfaces.http import Http
client = Client("erp", Http(), record=Record(open_engine(Database(url=sys.argv[1]), "test")))
client.send(Call("save", sys.argv[2], about=[About("SO-1", 2)]), lambda answer: answer)
"""


def read(answer: Answer) -> bytes:
    """The body, where the status is fine and the system does not say no."""
    check_status(answer)
    if b'"code": 1' in answer.body:
        raise Rejected("code 1: receiver '张三丰' at 13911112222 is unknown", "receiver")
    return answer.body


@contextmanager
def client_of(engine: Engine, **given: Any) -> Iterator[Client]:
    """A client that records."""
    client = Client("erp", Http(total_seconds=2, **given), shown=SHOWN, record=Record(engine))
    try:
        yield client
    finally:
        client.close()


def called(engine: Engine, url: str, **given: Any) -> Exception | None:
    """One call, and how it failed."""
    call = Call(**{"step": "save", "url": url, "body": b'{"order_no": "SO-1"}', "about": ABOUT} | given)
    with client_of(engine) as client:
        try:
            client.send(call, read)
        except Exception as error:  # noqa: BLE001 - whatever it is, the record is looked at
            return error
    return None


def recorded(engine: Engine, **chosen: Any) -> list[dict[str, Any]]:
    """Every call that is meant, whole, the newest first."""
    with reading(engine) as connection:
        return [entry(connection, row["id"]) or {} for row in listed(connection, Filter(**chosen), 1000)]


def said(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nX-Who: x\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


class TestACall:
    def test_is_recorded_with_all_that_came_of_it(self, engine: Engine) -> None:
        answer = said(b'{"status": "saved", "name": "x"}')
        with Server(answering(answer)) as server:
            assert called(engine, f"{server.url}/api", params={"sign": "abc"}, headers={"Date": "now"}) is None
        (row,) = recorded(engine)
        assert (row["system"], row["direction"], row["step"], row["method"]) == ("erp", "out", "save", "POST")
        assert row["target"] == f"127.0.0.1:{server.port}/api"
        assert (row["outcome"], row["status"], row["said"]) == ("ok", 200, None)
        assert (row["request_bytes"], row["answer_bytes"]) == (20, 32)
        assert 0 <= row["duration_ms"] < 2000
        assert row["orders"] == [("SO-1", 2), ("SO-2", 5)]
        assert row["request_id"] == row["id"]
        head, body = row["request"].split("\n\n")
        assert head.splitlines()[:3] == [f"POST {row['target']}", "?sign=***", "Date: now"]
        assert f"X-Request-Id: {row['id']}" in head
        assert body == '{"order_no": "SO-1"}'
        assert row["answer"].startswith("HTTP 200\ncontent-type: application/json\nx-who: ***\n")
        assert row["answer"].endswith('\n\n{"status": "saved", "name": "***"}')
        assert abs(row["recorded_at"] - clock.utcnow()) < timedelta(seconds=60)

    def test_bears_the_id_that_the_system_was_told(self, engine: Engine) -> None:
        requests: list[bytes] = []
        with Server(answering(OK, requests=requests)) as server:
            called(engine, server.url)
        assert f"x-request-id: {recorded(engine)[0]['id']}".encode() in requests[0].lower()

    @pytest.mark.parametrize(
        ("answer", "outcome", "status"),
        [
            (said(b"{}", b"503 Busy"), "busy", 503),
            (said(b"{}", b"401 Who"), "credentials", 401),
            (said(b"{}", b"404 Where"), "credentials", 404),
            (said(b"{}", b"422 No"), "rejected", 422),
            (said(b"{}", b"500 Oh"), "unknown", 500),
            (said(b'{"code": 1}'), "rejected", 200),
            (b"nonsense", "unknown", None),
        ],
    )
    def test_that_failed_says_how(self, engine: Engine, answer: bytes, outcome: str, status: int | None) -> None:
        def once(peer: Peer) -> None:
            peer.request()
            peer.say(answer)

        with Server(once) as server:
            assert isinstance(called(engine, server.url), SystemFailure)
        (row,) = recorded(engine)
        assert (row["outcome"], row["status"], bool(row["answer"])) == (outcome, status, status is not None)
        assert row["said"]
        assert "13911112222" not in row["said"]

    def test_that_never_left_is_recorded_too(self, engine: Engine) -> None:
        called(engine, "http://127.0.0.1:1/")
        (row,) = recorded(engine)
        assert (row["outcome"], row["answer"]) == ("unreachable", None)
        assert row["said"] == "erp at 127.0.0.1: no connection: Connection refused"

    def test_whose_answer_its_reader_does_not_bear_is_an_unknown_outcome(
        self, engine: Engine, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def careless(_answer: Answer) -> None:
            raise KeyError("13911112222")

        with (
            Server(answering(OK)) as server,
            client_of(engine) as client,
            pytest.raises(OutcomeUnknown, match=r"could not be read \(KeyError\)"),
        ):
            client.send(Call("save", server.url), careless)
        assert "1391" not in capsys.readouterr().err
        (row,) = recorded(engine)
        assert (row["outcome"], row["status"]) == ("unknown", 200)
        assert "1391" not in row["said"]

    @pytest.mark.parametrize(
        ("about", "attempt"),
        [((About("SO-1", 2, 3),), 3), ((About("SO-1", 2, 1), About("SO-2", 1, 4), About("SO-3", 1)), 4), (ABOUT, None)],
    )
    def test_tells_which_try_it_is(self, engine: Engine, about: tuple[About, ...], attempt: int | None) -> None:
        with Server(answering(OK)) as server:
            called(engine, server.url, about=about)
        (row,) = recorded(engine)
        assert (row["attempt"], len(row["orders"])) == (attempt, len(about))

    def test_is_on_record_before_it_leaves(self, engine: Engine) -> None:
        seen: list[list[dict[str, Any]]] = []

        def looking(peer: Peer) -> None:
            peer.request()
            seen.append(recorded(engine))
            peer.say(OK)

        with Server(looking) as server:
            called(engine, server.url)
        ((row,),) = seen
        assert (row["outcome"], row["answer"], row["duration_ms"]) == ("sent", None, None)
        assert row["orders"] == [("SO-1", 2), ("SO-2", 5)]

    def test_is_still_there_after_the_process_was_killed_in_the_middle(self, engine: Engine) -> None:
        processes: list[subprocess.Popen[bytes]] = []

        def killing(peer: Peer) -> None:
            peer.request()
            processes[0].send_signal(signal.SIGKILL)

        with Server(killing) as server:
            url = engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")
            command = [sys.executable, "-c", DIE_IN_THE_MIDDLE, url, server.url]
            with subprocess.Popen(command, cwd=ROOT) as process:
                processes.append(process)
                assert process.wait(60) == -signal.SIGKILL
        (row,) = recorded(engine, order_no="SO-1")
        assert (row["outcome"], row["step"]) == ("sent", "save")

    def test_that_cannot_be_recorded_does_not_leave(self, engine: Engine, tmp_path: Path) -> None:
        with engine_on(f"sqlite:///{tmp_path}/empty.db") as nothing, Server(answering(OK)) as server:
            assert isinstance(called(nothing, server.url), DependencyDown)
            assert isinstance(called(engine, server.url, about=[About("SO-1", 10**30)]), Exception)
            assert server.connections == 0

    def test_whose_record_took_so_long_that_its_time_was_over_does_not_leave(self, engine: Engine) -> None:
        with Server(answering(OK)) as server, client_of(engine) as client, ThreadPoolExecutor(1) as pool:
            with writing(engine) as connection:
                if is_postgres(engine):
                    connection.execute(text("LOCK TABLE calls IN EXCLUSIVE MODE"))
                until = clock.monotonic() + 0.2
                sending = pool.submit(client.send, Call("save", server.url), read, until)
                while clock.monotonic() <= until:
                    threading.Event().wait(0.05)
            assert isinstance(sending.exception(10), Postponed)
            assert server.connections == 0
        (row,) = recorded(engine)
        assert (row["outcome"], row["status"]) == ("unreachable", None)

    def test_whose_record_cannot_be_completed_counts_all_the_same(self, engine: Engine) -> None:
        def hiding(peer: Peer) -> None:
            peer.request()
            rename(engine, "calls", "hidden")
            peer.say(OK)

        with Server(hiding) as server:
            try:
                assert called(engine, server.url) is None
            finally:
                rename(engine, "hidden", "calls")
        assert [row["outcome"] for row in recorded(engine)] == ["sent"]

    def test_keeps_texts_that_no_database_likes(self, engine: Engine) -> None:
        with Server(answering(said('{"code": 1, "status": "\x00\ud800"}'.encode(errors="replace")))) as server:
            called(engine, server.url, step="s\x00" * 50, body=b'{"status": "\\u0000\\ud800"}')
        (row,) = recorded(engine)
        assert row["step"] == "s" * 50

    def test_may_be_one_of_many_at_once(self, engine: Engine) -> None:
        with Server(answering(OK)) as server, client_of(engine) as client, ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: client.send(Call("s", server.url, about=[About(f"SO-{n}", 1)]), read), range(60)))
        assert {row["outcome"] for row in recorded(engine)} == {"ok"}
        assert count(engine, calls) == count(engine, call_orders) == 60


class TestWhatArrives:
    def test_is_one_row_with_its_answer(self, engine: Engine) -> None:
        sent = Sent("jd", "orders", "POST", "/orders", "POST /orders\n\n{}", 2, ABOUT[:1])
        Record(engine).arrived(clock.uuid7().hex, "r-1", sent, Answered("rejected", 7, "no", 422, "HTTP 422\n\n{}", 2))
        (row,) = recorded(engine)
        assert (row["direction"], row["request_id"], row["outcome"], row["status"]) == ("in", "r-1", "rejected", 422)
        assert (row["answer"], row["orders"]) == ("HTTP 422\n\n{}", [("SO-1", 2)])


class TestNothingPersonal:
    def test_is_in_any_byte_of_the_tables(self, engine: Engine) -> None:
        name, phone, other, address, secret, goods, customer = CANARIES
        order = make_order(customer_id=customer, note=f"{name} {phone}").model_dump(mode="json")
        order["receiver"] |= {"name": name, "phone": phone, "address": address}
        order["lines"][0]["name"] = goods
        whole = order | {"nested": json.dumps(order, ensure_ascii=False), "tel": int(other), phone: 1, "sign": secret}
        body = json.dumps(whole, ensure_ascii=False).encode()
        xml = f"<r><name a='{name}'>{name}</name><x>{phone}<y/>{address}</x><order_no>SO-1</order_no></r>".encode()
        url = f"/u/{phone}?q={name}"
        secrets = {"params": {"sign": secret, "p": phone}, "headers": {"Authorization": f"Bearer {secret}"}}
        for answer in (said(body), said(body, b"422 No"), said(xml), said(body[:-40]), said(xml[:-30])):
            with Server(answering(answer)) as server:
                for sent in (body, xml, body[:-40]):
                    called(engine, server.url + url, body=sent, **secrets)
        assert count(engine, calls) == 15
        kept = "".join(all_bytes(engine))
        assert "SO-1" in kept
        assert [canary for canary in CANARIES if canary in kept] == []


class TestFinding:
    def test_by_order_system_step_outcome_and_moment(self, engine: Engine) -> None:
        begun = clock.utcnow()
        rows(engine, "erp", "save", ("SO-1", "SO-2"))
        rows(engine, "erp", "audit", ("SO-1",))
        rows(engine, "wms", "save", ("SO-3",))
        found = [
            {"order_no": "SO-1"},
            {"order_no": "SO-1", "step": "save"},
            {"system": "wms"},
            {"outcome": "sent"},
            {"outcome": "ok"},
            {"order_no": "SO-9"},
            {"since": begun - timedelta(seconds=1)},
            {"since": begun + timedelta(hours=1)},
        ]
        assert [len(recorded(engine, **chosen)) for chosen in found] == [2, 1, 1, 3, 0, 0, 3, 0]
        with reading(engine) as connection:
            about = listed(connection, Filter(order_no="SO-1"), 10)
            assert {(row["step"], row["version"]) for row in about} == {("save", 1), ("audit", 1)}
            everything = listed(connection, Filter(), 10)
            assert everything == sorted(everything, key=lambda row: row["id"], reverse=True)
            assert listed(connection, Filter(), 1) == everything[:1]

    @pytest.mark.parametrize("chosen", [Filter(order_no="SO-77"), Filter(order_no="SO-77", system="erp", step="save")])
    def test_an_order_among_many_is_answered_by_index(self, engine: Engine, chosen: Filter) -> None:
        many(engine, 20_000)
        plan = plan_of(engine, chosen)
        assert "Seq Scan" not in plan
        assert "SCAN" not in plan
        assert "order_no" in plan

    @only_postgres
    def test_days_have_partitions(self, engine: Engine) -> None:
        for table in ("calls", "call_orders"):
            partitions.make_ahead(engine, table, 0)
        try:
            rows(engine, "erp", "save", ("SO-1",))
            with reading(engine) as connection:
                rest = connection.execute(text("SELECT count(*) FROM calls_rest")).scalar_one()
            assert (rest, count(engine, calls)) == (0, 1)
        finally:
            with writing(engine) as connection:
                for table in ("calls", "call_orders"):
                    connection.execute(text(f"DROP TABLE {table}_{clock.utcnow():%Y%m%d}"))


class TestTheCommit:
    def test_waits_for_no_disk_and_others_still_do(self, engine: Engine) -> None:
        setting = "SHOW synchronous_commit" if is_postgres(engine) else "PRAGMA synchronous"
        found = []
        for each in (relaxed(engine), engine) * 2:
            begin = RELAXED if is_postgres(engine) and each is not engine else ""
            with writing(each) as connection:
                found.append(connection.exec_driver_sql(begin + setting).scalar_one())
        assert found == (["off", "on"] * 2 if is_postgres(engine) else [1, 2] * 2)


class TestARefusalThatIsReturned:
    @pytest.mark.parametrize("told", [lambda one: [None, one], lambda one: {"SO-2": one}])
    def test_is_on_record_as_one_that_is_raised(self, engine: Engine, told: Callable[[Rejected], object]) -> None:
        with Server(answering(said(b"{}"))) as server, client_of(engine) as client:
            client.send(Call("save", server.url), lambda _answer: told(Rejected("SKU GHOST-1 is unknown")))
        (found,) = recorded(engine)
        assert (found["outcome"], found["said"]) == ("rejected", "SKU GHOST-1 is unknown")


class TestWhatASystemSays:
    def test_repeats_nobody_whose_name_was_sent(self, engine: Engine) -> None:
        body = '{"name": "张三丰", "sku": "A1"}'.encode()
        with Server(answering(said(b"{}"))) as server, client_of(engine) as client:
            client.send(Call("save", server.url, body), lambda _answer: [Rejected("收货人张三丰的地址无法识别")])
        assert recorded(engine)[0]["said"] == "收货人***的地址无法识别"


class TestCommands:
    def test_show_calls_to_people_and_programs(self, engine: Engine, tmp_path: Path) -> None:
        machine = machine_of(engine, tmp_path)
        answer = said(b'{"status": "saved", "name": "x"}')
        with Server(answering(answer)) as server:
            called(engine, f"{server.url}/api")
        called(engine, "http://127.0.0.1:1/", step="audit", about=[])
        assert [row["step"] for row in json.loads(machine.must("calls", "list", "-o", "json"))] == ["audit", "save"]
        (found,) = json.loads(machine.must("calls", "list", "--order", "SO-2", "-o", "json"))
        assert (found["outcome"], found["version"]) == ("ok", 5)
        table = machine.must("calls", "list", "--order", "SO-2", "--since", "2h")
        assert found["id"][:16] in table
        assert "save" in table
        assert "said" in table.splitlines()[1]
        assert max(map(len, table.splitlines())) <= 80
        shown = machine.must("calls", "show", found["id"][:16])
        assert found["id"] in shown
        assert '  "status": "saved",\n  "name": "***"\n' in shown
        assert "SO-2" in shown
        whole = json.loads(machine.must("calls", "show", found["id"], "--json"))
        assert (whole["orders"], whole["outcome"]) == ([["SO-1", 2], ["SO-2", 5]], "ok")
        unreachable = machine.must("calls", "list", "--outcome", "unreachable", "-o", "csv")
        assert len(unreachable.splitlines()) == 2

    def test_say_what_is_not_there(self, engine: Engine, tmp_path: Path) -> None:
        machine = machine_of(engine, tmp_path)
        assert machine.must("calls", "list", "--order", "SO-9") == "no call about order SO-9 is recorded\n"
        assert machine.must("calls", "list") == "no call is recorded since then\n"
        wrong = [("--since", "yesterday"), ("--outcome", "fine"), ("--order", "a b")]
        assert [machine.hub("calls", "list", *each).returncode for each in wrong] == [65] * 3
        assert machine.hub("calls", "show", "x").returncode == 65
        assert machine.hub("calls", "show", "0" * 32).returncode == 4

    def test_ask_which_call_is_meant_where_several_begin_alike(self, engine: Engine, tmp_path: Path) -> None:
        begin = clock.uuid7().hex[:16]
        twins = [begin + letter * 16 for letter in "ab"]
        for each in twins:
            Record(engine).sent(each, Sent("erp", "save", "POST", "h/x", "", 0))
        found = machine_of(engine, tmp_path).hub("calls", "show", twins[0][:16])
        assert found.returncode == 65
        assert all(each in found.stderr for each in twins)


def machine_of(engine: Engine, folder: Path) -> Machine:
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    return Machine(folder, {"HUB_DATA_DIR": str(folder), "HUB_DB__URL": url})


def rows(engine: Engine, system: str, step: str, orders: tuple[str, ...]) -> None:
    """One call without an answer."""
    about = [About(number, 1) for number in orders]
    Record(engine).sent(clock.uuid7().hex, Sent(system, step, "POST", "h/p", "POST h/p\n\n", 0, about))


def many(engine: Engine, number: int) -> None:
    """So many calls of ten days, about a thousand orders."""
    call = {"system": "erp", "direction": "out", "request_id": "r", "step": "save", "method": "POST", "target": "h/p"}
    call |= {"outcome": "ok", "request_bytes": 1, "request": zlib.compress(b"x")}
    begin = clock.utcnow() - timedelta(days=10)
    moments = [begin + timedelta(seconds=each) for each in range(number)]
    ids = [f"{each:032x}" for each in range(number)]
    with writing(engine) as connection:
        connection.execute(
            calls.insert(), [call | {"recorded_at": at, "id": name} for at, name in zip(moments, ids, strict=True)]
        )
        connection.execute(
            call_orders.insert(),
            [
                {"recorded_at": at, "call_id": name, "order_no": f"SO-{each % 1000}", "system": "erp", "version": 1}
                for each, (at, name) in enumerate(zip(moments, ids, strict=True))
            ],
        )
    if is_postgres(engine):
        with writing(engine) as connection:
            connection.execute(text("ANALYZE calls"))
            connection.execute(text("ANALYZE call_orders"))


def plan_of(engine: Engine, chosen: Filter) -> str:
    """How the database looks for the chosen calls."""
    word = "EXPLAIN" if is_postgres(engine) else "EXPLAIN QUERY PLAN"
    found = query(chosen, 100).compile(engine, compile_kwargs={"render_postcompile": True})
    with reading(engine) as connection:
        parameters = (
            found.params if is_postgres(engine) else tuple(found.params[name] for name in found.positiontup or ())
        )
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{word} {found}", parameters))


def all_bytes(engine: Engine) -> Iterator[str]:
    """Every value of both tables as text, blobs unpacked."""
    with reading(engine) as connection:
        for table in (calls, call_orders):
            for row in connection.execute(select(table)):
                for value in row:
                    yield zlib.decompress(value).decode() if isinstance(value, bytes) else str(value)


def rename(engine: Engine, old: str, new: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
