"""Field rules: what a system keeps of an order, how it words it, and how far amounts may be apart.

Pure but for `load`, which reads one file. The rules that come with the hub are in `rules.toml` beside this file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Number
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hub.config import SYSTEMS
from hub.errors import WrongConfiguration
from hub.schemas.facts import HEAD, LINE, LineFacts, OrderFacts
from hub.schemas.order import Status

DEFAULT = Path(__file__).with_name("rules.toml")
FIELDS = (*(name for name in HEAD if name != "order_no"), "lines", *(f"lines.{name}" for name in LINE))
"""Every field that a system may do without."""
MAPPABLE = ("status", "channel", "shop", "channel_order_no", "customer_id", "warehouse", "currency")
"""Fields that are words, and may be other words at a system."""
AMOUNTS = ("total", "unit_price")

_STATUSES = {str(status): str(status) for status in Status}


class FieldDifference(NamedTuple):
    """One field that tells two sides apart; lines count from 1, as in `lines[2].quantity`."""

    field: str
    ours: object
    theirs: object


@dataclass(frozen=True)
class SystemRules:
    """The rules of one system. Without any, everything is kept and nothing is mapped."""

    not_kept: frozenset[str] = frozenset()
    mapped: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tolerance_fen: int = 0

    @cached_property
    def head(self) -> tuple[str, ...]:
        """The fields of an order itself that count."""
        return tuple(name for name in HEAD if name not in self.not_kept)

    @cached_property
    def line(self) -> tuple[str, ...]:
        """The fields of a line that count; none where the system keeps no lines."""
        return () if "lines" in self.not_kept else tuple(name for name in LINE if f"lines.{name}" not in self.not_kept)

    def canonical(self, facts: OrderFacts) -> tuple[OrderFacts, tuple[str, ...]]:
        """What the system shows in the OMS's words, and the fields whose value has none and stands as it is."""
        meant: dict[str, Any] = {}
        unmapped = []
        for name, words in self._words.items():
            shown = getattr(facts, name)
            if shown is not None and shown not in words:
                unmapped.append(name)
            elif shown is not None and words[shown] != shown:
                meant[name] = words[shown]
        return replace(facts, **meant) if meant else facts, tuple(unmapped)

    def apart(self, ours: OrderFacts, theirs: OrderFacts) -> tuple[FieldDifference, ...]:
        """The fields that tell an order of ours from what a system shows of it in canonical words."""
        if ours == theirs:
            return ()
        return (*self._apart("", self.head, ours, theirs), *self._lines_apart(ours.lines, theirs.lines))

    @cached_property
    def _words(self) -> Mapping[str, Mapping[str, str]]:
        every: dict[str, Mapping[str, str]] = {"status": _STATUSES, **self.mapped}
        return {name: words for name, words in every.items() if name not in self.not_kept}

    def _lines_apart(self, ours: tuple[LineFacts, ...], theirs: tuple[LineFacts, ...]) -> Iterator[FieldDifference]:
        if self.line and len(ours) != len(theirs):
            yield FieldDifference("lines", len(ours), len(theirs))
        for number, (our, their) in enumerate(zip(ours, theirs, strict=False), start=1):
            yield from self._apart(f"lines[{number}].", self.line, our, their)

    def _apart(self, where: str, names: tuple[str, ...], ours: object, theirs: object) -> Iterator[FieldDifference]:
        for name in names:
            our, their = getattr(ours, name), getattr(theirs, name)
            if our != their and not self._near(name, our, their):
                yield FieldDifference(where + name, our, their)

    def _near(self, name: str, ours: Any, theirs: Any) -> bool:
        if name not in AMOUNTS or not isinstance(theirs, Number):
            return False
        return bool(abs(ours - theirs) <= self.tolerance_fen)


@dataclass(frozen=True)
class Rules:
    """The rules of every system, by a version that findings remember."""

    version: str
    systems: Mapping[str, SystemRules]

    def of(self, system: str) -> SystemRules:
        """The rules of one system."""
        return self.systems.get(system, SystemRules())


def load(path: Path | None = None) -> Rules:
    """The rules of this file, or those that come with the hub. Raises WrongConfiguration: file, key, what to do."""
    file = path or DEFAULT
    try:
        document = _Document.model_validate(_toml(file))
    except ValidationError as error:
        raise WrongConfiguration(f"{file}: {'; '.join(map(_said, error.errors()))}") from error
    return Rules(document.version, {name: getattr(document, name).rules() for name in SYSTEMS})


def _toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except OSError as error:
        raise WrongConfiguration(
            f"{file}: cannot be read ({error.strerror}); give HUB_RECONCILE__RULES a TOML file, or leave it out"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongConfiguration(f"{file}: is no TOML in UTF-8: {error}") from error


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class _OfOne(_Checked):
    not_kept: list[Literal[FIELDS]] = []  # type: ignore[valid-type]
    mapped: dict[Literal[MAPPABLE], dict[str, str]] = {}  # type: ignore[valid-type]
    tolerance_fen: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if both := sorted(self.mapped.keys() & set(self.not_kept)):
            raise ValueError(f"{both[0]} is mapped and not kept; leave one of the two out")
        if strange := sorted(set(self.mapped.get("status", {}).values()) - _STATUSES.keys()):
            raise ValueError(f"mapped.status: {strange[0]!r} is no status; one of {', '.join(_STATUSES)}")
        return self

    def rules(self) -> SystemRules:
        return SystemRules(frozenset(self.not_kept), self.mapped, self.tolerance_fen)


class _Document(_Checked):
    version: Annotated[str, Field(min_length=1, max_length=32)]
    crm: _OfOne = _OfOne()
    kingdee: _OfOne = _OfOne()
    wms: _OfOne = _OfOne()
    erp: _OfOne = _OfOne()


def _said(error: Any) -> str:
    system, *keys = map(str, error["loc"])
    key = ".".join(key for key in keys if key != "[key]")
    where = f"[{system}] {key}".strip() if system in SYSTEMS else system
    return f"{where}: {_told(error, keys)}"


def _told(error: Any, keys: list[str]) -> str:
    if error["type"] == "missing":
        return 'is missing; write version = "2026-11", and another one whenever a rule changes'
    if error["type"] == "extra_forbidden":
        known = ("not_kept", "mapped", "tolerance_fen") if keys else ("version", *SYSTEMS)
        return f"is not known; one of {', '.join(known)}"
    if error["type"] == "model_type":
        return "must be a table of keys"
    return str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
