"""The warehouse's desk: what it does with calls whose signature and shape are right. Each is one transaction."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

from hub import clock
from hub.simulators.qimen import answers, orders
from hub.simulators.qimen.answers import Code, failure, success
from hub.simulators.qimen.book import Book, Page
from hub.simulators.qimen.orders import Order
from hub.simulators.qimen.rules import Account, Rules
from hub.simulators.qimen.stock import Place, Stock
from hub.simulators.qimen.times import wall_clock
from hub.simulators.qimen.xml import said
from hub.simulators.store import Request, Store
from hub.simulators.web import Answer


class Desk:
    """Takes orders, cancels them and says how they are; `expect` hears of each order that is to be worked on."""

    def __init__(self, store: Store, account: Account, expect: Callable[[Order], None]) -> None:
        self.rules = Rules()
        self._store = store
        self._account = account
        self._expect = expect
        self._doers: dict[str, Callable[[Request, Element], Answer]] = {
            "deliveryorder.query": self._query,
            "order.cancel": self._cancel,
            "orderprocess.query": self._processes,
            "inventory.query": self._inventory,
            "stock.query": self._stock,
        }

    def do(self, method: str, request: Element) -> Answer:
        """The answer to a call; what it changed is committed."""
        if method == "deliveryorder.create":
            return self._create(request)
        with self._store.request() as transaction:
            return self._doers[method](transaction, request)

    def _create(self, request: Element) -> Answer:
        owner = orders.owner_of(request)
        if owner not in self._account.owners:
            return failure(Code.OWNER, "ownerCode is not known 货主不存在")
        delivery_id = f"WD{clock.uuid7().hex[:20].upper()}"
        new = orders.taken(request, self._account.home, delivery_id, clock.utcnow().timestamp())
        with self._store.request() as transaction:
            entered = self._enter(transaction, new)
        if isinstance(entered, Answer):
            return entered
        self._expect(entered)
        return _created(entered)

    def _enter(self, transaction: Request, new: Order) -> Order | Answer:
        """The order as it is now in the book; or the answer to a create that changes nothing."""
        book, stock = Book(transaction), Stock(transaction, self.rules.opening_stock)
        page = book.find(new.code, new.owner)
        if page is not None and not self._opens(page.order):
            return self._known(page.order)
        if item := stock.short_of(new):
            return failure(Code.CREATE, f"itemCode {item} is short 库存不足")
        stock.lock(new)
        if page is None:
            book.add(new)
            return new
        book.write(page, orders.opened_again(page.order, new), "reopen")
        return page.order

    def _opens(self, order: Order) -> bool:
        return self.rules.reopen and order.status in orders.ENDED

    def _known(self, order: Order) -> Answer:
        if order.status in orders.ENDED:
            return failure(Code.CREATE, f"the order is {order.status} 单据已取消")
        if self.rules.duplicates == "refused":
            return failure(Code.EXISTS, "the order already exists 单据已存在")
        return _created(order)

    def _cancel(self, transaction: Request, request: Element) -> Answer:
        page = self._asked(transaction, request)
        if page is None:
            return _unknown_order()
        if page.order.status == "CANCELED":
            return success()
        if not orders.can_be_cancelled(page.order) or page.order.status in orders.ENDED:
            return failure(
                Code.CANCEL, f"too late to cancel: the order is at {page.order.reached} 取消失败，已开始作业"
            )
        Stock(transaction, self.rules.opening_stock).free(page.order)
        slips = self.rules.cancel == "delivered_later"
        Book(transaction).write(page, orders.cancelled(page.order, wall_clock(), slips), "cancel")
        return success()

    def _query(self, transaction: Request, request: Element) -> Answer:
        page = self._asked(transaction, request)
        return answers.delivery(page.order, request) if page else _unknown_order()

    def _processes(self, transaction: Request, request: Element) -> Answer:
        page = self._asked(transaction, request)
        return answers.processes(page.order) if page else _unknown_order()

    def _asked(self, transaction: Request, request: Element) -> Page | None:
        page = Book(transaction).find(said(request, "orderCode"), said(request, "ownerCode"))
        wanted = said(request, "warehouseCode")
        return page if page and wanted in {"", "OTHER", page.order.warehouse} else None

    def _inventory(self, transaction: Request, request: Element) -> Answer:
        stock = Stock(transaction, self.rules.opening_stock)
        found = [stock.lot(self._place(one)) for one in request.findall("criteriaList/criteria")]
        return answers.lots(found, len(found))

    def _stock(self, transaction: Request, request: Element) -> Answer:
        wanted = {name: said(request, path) for name, path in _FILTERS.items() if said(request, path)}
        if "warehouse" in wanted:
            wanted["warehouse"] = self._home(wanted["warehouse"])
        lots = Stock(transaction, self.rules.opening_stock).lots()
        found = [lot for lot in lots if all(getattr(lot, name) == value for name, value in wanted.items())]
        return answers.lots(answers.page_of(request, found), len(found))

    def _place(self, criteria: Element) -> Place:
        owner = said(criteria, "ownerCode") or self._account.owners[0]
        warehouse = self._home(said(criteria, "warehouseCode"))
        return Place(warehouse, owner, said(criteria, "itemCode"), said(criteria, "inventoryType") or "ZP")

    def _home(self, warehouse: str) -> str:
        return self._account.home if warehouse in {"", "OTHER"} else warehouse


_FILTERS = {"warehouse": "warehouseCode", "owner": "ownerCode", "item": "itemCode", "kind": "inventoryType"}


def _created(order: Order) -> Answer:
    return success(
        deliveryOrderId=order.delivery_id,
        createTime=wall_clock(),
        warehouseCode=order.warehouse,
        logisticsCode=order.carrier,
    )


def _unknown_order() -> Answer:
    return failure(Code.UNKNOWN_ORDER, "the order does not exist 单据不存在")
