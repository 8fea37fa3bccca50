"""What every daemon is made of: a step that is repeated until the process is told to stop."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from hub import clock, logs, metrics, systemd
from hub.backoff import Backoff
from hub.errors import BusRefused, DependencyDown, HubError
from hub.systemd import Health

STALE_SECONDS = 90
STOP_SECONDS = 9.0
BESIDE_SECONDS = 2.0
OBJECTS_PER_COLLECTION = 20_000

_log = logs.get("daemon")


class Vitals:
    """Whether a daemon lives (its loops turn) and is ready (what it needs answers)."""

    def __init__(self, patience_seconds: float = STALE_SECONDS) -> None:
        """One turn of a loop may rightly take `patience_seconds`; after that it is taken to hang."""
        self.checks: dict[str, Callable[[], None]] = {}
        self._patience = patience_seconds
        self._beats: dict[str, float] = {}
        self._first: set[str] = set()
        self._waits: dict[str, str] = {}

    def expect(self, loops: Iterable[str]) -> None:
        """These loops are about to turn."""
        for loop in loops:
            self._first.add(loop)
            self.beat(loop)

    def beat(self, loop: str) -> None:
        """A loop has turned once more."""
        self._beats[loop] = clock.monotonic()

    def through(self, loop: str) -> None:
        """A loop has got to the end of a turn, and nothing was in its way."""
        self._first.discard(loop)
        self._waits.pop(loop, None)

    def waits(self, loop: str, why: str) -> None:
        """A loop waits for something that is down."""
        self._waits[loop] = why

    def stale(self) -> list[str]:
        """Loops that have not turned for too long."""
        now = clock.monotonic()
        return [loop for loop, beat in [*self._beats.items()] if now - beat > self._patience]

    def health(self) -> Health:
        """Whether all loops turn, whether each has got through a turn, and a line for people. Asks nobody."""
        stale, waits = self.stale(), [*self._waits.items()]
        if stale:
            says = f"hangs: {', '.join(stale)}"
        elif waits:
            says = "; ".join(f"{loop} waits: {why}" for loop, why in waits)
        else:
            says = f"turns: {', '.join(self._beats)}"
        return Health(not stale, not self._first, says)

    def failing(self) -> dict[str, str]:
        """What is not ready, and why."""
        return {name: reason for name, check in self.checks.items() if (reason := _reason(check))}


class Loop:
    """Repeats a step; `idle` is told how many turns in a row found nothing.

    A dependency that is down is waited for with jitter; one that refuses us ends the daemon.
    """

    def __init__(self, name: str, step: Callable[[], bool], idle: Callable[[int], object]) -> None:
        self.name = name
        self._step = step
        self._idle = idle
        self._backoff = Backoff()
        self._idle_turns = 0
        self._turns = metrics.loop_turns.labels(metrics.loop_label(name))
        self.failure: HubError | None = None

    def run(self, stop: threading.Event, vitals: Vitals) -> None:
        """Turn until told to stop; an error that waiting does not cure is kept in `failure`. It stops everybody."""
        try:
            while not stop.is_set():
                self._beat(stop, vitals)
        except HubError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the process must not go on half dead
            said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            _log.exception("loop.broken", loop=self.name, error=said)
            self.failure = HubError(f"{self.name}: {said}")
        finally:
            stop.set()

    def keep_on(self, stop: threading.Event, vitals: Vitals) -> None:
        """Turn until told to stop, whatever goes wrong: it is logged, and such a turn does not count as one."""
        while not stop.is_set():
            try:
                self._beat(stop, vitals)
            except Exception as error:  # noqa: BLE001 - what goes on beside it is not to end for that
                seconds = self._backoff.next()
                _log.error("loop.broken", loop=self.name, error=logs.way(error), again_in_seconds=round(seconds, 2))
                stop.wait(seconds)

    def _beat(self, stop: threading.Event, vitals: Vitals) -> None:
        vitals.beat(self.name)
        self._turn(stop, vitals)
        self._turns.inc()

    def _turn(self, stop: threading.Event, vitals: Vitals) -> None:
        try:
            worked = self._step()
        except BusRefused:
            raise
        except DependencyDown as error:
            vitals.waits(self.name, str(error))
            self._wait(stop, error)
            return
        vitals.through(self.name)
        self._backoff.reset()
        self._idle_turns = 0 if worked else self._idle_turns + 1
        if not worked:
            self._idle(self._idle_turns)

    def _wait(self, stop: threading.Event, error: DependencyDown) -> None:
        seconds = self._backoff.next()
        _log.warning(
            "dependency.down", loop=self.name, error=error, failures=self._backoff.failures, wait=round(seconds, 2)
        )
        stop.wait(seconds)


def stop_on_signals(stop: threading.Event, seconds: float = STOP_SECONDS) -> None:
    """SIGTERM and SIGINT set the event and do nothing else; the process is gone after so many seconds, however it is.

    A server that answers nothing can hold a thread for longer. To end then without a word is as safe as a SIGKILL.
    """

    def told(number: int) -> None:
        stop.set()
        _log.info("stop.asked", signal=signal.Signals(number).name)

    _hear_signals(told)
    threading.Thread(target=_end_in_time, args=(stop, seconds), name="end", daemon=True).start()


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set the event meanwhile; afterwards they are whose they were before."""
    give_back = _hear_signals(lambda _number: stop.set())
    try:
        yield
    finally:
        give_back()


def stop_with_input() -> None:
    """End like at SIGTERM when standard input ends: whoever holds its other end is gone."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="input", daemon=True).start()


def run_loops(loops: Sequence[Loop], stop: threading.Event, vitals: Vitals) -> None:
    """Run loops side by side until all have stopped; raises the first failure."""
    vitals.expect(loop.name for loop in loops)
    # What is there by now stays: no collection need look at it again. Nor is one needed for every few events at hand.
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    threads = [threading.Thread(target=loop.run, args=(stop, vitals), name=loop.name) for loop in loops]
    with systemd.reported(vitals.health, stop):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    _raise_failure(loops)


@contextmanager
def beside(loops: Sequence[Loop], stop: threading.Event, vitals: Vitals) -> Iterator[None]:
    """Loops turn as long as this lasts, and end nobody but themselves. One that hangs at the end is left behind."""
    threads = [
        threading.Thread(target=loop.keep_on, args=(stop, vitals), name=loop.name, daemon=True) for loop in loops
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(BESIDE_SECONDS)


def _raise_failure(loops: Sequence[Loop]) -> None:
    for loop in loops:
        if loop.failure is not None:
            raise loop.failure


def _hear_signals(told: Callable[[int], object]) -> Callable[[], None]:
    """Say each SIGTERM and SIGINT to `told`, in a thread of its own; what is returned ends that."""
    asked: SimpleQueue[int] = SimpleQueue()

    def handler(number: int, _frame: FrameType | None) -> None:
        # It must take no lock: it runs inside whatever the main thread does, which may hold that very lock.
        asked.put(number)

    def listen() -> None:
        for number in iter(asked.get, 0):
            told(number)

    def give_back() -> None:
        for number, earlier in before.items():
            signal.signal(number, earlier)
        asked.put(0)

    threading.Thread(target=listen, name="signals", daemon=True).start()
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    return give_back


def _end_in_time(stop: threading.Event, seconds: float) -> None:
    stop.wait()
    time.sleep(seconds)
    _log.error("stop.forced", after_seconds=seconds)
    os._exit(DependencyDown.exit_code)


def _reason(check: Callable[[], None]) -> str:
    try:
        check()
    except HubError as error:
        return str(error)
    return ""
