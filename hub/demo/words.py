"""What the demo says, in both languages. Each sentence is written for its readers, not translated word by word."""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Order integration hub · demo", "订单集成中枢 · 演示"),
    "where": (
        "Database {db}, bus {bus}; everything made here is removed at the end.",
        "数据库 {db}，消息总线 {bus}；演示结束后全部清除。",
    ),
    "spoken_http": (
        "The systems are simulators that speak as the real ones do: Kingdee WebAPI, Qimen, a REST CRM, YonBIP.",
        "各系统为接口仿真：金蝶云星空 WebAPI、奇门 WMS、REST CRM、用友 YonBIP。",
    ),
    "spoken_tables": ("The systems are interface tables.", "各系统为中间表。"),
    "started": (
        "{n} processes are running: OMS interface, relay, one consumer per system, maintenance.",
        "已启动 {n} 个进程：OMS 接口、中继、每个系统一个消费者、维护任务。",
    ),
    "scene1": ("1  Orders arrive from five shops", "1  五个渠道同时来单"),
    "scene1_done": (
        "{orders} orders, {versions} versions so far: placed, paid, picked.",
        "已入库 {orders} 单，共 {versions} 个版本：下单、付款、拣货。",
    ),
    "scene2": ("2  The same requests are pushed a second time", "2  同一批请求重复推送"),
    "scene2_done": (
        "{n} requests repeated: {replayed} got their first answer again, {new} versions were added.",
        "重复推送 {n} 个请求：{replayed} 个返回原应答，新增版本 {new} 个。",
    ),
    "scene3": (
        "3  The WMS is down for {seconds} seconds while orders ship",
        "3  WMS 停摆 {seconds} 秒，期间订单照常发货",
    ),
    "scene3_down": (
        "Its tables are locked, nothing can be written there. The others go on:",
        "WMS 的中间表被锁，无法写入；其他系统不受影响：",
    ),
    "scene3_up": (
        "The WMS is back. Nobody does anything; it catches up by itself.",
        "WMS 恢复。无需人工处理，自动追平。",
    ),
    "mute": (
        "3  For {seconds} seconds the WMS does what it is told, and every answer is lost",
        "3  WMS 照单执行，但 {seconds} 秒内所有应答丢失",
    ),
    "mute_down": (
        "New orders are paid; nobody can tell whether the WMS has them. The others go on:",
        "新订单已付款，谁也不知道 WMS 是否收到；其他系统不受影响：",
    ),
    "mute_up": (
        "It answers again. The hub asked before it repeated: {orders} orders, {parcels} parcels, {twice} twice.",
        "WMS 恢复应答。中枢先查询、后重发：{orders} 单，{parcels} 个包裹，重复 {twice} 个。",
    ),
    "scene4": (
        "4  kill -9: the relay and the Kingdee consumer, in the middle of the work",
        "4  工作途中强杀（kill -9）中继与金蝶消费者",
    ),
    "scene4_done": (
        "Both were restarted and went on where they were; everything had arrived after {seconds:.1f} s.",
        "两者已自动重启并从断点继续，{seconds:.1f} 秒后全部送达。",
    ),
    "result": (
        "Versions in the ledger, changes in each system's journal, {orders} orders compared",
        "账本版本数、各系统自记的写入次数，以及 {orders} 单与 OMS 的逐单比对",
    ),
    "system": ("system", "系统"),
    "wanted": ("wanted", "应有"),
    "applied": ("applied", "已写入"),
    "superseded": ("superseded", "被取代"),
    "parked": ("parked", "搁置"),
    "behind": ("behind", "落后"),
    "still_behind": ("behind: {systems}", "落后：{systems}"),
    "effects": ("journal", "系统自记"),
    "doubled": ("twice", "重复"),
    "equal": ("equal", "一致"),
    "crm": ("CRM", "CRM"),
    "kingdee": ("Kingdee", "金蝶"),
    "wms": ("WMS", "WMS"),
    "erp": ("ERP", "ERP"),
    "good": (
        "Every system equals the OMS, order by order. No effect was doubled.",
        "所有系统与 OMS 逐单一致，没有重复写入。",
    ),
    "night1": (
        "5  Behind the hub's back, somebody changes the systems",
        "5  有人绕过中枢，直接改了各系统的数据",
    ),
    "deed_deleted": ("{system}: an order is deleted.", "{system}：一张订单被删除。"),
    "deed_set_back": ("{system}: an order is set back by a restore.", "{system}：恢复备份后，一张订单退回旧状态。"),
    "deed_cancelled": ("{system}: an order is cancelled by hand.", "{system}：一张订单被手工改为已取消。"),
    "deed_amount": ("{system}: an amount is changed by one yuan.", "{system}：一张订单的金额被改动 1 元。"),
    "night2": (
        "6  The nightly comparison: every difference, its cause, and what becomes of it",
        "6  夜间对账：逐条差异、原因与去向",
    ),
    "heals_itself": ("put right by the hub", "中枢自动修复"),
    "needs_person": ("money: a person decides", "涉及金额：由人决定"),
    "night3": (
        "7  A person decides about the money, and the next comparison proves it all",
        "7  金额由人确认，下一次对账验证全部修复",
    ),
    "decision": ("the OMS is right", "以 OMS 为准"),
    "decided": ("hub reconcile heal {keys} --yes", "hub reconcile heal {keys} --yes"),
    "report": ("The report: {path}", "对账日报：{path}"),
    "reports": ("Both nights stay here: {path}", "两份日报保存在：{path}"),
    "bad_night": (
        "The comparison did not find, explain and mend everything: that is a bug.",
        "对账未能找全、说清并修复所有差异：这是缺陷。",
    ),
    "bad": (
        "A system differs from the OMS: that is a bug.",
        "有系统与 OMS 不一致：这是缺陷。",
    ),
}


def say(locale: str, key: str, **facts: object) -> str:
    """A sentence in a language, `en` or `zh`."""
    return WORDS[key][locale == "zh"].format(**facts)
