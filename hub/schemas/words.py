"""What every field, value, unit and mark of an event means, in English and Chinese.

A key is `field.` and the path of a field, or the name of a set and one of its values. Where a major means something
else by the same name, its number stands before the key: `v1.field.data.reason`. The English meaning of a value of a
closed set is part of the contract: `hub verify` refuses to change it while its major is published.
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """The same in both languages, each written for its own readers."""

    en: str
    zh: str


def find(key: str, major: int) -> Words | None:
    """The words for a key, as a major means it; None where there are none."""
    return WORDS.get(f"v{major}.{key}") or WORDS.get(key)


_ENVELOPE = {
    "specversion": ("version of CloudEvents", "CloudEvents 版本"),
    "id": (
        "the event's own name, unique with `source`: a repeat has the same id",
        "事件唯一标识（与 `source` 一起唯一）：重复投递时 id 不变",
    ),
    "source": ("who says so: the orders of the OMS", "事件来源：OMS 的订单"),
    "type": ("what happened, and the major version of the shape", "事件类型，末尾是主版本号"),
    "subject": ("order number, as `data.order.order_no`", "订单号，同 `data.order.order_no`"),
    "time": ("when it happened, by the OMS or the shop", "业务发生时间（OMS 或店铺的时间）"),
    "recordedtime": ("when the OMS wrote it down: ages count from here", "OMS 记账时间：计算延迟以此为准"),
    "datacontenttype": ("how `data` is written", "`data` 的格式"),
    "dataschema": ("name of the JSON Schema, its `$id`", "JSON Schema 的名称，即其 `$id`"),
    "sequence": (
        "version of the order, padded to ten digits so that it sorts as text",
        "订单版本号，补零到 10 位，可按文本排序",
    ),
    "partitionkey": ("order number: what keeps its place in a row", "订单号：同一订单的事件按它保持先后"),
    "traceparent": ("W3C trace context", "W3C 链路追踪标识"),
    "correlationid": ("id of the request that led to the change", "引发本次变更的请求编号"),
    "causationid": ("id of the event that led to the change", "引发本次变更的事件编号"),
    "data": ("what happened, and the whole order after it", "发生了什么，以及变更后的完整订单"),
}

_DATA = {
    "change": ("what happened", "发生了什么"),
    "previous_status": ("status before the change; none for a new order", "变更前的状态；新订单没有"),
    "reason": ("why, in words of whoever did it", "原因，操作者所填"),
    "order": ("the whole order after the change", "变更后的完整订单"),
}

_ORDER = {
    "channel": (
        "where the order came from, such as `taobao`; last word of the routing key",
        "渠道，如 `taobao`；路由键的最后一段",
    ),
    "shop": ("shop of the channel", "渠道下的店铺"),
    "channel_order_no": ("order number at the shop, unique with channel and shop", "平台订单号，与渠道、店铺一起唯一"),
    "customer_id": ("customer, by the shop's number", "客户编号，由店铺给出"),
    "currency": ("currency of all amounts, ISO 4217", "币种（ISO 4217），适用于所有金额"),
    "vip": ("whether the customer is a VIP", "是否 VIP 客户"),
    "warehouse": ("warehouse that ships, where one is named", "发货仓库，未指定则没有"),
    "receiver": ("who gets the parcel, where it is known", "收货人，未知则没有"),
    "receiver.name": ("name of the receiver", "收货人姓名"),
    "receiver.phone": (
        "phone: any text, for shops send ciphertext and virtual numbers",
        "电话，任意文本：平台可能给密文或虚拟号",
    ),
    "receiver.province": ("province", "省"),
    "receiver.city": ("city", "市"),
    "receiver.district": ("district", "区县"),
    "receiver.address": ("street and house", "详细地址"),
    "note": ("note to the order", "订单备注"),
    "lines": ("positions of the order, in their order", "订单明细，按顺序"),
    "lines[].sku": ("article number of the merchant", "商家货号"),
    "lines[].name": ("name of the article", "商品名称"),
    "lines[].quantity": ("how many", "数量"),
    "lines[].unit_price": ("price of one piece", "单价"),
    "order_no": ("order number of the OMS", "OMS 订单号"),
    "version": (
        "1, 2, 3 … of one order, without holes; the highest is the newest",
        "从 1 起连续递增，不跳号；最大者最新",
    ),
    "status": ("status after the change", "变更后的状态"),
    "total": ("sum of all lines", "订单总额，等于明细之和"),
    "placed_at": ("when the order was placed", "下单时间"),
    "changed_at": ("when it changed last", "最近变更时间"),
}

_STATUS = {
    "pending_payment": ("placed, and not paid yet", "待支付：已下单，未付款"),
    "paid": ("paid, and not with the warehouse yet", "已付款：已付款，仓库还未接单"),
    "picking": ("with the warehouse, which picks and packs it", "待拣货：仓库已接单，待拣货或拣货中"),
    "shipped": ("on its way to the buyer", "已发货：已出库，运送中"),
    "completed": ("the sale is complete; only a refund may follow", "已完成：交易完成，之后只可能退款"),
    "cancelled": ("called off for good: what has not left must not leave", "已取消：订单作废，未出库的不得再出库"),
    "intercepted": ("held back: it must not be shipped before it is released", "已拦截：暂停处理，放行前不得发货"),
    "refunded": ("the buyer has the money back", "已退款：款项已退给买家"),
}

_CHANGE = {
    "created": ("an order was placed", "新订单已创建"),
    "paid": ("the buyer paid", "买家已付款"),
    "picking": ("the warehouse took the order on", "仓库已接单"),
    "shipped": ("the parcel left the warehouse", "包裹已出库"),
    "completed": ("the sale was completed", "交易已完成"),
    "cancelled": ("the order was called off", "订单已取消"),
    "intercepted": ("the order was held back", "订单已拦截"),
    "released": ("an order that was held back may go on; it is paid again", "拦截已解除，订单回到已付款"),
    "refunded": ("the money went back to the buyer", "款项已退给买家"),
}

_ROLE = {
    "admin": ("administrator", "管理员"),
    "operator": ("operations", "运营"),
    "sales": ("sales", "销售"),
    "service": ("customer service", "客服"),
    "warehouse": ("warehouse", "仓库"),
    "finance": ("finance", "财务"),
    "channel": ("the shop's connector", "店铺对接程序"),
    "viewer": ("reads only", "只读"),
    "monitor": ("sends alerts, and sees no order", "只发送告警，看不到订单"),
}

_UNIT = {
    "fen": ("fen (1/100 yuan)", "分"),
    "pieces": ("pieces", "件"),
}

_MARK = {
    "hub_followed": (
        "`true`: a newer version of the order was there when this one was published, and follows",
        "`true`：发布时该订单已有更新的版本，随后就到",
    ),
    "hub_newer_major": (
        "number of a newer major in which the same event is published too: who reads that one need not read this",
        "同一事件也以此更新的主版本发布：读那个主版本的，不必再读这一条",
    ),
    "hub_snapshot": (
        "`true`: the order as it stands, made again for you alone (back-fill); not a change that happened just now",
        "`true`：回填，只发给你的订单现状，并非刚刚发生的变更",
    ),
    "hub_replay": (
        "`true`: an event that went out before, sent to you alone once more, with the id it had",
        "`true`：重放，只再发给你一次的旧事件，id 不变",
    ),
    "hub_routing_key": (
        "on a back-fill or replay, the key that such an event has when it goes out to all",
        "回填、重放的消息上，该事件正常发布时的路由键",
    ),
}

WORDS: dict[str, Words] = {
    **{f"field.{path}": Words(*words) for path, words in _ENVELOPE.items()},
    **{f"field.data.{path}": Words(*words) for path, words in _DATA.items()},
    **{f"field.data.order.{path}": Words(*words) for path, words in _ORDER.items()},
    **{f"status.{value}": Words(*words) for value, words in _STATUS.items()},
    **{f"change.{value}": Words(*words) for value, words in _CHANGE.items()},
    **{f"role.{value}": Words(*words) for value, words in _ROLE.items()},
    **{f"unit.{value}": Words(*words) for value, words in _UNIT.items()},
    **{f"mark.{name}": Words(*words) for name, words in _MARK.items()},
}
