"""Every metric of the hub, declared once. Names carry units, labels come from closed sets, ids are never labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from hub import __version__, clock
from hub.errors import DEAD_REASONS

# When a counter was made is when the process began, which the library tells once.
disable_created_metrics()  # type: ignore[no-untyped-call]

FATES = ("confirmed", "unroutable", "refused", "unknown")
RECEIVED = ("wanted", "seen", "dead", "canary")
CAUSES = ("unreachable", "unanswered", "busy", "credentials")
OUTCOMES = ("applied", "superseded", "retried", "parked")
CHANNELS = ("dingtalk", "wecom")
CALLED_BACK = (
    *("done", "kept", "refused", "repeated", "conflict"),
    *("unknown_order", "elsewhere", "unreadable", "forged", "clock"),
)
CALLED = ("ok", "rejected", "busy", "unknown", "unreachable", "credentials")
ALERTED = ("taken", "refused")
LOST = ("full", "worn_out", "rejected", "expired")
TAKEN_IN = ("taken", "seen", "refused")
TOLD = ("sent", "put_off", "unknown", "refused", "given_up")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_CANARY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 180, 300)
_CALL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)

outbox_pending = Gauge("hub_outbox_pending", "Events that were committed and are not published")
outbox_held = Gauge("hub_outbox_held", "Events that the bus would not take and that rest for a while")
outbox_oldest_age = Gauge("hub_outbox_oldest_age_seconds", "Age of the oldest unpublished event since its commit")
outbox_published = Counter("hub_outbox_published_total", "Events by what the bus said of them", ["fate"])
canaries_published = Counter("hub_canaries_published_total", "Canaries by what the bus said of them", ["fate"])
publish_duration = Histogram(
    "hub_publish_duration_seconds", "One batch from first byte to last confirm", buckets=_SECONDS
)
relay_leading = Gauge("hub_relay_leading", "Shards whose lease this relay holds")
leases_lost = Counter("hub_relay_leases_lost_total", "Batches that another relay had taken over")

intake_waiting = Gauge("hub_intake_waiting", "Rows of the company's OMS that nobody has looked at or that wait")
intake_refused = Gauge("hub_intake_refused", "Rows of the company's OMS that are kept with a reason")
intake_oldest_age = Gauge("hub_intake_oldest_age_seconds", "Age of the oldest row that waits")
intake_rows = Counter("hub_intake_rows_total", "Rows of the company's OMS by what became of them", ["outcome"])
intake_refusals = Counter("hub_intake_refusals_total", "Refused rows of the company's OMS", ["reason"])

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
breaker_open = Gauge("hub_breaker_open", "1 while a system is left alone", ["system"])
events_in_flight = Gauge("hub_events_in_flight", "Deliveries taken from the bus and not settled", ["system"])
orders_in_hand = Gauge("hub_orders_in_hand", "Orders that workers have claimed at this moment", ["system"])
canary_seconds = Histogram(
    "hub_canary_seconds", "From commit of a canary to its record as applied", ["system"], buckets=_CANARY_SECONDS
)
canary_last = Gauge(
    "hub_canary_last_timestamp_seconds",
    "Commit of the newest canary that was applied; start of the process before the first",
    ["system"],
)
calls = Counter("hub_calls_total", "Calls over HTTP by outcome", ["system", "outcome"])
call_duration = Histogram("hub_call_duration_seconds", "One call over HTTP", ["system"], buckets=_CALL_SECONDS)
dead_letters = Counter("hub_dead_letters_total", "Bytes that are no event", ["system", "reason"])
notices = Counter("hub_notices_total", "Calls to robots by what became of them", ["channel", "outcome"])

subscription_ready = Gauge("hub_subscription_ready", "Messages that wait in a subscriber's queue", ["subscription"])
subscription_unacked = Gauge(
    "hub_subscription_unacked", "Messages that a subscriber has and did not settle", ["subscription"]
)
subscription_consumers = Gauge(
    "hub_subscription_consumers", "Programs that read a subscriber's queue", ["subscription"]
)
subscription_oldest_age = Gauge(
    "hub_subscription_oldest_age_seconds",
    "Age of the oldest message that a subscriber did not settle",
    ["subscription"],
)
subscription_last_consumed = Gauge(
    "hub_subscription_last_consumed_timestamp_seconds", "When a subscriber was last seen to settle", ["subscription"]
)
subscription_gaps_open = Gauge(
    "hub_subscription_gaps_open", "What a subscriber missed and was not sent again", ["subscription"]
)
subscription_dropped = Counter(
    "hub_subscription_dropped_total", "Messages that a subscriber's queue let go", ["subscription", "why"]
)

bus_up = Gauge("hub_bus_up", "1 while connected")
bus_reconnects = Counter("hub_bus_reconnects_total", "Connections that had to be made again")
requests = Counter("hub_api_requests_total", "Calls of the OMS interface", ["route", "status"])
callbacks = Counter("hub_callbacks_total", "Callbacks of a system by what became of them", ["system", "fate"])
alerts_received = Counter("hub_alerts_received_total", "Calls of Alertmanager by what became of them", ["outcome"])
loop_turns = Counter("hub_loop_turns_total", "Turns of each loop of the process", ["loop"])
build_info = Gauge("hub_build_info", "Always 1", ["version", "bus", "db"])


EVERYWHERE = (loop_turns, build_info)
_ON_THE_BUS = (bus_up, bus_reconnects)
_OF_SUBSCRIPTION = (
    *(subscription_ready, subscription_unacked, subscription_consumers, subscription_oldest_age),
    *(subscription_last_consumed, subscription_gaps_open),
)
_OF_CONSUMER = (
    *(apply_duration, end_to_end, canary_seconds, call_duration, ledger_behind, ledger_parked, ledger_oldest_age),
    *(last_success, breaker_open, events_in_flight, orders_in_hand),
)
_PROCESSES: Mapping[str, tuple[MetricWrapperBase, ...]] = {
    "hub-api": (requests, callbacks, alerts_received, notices),
    "hub-relay": (
        *(outbox_pending, outbox_held, outbox_oldest_age, outbox_published, canaries_published, publish_duration),
        *(relay_leading, leases_lost, *_ON_THE_BUS),
    ),
    "hub-consume": (
        *(*_OF_CONSUMER, events_received, orders_worked, system_up, breaker_trips, canary_last, calls, dead_letters),
        *_ON_THE_BUS,
    ),
    "hub-subscription-watch": (*_OF_SUBSCRIPTION, subscription_dropped, notices, *_ON_THE_BUS),
    "hub-intake": (intake_waiting, intake_refused, intake_oldest_age, intake_rows, intake_refusals, notices),
}
PROCESSES = tuple(_PROCESSES)
"""The processes that are scraped; of consumers there is one for each system."""

_COLLECTED: Mapping[str, tuple[str, ...]] = {
    "hub_dead_letters_open": ("system",),
    "hub_dead_letters_oldest_age_seconds": ("system",),
    "hub_notices_waiting": (),
    "hub_notices_oldest_age_seconds": (),
    "hub_partitions_ahead_seconds": ("table",),
    "hub_maintenance_last_success_timestamp_seconds": (),
    "hub_reconcile_last_success_timestamp_seconds": (),
    "hub_reconcile_duration_seconds": (),
    "hub_reconcile_compared": ("system",),
    "hub_reconcile_read": ("system",),
    "hub_reconcile_findings": ("system", "kind", "cause"),
    "hub_reconcile_difference_amount_fen": ("system", "currency"),
    "hub_tickets_open": ("severity",),
    "hub_tickets_overdue": ("severity",),
}
# The OMS interface reads these from the database at each scrape.


def hidden(process: str) -> frozenset[str]:
    """What a process does not show of what is declared here: a gauge of another process at 0 would be a lie."""
    shown = {each for metric in (*_PROCESSES[process], *EVERYWHERE) for each in _names(metric)}
    return frozenset(name for metric in _declared() for name in _names(metric) if name not in shown)


def by_process() -> dict[str, dict[str, tuple[str, ...]]]:
    """For each process the hub's metrics that it shows, as /metrics names them, with their labels.

    Of a histogram there are `_bucket`, `_sum` and `_count` besides.
    """
    found = {
        process: {_shown(metric): _labels(metric) for metric in (*metrics, *EVERYWHERE)}
        for process, metrics in _PROCESSES.items()
    }
    found["hub-api"] |= _COLLECTED
    return found


def tell_build(bus: str, db: str) -> None:
    """Say what runs: `bus` is embedded or rabbitmq, `db` is sqlite or postgresql."""
    build_info.labels(__version__, bus, db).set(1)


def grow(age: Gauge, seconds: float) -> None:
    """Show an age that was just read, and let it grow by itself: whoever reads it may come to a halt."""
    since = clock.monotonic() - seconds
    age.set_function(lambda: clock.monotonic() - since if seconds > 0 else seconds)


@contextmanager
def counted(gauge: Gauge, number: int) -> Iterator[None]:
    """So many more are shown as long as this lasts."""
    gauge.inc(number)
    try:
        yield
    finally:
        gauge.dec(number)


def loop_label(name: str) -> str:
    """The label of a loop: all that differ by a number alone have one."""
    return name.partition("-")[0]


def prepare_api() -> None:
    """Let every series of the OMS interface that does not depend on who calls exist at 0."""
    _touch(alerts_received, ALERTED)


def prepare_callbacks(system: str) -> None:
    """Let every series of who takes a system's callbacks exist at 0."""
    for fate in CALLED_BACK:
        callbacks.labels(system, fate)


