"""One HTTP client for every interface: deadlines, limits, a rate of calls, and a record of each.

Nothing is tried twice here: whether and when to try again is the ledger's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from hub import clock, logs, metrics
from hub.calls.bucket import Bucket
from hub.calls.guard import Guard, Lookup, by_system
from hub.calls.masking import Masker
from hub.calls.record import About, Answered, Outcome, Record, Sent
from hub.calls.transport import Limits, Request, Transport
from hub.errors import (
    Busy,
    CredentialsRefused,
    HubError,
    OutcomeUnknown,
    Postponed,
    Rejected,
    SystemFailure,
    Unreachable,
)
from hub.interfaces.http import Http
from hub.vendors.answers import Answer

__all__ = ["About", "Call", "Client"]

T = TypeVar("T")

_log = logs.get("calls")
_OUTCOMES: tuple[tuple[type[Exception], Outcome], ...] = (
    (Unreachable, "unreachable"),
    (Postponed, "unreachable"),
    (Busy, "busy"),
    (CredentialsRefused, "credentials"),
    (Rejected, "rejected"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `step` is what it does, in the vendor's word; `form` is how bodies are written, for masking.

    `params` make the query, and `url` has none. `about` is for the record.
    """

    step: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    method: Literal["GET", "POST", "PATCH"] = "POST"
    form: Literal["json", "xml", "urlencoded"] = "json"
    about: Sequence[About] = ()


class Client:
    """Calls one system, from many threads at once: as many as it has connections, and as often as the settings say.

    `shown` are the names of the vendor's fields whose values may be kept in the record of calls; see `masking`.
    """

    def __init__(  # noqa: PLR0913 - what one system needs, each by its name
        self,
        system: str,
        settings: Http,
        *,
        shown: frozenset[str] = frozenset(),
        record: Record | None = None,
        most_connections: int = 4,
        lookup: Lookup = by_system,
    ) -> None:
        self.system = system
        self._masker, self._record = Masker(shown), record
        self._bucket = Bucket(settings.calls_per_second, settings.calls_burst)
        limits = Limits(
            connect_seconds=settings.connect_seconds,
            read_seconds=settings.read_seconds,
            total_seconds=settings.total_seconds,
            most_bytes=settings.max_answer_bytes,
            most_connections=most_connections,
        )
        self._transport = Transport(system, limits, Guard(settings.plain_http, lookup), settings.ca_file)

    def send(self, call: Call, read: Callable[[Answer], T], until: float = math.inf) -> T:
        """Call once and return what `read` makes of the answer, or raise what it raises.

        `read` is the vendor's pure judgement: it returns where the call did what it should, else raises a
        SystemFailure. Unreachable where the call never left; OutcomeUnknown where no whole answer came; Postponed
        where its turn does not come before `until` (`clock.monotonic`). A call that began has its own deadline.
        DependencyDown where it cannot be recorded, and then it does not leave.
        """
        self._bucket.take(until)
        call_id = clock.uuid7().hex
        headers = {**call.headers, "X-Request-Id": call_id}
        request = Request(call.method, call.url, call.body, headers, call.params)
        if self._record:
            self._record.sent(call_id, self._sent(call, request))
        answer, begun = None, clock.monotonic()
        try:
            _check_turn(until)
            answer = self._transport.exchange(request)
            found = self._judged(answer, read)
        except Exception as error:
            self._complete(call, call_id, begun, answer, error)
            raise
        self._complete(call, call_id, begun, answer, _refusal(found))
        return found

    def close(self) -> None:
        """Hang up, and send away who waits for a turn."""
        self._bucket.close()
        self._transport.close()
        if self._record is not None:
            self._record.close()

    def _judged(self, answer: Answer, read: Callable[[Answer], T]) -> T:
        try:
            return read(answer)
        except HubError:
            raise
        except Exception as error:
            # No answer, whatever it is, may end a consumer: its order would be claimed again, and end the next one.
            _log.error("answer.unreadable", system=self.system, error=logs.way(error))
            said = f"{self.system}: an answer that could not be read ({type(error).__name__})"
            raise OutcomeUnknown(said) from error

    def _sent(self, call: Call, request: Request) -> Sent:
        target = self._masker.target(call.url)
        return Sent(
            system=self.system,
            step=call.step,
            method=call.method,
            target=target,
            text=self._masker.request(f"{call.method} {target}", request.params, request.headers, call.body, call.form),
            size=len(call.body),
            about=call.about,
        )

    def _complete(self, call: Call, call_id: str, begun: float, answer: Answer | None, error: Exception | None) -> None:
        took, outcome = clock.monotonic() - begun, _outcome(error)
        metrics.calls.labels(self.system, outcome).inc()
        metrics.call_duration.labels(self.system).observe(took)
        if not self._record:
            return
        duration = round(took * 1000)
        said = None if error is None else self._masker.said(str(error), call.body, call.form)
        answered = Answered(outcome, duration, said)
        if answer:
            text = self._masker.answer(answer.status, answer.headers, answer.body)
            answered = Answered(outcome, duration, said, answer.status, text, len(answer.body))
        try:
            self._record.answered(call_id, answered)
        except Exception as lost:  # noqa: BLE001 - what the system did is worth more than the record of it
            _log.warning("call.record_incomplete", system=self.system, call=call_id, error=str(lost))


def _check_turn(until: float) -> None:
    # Recording may have taken long, and by then the order may be in other hands.
    if clock.monotonic() > until:
        raise Postponed


def _refusal(found: object) -> Exception | None:
    """What an answer about many says first against one of them, where its reading returns that and raises nothing."""
    listed = found.values() if isinstance(found, Mapping) else found if isinstance(found, list) else ()
    told = (getattr(each, "failure", each) for each in listed)
    return next((each for each in told if isinstance(each, SystemFailure)), None)


def _outcome(error: Exception | None) -> Outcome:
    if error is None:
        return "ok"
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), "unknown")
