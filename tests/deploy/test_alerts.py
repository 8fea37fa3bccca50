"""Alarms ring when they should and not otherwise, ask for what there is, and say in both languages what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub import config
from hub.bus.topology import render, topology
from hub.cli.daemons import parts
from hub.reconcile.causes import Owner
from tests.commands import command_of, documented
from tests.deploy import exposed, promql
from tests.nodes.rabbitmq import RabbitNode
from tests.programs import Program

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
FILES = sorted((Path(__file__).parent / "rules").glob("*.yml"))
ENGLISH, CHINESE = (ROOT / "docs" / name for name in ("runbook.md", "runbook.zh.md"))
STEPS = {
    ENGLISH: ("**Safe meanwhile:**", "**Look:**", "**Do:**", "**Wake:**", "**Over:**"),
    CHINESE: ("**暂时安全：**", "**查看：**", "**处理：**", "**叫人：**", "**恢复标志：**"),
}
GROUPS = yaml.safe_load((PROMETHEUS / "hub.rules.yml").read_text(encoding="utf-8"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
CASES = [case for path in FILES for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}

Programs = Callable[[str], Program]

each_alert = pytest.mark.parametrize("name", ALERTS)


def test_prometheus_takes_the_example_and_the_rules(program: Programs) -> None:
    done = program("promtool").run("check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_case_comes_out_as_it_is_written(program: Programs, path: Path) -> None:
    done = program("promtool").run("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_threshold_that_is_off_by_a_little_is_found(program: Programs, tmp_path: Path) -> None:
    rules, cases = PROMETHEUS / "hub.rules.yml", next(path for path in FILES if path.name == "weeks.yml")
    text = rules.read_text(encoding="utf-8")
    planted = text.replace("> 3 * quantile_over_time", "> 4 * quantile_over_time")
    assert planted != text
    (tmp_path / "hub.rules.yml").write_text(planted, encoding="utf-8")
    moved = cases.read_text(encoding="utf-8").replace("../../../deploy/prometheus/", "")
    (tmp_path / "cases.yml").write_text(moved, encoding="utf-8")
    assert program("promtool").run("test", "rules", tmp_path / "cases.yml").returncode == 1


@each_alert
def test_an_alarm_has_a_case_in_which_it_rings_and_one_in_which_it_does_not(name: str) -> None:
    shown = [case for case in CASES if case["name"].startswith(f"{name}:")]
    checks = [check for case in shown for check in case.get("promql_expr_test", ())]
    assert any(_rings(name, check) for check in checks)
    assert any(not _rings(name, check) for check in checks)


@each_alert
def test_an_alarm_says_whose_it_is_how_urgent_and_what_belongs_together(name: str) -> None:
    labels = ALERTS[name]["labels"]
    assert labels["severity"] in {"page", "ticket", "info"}
    assert set(re.findall(r"\w+", re.sub(r"{{ .*? }}", " ", labels["owner"]))) <= set(Owner)
    assert re.fullmatch("[a-z]+", labels["cause"])
    assert not {"job", "instance", "system"} & set(labels)


@each_alert
def test_an_alarm_says_in_both_languages_what_happened_and_what_to_type_first(name: str) -> None:
    told = ALERTS[name]["annotations"]
    words = {"summary", "summary_zh", "description", "description_zh"}
    assert set(told) == words | {"runbook_url", "command"}
    for key in words:
        assert told[key] == told[key].strip() != ""
        assert bool(re.search("[一-鿿]", told[key])) == key.endswith("_zh"), told[key]
    assert set(_values_of(told["summary"])) == set(_values_of(told["summary_zh"]))
    assert sorted(_values_of(told["description"])) == sorted(_values_of(told["description_zh"]))
    if told["command"].startswith("hub "):
        command_of(re.sub(r"{{ .*? }}", "crm", told["command"]))


@each_alert
def test_the_words_of_an_alarm_name_only_labels_that_it_has(name: str) -> None:
    alert = ALERTS[name]
    named = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"]) + alert["labels"]["owner"]))
    assert named <= _labels_of(alert["expr"])


@each_alert
def test_an_alarm_has_a_section_in_both_runbooks(name: str) -> None:
    # An anchor of Markdown is the heading in small letters. The page in Chinese has the same ones.
    assert ALERTS[name]["annotations"]["runbook_url"] == f"docs/{ENGLISH.name}#{name.lower()}"
    for page, steps in STEPS.items():
        assert re.findall(r"^\*\*.+?\*\*", _sections(page)[name], re.MULTILINE) == [*steps], page.name


def test_both_runbooks_have_the_sections_of_the_rules_in_their_order_and_no_others() -> None:
    assert [*_sections(ENGLISH)] == [*_sections(CHINESE)] == [*ALERTS]


def test_both_runbooks_show_the_same_commands_which_can_be_typed() -> None:
    assert _typed(ENGLISH) == _typed(CHINESE)
    assert [*documented(ENGLISH)] == [*documented(CHINESE)]
    for line in dict.fromkeys(documented(ENGLISH)):
        command_of(line)


@pytest.mark.parametrize("page", STEPS, ids=lambda page: page.name)
def test_a_runbook_names_only_settings_that_there_are(page: Path) -> None:
    known = {name for name, _ in config.variables()}
    assert set(re.findall(r"HUB_\w+", page.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_the_hub_for_metrics_labels_and_values_that_it_shows(rule: dict[str, Any]) -> None:
    known, values = exposed.hub_by_process(), exposed.hub_values()
    asked = [each for each in promql.selectors(rule["expr"]) if not _is_of_the_broker(each)]
    for each in asked:
        if each.metric in RECORDED or each.metric in exposed.FROM_ELSEWHERE:
            continue
        shown = [known[process][each.family] for process in _processes(each) if each.family in known[process]]
        assert shown, f"no process that is asked shows {each.metric}"
        assert set(each.matchers) <= exposed.TARGET | shown[0] | {"le"}
        for label in each.matchers:
            there = values.get((each.metric, label))
            assert there is None or set(each.values(label)) <= there, f"{each.metric}: {label}"
    assert promql.grouped(rule["expr"]) <= _labels_of_all(rule["expr"])


def test_a_rule_asks_rabbitmq_for_metrics_and_labels_that_it_shows(rabbit_node: RabbitNode, tmp_path: Path) -> None:
    (tmp_path / "definitions.json").write_text(render(topology(config.SYSTEMS), "alarms"), encoding="utf-8")
    rabbit_node.start()
    rabbit_node.import_definitions(tmp_path / "definitions.json")
    known = exposed.broker(rabbit_node)
    rabbit_node.delete_vhost("alarms")
    asked = [each for rule in RULES for each in promql.selectors(rule["expr"]) if _is_of_the_broker(each)]
    assert len(asked) > 10
    for each in asked:
        assert set(each.matchers) <= known[each.metric] | exposed.TARGET, each.metric


def test_cases_feed_only_series_that_the_hub_shows() -> None:
    known = exposed.hub_by_process()
    for case in CASES:
        for series in case["input_series"]:
            (each,) = promql.selectors(series["series"])
            if _is_of_the_broker(each) or each.metric in exposed.FROM_ELSEWHERE:
                continue
            (process,) = _processes(each) or ["prometheus"]
            if process != "prometheus":
                labels = known[process][each.family]
                assert set(each.matchers) <= labels | exposed.TARGET | {"le"}, series["series"]


def test_the_example_scrapes_each_process_where_hub_up_puts_it_and_by_the_name_that_rules_ask_for() -> None:
    example = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    targets = {each["job_name"]: each["static_configs"][0]["targets"] for each in example["scrape_configs"]}
    settings = config.load({"HUB_PROBES__PORT": "9101", "HUB_BUS__URL": "amqp://guest:guest@localhost/hub"})
    ports = {f"hub-{part.name}": part.arguments[-1] for part in parts(settings) if "--probe-port" in part.arguments}
    ports["hub-api"] = str(settings.api.port)
    assert {job: [f"127.0.0.1:{port}"] for job, port in ports.items()} == {
        job: given for job, given in targets.items() if job.startswith("hub-")
    }
    for rule in RULES:
        for each in promql.selectors(rule["expr"]):
            operator, value = each.matchers.get("job", ("=~", ".*"))
            pattern = value if operator == "=~" else re.escape(value)
            assert value == "hub-intake" or any(re.fullmatch(pattern, job) for job in targets), rule["expr"]


def _rings(name: str, check: dict[str, Any]) -> bool:
    by_name = f'alertname="{name}", alertstate' in check["expr"]
    return any(by_name or f'alertname="{name}"' in sample["labels"] for sample in check["exp_samples"])


def _values_of(text: str) -> list[str]:
    return re.findall(r"{{ (.*?) }}", text)


def _sections(page: Path) -> dict[str, str]:
    parts = re.split(r"^### (Hub\w+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _typed(page: Path) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    lines = (re.sub(r"\s+# .*", "", line) for line in "\n".join(blocks).splitlines())
    return [line for line in lines if line]


def _is_of_the_broker(each: promql.Selector) -> bool:
    return each.metric.startswith("rabbitmq_")


def _processes(each: promql.Selector) -> list[str]:
    """The kinds of processes of which a selector asks; all where it does not say."""
    operator, value = each.matchers.get("job", ("=~", ".*"))
    pattern = value if operator == "=~" else re.escape(value)
    known = exposed.hub_by_process()
    consumers = {"hub-consume": [f"hub-consume-{name}" for name in config.SYSTEMS]}
    jobs = {process: [process] for process in known} | consumers
    return [process for process, names in jobs.items() if any(re.fullmatch(pattern, name) for name in names)]


def _labels_of(expression: str) -> set[str]:
    """The labels of what an expression comes to: those of its first operand."""
    first = re.sub(r"^[(\s]*(time\(\) - |histogram_quantile\(0.95, )?", "", expression)
    if by := re.match(r"(?:sum|max|min|count) by \(([^)]*)\)", first):
        return {label.strip() for label in by[1].split(",")} - {"le"}
    if re.match(r"(?:sum|max|min|count)\(", first):
        return set()
    asked = next(promql.selectors(first))
    return {"system"} if asked.metric in RECORDED else set(exposed.TARGET) | _shown_with(asked)


def _labels_of_all(expression: str) -> set[str]:
    asked = (label for each in promql.selectors(expression) for label in _shown_with(each))
    return {*exposed.TARGET, *promql.made(expression), *asked}


def _shown_with(asked: promql.Selector) -> set[str]:
    if asked.metric in RECORDED:
        return {"system"}
    if _is_of_the_broker(asked):
        return {"queue"} if "detailed_queue" in asked.metric else set()
    histogram = {"le"} if asked.metric.endswith("_bucket") else set()
    return histogram.union(*(shown.get(asked.family, ()) for shown in exposed.hub_by_process().values()))
