"""What was promised to readers, held against what the models make now: sets of published schemas, by file name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hub.schemas.evolution import breaks

REGISTRY = "hub/schemas/registry.py"

Schemas = Mapping[str, Mapping[str, Any]]
"""File names such as `order.paid.v1.json`, and the schemas in them."""

_FILE = re.compile(r"(?P<type>order\.[a-z]+)\.v(?P<major>[0-9]+)\.json")


def is_schema(name: str) -> bool:
    """Whether a file is called as the schema of an event is."""
    return _FILE.fullmatch(name) is not None


def broken(promised: Schemas, made: Schemas) -> list[str]:
    """A sentence for each change that breaks a promise, with the files, the field and what to do."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(promised.keys() & made.keys()):
        for each in breaks(promised[name], made[name]):
            found[each.sentence].append(name)
    return [
        f"{names}: {sentence}, or raise the major version in {REGISTRY}"
        for sentence, files in found.items()
        for names in _together(files, made)
    ]


def retired(there: Schemas, made: Schemas, folder: str) -> list[str]:
    """A sentence for each file that is there and that no type of event stands behind any more."""
    return [
        f"{name.removesuffix('.json')} is published and {REGISTRY} has it no more: bring it back, or delete "
        f"{folder}/{name} by hand once nobody reads it"
        for name in sorted(there.keys() - made.keys())
    ]


def withdrawn(promised: Schemas, made: Schemas) -> list[str]:
    """A sentence for each type of event that was promised and lacks while its major is published still.

    A major may go as a whole, by hand; a type of it may not.
    """
    published = {_major_of(name) for name in made}
    gone = (name for name in sorted(promised.keys() - made.keys()) if _major_of(name) in published)
    why = "was published and is gone, and old readers rely on it"
    return [f"{name.removesuffix('.json')} {why}: bring it back in {REGISTRY}" for name in gone]


def _together(files: Sequence[str], made: Schemas) -> Iterator[str]:
    # The events of a major share their shape: what changes in one mostly changes in all of them.
    for major in sorted({_major_of(name) for name in files}):
        ours = [name.removesuffix(".json") for name in files if _major_of(name) == major]
        everything = len(ours) == sum(_major_of(name) == major for name in made)
        yield f"order.*.v{major}" if everything and len(ours) > 1 else ", ".join(ours)


def _major_of(name: str) -> str:
    found = _FILE.fullmatch(name)
    return found["major"] if found else ""
