"""Back-fills on a real broker: who gets what, what a reader makes of it, and every way in which a run is cut short."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pika
import pytest
from sqlalchemy import Engine, select

from hub import clock, wiring
from hub.audit.verbs import listed as audited
from hub.bus.port import Delivery
from hub.cli import subscription_runs
from hub.database import reading, writing
from hub.subscriptions import gaps, runs, store
from hub.subscriptions.gaps import Why
from hub.subscriptions.runs import Run
from hub.tables import orders
from tests.nodes.ports import free_ports
from tests.running import Daemon
from tests.subscribed import Subscribers, merged, numbers, subscribers
from tests.support import eventually, settings

KILLED = -signal.SIGKILL
PATIENCE = 60


@pytest.fixture
def hub(engine: Engine, rabbit_url: str, tmp_path: Path) -> Subscribers:
    """A hub with an empty database, whose subscribers are on a broker."""
    return subscribers(engine, rabbit_url, tmp_path)


class TestWhoGetsWhat:
    def test_a_backfill_brings_every_order_as_it_stands_to_that_queue_alone(self, hub: Subscribers) -> None:
        hub.orders(30)
        hub.orders(20, "taobao", ("pay", "pick"))
        queue, other = hub.add(), hub.add("other")
        result = json.loads(hub.must("backfill", "finance", "--json"))
        assert (result["state"], result["sent"], result["seen"], result["total"]) == ("finished", 50, 50, 50)
        received = hub.received(queue)
        assert len(received) == 50
        assert merged(received) == hub.oms()
        assert hub.received(other) == []

    def test_a_snapshot_is_marked_and_says_under_which_key_the_event_goes_out(self, hub: Subscribers) -> None:
        (number,) = hub.orders(1, "taobao", ("pay",))
        queue = hub.add()
        hub.must("backfill", "finance")
        hub.must("backfill", "finance", "--again")
        first, again = hub.received(queue)
        assert first.routing_key == queue
        told = {name: first.headers[name] for name in ("hub_snapshot", "hub_routing_key", "cloudEvents_sequence")}
        assert told == {
            "hub_snapshot": "true",
            "hub_routing_key": "order.paid.taobao",
            "cloudEvents_sequence": "0000000002",
        }
        assert "hub_replay" not in first.headers
        assert first.headers["cloudEvents_subject"] == number
        assert first.message_id == again.message_id

    def test_only_orders_that_its_topics_take_are_sent(self, hub: Subscribers) -> None:
        paid, created = hub.orders(3, "jd", ("pay", "pick")), hub.orders(4, "jd")
        taobao, mini = hub.orders(5, "taobao"), hub.orders(6, "miniprogram", ("pay",))
        queue = hub.add(topics="order.paid.jd,order.*.taobao")
        hub.must("backfill", "finance")
        assert sorted(numbers(hub.received(queue))) == sorted(paid + taobao)
        assert not {*created, *mini} & {*paid, *taobao}

    def test_of_orders_that_are_named_those_are_sent_and_who_names_a_stranger_is_told(self, hub: Subscribers) -> None:
        every, queue = hub.orders(6), hub.add()
        (hub.machine.folder / "orders.txt").write_text("\n".join(every[3:5]) + "\n\n")
        hub.must("backfill", "finance", "--orders", f"{every[0]},{every[1]}")
        hub.must("backfill", "finance", "--orders-file", str(hub.machine.folder / "orders.txt"))
        refused = hub.typed("backfill", "finance", "--orders", f"{every[2]},SO-NONE")
        assert (refused.returncode, refused.stderr.strip()) == (
            4,
            "hub: the OMS has no order SO-NONE; nothing was sent",
        )
        assert sorted(numbers(hub.received(queue))) == [*every[:2], *every[3:5]]

    def test_since_a_moment_those_that_changed_since_are_sent(self, hub: Subscribers) -> None:
        early, late, moved = hub.orders(3), hub.orders(4, "taobao"), hub.orders(2, "pdd")
        hub.long_ago(early + moved, 3)
        hub.change(moved[0], "pay")
        queue = hub.add()
        foretold = hub.must("backfill", "finance", "--since", days_ago(1), "--dry-run")
        assert foretold.startswith("finance: backfill of 5 orders as they stand now")
        assert hub.depth(queue) == 0
        hub.must("backfill", "finance", "--since", days_ago(1))
        assert sorted(numbers(hub.received(queue))) == sorted([*late, moved[0]])


class TestCutShort:
    @pytest.mark.parametrize("place", ["subscription.sent", "subscription.saved"])
    def test_after_a_kill_the_same_words_go_on_and_repeat_one_batch_at_most(self, hub: Subscribers, place: str) -> None:
        hub.orders(60)
        queue = hub.add()
        small = hub.machine.given(HUB_SUBSCRIPTIONS__BATCH="10")
        killed = small.given(HUB_CRASH_AT=f"{place}:3").hub("subscription", "backfill", "finance")
        assert killed.returncode == KILLED
        done = hub.typed("backfill", "finance", HUB_SUBSCRIPTIONS__BATCH="10")
        assert done.returncode == 0, done.stderr
        behind = 20 if place == "subscription.sent" else 30
        assert f"going on with run {run_of(hub).id}: {behind} sent before" in done.stderr
        received = hub.received(queue)
        assert len(received) == 60 + (30 - behind)
        assert merged(received) == hub.oms()
        assert (run_of(hub).state, run_of(hub).sent) == ("finished", 60)

    def test_sigterm_ends_a_run_with_75_and_says_how_to_go_on(self, hub: Subscribers) -> None:
        hub.orders(40)
        queue = hub.add()
        with slowly(hub) as running:
            assert eventually(lambda: hub.depth(queue) >= 2, PATIENCE)
            assert running.terminate() == 75
            assert "the same command goes on there" in running.said()
        assert (run_of(hub).state, run_of(hub).said) == ("stopped", "interrupted")
        hub.must("backfill", "finance")
        received = hub.received(queue)
        assert (len(received), merged(received)) == (40, hub.oms())

    def test_somebody_else_stops_a_run_by_its_number(self, hub: Subscribers) -> None:
        hub.orders(40)
        queue = hub.add()
        with slowly(hub) as running:
            assert eventually(lambda: hub.depth(queue) >= 2, PATIENCE)
            hub.must("stop", str(run_of(hub).id), "--by", "li", "--why", "too early")
            assert running.ended() == 75
            assert "stopped by li" in running.said()
        again = hub.typed("stop", str(run_of(hub).id))
        assert (again.returncode, "is stopped already" in again.stderr) == (4, True)
        listed = json.loads(hub.must("runs", "finance", "-o", "json"))
        assert [(each["state"], each["asked"], each["said"]) for each in listed] == [
            ("stopped", "all orders", "stopped by li")
        ]
        with reading(hub.engine) as connection:
            verbs = [(row["verb"], row["subject"], row["reason"]) for row in audited(connection)]
        assert verbs == [("subscription.stop", "finance", "too early"), ("subscription.backfill", "finance", None)]

    @pytest.mark.parametrize(
        ("verb", "said"),
        [
            (("change", "finance", "--topics", "order.*.taobao"), "the topics of finance were changed"),
            (("remove", "finance", "--yes"), "finance was removed"),
        ],
    )
    def test_a_run_on_terms_that_are_no_more_stops(self, hub: Subscribers, verb: tuple[str, ...], said: str) -> None:
        hub.orders(40)
        queue = hub.add()
        with slowly(hub) as running:
            assert eventually(lambda: hub.depth(queue) >= 2, PATIENCE)
            hub.must(*verb)
            assert running.ended() == 75
            assert said in running.said()
        assert (run_of(hub).state, run_of(hub).said) == ("stopped", said)

    def test_while_one_run_goes_no_other_begins_for_this_subscription(self, hub: Subscribers) -> None:
        hub.orders(40)
        queue, other = hub.add(), hub.add("other")
        with slowly(hub):
            assert eventually(lambda: hub.depth(queue) >= 1, PATIENCE)
            second = hub.typed("replay", "finance", "--from", days_ago(1))
            assert second.returncode == 4
            assert "another process sends to finance" in second.stderr
            hub.must("backfill", "other")
        assert len(hub.received(other)) == 40

    def test_other_words_begin_another_run_and_again_begins_anew(self, hub: Subscribers) -> None:
        hub.orders(6)
        queue = hub.add()
        small = hub.machine.given(HUB_SUBSCRIPTIONS__BATCH="2", HUB_CRASH_AT="subscription.saved")
        assert small.hub("subscription", "backfill", "finance").returncode == KILLED
        since = json.loads(hub.must("backfill", "finance", "--since", days_ago(1), "--json"))
        anew = json.loads(hub.must("backfill", "finance", "--again", "--json"))
        assert (since["sent"], anew["sent"]) == (6, 6)
        with reading(hub.engine) as connection:
            states = [(run.id, run.state, run.said) for run in runs.listed(connection, "finance")]
        assert [each[1:] for each in states] == [
            ("finished", None),
            ("finished", None),
            ("stopped", "its process ended"),
        ]
        assert len(hub.received(queue)) == 14

    def test_without_a_broker_it_ends_with_69_and_goes_on_once_there_is_one(self, hub: Subscribers) -> None:
        hub.orders(5)
        queue = hub.add()
        nowhere = f"amqp://guest:guest@127.0.0.1:{free_ports(1)[0]}/"
        down = hub.typed("backfill", "finance", HUB_BUS__URL=nowhere)
        assert down.returncode == 69
        assert "0 of 5 done: the same command goes on there" in down.stderr
        back = hub.typed("backfill", "finance")
        assert (back.returncode, "going on with run" in back.stderr) == (0, True)
        assert len(hub.received(queue)) == 5

    @pytest.mark.parametrize("lost", ["queue", "binding"])
    def test_a_queue_that_cannot_be_reached_is_named(self, hub: Subscribers, lost: str) -> None:
        hub.orders(5)
        queue = hub.add()
        with closing(pika.BlockingConnection(pika.URLParameters(hub.bus_url))) as connection:
            channel = connection.channel()
            if lost == "queue":
                channel.queue_delete(queue)
            else:
                channel.queue_unbind(queue, "oms.replay", queue)
        done = hub.typed("backfill", "finance")
        assert done.returncode == 69
        assert f"queue {queue} is not at the broker, or not bound to oms.replay" in done.stderr
        assert run_of(hub).sent == 0


class TestRoom:
    def test_a_queue_is_never_filled_beyond_the_half_and_a_slow_reader_gets_all(self, hub: Subscribers) -> None:
        hub.orders(60)
        queue = hub.add(max_length=20)
        depths, received = list[int](), list[Delivery]()
        with (
            hub.machine.daemon("subscription", "backfill", "finance") as running,
            wiring.bus_of(
                settings(HUB_BUS__URL=hub.bus_url, HUB_BUS__PREFETCH="1", HUB_CONSUMER__RECEIVE_BATCH="1"), "test"
            ) as bus,
            closing(bus.publisher()) as look,
        ):
            assert eventually(lambda: look.depth(queue) == 10, PATIENCE)
            with closing(bus.subscribe(queue)) as reader:
                while len(received) < 60 and (running.alive or look.depth(queue)):
                    batch = reader.receive(1, 0.2)
                    depths.append(look.depth(queue))
                    reader.ack(batch)
                    received += batch
            assert running.ended() == 0
        assert (len(received), merged(received)) == (60, hub.oms())
        assert max(depths) <= 10

    def test_it_says_that_it_waits_and_live_events_keep_their_room(self, hub: Subscribers) -> None:
        hub.orders(10)
        queue = hub.add(max_length=20)
        hub.fill(queue, 12)
        with hub.machine.daemon("subscription", "backfill", "finance") as running:
            assert eventually(lambda: "waits for the reader: 12 messages are in its queue" in running.said(), PATIENCE)
            assert hub.depth(queue) == 12
            hub.received(queue, 12)
            assert running.ended() == 0
        assert len(hub.received(queue)) == 10


class TestSample:
    @pytest.mark.parametrize("language", ["python", "node"])
    def test_a_program_is_given_out_with_how_to_start_it(self, hub: Subscribers, language: str) -> None:
        hub.add()
        done = hub.typed("sample", "finance", "--language", language)
        assert done.stdout == subscription_runs.text_of(language)
        assert "QUEUE=sub.finance MAJOR=1 STATE=" in done.stderr


class TestRefused:
    def test_a_subscription_that_is_paused_is_sent_nothing(self, hub: Subscribers) -> None:
        hub.orders(1)
        queue = hub.add()
        with writing(hub.engine) as connection:
            store.change(connection, "finance", state=store.State.PAUSED)
        done = hub.typed("backfill", "finance")
        assert (done.returncode, "hub subscription resume finance" in done.stderr) == (4, True)
        assert hub.depth(queue) == 0

    def test_the_embedded_bus_has_no_subscriptions(self, hub: Subscribers) -> None:
        for words in (["backfill", "x"], ["replay", "x", "--missed"], ["runs"], ["stop", "1"], ["sample", "x"]):
            done = hub.typed(*words, HUB_BUS__URL="embedded:///bus.db")
            assert (done.returncode, "the embedded bus is a file of this machine" in done.stderr) == (4, True)

    def test_a_rate_without_an_end_is_refused(self, hub: Subscribers) -> None:
        hub.add()
        done = hub.typed("backfill", "finance", "--rate", "inf")
        assert (done.returncode, "--rate: inf" in done.stderr) == (65, True)

    def test_a_name_that_nobody_has_is_not_found(self, hub: Subscribers) -> None:
        done = hub.typed("backfill", "nobody")
        assert (done.returncode, "there is no subscription nobody" in done.stderr) == (4, True)

    def test_an_order_whose_rows_contradict_each_other_is_named_and_all_others_are_sent(self, hub: Subscribers) -> None:
        spoilt, *whole = hub.orders(5)
        queue = hub.add()
        with writing(hub.engine) as connection:
            before = connection.execute(select(orders.c.total).where(orders.c.order_no == spoilt)).scalar_one()
            connection.execute(orders.update().where(orders.c.order_no == spoilt).values(total=1))
            gaps.lose(connection, "finance", Why.FULL, [clock.utcnow()])
        done = hub.typed("backfill", "finance", "--json")
        assert (done.returncode, spoilt in done.stderr) == (65, True)
        assert json.loads(done.stdout)["left_out"] == [spoilt]
        assert "1 gaps stay open" in done.stderr
        assert sorted(numbers(hub.received(queue))) == whole
        with writing(hub.engine) as connection:
            assert len(gaps.open_gaps(connection, "finance")) == 1
            connection.execute(orders.update().where(orders.c.order_no == spoilt).values(total=before))
        assert json.loads(hub.must("backfill", "finance", "--json"))["repaired_gaps"] == 1


def run_of(hub: Subscribers) -> Run:
    """The newest run."""
    with reading(hub.engine) as connection:
        return runs.listed(connection)[0]


def days_ago(days: float) -> str:
    return (clock.utcnow() - timedelta(days=days)).isoformat(timespec="seconds")


@contextmanager
def slowly(hub: Subscribers) -> Iterator[Daemon]:
    """A back-fill that takes its time."""
    with hub.machine.daemon("subscription", "backfill", "finance", "--rate", "2") as running:
        yield running
