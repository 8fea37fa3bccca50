"""What subscribers' queues let go is counted, told and shown; on a private broker, beside both databases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import pika
import pytest
from prometheus_client import REGISTRY, generate_latest
from pydantic import SecretStr
from sqlalchemy import Engine, select, update

from hub import clock, groups
from hub.bus.port import Fate, Message
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.rabbit.management import Management
from hub.bus.topology import outside, subscription_arguments, subscription_queue
from hub.database import in_seconds, reading, writing
from hub.errors import BusLost
from hub.metrics import LOST
from hub.night_tables import notices
from hub.notify.queue import deliver
from hub.simulators.robots import Rules
from hub.simulators.robots_server import RobotsServer
from hub.subscription_tables import subscription_gaps, subscription_looks, subscriptions
from hub.subscriptions import gaps, store
from hub.subscriptions.alarms import Terms
from hub.subscriptions.asking import Ask, by_api, over_amqp
from hub.subscriptions.dropped import REASONS
from hub.subscriptions.gaps import Gap, Why
from hub.subscriptions.looking import Looker, Policy
from hub.subscriptions.looks import Standing
from hub.subscriptions.watch import Watch
from hub.subscriptions.words import Voice
from hub.tables import outbox_archive
from hub.wiring import topology_of
from tests.builders import make_body, make_order, make_pending
from tests.nodes.rabbitmq import RabbitNode
from tests.running import series
from tests.subscribing import broker_settings
from tests.support import count, eventually, hold, settings

ARCHIVED = ("id", "event_id", "order_no", "version", "type", "routing_key", "traceparent", "body", "occurred_at")
START = datetime(2026, 3, 1, tzinfo=UTC)
THERE = outside()
NAME, MOST = "finance", 100


@pytest.fixture
def broker(rabbit_url: str) -> Iterator[RabbitBus]:
    """The whole topology, and nothing in it."""
    given = settings(HUB_BUS__URL=rabbit_url)
    with RabbitBus(given, "test") as bus:
        bus.declare(topology_of(given))
        yield bus


@pytest.fixture
def robots() -> Iterator[RobotsServer]:
    """Robots that take everything."""
    with RobotsServer(Rules(token="t", key="k", secret="SECs")) as server:
        yield server


def subscribe(
    engine: Engine, url: str, name: str = NAME, topics: str = "order.#", most: int = MOST, **more: Any
) -> None:
    """A subscription with its queue, as `hub subscription add` makes it."""
    queue = subscription_queue(name)
    with channel_of(url) as channel:
        channel.queue_declare(queue, durable=True, arguments=subscription_arguments(THERE, most, 10_000_000) | more)
        for topic in topics.split(","):
            channel.queue_bind(queue, "oms.events", topic)
    values = {"name": name, "topics": topics, "major": 1, "queue": queue, "state": "active", "max_length": most}
    rest = {"max_bytes": 10_000_000, "secret_hash": "", "contact": "Wang Wu, 8899", "created_by": "tests"}
    with writing(engine) as connection:
        store.add(connection, values | rest)


def publish(bus: RabbitBus, numbers: range, key: str = "order.paid.jd") -> None:
    """Events that the OMS recorded one second after the other; every one is confirmed."""
    messages = [Message(f"event-{n}", key, body_of(n)) for n in numbers]
    with closing(bus.publisher()) as publisher:
        assert set(publisher.publish(messages)) == {Fate.CONFIRMED}


def body_of(number: int) -> bytes:
    """An event of its own order, recorded that many seconds after the start."""
    order = make_order(order_no=f"SO-{number}", channel_order_no=f"JD-{number}")
    return make_body(order=order, recordedtime=at(number))


def at(number: int) -> datetime:
    """When the OMS recorded an event."""
    return START + timedelta(seconds=number)


@contextmanager
def channel_of(url: str) -> Iterator[Any]:
    """A subscriber's own program."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    with closing(connection):
        yield connection.channel()


def terms_of(robots: RobotsServer | None = None, behind_seconds: float = 3600, locale: str = "en") -> Terms:
    """Who is told, and how."""
    dingtalk = groups.DingTalkRobot(url=SecretStr(robots.dingtalk_url), secret=SecretStr("SECs")) if robots else None
    notify = groups.Notify(dingtalk=dingtalk) if dingtalk else groups.Notify()
    return Terms(behind_seconds, 30, Voice(locale, "Asia/Shanghai"), notify)


