"""The pages on subscriptions show commands that there are, the same in both languages, and name only real settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub import config, groups
from hub.cli import subscriptions
from tests.commands import documented, typed

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "subscriptions.md", DOCS / "subscriptions.zh.md"]


def test_both_pages_tell_the_same_commands() -> None:
    english, chinese = (list(documented(page)) for page in PAGES)
    assert english == chinese


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_only_commands_that_can_be_typed_and_every_verb(page: Path) -> None:
    for line in documented(page):
        typed(line)
    verbs = {line.split()[2] for line in documented(page) if line.startswith("hub subscription ")}
    ours = {
        str(each.name or each.callback.__name__).rstrip("_")
        for each in subscriptions.app.registered_commands
        if each.callback and each.callback.__module__ == subscriptions.__name__
    }
    assert verbs == ours


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_settings_that_there_are_with_their_defaults(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = {name for name, _ in config.variables()} | {"HUB_BUS__MANAGEMENT_URL_FILE", "HUB_SUBSCRIPTIONS__"}
    assert set(re.findall(r"HUB_\w+", text)) <= known
    usual = groups.Subscriptions()
    assert f"{usual.max_length:,}" in text
    assert f"{usual.max_bytes // (1024 * 1024)} MiB" in text
