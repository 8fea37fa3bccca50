"""Kubernetes: the schemas allow every object, and each says of the hub what is true."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils

from hub import config
from hub.bus import operator
from hub.bus.topology import render, topology
from hub.cli.daemons import parts
from hub.cli.verify import OPERATOR
from hub.daemon import STOP_SECONDS
from hub.errors import BadInput, WrongConfiguration
from tests.commands import typed
from tests.deploy.crds import SPECS, VERSIONS
from tests.programs import Program
from tests.running import Machine
from tests.support import ROOT, settings

FOLDER = ROOT / "deploy" / "kubernetes"
PLACES = ("base", "overlays/single", "overlays/production")
OLDEST = "1.31"
NAME = "order-integration-hub"
TAKES_CARE_OF_ITSELF = {"Vhost", "Queue"}

Object = dict[str, Any]
defaults = config.load({})


@pytest.fixture(scope="module")
def built(program: Callable[[str], Program]) -> dict[str, list[Object]]:
    """Every object of each place, as `kubectl apply -k` would have it."""
    return {place: _built(program("kubectl"), FOLDER / place) for place in PLACES}


@pytest.fixture(scope="module")
def production(built: dict[str, list[Object]]) -> list[Object]:
    return built["overlays/production"]


@pytest.fixture(autouse=True, scope="module")
def each_schema_is_read_once() -> Iterator[None]:
    slow = utils.schema_contents
    utils.schema_contents = lru_cache(maxsize=None)(slow)
    yield
    utils.schema_contents = slow


def pod_of(each: Object) -> Object:
    """The pod that a Deployment, Job or CronJob makes."""
    spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each["spec"]
    return dict(spec["template"])


def workloads(objects: list[Object]) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] in {"Deployment", "Job", "CronJob"}}


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def container_of(each: Object) -> Object:
    (found,) = pod_of(each)["spec"]["containers"]
    return dict(found)


def selects(selector: Object, labels: Object) -> bool:
    """Whether a selector takes these labels."""
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def labels_of(each: Object) -> Object:
    return dict(pod_of(each)["metadata"]["labels"])


@pytest.mark.parametrize("place", PLACES)
def test_the_schemas_allow_every_object(built: dict[str, list[Object]], place: str) -> None:
    assert built[place]
    for each in built[place]:
        if each["kind"] in SPECS:
            assert each["apiVersion"] == VERSIONS[each["kind"]]
            jsonschema.validate(each["spec"], SPECS[each["kind"]])
        else:
            kubernetes_validate.validate(each, OLDEST, strict=True)


@pytest.mark.parametrize("place", PLACES)
def test_no_two_objects_have_one_name_and_every_name_is_allowed(built: dict[str, list[Object]], place: str) -> None:
    names = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in built[place]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name) for _, _, name in names)
    assert {each["metadata"].get("namespace", "hub") for each in built[place]} == {"hub"}


def test_there_is_a_workload_for_every_part_of_the_hub(production: list[Object]) -> None:
    called = {tuple(container_of(each)["args"]) for each in workloads(production).values()}
    for part in parts(settings(HUB_BUS__URL="amqp://localhost/hub")):
        words = tuple(word for word in part.arguments if not word.startswith("-"))[:2]
        words = {"relay": ("relay",), "reconcile": ("reconcile", "run")}.get(words[0], words)
        assert words in called


@pytest.mark.parametrize("place", PLACES)
def test_every_container_calls_a_command_that_there_is_with_settings_that_there_are(
    built: dict[str, list[Object]], place: str
) -> None:
    known = {name for name, _ in config.variables()}
    for each in workloads(built[place]).values():
        container = container_of(each)
        typed(shlex.join(["hub", *container["args"]]))
        assert {given["name"].removesuffix("_FILE") for given in container["env"]} <= known
    for each in of_kind(built[place], "ConfigMap"):
        assert set(each["data"]) <= known


def test_every_file_that_a_setting_names_comes_from_a_volume_that_is_there(production: list[Object]) -> None:
    for name, each in workloads(production).items():
        container, volumes = container_of(each), {volume["name"] for volume in pod_of(each)["spec"]["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounts.values()) == volumes, name
        for given in container["env"]:
            assert str(Path(given["value"])) in mounts or str(Path(given["value"]).parent) in mounts, name


def test_the_secrets_of_a_system_reach_only_the_parts_that_speak_to_it(production: list[Object]) -> None:
    everyone = set(config.SYSTEMS)
    spoken_to = {f"hub-consume-{name}": {name} for name in everyone} | {"hub-reconcile": everyone, "hub-api": {"wms"}}
    for name, each in workloads(production).items():
        secrets = {volume.get("secret", {}).get("secretName") for volume in pod_of(each)["spec"]["volumes"]} - {None}
        wanted = spoken_to.get(name, set())
        assert secrets == {name, "hub-ca"} | {f"hub-files-{system}" for system in wanted}
        maps = {source["configMapRef"]["name"] for source in container_of(each)["envFrom"]}
        assert {found for found in maps if "settings" not in found} == {f"hub-interfaces-{system}" for system in wanted}


@pytest.mark.parametrize("place", PLACES)
def test_every_pod_is_restricted_and_knows_nothing_of_kubernetes(built: dict[str, list[Object]], place: str) -> None:
    (namespace,) = of_kind(built[place], "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, each in workloads(built[place]).items():
        pod, container = pod_of(each)["spec"], container_of(each)
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] == "hub", name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"], name
        assert pod.get("terminationGracePeriodSeconds", 30) > STOP_SECONDS + 10, name


@pytest.mark.parametrize("place", PLACES)
def test_probes_ask_for_what_a_container_listens_at_and_life_depends_on_nobody(
    built: dict[str, list[Object]], place: str
) -> None:
    image = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (probes,) = re.findall(r"HUB_PROBES__PORT=(\d+)", image)
    listens = {"http": defaults.api.port, "probes": int(probes)}
    for each in of_kind(built[place], "Deployment"):
        container = container_of(each)
        (port,) = container["ports"]
        assert port["containerPort"] == listens[port["name"]]
        asked = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert {get["port"] for get in asked.values()} == {port["name"]}
        paths = [asked[kind]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert paths == ["/livez", "/livez", "/readyz"]


def test_a_hub_that_makes_its_tables_first_has_as_long_for_it_as_under_systemd(built: dict[str, list[Object]]) -> None:
    unit = (ROOT / "deploy" / "systemd" / "hub.service").read_text(encoding="utf-8")
    (minutes,) = re.findall(r"^TimeoutStartSec=(\d+)min$", unit, re.MULTILINE)
    (hub,) = of_kind(built["overlays/single"], "Deployment")
    probe = container_of(hub)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == int(minutes) * 60


@pytest.mark.parametrize("place", PLACES)
def test_every_selector_takes_the_pods_that_it_means_and_no_others(built: dict[str, list[Object]], place: str) -> None:
    pods = {name: labels_of(each) for name, each in workloads(built[place]).items()}
    for each in of_kind(built[place], "Deployment"):
        taken = [name for name, labels in pods.items() if selects(each["spec"]["selector"], labels)]
        assert taken == [each["metadata"]["name"]]
    for each in of_kind(built[place], "Service"):
        taken = [name for name, labels in pods.items() if selects({"matchLabels": each["spec"]["selector"]}, labels)]
        assert len(taken) == 1
        (port,) = each["spec"]["ports"]
        named = {found["name"] for found in container_of(workloads(built[place])[taken[0]])["ports"]}
        assert port["targetPort"] in named


def test_every_deployment_has_a_disruption_budget_and_stands_on_more_than_one_node(production: list[Object]) -> None:
    budgets = of_kind(production, "PodDisruptionBudget")
    for each in of_kind(production, "Deployment"):
        labels = labels_of(each)
        (budget,) = [found for found in budgets if selects(found["spec"]["selector"], labels)]
        assert budget["spec"]["maxUnavailable"] == 1
        assert each["spec"]["replicas"] == 2
        (spread,) = pod_of(each)["spec"]["topologySpreadConstraints"]
        assert selects(spread["labelSelector"], labels)
        assert spread["whenUnsatisfiable"] == "DoNotSchedule"


@pytest.mark.parametrize("place", PLACES)
def test_nobody_may_speak_but_where_a_policy_says_so_and_every_pod_has_one(
    built: dict[str, list[Object]], place: str
) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(built[place], "NetworkPolicy")}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, each in workloads(built[place]).items():
        allowed = [
            spec for spec in policies.values() if spec["podSelector"] and selects(spec["podSelector"], labels_of(each))
        ]
        assert allowed, name


def test_who_has_a_broker_or_a_database_to_log_in_to_may_reach_it_and_nobody_else(production: list[Object]) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(production, "NetworkPolicy")}
    for name, each in workloads(production).items():
        given, labels = {found["name"] for found in container_of(each)["env"]}, labels_of(each)
        for setting, policy in (("HUB_BUS__URL_FILE", "hub-to-broker"), ("HUB_DB__URL_FILE", "hub-to-database")):
            assert (setting in given) == selects(policies[policy]["podSelector"], labels), f"{name}: {policy}"
        asks_systems = any("interfaces" in source["configMapRef"]["name"] for source in container_of(each)["envFrom"])
        reaches = selects(policies["hub-to-systems"]["podSelector"], labels)
        assert reaches or not asks_systems or name == "hub-api", name


def test_a_namespace_of_subscribers_reaches_the_broker_over_tls_and_nothing_else_of_it(
    production: list[Object],
) -> None:
    (policy,) = [each for each in of_kind(production, "NetworkPolicy") if each["metadata"]["name"] == "all-to-broker"]
    labels = {"order-integration-hub/subscribers": "true"}
    (rule,) = [
        each for each in policy["spec"]["ingress"] if {"namespaceSelector": {"matchLabels": labels}} in each["from"]
    ]
    assert [port["port"] for port in rule["ports"]] == [5671]


def test_metrics_are_asked_for_under_the_names_of_the_jobs(production: list[Object]) -> None:
    (monitor,) = [each for each in of_kind(production, "PodMonitor") if each["metadata"]["name"] == "hub"]
    ports = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
    for each in of_kind(production, "Deployment"):
        assert labels_of(each)[monitor["spec"]["jobLabel"]] == each["metadata"]["name"]
        assert selects(monitor["spec"]["selector"], labels_of(each))
        assert {port["name"] for port in container_of(each)["ports"]} <= ports


def test_the_comparison_fires_when_it_is_due_and_never_twice_at_once(production: list[Object]) -> None:
    hour, minute = defaults.reconcile.at.split(":")
    found = {each["metadata"]["name"]: each["spec"] for each in of_kind(production, "CronJob")}
    spec = found["hub-reconcile"]
    assert (spec["schedule"], spec["timeZone"]) == (f"{int(minute)} {int(hour)} * * *", defaults.tz)
    assert {each["concurrencyPolicy"] for each in found.values()} == {"Forbid"}
    assert all(each["startingDeadlineSeconds"] for each in found.values())


def test_what_no_retry_mends_is_not_tried_again(production: list[Object]) -> None:
    for name, each in workloads(production).items():
        if each["kind"] == "Deployment":
            continue
        spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each["spec"]
        (rule,) = [found for found in spec["podFailurePolicy"]["rules"] if found["action"] == "FailJob"]
        assert rule["onExitCodes"]["containerName"] == container_of(each)["name"], name
        assert set(rule["onExitCodes"]["values"]) == {2, BadInput.exit_code, WrongConfiguration.exit_code}
        assert pod_of(each)["spec"]["restartPolicy"] == "Never", "a policy of failures needs it"


def test_the_broker_has_three_nodes_apart_and_one_of_them_at_most_goes_at_a_time(production: list[Object]) -> None:
    (cluster,) = of_kind(production, "RabbitmqCluster")
    assert cluster["spec"]["replicas"] == 3
    assert cluster["spec"]["tls"]["disableNonTLSListeners"] is True
    # The operator may make a queue before the third node is there.
    given = conf(cluster["spec"]["rabbitmq"]["additionalConfig"])
    assert given["quorum_queue.continuous_membership_reconciliation.enabled"] == "true"
    assert given["quorum_queue.continuous_membership_reconciliation.target_group_size"] == "3"
    assert cluster["metadata"]["name"] == operator.CLUSTER
    budgets = [each["spec"] for each in of_kind(production, "PodDisruptionBudget")]
    labels = {"app.kubernetes.io/name": operator.CLUSTER}
    assert [each["maxUnavailable"] for each in budgets if selects(each["selector"], labels)] == [1]


def test_the_operator_is_asked_for_all_that_the_definitions_have(production: list[Object]) -> None:
    definitions = json.loads(render(topology(config.SYSTEMS)))
    counted = {
        "Vhost": "vhosts",
        "User": "users",
        "Permission": "permissions",
        "TopicPermission": "topic_permissions",
        "Exchange": "exchanges",
        "Queue": "queues",
        "Binding": "bindings",
        "Policy": "policies",
    }
    for kind, key in counted.items():
        assert len(of_kind(production, kind)) == len(definitions.get(key, [])), kind
    assert set(definitions) <= set(counted.values()), "a kind of definitions has no resource"
    queues = {each["spec"]["name"]: each["spec"] for each in of_kind(production, "Queue")}
    for given in definitions["queues"]:
        made = queues[given["name"]]
        assert made.get("arguments", {}) | {"x-queue-type": made["type"]} == given["arguments"]
        assert (made["vhost"], made["durable"]) == (given["vhost"], True)
    bound = {
        (each["spec"]["source"], each["spec"]["destination"], each["spec"].get("routingKey", ""))
        for each in of_kind(production, "Binding")
    }
    assert bound == {(each["source"], each["destination"], each["routing_key"]) for each in definitions["bindings"]}
    rights = {each["spec"]["user"]: each["spec"]["permissions"] for each in of_kind(production, "Permission")}
    assert rights == {
        each["user"]: {key: each[key] for key in ("configure", "write", "read")} for each in definitions["permissions"]
    }


def test_what_is_deleted_in_kubernetes_by_mistake_stays_in_the_broker(production: list[Object]) -> None:
    for each in production:
        if each["kind"] in TAKES_CARE_OF_ITSELF:
            assert each["spec"]["deletionPolicy"] == "retain"


def test_a_policy_of_definitions_becomes_a_policy() -> None:
    given = {
        "vhost": "hub",
        "name": "dead-letters",
        "pattern": "^q\\.",
        "apply-to": "queues",
        "definition": {"max-length": 5, "overflow": "drop-head"},
        "priority": 1,
    }
    (made,) = operator.resources({"policies": [given]})
    assert (made["kind"], made["metadata"]["name"]) == ("Policy", "dead-letters")
    jsonschema.validate(made["spec"], SPECS["Policy"])
    assert made["spec"]["definition"] == given["definition"]


def test_the_brokers_limits_are_those_of_a_broker_on_a_machine(production: list[Object]) -> None:
    (cluster,) = of_kind(production, "RabbitmqCluster")
    there = conf(cluster["spec"]["rabbitmq"]["additionalConfig"])
    files = [ROOT / "rabbitmq" / "rabbitmq.conf", *(ROOT / "rabbitmq" / "conf.d").glob("*.example")]
    here = {key: value for file in files for key, value in conf(file.read_text(encoding="utf-8")).items()}
    assert {key: here.get(key) for key in there} == there


def test_the_command_renders_what_is_shipped(tmp_path: Path) -> None:
    said = Machine(tmp_path).must("topology", "render", "--format", "kubernetes")
    assert said == OPERATOR.read_text(encoding="utf-8")


def test_the_rendered_file_reads_as_what_was_rendered() -> None:
    definitions = json.loads(render(topology(config.SYSTEMS, "a_b.")))
    assert list(yaml.safe_load_all(operator.render(definitions))) == operator.resources(definitions)
    assert all("_" not in each["metadata"]["name"] for each in operator.resources(definitions))
    assert OPERATOR.parent == FOLDER / "overlays" / "production"


def conf(text: str) -> dict[str, str]:
    """The settings of a file of RabbitMQ's."""
    return dict(re.findall(r"^([\w.]+) = (.*)$", text, flags=re.MULTILINE))


def _built(kubectl: Program, place: Path) -> list[Object]:
    done = kubectl.run("kustomize", place)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))
