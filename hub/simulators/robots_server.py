"""The robots at a port of this machine; `robot` in `/control` is the step that a fault is aimed at.

`POST /control {"robot": "dingtalk", "fault": "slow", "times": 1, "seconds": 5}`.
"""

from __future__ import annotations

from hub.simulators.robots import ROBOTS, Robots, Rules
from hub.simulators.stand import Stand


class RobotsServer(Stand):
    """Both robots at a port of this machine; port 0 lets the machine choose."""

    def __init__(self, rules: Rules, port: int = 0) -> None:
        self.robots = Robots(rules)
        super().__init__(self.robots, port)
        settings = self.robots.settings(self.address)
        self.dingtalk_url = settings["HUB_NOTIFY__DINGTALK__URL"]
        self.wecom_url = settings["HUB_NOTIFY__WECOM__URL"]

    def fail(self, fault: str | None, step: str | None = None, times: int | None = None, seconds: float = 5) -> None:
        """Let a robot fail, or both: each for so many calls of its own."""
        for robot in [step] if step else ROBOTS:
            super().fail(fault, robot, times, seconds)
