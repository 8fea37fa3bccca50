"""Subscriptions as tests make them: in one call, on a private broker, with what a subscriber is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import Engine
from typer.testing import CliRunner

from hub import config, migrations, wiring
from hub.audit.verbs import Operator
from hub.bus.rabbit.management import Management
from hub.cli import app
from hub.errors import HubError
from hub.subscriptions import manage
from hub.subscriptions.access import Access
from hub.subscriptions.broker import ByApi
from hub.subscriptions.desk import Desk
from hub.subscriptions.manage import Wish
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.support import settings

OPERATOR = Operator("tests")


def broker_settings(node: RabbitNode, url: str, **variables: str) -> config.Settings:
    """Settings with a bus in a virtual host of a node, and its management API."""
    return settings(**broker_variables(node, url) | variables)


def broker_variables(node: RabbitNode, url: str) -> dict[str, str]:
    """The same for a process of its own."""
    management = node.management_url.replace("://", "://guest:guest@")
    return {"HUB_BUS__URL": url, "HUB_BUS__MANAGEMENT_URL": management}


class Typed:
    """Commands as somebody types them on a machine, carried out in this process, which needs no start for each."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.settings = machine.settings

    def hub(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command to its end, as `hub.cli.main` ends it."""
        done = CliRunner().invoke(app, list(arguments), env=self._environment())
        if done.exception is None or isinstance(done.exception, SystemExit):
            return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
        if not isinstance(done.exception, HubError):
            raise done.exception
        said = f"hub: {done.exception}\n"
        return subprocess.CompletedProcess(arguments, done.exception.exit_code, done.stdout, said)

    def must(self, *arguments: str) -> str:
        """What a command that has to succeed printed."""
        done = self.hub(*arguments)
        assert done.returncode == 0, f"hub {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def _environment(self) -> dict[str, str | None]:
        strange = {name: None for name in os.environ if name.startswith("HUB_")}
        return strange | {"COLUMNS": "200"} | self.machine.variables


def subscribed_machine(node: RabbitNode, url: str, folder: Path, **variables: str) -> Machine:
    """A machine with the hub's tables in a file, and a broker that has what every subscription needs."""
    machine = Machine(folder, broker_variables(node, url) | {"HUB_DATA_DIR": str(folder / "data")} | variables)
    with wiring.hub_engine(machine.settings, "test") as engine:
        migrations.upgrade(engine)
    prepare_bus(machine.settings)
    return machine


def prepare_bus(given: config.Settings) -> None:
    """What every subscription needs: `hub topology apply`."""
    with wiring.bus_of(given, "test") as bus:
        bus.declare(wiring.topology_of(given))


def subscribe(
    engine: Engine, given: config.Settings, name: str = "finance", topics: str = "order.#", **limits: int
) -> Access:
    """Add a subscription by the management API. `access.urls[0]` is where its program connects."""
    with Management(given) as management:
        desk = Desk(engine, given, OPERATOR)
        return manage.add(desk, Wish(name, topics, **limits), ByApi(management, given.bus))


def publish(given: config.Settings, key: str, body: bytes, exchange: str = "oms.events") -> None:
    """Publish with confirm as one who may do everything."""

    def attempt(channel: BlockingChannel) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, body)

    on_channel(given.bus_url, attempt)


def taken(url: str, queue: str) -> list[bytes]:
    """Everything that waits in a queue, as its subscriber takes it."""
    return [body for _, body in taken_whole(url, queue)]


def taken_whole(url: str, queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
    """The same with the properties of each message."""
    found = list[tuple[pika.BasicProperties, bytes]]()

    def attempt(channel: BlockingChannel) -> None:
        while (got := channel.basic_get(queue, auto_ack=True))[0]:
            found.append((got[1], got[2]))

    on_channel(url, attempt)
    return found


def on_channel(url: str, attempt: Callable[[BlockingChannel], Any]) -> Any:
    """Something on a channel of whoever a URL names."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        return attempt(connection.channel())
    finally:
        if connection.is_open:
            connection.close()
