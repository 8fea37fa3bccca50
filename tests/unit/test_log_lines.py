"""Whatever stands in a text, a line of the log is one line, and nothing in it moves the cursor of a terminal."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from hub import groups, logs

HOSTILE = 'Zhang\r\n{"log.level": "info"}\n2026-01-01 [info] forged\x1b[2J\x1b[31m\x00\x9b1m\x07'


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Whoever comes next has another stream to write to."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("how", ["json", "console"])
def test_a_hostile_text_makes_no_second_line_and_no_colours(
    how: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(groups.Log(format=how), "test")
    logs.get("test").warning("some.thing", order=HOSTILE, listed=[HOSTILE], error=ValueError(HOSTILE))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f]", said.rstrip("\n")) == []
    assert "forged" in said
    if how == "json":
        assert json.loads(said)["order"] == HOSTILE
