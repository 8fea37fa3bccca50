"""The pack of a month adds up, on both databases, and the command files it and says where."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import Engine, insert

from hub import wiring
from hub.database import reading, writing
from hub.errors import BadInput, NotFound
from hub.night_tables import findings, reconcile_runs, tickets
from hub.reconcile.report import monthly
from hub.reconcile.report.model import Amount
from hub.reconcile.report.month import Month
from tests.running import Machine

TZ = "Asia/Shanghai"
LATER = datetime(2024, 12, 24, 4, 0, tzinfo=UTC)
SYSTEMS = ("crm", "kingdee", "wms", "erp")


def at(day: str, clock: str = "02:30") -> datetime:
    """A moment on the clocks of Shanghai."""
    return datetime.fromisoformat(f"{day}T{clock}:00+08:00")


def yuan(fen: int) -> list[Amount]:
    return [Amount(currency="CNY", fen=fen)]


# day, scope, state, orders, people, healed. Of the second the last run counts; on the third only a part was compared.
RUNS = [
    ("2024-10-01", "everything", "incomplete", 3, 2, 0),
    ("2024-10-02", "everything", "differences", 9, 9, 9),
    ("2024-10-02", "everything", "clean", 0, 0, 1),
    ("2024-10-03", "systems crm", "differences", 5, 5, 5),
    ("2024-10-30", "everything", "differences", 2, 1, 0),
    ("2024-11-01", "everything", "clean", 0, 0, 0),
]
# system, order, kind, cause, owner, currency, fen, first seen, ended (state, when) and for whom it was accepted.
FINDINGS: list[tuple[Any, ...]] = [
    ("crm", "SO-1", "missing", "never_received", "it", "CNY", 1000, at("2024-10-02"), ("healed", at("2024-10-04")), ""),
    ("wms", "SO-1", "stale", "parked", "li", "CNY", 1000, at("2024-10-02"), None, ""),
    # Found before the month and settled in it.
    (
        "kingdee",
        "SO-2",
        "differs",
        "changed_by_hand",
        "finance",
        "CNY",
        2500,
        at("2024-09-30"),
        ("closed", at("2024-10-10")),
        "",
    ),
    ("erp", "SO-3", "extra", "extra", "purchasing", "USD", 700, at("2024-10-05"), None, "chen"),
    # The last night of the month reports on its last day; it ended in the next.
    ("crm", "SO-4", "missing", "parked", "service", "CNY", 40, at("2024-11-01"), ("closed", at("2024-11-03")), ""),
    (
        "erp",
        "SO-7",
        "extra",
        "extra",
        "purchasing",
        "USD",
        300,
        at("2024-10-06"),
        ("closed", at("2024-11-01", "06:00")),
        "chen",
    ),
    # Neither is of the month: the one comes a moment too late, the other ended a minute before.
    ("crm", "SO-5", "missing", "parked", "service", "CNY", 1, at("2024-11-01", "06:00"), None, ""),
    (
        "crm",
        "SO-6",
        "missing",
        "parked",
        "service",
        "CNY",
        1,
        at("2024-09-01"),
        ("closed", at("2024-10-01", "05:59")),
        "",
    ),
]
# finding's system and order, owner, opened, closed
TICKETS = [
    ("crm", "SO-1", "it", at("2024-10-02"), at("2024-10-04")),
    ("crm", "SO-1", "it", at("2024-09-02"), at("2024-09-04")),
    ("kingdee", "SO-2", "finance", at("2024-10-09", "16:30"), at("2024-10-10")),
    ("kingdee", "SO-2", "it", at("2024-10-01", "05:30"), at("2024-10-01", "06:00")),
    ("wms", "SO-1", "li", at("2024-10-02"), None),
    ("crm", "SO-4", "service", at("2024-11-01"), at("2024-11-03")),
]


@pytest.fixture
def lived(engine: Engine) -> Engine:
    """The hub's own database with an October in it."""
    fill(engine)
    return engine


def fill(engine: Engine) -> None:
    with writing(engine) as connection:
        for row in RUNS:
            connection.execute(insert(reconcile_runs).values(run_row(*row)))
        for row in FINDINGS:
            connection.execute(insert(findings).values(finding_row(*row)))
        for row in TICKETS:
            connection.execute(insert(tickets).values(ticket_row(*row)))


