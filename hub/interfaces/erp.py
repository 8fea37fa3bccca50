"""The ERP: interface tables (the fast path), 管家婆 (Grasp), or 用友 YonBIP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from hub.groups import Database
from hub.interfaces.chosen import check
from hub.interfaces.http import Http, Url


class Grasp(Http):
    """管家婆 or 章鱼侠, interface of self-built shops; `url` is that of its API: `http://apigateway.wsgjp.com.cn/api`."""

    app_key: Annotated[str, Field(description="appkey of the open platform")] = ""
    app_secret: Annotated[SecretStr, Field(description="32 characters; also the key of the token's cipher")] = (
        SecretStr("")
    )
    sign_key: Annotated[SecretStr, Field(description="signs each call")] = SecretStr("")
    shop_key: Annotated[str, Field(description="key of the self-built shop that the orders come from")] = ""
    prefix: Annotated[
        str, Field(pattern=r"^[a-z]+$", description="of the names of methods: beefun, or zyx for 章鱼侠")
    ] = "beefun"
    token: Annotated[SecretStr, Field(description="access token; or give refresh_token or auth_code")] = SecretStr("")
    refresh_token: Annotated[SecretStr, Field(description="renews the token without a person")] = SecretStr("")
    auth_code: Annotated[SecretStr, Field(description="of a login in a browser; good for one first token")] = SecretStr(
        ""
    )
    field_map: Annotated[
        Path | None, Field(description="statuses, articles and names of the query (TOML) where they are not the usual")
    ] = None
    with_receiver: Annotated[bool, Field(description="whether the ERP is shown who gets the parcel")] = False


class Yonbip(Http):
    """用友 YonBIP; `url` is that of the tenant's gateway: `https://yonbip.diwork.com/iuap-api-gateway`."""

    token_url: Annotated[
        Url | None, Field(description="of the tenant's token service: https://yonbip.diwork.com/iuap-api-auth")
    ] = None
    app_key: Annotated[str, Field(description="AppKey of the self-built app")] = ""
    app_secret: Annotated[SecretStr, Field(description="its AppSecret")] = SecretStr("")
    field_map: Annotated[
        Path | None, Field(description="organisation, customers, products, unit and tax (TOML); there is no usual one")
    ] = None


class Erp(Database):
    """How the hub speaks with the ERP."""

    interface: Annotated[Literal["tables", "grasp", "yonbip"], Field(description="what the hub speaks with it")] = (
        "tables"
    )
    grasp: Grasp = Grasp()
    yonbip: Yonbip = Yonbip()

    @model_validator(mode="after")
    def _can_be_spoken(self) -> Self:
        if self.interface == "grasp":
            needed = ("url", "app_key", "app_secret", "sign_key", "shop_key", ("token", "refresh_token", "auth_code"))
            check("HUB_SYSTEMS__ERP__GRASP", self.grasp, needed)
            if len(self.grasp.app_secret.get_secret_value()) != 32:
                raise ValueError("HUB_SYSTEMS__ERP__GRASP__APP_SECRET must have 32 characters")
        if self.interface == "yonbip":
            keys = ("url", "token_url", "app_key", "app_secret", "field_map")
            check("HUB_SYSTEMS__ERP__YONBIP", self.yonbip, keys)
        return self
