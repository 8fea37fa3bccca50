"""What every simulated system has in common: its faults, seen by a client that hides nothing, and its journal."""

from __future__ import annotations

import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from hub.errors import WrongConfiguration
from hub.simulators.faults import BOMB_BYTES
from hub.simulators.stand import Stand
from hub.simulators.store import Store, Taken
from hub.simulators.web import Answer, Arrived

MADE = b'{"made":true}'


class Bakery:
    """A vendor that makes a document of every call."""

    name = "bakery"
    further_faults = frozenset({"burnt"})

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.told: dict[str, Any] = {}
        self.done = threading.Event()

    def receive(self, arrived: Arrived) -> Answer:
        with self.store.request() as request:
            made = request.create(self.step_of(arrived), f"{len(request.all('bake')) + 1}", dict(arrived.query))
            request.effect("create", made)
        self.done.set()
        return Answer(200, MADE)

    def step_of(self, arrived: Arrived) -> str:
        return arrived.path.strip("/")

    def faulty(self, kind: str, arrived: Arrived) -> Answer:
        return Answer(200, json.dumps({"sorry": kind, "step": self.step_of(arrived)}).encode())

    def settings(self, address: str) -> Mapping[str, str]:
        return {"HUB_BAKERY__URL": address}

    def control(self, told: Mapping[str, Any]) -> None:
        if set(told) != {"oven"}:
            raise ValueError("only the oven")
        self.told.update(told)

    def journal(self) -> list[dict[str, Any]]:
        return self.store.journal()


@pytest.fixture
def bakery(tmp_path: Path) -> Iterator[Bakery]:
    vendor = Bakery(tmp_path / "bakery.sqlite")
    yield vendor
    vendor.store.close()


@pytest.fixture
def stand(bakery: Bakery) -> Iterator[Stand]:
    with Stand(bakery) as running:
        yield running


