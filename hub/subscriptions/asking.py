"""How the broker is asked how queues stand: over AMQP, or by its management API, which tells more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from hub import config
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.rabbit.management import Management
from hub.bus.topology import outside
from hub.subscriptions.looks import Standing

Ask = Callable[[Sequence[str]], Mapping[str, Standing]]
"""The standing of each of these queues; one that the broker does not tell of is left out."""


@contextmanager
def asking(settings: config.Settings, bus: RabbitBus) -> Iterator[Ask]:
    """By the management API where HUB_BUS__MANAGEMENT_URL is set, else over AMQP."""
    if settings.bus.management_url is None:
        yield over_amqp(bus)
        return
    with Management(settings) as management:
        yield by_api(management, bus, outside(settings.bus.prefix).subscriptions)


def over_amqp(bus: RabbitBus) -> Ask:
    """At this moment; nothing is told of messages that a reader has and did not settle."""
    return lambda queues: {
        queue: Standing(ready=ready, consumers=consumers) for queue, (ready, consumers) in bus.waiting(queues).items()
    }


def by_api(management: Management, bus: RabbitBus, begin: str) -> Ask:
    """As of some seconds ago, for queues whose names begin so; over AMQP for all others."""

    def ask(queues: Sequence[str]) -> Mapping[str, Standing]:
        shown = {each.name: each for each in management.queues(begin)}
        told = {
            name: Standing(each.ready, each.unacked, each.consumers, each.acked)
            for name, each in shown.items()
            if name in queues
        }
        others = [queue for queue in queues if not queue.startswith(begin)]
        return {**told, **over_amqp(bus)(others)}

    return ask
