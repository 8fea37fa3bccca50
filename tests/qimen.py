"""A warehouse behind Qimen for tests: the settings by which the hub knows it, and callbacks as it signs them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

APP_KEY, SECRET, CUSTOMER, OWNER = "21000001", "test-qimen-secret", "c0001", "OWNER1"

VARIABLES = {
    "HUB_SYSTEMS__WMS__INTERFACE": "qimen",
    "HUB_SYSTEMS__WMS__QIMEN__URL": "http://127.0.0.1:9/router/qimen/service",
    "HUB_SYSTEMS__WMS__QIMEN__APP_KEY": APP_KEY,
    "HUB_SYSTEMS__WMS__QIMEN__SECRET": SECRET,
    "HUB_SYSTEMS__WMS__QIMEN__CUSTOMER_ID": CUSTOMER,
    "HUB_SYSTEMS__WMS__QIMEN__OWNER": OWNER,
    "HUB_SYSTEMS__WMS__QIMEN__WAREHOUSE": "WH01",
    "HUB_SYSTEMS__WMS__QIMEN__SENDER__NAME": "发货仓",
    "HUB_SYSTEMS__WMS__QIMEN__SENDER__MOBILE": "02100000000",
    "HUB_SYSTEMS__WMS__QIMEN__SENDER__PROVINCE": "上海",
    "HUB_SYSTEMS__WMS__QIMEN__SENDER__CITY": "上海",
    "HUB_SYSTEMS__WMS__QIMEN__SENDER__ADDRESS": "长江路 1 号",
}


def query(method: str, body: bytes, off_seconds: float = 0, secret: str = SECRET, **parameters: str) -> str:
    """The signed query string of a callback, `off_seconds` from now; signed here by hand, as the warehouse would."""
    here = datetime.now(UTC) + timedelta(hours=8, seconds=off_seconds)
    given = {
        "method": method,
        "timestamp": f"{here:%Y-%m-%d %H:%M:%S}",
        "format": "xml",
        "app_key": APP_KEY,
        "v": "2.0",
        "sign_method": "md5",
        "customerId": CUSTOMER,
    } | parameters
    pairs = "".join(key + given[key] for key in sorted(given))
    digest = hashlib.md5(secret.encode() + pairs.encode() + body + secret.encode()).hexdigest().upper()
    return urlencode(given | {"sign": digest})


def confirm(  # the parts of a confirmation, each as the warehouse says it
    order_no: str, out_biz_code: str = "", status: str = "DELIVERED", kind: str = "0", parcels: str = "SF:SF100"
) -> bytes:
    """The body of `deliveryorder.confirm`; parcels as `carrier:waybill,carrier:waybill`."""
    packages = "".join(
        f"<package><logisticsCode>{carrier}</logisticsCode><expressCode>{waybill}</expressCode></package>"
        for carrier, _, waybill in (each.partition(":") for each in parcels.split(",") if each)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><request><deliveryOrder>'
        f"<deliveryOrderCode>{order_no}</deliveryOrderCode><warehouseCode>WH01</warehouseCode>"
        f"<orderType>JYCK</orderType><status>{status}</status><outBizCode>{out_biz_code or f'OUT-{order_no}'}"
        f"</outBizCode><confirmType>{kind}</confirmType><operatorName>李四</operatorName></deliveryOrder>"
        f"<packages>{packages}</packages></request>"
    ).encode()


def report(order_no: str, status: str = "PICK", moment: str = "2026-03-01 12:00:00") -> bytes:
    """The body of `orderprocess.report`."""
    return (
        f"<request><order><orderCode>{order_no}</orderCode><warehouseCode>WH01</warehouseCode></order><process>"
        f"<processStatus>{status}</processStatus><operatorName>李四</operatorName><operateTime>{moment}</operateTime>"
        "</process></request>"
    ).encode()
