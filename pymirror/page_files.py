"""A page on disk, and the packed copy beside a large one, which web servers send as it is.

A page that did not change keeps its inode and its time, so that caches keep it too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pymirror.errors import StorageError
from pymirror.layout import COMPRESSED_SUFFIX
from pymirror.pieces import compress, decompress, is_same
from pymirror.storage.interface import Files

MIN_COMPRESSED_BYTES = 32 * 1024
"""Pages from this size on have a packed copy: below, a client waits for the answer and not for its bytes."""

FOREIGN_COPY = "a packed copy of a page that has none"

Render = Callable[[], Iterable[bytes]]
Unpack = Callable[[Iterable[bytes]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of a page: the page itself or its packed copy."""

    name: str
    is_changed: bool


def write_page(storage: Files, name: str, render: Render, *, place: Callable[[str], str] = str) -> Iterator[PageFile]:
    """Makes the page ``name``, and its packed copy, say what ``render`` gives.

    What must change is written to ``place(name)``; what is right already stays as it is.
    """
    is_changed = not _says(storage, name, render)
    if is_changed:
        storage.write(place(name), render(), newer_than=name)
    source = place(name) if is_changed else name
    yield PageFile(name, is_changed)
    packed = name + COMPRESSED_SUFFIX
    if _is_large(storage, source):
        is_stale = is_changed or not _is_packed(storage, name)
        if is_stale:
            storage.write(place(packed), compress(storage.read_pieces(source)), newer_than=packed)
        yield PageFile(packed, is_stale)


def put_page(storage: Files, name: str, render: Render) -> int:
    """Makes the page ``name`` and its packed copy say what ``render`` gives; how many files were written or removed.

    The packed copy comes first: killed in between, a server sends one of two whole pages, and no old one as the new.
    """
    packed = name + COMPRESSED_SUFFIX
    if _says(storage, name, render):
        if not _is_large(storage, name):
            return _remove(storage, packed)
        if _is_packed(storage, name):
            return 0
        storage.write(packed, compress(storage.read_pieces(name)))
        return 1
    pieces = iter(render())
    start = _take(pieces, MIN_COMPRESSED_BYTES)
    if sum(map(len, start)) < MIN_COMPRESSED_BYTES:
        removed = _remove(storage, packed)
        storage.write(name, start)
        return removed + 1
    storage.write(packed, compress(itertools.chain(start, pieces)))
    storage.write(name, decompress(storage.read_pieces(packed)))  # sooner done than rendered again
    return 2


def _take(pieces: Iterator[bytes], size: int) -> list[bytes]:
    """The first ``size`` bytes or more, as far as there are so many."""
    taken: list[bytes] = []
    missing = size
    while missing > 0 and (piece := next(pieces, None)) is not None:
        taken.append(piece)
        missing -= len(piece)
    return taken


def _remove(storage: Files, name: str) -> int:
    if storage.stat(name) is None:
        return 0
    storage.remove(name)
    return 1


def remove_page(storage: Files, name: str) -> int:
    """Removes the page and its packed copy; how many files that were."""
    there = [each for each in (name + COMPRESSED_SUFFIX, name) if storage.stat(each) is not None]
    for each in there:
        storage.remove(each)
    return len(there)


def check_page(storage: Files, name: str, render: Render) -> Iterator[tuple[str, str | None]]:
    """Each file that the page has, with what is wrong with it, or ``None``."""
    if storage.stat(name) is None:
        yield name, "the page is missing"
    elif not _says(storage, name, render):
        yield name, "the page is not what the snapshot says"
    else:
        yield name, None
        yield from check_packed(storage, name)


def check_packed(storage: Files, name: str) -> Iterator[tuple[str, str | None]]:
    """The same for the packed copy of a page that is right, where it has one; a server sends any that is there."""
    if _is_large(storage, name):
        yield name + COMPRESSED_SUFFIX, None if _is_packed(storage, name) else "the packed copy is not that of the page"
    elif storage.stat(name + COMPRESSED_SUFFIX) is not None:
        yield name + COMPRESSED_SUFFIX, FOREIGN_COPY


def _is_large(storage: Files, name: str) -> bool:
    stat = storage.stat(name)
    return stat is not None and stat.size >= MIN_COMPRESSED_BYTES


def _is_packed(storage: Files, name: str) -> bool:
    """Whether the packed copy of ``name`` is that of the page."""
    return _says(storage, name + COMPRESSED_SUFFIX, lambda: storage.read_pieces(name), unpack=decompress)


def _says(storage: Files, name: str, render: Render, *, unpack: Unpack = iter) -> bool:
    """Whether the file says what ``render`` gives. One that the disk cannot read does not: it is written anew."""
    try:
        if storage.stat(name) is None:
            return False  # and nothing need be rendered
        return is_same(unpack(storage.read_pieces(name)), render())
    except StorageError:
        return False
