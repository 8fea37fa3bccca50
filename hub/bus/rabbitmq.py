"""The bus on RabbitMQ. The only module that knows pika.

Each publisher and each subscription has a connection and a thread of its own, and no other thread touches that
connection; everybody else hands it callbacks. Works with 3.10 to 4.x.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pika
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

from hub import config
from hub.bus.port import Delivery, Fate, Message
from hub.bus.topology import Topology, exchange_name, queue_arguments
from hub.errors import BusLost, BusRefused

PERSISTENT = 2
CHUNK = 100

_REFUSALS = (ProbableAuthenticationError, ProbableAccessDeniedError)
_REFUSAL_CODES = (403, 404, 406, 530)
_DEAD_QUEUE = {"x-queue-type": "quorum"}


class RabbitBus:
    """A transport on one broker or cluster, `amqp://user:password@host1,host2:5672/vhost`."""

    name = "rabbitmq"

    def __init__(self, settings: config.Settings, role: str = "hub") -> None:
        self._settings = settings.bus
        self._exchange = exchange_name(settings.bus.prefix)
        self._nodes = _parameters(settings.bus_url, settings.bus, role)

    def declare(self, topology: Topology) -> None:
        """Make exchanges, queues and bindings that are not there; BusRefused where one is there in another shape."""
        with self._admin() as channel:
            channel.exchange_declare(topology.exchange, "topic", durable=True)
            channel.exchange_declare(topology.dead_exchange, "direct", durable=True)
            for queue in topology.queues:
                arguments = queue_arguments(queue, topology.dead_exchange)
                channel.queue_declare(queue.dead, durable=True, arguments=_DEAD_QUEUE)
                channel.queue_bind(queue.dead, topology.dead_exchange, queue.name)
                channel.queue_declare(queue.name, durable=True, arguments=arguments)
                for key in queue.keys:
                    channel.queue_bind(queue.name, topology.exchange, key)

    def missing(self, topology: Topology) -> list[str]:
        """Exchanges and queues of the topology that the broker does not have."""
        lacking = [] if self._there("exchange", topology.exchange) else [f"exchange {topology.exchange}"]
        return lacking + [f"queue {queue.name}" for queue in topology.queues if not self._there("queue", queue.name)]

    def remove(self, topology: Topology) -> None:
        """Delete what the topology names."""
        with self._admin() as channel:
            for queue in topology.queues:
                channel.queue_delete(queue.name)
                channel.queue_delete(queue.dead)
            channel.exchange_delete(topology.exchange)
            channel.exchange_delete(topology.dead_exchange)

    def depths(self, topology: Topology) -> dict[str, int]:
        """Messages ready in each queue, as the broker counts them at this moment."""
        with self._admin() as channel:
            return {
                queue.name: channel.queue_declare(queue.name, passive=True).method.message_count
                for queue in topology.queues
            }

    def publisher(self) -> RabbitPublisher:
        """A connection for publishing with confirms."""
        return RabbitPublisher(self._nodes, self._exchange, self._settings)

    def subscribe(self, queue: str) -> RabbitSubscription:
        """A connection that consumes one queue."""
        return RabbitSubscription(self._nodes, queue, self._settings)

    def close(self) -> None:
        """Every connection belongs to a publisher or subscription; there is nothing else to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _there(self, kind: str, name: str) -> bool:
        try:
            with self._admin() as channel:
                getattr(channel, f"{kind}_declare")(name, passive=True)
        except BusRefused:
            return False
        return True

    @contextmanager
    def _admin(self) -> Iterator[Any]:
        with _translated():
            connection = pika.BlockingConnection(self._nodes)
            try:
                yield connection.channel()
            finally:
                if connection.is_open:
                    connection.close()


