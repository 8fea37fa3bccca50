"""A made-up month of comparisons."""

from datetime import timedelta

from hub.reconcile.causes import Cause, Owner
from hub.reconcile.report.model import Acceptance, Amount
from hub.reconcile.report.month import CauseOfMonth, DayOfMonth, Month, Offender, Settling
from tests.reports import CUT, SHOPS, SYSTEMS, ages, make_finding, sums


def make_month(days: int = 30) -> Month:
    """November 2026: two incomplete nights, two without a run, something open and something accepted at its end."""
    findings = [make_finding(cause, index) for index, cause in enumerate(Cause)]
    kept = Acceptance(by="陈静", reason="测试单，月底统一作废", until=CUT + timedelta(days=8))
    return Month(
        month="2026-11",
        tz="Asia/Shanghai",
        made_at=CUT + timedelta(days=8),
        days=[_day_of_month(number) for number in range(1, days + 1)],
        causes=[_cause_of_month(cause, 40 - 2 * index) for index, cause in enumerate(Cause)],
        by_owner=[Settling(name=str(owner), settled=12, hours=3.5 * n) for n, owner in enumerate(Owner, start=1)],
        by_system=[Settling(name=name, settled=n, hours=26.25 if n else None) for n, name in enumerate(SYSTEMS)],
        systems=[Offender(name=name, found=40 - n, amounts=sums(findings)) for n, name in enumerate(SYSTEMS)],
        channels=[Offender(name=name, found=30 - n, amounts=sums(findings)) for n, name in enumerate(SHOPS)],
        ages=ages(findings),
        open_at_end=findings,
        accepted=[make_finding(Cause.EXTRA, 23, state="accepted", needs_person=False, accepted=kept)],
    )


def _day_of_month(number: int) -> DayOfMonth:
    state = {5: None, 6: None, 11: "incomplete", 12: "incomplete"}.get(number, "differences" if number % 3 else "clean")
    orders = 0 if state in {None, "clean"} else 5 + number * 7 % 23
    amounts = [Amount(currency="CNY", fen=orders * 18_850)] if orders else []
    return DayOfMonth(
        day=f"2026-11-{number:02d}", state=state, orders=orders, amounts=amounts, people=orders // 3, healed=orders // 2
    )


def _cause_of_month(cause: Cause, found: int) -> CauseOfMonth:
    amounts = [Amount(currency="CNY", fen=found * 12_345)]
    return CauseOfMonth(cause=cause, found=found, settled=found - 1, open=1, amounts=amounts, hours=found / 3)
