"""The example for Alertmanager is what its own tools take, and a real one tells people one card for each cause."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from hub.notify.alerts.cause import heard
from hub.notify.alerts.standing import Tell, after
from hub.notify.alerts.words import card_of
from hub.notify.voice import Voice
from hub.simulators.robots import Rules
from hub.simulators.robots_server import RobotsServer
from hub.vendors.alertmanager import Webhook
from tests import alerting
from tests.alerting import call, moment
from tests.listening import listening
from tests.nodes.alertmanager import AlertmanagerNode
from tests.nodes.ports import free_ports
from tests.programs import Program
from tests.running import Daemon, Machine
from tests.support import eventually

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
Programs = Callable[[str], Program]

ROUTES = {
    "alertname=HubOutboxStuck severity=page cause=outbox": "hub",
    "alertname=HubBacklogGrowing severity=ticket system=crm": "hub",
    "alertname=HubNoticesNotDelivered severity=page route=second": "straight",
    "alertname=HubAlertsNotTaken severity=page route=second": "straight",
    "alertname=HubDatabaseDown severity=page": "straight,hub",
    "alertname=HubProcessDown severity=page job=hub-api": "straight,hub",
    "alertname=HubProcessDown severity=page job=hub-relay": "hub",
    "alertname=HubAlarmsAlive severity=info": "alive",
    "alertname=HubVersionsMixed severity=info": "nobody",
    "alertname=SomebodyElses": "hub",
}
PATIENCE_SECONDS = 90
GROUPS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "hub.rules.yml").read_text(encoding="utf-8"))["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}


def test_the_example_is_a_configuration(program: Programs) -> None:
    told = program("amtool").run("check-config", EXAMPLE)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("labels", ROUTES)
def test_an_alert_goes_to_who_should_hear_of_it(labels: str, program: Programs) -> None:
    told = program("amtool").run("config", "routes", "test", f"--config.file={EXAMPLE}", *labels.split())
    assert told.stdout.strip() == ROUTES[labels], told.stderr


def test_every_alert_that_the_example_names_is_a_rule() -> None:
    named = set(re.findall(r"\bHub[A-Z]\w+", EXAMPLE.read_text(encoding="utf-8")))
    assert named <= RULES.keys()
    assert len(named) >= 8


def test_every_alert_wakes_or_waits_as_its_rule_says(program: Programs) -> None:
    amtool, reached = program("amtool"), {}
    for name, rule in RULES.items():
        given = {"alertname": name} | {key: value for key, value in rule["labels"].items() if "{{" not in value}
        labels = [f"{label}={value}" for label, value in given.items()]
        told = amtool.run("config", "routes", "test", f"--config.file={EXAMPLE}", *labels)
        reached[name] = told.stdout.strip().split(",")
    second = {name for name, rule in RULES.items() if rule["labels"].get("route") == "second"}
    nobody = {name for name, rule in RULES.items() if rule["labels"]["severity"] == "info"} - second
    assert {name for name, who in reached.items() if "hub" not in who} == second | nobody
    assert {name for name, who in reached.items() if who == ["nobody"]} == nobody


@pytest.mark.parametrize(
    ("labels", "hides"),
    [
        ({"alertname": "HubBusDown", "reach": "all"}, True),
        ({"alertname": "HubBusDown", "reach": "some"}, False),
        ({"alertname": "HubBrokerDown"}, True),
        ({"alertname": "HubProcessDown", "job": "hub-relay"}, True),
        ({"alertname": "HubProcessDown", "job": "hub-intake"}, False),
    ],
    ids=str,
)
def test_only_what_stops_all_systems_hides_the_symptoms_of_all(labels: dict[str, str], hides: bool) -> None:
    rules = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["inhibit_rules"]
    of_all = [rule for rule in rules if "equal" not in rule]
    assert any(all(matches(each, labels) for each in rule["source_matchers"]) for rule in of_all) is hides


def matches(matcher: str, labels: dict[str, str]) -> bool:
    """Whether labels are what a matcher of Alertmanager asks for."""
    name, operator, value = re.fullmatch(r'(\w+)\s*(=~|=)\s*"?([^"]*)"?', matcher).groups()  # type: ignore[union-attr]
    return bool(re.fullmatch(value if operator == "=~" else re.escape(value), labels.get(name, "")))


@pytest.mark.parametrize("voice", [Voice("en", "UTC"), Voice("zh", "UTC")], ids=["en", "zh"])
@pytest.mark.parametrize("name", RULES)
def test_the_card_of_a_rule_says_what_to_type_and_leads_to_its_page(name: str, voice: Voice) -> None:
    rule = RULES[name]
    labels = {label: str(value) for label, value in rule["labels"].items()}
    sent = call([alerting.alert(labels={"alertname": name, **labels}, annotations={"runbook_url_zh": ""})])
    sent["alerts"][0]["annotations"] |= rule["annotations"]
    standing = after(None, heard(Webhook.model_validate(sent)), moment())
    assert standing
    told = card_of(Tell.FIRST, standing, voice, "https://git.example/hub/docs/")
    page = f"runbook{'.zh' if voice.locale == 'zh' else ''}.md#{name.lower()}"
    assert told.link
    assert told.link[1] == f"https://git.example/hub/docs/{page}"
    assert told.lines[-1].endswith(f"`{rule['annotations']['command']}`")
    assert told.title.isascii() is (voice.locale == "en")


@dataclass
class Straight:
    """Who is told without the hub."""

    url: str
    heard: list[str] = field(default_factory=list)


@pytest.fixture
def straight() -> Iterator[Straight]:
    """A second way, at a port of the test's own."""
    told = Straight("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.heard.extend(alert["labels"]["alertname"] for alert in said["alerts"])
            self.send_response(200)
            self.end_headers()

    with listening(Handler) as port:
        told.url = f"http://127.0.0.1:{port}/"
        yield told


@pytest.fixture
def robots() -> Iterator[RobotsServer]:
    """The robots of the group."""
    with RobotsServer(Rules()) as server:
        yield server


@contextmanager
def interface(folder: Path, robots: RobotsServer) -> Iterator[tuple[Machine, Daemon, Path]]:
    """`hub api` and nothing else of the hub, and a file with a token for Alertmanager."""
    given = {
        "HUB_DATA_DIR": str(folder),
        "HUB_API__PORT": str(free_ports(1)[0]),
        "HUB_LOCALE": "zh",
        "HUB_NOTIFY__WECOM__URL": robots.wecom_url,
        "HUB_NOTIFY__ALERTS__CALM_SECONDS": "0.5",
    }
    machine = Machine(folder, given).prepared()
    token = folder / "hub-token"
    token.write_text(machine.must("token", "add", "alertmanager", "--role", "monitor"), encoding="ascii")
    with machine.daemon("api") as daemon:
        assert daemon.ready(PATIENCE_SECONDS), daemon.said()
        yield machine, daemon, token


def hurried(address: str, token: Path, straight: Straight) -> dict[str, Any]:
    """The example with addresses of the test's own, and without patience."""
    found: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    for route in (found["route"], *found["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1s"}
    hub, second, alive, _nobody = found["receivers"]
    hub["webhook_configs"][0]["url"] = f"{address}/alerts"
    hub["webhook_configs"][0]["http_config"]["authorization"]["credentials_file"] = str(token)
    second |= {"webhook_configs": [{"url": straight.url}]}
    del second["email_configs"]
    alive["webhook_configs"][0]["url"] = straight.url
    return {**found, "global": {"resolve_timeout": "5m"}}


def alert(name: str, system: str = "", **more: str) -> dict[str, Any]:
    """An alert as Prometheus hands it to Alertmanager."""
    labels = {"alertname": name, "severity": "page", "cause": name, "owner": "it", "system": system} | more
    annotations = {"summary": name, "summary_zh": f"{name} 触发", "command": "hub status"}
    return {"labels": {key: value for key, value in labels.items() if value}, "annotations": annotations}


def ended(given: dict[str, Any]) -> dict[str, Any]:
    """The same alert, over now."""
    return given | {"endsAt": datetime.now(UTC).isoformat()}


def shown(robots: RobotsServer) -> list[str]:
    """The headings of what people saw."""
    texts = [entry["body"]["markdown"]["content"] for entry in robots.robots.journal() if entry["shown"]]
    return [text.split("**")[1].removeprefix("❗ ") for text in texts]


def calls(daemon: Daemon) -> int:
    """How many calls of Alertmanager the hub has taken."""
    metrics = httpx2.get(f"{daemon.address}/metrics", timeout=10).text
    (line,) = [line for line in metrics.splitlines() if line.startswith('hub_alerts_received_total{outcome="taken"}')]
    return int(float(line.split()[1]))


def test_a_real_alertmanager_makes_one_card_of_a_cause_and_one_of_its_end(
    tmp_path: Path, robots: RobotsServer, straight: Straight, program: Programs
) -> None:
    alertmanager = program("prometheus-alertmanager").path
    with interface(tmp_path, robots) as (machine, daemon, token):
        configuration = hurried(daemon.address, token, straight)
        with AlertmanagerNode(alertmanager, configuration) as node:
            database = alert("HubDatabaseDown", cause="database")
            parked = [alert("HubOrdersParked", "crm", cause="parked", reason=f"r{each}") for each in range(30)]
            symptom = alert("HubOutboxStuck", cause="outbox", symptom="true")
            notices = alert("HubNoticesNotDelivered", cause="notify", route="second")
            node.fire(database)
            assert eventually(lambda: shown(robots) == ["HubDatabaseDown 触发"], PATIENCE_SECONDS), daemon.said()
            node.fire(database, symptom, notices, *parked)
            assert eventually(lambda: len(shown(robots)) == 2, PATIENCE_SECONDS), shown(robots)
            taken = calls(daemon)
            node.fire(database, symptom, notices, *parked)
            assert eventually(lambda: calls(daemon) >= taken + 4, PATIENCE_SECONDS)
            assert shown(robots) == ["HubDatabaseDown 触发", "HubOrdersParked 触发"]
            assert eventually(lambda: len(set(straight.heard)) == 2, PATIENCE_SECONDS)
            assert set(straight.heard) == {"HubDatabaseDown", "HubNoticesNotDelivered"}
            listed = json.loads(machine.must("notify", "alerts", "--output", "json"))
            assert {(each["name"], each["state"], each["firing"]) for each in listed} == {
                ("HubDatabaseDown", "firing", 1),
                ("HubOrdersParked", "firing", 30),
            }
            node.fire(*map(ended, [*parked, symptom, database]))
            assert eventually(lambda: len(shown(robots)) >= 4, PATIENCE_SECONDS), shown(robots)
        assert sorted(shown(robots)) == [
            "HubDatabaseDown 触发",
            "HubOrdersParked 触发",
            "已恢复：HubDatabaseDown 触发",
            "已恢复：HubOrdersParked 触发",
        ]
        assert json.loads(machine.must("notify", "alerts", "--output", "json")) == []
        assert "HubOrdersParked" in machine.must("notify", "alerts", "--all")
        assert daemon.terminate() == 0
