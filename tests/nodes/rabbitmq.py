"""A private RabbitMQ node, and the Erlang port mapper by which nodes find each other."""

import base64
import http.client
import os
import secrets
import shutil
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from tests.nodes.errors import MissingProgram, NodeError
from tests.nodes.node import Node, run
from tests.nodes.ports import free_ports

DEBIAN = Path("/usr/lib/rabbitmq/bin")
MISSING = "RabbitMQ is not installed: sudo apt-get install rabbitmq-server"
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
GREETING = b"AMQP\0\0\x09\x01"
EVERYTHING = '{"configure": ".*", "write": ".*", "read": ".*"}'


def rabbit_scripts(debian: Path = DEBIAN, path: str | None = None) -> Path:
    """The folder of the plain scripts: the ones on Debian's search path insist on root."""
    on_path = shutil.which("rabbitmq-server", path=path)
    for folder in [debian, *([Path(on_path).resolve().parent] if on_path else [])]:
        if (folder / "rabbitmq-env").exists():
            return folder
    raise MissingProgram(MISSING)


class Epmd(Node):
    """The port mapper of nodes that know each other, and the cookie that they share."""

    name: ClassVar[str] = "epmd"
    patience: ClassVar[float] = 10

    def __init__(self) -> None:
        super().__init__()
        self.port = free_ports(1)[0]
        self.cookie = secrets.token_hex(16)

    def _prepare(self) -> None:
        """Needs nothing."""

    def _command(self) -> list[str]:
        program = shutil.which("epmd")
        if program is None:
            raise MissingProgram(MISSING)
        return [program, "-port", str(self.port), "-address", "127.0.0.1"]

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath)}

    def _serves(self) -> bool:
        return answers(self.port)


class RabbitNode(Node):
    """One node that can hold quorum queues; `guest` may do anything from this machine.

    Nodes that are given one port mapper can join each other; else each has its own.
    """

    name: ClassVar[str] = "rabbitmq"
    patience: ClassVar[float] = 120

    def __init__(self, *, management: bool = False, epmd: Epmd | None = None, more: Sequence[str] = ()) -> None:
        self._scripts = rabbit_scripts()
        super().__init__()
        self.port, self.management_port, self._dist_port = free_ports(3)
        self.nodename = f"hubtest{self.port}@localhost"
        self._management = management
        self._epmd, self._shared = epmd or Epmd(), epmd is not None
        self._more = more

    def url(self, vhost: str = "/", user: str = "guest", password: str = "guest") -> str:
        """Where AMQP clients connect."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    @property
    def management_url(self) -> str:
        """The HTTP API; nobody answers there without the management plugin."""
        return f"http://127.0.0.1:{self.management_port}"

    def create_vhost(self, name: str) -> str:
        """The URL of an empty virtual host; 20 ms with management, a second without."""
        if self._management:
            self._api("PUT", f"/api/vhosts/{quote(name, safe='')}")
            self._api("PUT", f"/api/permissions/{quote(name, safe='')}/guest", EVERYTHING)
        else:
            self.ctl("add_vhost", name)
            self.ctl("set_permissions", "--vhost", name, "guest", ".*", ".*", ".*")
        return self.url(name)

    def delete_vhost(self, name: str) -> None:
        """Cuts off whoever still uses it."""
        if self._management:
            self._api("DELETE", f"/api/vhosts/{quote(name, safe='')}")
        else:
            self.ctl("delete_vhost", name)

    def import_definitions(self, path: Path | str) -> None:
        """Adds the users, virtual hosts, queues and policies of a definitions file."""
        self.ctl("import_definitions", str(Path(path).resolve()))

    def ctl(self, *args: str) -> str:
        """The output of rabbitmqctl against this node, without its banners; costs half a second."""
        self._epmd.start()
        return run([str(self._scripts / "rabbitmqctl"), "--quiet", *args], self._environment())

    def kill(self, *, settle: bool = True) -> None:
        """As for every node, but half a second later, so that freshly declared quorum queues survive."""
        # Before rabbitmq/ra#443 the names of quorum queues reach the disk up to a second after their
        # declaration: killed earlier, a queue comes back empty and without a leader.
        if settle and self.running:
            self.thaw()
            self.ctl("eval", "lists:foreach(fun dets:sync/1, dets:all()).")
        super().kill()

    def close(self) -> None:
        """Kills: a polite stop takes 6 s with management, and the data goes anyway; idempotent."""
        self.kill(settle=False)
        super().close()
        if not self._shared:
            self._epmd.close()

    def serves(self) -> bool:
        """Whether AMQP clients are greeted now; false for a node that waits for the majority of its cluster."""
        return self._serves()

    def _prepare(self) -> None:
        self._epmd.start()
        cookie = self.home / ".erlang.cookie"
        if cookie.exists():
            return
        cookie.write_text(self._epmd.cookie)
        cookie.chmod(0o400)
        plugins = "rabbitmq_management" if self._management else ""
        (self.home / "enabled_plugins").write_text(f"[{plugins}].\n")
        (self.home / "rabbitmq.conf").write_text(self._configuration())

    def _configuration(self) -> str:
        management = [f"management.tcp.port = {self.management_port}", "management.tcp.ip = 127.0.0.1"]
        return "\n".join(
            [
                f"listeners.tcp.local = 127.0.0.1:{self.port}",
                "disk_free_limit.absolute = 50MB",
                "raft.wal_max_size_bytes = 33554432",
                "log.connection.level = error",
                *(management if self._management else []),
                *self._more,
                "",
            ]
        )

    def _command(self) -> list[str]:
        return [str(self._scripts / "rabbitmq-server")]

    def _environment(self) -> dict[str, str]:
        home = str(self.home)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "HOME": home,
            "ERL_EPMD_PORT": str(self._epmd.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": f"{home}/crash.dump",
            # The script then becomes the server instead of watching over it: its pid is the one to kill.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": self.nodename,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK,
            "RABBITMQ_CTL_ERL_ARGS": LOOPBACK,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{home}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": f"{home}/rabbitmq-env.conf",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{home}/generated",
            "RABBITMQ_PID_FILE": f"{home}/rabbitmq.pid",
        }

    def _serves(self) -> bool:
        management = not self._management or answers(self.management_port)
        return management and answers(self.port, GREETING)

    def _api(self, method: str, path: str, body: str | None = None) -> None:
        guest = base64.b64encode(b"guest:guest").decode()
        headers = {"Authorization": f"Basic {guest}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.management_port, timeout=30)) as server:
            server.request(method, path, body, headers)
            answer = server.getresponse()
            if answer.status >= http.HTTPStatus.BAD_REQUEST:
                raise NodeError(f"{method} {path}: {answer.status} {answer.read()!r}")


def answers(port: int, greeting: bytes = b"") -> bool:
    """Whether the port accepts, and replies to the greeting if there is one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
            peer.sendall(greeting)
            return not greeting or peer.recv(1) == b"\x01"
    except OSError:
        return False
