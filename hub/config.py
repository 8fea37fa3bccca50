"""Settings: frozen, typed, grouped, read once from `HUB_*` variables. Nothing else reads the environment.

`HUB_DB__URL` is `db.url`; `HUB_DB__URL_FILE` names a file that holds it. Secrets do not print.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from hub.crash_points import LABELS
from hub.errors import WrongConfiguration
from hub.groups import (
    Api,
    Bus,
    Consumer,
    Consumers,
    Database,
    Listen,
    Log,
    Notify,
    Oms,
    Reconcile,
    Relay,
    Retention,
    Subscriptions,
)
from hub.interfaces.http import Http
from hub.interfaces.systems import Systems

PREFIX = "HUB_"
FILE_SUFFIX = "_FILE"
SYSTEMS = ("crm", "kingdee", "wms", "erp")

# A call lasts as long as somebody else's machine lets it: many orders at once, few in one worker's hands.
_USUAL_OVER_HTTP = {"workers": 8, "work_batch": 10, "settle_seconds": 10.0}

_DATABASES = ("sqlite:///", "postgresql://", "postgresql+psycopg2://")
_BUSES = ("amqp://", "amqps://", "embedded:///")


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone; name one such as Asia/Shanghai") from error


def _crash_point(given: str | None) -> str | None:
    label, _, times = (given or LABELS[0]).partition(":")
    if label not in LABELS or not re.fullmatch("[1-9][0-9]{0,8}", times or "1"):
        raise ValueError(f"{given!r} is no crash point; name one of {', '.join(LABELS)}, with :times or without")
    return given


class Settings(BaseSettings):
    """Everything that can be set, with its default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    data_dir: Annotated[Path, Field(description="where the embedded default keeps its files")] = Path("hub-data")
    locale: Annotated[Literal["en", "zh"], Field(description="language of cards, notices and what commands tell")] = (
        "en"
    )
    tz: Annotated[
        str, AfterValidator(_zone), Field(description="in which people read and type moments, and a business day ends")
    ] = "Asia/Shanghai"
    db: Database = Database()
    bus: Bus = Bus()
    oms: Oms = Oms()
    relay: Relay = Relay()
    consumer: Consumer = Consumer()
    consumers: Consumers = Consumers()
    subscriptions: Subscriptions = Subscriptions()
    retention: Retention = Retention()
    reconcile: Reconcile = Reconcile()
    notify: Notify = Notify()
    systems: Systems = Systems()
    api: Api = Api()
    probes: Listen = Listen()
    log: Log = Log()
    crash_at: Annotated[
        str | None,
        AfterValidator(_crash_point),
        Field(description="for drills: die at this place, `label` or `label:times`"),
    ] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - signature of the library
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values come from the mapping given to `load` alone."""
        return (init_settings,)

    @model_validator(mode="after")
    def _urls_are_complete(self) -> Self:
        wrong = [_wrong_url(variable, url, _DATABASES) for variable, url in self._database_urls()]
        wrong.append(_wrong_url(f"{PREFIX}BUS__URL", self.bus_url, _BUSES))
        if told := [each for each in wrong if each]:
            raise ValueError("\n".join(told))
        return self

    @model_validator(mode="after")
    def _times_fit_together(self) -> Self:
        if self.relay.lease_seconds <= self.bus.confirm_seconds:
            raise ValueError("HUB_RELAY__LEASE_SECONDS must be longer than HUB_BUS__CONFIRM_SECONDS")
        if self.relay.poll_seconds >= self.relay.lease_seconds:
            raise ValueError("HUB_RELAY__POLL_SECONDS must be shorter than HUB_RELAY__LEASE_SECONDS")
        if self.bus.ack_seconds <= 2 * (self.db.statement_seconds + self.db.lock_seconds):
            raise ValueError("HUB_BUS__ACK_SECONDS must be more than twice HUB_DB__STATEMENT_SECONDS and _LOCK_SECONDS")
        if self.api.answer_seconds <= self.db.lock_seconds:
            # Else a repeat finds its own request still waiting for the lock that kept it from an answer.
            raise ValueError("HUB_API__ANSWER_SECONDS must be longer than HUB_DB__LOCK_SECONDS")
        if self.retention.requests_days < self.retention.archive_days:
            raise ValueError("HUB_RETENTION__REQUESTS_DAYS must not be shorter than HUB_RETENTION__ARCHIVE_DAYS")
        if self.retention.findings_days < self.reconcile.reports_days:
            raise ValueError("HUB_RETENTION__FINDINGS_DAYS must not be shorter than HUB_RECONCILE__REPORTS_DAYS")
        for name in SYSTEMS:
            self._check_consumer(name, self.consumer_of(name))
        return self

    def _check_consumer(self, name: str, consumer: Consumer) -> None:
        said = partial(self._variable, name)
        if self.bus.prefetch < consumer.receive_batch:
            raise ValueError(f"HUB_BUS__PREFETCH must not be smaller than {said('receive_batch')}")
        longest, setting = self._longest_call(name)
        if consumer.lease_seconds < 2 * longest:
            # A call may begin as late as in the middle of its lease, and has to end within it.
            raise ValueError(f"{said('lease_seconds')} must be at least twice HUB_SYSTEMS__{name.upper()}__{setting}")
        if consumer.backoff_max_seconds >= consumer.give_up_seconds:
            raise ValueError(f"{said('backoff_max_seconds')} must be shorter than {said('give_up_seconds')}")

    def _longest_call(self, name: str) -> tuple[float, str]:
        """How long one call of a system may take, and the setting that says so."""
        if (spoken := self.interface(name)) is not None:
            return spoken.total_seconds, f"{getattr(self.systems, name).interface.upper()}__TOTAL_SECONDS"
        return self.system(name).statement_seconds, "STATEMENT_SECONDS"

    def _variable(self, name: str, key: str) -> str:
        own = getattr(getattr(self.consumers, name), key) is not None
        return f"{PREFIX}CONSUMERS__{name.upper()}__{key.upper()}" if own else f"{PREFIX}CONSUMER__{key.upper()}"

    @property
    def db_url(self) -> str:
        """The OMS and the ledger."""
        return _secret(self.db.url, f"sqlite:///{self.data_dir / 'hub.db'}")

    @property
    def bus_url(self) -> str:
        """The bus."""
        return _secret(self.bus.url, f"embedded:///{self.data_dir / 'bus.db'}")

    @property
    def embedded_bus(self) -> bool:
        """Whether events travel through a file on this machine."""
        return self.bus_url.startswith("embedded:")

    @property
    def reports_dir(self) -> Path:
        """Where reports are filed."""
        return self.reconcile.reports_dir or self.data_dir / "reports"

    def system(self, name: str) -> Database:
        """The database of one system: its own file beside an SQLite hub, its own schema in a PostgreSQL hub."""
        given: Database = getattr(self.systems, name)
        if given.url is not None:
            return given
        if self.db_url.startswith("sqlite:"):
            return given.model_copy(update={"url": SecretStr(f"sqlite:///{self.data_dir / name}.db")})
        schema = given.schema_name or f"{self.db.schema_name or 'hub'}_{name}"
        return given.model_copy(update={"url": SecretStr(self.db_url), "schema_name": schema})

    def interface(self, name: str) -> Http | None:
        """The settings of a system's real interface, None where it is written through interface tables."""
        given = getattr(self.systems, name)
        spoken: Http | None = getattr(given, given.interface, None)
        return spoken

    @property
    def interfaces(self) -> Mapping[str, str]:
        """Which interface each system is reached by: `tables`, or the name of a real one."""
        return {name: getattr(self.systems, name).interface for name in SYSTEMS}

    def consumer_of(self, name: str) -> Consumer:
        """How the consumer of one system works: what is said for all, under what is said for it."""
        own = getattr(self.consumers, name).model_dump(exclude_none=True)
        usual = {} if self.interface(name) is None else self._usual_over_http
        unsaid = {key: value for key, value in usual.items() if key not in self.consumer.model_fields_set}
        return self.consumer.model_copy(update=unsaid | own)

    @property
    def _usual_over_http(self) -> dict[str, Any]:
        # One file has one writer at a time: more workers would only wait for each other.
        return _USUAL_OVER_HTTP | ({"workers": 2} if self.db_url.startswith("sqlite:") else {})

    def _database_urls(self) -> Iterator[tuple[str, str]]:
        yield "HUB_DB__URL", self.db_url
        for name in SYSTEMS:
            if (given := getattr(self.systems, name).url) is not None:
                yield f"HUB_SYSTEMS__{name.upper()}__URL", _secret(given)


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from `HUB_*` variables (the process's own unless given) under `overrides`.

    Raises WrongConfiguration with one line per problem: the variable, what is wrong, the nearest name.
    """
    given = {name: value for name, value in (os.environ if environ is None else environ).items() if _is_ours(name)}
    problems = list(_unknown_names(given))
    known = {name: value for name, value in given.items() if _meant(name) in _names()}
    values = _Variables(_with_files(known))()
    try:
        settings = Settings(**_merged(values, overrides))
    except ValidationError as error:
        problems += [_problem(found) for found in error.errors()]
    if problems:
        raise WrongConfiguration("\n".join(problems))
    return settings


def given() -> dict[str, str]:
    """The `HUB_*` variables of this process."""
    return {name: value for name, value in os.environ.items() if _is_ours(name)}


def sources(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Which variable gave each setting that is not at its default: `db.url` to `HUB_DB__URL_FILE`."""
    given = os.environ if environ is None else environ
    return {_setting(_meant(name)): name for name in given if _is_ours(name)}


def variables(group: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[tuple[str, Any]]:
    """Every (variable name, field) there is."""
    for name, field in group.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from variables(field.annotation, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", field


def effective(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every (setting, value) as it is in force; secrets show as asterisks."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from effective(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def urls(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every (setting, URL) that is in force, given or not, without its credentials."""
    yield "db.url", _without_credentials(settings.db_url)
    yield "bus.url", _without_credentials(settings.bus_url)
    for name in SYSTEMS:
        yield f"systems.{name}.url", _without_credentials(_secret(settings.system(name).url))


def environment(settings: Settings) -> dict[str, str]:
    """The `HUB_*` variables that give another process these very settings: those that somebody has set."""
    values = ((f"{PREFIX}{name.upper().replace('.', '__')}", value) for name, value in _set(settings))
    return {name: _plain(value) for name, value in values if value is not None}


def _set(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _set(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


class _Variables(EnvSettingsSource):
    """The library's own reading of nested variables, from a mapping instead of the process."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._given.items()}


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX)


def _setting(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace("__", ".")


def _names() -> set[str]:
    return {name for name, _ in variables()}


def _unknown_names(given: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(given):
        if _meant(name) not in _names():
            nearest = difflib.get_close_matches(name, _names(), n=1, cutoff=0.5)
            yield f"{name} is no setting" + (f"; did you mean {nearest[0]}?" if nearest else "; see hub config show")


def _with_files(given: Mapping[str, str]) -> dict[str, str]:
    values = {name: value for name, value in given.items() if _meant(name) == name}
    for name, path in given.items():
        if name not in values:
            values[_meant(name)] = _content(name, path)
    return values


def _meant(name: str) -> str:
    """The variable whose value is given: in a file, unless the name itself is a setting, as `…__CA_FILE` is."""
    return name if name in _names() else name.removesuffix(FILE_SUFFIX)


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise WrongConfiguration(f"{name}: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise WrongConfiguration(f"{name}: {path[:200]!r} is no file of UTF-8 text") from error


def _merged(values: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in overrides.items():
        group, _, key = name.partition("__")
        if not key:
            values[name] = value
        elif value is not None:
            values[group] = {**values.get(group, {}), key: value}
    return values


def _problem(found: Any) -> str:
    name = f"{PREFIX}{'__'.join(str(step) for step in found['loc']).upper()}: " if found["loc"] else ""
    return name + str(found["msg"]).removeprefix("Value error, ")


def _secret(value: SecretStr | None, default: str = "") -> str:
    return value.get_secret_value() if value is not None else default


def _without_credentials(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2]}" if "@" in rest else url


def _plain(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _wrong_url(variable: str, url: str, schemes: tuple[str, ...]) -> str:
    if url.startswith(schemes):
        return ""
    return f"{variable} {'is empty: unset it, or let it' if not url else 'must'} begin with {' or '.join(schemes)}"
