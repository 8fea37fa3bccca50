"""systemd hears what is true: ready once it is, signs of life while every loop turns, none once one of them hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub import supervisor, systemd
from hub.supervisor import Part, Supervisor
from hub.systemd import Health, Listener
from tests.deploy.manager import PATIENCE_SECONDS, Manager
from tests.running import Machine
from tests.support import ROOT, eventually

WATCHDOG_SECONDS = 0.9
ONE_LOOP_CAN_HANG = """
import sys, threading, time
from pathlib import Path
from hub.daemon import Loop, Vitals, run_loops, stop_on_signals

told = Path(sys.argv[1])

def work():
    while told.exists():
        time.sleep(0.01)
    return False

stop = threading.Event()
stop_on_signals(stop)
pause = lambda turns: stop.wait(0.02)
run_loops([Loop("receive", lambda: False, pause), Loop("work", work, pause)], stop, Vitals(patience_seconds=2))
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(tmp_path, WATCHDOG_SECONDS) as found:
        yield found


@contextmanager
def running(manager: Manager, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env={**os.environ, **manager.environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def turning(manager: Manager) -> set[str]:
    """The loops that the service last said turn."""
    return set(manager.hear()[-1]["STATUS"].partition("turns: ")[2].split(", "))


def test_a_loop_that_hangs_ends_the_signs_of_life_though_the_others_turn(manager: Manager, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    with running(manager, "-c", ONE_LOOP_CAN_HANG, str(hang)):
        assert manager.heard("READY")
        assert manager.heard("WATCHDOG", times=3)
        hang.touch()
        assert manager.heard("STATUS", "hangs: work", times=3)
        assert not [each for each in manager.hear() if "hangs" in each["STATUS"] and "WATCHDOG" in each]
        hang.unlink()
        before = manager.count("WATCHDOG")
        assert manager.heard("WATCHDOG", times=before + 2), "a loop that turns again gives signs of life again"


def test_it_says_that_it_stops_when_it_is_told_to(manager: Manager, tmp_path: Path) -> None:
    with running(manager, "-c", ONE_LOOP_CAN_HANG, str(tmp_path / "never")) as process:
        assert manager.heard("READY")
        process.terminate()
        assert manager.heard("STOPPING")
        assert process.wait(PATIENCE_SECONDS) == 0
    assert "STOPPING" in manager.hear()[-1]


@pytest.mark.parametrize(
    ("arguments", "loops"),
    [
        (["api"], {"serve"}),
        (["consume", "crm", "--probe-port", "0"], {"receive", "drain", "work"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_daemon_is_ready_once_it_has_got_through_a_turn(
    tmp_path: Path, arguments: list[str], loops: set[str]
) -> None:
    with Manager(tmp_path, WATCHDOG_SECONDS) as manager:
        folder = {"HUB_DATA_DIR": str(tmp_path / "data"), "HUB_API__PORT": "0"}
        Machine(tmp_path, folder).prepared()
        with Machine(tmp_path, folder | manager.environment).daemon(*arguments) as daemon:
            assert manager.heard("READY"), daemon.said()
            assert eventually(lambda: loops <= turning(manager), PATIENCE_SECONDS), manager.messages[-1]
            assert manager.heard("WATCHDOG", times=3)
            assert daemon.terminate() == 0
        assert manager.heard("STOPPING")


def test_a_daemon_that_waits_is_not_ready_and_asks_for_time(tmp_path: Path) -> None:
    with Manager(tmp_path, WATCHDOG_SECONDS) as manager:
        machine = Machine(tmp_path, manager.environment)
        with machine.daemon("relay") as daemon:
            assert manager.heard("EXTEND_TIMEOUT_USEC", "30000000", times=2), daemon.said()
            assert eventually(lambda: "relay waits: " in manager.hear()[-1]["STATUS"], PATIENCE_SECONDS)
            assert not [each for each in manager.hear() if "READY" in each or "WATCHDOG" in each]


def test_the_whole_hub_is_ready_once_all_of_its_parts_are(tmp_path: Path) -> None:
    with Manager(tmp_path, WATCHDOG_SECONDS) as manager:
        machine = Machine(tmp_path, {"HUB_API__PORT": "0"} | manager.environment)
        with machine.daemon("up") as daemon:
            assert manager.heard("READY"), daemon.said()
            assert manager.heard("STATUS", "8 of 8 parts are ready")
            ready = next(each for each in manager.hear() if "READY" in each)
            assert ready["STATUS"].startswith("8 of 8 parts are ready")
            assert daemon.terminate() == 0
        assert manager.heard("STOPPING")


def test_a_part_that_hangs_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 4)
    machine = Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path / "data")}).prepared()
    part = Part("relay", ("relay", "--supervised", "--probe-port", "0"), machine.variables, reports=True)
    stop, boss = threading.Event(), Supervisor([part])
    thread = threading.Thread(target=boss.run, args=(stop,))
    thread.start()
    try:
        assert eventually(lambda: boss.health().ready, PATIENCE_SECONDS)
        assert part.process is not None
        frozen = part.process
        os.kill(frozen.pid, signal.SIGSTOP)
        assert eventually(lambda: part.process not in {None, frozen}, PATIENCE_SECONDS)
        assert frozen.returncode == -signal.SIGKILL
    finally:
        stop.set()
        thread.join()


def test_what_hangs_before_it_was_ready_is_taken_to_hang_and_what_waits_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    listener, stop, lives = Listener(), threading.Event(), [True]
    try:
        for name, value in listener.environment(30).items():
            monkeypatch.setenv(name, value)
        with systemd.reported(lambda: Health(lives=lives[0], ready=False, says="relay"), stop):
            assert eventually(lambda: listener.hear() or listener.silent_seconds() > 0, PATIENCE_SECONDS)
            before = heard_at(listener)
            assert eventually(lambda: heard_at(listener) > before + systemd.LOOK_SECONDS / 2, PATIENCE_SECONDS)
            assert not listener.is_ready
            lives[0] = False
            # Five looks and more without a sign, each of which says how it stands.
            assert eventually(lambda: listener.hear() or listener.silent_seconds() > 3, PATIENCE_SECONDS)
    finally:
        listener.close()


def heard_at(listener: Listener) -> float:
    """When there was the last sign of life."""
    listener.hear()
    return time.monotonic() - listener.silent_seconds()


def test_an_abstract_socket_hears_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Manager(tmp_path, abstract=f"hub-test-{uuid.uuid4().hex}") as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.environment["NOTIFY_SOCKET"])
        assert systemd.notify("READY=1", "STATUS=turns")
        assert manager.hear() == [{"READY": "1", "STATUS": "turns"}]


def test_where_nobody_asked_or_nobody_listens_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_signs_of_life_are_given_to_who_wants_them_of_us(
    given: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert systemd.watchdog_seconds() == seconds


def test_a_line_for_people_is_one_line_and_not_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    with Manager(tmp_path, WATCHDOG_SECONDS) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.environment["NOTIFY_SOCKET"])
        with systemd.reported(lambda: Health(lives=True, ready=False, says="no\nanswer " * 100), stop):
            assert manager.heard("EXTEND_TIMEOUT_USEC", "30000000")
    assert stop.is_set()
    assert len(manager.messages[0]["STATUS"]) <= 300
    assert manager.messages[0]["STATUS"].startswith("no answer no answer")


def test_what_was_never_heard_is_not_taken_to_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    try:
        listener.hear()
        assert listener.silent_seconds() == 0
        for name, value in listener.environment(30).items():
            monkeypatch.setenv(name, value)
        assert systemd.watchdog_seconds() == 30
        assert systemd.notify("STATUS=turns: relay", "READY=1", "WATCHDOG=1")
        listener.hear()
        assert (listener.status, listener.is_ready) == ("turns: relay", True)
        assert eventually(lambda: listener.silent_seconds() > 0)
    finally:
        listener.close()
