"""A token is fetched by one thread for all, and once more where it is refused."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from hub.consumers.token import Token
from hub.errors import (
    Busy,
    CredentialsRefused,
    OutcomeUnknown,
    Rejected,
    SystemFailure,
    TokenRefused,
    Unreachable,
)


class Lobby:
    """Gives tokens away and knows which one is good."""

    def __init__(self) -> None:
        self.given = 0
        self.inside = 0
        self.good = "token-1"

    def fetch(self, _refused: str | None) -> str:
        self.inside += 1
        assert self.inside == 1, "two fetches at once"
        self.given += 1
        self.inside -= 1
        return f"token-{self.given}"

    def call(self, token: str) -> str:
        if token != self.good:
            raise TokenRefused
        return token


def test_many_threads_share_one_token() -> None:
    lobby = Lobby()
    token = Token(lobby.fetch)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: token.used(lobby.call), range(40)))
    assert (found, lobby.given) == ({"token-1"}, 1)


def test_threads_that_are_refused_at_once_fetch_one_new_token() -> None:
    lobby, together = Lobby(), Barrier(8)
    token = Token(lobby.fetch)
    token.used(lobby.call)
    lobby.good = "token-2"

    def call(given: str) -> str:
        if given == "token-1":
            together.wait(10)
        return lobby.call(given)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: token.used(call), range(8)))
    assert (found, lobby.given) == ({"token-2"}, 2)


def test_a_token_that_is_refused_anew_means_that_we_are() -> None:
    lobby = Lobby()
    lobby.good = "none"
    with pytest.raises(CredentialsRefused, match="also with a new token") as caught:
        Token(lobby.fetch).used(lobby.call)
    assert type(caught.value) is CredentialsRefused
    assert lobby.given == 2


def test_where_no_token_can_be_fetched_the_next_call_tries_again() -> None:
    lobby, failing = Lobby(), [Unreachable()]

    def fetch(refused: str | None) -> str:
        if failing:
            raise failing.pop()
        return lobby.fetch(refused)

    token = Token(fetch)
    with pytest.raises(Unreachable):
        token.used(lobby.call)
    assert token.used(lobby.call) == "token-1"


def test_threads_that_wait_for_one_fetch_share_its_failure() -> None:
    together, tries = Barrier(8), []

    def fetch(_refused: str | None) -> str:
        tries.append(1)
        # As long as a server that does not answer: everybody else comes meanwhile.
        Event().wait(1)
        raise Unreachable

    token = Token(fetch)

    def used(_number: int) -> None:
        together.wait(10)
        with pytest.raises(Unreachable):
            token.used(str)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(used, range(8)))
    assert len(tries) <= 2


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (OutcomeUnknown("HTTP 500"), Unreachable),
        (Rejected("HTTP 404"), CredentialsRefused),
        (TokenRefused("no"), CredentialsRefused),
        (Busy("later"), Busy),
    ],
)
def test_a_call_that_gets_no_token_never_left(failure: SystemFailure, kind: type[SystemFailure]) -> None:
    def fetch(_refused: str | None) -> str:
        raise failure

    with pytest.raises(SystemFailure) as caught:
        Token(fetch).used(Lobby().call)
    assert type(caught.value) is kind


def test_a_token_that_was_given_is_used_first() -> None:
    lobby = Lobby()
    assert Token(lobby.fetch, "token-1").used(lobby.call) == "token-1"
    assert lobby.given == 0
