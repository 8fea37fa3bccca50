"""Which addresses are called: a table; and names are resolved by a thread that nobody has to wait for."""

from __future__ import annotations

import ipaddress
import threading

import pytest
from pydantic import ValidationError

from hub.calls.guard import Guard, NotAllowed
from hub.interfaces.addresses import refusal
from hub.interfaces.http import Http

NEVER = {
    "169.254.169.254": "a link-local address",
    "169.254.0.1": "a link-local address",
    "fe80::1": "a link-local address",
    "fe80::1%eth0": "a link-local address",
    "febf::1": "a link-local address",
    "::ffff:169.254.169.254": "a link-local address",
    "64:ff9b::169.254.169.254": "a link-local address",
    "2002:a9fe:a9fe::1": "a link-local address",
    "100.100.100.200": "a metadata service",
    "::ffff:100.100.100.200": "a metadata service",
    "fd00:ec2::254": "a metadata service",
    "224.0.0.1": "a multicast address",
    "239.255.255.255": "a multicast address",
    "ff02::1": "a multicast address",
    "::ffff:224.0.0.1": "a multicast address",
    "0.0.0.0": "an address of no machine",
    "0.1.2.3": "an address of no machine",
    "::": "an address of no machine",
    "::ffff:0.0.0.0": "an address of no machine",
    "255.255.255.255": "an address of no machine",
    "240.0.0.1": "an address of no machine",
    "4000::1": "an address of no machine",
}
NEAR = (
    "127.0.0.1",
    "127.255.0.9",
    "::1",
    "::ffff:127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.2",
    "::ffff:192.168.1.2",
    "fd12::1",
    "64:ff9b::10.0.0.1",
)
PUBLIC = ("8.8.8.8", "47.100.1.1", "172.32.0.1", "100.64.0.1", "2400:3200::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8")
TOLD = "http:// leads to a public address"


@pytest.mark.parametrize(("address", "kind"), NEVER.items())
def test_what_no_interface_has_is_refused_whatever_the_settings_say(address: str, kind: str) -> None:
    for plain in (True, False):
        for allowed in (True, False):
            assert refusal(ipaddress.ip_address(address), plain, allowed) == f"{kind} is never called"


@pytest.mark.parametrize("address", NEAR)
def test_an_address_in_the_house_may_be_called_in_the_clear(address: str) -> None:
    for plain in (True, False):
        assert refusal(ipaddress.ip_address(address), plain, plain_http=False) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_called_with_tls_or_where_the_setting_allows_it(address: str) -> None:
    where = ipaddress.ip_address(address)
    assert (refusal(where, plain=True, plain_http=False) or "").startswith(TOLD)
    assert refusal(where, plain=True, plain_http=True) is None
    assert refusal(where, plain=False, plain_http=False) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://169.254.169.254/latest", "a link-local address is never called"),
        ("https://[::ffff:169.254.169.254]:443/", "a link-local address is never called"),
        ("http://[fd00:ec2::254]", "a metadata service is never called"),
        ("http://0.0.0.0:8000", "an address of no machine is never called"),
        ("http://47.100.1.1/k3cloud", TOLD),
    ],
)
def test_an_address_in_a_url_is_refused_when_the_settings_are_read(url: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Http(url=url)


def test_a_url_that_may_be_called_is_taken() -> None:
    for url in ("http://192.168.1.2:8080/api", "https://47.100.1.1", "http://erp.example.com", "http://[::1]:80"):
        assert Http(url=url).url == url
    assert Http(url="http://47.100.1.1", plain_http=True).plain_http


class TestTheGuard:
    def test_names_every_allowed_address_in_the_order_of_the_resolver(self) -> None:
        guard = Guard(lookup=lambda _host: ["192.168.1.3", "fe80::1", "10.0.0.1", "8.8.8.8"])
        assert guard.addresses("erp.example", plain=True, seconds=5) == ["192.168.1.3", "10.0.0.1"]
        assert guard.addresses("erp.example", plain=False, seconds=5) == ["192.168.1.3", "10.0.0.1", "8.8.8.8"]

    @pytest.mark.parametrize(
        ("found", "said"), [(["169.254.169.254"], "link-local"), ([], "no address"), (["8.8.8.8"], "public")]
    )
    def test_says_why_none_is_left(self, found: list[str], said: str) -> None:
        with pytest.raises(NotAllowed, match=said):
            Guard(lookup=lambda _host: found).addresses("erp.example", plain=True, seconds=5)

    def test_looks_no_address_up(self) -> None:
        guard = Guard(lookup=lambda host: pytest.fail(f"looked up {host}"))
        assert guard.addresses("127.0.0.1", plain=True, seconds=5) == ["127.0.0.1"]
        with pytest.raises(NotAllowed):
            guard.addresses("169.254.169.254", plain=False, seconds=5)

    @pytest.mark.parametrize("host", ["localhost", "0x7f.1", "2130706433"])
    def test_judges_every_spelling_of_an_address_by_what_it_resolves_to(self, host: str) -> None:
        assert set(Guard().addresses(host, plain=True, seconds=30)) <= {"127.0.0.1", "::1"}

    def test_is_told_at_each_asking_and_remembers_nothing(self) -> None:
        answers = iter([["10.0.0.1"], OSError("later"), ["10.0.0.2"]])

        def lookup(_host: str) -> list[str]:
            found = next(answers)
            if isinstance(found, OSError):
                raise found
            return found

        guard = Guard(lookup=lookup)
        assert guard.addresses("a.example", plain=False, seconds=5) == ["10.0.0.1"]
        with pytest.raises(OSError, match="later"):
            guard.addresses("a.example", plain=False, seconds=5)
        assert guard.addresses("a.example", plain=False, seconds=5) == ["10.0.0.2"]

    def test_does_not_wait_for_a_name_server_longer_than_it_is_told(self) -> None:
        answered = threading.Event()

        def lookup(_host: str) -> list[str]:
            answered.wait(10)
            return ["10.0.0.1"]

        guard = Guard(lookup=lookup)
        before = threading.active_count()
        for _ in range(5):
            with pytest.raises(TimeoutError):
                guard.addresses("a.example", plain=False, seconds=0.02)
        assert threading.active_count() == before + 1
        answered.set()
