"""Every worked example of a signature that the vendors' pages give, or that was computed from them, comes out."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from hub.notify import robots
from hub.vendors import couriers, feishu, grasp, qimen, shops, signs, warehouses, yonbip
from hub.vendors.kingdee import signing

SECONDS = 1735689600
MILLISECONDS = 1735689600000

KINGDEE_SECRET = "0123456789abcdef0123456789abcdef"
KINGDEE_HIDDEN = "b3JkZXItaHViLWRlbW8tc2VjcmV0LTAx"
KINGDEE = signing.Identity("5f0000000000ab", "hub.api", f"300001_{KINGDEE_HIDDEN}", KINGDEE_SECRET, 2052, "100")
KINGDEE_URL = "http://kingdee.local:8080/k3cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.Save.common.kdsvc"
KINGDEE_TEXT = (
    "POST\n%2Fk3cloud%2FKingdee.BOS.WebApi.ServicesStub.DynamicFormService.Save.common.kdsvc\n\n"
    "x-api-nonce:1735689600\nx-api-timestamp:1735689600\n"
)

QIMEN = {
    "method": "order.cancel",
    "timestamp": "2025-01-01 08:00:00",
    "format": "xml",
    "app_key": "21000001",
    "v": "2.0",
    "sign_method": "md5",
    "customerId": "c0001",
}
QIMEN_BODY = (
    '<?xml version="1.0" encoding="utf-8"?><request><orderCode>SO20250101001</orderCode>'
    "<warehouseCode>WH01</warehouseCode><ownerCode>OWNER1</ownerCode><cancelReason>买家取消</cancelReason></request>"
).encode()

GRASP = grasp.Keys("demo_key", "DemoGjpSecret0123456789ABCDEFGHI", "demo_sign_key", "demo_shop")
GRASP_PLAIN = '{"TimeStamp":"2025-01-01 08:00:00","GrantType":"auth_token","AuthParam":"demo_auth_code"}'
GRASP_P = (
    "RebccHBLEoti3Umb0J690ceMfLG03FOHSX2eAAE+Q9oICiWZXePiHqhW4OK+w7eapm17GEIcxseY1ntHHpGI0gVkBfnJU3b5O3lh6jxxvGgbo7tEFVxs"
    "NpGmPPtoOLuP"
)
GRASP_CALL = {
    "appkey": "demo_key",
    "method": "demo.selfbuiltmall.querysaleqty",
    "pageno": "1",
    "pagesize": "100",
    "shopkey": "demo_shop",
    "timestamp": "2025-01-01 08:00:00",
    "token": "demo_token",
}

TOP = {
    "method": "taobao.item.seller.get",
    "app_key": "12345678",
    "session": "test",
    "timestamp": "2016-01-01 12:00:00",
    "format": "json",
    "v": "2.0",
    "sign_method": "md5",
    "fields": "num_iid,title,nick,price,num",
    "num_iid": "11223344",
}
TOP_PAIRS = (
    "app_key12345678fieldsnum_iid,title,nick,price,numformatjsonmethodtaobao.item.seller.getnum_iid11223344sessiontest"
    "sign_methodmd5timestamp2016-01-01 12:00:00v2.0"
)

JD = {
    "method": "jingdong.pop.order.search",
    "access_token": "yourtoken",
    "app_key": "yourappkey",
    "timestamp": "2021-05-07 09:20:39.683+0800",
    "v": "2.0",
    "360buy_param_json": (
        '{"end_date":null,"optional_fields":null,"order_state":"WAIT_SELLER_STOCK_OUT","page":"1","page_size":"200",'
        '"start_date":null}'
    ),
}
JD_PAIRS = (
    '360buy_param_json{"end_date":null,"optional_fields":null,"order_state":"WAIT_SELLER_STOCK_OUT","page":"1",'
    '"page_size":"200","start_date":null}access_tokenyourtokenapp_keyyourappkeymethodjingdong.pop.order.search'
    "timestamp2021-05-07 09:20:39.683+0800v2.0"
)

PDD = {
    "type": "pdd.order.number.list.get",
    "client_id": "1",
    "access_token": "asd78172s8ds9a921j9qqwda12312w1w21211",
    "timestamp": "1480411125",
    "data_type": "XML",
    "order_status": "1",
    "page": "1",
    "page_size": "10",
}
PDD_PAIRS = (
    "access_tokenasd78172s8ds9a921j9qqwda12312w1w21211client_id1data_typeXMLorder_status1page1page_size10"
    "timestamp1480411125typepdd.order.number.list.get"
)
PDD_INCREMENT = {
    "type": "pdd.order.number.list.increment.get",
    "client_id": "demo_client",
    "access_token": "demo_token",
    "timestamp": "1735691400",
    "data_type": "JSON",
    "version": "V1",
    "start_updated_at": "1735689600",
    "end_updated_at": "1735691400",
    "is_lucky_flag": "0",
    "order_status": "5",
    "refund_status": "5",
    "page": "1",
    "page_size": "100",
}
PDD_INCREMENT_PAIRS = (
    "access_tokendemo_tokenclient_iddemo_clientdata_typeJSONend_updated_at1735691400is_lucky_flag0order_status5page1"
    "page_size100refund_status5start_updated_at1735689600timestamp1735691400typepdd.order.number.list.increment.get"
    "versionV1"
)

YOUZAN = ("demo_client_id", "demo_client_secret")
YOUZAN_BODY = b'{"msg":"x","type":"trade_TradePaid"}'
YOUZAN_MESSAGE = (
    "%7B%22tid%22%3A%22E20250101000000000000001%22%2C%22status%22%3A%22WAIT_SELLER_SEND_GOODS%22%2C%22update_time%22%3A"
    "%222025-01-01+00%3A00%3A00%22%7D"
)
WEIXIN = ("token", "1714112445", "415670741", "EncryptValue")

JUSHUITAN = {
    "app_key": "demo_app_key",
    "access_token": "demo_token",
    "timestamp": "1735689600",
    "charset": "utf-8",
    "version": "2",
    "biz": (
        '{"page_index":1,"page_size":50,"modified_begin":"2025-01-01 00:00:00","modified_end":"2025-01-01 01:00:00"}'
    ),
}
JUSHUITAN_PAIRS = (
    'access_tokendemo_tokenapp_keydemo_app_keybiz{"page_index":1,"page_size":50,"modified_begin":"2025-01-01 00:00:00",'
    '"modified_end":"2025-01-01 01:00:00"}charsetutf-8timestamp1735689600version2'
)
JUSHUITAN_REFRESH = {
    "app_key": "demo_app_key",
    "timestamp": "1735689600",
    "grant_type": "refresh_token",
    "charset": "utf-8",
    "refresh_token": "demo_refresh",
    "scope": "all",
}
JUSHUITAN_REFRESH_PAIRS = (
    "app_keydemo_app_keycharsetutf-8grant_typerefresh_tokenrefresh_tokendemo_refreshscopealltimestamp1735689600"
)

WANGDIAN = {
    "sid": "test2",
    "appkey": "test2-xx",
    "timestamp": "1470042310",
    "start_time": "2016-08-01 12:00:00",
    "end_time": "2016-08-01 13:00:00",
    "page_no": "0",
    "page_size": "40",
}
WANGDIAN_PAIRS = (
    "06-appkey:0008-test2-xx;08-end_time:0019-2016-08-01 13:00:00;07-page_no:0001-0;09-page_size:0002-40;"
    "03-sid:0005-test2;10-start_time:0019-2016-08-01 12:00:00;09-timestamp:0010-1470042310"
)
WANGDIAN_CHINESE = {
    "sid": "test2",
    "appkey": "test2-xx",
    "timestamp": "1735689600",
    "shop_no": "店铺01",
    "switch": "0",
    "trade_list": '[{"tid":"T1","buyer_nick":"张三"}]',
}

SF_SIGNED = ("1735689600", "demoCheckWord123")
SF_PLAIN = '{"language":"zh-CN","orderId":"SO20250101001"}'
SF_PLAIN_ENCODED = "%7B%22language%22%3A%22zh-CN%22%2C%22orderId%22%3A%22SO20250101001%22%7D1735689600demoCheckWord123"
SF_SPECIAL = '{"orderId":"SO1","addr":"中关村 1*号~A"}'
SF_SPECIAL_ENCODED = (
    "%7B%22orderId%22%3A%22SO1%22%2C%22addr%22%3A%22%E4%B8%AD%E5%85%B3%E6%9D%91+1*%E5%8F%B7%7EA%22%7D"
    "1735689600demoCheckWord123"
)
SF_SPECIAL_PYTHON = SF_SPECIAL_ENCODED.replace("*", "%2A").replace("%7EA", "~A")

KDNIAO = '{"OrderCode":"SO20250101001","ShipperCode":"SF"}'
KDNIAO_BODY = (
    b"EBusinessID=1000001&RequestType=1007"
    b"&RequestData=%7B%22OrderCode%22%3A%22SO20250101001%22%2C%22ShipperCode%22%3A%22SF%22%7D"
    b"&DataSign=ZDYyNDkzYjc3MDU5NDcyZGJlYThlOGFiYWNhNzQ0OGI%3D&DataType=2"
)

Case = tuple[str, Callable[..., Any], tuple[Any, ...], Any]


def kingdee_header(name: str) -> str:
    return signing.signed_headers(KINGDEE, KINGDEE_URL, SECONDS)[name]


def in_url(function: Callable[..., str], *inputs: Any) -> str:
    return quote(function(*inputs), safe="")


def unpacked(function: Callable[..., str], *inputs: Any) -> str:
    return base64.b64decode(function(*inputs)).decode()


SYSTEMS: tuple[Case, ...] = (
    (
        "Kingdee LoginBySign",
        signing.login_signature,
        (KINGDEE, SECONDS),
        "a42abe073d330b25ac288b7cb104a8157c4ef86c53fc720172098b4a3d3325b0",
    ),
    ("Kingdee client secret", signing._client_secret, (KINGDEE_HIDDEN,), "X0JRURQeUUIBG1ZWWVwaSwdTSwYVGlQC"),
    ("Kingdee text", signing._canonical, (KINGDEE_URL, str(SECONDS)), KINGDEE_TEXT),
    (
        "Kingdee HMAC in hex",
        partial(unpacked, kingdee_header),
        ("X-Api-Signature",),
        "066e3280fb7cdca16dbc7587c5ec9c970950e1636721412bebea57cce562ba6f",
    ),
    (
        "Kingdee X-Api-Signature",
        kingdee_header,
        ("X-Api-Signature",),
        "MDY2ZTMyODBmYjdjZGNhMTZkYmM3NTg3YzVlYzljOTcwOTUwZTE2MzY3MjE0MTJiZWJlYTU3Y2NlNTYyYmE2Zg==",
    ),
    (
        "Kingdee X-Kd-Appdata",
        kingdee_header,
        ("X-Kd-Appdata",),
        "NWYwMDAwMDAwMDAwYWIsaHViLmFwaSwyMDUyLDEwMA==",
    ),
    (
        "Kingdee X-Kd-Signature",
        kingdee_header,
        ("X-Kd-Signature",),
        "MDUyNDZiMGNhOTZmNGFjYWU1ZTMwMDA5N2NmMGQ3MzczM2QzYmQ4Nzg5YjE0NTk2MDVhMTEyZTViZmYwN2FjMQ==",
    ),
    ("Qimen to a receiver", qimen.sign, (QIMEN, QIMEN_BODY, "testsecret"), "410A80E364C7BCBA5A4E5E12966BDF1E"),
    (
        "Qimen to the gateway",
        qimen.sign,
        (QIMEN | {"method": "taobao.qimen.order.cancel"}, QIMEN_BODY, "testsecret"),
        "59A795AEC3CDF98E4EC92D9AA95FBDE9",
    ),
    ("管家婆 cipher", grasp.encrypted, (GRASP.app_secret, GRASP_PLAIN), GRASP_P),
    (
        "管家婆 token",
        grasp.token_sign,
        (GRASP, GRASP_P),
        "e47a5da243e4cd30f141ffbdf85473f520e982036a4490e51aa8d00e594d8a1c",
    ),
    ("管家婆 call", grasp.sign, (GRASP_CALL, GRASP.sign_key), "02A5BCEE87EA99CB10F9ED7ECDAC60D6"),
    (
        "YonBIP",
        yonbip.signature,
        ("demo_app_key", "demo_app_secret", MILLISECONDS),
        "3iLOEc4x58ke3yJ369/nEbVs/SaZOPS1mhnk++q0Zh0=",
    ),
    (
        "YonBIP in a URL",
        partial(in_url, yonbip.signature),
        ("demo_app_key", "demo_app_secret", MILLISECONDS),
        "3iLOEc4x58ke3yJ369%2FnEbVs%2FSaZOPS1mhnk%2B%2Bq0Zh0%3D",
    ),
)

ROBOTS: tuple[Case, ...] = (
    (
        "DingTalk",
        robots.signature,
        ("SECdemo0123456789", MILLISECONDS),
        "P7PVbZtmzBaZnYWl/h1XFKk24+dZCl+aEjfW9xBDCqA=",
    ),
    (
        "DingTalk in a URL",
        partial(in_url, robots.signature),
        ("SECdemo0123456789", MILLISECONDS),
        "P7PVbZtmzBaZnYWl%2Fh1XFKk24%2BdZCl%2BaEjfW9xBDCqA%3D",
    ),
    ("飞书", feishu.feishu_sign, ("demo-feishu-secret", SECONDS), "0oeyNzlcq6PTm885GnZE8uaSzzKhTlB25C2G8ZGxOFk="),
)

SHOPS: tuple[Case, ...] = (
    ("TOP text", signs.pairs, (TOP,), TOP_PAIRS),
    ("TOP md5", shops.top_sign, (TOP, "helloworld"), "66987CB115214E59E6EC978214934FB8"),
    (
        "TOP hmac",
        shops.top_sign,
        (TOP | {"sign_method": "hmac"}, "helloworld"),
        "D56D7858309C31B6251083A874D48273",
    ),
    (
        "TOP hmac-sha256",
        shops.top_sign,
        (TOP | {"sign_method": "hmac-sha256"}, "helloworld"),
        "04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8",
    ),
    ("JD text", signs.pairs, (JD,), JD_PAIRS),
    ("JD", shops.jd_sign, (JD, "yourappSecret"), "D70825340F4084360B9362B60DFD7930"),
    ("PDD text", signs.pairs, (PDD,), PDD_PAIRS),
    ("PDD", shops.pdd_sign, (PDD, "testSecret"), "E4DE3ED21002510DED352819E7AE6775"),
    ("PDD increment text", signs.pairs, (PDD_INCREMENT,), PDD_INCREMENT_PAIRS),
    ("PDD increment", shops.pdd_sign, (PDD_INCREMENT, "testSecret"), "44B927578AC497E526A0A39C02B318FD"),
    ("有赞 Event-Sign", shops.youzan_event_sign, (YOUZAN_BODY, *YOUZAN), "29c399f56cd9fa97a74ab765504bf8a8"),
    ("有赞 sign in the body", shops.youzan_body_sign, (YOUZAN_MESSAGE, *YOUZAN), "e6f1965d2514796a4cc767b9eb521ba3"),
    ("有赞 cipher", shops.youzan_plain, ("8qmtmDCV+eIeOeqmXIianQ==", "demo_client_secret"), '{"tid":"E1"}'),
    ("Weixin", shops.weixin_sign, WEIXIN, "03de89c50e642c93033dd7f4ef86a8356e80e345"),
)

WAREHOUSES: tuple[Case, ...] = (
    ("聚水潭 text", signs.pairs, (JUSHUITAN,), JUSHUITAN_PAIRS),
    ("聚水潭", warehouses.jushuitan_sign, (JUSHUITAN, "demo_app_secret"), "f853570b72d4fbc6e3de2fff39af42af"),
    ("聚水潭 refresh text", signs.pairs, (JUSHUITAN_REFRESH,), JUSHUITAN_REFRESH_PAIRS),
    (
        "聚水潭 refresh",
        warehouses.jushuitan_sign,
        (JUSHUITAN_REFRESH, "demo_app_secret"),
        "3d0b2361d0827523728457643bba1799",
    ),
    ("旺店通 text", warehouses.wangdian_pairs, (WANGDIAN,), WANGDIAN_PAIRS),
    ("旺店通", warehouses.wangdian_sign, (WANGDIAN, "12345"), "ad4e6fe037ea6e3ba4768317be9d1309"),
    (
        "旺店通 ASCII in bytes",
        warehouses.wangdian_sign,
        (WANGDIAN, "12345", "bytes"),
        "ad4e6fe037ea6e3ba4768317be9d1309",
    ),
    (
        "旺店通 Chinese in characters",
        warehouses.wangdian_sign,
        (WANGDIAN_CHINESE, "12345", "characters"),
        "e8115afac9245f8c4c271dad2100652d",
    ),
    (
        "旺店通 Chinese in bytes",
        warehouses.wangdian_sign,
        (WANGDIAN_CHINESE, "12345", "bytes"),
        "c99fd9cb8b1b7e87d73210c3de129a92",
    ),
)

COURIERS: tuple[Case, ...] = (
    ("SF encoded", couriers.sf_encoded, (SF_PLAIN + "".join(SF_SIGNED),), SF_PLAIN_ENCODED),
    ("SF", couriers.sf_digest, (SF_PLAIN, *SF_SIGNED), "XZb5Lkb3rkhfQA8yAfcb9w=="),
    ("SF as Java, encoded", couriers.sf_encoded, (SF_SPECIAL + "".join(SF_SIGNED), "java"), SF_SPECIAL_ENCODED),
    ("SF as Java", couriers.sf_digest, (SF_SPECIAL, *SF_SIGNED, "java"), "OXL1e8yCD9Pm/nRK+SrItg=="),
    ("SF as Python, encoded", couriers.sf_encoded, (SF_SPECIAL + "".join(SF_SIGNED), "python"), SF_SPECIAL_PYTHON),
    ("SF as Python", couriers.sf_digest, (SF_SPECIAL, *SF_SIGNED, "python"), "DEVWTxl/a6ueRPDCU40+xQ=="),
    ("快递鸟 MD5 in hex", signs.md5, (f"{KDNIAO}demo-app-key".encode(),), "d62493b77059472dbea8e8abaca7448b"),
    ("快递鸟", couriers.kdniao_sign, (KDNIAO, "demo-app-key"), "ZDYyNDkzYjc3MDU5NDcyZGJlYThlOGFiYWNhNzQ0OGI="),
    ("快递鸟 body", couriers.kdniao_form, ("1000001", 1007, KDNIAO, "demo-app-key"), KDNIAO_BODY),
)

VECTORS = (*SYSTEMS, *ROBOTS, *SHOPS, *WAREHOUSES, *COURIERS)


@pytest.mark.parametrize(
    ("function", "inputs", "expected"), [each[1:] for each in VECTORS], ids=[each[0] for each in VECTORS]
)
def test_the_worked_example_comes_out(function: Callable[..., Any], inputs: tuple[Any, ...], expected: Any) -> None:
    assert function(*inputs) == expected


def test_what_a_cipher_hides_is_found_again() -> None:
    assert grasp.decrypted(GRASP.app_secret, GRASP_P) == GRASP_PLAIN