class Link:
    """A connection with one channel, and the thread that alone may use both.

    `prepare` is called in that thread with the open channel and a callback for when the broker has agreed to what it
    asked. `failure` is set, once, when connection or channel are gone.
    """

    def __init__(self, nodes: Sequence[pika.ConnectionParameters], settings: config.Bus) -> None:
        self._loop = IOLoop()
        self._nodes = random.sample(list(nodes), len(nodes))
        self._ready = threading.Event()
        self._connection: Any = None
        self.channel: Any = None
        self.failure: BusLost | BusRefused | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="amqp", daemon=True)
        self._patience = settings.connect_seconds

    def open(self, prepare: Callable[[Any, Callable[[Any], None]], None]) -> None:
        """Connect and wait until the channel is prepared; BusLost or BusRefused where that fails."""
        self._prepare = prepare
        self._thread.start()
        if not self._ready.wait(self._patience + 1):
            self.fail(BusLost(f"broker did not answer within {self._patience:.0f} s"))
        if self.failure is not None:
            self.close()
            raise self.failure

    def call(self, callback: Callable[[], None]) -> None:
        """Run a callback in the connection's thread, soon."""
        self._loop.add_callback_threadsafe(callback)

    def fail(self, failure: BusLost | BusRefused) -> None:
        """Remember the first failure and wake everybody who waits."""
        self.failure = self.failure or failure
        self._ready.set()
        self.on_failure()

    def close(self) -> None:
        """Close the channel, so that what is not settled goes back in its order, then the connection; idempotent."""
        self.failure = self.failure or BusLost("closed by ourselves")
        if self._thread.is_alive():
            self.call(self._shut)
            self._thread.join(timeout=3)

    def _run(self) -> None:
        pika.SelectConnection.create_connection(self._nodes, self._connected, custom_ioloop=self._loop)
        self._loop.start()

    def _connected(self, result: Any) -> None:
        if isinstance(result, BaseException):
            self.fail(_failure(result))
            self._loop.stop()
            return
        self._connection = result
        result.add_on_close_callback(self._lost)
        result.channel(on_open_callback=self._opened)

    def _opened(self, channel: Any) -> None:
        self.channel = channel
        channel.add_on_close_callback(lambda _channel, reason: self._broken(reason))
        self._prepare(channel, lambda _frame: self._ready.set())

    def _broken(self, reason: BaseException) -> None:
        self.fail(_failure(reason))
        if self._connection.is_open:
            self._connection.close()

    def _lost(self, _connection: Any, reason: BaseException) -> None:
        self.fail(_failure(reason))
        self._loop.stop()

    def _shut(self) -> None:
        if self.channel is not None and self.channel.is_open:
            self.channel.close()
        elif self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif self._connection is None or self._connection.is_closed:
            self._loop.stop()


