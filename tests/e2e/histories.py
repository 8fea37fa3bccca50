"""Order histories that nobody lived: a file for `hub orders import`, always the same for the same seed.

python -m tests.e2e.histories FILE [--orders N] [--seed S]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

CHANNELS = ("taobao", "jd", "pdd", "youzan", "miniprogram")
FIRST_DAY = datetime.fromisoformat("2026-10-20T00:00:00+08:00")
DAYS = 30
MOST_LINES = 20

GOODS = (
    ("TEA-250", "明前龙井 250g", "168"),
    ("CUP-BLUE", "青花盖碗", "89.00"),
    ("LAMP-03", "北欧落地灯（暖光）", "259.9"),
    ("SOCKS-M", "纯棉短袜 五双装", "29.90"),
    ("RICE-5KG", "五常大米 5kg", "69.80"),
    ("CASE-15", "手机壳 透明 📱", "15"),
    ("红枣-500", "新疆红枣 500g", "32.50"),
    ("USB C 2M", 'Cable "USB-C", 2 m', "24.99"),
    ("85123A", "WHITE HANGING HEART T-LIGHT HOLDER", "2.55"),
    ("21755", "LOVE BUILDING BLOCK WORD", "5.95"),
    ("22745", "POPPY'S PLAYHOUSE BEDROOM", "2.1"),
    ("GIFT", "赠品", "0"),
)

# How orders live, and how many of a hundred do.
LIVES = {
    "created paid picking shipped completed": 52,
    "created paid picking shipped": 14,
    "created paid picking": 9,
    "created paid": 7,
    "created": 4,
    "created cancelled": 5,
    "created paid cancelled": 3,
    "created paid picking cancelled": 1,
    "created paid picking shipped cancelled": 1,
    "created paid refunded": 1,
    "created paid picking shipped completed refunded": 1,
    "created paid intercepted released picking shipped completed": 1,
    "created paid picking intercepted cancelled": 1,
}


def histories(orders: int, seed: int = 20261123) -> Iterator[dict[str, Any]]:
    """Orders with what happened to them, as the importer takes them."""
    chance = random.Random(seed)
    for number in range(orders):
        yield _history(number, chance)


def write(path: Path, orders: int, seed: int = 20261123) -> list[dict[str, Any]]:
    """Write histories to a file; what was written."""
    written = list(histories(orders, seed))
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in written)
    return written


def _history(number: int, chance: random.Random) -> dict[str, Any]:
    life = chance.choices(list(LIVES), LIVES.values())[0].split()
    return {
        "channel_order_no": f"{FIRST_DAY:%y%m}{chance.randrange(10**8):08d}{number:06d}",
        "channel": chance.choice(CHANNELS),
        # Customers come back: there are about a third as many as orders.
        "customer_id": f"C{chance.randrange(number // 3 + 1):05d}",
        "vip": chance.random() < 0.06,
        "lines": [_line(*goods, chance) for goods in _basket(chance)],
        "history": list(_moments(life, chance)),
    }


def _basket(chance: random.Random) -> list[tuple[str, str, str]]:
    lines = min(MOST_LINES, 1 + int(chance.expovariate(1 / 3)))
    return chance.choices(GOODS, k=lines)


def _line(sku: str, name: str, unit_price: str, chance: random.Random) -> dict[str, Any]:
    return {"sku": sku, "name": name, "quantity": chance.choice((1, 1, 1, 2, 2, 3, 6, 12)), "unit_price": unit_price}


def _moments(life: list[str], chance: random.Random) -> Iterator[list[str]]:
    moment = FIRST_DAY + timedelta(seconds=chance.randrange(DAYS * 24 * 3600))
    for change in life:
        yield [change, moment.isoformat()]
        moment += timedelta(seconds=chance.randrange(30, 2 * 24 * 3600))


def main() -> None:
    """The file by hand."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("file", type=Path)
    ask.add_argument("--orders", type=int, default=400)
    ask.add_argument("--seed", type=int, default=20261123)
    given = ask.parse_args()
    write(given.file, given.orders, given.seed)


if __name__ == "__main__":
    main()
