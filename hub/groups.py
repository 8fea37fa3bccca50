"""Groups of settings: frozen, typed, each with its default. `hub.config` puts them together and reads them."""

from __future__ import annotations

import ipaddress
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, create_model

Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]


class Group(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class Database(Group):
    """Where a database is and how patient the hub is with it."""

    url: Annotated[
        SecretStr | None, Field(description="`postgresql://user:password@host/database` or `sqlite:///path`")
    ] = None
    schema_name: Annotated[Name | None, Field(description="PostgreSQL schema, made on upgrade")] = None
    pool_size: Annotated[int, Field(ge=1, le=100, description="connections that a process keeps")] = 5
    statement_seconds: Annotated[Seconds, Field(description="longest statement; the database ends a longer one")] = 30
    lock_seconds: Annotated[Seconds, Field(description="longest wait for a lock")] = 10


class Bus(Group):
    """Where the bus is: `amqp://user:password@host1,host2/vhost` or `embedded:///path/to/bus.db`."""

    url: Annotated[
        SecretStr | None, Field(description="`amqps://user:password@host1,host2/vhost` or `embedded:///path`")
    ] = None
    management_url: Annotated[
        SecretStr | None,
        Field(description="RabbitMQ's management HTTP API, `http://administrator:password@host:15672`"),
    ] = None
    tls_ca: Annotated[
        Path | None,
        Field(description="certificates (PEM) to trust for amqps:// and https:// in the place of the usual ones"),
    ] = None
    tls_cert: Annotated[Path | None, Field(description="our certificate (PEM), where the broker asks for one")] = None
    tls_key: Annotated[Path | None, Field(description="its key (PEM, without a password)")] = None
    tls_name: Annotated[
        str | None, Field(min_length=1, description="the name in the broker's certificate, where it is not its host's")
    ] = None
    prefix: Annotated[
        str,
        Field(
            pattern=r"^([a-z0-9][a-z0-9_-]*\.)?$",
            max_length=32,
            description="of the names of exchanges and queues, where two hubs share a broker: `blue.`",
        ),
    ] = ""
    heartbeat_seconds: Annotated[
        int, Field(ge=5, le=60, description="after two without a sign of life the connection counts as lost")
    ] = 15
    connect_seconds: Annotated[
        float, Field(gt=0, le=6, description="patience with connecting; a daemon must end within 10 s")
    ] = 5
    blocked_seconds: Annotated[
        Seconds, Field(description="longest wait while the broker takes nothing: memory or disk alarm")
    ] = 30
    confirm_seconds: Annotated[float, Field(gt=0, description="longest wait for the confirm of a published event")] = 15
    prefetch: Annotated[
        int, Field(ge=1, le=2000, description="events that a consumer is given before it has settled any")
    ] = 1000
    ack_seconds: Annotated[
        float, Field(gt=0, description="the broker's own consumer_timeout: what is not settled by then is taken away")
    ] = 1800


class Subscriptions(Group):
    """What subscribers of other companies and teams are given, and how they are looked after."""

    max_length: Annotated[int, Field(ge=1, description="messages that wait for a subscriber; then the oldest go")] = (
        100_000
    )
    max_bytes: Annotated[int, Field(ge=1024, description="bytes that wait for a subscriber; then the oldest go")] = (
        256 * 1024 * 1024
    )
    rate_per_second: Annotated[float, Field(gt=0, description="messages of a back-fill or replay")] = 200
    batch: Annotated[int, Field(ge=1, le=2000, description="messages of a back-fill or replay sent together")] = 100
    look_seconds: Annotated[float, Field(gt=0, description="time between two looks at every subscription")] = 10
    behind_seconds: Annotated[float, Field(gt=0, description="age of the oldest message at which people are told")] = (
        3600
    )


class Oms(Group):
    """Who writes orders, and how rows of a company's own OMS are taken."""

    writer: Annotated[
        Literal["hub", "own"],
        Field(description="hub: by the interface and imports; own: by the company's own OMS, into oms_outbox"),
    ] = "hub"
    batch: Annotated[int, Field(ge=1, le=2000, description="rows of oms_outbox taken in one transaction")] = 500
    poll_seconds: Annotated[float, Field(gt=0, description="longest sleep while oms_outbox is empty")] = 0.5
    gap_seconds: Annotated[
        float, Field(gt=0, description="age at which a row whose earlier version has not come is refused")
    ] = 60
    canary_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=3600,
            description="time between two canaries, which measure the way from commit to each system; 0 for none",
        ),
    ] = 60


class Relay(Group):
    """How the relay takes events from the outbox."""

    batch: Annotated[
        int,
        Field(
            ge=1,
            le=5000,
            description="events taken from the outbox at once; while there is more, two such batches are on their way",
        ),
    ] = 1000
    shards: Annotated[int, Field(ge=1, le=16, description="parts that relays may share; the same for all")] = 1
    lease_seconds: Annotated[Seconds, Field(description="after which another relay takes over from a dead one")] = 20
    poll_seconds: Annotated[float, Field(gt=0, description="longest sleep when nothing wakes the relay")] = 0.5
    pace_seconds: Annotated[
        float, Field(ge=0, le=1, description="shortest time between two looks at the outbox while little comes in")
    ] = 0.04
    hold_seconds: Annotated[float, Field(gt=0, description="rest of an order whose event the bus would not take")] = 15


