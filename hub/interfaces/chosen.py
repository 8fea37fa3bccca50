"""What an interface must be told before it can be spoken: checked when the settings are read."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from pydantic import SecretStr

from hub.groups import Group


def check(prefix: str, spoken: Group, needed: Iterable[str | tuple[str, ...]]) -> None:
    """Raise ValueError that names the variables of needed settings without a value; of a tuple one is enough.

    `sender.name` is the name in the group `sender`.
    """
    lacking = [_variables(prefix, each) for each in needed if not any(_has(spoken, name) for name in _names(each))]
    if lacking:
        raise ValueError(f"this interface needs {', '.join(lacking)}")


def _names(needed: str | tuple[str, ...]) -> tuple[str, ...]:
    return (needed,) if isinstance(needed, str) else needed


def _variables(prefix: str, needed: str | tuple[str, ...]) -> str:
    return " or ".join(f"{prefix}__{name.upper().replace('.', '__')}" for name in _names(needed))


def _has(spoken: Group, name: str) -> bool:
    value = attrgetter(name)(spoken)
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
    return bool(text.strip())
