"""One writer at a time. The lock is the operating system's, so a run that was killed leaves none behind."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import filelock

from pymirror.errors import LockedError, StorageError
from pymirror.layout import HOLDER_FILE, LOCK_FILE
from pymirror.storage.interface import Storage, is_full


@contextlib.contextmanager
def hold_lock(storage: Storage, *, command: str) -> Iterator[None]:
    """Holds the mirror's lock. Raises :class:`LockedError` at once where another run has it."""
    path = storage.temporary(LOCK_FILE)
    lock = filelock.FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        holder = (storage.read(HOLDER_FILE) or b"another run").decode("utf-8", errors="replace").strip()
        raise LockedError(storage.location, holder) from None
    except OSError as error:
        raise StorageError.from_os_error(error, path) from error
    try:
        # Beside the lock, and gone with it, so that a run which changes nothing leaves nothing changed.
        holder = f"pymirror {command}, process {os.getpid()} on {socket.gethostname()}\n"
        try:
            storage.remove(HOLDER_FILE)  # that of a killed run
            storage.append(HOLDER_FILE, holder.encode())
        except StorageError as error:
            if not is_full(error):  # `prune` must be able to make room
                raise
        yield
    finally:
        with contextlib.suppress(StorageError):
            storage.remove(HOLDER_FILE)
        with contextlib.suppress(OSError):  # the end of the process releases it too
            lock.release()
