"""Money is fen, and yuan text has exactly one reading."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.schemas.money import MAX_FEN, fen_from_yuan, yuan_from_fen

AMOUNTS = [
    ("0", 0),
    ("0.00", 0),
    ("0.01", 1),
    ("0.1", 10),
    ("2.55", 255),
    ("12.5", 1250),
    ("1.10", 110),
    ("19.99", 1999),
    ("-0.05", -5),
    ("-12.50", -1250),
    ("007", 700),
    ("999999999999.99", 99_999_999_999_999),
]
NO_AMOUNTS = [
    "1e3",
    "１２.５０",
    "٣.٥٠",
    "0.001",
    "2.555",
    "1_000",
    "1,000",
    "",
    " ",
    " 1",
    "1 ",
    "1\n",
    "NaN",
    "Infinity",
    "-inf",
    "+1",
    "--1",
    ".5",
    "5.",
    "1.2.3",
    "0x10",
    "¥5",
    "1234567890123",
]


@pytest.mark.parametrize(("yuan", "fen"), AMOUNTS)
def test_yuan_text_is_read_to_the_last_fen(yuan: str, fen: int) -> None:
    assert fen_from_yuan(yuan) == fen


@pytest.mark.parametrize("text", NO_AMOUNTS)
def test_text_that_is_no_plain_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most two decimals, such as"):
        fen_from_yuan(text)


def test_a_refusal_does_not_repeat_a_long_text() -> None:
    with pytest.raises(ValueError, match="two decimals") as refusal:
        fen_from_yuan("9" * 100_000)
    assert len(str(refusal.value)) < 200


@given(st.integers(-MAX_FEN + 1, MAX_FEN - 1))
def test_fen_survive_the_way_to_yuan_and_back(fen: int) -> None:
    assert fen_from_yuan(yuan_from_fen(fen)) == fen


@given(st.integers(-MAX_FEN, MAX_FEN))
def test_yuan_text_is_what_decimal_arithmetic_says(fen: int) -> None:
    assert yuan_from_fen(fen) == str((Decimal(fen) / 100).quantize(Decimal("0.01")))


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_two_decimals_are_never_rounded(amount: Decimal) -> None:
    assert fen_from_yuan(f"{amount:f}") == amount * 100


@given(st.text(max_size=20))
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    try:
        fen = fen_from_yuan(text)
    except ValueError:
        return
    assert Decimal(text) * 100 == fen
