"""Grafana's boards have Grafana's shape, and every query finds something in what the hub's processes show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub import config, metrics
from hub.errors import DEAD_REASONS
from hub.reconcile.causes import Cause, Severity
from hub.reconcile.compare import Kind
from tests.commands import typed
from tests.programs import Program

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
BOARDS = sorted(GRAFANA.glob("dashboards/*.json"))
RENDER = GRAFANA / "render.py"
Programs = Callable[[str], Program]

# What a label may say; where a metric says something else of it, that stands below.
VALUES: Mapping[str, tuple[str, ...]] = {
    "system": config.SYSTEMS,
    "subscription": ("finance",),
    "channel": metrics.CHANNELS,
    "kind": tuple(Kind),
    "cause": tuple(Cause),
    "severity": tuple(Severity),
    "currency": ("CNY",),
    "reason": DEAD_REASONS,
    "why": metrics.LOST,
    "route": ("/v1/orders", "/livez"),
    "status": ("201", "503"),
    "loop": ("relay",),
    "table": ("journal",),
    "version": ("1",),
    "bus": ("rabbitmq",),
    "db": ("postgresql",),
}
OF_A_METRIC: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("hub_events_received_total", "outcome"): metrics.RECEIVED,
    ("hub_orders_worked_total", "outcome"): metrics.OUTCOMES,
    ("hub_calls_total", "outcome"): metrics.CALLED,
    ("hub_notices_total", "outcome"): metrics.TOLD,
    ("hub_alerts_received_total", "outcome"): metrics.ALERTED,
    ("hub_intake_rows_total", "outcome"): metrics.TAKEN_IN,
    ("hub_outbox_published_total", "fate"): metrics.FATES,
    ("hub_canaries_published_total", "fate"): metrics.FATES,
    ("hub_callbacks_total", "fate"): metrics.CALLED_BACK,
    ("hub_breaker_trips_total", "cause"): metrics.CAUSES,
}
# What every target has, by Prometheus and by the client's library.
OF_A_TARGET = ("up", "process_resident_memory_bytes", "process_open_fds")
VARIABLES = {
    "$__rate_interval": "1m",
    "$system": "crm",
}
_NAME = re.compile(r"(?<![$\w{\"])(hub_\w+|process_\w+|up)\b(\{[^}]*\})?")


def board(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels(path: Path) -> list[dict[str, Any]]:
    """The panels that show something."""
    return [panel for panel in board(path)["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str, str]]:
    """(where it stands, expression, legend) of every query, with the variables' values in their places."""
    for path in BOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                expression = target["expr"]
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                yield f"{path.stem}/{panel['id']}{target['refId']}", expression, target["legendFormat"]


QUERIES = {where: (expression, legend) for where, expression, legend in queries()}


def shown() -> dict[str, set[str]]:
    """The labels of every metric that a process shows."""
    found: dict[str, set[str]] = {name: {"job", "instance"} for name in OF_A_TARGET}
    for process in metrics.by_process().values():
        for name, labels in process.items():
            found[name] = {"job", "instance", *labels}
            if not name.endswith("_total"):
                # Of a histogram there are these; a gauge has none of them, which the series below see to.
                found[f"{name}_bucket"] = found[name] | {"le"}
    return found


def series() -> Iterator[dict[str, str]]:
    """What promtool is to take for what it has scraped: each series of each process, for an hour."""
    for process, found in metrics.by_process().items():
        jobs = [f"hub-consume-{each}" for each in config.SYSTEMS] if process == "hub-consume" else [process]
        for job in jobs:
            of_job = {"system": (job.removeprefix("hub-consume-"),)} if process == "hub-consume" else {}
            for name in OF_A_TARGET:
                yield one(name, {"job": job})
            for name, labels in found.items():
                values = [of_job.get(each) or OF_A_METRIC.get((name, each)) or VALUES[each] for each in labels]
                for chosen in product(*values):
                    yield from each_of(name, {"job": job, **dict(zip(labels, map(str, chosen), strict=True))})


def each_of(name: str, labels: dict[str, str]) -> Iterator[dict[str, str]]:
    """The series of a metric with these labels."""
    if name.endswith("_seconds") and is_histogram(name):
        for limit in ("0.1", "+Inf"):
            yield one(f"{name}_bucket", labels | {"le": limit})
    else:
        yield one(name, labels)


def one(name: str, labels: dict[str, str]) -> dict[str, str]:
    text = ",".join(f'{label}="{value}"' for label, value in {"instance": "a:1", **labels}.items())
    return {"series": f"{name}{{{text}}}", "values": "1+1x60"}


def is_histogram(name: str) -> bool:
    return any(metric.name == name and metric.type == "histogram" for metric in metrics.REGISTRY.collect())


