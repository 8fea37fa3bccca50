"""What each cause means for the order at hand, and what to do about it: sentences for people who do not know the hub.

`happened` is a row of clauses; a clause is said where every fact that it names is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.reconcile.causes import Cause
from hub.reconcile.report.wording import Words

_SHOW = "hub orders show {order}"
_REPLAY = "hub replay --system {name} --orders {order} --why '…' --yes"
_ACCEPT = "hub reconcile accept {key} --why '…' --until {date}"
_HEAL = "hub reconcile heal {key} --why '…' --yes"
_PARKED_SHOW = "hub parked show {name} {order}"
_PARKED_RETRY = "hub parked retry {order} --system {name} --why '…'"


@dataclass(frozen=True)
class Telling:
    """A cause in sentences, and the commands that look into it or end it."""

    happened: tuple[Words, ...]
    todo: Words
    commands: tuple[str, ...] = ()


TELLINGS: dict[Cause, Telling] = {
    Cause.NOT_PUBLISHED: Telling(
        (
            Words(
                "订单在 OMS 已有变更，但通知还停在发件箱，没有发给 {system}。",
                "The order changed in the OMS, and the news still waits in the outbox: {system} was not told.",
            ),
            Words("滞留原因：{held_for}。", "It is held because: {held_for}."),
            Words("发件箱行号 {outbox_id}。", "It is row {outbox_id} of the outbox."),
        ),
        Words(
            "请信息技术确认中继在运行、消息总线可用；恢复后自动发出，无需补单。",
            "IT checks that the relay runs and that the bus is up; the rest follows by itself.",
        ),
        ("hub status", "hub topology diff"),
    ),
    Cause.IN_TRANSIT: Telling(
        (
            Words(
                "变更已发出，正在送往 {system}，还没有写入。", "The change is on its way to {system} and not there yet."
            ),
            Words("发出时间 {published_at}。", "It was sent at {published_at}."),
            Words(
                "队列里还有 {queued} 条消息没有收，请确认消费者在运行。",
                "{queued} messages wait in its queue: see that its consumer runs.",
            ),
            Words("暂停投递，因为{breaker}。", "Deliveries are stopped, because {breaker}."),
            Words("已尝试 {attempts} 次。", "Attempts so far: {attempts}."),
            Words("下次尝试 {due_at}。", "The next attempt is at {due_at}."),
            Words("最近一次报错：{error}。", "The last error: {error}."),
        ),
        Words(
            "一般无需处理，系统恢复后自动追平；次日仍在此列再查该系统是否停摆。",
            "Usually nothing: it catches up by itself. If it is still here tomorrow, see whether the system is down.",
        ),
        ("hub systems list", _SHOW),
    ),
    Cause.NEVER_RECEIVED: Telling(
        (
            Words(
                "变更已发出，{system} 的消费者却从未收到，多半是队列被清空、删除或没有绑定。",
                "The change was sent, and the consumer of {system} never saw it: "
                "most likely its queue was purged, deleted or not bound.",
            ),
            Words("发出时间 {published_at}。", "It was sent at {published_at}."),
            Words("最后收到的是第 {received_version} 版。", "The last version received is {received_version}."),
        ),
        Words(
            "先请信息技术核对队列绑定，再重放该订单。", "IT compares the bindings of the queue, then replays the order."
        ),
        ("hub topology diff", _REPLAY),
    ),
    Cause.PARKED: Telling(
        (
            Words("{system} 没有写入，订单已搁置，等人处理。", "{system} did not take it, and the order is parked."),
            Words("搁置原因：{parked_reason}。", "It is parked because {parked_reason}."),
            Words("搁置时间 {parked_at}。", "It was parked at {parked_at}."),
            Words("已尝试 {attempts} 次。", "Attempts so far: {attempts}."),
            Words("系统返回：{error}。", "The system said: {error}."),
        ),
        Words(
            "查明报错含义并排除，然后重试；不能确定是否收到的，先到该系统里查看。",
            "Find out what the error means and mend it, then retry. Where nobody can tell whether the system has it, "
            "look there first.",
        ),
        (_PARKED_SHOW, _PARKED_RETRY),
    ),
    Cause.REJECTED: Telling(
        (
            Words("{system} 收到了订单，但拒绝接收。", "{system} understood the order and refused it."),
            Words("出错字段：{error_field}。", "The field is {error_field}."),
            Words("系统返回：{error}。", "The system said: {error}."),
            Words("搁置时间 {parked_at}。", "It was parked at {parked_at}."),
        ),
        Words(
            "按提示修正订单、映射或该系统的设置，然后重试；在 OMS 里改单会自动重新发送。",
            "Correct the order, the mapping or the system, then retry. A change in the OMS is sent by itself.",
        ),
        (_PARKED_SHOW, _PARKED_RETRY),
    ),
    Cause.SKIPPED: Telling(
        (
            Words("有人决定跳过这次变更，{system} 因此停在旧数据。", "Somebody left this change out at {system}."),
            Words("跳过时间 {skipped_at}。", "That was at {skipped_at}."),
        ),
        Words(
            "如已手工补录，请挂账并写明理由；否则重放该订单。",
            "If it was entered by hand, accept the difference and say why; otherwise replay the order.",
        ),
        (_ACCEPT, _REPLAY),
    ),
    Cause.DEAD_LETTER: Telling(
        (
            Words("发给 {system} 的消息无法读取，已转为死信。", "The message for {system} could not be read."),
            Words("死信编号 {dead_letter}。", "It is kept as dead letter {dead_letter}."),
            Words("原因：{dead_reason}。", "The reason: {dead_reason}."),
        ),
        Words(
            "请信息技术查看死信；修好后放回队列，或直接重放该订单。",
            "IT looks at the dead letter, then gives it back to the queue or replays the order.",
        ),
        ("hub dead-letters show {dead_letter}", "hub dead-letters requeue {dead_letter} --why '…'", _REPLAY),
    ),
    Cause.LOST_DOWNSTREAM: Telling(
        (
            Words(
                "{system} 曾经写入成功，现在数据没有了或退回旧版，多半是恢复备份或误删。",
                "{system} had it and has lost it or gone back: most likely a restored backup or a deleted row.",
            ),
            Words("写入的是第 {applied_version} 版。", "Version {applied_version} was written."),
            Words("写入时间 {applied_at}。", "That was at {applied_at}."),
        ),
        Words(
            "请该系统的负责人确认是否恢复过备份；同类较多时按时间整段重放。",
            "Ask whoever runs the system about restored backups; where there are many, replay since that moment.",
        ),
        (_HEAL, _REPLAY),
    ),
    Cause.CHANGED_BY_HAND: Telling(
        (
            Words(
                "写入 {system} 的内容与 OMS 一致，之后有人在该系统里改动了。",
                "What was written to {system} was right, and somebody changed it there afterwards.",
            ),
            Words(
                "写入时间 {applied_at}，第 {applied_version} 版。",
                "Version {applied_version} was written at {applied_at}.",
            ),
        ),
        Words(
            "先问清谁改的、为什么。OMS 对就用下面的命令改回，系统对就在 OMS 里改单；金额不会自动修复。",
            "Ask who changed it and why. If the OMS is right, change it back there; if the system is right, change the "
            "order in the OMS. Money is never repaired automatically.",
        ),
        (_SHOW, _HEAL, _ACCEPT),
    ),
    Cause.DUPLICATE: Telling(
        (
            Words("同一订单在 {system} 里有两份。", "{system} has the same order twice."),
            Words("与 {duplicate_of} 重复。", "It doubles {duplicate_of}."),
        ),
        Words(
            "请该系统的负责人作废多出的一份，注意是否已重复发货或记账。",
            "Whoever runs the system voids one of them; see whether it was shipped or booked twice.",
        ),
        (_SHOW,),
    ),
    Cause.EXTRA: Telling(
        (
            Words(
                "{system} 有这张订单，OMS 没有，中枢也从未写入。",
                "{system} has this order; the OMS does not, and the hub never wrote it.",
            ),
        ),
        Words(
            "查清来源：手工单应补进 OMS，测试单或误建单在该系统作废；确需保留的挂账。",
            "Find out where it comes from: enter it in the OMS, void it at the system, or accept it.",
        ),
        (_ACCEPT,),
    ),
    Cause.MAPPING: Telling(
        (
            Words(
                "{system} 里的值在对照表中没有，无法判断是否一致。",
                "{system} shows a value that the field rules do not know.",
            ),
            Words("未映射的字段：{unmapped}。", "The field: {unmapped}."),
        ),
        Words(
            "请信息技术在比对规则里补上该值，下次对账自动生效。",
            "IT adds the value to the field rules; the next run uses them.",
        ),
        ("hub config show",),
    ),
    Cause.OMS_BEHIND: Telling(
        (
            Words(
                "{system} 的版本比 OMS 还新，说明 OMS 的数据被回退过。",
                "{system} shows a newer version than the OMS has: the OMS was set back.",
            ),
            Words(
                "OMS 第 {oms_version} 版，系统第 {system_version} 版。",
                "The OMS has version {oms_version}, the system version {system_version}.",
            ),
        ),
        Words(
            "先停止重放，立即请信息技术恢复 OMS 数据；修好之前不要改动各系统。",
            "Replay nothing. IT restores the data of the OMS first; leave the systems as they are until then.",
        ),
        (_SHOW, "hub audit verify"),
    ),
    Cause.UNKNOWN: Telling(
        (
            Words(
                "{system} 与 OMS 不同，中枢的记录里找不到原因。",
                "{system} differs from the OMS, and nothing that the hub wrote down explains it.",
            ),
            Words(
                "最后写入第 {applied_version} 版，时间 {applied_at}。",
                "Version {applied_version} was written last, at {applied_at}.",
            ),
        ),
        Words(
            "请信息技术结合订单轨迹和系统日志排查，查明后补充备注。",
            "IT follows the order's history and the system's own log, and notes what was found.",
        ),
        (_SHOW,),
    ),
}