def run_row(day: str, scope: str, state: str, orders: int, people: int, healed: int) -> dict[str, Any]:
    amounts = [{"currency": "CNY", "fen": orders * 100}] if orders else []
    verdict = {"state": state, "orders": orders, "amounts": amounts, "people": people, "healed": healed}
    summary = json.dumps({"verdict": verdict, "systems": {name: {"state": "read"} for name in SYSTEMS}})
    ended = "incomplete" if state == "incomplete" else "finished"
    terms = {"day": day, "scope": scope, "heal": "on", "rules": "1", "actor": "hub", "state": ended}
    moment = at(day) + timedelta(days=1)
    return terms | {"cut": moment, "started_at": moment, "finished_at": moment, "summary": summary}


def finding_row(
    system: str,
    order_no: str,
    kind: str,
    cause: str,
    owner: str,
    currency: str,
    amount: int,
    first: datetime,
    ended: tuple[str, datetime] | None,
    accepted_by: str,
) -> dict[str, Any]:
    state, closed_at = ended or ("accepted" if accepted_by else "open", None)
    facts = {"channel": "jd" if currency == "CNY" else "taobao", "shop": "main", "channel_order_no": "1"}
    facts |= {"owner_group": "it", "oms_version": 1, "system_version": None, "fields": [], "evidence": {}}
    kept = {"accepted_by": "chen", "accepted_for": "a test order", "accepted_until": at("2025-01-01")}
    return {
        "key": key_of(system, order_no),
        "system": system,
        "order_no": order_no,
        "kind": kind,
        "cause": cause,
        "severity": "high" if cause == "parked" else "low",
        "owner": owner,
        "currency": currency,
        "amount": amount,
        "facts": json.dumps(facts),
        "state": state,
        "person": state == "open",
        "first_run": 1,
        "last_run": 1,
        "first_seen_at": first,
        "last_seen_at": closed_at or first,
        "last_day": "2024-10-30",
        "nights": 5 if owner == "li" else 1,
        "closed_at": closed_at,
        **(kept if accepted_by else dict.fromkeys(kept)),
    }


def ticket_row(system: str, order_no: str, owner: str, opened: datetime, closed: datetime | None) -> dict[str, Any]:
    row = {"finding": key_of(system, order_no), "severity": "high", "owner": owner, "due_at": opened}
    return row | {"opened_at": opened, "closed_at": closed}


def key_of(system: str, order_no: str) -> str:
    return f"F-{system}-{order_no}"


def built(engine: Engine, given: str = "2024-10", moment: datetime = LATER) -> Month:
    with reading(engine) as connection:
        return monthly.build(connection, given, moment, TZ)