class Consumer(Group):
    """How every consumer takes events in and brings its system up to date."""

    receive_batch: Annotated[
        int, Field(ge=1, le=2000, description="events written to the ledger in one transaction")
    ] = 500
    workers: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="orders in flight at once; over HTTP 8 unless given, beside SQLite 2",
        ),
    ] = 1
    work_batch: Annotated[
        int, Field(ge=1, le=2000, description="orders that a worker claims at once; 10 over HTTP unless given")
    ] = 500
    lease_seconds: Annotated[
        Seconds, Field(description="how long a claimed order is a worker's own; twice its longest call or more")
    ] = 60
    poll_seconds: Annotated[Seconds, Field(description="longest sleep when nothing wakes a worker")] = 0.5
    attempts: Annotated[
        int, Field(ge=1, description="failed tries after which an order is parked; an outage costs none")
    ] = 8
    give_up_seconds: Annotated[float, Field(gt=0, description="age at which an order that fails is parked")] = 6 * 3600
    backoff_seconds: Annotated[Seconds, Field(description="wait after the first failure; doubles with each")] = 1
    backoff_max_seconds: Annotated[Seconds, Field(description="longest wait between two tries of an order")] = 300
    settle_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="how long a call without an answer may still take effect; 10 over HTTP unless given",
        ),
    ] = 0
    breaker_failures: Annotated[
        int, Field(ge=1, description="failures in a row after which the system is left alone and probed")
    ] = 5
    breaker_max_seconds: Annotated[float, Field(gt=0, description="longest wait between two probes")] = 30
    credentials_pause_seconds: Annotated[
        float, Field(gt=0, description="first wait after the system refused our credentials; doubles up to 15 minutes")
    ] = 60
    rate_per_second: Annotated[
        float | None, Field(gt=0, description="orders that all workers together may hand over; unlimited unless given")
    ] = None
    burst: Annotated[int, Field(ge=1, description="orders that may go at once after a quiet time")] = 20


def _optional(group: type[BaseModel]) -> dict[str, Any]:
    # The limits of a field go with it: what is wrong for all systems is wrong for one.
    return {
        name: (Annotated[field.annotation, *field.metadata] | None, Field(None, description=field.description))
        for name, field in group.model_fields.items()
    }


ConsumerOfOne: type[Group] = create_model("ConsumerOfOne", __base__=Group, **_optional(Consumer))
ConsumerOfOne.__doc__ = "What is different for one system; all else is as in `Consumer`."


class Consumers(Group):
    """Where one system's consumer differs from the others: `HUB_CONSUMERS__WMS__ATTEMPTS`."""

    crm: ConsumerOfOne = ConsumerOfOne()
    kingdee: ConsumerOfOne = ConsumerOfOne()
    wms: ConsumerOfOne = ConsumerOfOne()
    erp: ConsumerOfOne = ConsumerOfOne()


class Retention(Group):
    """How many days records are kept. The ledger itself, orders and their histories stay for ever."""

    archive_days: Annotated[int, Field(ge=1, description="published events, for replay and back-fill")] = 30
    journal_days: Annotated[int, Field(ge=1, description="what became of each delivery")] = 90
    calls_days: Annotated[int, Field(ge=1, description="requests and answers of calls to and from systems")] = 90
    requests_days: Annotated[
        int, Field(ge=1, description="answers to request ids; a later repeat is a new request")
    ] = 30
    dead_letters_days: Annotated[int, Field(ge=1, description="dead letters that are settled")] = 180
    notices_days: Annotated[int, Field(ge=1, description="notices to robots that were sent or given up")] = 90
    findings_days: Annotated[
        int, Field(ge=1, description="differences that have ended, with their tickets, and runs of the comparison")
    ] = 400
    ahead_days: Annotated[int, Field(ge=1, le=60, description="day partitions made ahead (PostgreSQL)")] = 7
    batch: Annotated[int, Field(ge=1, le=100_000, description="rows deleted in one transaction")] = 5000


class Reconcile(Group):
    """The nightly comparison, what it may heal, and where its reports go."""

    at: Annotated[
        str,
        Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="when `hub reconcile nightly` runs, in HUB_TZ"),
    ] = "02:30"
    heal: Annotated[Literal["off", "dry-run", "on"], Field(description="what becomes of causes that are safe")] = "on"
    heal_most: Annotated[int, Field(ge=0, description="orders healed in one night at one system")] = 200
    heal_changed_by_hand: Annotated[
        bool, Field(description="also put back what somebody changed at a system in a field that the OMS owns")
    ] = False
    transit_seconds: Annotated[
        float, Field(ge=0, description="age from which a version that has not arrived is worth a person's look")
    ] = 1800
    ask_days: Annotated[
        int, Field(ge=1, description="a system that lists no orders is asked for those that changed in so many days")
    ] = 7
    rules: Annotated[
        Path | None, Field(description="field rules (TOML) in the place of those that come with the hub")
    ] = None
    reports_dir: Annotated[
        Path | None, Field(description="where reports are filed; `reports` in HUB_DATA_DIR unless given")
    ] = None
    reports_days: Annotated[int, Field(ge=1, description="how long reports are kept")] = 400
    reports_url: Annotated[
        str | None, Field(pattern=r"^https?://", description="where people find the reports, for links")
    ] = None


