"""What the hub's own database promises the OMS and the relay, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    func,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from hub import holder, tables
from hub.batches import batch_of, insert_rows
from hub.database import UtcTime, in_seconds, now, reading, writing
from hub.errors import (
    BadInput,
    DependencyDown,
    HubError,
    LeaseLost,
    NotFound,
    Refused,
    RequestConflict,
    RequestRunning,
    RoleRefused,
)
from hub.oms import leases, orders, outbox, tokens
from hub.oms.orders import Act
from hub.oms.requests import Answer, Request, once
from hub.oms.tokens import Caller
from hub.producers import ingest
from hub.schemas.lifecycle import Role
from hub.schemas.order import Change, NewOrder, Order, Status
from hub.schemas.registry import decode
from tests.builders import MOMENT, make_line, make_new_order, make_receiver
from tests.support import ADMIN, count, engine_on, pending

Result = TypeVar("Result")

ROOT = Path(__file__).parents[2]
SHOP = Act("jd-connector", Role.CHANNEL)
VIEWER = Act("somebody", Role.VIEWER, reason="curious")
JOURNEY = ("pay", "pick", "ship", "complete", "refund")
THREADS = 8

EVERYTHING = {
    "channel_order_no": "JD-9",
    "shop": "beijing_2",
    "vip": True,
    "warehouse": "WH-1",
    "note": "勿折\n“谢谢” O'Brien \\ {} %s :x 🧧",
    "receiver": make_receiver(province="北京市", city=None, district="朝阳区"),
    "lines": [make_line(sku="货号 1/红", name="龙井茶 🍵"), make_line(quantity=1_000_000, unit_price=0)],
}
BARE = {"receiver": None, "note": None, "warehouse": None}

ROWS: list[dict[str, Any]] = [
    {"id": 1, "word": "plain", "long": "text", "small": 1, "big": 1, "yes": True, "moment": MOMENT},
    {"id": 2, "word": None, "long": None, "small": None, "big": None, "yes": None, "moment": None},
    {"id": 3, "word": "", "long": " ", "small": 0, "big": 0, "yes": False, "moment": datetime(1970, 1, 1, tzinfo=UTC)},
    {"id": 4, "word": 'O\'Brien "x" `y` ;--', "long": "a\\b\n\t\r %s %(x)s :y $1 {} [] NULL", "small": -32768}
    | {"big": 2**63 - 1, "yes": True, "moment": datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)},
    {"id": 5, "word": "订单，“龙井茶” 🍵👩‍👩‍👧", "long": '{"json": [1, null]}', "small": 32767, "big": -(2**63)}
    | {"yes": False, "moment": datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=8)))},
    {"id": 6, "word": "007", "long": "1e5", "small": 7, "big": 10**14, "yes": True, "moment": MOMENT},
]
STRANGE = Table(
    "strange",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("word", String(64)),
    Column("long", Text),
    Column("small", SmallInteger),
    Column("big", BigInteger),
    Column("yes", Boolean),
    Column("moment", UtcTime),
)


@pytest.fixture
def strange(engine: Engine) -> Iterator[Engine]:
    """A database with a table that has a column of every type."""
    STRANGE.metadata.create_all(engine)
    yield engine
    STRANGE.metadata.drop_all(engine)


class TestOrders:
    @pytest.mark.parametrize("fields", [{}, EVERYTHING, BARE], ids=["usual", "everything", "bare"])
    def test_a_new_order_is_kept_as_it_was_given(self, engine: Engine, fields: dict[str, Any]) -> None:
        new = make_new_order(**fields)
        order = created(engine, new)
        assert loaded(engine, order.order_no) == order
        assert NewOrder(**{name: getattr(order, name) for name in NewOrder.model_fields}) == new
        assert (order.version, order.status) == (1, Status.PENDING_PAYMENT)

    def test_each_change_is_a_version_a_step_and_an_event(self, engine: Engine) -> None:
        order = created(engine, make_new_order())
        for verb in JOURNEY:
            changed(engine, order.order_no, verb)
        with reading(engine) as connection:
            steps = orders.history(connection, order.order_no)
            events = [decode(row.body.encode()) for row in pending(connection)]
        changes = ["created", "paid", "picking", "shipped", "completed", "refunded"]
        assert [(step.version, step.change) for step in steps] == list(enumerate(changes, start=1))
        assert [step.from_status for step in steps] == ["", *(step.to_status for step in steps[:-1])]
        assert [(event.order.version, event.data.change) for event in events] == list(enumerate(changes, start=1))
        assert events[-1].order == loaded(engine, order.order_no)
        assert [event.data.previous_status for event in events] == [
            None,
            *(event.order.status for event in events[:-1]),
        ]

    def test_a_shops_order_is_taken_once(self, engine: Engine) -> None:
        order = created(engine, make_new_order())
        with pytest.raises(Refused, match=f"JD-1 of shop main is order {order.order_no} already"):
            created(engine, make_new_order())
        with reading(engine) as connection:
            assert orders.totals(connection) == (1, 1)

    def test_eight_threads_that_bring_the_same_order_make_one(self, engine: Engine) -> None:
        def bring(_: int) -> str:
            try:
                return created(engine, make_new_order()).order_no
            except Refused:
                return "refused"

        answers = at_once(bring)
        assert answers.count("refused") == THREADS - 1
        assert count(engine, tables.outbox) == 1

    def test_versions_have_no_holes_whoever_changes_an_order(self, engine: Engine) -> None:
        same = changed(engine, created(engine, make_new_order()).order_no, "pay")

        def work(thread: int) -> tuple[str, int]:
            own = created(engine, make_new_order(channel_order_no=f"JD-{thread + 2}")).order_no
            changed(engine, own, "pay")
            done = sum(toggled(engine, same.order_no) for _ in range(4))
            changed(engine, own, "pick")
            return own, done

        worked = at_once(work)
        versions = {same.order_no: 2 + sum(done for _, done in worked)} | {own: 3 for own, _ in worked}
        # Most lose the race for the order; that several win it is enough.
        assert versions[same.order_no] > 3
        for order_no, newest in versions.items():
            assert loaded(engine, order_no).version == newest
            assert versions_in(engine, tables.order_history, order_no) == list(range(1, newest + 1))
            assert versions_in(engine, tables.outbox, order_no) == list(range(1, newest + 1))

    def test_events_of_an_order_are_claimed_by_version_whoever_wrote_them(self, engine: Engine) -> None:
        same = changed(engine, created(engine, make_new_order()).order_no, "pay").order_no
        at_once(lambda _: [toggled(engine, same) for _ in range(3)])
        with writing(engine) as connection:
            claimed = [row.version for row in claimed_one_by_one(connection)]
        assert claimed == list(range(1, len(claimed) + 1))

    def test_no_version_can_have_two_events(self, engine: Engine) -> None:
        order = created(engine, make_new_order())
        with pytest.raises(IntegrityError), writing(engine) as connection:
            outbox.append(connection, [outbox.Announcement(order, Change.CREATED)])
        assert count(engine, tables.outbox) == 1

    def test_an_order_that_moved_on_meanwhile_is_not_advanced(self, engine: Engine) -> None:
        stale = created(engine, make_new_order())
        changed(engine, stale.order_no, "pay")
        before = everything(engine)
        with pytest.raises(Refused, match="no longer at version 1"), writing(engine) as connection:
            orders.advance(connection, stale, "cancel", ADMIN)
        assert everything(engine) == before

    @pytest.mark.parametrize(
        ("verb", "act", "error"),
        [
            ("ship", ADMIN, Refused),
            ("refund", ADMIN, Refused),
            ("fly", ADMIN, BadInput),
            ("create", ADMIN, Refused),
            ("pay", VIEWER, RoleRefused),
            ("pick", SHOP, RoleRefused),
            ("cancel", Act("admin", Role.ADMIN), BadInput),
        ],
    )
    def test_a_refused_change_leaves_nothing_behind(
        self, engine: Engine, verb: str, act: Act, error: type[HubError]
    ) -> None:
        order = created(engine, make_new_order())
        before = everything(engine)
        with pytest.raises(error), writing(engine) as connection:
            orders.change(connection, order.order_no, verb, act)
        assert everything(engine) == before
        assert loaded(engine, order.order_no) == order

    def test_a_refused_order_leaves_nothing_behind(self, engine: Engine) -> None:
        before = everything(engine)
        with pytest.raises(RoleRefused), writing(engine) as connection:
            orders.create(connection, make_new_order(), VIEWER)
        with pytest.raises(NotFound), writing(engine) as connection:
            orders.change(connection, "SO-NOWHERE", "pay", ADMIN)
        assert everything(engine) == before

    def test_a_crash_after_the_event_was_written_leaves_nothing_behind(self, engine: Engine) -> None:
        before = everything(engine)

        def crash() -> None:
            with writing(engine) as connection:
                orders.create(connection, make_new_order(), ADMIN)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            crash()
        assert everything(engine) == before

    def test_the_largest_order_there_may_be_passes_every_step_with_the_longest_reason(self, engine: Engine) -> None:
        largest = make_new_order(lines=[make_line(name="茶" * 239)] * 311, note="🍵" * 1024)
        with pytest.raises(ValidationError, match="over the limit"):
            make_new_order(lines=[*largest.lines, largest.lines[0]], note=largest.note)
        wordy = Act("a" * 64, Role.ADMIN, "r" * 128, reason="🧧" * 1024)
        with writing(engine) as connection:
            order = orders.create(connection, largest, wordy)
            for verb in JOURNEY:
                order = orders.advance(connection, order, verb, wordy)
            bodies = [row.body.encode() for row in pending(connection)]
        assert [decode(body).order.version for body in bodies] == [1, 2, 3, 4, 5, 6]


class TestRequests:
    def test_a_request_is_carried_out_once_and_answered_alike(self, engine: Engine) -> None:
        work = Work()
        first, second = (asked(engine, Request("jd", "r-1", "{}"), work) for _ in range(2))
        assert (first, second) == (Answer("answer 1", replayed=False), Answer("answer 1", replayed=True))
        assert work.done == 1

    def test_eight_at_once_are_carried_out_once_and_answered_alike(self, engine: Engine) -> None:
        work = Work(seconds=0.2)
        answers = at_once(lambda _: asked(engine, Request("jd", "r-1", "{}"), work))
        assert {answer.text for answer in answers} == {"answer 1"}
        assert [answer.replayed for answer in answers].count(False) == 1
        assert work.done == 1

    def test_another_body_under_the_same_id_is_a_conflict(self, engine: Engine) -> None:
        work = Work()
        asked(engine, Request("jd", "r-1", '{"a": 1}'), work)
        with pytest.raises(RequestConflict, match="r-1"):
            asked(engine, Request("jd", "r-1", '{"a": 2}'), work)
        assert asked(engine, Request("jd", "r-1", '{"a": 1}'), work).text == "answer 1"
        assert work.done == 1

    def test_channels_have_ids_of_their_own(self, engine: Engine) -> None:
        work = Work()
        answers = [asked(engine, Request(channel, "r-1", channel), work).text for channel in ("jd", "taobao")]
        assert answers == ["answer 1", "answer 2"]

    def test_a_crash_of_the_first_leaves_nothing_behind(self, engine: Engine) -> None:
        def crash() -> str:
            raise ZeroDivisionError

        request = Request("jd", "r-1", "{}")
        with pytest.raises(ZeroDivisionError):
            asked(engine, request, crash)
        assert count(engine, tables.requests) == 0
        assert asked(engine, request, Work()) == Answer("answer 1", replayed=False)

    def test_whoever_waited_for_a_first_that_crashed_carries_it_out(self, engine: Engine) -> None:
        request, begun = Request("jd", "r-1", "{}"), threading.Event()

        def crash() -> str:
            begun.set()
            time.sleep(0.2)
            raise ZeroDivisionError

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(asked, engine, request, crash)
            assert begun.wait(timeout=10)
            second = pool.submit(asked, engine, request, Work())
            assert second.result(timeout=10) == Answer("answer 1", replayed=False)
            assert isinstance(first.exception(), ZeroDivisionError)

    def test_while_the_first_is_at_work_too_long_the_second_is_told_to_come_again(self, engine: Engine) -> None:
        request, work = Request("jd", "r-1", "{}"), Work()
        with engine_on(str(engine.url), lock_seconds=0.3) as impatient, writing(engine) as connection:
            once(connection, request, lambda: "in a moment")
            # SQLite has one writer at a time and cannot tell whom it waits for.
            with pytest.raises((RequestRunning, DependencyDown)):
                asked(impatient, request, work)
        assert asked(engine, request, work) == Answer("in a moment", replayed=True)

    def test_eight_connectors_that_place_the_same_order_place_one(self, engine: Engine) -> None:
        caller = Caller("jd-connector", Role.CHANNEL, "jd")
        accepted = at_once(lambda _: ingest.place(engine, caller, "r-1", make_new_order()))
        assert all(each.order == accepted[0].order for each in accepted)
        assert [each.replayed for each in accepted].count(False) == 1
        assert (count(engine, tables.orders), count(engine, tables.outbox)) == (1, 1)

    def test_a_change_that_is_asked_for_twice_happens_once(self, engine: Engine) -> None:
        order = created(engine, make_new_order())
        caller = Caller("jd-connector", Role.CHANNEL, "jd")
        first, second = (ingest.change(engine, caller, "r-2", order.order_no, "pay", None) for _ in range(2))
        assert first.order == second.order == loaded(engine, order.order_no)
        assert (first.replayed, second.replayed) == (False, True)
        with pytest.raises(RequestConflict):
            ingest.change(engine, caller, "r-2", order.order_no, "cancel", "changed my mind")

    @pytest.mark.parametrize("verb", ["pay", "ship"])
    def test_a_refused_request_leaves_nothing_behind_and_may_be_sent_again(self, engine: Engine, verb: str) -> None:
        order = created(engine, make_new_order())
        before = everything(engine)
        with pytest.raises(Refused):
            ingest.change(engine, Caller("other", Role.CHANNEL, "taobao"), "r-3", order.order_no, verb, None)
        assert everything(engine) == before


class TestTokens:
    def test_a_token_says_who_calls_until_it_is_revoked(self, engine: Engine) -> None:
        with writing(engine) as connection:
            token = tokens.add(connection, "jd-connector", Role.CHANNEL, "jd")
            assert tokens.caller(connection, token) == Caller("jd-connector", Role.CHANNEL, "jd")
            tokens.revoke(connection, "jd-connector")
        with reading(engine) as connection:
            assert tokens.caller(connection, token) is None
            assert tokens.caller(connection, "hub_nonsense") is None

    def test_a_caller_with_a_channel_has_to_do_with_that_channel_alone(self) -> None:
        assert Caller("jd", Role.CHANNEL, "jd").may_touch("jd")
        assert not Caller("jd", Role.CHANNEL, "jd").may_touch("taobao")
        assert Caller("boss", Role.ADMIN).may_touch("taobao")

    def test_only_a_hash_of_a_token_is_kept(self, engine: Engine) -> None:
        with writing(engine) as connection:
            token = tokens.add(connection, "admin", Role.ADMIN)
        assert token not in repr(everything(engine))
        with reading(engine) as connection:
            assert [row["name"] for row in tokens.listed(connection)] == ["admin"]
            assert "hash" not in repr(tokens.listed(connection))

    def test_a_name_is_given_once_and_revoked_once(self, engine: Engine) -> None:
        with writing(engine) as connection:
            tokens.add(connection, "admin", Role.ADMIN)
            tokens.revoke(connection, "admin")
        with pytest.raises(Refused, match="admin"), writing(engine) as connection:
            tokens.add(connection, "admin", Role.ADMIN)
        with pytest.raises(NotFound, match="admin"), writing(engine) as connection:
            tokens.revoke(connection, "admin")


class TestLeases:
    def test_one_of_eight_takes_a_free_lease(self, engine: Engine) -> None:
        def take(thread: int) -> leases.Lease | None:
            with writing(engine) as connection:
                return leases.take(connection, "relay/0", f"relay-{thread}", 60)

        taken = [lease for lease in at_once(take) if lease is not None]
        assert [lease.epoch for lease in taken] == [1]

    def test_a_lease_that_ran_out_goes_to_the_next_with_a_higher_epoch(self, engine: Engine) -> None:
        first = taken(engine, "one", 0.2)
        assert taken(engine, "other", 60) is None
        time.sleep(0.3)
        second = taken(engine, "other", 60)
        assert first is not None
        assert second == leases.Lease("relay/0", "other", first.epoch + 1)

    def test_renewing_keeps_a_lease_beyond_its_first_end(self, engine: Engine) -> None:
        lease = taken(engine, "one", 0.3)
        assert lease is not None
        for _ in range(3):
            time.sleep(0.2)
            with writing(engine) as connection:
                assert leases.renew(connection, lease, 0.3)
        assert taken(engine, "other", 60) is None

    def test_a_late_holder_can_neither_renew_nor_keep_nor_release(self, engine: Engine) -> None:
        late = taken(engine, "one", 0.01)
        assert late is not None
        time.sleep(0.05)
        newer = taken(engine, "other", 60)
        assert newer is not None
        with writing(engine) as connection:
            assert not leases.renew(connection, late, 60)
            leases.release(connection, late)
            assert leases.renew(connection, newer, 60)
        with pytest.raises(LeaseLost), writing(engine) as connection:
            leases.keep(connection, late, 60)

    def test_a_released_lease_is_free_at_once(self, engine: Engine) -> None:
        lease = taken(engine, "one", 60)
        assert lease is not None
        with writing(engine) as connection:
            leases.release(connection, lease)
        time.sleep(0.01)
        assert taken(engine, "other", 60) == leases.Lease("relay/0", "other", 2)

    def test_what_a_late_holder_did_in_its_transaction_is_not_recorded(self, engine: Engine) -> None:
        created(engine, make_new_order())
        late = taken(engine, "one", 0.01)
        assert late is not None
        time.sleep(0.05)
        taken(engine, "other", 60)
        before = everything(engine)

        def settle() -> None:
            with writing(engine) as connection:
                outbox.archive(connection, waiting(connection))
                leases.keep(connection, late, 60)

        with pytest.raises(LeaseLost):
            settle()
        assert everything(engine) == before

    def test_a_lease_of_a_killed_process_is_free_at_once_and_one_of_a_living_is_not(self, engine: Engine) -> None:
        command = [sys.executable, "-c", "from hub import holder; print(holder.me())"]
        dead = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        for name, whose in (
            ("relay/0", f"{dead}.1f"),
            ("relay/1", f"{holder.me()}.1f"),
            ("relay/2", "elsewhere.7.1.1f"),
        ):
            with writing(engine) as connection:
                leases.take(connection, name, whose, 60)
                leases.free_dead(connection, name)
        with writing(engine) as connection:
            again = [leases.take(connection, f"relay/{shard}", "next", 60) for shard in range(3)]
        assert again == [leases.Lease("relay/0", "next", 2), None, None]

    def test_leases_have_names_and_do_not_meet(self, engine: Engine) -> None:
        with writing(engine) as connection:
            both = [leases.take(connection, f"relay/{shard}", "one", 60) for shard in range(2)]
        assert None not in both


class TestOutbox:
    def test_an_order_on_hold_is_passed_over_with_its_later_versions(self, engine: Engine) -> None:
        stuck, free = (created(engine, make_new_order(channel_order_no=number)) for number in ("JD-1", "JD-2"))
        with writing(engine) as connection:
            outbox.hold(connection, waiting(connection)[:1], "no queue took it", 60)
        for order in (stuck, free):
            changed(engine, order.order_no, "pay")
        with reading(engine) as connection:
            assert {row.order_no for row in outbox.claim(connection, 0, 1, 100)} == {free.order_no}
            assert (outbox.backlog(connection).pending, outbox.backlog(connection).held) == (4, 1)

    def test_a_hold_ends_by_itself_and_keeps_its_reason(self, engine: Engine) -> None:
        created(engine, make_new_order())
        with writing(engine) as connection:
            outbox.hold(connection, waiting(connection), "no queue took it", 0.2)
            assert waiting(connection) == []
        time.sleep(0.3)
        with reading(engine) as connection:
            assert len(waiting(connection)) == 1
            assert connection.execute(select(tables.outbox.c.held_for)).scalar_one() == "no queue took it"

    def test_shards_share_the_orders_and_never_split_one(self, engine: Engine) -> None:
        with writing(engine) as connection:
            for number in range(30):
                order = orders.create(connection, make_new_order(channel_order_no=f"JD-{number}"), ADMIN)
                orders.change(connection, order.order_no, "pay", ADMIN)
            shards = [outbox.claim(connection, shard, 3, 1000) for shard in range(3)]
        numbers = [{row.order_no for row in rows} for rows in shards]
        assert all(numbers)
        assert sum(map(len, numbers)) == len(set().union(*numbers)) == 30
        assert sum(map(len, shards)) == 30

    def test_changes_written_in_one_batch_are_claimed_by_version(self, engine: Engine) -> None:
        changes = []
        for number in range(20):
            changes.append(orders.first(make_new_order(channel_order_no=f"JD-{number}"), ADMIN))
            for verb in JOURNEY:
                changes.append(orders.following(changes[-1].order, verb, ADMIN))
        with writing(engine) as connection:
            orders.write(connection, changes)
            claimed = [(row.version, row.order_no) for row in claimed_one_by_one(connection)]
            assert orders.totals(connection) == (20, 120)
        numbers = list(dict.fromkeys(changed.order.order_no for changed in changes))
        assert claimed == [(version, number) for version in range(1, 7) for number in numbers]

    def test_one_order_that_is_here_already_keeps_its_whole_batch_out(self, engine: Engine) -> None:
        created(engine, make_new_order(channel_order_no="JD-7"))
        before = everything(engine)
        batch = [orders.first(make_new_order(channel_order_no=f"JD-{number}"), ADMIN) for number in range(10)]
        with pytest.raises(Refused, match="JD-7"), writing(engine) as connection:
            orders.write(connection, batch)
        assert everything(engine) == before

    def test_archived_rows_leave_the_outbox_as_they_were(self, engine: Engine) -> None:
        order = created(engine, make_new_order())
        changed(engine, order.order_no, "pay")
        with writing(engine) as connection:
            (first,) = outbox.claim(connection, 0, 1, 100)
            second = pending(connection)[1]
            outbox.archive(connection, [first.id])
            kept = [name for name in outbox.Pending._fields if name not in ("held_for", "followed")]
            columns = [tables.outbox_archive.c[name] for name in kept]
            archived = [outbox.Pending(*row, followed=True) for row in connection.execute(select(*columns))]
            assert archived == [first]
            assert outbox.claim(connection, 0, 1, 100) == [second]

    def test_a_row_says_whether_a_newer_version_waits_behind_it(self, engine: Engine) -> None:
        order = created(engine, make_new_order())
        created(engine, make_new_order(channel_order_no="alone"))
        for verb in ("pay", "pick"):
            changed(engine, order.order_no, verb)
        with writing(engine) as connection:
            rows = claimed_one_by_one(connection)
        followed = {(row.order_no == order.order_no, row.version): row.followed for row in rows}
        assert followed == {(True, 1): True, (True, 2): True, (True, 3): False, (False, 1): False}

    def test_what_is_on_its_way_is_not_claimed_again_and_keeps_later_versions_back(self, engine: Engine) -> None:
        moved, new = (created(engine, make_new_order(channel_order_no=number)) for number in ("JD-1", "JD-2"))
        changed(engine, moved.order_no, "pay")
        with reading(engine) as connection:
            flying = [row.id for row in pending(connection) if (row.order_no, row.version) == (moved.order_no, 1)]
            assert [row.order_no for row in outbox.claim(connection, 0, 1, 100, flying)] == [new.order_no]

    def test_what_is_held_for_a_queue_that_lacks_lets_later_versions_pass(self, engine: Engine) -> None:
        order = created(engine, make_new_order())
        with writing(engine) as connection:
            outbox.hold(connection, waiting(connection), "no queue q.more", 60)
        for verb in ("pay", "pick"):
            changed(engine, order.order_no, verb)
        with writing(engine) as connection:
            assert [outbox.claim(connection, 0, 1, 9, lacking=reason) for reason in ("", "no queue q.erp")] == [[], []]
            (second,) = outbox.claim(connection, 0, 1, 9, lacking="no queue q.more")
            assert second.version == 2
            outbox.hold(connection, [second.id], "no queue q.more", -1)
            # What was held before waits for its turn, whether its rest is over or not.
            assert [row.version for row in outbox.claim(connection, 0, 1, 9, lacking="no queue q.more")] == [3]

    def test_archiving_nothing_is_harmless(self, engine: Engine) -> None:
        created(engine, make_new_order())
        before = everything(engine)
        with writing(engine) as connection:
            outbox.archive(connection, [])
            outbox.hold(connection, [], "nothing", 60)
        assert everything(engine) == before

    def test_ids_never_repeat_though_everything_was_archived(self, engine: Engine) -> None:
        order_no = created(engine, make_new_order()).order_no
        for verb in ("pay", "intercept", "release"):
            archive_all(engine)
            changed(engine, order_no, verb)
        archive_all(engine)
        with reading(engine) as connection:
            query = select(tables.outbox_archive.c.id, tables.outbox_archive.c.version)
            archived = list(connection.execute(query.order_by(tables.outbox_archive.c.id)))
        assert [row.version for row in archived] == [1, 2, 3, 4]
        assert len({row.id for row in archived}) == 4

    def test_the_backlog_tells_the_age_of_the_oldest(self, engine: Engine) -> None:
        with reading(engine) as connection:
            assert outbox.backlog(connection) == outbox.Backlog(0, 0, 0.0)
        created(engine, make_new_order())
        with writing(engine) as connection:
            connection.execute(update(tables.outbox).values(recorded_at=in_seconds(-100)))
        with reading(engine) as connection:
            assert 99 < outbox.backlog(connection).oldest_age_seconds < 110


class TestTheDatabaseItself:
    @pytest.mark.parametrize(
        "step",
        [
            ("shipped", "paid", "paid"),
            ("", "paid", "paid"),
            ("pending_payment", "picking", "picking"),
            ("paid", "refunded", "cancelled"),
            ("lost", "found", "paid"),
        ],
    )
    def test_a_step_that_is_not_in_the_lifecycle_is_refused(self, engine: Engine, step: tuple[str, str, str]) -> None:
        order = created(engine, make_new_order())
        before, change, after = step
        row = {"order_no": order.order_no, "version": 2, "change": change, "from_status": before, "to_status": after}
        row |= {"actor": "somebody", "role": "admin", "occurred_at": MOMENT, "hash": "0" * 64}
        with pytest.raises(IntegrityError, match="step"), writing(engine) as connection:
            connection.execute(tables.order_history.insert().values(row))

    @pytest.mark.parametrize(
        ("table", "values", "check"),
        [
            ("orders", {"status": "lost"}, "status"),
            ("orders", {"status": ""}, "status"),
            ("orders", {"version": 0}, "version"),
            ("order_lines", {"quantity": 0}, "quantity"),
            ("order_lines", {"quantity": -1}, "quantity"),
        ],
    )
    def test_nonsense_is_refused_whoever_writes_it(
        self, engine: Engine, table: str, values: dict[str, object], check: str
    ) -> None:
        created(engine, make_new_order())
        with pytest.raises(IntegrityError, match=check), writing(engine) as connection:
            connection.execute(update(tables.metadata.tables[table]).values(values))

    def test_the_databases_clock_is_the_worlds(self, engine: Engine) -> None:
        with reading(engine) as connection:
            moment, later = connection.execute(select(now(), in_seconds(90.5))).one()
        assert abs((moment - datetime.now(UTC)).total_seconds()) < 5
        assert 90 < (later - moment).total_seconds() < 91

    def test_waits_too_short_to_write_plainly_are_moments_all_the_same(self, engine: Engine) -> None:
        with reading(engine) as connection:
            moments = connection.execute(select(now(), in_seconds(3.7e-05), in_seconds(-1e-07))).one()
        assert None not in moments

    def test_moments_compare_as_moments_in_the_database(self, strange: Engine) -> None:
        with writing(strange) as connection:
            insert_rows(connection, STRANGE, ROWS)
            moments = connection.execute(
                select(STRANGE.c.id).where(STRANGE.c.moment.is_not(None)).order_by(STRANGE.c.moment, STRANGE.c.id)
            )
            assert moments.scalars().all() == [3, 4, 5, 1, 6]
            past = select(func.count()).where(STRANGE.c.moment < in_seconds(-1))
            assert connection.execute(past).scalar_one() == sum(
                row["moment"] is not None and row["moment"] < datetime.now(UTC) for row in ROWS
            )

    def test_rows_come_out_of_a_batch_as_they_went_in(self, engine: Engine) -> None:
        with reading(engine) as connection:
            batch = batch_of(connection, STRANGE, ROWS)
            assert rows_of(connection, select(batch).order_by(batch.c.id)) == ROWS

    def test_inserted_rows_are_read_as_they_were_given(self, strange: Engine) -> None:
        with writing(strange) as connection:
            insert_rows(connection, STRANGE, ROWS)
            insert_rows(connection, STRANGE, [])
            assert rows_of(connection, select(STRANGE).order_by(STRANGE.c.id)) == ROWS

    def test_a_batch_of_two_thousand_rows_is_one_statement(self, strange: Engine) -> None:
        rows = [ROWS[5] | {"id": number} for number in range(2000)]
        with writing(strange) as connection:
            insert_rows(connection, STRANGE, rows)
            assert connection.execute(select(func.count()).select_from(STRANGE)).scalar_one() == 2000

    def test_text_longer_than_its_column_is_never_cut_in_silence(self, strange: Engine) -> None:
        long = ROWS[0] | {"word": "x" * 65}
        try:
            with writing(strange) as connection:
                insert_rows(connection, STRANGE, [long])
                kept = connection.execute(select(STRANGE.c.word)).scalar_one()
        except Exception as refused:  # noqa: BLE001 - PostgreSQL refuses, SQLite has no lengths
            assert "too long" in str(refused)  # noqa: PT017
        else:
            assert kept == "x" * 65


class Work:
    """Counts how often it was done."""

    def __init__(self, seconds: float = 0) -> None:
        self.done = 0
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            self.done += 1
        time.sleep(self._seconds)
        return f"answer {self.done}"


def created(engine: Engine, new: NewOrder) -> Order:
    with writing(engine) as connection:
        return orders.create(connection, new, ADMIN)


def changed(engine: Engine, order_no: str, verb: str) -> Order:
    with writing(engine) as connection:
        return orders.change(connection, order_no, verb, ADMIN)


def toggled(engine: Engine, order_no: str) -> int:
    """Intercept or release, whichever may be; how many changes were made."""
    for verb in ("intercept", "release"):
        try:
            changed(engine, order_no, verb)
        except Refused:
            continue
        return 1
    return 0


def loaded(engine: Engine, order_no: str) -> Order:
    with reading(engine) as connection:
        return orders.load(connection, order_no)


def versions_in(engine: Engine, table: Table, order_no: str) -> list[int]:
    query = select(table.c.version).where(table.c.order_no == order_no).order_by(table.c.version)
    with reading(engine) as connection:
        return list(connection.execute(query).scalars())


def asked(engine: Engine, request: Request, work: Callable[[], str]) -> Answer:
    with writing(engine) as connection:
        return once(connection, request, work)


def taken(engine: Engine, holder: str, seconds: float) -> leases.Lease | None:
    with writing(engine) as connection:
        return leases.take(connection, "relay/0", holder, seconds)


def claimed_one_by_one(connection: Connection) -> list[outbox.Pending]:
    """What is claimed until nothing is left, each round archived before the next."""
    found: list[outbox.Pending] = []
    while rows := outbox.claim(connection, 0, 1, 1000):
        outbox.archive(connection, [row.id for row in rows])
        found += rows
    return found


def waiting(connection: Connection) -> list[int]:
    return [row.id for row in outbox.claim(connection, 0, 1, 1000)]


def archive_all(engine: Engine) -> None:
    with writing(engine) as connection:
        outbox.archive(connection, waiting(connection))


def everything(engine: Engine) -> dict[str, list[Any]]:
    """Every row of every table."""
    with reading(engine) as connection:
        return {
            name: sorted(map(repr, connection.execute(select(table)))) for name, table in tables.metadata.tables.items()
        }


def rows_of(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def at_once(work: Callable[[int], Result]) -> list[Result]:
    """Eight threads that begin in the same moment; what each of them returned."""
    barrier = threading.Barrier(THREADS)

    def begin(thread: int) -> Result:
        barrier.wait(timeout=10)
        return work(thread)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))
