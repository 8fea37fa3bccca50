"""The vendors' systems that the hub can be led to instead of the real ones, by the interface that they speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hub.simulators.crm_rest.vendor import CrmRest
from hub.simulators.fxiaoke.vendor import Fxiaoke
from hub.simulators.grasp.vendor import Grasp
from hub.simulators.kingdee.galaxy import Galaxy
from hub.simulators.qimen.warehouse import Warehouse
from hub.simulators.web import Vendor
from hub.simulators.yonbip.vendor import Yonbip

VENDORS: Mapping[str, Callable[[Path], Vendor]] = {
    "kingdee.webapi": Galaxy,
    "wms.qimen": Warehouse,
    "crm.rest": CrmRest,
    "crm.fxiaoke": Fxiaoke,
    "erp.yonbip": Yonbip,
    "erp.grasp": Grasp,
}
"""How each is made over the file that it keeps its data in."""
