"""Files that left the pages because upstream lists them no more: their bytes are kept for a while.

Whether upstream withdrew malware or made a mistake cannot be told from here. Until the time is over, a file that comes
back is in the pool still.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from pymirror.errors import StorageError, UnsafeNameError
from pymirror.layout import QUARANTINE, pool_path
from pymirror.snapshot import SnapshotFile
from pymirror.spec.model import QUARANTINE_DAYS
from pymirror.storage.interface import Files


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was set aside, and when; because upstream withdrew it, or has quarantined its project (PEP 792)."""

    project: str
    file: SnapshotFile
    since: Annotated[datetime, msgspec.Meta(tz=True)]
    is_quarantined_upstream: bool = False

    @property
    def until(self) -> datetime:
        try:
            return self.since + timedelta(days=QUARANTINE_DAYS)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)

    def is_over(self, now: datetime) -> bool:
        return now >= self.until


def _is_sound(held: Held) -> bool:
    """Whether the record names a file of the pool and a version: it may have been tampered with."""
    try:
        pool_path(held.file.blake2b, held.file.filename)
    except UnsafeNameError:
        return False
    from pymirror.distribution import parse_version  # late, for the many mirrors of which nothing was withdrawn

    return parse_version(held.file.version) is not None


_decoder = msgspec.json.Decoder(tuple[Held, ...])


class Quarantine:
    """The record of what was set aside."""

    def __init__(self, storage: Files) -> None:
        self._storage = storage

    def load(self) -> tuple[Held, ...]:
        """What is set aside; damage is the same as nothing."""
        data = self._storage.read(QUARANTINE)
        try:
            entries = _decoder.decode(data) if data is not None else ()
            return tuple(held for held in entries if _is_sound(held))
        except (msgspec.DecodeError, ValueError):
            return ()

    def add(self, files: Iterable[tuple[str, SnapshotFile]], *, quarantined: Collection[str], now: datetime) -> None:
        """Sets ``files``, (project, file), aside; what is set aside already keeps its time.

        ``quarantined`` are the projects that upstream has quarantined.
        """
        before = self.load()
        known = {(held.project, held.file.path) for held in before}
        new = [
            Held(project=project, file=file, since=now, is_quarantined_upstream=project in quarantined)
            for project, file in files
            if (project, file.path) not in known
        ]
        if new:
            self._save([*before, *new])

    def release(self, published: Iterable[tuple[str, SnapshotFile]]) -> None:
        """Forgets what is ``published`` again."""
        before = self.load()
        if not before:
            return
        aside = {(held.project, held.file.filename) for held in before}
        back = {(project, file.path) for project, file in published if (project, file.filename) in aside}
        after = [held for held in before if (held.project, held.file.path) not in back]
        if len(after) != len(before):
            self._save(after)

    def expire(self, now: datetime) -> None:
        """Forgets what has had its time."""
        before = self.load()
        after = [held for held in before if not held.is_over(now)]
        if len(after) != len(before):
            self._save(after)

    def _save(self, entries: Iterable[Held]) -> None:
        ordered = sorted(entries, key=lambda held: (held.project, held.file.filename, held.since))
        if ordered:
            self._storage.write(QUARANTINE, msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
        else:
            self._storage.remove(QUARANTINE)


def load_quarantine(storage: Files) -> tuple[Held, ...]:
    """What is set aside, as far as the user may read it."""
    try:
        return Quarantine(storage).load()
    except StorageError as error:
        if not error.is_read_only:
            raise
        return ()
