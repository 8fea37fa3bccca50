"""A whole hub whose four systems are behind their vendors' interfaces: what came of an import, read back from them.

    python -m tests.e2e.behind_interfaces FILE [--others]

imports a file and prints how long that took, and what each system says.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import LargeBinary, MetaData, select

from hub import assembly, config, wiring
from hub.call_tables import call_orders, calls
from hub.database import reading
from hub.reconcile import rules_file
from hub.reconcile.check import check
from hub.reconcile.reading import Scope
from hub.stage.simulated import SPOKEN, Simulators, simulators
from hub.supervisor import Supervisor
from hub.tables import orders
from tests.e2e.rehearsal import Rehearsal
from tests.nodes.processes import wait_until
from tests.running import pieces

OTHERS = {**SPOKEN, "crm": "fxiaoke", "erp": "grasp"}
REPORTS_TO = "http://127.0.0.1:9/callbacks/qimen"
"""Nobody listens there: in these tests a warehouse has nothing to report."""

_PHONE = re.compile("1390000[0-9]{4}")


@dataclass
class Read:
    """One system, read back: orders compared, differences in words, effects by its own journal, those twice."""

    compared: int
    different: list[str]
    effects: Counter[str]
    doubled: list[str]


@dataclass
class Import:
    """What came of a file: the hub's own standing, each system read back, how long it took in seconds."""

    told: dict[str, Any]
    standing: dict[str, Any]
    systems: dict[str, Read]
    imported_after: float
    applied_after: float
    load: tuple[float, float, float]
    log: str
    metrics: dict[str, str]
    settings: config.Settings
    simulated: Simulators
    last_changes: list[str]
    journals: dict[str, list[dict[str, Any]]]

    def lines(self) -> list[dict[str, Any]]:
        """What the hub's processes logged."""
        return [json.loads(piece) for piece in pieces(self.log) if piece.startswith("{")]

    def figures(self) -> dict[str, Any]:
        """For people."""
        return {
            "import": self.told,
            "seconds_until_imported": round(self.imported_after, 1),
            "seconds_until_applied": round(self.applied_after, 1),
            "load": self.load,
            "standing": self.standing["systems"],
            "systems": {
                name: {"compared": each.compared, "different": each.different[:5], "effects": dict(each.effects)}
                | {"doubled": len(each.doubled)}
                for name, each in self.systems.items()
            },
        }


def settings_for(simulated: Simulators, folder: Path, **more: str) -> config.Settings:
    """Settings that lead the hub to simulated systems; all is on this machine, nothing takes effect late."""
    variables = {"HUB_DATA_DIR": str(folder / "data"), "HUB_CONSUMER__SETTLE_SECONDS": "2"}
    return config.load({**variables, **simulated.settings(), **more})


def carried_out(settings: config.Settings, simulated: Simulators, folder: Path, file: Path, seconds: float) -> Import:
    """Import a file while hub and systems run as processes, wait until everything is applied, and read it back."""
    wiring.prepare(settings)
    rehearsal = Rehearsal(settings, folder / "hub.log", simulated.parts(REPORTS_TO))
    with rehearsal.running():
        began = time.monotonic()
        importing = rehearsal.start_import(file)
        out, _ = importing.communicate(timeout=seconds)
        imported = time.monotonic() - began
        rehearsal.wait_until_drained(seconds)
        applied = time.monotonic() - began
        load = load_now()
        metrics = exposed(folder / "hub.log")
        return Import(
            told=json.loads(out.splitlines()[-1]),
            standing=rehearsal.standing(),
            systems={name: read_back(settings, simulated, name) for name in config.SYSTEMS},
            imported_after=imported,
            applied_after=applied,
            load=load,
            log=(folder / "hub.log").read_text(encoding="utf-8"),
            metrics=metrics,
            settings=settings,
            simulated=simulated,
            last_changes=[line["history"][-1][0] for line in read(file)],
            journals={name: simulated.journal(name) for name in config.SYSTEMS},
        )


