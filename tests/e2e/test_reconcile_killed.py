"""The nightly comparison killed at any moment, stopped, and started twice: each night is whole, and told once."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from hub import assembly
from hub.config import SYSTEMS
from hub.database import writing
from hub.errors import DependencyDown
from hub.night_tables import notices, reconcile_runs
from hub.simulators.robots import Rules
from hub.simulators.robots_server import RobotsServer
from hub.tables import leases, ledger
from tests.e2e.copies import FINDINGS, HEALED, HURRIED, LOST, RESTORED, Copy, on_files, on_postgres
from tests.e2e.nights import DAY, Hub, Night
from tests.faults.rig import eventually
from tests.plain_system import settle
from tests.running import Daemon

# A whole run for each moment, and another one after it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MOMENTS, MOMENTS_WITH_WORKERS = 20, 6
INSIDE = "once it compares"
RUN = ("reconcile", "run", "--json", "--day", DAY)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def copy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """Makes a hub of its own each time, always with the same differences, whose daemons do not run."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp(request.param)
        if request.param == "sqlite":
            yield on_files(folder)
        else:
            yield on_postgres(request.getfixturevalue("postgres_node"), stack, folder)


@dataclass(frozen=True)
class Reference:
    """What a night looks like that nobody disturbs, and how long it takes."""

    report: str
    people: int
    seconds: float
    inside: float
    """Without what it takes to start."""


@pytest.fixture(scope="module")
def reference(copy: Copy) -> Reference:
    """One night in peace, and another one by the clock."""
    night, began = ended(copy()), time.monotonic()
    assert night.facts["found"] == FINDINGS
    assert night.facts["healing"] == len((*LOST, *RESTORED, *HURRIED))
    hub = copy()
    with hub.machine.daemon(*RUN) as run:
        assert eventually(lambda: running(hub)), run.said()
        inside = time.monotonic()
        assert run.ended() == 0
    over_at = time.monotonic()
    return Reference(comparable(night.report), night.facts["people"], over_at - began, over_at - inside)


def ended(hub: Hub) -> Night:
    """A run to its end."""
    done = hub.machine.hub(*RUN, seconds=120)
    assert done.returncode == 0, done.stderr
    return hub.night_of(done.returncode, done.stderr, json.loads(done.stdout))


def comparable(report: Mapping[str, Any]) -> str:
    """The text of a report but for the number of the run and its times."""
    told = json.loads(json.dumps(report))
    told["run"] |= {"id": 0, "cut": "", "started_at": "", "finished_at": ""}
    for each in told["coverage"]:
        each["seconds"] = 0
    for each in (*told["findings"], *told["healed"]):
        each |= {"first_seen": "", "last_seen": "", "due_at": each["due_at"] and "due"}
    return json.dumps(told, ensure_ascii=False, indent=1)


def killed(hub: Hub, since: str, after: float) -> None:
    """Kill a run so long after its start, or after it began to compare."""
    with hub.machine.daemon(*RUN) as run:
        assert since != INSIDE or eventually(lambda: running(hub)), run.said()
        time.sleep(after)
        run.kill()


def moments(reference: Reference, since: str, count: int) -> list[float]:
    """Moments within the length of a night, always the same parts of it."""
    chance = random.Random(20261127)
    return [chance.uniform(0, reference.inside if since == INSIDE else reference.seconds) for _ in range(count)]


def over(hub: Hub) -> list[dict[str, Any]]:
    """The runs that have come to an end, the oldest first."""
    here = reconcile_runs.c.state.in_(("finished", "incomplete"))
    return [dict(row) for row in hub.rows(select(reconcile_runs).where(here).order_by(reconcile_runs.c.id))]


def filed(hub: Hub) -> str:
    """The first report that a hub has filed."""
    report = hub.machine.settings.reports_dir / over(hub)[0]["report"] / "report.json"
    return comparable(json.loads(report.read_text(encoding="utf-8")))


@contextmanager
def telling(hub: Hub) -> Iterator[tuple[Hub, RobotsServer]]:
    """The same hub with both robots to tell."""
    with RobotsServer(Rules()) as robots:
        urls = {"HUB_NOTIFY__DINGTALK__URL": robots.dingtalk_url, "HUB_NOTIFY__WECOM__URL": robots.wecom_url}
        yield replace(hub, machine=hub.machine.given(**urls)), robots


def shown(robots: RobotsServer) -> Counter[str]:
    """How many messages people saw at each robot."""
    return Counter(entry["robot"] for entry in robots.robots.journal() if entry["shown"])


def cut_short(hub: Hub) -> set[str]:
    """Channels on which a notice was being sent when its sender died."""
    return {row["channel"] for row in hub.rows(select(notices).where(notices.c.state == "sending"))}


def let_notices_be_due(hub: Hub) -> None:
    """What a sender that died has in hand is sent again half a minute later; nobody waits for it here."""
    with hub.engine() as engine, writing(engine) as connection:
        connection.execute(update(notices).where(notices.c.state == "sending").values(due_at=notices.c.recorded_at))


def bring_to_rest(hub: Hub) -> None:
    """Let the workers write what they were given."""
    with hub.engine() as engine:
        for name in SYSTEMS:
            system = assembly.system_of(hub.machine.settings, name)
            settle(engine, system)
            system.close()


def written_since(hub: Hub, before: Mapping[str, Mapping[tuple[str, int], int]]) -> dict[str, dict[str, int]]:
    """For each system the orders that were written since then, and how often."""
    return {
        name: {
            pair[0]: times - before[name].get(pair, 0)
            for pair, times in hub.effects(name).items()
            if times > before[name].get(pair, 0)
        }
        for name in SYSTEMS
    }


