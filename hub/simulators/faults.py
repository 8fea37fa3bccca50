"""How a simulated system fails: which calls, how often, and whether anything happened before it did.

`POST /control {"fault": "commit_500", "step": "Save", "times": 1, "seconds": 5}`: without `step` every call is meant,
without `times` it stays until `"fault": null`. A fault takes the place of the one that was aimed at the same step.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Annotated, Any

from pydantic import AliasChoices, Field

from hub.schemas.order import Strict
from hub.simulators.web import Answer

NOTHING_HAPPENED = ("500", "bad_gateway", "429", "503", "html", "redirect")
"""An answer is given in the place of the vendor's."""

ITS_OWN_WORDS = ("error_body", "busy", "unauthorised")
"""Nothing happened, and the vendor says so in its own shape."""

ON_THE_WIRE = (
    "commit_500",
    "commit_then_silence",
    "late",
    "slow",
    "drip",
    "endless",
    "reset",
    "reset_before",
    "truncated",
    "gzip_bomb",
)
"""The effect happens, and its answer comes to grief. Only `reset_before` has none, and that of `late` comes later."""

BOMB_BYTES = 256 * 1024 * 1024

_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_LOGIN = b"<html><head><title>Login</title></head><body><form>please log in</form></body></html>"


class Told(Strict):
    """What `/control` is told of faults."""

    fault: str | None
    step: Annotated[str | None, Field(validation_alias=AliasChoices("step", "robot"))] = None
    times: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0, le=600)] = 5


@dataclass(frozen=True)
class Fault:
    """A fault in force; `times` is how many calls it still has, None is without end."""

    fault: str
    step: str | None = None
    times: int | None = None
    seconds: float = 5


class Faults:
    """The faults in force, at most one for each step and one for all steps."""

    def __init__(self, own: Collection[str]) -> None:
        self.kinds = (*NOTHING_HAPPENED, *ITS_OWN_WORDS, *ON_THE_WIRE, *sorted(own))
        self._lock = threading.Lock()
        self._in_force: dict[str | None, Fault] = {}

    def set(self, told: Told) -> None:
        """Put a fault in force; None ends that of the step, or without a step all of them. ValueError: no such kind."""
        if told.fault is not None and told.fault not in self.kinds:
            raise ValueError(f"no fault {told.fault!r}; one of {', '.join(self.kinds)}")
        with self._lock:
            if told.fault is not None:
                self._in_force[told.step] = Fault(told.fault, told.step, told.times, told.seconds)
            elif told.step is None:
                self._in_force.clear()
            else:
                self._in_force.pop(told.step, None)

    def next(self, step: str) -> Fault | None:
        """The fault of a call that is at this step; it has one call less then."""
        with self._lock:
            fault = self._in_force.get(step) or self._in_force.get(None)
            if fault is None or fault.times is None:
                return fault
            if fault.times == 1:
                del self._in_force[fault.step]
            else:
                self._in_force[fault.step] = replace(fault, times=fault.times - 1)
            return fault

    def in_force(self) -> list[dict[str, Any]]:
        """What `GET /control` shows."""
        with self._lock:
            return [asdict(fault) for fault in self._in_force.values()]

    def understood(self) -> dict[str, Any]:
        """What `/control` understands, for somebody whom it did not understand."""
        schema = Told.model_json_schema(by_alias=False)
        schema["properties"]["fault"]["enum"] = [*self.kinds, None]
        return schema


def instead(fault: Fault, address: str) -> Answer | None:
    """The answer in the place of the vendor's; None where the fault is no such one."""
    later = {"Retry-After": str(max(1, round(fault.seconds)))}
    answers: Mapping[str, Answer] = {
        "500": Answer(500),
        "bad_gateway": Answer(502, _GATEWAY),
        "429": Answer(429, b"", later),
        "503": Answer(503, b"", later),
        "html": Answer(200, _LOGIN),
        # 307, for with it a POST would stay one wherever it is sent on to.
        "redirect": Answer(307, b"", {"Location": f"{address}/elsewhere"}),
    }
    return answers.get(fault.fault)


@cache
def bomb() -> bytes:
    """Spaces, `BOMB_BYTES` of them once they are unpacked."""
    packer = zlib.compressobj(level=1, wbits=31)
    megabyte = b" " * (1024 * 1024)
    return b"".join(packer.compress(megabyte) for _ in range(BOMB_BYTES // len(megabyte))) + packer.flush()
