"""The CRM: interface tables, a REST interface that upserts by external id, or 纷享销客 (Fxiaoke)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from hub.groups import Database
from hub.interfaces.chosen import check
from hub.interfaces.http import Http


class Rest(Http):
    """A CRM in the style of Salesforce; `url` is that of the instance."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]{2,3}\.0$", description="version in the paths")] = "v60.0"
    token: Annotated[SecretStr, Field(description="an access token; or give client id and secret")] = SecretStr("")
    client_id: Annotated[str, Field(description="of the connected app, where no token is given")] = ""
    client_secret: Annotated[SecretStr, Field(description="of the same")] = SecretStr("")
    field_map: Annotated[
        Path | None,
        Field(description="objects, fields and words for statuses (TOML) where they are not the usual ones"),
    ] = None
    with_receiver: Annotated[bool, Field(description="whether the CRM is shown who gets the parcel")] = False


class Fxiaoke(Http):
    """纷享销客; `url` is https://open.fxiaoke.com."""

    app_id: Annotated[str, Field(description="AppId of the self-built app")] = ""
    app_secret: Annotated[SecretStr, Field(description="its AppSecret")] = SecretStr("")
    permanent_code: Annotated[SecretStr, Field(description="its permanent code (永久授权码)")] = SecretStr("")
    user_id: Annotated[str, Field(description="in whose name records are written; 1000 is the system itself")] = "1000"
    field_map: Annotated[
        Path | None, Field(description="objects, fields, words and products (TOML) where they are not the usual ones")
    ] = None
    with_receiver: Annotated[bool, Field(description="whether the CRM is shown who gets the parcel")] = False


class Crm(Database):
    """How the hub speaks with the CRM."""

    interface: Annotated[Literal["tables", "rest", "fxiaoke"], Field(description="what the hub speaks with it")] = (
        "tables"
    )
    rest: Rest = Rest()
    fxiaoke: Fxiaoke = Fxiaoke()

    @model_validator(mode="after")
    def _can_be_spoken(self) -> Self:
        if self.interface == "rest":
            check("HUB_SYSTEMS__CRM__REST", self.rest, ("url", ("token", "client_id"), ("token", "client_secret")))
        if self.interface == "fxiaoke":
            check("HUB_SYSTEMS__CRM__FXIAOKE", self.fxiaoke, ("url", "app_id", "app_secret", "permanent_code"))
        return self
