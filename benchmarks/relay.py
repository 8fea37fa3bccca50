"""From the outbox to the broker's confirm: the hub, a bare publisher, a naive relay, and faststream-outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from benchmarks import events, rates
from benchmarks.stand import RELAY, Plan, Stand, progress
from benchmarks.table import Row

WORK = "relay outbox -> confirmed"
LEAST = {"pika": 0.80, "mirrored": None, "naive": 15.0, "faststream_outbox": 4.0}
BESIDE = {
    "pika": "pika, the bodies, no database",
    "mirrored": "pika, bodies and headers",
    "naive": "naive relay, one by one",
    "faststream_outbox": "faststream-outbox, tuned",
}


def measured(stand: Stand, plan: Plan) -> list[Row]:
    """Everybody in turn, the medians beside one another."""
    contenders: Mapping[str, Callable[[], float]] = {
        "hub": lambda: _hub(stand, plan.part(0.6, 2000)),
        "pika": lambda: _peer(stand, "pika_pipelined", plan.part(0.6)),
        "mirrored": lambda: _peer(stand, "pika_pipelined", plan.part(0.6), mirrored=True),
        "naive": lambda: _peer(stand, "naive_relay", plan.part(0.03)),
        "faststream_outbox": lambda: _peer(stand, "faststream_outbox_relay", plan.part(0.1)),
    }
    runs = in_turn("relay", contenders, plan.rounds)
    return [beside(f"relay.{name}", WORK, BESIDE[name], runs, name, LEAST[name]) for name in LEAST]


def in_turn(work: str, contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The figures of each contender; in every round each is measured once, there and back."""
    runs: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: 1 if number % 2 == 0 else -1]:
            runs[name].append(contenders[name]())
            progress(f"{work}, round {number + 1} of {rounds}: {name} {runs[name][-1]:,.0f}/s")
    return runs


def beside(key: str, work: str, other: str, runs: Mapping[str, list[float]], name: str, least: float | None) -> Row:  # noqa: PLR0913
    """The hub's median rate beside that of another, with the ratio that is needed where one is."""
    ours, theirs = median(runs["hub"]), median(runs[name])
    relation, bound = (">=", least) if least is not None else ("", 0.0)
    return Row(key, work, other, "events/s", ours, theirs, ours / theirs, relation, bound, tuple(runs["hub"]))


def _hub(stand: Stand, count: int) -> float:
    with stand.site() as site:
        events.load(site.engine, count)
        with site.daemons(RELAY) as daemons:
            site.until(lambda: rates.is_published(site.engine), daemons)
        return rates.relayed(site)


def _peer(stand: Stand, name: str, count: int, **settings: Any) -> float:
    with stand.site() as site:
        return stand.ran(name, site, events=events.load(site.engine, count), **settings).rate
