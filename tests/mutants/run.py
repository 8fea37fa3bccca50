"""Plant bugs one by one in a copy of the tree and see which test finds each: `python -m tests.mutants.run [WORDS]`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hub.cli.output import table
from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
TESTS_FAILED = 1

_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Hunt:
    """How a bug fared: the test that found it, or None where it survived."""

    mutant: Mutant
    found_by: str | None
    seconds: float


def main(words: list[str]) -> int:
    """Hunt every bug, or those whose sentence holds the words; 1 where any survived."""
    chosen = [mutant for mutant in MUTANTS if " ".join(words) in mutant.what]
    hunts = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for hunt in pool.map(hunted, chosen):
            sys.stdout.write(f"{'caught' if hunt.found_by else 'SURVIVED'}: {hunt.mutant.what}\n")
            sys.stdout.flush()
            hunts.append(hunt)
    rows = [(each.mutant.what, each.found_by or "SURVIVED", each.seconds) for each in hunts]
    Console(width=150).print(table(["planted bug", "found by", "seconds"], rows))
    survived = sum(each.found_by is None for each in hunts)
    sys.stdout.write(f"{len(hunts) - survived} of {len(hunts)} planted bugs were caught\n")
    return int(survived > 0)


def hunted(mutant: Mutant) -> Hunt:
    """Plant one bug in a copy and run its tests there."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hub-mutant-") as name:
        copy = Path(name)
        for file in files():
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, copy / file)
        plant(mutant, copy)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests],
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
    found = _FAILED.search(done.stdout)
    caught = done.returncode == TESTS_FAILED and found is not None
    return Hunt(mutant, found[1].rpartition("/")[2] if caught and found else None, time.monotonic() - began)


def plant(mutant: Mutant, tree: Path) -> None:
    """Put the bug in its place; ValueError where that place is not exactly one."""
    path = tree / mutant.file
    text = path.read_text(encoding="utf-8")
    if (times := text.count(mutant.old)) != 1:
        raise ValueError(f"{mutant.what}: {mutant.file} has the old text {times} times")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def files() -> Iterator[Path]:
    """What belongs to the project, committed or not."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return (path for line in listed.stdout.splitlines() if (ROOT / (path := Path(line))).is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
