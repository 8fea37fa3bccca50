"""The gateway of 管家婆: tokens behind ciphers, signed forms, and the orders behind it.

Step 1, the login of a person in a browser, is no call: its `auth_code` is one of the rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from hub import clock
from hub.simulators.grasp import orders, secrets
from hub.simulators.grasp.answers import Refusal, ok, refusal, wrong
from hub.simulators.grasp.orders import Custom
from hub.simulators.store import Request, Store
from hub.simulators.tokens import Tokens, Windows
from hub.simulators.web import Answer, Arrived

_SHANGHAI = timezone(timedelta(hours=8))
USUAL = Custom()


@dataclass(frozen=True)
class Rules:
    """Who is let in, for how long, how often; and what this installation has set.

    `auth_code` and `refresh_token` are good as often as they come.
    """

    app_key: str = "demo-app-key"
    app_secret: str = "DemoGjpSecret0123456789ABCDEFGHI"  # noqa: S105 - opens nothing but this stand-in
    sign_key: str = "demo-sign-key"
    shop_key: str = "demo-shop"
    auth_code: str = "demo-auth-code"
    refresh_token: str = "demo-refresh-token"  # noqa: S105 - as above
    prefix: str = "beefun"
    token_seconds: float = 86400
    sign_seconds: float = 600
    per_minute: int | None = None
    custom: Custom = USUAL


DEMO = Rules()


class Grasp:
    """One shop at the ERP, with its orders in a file."""

    name = "grasp"
    further_faults = frozenset({"bad_sign"})

    def __init__(self, path: Path, rules: Rules = DEMO) -> None:
        self.rules = rules
        self.tokens = Tokens(rules.token_seconds)
        self._windows = Windows(rules.per_minute, 60)
        self.store = Store(path)
        self._steps: Mapping[str, Callable[[Request, Mapping[str, str]], dict[str, Any]]] = {
            "uploadsaleorders": lambda request, form: orders.push(request, rules.custom, form),
            "querysaleorder": orders.listed,
            "querytradestatus": orders.statuses,
            "querysaleqty": orders.stock,
        }

    def receive(self, arrived: Arrived) -> Answer:
        """Do what is asked."""
        form, step = _form(arrived), self.step_of(arrived)
        try:
            if step == "token":
                return self._token(form)
            self._let_in(form, step)
            with self.store.request() as request:
                return ok(self._steps[step](request, form))
        except Refusal as refused:
            return refused.answer()

    def step_of(self, arrived: Arrived) -> str:
        """`token`, or the last word of the method: `uploadsaleorders`, `querysaleorder` and so on."""
        if arrived.path.endswith("/token"):
            return "token"
        before, _, word = _form(arrived).get("method", "").rpartition(".")
        return word if before == f"{self.rules.prefix}.selfbuiltmall" and word in self._steps else "unknown"

    def faulty(self, kind: str, arrived: Arrived) -> Answer:
        """A refusal of a call that does nothing."""
        lost_token = kind == "unauthorised" and self.step_of(arrived) == "token"
        return refusal("bad_code" if lost_token else kind).answer()

    def control(self, told: Mapping[str, Any]) -> None:
        """`{"expire_tokens": true}`, `{"stock": {"SKU": {"warehouse": 5}}}`, `{"status": {"SO-1": 3}}`."""
        if unknown := told.keys() - {"expire_tokens", "stock", "status"}:
            raise ValueError(f"not understood: {', '.join(sorted(unknown))}")
        if told.get("expire_tokens"):
            self.tokens.expire()
        with self.store.request() as request:
            orders.set_stock(request, told.get("stock", {}))
            orders.set_statuses(request, told.get("status", {}))

    def journal(self) -> list[dict[str, Any]]:
        """Every order that was created or changed, the oldest first."""
        return self.store.journal()

    def settings(self, address: str) -> dict[str, str]:
        """What leads the hub to it."""
        return {
            "HUB_SYSTEMS__ERP__INTERFACE": "grasp",
            "HUB_SYSTEMS__ERP__GRASP__URL": f"{address}/api",
            "HUB_SYSTEMS__ERP__GRASP__APP_KEY": self.rules.app_key,
            "HUB_SYSTEMS__ERP__GRASP__APP_SECRET": self.rules.app_secret,
            "HUB_SYSTEMS__ERP__GRASP__SIGN_KEY": self.rules.sign_key,
            "HUB_SYSTEMS__ERP__GRASP__SHOP_KEY": self.rules.shop_key,
            "HUB_SYSTEMS__ERP__GRASP__REFRESH_TOKEN": self.rules.refresh_token,
        }

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    def _token(self, form: Mapping[str, str]) -> Answer:
        rules, p = self.rules, form.get("p", "")
        if form.get("appkey") != rules.app_key:
            raise refusal("no_such_app")
        if not secrets.same(secrets.sign_of_token_call(rules.app_key, p, rules.sign_key), form.get("sign", "")):
            raise refusal("bad_sign")
        asked = self._decrypted(p)
        self._check_moment(asked.get("TimeStamp", ""))
        given = {"auth_token": rules.auth_code, "refresh_token": rules.refresh_token}
        if asked.get("AuthParam") != given.get(str(asked.get("GrantType"))):
            raise refusal("bad_code")
        return ok({"response": self._encrypted_token()})

    def _decrypted(self, p: str) -> dict[str, Any]:
        try:
            found = json.loads(secrets.decrypt(self.rules.app_secret, p))
        except ValueError:
            raise wrong("p无法解密") from None
        if not isinstance(found, dict):
            raise wrong("p必须是JSON对象")
        return found

    def _encrypted_token(self) -> str:
        token, seconds = self.tokens.issue()
        # Every value is text there.
        content = {"auth_token": token, "expires_in": str(seconds), "refresh_token": self.rules.refresh_token}
        return secrets.encrypt(self.rules.app_secret, json.dumps(content))

    def _let_in(self, form: Mapping[str, str], step: str) -> None:
        rules = self.rules
        if form.get("appkey") != rules.app_key:
            raise refusal("no_such_app")
        if not secrets.same(secrets.sign_of_call(form, rules.sign_key), form.get("sign", "")):
            raise refusal("bad_sign")
        self._check_moment(form.get("timestamp", ""))
        if not self.tokens.good(form.get("token", "")):
            raise refusal("unauthorised")
        if step == "unknown":
            raise refusal("no_method")
        if form.get("shopkey") != rules.shop_key:
            raise refusal("no_shop")
        if self._windows.full(step):
            raise refusal("busy")

    def _check_moment(self, text: str) -> None:
        try:
            moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_SHANGHAI)
        except ValueError:
            raise refusal("late") from None
        if abs((clock.utcnow() - moment).total_seconds()) > self.rules.sign_seconds:
            raise refusal("late")


def _form(arrived: Arrived) -> dict[str, str]:
    return dict(parse_qsl(arrived.body.decode(errors="replace"), keep_blank_values=True))
