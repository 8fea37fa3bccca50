"""The pages about systems name settings, commands, statuses and places that there are, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub import config
from hub.config import variables
from hub.interfaces.http import Http
from hub.interfaces.words import STATUSES
from hub.reconcile.report.words import name_of
from tests.commands import command_of, documented, mentioned, typed
from tests.support import ROOT

DOCS = ROOT / "docs"
SYSTEMS = {
    "kingdee": ("HUB_SYSTEMS__KINGDEE__WEBAPI__",),
    "wms": ("HUB_SYSTEMS__WMS__QIMEN__",),
    "crm": ("HUB_SYSTEMS__CRM__REST__", "HUB_SYSTEMS__CRM__FXIAOKE__"),
    "erp": ("HUB_SYSTEMS__ERP__GRASP__", "HUB_SYSTEMS__ERP__YONBIP__"),
}
PAGES = [
    DOCS / f"{name}{language}.md"
    for name in ("systems", *(f"systems/{each}" for each in SYSTEMS))
    for language in ("", ".zh")
]
COMMON = {name.upper() for name in Http.model_fields} - {"URL"}


def test_both_languages_tell_the_same_commands() -> None:
    english, chinese = (list(documented(DOCS / name)) for name in ("systems.md", "systems.zh.md"))
    assert english == chinese
    assert len(english) >= 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_only_commands_that_can_be_typed(page: Path) -> None:
    for line in documented(page):
        typed(line)
    for line in mentioned(page):
        command_of(line.replace(" …", ""))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_settings_that_there_are(page: Path) -> None:
    known = {name for name, _ in variables()}
    given = re.findall(r"(?<![A-Z_])HUB_[A-Z_]+\b", page.read_text(encoding="utf-8"))
    assert given
    for name in (each.removesuffix("_FILE") for each in given):
        assert name in known or any(each.startswith(name.rstrip("_") + "__") for each in known), name


@pytest.mark.parametrize("language", ["", ".zh"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_page_names_every_setting_of_its_interfaces(system: str, language: str) -> None:
    text = (DOCS / "systems" / f"{system}{language}.md").read_text(encoding="utf-8")
    for prefix in SYSTEMS[system]:
        own = {name.removeprefix(prefix) for name, _ in config.variables() if name.startswith(prefix)} - COMMON
        assert prefix in text
        assert {
            name for name in own if f"`{name}`" not in text and f"`__{name.rpartition('__')[2]}`" not in text
        } == set()


@pytest.mark.parametrize("page", ["systems.md", "systems.zh.md"])
def test_the_page_of_all_systems_names_every_setting_that_they_share(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert {name for name in COMMON if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("system", ["kingdee", "wms", "erp"])
def test_a_page_says_what_the_system_shows_in_every_status(system: str, language: str) -> None:
    text = (DOCS / "systems" / f"{system}{'.zh' if language == 'zh' else ''}.md").read_text(encoding="utf-8")
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| "))
    for status in STATUSES:
        assert (name_of("zh", "status", status) if language == "zh" else status) in rows, status


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on the web."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
