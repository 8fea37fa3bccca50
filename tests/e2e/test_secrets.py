"""Every secret is given a word that stands nowhere else, and it is looked for wherever the hub says something."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy.engine import make_url

from hub import config, wiring
from hub.all_tables import metadata
from hub.config import SYSTEMS
from hub.database import reading
from tests.listening import listening
from tests.nodes.ports import free_ports
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine, pieces
from tests.subscribing import Typed
from tests.support import eventually

SECRETS = [name for name, field in config.variables() if "SecretStr" in repr(field)]
OTHERS = {
    "HUB_SYSTEMS__KINGDEE__INTERFACE": "webapi",
    **{f"HUB_SYSTEMS__KINGDEE__WEBAPI__{name}": "x" for name in ("ACCOUNT", "USER")},
    "HUB_SYSTEMS__KINGDEE__WEBAPI__APP_ID": f"1_{'a' * 32}",
    "HUB_SYSTEMS__WMS__INTERFACE": "qimen",
    **{f"HUB_SYSTEMS__WMS__QIMEN__{name}": "x" for name in ("APP_KEY", "CUSTOMER_ID", "OWNER")},
    **{f"HUB_SYSTEMS__WMS__QIMEN__SENDER__{name}": "x" for name in ("NAME", "MOBILE", "PROVINCE", "CITY", "ADDRESS")},
    "HUB_SYSTEMS__CRM__INTERFACE": "fxiaoke",
    "HUB_SYSTEMS__CRM__FXIAOKE__APP_ID": "x",
    "HUB_SYSTEMS__ERP__INTERFACE": "grasp",
    **{f"HUB_SYSTEMS__ERP__GRASP__{name}": "x" for name in ("APP_KEY", "SHOP_KEY")},
}


def canary(variable: str) -> str:
    """32 characters that stand nowhere else, and that no pattern of ours knows for a token."""
    return f"kanarie{hashlib.sha256(variable.encode()).hexdigest()[:25]}"


@contextmanager
def echoing() -> Iterator[int]:
    """A system that is of no help and tells everybody all that it was sent; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told = f"cannot handle {self.path} {dict(self.headers)} ".encode() + body
            self.send_response(500)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def do_GET(self) -> None:
            self.do_POST()

    with listening(Handler) as port:
        yield port


@pytest.fixture
def machine(rabbit_node: RabbitNode, rabbit_url: str, postgres_url: str, tmp_path: Path) -> Iterator[Machine]:
    with echoing() as port:
        given = OTHERS | {name: canary(name) for name in SECRETS}
        database = make_url(postgres_url)
        for name in SECRETS:
            if name.endswith("__URL") and not name.startswith("HUB_NOTIFY"):
                given[name] = database.set(password=canary(name)).render_as_string(hide_password=False)
        password = canary("HUB_BUS__URL")
        rabbit_node.ctl("add_user", "kanarie", password)
        rabbit_node.ctl("set_permissions", "-p", rabbit_url.rpartition("/")[2], "kanarie", ".*", ".*", ".*")
        given |= {
            "HUB_BUS__URL": rabbit_url.replace("guest:guest", f"kanarie:{password}"),
            "HUB_BUS__MANAGEMENT_URL": rabbit_node.management_url.replace(
                "://", f"://guest:{canary('HUB_BUS__MANAGEMENT_URL')}@"
            ),
            **{
                f"HUB_NOTIFY__{robot}__URL": f"http://127.0.0.1:{port}/?{key}={canary(f'HUB_NOTIFY__{robot}__URL')}"
                for robot, key in (("DINGTALK", "access_token"), ("WECOM", "key"))
            },
            "HUB_DATA_DIR": str(tmp_path / "data"),
            "HUB_API__PORT": str(free_ports(1)[0]),
            "HUB_LOG__LEVEL": "debug",
        }
        for interface in ("KINGDEE__WEBAPI", "WMS__QIMEN", "CRM__FXIAOKE", "ERP__GRASP"):
            given[f"HUB_SYSTEMS__{interface}__URL"] = f"http://127.0.0.1:{port}/"
        yield Machine(tmp_path, given)
    rabbit_node.ctl("delete_user", "kanarie")


def test_no_secret_is_seen_wherever_the_hub_says_something(machine: Machine) -> None:
    Typed(machine).must("db", "upgrade")
    plain = machine.given()
    del plain.variables["HUB_BUS__MANAGEMENT_URL"]
    Typed(plain).must("topology", "apply")
    said = dict[str, str]()
    with machine.daemon("up", "--no-prepare") as up:
        assert eventually(lambda: len(probes(up.said())) == 2 + len(SYSTEMS), 120), up.said()
        for number, address in enumerate([up.address, *probes(up.said())]):
            for path in ("livez", "readyz", "metrics"):
                assert eventually(lambda at=f"{address}/{path}": asked(at) is not None, 60)
                said[f"{path} {number}"] = asked(f"{address}/{path}") or ""
        for pid in [up.pid, *up.children()]:
            said[f"cmdline {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        for arguments in (
            ("config", "show"),
            ("config", "show", "--json"),
            ("doctor",),
            ("doctor", "--json"),
            ("topology", "diff"),
            ("notify", "test"),
            ("subscription", "add", "x", "--topics", "order.#"),
            ("status",),
        ):
            done = Typed(machine).hub(*arguments)
            said[" ".join(arguments)] = done.stdout + done.stderr
        up.terminate()
        said["the log"] = up.said()
    said["the database"] = dumped(plain.settings)
    assert "cannot handle" in said["the database"]
    assert len(pieces(said["the log"])) > 20
    assert "***" in said["config show"]
    assert "Login failed" in said["topology diff"] or "refused" in said["topology diff"]
    leaks = [(where, name) for where, text in said.items() for name in SECRETS if canary(name) in text]
    assert leaks == []


def test_of_a_token_only_a_hash_is_kept(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path)})
    Typed(machine).must("db", "upgrade")
    token = Typed(machine).must("token", "add", "shop", "--role", "channel").strip()
    kept = dumped(machine.settings)
    assert hashlib.sha256(token.encode()).hexdigest() in kept
    assert token not in kept
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert token not in Typed(machine).must("token", "list")


def probes(log: str) -> list[str]:
    """Where the probes of all parts are."""
    return [line.partition('"at": "')[2].partition('"')[0] for line in pieces(log) if "probes.listening" in line]


def asked(url: str) -> str | None:
    try:
        return httpx2.get(url, timeout=30).text
    except httpx2.TransportError:
        return None


def dumped(settings: config.Settings) -> str:
    """Every row of every table of the hub, unpacked, as text."""
    with wiring.hub_engine(settings, "test") as engine, reading(engine) as connection:
        rows = [row for table in metadata.sorted_tables for row in connection.execute(table.select()).all()]
    return "\n".join(_text(value) for row in rows for value in row)


def _text(value: Any) -> str:
    if not isinstance(value, (bytes, memoryview)):
        return str(value)
    try:
        return zlib.decompress(value).decode()
    except zlib.error:
        return bytes(value).decode(errors="replace")
