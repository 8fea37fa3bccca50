"""Callbacks in the record of calls, where `hub calls` finds them by order: what came and what became of it, masked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from hub import clock
from hub.calls.masking import Masker
from hub.calls.record import About, Answered, Record, Sent
from hub.vendors import qimen

SYSTEM: Final = "wms"
PATH: Final = "/callbacks/qimen"

_OK = ("done", "kept", "repeated")


@dataclass(frozen=True)
class CalledBack:
    """A callback whose signature is good, and what became of it.

    `fate` is one of `metrics.CALLED_BACK`; `key` is the warehouse's name of it. `order_no`, `key` and `versions` are
    empty where it is about no order of ours.
    """

    method: str
    parameters: dict[str, str]
    body: bytes
    answer: bytes
    seconds: float
    fate: str
    detail: str = ""
    key: str = ""
    order_no: str = ""
    versions: tuple[int, ...] = ()


Told = Callable[[CalledBack], None]
"""Told of each callback after it was carried out; what it raises is the caller's to see, who then calls again."""


def recorded(engine: Engine) -> Told:
    """Writes each callback into the record of calls; raises DependencyDown."""
    record, masker = Record(engine), Masker(qimen.SHOWN)

    def tell(called: CalledBack) -> None:
        record.arrived(clock.uuid7().hex, called.key, _sent(masker, called), _answered(masker, called))

    return tell


def _sent(masker: Masker, called: CalledBack) -> Sent:
    return Sent(
        system=SYSTEM,
        step=called.method,
        method="POST",
        target=PATH,
        text=masker.request(f"POST {PATH}", called.parameters, {}, called.body, "xml"),
        size=len(called.body),
        about=[About(called.order_no, version) for version in called.versions or (0,)] if called.order_no else (),
    )


def _answered(masker: Masker, called: CalledBack) -> Answered:
    return Answered(
        outcome="ok" if called.fate in _OK else "rejected",
        duration_ms=round(called.seconds * 1000),
        said=masker.loose(f"{called.fate}: {called.detail}" if called.detail else called.fate),
        status=200,
        text=masker.answer(200, {}, called.answer),
        size=len(called.answer),
    )
