"""What of a request or an answer may be kept: what a vendor's module names, and nothing else. Pure.

Text is kept only under the names (keys, elements, parameters, headers) that are shown; under all others it becomes
`***`. Numbers are kept unless they are as long as a telephone number. A name that holds data itself is masked too.
What cannot be parsed is cut, and its values are masked as far as its shape tells what they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException, ElementTree

MASK = "***"
MOST_TEXT = 2000
MOST_PARSED = 1024 * 1024
HEADERS = frozenset(
    {"content-type", "content-length", "content-encoding", "retry-after", "date", "server", "x-request-id"}
)

_SHORTEST_NAME = 5
_HARMLESS = frozenset({"", "true", "false", "null", MASK})
_LONG_NUMBER = 10**6
_NAME = re.compile(r"[A-Za-z_@#$][A-Za-z0-9_.:@#$\[\]-]{0,63}")
_DIGITS = re.compile(r"\+?\d(?:[ -]?\d){6,}")
# By itself: the digits of an order number are not meant.
_NUMBER = re.compile(rf"(?<![A-Za-z0-9]){_DIGITS.pattern}(?![A-Za-z0-9])")
# With a digit: names of classes and services are long too.
_TOKEN = re.compile(r"(?=[A-Za-z_+/=.-]*[0-9])[A-Za-z0-9_+/=.-]{20,}")
_QUOTED = re.compile(
    r"""(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote))[^\\])*)(?:(?P=quote)(?=(?P<colon>\s*:)?)|\\?$)|[“「][^”」]*[”」]?"""
)
_APART = re.compile(r"<!--.*?(?:-->|$)|<!\[CDATA\[.*?(?:\]\]>|$)", re.DOTALL)
_ELEMENT = re.compile(r"<(?P<name>[^<>\s]*)(?P<rest>[^<>]*)>(?P<text>[^<]+)")
_HTML = re.compile(r"\s*<(!doctype\s+html|html|head|body|center)\b", re.IGNORECASE)
_OPENING = frozenset("{[<")
_UNREADABLE = (ValueError, RecursionError, ParseError, DefusedXmlException)


class Masker:
    """Masks by the names of one vendor; large and small letters are the same."""

    def __init__(self, shown: Iterable[str]) -> None:
        self._shown = frozenset(name.lower() for name in shown)
        # The same few names come in every body.
        self._is_shown = lru_cache(4096)(lambda name: name.lower() in self._shown)
        self._name = lru_cache(4096)(self._judged_name)

    def target(self, url: str) -> str:
        """Host and path of a URL, without user and query."""
        parts = urlsplit(url)
        return f"{parts.netloc.rpartition('@')[2]}{_NUMBER.sub(MASK, parts.path)}"

    def request(
        self, line: str, params: Mapping[str, str], headers: Mapping[str, str], body: bytes, form: str = ""
    ) -> str:
        """A whole request: its line, each parameter, each header, an empty line, the body."""
        query = "".join(f"?{each}\n" for each in self.params(params.items()).splitlines())
        return f"{line}\n{query}{self.headers(headers)}\n{self.body(body, form)}"

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """A whole answer: its status, each header, an empty line, the body."""
        return f"HTTP {status}\n{self.headers(headers)}\n{self.body(body)}"

    def headers(self, given: Mapping[str, str]) -> str:
        """A line for each header."""
        shown = HEADERS | self._shown
        return "".join(f"{name}: {value if name.lower() in shown else MASK}\n" for name, value in given.items())

    def params(self, given: Iterable[tuple[str, str]]) -> str:
        """A line for each parameter of a query or of a form."""
        return "".join(f"{self._name(key)}={self._text(key, value)}\n" for key, value in given)

    def body(self, raw: bytes, form: str = "") -> str:
        """A body as text; `form` tells `urlencoded` bodies apart, the others show what they are."""
        if len(raw) > MOST_PARSED:
            return f"{self.loose(_decoded(raw))}\n[{len(raw)} bytes, too long to be kept]"
        text = _decoded(raw)
        try:
            if form == "urlencoded" and not text.lstrip().startswith(("{", "[", "<")):
                return self.params(parse_qsl(text, keep_blank_values=True, strict_parsing=True)).rstrip("\n")
            return self._nested(text)
        except _UNREADABLE:
            return self.loose(text)

    def loose(self, text: str) -> str:
        """Text of no known shape, cut: without telephone numbers, tokens and what is quoted."""
        text = text[:MOST_TEXT]
        if text.lstrip().startswith("<"):
            text = _ELEMENT.sub(self._element_text, _APART.sub(MASK, text))
        return _DIGITS.sub(MASK, _TOKEN.sub(MASK, _QUOTED.sub(self._quoted_text, text)))

    def said(self, text: str, sent: bytes, form: str = "") -> str:
        """What a system said against a request, as `loose`, and without what is masked in that request."""
        for each in sorted(_Hidden(self._shown).of(sent, form), key=len, reverse=True):
            text = text.replace(each, MASK)
        return self.loose(text)

    def _nested(self, text: str) -> str:
        """A whole document inside a text; ValueError and others where it is none."""
        begin = text.lstrip()[:1]
        if begin in {"{", "["}:
            return json.dumps(self._value("", json.loads(text)), ensure_ascii=False)
        if begin == "<" and not _HTML.match(text):
            return self._xml(text)
        if not begin:
            return ""
        raise ValueError

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return dict(self._entries(value))
        if isinstance(value, list):
            return [self._value(key, each) for each in value]
        if isinstance(value, str):
            return self._text(key, value)
        if value is None or isinstance(value, bool):
            return value
        return value if abs(value) < _LONG_NUMBER or self._is_shown(key) else MASK

    def _entries(self, value: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        for number, (key, each) in enumerate(value.items()):
            name = self._name(key)
            # Two masked names stay two.
            yield f"{name}{number}" if name == MASK else name, self._value(key, each)

    def _text(self, key: str, text: str) -> str:
        if text.lstrip()[:1] in _OPENING:
            with suppress(*_UNREADABLE):
                return self._nested(text)
        return text if self._is_shown(key) or text in _HARMLESS else MASK

    def _xml(self, text: str) -> str:
        # The declaration may name the encoding that the text has left behind.
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml.*?\?>", "", text, flags=re.DOTALL), forbid_dtd=True)
        return self._element(root)

    def _element(self, element: Element) -> str:
        name = _local(element.tag)
        # Nothing may be kept by its name that is no name, whoever wrote it.
        shown = self._name(name)
        inner = self._held(name, element.text) + "".join(
            [self._element(child) + self._held(name, child.tail) for child in element]
        )
        return f"<{shown}{self._attributes(element) if element.attrib else ''}>{inner}</{shown}>"

    def _held(self, name: str, text: str | None) -> str:
        """What stands in an element, or behind one of its children."""
        held = text.strip() if text else ""
        return escape(self._text(name, held)) if held else ""

    def _attributes(self, element: Element) -> str:
        named = ((_local(key), value) for key, value in element.attrib.items())
        return "".join(f" {self._name(key)}={quoteattr(self._text(key, value))}" for key, value in named)

    def _element_text(self, found: re.Match[str]) -> str:
        # The page of a proxy says in English words what is wrong with it.
        kept = not found["text"].strip() or self._is_shown(found["name"]) or _is_words_of_a_page(found)
        return f"<{found['name']}{found['rest']}>{found['text'] if kept else MASK}"

    def _quoted_text(self, found: re.Match[str]) -> str:
        # The name of a value is kept, a value is not.
        is_name = found["colon"] is not None and self._name(found["text"]) != MASK
        return found[0] if is_name else f'"{MASK}"'

    def _judged_name(self, name: str) -> str:
        plain = _NAME.fullmatch(name) and not _DIGITS.search(name)
        return name if plain or self._is_shown(name) else MASK


class _Hidden(Masker):
    """Gathers what another masks, as far as it can be a name or an address: `13` or `CNY` are parts of other words."""

    def __init__(self, shown: Iterable[str]) -> None:
        super().__init__(shown)
        self._found: set[str] = set()

    def of(self, raw: bytes, form: str) -> set[str]:
        """The texts of a body that are masked."""
        self.body(raw, form)
        return self._found

    def _text(self, key: str, text: str) -> str:
        kept = super()._text(key, text)
        if kept == MASK and len(text) >= (_SHORTEST_NAME if text.isascii() else 2):
            self._found.add(text)
        return kept


def _is_words_of_a_page(found: re.Match[str]) -> bool:
    return bool(_HTML.match(found.string)) and found["text"].isascii()


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("gb18030", errors="replace")
