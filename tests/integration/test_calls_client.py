"""A call ends in time and says truly whether it had left, whatever the peer does; against real sockets."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub import clock
from hub.calls.client import Call, Client
from hub.calls.guard import by_system
from hub.errors import (
    Busy,
    CredentialsRefused,
    OutcomeUnknown,
    Postponed,
    Rejected,
    SystemFailure,
    Unreachable,
    WrongConfiguration,
)
from hub.interfaces.http import Http
from hub.vendors.answers import Answer, check_status
from tests.wire import OK, Authority, Peer, Script, Server, answering

OPEN: list[Client] = []
SECRET = "s3cret-canary"
CALL: dict[str, Any] = {
    "body": SECRET.encode(),
    "headers": {"Authorization": SECRET},
    "params": {"sign": SECRET},
}


def read(answer: Answer) -> bytes:
    """The body, where the status is fine."""
    check_status(answer)
    return answer.body


@pytest.fixture(autouse=True)
def _hang_up() -> Iterator[None]:
    """Close every client of a test."""
    yield
    while OPEN:
        OPEN.pop().close()


def client_of(most: int = 4, lookup: Any = None, **given: Any) -> Client:
    """A client with little patience."""
    patience = {"connect_seconds": 0.5, "read_seconds": 0.5, "total_seconds": 1, "max_answer_bytes": 4096}
    OPEN.append(Client("erp", Http(**patience | given), most_connections=most, lookup=lookup or by_system))
    return OPEN[-1]


def send(client: Client, url: str, **given: Any) -> bytes:
    """One call with a secret wherever one can be."""
    return client.send(Call("step", url, **CALL | given), read)


@contextmanager
def failing(kind: type[SystemFailure], said: str, seconds: float = 1.5) -> Iterator[None]:
    """What a call raises: in time, in these words, and without its secrets."""
    begun = clock.monotonic()
    with pytest.raises(kind, match=said) as caught:
        yield
    assert clock.monotonic() - begun < seconds
    assert str(caught.value).startswith("erp")
    assert SECRET not in str(caught.value)
    assert "?" not in str(caught.value)


def silent(peer: Peer) -> None:
    peer.request()
    peer.stopped.wait(10)


def dripping(head: bytes, piece: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.request()
        peer.say(head)
        peer.drip(piece)

    return script


def said(answer: bytes) -> Script:
    """One answer and the end of the connection."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.say(answer)

    return script


