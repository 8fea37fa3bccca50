"""The try-out that docs/systems.md tells, as somebody would type it: every command of it, in its order."""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hub.stage.ports import free_port
from tests.commands import shown
from tests.nodes.processes import wait_until
from tests.running import Daemon, Machine
from tests.support import ROOT

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "systems.md"
TEXT = PAGE.read_text(encoding="utf-8").partition("## Try it with simulators")[2].partition("\n## ")[0]
FIRST, SECOND = "SO0000000000000001", "SO0000000000000002"
PATIENCE_SECONDS = 120
PRINTED = {"kingdee": 7, "wms": 11, "crm": 4, "erp": 6}


@dataclass
class Walk:
    """The machine on which it happens. `ports` has for each port of the page the one that is free here."""

    machine: Machine
    ports: dict[str, str]
    token: str = ""

    def here(self, text: str) -> str:
        """What the page shows, with the ports of this machine."""
        return re.sub(r"\b8[09]\d\d\b", lambda found: self.ports[found[0]], text)

    def lines(self, pattern: str, number: str = FIRST, own: str = FIRST) -> list[str]:
        """The commands of the page that match, about an order of this machine's own."""
        return [self.here(line).replace(own, number) for line in shown(TEXT) if re.search(pattern, line)]

    def said(self, pattern: str, number: str = FIRST, own: str = FIRST) -> str:
        """What the one command that matches printed."""
        (line,) = self.lines(pattern, number, own)
        return self.machine.must(*shlex.split(line)[1:])

    def control(self) -> Iterator[None]:
        """Tell a simulator what the page does, one after the other."""
        for address, body in re.findall(r"^curl (\S+/control) -d '(.*)'$", TEXT, re.MULTILINE):
            httpx2.post(f"http://{self.here(address)}", content=body, timeout=10).raise_for_status()
            yield

    def bought(self, **different: Any) -> str:
        """An order as the page shows it, paid; its number."""
        (body,) = re.findall(r"^```json\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
        made = self._asked("", json.loads(body) | different)
        self._asked(f"/{made}/pay", None)
        return made

    def _asked(self, path: str, body: object) -> str:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": uuid.uuid4().hex}
        url = f"http://127.0.0.1:{self.ports['8080']}/v1/orders{path}"
        found = httpx2.post(url, json=body, headers=headers, timeout=20).raise_for_status().json()
        return str(found["order_no"])


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The simulators and the hub, begun as the page says."""
    folder = tmp_path_factory.mktemp("walk")
    ports = {page: str(free_port()) for page in ("8080", "8901", "8902", "8903", "8904")}
    walk = Walk(Machine(folder, {"HUB_API__PORT": ports["8080"], "HUB_PROBES__PORT": "0"}), ports)
    with ExitStack() as stack:
        simulate = [shlex.split(line)[1:] for line in walk.lines("^hub simulate")]
        started = {words[1]: stack.enter_context(walk.machine.daemon(*words)) for words in simulate}
        for name, count in PRINTED.items():
            walk.machine = walk.machine.given(**settings_of(started[name], count))
        up = stack.enter_context(walk.machine.daemon("up"))
        assert up.ready(PATIENCE_SECONDS), up.said()
        walk.token = walk.said("^hub token").strip()
        yield walk


def test_every_system_answers_and_the_order_goes_through_all_of_them(walk: Walk) -> None:
    assert " ".join(walk.said("^hub doctor").split()).count("answers and knows us") == 4
    order_no = walk.bought()
    assert eventually(lambda: everywhere(walk, order_no, 4)), walk.machine.must("orders", "show", order_no)
    assert "wms" in walk.said(rf"^hub orders show {FIRST}", order_no)
    assert walk.said("^hub calls list", order_no).count("wms") >= 3
    assert "TEA-250" in walk.said("^hub systems stock")
    assert "different" in walk.said("^hub reconcile check")
    assert walk.machine.hub("reconcile", "check", "--detailed-exitcode").returncode == 0


def test_a_lost_answer_has_one_effect_and_what_is_parked_is_freed(walk: Walk) -> None:
    control = walk.control()
    next(control)
    next(control)
    line = {"sku": "TEA-500", "name": "明前龙井 500g", "quantity": 1, "unit_price": 16800}
    order_no = walk.bought(channel_order_no="JD-1002", lines=[line])
    assert eventually(lambda: order_no in walk.said("^hub parked list"))
    assert eventually(lambda: applied(walk, order_no)["crm"] == 4)
    journal = httpx2.get(f"http://127.0.0.1:{walk.ports['8903']}/journal", timeout=10).json()
    effects = [each["version"] for each in journal if each["number"] == order_no]
    assert (effects, {each["repeats"] for each in journal}) == (sorted(set(effects)), {False})
    assert "unknown" in walk.machine.must("calls", "list", "--order", order_no, "--system", "crm")
    next(control)
    assert "will be tried again" in walk.said("^hub parked retry", order_no, SECOND)
    assert eventually(lambda: everywhere(walk, order_no, 4))
    assert "shipped" in walk.said(rf"^hub orders show {SECOND}", order_no, SECOND)


def settings_of(started: Daemon, count: int) -> dict[str, str]:
    """What a simulator printed, as a shell reads it."""
    assert wait_until(lambda: len(lines(started.out)) >= count, PATIENCE_SECONDS), started.said()
    return dict(shlex.split(line)[0].split("=", 1) for line in lines(started.out))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def applied(walk: Walk, order_no: str) -> dict[str, int]:
    shown = json.loads(walk.machine.must("orders", "show", order_no, "--json"))
    return {each["system"]: each["applied"] for each in shown["systems"]}


def everywhere(walk: Walk, order_no: str, version: int) -> bool:
    return set(applied(walk, order_no).values()) == {version}


def eventually(holds: Callable[[], bool]) -> bool:
    return wait_until(holds, PATIENCE_SECONDS)
