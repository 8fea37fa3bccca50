"""The rules by which lines of one form become a bill of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """How a bill of one form is pushed to another: pairs of keys, the source's and the target's."""

    rule_id: str
    source: str
    target: str
    head: Mapping[str, str]
    row: Mapping[str, str]
    named: Mapping[str, str]
    """What is set in a line from the source itself: `form`, `number` and `row` of it, to the target's keys."""
    constants: Mapping[str, str]


RULES = (
    Rule(
        "SaleOrder-OutStock",
        "SAL_SaleOrder",
        "SAL_OUTSTOCK",
        head={
            "FSaleOrgId": "FSaleOrgId FStockOrgId FSettleOrgID",
            "FCustId": "FCustomerID",
            "FSalerId": "FSalesManID",
            "FReceiveAddress": "FReceiveAddress",
            "FLinkMan": "FLinkMan",
            "FLinkPhone": "FLinkPhone",
            "FNote": "FNote",
            "FSettleCurrId": "FSettleCurrID",
            "FIsIncludedTax": "FIsIncludedTax",
        },
        row={
            "FMaterialId": "FMaterialID",
            "FUnitID": "FUnitID",
            "FSOStockId": "FStockID",
            "FLot": "FLot",
            "FTaxPrice": "FTaxPrice",
            "FPrice": "FPrice",
            "FEntryTaxRate": "FEntryTaxRate",
            "FIsFree": "FIsFree",
        },
        named={"form": "FSrcType", "number": "FSrcBillNo FSoorDerno", "row": "FSOEntryId"},
        constants={"FBillTypeID": "XSCKD01_SYS", "FOwnerTypeIdHead": "BD_OwnerOrg"},
    ),
    Rule(
        "AR_OutStockToReceivableMap",
        "SAL_OUTSTOCK",
        "AR_receivable",
        head={
            "FSaleOrgId": "FSALEORGID FSETTLEORGID FPAYORGID",
            "FCustomerID": "FCUSTOMERID FORDERID FTRANSFERID FChargeId",
            "FSettleCurrID": "FCURRENCYID FMAINBOOKSTDCURRID",
            "FIsIncludedTax": "FISTAX",
        },
        row={
            "FMaterialID": "FMATERIALID",
            "FUnitID": "FPRICEUNITID FStockUnitId",
            "FTaxPrice": "FTaxPrice",
            "FPrice": "FPrice",
            "FEntryTaxRate": "FEntryTaxRate",
        },
        named={"form": "FSOURCETYPE", "number": "FSourceBillNo", "row": "FSRCROWID"},
        constants={
            "FBillTypeID": "YSD01_SYS",
            "FBUSINESSTYPE": "BZ",
            "FCURRENCYID": "PRE001",
            "FMAINBOOKSTDCURRID": "PRE001",
            "FEXCHANGETYPE": "HLTX01_SYS",
        },
    ),
    Rule(
        "OutStock-SalReturnStock",
        "SAL_OUTSTOCK",
        "SAL_RETURNSTOCK",
        head={
            "FSaleOrgId": "FSaleOrgId",
            "FStockOrgId": "FStockOrgId",
            "FCustomerID": "FRetcustId",
            "FSettleCurrID": "FSettleCurrId",
            "FSettleOrgID": "FSettleOrgId",
            "FIsIncludedTax": "FIsIncludedTax",
        },
        row={
            "FMaterialID": "FMaterialId",
            "FUnitID": "FUnitID",
            "FStockID": "FStockId",
            "FLot": "FLot",
            "FTaxPrice": "FTaxPrice",
            "FPrice": "FPrice",
            "FEntryTaxRate": "FEntryTaxRate",
            "FIsFree": "FIsFree",
            "FSoorDerno": "FOrderNo",
            "FSOEntryId": "FSOEntryId",
        },
        named={"form": "FSrcBillTypeID", "number": "FSrcBillNo"},
        constants={"FBillTypeID": "XSTHD01_SYS"},
    ),
)
DATED = ("FDate", "FENDDATE_H", "FACCNTTIMEJUDGETIME")
"""Fields of a pushed bill's head that are today."""