def prepare_relay() -> None:
    """Let every series of a relay exist at 0."""
    _touch(outbox_published, FATES)
    # One without a confirm is sent again, and counts once.
    _touch(canaries_published, [fate for fate in FATES if fate != "unknown"])


def prepare_intake(reasons: Iterable[str]) -> None:
    """Let every series of who takes rows of a company's OMS exist at 0."""
    _touch(intake_rows, TAKEN_IN)
    _touch(intake_refusals, reasons)


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
    for outcome in CALLED:
        calls.labels(system, outcome)
    for per_system in _OF_CONSUMER:
        per_system.labels(system)
    system_up.labels(system).set(1)
    canary_last.labels(system).set(clock.utcnow().timestamp())


def prepare_notices() -> None:
    """Let every series of whoever tells people exist at 0."""
    for channel in CHANNELS:
        for outcome in TOLD:
            notices.labels(channel, outcome)


def prepare_watch() -> None:
    """Let the series of a watcher that need no subscription exist."""
    prepare_notices()


def prepare_subscription(name: str) -> None:
    """Let every series of a subscription exist at 0."""
    for gauge in _OF_SUBSCRIPTION:
        gauge.labels(name)
    for why in LOST:
        subscription_dropped.labels(name, why)


def forget_subscription(name: str) -> None:
    """Let every series of a subscription that was removed go."""
    for gauge in _OF_SUBSCRIPTION:
        gauge.remove(name)
    for why in LOST:
        subscription_dropped.remove(name, why)


def declared() -> Iterator[tuple[str, str]]:
    """Every (name, help) there is."""
    for metric in REGISTRY.collect():
        if metric.name.startswith("hub_"):
            yield metric.name, metric.documentation


def _declared() -> Iterator[MetricWrapperBase]:
    for metrics in _PROCESSES.values():
        yield from metrics
    yield from EVERYWHERE


def _names(metric: MetricWrapperBase) -> list[str]:
    return [each.name for each in metric.describe()]


def _shown(metric: MetricWrapperBase) -> str:
    (told,) = metric.describe()
    return f"{told.name}_total" if told.type == "counter" else str(told.name)


def _labels(metric: MetricWrapperBase) -> tuple[str, ...]:
    return tuple(metric._labelnames)  # noqa: SLF001 - the library tells it nowhere else


def _touch(metric: MetricWrapperBase, values: Iterable[str]) -> None:
    for value in values:
        metric.labels(value)
