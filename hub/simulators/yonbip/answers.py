"""What YonBIP says: always HTTP 200 but for a path that is none. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hub.simulators.web import Answer


class Refusal(Exception):
    """A call that is refused with a code of the table and a sentence."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def answer(self) -> Answer:
        """The refusal as it is sent."""
        return said(self.code, self.message, None, self.status)


def said(code: str, message: str, data: object = None, status: int = 200) -> Answer:
    """Any answer of the gateway."""
    content = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return Answer(status, json.dumps(content, ensure_ascii=False).encode())


def ok(data: object) -> Answer:
    """A call that did what it should."""
    return said("200", "操作成功", data)


def summed_up(infos: Sequence[Mapping[str, Any]], messages: Sequence[str]) -> Answer:
    """What became of several orders; 200 also where none was done. `sucessCount` is spelt so there."""
    count = len(infos) + len(messages)
    counts = {"count": count, "sucessCount": len(infos), "failCount": len(messages)}
    return ok({**counts, "messages": list(messages), "infos": list(infos)})


def business_error(message: str) -> Refusal:
    """A rule of the business says no."""
    return Refusal("999", message)


def refusal(word: str) -> Refusal:
    """A refusal that has nothing to do with an order; what has no word of its own is a business error."""
    return Refusal(*_REFUSALS.get(word, ("999", "服务端逻辑异常")))


_REFUSALS = {
    "busy": ("310046", "触发了API级限流，请稍后再试"),
    "unauthorised": ("310036", "非法token"),
    "no_token": ("310001", "access_token不能为空。"),
    "no_json": ("310002", "请求体必须是JSON结构"),
    "no_such_app": ("10018", "应用不存在或appKey已停用"),
    "no_method": ("310405", "请求方法不允许"),
}
AFTERWARDS = {"commit_310504": ("310504", "请求超时"), "commit_202": ("202", "后端服务正在处理中")}
"""What is said in the place of a success, once everything is done."""
