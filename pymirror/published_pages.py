"""What the pages of the Simple API were when they were published: spares rendering and reading what did not change.

A page whose size and time are as recorded is taken to be what it was, as files of the pool are. This is state: safe to
delete, and without it every page is rendered and compared again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import msgspec

from pymirror.errors import StorageError
from pymirror.layout import COMPRESSED_SUFFIX, STATE, project_pages
from pymirror.snapshot import Snapshot
from pymirror.storage.interface import Files
from pymirror.stored_snapshot import StoredProjects

_RECORD = f"{STATE}/pages.msgpack"
_ABSENT = -1


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """``stats`` are the size and the time of each file, in order; ``snapshot`` is the digest of what the pages say, and
    ``made_by`` the program that put it into words.
    """

    made_by: str
    snapshot: str
    stats: memoryview


_decoder = msgspec.msgpack.Decoder(_Record)


class PublishedPages:
    """The pages that were published for a snapshot: so many files for each project, and some for all."""

    def __init__(self, storage: Files, snapshot: Snapshot, *, made_by: str, per_project: int, common: int) -> None:
        self._storage = storage
        self._width = 4 * per_project  # each page and its packed copy, size and time
        projects = snapshot.projects
        self._projects = projects if isinstance(projects, StoredProjects) else None
        self._site = snapshot.site
        self._stats = self._load(made_by, common)

    def _load(self, made_by: str, common: int) -> array[int] | None:
        if self._projects is None:
            return None
        try:
            data = self._storage.read(_RECORD)
            record = _decoder.decode(data) if data is not None else None
        except (msgspec.DecodeError, ValueError, StorageError):
            return None
        if record is None or (record.made_by, record.snapshot) != (made_by, self._projects.digest):
            return None
        stats = array("q")
        if len(record.stats) != 8 * (len(self._projects) * self._width + 4 * common):
            return None
        stats.frombytes(record.stats)
        return stats

    @property
    def is_known(self) -> bool:
        """Whether anything is recorded of them."""
        return self._stats is not None

    def is_same(self, snapshot: Snapshot) -> bool:
        """Whether it is of a snapshot that says what ``snapshot`` does."""
        projects = snapshot.projects
        return (
            self._projects is not None
            and isinstance(projects, StoredProjects)
            and projects.digest == self._projects.digest
            and snapshot.site == self._site
        )

    def find(self, name: str, line: bytes) -> list[str] | None:
        """The files of the project whose canonical JSON is ``line``, where all are as they were published."""
        if self._stats is None or self._projects is None:
            return None
        index = bisect_left(self._projects.names, name)
        if index == len(self._projects) or self._projects.names[index] != name or self._projects.read(index) != line:
            return None
        pages = project_pages(name)
        stats = self._stats[index * self._width : (index + 1) * self._width]
        if not self._compare(pages, stats):
            return None
        return [name for name, size in zip(_with_copies(pages), stats[::2], strict=True) if size != _ABSENT]

    def has_common(self, pages: Sequence[str]) -> bool:
        """Whether the pages of all are as they were published."""
        if self._stats is None or self._projects is None:
            return False
        return self._compare(pages, self._stats[len(self._projects) * self._width :])

    def list_there(self, pages: Sequence[str]) -> list[str]:
        """The files of ``pages`` that there are."""
        return [name for name in _with_copies(pages) if self._storage.stat(name) is not None]

    def _compare(self, pages: Sequence[str], stats: Sequence[int]) -> bool:
        expected = iter(stats)
        for name in _with_copies(pages):
            stat = self._storage.stat(name)
            found = (stat.size, stat.mtime_ns) if stat is not None else (_ABSENT, _ABSENT)
            if found != (next(expected), next(expected)):
                return False
        return True


def forget_published(storage: Files) -> None:
    """What is recorded is trusted no more."""
    storage.remove(_RECORD)


def save_published(storage: Files, snapshot: Snapshot, pages: Iterable[str], *, made_by: str) -> None:
    """Records ``pages`` as they are now: those of each project in order, then those of all."""
    if not isinstance(snapshot.projects, StoredProjects):
        return
    stats = array("q")
    for name in _with_copies(pages):
        stat = storage.stat(name)
        stats.extend((stat.size, stat.mtime_ns) if stat is not None else (_ABSENT, _ABSENT))
    record = _Record(made_by, snapshot.projects.digest, memoryview(stats).cast("B"))
    storage.write(_RECORD, msgspec.msgpack.encode(record))


def _with_copies(pages: Iterable[str]) -> Iterable[str]:
    for name in pages:
        yield name
        yield name + COMPRESSED_SUFFIX