@contextmanager
def watch_on(engine: Engine, bus: RabbitBus, terms: Terms | None = None, ask: Ask | None = None) -> Iterator[Watch]:
    """A watcher that looks at each step."""
    policy = Policy(0.001, terms or terms_of())
    looker = Looker(engine, THERE.dropped_queue, ask or over_amqp(bus), policy)
    watch = Watch(engine, bus, THERE.dropped_queue, looker)
    try:
        yield watch
    finally:
        watch.close()


def missing(engine: Engine, name: str = NAME) -> list[Gap]:
    """Open gaps."""
    with reading(engine) as connection:
        return gaps.open_gaps(connection, name)


def lost(engine: Engine, name: str = NAME) -> dict[str, tuple[int, datetime, datetime | None]]:
    """Messages, first and last moment of each open gap, by its reason."""
    return {gap.why: (gap.messages, gap.from_at, gap.until_at) for gap in missing(engine, name)}


def counted(engine: Engine, watch: Watch, messages: int, seconds: float = 20, name: str = NAME) -> bool:
    """Let the watcher step until so many are counted."""

    def enough() -> bool:
        watch.step()
        return sum(gap.messages for gap in missing(engine, name)) >= messages

    return eventually(enough, seconds)


class TestCounting:
    def test_what_a_full_queue_let_go_is_counted_to_the_last_message(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(500))
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 400)
            watch.step()
        assert lost(engine) == {"full": (400, at(0), at(399))}
        assert broker.waiting([subscription_queue(NAME), THERE.dropped_queue]) == {
            subscription_queue(NAME): (100, 0),
            THERE.dropped_queue: (0, 0),
        }

    def test_what_is_lost_later_lets_the_same_gap_grow(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(150))
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 50)
            first = missing(engine)[0].id
            publish(broker, range(150, 250))
            assert counted(engine, watch, 150)
        assert [gap.id for gap in missing(engine)] == [first]
        assert lost(engine) == {"full": (150, at(0), at(149))}

    def test_once_a_gap_is_repaired_another_begins(self, engine: Engine, broker: RabbitBus, rabbit_url: str) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(150))
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 50)
            with writing(engine) as connection:
                gaps.repaired(connection, [gap.id for gap in missing(engine)], 1)
            publish(broker, range(150, 160))
            assert counted(engine, watch, 10)
        assert lost(engine) == {"full": (10, at(50), at(59))}

    def test_what_a_reader_rejects_is_counted_as_rejected(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(3))
        with channel_of(rabbit_url) as channel:
            method, _properties, _body = channel.basic_get(subscription_queue(NAME))
            channel.basic_reject(method.delivery_tag, requeue=False)
            with watch_on(engine, broker) as watch:
                assert counted(engine, watch, 1)
        assert lost(engine) == {"rejected": (1, at(0), at(0))}

    def test_what_was_delivered_too_often_is_counted_as_worn_out(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url, **{"x-delivery-limit": 2})
        publish(broker, range(1))
        for _ in range(3):
            with channel_of(rabbit_url) as channel:
                assert eventually(lambda channel=channel: channel.basic_get(subscription_queue(NAME))[0])
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 1)
        assert lost(engine) == {"worn_out": (1, at(0), at(0))}

    def test_what_waited_for_longer_than_the_broker_allows_is_counted_as_expired(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url, **{"x-message-ttl": 1})
        publish(broker, range(5))
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 5)
        assert lost(engine) == {"expired": (5, at(0), at(4))}

    def test_each_subscription_has_its_own_count(self, engine: Engine, broker: RabbitBus, rabbit_url: str) -> None:
        subscribe(engine, rabbit_url)
        subscribe(engine, rabbit_url, "analytics", "order.paid.*", most=10)
        publish(broker, range(50))
        publish(broker, range(50, 150), key="order.shipped.jd")
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 50)
            watch.step()
        assert lost(engine) == {"full": (50, at(0), at(49))}
        assert lost(engine, "analytics") == {"full": (40, at(0), at(39))}

    def test_bytes_that_are_no_event_count_as_of_now(self, engine: Engine, broker: RabbitBus, rabbit_url: str) -> None:
        subscribe(engine, rabbit_url, most=1)
        before = clock.utcnow() - timedelta(seconds=5)
        with closing(broker.publisher()) as publisher:
            publisher.publish([Message("m-1", "order.paid.jd", b"\xff"), Message("m-2", "order.paid.jd", b"{}")])
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 1)
        (gap,) = missing(engine)
        assert gap.from_at > before

    def test_two_watchers_together_count_each_message_once(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        with watch_on(engine, broker) as one, watch_on(engine, broker) as other:
            one.step()
            other.step()
            publish(broker, range(900))

            def enough() -> bool:
                one.step()
                other.step()
                return sum(gap.messages for gap in missing(engine)) >= 800

            assert eventually(enough, 20)
        assert lost(engine) == {"full": (800, at(0), at(799))}

    def test_who_dies_between_counting_and_settling_counts_that_batch_once_more(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(150))
        with watch_on(engine, broker) as watch, closing(broker.subscribe(THERE.dropped_queue)) as queue:
            watch._count(hold(queue, 50))
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 100)
        assert lost(engine) == {"full": (100, at(0), at(49))}

    def test_what_a_removed_subscription_lost_is_settled_and_forgotten(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(150))
        with writing(engine) as connection:
            store.remove(connection, NAME)
        with watch_on(engine, broker) as watch:
            assert eventually(lambda: not watch.step() and broker.waiting([THERE.dropped_queue])["q.dropped"][0] == 0)
        assert missing(engine) == []

    def test_one_that_is_added_again_under_an_old_name_has_missed_nothing(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(150))
        with watch_on(engine, broker) as watch:
            assert counted(engine, watch, 50)
        with writing(engine) as connection:
            store.remove(connection, NAME)
        subscribe(engine, rabbit_url)
        assert missing(engine) == []


