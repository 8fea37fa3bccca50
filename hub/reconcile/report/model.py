"""The report as data: everything that any rendering shows, and nothing that only one of them needs.

Amounts are fen of a currency, moments aware, counts plain. `report.json` is this document; its JSON Schema is published
beside the schemas of the events.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from hub.reconcile.causes import Cause, Owner, Severity
from hub.reconcile.compare import Kind
from hub.schemas.order import Status, Strict

Count = Annotated[int, Field(ge=0)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="business day in the time zone of the report")]
SystemName = Annotated[str, Field(description="crm, kingdee, wms or erp")]


class Amount(Strict):
    """So many fen of a currency."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    fen: int


class RunFacts(Strict):
    """Which run this is. With the times of `Coverage` it is all that differs when nothing else does."""

    id: Count
    day: Day
    tz: str
    cut: Annotated[AwareDatetime, Field(description="only versions committed before it were compared")]
    started_at: AwareDatetime
    finished_at: AwareDatetime
    scope: Annotated[str, Field(description="`everything`, or what was asked for instead")]
    heal: Literal["off", "dry-run", "on"]
    rules: Annotated[str, Field(description="version of the field rules")]
    hub: Annotated[str, Field(description="release of the hub")]


class Before(Strict):
    """What the run before this one said, for comparison."""

    day: Day
    orders: Count
    amounts: list[Amount]
    people: Count


class Verdict(Strict):
    """The one sentence, as figures. `incomplete` wins over everything: what was not read is not equal."""

    state: Literal["clean", "differences", "incomplete"]
    compared: Annotated[int, Field(ge=0, description="orders of the OMS at the cut")]
    orders: Annotated[int, Field(ge=0, description="orders that differ anywhere, accepted ones left out")]
    amounts: Annotated[list[Amount], Field(description="what those orders are worth, by currency")]
    people: Annotated[int, Field(ge=0, description="findings that a person must settle")]
    healing: Annotated[int, Field(ge=0, description="findings brought on their way to be equal tonight")]
    healed: Annotated[int, Field(ge=0, description="findings of earlier nights that are equal now")]
    unexplained: Annotated[int, Field(ge=0, description="findings whose cause is unknown")]
    unread: Annotated[list[SystemName], Field(description="systems that could not be read")]
    before: Before | None


class Rules(Strict):
    """What was compared at a system and how."""

    fields: list[str]
    not_kept: list[str]
    mapped: list[str]
    tolerances: dict[str, int]
    folded: Annotated[
        list[str], Field(default_factory=list, description="fields of which the system cannot tell every word apart")
    ]
    may_lack: Annotated[
        list[Status], Field(default_factory=list, description="orders in these statuses may be missing there")
    ]
    may_stay: Annotated[
        list[Status],
        Field(default_factory=list, description="orders in these statuses may stay, there, in one that they had"),
    ]


class Coverage(Strict):
    """The proof that a zero is one: what was read of a system, and how."""

    system: SystemName
    state: Literal["read", "failed"]
    error: str | None
    oms_orders: Count
    system_orders: Count
    equal: Count
    different: Count
    lacking: Annotated[int, Field(ge=0, description="orders that the system has not and need not have")] = 0
    later: Annotated[int, Field(ge=0, description="orders that changed after the cut; the next run has them")]
    method: Annotated[str, Field(description="`digests` of buckets first, or `rows` only, or `asked` number by number")]
    asked_since: Annotated[
        AwareDatetime | None,
        Field(description="a system that lists no orders was asked for those changed since then; the others were not"),
    ] = None
    rows_read: Count
    seconds: Annotated[float, Field(ge=0)]
    rules: Rules


class FieldDifference(Strict):
    """One field on which the OMS and a system do not agree, both values as people read them."""

    field: str
    oms: str | None
    system: str | None


class Acceptance(Strict):
    """Somebody said that a difference may stay for a while."""

    by: str
    reason: str
    until: AwareDatetime


class Finding(Strict):
    """One difference with its one cause."""

    key: Annotated[str, Field(description="the same on every night")]
    system: SystemName
    order_no: str
    channel: str
    shop: str
    channel_order_no: str
    kind: Kind
    cause: Cause
    severity: Severity
    owner: str
    owner_group: Owner
    state: Literal["open", "healing", "healed", "accepted", "closed"]
    amount: Amount
    oms_version: int | None
    system_version: int | None
    fields: list[FieldDifference]
    evidence: Annotated[
        dict[str, str], Field(description="what proves the cause, by name: event_id, outbox_id, error, applied_at …")
    ]
    first_seen: AwareDatetime
    last_seen: AwareDatetime
    nights: Annotated[int, Field(ge=1)]
    is_new: Annotated[bool, Field(description="not seen by the run before")]
    heals: Annotated[int, Field(ge=0, description="how often it was healed so far")]
    needs_person: bool
    due_at: AwareDatetime | None
    note: str | None
    accepted: Acceptance | None


class Cell(Strict):
    """One system and one kind of difference."""

    system: SystemName
    kind: Kind
    orders: Count
    amounts: list[Amount]
    new: Count
    carried: Count
    gone: Annotated[int, Field(ge=0, description="seen by the run before and not any more")]
    change: Annotated[int | None, Field(description="orders more than in the run before")]
    trend: Annotated[list[int | None], Field(description="orders on the last seven days, oldest first; None: no run")]


class Age(Strict):
    """Open findings of one owner by how many nights they have been open."""

    owner: str
    nights_1: Count
    nights_2_3: Count
    nights_4_7: Count
    nights_over_7: Count


class Quality(Strict):
    """What the comparison could not judge, or what makes it less sure."""

    dead_letters_open: Count
    held_in_outbox: Count
    parked: dict[str, int]
    accepted: Count
    accepted_expiring: Annotated[int, Field(ge=0, description="accepted differences that run out within seven days")]
    would_heal: Annotated[
        dict[str, int], Field(description="per system: safe findings that a run with healing would have put right")
    ]
    heal_capped: Annotated[dict[str, int], Field(description="per system: safe findings left for the next night")]


class Report(Strict):
    """One run of the nightly comparison."""

    schema_version: Literal["1"] = "1"
    run: RunFacts
    verdict: Verdict
    todo: Annotated[
        list[str], Field(max_length=10, description="keys of findings: what to do today, first things first")
    ]
    coverage: list[Coverage]
    matrix: list[Cell]
    ages: list[Age]
    findings: Annotated[list[Finding], Field(description="all that are not closed, grouped by cause")]
    healed: Annotated[list[Finding], Field(description="equal again since the run before, with the evidence")]
    quality: Quality

    @model_validator(mode="after")
    def _todo_is_among_the_findings(self) -> Self:
        if strange := set(self.todo) - {finding.key for finding in self.findings}:
            raise ValueError(f"todo names {min(strange)!r}, which is no finding of this report")
        return self
