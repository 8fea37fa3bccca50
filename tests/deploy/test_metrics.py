"""What each process really shows to Prometheus, and what the canary says while parts of the hub stand still."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hub import __version__, config, metrics, wiring
from hub.database import reading
from hub.errors import DEAD_REASONS
from hub.oms import outbox
from hub.oms.own_rows import Reason
from hub.tables import PARTITIONED, dead_letters, journal, ledger, outbox_archive
from tests.nodes.ports import free_ports
from tests.nodes.postgres import PostgresNode
from tests.nodes.rabbitmq import RabbitNode
from tests.programs import Program
from tests.running import Daemon, Machine, series
from tests.support import count, eventually

PATIENCE_SECONDS = 60
A_WHILE = 3
"""Canaries that come elsewhere while one stands still."""

COMMANDS = {
    "hub-api": ("api",),
    "hub-relay": ("relay",),
    "hub-subscription-watch": ("subscription", "watch", "--probe-port", "0"),
    "hub-intake": ("intake", "run", "--probe-port", "0"),
}
CONSUMERS = {f"hub-consume-{name}": ("consume", name) for name in config.SYSTEMS}
BY_PROCESS = metrics.by_process()
KINDS = {name: name if name in COMMANDS else "hub-consume" for name in (*COMMANDS, *CONSUMERS)}
"""The process in `metrics.by_process` of each that is started."""


LOOPS = {
    "hub-api": ["canary", "alerts", "tell"],
    "hub-relay": ["relay", "gauges"],
    "hub-consume": ["receive", "drain", "work", "gauges"],
    "hub-subscription-watch": ["watch", "tell"],
    "hub-intake": ["intake", "gauges", "canary", "tell"],
}
HISTOGRAMS = (
    *("hub_publish_duration_seconds", "hub_apply_duration_seconds", "hub_end_to_end_seconds", "hub_canary_seconds"),
    "hub_call_duration_seconds",
)
VALUES: dict[str, Iterable[str]] = {
    "hub_outbox_published_total": metrics.FATES,
    "hub_canaries_published_total": set(metrics.FATES) - {"unknown"},
    "hub_intake_rows_total": metrics.TAKEN_IN,
    "hub_intake_refusals_total": list(Reason),
    "hub_events_received_total": metrics.RECEIVED,
    "hub_orders_worked_total": metrics.OUTCOMES,
    "hub_breaker_trips_total": metrics.CAUSES,
    "hub_dead_letters_total": DEAD_REASONS,
    "hub_calls_total": metrics.CALLED,
    "hub_alerts_received_total": metrics.ALERTED,
    "hub_partitions_ahead_seconds": PARTITIONED,
}


@dataclass(frozen=True)
class Running:
    """The processes of a hub by their names, and what each showed when it was ready for the first time."""

    machine: Machine
    daemons: dict[str, Daemon]
    first: dict[str, str]

    def shown(self, name: str) -> dict[str, float]:
        """The series of a process now."""
        return series(self.daemons[name].get("/metrics").text)

    def last(self, system: str) -> float:
        """Commit of the newest canary that a system has, as its consumer shows it."""
        return self.shown(f"hub-consume-{system}")[f'hub_canary_last_timestamp_seconds{{system="{system}"}}']

    def comes(self, *systems: str) -> bool:
        """Whether newer canaries come to all of these systems."""
        before = {system: self.last(system) for system in systems}
        return eventually(
            lambda: all(self.last(system) >= before[system] + A_WHILE for system in systems), PATIENCE_SECONDS
        )


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, postgres_node: PostgresNode, rabbit_node: RabbitNode
) -> Iterator[Running]:
    """Every process there is, on PostgreSQL and RabbitMQ."""
    name = f"metrics-{uuid.uuid4().hex}"
    urls = {
        "HUB_DB__URL": postgres_node.create_database(name),
        "HUB_BUS__URL": rabbit_node.create_vhost(name),
    }
    with started(tmp_path_factory.mktemp("whole"), urls, COMMANDS | CONSUMERS) as running:
        yield running
    rabbit_node.delete_vhost(name)
    postgres_node.drop_database(name)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """What a hub on files needs for two systems."""
    commands = {name: (COMMANDS | CONSUMERS)[name] for name in ("hub-api", "hub-relay", "hub-consume-crm")}
    with started(tmp_path_factory.mktemp("small"), {}, commands) as running:
        yield running


@contextmanager
def started(folder: Path, urls: dict[str, str], commands: dict[str, tuple[str, ...]]) -> Iterator[Running]:
    """Processes of a fresh hub, each ready."""
    given = {
        "HUB_DATA_DIR": str(folder / "data"),
        "HUB_API__PORT": str(free_ports(1)[0]),
        "HUB_OMS__CANARY_SECONDS": "1",
    }
    machine = Machine(folder, given | urls).prepared()
    with ExitStack() as stack:
        daemons = {}
        for name, command in commands.items():
            writer = {"HUB_OMS__WRITER": "own"} if name == "hub-intake" else {}
            daemons[name] = stack.enter_context(machine.given(**writer).daemon(*command))
        for name, daemon in daemons.items():
            assert daemon.ready(PATIENCE_SECONDS), f"{name}: {daemon.said()}"
        yield Running(machine, daemons, {name: daemon.get("/metrics").text for name, daemon in daemons.items()})


@pytest.mark.parametrize("name", KINDS)
def test_a_process_shows_what_the_list_says_and_nothing_else(whole: Running, name: str) -> None:
    text = whole.first[name]
    assert set(re.findall(r"^# TYPE (hub_\w+)", text, flags=re.MULTILINE)) == BY_PROCESS[KINDS[name]].keys()
    for series_name in series(text):
        if (known := metric_of(series_name, BY_PROCESS[KINDS[name]])) is not None:
            assert labels_of(series_name) == set(BY_PROCESS[KINDS[name]][known]), series_name


@pytest.mark.parametrize("name", KINDS)
def test_every_series_is_there_from_the_start(whole: Running, name: str) -> None:
    shown = series(whole.first[name])
    assert [each for each in expected(name) if each not in shown] == []


@pytest.mark.parametrize("name", KINDS)
def test_promtool_has_nothing_to_say(whole: Running, name: str, program: Callable[[str], Program]) -> None:
    told = program("promtool").run("check", "metrics", given=whole.first[name])
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


def test_a_hub_on_files_shows_no_partitions_and_the_rest(small: Running) -> None:
    named = set(re.findall(r"^# TYPE (hub_\w+)", small.first["hub-api"], flags=re.MULTILINE))
    assert BY_PROCESS["hub-api"].keys() - named == {"hub_partitions_ahead_seconds"}


def test_each_loop_turns(whole: Running) -> None:
    loops = {"hub-api": "canary", "hub-relay": "relay", "hub-intake": "intake", "hub-subscription-watch": "watch"}
    for name, loop in (loops | dict.fromkeys(CONSUMERS, "work")).items():
        before = whole.shown(name)[turns := f'hub_loop_turns_total{{loop="{loop}"}}']
        assert eventually(lambda name=name, turns=turns, before=before: whole.shown(name)[turns] > before, 30), name


def test_partitions_stand_ready_and_retention_says_when_it_ran(whole: Running) -> None:
    shown = whole.shown("hub-api")
    assert all(shown[f'hub_partitions_ahead_seconds{{table="{table}"}}'] > 6 * 86_400 for table in PARTITIONED)
    assert shown["hub_maintenance_last_success_timestamp_seconds"] == 0
    whole.machine.must("maintenance", "run")
    assert whole.shown("hub-api")["hub_maintenance_last_success_timestamp_seconds"] > 1_700_000_000


def test_the_canary_measures_the_way_to_every_system(whole: Running) -> None:
    assert whole.comes(*config.SYSTEMS)
    for system in config.SYSTEMS:
        shown = whole.shown(f"hub-consume-{system}")
        assert shown[f'hub_canary_seconds_count{{system="{system}"}}'] >= A_WHILE
        assert shown[f'hub_events_received_total{{outcome="canary",system="{system}"}}'] >= A_WHILE


def test_the_canary_measures_the_way_on_files_too(small: Running) -> None:
    assert small.comes("crm")


def test_the_canary_is_seen_by_nobody_else(whole: Running) -> None:
    assert whole.comes("wms")
    with wiring.hub_engine(whole.machine.settings, "test") as engine:
        assert [count(engine, table) for table in (ledger, journal, outbox_archive, dead_letters)] == [0, 0, 0, 0]
        assert eventually(lambda: pending(engine) == 0)
    standing = whole.machine.standing()
    assert [standing["orders"], standing["versions"], *(each["wanted"] for each in standing["systems"].values())] == [
        0
    ] * 6


def test_for_a_system_that_is_left_alone_the_canary_stands_still_and_for_others_it_does_not(whole: Running) -> None:
    whole.machine.must("systems", "pause", "crm", "--why", "a test")
    assert eventually(lambda: whole.shown("hub-consume-crm")['hub_breaker_open{system="crm"}'] == 1, 30)
    stands = whole.last("crm")
    assert whole.comes("wms")
    assert whole.last("crm") == stands
    whole.machine.must("systems", "resume", "crm", "--why", "the test is over")
    assert whole.comes("crm")


def test_while_there_is_no_relay_the_canary_stands_still_for_all(small: Running) -> None:
    assert small.comes("crm")
    small.daemons["hub-relay"].kill()
    with wiring.hub_engine(small.machine.settings, "test") as engine:
        before = pending(engine)
        assert eventually(lambda: pending(engine) >= before + A_WHILE, PATIENCE_SECONDS)
        stands = small.last("crm")
        assert eventually(lambda: pending(engine) >= before + 2 * A_WHILE, PATIENCE_SECONDS)
    assert small.last("crm") == stands


def pending(engine: Engine) -> int:
    """What waits in the outbox."""
    with reading(engine) as connection:
        return outbox.backlog(connection).pending


def metric_of(series_name: str, known: Mapping[str, object]) -> str | None:
    """The metric that a series belongs to, where it is the hub's."""
    bare = series_name.partition("{")[0]
    return next((each for each in (bare, re.sub("_(bucket|sum|count)$", "", bare)) if each in known), None)


