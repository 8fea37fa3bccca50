"""`hub simulate wms` is a warehouse that the hub can be led to."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import config
from hub.simulators.qimen.rules import Account
from tests.running import Machine
from tests.warehouse import Caller, Receiver, order, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as taken:
        yield taken


class TestItsCommand:
    def test_prints_settings_that_lead_to_it(self, tmp_path: Path, receiver: Receiver) -> None:
        machine = Machine(tmp_path)
        receiver.secret = Account().secret
        more = ("--callback", receiver.url, "--auto-seconds", "0.1", "--data", "wms.sqlite")
        with machine.daemon("simulate", "wms", *more) as daemon:
            given = printed(daemon.out, 11)
            qimen = config.load(given).systems.wms.qimen
            caller = Caller(qimen.url.removesuffix("/router/qimen/service"), qimen.secret.get_secret_value())
            names = {"app_key": qimen.app_key, "customerId": qimen.customer_id}
            assert " " in qimen.sender.address
            assert caller.call("deliveryorder.create", order(owner=qimen.owner), **names) == "success"
            assert receiver.wait(7)[-1] == "DELIVERED"
            assert daemon.terminate() == 0

    def test_wants_a_url_to_report_to(self, tmp_path: Path) -> None:
        done = Machine(tmp_path).hub("simulate", "wms", "--callback", "hub")
        assert (done.returncode, "--callback" in done.stderr) == (78, True)


def printed(out: Path, lines: int) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while len(found := out.read_text(encoding="utf-8").splitlines()) < lines:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(shlex.split(line)[0].split("=", 1) for line in found)
