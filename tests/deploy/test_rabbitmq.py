"""What is in rabbitmq/ makes a broker that the hub can work with, and `hub topology` sees what became otherwise."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pika
import pytest
from pika.exceptions import ProbableAuthenticationError

from hub import wiring
from hub.bus import topology
from hub.bus.port import Fate, Message
from hub.bus.rabbit.inspection import Difference, inspect
from hub.bus.rabbit.making import make
from hub.bus.rabbit.management import VHOST, Binding, Management
from hub.config import SYSTEMS
from hub.groups import Bus
from tests.certificates import Authority
from tests.nodes.ports import free_ports
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.subscribing import Typed
from tests.support import ROOT, eventually, settings

FOLDER = ROOT / "rabbitmq"
CONFIGURATION = (FOLDER / "rabbitmq.conf").read_text(encoding="utf-8")
WHOLE: dict[str, Any] = json.loads((FOLDER / "definitions.json").read_text(encoding="utf-8"))
USERS = [each["name"] for each in WHOLE["users"]]
PASSWORD = "throw-away"
ADMINISTRATOR = "operator"

Node = Callable[[Callable[[], RabbitNode]], RabbitNode]


class Shipped(RabbitNode):
    """A node with the configuration that is delivered; ports and paths alone are others."""

    def __init__(self, more: str = "") -> None:
        super().__init__(management=True)
        (self.prometheus_port,) = free_ports(1)
        self._text = CONFIGURATION + more

    def _configuration(self) -> str:
        others = {
            "127.0.0.1:5672": f"127.0.0.1:{self.port}",
            "management.tcp.port = 15672": f"management.tcp.port = {self.management_port}",
            "prometheus.tcp.port = 15692": f"prometheus.tcp.port = {self.prometheus_port}",
            "/etc/rabbitmq/queues.json": str(FOLDER / "queues.json"),
        }
        text = self._text
        for shipped, other in others.items():
            assert text.count(shipped) == 1, shipped
            text = text.replace(shipped, other)
        return text

    def _prepare(self) -> None:
        super()._prepare()
        (self.home / "enabled_plugins").write_text((FOLDER / "enabled_plugins").read_text())

    def _environment(self) -> dict[str, str]:
        # As it is delivered, the log goes where the configuration says.
        return {name: value for name, value in super()._environment().items() if name != "RABBITMQ_LOGS"}

    def variables(self, user: str = "deployer", password: str = PASSWORD) -> dict[str, str]:
        """How the hub reaches it as one of its users, with the management API as an administrator."""
        return {
            "HUB_BUS__URL": self.url("hub", user, password),
            "HUB_BUS__MANAGEMENT_URL": self.management_url.replace("://", f"://{ADMINISTRATOR}:{PASSWORD}@"),
        }


def fanned_out(broker: Management) -> None:
    broker.declare_queue("stray", {"x-queue-type": "classic"})
    broker.bind("stray", Binding("oms.events", "#"))


def made_otherwise(broker: Management) -> None:
    broker.delete_queue("q.erp.dead")
    broker.declare_queue("q.erp.dead", {"x-queue-type": "classic"})
    broker.bind("q.erp.dead", Binding("oms.dead", "q.erp"))


ALL = {"configure": ".*", "write": ".*", "read": ".*"}
GUEST = {"password": "guest", "tags": "administrator"}
AGED = {"pattern": ".*", "definition": {"message-ttl": 1000}, "apply-to": "queues", "priority": 1}
SHORT = {"pattern": "^q[.]", "definition": {"max-length": 10}, "apply-to": "queues", "priority": 1}
Harm = Callable[[Management], object]
HARM: list[tuple[Harm, str, str, str]] = [
    (lambda b: b.delete_queue("q.wms"), "missing", "queue", "q.wms"),
    (lambda b: b.put("permissions", VHOST, "crm", body=ALL), "different", "permission", "crm"),
    (lambda b: b.put("permissions", VHOST, "stranger", body=ALL), "surplus", "permission", "stranger"),
    (lambda b: b.take("permissions", VHOST, "watcher"), "missing", "permission", "watcher"),
    (lambda b: b.take("topic-permissions", VHOST, "relay"), "missing", "topic right", "relay on oms.events"),
    (lambda b: b.put("users", "erp", body={"password_hash": "", "tags": "administrator"}), "different", "user", "erp"),
    (lambda b: b.put("users", "guest", body=GUEST), "surplus", "user", "guest"),
    (lambda b: b.take("policies", VHOST, "hub-dead"), "missing", "policy", "hub-dead"),
    (lambda b: b.put("policies", VHOST, "hub-dead", body=SHORT), "different", "policy", "hub-dead"),
    (lambda b: b.put("policies", VHOST, "ages", body=AGED), "surplus", "policy", "ages"),
    (lambda b: b.put("operator-policies", VHOST, "brake", body=SHORT), "surplus", "policy", "brake"),
    (lambda b: b.bind("q.crm", Binding("amq.topic", "#")), "surplus", "binding", "amq.topic → q.crm"),
    (fanned_out, "surplus", "binding", "oms.events → stray"),
    (made_otherwise, "different", "queue", "q.erp.dead"),
    (lambda b: b.unbind("q.dropped", Binding("oms.dropped", "")), "missing", "binding", "oms.dropped → q.dropped"),
]


@pytest.fixture(scope="module")
def shipped(installed: Node) -> Iterator[RabbitNode]:
    with installed(Shipped) as node:
        yield node


@pytest.fixture(scope="module")
def untouched(shipped: Shipped) -> dict[str, Any]:
    """What is there at the first start, and after the one import."""
    first = json.loads(shipped.ctl("export_definitions", "-", "--format", "json"))
    shipped.import_definitions(FOLDER / "definitions.json")
    return {"first": first, "imported": json.loads(shipped.ctl("export_definitions", "-", "--format", "json"))}


@pytest.fixture(scope="module")
def node(shipped: Shipped, untouched: dict[str, Any]) -> Shipped:
    """The broker once passwords were given."""
    assert untouched
    shipped.ctl("change_password", "relay", PASSWORD)
    shipped.ctl("add_user", ADMINISTRATOR, PASSWORD)
    shipped.ctl("set_user_tags", ADMINISTRATOR, "administrator")
    with Management(settings(**shipped.variables())) as broker:
        broker.put("permissions", VHOST, ADMINISTRATOR, body=ALL)
        for user, tags in (("deployer", ""), ("monitor", "monitoring"), ("stranger", "")):
            broker.put("users", user, body={"password": PASSWORD, "tags": tags})
    return shipped


def test_the_first_start_makes_queues_and_nobody_who_could_log_in(untouched: dict[str, Any]) -> None:
    first = untouched["first"]
    assert first.get("users", []) == []
    assert {each["name"] for each in first["vhosts"]} == {"hub"}
    for kind in ("exchanges", "queues", "bindings", "policies"):
        assert_has(first, kind)


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if kind != "users"])
def test_after_the_import_everything_is_there(untouched: dict[str, Any], kind: str) -> None:
    assert_has(untouched["imported"], kind)


def test_after_the_import_every_user_is_there_and_nobody_can_log_in(
    shipped: Shipped, untouched: dict[str, Any]
) -> None:
    found = {each["name"]: each for each in untouched["imported"]["users"]}
    assert sorted(found) == sorted(USERS)
    assert found["monitor"]["tags"] == ["monitoring"]
    assert all(not each["tags"] for name, each in found.items() if name != "monitor")
    for user in ("erp", "watcher", "guest"):
        for password in ("", user, "guest"):
            with pytest.raises(ProbableAuthenticationError):
                pika.BlockingConnection(pika.URLParameters(shipped.url("hub", user, password)))


def test_once_it_has_a_password_the_relay_may_publish(node: Shipped) -> None:
    publish_as(node, [Message("shipped-1", "order.paid.jd", b"{}")], "relay")


@pytest.mark.slow
def test_a_restart_takes_a_password_from_nobody(node: Shipped) -> None:
    node.kill()
    node.start()
    publish_as(node, [Message("shipped-2", "order.paid.jd", b"{}")], "relay")


def test_the_broker_listens_on_this_machine_alone_and_shows_its_figures(node: Shipped) -> None:
    for port in (node.port, node.management_port, node.prometheus_port):
        assert listening(port) == {"0100007F"}
    assert "rabbitmq_" in httpx2.get(f"http://127.0.0.1:{node.prometheus_port}/metrics", timeout=60).text


def listening(port: int) -> set[str]:
    """Where something listens at a port, as the kernel writes addresses; its own list says nothing of IPs here."""
    tables = "".join(
        Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6") if Path(f"/proc/net/{name}").exists()
    )
    found = (line.split()[1:4] for line in tables.splitlines())
    return {local.split(":")[0] for local, _, state in found if state == "0A" and local.endswith(f":{port:04X}")}


def test_limits_are_those_that_the_hub_counts_on(node: Shipped) -> None:
    asked = "{ok,T}=application:get_env(rabbit,consumer_timeout),{ok,M}=application:get_env(rabbit,max_message_size),"
    said = node.ctl("eval", asked + 'io:format("~w ~w ~w~n",[T,M,rabbit_disk_monitor:get_disk_free_limit()]).')
    timeout, size, disk = (int(each) for each in said.split()[:3])
    assert timeout == Bus().ack_seconds * 1000
    assert 256 * 1024 < size <= 1024 * 1024
    assert disk >= 4_000_000_000


def test_its_log_is_json(node: Shipped) -> None:
    log = node.home / "log" / f"{node.nodename}.log"
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 10
    assert all("msg" in json.loads(line) for line in lines)


@pytest.mark.slow
def test_the_brake_makes_all_subscribers_queues_small_at_once(node: Shipped) -> None:
    (brake,) = re.findall(r"rabbitmqctl (set_operator_policy .*)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    given = settings(**node.variables())
    with Management(given) as broker:
        there = topology.outside()
        broker.declare_queue("sub.brake", topology.subscription_arguments(there, 1000, 100_000_000))
        node.ctl(*shlex.split(brake.replace("10000000", "1000")))
        broker.bind("sub.brake", Binding(there.replay_exchange, "brake"))
        publish_as(node, [Message(f"{n}", "brake", b"x" * 400, exchange=there.replay_exchange) for n in range(20)])
        assert eventually(lambda: getattr(broker.queue("sub.brake"), "ready", None) in {1, 2}, 30)
        node.ctl("clear_operator_policy", "-p", "hub", "brake")
        broker.delete_queue("sub.brake")


def publish_as(node: Shipped, messages: list[Message], user: str = "deployer") -> None:
    given = settings(HUB_BUS__URL=node.url("hub", user, PASSWORD))
    with wiring.bus_of(given, "test") as bus, closing(bus.publisher()) as publisher:
        assert publisher.publish(messages) == [Fate.CONFIRMED] * len(messages)


@pytest.mark.slow
def test_the_examples_let_others_in_over_tls_and_make_a_cluster(installed: Node, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, (amqps, https) = authority.pair("server"), free_ports(2)
    others = {
        "/etc/rabbitmq/tls/ca.pem": authority.file,
        "/etc/rabbitmq/tls/server.pem": pair.certificate,
        "/etc/rabbitmq/tls/server.key": pair.key,
        "listeners.ssl.default = 5671": f"listeners.ssl.default = {amqps}",
        "management.ssl.port = 15671": f"management.ssl.port = {https}",
    }
    more = "".join(example(name) for name in ("10-tls", "20-cluster", "21-partitions-before-4.3"))
    for shipped, other in others.items():
        assert shipped in more
        more = more.replace(shipped, str(other))
    with installed(lambda: Shipped(re.sub(r".*nodes\.[123] = .*\n", "", more))) as node:
        node.import_definitions(FOLDER / "definitions.json")
        node.ctl("change_password", "deployer", PASSWORD)
        given = settings(
            HUB_BUS__URL=f"amqps://deployer:{PASSWORD}@127.0.0.1:{amqps}/hub", HUB_BUS__TLS_CA=str(authority.file)
        )
        with wiring.bus_of(given, "test") as bus:
            assert bus.missing(wiring.topology_of(given)) == []
        assert node.ctl("eval", "application:get_env(rabbit,cluster_partition_handling).") == "{ok,pause_minority}\n"


def test_what_only_some_versions_know_stands_in_no_file_for_all() -> None:
    for newer in ("30-from-3.13", "21-partitions-before-4.3"):
        keys = re.findall(r"^([a-z][\w.]+) =", example(newer), re.MULTILINE)
        assert keys
        assert not [key for key in keys if key in CONFIGURATION + example("10-tls") + example("20-cluster")]


class TestCompared:
    """`hub topology` names each thing that is otherwise, and makes what lacks."""

    @pytest.fixture
    def typed(self, node: Shipped, tmp_path: Path) -> Iterator[Typed]:
        yield Typed(Machine(tmp_path, node.variables() | {"HUB_DATA_DIR": str(tmp_path)}))
        restored(node)

    def test_on_a_broker_that_is_as_it_should_be_nothing_is_told(self, typed: Typed) -> None:
        assert typed.must("topology", "diff") == "nothing is missing\n"
        assert json.loads(typed.must("topology", "diff", "--json")) == {"apart": [], "not_looked_at": []}
        assert typed.must("topology", "apply").startswith("nothing was missing")

    @pytest.mark.parametrize(("harm", "what", "kind", "name"), HARM, ids=[f"{w} {k} {n}" for _, w, k, n in HARM])
    def test_each_harm_is_named(self, node: Shipped, typed: Typed, harm: Harm, what: str, kind: str, name: str) -> None:
        with Management(typed.settings) as broker:
            harm(broker)
        done = typed.hub("topology", "diff", "--json")
        assert done.returncode == 69
        (told,) = json.loads(done.stdout)["apart"]
        assert (told["what"], told["kind"], told["name"]) == (what, kind, name)
        assert told["mend"]
        made = [each for each in typed.hub("topology", "apply").stdout.splitlines() if each.startswith("made: ")]
        assert len(made) == (what == "missing")
        assert all(each.startswith(f"made: {kind} {name}") for each in made)
        left = json.loads(typed.hub("topology", "diff", "--json").stdout)["apart"]
        assert left == ([] if what == "missing" else [told])

    def test_a_binding_that_somebody_removed_is_named_and_made_again(self, node: Shipped, typed: Typed) -> None:
        with Management(typed.settings) as broker:
            broker.unbind("q.wms", Binding("oms.events", "order.#"))
        lacking = typed.hub("topology", "diff")
        assert lacking.returncode == 69
        assert "missing" in lacking.stdout
        assert "oms.events → q.wms" in lacking.stdout
        dry = typed.must("topology", "apply", "--dry-run")
        assert "would be made: binding oms.events → q.wms (key 'order.#')" in dry
        assert typed.hub("topology", "diff").returncode == 69
        assert "made: binding oms.events → q.wms (key 'order.#')" in typed.must("topology", "apply")
        assert typed.must("topology", "diff") == "nothing is missing\n"

    def test_a_command_that_is_told_mends_what_it_is_told_for(self, node: Shipped, typed: Typed) -> None:
        with Management(typed.settings) as broker:
            broker.put("permissions", VHOST, "crm", body={"configure": ".*", "write": ".*", "read": ".*"})
            (found,) = inspect(broker, wiring.topology_of(typed.settings)).apart
        assert found.mend.startswith("rabbitmqctl ")
        node.ctl(*shlex.split(found.mend)[1:])
        assert typed.must("topology", "diff") == "nothing is missing\n"

    def test_the_doctor_looks_the_same_way(self, typed: Typed) -> None:
        with Management(typed.settings) as broker:
            broker.unbind("q.wms", Binding("oms.events", "order.#"))
        checks = {each["check"]: each for each in json.loads(typed.hub("doctor", "--json").stdout)}
        assert not checks["bus"]["good"]
        assert "missing binding oms.events → q.wms" in checks["bus"]["detail"]

    def test_who_may_not_look_at_everything_says_at_what(self, node: Shipped, typed: Typed) -> None:
        monitor = node.management_url.replace("://", f"://monitor:{PASSWORD}@")
        machine = typed.machine.given(HUB_BUS__MANAGEMENT_URL=monitor)
        looked = json.loads(Typed(machine).must("topology", "diff", "--json"))
        # From which version on it may not look at policies either is the broker's affair.
        assert looked["not_looked_at"][-1].startswith("users and rights: ")
        with Management(typed.settings) as broker:
            broker.unbind("q.wms", Binding("oms.events", "order.#"))
        assert Typed(machine).hub("topology", "diff").returncode == 69

    def test_without_the_management_api_it_says_what_was_not_looked_at(self, typed: Typed) -> None:
        machine = Machine(typed.machine.folder, typed.machine.variables)
        del machine.variables["HUB_BUS__MANAGEMENT_URL"]
        said = Typed(machine).must("topology", "diff")
        assert "nothing is missing" in said
        assert "not looked at: bindings" in said
        assert "HUB_BUS__MANAGEMENT_URL is not set" in said


def example(name: str) -> str:
    return (FOLDER / "conf.d" / f"{name}.conf.example").read_text(encoding="utf-8")


def assert_has(found: dict[str, Any], kind: str) -> None:
    """Everything of a kind that is rendered was found, with all that is said of it."""
    there = [{**each, "vhost": each.get("vhost")} for each in found[kind]]
    lacking = [each for each in WHOLE[kind] if not any(each.items() <= other.items() for other in there)]
    assert WHOLE[kind]
    assert lacking == []


def restored(node: Shipped) -> None:
    """The broker as it was delivered, whatever a test did to it."""
    given = settings(**node.variables())
    plan = wiring.topology_of(given)
    with Management(given) as broker, wiring.bus_of(given, "test") as bus:
        for found in inspect(broker, plan).apart:
            undo(broker, found)
        make(bus, broker, plan, inspect(broker, plan).apart)
        assert inspect(broker, plan).apart == []


def undo(broker: Management, found: Difference) -> None:
    """Take away what a test added or changed, for `make` to bring back what belongs there."""
    row = topology.definitions(topology.topology(SYSTEMS), broker.vhost)
    match found.kind:
        case "permission":
            broker.take("permissions", VHOST, found.name)
        case "user" if found.what == "surplus":
            broker.take("users", found.name)
        case "user":
            (user,) = [each for each in row["users"] if each["name"] == found.name]
            broker.put("users", found.name, body={"password_hash": "", "tags": ",".join(user["tags"])})
        case "policy":
            broker.take("policies", VHOST, found.name)
            broker.take("operator-policies", VHOST, found.name)
        case "binding":
            broker.delete_queue("stray")
            broker.unbind("q.crm", Binding("amq.topic", "#"))
        case "queue":
            broker.delete_queue(found.name)