def test_the_boards_are_what_their_descriptions_say() -> None:
    told = subprocess.run([sys.executable, RENDER], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "")


def test_there_are_three_boards_with_names_of_their_own() -> None:
    assert [board(path)["uid"] for path in BOARDS] == ["hub-consumer", "hub-flow", "hub-reconciliation"]
    assert [path.stem for path in BOARDS] == [board(path)["uid"] for path in BOARDS]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_board_has_the_shape_that_grafana_reads(path: Path) -> None:
    found = board(path)
    assert found["schemaVersion"] >= 39
    assert (
        found["templating"]["list"][0] | {"name": "datasource", "type": "datasource"} == found["templating"]["list"][0]
    )
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        cells = set(product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])))
        assert not cells & taken, panel["title"]
        taken |= cells
        assert max(x for x, _ in cells) < 24
    for panel in panels(path):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        assert [step["value"] for step in steps[1:]] == sorted(step["value"] for step in steps[1:])


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_board_speaks_both_languages(path: Path) -> None:
    found = board(path)
    for text in (found["title"], found["description"], *(panel["title"] for panel in found["panels"])):
        english, chinese = text.split(" · ", 1)
        assert english.isascii()
        assert not chinese.isascii()
    for panel in panels(path):
        english, chinese = panel["description"].split("\n\n")[:2]
        assert english
        assert not chinese.isascii()


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_panel_names_commands_that_can_be_typed_and_a_page_in_both_languages(path: Path) -> None:
    commands = 0
    for panel in panels(path):
        for line in panel["description"].split("\n\n")[2:]:
            typed(line.strip("`").replace("$system", "crm"))
            commands += 1
        pages = [re.fullmatch(r"\$\{docs\}(runbook(?:\.zh)?\.md)#(hub[a-z]+)", link["url"]) for link in panel["links"]]
        assert [page and page[1] for page in pages] == ["runbook.md", "runbook.zh.md"], panel["title"]
        assert len({page and page[2] for page in pages}) == 1
    assert commands >= 10


@pytest.mark.parametrize("page", ["runbook.md", "runbook.zh.md"])
def test_every_page_that_a_panel_leads_to_is_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    sections = {f"#{name.lower()}" for name in re.findall(r"^#+ (Hub\w+)", text, re.MULTILINE)}
    links = {link["url"] for path in BOARDS for panel in panels(path) for link in panel["links"]}
    assert {url.partition(page)[2] for url in links if f"}}{page}#" in url} <= sections


@pytest.mark.parametrize("where", QUERIES)
def test_a_query_uses_metrics_and_labels_that_there_are(where: str) -> None:
    expression, legend = QUERIES[where]
    names = [(match[1], match[2] or "") for match in _NAME.finditer(expression)]
    assert names
    known, labels = shown(), set()
    for name, matchers in names:
        assert name in known, name
        assert set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", matchers)) <= known[name], expression
        labels |= known[name]
    grouped = {each for by in re.findall(r"\bby \(([^)]*)\)", expression) for each in re.split(r",\s*", by)}
    assert grouped <= labels, expression
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped


def test_every_query_is_promql_and_finds_something(program: Programs, tmp_path: Path) -> None:
    names = {where: f"board_query_{number}" for number, where in enumerate(QUERIES)}
    rules = [{"record": names[where], "expr": expression} for where, (expression, _) in QUERIES.items()]
    group = {"name": "boards", "interval": "1m", "rules": rules}
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [group]}), encoding="utf-8")
    checked = program("promtool").run("check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    found = [
        {"expr": f"count({names[where]}) > bool 0", "eval_time": "30m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for where in QUERIES
    ]
    case = {"interval": "1m", "input_series": list(series()), "promql_expr_test": found}
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [case]}), encoding="utf-8")
    told = program("promtool").run("test", "rules", tmp_path / "test.yml")
    empty = [QUERIES[where][0] for where, name in names.items() if f"count({name})" in told.stdout + told.stderr]
    assert (empty, told.returncode) == ([], 0), told.stderr[:2000]


def test_what_every_target_has_is_shown_by_this_library() -> None:
    names = {sample.name for metric in metrics.REGISTRY.collect() for sample in metric.samples}
    assert set(OF_A_TARGET) - {"up"} <= names


def test_the_provisioning_names_the_boards_and_a_data_source() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))
    providers = yaml.safe_load((GRAFANA / "provisioning/dashboards/hub.yml").read_text(encoding="utf-8"))
    assert [(each["type"], each["uid"]) for each in sources["datasources"]] == [("prometheus", "hub-prometheus")]
    assert [each["options"]["path"] for each in providers["providers"]] == ["/var/lib/grafana/dashboards"]
    assert (sources["apiVersion"], providers["apiVersion"]) == (1, 1)
