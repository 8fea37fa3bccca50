"""What `hub doctor` says of encryption: what crosses the network in the clear, and how long certificates are good.

A plain connection is told and not refused: a tunnel or a network of one's own may be what protects it.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url

from hub import clock, config, groups, tls
from hub.bus.rabbit.address import address_of

SOON_DAYS = 21
# "SSLRequest" of PostgreSQL's protocol.
_MAY_I_SPEAK_TLS = bytes.fromhex("0000000804d2162f")
_POSTGRES_PORT = 5432


def in_the_clear(settings: config.Settings) -> list[str]:
    """Each way to another machine that is not encrypted, or where nobody checks who answers."""
    return [*_bus(settings), *_databases(settings), *_served(settings)]


def certificates(settings: config.Settings) -> Iterator[tuple[str, float]]:
    """Every certificate that we present or are shown, and the days until it runs out; who answers not is left out."""
    for name, path in _files(settings):
        if days := _days(_content(path)):
            yield name, days
    for name, host, port, begin in _servers(settings):
        if days := _days(tls.shown(host, port, settings.bus.connect_seconds, begin)):
            yield name, days


def readable_by_others(given: Mapping[str, str]) -> list[str]:
    """Files with a secret, of those that variables name, that every user of this machine may read."""
    secret = {name for name, field in config.variables() if "SecretStr" in repr(field)}
    files = {name: path for name, path in given.items() if name.removesuffix(config.FILE_SUFFIX) in secret - {name}}
    return [f"{name}: every user here may read {path}" for name, path in sorted(files.items()) if _is_open(path)]


def _is_open(path: str) -> bool:
    try:
        return bool(Path(path).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _bus(settings: config.Settings) -> Iterator[str]:
    if not settings.embedded_bus:
        address = address_of(settings.bus_url)
        if not address.tls and _is_outside(host for host, _ in address.hosts):
            yield "HUB_BUS__URL: events and the password go in the clear: amqps://"
    management = urlsplit(_text(settings.bus.management_url))
    if management.scheme == "http" and _is_outside([management.hostname or "localhost"]):
        yield "HUB_BUS__MANAGEMENT_URL: an administrator's password goes in the clear: https://"


def _databases(settings: config.Settings) -> Iterator[str]:
    for variable, url in _remote(settings):
        mode = url.query.get("sslmode", "prefer")
        if mode != "verify-full":
            yield f"{variable}: sslmode is {mode}, so nobody checks who answers: ?sslmode=verify-full&sslrootcert=…"


def _served(settings: config.Settings) -> Iterator[str]:
    for name, listen in (("API", settings.api), ("PROBES", settings.probes)):
        if listen.tls_cert is None and _is_outside([listen.host]):
            yield f"HUB_{name}__HOST: others are answered in the clear: HUB_{name}__TLS_CERT, or a proxy with TLS"


def _files(settings: config.Settings) -> Iterator[tuple[str, Path]]:
    named = {"API": settings.api.tls_cert, "PROBES": settings.probes.tls_cert, "BUS": settings.bus.tls_cert}
    yield from ((f"HUB_{name}__TLS_CERT", path) for name, path in named.items() if path)


def _servers(settings: config.Settings) -> Iterator[tuple[str, str, int, bytes]]:
    if not settings.embedded_bus and (address := address_of(settings.bus_url)).tls:
        yield from (("broker " + host, host, port, b"") for host, port in address.hosts)
    management = urlsplit(_text(settings.bus.management_url))
    if management.scheme == "https" and management.hostname:
        yield "management API", management.hostname, management.port or 443, b""
    for variable, url in _remote(settings, loopback=True):
        if url.query.get("sslmode", "prefer") not in {"disable", "allow"} and url.host:
            yield f"database of {variable}", url.host, url.port or _POSTGRES_PORT, _MAY_I_SPEAK_TLS


def _remote(settings: config.Settings, *, loopback: bool = False) -> Iterator[tuple[str, URL]]:
    """Databases that are reached over a network, each once."""
    given = {"HUB_DB__URL": settings.db_url}
    for name in config.SYSTEMS:
        given[f"HUB_SYSTEMS__{name.upper()}__URL"] = _text(getattr(settings.systems, name).url)
    for variable, text in given.items():
        url = make_url(text) if text.startswith("postgresql") else None
        if url is not None and url.host and (loopback or _is_outside([url.host])):
            yield variable, url


def _is_outside(hosts: Iterator[str] | list[str]) -> bool:
    return any(not groups.is_loopback(host) and not host.startswith("/") for host in hosts)


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _days(certificate: bytes | None) -> float | None:
    try:
        return None if certificate is None else tls.days_left(certificate, clock.utcnow())
    except ValueError:
        return None
