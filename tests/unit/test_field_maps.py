"""The field maps that the pages of systems show are field maps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.consumers.kingdee import field_map
from hub.interfaces import crm_rest_map, fxiaoke_map, grasp_map, map_file, yonbip_map
from hub.interfaces.map_file import MapPart
from tests.support import ROOT

SHOWN: dict[str, tuple[type[MapPart], ...]] = {
    "crm": (crm_rest_map.FieldMap, fxiaoke_map.FieldMap),
    "erp": (yonbip_map.FieldMap, grasp_map.FieldMap),
}


@pytest.mark.parametrize("language", ["", ".zh"])
@pytest.mark.parametrize("page", SHOWN)
def test_a_field_map_that_a_page_shows_can_be_used(tmp_path: Path, page: str, language: str) -> None:
    for toml, kind in zip(shown(f"{page}{language}.md"), SHOWN[page], strict=True):
        assert map_file.load(written(tmp_path, toml), kind, "THE_SETTING")


@pytest.mark.parametrize("page", ["kingdee.md", "kingdee.zh.md"])
def test_the_field_map_of_kingdee_that_a_page_shows_can_be_used(tmp_path: Path, page: str) -> None:
    (toml,) = shown(page)
    assert field_map.load(written(tmp_path, toml)).material_of("TEA-250", "lines[1].sku") == "M-0001"


def shown(page: str) -> list[str]:
    text = (ROOT / "docs" / "systems" / page).read_text(encoding="utf-8")
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


def written(folder: Path, toml: str) -> Path:
    path = folder / "map.toml"
    path.write_text(toml, encoding="utf-8")
    return path
