"""The units: systemd takes them, they are shut in, and they say of each part what the hub does in truth."""

from __future__ import annotations

import ctypes
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

import pytest

from hub import config
from hub.cli.daemons import parts
from hub.daemon import STOP_SECONDS
from hub.errors import BadInput, WrongConfiguration
from hub.running import patience_of
from hub.supervisor import STOP_SECONDS as ALL_STOP_SECONDS
from tests.commands import typed
from tests.programs import Program
from tests.running import Machine
from tests.support import ROOT, settings

FOLDER = ROOT / "deploy" / "systemd"
UNITS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".service", ".timer", ".target"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
DAEMONS = [path for path in SERVICES if "Type=notify" in path.read_text("utf-8")]
ONCE = [path for path in SERVICES if path not in DAEMONS]
INSTALLED = "/opt/hub/.venv/bin/hub"
MOST_EXPOSED = 1.5
"""Of 10. A network service that writes files cannot come far below 1."""
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
SHUT_IN = f"""
import ctypes, os, sys
if ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0):
    sys.exit("no such prctl")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
NEEDED = "import ssl, psycopg2, uvicorn; from cryptography.hazmat.primitives.asymmetric import ec; "
named = pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
defaults = config.load({})


def said(path: Path, key: str) -> list[str]:
    """All that a unit says of a key."""
    return re.findall(rf"^{key}=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def hardening(path: Path) -> list[str]:
    """The lines that shut a service in, from the first to the last."""
    text = path.read_text(encoding="utf-8")
    return text[text.index("NoNewPrivileges=") : text.index("SystemCallErrorNumber=")].splitlines()


def unit(name: str) -> Path:
    return FOLDER / name


def started(path: Path) -> tuple[dict[str, str], list[str]]:
    """The variables that `env` gives the hub, and the words after them."""
    (line,) = said(path, "ExecStart")
    words = shlex.split(line.removeprefix("/usr/bin/env "))
    given = dict(word.split("=", 1) for word in takewhile(lambda word: "=" in word, words))
    return given, words[len(given) :]


@pytest.fixture(scope="module")
def analyze(program: Callable[[str], Program]) -> Program:
    return program("systemd-analyze")


def test_there_is_a_unit_for_every_part() -> None:
    whole = settings(HUB_BUS__URL="amqp://localhost/hub", HUB_OMS__WRITER="own")
    called = {_command(started(path)[1][1:]) for path in SERVICES}
    wanted = {_command(part.arguments) for part in parts(whole)}
    wanted = {("consume", "%i") if words[0] == "consume" else words for words in wanted}
    assert called == wanted - {("reconcile", "nightly")} | {("reconcile", "run"), ("up",)}


def test_systemd_has_nothing_to_say_of_the_units(analyze: Program, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("hub"))
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text("utf-8").replace(INSTALLED, program), "utf-8")
    for path in FOLDER.glob("*.d"):
        shutil.copytree(path, tmp_path / path.name)
    done = analyze.run("verify", "--man=no", *(tmp_path / path.name for path in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_service_is_shut_in(analyze: Program) -> None:
    done = analyze.run(
        "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED * 10:.0f}", *map(str, SERVICES)
    )
    found = re.findall(r"Overall exposure level for (\S+): ([0-9.]+)", done.stdout)
    assert len(found) == len(SERVICES), done.stderr
    assert {name: level for name, level in found if float(level) > MOST_EXPOSED} == {}
    assert done.returncode == 0


@named
def test_all_services_are_shut_in_alike_and_no_part_of_proc_that_the_hub_reads_is_hidden(path: Path) -> None:
    assert hardening(path) == hardening(unit("hub-relay.service"))
    # hub.holder looks there whether a process of another user still lives; hidden, it would count as dead.
    assert said(path, "ProtectProc") + said(path, "ProcSubset") == []


@named
def test_a_service_calls_a_command_that_there_is(path: Path) -> None:
    program, *words = started(path)[1]
    assert program == INSTALLED
    line = shlex.join(["hub", *words]).replace("'", "")
    for system in config.SYSTEMS if "%i" in line else [""]:
        typed(line.replace("%i", system).replace("${PROBE_PORT}", "0"))


def test_every_part_has_the_port_for_probes_that_it_has_under_hub_up() -> None:
    whole = settings(HUB_BUS__URL="amqp://localhost/hub", HUB_OMS__WRITER="own", HUB_PROBES__PORT="9101")
    wanted = {
        part.name: part.arguments[part.arguments.index("--probe-port") + 1]
        for part in parts(whole)
        if "--probe-port" in part.arguments
    }
    found = {name: _port(name) for name in wanted}
    assert found == wanted


@named
def test_every_variable_of_a_service_is_a_setting_that_a_secret_is_loaded_for(path: Path) -> None:
    given, _ = started(path)
    known = {f"{name}_FILE" for name, _ in config.variables()}
    loaded = {line.partition(":")[0] for line in said(path, "LoadCredential")}
    assert set(given) <= known
    assert {value.removeprefix("%d/") for value in given.values()} == loaded


@named
def test_what_stands_in_the_file_for_all_never_takes_a_part_its_own_login(path: Path) -> None:
    # systemd.exec(5): what EnvironmentFile= says wins over Environment=, whichever stands first.
    lines = [line for line in said(path, "Environment") if line.startswith("HUB_")]
    assert lines == []
    assert path.name == "hub.service" or "HUB_DB__URL_FILE" in started(path)[0]


@pytest.mark.parametrize("path", DAEMONS, ids=lambda path: path.name)
def test_a_daemon_is_never_given_up_but_for_what_no_retry_mends(path: Path) -> None:
    assert said(path, "Restart") == ["always"]
    assert said(path, "StartLimitIntervalSec") == ["0"]
    assert said(path, "RestartPreventExitStatus") == [f"2 {WrongConfiguration.exit_code}"]


@pytest.mark.parametrize("path", ONCE, ids=lambda path: path.name)
def test_what_runs_by_the_clock_is_tried_again_a_few_times_and_not_for_ever(path: Path) -> None:
    assert said(path, "Restart") == ["on-failure"]
    assert said(path, "StartLimitBurst") == ["6"]
    pause, within = said(path, "RestartSec")[0], said(path, "StartLimitIntervalSec")[0]
    assert (pause, within) == ("10min", "12h"), (
        "six tries ten minutes apart end within the interval, before the next day"
    )
    assert {"2", str(WrongConfiguration.exit_code)} <= set(said(path, "RestartPreventExitStatus")[0].split())


def test_a_daemon_has_time_to_end_and_to_be_found_hanging() -> None:
    for path in DAEMONS:
        own = 2 * ALL_STOP_SECONDS if path.name == "hub.service" else STOP_SECONDS
        assert int(said(path, "TimeoutStopSec")[0]) > own
        assert said(path, "WatchdogSec") == ["30"]


def test_no_turn_that_the_settings_allow_is_taken_to_hang() -> None:
    slow = settings(HUB_CONSUMER__LEASE_SECONDS="600", HUB_DB__STATEMENT_SECONDS="120")
    for each in (defaults, slow):
        statement = each.db.statement_seconds + each.db.lock_seconds
        for name in config.SYSTEMS:
            lease = each.consumer_of(name).lease_seconds
            # A claim, calls until the end of the lease, a sign of life asked for, what came of it.
            assert patience_of(each, lease) >= lease + 3 * statement


def test_the_timer_fires_when_the_comparison_is_due() -> None:
    timer, service = unit("hub-reconcile.timer"), unit("hub-reconcile.service")
    assert said(timer, "OnCalendar") == [f"*-*-* {defaults.reconcile.at}:00 {defaults.tz}"]
    assert said(timer, "Persistent") == ["true"]
    assert started(service)[1][:3] == [INSTALLED, "reconcile", "run"]


@pytest.mark.parametrize("name", ["hub-reconcile", "hub-maintenance"])
def test_nothing_starts_what_runs_by_the_clock_but_its_timer(name: str) -> None:
    assert said(unit(f"{name}.service"), "WantedBy") == []
    assert said(unit(f"{name}.timer"), "WantedBy") == ["timers.target"]
    assert f"{name}.timer" in " ".join(said(unit("hub.target"), "Wants"))


def test_differences_are_no_failure_and_what_is_mistyped_is_not_tried_again() -> None:
    assert said(unit("hub-reconcile.service"), "SuccessExitStatus") == ["3"]
    assert str(BadInput.exit_code) in said(unit("hub-reconcile.service"), "RestartPreventExitStatus")[0].split()


def test_the_target_has_every_part_that_all_need_and_never_both_ways_at_once() -> None:
    wanted = set(" ".join(said(unit("hub.target"), "Wants")).split())
    assert {f"hub-consume@{name}.service" for name in config.SYSTEMS} <= wanted
    assert {path.name for path in DAEMONS if "@" not in path.name} - wanted == {"hub.service", "hub-intake.service"}
    assert said(unit("hub.target"), "Conflicts") == ["hub.service"]
    assert said(unit("hub.service"), "Conflicts") == ["hub.target"]


def test_the_hub_works_where_memory_is_never_both_written_and_run(postgres_url: str, tmp_path: Path) -> None:
    if ctypes.CDLL(None).prctl(PR_SET_MDWE + 1, 0, 0, 0, 0) < 0:  # PR_GET_MDWE
        pytest.skip("this kernel cannot refuse it: Linux 6.3 can")
    machine = Machine(tmp_path, {"HUB_DB__URL": postgres_url})
    for words in (["-m", "hub", "db", "upgrade"], ["-c", f"{NEEDED}ssl.create_default_context()"]):
        done = subprocess.run(
            [sys.executable, "-c", SHUT_IN, *words],
            env=machine.environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def _port(part: str) -> str:
    """Where a part's own unit has it listen for probes."""
    kind, _, system = part.partition("-")
    if kind == "consume":
        return said(FOLDER / f"hub-consume@{system}.service.d" / "port.conf", "Environment")[0].partition("=")[2]
    (path,) = [each for each in SERVICES if each.stem in {f"hub-{part}", f"hub-{kind}"}]
    return said(path, "ExecStart")[0].rpartition(" ")[2]


def _command(words: Sequence[str]) -> tuple[str, ...]:
    """The command alone, without its options."""
    return tuple(takewhile(lambda word: not word.startswith("-"), words))
