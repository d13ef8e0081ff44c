"""The serials that a list of projects tells: what changed, in one answer for all.

PyPI puts them into its JSON list (PEP 691 lets an index add keys of its own that begin with an underscore):
``_last-serial`` of each project, and that of the whole list under ``meta``.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

from pymirror.simple.model import parse_serial

_PIECE_BYTES = 64 * 1024
_BETWEEN = re.compile(rb"\}\s*,\s*(?=\{)")
_UNTOLD = -1
_UNSURE = -2


@dataclass(frozen=True, slots=True)
class Serials:
    """``whole`` is the serial of a list, ``serials`` those of the projects ``names``, which are in order; negative is
    none.
    """

    whole: int
    names: Sequence[str]
    serials: array[int]

    def find(self, project: str) -> int | None:
        index = bisect_left(self.names, project)
        is_named = index < len(self.names) and self.names[index] == project
        return self.serials[index] if is_named and self.serials[index] >= 0 else None

    def pick(self, projects: Iterable[str]) -> Serials:
        """Those of ``projects``, as far as they are named here."""
        names: list[str] = []
        serials = array("q")
        for name in sorted(set(projects)):
            if (serial := self.find(name)) is not None:
                names.append(name)
                serials.append(serial)
        return Serials(self.whole, names, serials)

    def told(self) -> dict[str, int]:
        """Those that the list told."""
        return {name: serial for name, serial in zip(self.names, self.serials, strict=True) if serial >= 0}


def make_serials(whole: int, serials: Mapping[str, int]) -> Serials:
    """Of any order. There are as many as projects, so that each takes no more than its place in an array."""
    names = sorted(serials)
    return Serials(whole, names, array("q", map(serials.__getitem__, names)))


class _Meta(msgspec.Struct):
    api_version: Any = msgspec.field(name="api-version", default="1.0")
    last_serial: Any = msgspec.field(name="_last-serial", default=None)


class _List(msgspec.Struct):
    projects: msgspec.Raw
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _Entry(msgspec.Struct, gc=False):
    name: str
    last_serial: Any = msgspec.field(name="_last-serial", default=None)


_list_decoder = msgspec.json.Decoder(_List)
_entries_decoder = msgspec.json.Decoder(list[_Entry])


def parse_serials(body: bytes, projects: Iterable[str], *, told: int | None) -> Serials | None:
    """The serials of ``projects``, normalized names, by a JSON list; ``told`` is that of the list by its header.

    ``None`` where it tells none, or cannot be read: a list is asked for serials to spare requests, so nothing is lost.
    Of the others that it names nothing is kept, and it is decoded in pieces: it may name a million.
    """
    serials = dict.fromkeys(projects, _UNTOLD)
    try:
        page = _list_decoder.decode(body)
        whole = parse_serial(page.meta.last_serial)
        whole = whole if whole is not None else told
        if whole is None or str(page.meta.api_version).partition(".")[0] != "1":
            return None
        for entry in _iterate(memoryview(page.projects)):
            name = entry.name if entry.name in serials else _normalize(entry.name)
            known = serials.get(name)
            if known is not None:
                serial = parse_serial(entry.last_serial)
                serials[name] = serial if serial is not None and known == _UNTOLD else _UNSURE
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return make_serials(whole, serials)


def _iterate(array: memoryview) -> Iterator[_Entry]:
    """The entries of a JSON array. Raises ``ValueError`` where it is none, or cannot be taken apart."""
    if bytes(array[:1]) != b"[":
        raise ValueError("no array")
    start, end = 1, len(array) - 1  # the brackets
    while start < end:
        match = _BETWEEN.search(array, start + _PIECE_BYTES, end) if end - start > _PIECE_BYTES else None
        # Where this is no end of an entry but within one, what is before it is no JSON: nothing false comes of it.
        stop, following = (match.start() + 1, match.end()) if match else (end, end)
        yield from _entries_decoder.decode(b"".join((b"[", array[start:stop], b"]")))
        start = following


def _normalize(name: str) -> str:
    """As :func:`packaging.utils.canonicalize_name`, which takes three times as long for the names that most have."""
    lowered = name.lower().replace("_", "-").replace(".", "-")
    return canonicalize_name(name) if "--" in lowered else lowered
