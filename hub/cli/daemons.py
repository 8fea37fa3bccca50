"""The processes of the hub: each by itself, or all of them under one supervisor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated

import typer

from hub import config, crash_points, logs, running, wiring
from hub.daemon import stop_on_signals, stop_with_input
from hub.oms.writer import Writer
from hub.supervisor import STOP_SECONDS, Part, Supervisor

app = typer.Typer()

DAY_SECONDS = 86_400

_PROBE_HELP = "Port for /livez, /readyz and /metrics; 0 lets the machine choose. Default: HUB_PROBES__PORT."
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True, help="End when standard input does.")]
ProbePort = Annotated[int | None, typer.Option(min=0, max=65535, help=_PROBE_HELP)]


@app.command(rich_help_panel="Daemons")
def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: HUB_API__HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: HUB_API__PORT.")] = None,
    supervised: Supervised = False,
) -> None:
    """Serve the OMS over HTTP."""
    settings = config.load(api__host=host, api__port=port)
    begin(settings, "hub-api", supervised)
    running.run_api(settings)


@app.command(rich_help_panel="Daemons")
def relay(probe_port: ProbePort = None, supervised: Supervised = False) -> None:
    """Publish committed events from the outbox to the bus."""
    settings = config.load(probes__port=probe_port)
    begin(settings, "hub-relay", supervised)
    running.run_relay(settings)


@app.command(rich_help_panel="Daemons")
def consume(
    system: Annotated[str, typer.Argument(help=f"One of {', '.join(config.SYSTEMS)}.")],
    probe_port: ProbePort = None,
    supervised: Supervised = False,
) -> None:
    """Keep one system up to date."""
    settings = config.load(probes__port=probe_port)
    begin(settings, f"hub-consume-{system}", supervised)
    running.run_consumer(settings, system)


@app.command(rich_help_panel="Daemons")
def up(
    prepare: Annotated[
        bool, typer.Option(help="First make tables, queues and interface tables that are not there.")
    ] = True,
) -> None:
    """Run the whole hub on this machine and stay: restarts what dies, ends cleanly on ctrl-C or SIGTERM."""
    settings = config.load()
    logs.configure(settings.log, "hub-up")
    if prepare:
        wiring.prepare(settings)
    stop = threading.Event()
    stop_on_signals(stop, 2 * STOP_SECONDS)
    Supervisor(parts(settings)).run(stop)


def parts(settings: config.Settings) -> list[Part]:
    """Every process of the hub. Probe ports follow one another from HUB_PROBES__PORT, where that is not 0."""
    port_of = _numbered(settings.probes.port)
    names: list[tuple[str, ...]] = [("relay",), *(("consume", system) for system in config.SYSTEMS)]
    # The embedded bus has no subscriptions.
    names += [] if settings.embedded_bus else [("subscription", "watch")]
    if Writer(settings.oms.writer) is Writer.OWN:
        names.append(("intake", "run"))
    given = config.environment(settings)
    daemons = [
        Part("-".join(name), (*name, "--supervised", "--probe-port", str(port_of(at))), given, reports=True)
        for at, name in enumerate(names)
    ]
    maintenance = Part("maintenance", ("maintenance", "run", "--supervised", "--every", str(DAY_SECONDS)), given)
    nightly = Part("reconcile", ("reconcile", "nightly", "--supervised"), given)
    return [Part("api", ("api", "--supervised"), given, reports=True), *daemons, maintenance, nightly]


def begin(settings: config.Settings, service: str, supervised: bool) -> None:
    """What every daemon does first: its log, its crash point, and its end when whoever supervises it is gone."""
    logs.configure(settings.log, service)
    arm_crash_point(settings)
    if supervised:
        stop_with_input()


def arm_crash_point(settings: config.Settings) -> None:
    """For drills: let this process die where HUB_CRASH_AT says."""
    if settings.crash_at:
        label, _, times = settings.crash_at.partition(":")
        crash_points.arm(label, int(times or 1))


def _numbered(base: int) -> Callable[[int], int]:
    return lambda position: base + position if base else 0
