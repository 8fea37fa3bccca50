"""Rows that a company's own OMS wrote become orders, each version once, and a bad one costs no other order anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from hub import groups, running
from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.audit.verify import verify
from hub.database import in_seconds, is_postgres, reading, writing
from hub.errors import DependencyDown, NotFound
from hub.night_tables import notices
from hub.oms import orders, writer
from hub.oms.intake import Refusal
from hub.oms.own_rows import Reason
from hub.oms.writer import Writer
from hub.operations import intake as operations
from hub.own_tables import oms_outbox
from hub.producers.intake import Intake
from hub.schemas.order import Order, Status
from hub.schemas.registry import decode
from hub.tables import orders as order_table
from tests.builders import make_new_order
from tests.own_oms import CUP, PERSON, TEA, committed, content, insert, life, refusals, rows
from tests.support import ADMIN, count, pending, settings


@pytest.fixture(autouse=True)
def _appointed(engine: Engine) -> None:
    writer.appoint(engine, Writer.OWN)


class Told:
    """Who is told of refused rows."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []

    def __call__(self, _connection: Any, found: Sequence[Refusal]) -> None:
        self.refusals += found


@pytest.fixture
def told() -> Told:
    return Told()


def taken(engine: Engine, told: Told | None = None) -> int:
    """Let an intake take whatever it can; how many steps found something."""
    intake = Intake(engine, groups.Oms(writer="own"), told or Told())
    steps = 0
    while intake.step():
        steps += 1
    return steps


def present(engine: Engine, order_no: str = "E1001") -> Order:
    with reading(engine) as connection:
        return orders.load(connection, order_no)


def events(engine: Engine) -> list[tuple[str, int, str]]:
    """(order, version, change) of what waits to be published."""
    with reading(engine) as connection:
        found = [decode(row.body.encode()) for row in pending(connection)]
    return [(event.subject, event.order.version, str(event.data.change)) for event in found]


class TestAnOrder:
    def test_a_row_becomes_an_order_with_its_history_and_its_event(self, engine: Engine) -> None:
        committed(engine, "E1001", occurred_at="2026-11-01T10:56:00+08:00")
        taken(engine)
        order = present(engine)
        assert (order.version, order.status, order.total) == (1, Status.PENDING_PAYMENT, 33600)
        assert order.placed_at.isoformat() == "2026-11-01T02:56:00+00:00"
        assert order.receiver is not None
        assert order.receiver.name == PERSON["name"]
        assert events(engine) == [("E1001", 1, "created")]
        assert rows(engine) == []
        with reading(engine) as connection:
            (step,) = orders.history(connection, "E1001")
        assert (step.actor, step.role, step.change) == ("own-oms", "admin", "created")

    def test_a_row_of_a_transaction_that_was_rolled_back_leaves_nothing(self, engine: Engine) -> None:
        with engine.connect() as connection:
            insert(connection)
            connection.rollback()
        assert taken(engine) == 0
        assert count(engine, order_table) == 0

    def test_versions_are_taken_in_their_order_whatever_order_they_came_in(self, engine: Engine) -> None:
        for version, change in ((3, "picking"), (2, "paid"), (1, "created")):
            committed(engine, "E1001", version, change)
        taken(engine)
        assert events(engine) == [("E1001", 1, "created"), ("E1001", 2, "paid"), ("E1001", 3, "picking")]
        assert verify(engine) == []

    def test_what_the_oms_edits_is_replaced_and_the_rest_stays(self, engine: Engine) -> None:
        committed(engine, "E1001", occurred_at="2026-11-01T10:56:00+08:00", lines=[TEA, CUP])
        taken(engine)
        before = present(engine)
        moved = PERSON | {"address": "南京东路 1 号"}
        committed(engine, "E1001", 2, "paid", receiver=moved, lines=[CUP | {"quantity": 3}], customer_id="C2", vip=True)
        taken(engine)
        after = present(engine)
        assert after.receiver is not None
        assert (after.receiver.address, after.customer_id, after.vip) == ("南京东路 1 号", "C2", True)
        assert [(line.sku, line.quantity) for line in after.lines] == [("CUP-1", 3)]
        assert (after.total, after.placed_at) == (17700, before.placed_at)
        assert verify(engine) == []


