"""How figures look: one language and one time zone for a whole rendering."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from hub.reconcile.report.model import Amount
from hub.reconcile.report.outside import shown
from hub.reconcile.report.wording import Locale
from hub.reconcile.report.words import WORDS, name_of, say
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Status

_MONEY = ("total", "unit_price", "amount_fen")
_YUAN = re.compile(r"-?\d+\.\d{2}", re.ASCII)
_FEN = re.compile(r"-?\d+", re.ASCII)
_LINE = re.compile(r"lines(?:\[(\d+)\])?\.(\w+)", re.ASCII)


@dataclass(frozen=True)
class Voice:
    """A language and a time zone."""

    locale: Locale
    tz: str

    def say(self, key: str, **facts: str) -> str:
        """A word or sentence."""
        return say(self.locale, key, **facts)

    def name(self, group: str, value: str) -> str:
        """The name of a value of a closed set, or the value."""
        return shown(name_of(self.locale, group, value))

    def both(self, words: tuple[str, str]) -> str:
        """The one of two wordings that is in this language."""
        return words[self.locale == "en"]

    def count(self, number: int) -> str:
        """With thousands."""
        return f"{number:,}"

    def amount(self, amount: Amount) -> str:
        """With thousands and two decimals; yuan by their sign, other currencies by their code."""
        return self._money(yuan_from_fen(amount.fen), amount.currency)

    def amounts(self, amounts: Iterable[Amount]) -> str:
        """One for each currency, yuan first; nothing at all is ¥0.00."""
        ordered = sorted(amounts, key=lambda each: (each.currency != "CNY", each.currency))
        return self.listed(self.amount(each) for each in ordered) or "¥0.00"

    def listed(self, texts: Iterable[str]) -> str:
        """Texts in a row, as the language separates them."""
        return self.say("list_comma").join(texts)

    def systems(self, names: Iterable[str]) -> str:
        """Names of systems in a row."""
        return self.listed(self.name("system", name) for name in names)

    def field(self, name: str) -> str:
        """What people call a field; of a line with its number, as in `lines[2].quantity`."""
        if line := _LINE.fullmatch(name):
            return self.say("line.field" if line[1] else "line.fields", n=line[1] or "", field=self.field(line[2]))
        return self.name("field", name)

    def fields(self, names: Iterable[str]) -> str:
        """Names of fields in a row."""
        return self.listed(dict.fromkeys(self.field(name) for name in names))

    def statuses(self, names: Iterable[str]) -> str:
        """Names of statuses in a row."""
        return self.listed(self.name("status", name) for name in names)

    def tolerances(self, by_field: Mapping[str, int]) -> str:
        """How far apart each field may be."""
        return self.listed(f"{self.field(name)} ±{self._size(name, off)}" for name, off in by_field.items())

    def moment(self, moment: datetime | None) -> str:
        """To the minute, in the time zone."""
        return f"{self.local(moment):%Y-%m-%d %H:%M}" if moment else "—"

    def local(self, moment: datetime) -> datetime:
        """The moment in the time zone."""
        return moment.astimezone(ZoneInfo(self.tz))

    def zone(self) -> str:
        """What people call the time zone."""
        return self.name("tz", self.tz)

    def evidence(self, name: str, value: str) -> str:
        """A fact that proves a cause, as people read it."""
        if name.endswith("_at"):
            return self._moment_of(value)
        if name in _NAMES_OF_FIELDS:
            return self.fields(value.split(", "))
        group = _CLOSED.get(name)
        return self.name(group, value) if group else shown(value)

    def value(self, field: str, value: str | None, currency: str) -> str:
        """What one side shows in a field, as people read it. Amounts come as fen, or as yuan with two decimals."""
        if value is None:
            return "—"
        name = field.rpartition(".")[2]
        if name in _MONEY and (_FEN.fullmatch(value) or _YUAN.fullmatch(value)):
            return self._money(value if "." in value else yuan_from_fen(int(value)), currency)
        if name == "lines" and _FEN.fullmatch(value):
            return self.say("line.count", n=value)
        return self._word(name, value)

    def label(self, name: str) -> str:
        """What a fact of the evidence is called; one that has no name yet keeps its own."""
        return self.name("evidence", name) if f"evidence.{name}" in WORDS else shown(name.replace("_", " "))

    def _size(self, field: str, number: int) -> str:
        return self._money(yuan_from_fen(number), "CNY") if field in _MONEY else self.count(number)

    def _word(self, name: str, value: str) -> str:
        if name == "status" and value in tuple(Status):
            return self.name("status", value)
        return self.name("bool", value.lower()) if name == "vip" else shown(value)

    def _money(self, yuan: str, currency: str) -> str:
        sign, whole, cents = yuan.startswith("-"), *yuan.lstrip("-").split(".")
        mark = "¥" if currency == "CNY" else f"{currency}\N{NO-BREAK SPACE}"
        return f"{'-' if sign else ''}{mark}{int(whole):,}.{cents}"

    def _moment_of(self, value: str) -> str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return shown(value)
        return self.moment(moment) if moment.tzinfo else shown(value)


_CLOSED = {
    "parked_reason": "parked",
    "dead_reason": "dead",
    "breaker": "breaker",
    "held_for": "held",
}
_NAMES_OF_FIELDS = ("error_field", "unmapped")
