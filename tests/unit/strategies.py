"""Every order that the schemas allow, for tests that hold for any of them."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from hub.schemas.envelope import Event
from hub.schemas.order import Change, NewOrder, Order, OrderLine, Receiver, Status, lines_total
from tests.builders import make_event

PRINTED = st.characters(exclude_categories=["Cc", "Cs"])
codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", fullmatch=True)
slugs = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
skus = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=64).filter(
    lambda text: text == text.strip()
)
lines_of_text = st.text(PRINTED, min_size=1, max_size=40)
notes = st.text(PRINTED | st.sampled_from("\t\n\r"), max_size=40)
zones = st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-9, minutes=-30))])
moments = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=zones)  # noqa: DTZ001 - the strategy adds them
versions = st.integers(1, 2**31 - 1)

order_lines = st.builds(
    OrderLine,
    sku=skus,
    name=lines_of_text,
    quantity=st.integers(1, 1_000_000),
    unit_price=st.integers(0, 10**7),
)
receivers = st.builds(
    Receiver,
    name=lines_of_text,
    phone=lines_of_text,
    province=st.none() | lines_of_text,
    city=st.none() | lines_of_text,
    district=st.none() | lines_of_text,
    address=lines_of_text,
)
_content = {
    "channel": slugs,
    "shop": slugs,
    "channel_order_no": codes,
    "customer_id": codes,
    "currency": st.sampled_from(["CNY", "USD", "HKD"]),
    "vip": st.booleans(),
    "warehouse": st.none() | codes,
    "receiver": st.none() | receivers,
    "note": st.none() | notes,
    "lines": st.lists(order_lines, min_size=1, max_size=4),
}
new_orders = st.builds(NewOrder, **_content)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Any order at any version."""
    content = draw(st.fixed_dictionaries(_content))
    return Order(
        **content,
        order_no=draw(codes),
        version=draw(versions),
        status=draw(st.sampled_from(Status)),
        total=lines_total(content["lines"]),
        placed_at=draw(moments),
        changed_at=draw(moments),
    )


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any change of any order."""
    return make_event(
        draw(st.sampled_from(Change)),
        draw(orders()),
        previous_status=draw(st.none() | st.sampled_from(Status)),
        reason=draw(st.none() | notes),
        recordedtime=draw(moments),
        correlationid=draw(st.none() | codes),
        causationid=draw(st.none() | codes),
    )
