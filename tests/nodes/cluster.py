"""A private RabbitMQ cluster: nodes on loopback that share a port mapper, each to be hurt by itself."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self
from urllib.parse import quote

from tests.nodes.errors import NodeError
from tests.nodes.processes import wait_until
from tests.nodes.rabbitmq import Epmd, RabbitNode, rabbit_scripts

PATIENCE_SECONDS = 120
# A node that is silent for these seconds counts as down; RabbitMQ's own default of 60 would make each test a minute.
TICK_SECONDS = 10
CONFIGURATION = ("cluster_partition_handling = pause_minority", f"net_ticktime = {TICK_SECONDS}")


class RabbitCluster:
    """Three nodes that need a majority of two. Nothing of them is left after `close`."""

    def __init__(self, size: int = 3) -> None:
        rabbit_scripts()  # says what is missing before anything is made
        self._epmd = Epmd()
        self.nodes = [RabbitNode(epmd=self._epmd, more=CONFIGURATION) for _ in range(size)]
        self._joined = False

    def start(self) -> None:
        """Returns once every node serves as a member; mends whatever was done to any of them; idempotent."""
        self._epmd.start()
        at_once(RabbitNode.start, self.nodes)
        if not self._joined:
            self._join()
        if not wait_until(lambda: all(node.serves() for node in self.nodes), PATIENCE_SECONDS):
            raise NodeError(f"these nodes did not come back: {[node.name for node in self.nodes if not node.serves()]}")

    def close(self) -> None:
        """Ends every node and the port mapper; idempotent."""
        at_once(RabbitNode.close, self.nodes)
        self._epmd.close()

    def url(self, vhost: str = "/") -> str:
        """One URL that names every node."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"amqp://guest:guest@{hosts}/{quote(vhost, safe='')}"

    def create_vhost(self, name: str) -> str:
        """The URL of an empty virtual host on all nodes."""
        self.nodes[0].create_vhost(name)
        return self.url(name)

    def delete_vhost(self, name: str) -> None:
        """Cuts off whoever still uses it."""
        self.nodes[0].delete_vhost(name)

    def leader(self, queue: str, vhost: str) -> RabbitNode:
        """The node that leads a quorum queue now; asks a node that serves."""
        asked = next(node for node in self.nodes if node.serves())
        rows = asked.ctl("list_queues", "--vhost", vhost, "name", "leader", "--no-table-headers").splitlines()
        nodename = dict(row.split("\t") for row in rows)[queue]
        return next(node for node in self.nodes if node.nodename == nodename)

    def __enter__(self) -> Self:
        """Starts it, and leaves nothing behind when that fails."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()

    def _join(self) -> None:
        first, *others = self.nodes
        for node in others:
            node.ctl("stop_app")
            node.ctl("join_cluster", first.nodename)
            node.ctl("start_app")
        self._joined = True


def at_once(act: Callable[[RabbitNode], None], nodes: Iterable[RabbitNode]) -> None:
    """Do the same to several nodes side by side."""
    chosen = list(nodes)
    with ThreadPoolExecutor(max(1, len(chosen))) as pool:
        list(pool.map(act, chosen))
