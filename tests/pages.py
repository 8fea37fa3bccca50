"""What a page shows, and whether it is sound, as a browser would take it."""

from html.parser import HTMLParser

_VOID = {"meta", "br", "img", "link", "hr", "input", "rect", "path", "circle"}
# Their ends may be left out.
_LOOSE = {"tr", "td", "th", "li", "p"}
_NOT_SHOWN = {"style", "title", "code"}


class Page(HTMLParser):
    """Reads a page once: tags out of balance, the text outside styles and commands, addresses of links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        while self.open and self.open[-1] != tag and self.open[-1] in _LOOSE:
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if not _NOT_SHOWN & set(self.open) and data.strip():
            self.texts.append(data.strip())

    @property
    def text(self) -> str:
        """All that a reader sees."""
        return "\n".join(self.texts)