class TestThePack:
    def test_has_every_day_with_the_last_full_run_of_it(self, lived: Engine) -> None:
        days = built(lived).days
        assert [day.day for day in days] == [f"2024-10-{number:02d}" for number in range(1, 32)]
        told = {day.day[-2:]: (day.state, day.orders, day.people, day.healed) for day in days if day.state}
        assert told == {"01": ("incomplete", 3, 2, 0), "02": ("clean", 0, 0, 1), "30": ("differences", 2, 1, 0)}
        assert [day.amounts for day in days if day.state] == [yuan(300), [], yuan(200)]

    def test_of_the_present_month_ends_with_the_last_run(self, lived: Engine) -> None:
        assert [day.day for day in built(lived, moment=at("2024-10-31", "23:00")).days][-1] == "2024-10-30"
        # Before six in the morning it is still the month before.
        assert len(built(lived, moment=at("2024-11-01", "05:59")).days) == 30
        assert len(built(lived, moment=at("2024-11-01", "06:00")).days) == 31

    def test_counts_what_each_cause_brought_and_what_became_of_it(self, lived: Engine) -> None:
        told = {each.cause: (each.found, each.settled, each.open, each.hours) for each in built(lived).causes}
        assert told == {
            "parked": (2, 0, 2, None),
            "extra": (2, 0, 0, None),
            "never_received": (1, 1, 0, 48.0),
            "changed_by_hand": (0, 1, 0, 240.0),
        }
        worth = {each.cause: each.amounts for each in built(lived).causes}
        assert worth["parked"] == yuan(1040)
        assert (worth["extra"], worth["changed_by_hand"]) == ([Amount(currency="USD", fen=1000)], [])
        found = [each.found for each in built(lived).causes]
        assert found == sorted(found, reverse=True)

    def test_says_how_long_tickets_took_the_slowest_first(self, lived: Engine) -> None:
        pack = built(lived)
        assert [(each.name, each.settled, each.hours) for each in pack.by_owner] == [
            ("it", 2, 24.25),
            ("finance", 1, 10.0),
            ("li", 0, None),
            ("service", 0, None),
        ]
        assert [(each.name, each.settled, each.hours) for each in pack.by_system] == [
            ("crm", 1, 48.0),
            ("kingdee", 2, 5.25),
            ("erp", 0, None),
            ("wms", 0, None),
        ]

    def test_names_where_it_comes_from(self, lived: Engine) -> None:
        pack = built(lived)
        assert [(each.name, each.found) for each in pack.systems] == [("crm", 2), ("erp", 2), ("wms", 1)]
        assert pack.systems[0].amounts == yuan(1040)
        # An order that is apart at two systems is worth what it is worth.
        assert [(each.name, each.found, each.amounts[0].fen) for each in pack.channels] == [
            ("jd", 3, 1040),
            ("taobao", 2, 1000),
        ]

    def test_lists_what_was_open_and_what_was_accepted_when_the_month_ended(self, lived: Engine) -> None:
        pack = built(lived)
        assert [(each.order_no, each.state) for each in pack.open_at_end] == [("SO-1", "open"), ("SO-4", "open")]
        assert [(each.order_no, each.state) for each in pack.accepted] == [("SO-3", "accepted"), ("SO-7", "accepted")]
        assert all(each.accepted and each.accepted.by == "chen" for each in pack.accepted)
        assert [(age.owner, age.nights_1, age.nights_4_7) for age in pack.ages] == [("li", 0, 1), ("service", 1, 0)]

    def test_may_be_made_before_anything_was_found(self, engine: Engine) -> None:
        with writing(engine) as connection:
            connection.execute(insert(reconcile_runs).values(run_row(*RUNS[2])))
        pack = built(engine)
        assert (pack.causes, pack.open_at_end, pack.by_owner, pack.systems) == ([], [], [], [])

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("october", "'october' is no month; write one such as 2026-10"),
            ("2024-13", "is no month"),
            ("2024-1", "is no month"),
            ("2024-10-01", "is no month"),
            ("２０２４-10", "is no month"),
            ("", "is no month"),
            ("2025-01", "2025-01 lies ahead; the present month is 2024-12"),
            ("9999-12", "lies ahead"),
        ],
    )
    def test_is_refused_for_what_is_no_month_or_lies_ahead(self, lived: Engine, given: str, said: str) -> None:
        with pytest.raises(BadInput, match=said):
            built(lived, given)

    @pytest.mark.parametrize("given", ["2024-09", "2024-12", "0001-01"])
    def test_is_not_there_for_a_month_without_a_run(self, lived: Engine, given: str) -> None:
        with pytest.raises(NotFound, match=f"no full run of {given} is over; .*hub reconcile run"):
            built(lived, given)


class TestTheCommand:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Machine:
        machine = Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path / "data")}).prepared()
        with wiring.hub_engine(machine.settings, "test") as engine:
            fill(engine)
        return machine

    def test_files_every_form_and_prints_where(self, machine: Machine) -> None:
        place = machine.settings.reports_dir / "months" / "2024-10"
        names = ["month.en.html", "month.en.xlsx", "month.json", "month.zh.html", "month.zh.xlsx"]
        assert machine.must("reconcile", "month", "2024-10").splitlines() == [str(place / name) for name in names]
        assert sorted(path.name for path in place.iterdir()) == names
        assert "2024-10 对账 3 天" in (place / "month.zh.html").read_text("utf-8")
        assert load_workbook(place / "month.en.xlsx").sheetnames[0] == "Review"
        assert "months/2024-10/month.zh.html" in (place.parents[1] / "index.html").read_text("utf-8")

    def test_names_the_files_of_one_language_or_prints_the_pack_itself(self, machine: Machine) -> None:
        shown = machine.must("reconcile", "month", "2024-10", "--locale", "zh").splitlines()
        assert [Path(line).name for line in shown] == ["month.json", "month.zh.html", "month.zh.xlsx"]
        printed = Month.model_validate_json(machine.must("reconcile", "month", "2024-10", "--json"))
        filed = Month.model_validate_json(Path(shown[0]).read_text("utf-8"))
        assert filed == printed

    @pytest.mark.parametrize(
        ("given", "code", "said"),
        [("soon", 65, "hub: MONTH: 'soon' is no month"), ("2024-09", 4, "hub: no full run of 2024-09 is over")],
    )
    def test_says_in_one_line_what_is_wrong(self, machine: Machine, given: str, code: int, said: str) -> None:
        done = machine.hub("reconcile", "month", given)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)
        assert done.stderr.startswith(said)
