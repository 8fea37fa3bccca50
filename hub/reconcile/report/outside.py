"""Texts that others wrote, made harmless for a page or a spreadsheet."""

from __future__ import annotations

from unicodedata import category

MOST_SHOWN = 400
_MOST_IN_A_CELL = 30_000

# A spreadsheet takes a cell that begins with one of these for a formula, a Chinese one the full-width ones too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def shown(text: str, most: int = MOST_SHOWN) -> str:
    """The text without letters that hide or turn others around, and cut where it is too long to be read."""
    visible = "".join(letter if _is_visible(letter) else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return visible if len(visible) <= most else f"{visible[:most]}…"


def cell(text: str) -> str:
    """The text as a cell of a spreadsheet: never a formula, whatever program opens it."""
    plain = shown(text, _MOST_IN_A_CELL)
    return f"'{plain}" if text.startswith(_FORMULA) or plain.lstrip().startswith(_FORMULA) else plain


def _is_visible(letter: str) -> bool:
    # Cf holds the joiners that emoji and some scripts are written with, and the overrides that turn a line around.
    return letter in "\n\t\u200c\u200d" or category(letter)[0] != "C"
