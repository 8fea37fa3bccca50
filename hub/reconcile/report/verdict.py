"""The one sentence of a report, and the light beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hub.reconcile.report.model import Coverage, Finding, Report
from hub.reconcile.report.voice import Voice

Light = Literal["clean", "partly", "differences", "incomplete"]


def light(report: Report) -> Light:
    """The state that is shown. Whatever the verdict says, a system that was not read is no green light.

    Where nothing differs and a system was only asked for some orders, not all is equal.
    """
    if unread(report):
        return "incomplete"
    return "partly" if report.verdict.state == "clean" and asked(report) else report.verdict.state


def unread(report: Report) -> list[str]:
    """Systems of which nothing is known."""
    failed = [each.system for each in report.coverage if each.state == "failed"]
    return list(dict.fromkeys([*report.verdict.unread, *failed]))


def asked(report: Report) -> list[Coverage]:
    """Systems that list no orders, and were asked for some of the OMS's."""
    return [each for each in report.coverage if each.asked_since is not None and each.state == "read"]


def sentence(voice: Voice, report: Report) -> str:
    """The verdict in one sentence."""
    state = light(report)
    if state != "incomplete":
        return voice.say(f"verdict.{state}", **_figures(voice, report))
    missing = voice.systems(unread(report))
    key = "verdict.incomplete" if missing else "verdict.incomplete_plain"
    return voice.say(key, day=report.run.day, **({"unread": missing} if missing else {}))


def more(voice: Voice, report: Report) -> list[str]:
    """What else belongs to the verdict, each in a few words."""
    before = _compared_with_before(voice, report)
    return [*_so_far(voice, report), *not_compared(voice, report), *before, *_counted(voice, report)]


def not_compared(voice: Voice, report: Report) -> list[str]:
    """Of each system that was only asked for some orders, which ones; the others are not compared."""
    return [
        voice.say(
            "verdict.asked", system=voice.name("system", each.system), n=voice.count(each.oms_orders), since=since
        )
        for each in asked(report)
        if (since := voice.moment(each.asked_since))
    ]


def todo(report: Report) -> list[Finding]:
    """The findings to do today, in their order."""
    by_key = {finding.key: finding for finding in report.findings}
    return [by_key[key] for key in report.todo]


def _figures(voice: Voice, report: Report) -> dict[str, str]:
    verdict = report.verdict
    return {
        "day": report.run.day,
        "systems": voice.systems(each.system for each in asked(report)),
        "compared": voice.count(verdict.compared),
        "orders": voice.count(verdict.orders),
        "amounts": voice.amounts(verdict.amounts),
        "people": voice.count(verdict.people),
    }


def _so_far(voice: Voice, report: Report) -> Iterator[str]:
    if light(report) == "incomplete":
        yield voice.say("verdict.so_far", **_figures(voice, report)).rstrip("。.")


def _compared_with_before(voice: Voice, report: Report) -> Iterator[str]:
    before = report.verdict.before
    if before is None or light(report) == "incomplete":
        return
    change = report.verdict.orders - before.orders
    key = "same" if change == 0 else "more" if change > 0 else "fewer"
    when = voice.say("verdict.same_day" if before.day == report.run.day else "verdict.on_day", day=before.day)
    yield voice.say(f"verdict.{key}", when=when, n=voice.count(abs(change)))


def _counted(voice: Voice, report: Report) -> Iterator[str]:
    verdict = report.verdict
    counts = {"healing": verdict.healing, "healed": verdict.healed, "unexplained": verdict.unexplained}
    for name, number in (counts | {"accepted": report.quality.accepted}).items():
        if number:
            yield voice.say(f"verdict.{name}", n=voice.count(number))
