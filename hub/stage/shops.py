"""Five shops that push orders over HTTP, with a token each, and a warehouse that picks and ships them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

CHANNELS = ("taobao", "jd", "pdd", "youzan", "miniprogram")
GOODS = (
    ("TEA-250", "明前龙井 250g", 16800),
    ("CUP-BLUE", "青花盖碗", 8900),
    ("LAMP-03", "北欧落地灯", 25900),
    ("SOCKS-M", "纯棉短袜 五双装", 2990),
    ("RICE-5KG", "五常大米 5kg", 6980),
    ("PHONE-CASE", "手机壳 透明", 1500),
)
PUSHERS = 8


@dataclass(frozen=True)
class Push:
    """One request: it may be sent again, and then carries the same id."""

    path: str
    token: str
    request_id: str
    body: dict[str, Any]


class Shops:
    """What the outside world sends to the OMS. With patience, a request without a clear answer is sent again."""

    def __init__(self, address: str, tokens: dict[str, str], seed: int = 7, patience_seconds: float = 0) -> None:
        self._tokens = tokens
        self._patience = patience_seconds
        self._random = random.Random(seed)  # noqa: S311 - goods and quantities of a story
        self._client = httpx2.Client(base_url=address, timeout=httpx2.Timeout(30, connect=5))

    def place(self, numbers: Iterable[int]) -> tuple[list[Push], list[str]]:
        """Push new orders; the requests as they were sent, and the order numbers that came back."""
        pushes = [self._order(number) for number in numbers]
        return pushes, [str(answer["order_no"]) for answer in self.push(pushes)]

    def move(self, verb: str, order_numbers: Iterable[str]) -> None:
        """Carry out a verb on each order: shops pay and complete, the warehouse picks and ships."""
        actor = "warehouse" if verb in ("pick", "ship") else "shops"
        self.push(Push(f"/v1/orders/{number}/{verb}", actor, f"{verb}-{number}", {}) for number in order_numbers)

    def push(self, pushes: Iterable[Push]) -> list[dict[str, Any]]:
        """Send requests, several at a time; any refusal ends the demo with its reason."""
        with ThreadPoolExecutor(PUSHERS) as pool:
            return list(pool.map(self._send, pushes))

    def replayed(self, pushes: Iterable[Push]) -> int:
        """Send requests once more; how many were answered from memory."""
        with ThreadPoolExecutor(PUSHERS) as pool:
            answers: Callable[[Push], httpx2.Response] = self._post
            return sum(answer.headers["Idempotency-Replayed"] == "true" for answer in pool.map(answers, pushes))

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _send(self, push: Push) -> dict[str, Any]:
        again = Retrying(
            retry=retry_if_exception(_unclear),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(0.1, 1),
            reraise=True,
        )
        found: dict[str, Any] = again(self._post, push).json()
        return found

    def _post(self, push: Push) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._tokens[push.token]}", "Idempotency-Key": push.request_id}
        return self._client.post(push.path, json=push.body, headers=headers).raise_for_status()

    def _order(self, number: int) -> Push:
        goods = self._random.sample(GOODS, self._random.randint(1, 3))
        lines = [
            {"sku": sku, "name": name, "quantity": self._random.randint(1, 4), "unit_price": price}
            for sku, name, price in goods
        ]
        body = {
            "channel": CHANNELS[number % len(CHANNELS)],
            "channel_order_no": f"{20261100000 + number}",
            "customer_id": f"C{number % 37:04d}",
            "vip": number % 11 == 0,
            "warehouse": "HZ-01",
            "receiver": {"name": "演示客户", "phone": "13800000000", "city": "杭州市", "address": "文一西路 1 号"},
            "lines": lines,
        }
        return Push("/v1/orders", "shops", f"place-{number}", body)


def _unclear(error: BaseException) -> bool:
    """Whether nobody knows if a request was carried out, or it will be in a moment."""
    if isinstance(error, httpx2.HTTPStatusError):
        refused = error.response
        return refused.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR or "Retry-After" in refused.headers
    return isinstance(error, httpx2.TransportError)
