"""Compose and the image: the schema allows what they say, it is there, and what needs no engine works."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from hub import config
from hub.cli.daemons import parts
from tests.commands import command_of, typed
from tests.nodes.postgres import PostgresNode
from tests.nodes.processes import wait_until
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.support import ROOT, settings

COMPOSE = ROOT / "deploy" / "compose"
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
OF_THE_IMAGE = {"LIVE_PORT", "PATH", "PYTHONFAULTHANDLER", "PYTHONDONTWRITEBYTECODE"}
PINNED = re.compile(r"^[a-z0-9./-]+:v?\d+\.\d+[\w.-]*$")


@cache
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8")))


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


def ours() -> dict[str, dict[str, Any]]:
    """The services that run the hub's image."""
    return {name: each for name, each in services().items() if each["image"].startswith("${HUB_IMAGE")}


def commands(service: dict[str, Any]) -> list[str]:
    """Every command of the hub that a service calls."""
    if service.get("entrypoint", [""])[0] == "sh":
        return [part.strip() for part in service["command"][0].split("&&")]
    return ["hub " + shlex.join(service["command"])]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), without comments."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def arguments(instruction: str) -> list[str]:
    return [given for name, given in instructions() if name == instruction]


def test_the_schema_of_compose_allows_all_of_it() -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    problems = jsonschema.validators.validator_for({})(json.loads(schema.read_text("utf-8"))).iter_errors(compose())
    assert [f"{'.'.join(map(str, each.path))}: {each.message}" for each in problems] == []
    assert "version" not in compose()


def test_there_is_a_service_for_every_part_of_the_hub_and_each_of_its_commands_is_there() -> None:
    called = {line for service in ours().values() for line in commands(service)}
    for line in called:
        typed(line)
    for part in parts(settings(HUB_BUS__URL="amqp://localhost/hub")):
        words = [word for word in part.arguments if not word.startswith("-")][:2]
        assert any(line.split()[1:3] == words[: len(line.split()[1:3])] for line in called), words


def test_every_variable_is_a_setting_and_names_a_secret_that_the_service_has() -> None:
    known = {name for name, _ in config.variables()}
    for name, service in ours().items():
        given = {variable: str(value) for variable, value in service.get("environment", {}).items()}
        assert {each.removesuffix("_FILE") for each in given} <= known | OF_THE_IMAGE, name
        held = {each if isinstance(each, str) else each["target"] for each in service.get("secrets", [])}
        assert {Path(value).name for variable, value in given.items() if variable.endswith("_FILE")} == held, name


def test_every_secret_volume_network_and_service_that_is_named_is_there() -> None:
    for name, service in services().items():
        sources = {each if isinstance(each, str) else each["source"] for each in service.get("secrets", [])}
        assert sources <= set(compose()["secrets"]), name
        assert set(service.get("networks", [])) <= set(compose()["networks"]), name
        assert set(service.get("depends_on", [])) <= set(services()), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            there = (COMPOSE / source).exists() if source.startswith(".") else source in compose()["volumes"]
            assert there, f"{name}: {volume}"


@pytest.mark.parametrize("name", sorted(services()))
def test_every_service_is_limited_and_pinned_and_its_profile_is_one_of_four(name: str) -> None:
    service = services()[name]
    assert service["profiles"][0] in {"core", "observability", "simulators", "tools"}
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["restart"] in {"unless-stopped", "on-failure:5", "no"}
    assert name in ours() or PINNED.match(service["image"]), "the image is not pinned to a release"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "a port is open to everybody"


