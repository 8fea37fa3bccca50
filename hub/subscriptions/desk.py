"""Where an operator changes subscriptions, one of them at a time: broker and database are not changed in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from hub import config, holder
from hub.audit.verbs import Operator, record
from hub.database import reading, writing
from hub.errors import Refused
from hub.oms import leases
from hub.oms.leases import Lease
from hub.subscriptions import store
from hub.subscriptions.store import Subscription

SECONDS = 120.0
# As long as a name may be: what is longer names nothing, which whoever looks for it will say.
_LONGEST = 31


class Turn:
    """The right to change one subscription; while it is held nobody else does."""

    def __init__(self, desk: Desk, lease: Lease) -> None:
        self._desk, self._lease = desk, lease

    @contextmanager
    def recording(
        self, verb: str, name: str, *, reason: str | None = None, details: Mapping[str, Any] | None = None
    ) -> Iterator[Connection]:
        """One transaction with its row in the audit; LeaseLost, and nothing recorded, where somebody took over."""
        with writing(self._desk.engine) as connection:
            leases.keep(connection, self._lease, SECONDS)
            yield connection
            record(connection, self._desk.by, f"subscription.{verb}", name, reason=reason, details=details)


@dataclass(frozen=True)
class Desk:
    """The database, the settings, and who it is. Refused on the embedded bus, to which nobody else can connect."""

    engine: Engine
    settings: config.Settings
    by: Operator

    def __post_init__(self) -> None:
        check_bus(self.settings)

    def find(self, name: str) -> Subscription:
        """A subscription as it is stored, NotFound where there is none."""
        with reading(self.engine) as connection:
            return store.find(connection, name)

    @contextmanager
    def turn(self, name: str) -> Iterator[Turn]:
        """Nobody else changes this subscription meanwhile; Refused where somebody is at it."""
        lease = self._taken(f"subscription.{name[:_LONGEST]}")
        try:
            yield Turn(self, lease)
        finally:
            with writing(self.engine) as connection:
                leases.release(connection, lease)

    def _taken(self, lease_name: str) -> Lease:
        with writing(self.engine) as connection:
            leases.free_dead(connection, lease_name)
            lease = leases.take(connection, lease_name, holder.me(), SECONDS)
        if lease is None:
            raise Refused(f"somebody else is changing {lease_name} just now: try again in a moment")
        return lease


def check_bus(settings: config.Settings) -> None:
    """Refused on the embedded bus."""
    if settings.embedded_bus:
        raise Refused(
            "the embedded bus is a file of this machine, to which nobody else can connect: "
            "HUB_BUS__URL must name a RabbitMQ broker"
        )
