"""What tests of the simulated warehouse share: an ERP that calls it, and a receiver of its callbacks."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import httpx2

from hub.simulators.qimen.rules import Account
from hub.simulators.qimen.warehouse import Warehouse
from hub.simulators.stand import Stand
from tests.listening import listening

ACCOUNT = Account("21000001", "testsecret", "c0001", ("OWNER1", "OWNER2"))
SUCCESS = b'<?xml version="1.0" encoding="utf-8"?><response><flag>success</flag><code>0</code></response>'
FAILURE = SUCCESS.replace(b"success", b"failure")

PERSON = "<name>A</name><mobile>1</mobile><province>P</province><city>C</city><detailAddress>D</detailAddress>"
TIMES = "".join(
    f"<{name}>2025-01-01 08:00:00</{name}>" for name in ("createTime", "placeOrderTime", "payTime", "operateTime")
)


def order(code: str = "SO1", lines: Mapping[str, int] | None = None, owner: str = "OWNER1", extend: str = "") -> str:
    """The body of a create, as the public page has it."""
    items = "".join(
        f"<orderLine><orderLineNo>{number}</orderLineNo><ownerCode>{owner}</ownerCode><itemCode>{item}</itemCode>"
        f"<planQty>{pieces}</planQty><actualPrice>9.90</actualPrice></orderLine>"
        for number, (item, pieces) in enumerate((lines or {"SKU1": 3}).items(), 1)
    )
    return (
        f"<request><deliveryOrder><deliveryOrderCode>{code}</deliveryOrderCode><orderType>JYCK</orderType>"
        f"<warehouseCode>OTHER</warehouseCode>{TIMES}<shopNick>shop</shopNick><logisticsCode>SF</logisticsCode>"
        f"<totalAmount>29.70</totalAmount><senderInfo>{PERSON}</senderInfo><receiverInfo>{PERSON}</receiverInfo>"
        f"</deliveryOrder><orderLines>{items}</orderLines><extendProps>{extend}</extendProps></request>"
    )


def about(code: str = "SO1", more: str = "") -> str:
    """The body of a cancel or a query."""
    return f"<request><orderCode>{code}</orderCode><warehouseCode>WH01</warehouseCode>{more}</request>"


def now(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(hours=8, seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


class Caller:
    """Calls the warehouse as an ERP does; `said` is the last answer."""

    def __init__(self, address: str, secret: str = "testsecret") -> None:
        self.address = address
        self.secret = secret
        self.said = ET.Element("response")

    def call(self, method: str, body: str | bytes, secret: str | None = None, **query: str) -> str:
        """`success`, or what is said of the failure."""
        raw = body if isinstance(body, bytes) else body.encode()
        key = (secret or self.secret).encode()
        given = {
            "method": f"taobao.qimen.{method}",
            "timestamp": now(),
            "format": "xml",
            "app_key": "21000001",
            "v": "2.0",
            "sign_method": "md5",
            "customerId": "c0001",
        } | query
        joined = "".join(f"{key}{given[key]}" for key in sorted(given))
        given["sign"] = hashlib.md5(key + joined.encode() + raw + key).hexdigest().upper()
        url = f"{self.address}/router/qimen/service"
        answer = httpx2.post(url, params=given, content=raw, headers={"Content-Type": "text/xml"}, timeout=30)
        assert answer.status_code == 200
        self.said = ET.fromstring(answer.content)
        flag = self.said.findtext("flag")
        return (
            "success" if flag == "success" else f"{flag} {self.said.findtext('code')} {self.said.findtext('message')}"
        )

    def control(self, **told: Any) -> int:
        return httpx2.post(f"{self.address}/control", json=told).status_code

    def behave(self, **rules: Any) -> None:
        assert self.control(rules=rules) == 200

    def move(self, to: str, code: str = "SO1", **more: Any) -> int:
        return self.control(move={"order": code, "to": to} | more)

    def status(self, code: str = "SO1") -> str | None:
        assert self.call("deliveryorder.query", about(code)) == "success"
        return self.said.findtext("deliveryOrder/status")

    def stock(self, item: str = "SKU1") -> tuple[int, int]:
        """What is there and what of it is locked."""
        wanted = f"<criteria><itemCode>{item}</itemCode></criteria>"
        body = f"<request><criteriaList>{wanted}</criteriaList></request>"
        assert self.call("inventory.query", body) == "success"
        found = self.said.find("items/item")
        assert found is not None
        return int(found.findtext("quantity", "")), int(found.findtext("lockQuantity", ""))

    def effects(self) -> Counter[str]:
        return Counter(row["effect"] for row in self.journal())

    def journal(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx2.get(f"{self.address}/journal").json()
        return found

    def callbacks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx2.get(f"{self.address}/callbacks").json()
        return found


@contextmanager
def standing(path: Path, **more: Any) -> Iterator[Caller]:
    with Warehouse(path, ACCOUNT, **more) as warehouse, Stand(warehouse) as stand:
        warehouse.send(repeat_seconds=0.05, ack_seconds=5)
        yield Caller(stand.address)


Ack = Callable[[int], bytes | None]


class Receiver:
    """Where callbacks go. `ack` gives the answer to the n-th call, None is none until the receiver closes."""

    def __init__(self) -> None:
        self.ack: Ack = lambda _count: SUCCESS
        self.closing = threading.Event()
        self.url = ""
        self.secret = "testsecret"
        self._came = threading.Condition()
        self._calls: list[tuple[dict[str, str], bytes, str]] = []

    def take(self, path: str, body: bytes, kind: str) -> bytes | None:
        with self._came:
            self._calls.append((dict(parse_qsl(urlsplit(path).query)), body, kind))
            count = len(self._calls)
            self._came.notify_all()
        return self.ack(count)

    def wait(self, count: int) -> list[str]:
        """What came, once there are so many: steps and confirmations, `!` after one whose signature is wrong."""
        with self._came:
            assert self._came.wait_for(lambda: len(self._calls) >= count, 20), self._calls
            return [_told(*call, self.secret.encode()) for call in self._calls]

    def bodies(self) -> list[ET.Element]:
        return [ET.fromstring(body) for _, body, _ in self._calls]


def _told(query: dict[str, str], body: bytes, kind: str, key: bytes) -> str:
    assert kind.startswith("text/xml")
    assert (query["format"], query["v"], query["customerId"], query["app_key"]) == ("xml", "2.0", "c0001", "21000001")
    assert query["place"] == "a b"
    given = {key: value for key, value in query.items() if key != "sign"}
    joined = "".join(f"{key}{given[key]}" for key in sorted(given)).encode()
    signed = hashlib.md5(key + joined + body + key).hexdigest().upper() == query["sign"]
    root = ET.fromstring(body)
    paths = {"orderprocess.report": "process/processStatus", "deliveryorder.confirm": "deliveryOrder/status"}
    return (root.findtext(paths[query["method"]]) or "") + ("" if signed else "!")


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver at a port of this machine."""
    taken = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = taken.take(self.path, body, self.headers["Content-Type"])
            if answer is None:
                taken.closing.wait()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

    with listening(Handler) as port:
        taken.url = f"http://127.0.0.1:{port}/wms/callbacks?place=a%20b"
        yield taken
        taken.closing.set()


def settled(caller: Caller, count: int) -> list[dict[str, Any]]:
    """The callbacks, once so many are acknowledged."""
    deadline = time.monotonic() + 20
    while True:
        found = caller.callbacks()
        if sum(callback["copies"] == 0 for callback in found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