def labels_of(series_name: str) -> set[str]:
    """The names of its labels, without the one that a histogram adds."""
    return set(re.findall(r'[{,](\w+)="', series_name)) - {"le"}


def expected(name: str) -> Iterator[str]:
    """Series that whoever reads the metrics of a process counts on."""
    system = name.removeprefix("hub-consume-")
    yield from (f'hub_loop_turns_total{{loop="{loop}"}}' for loop in LOOPS[KINDS[name]])
    yield 'hub_build_info{bus="rabbitmq",db="postgresql",version="' + __version__ + '"}'
    for metric, labels in BY_PROCESS[KINDS[name]].items():
        if metric.startswith(HISTOGRAMS):
            yield f"{metric}_count" + (f'{{system="{system}"}}' if labels else "")
        elif not labels:
            yield metric
        elif labels == ("system",) and name in CONSUMERS:
            yield f'{metric}{{system="{system}"}}'
        elif labels == ("system",):
            yield from (f'{metric}{{system="{each}"}}' for each in config.SYSTEMS)
        elif (values := VALUES.get(metric)) is not None:
            yield from (series_of(metric, labels, system, value) for value in values)


def series_of(metric: str, labels: Sequence[str], system: str, value: str) -> str:
    """A series with one value of the label that is not the system."""
    told = {"system": system} | {label: value for label in labels if label != "system"}
    pairs = ",".join(f'{label}="{told[label]}"' for label in sorted(labels))
    return f"{metric}{{{pairs}}}"
