"""`hub simulate`: stand-ins for what the hub talks to, for a try-out or a test."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import typer

from hub.daemon import stop_on_signals, stop_with_input
from hub.errors import WrongConfiguration
from hub.simulators.qimen.warehouse import Warehouse
from hub.simulators.registry import VENDORS
from hub.simulators.robots import Rules
from hub.simulators.robots_server import RobotsServer
from hub.simulators.stand import Stand

app = typer.Typer(name="simulate", help="Stand-ins for what the hub talks to; nothing leaves this machine.")

HERE = "127.0.0.1"
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 lets the machine choose.")]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one, as a container needs it.")]
Data = Annotated[
    Path | None, typer.Option(dir_okay=False, help="Its database (SQLite); what it holds is lost at the end without.")
]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True, help="End when standard input does.")]
Latency = Annotated[float, typer.Option(min=0, help="What every call takes at least.")]


@app.command()
def robots(
    port: Port = 0,
    secret: Annotated[str | None, typer.Option(help="DingTalk wants messages to be signed with it.")] = None,
    keyword: Annotated[str | None, typer.Option(help="DingTalk wants this word in each message.")] = None,
) -> None:
    """Be the robots of DingTalk and WeCom until ctrl-C; prints the settings that lead to them."""
    _serve(RobotsServer(Rules(secret=secret, keyword=keyword), port), supervised=False)


@app.command()
def kingdee(
    port: Port = 0, data: Data = None, latency_ms: Latency = 0, host: Host = HERE, supervised: Supervised = False
) -> None:
    """Be Kingdee Cloud Galaxy (金蝶云星空) until ctrl-C; prints the settings that lead to it."""
    _simulate("kingdee.webapi", _At(host, port), data, latency_ms, supervised)


@app.command()
def wms(  # noqa: PLR0913 - each is an option
    port: Port = 0,
    data: Data = None,
    latency_ms: Latency = 0,
    callback: Annotated[str | None, typer.Option(help="Where it reports to; without, reports wait.")] = None,
    auto_seconds: Annotated[
        float | None, typer.Option(min=0, help="From taking to shipping an order; without, orders wait for /control.")
    ] = None,
    host: Host = HERE,
    supervised: Supervised = False,
) -> None:
    """Be a warehouse behind Qimen until ctrl-C; prints the settings that lead to it."""
    if callback is not None and urlsplit(callback).scheme not in {"http", "https"}:
        raise WrongConfiguration("--callback: a URL begins with http:// or https://")
    with _file(data) as path, Warehouse(path, None, callback, auto_seconds) as warehouse:
        _serve(Stand(warehouse, port, latency_ms / 1000, host), supervised)


@app.command()
def crm(  # noqa: PLR0913 - each is an option
    dialect: Annotated[
        Literal["rest", "fxiaoke"], typer.Option(help="In the style of Salesforce, or 纷享销客.")
    ] = "rest",
    port: Port = 0,
    data: Data = None,
    latency_ms: Latency = 0,
    host: Host = HERE,
    supervised: Supervised = False,
) -> None:
    """Be a CRM until ctrl-C; prints the settings that lead to it."""
    _simulate(f"crm.{dialect}", _At(host, port), data, latency_ms, supervised)


@app.command()
def erp(  # noqa: PLR0913 - each is an option
    dialect: Annotated[Literal["yonbip", "grasp"], typer.Option(help="用友 YonBIP, or 管家婆.")] = "yonbip",
    port: Port = 0,
    data: Data = None,
    latency_ms: Latency = 0,
    host: Host = HERE,
    supervised: Supervised = False,
) -> None:
    """Be an ERP until ctrl-C; prints the settings that lead to it."""
    _simulate(f"erp.{dialect}", _At(host, port), data, latency_ms, supervised)


class _At(NamedTuple):
    host: str
    port: int


def _simulate(interface: str, at: _At, data: Path | None, latency_ms: float, supervised: bool) -> None:
    with _file(data) as path:
        _serve(Stand(VENDORS[interface](path), at.port, latency_ms / 1000, at.host), supervised)


def _serve(stand: Stand, supervised: bool) -> None:
    stop = threading.Event()
    if supervised:
        stop_with_input()
    with stand:
        stop_on_signals(stop)
        if not supervised:
            _tell(stand)
        stop.wait()


def _tell(stand: Stand) -> None:
    # As a shell and systemd read them: an address has spaces.
    for name, value in stand.vendor.settings(stand.address).items():
        typer.echo(f"{name}={shlex.quote(value)}")
    typer.echo(f"hub: what it did: {stand.address}/journal; ctrl-C ends it", err=True)


@contextmanager
def _file(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with TemporaryDirectory(prefix="hub-simulate-") as folder:
        yield Path(folder) / "simulated.sqlite"
