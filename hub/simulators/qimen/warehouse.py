"""The warehouse as a vendor's system: gateway, desk, floor and callbacks in one.

Beside faults, `POST /control` takes, alone or together:

    {"move": {"order": "SO1", "to": "PICK"}}                             also with "manner": {"copies": 2}
    {"move": {"order": "SO1", "to": "PARTDELIVERED", "pieces": {"SKU1": 1}}}
    {"rules": {"duplicates": "refused", "reopen": false, "cancel": "delivered_later", "parts": 2}}
    {"sending": {"copies": 2, "late": ["PICK"], "late_seconds": 2, "forged": true}}
    {"stock": {"item": "SKU1", "quantity": 5}}
    {"callback": "http://127.0.0.1:8000/callbacks/wms"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from xml.etree.ElementTree import Element

from pydantic import Field

from hub import clock
from hub.schemas.order import Strict
from hub.simulators.qimen import times, xml
from hub.simulators.qimen.answers import Code, failure, gateway_error
from hub.simulators.qimen.book import shown
from hub.simulators.qimen.callbacks import Callbacks
from hub.simulators.qimen.desk import Desk
from hub.simulators.qimen.floor import Floor, Move
from hub.simulators.qimen.requests import METHODS, fault_of
from hub.simulators.qimen.rules import Account, Rules, Sending
from hub.simulators.qimen.signature import is_signed
from hub.simulators.qimen.stock import Place, Stock
from hub.simulators.store import Store
from hub.simulators.web import Answer, Arrived

PATHS = ("/router/qimen/service", "/router/qmtest")
PREFIX = "taobao.qimen."


_SENDER = {
    "NAME": "演示商家",
    "MOBILE": "13900000000",
    "PROVINCE": "浙江省",
    "CITY": "杭州市",
    "ADDRESS": "文一西路 1 号",
}
"""Whose name stands on the parcels of who has set none."""


class Count(Strict):
    """An item is counted anew."""

    item: str
    quantity: int
    owner: str | None = None
    warehouse: str | None = None
    kind: str = "ZP"


class Told(Strict):
    """What `/control` understands beside faults. Rules and sending change in what they name; the rest stays."""

    move: Move | None = None
    rules: dict[str, Any] = Field(default_factory=dict)
    sending: dict[str, Any] = Field(default_factory=dict)
    stock: Count | None = None
    callback: Annotated[str | None, Field(pattern="^https?://")] = None


class Warehouse:
    """A warehouse behind Qimen; moves and callbacks go on between entering and leaving.

    It shows its callbacks and what was said to them at `GET /callbacks`.
    """

    name = "wms"
    further_faults = frozenset({"unreachable"})

    def __init__(
        self, path: Path, account: Account | None = None, callback: str | None = None, auto_seconds: float | None = None
    ) -> None:
        self.account = account or Account()
        self.store = Store(path)
        self.callbacks = Callbacks(self.store, self.account, callback)
        self.floor = Floor(self.store, self.callbacks, auto_seconds)
        self.desk = Desk(self.store, self.account, self.floor.expect)

    def __enter__(self) -> Self:
        # The floor makes callbacks: those from before are taken up first, so that none is taken up twice.
        self.callbacks.start()
        self.floor.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.floor.stop()
        self.callbacks.stop()
        self.store.close()

    @property
    def rules(self) -> Rules:
        """How it behaves at present."""
        return self.desk.rules

    def behave(self, **rules: Any) -> None:
        """Change some rules; raises ValueError."""
        changed = Rules.model_validate(self.rules.model_dump() | rules)
        self.desk.rules = self.floor.rules = changed

    def send(self, **sending: Any) -> None:
        """Change how callbacks are sent; raises ValueError."""
        told = json.dumps(self.callbacks.sending.model_dump() | sending)
        self.callbacks.sending = Sending.model_validate_json(told)

    def receive(self, arrived: Arrived) -> Answer:
        """Do what is asked for with a right signature; say everything else with `flag=failure`."""
        if arrived.path == "/callbacks" and arrived.method == "GET":
            return Answer(200, json.dumps(self.callbacks.shown(), ensure_ascii=False).encode())
        if arrived.path not in PATHS or arrived.method != "POST":
            return Answer(404)
        refusal = self._stranger(arrived)
        return refusal or self._called(self.step_of(arrived), xml.read(arrived.body))

    def step_of(self, arrived: Arrived) -> str:
        """The method without its prefix."""
        return arrived.query.get("method", "").removeprefix(PREFIX)

    def faulty(self, kind: str, arrived: Arrived) -> Answer:  # noqa: ARG002 - signature of Vendor
        """`unreachable` is the gateway that had no answer from the warehouse."""
        match kind:
            case "busy":
                return gateway_error(7, "App Call Limited", "accesscontrol.limited-by-app-access-count")
            case "unauthorised":
                return gateway_error(29, "Invalid app Key", "isv.appkey-not-exists")
            case "unreachable":
                return gateway_error(15, "Remote service error", "isp.remote-connection-timeout")
            case _:
                return failure(Code.FAILED, "system error 系统异常")

    def control(self, told: Mapping[str, Any]) -> None:
        """Change rules and sending, then stock, then move; raises ValueError."""
        wanted = Told.model_validate_json(json.dumps(told))
        self.behave(**wanted.rules)
        self.send(**wanted.sending)
        if wanted.callback is not None:
            self.callbacks.url = wanted.callback
        if wanted.stock is not None:
            self._count(wanted.stock)
        if wanted.move is not None:
            self.floor.move(wanted.move)

    def journal(self) -> list[dict[str, Any]]:
        """Every effect that a call had: `create`, `cancel`, `reopen`; `version` is that of the order."""
        return [shown(row) for row in self.store.journal()]

    def settings(self, address: str) -> dict[str, str]:
        """The hub's settings that lead to it, where it stands at this address."""
        return {
            "HUB_SYSTEMS__WMS__INTERFACE": "qimen",
            "HUB_SYSTEMS__WMS__QIMEN__URL": f"{address}{PATHS[0]}",
            "HUB_SYSTEMS__WMS__QIMEN__APP_KEY": self.account.app_key,
            "HUB_SYSTEMS__WMS__QIMEN__SECRET": self.account.secret,
            "HUB_SYSTEMS__WMS__QIMEN__CUSTOMER_ID": self.account.customer_id,
            "HUB_SYSTEMS__WMS__QIMEN__OWNER": self.account.owners[0],
            **{f"HUB_SYSTEMS__WMS__QIMEN__SENDER__{name}": value for name, value in _SENDER.items()},
        }

    def _stranger(self, arrived: Arrived) -> Answer | None:
        query = arrived.query
        if query.get("app_key") != self.account.app_key:
            return failure(Code.ACCOUNT, "app_key is not known")
        if query.get("customerId") != self.account.customer_id:
            return failure(Code.ACCOUNT, "customerId is not known")
        if query.get("format", "xml") != "xml" or query.get("v") != "2.0" or query.get("sign_method") != "md5":
            return failure(Code.ACCOUNT, "format, v or sign_method is not xml, 2.0, md5")
        if not is_signed(self.account.secret, query, arrived.body):
            return failure(Code.SIGN, "sign is wrong 签名错误")
        return None if self._is_fresh(query.get("timestamp", "")) else failure(Code.TIMESTAMP, "timestamp is wrong")

    def _is_fresh(self, text: str) -> bool:
        at = times.moment(text)
        return at is not None and abs((clock.utcnow() - at).total_seconds()) <= self.rules.window_seconds

    def _called(self, method: str, request: Element | None) -> Answer:
        if method not in METHODS:
            return failure(Code.METHOD, f"method {method!a} is not known")
        if request is None:
            return failure(Code.XML, "the body is no XML with root request")
        if fault := fault_of(method, request):
            return failure(Code.ELEMENT, fault)
        return self.desk.do(method, request)

    def _count(self, count: Count) -> None:
        owner, warehouse = count.owner or self.account.owners[0], count.warehouse or self.account.home
        with self.store.request() as transaction:
            place = Place(warehouse, owner, count.item, count.kind)
            Stock(transaction, self.rules.opening_stock).set(place, count.quantity)