class TestABadRow:
    @pytest.mark.parametrize(
        ("row", "reason", "detail"),
        [
            pytest.param({"body": {"lines": [TEA]}}, "invalid", "channel: Field required", id="a field is missing"),
            pytest.param(
                {"lines": [TEA | {"quantity": 0}]}, "invalid", "lines.0.quantity: Input should", id="no pieces"
            ),
            pytest.param({"lines": [TEA | {"unit_price": 1.5}]}, "invalid", "lines.0.unit_price: ", id="half a fen"),
            pytest.param({"status": "paid"}, "invalid", "status: Extra inputs", id="a field that nobody knows"),
            pytest.param({"channel": "Taobao"}, "invalid", "channel: String should match", id="a channel in capitals"),
            pytest.param({"receiver": {"name": "张"}}, "invalid", "receiver.phone: Field required", id="no phone"),
            pytest.param({"note": "a\x07b"}, "invalid", "note: character U+0007", id="a bell"),
        ],
    )
    def test_a_row_that_cannot_be_taken_is_kept_with_reason_and_field_and_costs_no_other_order_anything(
        self, engine: Engine, told: Told, row: dict[str, Any], reason: str, detail: str
    ) -> None:
        for number in ("E1", "E2", "E3"):
            committed(engine, number, **(row if number == "E2" else {}))
        committed(engine, "E2", 2, "paid")
        taken(engine, told)
        assert [number for number, _, _ in events(engine)] == ["E1", "E3"]
        assert refusals(engine) == [("E2", 1, reason)]
        (kept, behind) = rows(engine)
        assert kept["refused_detail"].startswith(detail)
        assert (kept["attempts"], behind["refused_reason"]) == (1, None)
        assert [(each.order_no, each.reason) for each in told.refusals] == [("E2", reason)]

    def test_a_step_that_the_table_does_not_have_is_named_with_its_from_and_to(self, engine: Engine) -> None:
        life(engine, "E1", "created", "shipped")
        taken(engine)
        assert refusals(engine) == [("E1", 2, "step")]
        told = "change: shipped leads from picking to shipped, and this order is pending_payment"
        assert rows(engine)[0]["refused_detail"] == told

    @pytest.mark.parametrize("field", ["channel", "shop", "channel_order_no", "currency"])
    def test_what_an_order_is_known_by_stays(self, engine: Engine, field: str) -> None:
        committed(engine, "E1")
        committed(engine, "E1", 2, "paid", **{field: "USD" if field == "currency" else "other"})
        taken(engine)
        assert refusals(engine) == [("E1", 2, "fixed")]
        assert rows(engine)[0]["refused_detail"].startswith(f"{field}: is ")

    @pytest.mark.parametrize("together", [True, False])
    def test_a_shops_number_belongs_to_one_order(self, engine: Engine, together: bool) -> None:
        committed(engine, "E1", channel_order_no="T-7")
        if not together:
            taken(engine)
        committed(engine, "E2", channel_order_no="T-7")
        committed(engine, "E3")
        taken(engine)
        assert refusals(engine) == [("E2", 1, "taken")]
        assert "is order E1" in rows(engine)[0]["refused_detail"]
        assert {number for number, _, _ in events(engine)} == {"E1", "E3"}

    def test_a_row_that_its_oms_corrects_is_taken_and_those_behind_it(self, engine: Engine) -> None:
        committed(engine, "E1", lines=[TEA | {"quantity": 0}])
        committed(engine, "E1", 2, "paid")
        taken(engine)
        assert refusals(engine) == [("E1", 1, "invalid")]
        corrected(engine, "E1", 1, lines=[TEA])
        taken(engine)
        assert rows(engine) == []
        assert events(engine) == [("E1", 1, "created"), ("E1", 2, "paid")]

    def test_a_correction_that_is_wrong_too_is_refused_again(self, engine: Engine) -> None:
        committed(engine, "E1", lines=[TEA | {"quantity": 0}])
        taken(engine)
        corrected(engine, "E1", 1, channel="T B")
        taken(engine)
        (row,) = rows(engine)
        assert (row["refused_reason"], row["attempts"]) == ("invalid", 2)
        assert row["refused_detail"].startswith("channel: ")

    def test_a_refused_row_costs_nothing_at_the_next_look(self, engine: Engine, told: Told) -> None:
        committed(engine, "E1", channel="T B")
        taken(engine, told)
        taken(engine, told)
        assert len(told.refusals) == 1

    def test_what_the_database_will_not_have_is_refused_alone(self, engine: Engine, told: Told) -> None:
        for number in ("E1", "E2", "E3"):
            committed(engine, number)
        # Somebody wrote that version's event by hand: whoever writes it next runs into a unique key.
        with writing(engine) as connection:
            connection.execute(text(EVENT_IN_THE_WAY), {"moment": "2026-11-01T00:00:00.000000+00:00"})
        taken(engine, told)
        assert refusals(engine) == [("E2", 1, "unwritable")]
        assert [each.reason for each in told.refusals] == ["unwritable"]
        assert {number for number, _, change in events_but(engine, "E2")} == {"E1", "E3"}
        with writing(engine) as connection:
            connection.execute(text("DELETE FROM outbox WHERE order_no = 'E2'"))
        freed(engine)
        taken(engine)
        assert rows(engine) == []

    def test_a_key_that_may_be_somebody_is_not_repeated_though_another_begins_alike(self, engine: Engine) -> None:
        committed(engine, "E1", **{"张": 1, "张伟 13800138000": 1})
        taken(engine)
        (row,) = rows(engine)
        assert row["refused_detail"].startswith("a key: Extra inputs")
        assert "伟" not in row["refused_detail"]
        assert "13800138000" not in row["refused_detail"]

    def test_a_row_that_its_oms_corrects_while_it_is_tried_alone_keeps_no_refusal(
        self, engine: Engine, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        committed(engine, "E2")
        with writing(engine) as connection:
            connection.execute(text(EVENT_IN_THE_WAY), {"moment": "2026-11-01T00:00:00.000000+00:00"})
        take = Intake._take

        def corrected_meanwhile(intake: Intake, limit: int, only: int | None = None) -> Any:
            try:
                return take(intake, limit, only)
            finally:
                if only is not None:
                    corrected(engine, "E2", 1, customer_id="C2")

        monkeypatch.setattr(Intake, "_take", corrected_meanwhile)
        Intake(engine, groups.Oms(writer="own"), told).step()
        assert refusals(engine) == []
        assert told.refusals == []


class TestTheSameVersionAgain:
    def test_a_version_that_comes_again_as_it_was_changes_nothing(self, engine: Engine, told: Told) -> None:
        life(engine, "E1", "created", "paid")
        taken(engine)
        life(engine, "E1", "created", "paid")
        taken(engine, told)
        assert rows(engine) == []
        assert told.refusals == []
        assert events(engine) == [("E1", 1, "created"), ("E1", 2, "paid")]

    @pytest.mark.parametrize("version", [1, 2])
    @pytest.mark.parametrize("other", [{"customer_id": "C9"}, {"lines": [CUP]}, {"receiver": None}])
    def test_a_version_that_comes_again_with_other_content_is_a_conflict(
        self, engine: Engine, version: int, other: dict[str, Any]
    ) -> None:
        life(engine, "E1", "created", "paid")
        taken(engine)
        committed(engine, "E1", version, ("created", "paid")[version - 1], **other)
        committed(engine, "E1", 3, "picking")
        taken(engine)
        assert refusals(engine) == [("E1", version, "conflict")]
        assert f"has version {version} with other content; its next one is 3" in rows(engine)[0]["refused_detail"]
        assert present(engine, "E1").version == 3

    def test_a_version_that_comes_again_with_another_change_is_a_conflict(self, engine: Engine) -> None:
        life(engine, "E1", "created", "paid")
        taken(engine)
        committed(engine, "E1", 2, "cancelled", reason="the buyer")
        taken(engine)
        assert refusals(engine) == [("E1", 2, "conflict")]

    def test_a_version_that_the_hub_wrote_itself_before_is_a_conflict(self, engine: Engine) -> None:
        writer.appoint(engine, Writer.HUB)
        with writing(engine) as connection:
            order = orders.create(connection, make_new_order(), ADMIN)
        writer.appoint(engine, Writer.OWN)
        committed(engine, order.order_no, 1, body=make_new_order().model_dump(mode="json"))
        committed(engine, order.order_no, 2, "paid", body=make_new_order().model_dump(mode="json"))
        taken(engine)
        assert refusals(engine) == [(order.order_no, 1, "conflict")]
        assert present(engine, order.order_no).version == 2


class TestAMissingVersion:
    def test_a_row_waits_for_the_version_before_it(self, engine: Engine) -> None:
        committed(engine, "E1", 2, "paid")
        taken(engine)
        assert refusals(engine) == []
        committed(engine, "E1")
        taken(engine)
        assert events(engine) == [("E1", 1, "created"), ("E1", 2, "paid")]

    def test_after_a_while_it_is_refused_and_goes_on_by_itself_when_that_version_comes(
        self, engine: Engine, told: Told
    ) -> None:
        life(engine, "E1", "created", "paid")
        committed(engine, "E1", 4, "shipped")
        committed(engine, "E1", 5, "completed")
        committed(engine, "E2")
        aged(engine)
        taken(engine, told)
        taken(engine, told)
        assert refusals(engine) == [("E1", 4, "gap")]
        assert [each.detail for each in told.refusals] == ["version: 3 has not come; insert it"]
        committed(engine, "E1", 3, "picking")
        taken(engine)
        assert rows(engine) == []
        assert present(engine, "E1").version == 5

    def test_it_goes_on_at_once_and_not_when_gaps_are_looked_for(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        committed(engine, "E1", 2, "paid")
        aged(engine)
        taken(engine)
        assert refusals(engine) == [("E1", 2, "gap")]
        monkeypatch.setattr(Intake, "_look_around", lambda _self: None)
        committed(engine, "E1")
        taken(engine)
        assert rows(engine) == []

    def test_an_order_whose_earlier_version_is_refused_has_no_gap(self, engine: Engine) -> None:
        committed(engine, "E1", channel="T B")
        committed(engine, "E1", 2, "paid")
        taken(engine)
        aged(engine)
        taken(engine)
        assert refusals(engine) == [("E1", 1, "invalid")]

    def test_a_gap_that_is_filled_by_a_bad_row_is_no_gap_any_more(self, engine: Engine) -> None:
        committed(engine, "E1", 2, "paid")
        aged(engine)
        taken(engine)
        assert refusals(engine) == [("E1", 2, "gap")]
        committed(engine, "E1", channel="T B")
        taken(engine)
        taken(engine)
        assert refusals(engine) == [("E1", 1, "invalid")]

    def test_nobody_waits_for_whoever_corrects_a_row_behind_a_gap(self, engine: Engine, told: Told) -> None:
        if not is_postgres(engine):
            pytest.skip("SQLite locks the whole file")
        committed(engine, "E1", 2, "paid")
        committed(engine, "E2", 2, "paid")
        aged(engine)
        with engine.connect() as theirs:
            theirs.execute(text("UPDATE oms_outbox SET version = 3 WHERE order_no = 'E1'"))
            taken(engine, told)
            assert refusals(engine) == [("E2", 2, "gap")]
            theirs.rollback()
        taken(engine, told)
        assert [each.order_no for each in told.refusals] == ["E2", "E1"]

    def test_a_look_for_gaps_that_takes_long_or_fails_keeps_no_rows_waiting(
        self, engine: Engine, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moments = [0.0]

        def out_of_time(*_: Any) -> None:
            moments[0] += 30
            raise DependencyDown("database: canceling statement due to statement timeout")

        monkeypatch.setattr("hub.clock.monotonic", lambda: moments[0])
        monkeypatch.setattr("hub.oms.intake.look_for_gaps", out_of_time)
        life(engine, "E1", "created", "paid")
        intake = Intake(engine, groups.Oms(writer="own", batch=1), told)
        with pytest.raises(DependencyDown):
            intake.step()
        for _ in range(2):
            moments[0] += 10
            assert intake.step()
        assert rows(engine) == []


class TestTheTable:
    @pytest.mark.parametrize(
        ("row", "check"),
        [
            ({"order_no": "张-1"}, "order_no"),
            ({"order_no": "E 1"}, "order_no"),
            ({"order_no": "E1\n"}, "order_no"),
            ({"order_no": ""}, "order_no"),
            ({"version": 0, "change": "paid"}, "version"),
            ({"version": 2}, "first"),
            ({"change": "paid"}, "first"),
            ({"version": 2, "change": "flown"}, "change"),
            ({"version": 2, "change": "cancelled"}, "reason"),
            ({"version": 2, "change": "refunded", "reason": "  "}, "reason"),
            ({"reason": "x" * 1025}, "reason_length"),
            ({"body": "[]"}, "body"),
            ({"body": '"order"'}, "body"),
            ({"body": "{}"}, "lines"),
            ({"lines": []}, "lines"),
            ({"lines": {}}, "lines"),
            ({"lines": "TEA"}, "lines"),
            ({"note": "茶" * 90_000}, "body_length"),
        ],
    )
    def test_what_is_plainly_wrong_is_refused_in_the_transaction_of_whoever_inserts_it(
        self, engine: Engine, row: dict[str, Any], check: str
    ) -> None:
        with pytest.raises(IntegrityError, match=f"ck_oms_outbox_{check}\\b"):
            committed(engine, **row)
        assert rows(engine) == []

    @pytest.mark.parametrize("body", ["", "{", "nonsense", "{'lines': []}", '{"lines":[NaN]}'])
    def test_what_is_no_json_is_refused_too(self, engine: Engine, body: str) -> None:
        # SQLite says of it what it says of a broken file.
        with pytest.raises((DBAPIError, DependencyDown), match=r"JSON|json"):
            committed(engine, body=body)

    def test_a_version_stands_there_once(self, engine: Engine) -> None:
        committed(engine)
        with pytest.raises(IntegrityError, match=r"unique|UNIQUE"):
            committed(engine)

    def test_the_codes_for_refusals_fit_their_column(self) -> None:
        assert all(len(reason) <= oms_outbox.c.refused_reason.type.length for reason in Reason)


class TestWhatAPersonDoes:
    def test_a_row_is_listed_with_its_state(self, engine: Engine) -> None:
        committed(engine, "E1", channel="T B")
        committed(engine, "E1", 2, "paid")
        taken(engine)
        committed(engine, "E2")
        states = [(row["order_no"], row["version"], row["state"]) for row in listed(engine)]
        assert states == [("E1", 1, "refused"), ("E1", 2, "behind"), ("E2", 1, "waiting")]
        assert [row["order_no"] for row in listed(engine, reason="invalid")] == ["E1"]
        assert [row["version"] for row in listed(engine, order_no="E1")] == [1, 2]

    def test_a_body_is_shown_without_who_it_is_for_and_whole_only_with_a_row_in_the_audit(self, engine: Engine) -> None:
        committed(engine, "E1", channel="T B", note="13900139000")
        number = listed(engine)[0]["id"]
        masked = operations.show(engine, LENA, number, with_body=False)["body"]
        assert not [value for value in (*PERSON.values(), "13900139000", "明前龙井") if value in masked]
        assert "TEA-250" in masked
        assert verbs(engine) == []
        assert PERSON["phone"] in operations.show(engine, LENA, number, with_body=True)["body"]
        assert verbs(engine) == [("lena", "intake.read", f"row {number}")]

    def test_retry_frees_the_orders_named_or_all(self, engine: Engine) -> None:
        for number in ("E1", "E2", "E3"):
            committed(engine, number, channel="T B")
        taken(engine)
        assert operations.retry(engine, LENA, ["E2"], "the settings changed") == ["E2"]
        assert [number for number, _, _ in refusals(engine)] == ["E1", "E3"]
        with pytest.raises(NotFound, match="no row is refused of E2"):
            operations.retry(engine, LENA, ["E1", "E2"], None)
        assert operations.retry(engine, LENA, None, None) == ["E1", "E3"]
        taken(engine)
        assert [row["attempts"] for row in rows(engine)] == [2, 2, 2]
        assert [verb for _, verb, _ in verbs(engine)] == ["intake.retry", "intake.retry"]

    def test_discard_takes_refused_rows_away_and_no_other(self, engine: Engine) -> None:
        committed(engine, "E1", channel="T B")
        taken(engine)
        committed(engine, "E2")
        bad, good = (row["id"] for row in listed(engine))
        with pytest.raises(NotFound, match=f"no refused row {good}"):
            operations.discard(engine, LENA, [bad, good], "sent twice")
        assert operations.discard(engine, LENA, [bad], "sent twice") == [bad]
        assert [row["order_no"] for row in rows(engine)] == ["E2"]
        assert verbs(engine) == [("lena", "intake.discard", f"row {bad}")]
        assert verify(engine) == []


class TestWhoIsTold:
    @pytest.mark.parametrize(("locale", "title"), [("en", "Rows of the OMS were refused: 7 (invalid)"), ("zh", "7 行")])
    def test_one_card_an_hour_for_each_reason_without_who_it_is_about(
        self, engine: Engine, locale: str, title: str
    ) -> None:
        tell = running.told_by_card(settings(HUB_LOCALE=locale, HUB_NOTIFY__WECOM__URL=ROBOT))
        intake = Intake(engine, groups.Oms(writer="own"), tell)
        for number in range(7):
            committed(engine, f"E{number}", channel="T B")
        committed(engine, "E9")
        committed(engine, "E9", 2, "shipped")
        while intake.step():
            pass
        committed(engine, "E8", channel="T B")
        while intake.step():
            pass
        with reading(engine) as connection:
            told = connection.execute(select(notices.c.key, notices.c.card).order_by(notices.c.key)).all()
        assert {key.rpartition("/")[0] for key, _ in told} == {"intake/invalid", "intake/step"}
        card = json.loads(told[0].card)
        assert title in card["title"]
        assert len(card["lines"]) == 7
        assert not [value for value in PERSON.values() if value in told[0].card]


ROBOT = "http://127.0.0.1:9/cgi-bin/webhook/send?key=test"
LENA = Operator("lena", "operator")

EVENT_IN_THE_WAY = """
    INSERT INTO outbox (event_id, order_no, version, slot, type, routing_key, traceparent, body,
                        occurred_at, recorded_at)
    VALUES ('in-the-way', 'E2', 1, 0, 'com.orderhub.order.created.v1', 'order.created.taobao', '', '{}',
            :moment, :moment)
"""


def corrected(engine: Engine, order_no: str, version: int, **fields: Any) -> None:
    """What the company's OMS does to a row that was refused."""
    body = json.dumps(content(order_no, **fields), ensure_ascii=False)
    place = "CAST(:body AS jsonb)" if is_postgres(engine) else ":body"
    with writing(engine) as connection:
        update = text(f"UPDATE oms_outbox SET body = {place} WHERE order_no = :number AND version = :version")
        assert connection.execute(update, {"body": body, "number": order_no, "version": version}).rowcount == 1


def aged(engine: Engine) -> None:
    """Let an hour go by for everything that waits."""
    with writing(engine) as connection:
        connection.execute(oms_outbox.update().values(recorded_at=in_seconds(-3600)))


def freed(engine: Engine) -> None:
    """Let everything be tried again."""
    operations.retry(engine, Operator("ops", "operator"), None, None)


def events_but(engine: Engine, order_no: str) -> list[tuple[str, int, str]]:
    """What waits to be published, without one order."""
    with reading(engine) as connection:
        waiting = [row for row in pending(connection) if row.order_no != order_no]
    return [(row.order_no, row.version, row.type) for row in waiting]


def listed(engine: Engine, **which: str) -> list[dict[str, Any]]:
    """What `hub intake list` lists."""
    with reading(engine) as connection:
        return operations.listed(connection, 100, **which)


def verbs(engine: Engine) -> list[tuple[str, str, str]]:
    """(actor, verb, subject) of what the audit holds."""
    with reading(engine) as connection:
        return [(row["actor"], row["verb"], row["subject"]) for row in audit.listed(connection)]
