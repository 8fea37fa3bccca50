"""The JSON Schema of `report.json`, for whoever reads it with a program."""

from __future__ import annotations

import json

from hub.reconcile.report.model import Report


def schema() -> str:
    """The text of `report.v1.json`."""
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema()}
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"
