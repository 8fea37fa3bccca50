"""What every code that people meet means, and what to do about it. A code that the words lack fails `hub verify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hub.calls.record import OUTCOMES
from hub.consumers.breaker import Cause as BreakerCause
from hub.consumers.outcome import ParkedReason
from hub.errors import DEAD_REASONS, HubError
from hub.metrics import CALLED_BACK
from hub.notify.answers import State as NoticeState
from hub.oms.own_rows import Reason
from hub.operations.runs import State as BulkState
from hub.reconcile.runs import State as RunState
from hub.subscriptions.gaps import Why

Said = tuple[str, str]
"""What a code means, and what to do."""

_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Codes:
    """A closed set of codes: where people meet it, the codes of the code, and the words for each."""

    title: str
    where: str
    values: Sequence[str]
    words: dict[str, Said]

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """(code, meaning, what to do) of each; HubError where words and codes are not the same."""
        if strange := set(self.values) ^ self.words.keys():
            raise HubError(
                f"hub/documents/codes.py, {self.title}: words and codes differ in {', '.join(sorted(strange))}"
            )
        for value in self.values:
            yield (value, *self.words[value])


EXIT_CODES: tuple[tuple[int, str, str], ...] = (
    (0, "done, or shown what would be done", _NOTHING),
    (
        1,
        "something that nobody expected; or, from `hub verify`, a generated file is not current",
        "read the last line on stderr",
    ),
    (2, "mistyped: no such command, option or value", "`--help` of that command"),
    (
        3,
        "looked, and found something: differences, or a broken chain",
        "read what was found; it is no failure of the command",
    ),
    (4, "not there, or understood and refused", "the message says what would be allowed"),
    (65, "something that was given cannot be taken", "the message names the field, the line or the option"),
    (
        69,
        "a dependency is down, or not prepared: database, bus, a system, a robot, a folder",
        "`hub doctor`; a service manager may start it again",
    ),
    (
        75,
        "stopped before its end, or somebody else is at it",
        "wait, then the same command again; it goes on where it was",
    ),
    (
        78,
        "a setting is missing, unknown or contradicts another",
        "mend the setting that is named; starting again does not help",
    ),
    (143, "ended by SIGTERM before its end (`hub demo`); daemons that are told to end do so with 0", _NOTHING),
)

_DIFFERENCES = (3, "there are differences, with `--detailed-exitcode`")
_STOPPED = (75, "the bulk run stopped before its end; `hub bulk resume` goes on with it")
_SPECIAL: dict[str, tuple[tuple[int, str], ...]] = {
    "audit verify": ((3, "a chain or a seal does not agree; the first broken row is on stderr"),),
    "reconcile check": (_DIFFERENCES, (69, "a system could not be read to its end")),
    "reconcile run": (
        _DIFFERENCES,
        (69, "a system could not be read, and the report says which"),
        (75, "another process compares at this moment"),
    ),
    "bulk resume": (_STOPPED,),
    "parked retry": (_STOPPED,),
    "replay": (_STOPPED,),
    "doctor": ((69, "something is not in order; each line that is not says how to mend it"),),
    "notify test": ((69, "a robot gives no clear answer"), (78, "a robot refuses, or none is configured")),
    "orders import": ((65, "some lines were not taken; they are in the rejects file"),),
    "verify": ((1, "a generated file is not current, or an event would break its readers"),),
}


def special(words: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """What the exit codes of one command mean in particular."""
    return _SPECIAL.get(" ".join(words), ())


def commands_with_codes() -> Iterable[str]:
    """The commands whose exit codes mean something in particular."""
    return _SPECIAL


API: dict[int, str] = {
    400: "send JSON, and one header `Idempotency-Key` of 1 to 128 characters",
    401: "send `Authorization: Bearer …`; `hub token add` makes one, `hub token list` shows those there are",
    403: "use a token whose role may do this, or let somebody do it who has it",
    404: "look at the number; the hub's own begins with SO",
    409: "read the order's status; where an earlier request with this id still runs, ask again after `Retry-After`",
    413: "send less; `HUB_API__MAX_BODY_BYTES` is the limit",
    422: "mend each field of `errors` and send it with a new Idempotency-Key",
    503: "send the same request with the same Idempotency-Key after `Retry-After`; it has one effect",
}

PARKED = Codes(
    "Parked orders",
    "`hub parked list`, `hub orders show`",
    list(ParkedReason),
    {
        "rejected": (
            "the system understood the order and will not have it",
            "mend the order, the mapping or the system, then `hub parked retry`; a newer version frees it by itself",
        ),
        "gave_up": (
            "it failed too often, or for too long",
            "find out what the error means and mend it, then `hub parked retry`",
        ),
        "unknown": (
            "nobody can tell whether the system has it",
            "look in the system, then `hub parked retry`: the hub asks the system before it sends anything",
        ),
    },
)
DEAD = Codes(
    "Dead letters",
    "`hub dead-letters list`, `hub_dead_letters_total`",
    DEAD_REASONS,
    {
        "too_large": (
            "more bytes than an event may have",
            "ask who published it: the hub publishes none; then `hub dead-letters discard`",
        ),
        "not_utf8": ("no UTF-8 text", "ask who published it, then `hub dead-letters discard`"),
        "not_json": ("no JSON", "ask who published it, then `hub dead-letters discard`"),
        "unknown_type": (
            "an event of a type or a major that this release does not know",
            "run the release that knows it, then `hub dead-letters requeue`",
        ),
        "invalid": (
            "an event with a field that is wrong; `detail` names it",
            "`hub dead-letters requeue` once a release reads it; else `hub replay` of the order",
        ),
        "delivered_too_often": (
            "the consumer died again and again while it had it",
            "find out why in its log, then `hub dead-letters requeue`",
        ),
    },
)
INTAKE = Codes(
    "Refused rows of a company's own OMS",
    "`hub intake list`, `oms_outbox.refused_reason`, `hub_intake_refusals_total`",
    list(Reason),
    {
        "invalid": ("a field is wrong; the detail names it", "correct the row; it is taken at once"),
        "step": ("the change may not follow the order's status", "write the change that lacks, or correct this one"),
        "fixed": ("channel, shop, the shop's number or the currency is another than before", "put back what it was"),
        "taken": ("the shop's number is that of another order", "correct `channel_order_no`"),
        "conflict": (
            "the hub has this version already, and it says something else",
            "give the change the next version",
        ),
        "gap": ("the version before it has not come", "insert the version that lacks; this one then follows by itself"),
        "unwritable": ("the database would not have it", "read the detail; correct the row"),
    },
)
BREAKERS = Codes(
    "Why a system gets nothing",
    "`hub systems list`, `hub_breaker_trips_total`",
    list(BreakerCause),
    {
        "unreachable": (
            "nothing answers at its address",
            "address, DNS, firewall, TLS; it is probed and goes on by itself",
        ),
        "unanswered": (
            "calls get no clear answer from it",
            "ask whoever runs the system; it is probed and goes on by itself",
        ),
        "busy": (
            "it asked to be left alone for a while",
            _NOTHING + "; lower `HUB_CONSUMERS__<SYSTEM>__RATE_PER_SECOND` where it comes often",
        ),
        "credentials": (
            "it does not accept who we are",
            "mend the credentials, restart its consumer, `hub systems resume`",
        ),
        "paused": ("somebody paused it", "`hub systems resume` when the reason is gone"),
    },
)
CALLS = Codes(
    "What came of a call",
    "`hub calls list`",
    OUTCOMES,
    {
        "sent": (
            "nothing is known: it is on its way, or its process ended in the middle",
            _NOTHING + "; the order is looked up before it is sent again",
        ),
        "ok": ("the system did what it was asked", _NOTHING),
        "rejected": ("the system said no; `said` has its words", "see the parked order"),
        "busy": ("the system said later", _NOTHING),
        "unknown": (
            "no clear answer came: the order is in doubt",
            _NOTHING + "; after `settle_seconds` the system is asked",
        ),
        "unreachable": ("the call never left; `said` names what is in the way", "address, DNS, firewall, TLS"),
        "credentials": ("the system says that it does not know us", "mend the credentials, `hub systems resume`"),
    },
)
CALLBACKS = Codes(
    "What became of a callback",
    "`hub_callbacks_total`, `hub calls list --system wms`",
    CALLED_BACK,
    {
        "done": ("the OMS carried out what it means", _NOTHING),
        "kept": ("it changes nothing in the OMS and is kept", _NOTHING),
        "refused": ("the order's status stands against it", "stop the parcel, or mend the order in the OMS"),
        "repeated": ("it had come before; nothing was done again", _NOTHING),
        "conflict": ("it came before and said something else", "ask the warehouse which is right"),
        "unknown_order": ("there is no such order", "ask the warehouse what it sent"),
        "elsewhere": (
            "orders have another writer (`HUB_OMS__WRITER` is `own`)",
            "let the warehouse report to your OMS",
        ),
        "unreadable": ("nothing that the hub understands", "ask the warehouse what it sent"),
        "forged": (
            "signature, app_key or customerId is wrong; nothing was kept",
            "compare secret and customer with the WMS",
        ),
        "clock": ("its time is too far from ours", "set the clocks"),
    },
)
GAPS = Codes(
    "Why a subscriber misses events",
    "`hub subscription show`, `hub_subscription_dropped_total`",
    list(Why),
    {
        "full": (
            "its queue was full, and the oldest went",
            "call the contact; once its program reads, `hub subscription replay NAME --missed`",
        ),
        "worn_out": ("its program failed at them, 100 times each", "have the program mended, then the replay"),
        "rejected": ("its program refused them without having them put back", "ask why, then the replay"),
        "expired": ("somebody gave the queue a time by a policy", "take the policy away, then the replay"),
        "uncounted": (
            "more went than the watcher could count: it was away for too long",
            "the replay sends all of that time",
        ),
        "paused": ("the subscription was paused", "`hub subscription resume`, then the replay"),
    },
)
NOTICES = Codes(
    "Where a notice stands",
    "`hub notify list`",
    list(NoticeState),
    {
        "waiting": ("it is due now or later", _NOTHING),
        "held": ("the other channel is tried first", _NOTHING),
        "sending": ("on its way; where its process died, it is sent again after a while", _NOTHING),
        "muted": ("the robot asked to be left alone", _NOTHING),
        "sent": ("the robot took it", _NOTHING),
        "spared": ("the other channel has told it", _NOTHING),
        "failed": (
            "refused, or given up after `HUB_NOTIFY__ATTEMPTS` calls; `said` says why",
            "mend it, `hub notify test`, then `hub notify send --failed`",
        ),
    },
)
BULK = Codes(
    "Where a bulk run stands",
    "`hub bulk list`",
    list(BulkState),
    {
        "running": (
            "it is carried out; where its numbers stand still, it was killed",
            "`hub bulk resume` where it was killed",
        ),
        "paused": ("somebody stopped it with ctrl-C", "`hub bulk resume` or `hub bulk cancel`"),
        "stopped": ("it stopped by itself; `said` says why", "mend that, then `hub bulk resume`"),
        "cancelled": ("nothing more is released", _NOTHING),
        "finished": ("it came to its end", "`hub bulk show` names orders that failed or were passed over"),
    },
)
NIGHTS = Codes(
    "Where a comparison stands",
    "`hub reconcile status`, `reconcile_runs.state`",
    list(RunState),
    {
        "running": ("it reads the systems", _NOTHING),
        "compared": (
            "all was compared; it heals and files the report",
            _NOTHING + "; after a kill the next run goes on from here",
        ),
        "finished": ("every system was read", "read the report"),
        "incomplete": (
            "a system could not be read; none of its numbers counts",
            "make the system readable, then `hub reconcile run`",
        ),
        "abandoned": ("its process was killed, and another run has begun since", _NOTHING),
    },
)

SETS = (PARKED, DEAD, INTAKE, BREAKERS, CALLS, CALLBACKS, GAPS, NOTICES, BULK, NIGHTS)
