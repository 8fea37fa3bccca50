"""A subscriber that reads along: settles what it gets, and does nothing else. Arguments: URL and queue."""

from __future__ import annotations

import sys
from typing import Any

import pika

UNSETTLED = 200
TOGETHER = 100


def main(url: str, queue: str) -> None:
    """Read until killed."""
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_qos(prefetch_count=UNSETTLED)

    def heard(_channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        if method.delivery_tag % TOGETHER == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)

    channel.basic_consume(queue, heard)
    channel.start_consuming()


if __name__ == "__main__":
    main(*sys.argv[1:])
