"""What the CRM says, in the words of Salesforce. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hub.simulators.web import Answer


class Refusal(Exception):
    """A call that is refused with an HTTP status, a code, a sentence and the fields it is about."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = list(fields)

    def answer(self) -> Answer:
        """The refusal of a whole call."""
        said: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        return said_with([said | ({"fields": self.fields} if self.fields else {})], self.status)

    def result(self) -> dict[str, Any]:
        """The refusal of one record of a collection, where the code has another name."""
        return {
            "success": False,
            "errors": [{"statusCode": self.code, "message": self.message, "fields": self.fields}],
        }


def said_with(content: object, status: int = 200) -> Answer:
    """An answer with JSON in it."""
    return Answer(status, json.dumps(content, ensure_ascii=False).encode())


def done(record_id: str, *, created: bool) -> dict[str, Any]:
    """One record that was written."""
    return {"id": record_id, "success": True, "errors": [], "created": created}


def malformed(message: str) -> Refusal:
    """A body that cannot be read."""
    return Refusal(400, "JSON_PARSER_ERROR", message)


def no_session() -> Refusal:
    """The token is none, or no longer."""
    return Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")


def too_many_calls() -> Refusal:
    """The calls of a day are used up."""
    return Refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def locked() -> Refusal:
    """Another transaction has the record."""
    return Refusal(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records")


def not_found() -> Refusal:
    """There is no such record or resource."""
    return Refusal(404, "NOT_FOUND", "The requested resource does not exist")


def invalid() -> Refusal:
    """A rule of the owner of the CRM says no."""
    return Refusal(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "the order is not wanted here")
