"""What Kingdee shows of an order: its sales order, and what has been pushed from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum

from hub.schemas.order import Status
from hub.vendors.kingdee.envelopes import Form


class Stage(IntEnum):
    """How far a bill has come: 创建 and 重新审核, 审核中, 已审核."""

    SAVED = 1
    SUBMITTED = 2
    AUDITED = 3


STAGES = {"Z": Stage.SAVED, "A": Stage.SAVED, "D": Stage.SAVED, "B": Stage.SUBMITTED, "C": Stage.AUDITED}
"""What `FDocumentStatus` means."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One bill. `version` is what the hub has written into it, 0 for nothing; `sources` are what it was pushed from."""

    id: str
    number: str
    stage: Stage
    version: int = 0
    cancelled: bool = False
    frozen: bool = False
    sources: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether what it stands for has really happened."""
        return self.stage is Stage.AUDITED and not self.cancelled and not self.frozen


@dataclass(frozen=True, slots=True)
class SaleLine:
    """A line of a sales order; the price with tax in fen, which may have a fraction there."""

    material: str
    quantity: Decimal
    price: Decimal
    stock: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a sales order says."""

    channel_order_no: str
    currency: str
    lines: tuple[SaleLine, ...]


@dataclass(frozen=True, slots=True)
class State:
    """The bills of one order; of those that are pushed, cancelled ones are left out."""

    sale: Bill | None = None
    content: Content | None = None
    outstocks: tuple[Bill, ...] = ()
    receivables: tuple[Bill, ...] = ()
    returns: tuple[Bill, ...] = ()

    def of(self, form: Form) -> tuple[Bill, ...]:
        """The bills of one form."""
        if form is Form.SALE:
            return (self.sale,) if self.sale else ()
        return {Form.OUTSTOCK: self.outstocks, Form.RECEIVABLE: self.receivables, Form.RETURN: self.returns}[form]

    @property
    def bills(self) -> tuple[Bill, ...]:
        """All of them."""
        return tuple(bill for form in Form for bill in self.of(form))


NOTHING = State()


def shown(state: State) -> int:
    """The version that is shown at least: of bills whose effect is there. 0 where none says so."""
    return max((bill.version for bill in state.bills if bill.counts), default=0)


def newest(state: State) -> int:
    """The newest version that was ever begun there."""
    return max((bill.version for bill in state.bills), default=0)


def status_of(state: State) -> Status:
    """The status that the bills come to, in the OMS's word; `cancelled` stands for all that was never sent."""
    assert state.sale is not None  # noqa: S101 - for the type checker: an order without one is not shown
    if state.sale.cancelled:
        return Status.CANCELLED
    if _any_audited(state.returns):
        return Status.REFUNDED
    if state.sale.frozen:
        return Status.INTERCEPTED
    if state.sale.stage is not Stage.AUDITED:
        return Status.PENDING_PAYMENT
    if _any_audited(state.receivables):
        return Status.COMPLETED
    return Status.SHIPPED if _any_audited(state.outstocks) else Status.PAID


def _any_audited(bills: tuple[Bill, ...]) -> bool:
    return any(bill.stage is Stage.AUDITED for bill in bills)
