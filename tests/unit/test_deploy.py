"""The example of settings has what a server needs, and nothing that is no setting."""

from __future__ import annotations

import re
from pathlib import Path

from hub import config

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_example_of_settings_names_settings_that_there_are() -> None:
    lines = (DEPLOY / "hub.env.example").read_text(encoding="utf-8").splitlines()
    given = {line.removeprefix("#").partition("=")[0] for line in lines if re.match(r"#?HUB_", line)}
    known = {name for name, _ in config.variables()}
    assert {name.removesuffix("_FILE") for name in given} <= known


def test_the_example_of_settings_has_all_that_a_real_interface_of_each_system_needs(tmp_path: Path) -> None:
    lines = (DEPLOY / "hub.env.example").read_text(encoding="utf-8").splitlines()
    given = dict(
        line.removeprefix("#").split("=", 1) for line in lines if re.match(r"#?HUB_(SYSTEMS|CONSUMERS)_", line)
    )
    assert not [name for name in given if name.endswith(("SECRET", "CODE"))]
    for name in [name for name in given if name.endswith("_FILE")]:
        given[name] = str(tmp_path / name)
        (tmp_path / name).write_text("told to nobody", encoding="utf-8")
    app_id = {"HUB_SYSTEMS__KINGDEE__WEBAPI__APP_ID": f"300001_{'x' * 32}"}
    settings = config.load({name: value or "filled in" for name, value in given.items()} | app_id)
    assert "tables" not in settings.interfaces.values()
