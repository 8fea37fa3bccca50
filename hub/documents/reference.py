"""All pages of docs/reference by file name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.documents import commands, errors, metrics, settings, tables


def pages(root: Any) -> Mapping[str, str]:
    """The Markdown of each page; `root` is the command line, as `typer.main.get_command` gives it."""
    return {
        "settings.md": settings.page(),
        "cli.md": commands.page(root),
        "metrics.md": metrics.page(),
        "tables.md": tables.page(),
        "errors.md": errors.page(),
    }
