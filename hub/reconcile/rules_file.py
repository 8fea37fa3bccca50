"""The file of the field rules: read, checked, and told what is wrong by file and key.

The rules that come with the hub are in `rules.toml` beside this file. What a system keeps depends on the interface that
it is reached by, so each interface has a section of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hub.config import SYSTEMS
from hub.errors import WrongConfiguration
from hub.reconcile.rules import FIELDS, MAPPABLE, STATUSES, Rules, SystemRules

DEFAULT = Path(__file__).with_name("rules.toml")
TABLES = "tables"
"""The interface whose section is the system's own: `[wms]`; another one's is `[wms.qimen]`."""

_WORDS = tuple(STATUSES)
_TABLES_EVERYWHERE: Mapping[str, str] = {}


def load(path: Path | None = None, interfaces: Mapping[str, str] = _TABLES_EVERYWHERE) -> Rules:
    """The rules of this file, or those that come with the hub, for the interface of each system; tables unless named.

    Raises WrongConfiguration: file, key, what to do. What a real interface keeps has to be said, were it everything.
    """
    file = path or DEFAULT
    try:
        document = _Document.model_validate(_toml(file))
    except ValidationError as error:
        raise WrongConfiguration(f"{file}: {'; '.join(map(_said, error.errors()))}") from error
    sections = {name: _in_force(document, file, name, interfaces.get(name, TABLES)) for name in SYSTEMS}
    return Rules(document.version, {name: section.rules() for name, section in sections.items()})


def _in_force(document: _Document, file: Path, name: str, interface: str) -> _OfOne:
    section: _OfOne = getattr(document, name)
    found: _OfOne | None = section if interface == TABLES else getattr(section, interface)
    if found is None:
        raise WrongConfiguration(
            f"{file}: [{name}.{interface}]: is missing, and HUB_SYSTEMS__{name.upper()}__INTERFACE is {interface}; "
            f"say what it keeps, or copy the section from the rules that come with the hub"
        )
    return found


def _toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except OSError as error:
        raise WrongConfiguration(
            f"{file}: cannot be read ({error.strerror}); give HUB_RECONCILE__RULES a TOML file, or leave it out"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongConfiguration(f"{file}: is no TOML in UTF-8: {error}") from error


def _check_statuses(key: str, words: Iterable[str]) -> None:
    if strange := sorted(set(words) - STATUSES.keys()):
        raise ValueError(f"{key}.status: {strange[0]!r} is no status; one of {', '.join(STATUSES)}")


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class _OfOne(_Checked):
    not_kept: list[Literal[FIELDS]] = []  # type: ignore[valid-type]
    mapped: dict[Literal[MAPPABLE], dict[str, str]] = {}  # type: ignore[valid-type]
    tolerance_fen: Annotated[int, Field(ge=0)] = 0
    may_lack: list[Literal[_WORDS]] = []  # type: ignore[valid-type]
    folded: dict[Literal[MAPPABLE], dict[str, str]] = {}  # type: ignore[valid-type]
    may_show: dict[Literal[_WORDS], list[Literal[_WORDS]]] = {}  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        for key, words in (("mapped", self.mapped), ("folded", self.folded)):
            if both := sorted(words.keys() & set(self.not_kept)):
                raise ValueError(f"{both[0]} is {key} and not kept; leave one of the two out")
        _check_statuses("mapped", self.mapped.get("status", {}).values())
        folded = self.folded.get("status", {})
        _check_statuses("folded", [*folded, *folded.values()])
        return self

    @model_validator(mode="after")
    def _folds_once(self) -> Self:
        for name, words in self.folded.items():
            if again := sorted(words.keys() & set(words.values())):
                raise ValueError(f"folded.{name}: {again[0]!r} stands on both sides; fold each word to the last one")
        return self

    def rules(self) -> SystemRules:
        may_lack = frozenset(self.may_lack)
        return SystemRules(
            frozenset(self.not_kept), self.mapped, self.tolerance_fen, may_lack, self.folded, self.may_show
        )


class _Crm(_OfOne):
    rest: _OfOne | None = None
    fxiaoke: _OfOne | None = None


class _Kingdee(_OfOne):
    webapi: _OfOne | None = None


class _Wms(_OfOne):
    qimen: _OfOne | None = None


class _Erp(_OfOne):
    grasp: _OfOne | None = None
    yonbip: _OfOne | None = None


class _Document(_Checked):
    version: Annotated[str, Field(min_length=1, max_length=32)]
    crm: _Crm = _Crm()
    kingdee: _Kingdee = _Kingdee()
    wms: _Wms = _Wms()
    erp: _Erp = _Erp()


_SECTIONS: Mapping[str, type[_OfOne]] = {"crm": _Crm, "kingdee": _Kingdee, "wms": _Wms, "erp": _Erp}


def _said(error: Any) -> str:
    system, *keys = map(str, error["loc"])
    if system not in SYSTEMS:
        return f"{system}: {_told(error, ('version', *SYSTEMS))}"
    known, section = tuple(_SECTIONS[system].model_fields), system
    if keys and keys[0] in set(known) - _OfOne.model_fields.keys():
        known, section = tuple(_OfOne.model_fields), f"{system}.{keys.pop(0)}"
    key = ".".join(key for key in keys if key != "[key]")
    return f"{f'[{section}] {key}'.strip()}: {_told(error, known)}"


def _told(error: Any, known: Iterable[str]) -> str:
    if error["type"] == "missing":
        return 'is missing; write version = "2026-11", and another one whenever a rule changes'
    if error["type"] == "extra_forbidden":
        return f"is not known; one of {', '.join(known)}"
    if error["type"] == "model_type":
        return "must be a table of keys"
    return str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
