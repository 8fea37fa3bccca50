"""Which call a method and a path mean, and what its body says. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from hub.simulators.crm_rest.answers import malformed
from hub.simulators.web import Arrived

_DATA = r"/services/data/(?P<version>v\d+\.0)"
_ONE = r"(?P<kind>\w+)/(?P<field>\w+)/(?P<value>[^/]+)"
_ROUTES = (
    ("token", "POST", r"/services/oauth2/token"),
    ("collections", "PATCH", _DATA + r"/composite/sobjects/(?P<kind>\w+)/(?P<field>\w+)"),
    ("query", "GET", _DATA + r"/query/?"),
    ("more", "GET", _DATA + r"/query/(?P<cursor>\w+)-(?P<offset>\d+)"),
    ("create", "POST", _DATA + r"/sobjects/(?P<kind>\w+)/?"),
    ("upsert", "PATCH", _DATA + "/sobjects/" + _ONE),
    ("get", "GET", _DATA + "/sobjects/" + _ONE),
    ("delete", "DELETE", _DATA + r"/sobjects/(?P<kind>\w+)/(?:(?P<field>\w+)/)?(?P<value>[^/]+)"),
)


def route(arrived: Arrived) -> tuple[str, Mapping[str, str]]:
    """The step of a call, and the parts of its path as they were sent; `unknown` where there is none."""
    for step, method, path in _ROUTES:
        match = re.fullmatch(path, arrived.path) if method == arrived.method else None
        if match:
            return step, match.groupdict()
    return "unknown", {}


def body_of(arrived: Arrived) -> dict[str, Any]:
    """The object that a body holds; raises a Refusal."""
    try:
        found = json.loads(arrived.body)
    except ValueError:
        raise malformed("the body is no JSON") from None
    if not isinstance(found, dict):
        raise malformed("the body must be an object")
    return found
