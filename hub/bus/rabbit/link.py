"""One connection to RabbitMQ: where the nodes are, the thread that owns it, and what its errors mean."""

from __future__ import annotations

import os
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

from hub import groups, tls
from hub.bus.rabbit.address import address_of
from hub.errors import BusLost, BusMissing, BusRefused

_REFUSALS = (ProbableAuthenticationError, ProbableAccessDeniedError)
NOT_FOUND = 404
ACCESS_REFUSED = 403
_REFUSAL_CODES = (ACCESS_REFUSED, 406, 530)

Nodes = Sequence[pika.ConnectionParameters]


class Corked(pika.SelectConnection):  # type: ignore[misc] # pika says nothing of its types
    """A connection that hands many frames to the system at once, where pika calls it three times for each message."""

    _held_back: list[bytes] | None = None

    @contextmanager
    def corked(self) -> Iterator[None]:
        """Frames of meanwhile go out together at the end."""
        frames: list[bytes] = []
        self._held_back = frames
        try:
            yield
        finally:
            self._held_back = None
            if frames:
                self._adapter_emit_data(b"".join(frames))

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._held_back is None:
            super()._adapter_emit_data(data)
        else:
            self._held_back.append(data)


class Link:
    """A connection with one channel, and the thread that alone may use both.

    `prepare` is called in that thread with the open channel and a callback for when the broker has agreed to what it
    asked. `failure` is set, once, when connection or channel are gone.
    """

    def __init__(self, nodes: Nodes, settings: groups.Bus) -> None:
        self._loop = IOLoop()
        self._turning = threading.Lock()
        self._ended = False
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
        """Run a callback in the connection's thread, soon; nothing happens where that thread has ended."""
        with self._turning:
            if not self._ended:
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
        Corked.create_connection(self._nodes, self._connected, custom_ioloop=self._loop)
        try:
            self._loop.start()
        except Exception as error:  # noqa: BLE001 - a thread that ends without a word would leave everybody waiting
            self.fail(BusLost(f"broker: {type(error).__name__} in the connection's thread: {error}"))
            self._shut()
            self._loop.start()
        with self._turning:
            self._ended = True
            self._loop.close()

    def _connected(self, result: Any) -> None:
        if isinstance(result, BaseException):
            self.fail(failure_of(result))
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
        self.fail(failure_of(reason))
        if self._connection.is_open:
            self._connection.close()

    def _lost(self, _connection: Any, reason: BaseException) -> None:
        self.fail(failure_of(reason))
        self._loop.stop()

    def _shut(self) -> None:
        if self.channel is not None and self.channel.is_open:
            self.channel.close()
        elif self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif self._connection is None or self._connection.is_closed:
            self._loop.stop()


def nodes_of(url: str, settings: groups.Bus, role: str) -> Nodes:
    """Where to connect, for each host that the URL names; connections show as `hub-<role>-<host>-<pid>`."""
    given = address_of(url)
    options = {
        "virtual_host": given.vhost,
        "credentials": pika.PlainCredentials(given.user or "guest", given.password or "guest"),
        "heartbeat": settings.heartbeat_seconds,
        "blocked_connection_timeout": settings.blocked_seconds,
        "socket_timeout": settings.connect_seconds,
        "stack_timeout": settings.connect_seconds,
        "client_properties": {"connection_name": f"hub-{role}-{socket.gethostname()}-{os.getpid()}"},
    }
    context = tls.calling(tls_files(settings)) if given.tls else None
    return [_node(host, port, context, settings.tls_name, options) for host, port in given.hosts]


def tls_files(settings: groups.Bus) -> tls.Files:
    """What is trusted and shown to the broker, over AMQP and over HTTP."""
    return tls.Files("HUB_BUS__TLS_", settings.tls_ca, settings.tls_cert, settings.tls_key)


def _node(
    host: str, port: int, context: ssl.SSLContext | None, name: str | None, options: dict[str, Any]
) -> pika.ConnectionParameters:
    secure = pika.SSLOptions(context, name or host) if context is not None else None
    return pika.ConnectionParameters(host=host, port=port, ssl_options=secure, **options)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver as BusLost or BusRefused."""
    try:
        yield
    except (AMQPError, AMQPConnectorException, OSError) as error:
        raise failure_of(error) from error


def failure_of(error: BaseException) -> BusLost | BusRefused:
    """What an error of the driver means: BusMissing, BusRefused or BusLost, in the broker's own words."""
    causes = list(_causes(error))
    if refused := next(filter(None, map(tls.refusal, causes)), None):
        return BusRefused(f"broker: {refused} (HUB_BUS__URL, HUB_BUS__TLS_CA)")
    last = causes[-1]
    words = getattr(last, "reply_text", "") or str(last) or type(last).__name__
    if any(getattr(cause, "reply_code", 0) == NOT_FOUND for cause in causes):
        return BusMissing(f"broker: {words}")
    if any(isinstance(cause, _REFUSALS) or getattr(cause, "reply_code", 0) in _REFUSAL_CODES for cause in causes):
        return BusRefused(f"broker: {words}")
    return BusLost(f"broker: {words}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    # pika wraps what a node said once for each phase of connecting and once for the list of nodes.
    yield error
    for inner in (*getattr(error, "exceptions", ()), getattr(error, "exception", None)):
        if isinstance(inner, BaseException):
            yield from _causes(inner)
