"""Signatures: what they cover, what they leave out, and how one that came is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hub.vendors import couriers, feishu, shops, signs, warehouses

YOUZAN = ("demo_client_id", "demo_client_secret")
YOUZAN_BODY = b'{"msg":"x","type":"trade_TradePaid"}'
YOUZAN_SIGN = "29c399f56cd9fa97a74ab765504bf8a8"


def top(method: str, parameters: Mapping[str, str], secret: str) -> str:
    return shops.top_sign({**parameters, "sign_method": method}, secret)


SIGNERS: Mapping[str, Callable[[Mapping[str, str], str], str]] = {
    "TOP md5": partial(top, "md5"),
    "TOP hmac": partial(top, "hmac"),
    "TOP hmac-sha256": partial(top, "hmac-sha256"),
    "JD": shops.jd_sign,
    "PDD": shops.pdd_sign,
    "聚水潭": warehouses.jushuitan_sign,
    "旺店通 characters": warehouses.wangdian_sign,
    "旺店通 bytes": partial(warehouses.wangdian_sign, unit="bytes"),
}
SKIP_EMPTY = ("TOP md5", "TOP hmac", "TOP hmac-sha256", "聚水潭")
WITHOUT_SECRET: Iterable[Callable[[], Any]] = (
    *(partial(sign, {"a": "1"}, "") for sign in SIGNERS.values()),
    partial(shops.youzan_event_sign, b"{}", "client", ""),
    partial(shops.youzan_body_sign, "{}", "client", ""),
    partial(shops.youzan_plain, "8qmtmDCV+eIeOeqmXIianQ==", ""),
    partial(shops.weixin_sign, "", "1", "2", "3"),
    partial(couriers.sf_digest, "{}", "1", ""),
    partial(couriers.kdniao_sign, "{}", ""),
    partial(feishu.feishu_sign, "", 1735689600),
)

names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(lambda name: name not in {"sign", "sign_method"})
values = st.text(min_size=1)
parameter_sets = st.dictionaries(names, values, min_size=1, max_size=6)
secrets = st.text(min_size=1)
every_signer = pytest.mark.parametrize("sign", SIGNERS.values(), ids=SIGNERS)


@every_signer
@given(parameters=parameter_sets, secret=secrets, data=st.data())
def test_the_order_of_parameters_does_not_matter(
    sign: Callable[..., str], parameters: dict[str, str], secret: str, data: st.DataObject
) -> None:
    other = dict(data.draw(st.permutations(list(parameters.items()))))
    assert sign(other, secret) == sign(parameters, secret)


@every_signer
@given(parameters=parameter_sets, secret=secrets, data=st.data())
def test_one_letter_changed_in_a_value_or_in_the_secret_is_another_sign(
    sign: Callable[..., str], parameters: dict[str, str], secret: str, data: st.DataObject
) -> None:
    expected = sign(parameters, secret)
    name = data.draw(st.sampled_from(sorted(parameters)))
    assert sign(parameters | {name: changed(parameters[name], data)}, secret) != expected
    assert sign(parameters, changed(secret, data)) != expected


@every_signer
@given(parameters=parameter_sets, secret=secrets, given_sign=st.text())
def test_the_sign_itself_is_not_signed(
    sign: Callable[..., str], parameters: dict[str, str], secret: str, given_sign: str
) -> None:
    assert sign(parameters | {"sign": given_sign}, secret) == sign(parameters, secret)


@pytest.mark.parametrize("name", SIGNERS)
def test_an_empty_value_is_signed_or_not_as_the_vendor_has_it(name: str) -> None:
    bare = SIGNERS[name]({"a": "1"}, "secret")
    assert (SIGNERS[name]({"a": "1", "b": ""}, "secret") == bare) is (name in SKIP_EMPTY)


@given(body=st.binary(min_size=1), data=st.data())
def test_one_byte_changed_in_a_push_is_another_sign(body: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    other = body[:place] + bytes([body[place] ^ bit]) + body[place + 1 :]
    assert shops.youzan_event_sign(other, *YOUZAN) != shops.youzan_event_sign(body, *YOUZAN)


@given(values=st.tuples(values, values, values, values), data=st.data())
def test_weixin_sorts_the_values_whoever_they_are_and_signs_each_letter(
    values: tuple[str, str, str, str], data: st.DataObject
) -> None:
    expected = shops.weixin_sign(*values)
    assert shops.weixin_sign(*data.draw(st.permutations(values))) == expected
    place = data.draw(st.integers(0, 3))
    others = [changed(value, data) if at == place else value for at, value in enumerate(values)]
    assert shops.weixin_sign(*others) != expected


@given(text=values, word=secrets, data=st.data())
def test_one_letter_changed_in_what_a_courier_gets_is_another_sign(text: str, word: str, data: st.DataObject) -> None:
    other = changed(text, data)
    assert couriers.sf_digest(other, "1735689600", word) != couriers.sf_digest(text, "1735689600", word)
    assert couriers.kdniao_sign(other, word) != couriers.kdniao_sign(text, word)


@given(st.text(st.characters(exclude_characters=" !'()*~", exclude_categories=["Cs"])))
def test_sfs_samples_agree_where_there_are_no_blanks_and_none_of_six_signs(text: str) -> None:
    assert couriers.sf_encoded(text, "java") == couriers.sf_encoded(text, "python") == couriers.sf_encoded(text, "node")


@pytest.mark.parametrize(
    ("encoding", "expected"), [("java", "+%21%27%28%29*%7E"), ("python", "+%21%27%28%29%2A~"), ("node", "%20!'()*~")]
)
def test_sfs_samples_disagree_about_these(encoding: couriers.Encoding, expected: str) -> None:
    assert couriers.sf_encoded(" !'()*~", encoding) == expected


@given(value=values)
def test_wangdians_units_differ_only_where_text_is_not_ascii(value: str) -> None:
    characters, in_bytes = (warehouses.wangdian_sign({"a": value}, "12345", unit) for unit in ("characters", "bytes"))
    assert (characters == in_bytes) is value.isascii()


def test_a_value_longer_than_four_digits_can_tell_has_five() -> None:
    assert warehouses.wangdian_pairs({"trade_list": "x" * 10_000}).startswith("10-trade_list:10000-x")


def test_top_signs_by_no_method_that_it_does_not_know() -> None:
    for method in ("", "MD5", "sha1"):
        with pytest.raises(ValueError, match="sign_method"):
            shops.top_sign({"app_key": "1", "sign_method": method}, "helloworld")


@pytest.mark.parametrize("call", WITHOUT_SECRET)
def test_an_empty_secret_signs_nothing(call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever value it is about
        call()


@pytest.mark.parametrize("hidden", ["", "no base64", "AAAA", "8qmtmDCV+eIeOeqmXIianA=="])
def test_what_hides_nothing_is_refused(hidden: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - from four places of two libraries
        shops.youzan_plain(hidden, "demo_client_secret")


@given(expected=st.text("0123456789abcdef", min_size=1), wrong=st.text(st.characters()))
def test_a_sign_is_verified_against_itself_only(expected: str, wrong: str) -> None:
    assume(wrong != expected)
    assert signs.verified(expected, expected)
    assert not signs.verified(wrong, expected)


@pytest.mark.parametrize("wrong", ["", YOUZAN_SIGN.upper(), YOUZAN_SIGN[:-1], "\ud800", "签"])
def test_a_push_is_verified_by_its_very_sign(wrong: str) -> None:
    expected = shops.youzan_event_sign(YOUZAN_BODY, *YOUZAN)
    assert signs.verified(YOUZAN_SIGN, expected)
    assert not signs.verified(wrong, expected)


def changed(text: str, data: st.DataObject) -> str:
    """The text with one letter of it replaced by another."""
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(exclude_characters=text[place], exclude_categories=["Cs"]))
    return text[:place] + letter + text[place + 1 :]
