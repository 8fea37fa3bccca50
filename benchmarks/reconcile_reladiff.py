"""One comparison of reladiff's (hashdiff) in a process of its own. Run by the Python that has reladiff, not by ours.

It compares one table with another, with every field that the hub compares; what belongs together it does not know.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from reladiff import Algorithm, connect_to_table, diff_tables

# Tables of either side, the key, and the fields that the hub compares.
TABLES = {
    "orders": (
        ("orders", "hub_orders"),
        ("order_no",),
        "version status channel shop channel_order_no customer_id vip warehouse currency total".split(),
    ),
    "lines": (("order_lines", "hub_order_lines"), ("order_no", "line_no"), "sku name quantity unit_price".split()),
}


def main(oms: str, crm: str, what: str, *settings: str) -> None:
    """Compare with these settings: threads, bisection factor, bisection threshold."""
    began = time.monotonic()
    threads, factor, threshold = map(int, settings)
    names, key, fields = TABLES[what]
    ours, theirs = (
        connect_to_table(url, name, key, thread_count=threads) for url, name in zip((oms, crm), names, strict=True)
    )
    with diff_tables(
        ours,
        theirs,
        key_columns=key,
        extra_columns=tuple(fields),
        algorithm=Algorithm.HASHDIFF,
        max_threadpool_size=2 * threads,
        bisection_factor=factor,
        bisection_threshold=threshold,
        skip_sort_results=True,
    ) as diff:
        found = sorted({row[0] for _, row in diff})
    print(json.dumps({"found": found, "seconds": time.monotonic() - began, "peak_mib": peak_mib()}))


def peak_mib() -> float:
    """Most memory this process ever had."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
