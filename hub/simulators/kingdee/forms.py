"""The forms: their fields as they are spelt, which are mandatory.

In a list of fields `@` marks a reference to base data and `*` what is mandatory. Of what the vendor's page marks
mandatory, the units, `FReserveType`, `FOUTLMTUNIT` and `FSettleOrgIds` are filled in here where they are absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

VERSION = "F_HUB_VERSION"
STATES = "FDocumentStatus FCancelStatus FCreateDate FModifyDate FApproveDate"


@dataclass(frozen=True)
class Field:
    """A field: its spelling, the section or entry it is in (nothing: the head), and what is in it."""

    key: str
    part: str
    reference: bool
    mandatory: bool
    kind: str
    """`decimal`, `integer`, `date`, `boolean`, `text` or `reference`."""


@dataclass(frozen=True)
class Form:
    """A kind of bill. `entry` has its lines, `sections` are there once, `links` lead from a line to its source."""

    form_id: str
    title: str
    prefix: str
    head: str
    entry: str
    rows: Mapping[str, str]
    quantity: str
    tax_price: str
    amount: str
    sections: Mapping[str, str] = field(default_factory=dict)
    links: str = ""
    table: str = ""
    orders: tuple[str, ...] = ()
    """Fields of the head or of lines that name other bills; bills are found quickly by them."""
    filled: Mapping[str, str] = field(default_factory=dict)
    """What the server puts where nothing is."""

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """Every field that can be saved or shown, by its key in lower case."""
        parts = {"": f"{self.head} {STATES} {VERSION}", **self.sections, **self.rows}
        found = {}
        for part, keys in parts.items():
            for marked in keys.split():
                known = _field(marked, part)
                found[known.key.lower()] = known
        return found

    def of(self, part: str) -> list[Field]:
        """The fields of the head, of a section or of an entry."""
        return self._by_part[part]

    @cached_property
    def _by_part(self) -> dict[str, list[Field]]:
        parts = ["", *self.sections, *self.rows]
        return {part: [each for each in self.fields.values() if each.part == part] for part in parts}


def _field(marked: str, part: str) -> Field:
    key = marked.rstrip("@*")
    reference = "@" in marked
    return Field(key, part, reference, "*" in marked, "reference" if reference else _kind(key.lower()))


def _kind(key: str) -> str:
    if key in {VERSION.lower(), "fsoentryid", "fsrcrowid"}:
        return "integer"
    if "date" in key or key == "faccnttimejudgetime":
        return "date"
    if key.startswith(("fis", "fneed")):
        return "boolean"
    if any(word in key for word in ("qty", "price", "rate", "amount")):
        return "decimal"
    return "text"


SALE_ORDER = Form(
    form_id="SAL_SaleOrder",
    title="销售订单",
    prefix="XSDD",
    table="T_SAL_ORDERENTRY",
    head=(
        "FBillTypeID@* FBillNo FDate* FSaleOrgId@* FCustId@* FSalerId@* FSaleDeptId@ FReceiveId@ FSettleId@ FChargeId@ "
        "FReceiveAddress FLinkMan FLinkPhone FNetOrderBillNo FNetOrderBillId FNote FCloseStatus"
    ),
    sections={
        "FSaleOrderFinance": (
            "FSettleCurrId@* FRecConditionId@ FSettleModeId@ FIsIncludedTax FPriceListId@ FExchangeTypeId@ "
            "FBillAllAmount"
        ),
    },
    entry="FSaleOrderEntry",
    rows={
        "FSaleOrderEntry": (
            "FMaterialId@* FUnitID@* FPriceUnitId@ FStockUnitID@ FQty FTaxPrice FPrice FEntryTaxRate FDiscountRate "
            "FIsFree FDeliveryDate* FSettleOrgIds@ FReserveType FOUTLMTUNIT FStockOrgId@ FSupplyOrgId@ FOwnerTypeId "
            "FOwnerId@ FSOStockId@ FNetOrderEntryId FEntryNote FLot@ FAllAmount FMRPCloseStatus FMRPTerminateStatus "
            "FMRPFreezeStatus"
        ),
        "FSaleOrderPlan": "FNeedRecAdvance FRecAdvanceRate FRecAdvanceAmount FMustDate",
        "FSalOrderTrace": "FLogComId@ FCarryBillNo",
    },
    quantity="FQty",
    tax_price="FTaxPrice",
    amount="FAllAmount",
    orders=("FNetOrderBillNo",),
    filled={
        "FCloseStatus": "A",
        "FUnitID": "Pcs",
        "FPriceUnitId": "Pcs",
        "FStockUnitID": "Pcs",
        "FReserveType": "1",
        "FOUTLMTUNIT": "SAL",
        "FSettleOrgIds": "100",
        "FMRPCloseStatus": "A",
        "FMRPTerminateStatus": "A",
        "FMRPFreezeStatus": "A",
    },
)
OUT_STOCK = Form(
    form_id="SAL_OUTSTOCK",
    title="销售出库单",
    prefix="XSCKD",
    table="T_SAL_OUTSTOCKENTRY",
    head=(
        "FBillTypeID@* FBillNo FDate* FSaleOrgId@* FStockOrgId@* FCustomerID@* FStockerID@ FSalesManID@ FCarrierID@ "
        "FCarriageNO FReceiveAddress FLinkMan FLinkPhone FOwnerTypeIdHead FNote"
    ),
    sections={"SubHeadEntity": "FSettleCurrID@ FSettleOrgID@ FSettleTypeID@ FIsIncludedTax FBillAllAmount"},
    entry="FEntity",
    rows={
        "FEntity": (
            "FMaterialID@* FUnitID@* FRealQty FStockID@ FStockStatusID@ FLot@ FTaxPrice FPrice FEntryTaxRate FIsFree "
            "FSrcType FSrcBillNo FSoorDerno FSOEntryId FAllAmount"
        ),
        "FOutStockTrace": "FLogComId@ FCarryBillNo",
    },
    quantity="FRealQty",
    tax_price="FTaxPrice",
    amount="FAllAmount",
    links="FEntity_Link",
    orders=("FSrcBillNo", "FSoorDerno"),
    filled={"FUnitID": "Pcs", "FStockStatusID": "KCZT01_SYS"},
)
RETURN_STOCK = Form(
    form_id="SAL_RETURNSTOCK",
    title="销售退货单",
    prefix="XSTHD",
    head=(
        "FBillTypeID@* FBillNo FDate* FSaleOrgId@* FStockOrgId@* FRetcustId@* FSalesManId@ FReturnReason@ FReceiveCon "
        "FReceiveAddress FOwnerTypeIdHead FHeadNote"
    ),
    sections={"SubHeadEntity": "FSettleCurrId@ FSettleOrgId@ FIsIncludedTax FBillAllAmount"},
    entry="FEntity",
    rows={
        "FEntity": (
            "FMaterialId@* FUnitID@* FRealQty FStockId@ FStockstatusId@ FReturnType@ FLot@ FTaxPrice FPrice "
            "FEntryTaxRate FIsFree FSrcBillTypeID FSrcBillNo FOrderNo FSOEntryId FDeliveryDate FAllAmount"
        ),
    },
    quantity="FRealQty",
    tax_price="FTaxPrice",
    amount="FAllAmount",
    links="FEntity_Link",
    orders=("FSrcBillNo", "FOrderNo"),
    filled={"FUnitID": "Pcs", "FStockstatusId": "KCZT01_SYS"},
)
RECEIVABLE = Form(
    form_id="AR_receivable",
    title="应收单",
    prefix="AR",
    head=(
        "FBillTypeID@* FBillNo FDATE* FENDDATE_H* FCUSTOMERID@* FCURRENCYID@* FSETTLEORGID@* FPAYORGID@* "
        "FSALEORGID@ FBUSINESSTYPE FISTAX FAR_Remark FALLAMOUNTFOR"
    ),
    sections={
        "FsubHeadSuppiler": "FORDERID@ FTRANSFERID@ FChargeId@",
        "FsubHeadFinc": "FMAINBOOKSTDCURRID@* FEXCHANGETYPE@* FACCNTTIMEJUDGETIME* FSettleTypeID@",
    },
    entry="FEntityDetail",
    rows={
        "FEntityDetail": (
            "FMATERIALID@* FPRICEUNITID@* FPriceQty FTaxPrice FPrice FEntryTaxRate FNoTaxAmountFor_D FTAXAMOUNTFOR_D "
            "FALLAMOUNTFOR_D FStockUnitId@ FStockQty FSOURCETYPE FSourceBillNo FSRCROWID"
        ),
        "FEntityPlan": "FPLANDATE FPLANAMOUNTFOR",
    },
    quantity="FPriceQty",
    tax_price="FTaxPrice",
    amount="FALLAMOUNTFOR_D",
    links="FEntityDetail_Link",
    orders=("FSourceBillNo",),
    filled={"FPRICEUNITID": "Pcs", "FBUSINESSTYPE": "BZ"},
)
FORMS = {form.form_id: form for form in (SALE_ORDER, OUT_STOCK, RETURN_STOCK, RECEIVABLE)}
