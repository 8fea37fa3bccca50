"""How vendors fail: every fault that a simulator has, where it hits, and when."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from hub.simulators.faults import ITS_OWN_WORDS, NOTHING_HAPPENED, ON_THE_WIRE
from hub.simulators.registry import VENDORS
from hub.simulators.stand import Stand

FAULTS = (*NOTHING_HAPPENED, *ITS_OWN_WORDS, *ON_THE_WIRE)
INTERFACES = tuple(VENDORS)

OWN_FAULTS = {
    "kingdee.webapi": ("msgcode_13", "msgcode_14", "response_error", "gateway_519", "ctx_null"),
    "wms.qimen": ("unreachable",),
    "crm.rest": ("locked_row",),
    "crm.fxiaoke": ("daily_quota", "no_quota", "too_many"),
    "erp.yonbip": ("commit_310504", "commit_202"),
    "erp.grasp": ("bad_sign",),
}
"""What only one vendor does."""

WRITING_STEPS = {
    "kingdee.webapi": ("Save", "Submit", "Audit", "Push", "UnAudit", "ExcuteOperation"),
    "wms.qimen": ("deliveryorder.create", "order.cancel"),
    "crm.rest": ("collections",),
    "crm.fxiaoke": ("create", "update"),
    "erp.yonbip": ("singleSave", "batchsubmit", "batchaudit", "batchunaudit", "delete"),
    "erp.grasp": ("uploadsaleorders",),
}
"""The calls that change something, in the vendors' words."""

AT_A_STEP = ("unauthorised", "commit_500", "late", "reset", "truncated")
"""What hurts most where it hits between two steps: one of each in the waves of a play."""

PARKING = {
    "error_body": "the vendor says in its own words that it will not have the order: a person has to look",
}
"""Faults after which orders may be put aside, and why that is right. Freed when the vendor is well, they arrive."""

LASTING_SECONDS = {"late": 1.3, "commit_then_silence": 1.3, "slow": 2.0, "drip": 4.0, "429": 1.0, "503": 1.0}
"""`late` is after the caller, who waits a second, has given up, and within the time that its system has to settle."""

Disturb = Callable[[Stand, int], object]
"""Lets a vendor fail; called before each wave with its number."""


def one_fault(fault: str, times: int = 3) -> Disturb:
    """The same fault for the first calls of each wave."""
    return lambda stand, _wave: stand.fail(fault, times=times, seconds=_lasting(fault))


def at_step(step: str, faults: Sequence[str] = AT_A_STEP, times: int = 3) -> Disturb:
    """One fault after the other, wave by wave, at the first calls of one step."""

    def disturb(stand: Stand, wave: int) -> None:
        fault = faults[wave % len(faults)]
        stand.fail(fault, step=step, times=times, seconds=_lasting(fault))

    return disturb


def any_fault(seed: int, times: int = 2) -> Disturb:
    """Another fault in each wave."""
    chance = random.Random(seed)

    def disturb(stand: Stand, _wave: int) -> None:
        fault = chance.choice(stand.faults.kinds)
        stand.fail(fault, times=times, seconds=_lasting(fault))

    return disturb


def disturbing(what: str) -> Disturb:
    """What is said in a word: `500`, `late@Save`, `any@Save`, or `seed7`."""
    fault, _, step = what.partition("@")
    if step:
        return at_step(step, AT_A_STEP if fault == "any" else [fault])
    return any_fault(int(fault.removeprefix("seed"))) if fault.startswith("seed") else one_fault(fault)


def _lasting(fault: str) -> float:
    return LASTING_SECONDS.get(fault, 0.3)
