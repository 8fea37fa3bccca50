"""What a row of a company's own OMS means: the next version of its order, or why it cannot be taken. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import ValidationError

from hub.errors import HubError
from hub.oms.orders import Act, Changed, Content
from hub.schemas.json_text import refuse_ambiguous
from hub.schemas.lifecycle import TRANSITIONS, Role, Transition
from hub.schemas.order import Change, NewOrder, Order, Status, Strict, Version, lines_total
from hub.schemas.registry import describe
from hub.schemas.text import Code, Moment, Note

ACTOR = "own-oms"

_KEY = re.compile(r"[a-z][a-z_]{0,39}")

_FIXED = ("channel", "shop", "channel_order_no", "currency")
"""What an order keeps for life: topics are bound by it, and systems know the order by it."""


class Reason(StrEnum):
    """Why a row is kept and not taken: a closed set, for metrics and for `hub intake list`."""

    INVALID = "invalid"
    """A field is wrong; the detail names it."""
    STEP = "step"
    """The change may not follow the order's status."""
    FIXED = "fixed"
    """Channel, shop, the shop's number or the currency is another than before."""
    TAKEN = "taken"
    """The shop's number is that of another order."""
    CONFLICT = "conflict"
    """The hub has this version already, and it says something else."""
    GAP = "gap"
    """The version before it has not come."""
    UNWRITABLE = "unwritable"
    """The database would not have it."""


class RowRefused(HubError):
    """A row cannot be taken as it is; `reason` says which kind, the message names the field."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Row:
    """A row of `oms_outbox`; `body` is JSON text. On SQLite `occurred_at` may be any text."""

    id: int
    order_no: str
    version: int
    change: str
    body: str
    reason: str | None
    occurred_at: datetime | str | None
    recorded_at: datetime


@dataclass(frozen=True)
class Said:
    """What a row says, checked field by field."""

    row: Row
    change: Change
    moment: datetime
    content: NewOrder

    @property
    def digest(self) -> str:
        """SHA-256 over change, reason and content: equal where a version comes again as it was."""
        told = [str(self.change), self.row.reason, self.content.model_dump(mode="json", exclude_defaults=True)]
        plain = json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(plain.encode()).hexdigest()}"


class _Head(Strict):
    order_no: Code
    version: Version
    change: Change
    reason: Note | None
    occurred_at: Moment | None


def read(row: Row) -> Said:
    """What the row says; RowRefused where a field of it is wrong."""
    try:
        head = _Head(
            order_no=row.order_no,
            version=row.version,
            change=_change_of(row),
            reason=row.reason,
            occurred_at=row.occurred_at,  # type: ignore[arg-type] # text becomes a moment, or is refused
        )
        content = NewOrder.model_validate_json(row.body)
        refuse_ambiguous(row.body.encode())
    except ValidationError as error:
        raise RowRefused(Reason.INVALID, _told(error)) from None
    except ValueError as error:
        raise RowRefused(Reason.INVALID, f"body: {error}") from None
    return Said(row, head.change, head.occurred_at or row.recorded_at, content)


def following(said: Said, present: Order | None) -> Changed:
    """The version that a row makes of the order as it stands; RowRefused where the table or the order forbids it."""
    step = _step(said, present.status if present else None)
    if present is not None:
        _keep_fixed(said.content, present)
    order = Order(
        **{name: getattr(said.content, name) for name in NewOrder.model_fields},
        order_no=said.row.order_no,
        version=said.row.version,
        status=step.target,
        total=lines_total(said.content.lines),
        placed_at=present.placed_at if present else said.moment,
        changed_at=said.moment,
    )
    act = Act(ACTOR, Role.ADMIN, said.digest, said.row.reason, said.moment)
    return Changed(order, step, present.status if present else None, act, _content(order, present))


def _told(error: ValidationError) -> str:
    """What is wrong, field by field. A key of somebody's own making may be a name or a number: it is not repeated."""
    told = describe(error)
    found = error.errors(include_url=False, include_input=False, include_context=False)
    keys = {str(each["loc"][-1]) for each in found if each["type"] == "extra_forbidden"}
    # The longest first: one may be the beginning of another.
    for key in sorted(keys, key=len, reverse=True):
        if key and not _KEY.fullmatch(key):
            told = told.replace(key, "a key")
    return told


def _change_of(row: Row) -> Change:
    try:
        return Change(row.change)
    except ValueError:
        raise RowRefused(Reason.INVALID, f"change: must be one of {', '.join(Change)}") from None


def _step(said: Said, status: Status | None) -> Transition:
    rows = [row for row in TRANSITIONS if row.change is said.change]
    here = next((row for row in rows if status in row.sources), None)
    if here is None:
        sources = ", ".join(str(source or "no order") for row in rows for source in row.sources)
        leads = f"{said.change} leads from {sources} to {rows[0].target}"
        raise RowRefused(Reason.STEP, f"change: {leads}, and this order is {status or 'not there yet'}")
    if here.needs_reason and not (said.row.reason or "").strip():
        raise RowRefused(Reason.INVALID, f"reason: {said.change} needs one; say why in a few words")
    return here


def _keep_fixed(content: NewOrder, present: Order) -> None:
    for name in _FIXED:
        before, after = getattr(present, name), getattr(content, name)
        if before != after:
            raise RowRefused(Reason.FIXED, f"{name}: is {before} since version 1 and cannot become {after}")


def _content(order: Order, present: Order | None) -> Content:
    same = present is not None and all(getattr(order, name) == getattr(present, name) for name in NewOrder.model_fields)
    return Content.KEPT if same or present is None else Content.REPLACED