def assert_healed_once(hub: Hub, before: Mapping[str, Mapping[tuple[str, int], int]]) -> None:
    """What was healed was written once more each, and nothing besides."""
    bring_to_rest(hub)
    wanted = {name: {hub.numbers[each]: 1 for each in names} for name, names in HEALED}
    assert written_since(hub, before) == {name: wanted.get(name, {}) for name in SYSTEMS}
    repairs = select(ledger.c.system, func.sum(ledger.c.repairs).label("repairs")).where(ledger.c.repairs > 0)
    counted = {row["system"]: row["repairs"] for row in hub.rows(repairs.group_by(ledger.c.system))}
    assert counted == {name: len(names) for name, names in HEALED}


@pytest.mark.parametrize("since", ["from its start", INSIDE])
def test_killed_at_any_moment_and_done_again_it_is_the_same_night(copy: Copy, reference: Reference, since: str) -> None:
    stages = Counter(
        killed_and_done_again(copy(), reference, since, after) for after in moments(reference, since, MOMENTS)
    )
    assert len(stages) > 1, stages
    assert since != INSIDE or stages["running"] + stages["compared"], stages


def killed_and_done_again(copied: Hub, reference: Reference, since: str, after: float) -> str:
    """Kill a run and do it again, with all that must be so then; how far it had come."""
    with telling(copied) as (hub, robots):
        before = {name: hub.effects(name) for name in SYSTEMS}
        killed(hub, since, after)
        stage, sending = stage_of(hub), cut_short(hub)
        let_notices_be_due(hub)
        again = ended(hub)
        place = f"killed {after:.2f} s {since}, {stage}, {sending=}"
        assert filed(hub) == reference.report, place
        assert stage == "finished" or comparable(again.report) == reference.report, place
        assert len(again.tickets) == again.facts["people"] == reference.people, place
        assert [row["state"] for row in hub.rows(select(notices))] == ["sent", "sent"], place
        assert shown(robots)["dingtalk"] == 1, place
        # A robot of WeCom knows no repeat where the first answer was lost.
        assert 1 <= shown(robots)["wecom"] <= 1 + ("wecom" in sending), place
        assert_healed_once(hub, before)
    return stage


def stage_of(hub: Hub) -> str:
    """How far the run of a hub has come; "not begun" where there is none."""
    states = [str(row["state"]) for row in hub.rows(select(reconcile_runs))]
    return states[0] if states else "not begun"


def test_killed_while_the_workers_go_on_it_heals_each_order_once(copy: Copy, reference: Reference) -> None:
    for after in moments(reference, INSIDE, MOMENTS_WITH_WORKERS):
        hub = copy()
        before = {name: hub.effects(name) for name in SYSTEMS}
        killed(hub, INSIDE, after)
        bring_to_rest(hub)
        again = ended(hub)
        assert len(again.tickets) == again.facts["people"] == reference.people, f"killed after {after:.2f} s"
        assert_healed_once(hub, before)


def test_a_second_one_beside_it_is_told_to_come_again_and_there_is_one_report(copy: Copy) -> None:
    hub = copy()
    with hub.machine.daemon(*RUN) as first:
        with held_up(hub, first):
            second = hub.machine.hub(*RUN)
        assert first.ended(60) == 0, first.said()
    assert (second.returncode, second.stdout) == (75, "")
    assert second.stderr == (
        "hub: another process compares at this moment; see hub reconcile status, and try again later\n"
    )
    assert [row["state"] for row in hub.rows(select(reconcile_runs))] == ["finished"]
    assert len(list(hub.machine.settings.reports_dir.glob("*/run-*"))) == 1


def test_sigterm_ends_a_run_in_time_and_the_next_one_is_whole(copy: Copy, reference: Reference) -> None:
    hub = copy()
    with hub.machine.daemon(*RUN) as run:
        assert eventually(lambda: running(hub)), run.said()
        assert run.terminate() != 0
    again = ended(hub)
    assert comparable(again.report) == reference.report
    assert len(again.tickets) == reference.people


def test_sigterm_ends_the_process_of_the_nights_in_time_and_the_next_one_is_whole(
    copy: Copy, reference: Reference
) -> None:
    hub = copy()
    soon = datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(seconds=65)
    with hub.machine.given(HUB_RECONCILE__AT=f"{soon:%H:%M}").daemon("reconcile", "nightly") as nightly:
        assert eventually(lambda: hub.rows(select(reconcile_runs)), 120), nightly.said()
        nightly.terminate()
    again = ended(hub)
    assert (again.facts["found"], again.facts["people"], len(again.tickets)) == (FINDINGS, *2 * [reference.people])


def running(hub: Hub) -> bool:
    """Whether a run is at work."""
    return [row["state"] for row in hub.rows(select(reconcile_runs))] == ["running"]


@contextmanager
def held_up(hub: Hub, run: Daemon) -> Iterator[None]:
    """A run stands still meanwhile, with nothing locked."""
    assert eventually(lambda: running(hub)), run.said()
    while not stands_still(hub, run):
        run.process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    assert running(hub)
    yield
    run.process.send_signal(signal.SIGCONT)


def stands_still(hub: Hub, run: Daemon) -> bool:
    """Stop a process; whether that left the database free for others."""
    run.process.send_signal(signal.SIGSTOP)
    with suppress(DependencyDown), hub.engine() as engine, writing(engine) as connection:
        connection.execute(select(leases).where(leases.c.name == "reconcile").with_for_update()).all()
        return True
    return False
