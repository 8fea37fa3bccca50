"""What somebody does to the models of events, in a copy of the project: a break is refused, an addition is taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS, WORDS = "hub/schemas/order.py", "hub/schemas/words.py"
VIP = "    vip: bool = False\n"
KEEP = "raise the major version in hub/schemas/registry.py"

# What is edited where, and the sentence that comes of it.
BREAKS = {
    "field removed": (MODELS, VIP, "", "data.order.vip is gone and old readers rely on it: keep it"),
    "field renamed": (MODELS, "    vip:", "    is_vip:", "data.order.vip is gone and old readers rely on it (renamed"),
    "limit narrower": (MODELS, "max_length=1000", "max_length=500", "data.order.lines: maxItems is 500 now, narrower"),
    "limit wider": (MODELS, "ge=1, le=1_000_000", "ge=0, le=1_000_000", "data.order.lines[].quantity: minimum is 0"),
    "new required field": (MODELS, VIP, f"{VIP}    tax: Fen\n", "data.order.tax is required now"),
    "unit": (MODELS, '"x-unit": "fen"', '"x-unit": "yuan"', "data.order.total: unit was fen and is yuan now"),
    "meaning": (WORDS, '"on its way to the buyer"', '"it may leave"', "data.order.status: value 'shipped' meant “on"),
    "value added": (MODELS, '    PAID = "paid"\n', '    PAID = "paid"\n    LOST = "lost"\n', "value 'lost' is new"),
}  # fmt: skip
COLOUR = (VIP, f"{VIP}    colour: Code | None = None\n")
COLOUR_IN_WORDS = ('    "vip": (', '    "colour": ("colour of the parcel", "包裹颜色"),\n    "vip": (')


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What `hub verify` looks at, to be spoilt."""
    shutil.copytree(ROOT / "hub", tmp_path / "hub")
    shutil.copytree(ROOT / "rabbitmq", tmp_path / "rabbitmq")
    shutil.copytree(ROOT / "docs" / "reference", tmp_path / "docs" / "reference")
    for page in [*(ROOT / "docs").glob("events*.md"), *(ROOT / "docs").glob("reconcile*.md")]:
        shutil.copy(page, tmp_path / "docs")
    return tmp_path


def verify(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`hub verify` of that copy."""
    command = [sys.executable, "-m", "hub", "verify", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment())


def environment() -> dict[str, str]:
    """Nothing of this machine's settings and nothing of a git that is running these tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "GIT_"))}


def edit(folder: Path, file: str, old: str, new: str) -> None:
    """Replace a text in a file, once."""
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


def git(folder: Path, *arguments: str) -> None:
    """A git command in the copy."""
    named = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    subprocess.run(["git", *named, *arguments], cwd=folder, capture_output=True, check=True, env=environment())


def files(folder: Path) -> dict[Path, bytes]:
    """Everything that `hub verify` may write."""
    there = [*folder.glob("hub/schemas/published/*"), *folder.glob("docs/**/*"), *folder.glob("rabbitmq/*")]
    return {path: path.read_bytes() for path in there if path.is_file()}


@pytest.mark.parametrize("what", BREAKS)
def test_a_breaking_change_is_refused_with_the_field_and_nothing_is_overwritten(copy: Path, what: str) -> None:
    *place, sentence = BREAKS[what]
    edit(copy, *place)
    before = files(copy)
    done = verify(copy, "--write")
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stdout.splitlines() if sentence in line]
    assert len(said) >= 1, done.stdout
    assert all(line.startswith("refused: order.*.v1: ") and line.endswith(KEEP) for line in said)
    assert "nothing was written" in done.stderr
    assert files(copy) == before


def test_an_addition_is_stale_until_it_is_written_and_then_passes(copy: Path) -> None:
    edit(copy, MODELS, *COLOUR)
    unsaid = verify(copy, "--write")
    assert (unsaid.returncode, unsaid.stdout.count("\n")) == (1, 1)
    assert "field.data.order.colour has no words: say in hub/schemas/words.py" in unsaid.stdout
    edit(copy, WORDS, *COLOUR_IN_WORDS)
    stale = verify(copy)
    assert stale.returncode == 1
    assert "not current: hub/schemas/published/order.paid.v1.json" in stale.stdout
    assert verify(copy, "--write").returncode == 0
    current = verify(copy)
    assert (current.returncode, current.stdout, current.stderr) == (0, "", "")
    assert "| `order.colour` |" in (copy / "docs" / "events.zh.md").read_text(encoding="utf-8")


def test_who_changes_model_and_published_file_in_one_go_is_caught_by_what_was_released(copy: Path) -> None:
    git(copy, "init", "-q")
    git(copy, "add", "--force", "hub/schemas/published")
    git(copy, "commit", "-q", "-m", "a release")
    git(copy, "tag", "v1.0")
    edit(copy, MODELS, *BREAKS["limit narrower"][1:3])
    for path in copy.glob("hub/schemas/published/order.*.json"):
        path.unlink()
    assert verify(copy, "--write").returncode == 0
    assert verify(copy).returncode == 0
    done = verify(copy, "--against", "v1.0")
    assert done.returncode == 1
    assert "refused: order.*.v1: data.order.lines: maxItems is 500 now, narrower than 1000" in done.stdout
    assert done.stdout.rstrip().endswith("(against v1.0)")
    unknown = verify(copy, "--against", "v2.0")
    assert (unknown.returncode, "git knows no revision v2.0" in unknown.stderr) == (4, True)


def test_a_published_file_that_nothing_stands_behind_or_nobody_can_read_is_refused(copy: Path) -> None:
    published = copy / "hub" / "schemas" / "published"
    old = json.loads((published / "order.paid.v1.json").read_text(encoding="utf-8"))
    (published / "order.paid.v0.json").write_text(json.dumps(old), encoding="utf-8")
    done = verify(copy, "--write")
    assert done.returncode == 1
    assert "order.paid.v0 is published and hub/schemas/registry.py has it no more" in done.stdout
    (published / "order.paid.v0.json").write_text("<<<<<<< ours", encoding="utf-8")
    broken = verify(copy, "--write")
    assert (broken.returncode, "order.paid.v0.json is no JSON" in broken.stderr) == (1, True)
