"""A private PostgreSQL server."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.nodes.errors import MissingProgram
from tests.nodes.node import Node, run
from tests.nodes.ports import free_ports

DEBIAN = Path("/usr/lib/postgresql")
PROGRAMS = ("initdb", "postgres", "createdb", "dropdb", "pg_isready")
MISSING = "PostgreSQL is not installed: sudo apt-get install postgresql"


def postgres_programs(debian: Path = DEBIAN, path: str | None = None) -> Path:
    """The folder of the newest server installed, else the one on the search path."""
    versions = sorted(debian.glob("[0-9]*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    on_path = shutil.which("initdb", path=path)
    for folder in [*versions, *([Path(on_path).resolve().parent] if on_path else [])]:
        if all((folder / program).exists() for program in PROGRAMS):
            return folder
    raise MissingProgram(MISSING)


class PostgresNode(Node):
    """Serves user `postgres` without a password on 127.0.0.1 and on a socket in its own folder."""

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        """With a certificate and its key (PEM) it speaks TLS too, to those who ask for it."""
        self._bin = postgres_programs()
        super().__init__()
        self._pair = {"ssl_cert_file": certificate, "ssl_key_file": key} if certificate and key else {}
        self.owner = _owner()
        self.port = free_ports(1)[0]
        self._data = self.home / "data"

    def url(self, name: str = "postgres") -> str:
        """Where one of its databases is reached."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """The URL of a copy of the template, to which nobody may be connected meanwhile."""
        self._client("createdb", "--template", template, name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Cuts off whoever still uses it; idempotent."""
        self._client("dropdb", "--if-exists", "--force", name)

    def _prepare(self) -> None:
        if self._data.exists():
            return
        if self.owner:
            shutil.chown(self.home, self.owner)
        how = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        run([str(self._bin / "initdb"), "-D", str(self._data), *how], self._environment(), self.owner)
        for name, source in self._pair.items():
            # The server reads a key of its own alone, which nobody else may read.
            copied = shutil.copy(source, self._data / name)
            Path(copied).chmod(0o600)
            if self.owner:
                shutil.chown(copied, self.owner)

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.home,
            "max_connections": 200,
            "shared_buffers": "16MB",
            # Files in the data folder go away with it; segments of a killed server would stay.
            "dynamic_shared_memory_type": "mmap",
        }
        settings |= {"ssl": "on"} | {name: self._data / name for name in self._pair} if self._pair else {}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        return [str(self._bin / "postgres"), "-D", str(self._data), *options]

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}

    def _serves(self) -> bool:
        question = [str(self._bin / "pg_isready"), "--quiet", "--timeout=1", *self._address()]
        return subprocess.run(question, env=self._environment(), cwd="/", check=False).returncode == 0

    def _client(self, program: str, *args: str) -> None:
        run([str(self._bin / program), *self._address(), "--username=postgres", *args], self._environment())

    def _address(self) -> list[str]:
        return ["--host=127.0.0.1", f"--port={self.port}"]


def _owner() -> str | None:
    """PostgreSQL refuses to run as root, so root lends it to a lesser user."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
