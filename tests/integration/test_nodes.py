"""The private nodes keep what they were told to keep, whatever is done to them."""

import json
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pika
import psycopg2
import pytest
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError

from tests.nodes.errors import MissingProgram, NodeError
from tests.nodes.ports import free_ports
from tests.nodes.postgres import PostgresNode, postgres_programs
from tests.nodes.processes import all_gone, wait_until
from tests.nodes.rabbitmq import RabbitNode, rabbit_scripts

DEFAULT_PORTS = {5432, 5672, 4369, 15672, 25672}
PERSISTENT = pika.BasicProperties(delivery_mode=2)
HOLD_AND_DIE = """
import os, signal, subprocess, sys
from pathlib import Path
from tests.nodes.processes import Guard
sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
Guard(Path(sys.argv[1])).hold(sleeper.pid)
print(sleeper.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_committed_rows_survive_a_killed_postgres(postgres_node: PostgresNode, postgres_url: str) -> None:
    query(postgres_url, "CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (42)")
    before = postgres_node.pid
    postgres_node.kill()
    with pytest.raises(psycopg2.OperationalError):
        query(postgres_url, "SELECT 1")
    postgres_node.start()
    assert query(postgres_url, "SELECT id FROM kept") == [(42,)]
    assert postgres_node.pid != before


def test_a_stopped_postgres_starts_again_with_its_data(postgres_node: PostgresNode, postgres_url: str) -> None:
    query(postgres_url, "CREATE TABLE kept (id int)")
    postgres_node.stop()
    postgres_node.start()
    assert query(postgres_url, "SELECT id FROM kept") == []


def test_a_frozen_postgres_answers_after_the_thaw(postgres_node: PostgresNode, postgres_url: str) -> None:
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.extend(query(postgres_url, "SELECT 1")))
    postgres_node.freeze()
    asking.start()
    asking.join(timeout=0.5)
    assert answers == []
    postgres_node.thaw()
    asking.join(timeout=10)
    assert answers == [(1,)]


def test_each_database_is_a_copy_of_its_template(postgres_node: PostgresNode, postgres_url: str) -> None:
    query(postgres_url, "CREATE TABLE shape (id int)")
    template = urlsplit(postgres_url).path[1:]
    copy = postgres_node.create_database(f"{template}_copy", template)
    assert query(copy, "SELECT id FROM shape") == []
    postgres_node.drop_database(f"{template}_copy")


def test_postgres_keeps_its_promises_about_durability(postgres_url: str) -> None:
    assert query(postgres_url, "SHOW fsync") == [("on",)]
    assert query(postgres_url, "SHOW max_connections") == [("200",)]


def test_confirmed_messages_survive_a_killed_broker(rabbit_node: RabbitNode, rabbit_url: str) -> None:
    publish(rabbit_url, "kept", b"order 1")
    before = rabbit_node.pid
    rabbit_node.kill()
    with pytest.raises(AMQPConnectionError):
        publish(rabbit_url, "kept", b"order 2")
    rabbit_node.start()
    assert fetch(rabbit_url, "kept") == b"order 1"
    assert rabbit_node.pid != before


def test_a_frozen_broker_greets_after_the_thaw(rabbit_node: RabbitNode, rabbit_url: str) -> None:
    rabbit_node.freeze()
    with pytest.raises(AMQPConnectorException):
        publish(f"{rabbit_url}?stack_timeout=1", "kept", b"order 1")
    rabbit_node.start()
    publish(rabbit_url, "kept", b"order 1")
    assert fetch(rabbit_url, "kept") == b"order 1"


def test_the_broker_obeys_rabbitmqctl(rabbit_node: RabbitNode, rabbit_url: str) -> None:
    vhost = urlsplit(rabbit_url).path[1:]
    publish(rabbit_url, "counted", b"one")
    assert rabbit_node.ctl("list_queues", "--vhost", vhost, "name", "type").split()[-2:] == ["counted", "quorum"]
    with pytest.raises(NodeError, match="no_such_vhost"):
        rabbit_node.ctl("delete_vhost", "no_such_vhost")


def test_the_broker_imports_definitions(rabbit_node: RabbitNode, rabbit_url: str, tmp_path: Path) -> None:
    queue = {"name": "imported", "vhost": urlsplit(rabbit_url).path[1:], "durable": True, "auto_delete": False}
    definitions = tmp_path / "definitions.json"
    definitions.write_text(json.dumps({"queues": [{**queue, "arguments": {"x-queue-type": "quorum"}}]}))
    rabbit_node.import_definitions(definitions)
    publish(rabbit_url, "imported", b"fits")
    assert fetch(rabbit_url, "imported") == b"fits"


def test_no_node_uses_a_port_that_others_expect(postgres_node: PostgresNode, rabbit_node: RabbitNode) -> None:
    used = {postgres_node.port, rabbit_node.port, rabbit_node.management_port}
    assert used.isdisjoint(DEFAULT_PORTS)
    assert DEFAULT_PORTS.isdisjoint(free_ports(500))


def test_a_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(MissingProgram, match="sudo apt-get install postgresql"):
        postgres_programs(tmp_path, path=str(tmp_path))
    with pytest.raises(MissingProgram, match="sudo apt-get install rabbitmq-server"):
        rabbit_scripts(tmp_path, path=str(tmp_path))


@pytest.mark.usefixtures("postgres_node")
def test_a_failed_start_quotes_the_log_and_leaves_nothing() -> None:
    node = PostgresNode()
    with socket.create_server(("127.0.0.1", node.port)), pytest.raises(NodeError, match="could not bind"), node:
        pytest.fail("started on a port of somebody else's")
    assert not node.home.exists()


def test_nothing_outlives_a_killed_owner(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    root = Path(__file__).parents[2]
    owner = subprocess.run(
        [sys.executable, "-c", HOLD_AND_DIE, str(folder)], cwd=root, stdout=subprocess.PIPE, text=True, check=False
    )
    assert wait_until(lambda: all_gone([int(owner.stdout)]), seconds=10)
    assert wait_until(lambda: not folder.exists(), seconds=10)


def query(url: str, *statements: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
        return cursor.fetchall() if cursor.description else []


def publish(url: str, queue: str, body: bytes) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        channel.basic_publish("", queue, body, PERSISTENT, mandatory=True)


def fetch(url: str, queue: str) -> bytes | None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        _, _, body = connection.channel().basic_get(queue, auto_ack=True)
        return body
