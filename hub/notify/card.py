"""One message for people, as the hub says it; how it looks on a channel is `robots`'."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from unicodedata import category

# Joins the parts of one emoji; all other invisible characters only deceive.
_JOINER = "\N{ZERO WIDTH JOINER}"
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Backslashes are shown by some of the vendors' clients; full-width letters mean nothing to any of them.
_HARMLESS = str.maketrans("\\`*_~[]<>#|@", "＼｀＊＿～［］＜＞＃｜＠")


@dataclass(frozen=True)
class Card:
    """One message. Title and the link's label are plain text; lines are markdown, with `escaped` for others' words."""

    title: str
    lines: tuple[str, ...]
    link: tuple[str, str] | None = None
    """Label and URL."""
    urgent: bool = False


def escaped(text: str) -> str:
    """Text from outside as one line that no markdown makes anything of: no link, no mention, no hidden letter."""
    return one_line(text).translate(_HARMLESS).replace("://", "：//")


def one_line(text: str) -> str:
    """The text without line breaks and without letters that nobody sees."""
    visible = "".join(letter if letter == _JOINER or category(letter) not in _INVISIBLE else " " for letter in text)
    return " ".join(visible.split())


def stored(card: Card) -> str:
    """The card as every database can keep it."""
    return json.dumps(asdict(card))


def restored(text: str) -> Card:
    """The card that was kept."""
    kept = json.loads(text)
    link = kept["link"] and (kept["link"][0], kept["link"][1])
    return Card(kept["title"], tuple(kept["lines"]), link, kept["urgent"])
