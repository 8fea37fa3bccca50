"""A way to a server that can be made to fail at any moment, in each direction, while both ends keep running."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Self

CHUNK = 65_536
ENDLESS = sys.maxsize
PIECES_PER_SECOND = 20
PATIENCE_SECONDS = 5
MOMENT = 0.001
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)

Act = Callable[[], object]


class FaultProxy:
    """Listens on a loopback port of its own and leads to a server: `up` is the way there, `down` the way back."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        # Bound and never listening: the port stays ours while nobody is let in.
        self._keeper = socket.socket()
        self._keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._keeper.bind(("127.0.0.1", 0))
        self.port: int = self._keeper.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._listener: asyncio.Server | None = None
        self.up, self.down = Lane(self._now), Lane(self._now)

    def refuse(self) -> None:
        """Let nobody new in; who is through stays."""
        if self._listener is not None:
            self._now(self._listener.close)

    def reset(self) -> None:
        """Reset every connection at both ends."""
        self._now(lambda: _break(*self.up.flows.items(), *self.down.flows.items()))

    def heal(self) -> None:
        """Let everybody in and everything pass; connections that broke stay broken."""
        self._now(self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        self.heal()
        return self

    def __exit__(self, *exc: object) -> None:
        self._now(self._shut)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._keeper.close()

    def _now(self, act: Act) -> None:
        if threading.current_thread() is self._thread:
            act()
        else:
            asyncio.run_coroutine_threadsafe(_done(act), self._loop).result(PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self.up.clear()
        self.down.clear()
        if self._listener is None or not self._listener.is_serving():
            self._listener = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    async def _join(self, reader: StreamReader, client: StreamWriter) -> None:
        try:
            back, server = await asyncio.open_connection(*self._target)
            with closing(server):
                await asyncio.gather(self.up.carry(reader, client, server), self.down.carry(back, server, client))
        except OSError:
            _abort(client)
        finally:
            client.close()

    async def _shut(self) -> None:
        self.refuse()
        self.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Lane:
    """One direction of every connection, present and future, and what is wrong with it."""

    def __init__(self, now: Callable[[Act], None]) -> None:
        self._now = now
        self._passing = asyncio.Event()
        self.flows: dict[StreamWriter, StreamWriter] = {}
        self._awaited: tuple[bytes, Act] | None = None
        self.clear()

    def delay(self, seconds: float) -> None:
        """Everything waits so long before it goes on, and what comes meanwhile goes on together."""
        self._seconds = seconds

    def hang(self) -> None:
        """Connections stay open and nothing passes; what was sent meanwhile passes once it is healed."""
        self._now(self._passing.clear)

    def cut_after(self, count: int) -> None:
        """Let so many bytes pass, then close the connection that brought the last of them; once."""
        self._now(lambda: vars(self).update(_left=count))

    def slice(self, size: int) -> None:
        """Pass at most so many bytes at a time, a moment apart."""
        self._piece, self._moment = size, MOMENT

    def limit(self, bytes_per_second: float) -> None:
        """Pass no faster than this on each connection."""
        self._rate = bytes_per_second

    def half_close(self) -> None:
        """Tell whoever receives now that no more will come, and drop what does; the other direction goes on."""
        self._now(lambda: self._end(*self.flows))

    def reset(self) -> None:
        """Tell whoever receives now that the connection was reset; whoever sends sees it closed."""
        self._now(lambda: _break(*self.flows.items()))

    def when(self, words: bytes, act: Act) -> None:
        """Call `act` once, just before bytes that hold these words pass. It may switch faults, and must not heal."""
        self._awaited = words, act

    def clear(self) -> None:
        """Everything passes; called by the proxy, which lets waiters go in its own thread."""
        self._seconds, self._moment, self._rate = 0.0, 0.0, float(ENDLESS)
        self._piece = self._left = ENDLESS
        self._awaited = None
        self._passing.set()

    async def carry(self, source: StreamReader, back: StreamWriter, sink: StreamWriter) -> None:
        """Take everything from source to sink until either is gone; `back` leads to whoever sends."""
        self.flows[sink] = back
        try:
            while data := await source.read(CHUNK):
                await self._hold_up(data)
                await self._deliver(data, sink)
            await self._passing.wait()
            self._end(sink)
        except OSError:
            _break((sink, back))
        finally:
            self.flows.pop(sink, None)

    async def _hold_up(self, data: bytes) -> None:
        await asyncio.sleep(self._seconds)
        if self._awaited is not None and self._awaited[0] in data:
            act, self._awaited = self._awaited[1], None
            act()
        await self._passing.wait()

    async def _deliver(self, data: bytes, sink: StreamWriter) -> None:
        while data and sink in self.flows:
            size = min(len(data), self._piece, self._left, max(1, int(self._rate / PIECES_PER_SECOND)))
            sink.write(data[:size])
            data = data[size:]
            self._left -= size
            if self._left == 0:
                self._left = ENDLESS
                self.flows.pop(sink).close()
                sink.close()
            await sink.drain()
            await asyncio.sleep(max(size / self._rate, self._moment))

    def _end(self, *sinks: StreamWriter) -> None:
        for sink in sinks:
            if self.flows.pop(sink, None) is not None and not sink.is_closing():
                sink.write_eof()


async def _done(act: Act) -> None:
    if asyncio.iscoroutine(acting := act()):
        await acting


def _break(*flows: tuple[StreamWriter, StreamWriter]) -> None:
    for sink, back in flows:
        _abort(sink)
        back.close()


def _abort(*ends: StreamWriter) -> None:
    for end in ends:
        with suppress(OSError):
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        end.transport.abort()
