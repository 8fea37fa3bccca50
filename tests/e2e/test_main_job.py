"""The main job: orders come in, every system shows them, each change once and never backwards, whatever is killed."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import func, select, text

from hub import config, wiring
from hub.database import open_engine, reading
from hub.tables import dead_letters, outbox, outbox_archive
from tests.e2e.histories import write
from tests.e2e.rehearsal import PATIENCE_SECONDS, Rehearsal
from tests.e2e.subscriber import Heard, Subscriber
from tests.nodes.postgres import PostgresNode
from tests.nodes.processes import wait_until
from tests.nodes.rabbitmq import RabbitNode
from tests.running import pieces

ORDERS = 400
UNTIL_A_KILL = (150, 280, ORDERS)
SMALL_BATCHES = {
    "HUB_RELAY__BATCH": "25",
    "HUB_CONSUMER__RECEIVE_BATCH": "25",
    "HUB_CONSUMER__WORK_BATCH": "10",
    "HUB_BUS__PREFETCH": "50",
}
PROCESSES = ("relay", "consume-crm", "consume-kingdee", "consume-wms", "consume-erp")
LISTENING = {"sub.paid": "order.paid.#", "sub.jd": "order.*.jd"}
MIRRORED = ("specversion", "id", "source", "type", "subject", "dataschema", "sequence", "partitionkey", "traceparent")
PUBLISHED = Path(__file__).parents[2] / "hub" / "schemas" / "published"

# The status that an order is in after a change; `released` is never the last.
LEADS_TO = {
    "created": "pending_payment",
    "paid": "paid",
    "picking": "picking",
    "shipped": "shipped",
    "completed": "completed",
    "cancelled": "cancelled",
    "refunded": "refunded",
}

EVERYWHERE = [(on, how) for on in ("embedded", "servers") for how in ("calm", "killed")]
ON_SERVERS = [kind for kind in EVERYWHERE if kind[0] == "servers"]
CALM = [kind for kind in EVERYWHERE if kind[1] == "calm"]
KILLED = [kind for kind in EVERYWHERE if kind[1] == "killed"]

Verdict = dict[str, dict[str, Any]]


@dataclass
class Outcome:
    """How a job ended: what came in, what the hub says of it, and what the systems say."""

    histories: list[dict[str, Any]]
    settings: config.Settings
    standing: dict[str, Any]
    systems: Verdict
    killed: Counter[str]
    import_again: dict[str, Any]
    standing_again: dict[str, Any]
    systems_again: Verdict
    log: str
    heard: dict[str, list[Heard]] = field(default_factory=dict)

    @property
    def versions(self) -> int:
        """How many versions the file told of."""
        return sum(len(each["history"]) for each in self.histories)

    def shown_by(self, system: str) -> dict[str, tuple[str, int, int]]:
        """What a system's own table says: status, version and fen by the shop's number."""
        engine = open_engine(self.settings.system(system), "judge")
        query = text("SELECT channel_order_no, status, version, total FROM hub_orders")
        with reading(engine) as connection:
            shown = {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query)}
        engine.dispose()
        return shown

    def lines(self) -> list[dict[str, Any]]:
        """What the processes logged."""
        return [json.loads(piece) for piece in pieces(self.log)]

    def rows(self, *tables: Any) -> list[int]:
        """How many rows tables of the hub have."""
        with wiring.hub_engine(self.settings, "judge") as engine, reading(engine) as connection:
            return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """One whole job, on one machine's files or on PostgreSQL and RabbitMQ, in peace or with every process killed."""
    on, how = request.param
    folder = tmp_path_factory.mktemp(f"{on}-{how}")
    with ExitStack() as stack:
        places = servers(request, stack) if on == "servers" else {}
        settings = config.load({"HUB_DATA_DIR": str(folder), **SMALL_BATCHES, **places})
        wiring.prepare(settings)
        if on == "servers":
            subscriber = stack.enter_context(Subscriber(settings.bus_url, LISTENING))
            done = carried_out(settings, folder, how)
            assert wait_until(lambda: has_heard(subscriber, done.histories), seconds=20)
            done.heard = subscriber.heard
        else:
            done = carried_out(settings, folder, how)
        yield done


def on_each(kinds: list[tuple[str, str]]) -> pytest.MarkDecorator:
    """Ask this of these jobs."""
    return pytest.mark.parametrize("outcome", kinds, indirect=True, ids="-".join)


