"""The shapes of answers: `Result.ResponseStatus` with its MsgCode, and the nested form on queries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.simulators.web import Answer

SESSION_LOST = 1
NO_OPERATION, EXCEPTION, NO_FORM = 3, 4, 5
WRONG_PARAMETER, NO_SUCH_FIELD, NO_DATA, INVALID, WRONG_STATE, IN_USE, CALL_LIMIT = 8, 9, 10, 11, 12, 13, 14


class Refused(Exception):
    """The call, or one bill of it, is refused: MsgCode, the sentence, and the field where one is to blame."""

    def __init__(self, code: int, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


@dataclass
class Outcome:
    """What became of the bills of one call, each by its place in it."""

    done: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    code: int = 0

    def add(self, serial: int, number: str, place: int) -> None:
        """A bill that the call did something to."""
        self.done.append({"Id": serial, "Number": number, "DIndex": place})

    def refuse(self, why: Refused, place: int) -> None:
        """A bill that was refused; the last one gives the code of the call."""
        self.refused.append({"FieldName": why.field, "Message": why.message, "DIndex": place})
        self.code = why.code

    def status(self) -> dict[str, Any]:
        """The `ResponseStatus`."""
        told = {
            "IsSuccess": not self.refused,
            "Errors": self.refused,
            "SuccessEntitys": self.done,
            "SuccessMessages": [],
            "MsgCode": self.code,
        }
        return {"ErrorCode": 500, **told} if self.refused else told


def result(outcome: Outcome, **further: Any) -> dict[str, Any]:
    """The body of a call's answer."""
    return {"Result": {"ResponseStatus": outcome.status(), **further}}


def refusal(why: Refused) -> dict[str, Any]:
    """The body of the answer to a call that was refused as a whole."""
    outcome = Outcome()
    outcome.refuse(why, 0)
    return result(outcome)


def as_rows(body: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """A refusal as `ExecuteBillQuery` gives it: in the place of the first value of the first row."""
    return [[body]]


def answer(body: object, headers: dict[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(200, json.dumps(body, ensure_ascii=False).encode(), headers or {})


def flag(value: object, default: bool) -> bool:
    """A boolean, which templates of the vendor write as text."""
    if value is None or value == "":
        return default
    return str(value).lower() in {"true", "1"}


def listed(value: object) -> Sequence[Any]:
    """A list that may be missing or a single value, or its parts with commas between them."""
    if isinstance(value, list):
        return value
    return [part.strip() for part in str(value or "").split(",") if part.strip()]
