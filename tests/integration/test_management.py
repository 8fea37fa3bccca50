"""The broker's management API: what is made may be made again, and each way in which it says no is told in words."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from hub.bus.rabbit.management import Binding, Management
from hub.errors import BusLost, BusMissing, BusRefused, HubError, WrongConfiguration
from tests.listening import listening
from tests.nodes.ports import free_ports
from tests.nodes.rabbitmq import RabbitNode
from tests.subscribing import broker_settings, on_channel, publish
from tests.support import eventually, settings

QUORUM = {"x-queue-type": "quorum"}
PASSWORD = "s3cret-canary"


@pytest.fixture
def broker(rabbit_node: RabbitNode, rabbit_url: str) -> Iterator[Management]:
    with Management(broker_settings(rabbit_node, rabbit_url)) as management:
        yield management


def test_everything_may_be_said_twice(broker: Management) -> None:
    for _ in range(2):
        broker.declare_queue("sub.twice", QUORUM)
        broker.bind("sub.twice", Binding("amq.topic", "order.#"))
        broker.put_user("sub.twice", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
        broker.limit("sub.twice", {"max-connections": 1})
        broker.grant("sub.twice", "^sub\\.twice$")
    assert broker.bindings("sub.twice") == {Binding("amq.topic", "order.#")}
    for there in (True, False):
        broker.unbind("sub.twice", Binding("amq.topic", "order.#"))
        broker.close_connections("sub.twice")
        assert broker.delete_user("sub.twice") is there
        assert broker.delete_queue("sub.twice") is there
    assert broker.queue("sub.twice") is None
    assert broker.bindings("sub.twice") == set()


@pytest.mark.parametrize("key", ["", "#", "order.#", "order.*.taobao", "a/b", "100%", "ü", "~"])
def test_a_binding_goes_whatever_its_key(broker: Management, key: str) -> None:
    broker.declare_queue("sub.keys", QUORUM)
    kept, gone = Binding("amq.topic", "kept"), Binding("amq.topic", key)
    for binding in (kept, gone):
        broker.bind("sub.keys", binding)
    assert broker.bindings("sub.keys") == {kept, gone}
    broker.unbind("sub.keys", gone)
    assert broker.bindings("sub.keys") == {kept}


def test_a_queue_tells_what_waits_who_reads_and_what_was_settled(
    rabbit_node: RabbitNode, rabbit_url: str, broker: Management
) -> None:
    broker.declare_queue("sub.figures", QUORUM)
    given = broker_settings(rabbit_node, rabbit_url)
    for _ in range(4):
        publish(given, "sub.figures", b"{}", exchange="")

    def read(channel: Any) -> None:
        channel.basic_consume("sub.figures", lambda *_: None)
        channel.connection.process_data_events(2)
        channel.basic_ack(2, multiple=True)
        assert eventually(lambda: figures() == (0, 2, 1, 2), seconds=30)

    def figures() -> tuple[int | None, ...]:
        state = broker.queue("sub.figures")
        assert state
        return state.ready, state.unacked, state.consumers, state.acked

    on_channel(rabbit_url, read)
    (state,) = broker.queues("sub.fig")
    assert state.arguments == QUORUM
    assert state.memory
    assert broker.queues("sub.nobody") == []


def test_queues_come_by_pages(broker: Management, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.bus.rabbit.management._PAGE", 2)
    names = [f"sub.page-{number}" for number in range(5)]
    for name in names:
        broker.declare_queue(name, {"x-queue-type": "classic"})
    assert [state.name for state in broker.queues("sub.page")] == names


def test_a_message_that_is_taken_without_a_word_counts_as_settled(
    rabbit_node: RabbitNode, rabbit_url: str, broker: Management
) -> None:
    broker.declare_queue("sub.unasked", QUORUM)
    publish(broker_settings(rabbit_node, rabbit_url), "sub.unasked", b"{}", exchange="")

    def take(channel: Any) -> None:
        channel.basic_get("sub.unasked", auto_ack=True)
        # A broker counts every few seconds, and may forget a channel that is gone before it counted.
        assert eventually(lambda: getattr(broker.queue("sub.unasked"), "acked", None) == 1, seconds=30)

    on_channel(rabbit_url, take)


def test_where_a_part_lacks_its_name_is_told(broker: Management) -> None:
    with pytest.raises(BusMissing, match=r"bindings/test-.*/e/amq\.topic/q/sub\.nowhere"):
        broker.bind("sub.nowhere", Binding("amq.topic", "order.#"))


def test_a_virtual_host_that_is_not_there_is_told(rabbit_node: RabbitNode) -> None:
    rabbit_node.start()
    with (
        closing(Management(broker_settings(rabbit_node, rabbit_node.url("nowhere")))) as broker,
        pytest.raises(BusMissing, match="there is no virtual host nowhere, which HUB_BUS__URL names"),
    ):
        broker.exchange("oms.events")


@pytest.mark.parametrize("tags", ["", "management", "monitoring"])
def test_who_is_no_administrator_is_told_what_is_needed(
    rabbit_node: RabbitNode, rabbit_url: str, broker: Management, tags: str
) -> None:
    broker._api.put("users", "weak", body={"password": PASSWORD, "tags": tags})
    try:
        with (
            Management(as_user(rabbit_node, rabbit_url, "weak", PASSWORD)) as weak,
            pytest.raises(BusRefused, match="must name a user with the tag administrator"),
        ):
            weak.put_user("sub.more", "")
    finally:
        broker.delete_user("weak")


def test_a_wrong_password_is_told_and_shown_nowhere(
    rabbit_node: RabbitNode, rabbit_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    rabbit_node.start()
    given = as_user(rabbit_node, rabbit_url, "guest", PASSWORD)
    with caplog.at_level(logging.DEBUG), Management(given) as broker, pytest.raises(BusRefused) as refused:
        broker.put_user("sub.more", "hash-canary")
    said = f"{refused.value} {refused.value!r} {broker!r} {broker._api!r} {given!r} {caplog.text}"
    assert "Login failed" in said
    assert PASSWORD not in said
    assert "hash-canary" not in said


def test_a_hash_that_the_broker_cannot_read_is_not_quoted(broker: Management) -> None:
    with pytest.raises(BusRefused, match=r"not_base64.*\*\*\*") as refused:
        broker.put_user("sub.more", PASSWORD)
    assert PASSWORD not in str(refused.value)


def test_where_nobody_listens_the_bus_is_lost() -> None:
    nobody = at(f"http://guest:{PASSWORD}@127.0.0.1:{free_ports(1)[0]}")
    with Management(nobody) as broker, pytest.raises(BusLost, match="nobody answers GET overview") as lost:
        broker.version()
    assert PASSWORD not in str(lost.value)


def silent(_handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" " * 100_000)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def answering(status: int, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", "http://127.0.0.1:1/")
        handler.end_headers()
        handler.wfile.write(body)

    return answer


STRANGE: list[tuple[Callable[[BaseHTTPRequestHandler], None], type[HubError], str]] = [
    (silent, BusLost, "no answer in time"),
    (dripping, BusLost, "no answer in time"),
    (endless, BusLost, "longer than"),
    (answering(200, b"<html>log in</html>"), BusRefused, "no JSON"),
    (answering(302, b""), BusRefused, "302"),
    (answering(503, b'{"error":"starting","reason":"not yet"}'), BusLost, "503 .not yet"),
    (answering(400, json.dumps({"reason": "x" * 9999}).encode()), BusRefused, "400 .x{500}.$"),
    (answering(405, b"\xff"), BusRefused, "no reason given"),
]


@pytest.mark.parametrize(("answer", "error", "words"), STRANGE, ids=[words for _, _, words in STRANGE])
def test_whatever_answers_there_is_told_in_time(
    answer: Callable[[BaseHTTPRequestHandler], None], error: type[HubError], words: str
) -> None:
    with (
        serving(answer) as port,
        Management(at(f"http://guest:{PASSWORD}@127.0.0.1:{port}")) as broker,
        pytest.raises(error, match=words) as told,
    ):
        broker.version()
    assert PASSWORD not in str(told.value)


@pytest.mark.parametrize("body", [b"[1]", b'"queues"', b'{"items": [{}]}', b'{"items": [7]}'])
def test_an_answer_of_another_shape_is_refused(body: bytes) -> None:
    with serving(answering(200, body)) as port, Management(at(f"http://guest:{PASSWORD}@127.0.0.1:{port}")) as broker:
        for look in (lambda: broker.queue("sub.finance"), lambda: broker.queues("sub.")):
            with pytest.raises(BusRefused, match="not RabbitMQ's"):
                look()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is not set"),
        ("127.0.0.1:15672", "must begin with http"),
        ("ftp://a:b@host", "must begin with http"),
        ("http://a:b@", "name a host"),
        ("http://host:15672", "must name a user and a password"),
        ("http://guest@host:15672", "must name a user and a password"),
        ("http://a:b@host:port", "names no port"),
        ("http://a:b@host:99999", "names no port"),
        ("http://a:b@[::1", "is no URL"),
    ],
)
def test_a_setting_that_names_no_api_is_wrong(url: str, words: str) -> None:
    with pytest.raises(WrongConfiguration, match=rf"HUB_BUS__MANAGEMENT_URL .*{words}"):
        Management(at(url))


def at(url: str) -> Any:
    """Settings with this API; its patience is short."""
    given = {"HUB_BUS__MANAGEMENT_URL": url} if url else {}
    return settings(HUB_BUS__URL="amqp://guest:guest@127.0.0.1:1/", HUB_BUS__CONNECT_SECONDS="0.3", **given)


def as_user(node: RabbitNode, url: str, user: str, password: str) -> Any:
    login = node.management_url.replace("://", f"://{user}:{password}@")
    return settings(HUB_BUS__URL=url, HUB_BUS__MANAGEMENT_URL=login)


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    """A server that answers so; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:
                self.close_connection = True

    with listening(Handler) as port:
        yield port
