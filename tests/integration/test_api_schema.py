"""What the interface says of itself is what it does, whatever it is sent: requests made from its own document."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as generated
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine

from hub import config, migrations
from hub.daemon import Vitals
from hub.database import writing
from hub.oms import orders, tokens
from hub.producers.api.app import build
from hub.schemas.lifecycle import TRANSITIONS, Role
from hub.schemas.order import Status
from tests.builders import make_new_order
from tests.support import ADMIN, engine_on

CREATE, READ = ("POST", "/v1/orders"), ("GET", "/v1/orders/{order_no}")
CHANGE, ALERTS = ("POST", "/v1/orders/{order_no}/{verb}"), ("POST", "/alerts")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    ignored_auth,
]
WAY_TO = {
    Status.PENDING_PAYMENT: (),
    Status.PAID: ("pay",),
    Status.PICKING: ("pay", "pick"),
    Status.SHIPPED: ("pay", "pick", "ship"),
    Status.COMPLETED: ("pay", "pick", "ship", "complete"),
    Status.INTERCEPTED: ("pay", "intercept"),
}
always_the_same = generated(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Documented:
    """The interface, its own document, and orders that are there."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.schema = from_asgi("/openapi.json", build(engine, config.load({}), Vitals(), lambda _: None))
        with writing(engine) as connection:
            self.tokens = {role: tokens.add(connection, str(role), role) for role in Role}

    def statuses(
        self,
        route: tuple[str, str],
        mode: GenerationMode = GenerationMode.POSITIVE,
        prepare: Callable[[Case], None] = lambda _: None,
        role: Role | None = Role.ADMIN,
    ) -> Counter[int]:
        """How often each status came, each answer checked against the document."""
        method, path = route
        seen: Counter[int] = Counter()
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}

        @always_the_same
        @given(self.schema[path][method].as_strategy(generation_mode=mode))
        def ask(case: Case) -> None:
            prepare(case)
            seen[case.call_and_validate(headers=headers, checks=CHECKS).status_code] += 1

        ask()
        return seen

    def order_in(self, status: Status) -> str:
        """The number of a new order that went the way to a status."""
        with writing(self.engine) as connection:
            order = orders.create(connection, make_new_order(channel_order_no=uuid.uuid4().hex), ADMIN)
            for verb in WAY_TO[status]:
                order = orders.change(connection, order.order_no, verb, ADMIN)
        return order.order_no

    def make_possible(self, case: Case) -> None:
        """Give a change an order to which it may happen."""
        unrepeated(case)
        verb = case.path_parameters["verb"]
        sources = [source for row in TRANSITIONS if row.verb == verb for source in row.sources if source]
        case.path_parameters["order_no"] = self.order_in(sources[0])


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Documented]:
    with engine_on(f"sqlite:///{tmp_path_factory.mktemp('oms')}/hub.db") as engine:
        migrations.upgrade(engine)
        yield Documented(engine)


def unrepeated(case: Case) -> None:
    """A key and a number of its own, so that no request is a repeat of another."""
    case.headers["Idempotency-Key"] = uuid.uuid4().hex
    if isinstance(case.body, dict) and "channel_order_no" in case.body:
        case.body["channel_order_no"] = uuid.uuid4().hex


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize("route", [CREATE, CHANGE, READ, ALERTS], ids=" ".join)
def test_every_answer_is_one_that_the_document_promises(
    documented: Documented, route: tuple[str, str], mode: GenerationMode
) -> None:
    assert documented.statuses(route, mode).total() >= 40


def test_a_new_order_is_taken_or_its_wrong_field_is_named(documented: Documented) -> None:
    assert set(documented.statuses(CREATE, prepare=unrepeated)) == {201, 422}


def test_a_change_that_is_possible_is_made_or_asks_for_its_reason(documented: Documented) -> None:
    assert set(documented.statuses(CHANGE, prepare=documented.make_possible)) == {200, 422}


def test_a_change_is_refused_to_who_may_not_and_to_nobody(documented: Documented) -> None:
    assert set(documented.statuses(CHANGE, prepare=unrepeated, role=Role.VIEWER)) == {403}
    assert set(documented.statuses(CHANGE, prepare=unrepeated, role=None)) == {401}


@pytest.mark.parametrize("status", [Status.PENDING_PAYMENT, Status.COMPLETED, Status.INTERCEPTED])
def test_an_order_that_is_there_is_shown(documented: Documented, status: Status) -> None:
    order_no = documented.order_in(status)

    def ask_for_it(case: Case) -> None:
        case.path_parameters["order_no"] = order_no

    assert set(documented.statuses(READ, prepare=ask_for_it)) == {200}


def test_an_order_is_made_once_however_often_it_is_asked_for(documented: Documented) -> None:
    def ask_twice(case: Case) -> None:
        unrepeated(case)
        case.call(headers={"Authorization": f"Bearer {documented.tokens[Role.ADMIN]}"})

    assert set(documented.statuses(CREATE, prepare=ask_twice)) == {200, 422}
