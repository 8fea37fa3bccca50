"""What every system promises the worker and the comparison: each a function that takes an empty, prepared system."""

from __future__ import annotations

from collections.abc import Callable

from hub.consumers.system import Receipt, Shown, System, Wanted
from hub.schemas.facts import facts_of
from hub.schemas.order import Order
from hub.sides import Numbers
from tests.support import order_at


def shows_what_is_wanted(system: System) -> None:
    """And the receipt says what it had before."""
    order = order_at(2)
    assert system.apply([_wanted(order)]) == [Receipt(2, 0)]
    assert list(system.facts(Numbers(("SO-1",)))) == [facts_of(order)]


def takes_the_same_again(system: System) -> None:
    """A repeat has no effect beyond the first."""
    assert system.apply([_wanted(order_at(2))]) == [Receipt(2, 0)]
    before = system.effects()
    assert system.apply([_wanted(order_at(2))]) == [Receipt(2, 2)]
    assert system.effects() == before


def never_goes_back(system: System) -> None:
    """An older version changes nothing, also where it is to be written again."""
    system.apply([_wanted(order_at(3))])
    older = Wanted(order_at(2), "event-2", 0, rewrite=True)
    assert system.apply([_wanted(order_at(1)), older]) == [Receipt(3, 3), Receipt(3, 3)]
    assert system.look(["SO-1"]) == [Shown(3)]


def leaps_over_versions(system: System) -> None:
    """What was overtaken is never missed."""
    system.apply([_wanted(order_at(1))])
    assert system.apply([_wanted(order_at(5))]) == [Receipt(5, 1)]
    assert system.look(["SO-1"]) == [Shown(5)]


def answers_in_the_order_of_the_question(system: System) -> None:
    """Receipts and looks, also of what is not there."""
    system.apply([_wanted(order_at(4, "SO-2"))])
    asked = [order_at(2, "SO-3"), order_at(1, "SO-1"), order_at(3, "SO-2")]
    assert system.apply([_wanted(each) for each in asked]) == [Receipt(2, 0), Receipt(1, 0), Receipt(4, 4)]
    assert system.look(["SO-2", "SO-9", "SO-1"]) == [Shown(4), Shown(0), Shown(1)]


def names_its_orders_sorted(system: System) -> None:
    """As bytes, as the comparison reads them."""
    numbers = ["b-1", "SO-10", "SO-9", "SO_1", "Z", "0"]
    system.apply([_wanted(order_at(2, number)) for number in numbers])
    asked = {} if system.lists else {"chosen": Numbers(tuple(sorted(numbers)))}
    assert [each.order_no for each in system.facts(**asked)] == sorted(numbers)


def can_be_prepared_again_and_removed(system: System) -> None:
    """Preparing keeps what is there, removing takes it."""
    system.apply([_wanted(order_at(2))])
    system.prepare()
    system.ping()
    assert system.look(["SO-1"]) == [Shown(2)]
    system.remove()
    system.prepare()
    assert system.look(["SO-1"]) == [Shown(0)]


PROMISES: tuple[Callable[[System], None], ...] = (
    shows_what_is_wanted,
    takes_the_same_again,
    never_goes_back,
    leaps_over_versions,
    answers_in_the_order_of_the_question,
    names_its_orders_sorted,
    can_be_prepared_again_and_removed,
)


def _wanted(order: Order) -> Wanted:
    return Wanted(order, f"event-{order.order_no}-{order.version}", 0)
