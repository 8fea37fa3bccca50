"""A file of orders into the OMS: once, again, longer, cut short, and with every kind of bad line."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from hub.database import reading
from hub.errors import DependencyDown, NotFound
from hub.oms import orders
from hub.producers.importer import LINES_PER_TRANSACTION, LONGEST_LINE, Tally, import_file
from hub.schemas.order import Order, Status
from hub.schemas.registry import decode
from hub.tables import orders as order_table
from tests.support import pending

CREATED = ["created", "2026-11-01T10:56:00+08:00"]
PAID = ["paid", "2026-11-01T11:07:00+08:00"]
PICKING = ["picking", "2026-11-01T15:00:00+08:00"]
CANCELLED = ["cancelled", "2026-11-02T09:00:00+08:00"]
TEA = {"sku": "TEA-250", "name": "明前龙井 250g 🍵", "quantity": 2, "unit_price": "168.05"}

GOOD = [
    {"channel_order_no": "7001", "channel": "jd", "customer_id": "C0042", "vip": True}
    | {"lines": [TEA, TEA | {"sku": "CUP", "unit_price": "9"}], "history": [CREATED, PAID, PICKING]},
    {"channel_order_no": "7002", "channel": "taobao", "shop": "beijing", "customer_id": "C0001"}
    | {"lines": [TEA], "history": [CREATED, CANCELLED]},
    {"channel_order_no": "7003", "channel": "jd", "customer_id": "C0042", "lines": [TEA], "history": [CREATED]}
    | {"warehouse": "HZ-01", "receiver": {"name": "王小明", "phone": "13800000000", "address": "文一西路 1 号"}},
]


def order(number: str = "8000", **fields: Any) -> dict[str, Any]:
    """A line as it should be, but for what a test changes."""
    base = {"channel_order_no": number, "channel": "jd", "customer_id": "C1", "lines": [TEA], "history": [CREATED]}
    return base | fields


def line(**fields: Any) -> dict[str, Any]:
    return order(lines=[TEA, TEA | fields])


BAD = {
    "not JSON": ("nonsense", "body: Invalid JSON"),
    "half a line": (json.dumps(order())[:-20], "body: Invalid JSON"),
    "no object": ("[1, 2]", "body: "),
    "an empty line": ("", "body: Invalid JSON"),
    "invalid UTF-8": (json.dumps(order(), ensure_ascii=False).encode().replace("明".encode(), b"\xff"), "body: "),
    "a lone surrogate": (json.dumps(order(lines=[TEA | {"name": "\ud83d"}])), "body: "),
    "an over-long line": (json.dumps(order(note="x" * LONGEST_LINE)), f"over the limit of {LONGEST_LINE}"),
    "a missing field": ({key: value for key, value in order().items() if key != "customer_id"}, "customer_id: "),
    "an unknown field": (order(colour="red"), "colour: "),
    "a bad channel": (order(channel="JD.com"), "channel: "),
    "no lines": (order(lines=[]), "lines: "),
    "an unknown status": (order(history=[CREATED, ["flown", PAID[1]]]), "history.1.0: "),
    "no history": (order(history=[]), "history: "),
    "a beginning in the middle": (order(history=[PAID]), "history.0: begins with paid, must begin with created"),
    "a time without its zone": (order(history=[["created", "2026-11-01T10:56:00"]]), "history.0.1: "),
    "a negative quantity": (line(quantity=-1), "lines.1.quantity: "),
    "no quantity at all": (line(quantity=0), "lines.1.quantity: "),
    "a quantity in words": (line(quantity="2"), "lines.1.quantity: "),
    "half a piece": (line(quantity=1.5), "lines.1.quantity: "),
    "a NaN price": (line(unit_price=float("nan")), "lines.1.unit_price: "),
    "a NaN price in words": (line(unit_price="NaN"), "lines.1.unit_price: "),
    "a price of three decimals": (line(unit_price="1.005"), "lines.1.unit_price: "),
    "a negative price": (line(unit_price="-1.00"), "lines.1.unit_price: "),
    "a price that is a float": (line(unit_price=168.05), "lines.1.unit_price: "),
    "an endless price": (line(unit_price="9" * 40), "lines.1.unit_price: "),
    "NUL in a name": (line(name="tea\x00"), "lines.1.name: "),
    "too much money": (order(lines=[TEA | {"quantity": 1_000_000, "unit_price": "999999999.00"}] * 2), "lines add up"),
}
FLAWED = {
    "a price that is a whole number": (line(unit_price=168), "lines.1.unit_price: "),
    "a step that may not follow": (order(history=[CREATED, PICKING]), "history.1: "),
}


@dataclass
class Imported:
    """What an import did and what it wrote to the rejects file."""

    tally: Tally
    rejects: list[dict[str, Any]]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """(lines, orders created, versions written, unchanged)."""
        done = self.tally
        return done.lines, done.orders_created, done.versions_written, done.unchanged


class TestGoodFiles:
    @pytest.mark.parametrize("name", ["orders.jsonl", "orders.jsonl.gz"])
    def test_orders_come_in_with_everything_that_happened_to_them(
        self, engine: Engine, tmp_path: Path, name: str
    ) -> None:
        done = imported(engine, written(tmp_path / name, *GOOD))
        assert done.counts == (3, 3, 6, 0)
        assert done.rejects == []
        first, second, third = (loaded(engine, number) for number in ("7001", "7002", "7003"))
        assert (first.version, first.status, first.vip, first.total) == (3, Status.PICKING, True, 2 * 16805 + 2 * 900)
        assert (second.shop, second.version, second.status) == ("beijing", 2, Status.CANCELLED)
        assert (third.shop, third.version, third.status) == ("main", 1, Status.PENDING_PAYMENT)
        assert first.lines[0].name == "明前龙井 250g 🍵"
        assert (third.warehouse, third.receiver and third.receiver.name, first.receiver) == ("HZ-01", "王小明", None)

    def test_times_are_kept_as_they_are_given(self, engine: Engine, tmp_path: Path) -> None:
        imported(engine, written(tmp_path / "orders.jsonl", *GOOD))
        order = loaded(engine, "7001")
        assert order.placed_at == datetime.fromisoformat(CREATED[1])
        with reading(engine) as connection:
            moments = [step.occurred_at for step in orders.history(connection, order.order_no)]
        assert moments == [datetime.fromisoformat(moment) for _, moment in (CREATED, PAID, PICKING)]

    def test_every_step_waits_in_the_outbox_by_version(self, engine: Engine, tmp_path: Path) -> None:
        imported(engine, written(tmp_path / "orders.jsonl", *GOOD))
        with reading(engine) as connection:
            events = [decode(row.body.encode()) for row in pending(connection)]
        steps = [(event.order.channel_order_no, event.order.version, str(event.data.change)) for event in events]
        assert steps == [
            (given["channel_order_no"], version, change)
            for given in GOOD
            for version, (change, _) in enumerate(given["history"], start=1)
        ]

    def test_a_database_that_others_keep_to_themselves_for_a_while_ends_no_import(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, failures = orders.write, iter([DependencyDown("database: database is locked")] * 2)

        def write(*given: Any) -> None:
            whole(*given)
            for failure in failures:
                raise failure

        monkeypatch.setattr(orders, "write", write)
        done = imported(engine, written(tmp_path / "orders.jsonl", *GOOD))
        assert (done.counts, done.rejects) == ((3, 3, 6, 0), [])
        assert loaded(engine, "7001").version == 3

    def test_importing_again_does_nothing(self, engine: Engine, tmp_path: Path) -> None:
        file = written(tmp_path / "orders.jsonl", *GOOD)
        imported(engine, file)
        before = standing(engine)
        assert imported(engine, file).counts == (3, 0, 0, 3)
        assert standing(engine) == before

    def test_a_longer_file_brings_only_what_lacks(self, engine: Engine, tmp_path: Path) -> None:
        imported(engine, written(tmp_path / "monday.jsonl", GOOD[2], GOOD[0] | {"history": [CREATED]}))
        assert imported(engine, written(tmp_path / "tuesday.jsonl", *GOOD)).counts == (3, 1, 4, 1)
        assert imported(engine, written(tmp_path / "monday.jsonl", GOOD[2], GOOD[0])).counts == (2, 0, 0, 2)
        assert loaded(engine, "7001").version == 3

    def test_an_order_may_stand_in_a_file_twice_and_grow(self, engine: Engine, tmp_path: Path) -> None:
        histories = [[CREATED], [CREATED, PAID], [CREATED], [CREATED, PAID, PICKING]]
        file = written(tmp_path / "orders.jsonl", *(order(history=history) for history in histories))
        assert imported(engine, file).counts == (4, 1, 3, 1)
        assert loaded(engine, "8000").version == 3

    def test_a_file_of_many_transactions_comes_in_whole(self, engine: Engine, tmp_path: Path) -> None:
        lines = [order(str(number), history=[CREATED, PAID]) for number in range(2 * LINES_PER_TRANSACTION + 7)]
        progress: list[int] = []
        file = written(tmp_path / "orders.jsonl.gz", *lines)
        with reading(engine) as connection:
            assert orders.totals(connection) == (0, 0)
        import_file(engine, file, io.StringIO(), lambda tally: progress.append(tally.lines))
        with reading(engine) as connection:
            assert orders.totals(connection) == (len(lines), 2 * len(lines))
        assert progress == [LINES_PER_TRANSACTION, 2 * LINES_PER_TRANSACTION, len(lines)]

    def test_windows_line_ends_are_taken(self, engine: Engine, tmp_path: Path) -> None:
        file = tmp_path / "orders.jsonl"
        file.write_bytes(b"\r\n".join(json.dumps(each).encode() for each in GOOD) + b"\r\n")
        assert imported(engine, file).counts == (3, 3, 6, 0)


class TestCutFiles:
    def test_a_file_that_was_cut_in_a_line_is_finished_by_the_whole_one(self, engine: Engine, tmp_path: Path) -> None:
        whole = written(tmp_path / "orders.jsonl", *GOOD)
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(whole.read_bytes()[:-100])
        done = imported(engine, cut)
        assert done.counts == (3, 2, 5, 0)
        assert [(reject["line"], reject["reason"][:18]) for reject in done.rejects] == [(3, "body: Invalid JSON")]
        assert imported(engine, whole).counts == (3, 1, 1, 2)

    def test_an_archive_that_was_cut_says_so_and_is_finished_by_the_whole_one(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        lines = [order(str(number)) for number in range(3 * LINES_PER_TRANSACTION)]
        whole = written(tmp_path / "orders.jsonl.gz", *lines)
        cut = tmp_path / "cut.jsonl.gz"
        cut.write_bytes(whole.read_bytes()[:-12])
        with pytest.raises(NotFound, match=r"cut\.jsonl\.gz: cannot be read"):
            imported(engine, cut)
        assert imported(engine, whole).tally.lines == len(lines)
        with reading(engine) as connection:
            assert orders.totals(connection) == (len(lines), len(lines))

    def test_a_file_that_is_not_there_says_so(self, engine: Engine, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match=r"nowhere\.jsonl"):
            imported(engine, tmp_path / "nowhere.jsonl")

    def test_an_archive_that_is_none_says_so(self, engine: Engine, tmp_path: Path) -> None:
        file = tmp_path / "orders.jsonl.gz"
        file.write_text(json.dumps(GOOD[0]))
        with pytest.raises(NotFound, match=r"orders\.jsonl\.gz: cannot be read"):
            imported(engine, file)

    def test_an_archive_that_was_damaged_says_so(self, engine: Engine, tmp_path: Path) -> None:
        file = written(tmp_path / "orders.jsonl.gz", *GOOD)
        sound = file.read_bytes()
        middle = len(sound) // 2
        file.write_bytes(sound[:middle] + b"\xff" * (len(sound) - middle))
        with pytest.raises(NotFound, match=r"orders\.jsonl\.gz: cannot be read"):
            imported(engine, file)


class TestBadLines:
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            *(pytest.param(*each, id=name) for name, each in BAD.items()),
            pytest.param(*FLAWED["a price that is a whole number"], id="a whole price"),
            pytest.param(*FLAWED["a step that may not follow"], id="a step that may not follow"),
        ],
    )
    def test_a_bad_line_is_rejected_with_its_number_and_field_and_costs_no_other(
        self, engine: Engine, tmp_path: Path, bad: Any, reason: str
    ) -> None:
        done = imported(engine, written(tmp_path / "orders.jsonl", GOOD[0], GOOD[1], bad, GOOD[2]))
        assert done.counts == (4, 3, 6, 0)
        assert [reject["line"] for reject in done.rejects] == [3]
        assert reason in done.rejects[0]["reason"]
        assert done.tally.rejects[0].line == 3

    @pytest.mark.parametrize(
        ("other", "reason"),
        [
            ({"customer_id": "C9"}, "channel_order_no: 7001 is order"),
            ({"lines": [TEA]}, "channel_order_no: 7001 is order"),
            ({"history": [CREATED, CANCELLED]}, "history.1: the file says cancelled"),
            ({"history": [CREATED, PAID, CANCELLED]}, "history.2: the file says cancelled"),
        ],
        ids=["another customer", "other lines", "another history", "another end"],
    )
    @pytest.mark.parametrize("together", [True, False])
    def test_a_line_that_contradicts_the_order_that_is_here_is_rejected(
        self, engine: Engine, tmp_path: Path, other: dict[str, Any], reason: str, *, together: bool
    ) -> None:
        if together:
            done = imported(engine, written(tmp_path / "orders.jsonl", *GOOD, GOOD[0] | other))
            assert done.counts == (4, 3, 6, 0)
        else:
            imported(engine, written(tmp_path / "first.jsonl", *GOOD))
            done = imported(engine, written(tmp_path / "second.jsonl", *GOOD, GOOD[0] | other))
            assert done.counts == (4, 0, 0, 3)
        assert [reject["line"] for reject in done.rejects] == [4]
        assert reason in done.rejects[0]["reason"]
        assert loaded(engine, "7001").version == 3

    def test_the_rejects_hold_each_line_as_it_was(self, engine: Engine, tmp_path: Path) -> None:
        spoilt = [order(colour="红"), order(lines=[]), "nonsense"]
        done = imported(engine, written(tmp_path / "orders.jsonl", *spoilt, *GOOD))
        texts = [reject["text"] for reject in done.rejects]
        assert [reject["field"] for reject in done.rejects] == ["colour", "lines", "body"]
        assert [json.loads(text) for text in texts[:2]] == spoilt[:2]
        assert texts[2] == "nonsense"

    def test_rejected_lines_are_taken_once_they_are_mended(self, engine: Engine, tmp_path: Path) -> None:
        imported(engine, written(tmp_path / "orders.jsonl", line(quantity=0), *GOOD))
        assert imported(engine, written(tmp_path / "mended.jsonl", line(quantity=1))).counts == (1, 1, 1, 0)

    def test_an_order_too_large_for_the_bus_is_rejected_alone(self, engine: Engine, tmp_path: Path) -> None:
        huge = order(lines=[TEA | {"name": "茶" * 250}] * 1000)
        done = imported(engine, written(tmp_path / "orders.jsonl", GOOD[0], huge, GOOD[1]))
        assert done.counts == (3, 2, 5, 0)
        assert [reject["line"] for reject in done.rejects] == [2]

    def test_a_file_of_nothing_but_bad_lines_writes_nothing(self, engine: Engine, tmp_path: Path) -> None:
        file = written(tmp_path / "orders.jsonl", *(bad for bad, _ in BAD.values()))
        done = imported(engine, file)
        assert done.counts == (len(BAD), 0, 0, 0)
        assert sorted(reject["line"] for reject in done.rejects) == list(range(1, len(BAD) + 1))
        assert standing(engine) == ((0, 0), [])


def written(path: Path, *lines: Any) -> Path:
    raw = b"".join(bytes_of(each) + b"\n" for each in lines)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def bytes_of(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()


def imported(engine: Engine, path: Path) -> Imported:
    rejects = io.StringIO()
    tally = import_file(engine, path, rejects, lambda _: None)
    return Imported(tally, [json.loads(each) for each in rejects.getvalue().splitlines()])


def loaded(engine: Engine, channel_order_no: str) -> Order:
    number = select(order_table.c.order_no).where(order_table.c.channel_order_no == channel_order_no)
    with reading(engine) as connection:
        return orders.load(connection, connection.execute(number).scalar_one())


def standing(engine: Engine) -> tuple[tuple[int, int], list[str]]:
    """(orders and versions, events that wait)."""
    with reading(engine) as connection:
        return orders.totals(connection), [row.event_id for row in pending(connection)]
