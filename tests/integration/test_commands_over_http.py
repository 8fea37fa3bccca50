"""What the commands say of systems that are behind their vendors' interfaces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.simulators.crm_rest.vendor import CrmRest
from hub.simulators.stand import Stand
from tests.running import Machine


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    vendor = CrmRest(tmp_path / "crm.sqlite")
    with Stand(vendor) as stand:
        yield stand
    vendor.close()


@pytest.fixture
def machine(tmp_path: Path, stand: Stand) -> Machine:
    variables = {"HUB_DATA_DIR": str(tmp_path / "data"), **stand.vendor.settings(stand.address)}
    return Machine(tmp_path, variables).prepared()


def doctor(machine: Machine) -> dict[str, Any]:
    rows = json.loads(machine.hub("doctor", "--json").stdout)
    return {row["check"]: row for row in rows}


def test_the_doctor_says_by_which_interface_and_where_a_system_answers(machine: Machine, stand: Stand) -> None:
    found = doctor(machine)
    told = f"rest at {stand.address} answers and knows us"
    assert found["crm"] == {"check": "crm", "good": True, "detail": told, "warning": False}
    assert found["wms"]["detail"] == "interface tables are there, 0 effects so far"


def test_the_doctor_says_which_settings_hold_credentials_that_are_refused(machine: Machine, stand: Stand) -> None:
    found = doctor(machine.given(HUB_SYSTEMS__CRM__REST__CLIENT_SECRET="not-the-secret"))["crm"]
    assert not found["good"]
    assert found["detail"].startswith(f"rest at {stand.address}: our credentials are refused (")
    assert "HUB_SYSTEMS__CRM__REST__*" in found["detail"]
    assert "not-the-secret" not in found["detail"]


def test_the_doctor_says_where_nobody_answers(machine: Machine) -> None:
    found = doctor(machine.given(HUB_SYSTEMS__CRM__REST__URL="http://127.0.0.1:9/crm"))["crm"]
    assert (found["good"], found["detail"].partition(":")[0]) == (False, "rest at http")
    assert "http://127.0.0.1:9/crm" in found["detail"]


def test_there_is_nothing_to_make_behind_an_interface(machine: Machine) -> None:
    told = machine.must("systems", "create", "crm", "wms")
    assert told == "crm: spoken to as rest, nothing to make there\nwms: interface tables are there\n"


def test_the_list_of_systems_says_how_each_is_spoken_to(machine: Machine) -> None:
    rows = json.loads(machine.must("systems", "list", "--output", "json"))
    assert {row["system"]: row["interface"] for row in rows} == {"crm": "rest"} | dict.fromkeys(
        ("kingdee", "wms", "erp"), "tables"
    )


def test_people_see_the_settings_of_the_interfaces_in_use_and_scripts_see_all(machine: Machine) -> None:
    people, everything = machine.must("config", "show"), json.loads(machine.must("config", "show", "--json"))
    shown = {line.split()[0] for line in people.splitlines() if line.startswith(" systems.")}
    assert {"systems.crm.rest.url", "systems.crm.interface", "systems.wms.url"} <= shown
    assert not {name for name in shown if ".fxiaoke." in name or ".qimen." in name or name == "systems.crm.url"}
    assert everything["systems.crm.fxiaoke.url"]["source"] == "default"
    assert everything["systems.crm.rest.client_secret"]["value"] == "***"
    assert everything["systems.crm.rest.token"]["value"] == "—"
