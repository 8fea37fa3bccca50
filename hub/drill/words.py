"""What a drill says, in both languages. Names of faults stay as they are: they are what an operator types."""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Drill of {when}", "故障演练 {when}"),
    "passed": ("passed: nothing lost, nothing doubled, nothing backwards", "通过：不丢单、不重复、不倒退"),
    "failed": ("NOT PASSED", "未通过"),
    "summary": (
        "Release {release}. {good} of {all} faults survived; the longest recovery took {longest:.1f} s.",
        "版本 {release}。共 {all} 项故障，{good} 项通过；最长恢复用时 {longest:.1f} 秒。",
    ),
    "left_out": ("Not possible here: {names}.", "此处无法演练：{names}。"),
    "fault": ("fault", "故障"),
    "survived": ("survived", "通过"),
    "orders": ("orders", "订单"),
    "versions": ("versions", "版本"),
    "lost": ("lost", "丢失"),
    "doubled": ("doubled", "重复"),
    "backwards": ("backwards", "倒退"),
    "dead": ("stray", "多余死信"),
    "drained": ("drained, s", "恢复，秒"),
    "what": ("what happened", "经过"),
    "died": ("{name} died at {label}", "{name} 在 {label} 处被强制终止"),
    "replay": ("a replay of {orders} orders died and was resumed", "{orders} 单的重放被强制终止后继续完成"),
    "maintenance": ("maintenance died and was run again", "维护任务被强制终止后重新执行"),
    "power": ("{count} processes were killed at once", "{count} 个进程同时被强制终止"),
    "stop": (
        "{count} processes were asked to end, the slowest took {seconds:.1f} s",
        "{count} 个进程收到停止信号，最慢用时 {seconds:.1f} 秒",
    ),
    "frozen": (
        "{names} stood still for {seconds:.0f} s, longer than a lease",
        "{names} 停顿 {seconds:.0f} 秒，超过租约时长",
    ),
    "down": (
        "nobody could write to WMS for {seconds:.0f} s; its breaker opened",
        "WMS 有 {seconds:.0f} 秒无法写入，熔断器已打开",
    ),
    "locked": ("nobody could write to the hub's database for {seconds:.0f} s", "中枢数据库有 {seconds:.0f} 秒无法写入"),
    "poisoned": (
        "{count} messages that are no event came to {systems} systems",
        "{systems} 个系统各收到 {count} 条无法解析的消息",
    ),
    "again": ("{count} events came once more, in any order", "{count} 条事件乱序重复到达"),
    "reset": ("every connection was reset three times", "所有连接被重置三次"),
    "refused": ("nobody could connect for {seconds:.0f} s", "有 {seconds:.0f} 秒无法建立连接"),
    "hung": (
        "connections stayed open and carried nothing for {seconds:.0f} s",
        "连接保持打开但 {seconds:.0f} 秒内无任何数据通过",
    ),
    "cut": ("answers were cut off after 1, 100 and 5,000 bytes", "应答分别在 1、100、5,000 字节后被切断"),
    "wrong": ("{why}", "{why}"),
}


def say(locale: str, key: str, **facts: object) -> str:
    """A sentence in a language, `en` or `zh`."""
    return WORDS[key][locale == "zh"].format(**facts)
