"""The story, scene by scene."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from sqlalchemy import Engine

from hub import assembly, config
from hub.consumers import standings
from hub.consumers.standings import Standing
from hub.consumers.system import System
from hub.database import reading
from hub.demo.words import say
from hub.oms import orders, outbox
from hub.reconcile import rules_file
from hub.reconcile.check import Verdict, check
from hub.reconcile.reading import Scope
from hub.stage.deployment import Stage, down, wait_until
from hub.stage.shops import Shops
from hub.stage.simulated import Simulators
from hub.stage.warehouse import warehouse_of

ORDERS = 120
DOWN_SECONDS = 6
MORE_ORDERS = 30
DOWN_SYSTEM = "wms"


@dataclass(frozen=True)
class Effects:
    """What a system's own journal says: how many changes it saw, and how many of them twice."""

    count: int
    doubled: int


@dataclass(frozen=True)
class Ending:
    """How the story ended."""

    orders: int
    versions: int
    standings: dict[str, Standing]
    verdicts: dict[str, Verdict]
    effects: dict[str, Effects]
    order_numbers: list[str]

    @property
    def good(self) -> bool:
        """Whether every system shows every order, none has an effect twice, and nothing waits."""
        return all(self._good(name) for name in self.standings)

    def facts(self) -> dict[str, Any]:
        """The ending as one JSON object."""
        systems = {name: asdict(standing) for name, standing in self.standings.items()}
        return {"orders": self.orders, "versions": self.versions, "systems": systems}

    def _good(self, name: str) -> bool:
        standing = self.standings[name]
        return (
            self.verdicts[name].equal
            and self.effects[name].doubled == 0
            and standing.behind == standing.parked == 0
            and standing.wanted == self.versions
        )


class Story:
    """Tells what happens on a stage while it happens."""

    def __init__(self, on: Stage, console: Console, locale: str) -> None:
        self._stage = on
        self._console = console
        self._locale = locale
        self._shops = Shops(on.address, on.tokens)
        self._warehouse = warehouse_of(on, self._shops)

    def tell(self) -> Ending:
        """All scenes, then the comparison."""
        self._say("started", n=len(self._stage.supervisor.parts))
        numbers = self._orders_arrive()
        if self._stage.simulators:
            numbers = self._wms_is_mute(self._stage.simulators, numbers)
        else:
            self._wms_is_down(numbers)
        self._killed(numbers)
        self._shops.close()
        return self._ending(numbers)

    def _orders_arrive(self) -> list[str]:
        self._title("scene1")
        pushes, numbers = self._shops.place(range(ORDERS))
        self._shops.move("pay", numbers)
        self._warehouse.move("pick", numbers[: ORDERS * 3 // 4])
        count, versions = self._totals()
        self._say("scene1_done", orders=count, versions=versions)
        self._title("scene2")
        replayed = self._shops.replayed(pushes)
        self._say("scene2_done", n=len(pushes), replayed=replayed, new=self._totals()[1] - versions)
        return numbers

    def _wms_is_down(self, numbers: list[str]) -> None:
        with down(self._stage.settings.system(DOWN_SYSTEM)):
            self._title("scene3", seconds=DOWN_SECONDS)
            self._say("scene3_down")
            self._shops.move("ship", numbers[: ORDERS // 2])
            self._shops.move("complete", numbers[: ORDERS // 8])
            self._watch()
        self._say("scene3_up")

    def _wms_is_mute(self, simulated: Simulators, numbers: list[str]) -> list[str]:
        """It does what it is told and its answers are lost: whoever just repeats ships every parcel twice."""
        self._title("mute", seconds=DOWN_SECONDS)
        self._warehouse.move("ship", numbers[: ORDERS // 2])
        simulated.control(DOWN_SYSTEM, fault="commit_then_silence", step="deliveryorder.create", seconds=1)
        self._say("mute_down")
        _, more = self._shops.place(range(ORDERS, ORDERS + MORE_ORDERS))
        self._shops.move("pay", more)
        self._shops.move("complete", numbers[: ORDERS // 8])
        self._watch()
        simulated.control(DOWN_SYSTEM, fault=None)
        wait_until(self._arrived, "the WMS does not catch up")
        parcels = [row["number"] for row in simulated.journal(DOWN_SYSTEM) if row["effect"] == "create"]
        there = [number for number in parcels if number in more]
        self._say("mute_up", orders=len(more), parcels=len(there), twice=len(there) - len(set(there)))
        return numbers + more

    def _watch(self) -> None:
        for _ in range(DOWN_SECONDS // 2):
            time.sleep(2)
            self._console.print(f"    {self._behind()}")

    def _killed(self, numbers: list[str]) -> None:
        self._title("scene4")
        self._shops.move("complete", numbers[ORDERS // 8 : ORDERS // 4])
        self._stage.kill("relay")
        self._stage.kill("consume-kingdee")
        self._shops.move("complete", numbers[ORDERS // 4 : ORDERS // 2])
        seconds = wait_until(self._arrived, "the killed processes did not come back")
        self._say("scene4_done", seconds=seconds)

    def _behind(self) -> str:
        words = [f"{say(self._locale, name)} {self._standing(name).behind}" for name in config.SYSTEMS]
        return say(self._locale, "still_behind", systems=" · ".join(words))

    def _arrived(self) -> bool:
        versions = self._totals()[1]
        with reading(self._stage.engine) as connection:
            pending = outbox.backlog(connection).pending
        standings = [self._standing(name) for name in config.SYSTEMS]
        return pending == 0 and all(each.wanted == versions and each.behind == 0 for each in standings)

    def _ending(self, numbers: list[str]) -> Ending:
        count, versions = self._totals()
        settings, all_of_them = self._stage.settings, Scope(orders=tuple(numbers))
        known = rules_file.load(settings.reconcile.rules, settings.interfaces)
        with ExitStack() as stack:
            systems = {
                name: stack.enter_context(closing(assembly.system_of(settings, name))) for name in config.SYSTEMS
            }
            return Ending(
                count,
                versions,
                {name: self._standing(name) for name in systems},
                {name: check(self._stage.engine, each, known.of(name), all_of_them) for name, each in systems.items()},
                {name: self._effects(each) for name, each in systems.items()},
                numbers,
            )

    def _effects(self, system: System) -> Effects:
        if self._stage.simulators:
            journal = self._stage.simulators.journal(system.name)
            return Effects(len(journal), sum(row["repeats"] for row in journal))
        count = system.effects() or 0
        # Each version that was applied changed its tables once.
        return Effects(count, count - self._standing(system.name).applied)

    def _standing(self, name: str) -> Standing:
        with reading(self._stage.engine) as connection:
            return standings.standing(connection, name)

    def _totals(self) -> tuple[int, int]:
        with reading(self._stage.engine) as connection:
            return orders.totals(connection)

    def _title(self, key: str, **facts: object) -> None:
        self._console.print(f"\n[bold]{say(self._locale, key, **facts)}[/bold]")

    def _say(self, key: str, **facts: object) -> None:
        self._console.print(f"  {say(self._locale, key, **facts)}")


def backend(engine: Engine) -> str:
    """The name of the database, for the first line of the story."""
    return "PostgreSQL" if engine.dialect.name == "postgresql" else "SQLite"