def half_closed(answer: bytes) -> Script:
    """One answer and no more from this side, while the other stays open."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.say(answer)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.stopped.wait(10)

    return script


def reset_after(answer: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.request()
        peer.say(answer)
        peer.reset()

    return script


def deaf(peer: Peer) -> None:
    """Read slowly, a few bytes at a time, for ever."""
    while not peer.stopped.wait(0.02):
        peer.sock.recv(100)


HEAD = b"HTTP/1.1 200 OK\r\n"
LONG = HEAD + b"Content-Length: 1000\r\n\r\n"
BOMB = gzip.compress(bytes(4_000_000))
UNKNOWN = {
    "says nothing": (silent, "no answer in time"),
    "drips headers": (dripping(HEAD, b"X-A: b\r\n"), "no answer in time"),
    "drips one header": (dripping(HEAD + b"X-A: ", b"b"), "no answer in time"),
    "drips the status line": (dripping(b"HTTP/1.1 ", b"2"), "no answer in time"),
    "says continue for ever": (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "no answer in time"),
    "drips the body": (dripping(LONG, b"x"), "no answer in time"),
    "drips chunks": (dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), "no answer in time"),
    "has no end": (dripping(HEAD + b"\r\n", b"x" * 2000), "longer than 4096 bytes"),
    "is too long and says so": (said(HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000), "longer than 4096"),
    "resets after the request": (reset_after(b""), "the connection broke before a whole answer"),
    "resets within the body": (reset_after(LONG + b"x"), "the connection broke before a whole answer"),
    "ends without an answer": (said(b""), "the connection broke before a whole answer"),
    "ends within the headers": (half_closed(HEAD + b"X-A: "), "the connection broke before a whole answer"),
    "ends within the body": (half_closed(LONG + b"x"), "the connection broke before a whole answer"),
    "ends within a chunk": (
        half_closed(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
        "the connection broke before a whole answer",
    ),
    "is no HTTP": (said(b"SSH-2.0-OpenSSH_9.6\r\n"), "the connection broke before a whole answer"),
    "has huge headers": (said(HEAD + b"X-A: " + b"b" * 300_000 + b"\r\n\r\n"), "the connection broke"),
    "contradicts its length": (
        said(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
        "the connection broke before a whole answer",
    ),
    "is a bomb": (
        said(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
        "the answer is compressed",
    ),
    "switches protocols": (
        said(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "the connection broke before a whole answer",
    ),
}


class TestAnAnswer:
    def test_comes_whole_with_lower_case_headers(self) -> None:
        requests: list[bytes] = []
        answer = b"HTTP/1.1 201 Created\r\nX-Kind: a\r\nx-kind: b\r\nContent-Length: 3\r\n\r\n\xe5\x95\x86"
        with Server(answering(answer, requests=requests)) as server:
            call = Call("step", f"{server.url}/a b", b"{}", {"Content-Type": "application/json"}, {"q": "单 1&2"})
            found = client_of().send(call, lambda answer: answer)
        assert (found.status, found.body, found.headers["x-kind"]) == (201, "商".encode(), "a, b")
        head = requests[0].split(b"\r\n")
        assert head[0] == b"POST /a%20b?q=%E5%8D%95+1%262 HTTP/1.1"
        assert requests[0].endswith(b"\r\n\r\n{}")
        names = {line.partition(b":")[0].lower(): line.partition(b": ")[2] for line in head[1:]}
        assert names[b"accept-encoding"] == b"identity"
        assert len(names[b"x-request-id"]) == 32
        assert names[b"content-type"] == b"application/json"

    def test_without_a_length_ends_with_the_connection(self) -> None:
        with Server(half_closed(HEAD + b"Connection: close\r\n\r\nwhole")) as server:
            assert send(client_of(), server.url) == b"whole"

    def test_that_comes_while_the_request_is_refused_is_read(self) -> None:
        def refusing(peer: Peer) -> None:
            peer.sock.recv(100)
            peer.say(b"HTTP/1.1 429 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            peer.sock.shutdown(socket.SHUT_WR)
            while peer.sock.recv(65536):
                pass

        with Server(refusing) as server, pytest.raises(Busy) as caught:
            send(client_of(), server.url, body=bytes(3_000_000))
        assert caught.value.retry_after_seconds == 7

    @pytest.mark.parametrize(
        "status", [b"301 Moved", b"302 Found", b"307 Elsewhere", b"308 For ever", b"404 Nothing here", b"405 Not so"]
    )
    def test_that_leads_elsewhere_is_not_followed_and_no_order_is_to_blame(self, status: bytes) -> None:
        requests: list[bytes] = []
        with Server(answering(OK)) as other:
            answer = b"HTTP/1.1 %s\r\nLocation: %s/\r\nContent-Length: 0\r\n\r\n" % (status, other.url.encode())
            with (
                Server(answering(answer, requests=requests)) as server,
                pytest.raises(CredentialsRefused, match="leads elsewhere"),
            ):
                send(client_of(), server.url)
            assert (len(requests), other.connections) == (1, 0)

    def test_sets_no_cookie(self) -> None:
        requests: list[bytes] = []
        answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        client = client_of()
        with Server(answering(answer, requests=requests)) as server:
            send(client, server.url)
            send(client, server.url)
        assert b"cookie" not in requests[1].lower()

    @pytest.mark.parametrize("peer", UNKNOWN)
    def test_that_is_none_is_an_unknown_outcome_in_time(self, peer: str) -> None:
        script, words = UNKNOWN[peer]
        with Server(script) as server, failing(OutcomeUnknown, f"^erp at 127.0.0.1: .*{words}"):
            send(client_of(read_seconds=0.9), server.url)
        assert server.connections == 1

    def test_is_waited_for_as_long_as_a_silence_may_last(self) -> None:
        with Server(silent) as server, failing(OutcomeUnknown, "no answer in time", seconds=0.8):
            send(client_of(read_seconds=0.2), server.url)

    def test_is_not_waited_for_by_who_cannot_get_rid_of_the_request(self) -> None:
        with Server(deaf) as server, failing(OutcomeUnknown, "no answer in time"):
            send(client_of(read_seconds=0.9), server.url, body=bytes(30_000_000))


class TestACallThatNeverLeft:
    def test_meets_a_closed_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with failing(Unreachable, "^erp at 127.0.0.1: no connection: Connection refused$"):
            send(client_of(), f"http://127.0.0.1:{port}/")

    def test_has_a_name_that_nobody_knows(self) -> None:
        with failing(Unreachable, "its name has no address", seconds=30):
            send(client_of(connect_seconds=20, total_seconds=25), "http://there-is-none.invalid/")

    def test_has_a_name_server_that_does_not_answer(self) -> None:
        asked, answered = [], threading.Event()

        def lookup(host: str) -> list[str]:
            asked.append(host)
            answered.wait(10)
            return ["127.0.0.1"]

        client = client_of(lookup=lookup, connect_seconds=0.3)
        with Server(answering(OK)) as server:
            url = f"http://slow.example:{server.port}/"
            with ThreadPoolExecutor(4) as pool:
                for each in [pool.submit(send, client, url) for _ in range(4)]:
                    with failing(Unreachable, "^erp at slow.example: its name was not resolved in time$"):
                        each.result()
            assert asked == ["slow.example"]
            answered.set()
            assert send(client, url) == b"ok"

    def test_finds_every_connection_in_use(self) -> None:
        client = client_of(most=1, connect_seconds=0.3, read_seconds=5, total_seconds=1)
        with Server(silent) as server, ThreadPoolExecutor(2) as pool:
            results = [each.exception() for each in [pool.submit(send, client, server.url) for _ in range(2)]]
        assert "erp at 127.0.0.1: every connection is in use" in map(str, results)
        assert {type(error) for error in results} == {OutcomeUnknown, Unreachable}
        assert server.connections == 1

    def test_cannot_be_written(self) -> None:
        with Server(answering(OK)) as server, failing(Rejected, "cannot be written as HTTP"):
            send(client_of(), server.url, headers={"X-A": f"{SECRET}\r\nX-B: c"})
        with failing(Rejected, "cannot be written as HTTP"):
            send(client_of(), f"http://127.0.0.1/{'x' * 70_000}")

    def test_has_a_kept_connection_that_is_gone_and_takes_a_new_one(self) -> None:
        ended = threading.Event()

        def once(peer: Peer) -> None:
            peer.request()
            peer.say(OK)
            peer.sock.close()
            ended.set()

        client = client_of()
        with Server(once) as server:
            assert send(client, server.url) == b"ok"
            ended.wait(5)
            assert send(client, server.url) == b"ok"
            assert server.connections == 2


class TestAConnection:
    def test_is_used_again_and_again(self) -> None:
        client = client_of()
        with Server(answering(OK)) as server:
            for _ in range(20):
                send(client, server.url)
            assert server.connections == 1

    def test_is_one_of_as_many_as_were_asked_for(self) -> None:
        client = client_of(most=3, total_seconds=10)
        with Server(answering(OK)) as server:
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda _: send(client, server.url), range(200)))
            assert found == [b"ok"] * 200
            assert server.connections <= 3

    def test_that_ends_under_a_request_is_an_unknown_outcome_and_not_replaced(self) -> None:
        def once(peer: Peer) -> None:
            peer.request()
            peer.say(OK)
            peer.request()
            peer.reset()

        client = client_of()
        with Server(once) as server:
            assert send(client, server.url) == b"ok"
            with failing(OutcomeUnknown, "the connection broke before a whole answer"):
                send(client, server.url)
            assert server.connections == 1

    def test_with_an_answer_too_many_does_not_answer_the_next_request(self) -> None:
        stale = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"
        client = client_of()
        with Server(answering(OK + stale, OK)) as server:
            assert send(client, server.url) == b"ok"
            with failing(OutcomeUnknown, "an answer was there before the request"):
                send(client, server.url)
            assert send(client, server.url) == b"ok"
            assert server.connections == 2

    def test_is_hung_up_with_the_client(self) -> None:
        ended = threading.Event()

        def until_the_end(peer: Peer) -> None:
            answering(OK)(peer)
            ended.set()

        client = client_of()
        with Server(until_the_end) as server:
            send(client, server.url)
            client.close()
            assert ended.wait(5)


class TestTls:
    def test_is_verified_with_the_authority_of_the_settings(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        requests: list[bytes] = []
        with Server(answering(OK, requests=requests), authority.server("127.0.0.1")) as server:
            client = client_of(ca_file=authority.file)
            assert [send(client, server.url) for _ in range(3)] == [b"ok"] * 3
            assert server.connections == 1
        assert len(requests) == 3

    def test_asks_for_the_name_that_was_called(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        with Server(answering(OK), authority.server("erp.example")) as server:
            client = client_of(ca_file=authority.file, lookup=lambda _host: ["127.0.0.1"])
            assert send(client, f"https://erp.example:{server.port}/") == b"ok"
            with failing(Unreachable, "^erp at other.example: TLS: Hostname mismatch"):
                send(client, f"https://other.example:{server.port}/")

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"days": -1}, "certificate has expired"),
            ({"days": 60}, "certificate is not yet valid"),
            ({"self_signed": True}, "self-signed certificate"),
        ],
    )
    def test_refuses_a_certificate_that_proves_nothing(self, tmp_path: Path, given: dict[str, Any], words: str) -> None:
        authority = Authority(tmp_path)
        requests: list[bytes] = []
        with (
            Server(answering(OK, requests=requests), authority.server("127.0.0.1", **given)) as server,
            failing(Unreachable, f"TLS: {words}"),
        ):
            send(client_of(ca_file=authority.file), server.url)
        assert requests == []

    def test_refuses_an_authority_that_nobody_named(self, tmp_path: Path) -> None:
        with (
            Server(answering(OK), Authority(tmp_path).server("127.0.0.1")) as server,
            failing(Unreachable, "TLS: unable to get local issuer certificate"),
        ):
            send(client_of(), server.url)

    def test_refuses_what_is_older_than_1_2(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        context = authority.server("127.0.0.1")
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSVersion.TLSv1"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSVersion.TLSv1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with Server(answering(OK), context) as server, failing(Unreachable, "TLS: no handshake"):
            send(client_of(ca_file=authority.file), server.url)

    @pytest.mark.parametrize(
        "script", [lambda peer: peer.stopped.wait(10), lambda peer: peer.drip(b"\x16\x03\x03\x40\x00")]
    )
    def test_ends_a_handshake_that_does_not(self, script: Script) -> None:
        with Server(script) as server, failing(Unreachable, "TLS: no handshake"):
            send(client_of(), f"https://127.0.0.1:{server.port}/")

    def test_is_not_spoken_by_a_plain_server(self) -> None:
        with Server(answering(OK)) as server, failing(Unreachable, "TLS: no handshake"):
            send(client_of(), f"https://127.0.0.1:{server.port}/")

    def test_holds_the_deadline_of_a_dripping_answer(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        with (
            Server(dripping(HEAD + b"X-A: ", b"b"), authority.server("127.0.0.1")) as server,
            failing(OutcomeUnknown, "no answer in time"),
        ):
            send(client_of(ca_file=authority.file, read_seconds=0.9), server.url)

    def test_with_a_file_that_is_none_is_a_wrong_setting(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nothing")
        for file in ("ca.pem", "missing.pem"):
            with pytest.raises(WrongConfiguration, match="CA_FILE"):
                client_of(ca_file=tmp_path / file)


class TestTheGuard:
    def test_connects_to_the_address_that_was_judged(self) -> None:
        answers = iter([["127.0.0.1"], ["169.254.169.254"]])
        with Server(answering(OK)) as server:
            one, other = (client_of(lookup=lambda _host: next(answers)) for _ in range(2))
            assert send(one, f"http://erp.example:{server.port}/") == b"ok"
            with failing(Unreachable, "^erp at erp.example: a link-local address is never called$"):
                send(other, f"http://erp.example:{server.port}/")

    def test_leaves_out_the_address_that_is_refused(self) -> None:
        with Server(answering(OK)) as server:
            client = client_of(lookup=lambda _host: ["169.254.169.254", "127.0.0.1"])
            assert send(client, f"http://erp.example:{server.port}/") == b"ok"

    def test_tries_the_next_address_where_one_is_closed(self) -> None:
        with Server(answering(OK)) as server:
            client = client_of(lookup=lambda _host: ["::1", "127.0.0.2", "127.0.0.1"])
            assert send(client, f"http://erp.example:{server.port}/") == b"ok"

    def test_sends_nothing_in_the_clear_to_the_public(self) -> None:
        client = client_of(lookup=lambda _host: ["203.0.114.7"])
        with failing(Unreachable, "^erp at erp.example: http:// leads to a public address; use https://"):
            send(client, "http://erp.example/")


class TestTheRate:
    def test_is_held_by_all_threads_together(self) -> None:
        client = client_of(calls_per_second=20, calls_burst=2)
        with Server(answering(OK)) as server:
            begun = clock.monotonic()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: send(client, server.url), range(10)))
            assert 0.35 < clock.monotonic() - begun < 1.5

    def test_postpones_who_would_wait_too_long_and_takes_nothing_for_it(self) -> None:
        client = client_of(calls_per_second=2, calls_burst=1)
        with Server(answering(OK)) as server:
            send(client, server.url)
            for _ in range(5):
                with pytest.raises(Postponed):
                    client.send(Call("step", server.url), read, clock.monotonic() + 0.1)
            assert client.send(Call("step", server.url), read, clock.monotonic() + 0.9) == b"ok"

    def test_of_a_moment_that_is_over_is_nothing(self) -> None:
        with Server(answering(OK)) as server:
            with pytest.raises(Postponed):
                client_of().send(Call("step", server.url), read, clock.monotonic() - 1)
            assert server.connections == 0

    def test_does_not_hold_up_the_end(self) -> None:
        client = client_of(calls_per_second=0.01, calls_burst=1)
        with Server(answering(OK)) as server, ThreadPoolExecutor(1) as pool:
            send(client, server.url)
            waiting = pool.submit(send, client, server.url)
            client.close()
            assert isinstance(waiting.exception(5), Postponed)
