"""The gateway of YonBIP: addresses, tokens, limits, and the sales orders behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub import clock
from hub.simulators.store import Request, Store
from hub.simulators.tokens import Tokens, Windows
from hub.simulators.web import Answer, Arrived
from hub.simulators.yonbip.answers import AFTERWARDS, Refusal, business_error, ok, refusal, said
from hub.simulators.yonbip.lists import listed
from hub.simulators.yonbip.orders import MOVES, Custom, delete, detail, move, save
from hub.simulators.yonbip.signature import is_signed

_ORDERS = "/yonbip/sd/voucherorder/"
_METHODS = {"singleSave": "POST", "list": "POST", "detail": "GET", "delete": "POST", **dict.fromkeys(MOVES, "POST")}
_PATHS = {
    "/open-auth/selfAppAuth/base/v1/getAccessToken": "token",
    "/open-auth/selfAppAuth/getAccessToken": "token",
    "/open-auth/dataCenter/getGatewayAddress": "addresses",
}
_LIMITED = {"list", "detail", "singleSave"}
USUAL = Custom()


@dataclass(frozen=True)
class Rules:
    """Who is let in, for how long, how often; and what this installation has set."""

    app_key: str = "demo-app-key"
    app_secret: str = "demo-app-secret"  # noqa: S105 - opens nothing but this stand-in
    token_seconds: float = 7200
    sign_seconds: float = 600
    per_minute: int | None = None
    """60 in the original, for list, detail and save alike; unlimited unless given."""
    custom: Custom = USUAL


DEMO = Rules()
FIELDS = """\
# Whom the simulated YonBIP knows orders by.
transaction = "SO01"
exchange_rate_type = "01"
unit = "001"

[organisation]
sales = "991"

[tax]
id = "VAT13"
percent = "13"

[customers]
default = "C0001"
"""


class Yonbip:
    """One tenant, with its orders in a file."""

    name = "yonbip"
    further_faults = frozenset(AFTERWARDS)

    def __init__(self, path: Path, rules: Rules = DEMO) -> None:
        self._fields = path.with_suffix(".fields.toml").absolute()
        self.rules = rules
        self.tokens = Tokens(rules.token_seconds)
        self._windows = Windows(rules.per_minute, 60)
        self.store = Store(path)

    def receive(self, arrived: Arrived) -> Answer:
        """Do what is asked."""
        step = self.step_of(arrived)
        try:
            if step == "addresses":
                return _addresses(arrived)
            if step == "token":
                return self._token(arrived)
            self._let_in(step, arrived)
            with self.store.request() as request:
                return self._do(request, step, arrived)
        except Refusal as refused:
            return refused.answer()

    def step_of(self, arrived: Arrived) -> str:
        """`token`, `addresses`, or the last word of the path, such as `singleSave` or `batchaudit`."""
        for path, step in _PATHS.items():
            if arrived.path.endswith(path):
                return step
        before, _, word = arrived.path.rpartition("/")
        return word if f"{before}/".endswith(_ORDERS) and word in _METHODS else "unknown"

    def faulty(self, kind: str, arrived: Arrived) -> Answer:
        """A refusal of a call that does nothing; `commit_310504` and `commit_202` do it and say something else."""
        if kind in AFTERWARDS:
            answer = self.receive(arrived)
            done = json.loads(answer.body).get("code") == "200"
            return said(*AFTERWARDS[kind]) if done else answer
        lost_token = kind == "unauthorised" and self.step_of(arrived) == "token"
        return refusal("no_such_app" if lost_token else kind).answer()

    def control(self, told: Mapping[str, Any]) -> None:
        """`{"expire_tokens": true}`."""
        if told.keys() != {"expire_tokens"}:
            raise ValueError("not understood; only expire_tokens is")
        self.tokens.expire()

    def journal(self) -> list[dict[str, Any]]:
        """Every order that was created, updated, submitted, audited, taken back or deleted, the oldest first."""
        return self.store.journal()

    def settings(self, address: str) -> dict[str, str]:
        """What leads the hub to it; the field map that belongs to it is written beside the store's file."""
        self._fields.write_text(FIELDS, encoding="utf-8")
        return {
            "HUB_SYSTEMS__ERP__INTERFACE": "yonbip",
            "HUB_SYSTEMS__ERP__YONBIP__URL": f"{address}/iuap-api-gateway",
            "HUB_SYSTEMS__ERP__YONBIP__TOKEN_URL": f"{address}/iuap-api-auth",
            "HUB_SYSTEMS__ERP__YONBIP__APP_KEY": self.rules.app_key,
            "HUB_SYSTEMS__ERP__YONBIP__APP_SECRET": self.rules.app_secret,
            "HUB_SYSTEMS__ERP__YONBIP__FIELD_MAP": str(self._fields),
        }

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    def _token(self, arrived: Arrived) -> Answer:
        sent = arrived.query.get("timestamp", "")
        late = not sent.isdecimal() or abs(clock.utcnow().timestamp() - int(sent) / 1000) > self.rules.sign_seconds
        known = arrived.query.get("appKey") == self.rules.app_key
        if late or not known or not is_signed(self.rules.app_secret, arrived.query):
            raise refusal("no_such_app")
        token, seconds = self.tokens.issue()
        return said("00000", "成功！", {"access_token": token, "expire": seconds})

    def _let_in(self, step: str, arrived: Arrived) -> None:
        if step == "unknown":
            raise Refusal("310404", f"网关上没有注册此API[{arrived.path}]，请确认后重新调用", 404)
        if arrived.method != _METHODS[step]:
            raise refusal("no_method")
        token = arrived.query.get("access_token", "")
        if not self.tokens.good(token):
            raise refusal("unauthorised" if token else "no_token")
        if step in _LIMITED and self._windows.full(step):
            raise refusal("busy")

    def _do(self, request: Request, step: str, arrived: Arrived) -> Answer:
        if step == "detail":
            return detail(request, arrived.query.get("id", ""))
        body = _body(arrived)
        if step == "list":
            return ok(listed(request, body))
        told = body.get("data")
        if step in MOVES:
            return move(request, self.rules.custom, MOVES[step], _objects(told))
        if not isinstance(told, dict):
            raise business_error("data不能为空")
        return (save if step == "singleSave" else delete)(request, self.rules.custom, told)


def _addresses(arrived: Arrived) -> Answer:
    address = f"http://{arrived.headers.get('host', 'localhost')}"
    urls = {"gatewayUrl": f"{address}/iuap-api-gateway", "tokenUrl": f"{address}/iuap-api-auth"}
    return said("00000", "成功！", urls)


def _body(arrived: Arrived) -> dict[str, Any]:
    try:
        found = json.loads(arrived.body)
    except ValueError:
        raise refusal("no_json") from None
    if not isinstance(found, dict):
        raise refusal("no_json")
    return found


def _objects(told: object) -> list[dict[str, Any]]:
    if not isinstance(told, list) or not told or not all(isinstance(each, dict) for each in told):
        raise business_error("data不能为空")
    return told
