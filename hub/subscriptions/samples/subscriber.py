"""A subscriber of the order hub: it keeps every order at the newest version that it has been told.

Start it with Python 3.9 or later, `pip install "pika>=1.3"`, and these variables:
  AMQP_URL  amqps://user:secret@host/vhost
  QUEUE     the queue of your subscription
  STATE     a file of its own for SQLite
  MAJOR     the major version of events that you subscribe to; 1 unless given

Live events, back-filled snapshots and replayed events come in any order, and any of them more than once. Each holds the
whole order after a change, and its `sequence` is the order's version. So one rule merges them all: a higher version
takes the place of a lower one, everything else changes nothing.
"""

import json
import logging
import os
import random
import re
import signal
import sqlite3
import sys
import time

import pika
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

PREFETCH = 200  # The broker gives back what is not settled, and never more than this is.
BATCH = 100  # One write to the disk and one settlement for so many messages.
IDLE_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30
STEADY_SECONDS = 60
VERSION = re.compile("[0-9]{1,15}")

log = logging.getLogger("subscriber")


class Subscriber:
    """Reads one queue until it is told to stop."""

    def __init__(self, url: str, queue: str, state: sqlite3.Connection, major: str) -> None:
        self.parameters = pika.URLParameters(url)
        self.parameters.heartbeat = 20
        self.parameters.client_properties = {"connection_name": f"subscriber {queue}"}
        self.queue, self.state = queue, state
        self.kind = re.compile(rf"com\.orderhub\.order\.[a-z_]+\.v{int(major)}")
        self.stopping = False

    def run(self) -> None:
        """Read, and begin again after a while when the connection is lost."""
        failures = 0
        while not self.stopping:
            begun = time.monotonic()
            try:
                self.read()
            except (ProbableAuthenticationError, ProbableAccessDeniedError) as error:
                sys.exit(f"the broker does not let us in; was the secret changed? {error!r}")
            except (AMQPError, OSError) as error:
                failures = 1 if time.monotonic() - begun > STEADY_SECONDS else failures + 1
                # Any time up to a bound that doubles: all subscribers of a broker that restarts must not come at once.
                seconds = random.uniform(0, min(LONGEST_WAIT_SECONDS, 2**failures))
                log.warning("lost the broker, again in %.1f s: %r", seconds, error)
                self.rest(seconds)

    def read(self) -> None:
        """Keep messages and settle them; returns when told to stop."""
        with pika.BlockingConnection(self.parameters) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=PREFETCH)
            unsettled = 0
            for method, _properties, body in channel.consume(self.queue, inactivity_timeout=IDLE_SECONDS):
                if method is not None:
                    self.keep(body)
                    unsettled, newest = unsettled + 1, method.delivery_tag
                if unsettled and (method is None or unsettled >= BATCH or self.stopping):
                    # First the disk, then the broker: what is settled is gone there.
                    self.state.commit()
                    channel.basic_ack(newest, multiple=True)
                    unsettled = 0
                if self.stopping:
                    return
            raise AMQPError("the broker ended the delivery: the queue is gone, or moved")

    def keep(self, body: bytes) -> None:
        """Take one message in; nothing that is in it may end the program, or it would come for ever."""
        try:
            event = json.loads(body)
            if self.kind.fullmatch(event["type"]) is None:
                # What we do not know was not meant for us. It is settled, and must not be an error.
                return
            number, sequence, order = event["subject"], event["sequence"], event["data"]["order"]
            if not isinstance(number, str) or VERSION.fullmatch(sequence) is None:
                raise ValueError("no subject or no sequence")
            self.state.execute(MERGE, (number, int(sequence), json.dumps(order, ensure_ascii=False)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            log.error("kept aside: %r", error)
            self.state.execute("INSERT INTO aside (body, reason) VALUES (?, ?)", (body, repr(error)))

    def rest(self, seconds: float) -> None:
        """Wait, unless told to stop."""
        until = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < until:
            time.sleep(min(IDLE_SECONDS, seconds))

    def stop(self, *_signal: object) -> None:
        """Stop soon; a handler of a signal must do no more than this."""
        self.stopping = True


TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS orders (order_no TEXT PRIMARY KEY, version INTEGER NOT NULL, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS aside (body BLOB NOT NULL, reason TEXT NOT NULL);
"""
MERGE = """
INSERT INTO orders (order_no, version, content) VALUES (?, ?, ?)
ON CONFLICT (order_no) DO UPDATE SET version = excluded.version, content = excluded.content
WHERE excluded.version > orders.version
"""


def opened(path: str) -> sqlite3.Connection:
    """What we know, on the disk."""
    state = sqlite3.connect(path)
    state.executescript(TABLES)
    state.execute("PRAGMA synchronous = FULL")
    return state


def main() -> None:
    """Read until SIGTERM or ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    state = opened(os.environ["STATE"])
    subscriber = Subscriber(os.environ["AMQP_URL"], os.environ["QUEUE"], state, os.environ.get("MAJOR", "1"))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, subscriber.stop)
    subscriber.run()
    state.close()


if __name__ == "__main__":
    main()
