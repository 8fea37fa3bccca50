"""Which addresses an interface may have. Pure.

A company's ERP stands in its own network, so private addresses are fine. What no interface ever has is refused: the
metadata services of clouds, which give credentials to whoever asks, and what is no single machine.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

# AWS over IPv6, and Alibaba Cloud; the other metadata services are link-local.
_METADATA = (ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200"))
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOW_32_BITS = 2**32 - 1


def literal(host: str) -> Address | None:
    """The address that a host is, written as one; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def refusal(address: Address, plain: bool, plain_http: bool) -> str | None:
    """Why this address is not called; None where it may be. `plain` is http://, `plain_http` the setting about it."""
    address = _embedded(address) or address
    if kind := _never(address):
        return f"{kind} is never called"
    if plain and not plain_http and not _is_near(address):
        return "http:// leads to a public address; use https://, or allow it with PLAIN_HTTP=true"
    return None


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, of NAT64, or of 6to4."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & _LOW_32_BITS)
    return address.ipv4_mapped or address.sixtofour


def _never(address: Address) -> str | None:
    if address.is_loopback:
        return None
    if address in _METADATA:
        return "a metadata service"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified or address.is_reserved or address in _THIS_NETWORK:
        return "an address of no machine"
    return None


def _is_near(address: Address) -> bool:
    return address.is_loopback or any(address in network for network in _PRIVATE)
