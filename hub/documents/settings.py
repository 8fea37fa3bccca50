"""docs/reference/settings.md: every `HUB_*` variable, from the models that the settings are read with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from hub.config import FILE_SUFFIX, PREFIX, Settings
from hub.documents import markdown
from hub.documents.markdown import code
from hub.errors import HubError

_LEAD = f"""Settings are read once, at start, from environment variables. A group and a setting in it have two
underscores between them. Each variable may end with `{FILE_SUFFIX}`: then it names a file that holds the value, which
is the way for secrets. A name that is no setting, a value that does not fit, and two settings that contradict each
other end every command with 78 and are named. `hub config show` says what is in force here and which variable gave
it."""

_HEAD = ("variable", "takes", "default", "unit", "what it says")
_UNITS = (
    ("_per_second", "per second"),
    ("_per_minute", "per minute"),
    ("_seconds", "seconds"),
    ("_days", "days"),
    ("max_bytes", "bytes"),
    ("_bytes", "bytes"),
)
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "path": "path",
    "string": "text",
}
_BOUNDS = (("minimum", "at least"), ("exclusiveMinimum", "more than"), ("maximum", "at most"))
_ALL = "<SYSTEM>"


def page() -> str:
    """The Markdown of the page."""
    return markdown.page("Settings", _LEAD, _sections(Settings, PREFIX))


def _sections(group: type[BaseModel], prefix: str) -> Iterator[str]:
    shapes = group.model_json_schema()["properties"]
    rows = [_row(f"{prefix}{name.upper()}", name, group, shapes[name]) for name in _own(group)]
    if rows:
        title = code(f"{prefix}…") if group is not Settings else "Of the whole hub"
        yield markdown.section(title, markdown.sentence(_said(group)), markdown.table(_HEAD, rows))
    for name, inner in _groups(group).items():
        yield from _sections(inner, f"{prefix}{name}__")


def _own(group: type[BaseModel]) -> Iterator[str]:
    return (name for name, field in group.model_fields.items() if not _is_group(field.annotation))


def _groups(group: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The groups in a group by what they are called; those that all systems have alike are one."""
    fields: dict[str, Any] = {name: field.annotation for name, field in group.model_fields.items()}
    found = {name.upper(): annotation for name, annotation in fields.items() if _is_group(annotation)}
    if len(found) > 1 and len(set(found.values())) == 1:
        return {_ALL: next(iter(found.values()))}
    return found


def _row(variable: str, name: str, group: type[BaseModel], shape: Mapping[str, Any]) -> tuple[str, ...]:
    field = group.model_fields[name]
    if not field.description:
        raise HubError(f"{variable} has no description; give its Field one")
    secret = "SecretStr" in str(field.annotation)
    takes = "secret" if secret else _takes(_plain(shape))
    unit = next((unit for ending, unit in _UNITS if name.endswith(ending)), "")
    return code(variable), takes, code(_default(field.default)), unit, field.description


def _plain(shape: Mapping[str, Any]) -> Mapping[str, Any]:
    """The shape of a value, of one that may be none too."""
    return next((each for each in shape.get("anyOf", ()) if each.get("type") != "null"), shape)


def _takes(shape: Mapping[str, Any]) -> str:
    if "enum" in shape:
        return ", ".join(code(each) for each in shape["enum"])
    kind = _TYPES[shape.get("format", shape["type"])]
    bounds = [f"{word} {_number(shape[key])}" for key, word in _BOUNDS if key in shape]
    return ", ".join([kind, *bounds, *([code(shape["pattern"])] if "pattern" in shape else [])])


def _default(value: object) -> str:
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return _number(value)


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _said(group: type[BaseModel]) -> str:
    return (group.__doc__ or "").strip()


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
