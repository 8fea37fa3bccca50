"""Runs a soak on private nodes of PostgreSQL and RabbitMQ and prints what it came to; ends with 1 unless it was good.

python -m tests.soak [--minutes 20] [--rate 200] [--every 30] [--seed 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hub import config, wiring
from tests.faults.judge import Verdict, judge
from tests.faults.rig import Rig
from tests.nodes.postgres import PostgresNode
from tests.nodes.rabbitmq import RabbitNode
from tests.soak.faults import CONSUMERS, FAULTS, MORTAL, Victim, name_of
from tests.soak.holdings import Holdings, Trend
from tests.soak.load import Load

DRAIN_SECONDS = 600
VHOST = "soak"


@dataclass(frozen=True)
class Outcome:
    """What a soak came to."""

    seconds: float
    committed: int
    refused: int
    faults: Mapping[str, int]
    drained_seconds: float
    verdict: Verdict
    trends: Sequence[Trend]

    @property
    def good(self) -> bool:
        """Whether it is as if nothing had happened, and nobody holds more than before."""
        return not self.verdict.costs and all(trend.flat for trend in self.trends)


def soak(minutes: float, rate: float, every: float, seed: int, log: Path) -> Outcome:
    """Orders and faults for so many minutes; then everything heals and drains, and is judged."""
    with ExitStack() as stack:
        database = stack.enter_context(PostgresNode())
        broker = stack.enter_context(RabbitNode())
        settings = config.load(
            {"HUB_DB__URL": database.create_database("soak"), "HUB_BUS__URL": broker.create_vhost(VHOST)}
        )
        wiring.prepare(settings)
        rig = Rig(settings, log)
        victim = Victim(rig, database, broker, VHOST, random.Random(seed))
        with rig.working():
            done, drained, trends, counted = _suffer(victim, minutes * 60, rate, every, seed)
        return Outcome(minutes * 60, done.committed, done.refused, dict(counted), drained, judge(settings), trends)


def _suffer(
    victim: Victim, seconds: float, rate: float, every: float, seed: int
) -> tuple[Load, float, list[Trend], Counter[str]]:
    holdings, counted = Holdings(victim.rig), Counter[str]()
    with wiring.hub_engine(victim.rig.settings, "soak") as engine:
        load = Load(engine, rate, seed)
        load.start()
        holdings.start()
        began = time.monotonic()
        while (ahead := began + seconds - time.monotonic()) > every:
            time.sleep(every)
            fault = _next(victim.chance, counted)
            counted[name_of(fault)] += 1
            _tell(began, f"{name_of(fault)}; {load.committed} versions so far")
            # The relay lives through the second half, so that what it holds can be seen to grow.
            fault(replace(victim, mortal=MORTAL if ahead > seconds / 2 else CONSUMERS))
        time.sleep(max(ahead, 0))
        load.end()
    drained = victim.rig.drain(DRAIN_SECONDS)
    holdings.end()
    return load, drained, holdings.trends(), counted


def _next(chance: random.Random, counted: Counter[str]) -> Any:
    """One of those that happened least."""
    fewest = min(counted[name_of(fault)] for fault in FAULTS)
    return chance.choice([fault for fault in FAULTS if counted[name_of(fault)] == fewest])


def _tell(began: float, what: str) -> None:
    print(f"{(time.monotonic() - began) / 60:5.1f} min  {what}", file=sys.stderr, flush=True)  # noqa: T201 - its progress


def _print(outcome: Outcome) -> None:
    verdict = outcome.verdict
    rate = verdict.committed / outcome.seconds
    costs = verdict.costs or "nothing"
    faults = ", ".join(f"{name} {times}" for name, times in sorted(outcome.faults.items()))
    lines = [
        f"{outcome.seconds / 60:.0f} minutes, {verdict.committed:,} versions committed ({rate:.0f}/s)",
        f"{outcome.refused} transactions failed meanwhile; drained {outcome.drained_seconds:.1f} s after the last one",
        f"{sum(outcome.faults.values())} faults: {faults}",
        f"lost {verdict.lost}, doubled {verdict.doubled}, backwards {verdict.backwards}; all that is wrong: {costs}",
        "",
        f"{'process':18}{'minutes':>8}{'MiB':>16}{'descriptors':>14}{'threads':>10}",
    ]
    for each in outcome.trends:
        mib = " → ".join(f"{kib / 1024:.1f}" for kib in each.kib)
        others = [f"{first} → {last}" for first, last in (each.descriptors, each.threads)]
        grown = "" if each.flat else "  grows"
        lines.append(f"{each.name:18}{each.minutes:8.1f}{mib:>16}{others[0]:>14}{others[1]:>10}{grown}")
    print("\n".join(lines))  # noqa: T201 - its result


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=200, help="versions a second")
    parser.add_argument("--every", type=float, default=30, help="seconds between two faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the outcome here too")
    given = parser.parse_args()
    log = Path(tempfile.mkdtemp(prefix="hub-soak-")) / "hub.log"
    _tell(time.monotonic(), f"log in {log}")
    outcome = soak(given.minutes, given.rate, given.every, given.seed, log)
    _print(outcome)
    if given.json:
        given.json.write_text(json.dumps(asdict(outcome), default=sorted, indent=1) + "\n", encoding="utf-8")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
