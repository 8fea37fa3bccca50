"""What is done to a hub and its servers during a soak: each fault hurts, and heals within seconds."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hub.errors import HubError
from hub.stage.deployment import down
from tests.faults.rig import Rig
from tests.nodes.postgres import PostgresNode
from tests.nodes.rabbitmq import RabbitNode

CONSUMERS = ("consume-crm", "consume-wms")
MORTAL = ("relay", *CONSUMERS)
"""Processes that are killed. The others live as long as the soak, so that what they hold can be seen to grow."""

SECONDS = 6.0


@dataclass(frozen=True)
class Victim:
    """What can be hurt."""

    rig: Rig
    database: PostgresNode
    broker: RabbitNode
    vhost: str
    chance: random.Random
    mortal: Sequence[str] = MORTAL


Fault = Callable[[Victim], object]


def killed(victim: Victim) -> None:
    """SIGKILL for a process."""
    _signal(victim, victim.chance.choice(victim.mortal), signal.SIGKILL)


def all_killed(victim: Victim) -> None:
    """SIGKILL for several at one moment."""
    for name in victim.mortal:
        _signal(victim, name, signal.SIGKILL)


def asked_to_end(victim: Victim) -> None:
    """SIGTERM for a process."""
    _signal(victim, victim.chance.choice(victim.mortal), signal.SIGTERM)


def frozen(victim: Victim) -> None:
    """A process stands still and goes on."""
    name = victim.chance.choice(victim.rig.names)
    _signal(victim, name, signal.SIGSTOP)
    time.sleep(SECONDS)
    _signal(victim, name, signal.SIGCONT)


def broker_killed(victim: Victim) -> None:
    """SIGKILL for the broker, and another start."""
    victim.broker.kill()
    victim.broker.start()


def broker_restarted(victim: Victim) -> None:
    """A polite end of the broker, and another start."""
    victim.broker.stop()
    victim.broker.start()


def broker_frozen(victim: Victim) -> None:
    """The broker answers nothing for a while."""
    victim.broker.freeze()
    time.sleep(SECONDS)
    victim.broker.thaw()


def broker_short_of_memory(victim: Victim) -> None:
    """The broker takes nothing from publishers for a while."""
    victim.broker.ctl("set_vm_memory_high_watermark", "0.00001")
    time.sleep(SECONDS)
    victim.broker.ctl("set_vm_memory_high_watermark", "0.6")


def connections_closed(victim: Victim) -> None:
    """The broker ends every connection."""
    victim.broker.ctl("close_all_connections", "--vhost", victim.vhost, "soak")


def database_killed(victim: Victim) -> None:
    """SIGKILL for the database, and another start."""
    victim.database.kill()
    victim.database.start()


def database_restarted(victim: Victim) -> None:
    """A polite end of the database, and another start."""
    victim.database.stop()
    victim.database.start()


def database_frozen(victim: Victim) -> None:
    """The database answers nothing for a while."""
    victim.database.freeze()
    time.sleep(SECONDS)
    victim.database.thaw()


def system_down(victim: Victim) -> None:
    """One system cannot be written for a while."""
    with suppress(HubError), down(victim.rig.settings.system(victim.chance.choice(("crm", "wms", "erp")))):
        time.sleep(SECONDS)


FAULTS: tuple[Fault, ...] = (
    *(killed, all_killed, asked_to_end, frozen, system_down),
    *(broker_killed, broker_restarted, broker_frozen, broker_short_of_memory, connections_closed),
    *(database_killed, database_restarted, database_frozen),
)


def name_of(fault: Fault) -> str:
    """As people say it."""
    return str(getattr(fault, "__name__", fault)).replace("_", " ")


def _signal(victim: Victim, name: str, number: signal.Signals) -> None:
    # It may have ended by itself a moment ago and is started again.
    with suppress(ProcessLookupError, AssertionError):
        os.kill(victim.rig.pid(name), number)
