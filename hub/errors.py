"""The family of errors. A docstring is the default message; `exit_code` is what a process ends with.

Exit codes follow sysexits.h where it has a word: 69 a dependency is down, 75 try again, 78 wrong configuration.
"""

from __future__ import annotations


class HubError(Exception):
    """Something went wrong in the hub."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__ or "")


class WrongConfiguration(HubError):
    """A setting is missing, unknown or contradicts another."""

    exit_code = 78


class DependencyDown(HubError):
    """A service that this process cannot work without does not answer."""

    exit_code = 69


class NotPrepared(DependencyDown):
    """The database answers and has not the tables."""


class NotAllowed(DependencyDown):
    """The database answers and its login has not the right."""


class SystemUnread(DependencyDown):
    """A system could not be read to its end; the hub's own database is not meant."""


class NotSorted(HubError):
    """Orders came out of their order, so what follows from comparing them would be nonsense."""


class LeaseLost(HubError):
    """Another process took over the work of this one; what it held was not recorded."""

    exit_code = 75


class Interrupted(HubError):
    """The work was stopped before its end; the message says how to go on with it."""

    exit_code = 75


class BadInput(HubError):
    """What was given cannot be taken; the message names the field and what to do."""

    exit_code = 65


class NotFound(HubError):
    """There is nothing by that name."""

    exit_code = 4


class Refused(HubError):
    """The request is understood and not allowed; the message says what would be."""

    exit_code = 4


class RoleRefused(Refused):
    """The caller's role may not do this."""


class WrittenElsewhere(Refused):
    """Orders have another writer; the message says who, and where the change is to be made."""


class RequestConflict(Refused):
    """The request id was used before with another body."""


class RequestRunning(Refused):
    """The first request with this id is still running; ask again in a moment."""

    retry_after_seconds = 1


class Undecodable(HubError):
    """Bytes that are no event this hub understands.

    `reason` is one of a closed set (`UNDECODABLE_REASONS`) that metrics and dead letters share.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


UNDECODABLE_REASONS = ("too_large", "not_utf8", "not_json", "unknown_type", "invalid")
DEAD_REASONS = (*UNDECODABLE_REASONS, "delivered_too_often")


class BusLost(DependencyDown):
    """The connection to the bus broke; what was in flight has an unknown outcome."""


class BusRefused(DependencyDown):
    """The bus answers and will not have us: credentials, rights, or something that is not there."""


class BusMissing(BusRefused):
    """The exchange or queue is not there."""


class SystemFailure(HubError):
    """A downstream system did not take an order. The subclass says who can act."""


class Unreachable(SystemFailure):
    """The call never left: refused, DNS, TLS. Nothing happened at the system."""


class OutcomeUnknown(SystemFailure):
    """The call left and no clear answer came back: look up before trying again."""


class Unaskable(SystemFailure):
    """The system cannot say what it shows: a person has to look there."""


class Postponed(SystemFailure):
    """Its turn did not come: the time of the claim was over, or the system had just refused everybody.

    With `begun`, a part of it is done already, and the system is to be asked how far it came.
    """

    def __init__(self, message: str | None = None, begun: bool = False) -> None:
        super().__init__(message)
        self.begun = begun


class Busy(SystemFailure):
    """The system asks to be called later."""

    def __init__(self, message: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class CredentialsRefused(SystemFailure):
    """The system does not accept who we are: nothing can pass until somebody acts."""


class TokenRefused(CredentialsRefused):
    """The token has run out: nothing happened, and a new one may be accepted."""


class Rejected(SystemFailure):
    """The system understood the order and will not take it: `field` and message say why."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Unfit(Rejected):
    """The hub cannot say the order in the system's words: the system was not called for it."""
