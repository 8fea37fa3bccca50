"""`hub config`: what is in force, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping

import typer
from pydantic import SecretStr

from hub import config
from hub.cli.output import AsJson, print_json, print_table

NOTHING = "—"
_DEFAULT = "default"

app = typer.Typer(name="config", help="Settings.", no_args_is_help=True)


@app.command()
def show(json_: AsJson = False) -> None:
    """Every setting as it is in force, and which variable gave it. Secrets are masked.

    Interfaces that no system is spoken to by are left out; --json has them.
    """
    settings, sources = config.load(), config.sources()
    urls = dict(config.urls(settings))
    rows = [
        (name, _shown(urls.get(name, value)), sources.get(name, _DEFAULT)) for name, value in config.effective(settings)
    ]
    if json_:
        print_json({name: {"value": value, "source": source} for name, value, source in rows})
    else:
        spoken = settings.interfaces
        said = [row for row in rows if not _unsaid(*row) and not (row[2] == _DEFAULT and _unspoken(row[0], spoken))]
        print_table(["setting", "value", "source"], said)


def _unsaid(name: str, value: str, _source: str) -> bool:
    """Whether nothing is said for one system alone: what is said for all stands above it."""
    return name.startswith("consumers.") and value == NOTHING


def _unspoken(name: str, spoken: Mapping[str, str]) -> bool:
    """Whether a setting is of an interface by which its system is not spoken to; tables are one too."""
    group, _, rest = name.partition(".")
    system, _, setting = rest.partition(".")
    interface = setting.partition(".")[0] if "." in setting else "tables"
    return group == "systems" and setting != "interface" and interface != spoken[system]


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else NOTHING
    return NOTHING if value is None else str(value)