@pytest.mark.parametrize("name", sorted(ours()))
def test_every_part_is_shut_in_and_asked_for_signs_of_life_where_it_can_give_them(name: str) -> None:
    service = ours()[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    daemon = {"api", "relay", "consume", "subscription"} & {service["command"][0]}
    assert ("test" in service["healthcheck"]) == bool(daemon)
    if daemon:
        wanted = "8080" if daemon == {"api"} else "9101"
        assert str(service["environment"].get("LIVE_PORT", "8080")) == wanted


def test_whoever_has_a_port_is_in_a_network_that_leads_out() -> None:
    closed = {name for name, given in compose()["networks"].items() if given.get("internal")}
    assert closed
    for name, service in services().items():
        assert "ports" not in service or set(service["networks"]) - closed, name
    assert {port.rpartition(":")[2] for port in services()["rabbitmq"]["ports"]} == {"5672", "15672"}


def test_nobody_begins_before_tables_and_queues_are_there() -> None:
    for name, service in ours().items():
        if service["profiles"] == ["core"] and name != "prepare":
            assert service["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}, name
    assert {each["condition"] for each in services()["prepare"]["depends_on"].values()} == {"service_healthy"}


def test_prometheus_asks_every_part_that_has_metrics_under_the_name_of_its_job() -> None:
    given = yaml.safe_load((COMPOSE / "prometheus.yml").read_text(encoding="utf-8"))
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in given["scrape_configs"]}
    wanted = {
        f"hub-{name}": [f"{name}:{each['environment'].get('LIVE_PORT', 8080)}"]
        for name, each in ours().items()
        if "test" in each["healthcheck"]
    }
    assert {name: found for name, found in targets.items() if name.startswith("hub-")} == wanted
    elsewhere = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    assert {job["job_name"] for job in elsewhere["scrape_configs"]} == set(targets)


def test_commands_that_people_are_told_to_run_have_all_that_they_need() -> None:
    page = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    typed_in = re.findall(r"(?:exec|run --rm) (\w+) ([a-z]+)", page)
    assert ("tools", "doctor") in typed_in
    assert {name for name, _ in typed_in} == {"tools"}
    for _, words in typed_in:
        command_of(f"hub {words}")
    wanted = {"HUB_DB__URL_FILE", "HUB_BUS__URL_FILE", "HUB_BUS__MANAGEMENT_URL_FILE"}
    assert wanted <= set(services()["tools"]["environment"])


def test_the_broker_in_a_container_changes_only_what_a_container_needs() -> None:
    row = re.compile(r"^([\w.]+) = ", re.MULTILINE)
    ours = row.findall((COMPOSE / "rabbitmq" / "90-compose.conf").read_text(encoding="utf-8"))
    assert set(ours) <= set(row.findall((ROOT / "rabbitmq" / "rabbitmq.conf").read_text(encoding="utf-8")))
    mounted = [volume.split(":")[0] for volume in services()["rabbitmq"]["volumes"] if volume.startswith(".")]
    assert all((COMPOSE / source).exists() for source in mounted)


def test_the_stand_ins_are_spoken_to_as_they_say(tmp_path: Path) -> None:
    text = (COMPOSE / "simulators.env").read_text(encoding="utf-8")
    given = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("HUB_"))
    assert "tables" not in config.load(given | _map(tmp_path)).interfaces.values()
    assert ours()["consume-erp"]["volumes"] == ["simulators:/simulators:ro"]
    for name in ("crm", "kingdee", "wms", "erp"):
        said = _printed(ours()[f"simulate-{name}"]["command"], tmp_path)
        assert said, name
        assert {each: given[each] for each in said} == said


def test_every_login_gets_a_password_that_the_broker_takes(rabbit_node: RabbitNode, tmp_path: Path) -> None:
    folder = _secrets(tmp_path)
    made = json.loads((folder / "definitions.json").read_text(encoding="utf-8"))
    assert_hashed(folder)
    plain = json.loads((ROOT / "rabbitmq" / "definitions.json").read_text(encoding="utf-8"))
    assert {**made, "users": []} == {**plain, "users": []}
    rabbit_node.start()
    for _ in range(2):
        imported = json.loads((folder / "definitions.json").read_text(encoding="utf-8"))["users"]
        users = json.dumps({"users": [{**user, "name": f"compose-{user['name']}"} for user in imported]})
        (tmp_path / "users.json").write_text(users, encoding="utf-8")
        rabbit_node.ctl("import_definitions", str(tmp_path / "users.json"))
        for name in ("relay", "crm"):
            word = (folder / f"bus-url-{name}").read_text("utf-8").partition(f"{name}:")[2].partition("@")[0]
            assert "Success" in rabbit_node.ctl("authenticate_user", f"compose-{name}", word)
        assert _make(folder.parent, "rotate", "relay").returncode == 0


