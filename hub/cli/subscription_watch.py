"""`hub subscription watch`: the process that looks after all subscriptions."""

from __future__ import annotations

import typer

from hub import config, running
from hub.cli.daemons import ProbePort, Supervised, begin

app = typer.Typer()


@app.command()
def watch(probe_port: ProbePort = None, supervised: Supervised = False) -> None:
    """Stay, count what subscribers' queues let go, say how they stand, and tell people. RabbitMQ only."""
    settings = config.load(probes__port=probe_port)
    begin(settings, "hub-subscription-watch", supervised)
    running.run_watch(settings)
