"""`hub simulate`: stand-ins for what the hub talks to, for a try-out or a test."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from hub.daemon import stop_on_signals
from hub.simulators.robots import Rules
from hub.simulators.robots_server import RobotsServer

app = typer.Typer(name="simulate", help="Stand-ins for what the hub talks to; nothing leaves this machine.")


@app.callback()
def _group() -> None:
    """Keep `robots` a subcommand: a group of one would be the command itself."""


@app.command()
def robots(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 lets the machine choose.")] = 0,
    secret: Annotated[str | None, typer.Option(help="DingTalk wants messages to be signed with it.")] = None,
    keyword: Annotated[str | None, typer.Option(help="DingTalk wants this word in each message.")] = None,
) -> None:
    """Be the robots of DingTalk and WeCom until ctrl-C; prints the settings that lead to them."""
    stop = threading.Event()
    with RobotsServer(Rules(secret=secret, keyword=keyword), port) as server:
        stop_on_signals(stop)
        typer.echo(f"HUB_NOTIFY__DINGTALK__URL={server.dingtalk_url}")
        typer.echo(f"HUB_NOTIFY__WECOM__URL={server.wecom_url}")
        for name, given in (("SECRET", secret), ("KEYWORD", keyword)):
            if given is not None:
                typer.echo(f"HUB_NOTIFY__DINGTALK__{name}={given}")
        typer.echo(f"hub: what they were told: {server.address}/journal; ctrl-C ends it", err=True)
        stop.wait()
