"""What is delivered for servers fires when the settings say, and calls commands that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub import config
from tests.commands import typed

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(path for path in DEPLOY.rglob("hub*") if path.suffix in (".service", ".timer"))
INSTALLED = "/opt/hub/.venv/bin/hub"
DEFAULTS = config.load({})


def job() -> dict[str, Any]:
    """The CronJob; a file with anything else in it is no CronJob."""
    (found,) = yaml.safe_load_all((DEPLOY / "kubernetes" / "reconcile-cronjob.yaml").read_text(encoding="utf-8"))
    assert found["kind"] == "CronJob"
    return dict(found)


def said(unit: str, key: str) -> list[str]:
    """All that a unit says of a key."""
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / "systemd" / unit).read_text(encoding="utf-8"), re.MULTILINE)


def test_all_units_are_looked_at() -> None:
    assert [path.name for path in UNITS] == ["hub.service", "hub-reconcile.service", "hub-reconcile.timer"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_has_nothing_to_say_of_the_units(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("hub"))
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text("utf-8").replace(INSTALLED, program), "utf-8")
    names = [str(tmp_path / path.name) for path in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_service_calls_a_command_that_there_is(path: Path) -> None:
    for line in re.findall(r"^ExecStart=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        assert line.startswith(f"{INSTALLED} ")
        typed(line.replace(INSTALLED, "hub"))


def test_the_timer_fires_when_the_comparison_is_due() -> None:
    assert said("hub-reconcile.timer", "OnCalendar") == [f"*-*-* {DEFAULTS.reconcile.at}:00 {DEFAULTS.tz}"]
    assert said("hub-reconcile.timer", "Persistent") == ["true"]
    assert said("hub-reconcile.service", "ExecStart")[0].startswith(f"{INSTALLED} reconcile run")


def test_nothing_starts_the_comparison_but_its_timer() -> None:
    assert said("hub-reconcile.service", "WantedBy") == []
    assert said("hub-reconcile.timer", "WantedBy") == ["timers.target"]


def test_differences_are_no_failure_and_what_is_mistyped_is_not_tried_again() -> None:
    assert said("hub-reconcile.service", "SuccessExitStatus") == ["3"]
    assert {"2", "65", "78"} <= set(said("hub-reconcile.service", "RestartPreventExitStatus")[0].split())


def test_the_cron_job_fires_when_the_comparison_is_due_and_never_twice_at_once() -> None:
    hour, minute = DEFAULTS.reconcile.at.split(":")
    spec = job()["spec"]
    assert (spec["schedule"], spec["timeZone"]) == (f"{int(minute)} {int(hour)} * * *", DEFAULTS.tz)
    assert spec["concurrencyPolicy"] == "Forbid"


def test_the_cron_job_calls_a_command_that_there_is() -> None:
    (container,) = job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["reconcile", "run"]
    typed(" ".join(["hub", *container["args"]]))
    assert {each["name"] for each in container["env"]} <= {name for name, _ in config.variables()}


def test_the_example_of_settings_names_settings_that_there_are() -> None:
    lines = (DEPLOY / "hub.env.example").read_text(encoding="utf-8").splitlines()
    given = {line.removeprefix("#").partition("=")[0] for line in lines if re.match(r"#?HUB_", line)}
    known = {name for name, _ in config.variables()}
    assert {name.removesuffix("_FILE") for name in given} <= known
