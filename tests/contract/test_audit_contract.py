"""Whatever is changed behind the hub's back is found and named, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from hub import clock, migrations
from hub.audit import seal as sealing
from hub.audit.chain import HISTORY_FIELDS, START, VERB_FIELDS, link
from hub.audit.seal import Seal, following, line_of, parse, seal, window
from hub.audit.verbs import Operator, listed, record
from hub.audit.verify import CHANGED, MOST_BROKEN, Broken, verify
from hub.database import is_postgres, now, reading, writing
from hub.errors import BadInput, NotFound, Refused
from hub.oms import orders
from hub.oms.orders import Act, Changed
from hub.operations.dead_letters import discard
from hub.schemas.lifecycle import Role
from hub.tables import audit, dead_letters, order_history, seals
from hub.tables import orders as orders_table
from tests.builders import MOMENT, make_new_order
from tests.support import ADMIN, count, engine_on, eventually

THREADS = 8
OPS = Operator("ops.li", "operator")
JOURNEY = ("pay", "pick", "ship", "complete", "refund")
LAST = len(JOURNEY) + 1

OTHER_FIELDS: dict[str, dict[str, Any]] = {
    "step": {"change": "intercepted", "from_status": "paid", "to_status": "intercepted"},
    "actor": {"actor": "somebody-else"},
    "role": {"role": "channel"},
    "reason": {"reason": None},
    "request": {"request_id": "r-1"},
    "time": {"occurred_at": MOMENT},
    "record": {"recorded_at": MOMENT},
    "hash": {"hash": "0" * 64},
}

MADE_UP: dict[str, Any] = {"change": "created", "from_status": "", "to_status": "pending_payment"}
MADE_UP |= {"actor": "tests", "role": "admin", "occurred_at": MOMENT, "recorded_at": MOMENT}
UNREADABLE = {
    "queue": "q.crm",
    "routing_key": "order.paid.jd",
    "headers": "{}",
    "body_base64": "",
    "reason": "not_json",
}
UNREADABLE |= {"detail": "no JSON"}
COLLATED = 'ALTER TABLE order_history ALTER COLUMN order_no TYPE varchar(64) COLLATE "und-x-icu"'


@dataclass(frozen=True)
class World:
    """A store with three orders, three verbs and two seals, and what was kept of it outside."""

    engine: Engine
    order_no: str
    other: str
    kept: tuple[Seal, Seal]

    def broken(self, *kept: Seal) -> list[str]:
        """What is found, as people read it."""
        return [str(each) for each in verify(self.engine, kept)]


@pytest.fixture
def world(engine: Engine) -> World:
    """One order at its end, two others; the first seal is over the first order and two verbs."""
    first = journey(engine, "JD-1", JOURNEY)
    did(engine, "entry.resume", "crm SO-1")
    did(engine, "entry.skip", "crm SO-2")
    one = sealed(engine)
    other = journey(engine, "JD-2", JOURNEY[:2])
    journey(engine, "JD-3", ())
    did(engine, "entry.resume", "wms SO-3")
    return World(engine, first, other, (one, sealed(engine)))


class TestAWholeStore:
    def test_is_clean(self, world: World) -> None:
        assert world.broken() == world.broken(*world.kept) == []
        assert [(each.number, each.versions, each.verbs) for each in world.kept] == [(1, 6, 2), (2, 10, 3)]

    def test_is_clean_before_anything_was_written(self, engine: Engine) -> None:
        assert verify(engine) == []

    def test_is_clean_with_thousands_of_versions(self, engine: Engine) -> None:
        with writing(engine) as connection:
            for begin in range(0, 600, 100):
                orders.write(connection, [each for shop in range(begin, begin + 100) for each in changes(f"JD-{shop}")])
        for number in range(40):
            did(engine, "entry.resume", f"crm {number}")
        kept = sealed(engine)
        told: dict[str, int] = {}
        assert verify(engine, [kept], progress=told.__setitem__) == []
        assert (kept.versions, told) == (3600, {"versions": 3600, "verbs": 40, "seals": 1})

    def test_that_is_broken_everywhere_is_not_read_to_its_end(self, engine: Engine) -> None:
        with writing(engine) as connection:
            orders.write(connection, [each for shop in range(200) for each in changes(f"JD-{shop}")])
            connection.execute(update(order_history).values(actor="somebody-else"))
        assert [len(verify(engine)) for _ in range(3)] == [MOST_BROKEN] * 3

    def test_stays_clean_while_everybody_writes(self, engine: Engine) -> None:
        def work(thread: int) -> list[Broken]:
            journey(engine, f"JD-{thread}", JOURNEY)
            did(engine, "entry.resume", str(thread))
            with suppress(Refused):
                seal(engine)
            return verify(engine)

        assert at_once(work) == [[]] * THREADS
        assert sealed(engine).versions == THREADS * LAST
        assert verify(engine) == []


class TestAHistory:
    @pytest.mark.parametrize("fields", OTHER_FIELDS.values(), ids=OTHER_FIELDS)
    @pytest.mark.parametrize("version", [1, 3, LAST])
    def test_that_was_changed_is_found_at_its_version(self, world: World, version: int, fields: dict[str, Any]) -> None:
        tamper(world, update(order_history).where(at(world, version)).values(fields))
        assert world.broken()[0] == f"order_history {world.order_no} version {version}: {CHANGED}"

    @pytest.mark.parametrize("version", [1, 3])
    def test_that_lacks_a_row_is_found_at_the_row(self, world: World, version: int) -> None:
        tamper(world, delete(order_history).where(at(world, version)))
        assert world.broken()[0] == f"order_history {world.order_no} version {version}: missing"

    def test_that_lacks_several_rows_is_found_at_the_first(self, world: World) -> None:
        tamper(world, delete(order_history).where(of(world), order_history.c.version.in_([2, 3, 4])))
        assert world.broken()[0] == f"order_history {world.order_no} version 2: missing, and all before 5"

    def test_that_lacks_its_last_row_is_found_by_the_order(self, world: World) -> None:
        tamper(world, delete(order_history).where(at(world, LAST)))
        assert world.broken()[0] == f"order_history {world.order_no} version 6: missing: the order is at version 6"

    def test_that_lacks_its_last_row_is_found_by_the_seal_where_the_order_was_changed_too(self, world: World) -> None:
        tamper(world, delete(order_history).where(at(world, LAST)), set_back(world, LAST - 1, "completed"))
        (found,) = world.broken()
        assert found.startswith("seal 1: 6 versions were sealed, 5 are there; what was recorded up to ")
        assert found.endswith(f"cannot be trusted; orders in it: 1 ({world.order_no})")

    def test_that_is_gone_is_found_by_the_order(self, world: World) -> None:
        tamper(world, delete(order_history).where(of(world)))
        assert world.broken()[0] == f"order_history {world.order_no} version 1: missing, up to version 6"

    def test_that_is_gone_with_its_order_is_found_by_the_seal(self, world: World) -> None:
        forget = delete(orders_table).where(orders_table.c.order_no == world.order_no)
        tamper(world, delete(order_history).where(of(world)), forget)
        (found,) = world.broken()
        assert found.startswith("seal 1: 6 versions were sealed, 0 are there; ")
        assert found.endswith("orders in it: 0 (none)")

    def test_of_an_order_that_is_gone_is_found_at_its_end(self, world: World) -> None:
        tamper(world, delete(orders_table).where(orders_table.c.order_no == world.order_no))
        assert world.broken() == [f"order_history {world.order_no} version 6: there is no such order any more"]

    def test_whose_rows_changed_places_is_found_at_the_first_of_them(self, world: World) -> None:
        moves = ((2, 1000), (3, 2), (1000, 3))
        tamper(world, *(update(order_history).where(at(world, old)).values(version=new) for old, new in moves))
        assert [each.partition(":")[0] for each in world.broken()[:2]] == [
            f"order_history {world.order_no} version {version}" for version in (2, 3)
        ]

    @pytest.mark.parametrize("version", [0, -3, LAST + 1])
    def test_with_a_row_too_many_is_found_at_the_row(self, world: World, version: int) -> None:
        with writing(world.engine) as connection:
            row = rows_of(connection, world.order_no)[-1] | {"version": version}
            connection.execute(insert(order_history).values(row))
        assert world.broken()[0].startswith(f"order_history {world.order_no} version {version}: ")

    def test_with_a_well_made_row_too_many_is_found_by_the_order(self, world: World) -> None:
        add_well_made(world)
        assert world.broken()[0] == f"order_history {world.order_no} version 7: too much: the order is at version 6"

    def test_with_a_well_made_row_too_many_is_found_by_the_seal_where_the_order_was_changed_too(
        self, world: World
    ) -> None:
        add_well_made(world)
        tamper(world, set_back(world, LAST + 1, "paid"))
        (found,) = world.broken()
        assert found.startswith("seal 1: 6 versions were sealed, 7 are there; ")

    def test_that_was_made_up_with_its_order_is_found_by_the_seal(self, world: World) -> None:
        with writing(world.engine) as connection:
            order = orders.create(connection, make_new_order(channel_order_no="JD-99"), ADMIN)
            row = rows_of(connection, order.order_no)[0] | {"recorded_at": MOMENT}
            made_up = row | {"hash": link(START, row, HISTORY_FIELDS)}
            here = order_history.c.order_no == order.order_no
            connection.execute(update(order_history).where(here).values(made_up))
        (found,) = world.broken()
        assert found.startswith("seal 1: 6 versions were sealed, 7 are there; ")
        assert order.order_no in found

    def test_that_was_linked_anew_is_found_by_the_seal_with_its_window(self, world: World) -> None:
        tamper(world, update(order_history).where(at(world, 3)).values(actor="somebody-else"))
        link_anew(world)
        (found,) = world.broken()
        cut = world.kept[0].cut.isoformat()
        assert found == (
            "seal 1: the 6 versions, the verbs up to 2 or the seal itself are not what was sealed; "
            f"what was recorded up to {cut} cannot be trusted; orders in it: 1 ({world.order_no})"
        )

    def test_that_was_linked_anew_with_all_seals_is_found_by_the_kept_line_alone(self, world: World) -> None:
        tamper(world, update(order_history).where(at(world, 3)).values(actor="somebody-else"))
        link_anew(world)
        seal_anew(world)
        assert world.broken() == []
        (found,) = world.broken(world.kept[1])
        assert found.startswith("seal 2: the line that was kept has another digest than the store; ")
        (found,) = world.broken(*world.kept)
        assert found.startswith("seal 1: the line that was kept has another digest than the store; ")
        assert f"up to {world.kept[0].cut.isoformat()} cannot be trusted" in found

    def test_is_verified_alone_where_it_is_named(self, world: World) -> None:
        tamper(world, update(order_history).where(at(world, 3)).values(actor="somebody-else"))
        assert verify(world.engine, orders=[world.other]) == []
        (found,) = verify(world.engine, orders=[world.other, world.order_no])
        assert found == Broken("order_history", f"{world.order_no} version 3", CHANGED)

    def test_of_an_order_that_nobody_knows_is_not_called_whole(self, world: World) -> None:
        with pytest.raises(NotFound, match="SO-NONE"):
            verify(world.engine, orders=[world.order_no, "SO-NONE"])

    @pytest.mark.parametrize(
        ("column", "value"),
        [("occurred_at", "'yesterday'"), ("recorded_at", "x'00ff'"), ("actor", "x'00ff'"), ("hash", "x'00ff'")],
    )
    def test_with_nonsense_in_it_is_found_where_the_database_takes_nonsense(
        self, world: World, column: str, value: str
    ) -> None:
        value = "'infinity'" if is_postgres(world.engine) else value
        column = "recorded_at" if is_postgres(world.engine) else column
        tamper(world, text(f"UPDATE order_history SET {column} = {value} WHERE version = 3 AND change = 'picking'"))
        assert world.broken()[0].startswith("order_history SO")
        assert world.broken()[0].endswith(f"version 3: {CHANGED}")

    @pytest.mark.parametrize("table", ["order_history", "orders"])
    def test_with_nonsense_for_a_version_is_found_where_the_database_takes_nonsense(
        self, world: World, table: str
    ) -> None:
        if is_postgres(world.engine):
            pytest.skip("PostgreSQL refuses it")
        tamper(world, text(f"UPDATE {table} SET version = 'last' WHERE version = 6"))
        assert {each.partition(":")[0] for each in world.broken()} >= {
            f"order_history {world.order_no} version {'last' if table == 'order_history' else 7}"
        }

    def test_that_grows_by_the_hub_itself_stays_whole(self, world: World) -> None:
        with writing(world.engine) as connection:
            orders.change(connection, world.other, "ship", ADMIN)
        assert world.broken(*world.kept) == []


class TestVerbs:
    @pytest.mark.parametrize(
        "fields",
        [
            {"actor": "somebody-else"},
            {"role": "viewer"},
            {"verb": "entry.skip!"},
            {"subject": "crm SO-9"},
            {"details": "{}"},
            {"reason": None},
            {"recorded_at": MOMENT},
            {"hash": "0" * 64},
        ],
        ids=lambda fields: next(iter(fields)),
    )
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_that_were_changed_are_found_at_their_number(
        self, world: World, number: int, fields: dict[str, Any]
    ) -> None:
        tamper(world, update(audit).where(audit.c.number == number).values(fields))
        assert world.broken()[0] == f"audit {number}: {CHANGED}"

    @pytest.mark.parametrize("number", [1, 2])
    def test_that_lack_one_are_found_at_its_number(self, world: World, number: int) -> None:
        tamper(world, delete(audit).where(audit.c.number == number))
        assert world.broken()[0] == f"audit {number}: missing"

    def test_that_lack_the_last_are_found_by_the_seal(self, world: World) -> None:
        tamper(world, delete(audit).where(audit.c.number == 3))
        assert world.broken()[0] == "audit 3: missing: 3 verbs were sealed"

    def test_that_lack_the_last_and_its_seal_are_found_by_the_kept_line(self, world: World) -> None:
        tamper(world, delete(audit).where(audit.c.number == 3), delete(seals).where(seals.c.number == 2))
        assert world.broken() == []
        assert world.broken(*world.kept)[0] == "audit 3: missing: 3 verbs were sealed"

    def test_that_are_all_gone_are_found_at_the_first(self, world: World) -> None:
        tamper(world, delete(audit))
        assert world.broken()[0] == "audit 1: missing: 3 verbs were sealed"

    def test_of_which_the_last_was_replaced_are_found_by_the_seal(self, world: World) -> None:
        tamper(world, delete(audit).where(audit.c.number == 3))
        did(world.engine, "entry.resume", "wms SO-4")
        (found,) = world.broken()
        assert found.startswith(
            "seal 2: the 4 versions, the verbs up to 3 or the seal itself are not what was sealed; "
        )

    def test_that_changed_places_are_found_at_the_first(self, world: World) -> None:
        moves = ((1, 1000), (2, 1), (1000, 2))
        tamper(world, *(update(audit).where(audit.c.number == old).values(number=new) for old, new in moves))
        assert world.broken()[0] == f"audit 1: {CHANGED}"

    def test_with_one_too_many_are_found_at_its_number(self, world: World) -> None:
        with writing(world.engine) as connection:
            row = connection.execute(select(audit).where(audit.c.number == 3)).mappings().one()
            connection.execute(insert(audit).values(dict(row) | {"number": 4}))
        assert world.broken()[0] == f"audit 4: {CHANGED}"

    def test_that_were_linked_anew_are_found_by_the_seals(self, world: World) -> None:
        tamper(world, update(audit).where(audit.c.number == 1).values(actor="somebody-else"))
        with writing(world.engine) as connection:
            before = START
            for row in connection.execute(select(audit).order_by(audit.c.number)).mappings().all():
                before = link(before, dict(row), VERB_FIELDS)
                connection.execute(update(audit).where(audit.c.number == row["number"]).values(hash=before))
        assert [each.partition(":")[0] for each in world.broken()] == ["seal 1", "seal 2"]


class TestSeals:
    @pytest.mark.parametrize(
        "fields",
        [{"digest": "0" * 64}, {"versions": 5}, {"verbs": 1}, {"cut": MOMENT}],
        ids=lambda each: next(iter(each)),
    )
    def test_that_were_changed_are_found_at_their_number(self, world: World, fields: dict[str, Any]) -> None:
        tamper(world, update(seals).where(seals.c.number == 1).values(fields))
        assert world.broken()[0].startswith("seal 1: ")

    def test_that_cannot_be_read_are_told_and_do_not_end_it(self, world: World) -> None:
        nonsense = "infinity" if is_postgres(world.engine) else "yesterday"
        tamper(world, text(f"UPDATE seals SET cut = '{nonsense}' WHERE number = 1"))
        assert world.broken()

    def test_that_lack_one_are_found_at_its_number(self, world: World) -> None:
        tamper(world, delete(seals).where(seals.c.number == 1))
        assert world.broken() == ["seal 1: missing"]

    def test_that_lack_the_last_are_found_by_the_kept_line(self, world: World) -> None:
        tamper(world, delete(seals).where(seals.c.number == 2))
        assert world.broken() == []
        (found,) = world.broken(*world.kept)
        assert found.startswith("seal 2: missing, and a line of it was kept; what was recorded after ")

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"digest": "0" * 64}, "digest"),
            ({"versions": 7}, "versions"),
            ({"verbs": 1}, "verbs"),
            ({"cut": MOMENT}, "cut"),
            ({"cut": MOMENT, "digest": "0" * 64}, "cut and digest"),
        ],
    )
    def test_of_which_another_line_was_kept_say_what_is_different(
        self, world: World, fields: dict[str, Any], word: str
    ) -> None:
        (found,) = world.broken(replace(world.kept[0], **fields))
        assert found.startswith(f"seal 1: the line that was kept has another {word} than the store; ")

    def test_are_the_same_after_they_were_a_line(self, world: World) -> None:
        assert world.broken(*(parse(line_of(each)) for each in world.kept)) == []

    def test_are_made_where_nothing_is_new_too(self, world: World) -> None:
        again = sealed(world.engine)
        assert (again.number, again.versions, again.verbs) == (3, 10, 3)
        assert again.digest != world.kept[1].digest
        assert world.broken(again) == []

    def test_leave_to_the_next_what_is_younger_than_the_margin(self, engine: Engine) -> None:
        journey(engine, "JD-1", JOURNEY)
        early = seal(engine, margin_seconds=300)
        assert early is not None
        assert early.versions == 0
        assert sealed(engine).versions == LAST
        assert verify(engine, [early]) == []

    def test_are_not_made_where_the_last_one_reaches_as_far(self, world: World) -> None:
        assert seal(world.engine, margin_seconds=300) is None
        assert count(world.engine, seals) == 2

    def test_hold_back_nobody_and_wait_for_nobody_on_postgresql(self, world: World) -> None:
        if not is_postgres(world.engine):
            pytest.skip("SQLite has one writer at a time: the seal's one row waits for it")
        with writing(world.engine) as connection:
            orders.change(connection, world.other, "ship", ADMIN)
            record(connection, OPS, "entry.resume", "wms SO-4")
            made = seal(world.engine, margin_seconds=0)
        assert made is not None
        assert (made.versions, made.verbs) == (10, 3)

    def test_without_margin_say_later_that_a_version_was_being_written_at_the_cut(self, world: World) -> None:
        if not is_postgres(world.engine):
            pytest.skip("SQLite has one writer at a time: nobody is writing while the seal is made")
        with writing(world.engine) as connection:
            orders.change(connection, world.other, "ship", ADMIN)
            assert seal(world.engine, margin_seconds=0)
        (found,) = world.broken()
        assert found.startswith("seal 3: 0 versions were sealed, 1 are there; what was recorded after ")
        assert found.endswith(f"cannot be trusted; orders in it: 1 ({world.other})")

    def test_of_eight_at_once_each_stands_once(self, engine: Engine) -> None:
        journey(engine, "JD-1", JOURNEY)

        def work(_: int) -> str:
            try:
                made = seal(engine, margin_seconds=0)
            except Refused as refused:
                return str(refused)
            return line_of(made) if made else "no seal"

        lines = [each for each in at_once(work) if each.startswith("orderhub-seal")]
        assert len(lines) == count(engine, seals) >= 1
        assert verify(engine, [parse(line) for line in lines]) == []

    def test_of_the_same_number_the_second_is_refused(self, world: World) -> None:
        with pytest.raises(Refused, match="somebody else made seal 2"):
            sealing._keep(world.engine, world.kept[1])

    def test_can_be_computed_by_anybody(self, engine: Engine) -> None:
        # Capital letters first, whatever the collation of the database thinks.
        rows = [("SO-B", 1, "b1"), ("SO-B", 2, "b2"), ("SO-a", 1, "a1"), ("so-A", 1, "A1")]
        with engine.connect() as connection:
            if is_postgres(engine):
                connection.exec_driver_sql(COLLATED)
            for order_no, version, hash_ in reversed(rows):
                made_up = MADE_UP | {"order_no": order_no, "version": version, "hash": hash_}
                connection.execute(insert(order_history).values(made_up))
            found = window(connection, None, MOMENT)
            before = window(connection, None, MOMENT - timedelta(microseconds=1))
            after = window(connection, MOMENT, MOMENT)
        hashed = "".join(f'["{order_no}",{version},"{hash_}"]' for order_no, version, hash_ in rows)
        assert (found.versions, found.digest) == (4, hashlib.sha256(hashed.encode()).hexdigest())
        assert before.versions == after.versions == 0


class TestRecording:
    def test_a_verb_is_kept_as_it_was_told(self, engine: Engine) -> None:
        before = clock.utcnow()
        with writing(engine) as connection:
            record(
                connection,
                OPS,
                "entry.skip",
                "crm SO-1",
                reason="客户已取消",
                details={"b": 2, "a": [1, None], "c": "名"},
            )
        (row,) = all_verbs(engine)
        assert before <= row.pop("recorded_at") <= clock.utcnow()
        assert row.pop("hash")
        assert row == {
            "number": 1,
            "actor": "ops.li",
            "role": "operator",
            "verb": "entry.skip",
            "subject": "crm SO-1",
            "details": '{"a": [1, null], "b": 2, "c": "名"}',
            "reason": "客户已取消",
        }

    def test_a_verb_without_more_says_no_more(self, engine: Engine) -> None:
        with writing(engine) as connection:
            record(connection, Operator("ops.li"), "seal", "4", details={"at": MOMENT})
        (row,) = all_verbs(engine)
        assert (row["role"], row["reason"], json.loads(row["details"])) == ("admin", None, {"at": str(MOMENT)})

    def test_numbers_have_no_holes_whoever_records(self, engine: Engine) -> None:
        def work(thread: int) -> None:
            for step in range(5):
                did(engine, "entry.resume", f"{thread}/{step}")

        at_once(work)
        assert [row["number"] for row in reversed(all_verbs(engine))] == list(range(1, 5 * THREADS + 1))
        assert verify(engine) == []

    def test_several_verbs_of_one_transaction_are_linked(self, engine: Engine) -> None:
        with writing(engine) as connection:
            for number in range(3):
                record(connection, OPS, "entry.resume", str(number))
        assert [row["subject"] for row in all_verbs(engine)] == ["2", "1", "0"]
        assert verify(engine) == []

    def test_what_did_not_happen_is_not_recorded_and_leaves_no_hole(self, engine: Engine) -> None:
        did(engine, "entry.resume", "one")

        def crash() -> None:
            with writing(engine) as connection:
                record(connection, OPS, "entry.resume", "two")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            crash()
        did(engine, "entry.resume", "three")
        assert [(row["number"], row["subject"]) for row in all_verbs(engine)] == [(2, "three"), (1, "one")]

    @pytest.mark.parametrize(
        ("told", "word"),
        [
            ({"by": Operator("x" * 65)}, "actor: 65 characters are too long"),
            ({"by": Operator("ops.li", "r" * 25)}, "role: 25 characters"),
            ({"verb": "v" * 65}, "verb: 65 characters"),
            ({"subject": "s" * 256}, "subject: 256 characters"),
            ({"reason": "\x00"}, r"reason: character U\+0000"),
            ({"reason": "\udc80"}, r"reason: character U\+DC80"),
            ({"details": {"text": "\udc80"}}, r"details: character U\+DC80"),
        ],
    )
    def test_what_cannot_be_kept_is_refused_with_its_name(
        self, engine: Engine, told: dict[str, Any], word: str
    ) -> None:
        usual = {"by": OPS, "verb": "entry.resume", "subject": "crm SO-1"}
        with pytest.raises(BadInput, match=word), writing(engine) as connection:
            record(connection, **usual | told)
        assert all_verbs(engine) == []

    def test_whoever_discards_several_dead_letters_and_whoever_settles_one_of_them_do_not_wait_for_each_other(
        self, postgres_url: str
    ) -> None:
        with engine_on(postgres_url) as engine, ThreadPoolExecutor(1) as pool:
            migrations.upgrade(engine)
            with writing(engine) as connection:
                connection.execute(
                    insert(dead_letters), [UNREADABLE | {"id": each, "body_hash": str(each)} for each in (1, 2)]
                )
            with writing(engine) as connection:
                connection.execute(update(dead_letters).where(dead_letters.c.id == 2).values(settled_by="ops.wang"))
                discarding = pool.submit(discard, engine, OPS, [1, 2], "a test")
                assert eventually(lambda: somebody_waits(engine))
                record(connection, OPS, "dead-letters.requeue", "dead letter 2")
            assert discarding.result(timeout=30) == [1, 2]

    def test_verbs_are_listed_newest_first_by_what_is_asked(self, engine: Engine) -> None:
        did(engine, "entry.resume", "1")
        did(engine, "entry.skip", "2")
        with writing(engine) as connection:
            record(connection, Operator("ops.wang"), "entry.resume", "3")
        with reading(engine) as connection:
            newest = listed(connection)
            asked = [
                listed(connection, verb="entry.resume"),
                listed(connection, actor="ops.li"),
                listed(connection, verb="entry.resume", actor="ops.li"),
                listed(connection, since=newest[1]["recorded_at"]),
                listed(connection, since=newest[0]["recorded_at"] + timedelta(microseconds=1)),
                listed(connection, limit=1),
            ]
        assert [[row["subject"] for row in rows] for rows in [newest, *asked]] == [
            ["3", "2", "1"],
            ["3", "1"],
            ["2", "1"],
            ["1"],
            ["3", "2"],
            [],
            ["3"],
        ]


def journey(engine: Engine, number: str, verbs: tuple[str, ...]) -> str:
    """An order that went so far, each step a transaction; its number."""
    with writing(engine) as connection:
        order_no = orders.create(connection, make_new_order(channel_order_no=number), ADMIN).order_no
    for verb in verbs:
        with writing(engine) as connection:
            orders.change(connection, order_no, verb, ADMIN)
    return order_no


def changes(number: str) -> Iterator[Changed]:
    """All versions of an order that goes to its end."""
    act = Act("import", Role.ADMIN, f"r-{number}", "全部历史", MOMENT)
    changed = orders.first(make_new_order(channel_order_no=number), act)
    yield changed
    for verb in JOURNEY:
        changed = orders.following(changed.order, verb, act)
        yield changed


def did(engine: Engine, verb: str, subject: str) -> None:
    """Somebody of operations did something."""
    with writing(engine) as connection:
        record(connection, OPS, verb, subject, reason="a test", details={"orders": 1})


def sealed(engine: Engine) -> Seal:
    """A seal over all there is; whatever is written afterwards comes after its cut."""
    with reading(engine) as connection:
        newest = connection.execute(select(func.max(order_history.c.recorded_at))).scalar()
        before = connection.execute(select(func.max(seals.c.cut))).scalar()
    # SQLite's clock has milliseconds.
    last = max([moment for moment in (newest, before) if moment] or [MOMENT]) + timedelta(milliseconds=2)
    assert eventually(lambda: present(engine) > last)
    made = seal(engine, margin_seconds=0)
    assert made is not None
    assert eventually(lambda: clock.utcnow() > made.cut + timedelta(milliseconds=2))
    return made


def present(engine: Engine) -> datetime:
    """The database's moment."""
    with reading(engine) as connection:
        return connection.execute(select(now())).scalar_one()