def test_a_new_password_of_one_login_is_written_wherever_that_login_stands_and_nowhere_else(tmp_path: Path) -> None:
    folder = _secrets(tmp_path)
    for login, changed in (
        ("relay", {"bus-url-relay", "definitions.json"}),
        ("monitor", {"bus-url-monitor", "management-url-monitor", "definitions.json"}),
        ("hub", {"hub-password", "db-url"}),
    ):
        before = {path.name: (path.read_bytes(), path.stat()) for path in folder.iterdir()}
        done = _make(folder.parent, "rotate", login)
        assert done.returncode == 0, done.stderr
        after = {path.name: (path.read_bytes(), path.stat()) for path in folder.iterdir()}
        assert {name for name in after if after[name][0] != before[name][0]} == changed
        # A container sees the file that it was given when it was made.
        assert {(name, row.st_ino, row.st_mode) for name, (_, row) in after.items()} == {
            (name, row.st_ino, row.st_mode) for name, (_, row) in before.items()
        }
        told = re.findall(r"docker compose restart (.*)", done.stdout)
        assert {name for line in told for name in line.split()} <= set(ours())
        assert_hashed(folder)
    assert _make(folder.parent, "rotate", "nobody").returncode == 2


def assert_hashed(folder: Path) -> None:
    """Each user's hash is that of the password in its URL."""
    made = json.loads((folder / "definitions.json").read_text(encoding="utf-8"))
    for user in made["users"]:
        url = (folder / f"bus-url-{user['name']}").read_text("utf-8")
        login, _, word = url.partition("://")[2].partition("@")[0].partition(":")
        raw = base64.b64decode(user["password_hash"])
        assert (login, raw[4:]) == (user["name"], hashlib.sha256(raw[:4] + word.encode()).digest())


def test_the_hubs_login_owns_its_tables_and_is_no_superuser(postgres_node: PostgresNode, tmp_path: Path) -> None:
    folder = _secrets(tmp_path)
    text = (COMPOSE / "postgres.sql").read_text(encoding="utf-8")
    for ours, other in ((" hub", " compose_hub"), ("/run/secrets/", f"{folder}/")):
        assert ours in text
        text = text.replace(ours, other)
    (tmp_path / "postgres.sql").write_text(text, encoding="utf-8")
    postgres_node.start()
    url = postgres_node.url()
    subprocess.run(["psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f", tmp_path / "postgres.sql", url], check=True)
    word = (folder / "hub-password").read_text(encoding="utf-8")
    assert f"hub:{word}@" in (folder / "db-url").read_text(encoding="utf-8")
    assert word != (folder / "postgres-password").read_text(encoding="utf-8")
    owner = postgres_node.url("compose_hub").replace("postgres@", f"compose_hub:{word}@")
    machine = Machine(tmp_path, {"HUB_DB__URL": owner})
    machine.must("db", "upgrade")
    machine.must("systems", "create")
    asked = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
    said = subprocess.run(["psql", "-At", "-c", asked, owner], capture_output=True, text=True, check=True)
    assert said.stdout == "f\n"
    postgres_node.drop_database("compose_hub")
    assert "hub" not in services()["postgres"]["environment"].get("POSTGRES_USER", "postgres")