class Raw:
    """A connection that shows the bytes."""

    def __init__(self, stand: Stand, timeout: float = 5) -> None:
        host, port = stand.address.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, path: str, body: bytes = b"", method: str = "POST") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)

    def read(self) -> tuple[int, dict[str, str], bytes]:
        """One whole answer."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += self._some()
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(headers["content-length"]):
            body += self._some()
        return int(first.split()[1]), headers, body

    def rest(self) -> bytes:
        """All that comes until the other side closes."""
        raw = b""
        while some := self.socket.recv(65536):
            raw += some
        return raw

    def _some(self) -> bytes:
        some = self.socket.recv(1 << 20)
        assert some, "closed in the middle"
        return some


def called(stand: Stand, path: str = "/bake", body: bytes = b"", method: str = "POST") -> tuple[int, Any, bytes]:
    with Raw(stand) as raw:
        raw.send(path, body, method)
        return raw.read()


def by_hand(stand: Stand, **told: Any) -> int:
    return called(stand, "/control", json.dumps({"by_hand": told}).encode())[0]


def effects(stand: Stand) -> int:
    return len(json.loads(called(stand, "/journal", method="GET")[2]))


class TestACall:
    def test_is_answered_and_the_connection_stays(self, stand: Stand) -> None:
        with Raw(stand) as raw:
            for _ in range(3):
                raw.send("/bake?loaf=rye")
                status, headers, body = raw.read()
                assert (status, body) == (200, MADE)
                assert headers["content-type"] == "application/json; charset=utf-8"
        assert effects(stand) == 3

    def test_takes_the_latency_of_the_stand(self, bakery: Bakery) -> None:
        with Stand(bakery, latency_seconds=0.2) as slow:
            began = time.monotonic()
            assert called(slow)[0] == 200
            assert time.monotonic() - began >= 0.2

    def test_at_a_port_that_is_in_use_is_refused_in_one_line(self, bakery: Bakery, stand: Stand) -> None:
        with pytest.raises(WrongConfiguration, match="cannot listen"):
            Stand(bakery, int(stand.address.rpartition(":")[2]))


class TestAFault:
    @pytest.mark.parametrize(
        ("fault", "status", "header", "body"),
        [
            ("500", 500, None, b""),
            ("bad_gateway", 502, None, b"<html>"),
            ("429", 429, ("retry-after", "7"), b""),
            ("503", 503, ("retry-after", "7"), b""),
            ("html", 200, ("content-type", "text/html; charset=utf-8"), b"<html>"),
            ("redirect", 307, ("location", "/elsewhere"), b""),
            ("error_body", 200, None, b'{"sorry": "error_body", "step": "bake"}'),
            ("busy", 200, None, b'{"sorry": "busy"'),
            ("unauthorised", 200, None, b'{"sorry": "unauthorised"'),
            ("burnt", 200, None, b'{"sorry": "burnt"'),
        ],
    )
    def test_before_anything_happened(
        self, stand: Stand, fault: str, status: int, header: tuple[str, str] | None, body: bytes
    ) -> None:
        stand.fail(fault, times=1, seconds=7)
        said = called(stand)
        assert said[0] == status
        assert said[2].startswith(body)
        if header:
            assert said[1][header[0]].endswith(header[1])
        assert effects(stand) == 0
        assert called(stand)[2] == MADE

    def test_after_the_effect_is_an_error(self, stand: Stand) -> None:
        stand.fail("commit_500", times=1)
        assert called(stand)[0] == 500
        assert effects(stand) == 1

    def test_is_silence_after_the_effect(self, stand: Stand) -> None:
        stand.fail("commit_then_silence", times=1, seconds=0.3)
        with Raw(stand) as raw:
            raw.send("/bake")
            assert raw.rest() == b""
        assert effects(stand) == 1

    def test_is_a_call_that_is_done_when_nobody_waits_any_more(self, stand: Stand, bakery: Bakery) -> None:
        stand.fail("late", times=1, seconds=0.3)
        with Raw(stand) as raw:
            raw.send("/bake")
        assert effects(stand) == 0
        assert bakery.done.wait(5)
        assert effects(stand) == 1

    def test_is_an_answer_that_comes_slowly(self, stand: Stand) -> None:
        stand.fail("slow", times=1, seconds=0.3)
        began = time.monotonic()
        assert called(stand)[2] == MADE
        assert time.monotonic() - began >= 0.3

    def test_is_an_answer_that_drips(self, stand: Stand) -> None:
        stand.fail("drip", times=1, seconds=0.4)
        with Raw(stand) as raw:
            raw.send("/bake")
            assert len(raw.socket.recv(65536)) < 10
            began = time.monotonic()
            while not raw.socket.recv(65536).endswith(b"}"):
                pass
            assert time.monotonic() - began >= 0.2

    def test_is_an_answer_without_end(self, stand: Stand) -> None:
        stand.fail("endless", times=1)
        with Raw(stand) as raw:
            raw.send("/bake")
            seen = 0
            while seen < 8 << 20:
                seen += len(raw.socket.recv(1 << 20))
        assert effects(stand) == 1

    @pytest.mark.parametrize(("fault", "left"), [("reset", 1), ("reset_before", 0)])
    def test_is_a_reset(self, stand: Stand, fault: str, left: int) -> None:
        stand.fail(fault, times=1)
        with Raw(stand) as raw:
            raw.send("/bake")
            with pytest.raises(ConnectionResetError):
                raw.rest()
        assert effects(stand) == left

    def test_is_half_an_answer(self, stand: Stand) -> None:
        stand.fail("truncated", times=1)
        with Raw(stand) as raw:
            raw.send("/bake")
            said = raw.rest()
        assert f"content-length: {len(MADE)}".encode() in said.lower()
        assert said.endswith(b"\r\n\r\n" + MADE[: len(MADE) // 2])
        assert effects(stand) == 1

    def test_is_little_that_unpacks_to_much(self, stand: Stand) -> None:
        stand.fail("gzip_bomb", times=1)
        _, headers, body = called(stand)
        assert headers["content-encoding"] == "gzip"
        assert len(body) < BOMB_BYTES / 100
        unpacker = zlib.decompressobj(wbits=31)
        assert len(unpacker.decompress(body, 1 << 20)) == 1 << 20

    def test_is_aimed_at_one_step_for_some_calls(self, stand: Stand) -> None:
        stand.fail("500", "bake", times=2)
        assert [called(stand, path)[0] for path in ("/bake", "/slice", "/bake", "/bake")] == [500, 200, 500, 200]

    def test_of_a_step_goes_before_that_of_all(self, stand: Stand) -> None:
        stand.fail("503")
        stand.fail("500", "bake")
        assert [called(stand, path)[0] for path in ("/bake", "/slice")] == [500, 503]
        stand.fail(None, "bake")
        assert called(stand)[0] == 503
        stand.fail(None)
        assert called(stand)[0] == 200


class TestItsControl:
    def test_sets_shows_and_ends_faults(self, stand: Stand) -> None:
        wanted = {"fault": "503", "step": "bake", "times": 2, "seconds": 9.0}
        assert called(stand, "/control", json.dumps(wanted).encode())[0] == 200
        assert called(stand)[1]["retry-after"] == "9"
        assert json.loads(called(stand, "/control", method="GET")[2]) == [wanted | {"times": 1}]
        assert called(stand, "/control", b'{"fault":null}')[0] == 200
        assert called(stand, "/control", method="GET")[2] == b"[]"

    def test_hands_further_keys_to_the_vendor(self, stand: Stand, bakery: Bakery) -> None:
        assert called(stand, "/control", b'{"oven":"hot"}')[0] == 200
        assert called(stand, "/control", b'{"oven":"cold","fault":"500"}')[0] == 200
        assert bakery.told == {"oven": "cold"}
        assert called(stand)[0] == 500

    @pytest.mark.parametrize(
        "body", [b"", b"{}", b"[]", b"5", b'{"fault":"fire"}', b'{"fault":"500","times":0}', b'{"door":"open"}']
    )
    def test_says_what_it_understands(self, stand: Stand, body: bytes) -> None:
        status, _, said = called(stand, "/control", body)
        assert status == 400
        assert "burnt" in json.loads(said)["properties"]["fault"]["enum"]

    def test_a_document_is_changed_by_hand_or_gone_and_the_journal_knows_of_neither(
        self, stand: Stand, bakery: Bakery
    ) -> None:
        called(stand, "/bake?flour=1")
        assert by_hand(stand, kind="bake", where={"flour": "1"}, set={"flour": "2"}) == 200
        with bakery.store.request() as request:
            assert [document.content for document in request.all("bake")] == [{"flour": "2"}]
        assert by_hand(stand, kind="bake", where={"number": "1"}) == 200
        with bakery.store.request() as request:
            assert request.all("bake") == []
        assert effects(stand) == 1
        assert by_hand(stand, kind="bake", where={"number": "1"}) == 400
        assert by_hand(stand, kind="bake") == 400


class TestItsEnd:
    @pytest.mark.parametrize("fault", ["slow", "late", "commit_then_silence", "drip", "endless"])
    def test_comes_at_once_while_a_fault_holds_a_call(self, bakery: Bakery, fault: str) -> None:
        with Stand(bakery) as stand, Raw(stand) as raw:
            stand.fail(fault, times=1, seconds=300)
            raw.send("/bake")
            while stand.faults.in_force():
                time.sleep(0.01)
            began = time.monotonic()
            stand.__exit__()
            assert time.monotonic() - began < 2
            before = len(bakery.journal())
        assert len(bakery.journal()) == before

    def test_ends_connections_that_only_wait(self, bakery: Bakery) -> None:
        with Stand(bakery) as stand, Raw(stand) as raw:
            raw.send("/bake")
            assert raw.read()[0] == 200
            stand.__exit__()
            assert raw.rest() == b""


def bake_twice(store: Store) -> None:
    with store.request() as request:
        request.effect("create", request.create("loaf", "1", {}))
        request.create("loaf", "1", {})


class TestTheStore:
    def test_commits_document_and_journal_together_or_neither(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite")
        with pytest.raises(Taken):
            bake_twice(store)
        with store.request() as request:
            assert request.all("loaf") == []
        assert store.journal() == []
        store.close()

    def test_knows_an_effect_that_repeats_one_of_the_same_version(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite")
        with store.request() as request:
            loaf = request.create("loaf", "1", {})
            for effect, version in [("create", 1), ("cancel", 1), ("create", 2), ("create", 1), ("sell", None)]:
                request.effect(effect, loaf, version)
            request.effect("sell", loaf)
        assert [row["repeats"] for row in store.journal()] == [False, False, False, True, False, True]
        store.close()

    def test_finds_by_number_serial_and_further_names(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite")
        with store.request() as request:
            made = [request.create("loaf", f"L{i}", {"i": i}, [f"order{i % 2}"]) for i in range(1200)]
            request.create("cake", "L1", {})
        with store.request() as request:
            assert request.find("loaf", "L7") == made[7] == request.at("loaf", made[7].serial)
            assert len(request.numbered("loaf", [f"L{i}" for i in range(1199, -5, -1)])) == 1200
            assert request.named("loaf", ["order1"]) == made[1::2]
            made[1].content["i"] = -1
            request.keep(made[1], ["other"])
            assert request.named("loaf", ["other"]) == [made[1]]
            assert len(request.named("loaf", ["order1"])) == 599
            request.remove(made[1])
            assert request.find("loaf", "L1") is None
            with pytest.raises(Taken):
                request.create("loaf", "L2", {})
        store.close()

    def test_is_there_again_after_a_restart(self, tmp_path: Path) -> None:
        for numbers in (["1"], ["1", "2"]):
            store = Store(tmp_path / "s.sqlite")
            with store.request() as request:
                request.create("loaf", numbers[-1], {})
                assert [each.number for each in request.all("loaf")] == numbers
            store.close()
