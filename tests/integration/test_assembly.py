"""What is put together from settings has room for all that use it at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from sqlalchemy import Engine

from hub import assembly, config
from hub.calls.client import Call
from hub.vendors.answers import Answer
from tests.wire import OK, Peer, Server


def test_a_probe_that_waits_for_its_answer_holds_up_no_worker(engine: Engine, tmp_path: Path) -> None:
    workers, probe = 2, 1
    together = Barrier(workers + probe)

    def slow(peer: Peer) -> None:
        peer.request()
        together.wait(10)
        peer.say(OK)

    with Server(slow) as server, ThreadPoolExecutor(workers + probe) as pool:
        prefix = "HUB_SYSTEMS__CRM__REST__"
        variables = {
            "HUB_CONSUMER__WORKERS": str(workers),
            "HUB_SYSTEMS__CRM__INTERFACE": "rest",
            f"{prefix}URL": server.url,
            f"{prefix}TOKEN": "token",
            f"{prefix}CONNECT_SECONDS": "1",
        }
        client = assembly.client_of(config.load(variables, data_dir=tmp_path), "crm", engine)
        calls = [pool.submit(client.send, Call("step", server.url), _status) for _ in range(workers + probe)]
        assert [call.result() for call in calls] == [200] * (workers + probe)
        client.close()


def _status(answer: Answer) -> int:
    return answer.status