def test_secrets_that_are_there_are_never_made_anew(tmp_path: Path) -> None:
    folder = _secrets(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = _make(folder.parent)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(before) >= {Path(each["file"]).name for each in compose()["secrets"].values()}
    assert folder.stat().st_mode & 0o077 == 0


def test_the_image_copies_what_there_is_and_the_build_gets_no_more_than_that() -> None:
    copied = [word for line in arguments("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert all((ROOT / word).exists() for word in copied)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == set(copied)
    assert "*" in ignored


def test_the_image_runs_a_command_of_the_hub_as_nobody_in_particular_and_has_no_pip() -> None:
    (entry,), (command,) = arguments("ENTRYPOINT"), arguments("CMD")
    typed(shlex.join([*json.loads(entry), *json.loads(command)]))
    assert arguments("USER") == ["10001:10001"]
    assert arguments("STOPSIGNAL") == ["SIGTERM"]
    assert len(arguments("FROM")) == 2, "what builds must not be what runs"
    (base,) = [each for each in arguments("ARG") if each.startswith("PYTHON=")]
    assert PINNED.match(base.partition("=")[2])
    assert any("pip uninstall" in line for line in arguments("RUN"))
    given = dict(pair.split("=", 1) for line in arguments("ENV") for pair in shlex.split(line))
    assert set(given) <= {name for name, _ in config.variables()} | OF_THE_IMAGE


def test_the_health_check_of_the_image_says_yes_while_the_hub_lives_and_no_afterwards(tmp_path: Path) -> None:
    (line,) = arguments("HEALTHCHECK")
    check = [sys.executable, *json.loads(line.partition(" CMD ")[2])[1:]]
    assert services()["api"]["healthcheck"]["test"][1:] == json.loads(line.partition(" CMD ")[2])
    machine = Machine(tmp_path, {"HUB_PROBES__PORT": "0"}).prepared()
    with machine.daemon("relay") as daemon:
        port = daemon.address.rpartition(":")[2]

        def answer() -> int:
            environ = {**os.environ, "LIVE_PORT": port}
            return subprocess.run(check, env=environ, capture_output=True, timeout=60, check=False).returncode

        assert answer() == 0
        daemon.terminate()
        assert answer() != 0


@pytest.mark.slow
def test_what_the_image_installs_can_be_installed_from_what_is_copied(tmp_path: Path) -> None:
    copied = [word for line in arguments("COPY") if "--from" not in line for word in line.split()[:-1]]
    context = tmp_path / "context"
    context.mkdir()
    for word in copied:
        source = ROOT / word
        (shutil.copytree if source.is_dir() else shutil.copy)(source, context / word)
    steps = [line for line in arguments("RUN") if "/opt/hub/.venv" in line]
    assert len(steps) == 2
    for step in steps:
        words = shlex.split(step.replace("/opt/hub/.venv", str(tmp_path / "venv")).replace("python -m", "python3 -m"))
        subprocess.run(words, cwd=context, check=True, capture_output=True, timeout=280)
    done = subprocess.run([tmp_path / "venv" / "bin" / "hub", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in (context / "hub" / "__init__.py").read_text("utf-8")


def _secrets(tmp_path: Path) -> Path:
    for folder in ("deploy/compose", "deploy/alertmanager", "rabbitmq"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("secrets*"))
    made = _make(tmp_path / "deploy" / "compose")
    assert made.returncode == 0, made.stderr
    return tmp_path / "deploy" / "compose" / "secrets"


def _make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", folder / "make-secrets.sh", *words], capture_output=True, text=True, check=False)


def _map(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "map.toml").write_text("", encoding="utf-8")
    return {"HUB_SYSTEMS__ERP__YONBIP__FIELD_MAP": str(tmp_path / "map.toml")}


def _printed(command: list[str], folder: Path) -> dict[str, str]:
    """What a stand-in says the settings are, but for where it happens to stand here."""
    words = [str(folder / "data") if word.startswith("/simulators/") else word for word in command]
    words[words.index("--port") + 1] = "0"
    with Machine(folder).daemon(*words) as daemon:
        assert wait_until(lambda: "INTERFACE" in daemon.out.read_text("utf-8"), 60), daemon.said()
        lines = [line.partition("=")[::2] for line in daemon.out.read_text("utf-8").splitlines() if "=" in line]
    return {name: "".join(shlex.split(value)) for name, value in lines if not name.endswith(("URL", "FIELD_MAP"))}
