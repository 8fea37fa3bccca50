"""Field maps: TOML files that say what an order's fields, shops and articles are called at a system."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.errors import WrongConfiguration


class MapPart(BaseModel):
    """A part of a field map: takes nothing that it was not told of."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Map = TypeVar("Map", bound=MapPart)


def load(path: Path | None, kind: type[Map], variable: str) -> Map:
    """The map in this file, or the usual one where there is no file.

    Raises WrongConfiguration that names file, key and what to do; `variable` is the setting that names the file.
    """
    try:
        return kind.model_validate(_toml(path, variable) if path else {})
    except ValidationError as error:
        told = "; ".join(map(_problem, error.errors()))
        raise WrongConfiguration(f"{path or variable}: {told}") from error


def _toml(path: Path, variable: str) -> dict[str, Any]:
    try:
        with path.open("rb") as opened:
            return tomllib.load(opened)
    except OSError as error:
        raise WrongConfiguration(f"{variable}: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongConfiguration(f"{path}: is no TOML in UTF-8: {error}") from error


def _problem(error: Any) -> str:
    key = ".".join(str(step) for step in error["loc"] if step != "[key]")
    told = "is not known" if error["type"] == "extra_forbidden" else str(error["msg"]).removeprefix("Value error, ")
    return f"{key}: {told}" if key else told
