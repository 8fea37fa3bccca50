"""The pages for subscribers show the samples as they are, commands that can be typed, and marks that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub import config
from hub.cli import subscription_runs
from hub.schemas import envelope
from tests.commands import command_of, documented, mentioned, typed

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "subscribe.md", ROOT / "docs" / "subscribe.zh.md"]
MARKS = {envelope.SNAPSHOT, envelope.REPLAYED, envelope.ROUTING_KEY, envelope.FOLLOWED, envelope.NEWER_MAJOR}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
@pytest.mark.parametrize(("language", "fence"), [("python", "python"), ("node", "javascript")])
def test_a_sample_on_the_page_is_the_file_itself(page: Path, language: str, fence: str) -> None:
    (shown,) = re.findall(rf"^```{fence}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert shown == subscription_runs.text_of(language)


def test_both_pages_tell_the_same_commands_and_all_of_a_run() -> None:
    english, chinese = (list(documented(page)) for page in PAGES)
    assert english == chinese
    ours = {
        str(each.name or each.callback.__name__) for each in subscription_runs.app.registered_commands if each.callback
    }
    assert ours <= {line.split()[2] for line in english}


@each_page
def test_every_command_can_be_typed(page: Path) -> None:
    for line in documented(page):
        typed(line)
    assert {"subscription replay", "subscription backfill"} <= {command_of(line) for line in mentioned(page)}


@each_page
def test_every_mark_and_only_settings_that_there_are_are_named(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert {line.split("`")[1] for line in text.splitlines() if line.startswith("| `hub_")} == MARKS
    assert set(re.findall(r"HUB_\w+", text)) <= {name for name, _ in config.variables()}


@each_page
def test_the_figures_of_the_page_are_the_defaults(page: Path) -> None:
    text, usual = page.read_text(encoding="utf-8"), config.load({})
    assert f"{usual.subscriptions.max_length:,}" in text
    assert f"{usual.subscriptions.max_bytes // 1024 // 1024} MiB" in text
    assert f"{usual.subscriptions.rate_per_second:.0f}" in text
    assert f"{usual.retention.archive_days} " in text
