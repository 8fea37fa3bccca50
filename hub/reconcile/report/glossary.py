"""The words of the report that need explaining."""

from __future__ import annotations

from hub.reconcile.report.wording import Words

GLOSSARY: tuple[tuple[Words, Words], ...] = (
    (
        Words("差异", "Difference"),
        Words(
            "同一张订单，OMS 与某个系统记的不一样；两边只有一边有也算。",
            "An order of which the OMS and a system do not say the same, or which only one of them has.",
        ),
    ),
    (
        Words("单边账", "Missing, extra"),
        Words(
            "订单只在一边：系统没有叫缺单，OMS 没有叫多单。",
            "An order on one side only: missing at the system, or extra there.",
        ),
    ),
    (
        Words("金额不符", "Another amount"),
        Words(
            "两边都有这张订单，金额不同。金额从不自动修复。",
            "Both have the order with different amounts. Money is never repaired automatically.",
        ),
    ),
    (
        Words("版本", "Version"),
        Words(
            "订单每变更一次，版本加 1。系统的版本低，说明还没更新到最新。",
            "Each change of an order counts one up. A lower version at a system means that it is not up to date.",
        ),
    ),
    (
        Words("已自动修复", "Repaired"),
        Words(
            "中枢按 OMS 的数据重新写入该系统，并由之后的比对证实一致。",
            "The hub wrote the order to the system again, and a later comparison proved it equal.",
        ),
    ),
    (
        Words("挂账", "Accepted"),
        Words(
            "经人确认暂不处理的差异，有理由、有期限，到期重新计入。",
            "A difference that somebody lets stay, with a reason and until a date; then it counts again.",
        ),
    ),
    (
        Words("搁置", "Parked"),
        Words(
            "某系统没能接收的订单，停下来等人处理，不影响其他订单。",
            "An order that a system did not take and that waits for a person; no other order waits for it.",
        ),
    ),
    (
        Words("死信", "Dead letter"),
        Words("无法读取的消息，原样保存，等人查看。", "A message that could not be read, kept as it came."),
    ),
    (
        Words("重放", "Replay"),
        Words(
            "把 OMS 现在的订单重新发给某个系统；重复执行不会重复写入。",
            "Sending the order as the OMS has it now to a system again; doing it twice has one effect.",
        ),
    ),
    (
        Words("幂等", "Idempotent"),
        Words("同一件事做几遍，结果都和做一遍一样。", "Doing a thing twice comes to the same as doing it once."),
    ),
    (
        Words("发件箱", "Outbox"),
        Words("订单变更排队等待发出的地方。", "Where changes of orders wait to be sent."),
    ),
    (
        Words("积压", "Backlog"),
        Words("已排队但还没送达的变更。", "Changes that wait and have not arrived."),
    ),
    (
        Words("时效", "Age"),
        Words(
            "差异从首次发现起持续了几晚，一晚对应一次夜间对账。",
            "How many nights a difference has lasted since it was first seen.",
        ),
    ),
    (
        Words("数据截止", "Cut"),
        Words(
            "只比对这一时刻之前的订单变更，之后的留待下次。",
            "Only changes before this moment are compared; later ones are left for the next run.",
        ),
    ),
)
