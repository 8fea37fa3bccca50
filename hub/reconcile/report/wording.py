"""One idea in two languages, and how facts are put into a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

Locale = Literal["zh", "en"]
LOCALES: tuple[Locale, ...] = ("zh", "en")

_PLACE = re.compile(r"( ?)\{(\w+)\}( ?)")
_WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]")


class Words(NamedTuple):
    """One idea in both languages, the Chinese written first."""

    zh: str
    en: str


def fill(locale: Locale, words: Words, facts: Mapping[str, str]) -> str:
    """The sentence with its facts. In Chinese no space stays between a Chinese fact and a Chinese neighbour."""
    template: str = getattr(words, locale)
    return _PLACE.sub(lambda place: _placed(place, facts[place[2]], locale == "zh"), template)


def places(words: Words) -> frozenset[str]:
    """The facts that a sentence needs."""
    return frozenset(place[2] for place in _PLACE.finditer(words.zh))


def _placed(place: re.Match[str], fact: str, closes_up: bool) -> str:
    before, after = place.string[: place.start()][-1:], place.string[place.end() :][:1]
    left = "" if closes_up and _are_wide(before, fact[:1]) else place[1]
    right = "" if closes_up and _are_wide(fact[-1:], after) else place[3]
    return f"{left}{fact}{right}"


def _are_wide(*letters: str) -> bool:
    return all(_WIDE.match(letter) for letter in letters)
