"""What Prometheus is shown of the comparison: everything at 0 from the start, then what the last run came to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from hub import assembly, config, wiring
from hub.database import writing
from hub.exposition import exposed
from hub.oms import orders
from hub.reconcile import job
from hub.reconcile.causes import Cause
from hub.reconcile.compare import Kind
from hub.reconcile.exposition import gauges
from hub.reconcile.reading import Scope
from hub.reconcile.runs import Terms
from tests.builders import make_new_order
from tests.support import ADMIN

STUCK = {"HUB_RECONCILE__TRANSIT_SECONDS": "0"}


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    """A hub on files, prepared, with nothing in it and nobody who publishes."""
    found = config.load({"HUB_DATA_DIR": str(tmp_path), **STUCK})
    wiring.prepare(found)
    return found


@pytest.fixture
def engine(settings: config.Settings) -> Iterator[Engine]:
    """Its database."""
    with wiring.hub_engine(settings, "test") as engine:
        yield engine


@pytest.fixture
def registry(engine: Engine) -> Iterator[CollectorRegistry]:
    """What is shown."""
    registry = CollectorRegistry()
    with exposed(registry, engine, [partial(gauges, systems=config.SYSTEMS)]):
        yield registry


def test_every_series_is_there_before_the_first_run(registry: CollectorRegistry) -> None:
    assert value(registry, "hub_reconcile_last_success_timestamp_seconds") == 0
    assert value(registry, "hub_tickets_open", severity="high") == 0
    for system in config.SYSTEMS:
        assert value(registry, "hub_reconcile_compared", system=system) == 0
        assert value(registry, "hub_reconcile_difference_amount_fen", system=system, currency="CNY") == 0
        for kind in Kind:
            for cause in Cause:
                assert value(registry, "hub_reconcile_findings", system=system, kind=kind, cause=cause) == 0


def test_what_a_run_came_to_is_shown(settings: config.Settings, engine: Engine, registry: CollectorRegistry) -> None:
    with writing(engine) as connection:
        order = orders.create(connection, make_new_order(), ADMIN)
    outcome = compare(settings)
    assert outcome.report.verdict.people == len(config.SYSTEMS)
    assert outcome.run.finished_at is not None
    shown = value(registry, "hub_reconcile_last_success_timestamp_seconds")
    assert shown == pytest.approx(outcome.run.finished_at.timestamp(), abs=0.001)
    assert value(registry, "hub_reconcile_compared", system="wms") == 1
    assert value(registry, "hub_reconcile_read", system="wms") == 1
    assert value(registry, "hub_reconcile_findings", system="wms", kind="missing", cause="not_published") == 1
    assert value(registry, "hub_reconcile_difference_amount_fen", system="wms", currency="CNY") == order.total
    assert value(registry, "hub_tickets_open", severity="high") == len(config.SYSTEMS)
    assert value(registry, "hub_tickets_overdue", severity="high") == 0


def test_a_system_that_could_not_be_read_is_no_success(settings: config.Settings, registry: CollectorRegistry) -> None:
    system = assembly.system_of(settings, "crm")
    system.remove()
    system.close()
    assert compare(settings).report.verdict.state == "incomplete"
    assert value(registry, "hub_reconcile_last_success_timestamp_seconds") == 0
    assert [value(registry, "hub_reconcile_read", system=name) for name in ("crm", "wms")] == [0, 1]


def compare(settings: config.Settings) -> job.Outcome:
    with wiring.reconciling(settings, config.SYSTEMS) as ready:
        terms = Terms("2026-11-26", "everything", "off", ready.rules.version, "tests")
        return job.run(ready, Scope(), terms, lambda _what, _where: None)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)
