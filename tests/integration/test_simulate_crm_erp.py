"""`hub simulate crm` and `hub simulate erp` are systems that the hub can be led to."""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import pytest

from tests.running import Machine

SETTINGS = {
    ("crm", "rest"): ("URL", "CLIENT_ID", "CLIENT_SECRET"),
    ("crm", "fxiaoke"): ("URL", "APP_ID", "APP_SECRET", "PERMANENT_CODE"),
    ("erp", "yonbip"): ("URL", "TOKEN_URL", "APP_KEY", "APP_SECRET", "FIELD_MAP"),
    ("erp", "grasp"): ("URL", "APP_KEY", "APP_SECRET", "SIGN_KEY", "SHOP_KEY", "REFRESH_TOKEN"),
}


@pytest.mark.parametrize(("system", "dialect"), SETTINGS)
def test_prints_settings_that_lead_to_it(tmp_path: Path, system: str, dialect: str) -> None:
    group = f"HUB_SYSTEMS__{system.upper()}"
    wanted = {f"{group}__{dialect.upper()}__{name}" for name in SETTINGS[system, dialect]}
    with Machine(tmp_path).daemon("simulate", system, "--dialect", dialect, "--data", "kept.sqlite") as daemon:
        found = printed(daemon.out, len(wanted) + 1)
        assert found.keys() == {f"{group}__INTERFACE", *wanted}
        assert found[f"{group}__INTERFACE"] == dialect
        address = httpx2.URL(found[f"{group}__{dialect.upper()}__URL"])
        assert httpx2.get(address.join("/journal"), timeout=10).json() == []
        assert daemon.terminate() == 0


def test_knows_no_other_dialect(tmp_path: Path) -> None:
    assert Machine(tmp_path).hub("simulate", "crm", "--dialect", "klingon").returncode == 2


def printed(out: Path, lines: int) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while len(found := out.read_text(encoding="utf-8").splitlines()) < lines:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(line.split("=", 1) for line in found)
