"""Field rules: what a system keeps of an order, how it words it, and how far amounts may be apart. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Number
from typing import Any, NamedTuple

from hub.schemas.facts import HEAD, LINE, LineFacts, OrderFacts
from hub.schemas.order import Status

FIELDS = (*(name for name in HEAD if name != "order_no"), "lines", *(f"lines.{name}" for name in LINE))
"""Every field that a system may do without."""
MAPPABLE = ("status", "channel", "shop", "channel_order_no", "customer_id", "warehouse", "currency")
"""Fields that are words, and may be other words at a system."""
AMOUNTS = ("total", "unit_price")

STATUSES: Mapping[str, str] = {str(status): str(status) for status in Status}
"""The OMS's own words for a status: each means itself."""
_NOTHING: Mapping[str, str] = {}


class FieldDifference(NamedTuple):
    """One field that tells two sides apart; lines count from 1, as in `lines[2].quantity`."""

    field: str
    ours: object
    theirs: object


@dataclass(frozen=True)
class SystemRules:
    """The rules of one system. Without any, everything is kept and nothing is mapped.

    An order of ours in a status of `may_lack` may be missing there; one in a status of `may_show` may stay, there, in
    one of the statuses that it had before. `folded` has words of ours that the system cannot tell apart, by field: the
    first counts as the second on both sides.
    """

    not_kept: frozenset[str] = frozenset()
    mapped: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tolerance_fen: int = 0
    may_lack: frozenset[str] = frozenset()
    folded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    may_show: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def keeps_version(self) -> bool:
        """Whether the system says at which version an order is; where not, only the ledger knows."""
        return "version" not in self.not_kept

    @cached_property
    def head(self) -> tuple[str, ...]:
        """The fields of an order itself that count."""
        return tuple(name for name in HEAD if name not in self.not_kept)

    @cached_property
    def line(self) -> tuple[str, ...]:
        """The fields of a line that count; none where the system keeps no lines."""
        return () if "lines" in self.not_kept else tuple(name for name in LINE if f"lines.{name}" not in self.not_kept)

    @property
    def keeps_shop_numbers(self) -> bool:
        """Whether the system keeps how a shop knows an order."""
        return not {"channel", "shop", "channel_order_no"} & set(self.not_kept)

    def canonical(self, facts: OrderFacts) -> tuple[OrderFacts, tuple[str, ...]]:
        """What the system shows in the OMS's words, and the fields whose value has none and stands as it is.

        A version where none is kept is no version of ours, and is left out.
        """
        meant: dict[str, Any] = {} if self.keeps_version else {"version": None}
        unmapped = []
        for name, words in self._words.items():
            shown = getattr(facts, name)
            if shown is not None and shown not in words:
                unmapped.append(name)
            elif shown is not None and words[shown] != shown:
                meant[name] = words[shown]
        return replace(facts, **meant) if meant else facts, tuple(unmapped)

    def may_be_missing(self, ours: OrderFacts | None) -> bool:
        """Whether the system may be without an order of ours, because of the status that it has."""
        return ours is not None and ours.status in self.may_lack

    def apart(self, ours: OrderFacts, theirs: OrderFacts) -> tuple[FieldDifference, ...]:
        """The fields that tell an order of ours from what a system shows of it in canonical words."""
        if ours == theirs:
            return ()
        return (*self._apart("", self.head, ours, theirs), *self._lines_apart(ours.lines, theirs.lines))

    def may_stay(self, ours: OrderFacts, fields: Sequence[FieldDifference]) -> bool:
        """Whether nothing is apart but a status in which the system may have left the order, if it was in it."""
        shown = [each.theirs for each in fields]
        return [each.field for each in fields] == ["status"] and shown[0] in self.may_show.get(ours.status, ())

    @cached_property
    def meanings(self) -> Mapping[str, Mapping[str, str]]:
        """What each word of the system counts as when both sides are compared, by field: mapped, then folded."""
        fields = dict.fromkeys((*self.mapped, *self.folded))
        return {name: {**self.folded.get(name, _NOTHING), **self._mapped_and_folded(name)} for name in fields}

    def _mapped_and_folded(self, name: str) -> dict[str, str]:
        return {word: self._folds(name, meant) for word, meant in self.mapped.get(name, _NOTHING).items()}

    def _folds(self, name: str, word: Any) -> Any:
        return self.folded.get(name, _NOTHING).get(word, word)

    @cached_property
    def _words(self) -> Mapping[str, Mapping[str, str]]:
        every: dict[str, Mapping[str, str]] = {"status": STATUSES, **self.mapped}
        return {name: words for name, words in every.items() if name not in self.not_kept}

    def _lines_apart(self, ours: tuple[LineFacts, ...], theirs: tuple[LineFacts, ...]) -> Iterator[FieldDifference]:
        if self.line and len(ours) != len(theirs):
            yield FieldDifference("lines", len(ours), len(theirs))
        for number, (our, their) in enumerate(zip(ours, theirs, strict=False), start=1):
            yield from self._apart(f"lines[{number}].", self.line, our, their)

    def _apart(self, where: str, names: tuple[str, ...], ours: object, theirs: object) -> Iterator[FieldDifference]:
        for name in names:
            our, their = getattr(ours, name), getattr(theirs, name)
            if our != their and not self._counts_as_same(name, our, their):
                yield FieldDifference(where + name, our, their)

    def _counts_as_same(self, name: str, ours: Any, theirs: Any) -> bool:
        return self._near(name, ours, theirs) or self._folds(name, ours) == self._folds(name, theirs)

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
