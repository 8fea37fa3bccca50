"""What the documents say of the code is what the code says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hub import config
from hub.cli import reconcile
from hub.documents import codes
from hub.documents.guide import keepers
from hub.reconcile import rules_file
from hub.reconcile.causes import Cause
from hub.reconcile.findings import State
from hub.reconcile.report.headings import SECTIONS
from hub.reconcile.report.wording import LOCALES, Locale
from hub.reconcile.report.words import name_of
from hub.schemas.lifecycle import TRANSITIONS
from tests import documents
from tests.commands import command_of, documented, mentioned, typed
from tests.documents import PAGES, PAIRS
from tests.support import ROOT

GUIDES = [ROOT / "docs" / "reconcile.md", ROOT / "docs" / "reconcile.zh.md"]
CATALOGUES = [ROOT / "docs" / "events.md", ROOT / "docs" / "events.zh.md"]
PROGRAMS = {
    *(".", "[", "cat", "cd", "cp", "curl", "cut", "done", "echo", "export", "grep", "kill", "mail", "psql", "set"),
    *("printf", "sleep", "ssh", "tail", "test", "touch", "unset", "wait"),
    *(
        "amtool",
        "promtool",
        "journalctl",
        "openssl",
        "pg_basebackup",
        "pg_dump",
        "pg_restore",
        "createdb",
        "dropdb",
        "rsync",
        "tar",
    ),
    *("install", "mkdir", "ln", "ls", "mv", "rm", "chmod", "chown", "su", "ss", "df", "free", "systemd-analyze", "ps"),
    *("apt-get", "git", "kubectl", "rabbitmqctl", "rabbitmq-plugins", "rabbitmq-queues", "systemctl"),
    *("pg_isready", "py-spy", "rabbitmq-diagnostics", "timedatectl", "uptime"),
    *("node", "npm", "pip", "python", "python3", "docker", "base64"),
}
"""What pages call besides hub and make; a program that is not here is most likely a typing error."""
MADE_LATER = {"deploy/compose/secrets/"}
"""What a page names and its own commands make."""
ALMOST = {"HUB_CONSUMERS__WMS__RATE_PER_SECONDS"}
"""The typing error of which docs/how-to/change-a-setting.md shows what becomes."""
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
    loaded = rules_file.load(tmp_path / "rules.toml")
    assert (loaded.of("kingdee").tolerance_fen, loaded.of("wms").mapped["status"]["已出库"]) == (1, "shipped")


def test_both_catalogues_of_events_show_the_same_commands_which_can_be_typed() -> None:
    english, chinese = (list(documented(page)) for page in CATALOGUES)
    assert english == chinese
    assert {command_of(line) for line in english} == {"events list", "events show", "events asyncapi"}
    for line in english:
        typed(line)


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_every_command_of_a_page_can_be_typed(page: Path) -> None:
    targets = re.findall(r"^([a-z0-9-]+)[a-z0-9 -]*:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for block in documents.blocks(page):
        for words in (each for command in block.commands for each in documents.calls(command)):
            program = words[0].rpartition("/")[2]
            if program == "hub":
                typed(shlex.join(words))
            elif program == "make":
                assert not words[1:] or words[1] in targets, words
            elif program == "pytest":
                assert (ROOT / words[1]).exists(), words
            else:
                assert program in PROGRAMS or (ROOT / words[0]).is_file(), words


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_every_command_in_the_text_of_a_page_is_one(page: Path) -> None:
    for line in mentioned(page):
        command_of(line.replace(" …", "").replace("'…'", "why"))


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in documents.links(page):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        assert not anchor or anchor in documents.anchors(there), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    rooms = "hub|docs|deploy|tests|rabbitmq|scripts|benchmarks"
    for named in re.findall(rf"`((?:{rooms})/[\w./*-]+)`", documents.prose(page)):
        assert named in MADE_LATER or list(ROOT.glob(named.rstrip("/"))), named


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_a_page_names_only_settings_that_there_are(page: Path) -> None:
    known = {name for name, _ in config.variables()}
    for given in re.findall(r"(?<![A-Z_$])HUB_[A-Z_]+[A-Z]\b", page.read_text(encoding="utf-8")):
        name = given if given in known else given.removesuffix("_FILE")
        assert name in known or any(each.startswith(f"{name}__") for each in known) or given in ALMOST, given


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=documents.name_of)
def test_both_languages_have_the_same_headings_and_commands(english: Path, chinese: Path) -> None:
    pages = (english, chinese)
    levels, commands = ([level for level, _ in documents.headings(page)] for page in pages), map(_typed, pages)
    assert len({tuple(each) for each in levels}) == 1
    assert len({tuple(each) for each in commands}) == 1


def test_every_document_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target, _ in documents.links(index)}
    chosen = {page for page in PAGES if "decisions" not in page.parts and page.parent != ROOT}
    assert {documents.name_of(page) for page in chosen - linked} == {"docs/README.md"}


@pytest.mark.parametrize("locale", LOCALES)
def test_the_report_guide_explains_every_part_of_the_report(locale: Locale) -> None:
    text = (ROOT / "docs" / ("reconcile.zh.md" if locale == "zh" else "reconcile.md")).read_text(encoding="utf-8")
    for key, words in SECTIONS.items():
        assert not key.startswith("section.") or f"\n| {getattr(words, locale)} |" in text, key
    assert keepers(locale) in " ".join(text.split())


def test_every_code_that_people_meet_has_words_of_its_own() -> None:
    for each in codes.SETS:
        assert all(meaning and todo for _, meaning, todo in each.rows()), each.title
    for command in codes.commands_with_codes():
        assert command_of(f"hub {command}") == command


def _typed(page: Path) -> list[str]:
    """The commands of a page without their comments and without words for people; `--locale zh` is one."""
    found = [
        shlex.join(words)
        for block in documents.blocks(page)
        for each in block.commands
        for words in documents.calls(each)
    ]
    return [line.replace(" 'ARGS=--locale zh'", "") for line in found]


def _lines() -> list[str]:
    return ARCHITECTURE.splitlines()


def _words() -> list[str]:
    return ARCHITECTURE.replace("|", " ").replace(",", " ").split()
