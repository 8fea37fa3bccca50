"""Of requests and answers only what a vendor's module names is kept, in whatever shape it comes."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.calls.masking import MASK, Masker

MASKER = Masker({"status", "BillNo", "状态"})
NAME, PHONE, ADDRESS, SECRET = "张三丰", "13800138000", "Nanjing East Road 1", "k9f8s7d6f5g4h3j2k1l0"
CANARIES = (NAME, PHONE, ADDRESS, SECRET)
ORDER = {
    "BillNo": "SO-1",
    "receiver": {"name": NAME, "mobile": PHONE, "tel": int(PHONE), "address": ADDRESS, "tags": [NAME, {"x": SECRET}]},
    PHONE: "found by its number",
    NAME: 1,
    "quantity": 3,
    "price": 12.5,
    "paid": True,
    "gift": None,
    "note": "",
    "data": json.dumps({"status": "done", "sign": SECRET, "again": json.dumps({"name": NAME})}, ensure_ascii=False),
}
XML = (
    f'<?xml version="1.0" encoding="utf-8"?><request xmlns="urn:x"><!-- {NAME} --><BillNo>SO-1</BillNo>'
    f'<name first="{NAME}">{NAME}<b>{PHONE}</b>{ADDRESS}</name><status>完成</status>'
    f'<biz>{{"status": "done", "sign": "{SECRET}"}}</biz><![CDATA[{NAME}]]></request>'
)


def clean(text: str) -> str:
    """The text itself, in which nothing is that nobody named."""
    assert [canary for canary in CANARIES if canary in text] == []
    return text


class TestJson:
    def test_keeps_what_is_shown_and_small_numbers(self) -> None:
        found = json.loads(clean(MASKER.body(json.dumps(ORDER).encode())))
        assert found["BillNo"] == "SO-1"
        assert found["receiver"]["name"] == found["receiver"]["tel"] == MASK
        assert (found["quantity"], found["price"], found["paid"], found["gift"], found["note"]) == (
            3,
            12.5,
            True,
            None,
            "",
        )
        assert len(found) == len(ORDER)

    def test_inside_a_text_is_masked_like_any(self) -> None:
        inner = json.loads(json.loads(MASKER.body(json.dumps(ORDER).encode()))["data"])
        assert inner == {"status": "done", "sign": MASK, "again": json.dumps({"name": MASK})}

    def test_under_a_shown_name_is_looked_into(self) -> None:
        body = json.dumps({"status": {"name": NAME}, "BillNo": json.dumps({"name": NAME})}).encode()
        assert json.loads(clean(MASKER.body(body)))["status"] == {"name": MASK}

    @pytest.mark.parametrize(
        ("number", "kept"), [(999_999, 999_999), (1_000_000, MASK), (-1_000_000, MASK), (1e9, MASK)]
    )
    def test_keeps_no_number_as_long_as_a_telephone_number(self, number: float, kept: object) -> None:
        assert json.loads(MASKER.body(json.dumps({"n": number, "status": number}).encode())) == {
            "n": kept,
            "status": number,
        }

    def test_names_may_be_written_large_or_small(self) -> None:
        assert json.loads(MASKER.body(b'{"billno": "SO-1", "STATUS": "x"}')) == {"billno": "SO-1", "STATUS": "x"}


class TestXml:
    @pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
    def test_keeps_what_is_shown(self, encoding: str) -> None:
        found = clean(MASKER.body(XML.replace("utf-8", encoding).encode(encoding)))
        assert "<BillNo>SO-1</BillNo>" in found
        assert "<status>完成</status>" in found
        assert f'<name first="{MASK}">{MASK}<b>{MASK}</b>{MASK}</name>' in found
        assert '"sign": "***"' in found

    def test_with_entities_of_its_own_is_not_unfolded(self) -> None:
        bomb = b'<!DOCTYPE a [<!ENTITY b "' + NAME.encode() + b'"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
        assert "DOCTYPE" in clean(MASKER.body(bomb))


class TestForms:
    def test_keep_what_is_shown(self) -> None:
        form = {"status": "ok", "name": NAME, "sign": SECRET, "data": json.dumps({"BillNo": "SO-1", "name": NAME})}
        found = clean(MASKER.body(urlencode(form).encode(), "urlencoded"))
        assert found.splitlines() == [
            "status=ok",
            f"name={MASK}",
            f"sign={MASK}",
            'data={"BillNo": "SO-1", "name": "***"}',
        ]

    def test_are_told_from_answers_in_json(self) -> None:
        assert json.loads(MASKER.body(b'{"status": "ok"}', "urlencoded")) == {"status": "ok"}


class TestWhatIsNothingOfThat:
    @pytest.mark.parametrize("cut", range(8, 400, 7))
    @pytest.mark.parametrize(
        "body", [json.dumps(ORDER, ensure_ascii=False), XML, urlencode({"a": NAME, "sign": SECRET})]
    )
    def test_because_it_was_cut_off_shows_no_more(self, body: str, cut: int) -> None:
        # Half a canary is none, and the comment of the XML stands before everything.
        raw = body.replace(f"<!-- {NAME} -->", "").encode()[:cut]
        clean(MASKER.body(raw, "urlencoded" if body.startswith("a=") else ""))

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("系统繁忙，请稍后再试", "系统繁忙，请稍后再试"),
            (f"收货人电话{PHONE}有误", f"收货人电话{MASK}有误"),
            ("call +86 138 0013 8000 now", f"call {MASK} now"),
            (f"sign {SECRET} wrong", f"sign {MASK} wrong"),
            (f"receiver “{NAME}” unknown", f'receiver "{MASK}" unknown'),
            (f"receiver '{NAME}' unknown", f'receiver "{MASK}" unknown'),
            ("System.NullReferenceException: order SO-1", "System.NullReferenceException: order SO-1"),
            ("<html><h1>502 Bad Gateway</h1></html>", "<html><h1>502 Bad Gateway</h1></html>"),
            (f"<html><p>{NAME}</p></html>", f"<html><p>{MASK}</p></html>"),
        ],
    )
    def test_keeps_its_words(self, text: str, kept: str) -> None:
        assert MASKER.body(text.encode()) == kept

    def test_is_cut(self) -> None:
        assert len(MASKER.body(b"word " * 10_000)) == 2000
        assert MASKER.body(b"[" * 2_000_000).endswith("\n[2000000 bytes, too long to be kept]")

    @pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"<a>" * 50_000, b"\xff\xfe\x00", b"1e999999"])
    def test_is_never_an_error(self, body: bytes) -> None:
        MASKER.body(body)

    @given(st.binary(max_size=300), st.sampled_from(["", "json", "xml", "urlencoded"]))
    def test_is_never_an_error_whatever_it_is(self, body: bytes, form: str) -> None:
        MASKER.body(body, form)

    @given(
        st.recursive(
            st.text(max_size=9) | st.integers() | st.floats(),
            lambda more: st.lists(more) | st.dictionaries(st.text(), more),
            max_leaves=8,
        )
    )
    def test_is_never_an_error_whatever_json_it_is(self, value: object) -> None:
        MASKER.body(json.dumps(value).encode())


class TestWhatASystemSaid:
    @pytest.mark.parametrize(
        ("body", "form"),
        [
            ('{"to": {"name": "欧阳修", "x": "1"}, "order_no": "SO-100"}', "json"),
            ("<to><name>欧阳修</name><x>1</x><order_no>SO-100</order_no></to>", "xml"),
            ("name=%E6%AC%A7%E9%98%B3%E4%BF%AE&x=1&order_no=SO-100", "urlencoded"),
        ],
    )
    def test_loses_what_was_masked_in_the_request_and_keeps_codes(self, body: str, form: str) -> None:
        found = Masker({"order_no"}).said("1011 order SO-100: 欧阳修家 is not known", body.encode(), form)
        assert found == "1011 order SO-100: ***家 is not known"


class TestHeads:
    def test_keep_headers_by_a_short_list(self) -> None:
        given = {"Authorization": SECRET, "Content-Type": "application/json", "x-fs-userid": PHONE, "Retry-After": "7"}
        assert MASKER.headers(given).splitlines() == [
            f"Authorization: {MASK}",
            "Content-Type: application/json",
            f"x-fs-userid: {MASK}",
            "Retry-After: 7",
        ]

    def test_name_host_and_path_and_no_query(self) -> None:
        url = f"https://user:{SECRET}@erp.example:8443/k3cloud/Kingdee.BOS.Save.common.kdsvc?sign={SECRET}#{NAME}"
        assert MASKER.target(url) == "erp.example:8443/k3cloud/Kingdee.BOS.Save.common.kdsvc"
        assert MASKER.target(f"https://crm.example/by-phone/{PHONE}/x") == f"crm.example/by-phone/{MASK}/x"
        assert MASKER.target("https://crm.example/orders/SO01J5Z0123456789") == "crm.example/orders/SO01J5Z0123456789"

    def test_stand_before_the_body(self) -> None:
        text = MASKER.request("POST h/p", {"sign": SECRET, "status": "1"}, {"Date": "now"}, b'{"name": "x"}', "json")
        assert text == 'POST h/p\n?sign=***\n?status=1\nDate: now\n\n{"name": "***"}'
        assert MASKER.answer(200, {"date": "now"}, b'{"status": "ok"}') == 'HTTP 200\ndate: now\n\n{"status": "ok"}'
