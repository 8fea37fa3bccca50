"""One comparison of the hub's in a process of its own: seconds, peak memory and everything it found, as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from pydantic import SecretStr

from hub import groups
from hub.consumers.interface_tables import InterfaceTables
from hub.database import open_engine
from hub.reconcile.reading import Coverage, compared
from hub.reconcile.rules import SystemRules
from hub.reconcile.rules_file import load

ORDERS_ALONE = SystemRules(frozenset({"lines"}))


def main(oms: str, crm: str, what: str) -> None:
    """Compare as `hub reconcile check` does: all, or orders alone."""
    engine = open_engine(groups.Database(url=SecretStr(oms)), "reconcile")
    system = InterfaceTables("crm", groups.Database(url=SecretStr(crm)))
    coverage = Coverage()
    rules = load().of("crm") if what == "all" else ORDERS_ALONE
    found = [(each.order_no, each.kind) for each in compared(engine, system, rules, coverage)]
    print(json.dumps({"found": found, "peak_mib": peak_mib(), **asdict(coverage)}))


def peak_mib() -> float:
    """Most memory this process ever had; unlike getrusage it knows nothing of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