def read(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of histories, plain or gzipped."""
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as opened:
        yield from map(json.loads, opened)


def read_back(settings: config.Settings, simulated: Simulators, name: str) -> Read:
    """Compare a system through its interface, by the rules that come with the hub; all of it where it can be listed."""
    rules = rules_file.load(settings.reconcile.rules, settings.interfaces).of(name)
    with (
        closing(assembly.system_of(settings, name)) as system,
        wiring.hub_engine(settings, "judge") as engine,
    ):
        with reading(engine) as connection:
            numbers = tuple(connection.execute(select(orders.c.order_no)).scalars())
        verdict = check(engine, system, rules, Scope() if system.lists else Scope(orders=numbers))
    journal = simulated.journal(name)
    return Read(
        verdict.compared + verdict.coverage.lacking,
        [f"{each.order_no} {each.kind} {each.fields}" for each in verdict.differences],
        Counter(row["effect"] for row in journal),
        [f"{row['effect']} {row['number']} {row['version']}" for row in journal if row["repeats"]],
    )


def exposed(log: Path) -> dict[str, str]:
    """What each process shows at /metrics."""
    # The simulated systems write into the same file, for people.
    lines = [json.loads(piece) for piece in pieces(log.read_text(encoding="utf-8")) if piece.startswith("{")]
    told = {line["service.name"]: line["at"] for line in lines if line.get("event.action") == "probes.listening"}
    return {name: httpx2.get(f"{address}/metrics", timeout=10).text for name, address in told.items()}


def load_now() -> tuple[float, float, float]:
    """The load of the machine over one, five and fifteen minutes."""
    one, five, fifteen = Path("/proc/loadavg").read_text(encoding="ascii").split()[:3]
    return float(one), float(five), float(fifteen)


def calls_of(settings: config.Settings) -> list[dict[str, Any]]:
    """Every call on record with what was sent and answered, unpacked, and the orders it was about."""
    with wiring.hub_engine(settings, "judge") as engine, reading(engine) as connection:
        found = [dict(row) for row in connection.execute(select(calls)).mappings()]
        about: dict[str, list[str]] = {}
        for row in connection.execute(select(call_orders)).mappings():
            about.setdefault(row["call_id"], []).append(row["order_no"])
    for row in found:
        row["about"] = about.get(row["id"], [])
        row["texts"] = [zlib.decompress(row[name]).decode() for name in ("request", "answer") if row[name]]
    return found


def cells(settings: config.Settings) -> Iterator[tuple[str, bytes]]:
    """Every value in the hub's own database as bytes, unpacked, with the table that it is in."""
    with wiring.hub_engine(settings, "judge") as engine, reading(engine) as connection:
        schema = MetaData()
        schema.reflect(engine)
        for table in schema.sorted_tables:
            for row in connection.execute(select(table)):
                for column, value in zip(table.c, row, strict=True):
                    yield table.name, _unpacked(value) if isinstance(column.type, LargeBinary) else str(value).encode()


def _unpacked(value: bytes | None) -> bytes:
    try:
        return zlib.decompress(value or b"")
    except zlib.error:
        return bytes(value or b"")


def with_people(lines: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Histories whose orders go to somebody, each to another person, so that each can be looked for."""
    for place, line in enumerate(lines):
        yield {**line, "warehouse": "HZ-01", "receiver": person(place)}


def person(place: int) -> dict[str, str]:
    """Somebody whose name, phone and street stand nowhere else."""
    return {
        "name": f"欧阳试读{place:05}",
        "phone": f"139{place:08}",
        "province": "浙江省",
        "city": "杭州市",
        "address": f"金丝雀弄堂 {place} 号",
    }


def names_somebody(text: str) -> bool:
    """Whether a name, a phone or a street of somebody is in a text, in whatever way it is written."""
    written = text.encode().decode("unicode_escape", errors="ignore") if "\\u" in text else ""
    return any("欧阳试读" in each or "金丝雀弄堂" in each or _PHONE.search(each) for each in (text, written))


@contextmanager
def systems_running(simulated: Simulators, folder: Path) -> Iterator[None]:
    """The simulated systems alone, as processes that answer."""
    stop = threading.Event()
    with (folder / "systems.log").open("wb") as log:
        supervisor = Supervisor(simulated.parts(REPORTS_TO), log)
        thread = threading.Thread(target=supervisor.run, args=(stop,))
        thread.start()
        try:
            assert wait_until(lambda: all(map(_answers, simulated.addresses.values())), seconds=60)
            yield
        finally:
            stop.set()
            thread.join()


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/control", timeout=5).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def main() -> None:
    """The import by hand."""
    folder = Path(tempfile.mkdtemp(prefix="hub-interfaces-"))
    simulated = simulators(folder, OTHERS if "--others" in sys.argv else SPOKEN)
    done = carried_out(settings_for(simulated, folder), simulated, folder, Path(sys.argv[1]).resolve(), 3600)
    print(json.dumps(done.figures(), indent=1, ensure_ascii=False))  # noqa: T201 - this is its output


if __name__ == "__main__":
    main()
