"""What every interface over HTTP is set by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from hub.groups import Group, Seconds
from hub.interfaces import addresses


def plain_url(text: str) -> str:
    """A base URL that leads to one host and carries no secret; without a slash at its end."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is no URL; give one such as https://erp.example.com/api") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", text):
        raise ValueError("must begin with https:// or http:// and name a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must have no user, no query and no fragment; secrets have settings of their own")
    return text.rstrip("/")


Url = Annotated[str, AfterValidator(plain_url)]


class Http(Group):
    """Where an interface is and how patient the hub is with it."""

    url: Annotated[Url | None, Field(description="base address, without user, query and secrets")] = None
    connect_seconds: Annotated[Seconds, Field(description="patience with connecting")] = 5
    read_seconds: Annotated[float, Field(gt=0, description="longest silence in the middle of an answer")] = 15
    total_seconds: Annotated[float, Field(gt=0, description="a whole call, from connecting to the last byte")] = 25
    max_answer_bytes: Annotated[int, Field(ge=1024, description="a longer answer is no answer")] = 16 * 1024 * 1024
    calls_per_second: Annotated[
        float | None, Field(gt=0, description="calls of one process; unlimited unless given")
    ] = None
    calls_burst: Annotated[int, Field(ge=1, description="calls that may go at once after a quiet time")] = 5
    ca_file: Annotated[Path | None, Field(description="certificates (PEM) to trust in the place of the usual ones")] = (
        None
    )
    plain_http: Annotated[bool, Field(description="http:// also to public addresses; without TLS, all can read it")] = (
        False
    )

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        """An address in the URL is judged at once; a name when it is connected to."""
        parts = urlsplit(self.url or "")
        address = addresses.literal(parts.hostname or "")
        if address and (refusal := addresses.refusal(address, parts.scheme == "http", self.plain_http)):
            raise ValueError(f"url: {refusal}")
        return self
