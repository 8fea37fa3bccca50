"""Real services for the tests: one private node each per session, a fresh corner of it per test."""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from sqlalchemy import Engine

from tests import javascript as node_js
from tests import programs
from tests.javascript import JavaScript
from tests.nodes.errors import MissingProgram
from tests.nodes.node import Node
from tests.nodes.postgres import PostgresNode
from tests.nodes.rabbitmq import RabbitNode
from tests.programs import Program
from tests.support import migrated_store, wipe

Installed = TypeVar("Installed", bound=Node | JavaScript | Program)
MISSING = pytest.StashKey[set[str]]()


@pytest.fixture(scope="session")
def postgres_node(pytestconfig: pytest.Config) -> Iterator[PostgresNode]:
    """Started by the first test that asks; a test may kill or freeze it."""
    with _installed(pytestconfig, PostgresNode) as node:
        yield node


@pytest.fixture(scope="session")
def rabbit_node(pytestconfig: pytest.Config) -> Iterator[RabbitNode]:
    """Started by the first test that asks; a test may kill or freeze it."""
    with _installed(pytestconfig, lambda: RabbitNode(management=True)) as node:
        yield node


@pytest.fixture
def postgres_url(postgres_node: PostgresNode) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_node.start()
    yield postgres_node.create_database(name)
    postgres_node.start()
    postgres_node.drop_database(name)


@pytest.fixture
def rabbit_url(rabbit_node: RabbitNode) -> Iterator[str]:
    """An empty virtual host of the test's own."""
    name = f"test-{uuid.uuid4().hex}"
    rabbit_node.start()
    yield rabbit_node.create_vhost(name)
    rabbit_node.start()
    rabbit_node.delete_vhost(name)


@pytest.fixture(scope="session")
def javascript(pytestconfig: pytest.Config) -> JavaScript:
    """Node.js with the packages of `tests/node`; CI fails where it is missing, and nowhere else."""
    return _installed(pytestconfig, node_js.installed)


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> Callable[[str], Program]:
    """A program that checks what the hub ships, by its name; CI fails where it is missing, and nowhere else."""
    return lambda name: _installed(pytestconfig, lambda: programs.installed(name))


@pytest.fixture(scope="session")
def installed(pytestconfig: pytest.Config) -> Callable[[Callable[[], Installed]], Installed]:
    """Makes a node of a test's own; CI fails where its program is missing, and nowhere else."""
    return lambda make: _installed(pytestconfig, make)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A green run that left out the real services must not look like one that did not."""
    missing = config.stash.get(MISSING, set())
    if missing:
        terminalreporter.write_line(f"!!! NOT TESTED against real services: {'; '.join(sorted(missing))}", red=True)


def _installed(config: pytest.Config, make: Callable[[], Installed]) -> Installed:
    try:
        return make()
    except MissingProgram as missing:
        reason = str(missing)
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    config.stash.setdefault(MISSING, set()).add(reason)
    pytest.skip(f"!!! {reason}")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The hub's own database, migrated once for a file of tests."""
    with migrated_store(request, tmp_path_factory.mktemp("store")) as engine:
        yield engine


@pytest.fixture
def engine(migrated: Engine) -> Iterator[Engine]:
    """The hub's own database, empty."""
    yield migrated
    wipe(migrated)
