"""Grafana's boards from their descriptions: `boards/*.toml` say what is shown, `dashboards/*.json` are for Grafana.

    python deploy/grafana/render.py            # are the dashboards what the descriptions say?
    python deploy/grafana/render.py --write

A panel takes some eighty lines of JSON, of which about six are its own. Those six are in the description.
"""

from __future__ import annotations

import json
import string
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COLUMNS = 24
DOCS_URL = "https://git.example.com/order-integration-hub/src/branch/main/docs/"

_HEIGHT = {"stat": 4, "lines": 8, "bars": 8, "table": 8}
_WIDTH = {"stat": 3, "lines": 8, "bars": 8, "table": 12}
_TYPE = {"stat": "stat", "lines": "timeseries", "bars": "timeseries", "table": "table"}
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Words = Sequence[str]
"""The same in English and in Chinese."""


def rendered(board: Mapping[str, Any], others: Mapping[str, Words]) -> dict[str, Any]:
    """A dashboard; `others` are the titles of all boards by their uid."""
    return {
        "uid": board["uid"],
        "title": _both(board["title"]),
        "description": _both(board["about"]),
        "tags": ["hub"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": board.get("from", "now-3h"), "to": "now"},
        "timezone": "browser",
        "templating": {"list": [*_variables(board)]},
        "links": [_link(title, f"/d/{uid}") for uid, title in others.items() if uid != board["uid"]],
        "panels": [*_panels(board["row"])],
    }


def _variables(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
    }
    for name, given in board.get("variable", {}).items():
        query = f"label_values({given['metric']}, {name})"
        yield {
            "name": name,
            "label": _both(given["label"]),
            "type": "query",
            "datasource": _SOURCE,
            "definition": query,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": False,
            "includeAll": False,
            "current": {},
            "hide": 0,
        }
    # Where people find the folder docs: one value for all links of the board.
    yield {
        "name": "docs",
        "type": "textbox",
        "query": DOCS_URL,
        "current": {"text": DOCS_URL, "value": DOCS_URL},
        "hide": 2,
    }


def _panels(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in rows:
        number, x, height = number + 1, 0, 0
        yield {
            "id": number,
            "type": "row",
            "title": _both(row["title"]),
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }
        y += 1
        for panel in row["panel"]:
            number, wide, high = number + 1, panel.get("width", _WIDTH[panel["kind"]]), _HEIGHT[panel["kind"]]
            if x + wide > COLUMNS:
                x, y, height = 0, y + height, 0
            yield _panel(panel) | {"id": number, "gridPos": {"x": x, "y": y, "w": wide, "h": high}}
            x, height = x + wide, max(height, high)
        y += height


def _panel(panel: Mapping[str, Any]) -> dict[str, Any]:
    runbook = panel.get("runbook")
    pages = (("Runbook", "runbook.md"), ("处理手册", "runbook.zh.md")) if runbook else ()
    return {
        "type": _TYPE[panel["kind"]],
        "title": _both(panel["title"]),
        "description": _about(panel),
        "datasource": _SOURCE,
        "targets": [*_targets(panel)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel["kind"]],
        "links": [{"title": title, "url": f"${{docs}}{page}#{runbook}", "targetBlank": True} for title, page in pages],
    } | ({"transformations": _AS_A_TABLE} if panel["kind"] == "table" else {})


def _about(panel: Mapping[str, Any]) -> str:
    english, chinese = panel["about"]
    commands = "".join(f"\n\n`{command}`" for command in panel.get("commands", []))
    return f"{english}\n\n{chinese}{commands}"


def _targets(panel: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    is_now = panel["kind"] in ("stat", "table")
    for letter, (expression, legend) in zip(string.ascii_uppercase, panel["queries"], strict=False):
        yield {
            "refId": letter,
            "datasource": _SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "instant": is_now,
            "range": not is_now,
            "format": "table" if panel["kind"] == "table" else "time_series",
        }


def _defaults(panel: Mapping[str, Any]) -> dict[str, Any]:
    steps = [{"color": panel.get("color", "green"), "value": None}]
    steps += [
        {"color": color, "value": panel[name]} for name, color in (("warn", "orange"), ("bad", "red")) if name in panel
    ]
    if "good" in panel:
        # What is bad when it is low: red until it is reached.
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel["good"]}]
    limits = {name: panel[name] for name in ("min", "max", "decimals") if name in panel}
    drawn = _DRAWN.get(panel["kind"], {})
    if drawn and len(steps) > 1:
        drawn = {**drawn, "thresholdsStyle": {"mode": "line"}}
    mappings = [
        {"type": "value", "options": {key: {"text": _both(words)} for key, words in panel.get("words", {}).items()}}
    ]
    return {
        "unit": panel.get("unit", "short"),
        "noValue": "–",
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": mappings if "words" in panel else [],
        "custom": drawn,
        **limits,
    }


def _link(title: Words, url: str) -> dict[str, Any]:
    return {
        "type": "link",
        "title": _both(title),
        "url": url,
        "icon": "dashboard",
        "keepTime": True,
        "includeVars": False,
        "targetBlank": False,
    }


def _both(words: Words) -> str:
    english, chinese = words
    return f"{english} · {chinese}"


_DRAWN: dict[str, dict[str, Any]] = {
    "lines": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": False},
    "bars": {"drawStyle": "bars", "fillOpacity": 70, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}},
}
_LINES = {
    "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "textMode": "auto",
        "orientation": "auto",
    },
    "lines": _LINES,
    "bars": _LINES,
    "table": {"showHeader": True, "cellHeight": "sm"},
}
_AS_A_TABLE = [{"id": "merge", "options": {}}, {"id": "organize", "options": {"excludeByName": {"Time": True}}}]


def main(arguments: Sequence[str]) -> int:
    """Write the dashboards, or say which are not what their descriptions say; the exit code."""
    boards = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(HERE.glob("boards/*.toml"))]
    titles = {board["uid"]: board["title"] for board in boards}
    stale = []
    for board in boards:
        place = HERE / "dashboards" / f"{board['uid']}.json"
        text = json.dumps(rendered(board, titles), ensure_ascii=False, indent=1) + "\n"
        if "--write" in arguments:
            place.write_text(text, encoding="utf-8")
        elif not place.exists() or place.read_text(encoding="utf-8") != text:
            stale.append(place.name)
    if stale:
        print(f"not what the description says: {', '.join(stale)}; run python deploy/grafana/render.py --write")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
