"""docs/reference/metrics.md: every series that a process shows, from where it is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from hub import config, metrics, running
from hub.all_tables import metadata
from hub.database import reading
from hub.documents import markdown
from hub.documents.markdown import code
from hub.errors import HubError

_LEAD = """Every process shows them at `/metrics`: the OMS interface at its own address, each other process at
`HUB_PROBES__HOST` and `HUB_PROBES__PORT`. Names carry their unit; values of labels come from closed sets, so no order,
customer or token is ever one. A histogram shows `_bucket`, `_sum` and `_count`."""

_HEAD = ("name", "type", "labels", "shown by", "what it shows")
_ON_POSTGRES = {"hub_partitions_ahead_seconds": "How long from now day partitions stand ready; on PostgreSQL alone"}
"""What a database of SQLite, which is asked here, has not."""

Told = tuple[str, str]
"""Type and help."""


def page() -> str:
    """The Markdown of the page."""
    told = dict(_declared()) | dict(_gathered()) | {name: ("gauge", words) for name, words in _ON_POSTGRES.items()}
    shown = metrics.by_process()
    labels = {name: each for process in shown.values() for name, each in process.items()}
    if strange := labels.keys() ^ told.keys():
        raise HubError(f"hub/documents/metrics.py: shown and explained are not the same: {', '.join(sorted(strange))}")
    rows = [
        (code(name), told[name][0], ", ".join(map(code, labels[name])), _shown_by(name, shown), told[name][1])
        for name in sorted(labels)
    ]
    return markdown.page("Metrics", _LEAD, [markdown.table(_HEAD, rows)])


def _shown_by(name: str, shown: Mapping[str, Mapping[str, object]]) -> str:
    processes = [process for process, names in shown.items() if name in names]
    return "every process" if len(processes) == len(shown) else ", ".join(map(code, processes))


def _declared() -> Iterator[tuple[str, Told]]:
    for declared in vars(metrics).values():
        if isinstance(declared, MetricWrapperBase):
            yield from map(_told, declared.describe())


def _gathered() -> Iterator[tuple[str, Told]]:
    """As the interface gathers them, from a database where nothing has happened yet."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    for gather in running.gathers(config.load({})):
        with reading(engine) as connection:
            yield from map(_told, gather(connection))
    engine.dispose()


def _told(family: Metric) -> tuple[str, Told]:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return name, (family.type, family.documentation)
