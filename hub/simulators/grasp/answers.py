"""What 管家婆 says: HTTP 200 always, `iserror` tells. Pure.

The vendor's pages do not list the codes, so these are this stand-in's own; that of a token and that of a signature are
apart, and both say in words what they are about.
"""

from __future__ import annotations

import json
from uuid import uuid4

from hub.simulators.web import Answer


class Refusal(Exception):
    """A call that is refused with a code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def answer(self) -> Answer:
        """The refusal as it is sent."""
        return _said(iserror=True, code=self.code, message=self.message, response=None)


def ok(response: object) -> Answer:
    """A call that did what it should."""
    return _said(iserror=False, code="", message="", response=response)


def refusal(word: str) -> Refusal:
    """A refusal that has nothing to do with an order; what has no word of its own is a business error."""
    return Refusal(*_REFUSALS.get(word, ("500", "业务处理失败")))


def wrong(message: str) -> Refusal:
    """A parameter that cannot be; the message says which."""
    return Refusal("300", message)


_REFUSALS = {
    "busy": ("429", "调用过于频繁，请稍后再试"),
    "unauthorised": ("401", "token无效或已过期"),
    "bad_sign": ("100", "签名错误"),
    "bad_code": ("402", "auth_code或refresh_token无效"),
    "no_such_app": ("403", "appkey不存在"),
    "late": ("101", "timestamp已超时"),
    "no_method": ("404", "method不存在"),
    "no_shop": ("405", "shopkey不存在"),
}


def _said(*, iserror: bool, code: str, message: str, response: object) -> Answer:
    content = {
        "iserror": iserror,
        "errorcode": code,
        "errormessage": message,
        "requestid": uuid4().hex,
        "response": response,
    }
    return Answer(200, json.dumps(content, ensure_ascii=False).encode())
