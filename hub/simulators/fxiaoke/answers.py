"""What 纷享销客 says: HTTP 200 always, and `errorCode` 0 where all is well. Pure."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from hub.simulators.web import Answer


class Refusal(Exception):
    """A call that is refused with a code and a sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def answer(self) -> Answer:
        """The refusal as it is sent."""
        return _said({"errorCode": self.code, "errorMessage": self.message, "errorDescription": self.message})


def ok(**further: Any) -> Answer:
    """A call that did what it should."""
    return _said({"errorCode": 0, "errorMessage": "OK", "errorDescription": "success", **further})


def refusal(word: str) -> Refusal:
    """A refusal that has nothing to do with a record; what has no word of its own is a wrong parameter."""
    return Refusal(*_REFUSALS.get(word, (15002, "参数不合法")))


def wrong(message: str) -> Refusal:
    """A parameter that cannot be; the message says which."""
    return Refusal(32000, message)


_REFUSALS = {
    "busy": (30004, "秒频次超限"),
    "unauthorised": (20016, "the cropId,cropAccessToken or authorization is error"),
    "no_token": (20017, "corpAccessToken为必填项，不能为空"),
    "bad_secret": (10006, "the parameter appSecret is missing or illegal"),
    "bad_code": (20015, "永久授权码错误"),
    "too_many": (14001, "接口调用超过限制"),
    "daily_quota": (30002, "当天访问频次超限"),
    "no_quota": (30003, "客户没有购买openapi配额"),
    "no_user": (10010, "缺少参数openUserId"),
    "too_deep": (10013, "offset out of range 10000"),
}


def _said(content: dict[str, Any]) -> Answer:
    return Answer(200, json.dumps({"traceId": f"E-O.demo.{uuid4().hex}", **content}, ensure_ascii=False).encode())
