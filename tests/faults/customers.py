"""Shops that place and pay orders over HTTP and, whatever happens, repeat a request until it is answered."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter, defaultdict
from typing import Any, Self

import httpx2

from hub import config, wiring
from hub.database import writing
from hub.oms import tokens
from hub.schemas.lifecycle import Role
from tests.faults.rig import eventually

PATIENCE_SECONDS = 60
PAUSE_SECONDS = 0.1
ANSWERED = (200, 201)

ORDER = {
    "channel": "jd",
    "customer_id": "C-1",
    "lines": [{"sku": "TEA-250", "name": "明前龙井 250g", "quantity": 2, "unit_price": 16800}],
}


class Customers:
    """Some of them at once, each with one order after the other, until they are told to go home."""

    def __init__(self, settings: config.Settings, number: int = 4) -> None:
        self.answers: dict[str, set[str]] = defaultdict(set)
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self._address = f"http://{settings.api.host}:{settings.api.port}/v1/orders"
        self._token = token_of(settings)
        self._over = threading.Event()
        self._failures: list[Exception] = []
        self._threads = [threading.Thread(target=self._shop) for _ in range(number)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Everybody waits for the answer to what is on its way."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        for failure in self._failures:
            raise failure

    def served(self, orders: int, seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether so many more were placed in time."""
        goal = len(self.answers) + orders
        return eventually(lambda: len(self.answers) >= goal or self._failures, seconds) and not self._failures

    def _shop(self) -> None:
        try:
            with httpx2.Client(headers={"Authorization": f"Bearer {self._token}"}, timeout=30) as client:
                while not self._over.wait(PAUSE_SECONDS):
                    self._buy(client)
        except Exception as failure:  # noqa: BLE001 - raised again in the thread that ends it
            self._failures.append(failure)

    def _buy(self, client: httpx2.Client) -> None:
        request_id = uuid.uuid4().hex
        order_no = self._insist(client, "", request_id, ORDER | {"channel_order_no": request_id})
        self._insist(client, f"/{order_no}/pay", uuid.uuid4().hex, {})
        # Whoever asks for it again gets the very same order.
        self.answers[request_id] |= {
            order_no,
            self._insist(client, "", request_id, ORDER | {"channel_order_no": request_id}),
        }

    def _insist(self, client: httpx2.Client, path: str, request_id: str, body: dict[str, Any]) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = self._ask(client, path, request_id, body)
            if answer is not None and answer.status_code in ANSWERED:
                return str(answer.json()["order_no"])
            time.sleep(PAUSE_SECONDS)
        raise TimeoutError(f"{path or '/'} was never answered: {self.statuses}")

    def _ask(self, client: httpx2.Client, path: str, request_id: str, body: dict[str, Any]) -> httpx2.Response | None:
        began = time.monotonic()
        try:
            answer = client.post(f"{self._address}{path}", json=body, headers={"Idempotency-Key": request_id})
        except httpx2.TransportError:
            self.statuses[0] += 1
            return None
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[answer.status_code] += 1
        return answer


def token_of(settings: config.Settings) -> str:
    """A token that may do everything."""
    with wiring.hub_engine(settings, "test") as engine, writing(engine) as connection:
        return tokens.add(connection, uuid.uuid4().hex, Role.ADMIN)