@on_each(EVERYWHERE)
def test_every_system_equals_the_oms(outcome: Outcome) -> None:
    assert outcome.standing["orders"] == ORDERS
    for found in outcome.systems.values():
        assert (found["compared"], found["different"]) == (ORDERS, 0)


@on_each(EVERYWHERE)
def test_every_system_shows_what_the_file_told(outcome: Outcome) -> None:
    told = {
        each["channel_order_no"]: (LEADS_TO[each["history"][-1][0]], len(each["history"]), fen(each["lines"]))
        for each in outcome.histories
    }
    for system in config.SYSTEMS:
        assert outcome.shown_by(system) == told


@on_each(EVERYWHERE)
def test_every_version_is_accounted_for(outcome: Outcome) -> None:
    assert outcome.standing["versions"] == outcome.versions
    for standing in outcome.standing["systems"].values():
        assert standing["wanted"] == outcome.versions == standing["applied"] + standing["superseded"]
        assert (standing["parked"], standing["behind"]) == (0, 0)
    assert outcome.rows(outbox, outbox_archive, dead_letters) == [0, outcome.versions, 0]


@on_each(EVERYWHERE)
def test_what_the_systems_counted_is_what_the_ledger_applied(outcome: Outcome) -> None:
    for name, found in outcome.systems.items():
        assert found["effects"] == found["counted"] == outcome.standing["systems"][name]["applied"]
        assert ORDERS <= found["effects"] <= outcome.versions


@on_each(EVERYWHERE)
def test_no_effect_is_doubled_and_none_goes_backwards(outcome: Outcome) -> None:
    assert {(found["doubled"], found["backwards"]) for found in outcome.systems.values()} == {(0, 0)}


@on_each(EVERYWHERE)
def test_importing_the_file_again_changes_nothing(outcome: Outcome) -> None:
    assert outcome.import_again | {"seconds": 0} == {
        "lines": ORDERS,
        "orders_created": 0,
        "versions_written": 0,
        "unchanged": ORDERS,
        "rejected": 0,
        "seconds": 0,
    }
    assert outcome.standing_again == outcome.standing
    assert outcome.systems_again == outcome.systems


@on_each(KILLED)
def test_each_process_really_was_killed_twice(outcome: Outcome) -> None:
    assert outcome.killed == dict.fromkeys((*PROCESSES, "import"), 2) | {"import": 1}


@on_each(CALM)
def test_a_quiet_day_leaves_json_lines_and_nothing_worth_a_warning(outcome: Outcome) -> None:
    assert [line for line in outcome.lines() if line["log.level"] != "info"] == []


@on_each(CALM)
def test_every_line_of_the_log_says_which_service_wrote_it(outcome: Outcome) -> None:
    services = {line.get("service.name") for line in outcome.lines()}
    assert services == {f"hub-{name}" for name in PROCESSES}


@on_each(ON_SERVERS)
def test_a_subscriber_hears_of_every_paid_order_and_of_nothing_else(outcome: Outcome) -> None:
    paid = {each["channel_order_no"] for each in outcome.histories if "paid" in changes(each)}
    heard = outcome.heard["sub.paid"]
    assert {message.body["data"]["order"]["channel_order_no"] for message in heard} == paid
    assert {message.body["data"]["change"] for message in heard} == {"paid"}
    assert all(message.key == f"order.paid.{message.body['data']['order']['channel']}" for message in heard)


@on_each(ON_SERVERS)
def test_a_subscriber_hears_the_versions_of_an_order_in_their_order(outcome: Outcome) -> None:
    told = {each["channel_order_no"]: changes(each) for each in outcome.histories if each["channel"] == "jd"}
    heard: dict[str, dict[int, str]] = defaultdict(dict)
    for message in outcome.heard["sub.jd"]:
        data = message.body["data"]
        heard[data["order"]["channel_order_no"]].setdefault(data["order"]["version"], data["change"])
    assert {number: list(versions) for number, versions in heard.items()} == {
        number: list(range(1, len(life) + 1)) for number, life in told.items()
    }
    assert {number: list(versions.values()) for number, versions in heard.items()} == told


@on_each(ON_SERVERS)
def test_what_a_subscriber_hears_fits_the_published_schema(outcome: Outcome) -> None:
    schemas = {path.name.split(".")[1]: json.loads(path.read_text()) for path in PUBLISHED.glob("order.*.v1.json")}
    validators = {change: Draft202012Validator(schema) for change, schema in schemas.items()}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for message in outcome.heard["sub.paid"]:
        validators["paid"].validate(message.body)
        assert not validators["shipped"].is_valid(message.body)
    for message in outcome.heard["sub.jd"]:
        validators[message.body["data"]["change"]].validate(message.body)