def _robot_url(parameter: str, url: SecretStr) -> SecretStr:
    """The URL itself; it must reach nobody but the robot, and its text is in no error."""
    text = url.get_secret_value()
    if not text:
        raise ValueError("is empty: unset it, or let it begin with https://")
    try:
        parts = urlsplit(text)
        plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    except ValueError:
        raise ValueError("is no URL; copy it anew from the robot's settings") from None
    if not parts.hostname or not (parts.scheme == "https" or plain):
        raise ValueError("must begin with https://; http:// is for a robot on this machine alone")
    if "@" in parts.netloc or re.search(r"\s", text) or not parse_qs(parts.query).get(parameter):
        raise ValueError(f"must be as the robot's settings show it, with ?{parameter}=… and without a user")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name or address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Robot(Group):
    """A group robot; whoever knows its URL can speak in its group."""

    url: SecretStr | None = None
    per_minute: Annotated[int, Field(ge=1, le=20, description="most messages; the vendors allow 20")] = 18


class DingTalkRobot(Robot):
    """A robot of DingTalk, with what its security settings ask for."""

    url: Annotated[
        Annotated[SecretStr, AfterValidator(partial(_robot_url, "access_token"))] | None,
        Field(description="as the robot's settings show it, with `access_token`"),
    ] = None
    secret: Annotated[
        SecretStr | None, Field(min_length=1, description="each message is signed with it; begins with SEC")
    ] = None
    keyword: Annotated[
        str | None, Field(min_length=1, max_length=32, description="a word that DingTalk wants in every message")
    ] = None


class WeComRobot(Robot):
    """A robot of WeCom; it knows no signature."""

    url: Annotated[
        Annotated[SecretStr, AfterValidator(partial(_robot_url, "key"))] | None,
        Field(description="as the robot's settings show it, with `key`"),
    ] = None


class Alerts(Group):
    """How people are told of what Prometheus finds, which Alertmanager sends to `POST /alerts`."""

    docs_url: Annotated[
        str | None,
        Field(pattern=r"^https?://\S+/$", description="where people find the folder docs, for links; ends in /"),
    ] = None
    renew_seconds: Annotated[
        float, Field(gt=0, description="shortest time between two cards of a cause that becomes worse")
    ] = 600
    calm_seconds: Annotated[
        float,
        Field(gt=0, description="how long nothing may fire before a cause is over; doubles each time it comes back"),
    ] = 60
    silent_seconds: Annotated[
        float, Field(gt=0, description="a cause is let go after so long without a word; over repeat_interval")
    ] = 14_400


class Notify(Group):
    """Who is told. The second channel is used where the first one fails."""

    dingtalk: DingTalkRobot = DingTalkRobot()
    wecom: WeComRobot = WeComRobot()
    channels: Annotated[
        Literal["both", "dingtalk-first", "wecom-first"],
        Field(description="both, or the other one only where the first fails"),
    ] = "both"
    attempts: Annotated[int, Field(ge=1, le=20, description="calls after which a notice is given up")] = 8
    timeout_seconds: Annotated[float, Field(gt=0, le=60, description="patience with one call to a robot")] = 5
    alerts: Alerts = Alerts()


class Listen(Group):
    """An address to listen on; port 0 lets the machine choose."""

    host: Annotated[str, Field(description="address to listen on; `0.0.0.0` is all of this machine's")] = "127.0.0.1"
    port: Annotated[Port, Field(description="0 lets the machine choose")] = 0
    tls_cert: Annotated[Path | None, Field(description="certificate (PEM) to serve with; plain HTTP without one")] = (
        None
    )
    tls_key: Annotated[Path | None, Field(description="its key (PEM, without a password)")] = None


class Api(Listen):
    """The OMS interface."""

    port: Annotated[Port, Field(description="0 lets the machine choose")] = 8080
    max_body_bytes: Annotated[int, Field(ge=1024, description="a longer request is refused with 413")] = 256 * 1024
    max_alerts_bytes: Annotated[int, Field(ge=1024, description="of one call of Alertmanager")] = 4 * 1024 * 1024
    answer_seconds: Annotated[
        float, Field(gt=0, description="longest wait of a caller, who is then told to send the request again")
    ] = 15


class Log(Group):
    """What is logged and how it looks."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="what is less grave is not written")
    ] = "info"
    format: Annotated[Literal["json", "console"], Field(description="one JSON object a line, or lines for eyes")] = (
        "json"
    )
