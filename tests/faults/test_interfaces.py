"""Orders reach every interface whole and once, however its vendor fails and wherever the consumer dies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hub import config, groups, logs, wiring
from hub.simulators.registry import VENDORS
from tests.faults.interfaces import WAVES, Ending, Play, play, stage
from tests.faults.weather import (
    FAULTS,
    INTERFACES,
    OWN_FAULTS,
    PARKING,
    WRITING_STEPS,
    any_fault,
    at_step,
    one_fault,
)
from tests.nodes.processes import wait_until
from tests.running import Daemon, Machine

SEED = 20261127
SEEDS = range(1, 11)
FEW = 14
CELLS = [(interface, fault) for interface in INTERFACES for fault in (*FAULTS, *OWN_FAULTS[interface])]
STEPS = [(interface, step) for interface in INTERFACES for step in WRITING_STEPS[interface]]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Calls that come to grief by the hundred are the matter of these tests, and no news."""
    logs.configure(groups.Log(level="error"), "test")


def test_the_table_has_every_fault_that_there_is(tmp_path: Path) -> None:
    for interface, vendor in VENDORS.items():
        made = vendor(tmp_path / f"{interface}.sqlite")
        assert made.further_faults == frozenset(OWN_FAULTS[interface])
        assert made.store is not None
        made.store.close()


@pytest.mark.parametrize("interface", INTERFACES)
def test_in_weather_of_every_kind_each_order_arrives_and_nothing_happens_twice(interface: str) -> None:
    expect_good(play(interface, any_fault(SEED), count=7))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("interface", INTERFACES)
def test_in_other_weather_each_order_arrives_and_nothing_happens_twice(interface: str, seed: int) -> None:
    expect_good(play(interface, any_fault(seed), count=FEW))


@pytest.mark.slow
@pytest.mark.parametrize(("interface", "fault"), CELLS)
def test_a_fault_at_the_first_calls_of_each_wave_costs_nothing(interface: str, fault: str) -> None:
    ending = play(interface, one_fault(fault))
    expect_good(ending)
    if fault not in PARKING:
        assert ending.parked == {}, ending.said


@pytest.mark.slow
@pytest.mark.parametrize(("interface", "step"), STEPS)
def test_faults_at_a_step_that_writes_cost_nothing(interface: str, step: str) -> None:
    ending = play(interface, at_step(step))
    expect_good(ending)
    assert ending.parked == {}, ending.said


@pytest.mark.slow
@pytest.mark.parametrize("interface", ["kingdee.webapi", "wms.qimen", "erp.yonbip"])
def test_a_consumer_that_is_killed_in_the_middle_of_each_wave_loses_nothing_and_does_nothing_twice(
    interface: str,
) -> None:
    chance = random.Random(SEED)
    with stage(interface, latency_seconds=0.05) as on, consumers(on) as next_consumer:
        on.place(FEW)
        consumer = next_consumer()
        on.rest("placed orders")
        for step in range(WAVES):
            on.move(step)
            for _ in range(2):
                let_work(on, chance.randint(1, 8))
                consumer.kill()
                consumer = next_consumer()
            on.rest(f"wave {step}")
        ending = on.ending()
    expect_good(ending)
    assert ending.parked == {}, ending.said


def expect_good(ending: Ending) -> None:
    """Every order arrived, nothing is different, nothing happened twice, and nobody was asked without need."""
    assert ending.good, ending
    assert ending.parked.keys() <= {"rejected"}, ending.said


def let_work(on: Play, effects: int) -> None:
    """Wait until so many more things have happened at the vendor, or nothing is left to happen."""
    before = len(on.stand.vendor.journal())
    assert wait_until(lambda: len(on.stand.vendor.journal()) >= before + effects or on.quiet(), 60)


@contextmanager
def consumers(on: Play) -> Iterator[Callable[[], Daemon]]:
    """Starts `hub consume` for the system of a play, again and again; the last one is gone at the end."""
    folder = on.settings.data_dir
    variables = config.environment(on.settings) | {"HUB_LOG__LEVEL": "error"}
    machine = Machine(folder, variables)
    with wiring.bus_of(on.settings, "test") as bus, ExitStack() as stack:
        bus.declare(wiring.topology_of(on.settings))
        yield lambda: stack.enter_context(machine.daemon("consume", on.system, "--probe-port", "0"))
