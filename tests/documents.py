"""The documents of the project as a reader takes them: headings, blocks, the commands in them, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT

PAGES = sorted(
    [
        *ROOT.glob("README*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "rabbitmq").glob("*.md"),
    ]
)
PAIRS = [(page.with_name(page.name.replace(".zh.md", ".md")), page) for page in PAGES if page.name.endswith(".zh.md")]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\]\(([^)#\s]*)(?:#([^)\s]*))?\)|!\[[^\]]*\]\(([^)\s]*)\)")
_REDIRECTS = {">", ">>", "<", "<<<", ">|", ">&"}
_BETWEEN = {"|", "||", "&&", "&", ";", ";;", "(", ")", "();", ");"}
_WORDS_OF_THE_SHELL = {"until", "while", "if", "do", "then", "else", "for", "!", "time"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the headings that it stands under."""

    language: str
    text: str
    headings: tuple[str, ...]

    @property
    def commands(self) -> list[str]:
        """What is typed, each a line or several that belong together; nothing of a block that shows something else."""
        return list(typed_in(self.text)) if self.language in {"sh", ""} else []


def name_of(page: Path) -> str:
    """A page as tests name it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in its order."""
    text, found = page.read_text(encoding="utf-8"), []
    for fence in _FENCE.finditer(text):
        before = _FENCE.sub("", text[: fence.start()])
        found.append(Block(fence[1], fence[2], tuple(heading[1] for heading in _HEADING.findall(before))))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def headings(page: Path) -> list[tuple[int, str]]:
    """(level, text) of each heading."""
    return [(len(marks), text) for marks, text in _HEADING.findall(prose(page))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on the web."""
    found: list[str] = []
    for _, heading in headings(page):
        anchor = re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return set(found)


def links(page: Path) -> Iterator[tuple[str, str]]:
    """(target, anchor) of every link and picture that leads into the project; an empty target is the page itself."""
    for target, anchor, picture in _LINK.findall(prose(page)):
        if not re.match(r"\w+:", target or picture):
            yield target or picture, anchor


def typed_in(text: str) -> Iterator[str]:
    """The commands of a block, each whole, over as many lines as its quotes and backslashes go."""
    waiting = ""
    for line in text.splitlines():
        waiting = f"{waiting}\n{line}" if waiting else line
        if _is_whole(waiting) and not line.endswith("\\"):
            if waiting.strip() and not waiting.lstrip().startswith("#"):
                yield waiting.strip()
            waiting = ""
    if waiting.strip():
        yield waiting.strip()


def calls(command: str) -> Iterator[list[str]]:
    """The words of each program that a command calls, without what the shell takes for itself."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    redirected = False
    for word in lexer:
        if redirected:
            redirected = False
        elif word in _REDIRECTS:
            redirected = True
            if words and words[-1] in {"1", "2"}:
                words.pop()
        elif word in _BETWEEN:
            yield from _called(words)
            words = []
        else:
            words.append(word)
    yield from _called(words)


def _called(words: list[str]) -> Iterator[list[str]]:
    rest = list(words)
    while rest and (rest[0] in _WORDS_OF_THE_SHELL or re.match(r"\w+=|\$$", rest[0]) or rest[0] == "sudo"):
        user = rest.pop(0) == "sudo" and rest[:1] == ["-u"]
        del rest[: 2 * user]
    if rest:
        yield rest


def _is_whole(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True
