"""The gateway of 纷享销客: tokens, headers, limits, and the objects behind it.

Preset objects are under `/cgi/crm/v2/data/`, those of the customer's own (`…__c`) under `/cgi/crm/custom/v2/data/`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from hub.simulators.fxiaoke import records
from hub.simulators.fxiaoke.answers import Refusal, ok, refusal, wrong
from hub.simulators.fxiaoke.records import Custom
from hub.simulators.store import Request, Store
from hub.simulators.tokens import Tokens, Windows
from hub.simulators.web import Answer, Arrived

_DATA = re.compile(r"/cgi/crm/(?P<own>custom/)?v2/data/(?P<step>create|get|query|update|invalid)")
_TOKEN = "/oauth2.0/token"  # noqa: S105 - a path
USUAL = Custom()


@dataclass(frozen=True)
class Rules:
    """Who is let in, for how long, how often; and what this installation has set.

    A token call takes `token_call_seconds`, and another one in the meantime is refused.
    """

    app_id: str = "FSAID_demo"
    app_secret: str = "demo-secret"  # noqa: S105 - opens nothing but this stand-in
    permanent_code: str = "demo-code"
    ea: str = "demo"
    token_seconds: float = 7200
    token_reuse_seconds: float = 6600
    token_calls: int | None = 10
    """In a minute."""
    token_call_seconds: float = 0.05
    calls: int | None = None
    """100 in 20 seconds in the original, for every interface by itself; unlimited unless given."""
    custom: Custom = USUAL


DEMO = Rules()


class Fxiaoke:
    """One customer's CRM, with its records in a file."""

    name = "fxiaoke"
    further_faults = frozenset({"daily_quota", "no_quota", "too_many"})

    def __init__(self, path: Path, rules: Rules = DEMO) -> None:
        self.rules = rules
        self.tokens = Tokens(rules.token_seconds, rules.token_reuse_seconds)
        self._token_calls = Windows(rules.token_calls, 60)
        self._calls = Windows(rules.calls, 20)
        self._fetching = threading.Lock()
        self.store = Store(path)

    def receive(self, arrived: Arrived) -> Answer:
        """Do what is asked."""
        try:
            if arrived.path == _TOKEN:
                return self._token(arrived)
            self._let_in(arrived)
            with self.store.request() as request:
                return self._do(request, arrived)
        except Refusal as refused:
            return refused.answer()

    def step_of(self, arrived: Arrived) -> str:
        """`token`, or one of `create`, `get`, `query`, `update`, `invalid`."""
        match = _DATA.fullmatch(arrived.path)
        return "token" if arrived.path == _TOKEN else match["step"] if match else "unknown"

    def faulty(self, kind: str, arrived: Arrived) -> Answer:
        """A refusal of a call that does nothing."""
        lost_token = kind == "unauthorised" and arrived.path == _TOKEN
        return refusal("bad_secret" if lost_token else kind).answer()

    def control(self, told: Mapping[str, Any]) -> None:
        """`{"expire_tokens": true}`."""
        if told.keys() != {"expire_tokens"}:
            raise ValueError("not understood; only expire_tokens is")
        self.tokens.expire()

    def journal(self) -> list[dict[str, Any]]:
        """Every record that was created, updated or made void, the oldest first."""
        return self.store.journal()

    def settings(self, address: str) -> dict[str, str]:
        """What leads the hub to it."""
        return {
            "HUB_SYSTEMS__CRM__INTERFACE": "fxiaoke",
            "HUB_SYSTEMS__CRM__FXIAOKE__URL": address,
            "HUB_SYSTEMS__CRM__FXIAOKE__APP_ID": self.rules.app_id,
            "HUB_SYSTEMS__CRM__FXIAOKE__APP_SECRET": self.rules.app_secret,
            "HUB_SYSTEMS__CRM__FXIAOKE__PERMANENT_CODE": self.rules.permanent_code,
        }

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    def _token(self, arrived: Arrived) -> Answer:
        if self._token_calls.full("token") or not self._fetching.acquire(blocking=False):
            raise refusal("too_many")
        try:
            threading.Event().wait(self.rules.token_call_seconds)
            self._check_application(_body(arrived))
            token, seconds = self.tokens.issue()
        finally:
            self._fetching.release()
        return ok(accessToken=token, expiresIn=seconds, ea=self.rules.ea, appId=self.rules.app_id)

    def _check_application(self, body: Mapping[str, Any]) -> None:
        rules = self.rules
        if (body.get("appId"), body.get("appSecret")) != (rules.app_id, rules.app_secret):
            raise refusal("bad_secret")
        if body.get("permanentCode") != rules.permanent_code:
            raise refusal("bad_code")
        if body.get("grantType") != "app_secret":
            raise wrong("grantType: app_secret")

    def _let_in(self, arrived: Arrived) -> None:
        kind, _, token = arrived.headers.get("authorization", "").partition(" ")
        if not token:
            raise refusal("no_token")
        if kind != "Bearer" or not self.tokens.good(token) or arrived.headers.get("x-fs-ea") != self.rules.ea:
            raise refusal("unauthorised")
        if not arrived.headers.get("x-fs-userid"):
            raise refusal("no_user")
        if not _is_uuid(arrived.query.get("thirdTraceId", "")):
            raise wrong("thirdTraceId为必填项")
        if self._calls.full(arrived.path):
            raise refusal("busy")

    def _do(self, request: Request, arrived: Arrived) -> Answer:
        match = _DATA.fullmatch(arrived.path)
        if match is None or arrived.method != "POST":
            raise wrong("接口不存在")
        body = _body(arrived)
        data = body.get("data")
        if not isinstance(data, dict):
            raise wrong("data为必填项")
        _check_family(data, own=match["own"] is not None)
        return self._step(request, match["step"], data, with_details=body.get("includeDetailIds") is True)

    def _step(self, request: Request, step: str, data: Mapping[str, Any], *, with_details: bool) -> Answer:
        if step == "create":
            made, details = records.create(request, self.rules.custom, data)
            return ok(dataId=made, **({"detailIds": details} if with_details else {}))
        if step == "get":
            return ok(data=records.get(request, data))
        if step == "query":
            return ok(data=records.query(request, data))
        change = records.update if step == "update" else records.make_void
        change(request, self.rules.custom, data)
        return ok()


def _check_family(data: Mapping[str, Any], *, own: bool) -> None:
    told = data.get("object_data")
    named = told if isinstance(told, dict) else data
    if str(named.get("dataObjectApiName", "")).endswith("__c") != own:
        raise wrong("自定义对象（__c）与预置对象的接口不同")


def _body(arrived: Arrived) -> dict[str, Any]:
    try:
        found = json.loads(arrived.body)
    except ValueError:
        raise wrong("请求体必须是JSON") from None
    if not isinstance(found, dict):
        raise wrong("请求体必须是JSON对象")
    return found


def _is_uuid(text: str) -> bool:
    try:
        return UUID(text).version == 4
    except ValueError:
        return False
