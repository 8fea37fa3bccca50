"""What Prometheus is shown from the database: right, from an index, and never at the cost of the scrape."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from threading import Event as Signal

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Metric
from sqlalchemy import Connection, Engine, text, update

from hub import clock, metrics
from hub.audit.verbs import Operator
from hub.bus.port import Bus, Delivery, Message
from hub.bus.topology import topology
from hub.calls.client import Call, Client
from hub.calls.record import OUTCOMES
from hub.consumers import dead_letters as letters
from hub.consumers import gate, ledger, standings
from hub.consumers.receiver import Receiver, Taken
from hub.consumers.worker import Worker, set_gauges
from hub.database import in_seconds, is_postgres, present, reading, writing
from hub.errors import DependencyDown, OutcomeUnknown, SystemFailure, Undecodable
from hub.exposition import FRESH_SECONDS, Exposition, exposed, gauge
from hub.groups import Consumer, Notify, Retention
from hub.interfaces.http import Http
from hub.night_tables import notices
from hub.notify.answers import State
from hub.notify.card import Card
from hub.notify.queue import announce
from hub.operations import exposition as upkeep
from hub.operations import maintenance
from hub.running import gathers
from hub.tables import dead_letters
from hub.tables import ledger as ledger_table
from hub.vendors.answers import Answer
from tests.plain_system import PlainSystem
from tests.support import delivery_of, event_at, eventually, settings
from tests.wire import OK, Server, answering

BY = Operator("tests", "operator")
CARD = Card("差异 3 单", ("金额不符 2 单",))
QUEUES = {"q.crm": "crm", "q.crm.dead": "crm", "q.wms": "wms"}


@pytest.fixture
def registry(engine: Engine) -> Iterator[CollectorRegistry]:
    """What the OMS interface shows of the database."""
    registry = CollectorRegistry()
    with exposed(registry, engine, gathers(settings())):
        yield registry


def test_dead_letters_that_nobody_settled_are_told_with_the_age_of_the_oldest(
    engine: Engine, registry: CollectorRegistry
) -> None:
    assert (value(registry, "open", "crm"), value(registry, "oldest_age_seconds", "crm")) == (0, 0)
    for queue, body, state, minutes in (
        ("q.crm", b"1", "open", 5),
        ("q.crm.dead", b"2", "open", 50),
        ("q.crm", b"3", "discarded", 500),
        ("q.gone", b"4", "open", 5000),
    ):
        keep(engine, queue, body, state, minutes)
    assert (value(registry, "open", "crm"), value(registry, "open", "wms")) == (2, 0)
    assert value(registry, "oldest_age_seconds", "crm") == pytest.approx(50 * 60, abs=60)


def test_settled_dead_letters_cost_a_scrape_nothing(engine: Engine) -> None:
    with writing(engine) as connection:
        columns = "queue, routing_key, headers, body_base64, body_hash, reason, detail, recorded_at, seen, state"
        numbers = (
            "generate_series(1, 3000) AS n"
            if is_postgres(engine)
            else ("(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000) SELECT n FROM c)")
        )
        moment = "'2026-01-01T00:00:00.000000+00:00'"
        row = f"'q.crm', '', '{{}}', '', CAST(n AS TEXT), 'invalid', '', {moment}, 1, 'discarded'"
        connection.execute(text(f"INSERT INTO dead_letters ({columns}) SELECT {row} FROM {numbers}"))
        if is_postgres(engine):
            connection.execute(text("ANALYZE dead_letters"))
    asked: list[str] = []
    with reading(engine) as connection:
        watched = Watched(connection, asked)
        list(upkeep.of_dead_letters(watched, QUEUES))  # type: ignore[arg-type]
    assert any("ix_dead_letters_open" in plan for plan in asked), asked


class Watched:
    """A connection that asks for the plan of what it is to carry out."""

    def __init__(self, connection: Connection, plans: list[str]) -> None:
        self._connection, self._plans = connection, plans

    def execute(self, query: object) -> object:
        words = str(query.compile(self._connection, compile_kwargs={"literal_binds": True}))  # type: ignore[attr-defined]
        if "dead_letters" in words:
            explain = "EXPLAIN" if is_postgres(self._connection) else "EXPLAIN QUERY PLAN"
            self._plans.append(str(self._connection.exec_driver_sql(f"{explain} {words}").all()))
        return self._connection.execute(query)  # type: ignore[call-overload]


def test_notices_wait_until_they_are_sent_or_given_up(engine: Engine, registry: CollectorRegistry) -> None:
    policy = Notify.model_validate({"wecom": {"url": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k"}})
    with writing(engine) as connection:
        for number, state in enumerate(State):
            assert announce(connection, f"key-{number}", CARD, policy)
            here = notices.c.key == f"key-{number}"
            connection.execute(
                update(notices).where(here).values(state=state, recorded_at=in_seconds(-60 * number - 60))
            )
    waiting = [number for number, state in enumerate(State) if state in ("waiting", "sending", "muted")]
    assert registry.get_sample_value("hub_notices_waiting") == len(waiting)
    oldest = registry.get_sample_value("hub_notices_oldest_age_seconds")
    assert oldest == pytest.approx(60 * max(waiting) + 60, abs=30)


def test_when_retention_last_ran_to_its_end_is_told_and_one_that_was_stopped_is_no_end(
    engine: Engine, registry: CollectorRegistry
) -> None:
    name = "hub_maintenance_last_success_timestamp_seconds"
    stop = Signal()
    stop.set()
    maintenance.run(engine, Retention(), BY, lambda _kept: None, stop)
    assert registry.get_sample_value(name) == 0
    maintenance.run(engine, Retention(), BY, lambda _kept: None)
    with reading(engine) as connection:
        assert registry.get_sample_value(name) == pytest.approx(present(connection).timestamp(), abs=60)


def test_partitions_stand_ready_for_as_long_as_none_lacks(engine: Engine) -> None:
    if not is_postgres(engine):
        with reading(engine) as connection:
            assert "hub_partitions_ahead_seconds" not in [each.name for each in upkeep.of_upkeep(connection)]
        return
    maintenance.run(engine, Retention(), BY, lambda _kept: None)
    day = timedelta(days=1).total_seconds()
    assert 7 * day < ahead(engine) <= 8 * day
    with writing(engine) as connection:
        tomorrow = present(connection) + timedelta(days=1)
        connection.execute(text(f"DROP TABLE journal_{tomorrow:%Y%m%d}"))
    assert 0 < ahead(engine) <= day


class TestTheScrape:
    def test_a_database_that_fails_takes_nothing_else_with_it(self, engine: Engine) -> None:
        def failing(_connection: Connection) -> Iterator[Metric]:
            raise DependencyDown("database: gone")

        def broken(_connection: Connection) -> Iterator[Metric]:
            raise ZeroDivisionError

        shown = Exposition(engine, [failing, broken, lambda _connection: [gauge("hub_here", "there", 1)]])
        assert [each.name for each in shown.collect()] == ["hub_here"]

    def test_a_database_that_hangs_does_not_hang_it_and_is_asked_once(self, engine: Engine) -> None:
        asked, thawed = [], threading.Event()

        def hanging(_connection: Connection) -> list[Metric]:
            asked.append(1)
            thawed.wait(60)
            return [gauge("hub_here", "there", 1)]

        shown = Exposition(engine, [hanging], patience_seconds=0.05)
        begun = time.monotonic()
        assert [list(shown.collect()) for _ in range(3)] == [[], [], []]
        assert time.monotonic() - begun < 30
        assert asked == [1]
        thawed.set()
        patient = time.monotonic() + 30
        while not list(shown.collect()) and time.monotonic() < patient:
            pass
        assert [each.name for each in shown.collect()] == ["hub_here"]

    def test_a_database_that_is_slow_each_time_is_shown_as_it_answered_last_and_not_for_long(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, gates = [], [threading.Event() for _ in range(3)]

        def slow(_connection: Connection) -> list[Metric]:
            asked.append(1)
            gates[len(asked) - 1].wait(60)
            return [gauge("hub_here", "there", len(asked))]

        shown = Exposition(engine, [slow], patience_seconds=0.05)
        assert list(shown.collect()) == []
        gates[0].set()
        assert eventually(lambda: shown_of(shown) and len(asked) == 2)
        assert shown_of(shown) == [1]
        moment = clock.monotonic()
        monkeypatch.setattr("hub.exposition.clock.monotonic", lambda: moment + FRESH_SECONDS)
        assert shown_of(shown) == []
        for each in gates:
            each.set()


class TestAges:
    def test_an_age_grows_while_nobody_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moment = [100.0]
        monkeypatch.setattr("hub.metrics.clock.monotonic", lambda: moment[0])
        metrics.grow(metrics.intake_oldest_age, 5)
        moment[0] += 60
        assert age() == 65
        metrics.grow(metrics.intake_oldest_age, 0)
        moment[0] += 60
        assert age() == 0

    def test_of_an_order_it_counts_from_the_commit_in_the_oms(self, engine: Engine) -> None:
        with writing(engine) as connection:
            event = event_at(1).model_copy(update={"recordedtime": present(connection) - timedelta(hours=1)})
            ledger.want(connection, "erp", [(event, delivery_of(event))])
            connection.execute(update(ledger_table).values(due_at=in_seconds(0)))
        with reading(engine) as connection:
            assert standings.backlog(connection, "erp").oldest_age_seconds == pytest.approx(3600, abs=60)


class TestWhileAtWork:
    def test_orders_are_in_hand_from_claim_to_record(self, engine: Engine) -> None:
        want(engine, "SO-1", "SO-2")
        system, seen = PlainSystem("erp"), []

        def judges(_wanted: object) -> None:
            seen.append(of_erp("hub_orders_in_hand"))

        system.judges = judges
        assert Worker(system, engine, Consumer(), Signal()).step()
        assert (seen, of_erp("hub_orders_in_hand")) == ([2, 2], 0)

    def test_a_worker_that_breaks_has_nothing_in_hand(self, engine: Engine) -> None:
        want(engine, "SO-1")
        system = PlainSystem("erp")

        def judges(_wanted: object) -> None:
            raise DependencyDown("database: gone")

        system.judges = judges
        with pytest.raises(DependencyDown):
            Worker(system, engine, Consumer(), Signal()).step()
        assert of_erp("hub_orders_in_hand") == 0

    def test_a_system_that_is_left_alone_is_shown(self, engine: Engine) -> None:
        with writing(engine) as connection:
            gate.begin(connection, "erp")
            gate.pause(connection, "erp", "a test")
        set_gauges(engine, "erp")
        assert (of_erp("hub_breaker_open"), of_erp("hub_system_up")) == (1, 0)
        with writing(engine) as connection:
            gate.resume(connection, "erp")
        set_gauges(engine, "erp")
        assert (of_erp("hub_breaker_open"), of_erp("hub_system_up")) == (0, 1)

    def test_deliveries_are_in_flight_until_they_are_settled(
        self, engine: Engine, bus: Bus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bus.declare(topology(("erp",)))
        publisher = bus.publisher()
        publisher.publish([Message(f"m-{number}", "order.paid.jd", b"{}") for number in range(3)])
        publisher.close()
        receiver = Receiver("erp", "q.erp", engine, bus, Consumer(poll_seconds=0.05))
        with monkeypatch.context() as patched:
            patched.setattr(receiver, "take", down)
            with pytest.raises(DependencyDown):
                list(iter(receiver.step, True))
        assert 0 < (of_erp("hub_events_in_flight") or 0) <= 3
        while receiver.step():
            pass
        assert of_erp("hub_events_in_flight") == 0
        receiver.close()

    @pytest.mark.parametrize(("answer", "outcome"), [(OK, "ok"), (b"HTTP/1.1 503 no\r\n\r\n", "unknown")])
    def test_a_call_counts_by_its_outcome_and_takes_its_time(self, answer: bytes, outcome: str) -> None:
        before = (calls(outcome), of_erp("hub_call_duration_seconds_count") or 0)
        with Server(answering(answer)) as server, closing(Client("erp", Http())) as client, suppress(SystemFailure):
            client.send(Call("step", server.url, body=b"{}"), read)
        assert (calls(outcome), of_erp("hub_call_duration_seconds_count")) == (before[0] + 1, before[1] + 1)

    def test_the_outcomes_of_calls_are_those_of_the_record_but_for_one_that_is_on_its_way(self) -> None:
        assert {*metrics.CALLED, "sent"} == set(OUTCOMES)


def shown_of(exposition: Exposition) -> list[float]:
    return [float(each.samples[0].value) for each in exposition.collect()]


def down(*_given: object) -> Taken:
    raise DependencyDown("database: gone")


def read(answer: Answer) -> int:
    if answer.status != 200:
        raise OutcomeUnknown("no")
    return answer.status


def of_erp(name: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"system": "erp"})


def calls(outcome: str) -> float:
    return REGISTRY.get_sample_value("hub_calls_total", {"system": "erp", "outcome": outcome}) or 0


def want(engine: Engine, *numbers: str) -> None:
    with writing(engine) as connection:
        ledger.want(connection, "erp", [(each, delivery_of(each)) for each in (event_at(1, it) for it in numbers)])


def keep(engine: Engine, queue: str, body: bytes, state: str, minutes: int) -> None:
    with writing(engine) as connection:
        letters.keep(
            connection, queue, Delivery(1, "m", "k", body, {}, redelivered=False), Undecodable("invalid", "no")
        )
        here = (dead_letters.c.queue == queue) & (dead_letters.c.state == "open")
        moment = in_seconds(-60 * minutes)
        newest = here & (dead_letters.c.recorded_at > in_seconds(-30))
        connection.execute(update(dead_letters).where(newest).values(state=state, recorded_at=moment))


def value(registry: CollectorRegistry, what: str, system: str) -> float | None:
    return registry.get_sample_value(f"hub_dead_letters_{what}", {"system": system})


def ahead(engine: Engine) -> float:
    with reading(engine) as connection:
        shown = {each.name: each for each in upkeep.of_upkeep(connection)}["hub_partitions_ahead_seconds"]
    return next(float(each.value) for each in shown.samples if each.labels == {"table": "journal"})


def age() -> float:
    (shown,) = metrics.intake_oldest_age.collect()
    return float(shown.samples[0].value)
