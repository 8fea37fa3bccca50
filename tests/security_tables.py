"""Tables of docs/security.md, made from what the code does."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from hub.bus import topology
from hub.config import SYSTEMS
from hub.migrations.roles import ROLES, statements
from hub.producers.api.app import SEES_PERSONS
from hub.schemas.lifecycle import TRANSITIONS, Role

HEADINGS = {
    "callers": {"en": ("role", "may", "sees receivers"), "zh": ("角色", "可以做", "可见收件人")},
    "database": {"en": ("role", "adds to", "changes", "deletes from"), "zh": ("角色", "新增", "修改", "删除")},
    "broker": {"en": ("user", "configure", "write", "read"), "zh": ("用户", "configure", "write", "read")},
}
NOTHING = "—"


def tables(language: str) -> dict[str, str]:
    """Each table in Markdown, by its name."""
    rows = {"callers": _callers(), "database": _database(), "broker": _broker()}
    return {name: _table(HEADINGS[name][language], found) for name, found in rows.items()}


def _callers() -> Iterable[Sequence[str]]:
    for role in Role:
        verbs = list(dict.fromkeys(each.verb for each in TRANSITIONS if role in each.roles))
        yield f"`{role}`", _listed(verbs), "✓" if role in SEES_PERSONS else NOTHING


def _database() -> Iterable[Sequence[str]]:
    rights: dict[str, dict[str, list[str]]] = {role: defaultdict(list) for role in ROLES}
    for line in statements():
        if found := re.fullmatch(r"GRANT (.+) ON public\.(\w+) TO hub_(\w+);", line):
            for right in re.findall(r"INSERT|UPDATE|DELETE", found[1]):
                rights[found[3]][right].append(found[2])
    for role, found in rights.items():
        yield f"`hub_{role}`", *(_listed(sorted(found[right])) for right in ("INSERT", "UPDATE", "DELETE"))


def _broker() -> Iterable[Sequence[str]]:
    for each in topology.definitions(topology.topology(SYSTEMS))["permissions"]:
        yield f"`{each['user']}`", *(_pattern(each[right]) for right in ("configure", "write", "read"))


def _pattern(text: str) -> str:
    # A bar would end the cell.
    return NOTHING if text == "^$" else f"`{text}`".replace("|", "\\|")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or NOTHING


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write the tables anew: `python -m tests.security_tables`."""
    for language, page in (("en", "security.md"), ("zh", "security.zh.md")):
        path = Path("docs") / page
        text = path.read_text(encoding="utf-8")
        for name, table in tables(language).items():
            old = re.compile(rf"(?<=<!-- table: {name} -->\n\n)(?:\|.*\n)+")
            text = old.sub(lambda _, made=table: made, text)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
