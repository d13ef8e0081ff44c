"""What the rest of the program asks of the place where the tree lives.

Names are the ``/``-separated paths of :mod:`pymirror.layout`. Every failure is a :class:`pymirror.errors.StorageError`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from pymirror.errors import StorageError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: StorageError) -> bool:
    """Whether there was no room: what only removes files may go on."""
    return error.code in _FULL


def is_too_long(error: StorageError) -> bool:
    """Whether it was a name that is longer than the disk takes: that costs what it is the name of, and no more."""
    return error.code == errno.ENAMETOOLONG


class Stat(NamedTuple):
    """``size`` in bytes; ``mtime_ns`` in nanoseconds since the epoch, as the storage keeps it."""

    size: int
    mtime_ns: int


class Files(Protocol):
    """Reads and writes single files. A write is atomic and durable: another reader sees the old bytes or the new."""

    def can_hold(self, name: str) -> bool:
        """Whether a name can be there at all: one that is too long, or a device, never is."""

    def stat(self, name: str) -> Stat | None:
        """``None`` where there is no such file."""

    def read(self, name: str) -> bytes | None:
        """``None`` where there is no such file."""

    def read_pieces(self, name: str) -> Iterator[bytes]:
        """The file in pieces; none where there is no such file."""

    def write(self, name: str, data: bytes | Iterable[bytes], *, newer_than: str | None = None) -> Stat:
        """Gives ``name`` this content; its time is later than that of the file ``newer_than``, where there is one."""

    def append(self, name: str, data: bytes) -> None:
        """Adds ``data``, a line or so, at the end. Durable after :meth:`Pages.sync`; before, a part may be lost."""

    def remove(self, name: str) -> None:
        """Removes the file, or the folder in its place, if it is there, and the folders that this leaves empty."""

    def walk(self, folder: str) -> Iterator[str]:
        """The name of every file below ``folder``, in order; of ``folder`` itself where it is a file."""

    def list_folder(self, folder: str) -> list[str]:
        """What ``folder`` holds, files and folders, by their names in it, in order; nothing where it is not there."""


class Pages(Protocol):
    """Exchanges whole folders."""

    def link(self, source: str, name: str) -> None:
        """A second name for a file, or a copy with the same times where the storage has no links.

        It takes the place of what has that name.
        """

    def is_linked(self, one: str, other: str) -> bool:
        """Whether both are names of one file."""

    def switch(self, staged: str, folder: str) -> bool:
        """``staged`` takes the place of ``folder`` in one step; ``False`` where the storage cannot do that."""

    def remove_folder(self, folder: str) -> None:
        """Removes a folder and all below it, if it is there."""

    def sync(self) -> None:
        """Returns when all that was written, adopted, linked or removed before is durable."""


class Storage(Files, Pages, Protocol):
    """A place for a tree; ``temporary`` and ``adopt`` are how a verified download gets its final name."""

    @property
    def location(self) -> str:
        """What the user calls this place."""

    def temporary(self, name: str) -> Path:
        """Where the temporary file ``name``, below the private folder, is on this machine; its folder exists."""

    def local_path(self, name: str) -> Path:
        """Where ``name`` can be read on this machine."""

    def adopt(self, temporary: Path, name: str) -> Stat:
        """Gives a complete temporary file its final name, durably."""