@on_each(ON_SERVERS)
def test_headers_say_what_the_body_says(outcome: Outcome) -> None:
    for message in outcome.heard["sub.paid"] + outcome.heard["sub.jd"]:
        given = {name: message.headers[f"cloudEvents_{name}"] for name in MIRRORED}
        assert given == {name: message.body[name] for name in MIRRORED}
        assert datetime.fromisoformat(message.headers["cloudEvents_time"]) == moment(message.body["time"])
        assert message.message_id == message.body["id"]
        assert message.content_type == "application/cloudevents+json; charset=utf-8"
        assert message.persistent


@on_each(ON_SERVERS)
def test_an_event_keeps_its_id_however_often_it_is_heard(outcome: Outcome) -> None:
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for message in outcome.heard["sub.jd"]:
        ids[message.body["subject"], message.body["sequence"]].add(message.body["id"])
    assert {len(each) for each in ids.values()} == {1}


def servers(request: pytest.FixtureRequest, stack: ExitStack) -> dict[str, str]:
    """A database and a virtual host of the job's own, gone at its end."""
    postgres: PostgresNode = request.getfixturevalue("postgres_node")
    rabbit: RabbitNode = request.getfixturevalue("rabbit_node")
    name = f"job_{uuid.uuid4().hex}"
    postgres.start()
    rabbit.start()
    stack.callback(postgres.drop_database, name)
    stack.callback(rabbit.delete_vhost, name)
    return {"HUB_DB__URL": postgres.create_database(name), "HUB_BUS__URL": rabbit.create_vhost(name)}


def carried_out(settings: config.Settings, folder: Path, how: str) -> Outcome:
    """Import a file while the hub runs, wait until all has arrived, judge, and do it again."""
    histories = write(folder / "all.jsonl", ORDERS)
    rehearsal = Rehearsal(settings, folder / "hub.log")
    with rehearsal.running():
        if how == "killed":
            import_and_kill(rehearsal, folder)
        imported(rehearsal.start_import(folder / "all.jsonl"))
        rehearsal.wait_until_drained()
        standing, systems = rehearsal.standing(), rehearsal.verdict()
        again = imported(rehearsal.start_import(folder / "all.jsonl"))
        rehearsal.wait_until_drained()
        standing_again, systems_again = rehearsal.standing(), rehearsal.verdict()
    log = (folder / "hub.log").read_text(encoding="utf-8")
    killed = rehearsal.killed
    return Outcome(histories, settings, standing, systems, killed, again, standing_again, systems_again, log)


def import_and_kill(rehearsal: Rehearsal, folder: Path) -> None:
    """Import ever more of the file: the first import is killed half-way, and during each later one every process."""
    first, *later = [folder / f"{orders}.jsonl" for orders in UNTIL_A_KILL]
    write(first, UNTIL_A_KILL[0])
    rehearsal.kill_import(first)
    for file, orders in zip(later, UNTIL_A_KILL[1:], strict=True):
        write(file, orders)
        importing = rehearsal.start_import(file)
        rehearsal.kill_all(importing, random.Random(orders))
        imported(importing)


def imported(importing: Any) -> dict[str, Any]:
    """What an import that went well says of itself."""
    out, _ = importing.communicate(timeout=PATIENCE_SECONDS)
    assert importing.returncode == 0
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def has_heard(subscriber: Subscriber, histories: list[dict[str, Any]]) -> bool:
    """Whether nothing more can be on its way to the subscriber."""
    paid = sum("paid" in changes(each) for each in histories)
    of_jd = sum(len(each["history"]) for each in histories if each["channel"] == "jd")
    return [len({message.message_id for message in heard}) for heard in subscriber.heard.values()] == [paid, of_jd]


def changes(history: dict[str, Any]) -> list[str]:
    """What happened to an order, oldest first."""
    return [change for change, _ in history["history"]]


def fen(lines: list[dict[str, Any]]) -> int:
    """What lines of the file add up to."""
    return int(sum(Decimal(line["unit_price"]) * line["quantity"] for line in lines) * 100)


def moment(written: str) -> datetime:
    """A moment as JSON has it."""
    return datetime.fromisoformat(written)
