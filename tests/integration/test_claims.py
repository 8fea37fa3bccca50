"""Claims of workers that stand beside one another in the same moment (PostgreSQL)."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from hub.consumers import ledger
from hub.database import writing
from tests.support import delivery_of, event_at

pytestmark = pytest.mark.parametrize("migrated", ["postgresql"], indirect=True)


def test_a_worker_does_not_wait_for_the_rows_that_another_one_is_claiming(engine: Engine) -> None:
    wanted = [event_at(1, number) for number in ("SO-1", "SO-2", "SO-3")]
    with writing(engine) as connection:
        ledger.want(connection, "erp", [(event, delivery_of(event)) for event in wanted])
    with writing(engine) as one, writing(engine) as other:
        other.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")
        first = ledger.claim(one, "erp", "one", 2, 60)
        second = ledger.claim(other, "erp", "other", 2, 60)
    assert len(first) == 2
    assert {entry.order_no for entry in first} | {entry.order_no for entry in second} == {"SO-1", "SO-2", "SO-3"}
    assert len(second) == 1
