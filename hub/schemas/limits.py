"""What a field takes, in words for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from hub.schemas.fields import Field
from hub.schemas.words import Words

Locale = Literal["en", "zh"]

_SAID = {
    "string": Words("text", "文本"),
    "integer": Words("whole number", "整数"),
    "boolean": Words("`true` or `false`", "`true` 或 `false`"),
    "array": Words("list", "列表"),
    "object": Words("object", "对象"),
    "date-time": Words("moment, RFC 3339 with offset", "时间，RFC 3339，带时区"),
    "const": Words("always {0}", "固定为 {0}"),
    "Status": Words("one of the [statuses](#statuses)", "[状态](#状态)之一"),
    "Change": Words("one of the [changes](#all-events)", "[变更](#全部事件)之一"),
    "between": Words("{0} to {1}", "{0}～{1}"),
    "most": Words("at most {1}", "最多 {1}"),
    "least": Words("at least {0}", "至少 {0}"),
    "letters": Words("{0} characters", "{0} 个字符"),
    "entries": Words("{0} entries", "{0} 条"),
    "default": Words("{0} if it lacks", "缺省 {0}"),
    "comma": Words(", ", "，"),
}
_COUNTED = {
    "string": ("minLength", "maxLength", "letters"),
    "integer": ("minimum", "maximum", ""),
    "array": ("minItems", "maxItems", "entries"),
}


def limits(locale: Locale, field: Field) -> str:
    """Type, limits, pattern and default of a field, such as ``text, 1 to 64 characters, `^[a-z]+$` ``."""
    node = field.node
    said = [_kind(locale, node)]
    if node.get("format") != "date-time":
        said += [_range(locale, node), _code(node["pattern"]) if "pattern" in node else ""]
    if field.raw.get("default") is not None and "const" not in node:
        said.append(_say(locale, "default", _code(field.raw["default"])))
    return _say(locale, "comma").join(part for part in said if part)


def _kind(locale: Locale, node: Mapping[str, Any]) -> str:
    if "const" in node:
        return _say(locale, "const", _code(node["const"]))
    if "enum" in node:
        title = node.get("title", "")
        return _say(locale, title) if title in _SAID else " · ".join(map(_code, node["enum"]))
    kind = str(node.get("format", node.get("type", "")))
    return _say(locale, kind) if kind in _SAID else kind


def _range(locale: Locale, node: Mapping[str, Any]) -> str:
    least_name, most_name, counted = _COUNTED.get(node.get("type", ""), ("", "", ""))
    least, most = node.get(least_name), node.get(most_name)
    if least is None and most is None:
        return ""
    how = "between" if None not in {least, most} else "most" if least is None else "least"
    found = _say(locale, how, *("" if each is None else f"{each:,}" for each in (least, most)))
    return _say(locale, counted, found) if counted else found


def _say(locale: Locale, key: str, *facts: str) -> str:
    return str(getattr(_SAID[key], locale)).format(*facts)


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`"
