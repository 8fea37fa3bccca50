"""Every metric of the hub, declared once. Names carry units, labels come from closed sets, ids are never labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.metrics import MetricWrapperBase

from hub import __version__
from hub.errors import DEAD_REASONS

FATES = ("confirmed", "unroutable", "refused", "unknown")
RECEIVED = ("wanted", "seen", "dead")
CAUSES = ("unreachable", "unanswered", "busy", "credentials")
OUTCOMES = ("applied", "superseded", "retried", "parked")
CHANNELS = ("dingtalk", "wecom")
TOLD = ("sent", "put_off", "unknown", "refused", "given_up")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

outbox_pending = Gauge("hub_outbox_pending", "Events that were committed and are not published")
outbox_held = Gauge("hub_outbox_held", "Events that the bus would not take and that rest for a while")
outbox_oldest_age = Gauge("hub_outbox_oldest_age_seconds", "Age of the oldest unpublished event since its commit")
outbox_published = Counter("hub_outbox_published_total", "Events by what the bus said of them", ["fate"])
publish_duration = Histogram(
    "hub_publish_duration_seconds", "One batch from first byte to last confirm", buckets=_SECONDS
)
relay_leading = Gauge("hub_relay_leading", "Shards whose lease this relay holds")
leases_lost = Counter("hub_relay_leases_lost_total", "Batches that another relay had taken over")

events_received = Counter(
    "hub_events_received_total", "Deliveries by what the ledger made of them", ["system", "outcome"]
)
orders_worked = Counter("hub_orders_worked_total", "Entries by what became of them", ["system", "outcome"])
apply_duration = Histogram("hub_apply_duration_seconds", "One batch at the system", ["system"], buckets=_SECONDS)
end_to_end = Histogram("hub_end_to_end_seconds", "From commit in the OMS to applied", ["system"], buckets=_SECONDS)
ledger_behind = Gauge("hub_ledger_behind", "Orders whose newest version a system has not yet", ["system"])
ledger_parked = Gauge("hub_ledger_parked", "Orders that wait for a person", ["system"])
ledger_oldest_age = Gauge("hub_ledger_oldest_age_seconds", "Age of the oldest order that is behind", ["system"])
last_success = Gauge("hub_last_success_timestamp_seconds", "When a batch was last applied", ["system"])
system_up = Gauge("hub_system_up", "0 while the system does not answer", ["system"])
breaker_trips = Counter("hub_breaker_trips_total", "How often a system had to be left alone", ["system", "cause"])
dead_letters = Counter("hub_dead_letters_total", "Bytes that are no event", ["system", "reason"])
notices = Counter("hub_notices_total", "Calls to robots by what became of them", ["channel", "outcome"])

bus_up = Gauge("hub_bus_up", "1 while connected")
bus_reconnects = Counter("hub_bus_reconnects_total", "Connections that had to be made again")
requests = Counter("hub_api_requests_total", "Calls of the OMS interface", ["route", "status"])
build_info = Gauge("hub_build_info", "Always 1", ["version"])

exposition = make_wsgi_app()


def prepare_api() -> None:
    """Let the series that every process has exist."""
    build_info.labels(__version__).set(1)


def prepare_relay() -> None:
    """Let every series of a relay exist at 0."""
    _touch(outbox_published, FATES)
    build_info.labels(__version__).set(1)


def prepare_consumer(system: str) -> None:
    """Let every series of a consumer exist at 0."""
    for outcome in RECEIVED:
        events_received.labels(system, outcome)
    for outcome in OUTCOMES:
        orders_worked.labels(system, outcome)
    for reason in DEAD_REASONS:
        dead_letters.labels(system, reason)
    for cause in CAUSES:
        breaker_trips.labels(system, cause)
    for per_system in (apply_duration, end_to_end, ledger_behind, ledger_parked, ledger_oldest_age, last_success):
        per_system.labels(system)
    system_up.labels(system).set(1)
    build_info.labels(__version__).set(1)


def prepare_notices() -> None:
    """Let every series of whoever tells people exist at 0."""
    for channel in CHANNELS:
        for outcome in TOLD:
            notices.labels(channel, outcome)


def declared() -> Iterator[tuple[str, str]]:
    """Every (name, help) there is."""
    for metric in REGISTRY.collect():
        if metric.name.startswith("hub_"):
            yield metric.name, metric.documentation


def _touch(metric: MetricWrapperBase, values: Iterable[str]) -> None:
    for value in values:
        metric.labels(value)
