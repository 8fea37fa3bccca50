"""The WMS: interface tables, or Qimen (奇门)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from hub.groups import Database, Group, Seconds
from hub.interfaces.chosen import check
from hub.interfaces.http import Http


def _pairs(given: str) -> str:
    for each in _each(given):
        ours, equals, theirs = each.partition("=")
        if not (ours.strip() and equals and theirs.strip()):
            raise ValueError(f"{each[:40]!r} is no pair; write them such as ours=theirs,other=another")
    return given


def _each(given: str) -> list[str]:
    return [each for each in given.split(",") if each.strip()]


def pairs(given: str) -> dict[str, str]:
    """Pairs written as `ours=theirs,other=another`."""
    return {ours.strip(): theirs.strip() for ours, _, theirs in (each.partition("=") for each in _each(given))}


Pairs = Annotated[str, AfterValidator(_pairs)]
"""Pairs of names, written as `ours=theirs,other=another`."""


class Sender(Group):
    """Who stands on the parcel as its sender; Qimen wants all of it."""

    name: Annotated[str, Field(description="name")] = ""
    mobile: Annotated[str, Field(description="phone")] = ""
    province: Annotated[str, Field(description="province")] = ""
    city: Annotated[str, Field(description="city")] = ""
    address: Annotated[str, Field(description="street and number")] = ""


class Qimen(Http):
    """A warehouse behind Qimen; `url` is that of the service: `https://qimen.api.taobao.com/router/qimen/service`."""

    app_key: Annotated[str, Field(description="app_key of the hub at Qimen")] = ""
    secret: Annotated[SecretStr, Field(description="signs what the hub sends, and proves what the warehouse sends")] = (
        SecretStr("")
    )
    customer_id: Annotated[str, Field(description="customerId of the merchant at this WMS")] = ""
    owner: Annotated[str, Field(description="code of the owner of the goods (货主)")] = ""
    warehouse: Annotated[str, Field(description="code of the warehouse of orders that name none")] = "OTHER"
    warehouses: Annotated[
        Pairs, Field(description="the WMS's codes of warehouses that are named otherwise in the OMS")
    ] = ""
    sender: Sender = Sender()
    logistics_code: Annotated[str, Field(min_length=1, description="carrier; OTHER leaves it to the warehouse")] = (
        "OTHER"
    )
    shops: Annotated[
        Pairs, Field(description="names of shops: tmall/main=…; the shop's own word in the OMS unless given")
    ] = ""
    platforms: Annotated[Pairs, Field(description="platform codes of channels that the hub does not know")] = ""
    create_shipped: Annotated[
        bool,
        Field(
            description="create a delivery order also for an order that is shipped already; the goods may leave twice"
        ),
    ] = False
    callback_window_seconds: Annotated[
        Seconds, Field(description="how far the clock of a callback may be from ours")
    ] = 600


_NEEDED = (
    "url",
    "app_key",
    "secret",
    "customer_id",
    "owner",
    "sender.name",
    "sender.mobile",
    "sender.province",
    "sender.city",
    "sender.address",
)


class Wms(Database):
    """How the hub speaks with the WMS."""

    interface: Annotated[Literal["tables", "qimen"], Field(description="what the hub speaks with it")] = "tables"
    qimen: Qimen = Qimen()

    @model_validator(mode="after")
    def _can_be_spoken(self) -> Self:
        if self.interface == "qimen":
            check("HUB_SYSTEMS__WMS__QIMEN", self.qimen, _NEEDED)
        return self
