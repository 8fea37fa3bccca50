"""`hub config`: what is in force, and where it came from."""

from __future__ import annotations

import typer
from pydantic import SecretStr

from hub import config
from hub.cli.output import AsJson, print_json, print_table

NOTHING = "—"

app = typer.Typer(name="config", help="Settings.", no_args_is_help=True)


@app.command()
def show(json_: AsJson = False) -> None:
    """Every setting as it is in force, and which variable gave it. Secrets are masked."""
    settings, sources = config.load(), config.sources()
    urls = dict(config.urls(settings))
    rows = [
        (name, _shown(urls.get(name, value)), sources.get(name, "default"))
        for name, value in config.effective(settings)
    ]
    if json_:
        print_json({name: {"value": value, "source": source} for name, value, source in rows})
    else:
        print_table(["setting", "value", "source"], [row for row in rows if not _unsaid(*row)])


def _unsaid(name: str, value: str, _source: str) -> bool:
    """Whether nothing is said for one system alone: what is said for all stands above it."""
    return name.startswith("consumers.") and value == NOTHING


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "***"
    return NOTHING if value is None else str(value)
