"""The PostgreSQL server that everything is measured on."""

from __future__ import annotations

from tests.nodes.postgres import PostgresNode


class BenchNode(PostgresNode):
    """A server with the memory that a small machine would give it."""

    def _command(self) -> list[str]:
        return [*super()._command(), "-cshared_buffers=256MB"]
