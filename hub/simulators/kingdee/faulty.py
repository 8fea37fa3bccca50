"""Answers of a server that does nothing: its own words for a lost session, a limit, a conflict, and its gateway's."""

from __future__ import annotations

import json

from hub.simulators.kingdee.results import (
    CALL_LIMIT,
    IN_USE,
    INVALID,
    SESSION_LOST,
    Refused,
    answer,
    as_rows,
    refusal,
)
from hub.simulators.kingdee.sessions import LOGINS
from hub.simulators.web import Answer

SESSION_IS_LOST = "unauthorised"
STALE = "gateway_519"

FURTHER = frozenset({"msgcode_13", "msgcode_14", "response_error", STALE, "ctx_null"})
"""Kinds of this vendor's own."""

_REFUSALS = {
    SESSION_IS_LOST: Refused(SESSION_LOST, "会话信息已丢失，请重新登录"),
    "error_body": Refused(INVALID, "客户已被禁用，不允许使用", "FCustId"),
    "busy": Refused(CALL_LIMIT, "接口调用次数超过限制，请稍后再试"),
    "msgcode_13": Refused(IN_USE, "网控冲突：单据正被其他用户操作，请稍后再试"),
    "msgcode_14": Refused(CALL_LIMIT, "接口调用次数超过限制，请稍后再试"),
}
_GATEWAY = {"errcode": 4006, "description": "timestamp expired", "description_cn": "时间戳已过期"}


def faulty(kind: str, service: str) -> Answer:
    """The answer to a call of this service."""
    if kind == "response_error":
        return Answer(200, "response_error:System.Exception: 未将对象引用设置到对象的实例。".encode())
    if kind == "ctx_null":
        return Answer(200, b"response_error:ctx == null")
    if kind == STALE:
        return Answer(519, json.dumps(_GATEWAY, ensure_ascii=False).encode(), {"X-Api-Requestid": "demo"})
    why = _REFUSALS[kind]
    if service in LOGINS:
        return answer({"LoginResultType": 0, "Message": why.message, "KDSVCSessionId": None, "IsSuccessByAPI": False})
    told = refusal(why)
    return answer(as_rows(told) if service == "ExecuteBillQuery" else told)
