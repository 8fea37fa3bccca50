"""Settings become systems: interface tables, or the adapter of the interface that is spoken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine

from hub import config
from hub.calls.client import Client
from hub.calls.record import Record
from hub.consumers.crm.fxiaoke import Fxiaoke
from hub.consumers.crm.rest import Rest
from hub.consumers.erp.grasp import Grasp
from hub.consumers.erp.yonbip import Yonbip
from hub.consumers.interface_tables import InterfaceTables
from hub.consumers.kingdee.system import KingdeeWebApi
from hub.consumers.system import System
from hub.consumers.wms.qimen import QimenWms
from hub.database import open_engine
from hub.errors import NotFound
from hub.oms import writer
from hub.oms.writer import Writer
from hub.vendors import crm_rest, fxiaoke, grasp, kingdee, qimen, yonbip

Made = tuple[Callable[[Any, Client], System], frozenset[str]]

_ADAPTERS: dict[str, Made] = {
    "kingdee.webapi": (KingdeeWebApi, kingdee.SHOWN),
    "wms.qimen": (QimenWms, qimen.SHOWN),
    "crm.rest": (Rest, crm_rest.SHOWN),
    "crm.fxiaoke": (Fxiaoke, fxiaoke.SHOWN),
    "erp.yonbip": (Yonbip, yonbip.SHOWN),
    "erp.grasp": (Grasp, grasp.SHOWN),
}
"""Who speaks an interface, and which of its fields may be shown in the record of calls."""

_PROBES = 2
"""Connections beside those of the workers: no worker is to find none because somebody asks whether the system is up."""


def system_of(settings: config.Settings, name: str, engine: Engine | None = None) -> System:
    """A downstream system by its name, spoken to as the settings say.

    Its calls are on record in the hub's database, through `engine` where one is given.
    """
    check_name(name)
    spoken = settings.interface(name)
    if spoken is None:
        return InterfaceTables(name, settings.system(name))
    adapter, _ = _ADAPTERS[f"{name}.{settings.interfaces[name]}"]
    return adapter(spoken, client_of(settings, name, engine))


def client_of(settings: config.Settings, name: str, engine: Engine | None = None) -> Client:
    """The HTTP client of a system that is behind a real interface."""
    spoken = settings.interface(name)
    assert spoken is not None  # noqa: S101 - asked of such systems alone
    _, shown = _ADAPTERS[f"{name}.{settings.interfaces[name]}"]
    record = Record(engine) if engine is not None else Record(open_hub(settings, "calls"), owns=True)
    most = settings.consumer_of(name).workers + _PROBES
    return Client(name, spoken, shown=shown, record=record, most_connections=most)


def open_hub(settings: config.Settings, role: str, threads: int = 1) -> Engine:
    """An engine for the hub's own database, with a connection for each of so many threads at least.

    It knows who writes orders: nobody else can through it.
    """
    size = max(settings.db.pool_size, threads)
    database = settings.db.model_copy(update={"url": SecretStr(settings.db_url), "pool_size": size})
    engine = open_engine(database, role)
    writer.appoint(engine, Writer(settings.oms.writer))
    return engine


def check_name(name: str) -> None:
    """Raise NotFound unless there is such a system."""
    if name not in config.SYSTEMS:
        raise NotFound(f"there is no system {name}; known are {', '.join(config.SYSTEMS)}")
