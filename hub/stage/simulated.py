"""The systems of a stage as their vendors' interfaces: each a simulator in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from hub.errors import DependencyDown
from hub.simulators.registry import VENDORS
from hub.stage.ports import free_port
from hub.supervisor import Part

SPOKEN: Mapping[str, str] = {"crm": "rest", "kingdee": "webapi", "wms": "qimen", "erp": "yonbip"}
"""Which interface of each system is simulated unless another is named."""


@dataclass(frozen=True)
class Simulators:
    """Where each stands, the file that it keeps its data in, and the interface that it speaks."""

    addresses: Mapping[str, str]
    files: Mapping[str, Path]
    spoken: Mapping[str, str]

    def settings(self) -> dict[str, str]:
        """The hub's settings that lead to all of them."""
        found: dict[str, str] = {}
        for name, interface in self.spoken.items():
            vendor = VENDORS[f"{name}.{interface}"](self.files[name])
            found |= vendor.settings(self.addresses[name])
            if vendor.store is not None:
                vendor.store.close()
        return found

    def parts(self, callbacks: str) -> list[Part]:
        """A process for each; the warehouse reports to `callbacks`."""
        return [
            Part(f"simulate-{name}", ("simulate", name, *self._arguments(name, callbacks), "--supervised"))
            for name in self.spoken
        ]

    def control(self, name: str, **told: Any) -> None:
        """Tell one something that no caller could; DependencyDown with its words where it does not do that."""
        answer = httpx2.post(f"{self.addresses[name]}/control", json=told, timeout=30)
        if answer.is_error:
            raise DependencyDown(f"the simulated {name} does not do {told}: {answer.text[:500]}")

    def journal(self, name: str) -> list[dict[str, Any]]:
        """Every effect that one has counted."""
        found: list[dict[str, Any]] = httpx2.get(f"{self.addresses[name]}/journal", timeout=30).json()
        return found

    def _arguments(self, name: str, callbacks: str) -> tuple[str, ...]:
        port = self.addresses[name].rpartition(":")[2]
        spoken = {"wms": ("--callback", callbacks), "kingdee": ()}.get(name, ("--dialect", self.spoken[name]))
        return ("--port", port, "--data", str(self.files[name]), *spoken)


def simulators(folder: Path, spoken: Mapping[str, str] = SPOKEN) -> Simulators:
    """One for each system, with data in a folder; none of them runs yet."""
    return Simulators(
        {name: f"http://127.0.0.1:{free_port()}" for name in spoken},
        {name: folder / f"{name}.simulated.sqlite" for name in spoken},
        spoken,
    )
