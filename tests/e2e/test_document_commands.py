"""The quick start and the how-to pages are typed as they stand, in their order, and print what they show."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hub.stage.ports import free_port
from tests.documents import Block, blocks
from tests.nodes.processes import wait_until
from tests.support import ROOT
from tests.terminal import Terminal, terminal

DOCS = ROOT / "docs"
QUICK_START = DOCS / "quickstart.md"
HOW_TO = DOCS / "how-to"
TYPED = [QUICK_START, *sorted(HOW_TO.glob("*.md"))]
PATIENCE_SECONDS = 120

NOT_RUN = {
    r"^sudo ": "needs root and changes the machine",
    r"^git clone ": "needs the address of a server; the test has the project already",
    r"^cd order-integration-hub$": "goes into what was cloned",
    r"^make demo$": "installs the runtime; tests/e2e/test_demo.py runs the demo itself",
    r"^hub subscription ": "needs a broker; tests/integration/test_subscriptions.py does it",
    r"^\.venv/bin/pytest ": "a test is not run in a test; this one runs beside it",
    r'^export PATH="\$PWD/\.venv/bin': "the test has the commands of the environment that it runs in",
}
"""What of these pages no test types, and why."""

LOOKS = re.compile(r"^(hub (status|doctor|reconcile check|\w+(-\w+)? (list|show))\b|curl )")
"""Commands that only look: typed again until they show what the page shows."""


@dataclass
class Reader:
    """Somebody who types a page. `instead` is what the page has and this machine has otherwise: ports, servers."""

    terminal: Terminal
    instead: dict[str, str]
    typed: list[str] = field(default_factory=list)

    def type(self, page: Path, *sections: str) -> None:
        """Type the blocks of some sections of a page, or all, and see that each prints what the page shows."""
        found = blocks(page)
        for block, after in zip(found, [*found[1:], None], strict=True):
            if block.commands and (not sections or set(sections) & set(block.headings[-1:])):
                shows = after.text if after is not None and after.language == "text" else ""
                self._type(block, shows)

    def _type(self, block: Block, shows: str) -> None:
        commands = [each for each in block.commands if not is_left_out(each)]
        printed = "".join(self._typed(each) for each in commands)
        again = [each for each in commands if LOOKS.match(each)]
        if commands and not lacking(shows, printed):
            return

        def look() -> bool:
            nonlocal said
            said = printed + "".join(self._typed(each) for each in again)
            return not lacking(shows, said)

        said = printed
        assert not commands or (again and wait_until(look, PATIENCE_SECONDS)), (
            f"{commands} do not show {lacking(shows, said)}: {said}"
        )

    def _typed(self, command: str) -> str:
        here = command
        for page, own in self.instead.items():
            here = here.replace(page, own)
        code, printed = self.terminal.type(here)
        assert code == 0, f"{here} ended with {code}: {printed}"
        self.typed.append(command)
        return f"{printed}\n"


def commands_of(page: Path) -> list[str]:
    """What of a page is typed."""
    return [each for block in blocks(page) for each in block.commands if not is_left_out(each)]


def is_left_out(command: str) -> bool:
    """Whether no test types a command."""
    return any(re.search(pattern, command) for pattern in NOT_RUN)


def lacking(shows: str, printed: str) -> list[str]:
    """The lines of a page whose words were not printed in one line. Numbers, keys and moments may be others."""
    known = [set(_words(line)) for line in printed.splitlines()]
    shown = [(line, set(_words(line))) for line in shows.splitlines()]
    return [line for line, words in shown if words and not any(words <= each for each in known)]


def _words(line: str) -> list[str]:
    # What has a digit in it is of one run; what is before and after … is cut off.
    return list(re.findall(r"[^\W\d_][\w'-]*|[✓✗¥]", re.sub(r"\S*\d\S*|\S*…\S*", " ", line)))


@contextmanager
def new_user(folder: Path) -> Iterator[Reader]:
    """Somebody in a folder of the project where nothing was done yet."""
    shutil.copytree(DOCS / "examples", folder / "docs" / "examples")
    ports = {"8080": str(free_port()), "8901": str(free_port())}
    with terminal(folder, HUB_API__PORT=ports["8080"]) as opened:
        yield Reader(opened, ports)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A user whose hub runs and has brought orders to four systems, as the quick start says."""
    with new_user(tmp_path_factory.mktemp("settled")) as reader:
        reader.type(QUICK_START, "Get it", "Start the hub", "Import orders")
        yield reader


@pytest.fixture
def reader(tmp_path: Path, postgres_url: str, rabbit_url: str) -> Iterator[Reader]:
    """A new user who has the servers that the pages name."""
    with new_user(tmp_path) as someone:
        someone.instead |= {
            "postgresql://hub:secret@127.0.0.1/hub": postgres_url,
            "amqp://hub:secret@127.0.0.1/%2F": rabbit_url,
        }
        yield someone


def test_the_quick_start_brings_orders_to_four_systems(settled: Reader) -> None:
    assert {"hub --version", "hub doctor", "hub orders list", "hub reconcile check"} <= set(settled.typed)


def test_a_shop_is_added_as_its_page_says(settled: Reader) -> None:
    settled.type(HOW_TO / "add-a-shop.md")
    assert "hub orders show $ORDER" in settled.typed


def test_a_setting_is_changed_as_its_page_says(settled: Reader) -> None:
    settled.type(HOW_TO / "change-a-setting.md")
    assert "hub config show" in settled.typed


@pytest.mark.slow
def test_the_whole_quick_start_can_be_typed(reader: Reader) -> None:
    reader.type(QUICK_START)
    assert [each for each in commands_of(QUICK_START) if each not in reader.typed] == []


@pytest.mark.slow
def test_the_hub_is_moved_to_servers_as_its_page_says(reader: Reader) -> None:
    page = HOW_TO / "move-to-servers.md"
    reader.type(page)
    assert [each for each in commands_of(page) if each not in reader.typed] == []


def test_no_page_with_commands_is_forgotten() -> None:
    typed = {"quickstart.md", "add-a-shop.md", "change-a-setting.md", "move-to-servers.md"}
    assert {page.name for page in TYPED if commands_of(page)} == typed


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_what_is_not_run_is_still_there(pattern: str) -> None:
    told = [each for page in TYPED for block in blocks(page) for each in block.commands]
    assert any(re.search(pattern, each) for each in told), NOT_RUN[pattern]


def test_a_line_that_was_not_printed_is_missed() -> None:
    assert lacking(" crm  14  5  0  ✓\n", " crm 3 5 ✗\n") == [" crm  14  5  0  ✓"]
    assert lacking(" crm  14  5  0  ✓\n", " crm 3 5 ✓\n") == []
