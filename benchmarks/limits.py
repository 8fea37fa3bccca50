"""What limits each figure, by the key of its row: only what a measurement has shown. docs/performance.md says more."""

from __future__ import annotations

_BROKER = (
    "both cores are full: for an event the broker takes about 130 us of them (four quorum queues), PostgreSQL 32, the "
    "relay 26; a bare publisher that mirrors no headers is 13 to 15 naive relays and 4 to 5 faststream-outboxes"
)
_PYTHON = (
    "the threads of one Python process take turns: about 95 us of it for an event, PostgreSQL 70 beside it, the broker "
    "15; each core waits a third of the time for the other"
)
_PACE = "a rest of up to 40 ms in which events gather; at this rate the two cores are about 85 % busy"

LIMITS: dict[str, str] = {
    **dict.fromkeys(("relay.pika", "relay.naive", "relay.faststream_outbox"), _BROKER),
    "relay.mirrored": "beside the same messages it is PostgreSQL and the relay's own work that is left",
    **dict.fromkeys(("consume.psycopg2", "consume.faststream"), _PYTHON),
    "pipeline.naive": "both cores are full: broker, relay, four consumers and PostgreSQL's backends share them",
    **dict.fromkeys(("latency.p50", "latency.p99"), _PACE),
    "embedded.rate": "one file has one writer at a time",
}
