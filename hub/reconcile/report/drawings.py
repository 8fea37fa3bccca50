"""Small drawings as inline SVG. Everything in them is a number or an escaped word."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from hub.reconcile.report.model import Age
from hub.reconcile.report.voice import Voice

AGES = ("nights_1", "nights_2_3", "nights_4_7", "nights_over_7")

_BAR, _GAP, _HEIGHT = 6, 3, 22
_ICONS = {
    "clean": '<circle cx="12" cy="12" r="11"/><path d="M6.5 12.5l3.6 3.6 7.4-8"/>',
    "partly": '<circle cx="12" cy="12" r="11"/><path d="M7 12h10"/>',
    "differences": '<path d="M12 1.5L23 21.5H1z"/><path d="M12 9v6M12 18v.6"/>',
    "incomplete": '<path d="M7.5 1h9L23 7.5v9L16.5 23h-9L1 16.5v-9z"/><path d="M8 8l8 8M16 8l-8 8"/>',
}


def icon(state: str) -> Markup:
    """A light that can be told by its shape: tick or bar in a circle, mark in a triangle, cross in an octagon."""
    return Markup('<svg class="icon {}" viewBox="0 0 24 24" aria-hidden="true">{}</svg>').format(
        state,
        Markup(_ICONS[state]),  # noqa: S704 - our own drawing
    )


def sparkline(voice: Voice, trend: Sequence[int | None]) -> Markup:
    """One bar a day, the last one marked; a day without a run is hollow and on the line."""
    days = ", ".join(voice.say("matrix.no_run") if value is None else voice.count(value) for value in trend)
    width = len(trend) * (_BAR + _GAP)
    most = max((value for value in trend if value is not None), default=0) or 1
    bars = Markup("").join(_day(index, value, most, index == len(trend) - 1) for index, value in enumerate(trend))
    label = voice.say("matrix.trend", days=days)
    return _svg("spark", width, _HEIGHT, label, bars)


def ages(voice: Voice, age: Age, most: int) -> Markup:
    """A stacked bar whose full width stands for the owner who has most."""
    total = sum(getattr(age, name) for name in AGES)
    parts = [f"{voice.say(f'age.{name}')} {voice.count(getattr(age, name))}" for name in AGES]
    segments, left = Markup(""), 0.0
    for index, name in enumerate(AGES):
        width = 100 * getattr(age, name) / max(most, 1)
        segments += _segment(index, left, width)
        left += width
    label = f"{voice.count(total)}: {', '.join(parts)}"
    return _svg("stack", 100, 10, label, segments, stretch=True)


def columns(voice: Voice, values: Sequence[tuple[str, int | None]]) -> Markup:
    """One column for each day of a month; a day without a run is hollow."""
    most = max((value for _, value in values if value is not None), default=0) or 1
    step, height = 20, 80
    drawn = Markup("")
    for index, (day, value) in enumerate(values):
        drawn += _column(index * step, step - 5, height, value, most) + _under(index * step + 7.5, height + 9, day)
    label = ", ".join(f"{day[-2:]}: {'–' if value is None else voice.count(value)}" for day, value in values)
    return _svg("month", len(values) * step, height + 12, label, drawn)


def _day(index: int, value: int | None, most: int, last: bool) -> Markup:
    left = index * (_BAR + _GAP)
    if value is None:
        return _rect("no-run", left + 0.5, _HEIGHT - 4.5, _BAR - 1, 4)
    # A zero is a hairline, so that a day with a run never looks like one without.
    height = round((_HEIGHT - 2) * value / most, 1) if value else 1
    return _rect("last" if last else "past", left, _HEIGHT - max(height, 1), _BAR, max(height, 1))


def _column(left: int, width: int, height: int, value: int | None, most: int) -> Markup:
    if value is None:
        return _rect("no-run", left + 0.5, height - 6, width - 1, 6)
    tall = max(round((height - 4) * value / most, 1), 1.5)
    return _rect("past", left, height - tall, width, tall)


def _under(middle: float, foot: float, day: str) -> Markup:
    shape = '<text x="{:g}" y="{:g}">{:d}</text>'
    return Markup(shape.format(middle, foot, int(day[-2:])))  # noqa: S704 - numbers


def _segment(index: int, left: float, width: float) -> Markup:
    return _rect(f"age{index}", round(left, 2), 0, round(max(width - 0.4, 0.4), 2), 10) if width else Markup("")


def _rect(kind: str, left: float, top: float, width: float, height: float) -> Markup:
    shape = '<rect class="{}" x="{:g}" y="{:g}" width="{:g}" height="{:g}"/>'
    return Markup(shape.format(kind, left, top, width, height))  # noqa: S704 - numbers and our own words


def _svg(kind: str, width: int, height: int, label: str, inner: Markup, *, stretch: bool = False) -> Markup:  # noqa: PLR0913
    shape = '<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="{}">{}</svg>'
    fit = "none" if stretch else "xMinYMid"
    return Markup(shape).format(kind, width, height, escape(label), fit, inner)  # noqa: S704 - format escapes
