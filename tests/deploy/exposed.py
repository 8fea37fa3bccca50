"""What is there to be asked for: the metrics of the hub's processes, of RabbitMQ and of Alertmanager."""

from __future__ import annotations

import urllib.request
from collections import defaultdict
from collections.abc import Mapping

from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_string_to_metric_families

from hub import metrics
from tests.nodes.node import run
from tests.nodes.ports import free_ports
from tests.nodes.rabbitmq import RabbitNode
from tests.support import eventually

TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus itself gives to whatever it scrapes."""

CLOSED = frozenset({"fate", "outcome", "cause"})
"""Labels of which every value exists from the start."""

QUEUES = "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count"

FROM_ELSEWHERE = {
    "up": frozenset[str](),
    # Alertmanager, "Metrics": https://prometheus.io/docs/alerting/latest/alertmanager/
    "alertmanager_notifications_failed_total": frozenset({"integration", "receiver_name"}),
}


def hub_by_process() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """For each kind of process its metrics with their labels; what the library tells of every process among them."""
    common = {name: frozenset[str]() for name in _of_the_process()}
    return {
        process: {name: frozenset(labels) for name, labels in shown.items()} | common
        for process, shown in metrics.by_process().items()
    }


def hub_values() -> Mapping[tuple[str, str], set[str]]:
    """For (metric, label) the values that exist from the start, of labels whose values are known beforehand."""
    metrics.prepare_api()
    metrics.prepare_relay()
    metrics.prepare_consumer("crm")
    metrics.prepare_callbacks("wms")
    metrics.prepare_notices()
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for family in REGISTRY.collect():
        for sample in family.samples:
            for label in CLOSED & set(sample.labels):
                found[sample.name, label].add(sample.labels[label])
    return found


def broker(node: RabbitNode) -> Mapping[str, frozenset[str]]:
    """The metrics of a node of RabbitMQ that has the hub's queues, as both jobs scrape them."""
    port = free_ports(1)[0]
    where = f'[{{port, {port}}}, {{ip, "127.0.0.1"}}]'
    node.ctl("eval", f"application:set_env(rabbitmq_prometheus, tcp_config, {where}, [{{persistent, true}}]).")
    run([str(node._scripts / "rabbitmq-plugins"), "--quiet", "enable", "rabbitmq_prometheus"], node._environment())
    # What is told of queues is gathered every five seconds.
    # The names are there before, without a queue.
    per_queue = ("rabbitmq_detailed_queue_consumers", "rabbitmq_detailed_queue_messages")
    assert eventually(lambda: all("queue" in _scraped(port, QUEUES).get(name, ()) for name in per_queue), 60)
    return _scraped(port, "/metrics") | _scraped(port, QUEUES)


def _of_the_process() -> set[str]:
    return {family.name for family in REGISTRY.collect() if family.name.startswith("process_")}


def _scraped(port: int, path: str) -> dict[str, frozenset[str]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return dict(map(_labelled, text_string_to_metric_families(answer.read().decode())))


def _labelled(family: Metric) -> tuple[str, frozenset[str]]:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return name, frozenset(label for sample in family.samples for label in sample.labels)
