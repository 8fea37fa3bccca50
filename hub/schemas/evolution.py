"""What a changed schema breaks. Nothing may, in either direction, while the major version stays.

Old readers read new events, and the hub reads events of its archive, which old releases wrote. So a limit may become
neither narrower nor wider, and an enum neither lose a value nor gain one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hub.schemas import keywords
from hub.schemas.breakage import ARCHIVE, READERS, Break, Kind, Pair
from hub.schemas.json_nodes import FREE, Node, Schema

_OPEN = ("additionalProperties", "unevaluatedProperties")


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Break]:
    """Every way in which the new schema of an event breaks who goes by the old one; empty where nothing does.

    Free are words (title, description, examples), the order of keys, a new optional field, and a unit or meaning where
    none was said. What this does not understand counts as a break.
    """
    return list(dict.fromkeys(_compared(Pair("", Schema(old, old), Schema(new, new)))))


def _compared(at: Pair) -> Iterator[Break]:
    if (id(at.old.raw), id(at.new.raw)) in at.above:
        return
    (old_null, old), (new_null, new) = at.old.alternatives(), at.new.alternatives()
    if new_null and not old_null:
        yield at.broken(Kind.NULL, " may be null now, which old readers do not expect: leave null out")
    if old_null and not new_null:
        yield at.broken(Kind.NULL, f" may not be null any more, so {ARCHIVE}: allow null")
    yield from _alternatives(at, old, new)


def _alternatives(at: Pair, old: list[Node], new: list[Node]) -> Iterator[Break]:
    if len(old) > 1 or len(new) > 1:
        old, new = _unmatched(at, old, new), _unmatched(at, new, old, swapped=True)
    if len(old) == len(new) == 1:
        yield from _node(at, old[0], new[0])
    elif old or new:
        yield at.broken(Kind.CHANGED, " takes other kinds of values now: keep the kinds it had")


def _unmatched(at: Pair, ours: list[Node], theirs: list[Node], swapped: bool = False) -> list[Node]:
    def fits(one: Node, other: Node) -> bool:
        return not any(_node(at, other, one) if swapped else _node(at, one, other))

    return [one for one in ours if not any(fits(one, other) for other in theirs)]


def _node(at: Pair, old: Node, new: Node) -> Iterator[Break]:
    if old.get("type") != new.get("type"):
        yield keywords.changed(at, "type", old, new)
        return
    yield from _fields(at, old, new)
    understood = keywords.of_values() | {"items": _items} | dict.fromkeys(_OPEN, _rest)
    for keyword in sorted((old.keys() | new.keys()) - FREE - {"properties", "required"}):
        yield from understood.get(keyword, _other)(at, keyword, old, new)


def _fields(at: Pair, old: Node, new: Node) -> Iterator[Break]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name in after:
            yield from _compared(at.below(f".{name}", before[name], after[name]))
        else:
            yield at.broken(Kind.GONE, f" is gone and old readers rely on it{_renamed(at, name, old, new)}", f".{name}")
    needed, needs = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(needed - needs - (before.keys() - after.keys())):
        yield at.broken(Kind.OPTIONAL, " may be missing now and old readers rely on it: keep it required", f".{name}")
    for name in sorted(needs - needed):
        yield at.broken(Kind.REQUIRED, f" is required now, so {ARCHIVE}: make it optional", f".{name}")
    if not _is_open(old):
        for name in sorted(after.keys() - before.keys()):
            yield at.broken(
                Kind.CLOSED, f" is new where no unknown field may be, so {READERS}: leave it out", f".{name}"
            )


def _renamed(at: Pair, name: str, old: Node, new: Node) -> str:
    before, after = old.get("properties", {}), new.get("properties", {})
    shape = at.old.under(before[name]).canonical()
    alike = [other for other in after if other not in before and at.new.under(after[other]).canonical() == shape]
    return f" (renamed to {' or '.join(alike)}?): keep the old name" if alike else ": keep it"


def _is_open(node: Node) -> bool:
    return all(node.get(name, True) in (True, {}) for name in _OPEN)


def _items(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    if isinstance(old.get(keyword), Mapping) and isinstance(new.get(keyword), Mapping):
        yield from _compared(at.below("[]", old[keyword], new[keyword]))
    else:
        yield from _other(at, keyword, old, new)


def _rest(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    before, after = old.get(keyword, True), new.get(keyword, True)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _compared(at.below(".*", before, after))
    elif before in (True, {}) and after is False:
        why = (
            f" takes no unknown field any more ({keyword}), so the next field that is added would break: leave it open"
        )
        yield at.broken(Kind.CLOSED, why)
    elif before not in (True, {}) or after not in (True, {}):
        yield from _other(at, keyword, old, new)


def _other(at: Pair, keyword: str, old: Node, new: Node) -> Iterator[Break]:
    before = at.old.under({keyword: old[keyword]} if keyword in old else {}).canonical()
    after = at.new.under({keyword: new[keyword]} if keyword in new else {}).canonical()
    if before != after:
        yield at.broken(Kind.UNKNOWN, f": {keyword} differs, which cannot be shown to be harmless: put it back")
