"""Files that left the pages because upstream lists them no more: their bytes are kept for a while.

Whether upstream withdrew malware or made a mistake cannot be told from here. Until the time is over, a file that comes
back is in the pool still.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from pymirror.errors import UnsafeNameError
from pymirror.layout import QUARANTINE, pool_path
from pymirror.snapshot import SnapshotFile
from pymirror.spec.model import QUARANTINE_DAYS
from pymirror.storage.interface import Files


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was set aside, and when."""

    project: str
    file: SnapshotFile
    since: datetime

    @property
    def until(self) -> datetime:
        return self.since + timedelta(days=QUARANTINE_DAYS)

    def is_over(self, now: datetime) -> bool:
        return now >= self.until


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
            return tuple(held for held in entries if pool_path(held.file.blake2b, held.file.filename))
        except (msgspec.DecodeError, ValueError, UnsafeNameError):
            return ()

    def add(self, files: Iterable[tuple[str, SnapshotFile]], *, now: datetime) -> None:
        """Sets ``files``, (project, file), aside; what is set aside already keeps its time."""
        before = self.load()
        known = {(held.project, held.file.path) for held in before}
        new = [
            Held(project=project, file=file, since=now) for project, file in files if (project, file.path) not in known
        ]
        if new:
            self._save([*before, *new])

    def release(self, published: Iterable[tuple[str, SnapshotFile]]) -> None:
        """Forgets what is ``published`` again."""
        before = self.load()
        if not before:
            return
        back = {(project, file.path) for project, file in published}
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
