"""Callbacks to the hub: kept in the store until they are acknowledged, sent by a thread of their own.

An acknowledgement is `flag=success`; without one a callback is sent again, each time after twice the wait.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from pydantic import Field

from hub import clock
from hub.schemas.order import Strict
from hub.simulators.qimen import xml
from hub.simulators.qimen.reports import Report
from hub.simulators.qimen.rules import Account, Seconds, Sending
from hub.simulators.qimen.signature import sign
from hub.simulators.qimen.times import wall_clock
from hub.simulators.qimen.timetable import Timetable
from hub.simulators.store import Document, Request, Store

_KIND = "callback"
_NOWHERE_SECONDS = 1.0
_HEADERS = {"Content-Type": "text/xml; charset=utf-8"}


class Manner(Strict):
    """How one step's callbacks are sent where it differs from the rule."""

    copies: Annotated[int, Field(ge=1, le=10)] | None = None
    late_seconds: Seconds | None = None
    forged: bool | None = None


@dataclass
class Callback:
    """A report on its way; `copies` is how often it must still be acknowledged, `due` in seconds since 1970."""

    method: str
    order: str
    step: str
    out_biz_code: str | None
    body: str
    due: float
    copies: int
    forged: bool
    attempts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """How many attempts had no acknowledgement."""
        return sum(attempt["said"] != "success" for attempt in self.attempts)


class Callbacks:
    """The queue of callbacks and the thread that sends them to `url`; without a URL they wait for one."""

    def __init__(self, store: Store, account: Account, url: str | None) -> None:
        self.sending = Sending()
        self.url = url
        self._store = store
        self._account = account
        self._timetable = Timetable("callbacks", self._send)
        # The receiver is near; a proxy of the environment is not meant.
        self._client = httpx2.Client(trust_env=False)

    def start(self) -> None:
        """Go on with what was not acknowledged before."""
        with self._store.request() as transaction:
            kept = transaction.all(_KIND)
        for document in kept:
            if document.content["copies"]:
                self.announce(document)
        self._timetable.start()

    def stop(self) -> None:
        """End after the attempt that is being made."""
        self._timetable.stop()
        self._client.close()

    def put(self, transaction: Request, report: Report, manner: Manner) -> Document:
        """Keep a report with what it tells of; `announce` it once that is committed."""
        rule = self.sending
        late = rule.late_seconds if report.step in rule.late else 0
        callback = Callback(
            **(asdict(report) | {"body": report.body.decode()}),
            due=clock.utcnow().timestamp() + (late if manner.late_seconds is None else manner.late_seconds),
            copies=manner.copies or rule.copies,
            forged=rule.forged if manner.forged is None else manner.forged,
        )
        return transaction.create(_KIND, clock.uuid7().hex, asdict(callback))

    def announce(self, document: Document) -> None:
        """Let it be sent when it is due."""
        self._timetable.add(str(document.serial), document.content["due"])

    def shown(self) -> list[dict[str, Any]]:
        """Every callback with its attempts, in the order in which they came about."""
        with self._store.request() as transaction:
            kept = transaction.all(_KIND)
        return [{key: value for key, value in document.content.items() if key != "body"} for document in kept]

    def _send(self, name: str) -> float | None:
        if self.url is None:
            return clock.utcnow().timestamp() + _NOWHERE_SECONDS
        with self._store.request() as transaction:
            document = transaction.at(_KIND, int(name))
        if document is None or not document.content["copies"]:
            return None
        callback = Callback(**document.content)
        self._note(callback, self._attempt(self.url, callback))
        document.content = asdict(callback)
        with self._store.request() as transaction:
            transaction.keep(document)
        return callback.due if callback.copies else None

    def _note(self, callback: Callback, said: str) -> None:
        now = clock.utcnow()
        callback.attempts.append({"at": now.isoformat(), "said": said})
        if said == "success":
            callback.copies -= 1
            callback.due = now.timestamp()
            return
        wait = self.sending.repeat_seconds * 2.0 ** min(callback.failures - 1, 30)
        callback.due = now.timestamp() + min(wait, self.sending.most_seconds)

    def _attempt(self, url: str, callback: Callback) -> str:
        body = callback.body.encode()
        forged = callback.forged and not callback.attempts
        query = self._query(url, callback.method, body, "forged" if forged else self._account.secret)
        address = urlsplit(url)._replace(query="").geturl()
        try:
            answer = self._client.post(
                address, params=query, content=body, headers=_HEADERS, timeout=self.sending.ack_seconds
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return f"no answer: {type(error).__name__}"
        return _said(answer)

    def _query(self, url: str, method: str, body: bytes, secret: str) -> dict[str, str]:
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)) | {
            "method": method,
            "timestamp": wall_clock(),
            "format": "xml",
            "app_key": self._account.app_key,
            "v": "2.0",
            "sign_method": "md5",
            "customerId": self._account.customer_id,
        }
        return query | {"sign": sign(secret, query, body)}


def _said(answer: httpx2.Response) -> str:
    response = xml.read(answer.content, "response")
    if response is None:
        return f"no acknowledgement: HTTP {answer.status_code}"
    return xml.said(response, "flag") or "no flag"
