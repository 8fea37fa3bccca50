"""What tests ask every simulated system."""

from __future__ import annotations

from hub.simulators.stand import Stand


def effects(stand: Stand) -> list[tuple[str, str, int | None]]:
    """What happened, without its moments: effect, number, version."""
    return [(each["effect"], each["number"], each["version"]) for each in stand.vendor.journal()]
