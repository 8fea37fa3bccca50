"""Broker, database, management API, interface and probes over TLS: a stranger is refused in a sentence."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Engine

from hub import config, groups, tls, wiring
from hub.bus.port import Fate, Message
from hub.bus.rabbit.management import Management
from hub.cli import doctor
from hub.cli.encryption import in_the_clear, readable_by_others
from hub.daemon import Vitals
from hub.database import open_engine, ping, reading
from hub.errors import BusLost, BusRefused, DependencyDown, WrongConfiguration
from hub.probes import Probes
from tests.certificates import Authority, Pair
from tests.nodes.ports import free_ports
from tests.nodes.postgres import PostgresNode
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.subscribing import Typed
from tests.support import drain, eventually, ids, settings

UNTRUSTED = "certificate is not to be trusted"
PASSWORD = "s3cret-canary"


@dataclass(frozen=True)
class Papers:
    """An authority that is trusted, one that is not, and what they signed."""

    ours: Authority
    strange: Authority
    server: Pair
    client: Pair


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    ours = Authority(folder)
    return Papers(ours, Authority(folder, "strange"), ours.pair("server"), ours.pair("client"))


@dataclass(frozen=True)
class Broker:
    """A node that speaks AMQP over TLS to whoever shows a certificate, and HTTPS beside."""

    node: RabbitNode
    papers: Papers
    port: int
    management_port: int

    def variables(self, **more: str) -> dict[str, str]:
        given = {
            "HUB_BUS__URL": f"amqps://guest:guest@127.0.0.1:{self.port}/",
            "HUB_BUS__MANAGEMENT_URL": f"https://guest:guest@127.0.0.1:{self.management_port}",
            "HUB_BUS__TLS_CA": str(self.papers.ours.file),
            "HUB_BUS__TLS_CERT": str(self.papers.client.certificate),
            "HUB_BUS__TLS_KEY": str(self.papers.client.key),
        }
        return {name: value for name, value in (given | more).items() if value}

    def settings(self, **more: str) -> config.Settings:
        return settings(**self.variables(**more))


@pytest.fixture(scope="module")
def broker(papers: Papers, installed: Callable[[Callable[[], RabbitNode]], RabbitNode]) -> Iterator[Broker]:
    port, management_port = free_ports(2)
    pair = {"cacertfile": papers.ours.file, "certfile": papers.server.certificate, "keyfile": papers.server.key}
    more = [
        f"listeners.ssl.local = 127.0.0.1:{port}",
        *(f"ssl_options.{name} = {path}" for name, path in pair.items()),
        "ssl_options.verify = verify_peer",
        "ssl_options.fail_if_no_peer_cert = true",
        f"management.ssl.port = {management_port}",
        "management.ssl.ip = 127.0.0.1",
        *(f"management.ssl.{name} = {path}" for name, path in pair.items()),
    ]
    with installed(lambda: RabbitNode(management=True, more=more)) as node:
        made = Broker(node, papers, port, management_port)
        with wiring.bus_of(made.settings(), "test") as bus:
            bus.declare(wiring.topology_of(made.settings()))
        yield made


@pytest.fixture(scope="module")
def encrypted(
    papers: Papers, installed: Callable[[Callable[[], PostgresNode]], PostgresNode]
) -> Iterator[PostgresNode]:
    with installed(lambda: PostgresNode(papers.server.certificate, papers.server.key)) as node:
        yield node


class TestBroker:
    def test_events_go_their_way_over_tls(self, broker: Broker) -> None:
        given = broker.settings()
        with wiring.bus_of(given, "test") as bus, closing(bus.publisher()) as publisher:
            sent = [Message(f"tls-{number}", "order.paid.jd", b"{}") for number in range(3)]
            assert publisher.publish(sent) == [Fate.CONFIRMED] * 3
            with closing(bus.subscribe("q.crm")) as subscription:
                assert ids(drain(subscription, 3)) == [each.id for each in sent]

    def test_the_management_api_is_asked_over_tls(self, broker: Broker) -> None:
        with Management(broker.settings()) as management:
            assert management.queue("q.crm")

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"HUB_BUS__TLS_CA": "strange"}, "self-signed certificate in certificate chain"),
            ({"HUB_BUS__TLS_CA": ""}, "self-signed certificate in certificate chain"),
            ({"HUB_BUS__TLS_NAME": "rabbit.example.com"}, "Hostname mismatch"),
        ],
        ids=["another authority", "the usual authorities", "another name"],
    )
    def test_a_broker_that_is_not_ours_is_refused(self, broker: Broker, more: dict[str, str], words: str) -> None:
        named = {key: str(broker.papers.strange.file) if value == "strange" else value for key, value in more.items()}
        given = broker.settings(**named)
        with wiring.bus_of(given, "test") as bus:
            for connect in (
                bus.publisher,
                lambda: bus.subscribe("q.crm"),
                lambda: bus.missing(wiring.topology_of(given)),
            ):
                with pytest.raises(BusRefused, match=f"^broker: .*{UNTRUSTED}: {words}.*HUB_BUS__TLS_CA"):
                    connect()
        with Management(given) as management, pytest.raises(BusRefused, match=f"{UNTRUSTED}: {words}"):
            management.version()

    def test_without_our_certificate_the_broker_will_not_have_us(self, broker: Broker) -> None:
        def connected() -> None:
            # The broker may hang up before its reason has been read: then a daemon tries again, and so do we.
            for _ in range(20):
                with suppress(BusLost):
                    bus.publisher()

        with (
            wiring.bus_of(broker.settings(HUB_BUS__TLS_CERT="", HUB_BUS__TLS_KEY=""), "test") as bus,
            pytest.raises(BusRefused, match="refuses our certificate or TLS: certificate required"),
        ):
            connected()

    def test_a_command_says_so_in_one_line_and_ends_with_69(self, broker: Broker, tmp_path: Path) -> None:
        ours = broker.variables(HUB_BUS__TLS_CA=str(broker.papers.strange.file), HUB_BUS__MANAGEMENT_URL="")
        machine = Machine(tmp_path, ours | {"HUB_DATA_DIR": str(tmp_path)})
        typed = Typed(machine)
        typed.must("db", "upgrade")
        for done in (typed.hub("topology", "diff"), machine.hub("relay")):
            assert done.returncode == 69, done.stderr
            assert UNTRUSTED in done.stderr.splitlines()[-1]
            assert "Traceback" not in done.stderr


class TestAnotherServer:
    """What is certain of any server holds without a broker behind it."""

    def test_a_certificate_that_has_run_out_is_refused(self, papers: Papers) -> None:
        with served(papers.ours.pair("old", days=-1)) as server:
            assert_refused(server, papers, "certificate has expired")

    def test_a_certificate_for_another_host_is_refused(self, papers: Papers) -> None:
        with served(papers.ours.pair("elsewhere", hosts=("rabbit.example.com",))) as server:
            assert_refused(server, papers, "IP address mismatch")

    def test_where_no_tls_is_spoken_nothing_is_said_in_the_clear(self, papers: Papers) -> None:
        with served(None) as server:
            assert_refused(server, papers, "no TLS is spoken there")
        assert server.heard
        assert PASSWORD.encode() not in b"".join(server.heard)
        assert b"AMQP" not in b"".join(server.heard)

    def test_nothing_older_than_1_2_is_spoken(self, papers: Papers) -> None:
        files = tls.Files("HUB_API__TLS_", certificate=papers.server.certificate, key=papers.server.key)
        serving = tls.serving(files)
        assert serving
        assert {serving.minimum_version, tls.calling(files).minimum_version} == {ssl.TLSVersion.TLSv1_2}


class TestFiles:
    """A setting that names a file of no use is named itself."""

    def test_an_authority_that_is_no_certificate(self, papers: Papers, tmp_path: Path) -> None:
        for path, why in ((tmp_path / "none", "No such file"), (papers.server.key, "not certificates")):
            with pytest.raises(WrongConfiguration, match=f"^HUB_BUS__TLS_CA: .*{why}"):
                wiring.bus_of(settings(HUB_BUS__URL="amqps://localhost", HUB_BUS__TLS_CA=str(path)), "test")

    def test_a_certificate_without_its_key_or_with_another(self, papers: Papers) -> None:
        certificate, key = papers.server.certificate, papers.client.key
        for listen, words in (
            (groups.Listen(tls_cert=certificate), "go together"),
            (groups.Listen(tls_key=key), "go together"),
            (
                groups.Listen(tls_cert=certificate, tls_key=key),
                "HUB_PROBES__TLS_CERT: .*not a certificate with",
            ),
            (groups.Listen(tls_cert=certificate, tls_key=Path("/none")), "HUB_PROBES__TLS_KEY: cannot read /none"),
        ):
            with pytest.raises(WrongConfiguration, match=words):
                Probes("hub-relay", Vitals(), listen)


@pytest.mark.parametrize("host", ["[::1]", "127.0.0.1,[::1]"])
def test_a_broker_is_found_at_an_address_of_ipv6(papers: Papers, host: str) -> None:
    with served(papers.ours.pair("old-six", days=-1), family=socket.AF_INET6) as server:
        url = f"amqps://hub:{PASSWORD}@{host}:{server.port}/"
        given = settings(HUB_BUS__URL=url, HUB_BUS__TLS_CA=str(papers.ours.file))
        with wiring.bus_of(given, "test") as bus, pytest.raises(BusRefused, match="certificate has expired"):
            bus.missing(wiring.topology_of(given))


class TestDatabase:
    def test_the_parameters_of_the_url_are_those_of_the_connection(
        self, encrypted: PostgresNode, papers: Papers
    ) -> None:
        ask = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        parameters = f"sslmode=verify-full&sslrootcert={papers.ours.file}"
        with opened(encrypted, parameters) as engine, reading(engine) as connection:
            on, version = connection.exec_driver_sql(ask).one()
        assert on
        assert version in {"TLSv1.2", "TLSv1.3"}

    def test_a_server_that_is_not_ours_is_refused(self, encrypted: PostgresNode, papers: Papers) -> None:
        with (
            opened(encrypted, f"sslmode=verify-full&sslrootcert={papers.strange.file}") as engine,
            pytest.raises(DependencyDown, match=r"^database: .*certificate verify failed"),
        ):
            ping(engine)

    def test_a_server_without_tls_is_refused(self, postgres_node: PostgresNode, papers: Papers) -> None:
        postgres_node.start()
        with (
            opened(postgres_node, f"sslmode=verify-full&sslrootcert={papers.ours.file}") as engine,
            pytest.raises(DependencyDown, match=r"^database: .*does not support SSL, but SSL was required"),
        ):
            ping(engine)


class TestServed:
    def test_the_interface_is_served_over_tls_and_takes_in_a_new_certificate(
        self, papers: Papers, tmp_path: Path
    ) -> None:
        (port,) = free_ports(1)
        pair = copied(papers.ours.pair("first"), tmp_path)
        machine = Machine(
            tmp_path,
            {
                "HUB_DATA_DIR": str(tmp_path),
                "HUB_API__PORT": str(port),
                "HUB_API__TLS_CERT": str(pair.certificate),
                "HUB_API__TLS_KEY": str(pair.key),
            },
        )
        machine.must("db", "upgrade")
        with machine.daemon("api") as api:
            assert api.line("api.listening")["at"] == f"https://127.0.0.1:{port}"
            assert eventually(lambda: shown(port, papers.ours) is not None, 30)
            assert httpx2.get(f"https://127.0.0.1:{port}/livez", verify=trusting(papers.ours)).status_code == 200
            for refused in (f"http://127.0.0.1:{port}/livez", f"https://127.0.0.1:{port}/livez"):
                with pytest.raises(httpx2.TransportError):
                    httpx2.get(refused, verify=trusting(papers.strange))
            before = shown(port, papers.ours)
            copied(papers.ours.pair("second"), tmp_path)
            assert eventually(lambda: shown(port, papers.ours) not in {None, before}, 60)
            pair.certificate.write_text("no certificate any more", encoding="ascii")
            api.line("certificate.unusable", 60)
            assert shown(port, papers.ours) not in {None, before}

    def test_probes_are_served_over_tls_and_bear_who_says_nothing(self, papers: Papers, tmp_path: Path) -> None:
        pair = copied(papers.server, tmp_path)
        with Probes("hub-relay", Vitals(), groups.Listen(tls_cert=pair.certificate, tls_key=pair.key)) as probes:
            port = int(probes.address.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)):
                answer = httpx2.get(f"{probes.address}/livez", verify=trusting(papers.ours), timeout=30)
            assert answer.json() == {"alive": True, "stale": []}
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{port}/livez", timeout=30)
            before = shown(port, papers.ours)
            copied(papers.ours.pair("third"), tmp_path)
            assert eventually(lambda: shown(port, papers.ours) not in {None, before}, 30)


class TestDoctor:
    def test_how_long_certificates_are_good_is_told(
        self, broker: Broker, encrypted: PostgresNode, papers: Papers, tmp_path: Path
    ) -> None:
        soon, over = papers.ours.pair("soon", days=20.2), papers.ours.pair("over", days=-2.2)
        files = {
            "HUB_API__TLS_CERT": str(soon.certificate),
            "HUB_API__TLS_KEY": str(soon.key),
            "HUB_PROBES__TLS_CERT": str(over.certificate),
            "HUB_PROBES__TLS_KEY": str(over.key),
        }
        url = f"{encrypted.url()}?sslmode=verify-full&sslrootcert={papers.ours.file}"
        given = broker.settings(HUB_DATA_DIR=str(tmp_path), HUB_DB__URL=url, **files)
        found = [each for each in doctor.findings(given) if each.check == "certificate"]
        told = {each.detail: (each.good, each.warning) for each in found}
        assert told == {
            "HUB_API__TLS_CERT: good for 20 days: renew it now": (True, True),
            "HUB_PROBES__TLS_CERT: has run out 2 days ago: renew it now": (False, False),
            "HUB_BUS__TLS_CERT: good for 30 days": (True, False),
            "broker 127.0.0.1: good for 30 days": (True, False),
            "management API: good for 30 days": (True, False),
            "database of HUB_DB__URL: good for 30 days": (True, False),
        }

    def test_what_goes_in_the_clear_is_told_and_no_secret_with_it(self) -> None:
        given = settings(
            HUB_BUS__URL=f"amqp://hub:{PASSWORD}@127.0.0.1,broker.example.com/",
            HUB_BUS__MANAGEMENT_URL=f"http://hub:{PASSWORD}@broker.example.com:15672",
            HUB_DB__URL=f"postgresql://hub:{PASSWORD}@db.example.com/hub?sslmode=require",
            HUB_SYSTEMS__ERP__URL=f"postgresql://hub:{PASSWORD}@erp.example.com/erp?sslmode=verify-full",
            HUB_API__HOST="0.0.0.0",
        )
        told = in_the_clear(given)
        named = ["HUB_BUS__URL", "HUB_BUS__MANAGEMENT_URL", "HUB_DB__URL", "HUB_API__HOST"]
        assert [each.partition(":")[0] for each in told] == named
        assert PASSWORD not in "".join(told)

    def test_a_file_with_a_secret_that_everybody_may_read_is_told(self, tmp_path: Path) -> None:
        given = {}
        for name, mode in (("HUB_DB__URL_FILE", 0o644), ("HUB_BUS__URL_FILE", 0o600), ("HUB_TZ_FILE", 0o644)):
            path = tmp_path / name
            path.write_text(PASSWORD, encoding="ascii")
            path.chmod(mode)
            given[name] = str(path)
        assert readable_by_others(given) == [f"HUB_DB__URL_FILE: every user here may read {tmp_path}/HUB_DB__URL_FILE"]

    def test_what_stays_on_this_machine_is_nobodys_affair(self) -> None:
        given = settings(
            HUB_BUS__URL="amqp://a:b@[::1],localhost/",
            HUB_BUS__MANAGEMENT_URL="http://a:b@127.0.0.1:15672",
            HUB_DB__URL="postgresql://localhost/hub",
            HUB_SYSTEMS__ERP__URL="postgresql:///erp?host=/var/run/postgresql",
        )
        assert in_the_clear(given) == []
        assert in_the_clear(settings()) == []


def test_probes_listen_at_an_address_of_ipv6(papers: Papers) -> None:
    listen = groups.Listen(host="::1", tls_cert=papers.server.certificate, tls_key=papers.server.key)
    with Probes("hub-relay", Vitals(), listen) as probes:
        assert probes.address.startswith("https://[::1]:")
        assert httpx2.get(f"{probes.address}/livez", verify=trusting(papers.ours), timeout=30).status_code == 200


@dataclass
class Served:
    """A server that shakes hands, or only listens, and keeps what it heard."""

    port: int
    heard: list[bytes] = field(default_factory=list)


@contextmanager
def served(pair: Pair | None, family: socket.AddressFamily = socket.AF_INET) -> Iterator[Served]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    listening = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
    server = Served(listening.getsockname()[1])

    def answer() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(10)
                _answered(peer, context if pair else None, server)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(15)


def _answered(peer: socket.socket, context: ssl.SSLContext | None, server: Served) -> None:
    try:
        if context is None:
            server.heard.append(peer.recv(4096))
            peer.sendall(b"AMQP\0\0\x09\x01")
            return
        with context.wrap_socket(peer, server_side=True) as shaken:
            server.heard.append(shaken.recv(4096))
    except OSError:
        return


def connect(server: Served, papers: Papers) -> None:
    url = f"amqps://hub:{PASSWORD}@127.0.0.1:{server.port}/"
    with wiring.bus_of(settings(HUB_BUS__URL=url, HUB_BUS__TLS_CA=str(papers.ours.file)), "test") as bus:
        bus.publisher()


def assert_refused(server: Served, papers: Papers, words: str) -> None:
    with pytest.raises(BusRefused, match=f"^broker: .*{words}") as refused:
        connect(server, papers)
    assert PASSWORD not in str(refused.value)


@contextmanager
def opened(node: PostgresNode, parameters: str) -> Iterator[Engine]:
    engine = open_engine(settings(HUB_DB__URL=f"{node.url()}?{parameters}").db, "test")
    try:
        yield engine
    finally:
        engine.dispose()


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.file))


def shown(port: int, authority: Authority) -> bytes | None:
    """The certificate that a server shows now, None while nobody listens."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as peer,
        ):
            return peer.getpeercert(binary_form=True)
    except ConnectionError:
        return None


def copied(pair: Pair, folder: Path) -> Pair:
    """The pair under the names that the settings of a test name."""
    for source, name in ((pair.key, "served.key"), (pair.certificate, "served.pem")):
        shutil.copy(source, folder / f"{name}.new")
        (folder / f"{name}.new").replace(folder / name)
    return Pair(folder / "served.pem", folder / "served.key")