class RabbitPublisher:
    """Publishes with confirms and `mandatory`, pipelined: a batch is on its way while its confirms come back."""

    def __init__(self, nodes: Sequence[pika.ConnectionParameters], exchange: str, settings: config.Bus) -> None:
        self._exchange = exchange
        self._patience = settings.confirm_seconds
        self._batch = _Batch([], 1)
        self._next_tag = 1
        self._link = Link(nodes, settings)
        self._link.on_failure = self._given_up
        self._link.open(self._prepare)

    def publish(self, messages: Sequence[Message]) -> list[Fate]:
        """Fates in the order of the messages. After a missed deadline the connection is given up: late confirms of an
        old batch must never settle a new one.
        """
        if self._link.failure is not None:
            raise self._link.failure
        batch = self._batch = _Batch(messages, self._next_tag)
        self._next_tag += len(messages)
        self._link.call(lambda: self._send(batch, 0))
        if not batch.done.wait(self._patience) or self._link.failure is not None:
            self._link.close()
        return batch.fates()

    def close(self) -> None:
        """Disconnect."""
        self._link.close()

    def _prepare(self, channel: Any, ready: Callable[[Any], None]) -> None:
        channel.confirm_delivery(self._settled, callback=ready)
        channel.add_on_return_callback(self._returned)

    def _given_up(self) -> None:
        self._batch.done.set()

    def _send(self, batch: _Batch, start: int) -> None:
        channel = self._link.channel
        if not channel.is_open:
            return
        for message in batch.messages[start : start + CHUNK]:
            channel.basic_publish(
                self._exchange, message.routing_key, message.body, _properties(message), mandatory=True
            )
        if start + CHUNK < len(batch.messages):
            self._link.call(lambda: self._send(batch, start + CHUNK))

    def _returned(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        self._batch.returned.add(properties.message_id)

    def _settled(self, frame: Any) -> None:
        method = frame.method
        fate = Fate.CONFIRMED if isinstance(method, pika.spec.Basic.Ack) else Fate.REFUSED
        self._batch.settle(method.delivery_tag, method.multiple, fate)


class RabbitSubscription:
    """Consumes one queue. Deliveries wait here, at most `prefetch` of them; settling closes with the channel."""

    def __init__(self, nodes: Sequence[pika.ConnectionParameters], queue: str, settings: config.Bus) -> None:
        self._queue = queue
        self._prefetch = settings.prefetch
        self._settled = 0
        self._arrived: SimpleQueue[Delivery | None] = SimpleQueue()
        self._link = Link(nodes, settings)
        self._link.on_failure = lambda: self._arrived.put(None)
        self._link.open(self._prepare)

    def receive(self, limit: int, wait_seconds: float) -> list[Delivery]:
        """What has arrived, waiting for the first; BusLost as soon as the broker stopped to deliver."""
        received: list[Delivery] = []
        try:
            first = self._arrived.get(timeout=wait_seconds)
            while first is not None:
                received.append(first)
                first = self._arrived.get_nowait() if len(received) < limit else None
        except Empty:
            pass
        if self._link.failure is not None:
            raise self._link.failure
        return received

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these: with one frame where they follow what was settled last. A lost connection shows later."""
        tags = [delivery.tag for delivery in deliveries]
        self._link.call(lambda: self._acknowledge(tags))

    def close(self) -> None:
        """Disconnect; what was not settled goes back to the queue in its order."""
        self._link.close()

    def _prepare(self, channel: Any, ready: Callable[[Any], None]) -> None:
        channel.basic_qos(prefetch_count=self._prefetch)
        channel.add_on_cancel_callback(self._cancelled)
        channel.basic_consume(self._queue, self._deliver, callback=ready)

    def _cancelled(self, _frame: Any) -> None:
        self._link.fail(BusLost(f"broker cancelled the consumer of {self._queue}: the queue is gone or timed out"))

    def _deliver(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        headers = {key: str(value) for key, value in (properties.headers or {}).items()}
        message_id = properties.message_id or ""
        delivery = Delivery(method.delivery_tag, message_id, method.routing_key, body, headers, method.redelivered)
        self._arrived.put(delivery)

    def _acknowledge(self, tags: Sequence[int]) -> None:
        channel = self._link.channel
        if not channel.is_open:
            return
        if tags[0] == self._settled + 1 and tags[-1] - tags[0] == len(tags) - 1:
            channel.basic_ack(tags[-1], multiple=True)
            self._settled = tags[-1]
        else:
            for tag in tags:
                channel.basic_ack(tag)


class _Batch:
    """What is known of the fates of a batch. Confirms may come in any order; tags of a batch follow one another."""

    def __init__(self, messages: Sequence[Message], first_tag: int) -> None:
        self.messages = messages
        self.returned: set[str] = set()
        self.done = threading.Event()
        self._first_tag = first_tag
        self._settled_below = 0
        self._open = len(messages)
        self._fates = [Fate.UNKNOWN] * len(messages)

    def settle(self, tag: int, multiple: bool, fate: Fate) -> None:
        """Take in a confirm for one tag, or for every tag up to it."""
        index = tag - self._first_tag
        for position in range(self._settled_below if multiple else index, index + 1):
            self._open -= self._fates[position] is Fate.UNKNOWN
            self._fates[position] = fate
        if multiple:
            self._settled_below = index + 1
        if self._open == 0:
            self.done.set()

    def fates(self) -> list[Fate]:
        """One fate a message; what was returned is unroutable though the broker confirmed it."""
        return [self._fate(message, fate) for message, fate in zip(self.messages, self._fates, strict=True)]

    def _fate(self, message: Message, fate: Fate) -> Fate:
        return Fate.UNROUTABLE if fate is Fate.CONFIRMED and message.id in self.returned else fate


def _parameters(url: str, settings: config.Bus, role: str) -> list[pika.ConnectionParameters]:
    parts = urlsplit(url)
    credentials = pika.PlainCredentials(unquote(parts.username or "guest"), unquote(parts.password or "guest"))
    secure = parts.scheme == "amqps"
    options = {
        "virtual_host": unquote(parts.path[1:]) or "/",
        "credentials": credentials,
        "heartbeat": settings.heartbeat_seconds,
        "blocked_connection_timeout": settings.blocked_seconds,
        "socket_timeout": settings.connect_seconds,
        "stack_timeout": settings.connect_seconds,
        "client_properties": {"connection_name": f"hub-{role}-{socket.gethostname()}-{os.getpid()}"},
    }
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return [_node(host, 5671 if secure else 5672, secure, options) for host in hosts]


def _node(address: str, port: int, secure: bool, options: dict[str, Any]) -> pika.ConnectionParameters:
    host, _, given = address.partition(":")
    tls = pika.SSLOptions(ssl.create_default_context(), host) if secure else None
    return pika.ConnectionParameters(host=host, port=int(given or port), ssl_options=tls, **options)


def _properties(message: Message) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type="application/cloudevents+json; charset=utf-8",
        delivery_mode=PERSISTENT,
        message_id=message.id,
        type=message.type,
        app_id="hub",
        headers=dict(message.headers),
    )


def _failure(error: BaseException) -> BusLost | BusRefused:
    causes = list(_causes(error))
    last = causes[-1]
    words = getattr(last, "reply_text", "") or str(last) or type(last).__name__
    if any(isinstance(cause, _REFUSALS) or getattr(cause, "reply_code", 0) in _REFUSAL_CODES for cause in causes):
        return BusRefused(f"broker: {words}")
    return BusLost(f"broker: {words}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    # pika wraps what a node said once for each phase of connecting and once for the list of nodes.
    yield error
    for inner in (*getattr(error, "exceptions", ()), getattr(error, "exception", None)):
        if isinstance(inner, BaseException):
            yield from _causes(inner)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (AMQPError, AMQPConnectorException, OSError) as error:
        raise _failure(error) from error
