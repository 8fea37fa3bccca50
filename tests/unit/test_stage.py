"""What the settings of this machine may not do to a hub on a stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.stage import deployment


def test_a_stage_takes_orders_through_the_interface_where_the_company_has_its_own_oms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUB_OMS__WRITER", "own")
    for simulated in (None, deployment.simulators(tmp_path)):
        assert deployment._settings(tmp_path, None, None, simulated, {}).oms.writer == "hub"