def tamper(world: World, *statements: Any) -> None:
    """Statements that the hub itself has not."""
    with writing(world.engine) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount


def of(world: World) -> Any:
    """The rows of the order that went to its end."""
    return order_history.c.order_no == world.order_no


def at(world: World, version: int) -> Any:
    """One of its rows."""
    return of(world) & (order_history.c.version == version)


def set_back(world: World, version: int, status: str) -> Any:
    """The order itself at another version."""
    here = orders_table.c.order_no == world.order_no
    return update(orders_table).where(here).values(version=version, status=status)


def rows_of(connection: Connection, order_no: str) -> list[dict[str, Any]]:
    """An order's history as it is stored."""
    query = select(order_history).where(order_history.c.order_no == order_no).order_by(order_history.c.version)
    return [dict(row) for row in connection.execute(query).mappings()]


def add_well_made(world: World) -> None:
    """A version that never was, in the window of the first seal, linked as the hub would have linked it."""
    with writing(world.engine) as connection:
        last = rows_of(connection, world.order_no)[-1]
        row = last | {"version": LAST + 1, "change": "created", "from_status": "", "to_status": "pending_payment"}
        connection.execute(insert(order_history).values(row | {"hash": link(last["hash"], row, HISTORY_FIELDS)}))


def link_anew(world: World) -> None:
    """The order's chain as somebody makes it who knows how the hub does."""
    with writing(world.engine) as connection:
        before = START
        for row in rows_of(connection, world.order_no):
            before = link(before, row, HISTORY_FIELDS)
            connection.execute(update(order_history).where(at(world, row["version"])).values(hash=before))


def seal_anew(world: World) -> None:
    """All seals as somebody makes them who knows how the hub does."""
    hashes = {row["number"]: row["hash"] for row in all_verbs(world.engine)}
    made: Seal | None = None
    with writing(world.engine) as connection:
        for kept in world.kept:
            found = window(connection, made.cut if made else None, kept.cut)
            made = following(made, kept.cut, found, (kept.verbs, hashes[kept.verbs]))
            connection.execute(update(seals).where(seals.c.number == made.number).values(asdict(made)))


def all_verbs(engine: Engine) -> list[dict[str, Any]]:
    """Every verb, newest first."""
    with reading(engine) as connection:
        return listed(connection)


def somebody_waits(engine: Engine) -> bool:
    """Whether a connection waits for a lock of another."""
    with reading(engine) as connection:
        return bool(connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one())


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Eight threads at the same work; what each returned."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(THREADS)))
