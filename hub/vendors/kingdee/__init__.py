"""金蝶云星空 (Kingdee Cloud Galaxy), WebAPI: how it signs, words and answers. Pure.

Facts come from the vendor's Python SDK 8.2 and from published notes on its forms.
"""

from __future__ import annotations

SHOWN = frozenset(
    {
        "formid",
        "FormId",
        "opNumber",
        "RuleId",
        "FieldKeys",
        "FilterString",
        "OrderString",
        "NeedUpDateFields",
        "NeedReturnFields",
        "Number",
        "Numbers",
        "FBillNo",
        "FNetOrderBillNo",
        "FNumber",
        "FNUMBER",
        "FDate",
        "FDeliveryDate",
        "FQty",
        "FTaxPrice",
        "FEntryTaxRate",
        "FieldName",
        "IsSuccess",
        "errcode",
        "MessageCode",
    }
)
"""Keys whose text may be kept in the record of a call: numbers of bills and of master data, nothing about people.

`Message` is none of them, because Kingdee quotes what it refuses.
"""
