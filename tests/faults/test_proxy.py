"""The proxy does to a connection exactly what it is told, and nothing before it is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from hub.drill.proxy import FaultProxy
from tests.nodes.processes import wait_until

MEGABYTE = bytes(range(256)) * 4096
SECONDS = 5


class Server:
    """Answers every byte with the same byte, and remembers what came and how each connection ended."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.ended: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(SECONDS)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._echo, args=(peer,)))
                self._threads[-1].start()

    def _echo(self, peer: socket.socket) -> None:
        with peer:
            try:
                while data := peer.recv(65_536):
                    self.heard += data
                    peer.sendall(data)
                self.ended.append("closed")
            except OSError:
                self.ended.append("reset")


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server()) as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", server.port) as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with connected(proxy) as peer:
        assert asked(peer, b"hello") == b"hello"
        yield peer


def test_everything_passes_in_both_directions(proxy: FaultProxy) -> None:
    with connected(proxy) as peer:
        sending = threading.Thread(target=peer.sendall, args=(MEGABYTE,))
        sending.start()
        assert received(peer, len(MEGABYTE)) == MEGABYTE
        sending.join()


def test_the_end_of_one_direction_passes_and_the_other_goes_on(client: socket.socket, server: Server) -> None:
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert received(client, 10) == b"last words"
    assert client.recv(1) == b""
    assert wait_until(lambda: server.ended == ["closed"], SECONDS)


def test_a_connection_to_a_server_that_is_gone_is_reset(proxy: FaultProxy, server: Server) -> None:
    server.close()
    with pytest.raises(ConnectionResetError), connected(proxy) as peer:
        peer.recv(1)


def test_refusing_keeps_new_ones_out_and_leaves_the_others(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.refuse()
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connected(proxy)
    assert asked(client, b"still here") == b"still here"
    proxy.heal()
    with connected(proxy) as late:
        assert asked(late, b"in again") == b"in again"


@pytest.mark.parametrize("lane", ["up", "down"])
def test_a_delay_holds_back_one_direction(proxy: FaultProxy, client: socket.socket, lane: str) -> None:
    getattr(proxy, lane).delay(0.3)
    assert 0.3 <= seconds_to_ask(client) < 1
    proxy.heal()
    assert seconds_to_ask(client) < 0.2


def test_a_hanging_direction_passes_nothing_and_loses_nothing(
    proxy: FaultProxy, client: socket.socket, server: Server
) -> None:
    proxy.down.hang()
    client.sendall(b" there")
    assert wait_until(lambda: server.heard == b"hello there", SECONDS)
    with pytest.raises(TimeoutError):
        received(client, 1, seconds=0.3)
    proxy.heal()
    assert received(client, 6) == b" there"


def test_whoever_comes_while_it_hangs_is_let_in_and_hears_nothing(proxy: FaultProxy) -> None:
    proxy.up.hang()
    with connected(proxy) as peer:
        peer.sendall(b"hello?")
        with pytest.raises(TimeoutError):
            received(peer, 1, seconds=0.3)
        proxy.heal()
        assert received(peer, 6) == b"hello?"


def test_a_cut_lets_exactly_so_many_bytes_pass_and_happens_once(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.down.cut_after(4)
    client.sendall(b"0123456789")
    assert received(client, 4) == b"0123"
    assert ends(client)
    with connected(proxy) as peer:
        assert asked(peer, b"0123456789") == b"0123456789"


def test_a_cut_counts_over_several_pieces(proxy: FaultProxy, client: socket.socket, server: Server) -> None:
    proxy.up.cut_after(100_000)
    with suppress(OSError):
        client.sendall(MEGABYTE)
    assert wait_until(lambda: bool(server.ended), SECONDS)
    assert bytes(server.heard) == b"hello" + MEGABYTE[:100_000]


def test_a_reset_reaches_both_ends(proxy: FaultProxy, client: socket.socket, server: Server) -> None:
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert wait_until(lambda: server.ended == ["reset"], SECONDS)


def test_a_reset_of_one_direction_is_told_to_whoever_receives(
    proxy: FaultProxy, client: socket.socket, server: Server
) -> None:
    proxy.down.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert wait_until(lambda: server.ended == ["closed"], SECONDS)


def test_half_closing_ends_one_direction_and_not_the_other(
    proxy: FaultProxy, client: socket.socket, server: Server
) -> None:
    proxy.down.half_close()
    assert client.recv(1) == b""
    client.sendall(b", you")
    assert wait_until(lambda: server.heard == b"hello, you", SECONDS)
    assert server.ended == []


def test_slices_arrive_one_by_one(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.down.slice(3)
    client.sendall(MEGABYTE[:300])
    pieces = [client.recv(300)]
    while sum(map(len, pieces)) < 300:
        pieces.append(client.recv(300))
    assert b"".join(pieces) == MEGABYTE[:300]
    assert len(pieces) > 3


def test_a_limit_sets_the_pace(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.up.limit(20_000)
    began = time.monotonic()
    assert asked(client, MEGABYTE[:10_000]) == MEGABYTE[:10_000]
    assert 0.4 < time.monotonic() - began < 2


def test_words_set_off_a_fault_before_they_pass(proxy: FaultProxy, client: socket.socket, server: Server) -> None:
    proxy.up.when(b"COMMIT", proxy.reset)
    assert asked(client, b" BEGIN") == b" BEGIN"
    client.sendall(b"COMMIT")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert bytes(server.heard) == b"hello BEGIN"


def test_words_can_pass_while_their_answer_does_not(proxy: FaultProxy, client: socket.socket, server: Server) -> None:
    proxy.up.when(b"COMMIT", proxy.down.hang)
    client.sendall(b" COMMIT")
    assert wait_until(lambda: server.heard == b"hello COMMIT", SECONDS)
    with pytest.raises(TimeoutError):
        received(client, 1, seconds=0.3)


def test_nothing_is_left_open_when_it_closes_in_the_middle_of_its_faults(server: Server) -> None:
    with FaultProxy("127.0.0.1", server.port) as proxy:
        peer = connected(proxy)
        asked(peer, b"hello")
        proxy.up.hang()
        proxy.down.delay(60)
        peer.sendall(b"still on its way")
    with peer, pytest.raises(ConnectionResetError):
        peer.recv(1)
    assert wait_until(lambda: bool(server.ended), SECONDS)


def connected(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=SECONDS)


def asked(peer: socket.socket, data: bytes) -> bytes:
    peer.sendall(data)
    return received(peer, len(data))


def received(peer: socket.socket, size: int, seconds: float = SECONDS) -> bytes:
    peer.settimeout(seconds)
    data = b""
    while len(data) < size and (piece := peer.recv(size - len(data))):
        data += piece
    return data


def seconds_to_ask(peer: socket.socket) -> float:
    began = time.monotonic()
    asked(peer, b"quick")
    return time.monotonic() - began


def ends(peer: socket.socket) -> bool:
    """Whether the other end is gone, one way or the other."""
    with suppress(ConnectionResetError):
        return peer.recv(1) == b""
    return True
