"""XML as Qimen writes it: one root, elements without attributes, lists as repeated elements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException, ElementTree

Tree = Mapping[str, Any]
"""Names of elements to texts, numbers, trees, or lists of these for repeated elements; None is left out."""

_HEAD = b'<?xml version="1.0" encoding="utf-8"?>'


def read(body: bytes, root: str = "request") -> Element | None:
    """The root element, or None where the bytes are no XML, declare entities, or have another root."""
    try:
        found: Element = ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return found if found.tag == root else None


def written(root: str, tree: Tree) -> bytes:
    """The tree as one line of UTF-8 with a declaration."""
    element = Element(root)
    _fill(element, tree)
    plain: str = tostring(element, encoding="unicode")
    return _HEAD + plain.encode()


def said(element: Element, path: str) -> str:
    """The text at the path, without blanks around it; empty where there is none."""
    return (element.findtext(path) or "").strip()


def tree_of(element: Element | None) -> dict[str, Any]:
    """An element's children as they were given: texts, or trees where they have children themselves."""
    if element is None:
        return {}
    return {child.tag: tree_of(child) if len(child) else child.text or "" for child in element}


def _fill(parent: Element, tree: Tree) -> None:
    for name, value in tree.items():
        for one in _each(value):
            child = SubElement(parent, name)
            if isinstance(one, Mapping):
                _fill(child, one)
            else:
                child.text = str(one)


def _each(value: Any) -> Iterator[Any]:
    if value is None:
        return
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from value
    else:
        yield value
