"""XML of strangers, read within limits; and XML of ours, written. Pure.

defusedxml alone reads; the standard library escapes and gives the types. An element that is not there is empty text.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.ElementTree import iterparse

MOST_BYTES: Final = 16 * 1024 * 1024
MOST_ELEMENTS: Final = 200_000
DEEPEST: Final = 16

Content = str | Mapping[str, "Content"] | list[tuple[str, "Content"]]
"""What an element holds: text, or elements by name; a list of pairs where a name comes more than once."""


class Malformed(ValueError):
    """Bytes that are no XML, or XML that nobody sends for a good reason: too large, too deep, with a DTD."""


def parsed(body: bytes, most_bytes: int = MOST_BYTES) -> Element:
    """The root of a document. Raises Malformed; a DTD, an entity and a reference to the outside are never read."""
    if len(body) > most_bytes:
        raise Malformed(f"more than {most_bytes} bytes")
    try:
        return _bounded(body)
    except Malformed:
        raise
    except (ParseError, ValueError, LookupError) as error:
        # defusedxml's own are ValueErrors; an unknown encoding is a LookupError.
        raise Malformed(f"no XML: {type(error).__name__}") from error


def text(element: Element | None, path: str) -> str:
    """The text of the first element at a path such as `deliveryOrder/status`, without space at its ends."""
    found = element.findtext(path, "") if element is not None else ""
    return found.strip()


def written(root: str, content: Content) -> bytes:
    """A document in UTF-8. Text that is empty makes no element."""
    return ('<?xml version="1.0" encoding="utf-8"?>' + _element(root, content)).encode()


def _bounded(body: bytes) -> Element:
    depth = elements = 0
    root: Element | None = None
    for what, element in iterparse(io.BytesIO(body), events=("start", "end"), forbid_dtd=True):
        depth += 1 if what == "start" else -1
        elements += what == "start"
        root = element if root is None else root
        if depth > DEEPEST or elements > MOST_ELEMENTS:
            raise Malformed(f"deeper than {DEEPEST} or more than {MOST_ELEMENTS} elements")
    if root is None:
        raise Malformed("no XML: nothing")
    return root


def _element(name: str, content: Content) -> str:
    if isinstance(content, str):
        return f"<{name}>{escape(content)}</{name}>"
    pairs = content.items() if isinstance(content, Mapping) else content
    return f"<{name}>{''.join(_element(key, inner) for key, inner in pairs if inner)}</{name}>"
