"""Every name, heading and short sentence of the report by its key.

What each cause means and what to do about it is in `sentences`, the words that need explaining in `glossary`.
"""

from __future__ import annotations

from hub.reconcile.report.headings import MONTH, SECTIONS, SHORT, VERDICT
from hub.reconcile.report.names import EVIDENCE, NAMES
from hub.reconcile.report.wording import Locale, Words, fill

WORDS: dict[str, Words] = {**NAMES, **EVIDENCE, **VERDICT, **SHORT, **SECTIONS, **MONTH}


def say(locale: Locale, key: str, **facts: str) -> str:
    """A word or sentence in a language. Facts come as they are to be shown."""
    return fill(locale, WORDS[key], facts)


def name_of(locale: Locale, group: str, value: str) -> str:
    """The name of a value of a closed set; what is not in it, such as a person's own name, as it is."""
    words: Words | None = WORDS.get(f"{group}.{value}")
    return getattr(words, locale) if words else value
