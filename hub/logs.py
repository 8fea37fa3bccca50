"""Logging: one JSON line, or one line for people, on stderr. Names of events are dotted; personal data is masked.

Field names follow the Elastic Common Schema where it has a word.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from hub import __version__, groups

PERSONAL = frozenset({"receiver", "name", "phone", "address", "province", "city", "district", "note", "email"})
SECRET = frozenset({"password", "token", "secret", "authorization", "signature", "url", "dsn"})
MASK = "***"
LONGEST = 2000
_FRAMES = 8

_PHONE = re.compile(r"(?<![0-9A-Za-z-])(?:\+?86-?)?1[3-9][0-9]{9}(?![0-9A-Za-z-])")
_CREDENTIALS = re.compile(r"(?<=://)\S+@")
_TOKEN = re.compile(r"\bhub_[A-Za-z0-9_-]{20,}")

_HARMLESS = (bool, int, float, datetime, UUID, Path, type(None))

Fields = MutableMapping[str, Any]


def configure(settings: groups.Log, service: str) -> None:
    """Set up logging for this process; call once, before the first line."""
    console = settings.format == "console"
    render = _console() if console else _json()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _named(service),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp" if console else "@timestamp"),
            structlog.processors.format_exc_info,
            mask,
            *([] if console else [_ecs]),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


def get(name: str) -> Any:
    """A logger whose lines say where they come from; it is set up at its first line, not here."""
    return structlog.get_logger(part=name)


def way(error: BaseException) -> str:
    """The kind of an error and the lines that led to it, without its words: those may quote an order."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    lines = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return f"{type(error).__name__} at {' > '.join(lines)}"


def mask(_logger: Any, _method: str, fields: Fields) -> Fields:
    """Hide personal data and secrets, by the name of a field and by the look of its text."""
    return {name: _masked(name, value) for name, value in fields.items()}


class _Bridge(logging.Handler):
    """Lines of libraries go the same way as our own. pika's running commentary is left out: we log what it means.

    The HTTP client's are left out too: they hold whole URLs, and a robot's URL is a secret.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("pika", "httpx2", "httpcore2")):
            structlog.get_logger().log(record.levelno, record.getMessage(), part=record.name)


def _named(service: str) -> Any:
    # Not a context variable: those belong to the thread that set them.
    return lambda _logger, _method, fields: {"service": service, **fields}


def _masked(name: str, value: Any) -> Any:
    if name.lower() in PERSONAL | SECRET:
        return MASK
    if isinstance(value, dict):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_masked("", inner) for inner in value]
    if isinstance(value, int) and _PHONE.fullmatch(str(value)):
        return MASK
    return value if isinstance(value, _HARMLESS) else _clean(value)


def _clean(value: object) -> str:
    if not isinstance(value, (str, Exception)):
        # A model or bytes may carry a whole order.
        return f"<{type(value).__name__}>"
    text = _CREDENTIALS.sub(f"{MASK}@", str(value))
    text = _TOKEN.sub(MASK, _PHONE.sub(lambda found: f"{found[0][:3]}****{found[0][-4:]}", text))
    if len(text) <= LONGEST:
        return text
    # The end of a traceback says what happened.
    return f"{text[: LONGEST // 2]}… ({len(text)} characters) …{text[-LONGEST // 2 :]}"


def _ecs(_logger: Any, _method: str, fields: Fields) -> Fields:
    renamed = {"event": "event.action", "level": "log.level", "service": "service.name", "part": "log.logger"}
    named = {renamed.get(name, name): value for name, value in fields.items()}
    return {**named, "service.version": __version__}


def _console() -> Any:
    # The library's own traceback shows local variables, and those hold orders.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)


def _json() -> Any:
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
