"""The field map of 管家婆 (Grasp): its numbers for statuses, its ids of articles, and what a query is called."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from hub.interfaces.map_file import MapPart
from hub.interfaces.words import STATUSES

Trade = Annotated[str, Field(pattern=r"^[0-9]{1,2}/[0-2]$")]
"""TradeStatus and RefundStatus: `2/0` is paid, and nobody wants his money back."""

_USUAL = {
    "pending_payment": "1/0",
    "paid": "2/0",
    "picking": "2/0",
    "shipped": "3/0",
    "completed": "4/0",
    "cancelled": "5/0",
    "intercepted": "2/1",
    "refunded": "5/2",
}


class QueryNames(MapPart):
    """What the parameters of `querysaleorder` are called; the vendor's pages do not tell."""

    numbers: Annotated[str, Field(min_length=1)] = "tradeids"
    after: Annotated[str, Field(min_length=1)] = "aftertradeid"


class FieldMap(MapPart):
    """Everything together. An article that is not named in `products` has its SKU as its id."""

    status: dict[str, Trade] = {}  # noqa: RUF012 - pydantic copies it
    products: dict[str, Annotated[str, Field(min_length=1, max_length=64)]] = {}  # noqa: RUF012
    query: QueryNames = QueryNames()

    @model_validator(mode="after")
    def _knows_statuses(self) -> Self:
        if strange := sorted(self.status.keys() - set(STATUSES)):
            raise ValueError(f"status: {strange[0]!r} is no status; one of {', '.join(STATUSES)}")
        if len(set(self.products.values())) < len(self.products):
            raise ValueError("products: two SKUs have the same id; then no line could be read back")
        return self

    @property
    def trades(self) -> dict[str, str]:
        """The pair of numbers for each status."""
        return _USUAL | self.status

    @property
    def statuses(self) -> dict[str, str]:
        """The status that a pair of numbers means; of several the first that an order can have."""
        return {pair: status for status, pair in reversed(self.trades.items())}
