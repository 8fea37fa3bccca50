"""Records of several orders in one call of a collection, and what that comes to for each order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hub.calls.client import About
from hub.consumers.in_turn import in_turn
from hub.errors import Rejected, SystemFailure
from hub.vendors.crm_records import Record
from hub.vendors.crm_rest import MOST_RECORDS, Row

Outcome = Row | SystemFailure
Written = Mapping[str, Outcome]
"""What became of each order's records; of several the failure counts."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is written, by which external id, and whether one bad record keeps out the others."""

    object: str
    external_id: str
    all_or_none: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Records of one order that go together; no more than fit into a call."""

    about: About
    records: Sequence[Record]


Upsert = Callable[[Sequence[Part]], list[Row]]


def written(upsert: Upsert, parts: Sequence[Part], until: float) -> Written:
    """Write all parts in as few calls as can be; an order that is refused is tried alone, so it holds up no other."""
    groups = list(_groups(parts))
    results = in_turn(groups, partial(_group_written, upsert, until=until), until)
    found: dict[str, Outcome] = {}
    for group, result in zip(groups, results, strict=True):
        outcomes = [result] * len(group) if isinstance(result, SystemFailure) else result
        for part, outcome in zip(group, outcomes, strict=True):
            if not isinstance(found.get(part.about.order_no), SystemFailure):
                found[part.about.order_no] = outcome
    return found


def _groups(parts: Sequence[Part]) -> Iterator[list[Part]]:
    group: list[Part] = []
    size = 0
    for part in parts:
        if group and size + len(part.records) > MOST_RECORDS:
            yield group
            group, size = [], 0
        group.append(part)
        size += len(part.records)
    if group:
        yield group


def _group_written(upsert: Upsert, group: Sequence[Part], until: float) -> list[Outcome]:
    try:
        rows = iter(upsert(group))
    except Rejected as failure:
        return [failure] if len(group) == 1 else _alone(upsert, group, until)
    each = [[next(rows) for _ in part.records] for part in group]
    if len(group) > 1 and any(row.rolled_back for found in each for row in found):
        return _alone(upsert, group, until)
    return [_outcome(found) for found in each]


def _alone(upsert: Upsert, group: Sequence[Part], until: float) -> list[Outcome]:
    results = in_turn([[part] for part in group], partial(_group_written, upsert, until=until), until)
    return [result if isinstance(result, SystemFailure) else result[0] for result in results]


def _outcome(rows: Sequence[Row]) -> Outcome:
    """The first failure that is not another record's, else the first row."""
    failed = [row for row in rows if row.failure]
    own = next((row for row in failed if not row.rolled_back), None) or next(iter(failed), None)
    return own.failure if own and own.failure else rows[0]
