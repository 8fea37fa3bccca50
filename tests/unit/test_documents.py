"""What the documents say of the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub import config
from hub.cli import reconcile
from hub.reconcile import rules
from hub.reconcile.causes import Cause
from hub.reconcile.findings import State
from hub.reconcile.report.words import name_of
from hub.schemas.lifecycle import TRANSITIONS
from tests.commands import command_of, documented, mentioned, typed

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "docs" / "reconcile.md", ROOT / "docs" / "reconcile.zh.md"]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_shows_every_row_of_the_transition_table() -> None:
    for row in TRANSITIONS:
        sources = ", ".join(str(source or "—") for source in row.sources)
        line = f"| {sources} | {row.verb} | {row.target} "
        assert any(shown.startswith(line) and shown.endswith(f"| {', '.join(row.roles)} |") for shown in _lines()), line


def test_the_page_shows_every_room_of_the_package() -> None:
    rooms = {path.stem for path in (ROOT / "hub").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {room for room in rooms if not room.startswith("__")} <= set(_words())


def test_both_readmes_tell_the_same_commands() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    commands = [line.split("#")[0].strip() for line in english.splitlines() if line.startswith(".venv/bin/hub")]
    assert len(commands) >= 5
    assert all(command in chinese for command in commands)


def test_both_guides_of_the_comparison_tell_the_same_commands() -> None:
    english, chinese = (list(documented(page)) for page in GUIDES)
    assert english == chinese
    ours = {str(each.name or each.callback.__name__) for each in reconcile.app.registered_commands if each.callback}
    told = {line.split()[2] for line in english if line.startswith("hub reconcile ")}
    assert told == ours - {"nightly"}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_a_guide_shows_only_commands_that_can_be_typed(page: Path) -> None:
    for line in documented(page):
        typed(line)
    assert {command_of(line) for line in mentioned(page)} >= {"up", "reconcile nightly", "parked retry"}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_a_guide_names_every_cause_and_state_and_only_settings_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")]
    chinese = page.name.endswith(".zh.md")
    for group, values in (("cause", Cause), ("state", State)):
        for value in values:
            assert f"`{value}`{' ' + name_of('zh', group, value) if chinese else ''}" in rows
    assert set(re.findall(r"HUB_\w+", text)) <= {name for name, _ in config.variables()}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_field_rules_that_a_guide_shows_are_field_rules(page: Path, tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "rules.toml").write_text(shown, encoding="utf-8")
    loaded = rules.load(tmp_path / "rules.toml")
    assert (loaded.of("kingdee").tolerance_fen, loaded.of("wms").mapped["status"]["已出库"]) == (1, "shipped")


def _lines() -> list[str]:
    return ARCHITECTURE.splitlines()


def _words() -> list[str]:
    return ARCHITECTURE.replace("|", " ").replace(",", " ").split()
