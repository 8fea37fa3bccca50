"""TLS of what the hub calls and serves: 1.2 or newer, verified by certificate and name, plain text never instead.

Nothing here is weakened by a setting: who must trust a certificate of its own making names its authority.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from hub.errors import WrongConfiguration

# As the library writes it, and as pika quotes it in errors of its own that have lost the library's.
_REASON = re.compile(r"\[SSL: ([A-Z0-9_]+)\]")
_REFUSED_BY_PEER = "_ALERT_"
_NO_TLS_THERE = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


@dataclass(frozen=True)
class Files:
    """PEM files of one side, and `prefix`, with which the names of their variables begin: `HUB_BUS__TLS_`."""

    prefix: str
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def calling(files: Files) -> ssl.SSLContext:
    """For a client. WrongConfiguration names the variable whose file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=str(files.authority) if files.authority else None)
    except OSError as error:
        raise _unusable(f"{files.prefix}CA", files.authority, "certificates", error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate is not None or files.key is not None:
        _present(context, files)
    return context


def serving(files: Files) -> ssl.SSLContext | None:
    """For a server, None where no certificate is set: it speaks plain HTTP then. Errors as of `calling`."""
    if files.certificate is None and files.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _present(context, files)
    return context


class Renewal:
    """Takes in a certificate that was replaced on the disk, for connections that come after."""

    def __init__(self, context: ssl.SSLContext, files: Files) -> None:
        self._context, self._files = context, files
        self._seen = self._stamp()

    def look(self) -> bool:
        """Whether another one is in force now; WrongConfiguration, once, where the new one cannot be used."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        # A context that has refused a pair may have taken half of it: what cannot be used is found out beside it.
        _present(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._files)
        _present(self._context, self._files)
        return True

    def _stamp(self) -> tuple[object, ...]:
        return tuple(_written(path) for path in (self._files.certificate, self._files.key) if path)


def days_left(pem: bytes, moment: datetime) -> float:
    """Days until the first certificate of a file or an answer runs out; negative once it has. ValueError for none."""
    return (_first(pem).not_valid_after_utc - moment.astimezone(UTC)).total_seconds() / 86_400


def shown(host: str, port: int, seconds: float, begin: bytes = b"") -> bytes | None:
    """The certificate (DER) that a server shows, whoever signed it; None where nobody answers with one.

    `begin` is said before the handshake and answered with one byte, as PostgreSQL wants it.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), seconds) as plain:
            if begin:
                plain.sendall(begin)
                if plain.recv(1) != b"S":
                    return None
            with context.wrap_socket(plain, server_hostname=host) as peer:
                return peer.getpeercert(binary_form=True)
    except OSError:
        return None


def refusal(error: BaseException) -> str | None:
    """What stands in the way of TLS for good, in words; None for what may pass by itself, as a broken connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message.rstrip('.')}"
    reason = found[1] if (found := _REASON.search(str(error))) else ""
    if any(name in reason for name in _NO_TLS_THERE):
        return "no TLS is spoken there"
    if _REFUSED_BY_PEER in reason:
        said = reason.rpartition(_REFUSED_BY_PEER)[2].replace("_", " ").lower()
        return f"it refuses our certificate or TLS: {said}"
    return None


def _present(context: ssl.SSLContext, files: Files) -> None:
    if files.certificate is None or files.key is None:
        raise WrongConfiguration(f"{files.prefix}CERT and {files.prefix}KEY go together: set both, or neither")
    for variable, path in (("CERT", files.certificate), ("KEY", files.key)):
        if not os.access(path, os.R_OK):
            raise WrongConfiguration(f"{files.prefix}{variable}: cannot read {path}")
    try:
        # Without an answer for a key that asks for a password, the library would ask the terminal.
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise _unusable(f"{files.prefix}CERT", files.certificate, "a certificate with its key", error) from error


def _unusable(variable: str, path: Path | None, what: str, error: Exception) -> WrongConfiguration:
    # The library's words for a file that is not there and one that is no PEM differ by errno alone.
    why = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else f"it is not {what} (PEM)"
    return WrongConfiguration(f"{variable}: {path} cannot be used: {why}")


def _written(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino


def _first(pem: bytes) -> x509.Certificate:
    if pem.lstrip().startswith(b"-----BEGIN") or b"-----BEGIN CERTIFICATE" in pem:
        return x509.load_pem_x509_certificates(pem)[0]
    return x509.load_der_x509_certificate(pem)
