"""A private Alertmanager at a port of this machine, alone and with nothing remembered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import yaml

from tests.nodes.node import Node
from tests.nodes.ports import free_ports


class AlertmanagerNode(Node):
    """Alertmanager on a configuration that is given as it would be read from its file."""

    name = "alertmanager"

    def __init__(self, program: str, configuration: dict[str, Any]) -> None:
        super().__init__()
        self._program = program
        self._file = self.home / "alertmanager.yml"
        self._file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"

    def fire(self, *alerts: dict[str, Any]) -> None:
        """Tell it of alerts, as Prometheus does again and again; one with `endsAt` is over then."""
        headers = {"Content-Type": "application/json"}
        sent = Request(f"http://{self.address}/api/v2/alerts", json.dumps(alerts).encode(), headers)
        with urlopen(sent, timeout=10) as answer:
            assert answer.status == 200

    def _prepare(self) -> None:
        """Nothing: it makes its own folder."""

    def _command(self) -> list[str]:
        return [
            self._program,
            f"--config.file={self._file}",
            f"--storage.path={self.home / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]

    def _environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": str(Path(self._program).parent)}

    def _serves(self) -> bool:
        try:
            with urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False
