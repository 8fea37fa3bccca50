"""An AMQP URL names one node or several, by name or address, and what is wrong with it is told without its password."""

import pytest

from hub.bus.rabbit.address import address_of
from hub.errors import WrongConfiguration
from hub.subscriptions.access import access_to

GOOD = [
    ("amqp://h/", (("h", 5672),), "/"),
    ("amqps://h", (("h", 5671),), "/"),
    ("amqp://u:p@h:1/v%2Fx?a=b", (("h", 1),), "v/x"),
    ("amqp://u:p@[::1]/hub", (("::1", 5672),), "hub"),
    ("amqps://u:p@[fe80::1]:9,10.0.0.1,[::1]/hub", (("fe80::1", 9), ("10.0.0.1", 5671), ("::1", 5671)), "hub"),
]
BAD = ["amqp:///", "amqp://u:canary@/", "amqp://::1/", "amqp://h:99999/", "amqp://h:0/", "amqp://u:canary/x@h/"]


@pytest.mark.parametrize(("url", "hosts", "vhost"), GOOD)
def test_every_node_is_found(url: str, hosts: tuple[tuple[str, int], ...], vhost: str) -> None:
    found = address_of(url)
    assert (found.hosts, found.vhost) == (hosts, vhost)


def test_a_login_is_read_as_it_is_written_in_a_url_and_not_shown() -> None:
    found = address_of("amqp://a%40b:p%2F%3A@h/")
    assert (found.user, found.password) == ("a@b", "p/:")
    assert "p/:" not in repr(found)


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_host_is_told_without_the_password(url: str) -> None:
    with pytest.raises(WrongConfiguration, match="HUB_BUS__URL: host number 1") as wrong:
        address_of(url)
    assert "canary" not in str(wrong.value)


def test_a_subscriber_is_told_urls_that_can_be_read_again() -> None:
    access = access_to("amqps://u:p@[::1],h:7/hub", "sub.finance", "s/t")
    assert [address_of(url).hosts for url in access.urls] == [(("::1", 5671),), (("h", 7),)]
    assert {address_of(url).password for url in access.urls} == {"s/t"}
