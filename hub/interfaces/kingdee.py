"""Kingdee: interface tables, or the WebAPI of Cloud Galaxy (金蝶云星空)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from hub.groups import Database
from hub.interfaces.chosen import check
from hub.interfaces.http import Http

_NEEDED = ("url", "account", "user", "app_id", "app_secret")


class WebApi(Http):
    """The WebAPI; `url` ends before the service's name: `https://host/k3cloud`."""

    auth: Annotated[
        Literal["signature", "session"], Field(description="signed headers, or a login whose session is kept")
    ] = "signature"
    account: Annotated[str, Field(description="id of the data centre (账套)")] = ""
    user: Annotated[str, Field(description="name of the integration user")] = ""
    app_id: Annotated[
        str,
        Field(
            pattern=r"^([^_\s]+_[A-Za-z0-9+/]{32})?$",
            description="<client id>_<32 characters>, as the third-party login lists it",
        ),
    ] = ""
    app_secret: Annotated[SecretStr, Field(description="secret of the third-party login")] = SecretStr("")
    lcid: Annotated[int, Field(description="language of messages: 2052 is simplified Chinese")] = 2052
    org: Annotated[str, Field(description="number of the organisation that is logged in to")] = "100"
    field_map: Annotated[
        Path | None, Field(description="field map (TOML) in the place of the one that comes with the hub")
    ] = None
    batch: Annotated[int, Field(ge=1, le=100, description="bills in one call of BatchSave, Submit or Audit")] = 20
    page_rows: Annotated[int, Field(ge=1, le=2000, description="rows of one query; a row is a line of a bill")] = 2000
    version_field: Annotated[
        str,
        Field(
            pattern=r"^(F[A-Za-z0-9_]{1,60})?$",
            description="integer field in the heads of the bills, made for the hub; empty where there is none",
        ),
    ] = "F_HUB_VERSION"
    from_status: Annotated[
        Literal["pending_payment", "paid"], Field(description="from when on an order has a sales order")
    ] = "paid"
    outstock: Annotated[bool, Field(description="make an outstock (销售出库单) when it is shipped")] = True
    receivable: Annotated[
        bool, Field(description="make a receivable (应收单) of the outstock when it is completed")
    ] = True
    returns: Annotated[
        bool, Field(description="make a return (销售退货单) of what was shipped and is cancelled or refunded")
    ] = True
    outstock_rule: Annotated[str, Field(min_length=1, description="rule of conversion")] = "SaleOrder-OutStock"
    receivable_rule: Annotated[str, Field(min_length=1, description="rule of conversion")] = (
        "AR_OutStockToReceivableMap"
    )
    return_rule: Annotated[str, Field(min_length=1, description="rule of conversion")] = "OutStock-SalReturnStock"
    negative_stock: Annotated[bool, Field(description="let the audit of an outstock go below what is in stock")] = False
    listed: Annotated[
        str, Field(description="condition for the sales orders that the nightly comparison counts as the hub's")
    ] = "FNetOrderBillNo <> ''"


class Kingdee(Database):
    """How the hub speaks with Kingdee."""

    interface: Annotated[Literal["tables", "webapi"], Field(description="what the hub speaks with it")] = "tables"
    webapi: WebApi = WebApi()

    @model_validator(mode="after")
    def _can_be_spoken(self) -> Self:
        if self.interface == "webapi":
            check("HUB_SYSTEMS__KINGDEE__WEBAPI", self.webapi, _NEEDED)
        return self
