"""While a company's own OMS writes orders, nobody else can: neither the interface, nor a file, nor a warehouse."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from hub import groups
from hub.call_tables import calls
from hub.cli.daemons import parts
from hub.daemon import Vitals
from hub.database import reading, writing
from hub.errors import WrittenElsewhere
from hub.oms import orders, tokens, writer
from hub.oms.writer import Writer
from hub.producers.api.app import build
from hub.producers.importer import import_file
from hub.producers.intake import Intake
from hub.schemas.lifecycle import VERBS, Role
from hub.tables import order_history, outbox, requests
from tests.builders import make_new_order
from tests.own_oms import committed, content, rows
from tests.qimen import VARIABLES, confirm, query
from tests.running import Machine
from tests.support import ADMIN, count, settings

SENTENCE = "orders are written by the company's own OMS (HUB_OMS__WRITER=own): make the change there"


@pytest.fixture
def engine(engine: Engine) -> Iterator[Engine]:
    """Orders are the company's to write."""
    writer.appoint(engine, Writer.OWN)
    yield engine
    writer.appoint(engine, Writer.HUB)


@pytest.fixture
def token(engine: Engine) -> str:
    with writing(engine) as connection:
        return tokens.add(connection, "tests", Role.ADMIN)


@contextmanager
def interface(engine: Engine) -> Iterator[TestClient]:
    with TestClient(build(engine, settings(**VARIABLES), Vitals())) as client:
        yield client


def taken(engine: Engine) -> None:
    intake = Intake(engine, groups.Oms(writer="own"), lambda _connection, _refusals: None)
    while intake.step():
        pass


def written(engine: Engine) -> tuple[int, int, int]:
    return count(engine, order_history), count(engine, outbox), count(engine, requests)


def test_the_interface_refuses_a_new_order_and_every_verb_and_still_reads(engine: Engine, token: str) -> None:
    committed(engine)
    taken(engine)
    before = written(engine)
    with interface(engine) as client:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k-1"}
        answers = [client.post("/v1/orders", json=content("E2"), headers=headers)]
        answers += [
            client.post(f"/v1/orders/E1001/{verb}", json={"reason": "a test"}, headers=headers) for verb in VERBS
        ]
        assert {answer.status_code for answer in answers} == {409}
        assert all(answer.json()["detail"].startswith(SENTENCE) for answer in answers)
        assert client.get("/v1/orders/E1001", headers=headers).json()["order"]["version"] == 1
    assert written(engine) == before


def test_a_file_is_not_imported(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text(json.dumps(content() | {"history": [["created", "2026-11-01T10:56:00+08:00"]]}))
    with pytest.raises(WrittenElsewhere, match="HUB_OMS__WRITER=own"):
        import_file(engine, file, io.StringIO(), lambda _tally: None)
    assert written(engine) == (0, 0, 0)


def test_whoever_writes_an_order_past_all_this_is_refused_too(engine: Engine) -> None:
    with pytest.raises(WrittenElsewhere, match="HUB_OMS__WRITER=own"), writing(engine) as connection:
        orders.create(connection, make_new_order(), ADMIN)


def test_a_warehouse_is_told_to_report_elsewhere_and_its_report_is_on_record(engine: Engine) -> None:
    committed(engine)
    taken(engine)
    before, body = written(engine), confirm("E1001")
    with interface(engine) as client:
        answer = client.post(f"/callbacks/qimen?{query('deliveryorder.confirm', body)}", content=body)
    assert answer.status_code == 200
    assert "<flag>failure</flag>" in answer.text
    assert "<code>30050</code>" in answer.text
    assert "HUB_OMS__WRITER=own" in answer.text
    assert written(engine) == before
    assert count(engine, calls) == 1


def test_rows_are_left_alone_while_the_hub_writes_orders(engine: Engine) -> None:
    committed(engine)
    writer.appoint(engine, Writer.HUB)
    with pytest.raises(WrittenElsewhere, match="HUB_OMS__WRITER=hub"):
        taken(engine)
    (row,) = rows(engine)
    assert row["refused_reason"] is None
    with reading(engine) as connection:
        assert orders.totals(connection) == (0, 0)


def test_an_intake_of_a_hub_that_writes_orders_itself_does_not_start(tmp_path: Path) -> None:
    done = Machine(tmp_path, {"HUB_DATA_DIR": str(tmp_path)}).hub("intake", "run")
    assert (done.returncode, done.stderr.count("HUB_OMS__WRITER must be own")) == (78, 1)


def test_the_supervisor_starts_an_intake_only_where_there_is_something_to_take() -> None:
    assert "intake-run" not in [part.name for part in parts(settings())]
    assert "intake-run" in [part.name for part in parts(settings(HUB_OMS__WRITER="own"))]
