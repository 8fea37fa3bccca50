"""All systems together: `HUB_SYSTEMS__KINGDEE__INTERFACE`."""

from __future__ import annotations

from hub.groups import Group
from hub.interfaces.crm import Crm
from hub.interfaces.erp import Erp
from hub.interfaces.kingdee import Kingdee
from hub.interfaces.wms import Wms


class Systems(Group):
    """Each system: the database of its interface tables, or its real interface."""

    crm: Crm = Crm()
    kingdee: Kingdee = Kingdee()
    wms: Wms = Wms()
    erp: Erp = Erp()
