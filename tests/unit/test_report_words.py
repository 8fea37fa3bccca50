"""Every word is there in both languages, and the Chinese is set as Chinese is."""

import re
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

import pytest

from hub.consumers.breaker import Cause as BreakerCause
from hub.consumers.outcome import ParkedReason
from hub.errors import DEAD_REASONS
from hub.metrics import FATES
from hub.reconcile import report
from hub.reconcile.causes import Cause, Owner, Severity
from hub.reconcile.compare import Kind
from hub.reconcile.report.glossary import GLOSSARY
from hub.reconcile.report.names import EVIDENCE
from hub.reconcile.report.sentences import TELLINGS
from hub.reconcile.report.wording import Words, fill, places
from hub.reconcile.report.words import WORDS, name_of, say
from hub.schemas.facts import OrderFacts
from hub.schemas.order import Status

ROOM = Path(report.__file__).parent
KEYS = [
    "event_id",
    "outbox_id",
    "held_for",
    "published_at",
    "received_version",
    "parked_reason",
    "parked_at",
    "error",
    "error_field",
    "attempts",
    "dead_letter",
    "dead_reason",
    "skipped_at",
    "applied_version",
    "applied_at",
    "duplicate_of",
    "oms_version",
    "system_version",
    "unmapped",
    "breaker",
    "queued",
    "due_at",
]
SETS: list[tuple[str, type[StrEnum]]] = [
    ("kind", Kind),
    ("cause", Cause),
    ("severity", Severity),
    ("owner", Owner),
    ("status", Status),
    ("parked", ParkedReason),
    ("breaker", BreakerCause),
]

HAN = r"[\u4e00-\u9fff]"
MIXED = (
    (re.compile(rf"{HAN}[,.:;!?()]|[,:;!?()]{HAN}"), "half-width punctuation beside Chinese"),
    (re.compile(rf"{HAN}[A-Za-z0-9{{¥]|[A-Za-z0-9}}]{HAN}"), "no space between Chinese and Latin letters or digits"),
    (re.compile(r"[０-９Ａ-Ｚａ-ｚ]"), "full-width letters or digits"),
    (re.compile(r"[，。：；、！？（）] | [，。：；、！？（）]"), "a space beside full-width punctuation"),
)
# Their facts are always Chinese.
CLOSED_UP = ("{breaker}", "{tz}")


def every_words() -> Iterator[tuple[str, Words]]:
    yield from WORDS.items()
    for cause, telling in TELLINGS.items():
        yield from ((f"{cause} {number}", clause) for number, clause in enumerate(telling.happened))
        yield f"{cause} todo", telling.todo
    for term, meaning in GLOSSARY:
        yield term.en, term
        yield f"{term.en} meaning", meaning


def faults(chinese: str) -> list[str]:
    for fact in CLOSED_UP:
        chinese = chinese.replace(fact, "中")
    return [what for pattern, what in MIXED if pattern.search(chinese)]


@pytest.mark.parametrize(("group", "members"), SETS)
def test_every_value_of_a_closed_set_has_a_name(group: str, members: type[StrEnum]) -> None:
    assert [member for member in members if f"{group}.{member}" not in WORDS] == []


def test_every_cause_has_its_sentences() -> None:
    assert set(TELLINGS) == set(Cause)
    assert all(telling.happened for telling in TELLINGS.values())


def test_the_first_clause_of_a_cause_needs_no_evidence() -> None:
    assert all(places(telling.happened[0]) <= {"system"} for telling in TELLINGS.values())


def test_every_field_that_is_compared_has_a_name() -> None:
    assert [each.name for each in fields(OrderFacts) if f"field.{each.name}" not in WORDS] == []


def test_every_reason_that_others_give_has_a_name() -> None:
    assert [reason for reason in DEAD_REASONS if f"dead.{reason}" not in WORDS] == []
    assert [fate for fate in FATES if fate != "confirmed" and f"held.{fate}" not in WORDS] == []


def test_every_fact_of_the_evidence_has_a_label_and_every_sentence_names_only_such_facts() -> None:
    assert set(EVIDENCE) == {f"evidence.{name}" for name in KEYS}
    named = {name for telling in TELLINGS.values() for clause in telling.happened for name in places(clause)}
    assert named <= {*KEYS, "system"}


def test_both_languages_name_the_same_facts() -> None:
    apart = [key for key, words in every_words() if places(words) != places(Words(words.en, words.en))]
    assert apart == []


def test_no_word_is_empty_or_left_in_the_other_language() -> None:
    assert [key for key, words in every_words() if not words.zh or not words.en] == []
    assert [key for key, words in every_words() if re.search(HAN, words.en)] == []
    sentences = [
        (key, words) for key, words in every_words() if len(words.en.split()) > 3 and not key.startswith("run.")
    ]
    assert [key for key, words in sentences if not re.search(HAN, words.zh)] == []


def test_the_chinese_mixes_no_punctuation() -> None:
    assert {key: found for key, words in every_words() if (found := faults(words.zh))} == {}


@pytest.mark.parametrize(
    "chinese",
    ["差异,原因", "共3单", "系统（WMS）， 已写入", "订单SO1", "金额(元)", "１２ 单", "原因:未知", "{system}没有"],
)
def test_the_lint_sees_mixed_punctuation(chinese: str) -> None:
    assert faults(chinese)


def test_every_key_in_the_code_is_a_word() -> None:
    sources = [*ROOM.glob("*.py"), *(ROOM / "templates").glob("*.html")]
    text = "".join(path.read_text("utf-8") for path in sources)
    keys = set(re.findall(r"\b(?:t|say|two)\(['\"]([\w.]+)['\"]", text))
    whole = {key for key in keys if not key.endswith(".")}
    assert len(whole) > 60
    assert whole - WORDS.keys() == set()


def test_every_word_is_said_somewhere() -> None:
    sources = "".join(path.read_text("utf-8") for path in [*ROOM.glob("*.py"), *(ROOM / "templates").glob("*.html")])
    groups = {*(group for group, _ in SETS), "system", "channel", "state", "field", "dead", "held", "heal", "method"}
    groups |= {"evidence", "light", "verdict", "section", "lead", "empty", "cover", "head", "col", "coverage", "tz"}
    groups |= {"scope", "bool", "age", "line"}
    said = [key for key in WORDS if key.split(".")[0] not in groups]
    assert [key for key in said if sources.count(f'"{key}"') + sources.count(f"'{key}'") < 2] == []


def test_a_space_beside_a_chinese_fact_goes() -> None:
    words = Words("{system} 缺少 {n} 单", "{system} lacks {n}")
    assert fill("zh", words, {"system": "金蝶", "n": "3"}) == "金蝶缺少 3 单"
    assert fill("zh", words, {"system": "WMS", "n": "3"}) == "WMS 缺少 3 单"
    assert fill("en", words, {"system": "金蝶", "n": "3"}) == "金蝶 lacks 3"


def test_a_fact_is_shown_as_it_is_even_where_it_looks_like_a_place() -> None:
    assert say("zh", "verdict.healing", n="{n} {system}") == "{n} {system} 项正在自动修复"
    assert name_of("zh", "owner", "陈静 {x}") == "陈静 {x}"
