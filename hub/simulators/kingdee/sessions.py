"""Logins and the sessions they open, which end when they are idle for long or are told to."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from uuid import UUID

from hub import clock
from hub.simulators.kingdee.account import Account

COOKIE = "kdservice-sessionid"
LOGINS = ("LoginByAppSecret", "LoginBySign", "ValidateUser")

_BY_POSITION = {
    "LoginByAppSecret": ("acctid", "username", "appid", "appsecret", "lcid"),
    "LoginBySign": ("acctid", "username", "appid", "timestamp", "sign", "lcid"),
    "ValidateUser": ("acctid", "username", "password", "lcid"),
}


class Sessions:
    """The open sessions of one account."""

    def __init__(self, account: Account) -> None:
        self.idle_seconds = account.session_seconds
        self._account = account
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}

    def log_in(self, service: str, body: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """The id of a new session, or None, and what is answered: `LoginResultType` 1 is a success."""
        given = _given(service, body)
        if not self._right(service, given):
            # So it says also where no session was there to be lost.
            return None, _told(0, "会话信息已丢失，请重新登录", None, None)
        session = self.open()
        context = {"SessionId": session, "UserToken": str(clock.uuid7()), "DBid": given["acctid"]}
        return session, _told(1, "", session, context | {"UserName": given["username"], "UserLocale": "zh-CN"})

    def open(self) -> str:
        """A new session."""
        session = str(UUID(bytes=clock.uuid7().bytes[::-1]))
        with self._lock:
            self._seen[session] = clock.monotonic()
        return session

    def is_open(self, headers: Mapping[str, str]) -> bool:
        """Whether a call's header or cookie names a session that lives; it is not idle then."""
        now = clock.monotonic()
        session = headers.get(COOKIE) or _cookie(headers.get("cookie", ""))
        with self._lock:
            if now - self._seen.get(session, float("-inf")) > self.idle_seconds:
                self._seen.pop(session, None)
                return False
            self._seen[session] = now
            return True

    def drop(self) -> None:
        """Forget every session, as a restart of the server would."""
        with self._lock:
            self._seen.clear()

    def _right(self, service: str, given: Mapping[str, str]) -> bool:
        mine = self._account
        wanted = {"acctid": mine.acct_id, "username": mine.user}
        if service == "ValidateUser":
            wanted["password"] = mine.password
        else:
            wanted["appid"] = mine.app_id
        if service == "LoginByAppSecret":
            wanted["appsecret"] = mine.app_secret
        if service == "LoginBySign":
            wanted["sign"] = login_sign(mine, given.get("timestamp", ""))
            wanted["timestamp"] = given.get("timestamp", "") if self._is_fresh(given.get("timestamp", "")) else "fresh"
        return all(hmac.compare_digest(given.get(name, "").encode(), value.encode()) for name, value in wanted.items())

    def _is_fresh(self, stamp: str) -> bool:
        away = abs(clock.utcnow().timestamp() - int(stamp)) if stamp.isdecimal() else float("inf")
        return away <= self._account.window_seconds


def login_sign(account: Account, stamp: str) -> str:
    """The sign of `LoginBySign`: the parts in ordinal order, one after the other."""
    parts = sorted([account.acct_id, account.user, account.app_id, account.app_secret, stamp])
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _given(service: str, body: Mapping[str, Any]) -> dict[str, str]:
    positional = body.get("parameters")
    if isinstance(positional, list):
        return {name: str(value) for name, value in zip(_BY_POSITION[service], positional, strict=False)}
    return {name.lower(): str(value) for name, value in body.items()}


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _told(kind: int, message: str, session: str | None, context: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "Message": message,
        "MessageCode": "CheckPasswordPolicy" if kind == 1 else "",
        "LoginResultType": kind,
        "Context": context,
        "KDSVCSessionId": session,
        "IsSuccessByAPI": kind == 1,
    }
