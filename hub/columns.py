"""What every table of the hub is made of: one metadata, serial numbers, order numbers, moments of writing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, String

from hub.database import UtcTime, now

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""A number that counts up by itself, on both databases."""


def order_no(**options: Any) -> Column[str]:
    """The number of an order."""
    return Column("order_no", String(64), **options)


def written_at(name: str = "recorded_at") -> Column[Any]:
    """The moment at which the row was written, by the database's clock."""
    return Column(name, UtcTime, nullable=False, default=now())
