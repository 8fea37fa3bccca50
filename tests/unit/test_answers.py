"""What an answer asks for by its status and its headers alone, whatever a server or a stranger writes into them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected
from hub.vendors.answers import Answer, check_status, retry_after

NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ASKED = {
    "7": 7.0,
    " 120 ": 120.0,
    "0": 0.0,
    "999999999": 999999999.0,
    "Fri, 27 Nov 2026 12:01:30 GMT": 90.0,
    "Fri, 27 Nov 2026 12:01:30 -0000": 90.0,
    "Fri, 27 Nov 2026 20:01:30 +0800": 90.0,
    "Fri, 27 Nov 2026 11:00:00 GMT": 0.0,
    "Thu, 01 Jan 1970 00:00:00 GMT": 0.0,
}
UNREADABLE = (
    "",
    "-5",
    "1.5",
    "1e9",
    "9" * 10,
    "9" * 400,
    "nan",
    "soon",
    "Fri, 99 Nov 2026 12:00:00 GMT",
    "Fri, 27 Nov 99999999999999 12:00:00 GMT",
    "Fri, 27 Nov 2026 12:00:00 +9999999999",
)


@pytest.mark.parametrize(("given_as", "seconds"), ASKED.items())
def test_a_wish_to_be_left_alone_is_read_as_seconds_or_as_a_date(given_as: str, seconds: float) -> None:
    assert retry_after(asking(given_as)) == seconds


@pytest.mark.parametrize("given_as", UNREADABLE)
def test_a_wish_that_nobody_can_read_is_none(given_as: str) -> None:
    assert retry_after(asking(given_as)) is None
    assert retry_after(Answer(429)) is None


@given(
    st.text(st.characters(max_codepoint=255), max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d+ Nov \d+ \d+:\d+ \S+")
)
def test_whatever_a_server_writes_is_seconds_that_are_not_past_or_none(given_as: str) -> None:
    seconds = retry_after(asking(given_as))
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_a_server_that_asks_for_time_is_busy(status: int) -> None:
    with pytest.raises(Busy) as caught:
        check_status(asking("7", status))
    assert caught.value.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        *((status, CredentialsRefused) for status in (401, 403, 407)),
        *((status, OutcomeUnknown) for status in (500, 502, 504, 519)),
        *((status, CredentialsRefused) for status in (301, 307, 404, 405)),
        *((status, Rejected) for status in (400, 409, 422)),
    ],
)
def test_every_other_status_says_who_can_act(status: int, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        check_status(Answer(status))


def asking(given_as: str, status: int = 429) -> Answer:
    return Answer(status, b"", {"retry-after": given_as}, NOON)
