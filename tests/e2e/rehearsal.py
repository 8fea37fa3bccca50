"""A whole hub under load: import a file while relay and consumers run as processes of their own, and are killed.

    python -m tests.e2e.rehearsal FILE [--db URL] [--bus URL] [--kills N] [--again]

Prints one JSON object: events a second, peak memory of each process, and what the systems' own journals say.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from hub import assembly, config, wiring
from hub.cli.daemons import parts
from hub.cli.status import standing
from hub.database import open_engine, reading
from hub.oms import orders
from hub.reconcile.check import check
from hub.supervisor import Part, Supervisor

PATIENCE_SECONDS = 240


RESTING = ("api", "maintenance", "reconcile", "subscription-watch")
"""Parts that a rehearsal leaves out."""


@dataclass
class Rehearsal:
    """A hub whose processes this one supervises, kills and measures."""

    settings: config.Settings
    log: Path
    further: Sequence[Part] = ()
    peaks: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._file = self.log.open("wb")
        moving = [part for part in parts(self.settings) if part.name not in RESTING]
        self._supervisor = Supervisor([*self.further, *moving], self._file)
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Relay and consumers as separate processes under the hub's own supervisor."""
        thread = threading.Thread(target=self._supervisor.run, args=(self._stop,))
        watcher = threading.Thread(target=self._watch)
        thread.start()
        watcher.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            watcher.join()
            self._file.close()

    def start_import(self, file: Path) -> subprocess.Popen[bytes]:
        """`hub orders import`, as its own process."""
        command = [sys.executable, "-m", "hub", "orders", "import", str(file), "--json"]
        given = {**os.environ, **config.environment(self.settings)}
        return subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=self._file, cwd=self.log.parent)

    def kill_all(self, importing: subprocess.Popen[bytes], chance: random.Random) -> None:
        """kill -9 every process once, as soon as it has done something since this call; gives up when all is done."""
        before = self.progress()
        todo = {part.name: part for part in self._supervisor.parts}
        while todo and not (importing.poll() is not None and drained(self.standing())):
            done = self.progress()
            for name in [name for name in todo if done[name] > before[name]]:
                time.sleep(chance.uniform(0, 0.02))
                if self._kill(todo[name]):
                    del todo[name]

    def kill_import(self, file: Path) -> None:
        """Import a file and kill -9 the import as soon as it has written something."""
        with wiring.hub_engine(self.settings, "rehearsal") as engine:
            before = versions(engine)
            importing = self.start_import(file)
            while importing.poll() is None and versions(engine) == before:
                time.sleep(0.002)
        importing.kill()
        importing.communicate()
        self.killed["import"] += importing.returncode == -signal.SIGKILL

    def progress(self) -> dict[str, int]:
        """How much each process has done so far, in versions."""
        facts = self.standing()
        done = {f"consume-{name}": each["wanted"] + each["applied"] for name, each in facts["systems"].items()}
        return done | {"relay": facts["versions"] - facts["outbox"]["pending"]}

    def standing(self) -> dict[str, Any]:
        """What `hub status` says."""
        with wiring.hub_engine(self.settings, "rehearsal") as engine:
            return standing(engine)

    def wait_until_drained(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every committed version is with every system."""
        deadline = time.monotonic() + seconds
        while not drained(self.standing()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not drained: {self.standing()}; see {self.log}")
            time.sleep(0.1)

    def verdict(self) -> dict[str, dict[str, Any]]:
        """For each system: orders that differ, and what its own journal says of doubled or backward effects."""
        found = {}
        with wiring.hub_engine(self.settings, "rehearsal") as engine:
            for name in config.SYSTEMS:
                system = assembly.system_of(self.settings, name)
                compared = check(engine, system)
                found[name] = {"compared": compared.compared, "different": compared.different}
                found[name] |= journal(self.settings.system(name)) | {"counted": system.effects()}
                system.close()
        return found

    def _kill(self, part: Part) -> bool:
        process = part.process
        if process is None or process.poll() is not None:
            return False
        process.kill()
        self.killed[part.name] += 1
        return True

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for part in self._supervisor.parts:
                if part.process is not None:
                    self.peaks[part.name] = max(self.peaks[part.name], peak_kib(part.process.pid))


def versions(engine: Engine) -> int:
    """How many versions the OMS has."""
    with reading(engine) as connection:
        return orders.totals(connection)[1]


def drained(facts: dict[str, Any]) -> bool:
    """Whether nothing waits anywhere."""
    systems = facts["systems"].values()
    return facts["outbox"]["pending"] == 0 and all(
        each["behind"] == 0 and each["wanted"] == facts["versions"] for each in systems
    )


def arrived(facts: dict[str, Any], orders: int) -> bool:
    """Whether so many orders are in the hub and every system has the newest version of each."""
    return facts["orders"] == orders and drained(facts)


def journal(database: config.Database) -> dict[str, int]:
    """Read a system's own journal: versions of an order that took effect twice, and effects that went backwards."""
    engine = open_engine(database, "judge")
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT order_no, version FROM hub_order_journal ORDER BY id")).all()
    engine.dispose()
    newest: dict[str, int] = {}
    backwards = 0
    for order_no, version in rows:
        backwards += version < newest.get(order_no, 0)
        newest[order_no] = max(version, newest.get(order_no, 0))
    doubled = sum(times - 1 for times in Counter(rows).values())
    return {"effects": len(rows), "doubled": doubled, "backwards": backwards}


def peak_kib(pid: int) -> int:
    """Peak resident memory of a process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def rehearse(settings: config.Settings, file: Path, kills: int, again: bool, log: Path) -> dict[str, Any]:
    """The whole rehearsal; the figures."""
    wiring.prepare(settings)
    rehearsal = Rehearsal(settings, log)
    with rehearsal.running():
        started = time.monotonic()
        importing = rehearsal.start_import(file)
        chance = random.Random(1)
        for _ in range(kills):
            rehearsal.kill_all(importing, chance)
        out, _ = importing.communicate(timeout=PATIENCE_SECONDS)
        imported = time.monotonic() - started
        rehearsal.wait_until_drained()
        seconds = time.monotonic() - started
        facts = rehearsal.standing()
        figures = {
            "import": json.loads(out.splitlines()[-1]),
            "orders": facts["orders"],
            "versions": facts["versions"],
            "seconds_until_imported": round(imported, 1),
            "seconds_until_drained": round(seconds, 1),
            "events_per_second": round(facts["versions"] / seconds),
            "standing": facts["systems"],
            "killed": dict(rehearsal.killed),
            "systems": rehearsal.verdict(),
        }
        if again:
            out, _ = rehearsal.start_import(file).communicate(timeout=PATIENCE_SECONDS)
            rehearsal.wait_until_drained()
            figures["again"] = {"import": json.loads(out.splitlines()[-1]), "systems": rehearsal.verdict()}
    figures["peak_mib"] = {name: round(kib / 1024) for name, kib in rehearsal.peaks.items()}
    return figures


def main() -> None:
    """The rehearsal by hand."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("file", type=Path)
    ask.add_argument("--db")
    ask.add_argument("--bus")
    ask.add_argument("--kills", type=int, default=0, help="kill -9 of each process, this many times")
    ask.add_argument("--again", action="store_true", help="import the file a second time")
    given = ask.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hub-rehearsal-"))
    settings = config.load(data_dir=folder, db__url=given.db, bus__url=given.bus)
    figures = rehearse(settings, given.file.resolve(), given.kills, given.again, folder / "hub.log")
    print(json.dumps(figures, indent=1))  # noqa: T201 - this is its output


if __name__ == "__main__":
    main()
