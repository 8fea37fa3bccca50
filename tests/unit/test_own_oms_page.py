"""The pages for a company with its own OMS name the checks, codes, changes and settings that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import CheckConstraint

from hub import config
from hub.oms.own_rows import Reason
from hub.own_tables import CONTENT, oms_outbox
from hub.schemas.lifecycle import TRANSITIONS
from hub.schemas.order import Change, NewOrder, OrderLine, Receiver
from tests.commands import documented, typed

ROOT = Path(__file__).parents[2] / "docs"
ENGLISH, CHINESE = PAGES = [ROOT / "own-oms.md", ROOT / "own-oms.zh.md"]


def named(page: Path) -> set[str]:
    """Everything between single back-quotes."""
    return set(re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")))


def rows(page: Path) -> list[list[str]]:
    return [line.strip("|").split(" | ") for line in page.read_text("utf-8").splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_check_of_the_table_is_named_and_no_other(page: Path) -> None:
    checks = [each for each in oms_outbox.constraints if isinstance(each, CheckConstraint)]
    ours = {f"ck_oms_outbox_{str(each.name).removeprefix('ck_oms_outbox_')}" for each in checks}
    shown = {name for name in named(page) if name.startswith(("ck_", "uq_"))}
    assert shown == ours | {"uq_oms_outbox_order_no_version"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_code_column_and_field_is_named_and_only_settings_that_there_are(page: Path) -> None:
    words = named(page)
    assert set(Reason) <= words
    assert {"order_no", *CONTENT} <= words
    fields = {*NewOrder.model_fields, *OrderLine.model_fields, *Receiver.model_fields}
    assert fields <= words
    assert set(re.findall(r"HUB_\w+", page.read_text("utf-8"))) <= {name for name, _ in config.variables()} | {"HUB"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_table_of_changes_is_the_transition_table(page: Path) -> None:
    shown = {}
    for cells in rows(page):
        if len(cells) == 4 and (word := cells[1].strip().strip("`")) in set(Change):
            sources = re.findall(r"`(\w+)`", cells[2])
            shown[word] = (set(sources), cells[3].strip().strip("`"))
    expected = {
        str(change): (
            {str(source) for row in TRANSITIONS if row.change is change for source in row.sources if source},
            next(str(row.target) for row in TRANSITIONS if row.change is change),
        )
        for change in Change
    }
    assert shown == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_can_be_typed(page: Path) -> None:
    lines = list(documented(page))
    assert len(lines) >= 8
    for line in lines:
        typed(line)


def test_both_pages_show_the_same_code() -> None:
    english, chinese = (re.findall(r"^```.*?^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE) for page in PAGES)
    assert len(english) == 11
    assert english == chinese
