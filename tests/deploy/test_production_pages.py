"""What the pages about deployment tell is there: commands, files, settings; both languages tell the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hub import config
from hub.migrations.roles import statements
from tests.commands import command_of, documented, mentioned, typed
from tests.support import ROOT

ENGLISH, CHINESE = ROOT / "docs" / "production.md", ROOT / "docs" / "production.zh.md"
ENTRY = ROOT / "deploy" / "README.md"
PAGES = [ENGLISH, CHINESE, ENTRY]


def blocks(page: Path) -> list[str]:
    """Every line to type, without its comment."""
    found = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    lines = [shlex.join(shlex.split(line, comments=True)) for line in "".join(found).splitlines()]
    return [line for line in lines if line]


def test_both_languages_tell_the_same_commands() -> None:
    assert blocks(ENGLISH) == blocks(CHINESE)
    assert len(blocks(ENGLISH)) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_can_be_typed(page: Path) -> None:
    for line in documented(page):
        typed(line)
    for line in mentioned(page):
        command_of(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"(?<![/\w.])((?:deploy|rabbitmq)/[\w./@*-]*[\w*/])", text):
        if "secrets" not in name and not name.endswith("interfaces.env"):
            assert list(ROOT.glob(name.rstrip("/"))), name
    for link, _, anchor in (found.partition("#") for found in re.findall(r"\]\(([^)]+)\)", text)):
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), f"{link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_and_every_role_is_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = {name for name, _ in config.variables()}
    named = set(re.findall(r"\bHUB_[A-Z0-9_]+\b", text))
    assert {name.removesuffix("_FILE") for name in named} <= known
    roles = set(re.findall(r"`(hub_(?!owner)[a-z_]+)`", text))
    made = set(re.findall(r"CREATE ROLE (\w+)", "\n".join(statements("public", "hub_"))))
    assert roles <= made


def test_the_limits_of_memory_that_the_page_tells_are_those_of_the_units() -> None:
    rows = re.findall(
        r"^\| `(hub[\w@-]+)\.(?:service|timer)`.*\| (\d+) MiB \|$", ENTRY.read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) == 7
    for name, most in rows:
        unit = ROOT / "deploy" / "systemd" / f"{re.sub('@.*', '@', name)}.service"
        assert f"\nMemoryMax={most}M\n" in unit.read_text(encoding="utf-8"), name


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
