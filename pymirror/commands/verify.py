"""``pymirror verify``: every page, link, size, hash and mode of the published tree, from the disk alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pymirror.commands.ports import Ports
from pymirror.commands.report import VerifyReport
from pymirror.commands.verify_files import Progressed, list_files
from pymirror.commands.verify_tree import examine, find_snapshot, forget, report_on
from pymirror.errors import StorageError
from pymirror.lock import hold_lock
from pymirror.storage.interface import Storage


def verify(ports: Ports, *, anew: bool = False) -> VerifyReport:
    """Compares the snapshot, the pool and the pages. What is damaged is fetched again by the next ``sync``.

    With ``anew``, what an interrupted run had read is read again. Raises :class:`NoMirrorError` where nothing is
    published, :class:`LockedError` during a run.
    """
    storage = ports.storage
    find_snapshot(storage)  # before there is a lock, so that none is left where there is no mirror
    with _lock_if_writable(storage) as is_writable:
        snapshot = find_snapshot(storage)
        progressed = Progressed(storage, now=ports.now, write=is_writable, anew=anew)
        found = examine(ports, snapshot, list_files(snapshot), progressed, is_writable=is_writable)
        if is_writable:
            forget(ports, snapshot, found.damages)
        progressed.finish()
        return report_on(storage, snapshot, found, resumed=progressed.resumed)


@contextlib.contextmanager
def _lock_if_writable(storage: Storage) -> Iterator[bool]:
    """The lock, and whether it could be had: a read-only disk has no other writer either."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(storage, command="verify"))
        except StorageError as error:
            if not error.is_read_only:
                raise
            yield False
        else:
            yield True
