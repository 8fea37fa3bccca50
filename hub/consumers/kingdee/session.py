"""Who the hub is at Kingdee, for each call: signed headers, or a session that all threads share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hub import clock
from hub.calls.client import Call, Client
from hub.consumers.token import Token
from hub.interfaces.kingdee import WebApi
from hub.vendors.kingdee.answers import session
from hub.vendors.kingdee.envelopes import login_body, login_url
from hub.vendors.kingdee.signing import Identity, session_headers, signed_headers


class Access(Protocol):
    """A way to be known to Kingdee."""

    def headers(self, url: str, until: float) -> Mapping[str, str]:
        """The headers of one call to `url`; may log in, and raises what a call raises."""
        ...

    def lost(self, headers: Mapping[str, str]) -> None:
        """Kingdee does not know these headers any more."""
        ...


def access_of(settings: WebApi, client: Client) -> Access:
    """The way that the settings name."""
    identity = Identity(
        settings.account,
        settings.user,
        settings.app_id,
        settings.app_secret.get_secret_value(),
        settings.lcid,
        settings.org,
    )
    return Signature(identity) if settings.auth == "signature" else Session(identity, str(settings.url), client)


class Signature:
    """Every call is signed by itself; nothing is kept."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def headers(self, url: str, until: float) -> Mapping[str, str]:  # noqa: ARG002 - nothing is called
        """Signed at this moment."""
        return signed_headers(self._identity, url, _seconds())

    def lost(self, headers: Mapping[str, str]) -> None:
        """The next call is signed anew anyway."""


class Session:
    """One login for all threads, begun when it is needed and again once it is lost."""

    def __init__(self, identity: Identity, server: str, client: Client) -> None:
        self._identity = identity
        self._server = server
        self._client = client
        self._token = Token(self._begun)

    def headers(self, url: str, until: float) -> Mapping[str, str]:  # noqa: ARG002 - the same for every call
        """Those of the session that is kept. Threads that come meanwhile wait for one login."""
        return self._token.present()

    def lost(self, headers: Mapping[str, str]) -> None:
        """Forget the session, unless another thread has begun a new one since."""
        self._token.forget(headers)

    def _begun(self, _lost: Mapping[str, str] | None) -> Mapping[str, str]:
        call = Call("LoginBySign", login_url(self._server), login_body(self._identity, _seconds()), _JSON)
        return session_headers(self._client.send(call, session))


_JSON = {"Content-Type": "application/json; charset=utf-8"}


def _seconds() -> int:
    return int(clock.utcnow().timestamp())