class TestLooking:
    def test_shows_what_waits_and_since_when(self, engine: Engine, broker: RabbitBus, rabbit_url: str) -> None:
        subscribe(engine, rabbit_url)
        archived(engine, [ago(900 - 10 * n) for n in range(60)])
        publish(broker, range(20))
        seen = looked(engine, broker)
        assert (seen["ready"], seen["unacked"], seen["consumers"]) == (20, None, 0)
        # The oldest of twenty that wait is the twentieth newest.
        assert seen["oldest_at"] == recorded(engine, 40)

    def test_is_older_where_more_waits(self, engine: Engine, broker: RabbitBus, rabbit_url: str) -> None:
        subscribe(engine, rabbit_url)
        archived(engine, [ago(900 - 10 * n) for n in range(60)])
        publish(broker, range(50))
        assert looked(engine, broker)["oldest_at"] == recorded(engine, 10)

    def test_a_pause_of_one_that_had_this_name_before_hides_nothing(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        with writing(engine) as connection:
            gaps.pause(connection, NAME)
            connection.execute(update(subscription_gaps).values(recorded_at=ago(200_000)))
        archived(engine, [ago(900 - 10 * n) for n in range(60)])
        publish(broker, range(20))
        assert looked(engine, broker)["oldest_at"] == recorded(engine, 40)

    def test_an_empty_queue_has_no_age_and_what_comes_next_is_no_older_than_that(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        archived(engine, [ago(900)])
        with watch_on(engine, broker) as watch:
            watch.step()
            assert look_at(engine)["oldest_at"] is None
            publish(broker, range(1))
            watch.step()
            seen = look_at(engine)
        # The event is not in the archive yet; the one that is has been read long ago.
        assert (seen["looked_at"] - seen["oldest_at"]).total_seconds() < 60

    def test_by_the_management_api_knows_what_is_not_settled_and_when_anything_last_was(
        self, engine: Engine, rabbit_node: RabbitNode, rabbit_url: str
    ) -> None:
        given = broker_settings(rabbit_node, rabbit_url)
        with RabbitBus(given, "test") as bus, Management(given) as management:
            bus.declare(topology_of(given))
            subscribe(engine, rabbit_url)
            ask = by_api(management, bus, THERE.subscriptions)
            publish(bus, range(5))
            with watch_on(engine, bus, ask=ask) as watch, channel_of(rabbit_url) as channel:
                method, _properties, _body = channel.basic_get(subscription_queue(NAME))
                assert seen_by(engine, watch, ready=4, unacked=1)
                assert look_at(engine)["consumed_at"] is None
                channel.basic_ack(method.delivery_tag)
                assert seen_by(engine, watch, ready=4, unacked=0, acked=1)
                consumed = look_at(engine)["consumed_at"]
                assert consumed is not None
                watch.step()
                assert look_at(engine)["consumed_at"] == consumed

    def test_a_broker_that_cannot_be_asked_keeps_nobody_from_counting(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(150))

        def nobody(_queues: Sequence[str]) -> dict[str, Standing]:
            raise BusLost("nobody answers")

        with watch_on(engine, broker, ask=nobody) as watch:
            assert counted(engine, watch, 50)
        assert count(engine, subscription_looks) == 0

    def test_where_more_was_let_go_than_can_be_counted_a_gap_says_so(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        subscribe(engine, rabbit_url, "calm")
        with watch_on(engine, broker, ask=standing({NAME: 100, "calm": 3})) as watch:
            watch.step()
        before = look_at(engine)["oldest_at"]
        with watch_on(engine, broker, ask=standing({NAME: 100, "calm": 3}, dropped=95_000)) as watch:
            watch.step()
        (gap,) = missing(engine)
        assert (gap.why, gap.messages, gap.from_at) == (Why.UNCOUNTED, 0, before)
        assert missing(engine, "calm") == []

    def test_it_hurries_where_room_runs_out_and_where_no_more_comes(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        depths = iter((100, 5000, 20_000, 45_000, 39_000, 500, 0))

        def ask(_queues: Sequence[str]) -> dict[str, Standing]:
            return {THERE.dropped_queue: Standing(ready=next(depths))}

        with watch_on(engine, broker, ask=ask) as watch:
            assert [watch.step() for _ in range(7)] == [False, False, False, True, True, True, False]

    def test_who_was_not_looked_at_for_long_is_not_taken_for_calm(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        subscribe(engine, rabbit_url)
        with watch_on(engine, broker, ask=standing({NAME: 3})) as watch:
            watch.step()
        with writing(engine) as connection:
            connection.execute(update(subscription_looks).values(looked_at=in_seconds(-3600)))
        with watch_on(engine, broker, ask=standing({NAME: 3}, dropped=95_000)) as watch:
            watch.step()
        assert [gap.why for gap in missing(engine)] == [Why.UNCOUNTED]


class TestTelling:
    def test_one_card_tells_of_a_gap_however_long_it_grows(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str, robots: RobotsServer
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(500))
        with watch_on(engine, broker, terms_of(robots)) as watch:
            assert counted(engine, watch, 400)
            watch.step()
            publish(broker, range(500, 600))
            assert counted(engine, watch, 500)
            watch.step()
        (card,) = told(engine, robots, terms_of(robots))
        assert "finance" in card
        assert "Wang Wu, 8899" in card
        assert "hub subscription" in card

    def test_who_is_whole_again_is_told_once(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str, robots: RobotsServer
    ) -> None:
        subscribe(engine, rabbit_url)
        publish(broker, range(150))
        with watch_on(engine, broker, terms_of(robots)) as watch:
            assert counted(engine, watch, 50)
            watch.step()
            with writing(engine) as connection:
                gaps.repaired(connection, [gap.id for gap in missing(engine)], 1)
            for _ in range(3):
                watch.step()
        assert kinds(engine) == ["gap", "whole"]

    def test_who_is_behind_is_told_once_and_once_when_it_is_not(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str, robots: RobotsServer
    ) -> None:
        terms = terms_of(robots, behind_seconds=600)
        subscribe(engine, rabbit_url)
        archived(engine, [ago(900 - 10 * n) for n in range(60)])
        publish(broker, range(60))
        with watch_on(engine, broker, terms) as watch:
            for _ in range(3):
                watch.step()
            assert kinds(engine) == ["behind"]
            with channel_of(rabbit_url) as channel:
                channel.queue_purge(subscription_queue(NAME))
            assert seen_by(engine, watch, ready=0)
            watch.step()
        assert kinds(engine) == ["behind", "whole"]
        assert len(told(engine, robots, terms)) == 2

    def test_what_was_told_of_one_that_had_this_name_before_does_not_keep_anything_silent(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str, robots: RobotsServer
    ) -> None:
        subscribe(engine, rabbit_url)
        archived(engine, [ago(900 - 10 * n) for n in range(60)])
        publish(broker, range(60))
        with watch_on(engine, broker, terms_of(robots, behind_seconds=600)) as watch:
            watch.step()
            with writing(engine) as connection:
                old = {"key": f"subscription/{NAME}/behind/20250101T000000", "recorded_at": ago(200_000)}
                connection.execute(update(notices).values(old))
            watch.step()
        assert kinds(engine) == ["behind", "behind"]

    def test_two_watchers_tell_once(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str, robots: RobotsServer
    ) -> None:
        terms = terms_of(robots)
        subscribe(engine, rabbit_url)
        publish(broker, range(150))
        with watch_on(engine, broker, terms) as one, watch_on(engine, broker, terms) as other:
            assert counted(engine, one, 50)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda watch: [watch.step() for _ in range(3)], (one, other)))
        assert kinds(engine) == ["gap"]


class TestShowing:
    def test_every_series_is_there_from_the_start_and_leaves_with_the_subscription(
        self, engine: Engine, broker: RabbitBus, rabbit_url: str
    ) -> None:
        name = f"shown-{engine.dialect.name}"
        subscribe(engine, rabbit_url, name)
        with watch_on(engine, broker) as watch:
            watch.step()
            assert {name: value for name, value in shown(name).items() if not isnan(value)} == {
                f'hub_subscription_ready{{subscription="{name}"}}': 0,
                f'hub_subscription_consumers{{subscription="{name}"}}': 0,
                f'hub_subscription_oldest_age_seconds{{subscription="{name}"}}': 0,
                f'hub_subscription_last_consumed_timestamp_seconds{{subscription="{name}"}}': 0,
                f'hub_subscription_gaps_open{{subscription="{name}"}}': 0,
            } | {f'hub_subscription_dropped_total{{subscription="{name}",why="{why}"}}': 0 for why in LOST}
            assert isnan(shown(name)[f'hub_subscription_unacked{{subscription="{name}"}}'])
            publish(broker, range(150))
            assert counted(engine, watch, 50, name=name)
            watch.step()
            assert shown(name)[f'hub_subscription_dropped_total{{subscription="{name}",why="full"}}'] == 50
            assert shown(name)[f'hub_subscription_gaps_open{{subscription="{name}"}}'] == 1
            with writing(engine) as connection:
                store.remove(connection, name)
            watch.step()
        assert shown(name) == {}

    def test_the_reasons_of_the_metric_are_those_that_can_be_counted(self) -> None:
        assert set(LOST) == {*REASONS.values()}


def archived(engine: Engine, moments: Sequence[datetime]) -> None:
    """Events that were published a second after the OMS had recorded them, and the subscription is older than all."""
    with writing(engine) as connection:
        connection.execute(update(subscriptions).values(recorded_at=ago(100_000)))
        for number, moment in enumerate(moments, start=1):
            event = make_pending(id=number, order_no=f"SO-{number}", event_id=f"event-{number}")
            row = {name: getattr(event, name) for name in ARCHIVED}
            times = {"recorded_at": moment, "published_at": moment + timedelta(seconds=1)}
            connection.execute(outbox_archive.insert().values(row | times | {"slot": 0}))


def recorded(engine: Engine, row: int) -> datetime:
    """When the OMS recorded a row of the archive, the oldest being 0."""
    query = select(outbox_archive.c.recorded_at).order_by(outbox_archive.c.id).offset(row).limit(1)
    with reading(engine) as connection:
        return connection.execute(query).scalar_one()


def ago(seconds: float) -> datetime:
    """A moment before now."""
    return clock.utcnow() - timedelta(seconds=seconds)


def looked(engine: Engine, bus: RabbitBus) -> dict[str, Any]:
    """What one look of a watcher sees."""
    with watch_on(engine, bus) as watch:
        watch.step()
    return look_at(engine)


def look_at(engine: Engine, name: str = NAME) -> dict[str, Any]:
    """The last look."""
    with reading(engine) as connection:
        row = connection.execute(select(subscription_looks).where(subscription_looks.c.subscription == name))
        return dict(row.mappings().one())


def seen_by(engine: Engine, watch: Watch, **wanted: int) -> bool:
    """Whether a look says so; the broker's own figures come late."""

    def right() -> bool:
        watch.step()
        seen = look_at(engine)
        return {name: seen[name] for name in wanted} == wanted

    return eventually(right, 30)


def standing(ready: dict[str, int], dropped: int = 0) -> Ask:
    """A broker that says so."""
    told = {subscription_queue(name): Standing(ready=number, consumers=0) for name, number in ready.items()}
    return lambda _queues: told | {THERE.dropped_queue: Standing(ready=dropped)}


def told(engine: Engine, robots: RobotsServer, terms: Terms) -> list[str]:
    """The texts that people see."""
    deliver(engine, terms.notify, clock.monotonic() + 30)
    return [json.dumps(entry, ensure_ascii=False) for entry in robots.robots.journal()]


def kinds(engine: Engine) -> list[str]:
    """What was announced, in order."""
    query = select(notices.c.key).order_by(notices.c.recorded_at)
    with reading(engine) as connection:
        return [key.split("/")[2] for key in connection.execute(query).scalars()]


def shown(subscription: str) -> dict[str, float]:
    """Every series of a subscription in this process."""
    text = generate_latest(REGISTRY).decode()
    return {
        name: value
        for name, value in series(text).items()
        if f'subscription="{subscription}"' in name and not re.search(r"_created\{", name)
    }
