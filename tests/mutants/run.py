"""Plants each bug in a copy of the tree and runs what must see it: `python -m tests.mutants.run [word ...]`.

Exit code 1 where a bug survives, where its place is not found, or where something is red without any bug.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider")
WITHOUT_SERVICES = "not postgresql and not rabbitmq"
SEEDS_WITHOUT_A_BUG = 20
LONGEST_SECONDS = 180
NOT_RUN = "NOT RUN"


@dataclass(frozen=True)
class Verdict:
    """What became of a bug: `caught`, `SURVIVED` or why it was not run."""

    mutant: Mutant
    said: str
    seconds: float

    @property
    def caught(self) -> bool:
        return self.said == "caught"


def main(words: Sequence[str] | None = None) -> int:
    """Try the bugs that are named by any of the words, all without one; 1 unless every one is caught."""
    asked = sys.argv[1:] if words is None else words
    chosen = [mutant for mutant in MUTANTS if not asked or any(word in mutant.what for word in asked)]
    begun = time.monotonic()
    with copied() as tree:
        if not _green(tree, chosen):
            return 1
        verdicts = [_told(_tried(tree, mutant)) for mutant in chosen]
    caught = sum(verdict.caught for verdict in verdicts)
    _say(f"{caught} of {len(verdicts)} planted bugs were caught, in {time.monotonic() - begun:.0f} s")
    return 0 if caught == len(verdicts) else 1


def place_of(mutant: Mutant, tree: Path = ROOT) -> int:
    """How often the text to be changed stands in its file."""
    return (tree / mutant.file).read_text(encoding="utf-8").count(mutant.old)


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of every file of the project's own; what git ignores stays behind."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, Path(folder) / name)
        yield Path(folder)


def _green(tree: Path, chosen: Sequence[Mutant]) -> bool:
    """Whether everything passes without any bug, and is really the copy's."""
    where = _python(tree, "-c", "import hub; print(hub.__file__)").stdout
    if not where.startswith(str(tree)):
        _say(f"the tests would run {where.strip()} and not the copy")
        return False
    services = sorted({mutant.on for mutant in chosen})
    tested = [_pytest(tree, on, sorted(_tests_on(chosen, on))) for on in services]
    for done in (*tested, _seeds(tree, SEEDS_WITHOUT_A_BUG)):
        if done.returncode:
            _say(f"red without any bug:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
            return False
    return True


def _tests_on(chosen: Sequence[Mutant], on: str) -> set[str]:
    return {test for mutant in chosen for test in mutant.tests if mutant.on == on}


def _tried(tree: Path, mutant: Mutant) -> Verdict:
    begun = time.monotonic()
    said = _outcome(tree, mutant) if place_of(mutant, tree) == 1 else f"{NOT_RUN}: its place is not there once"
    return Verdict(mutant, said, time.monotonic() - begun)


def _outcome(tree: Path, mutant: Mutant) -> str:
    with _planted(tree, mutant):
        ran = [_pytest(tree, mutant.on, [test]) for test in mutant.tests]
        if mutant.seeds:
            ran.append(_seeds(tree, mutant.seeds))
    if strange := [done for done in ran if done.returncode not in (0, 1) or "skipped" in done.stdout]:
        return f"{NOT_RUN}: {(strange[0].stdout + strange[0].stderr).strip()[-300:]}"
    return "caught" if all(done.returncode for done in ran) else "SURVIVED"


@contextmanager
def _planted(tree: Path, mutant: Mutant) -> Iterator[None]:
    path = tree / mutant.file
    right = path.read_text(encoding="utf-8")
    _write(path, right.replace(mutant.old, mutant.new))
    try:
        yield
    finally:
        _write(path, right)


def _write(path: Path, text: str) -> None:
    # Compiled code is told apart by whole seconds and length: each text gets a second of its own.
    second = path.stat().st_mtime + 10
    path.write_text(text, encoding="utf-8")
    os.utime(path, (second, second))


def _pytest(tree: Path, on: str, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    if not tests:
        return subprocess.CompletedProcess((), 0, "", "")
    return _python(tree, *PYTEST, "-k", on or WITHOUT_SERVICES, *tests)


def _seeds(tree: Path, seeds: int) -> subprocess.CompletedProcess[str]:
    return _python(tree, "-m", "tests.simulation.run", "--seeds", str(seeds), "--most", "1")


def _python(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, *arguments)
    variables = {**os.environ, "PYTHONPATH": str(tree)}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        return subprocess.run(
            command, cwd=tree, env=variables, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"still running after {LONGEST_SECONDS} s")


def _told(verdict: Verdict) -> Verdict:
    mutant = verdict.mutant
    seen_by = ", ".join(test.rpartition("::")[2] for test in mutant.tests) or f"simulation, {mutant.seeds} seeds"
    _say(f"{verdict.said:9} {verdict.seconds:5.1f} s  {mutant.what}  <- {seen_by}")
    return verdict


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
