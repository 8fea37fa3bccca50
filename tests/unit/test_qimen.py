"""Qimen: how calls are signed, what answers mean, and what callbacks say."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import BadInput, Busy, CredentialsRefused, OutcomeUnknown, Rejected
from hub.interfaces.wms import Qimen, Sender
from hub.vendors import qimen, qimen_callbacks, qimen_requests
from hub.vendors.answers import Answer
from hub.vendors.qimen_answers import Cancelled, Created, cancelled, created, pong, queried, stocked
from hub.vendors.qimen_callbacks import CONFIRM, REPORT, Meaning, Parcel
from hub.vendors.xml_text import DEEPEST, Malformed, parsed, written
from tests.builders import MOMENT, make_line, make_order, make_receiver

BODY = (
    '<?xml version="1.0" encoding="utf-8"?><request><orderCode>SO20250101001</orderCode>'
    "<warehouseCode>WH01</warehouseCode><ownerCode>OWNER1</ownerCode><cancelReason>买家取消</cancelReason></request>"
).encode()
PARAMETERS = {
    "method": "order.cancel",
    "timestamp": "2025-01-01 08:00:00",
    "format": "xml",
    "app_key": "21000001",
    "v": "2.0",
    "sign_method": "md5",
    "customerId": "c0001",
}
WITHOUT_PREFIX = "410A80E364C7BCBA5A4E5E12966BDF1E"
WITH_PREFIX = "59A795AEC3CDF98E4EC92D9AA95FBDE9"

SENDER = Sender(name="仓库", mobile="02100000000", province="上海", city="上海", address="长江路 1 号")
SETTINGS = Qimen(
    owner="OWNER1",
    warehouse="WH01",
    warehouses="south=WH-S",
    shops="jd/main=京东旗舰店",
    sender=SENDER,
    customer_id="c",
)


def answered(xml: str, status: int = 200) -> Answer:
    return Answer(status, xml.encode())


def failed(code: str, message: str) -> Answer:
    return answered(f"<response><flag>failure</flag><code>{code}</code><message>{message}</message></response>")


class TestSigning:
    def test_the_worked_vectors_come_out(self) -> None:
        assert qimen.sign(PARAMETERS, BODY, "testsecret") == WITHOUT_PREFIX
        assert qimen.sign(PARAMETERS | {"method": "taobao.qimen.order.cancel"}, BODY, "testsecret") == WITH_PREFIX

    def test_a_call_is_signed_as_the_vector_with_the_prefix(self) -> None:
        at = datetime(2025, 1, 1, tzinfo=UTC)
        parameters = qimen.signed("order.cancel", "21000001", "c0001", at, BODY, "testsecret")
        assert parameters == PARAMETERS | {"method": "taobao.qimen.order.cancel", "sign": WITH_PREFIX}

    def test_only_the_very_bytes_are_signed(self) -> None:
        signed = PARAMETERS | {"sign": WITHOUT_PREFIX}
        assert qimen.is_signed(signed, BODY, "testsecret")
        for body in (BODY + b"\n", BODY.replace(b"><", b"> <"), BODY.replace(b"utf-8", b"UTF-8"), b""):
            assert not qimen.is_signed(signed, body, "testsecret")

    @pytest.mark.parametrize("wrong", ["", WITH_PREFIX, WITHOUT_PREFIX.lower(), WITHOUT_PREFIX[:-1], "签名"])
    def test_another_signature_is_none(self, wrong: str) -> None:
        assert not qimen.is_signed(PARAMETERS | {"sign": wrong}, BODY, "testsecret")

    def test_an_empty_secret_signs_nothing(self) -> None:
        assert not qimen.is_signed(PARAMETERS | {"sign": qimen.sign(PARAMETERS, BODY, "")}, BODY, "")

    def test_a_parameter_more_is_another_signature(self) -> None:
        assert not qimen.is_signed(PARAMETERS | {"sign": WITHOUT_PREFIX, "extra": "1"}, BODY, "testsecret")

    def test_the_clock_may_be_off_by_the_window_and_no_more(self) -> None:
        sent = datetime(2025, 1, 1, tzinfo=UTC)
        for seconds, good in ((0, True), (600, True), (-600, True), (601, False), (-601, False)):
            now = sent + timedelta(seconds=seconds)
            assert qimen_callbacks.is_in_time(PARAMETERS, now, 600) is good
        assert not qimen_callbacks.is_in_time({"timestamp": "yesterday"}, sent, 600)


class TestRequests:
    def test_a_creation_holds_the_whole_order(self) -> None:
        lines = [make_line(), make_line(sku="SKU <2>", name="杯 & 碟", quantity=3, unit_price=1)]
        order = make_order(warehouse="south", lines=lines, note="小心\n轻放", receiver=make_receiver(district="黄浦区"))
        root = fromstring(qimen_requests.creation(order, SETTINGS, MOMENT))
        head = {each.tag: each.text for each in root.find("deliveryOrder") if len(each) == 0}
        assert head == {
            "deliveryOrderCode": order.order_no,
            "orderType": "JYCK",
            "warehouseCode": "WH-S",
            "sourcePlatformCode": "JD",
            "createTime": "2026-03-01 12:05:06",
            "placeOrderTime": "2026-03-01 12:05:06",
            "operateTime": "2026-03-01 12:05:06",
            "shopNick": "京东旗舰店",
            "totalAmount": "25.03",
            "itemAmount": "25.03",
            "logisticsCode": "OTHER",
            "remark": "小心\n轻放",
        }
        assert {each.tag: each.text for each in root.find("deliveryOrder/receiverInfo")} == {
            "name": "张伟",
            "mobile": "13800138000",
            "province": "上海",
            "city": "上海",
            "area": "黄浦区",
            "detailAddress": "南京东路 1 号",
        }
        assert root.findtext("deliveryOrder/senderInfo/detailAddress") == "长江路 1 号"
        second = {each.tag: each.text for each in root.findall("orderLines/orderLine")[1]}
        assert second == {
            "orderLineNo": "2",
            "sourceOrderCode": "JD-1",
            "ownerCode": "OWNER1",
            "itemCode": "SKU <2>",
            "itemName": "杯 & 碟",
            "inventoryType": "ZP",
            "planQty": "3",
            "actualPrice": "0.01",
        }
        assert {each.tag: each.text for each in root.find("extendProps")} == {
            "hubVersion": "2",
            "hubWarehouse": "south",
        }

    def test_warehouses_come_back_as_they_went(self) -> None:
        for ours, theirs in (("south", "WH-S"), (None, "WH01"), ("north", "north")):
            assert qimen_requests.warehouse_code(ours, SETTINGS) == theirs
            assert qimen_requests.warehouse_of(theirs, SETTINGS) == ours

    def test_a_cancellation_repeats_nothing_that_somebody_typed(self) -> None:
        body = qimen_requests.cancellation(make_order(note="张三 says no"), SETTINGS).decode()
        assert "<cancelReason>paid</cancelReason>" in body
        assert "张三" not in body

    def test_nothing_personal_is_among_what_may_be_kept(self) -> None:
        personal = {"name", "mobile", "tel", "province", "city", "area", "detailAddress", "remark", "message", "sign"}
        assert not personal & qimen.SHOWN


class TestAnswers:
    def test_flag_decides_whatever_http_and_code_say(self) -> None:
        xml = "<response><flag>success</flag><code>500</code><deliveryOrderId>D-1</deliveryOrderId></response>"
        assert created(answered(xml, status=500)) == Created("D-1", was_there=False)

    def test_the_gateway_may_wrap_the_answer(self) -> None:
        inner = "<response><flag>success</flag></response>"
        xml = f"<qimen_deliveryorder_create_response>{inner}</qimen_deliveryorder_create_response>"
        assert created(answered(xml)) == Created(None, was_there=False)

    @pytest.mark.parametrize("said", ["发货单已存在", "Order already exists", "duplicate deliveryOrderCode"])
    def test_what_was_there_before_is_no_failure(self, said: str) -> None:
        assert created(failed("40015", said)) == Created(None, was_there=True)

    @pytest.mark.parametrize("said", ["订单已取消，不能重复创建", "order is cancelled and stays so"])
    def test_what_stays_cancelled_says_so(self, said: str) -> None:
        with pytest.raises(Rejected, match="keeps the delivery order cancelled") as told:
            created(failed("40015", said))
        assert told.value.field == "status"

    @pytest.mark.parametrize(
        ("code", "said", "kind", "field"),
        [
            ("10004", "bad", CredentialsRefused, None),
            ("1", "验签失败", CredentialsRefused, None),
            ("1", "Invalid signature", CredentialsRefused, None),
            ("1", "调用频率超限", Busy, None),
            ("1", "系统繁忙，请稍后", Busy, None),
            ("1", "系统异常", OutcomeUnknown, None),
            ("10001", "customerId is not known", CredentialsRefused, None),
            ("10003", "timestamp is wrong", CredentialsRefused, None),
            ("1", "senderInfo/mobile is mandatory", Rejected, "sender"),
            ("40030", "who is that", Rejected, "owner"),
            ("1", "货主编码错误", Rejected, "owner"),
            ("1", "warehouseCode is missing", Rejected, "warehouse"),
            ("1", "商品 SKU-9 未维护", Rejected, "lines"),
            ("1", "receiverInfo/province is missing", Rejected, "receiver"),
            ("1", "店铺不对", Rejected, "shop"),
            ("1", "我不想要", Rejected, None),
        ],
    )
    def test_a_refusal_says_who_can_act(self, code: str, said: str, kind: type[Exception], field: str | None) -> None:
        with pytest.raises(kind) as told:
            created(failed(code, said))
        assert getattr(told.value, "field", None) == field

    @pytest.mark.parametrize(
        ("inner", "kind"),
        [
            ("<code>7</code><msg>App Call Limited</msg>", Busy),
            ("<code>40</code><sub_code>accesscontrol.limited-by-api-access-count</sub_code>", Busy),
            ("<code>25</code><msg>Invalid Signature</msg>", CredentialsRefused),
            ("<code>29</code><msg>Invalid app Key</msg>", CredentialsRefused),
            ("<code>15</code><sub_code>isp.remote-service-timeout</sub_code>", OutcomeUnknown),
            ("<code>50</code><sub_code>isp.http-read-timeout</sub_code>", OutcomeUnknown),
            ("<code>41</code><sub_code>isv.invalid-parameter</sub_code>", Rejected),
        ],
    )
    def test_the_gateway_has_words_of_its_own(self, inner: str, kind: type[Exception]) -> None:
        for read in (created, cancelled, queried, stocked, pong):
            with pytest.raises(kind):
                read(answered(f"<error_response>{inner}</error_response>"))

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (200, "<html><body>login</body></html>", OutcomeUnknown),
            (200, "<response><flag>succ", OutcomeUnknown),
            (200, "<response><flag>maybe</flag></response>", OutcomeUnknown),
            (200, "", OutcomeUnknown),
            (200, '{"flag": "success"}', OutcomeUnknown),
            (502, "Bad Gateway", OutcomeUnknown),
            (429, "slow down", Busy),
            (401, "who?", CredentialsRefused),
            (404, "<html/>", CredentialsRefused),
        ],
    )
    def test_nonsense_is_never_success(self, status: int, body: str, kind: type[Exception]) -> None:
        for read in (created, cancelled, queried, stocked, pong):
            with pytest.raises(kind):
                read(answered(body, status))

    def test_a_cancellation_is_done_or_refused_in_whatever_words(self) -> None:
        assert cancelled(answered("<response><flag>success</flag></response>")).done
        for code, said in (("40008", "已拣货"), ("1", "whatever it is"), ("1", "单据不存在"), ("40008", "已取消")):
            assert cancelled(failed(code, said)) == Cancelled(False, f"{code} {said}")

    @pytest.mark.parametrize("said", ["货主不存在", "仓库不存在", "系统异常", "签名错误", "调用频率超限"])
    def test_a_refusal_that_is_not_about_the_order_is_no_word_on_it(self, said: str) -> None:
        for read in (cancelled, queried):
            with pytest.raises((Rejected, CredentialsRefused, Busy, OutcomeUnknown)):
                read(failed("1", said))

    def test_a_query_shows_what_is_there_in_the_order_of_its_lines(self) -> None:
        found = queried(
            answered(
                "<response><flag>success</flag><totalLines>2</totalLines><deliveryOrder><deliveryOrderCode>SO-1"
                "</deliveryOrderCode><deliveryOrderId>D-1</deliveryOrderId><status>accept</status>"
                "<warehouseCode>WH01</warehouseCode><totalAmount>25.00</totalAmount></deliveryOrder><orderLines>"
                "<orderLine><orderLineNo>2</orderLineNo><itemCode>B</itemCode><planQty>2.0</planQty></orderLine>"
                "<order_line><orderLineNo>1</orderLineNo><itemCode>A</itemCode></order_line></orderLines>"
                "<extendProps><hubVersion>7</hubVersion></extendProps></response>"
            )
        )
        assert found is not None
        assert (found.code, found.delivery_order_id, found.status, found.version) == ("SO-1", "D-1", "ACCEPT", 7)
        assert (found.total, found.total_lines) == ("25.00", 2)
        assert [(line.item, line.planned) for line in found.lines] == [("A", None), ("B", 2)]

    def test_what_is_not_there_is_nothing(self) -> None:
        assert queried(failed("1", "发货单不存在")) is None
        assert queried(answered("<response><flag>success</flag></response>")) is None

    @pytest.mark.parametrize("quantity", ["1.5", "NaN", "1e99", "-", "two"])
    def test_a_quantity_that_is_none_is_nonsense(self, quantity: str) -> None:
        xml = f"<response><flag>success</flag><items><item><itemCode>A</itemCode><quantity>{quantity}</quantity>"
        with pytest.raises(OutcomeUnknown, match="quantity"):
            stocked(answered(f"{xml}</item></items></response>"))

    def test_any_word_of_the_wms_is_a_pong_but_one_about_who_asks(self) -> None:
        pong(failed("1", "发货单不存在"))
        with pytest.raises(CredentialsRefused):
            pong(failed("10004", "sign"))


class TestCallbacks:
    def test_a_confirmation_is_read_with_its_parcels(self) -> None:
        body = written(
            "request",
            {
                "deliveryOrder": {
                    "deliveryOrderCode": "SO-1",
                    "status": "DELIVERED",
                    "outBizCode": "OUT-1",
                    "confirmType": "0",
                },
                "packages": [
                    ("package", {"logisticsCode": "SF", "expressCode": "SF1"}),
                    ("package", {"logisticsCode": "ZTO", "expressCode": "7"}),
                ],
            },
        )
        read = qimen_callbacks.read(CONFIRM, body, 10_000)
        assert (read.order_no, read.key, read.status, read.meaning) == ("SO-1", "OUT-1", "DELIVERED", Meaning.SHIPPED)
        assert read.parcels == (Parcel("SF", "SF1"), Parcel("ZTO", "7"))

    @pytest.mark.parametrize(
        ("status", "kind", "meaning"),
        [
            ("DELIVERED", "0", Meaning.SHIPPED),
            ("DELIVERED", "", Meaning.SHIPPED),
            ("", "0", Meaning.SHIPPED),
            ("DELIVERED", "1", Meaning.PICKING),
            ("PARTDELIVERED", "0", Meaning.PICKING),
            ("PARTDELIVERED", "1", Meaning.PICKING),
            ("CANCELED", "0", Meaning.NOTHING),
            ("EXCEPTION", "", Meaning.NOTHING),
            ("ACCEPT", "", Meaning.NOTHING),
        ],
    )
    def test_only_a_final_confirmation_ships(self, status: str, kind: str, meaning: Meaning) -> None:
        order = {"deliveryOrderCode": "SO-1", "status": status, "confirmType": kind}
        body = written("request", {"deliveryOrder": order})
        assert qimen_callbacks.read(CONFIRM, body, 10_000).meaning is meaning

    @pytest.mark.parametrize(
        ("status", "meaning"),
        [("PICK", Meaning.PICKING), ("weigh", Meaning.PICKING), ("ACCEPT", Meaning.NOTHING)]
        + [(status, Meaning.NOTHING) for status in ("PRINT", "DELIVERED", "SIGN", "REJECT", "TMSCANCELED", "OTHER")],
    )
    def test_a_report_picks_from_pick_on_and_never_ships(self, status: str, meaning: Meaning) -> None:
        assert qimen_callbacks.read(REPORT, report(status=status), 10_000).meaning is meaning

    def test_a_report_is_the_same_by_status_and_moment(self) -> None:
        first, later = (qimen_callbacks.read(REPORT, report(moment=moment), 10_000).key for moment in ("8", "9"))
        assert first == qimen_callbacks.read(REPORT, report(moment="8") + b"\n", 10_000).key != later
        assert qimen_callbacks.read(REPORT, report(moment=""), 10_000).key.startswith("PICK.")

    def test_a_long_out_biz_code_is_not_cut_into_another(self) -> None:
        keys = set()
        for end in "ab":
            order = {"deliveryOrderCode": "SO-1", "outBizCode": "x" * 300 + end}
            keys.add(qimen_callbacks.read(CONFIRM, written("request", {"deliveryOrder": order}), 10_000).key)
        assert len(keys) == 2
        assert max(map(len, keys)) <= 64

    @pytest.mark.parametrize(
        "body",
        [b"", b"<request/>", b"<request><order/></request>", b"SO-1", b"<request><process/></request>"],
    )
    def test_what_names_no_order_is_bad_input(self, body: bytes) -> None:
        for method in (CONFIRM, REPORT):
            with pytest.raises(BadInput):
                qimen_callbacks.read(method, body, 10_000)


class TestXml:
    @pytest.mark.parametrize(
        "bomb",
        [
            b'<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><a>&c;</a>',
            b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
            b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
            b"<a>&undefined;</a>",
            b"<a>" * (DEEPEST + 1) + b"</a>" * (DEEPEST + 1),
            b'<?xml version="1.0" encoding="no-such"?><a/>',
            b'<?xml version="1.0" encoding="gbk"?><a/>',
            b"<a>\x00</a>",
            b"<a/><b/>",
        ],
    )
    def test_a_bomb_is_no_document(self, bomb: bytes) -> None:
        with pytest.raises(Malformed):
            parsed(bomb)

    def test_a_document_over_the_limit_is_not_read(self) -> None:
        with pytest.raises(Malformed, match="more than 10 bytes"):
            parsed(b"<a>12345</a>", 10)

    def test_as_deep_as_may_be_is_read(self) -> None:
        assert parsed(b"<a>" * DEEPEST + b"</a>" * DEEPEST).tag == "a"

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
    def test_text_comes_back_as_it_was_written(self, content: str) -> None:
        assert (parsed(written("a", {"b": content})).findtext("b") or "") == content

    @given(st.binary(max_size=200))
    def test_bytes_are_a_document_or_malformed(self, body: bytes) -> None:
        with suppress(Malformed):
            assert parsed(body).tag


def report(status: str = "PICK", moment: str = "2026-03-01 12:00:00") -> bytes:
    process = {"processStatus": status, "operateTime": moment, "operatorName": "李四"}
    return written("request", {"order": {"orderCode": "SO-1"}, "process": process})
