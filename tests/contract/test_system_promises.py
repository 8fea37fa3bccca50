"""Every promise of the port, kept by who needs nothing but a folder: interface tables, and the system of the how-to."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hub.config import Database
from hub.consumers.interface_tables import InterfaceTables
from hub.consumers.system import System
from hub.errors import DependencyDown, Unreachable
from tests.documents import blocks
from tests.promises import PROMISES
from tests.support import ROOT


def the_page_s_folder(folder: Path) -> Any:
    """The adapter that docs/how-to/add-a-system.md shows, as it stands there."""
    (shown,) = [each for each in blocks(ROOT / "docs" / "how-to" / "add-a-system.md") if each.language == "python"]
    module = types.ModuleType("folder")
    exec(compile(shown.text, "add-a-system.md", "exec"), vars(module))
    return module.Folder(folder / "erp")


def interface_tables(folder: Path) -> InterfaceTables:
    """The interface tables in a file."""
    return InterfaceTables("erp", Database(url=SecretStr(f"sqlite:///{folder}/erp.db")))


SYSTEMS: tuple[Callable[[Path], System], ...] = (interface_tables, the_page_s_folder)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("make", SYSTEMS, ids=lambda make: make.__name__)
def test_a_system_keeps_its_promises(
    make: Callable[[Path], System], promise: Callable[[System], None], tmp_path: Path
) -> None:
    system = make(tmp_path)
    system.prepare()
    try:
        promise(system)
    finally:
        system.close()


@pytest.mark.parametrize("make", SYSTEMS, ids=lambda make: make.__name__)
def test_what_is_not_there_is_unreachable_and_says_what_to_run(make: Callable[[Path], System], tmp_path: Path) -> None:
    system = make(tmp_path)
    with pytest.raises(DependencyDown, match="hub systems create erp"):
        system.ping()
    assert [type(each) for each in system.look(["SO-1"])] == [Unreachable]
    system.close()
