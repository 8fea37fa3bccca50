"""`hub reconcile nightly`: a night that came while nobody compared is made up for, each once."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from hub import assembly, wiring
from hub.database import in_seconds, writing
from hub.night_tables import reconcile_runs
from tests.running import STOP_SECONDS, Machine, wait_until

TWO_DAYS = 2 * 86_400


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A prepared hub on files."""
    return Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path / "data")}).prepared()


def test_a_night_that_was_missed_is_made_up_for_once(machine: Machine) -> None:
    machine.must("reconcile", "run")
    long_ago(machine)
    with machine.daemon("reconcile", "nightly") as nightly:
        assert nightly.line("night.over")["verdict"] == "clean"
        assert [run["scope"] for run in runs(machine)] == ["everything"] * 2
    with machine.daemon("reconcile", "nightly") as again:
        assert not wait_until(lambda: len(runs(machine)) > 2, seconds=3)
        ended(again)


def test_a_hub_that_is_new_waits_for_its_first_night(machine: Machine) -> None:
    with machine.daemon("reconcile", "nightly") as nightly:
        assert not wait_until(lambda: bool(runs(machine)), seconds=3)
        ended(nightly)


def test_a_night_on_which_a_system_cannot_be_read_says_so_and_is_over(machine: Machine) -> None:
    machine.must("reconcile", "run")
    long_ago(machine)
    crm = assembly.system_of(machine.settings, "crm")
    crm.remove()
    crm.close()
    with machine.daemon("reconcile", "nightly") as nightly:
        assert nightly.line("night.over")["verdict"] == "incomplete"
        ended(nightly)
    assert runs(machine)[0]["unread"] == ["crm"]


def test_a_day_that_lies_ahead_is_refused_and_removes_no_report(machine: Machine) -> None:
    machine.must("reconcile", "run")
    filed = machine.must("reconcile", "report")
    done = machine.hub("reconcile", "run", "--day", "9999-12-31")
    assert done.returncode == 65
    assert done.stderr.startswith("hub: --day: 9999-12-31 lies ahead;")
    assert machine.must("reconcile", "report") == filed
    assert len(runs(machine)) == 1


def test_a_report_that_is_gone_is_not_found_in_one_line(machine: Machine) -> None:
    machine.must("reconcile", "run")
    shutil.rmtree(machine.folder / "data" / "reports")
    for options in ([], ["--json"]):
        done = machine.hub("reconcile", "report", *options)
        assert done.returncode == 4
        assert done.stderr.startswith("hub: the report of run 1 is not at ")
        assert len(done.stderr.splitlines()) == 1


def test_a_system_that_is_named_twice_is_one_scope(machine: Machine) -> None:
    machine.must("reconcile", "run", "--system", "crm", "--system", "crm")
    assert [run["scope"] for run in runs(machine)] == ["systems crm"]


def test_a_night_that_another_process_takes_over_is_put_off_and_the_daemon_stays(machine: Machine) -> None:
    machine.must("reconcile", "run")
    long_ago(machine)
    with wiring.hub_engine(machine.settings, "test") as engine, writing(engine) as connection:
        connection.execute(
            text(
                "CREATE TRIGGER taken_over AFTER INSERT ON reconcile_runs "
                "BEGIN UPDATE leases SET epoch = epoch + 1 WHERE name = 'reconcile'; END"
            )
        )
    with machine.daemon("reconcile", "nightly") as nightly:
        assert "has a newer holder" in nightly.line("night.put_off")["error"]
        ended(nightly)


def test_what_it_says_is_json_in_the_name_of_its_service(machine: Machine) -> None:
    machine.must("reconcile", "run")
    long_ago(machine)
    with machine.daemon("reconcile", "nightly") as nightly:
        nightly.line("night.over")
        assert {line["service.name"] for line in nightly.lines()} == {"hub-reconcile"}
        ended(nightly)


def ended(daemon: Any) -> None:
    """It ends cleanly and in time when it is told to."""
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(STOP_SECONDS) == 0


def long_ago(machine: Machine) -> None:
    """The last comparison was the day before yesterday."""
    with wiring.hub_engine(machine.settings, "test") as engine, writing(engine) as connection:
        connection.execute(update(reconcile_runs).values(started_at=in_seconds(-TWO_DAYS)))


def runs(machine: Machine) -> list[dict[str, Any]]:
    """The runs so far, the newest first."""
    found: list[dict[str, Any]] = json.loads(machine.must("reconcile", "status", "--output", "json"))
    return found
