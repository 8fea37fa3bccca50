"""Publish the bodies of the outbox without touching the database meanwhile."""

from __future__ import annotations

from benchmarks.peers.common import given, outbox, ready, told
from benchmarks.peers.pipelined import WINDOW, Pipeline


def main() -> None:
    """Read, connect, publish."""
    settings = given()
    events = outbox(settings.db, settings.events)
    window = getattr(settings, "window", WINDOW)
    key, mirrored = getattr(settings, "routing_key", ""), getattr(settings, "mirrored", False)
    pipeline = Pipeline(settings.bus, settings.exchange, key, window, mirrored=mirrored)
    ready()
    told(len(events), *pipeline.publish(events))


if __name__ == "__main__":
    main()
