"""What limits each figure, by the key of its row: only what a measurement has shown."""

from __future__ import annotations

LIMITS: dict[str, str] = {}
