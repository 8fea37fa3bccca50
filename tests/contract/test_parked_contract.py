"""What an operator may do to parked entries, and what the ledger says of it, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, text, update

from hub.consumers import ledger, parked, standings
from hub.consumers.outcome import Done, Park, ParkedReason, Retry, fingerprint
from hub.consumers.parked import Filter
from hub.consumers.standings import Standing
from hub.consumers.system import Receipt
from hub.database import in_seconds, is_postgres, reading, writing
from hub.errors import Rejected
from hub.schemas.envelope import Event
from hub.schemas.registry import encode
from hub.tables import journal
from hub.tables import ledger as entries
from tests.plain_system import PlainSystem, settle
from tests.support import delivery_of, event_at, eventually

REJECTED = Park(ParkedReason.REJECTED, 1, "receiver_phone: 1234567 is too long")
REJECTED_TOO = Park(ParkedReason.REJECTED, 1, "receiver_phone: 7654321 is too long")
GAVE_UP = Park(ParkedReason.GAVE_UP, 8, "no clear answer")
UNKNOWN = Park(ParkedReason.UNKNOWN, 8, "the call left and nothing came back")
PARKS = [REJECTED, GAVE_UP, UNKNOWN]

# (system, order, how it is parked), the longest parked first, a minute apart.
PARKED = [
    ("wms", "SO-4", GAVE_UP),
    ("crm", "SO-1", REJECTED),
    ("crm", "SO-3", GAVE_UP),
    ("crm", "SO-2", REJECTED_TOO),
    ("wms", "SO-1", UNKNOWN),
]
FIRST = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

# A filter and the places in the list above that it means.
FILTERS: list[tuple[Filter, list[int]]] = [
    (Filter(), [0, 1, 2, 3, 4]),
    (Filter(system="crm"), [1, 2, 3]),
    (Filter(system="erp"), []),
    (Filter(reason="rejected"), [1, 3]),
    (Filter(reason="gave_up"), [0, 2]),
    (Filter(reason="unknown"), [4]),
    (Filter(order_numbers=("SO-1", "SO-3", "SO-NONE")), [1, 2, 4]),
    (Filter(order_numbers=("SO-NONE",)), []),
    (Filter(since=FIRST + MINUTE), [1, 2, 3, 4]),
    (Filter(until=FIRST + MINUTE), [0]),
    (Filter(since=FIRST + MINUTE, until=FIRST + 3 * MINUTE), [1, 2]),
    (Filter(since=FIRST + 3 * MINUTE, until=FIRST), []),
    (Filter(fingerprint=fingerprint(REJECTED.error)), [1, 3]),
    (Filter(fingerprint=fingerprint(GAVE_UP.error)), [0, 2]),
    (Filter(system="crm", reason="rejected", order_numbers=("SO-2", "SO-3")), [3]),
    (Filter("crm", "gave_up", ("SO-3",), FIRST, FIRST + 9 * MINUTE, fingerprint(GAVE_UP.error)), [2]),
]


@pytest.fixture
def many(engine: Engine) -> Engine:
    """Five parked entries, and one beside them that waits and one that is applied."""
    for place, (system, number, park) in enumerate(PARKED):
        put_aside(engine, event_at(2, number), park, system=system)
        with writing(engine) as connection:
            here = (entries.c.system == system) & (entries.c.order_no == number)
            connection.execute(update(entries).where(here).values(parked_at=FIRST + place * MINUTE))
    want(engine, event_at(1, "SO-8"))
    bring(engine, event_at(1, "SO-9"))
    return engine


class TestFinding:
    @pytest.mark.parametrize(("chosen", "places"), FILTERS, ids=lambda value: str(value)[:60])
    def test_a_filter_means_these_and_no_others_the_longest_parked_first(
        self, many: Engine, chosen: Filter, places: list[int]
    ) -> None:
        with reading(many) as connection:
            rows = parked.listed(connection, chosen, 100)
            numbers = list(connection.execute(parked.numbers(chosen)).scalars())
        assert [(row["system"], row["order_no"]) for row in rows] == [PARKED[place][:2] for place in places]
        assert numbers == [PARKED[place][1] for place in places]

    def test_a_row_says_all_that_a_person_needs_to_decide(self, many: Engine) -> None:
        with reading(many) as connection:
            (row,) = parked.listed(connection, Filter(system="crm", reason="gave_up"), 100)
        assert row == {
            "system": "crm",
            "order_no": "SO-3",
            "wanted": 2,
            "applied": 0,
            "reason": "gave_up",
            "attempt": 8,
            "parked_at": FIRST + 2 * MINUTE,
            "fingerprint": fingerprint(GAVE_UP.error),
            "error": GAVE_UP.error,
        }

    def test_no_more_rows_are_shown_than_asked_for(self, many: Engine) -> None:
        with reading(many) as connection:
            assert [row["order_no"] for row in parked.listed(connection, Filter(), 2)] == ["SO-4", "SO-1"]

    def test_a_filter_says_only_what_was_asked(self) -> None:
        assert Filter().words() == {}
        assert Filter("crm", until=FIRST).words() == {"system": "crm", "until": FIRST}

    def test_errors_that_differ_in_particulars_are_one_group(self, many: Engine) -> None:
        with reading(many) as connection:
            groups = parked.grouped(connection, Filter())
        assert {(each["system"], each["reason"]): each["orders"] for each in groups} == {
            ("crm", "rejected"): 2,
            ("crm", "gave_up"): 1,
            ("wms", "gave_up"): 1,
            ("wms", "unknown"): 1,
        }
        assert groups[0] == {
            "system": "crm",
            "reason": "rejected",
            "fingerprint": fingerprint(REJECTED.error),
            "orders": 2,
            "first_parked": FIRST + MINUTE,
            "error": REJECTED.error,
        }

    def test_groups_are_filtered_as_the_list_is(self, many: Engine) -> None:
        with reading(many) as connection:
            groups = parked.grouped(connection, Filter(reason="gave_up", since=FIRST + MINUTE))
        assert [(each["system"], each["orders"]) for each in groups] == [("crm", 1)]

    def test_an_entry_is_shown_without_the_event_and_with_its_trace(self, engine: Engine) -> None:
        put_aside(engine, event_at(2), REJECTED)
        with reading(engine) as connection:
            entry = parked.entry(connection, "crm", "SO-1")
            trace = parked.trace(connection, "crm", "SO-1")
            assert parked.entry(connection, "wms", "SO-1") is None
            assert parked.trace(connection, "wms", "SO-1") == []
        assert entry is not None
        assert "wanted_body" not in entry
        assert (entry["wanted_version"], entry["parked_reason"]) == (2, "rejected")
        assert [(step["version"], step["what"], step["event_id"]) for step in trace] == [
            (2, "wanted", "event-SO-1-2"),
            (2, "parked", "event-SO-1-2"),
        ]


class TestFreeing:
    @pytest.mark.parametrize("park", PARKS, ids=lambda park: str(park.reason))
    def test_a_freed_order_is_tried_as_if_for_the_first_time(self, engine: Engine, park: Park) -> None:
        put_aside(engine, event_at(2), park)
        assert free(engine, ["SO-1"]) == ["SO-1"]
        (entry,) = claim(engine)
        assert (entry.order_no, entry.wanted_version, entry.attempt, entry.failing_since) == ("SO-1", 2, 0, None)
        assert traced(engine)[-1] == ("SO-1", 2, "freed")

    def test_whether_the_system_has_it_is_still_in_doubt_afterwards(self, engine: Engine) -> None:
        put_aside(engine, event_at(2), UNKNOWN)
        free(engine, ["SO-1"])
        assert claim(engine)[0].tried_version == 2

    def test_an_order_in_doubt_is_not_due_before_its_system_has_settled(self, engine: Engine) -> None:
        put_aside(engine, event_at(2), UNKNOWN)
        put_aside(engine, event_at(2, "SO-2"), GAVE_UP)
        for seconds, due in ((600, {"SO-2"}), (-1, {"SO-1", "SO-2"})):
            with writing(engine) as connection:
                in_time = {"due_at": in_seconds(seconds), "lease_token": None, "lease_until": None}
                connection.execute(update(entries).values(parked_reason="unknown", **in_time))
            free(engine, ["SO-1", "SO-2"])
            assert {entry.order_no for entry in claim(engine)} == due

    def test_only_parked_orders_of_that_system_are_freed(self, many: Engine) -> None:
        before = rows(many)
        assert free(many, ["SO-1", "SO-2", "SO-8", "SO-9", "SO-NONE"]) == ["SO-1", "SO-2"]
        changed = {(row["system"], row["order_no"]) for row in rows(many) if row not in before}
        assert changed == {("crm", "SO-1"), ("crm", "SO-2")}
        assert [step for step in traced(many) if step[2] == "freed"] == [("SO-1", 2, "freed"), ("SO-2", 2, "freed")]

    @pytest.mark.parametrize("verb", [parked.free, parked.skip])
    def test_nobody_named_changes_nothing(self, many: Engine, verb: Callable[..., list[str]]) -> None:
        before = rows(many), traced(many)
        with writing(many) as connection:
            assert verb(connection, "crm", []) == []
        assert (rows(many), traced(many)) == before

    def test_freeing_twice_frees_once(self, engine: Engine) -> None:
        put_aside(engine, event_at(2), REJECTED)
        assert (free(engine, ["SO-1"]), free(engine, ["SO-1"])) == (["SO-1"], [])
        assert [what for _, _, what in traced(engine)] == ["wanted", "parked", "freed"]

    @pytest.mark.parametrize("verb", [parked.free, parked.skip])
    def test_deciding_while_events_arrive_blocks_nobody_for_ever(
        self, engine: Engine, verb: Callable[..., list[str]]
    ) -> None:
        numbers = [f"SO-{number:03}" for number in range(300)]
        # They lie in the table another way round than receivers take them.
        for begin in (200, 100, 0):
            want(engine, *(event_at(1, number) for number in numbers[begin : begin + 100]))
            park_claimed(engine, GAVE_UP)
        with ThreadPoolExecutor(1) as pool, writing(engine) as receiver:
            receiver.execute(text("ANALYZE ledger"))
            ledger.want(receiver, "crm", [(event_at(2, "SO-000"), delivery_of(event_at(2, "SO-000")))])
            deciding = pool.submit(decide, engine, verb, numbers)
            assert not is_postgres(engine) or eventually(lambda: somebody_waits(engine))
            ledger.want(receiver, "crm", [(event_at(2, "SO-250"), delivery_of(event_at(2, "SO-250")))])
        assert deciding.result() == numbers
        assert sum(row["wanted_version"] for row in rows(engine)) == 302


class TestSkipping:
    @pytest.mark.parametrize("park", PARKS, ids=lambda park: str(park.reason))
    def test_a_skipped_version_never_gets_to_the_system(self, engine: Engine, park: Park) -> None:
        put_aside(engine, event_at(2), park)
        assert skip(engine, ["SO-1"]) == ["SO-1"]
        assert claim(engine) == []
        assert standing(engine) == Standing(wanted=2, superseded=2)
        assert traced(engine)[-1] == ("SO-1", 2, "skipped")

    def test_the_version_after_it_is_applied_as_ever(self, engine: Engine) -> None:
        system = PlainSystem()
        put_aside(engine, event_at(2), REJECTED)
        skip(engine, ["SO-1"])
        want(engine, event_at(3))
        settle(engine, system)
        assert system.journal == [("SO-1", 3)]
        assert standing(engine) == Standing(wanted=3, applied=1, superseded=2)
        assert [what for _, _, what in traced(engine)] == ["wanted", "parked", "skipped", "wanted", "applied"]

    @pytest.mark.parametrize("version", [1, 2])
    def test_the_skipped_version_itself_and_older_ones_change_nothing(self, engine: Engine, version: int) -> None:
        put_aside(engine, event_at(2), REJECTED)
        skip(engine, ["SO-1"])
        want(engine, event_at(version))
        assert claim(engine) == []

    def test_only_parked_orders_of_that_system_are_skipped(self, many: Engine) -> None:
        assert skip(many, ["SO-3", "SO-8", "SO-9", "SO-4"]) == ["SO-3"]
        assert standing(many, "wms").parked == 4

    def test_a_skipped_repair_leaves_what_was_applied(self, engine: Engine) -> None:
        bring(engine, event_at(2))
        replay(engine, event_at(2))
        park_claimed(engine, REJECTED)
        assert standing(engine) == Standing(wanted=2, applied=1, superseded=1)
        skip(engine, ["SO-1"])
        assert standing(engine) == Standing(wanted=2, applied=1, superseded=1)
        assert claim(engine) == []


class TestReplaying:
    def test_a_system_that_lost_its_row_gets_it_again_and_nothing_else_is_counted(self, engine: Engine) -> None:
        system = PlainSystem()
        want(engine, event_at(2), event_at(1, "SO-2"))
        settle(engine, system)
        before = standing(engine)
        del system.shown["SO-1"]
        assert replay(engine, event_at(2, id="snapshot-2"), event_at(1, "SO-2")) == {"SO-1", "SO-2"}
        assert standing(engine) == before
        settle(engine, system)
        assert standing(engine) == before
        assert (system.shown, system.journal[2:]) == ({"SO-1": 2, "SO-2": 1}, [("SO-1", 2)])
        assert {row["order_no"]: (row["repairs"], row["effects"]) for row in rows(engine)} == {
            "SO-1": (1, 1),
            "SO-2": (0, 1),
        }
        assert [what for _, _, what in traced(engine, "SO-1")][-3:] == ["applied", "replayed", "applied"]

    def test_a_system_that_was_set_back_is_brought_forward_again(self, engine: Engine) -> None:
        system = PlainSystem()
        want(engine, event_at(3))
        settle(engine, system)
        system.shown["SO-1"] = 1
        replay(engine, event_at(3))
        settle(engine, system)
        assert system.shown == {"SO-1": 3}
        assert shown(engine)["repairs"] == 1
        assert standing(engine) == Standing(wanted=3, applied=1, superseded=2)

    def test_an_order_that_the_ledger_never_had_is_wanted(self, engine: Engine) -> None:
        system = PlainSystem()
        assert replay(engine, event_at(3)) == {"SO-1"}
        assert standing(engine) == Standing(wanted=3, behind=3)
        settle(engine, system)
        assert standing(engine) == Standing(wanted=3, applied=1, superseded=2)
        assert shown(engine)["repairs"] == 0

    def test_a_newer_version_than_the_ledgers_is_wanted(self, engine: Engine) -> None:
        bring(engine, event_at(1))
        assert replay(engine, event_at(3)) == {"SO-1"}
        assert standing(engine) == Standing(wanted=3, applied=1, behind=2)

    @pytest.mark.parametrize("park", [None, *PARKS], ids=lambda park: str(park and park.reason))
    def test_an_older_version_than_the_ledgers_is_refused_and_changes_nothing(
        self, engine: Engine, park: Park | None
    ) -> None:
        if park:
            put_aside(engine, event_at(3), park)
        else:
            bring(engine, event_at(3))
        before = rows(engine), traced(engine)
        assert replay(engine, event_at(2)) == set()
        assert (rows(engine), traced(engine)) == before

    def test_only_the_refused_one_of_many_is_left_out(self, engine: Engine) -> None:
        bring(engine, event_at(1), event_at(3, "SO-2"))
        assert replay(engine, event_at(2), event_at(2, "SO-2"), event_at(2, "SO-3")) == {"SO-1", "SO-3"}
        assert [step for step in traced(engine) if step[2] == "replayed"] == [
            ("SO-1", 2, "replayed"),
            ("SO-3", 2, "replayed"),
        ]

    @pytest.mark.parametrize("park", PARKS, ids=lambda park: str(park.reason))
    @pytest.mark.parametrize("version", [2, 3])
    def test_whatever_an_order_is_parked_for_it_is_free_again(self, engine: Engine, park: Park, version: int) -> None:
        put_aside(engine, event_at(2), park)
        assert replay(engine, event_at(version)) == {"SO-1"}
        assert shown(engine)["parked_at"] is None
        (entry,) = claim(engine)
        assert (entry.wanted_version, entry.attempt, entry.failing_since) == (version, 0, None)

    def test_whether_the_system_has_it_is_asked_first_where_that_is_in_doubt(self, engine: Engine) -> None:
        system = PlainSystem()
        put_aside(engine, event_at(2), UNKNOWN)
        system.shown["SO-1"] = 2
        replay(engine, event_at(2))
        settle(engine, system)
        assert system.journal == []
        assert standing(engine) == Standing(wanted=2, applied=1, superseded=1)

    def test_an_order_that_waits_for_its_next_try_is_tried_now(self, engine: Engine) -> None:
        want(engine, event_at(2))
        with writing(engine) as connection:
            later = [(entry, Retry(600, 3, "no answer")) for entry in ledger.claim(connection, "crm", "token", 9, 60)]
            ledger.record_retry(connection, "crm", "token", later)
        assert claim(engine) == []
        replay(engine, event_at(2))
        assert [entry.attempt for entry in claim(engine)] == [0]

    def test_what_is_to_be_rewritten_says_so_until_it_is_done(self, engine: Engine) -> None:
        bring(engine, event_at(2))
        before = standing(engine)
        replay(engine, event_at(2), rewrite=True)
        replay(engine, event_at(2))
        assert shown(engine)["rewrite"] is True
        settle(engine, PlainSystem())
        assert (shown(engine)["rewrite"], shown(engine)["repairs"], standing(engine)) == (False, 1, before)

    def test_what_is_to_be_rewritten_while_it_is_at_work_is_written_once_more(self, engine: Engine) -> None:
        want(engine, event_at(2))
        at_work = claim(engine)
        replay(engine, event_at(2), rewrite=True)
        with writing(engine) as connection:
            done = [(entry, Done(Receipt(version=2, found=0))) for entry in at_work]
            ledger.record_done(connection, "crm", "token", done)
        assert [(entry.rewrite, entry.applied_version) for entry in claim(engine)] == [(True, 2)]

    def test_what_was_to_be_rewritten_and_is_skipped_is_not_rewritten_later(self, engine: Engine) -> None:
        bring(engine, event_at(2))
        replay(engine, event_at(2), rewrite=True)
        park_claimed(engine, REJECTED)
        skip(engine, ["SO-1"])
        want(engine, event_at(3))
        assert [entry.rewrite for entry in claim(engine)] == [False]

    def test_nothing_to_replay_changes_nothing(self, engine: Engine) -> None:
        assert replay(engine) == set()
        assert traced(engine) == []

    def test_a_repair_that_is_refused_is_parked_and_the_sum_still_holds(self, engine: Engine) -> None:
        system = PlainSystem()
        want(engine, event_at(2))
        settle(engine, system)
        system.remove()
        system.judges = lambda _wanted: Rejected("too long", "receiver_phone")
        replay(engine, event_at(2))
        settle(engine, system)
        assert shown(engine)["parked_reason"] == "rejected"
        assert standing(engine) == Standing(wanted=2, applied=1, superseded=1)
        with reading(engine) as connection:
            assert standings.backlog(connection, "crm").parked == 1


def test_at_every_moment_each_version_is_in_exactly_one_state(engine: Engine) -> None:
    system = PlainSystem()
    system.judges = lambda wanted: Rejected("no") if wanted.order.version in (2, 4) else None
    for step in moments(engine, system):
        step()
        now = standing(engine)
        assert now.wanted == now.applied + now.superseded + now.parked + now.behind
        assert min(now.applied, now.superseded, now.parked, now.behind) >= 0
    assert standing(engine) == Standing(wanted=17, applied=7, superseded=10)
    assert system.shown == {"SO-1": 6, "SO-2": 6, "SO-3": 5}


def moments(engine: Engine, system: PlainSystem) -> Iterator[Callable[[], object]]:
    """All that can happen to three orders, one thing after the other."""
    numbers = ("SO-1", "SO-2", "SO-3")
    for version in (1, 2):
        yield lambda version=version: want(engine, *(event_at(version, number) for number in numbers))
        yield lambda: settle(engine, system)
    yield lambda: free(engine, ["SO-1"])
    yield lambda: settle(engine, system)
    yield lambda: skip(engine, ["SO-1"])
    yield lambda: replay(engine, event_at(3, "SO-2"))
    yield lambda: settle(engine, system)
    yield lambda: want(engine, event_at(3, "SO-3"), event_at(4, "SO-3"))
    yield lambda: settle(engine, system)
    yield system.remove
    yield lambda: replay(engine, event_at(2, "SO-1"), event_at(3, "SO-2"), event_at(5, "SO-3"))
    yield lambda: settle(engine, system)
    yield lambda: skip(engine, ["SO-1"])
    yield lambda: want(engine, event_at(6, "SO-1"), event_at(6, "SO-2"))
    yield lambda: settle(engine, system)


def want(engine: Engine, *events: Event, system: str = "crm") -> None:
    with writing(engine) as connection:
        ledger.want(connection, system, [(event, delivery_of(event)) for event in events])


def claim(engine: Engine, system: str = "crm") -> list[ledger.Entry]:
    with writing(engine) as connection:
        return ledger.claim(connection, system, "token", 100, 60)


def park_claimed(engine: Engine, park: Park, system: str = "crm") -> None:
    taken = claim(engine, system)
    with writing(engine) as connection:
        ledger.record_parked(connection, system, "token", [(entry, park) for entry in taken])


def put_aside(engine: Engine, event: Event, park: Park, system: str = "crm") -> None:
    want(engine, event, system=system)
    park_claimed(engine, park, system)


def bring(engine: Engine, *events: Event) -> None:
    want(engine, *events)
    taken = [entry for entry in claim(engine) if entry.order_no in {event.subject for event in events}]
    with writing(engine) as connection:
        done = [(entry, Done(Receipt(entry.wanted_version, 0))) for entry in taken]
        ledger.record_done(connection, "crm", "token", done)
        connection.execute(update(entries).where(entries.c.system == "crm").values(lease_token=None, lease_until=None))


def decide(engine: Engine, verb: Callable[..., list[str]], numbers: Sequence[str]) -> list[str]:
    with writing(engine) as connection:
        return verb(connection, "crm", numbers)


def free(engine: Engine, numbers: Sequence[str]) -> list[str]:
    return decide(engine, parked.free, numbers)


def skip(engine: Engine, numbers: Sequence[str]) -> list[str]:
    return decide(engine, parked.skip, numbers)


def somebody_waits(engine: Engine) -> bool:
    with reading(engine) as connection:
        return bool(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def replay(engine: Engine, *events: Event, rewrite: bool = False) -> set[str]:
    with writing(engine) as connection:
        return parked.replay(connection, "crm", events, [encode(event) for event in events], rewrite)


def standing(engine: Engine, system: str = "crm") -> Standing:
    with reading(engine) as connection:
        return standings.standing(connection, system)


def rows(engine: Engine) -> list[dict[str, Any]]:
    query = select(entries).order_by(entries.c.system, entries.c.order_no)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def shown(engine: Engine, number: str = "SO-1") -> dict[str, Any]:
    return next(row for row in rows(engine) if row["order_no"] == number)


def traced(engine: Engine, number: str | None = None) -> list[tuple[str, int, str]]:
    query = select(journal.c.order_no, journal.c.version, journal.c.what).order_by(journal.c.recorded_at)
    with reading(engine) as connection:
        found = [(row.order_no, row.version, row.what) for row in connection.execute(query)]
    return [step for step in found if number in (None, step[0])]
