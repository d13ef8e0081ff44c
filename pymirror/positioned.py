"""A file of which any part is read without a seek, by any number of threads."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path

from pymirror.errors import StorageError

_MAX_OPEN = 16


class PositionedFile:
    """The file that is at ``path`` now. Few of them are open at a time: one that was not read for long is closed, and
    opened again when it is.

    One that ``is_kept`` stays open, though its name goes.
    """

    def __init__(self, path: Path, *, is_kept: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._is_kept = is_kept
        self._finalizer: weakref.finalize[[int], PositionedFile] | None = None
        self._open()
        if not is_kept:
            _open_files.use(self)

    def read(self, start: int, size: int) -> bytes:
        """At most ``size`` bytes from ``start`` on. Raises :class:`StorageError`."""
        if not self._is_kept:
            _open_files.use(self)
        with self._lock:
            descriptor = self._descriptor if self._descriptor is not None else self._open()
            try:
                if hasattr(os, "pread"):
                    return os.pread(descriptor, size, start)
                os.lseek(descriptor, start, os.SEEK_SET)
                return os.read(descriptor, size)
            except OSError as error:
                raise StorageError.from_os_error(error, self._path) from error

    def close(self) -> None:
        """Until it is read again."""
        with self._lock:
            if self._finalizer is not None:
                self._finalizer()
            self._finalizer = self._descriptor = None

    def _open(self) -> int:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise StorageError.from_os_error(error, self._path) from error
        self._finalizer = weakref.finalize(self, os.close, self._descriptor)
        return self._descriptor


class _OpenFiles:
    """Those that were read last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[int, weakref.ref[PositionedFile]] = {}

    def use(self, file: PositionedFile) -> None:
        with self._lock:
            self._files.pop(id(file), None)
            self._files[id(file)] = weakref.ref(file)
            idle = [self._files.pop(next(iter(self._files)))] if len(self._files) > _MAX_OPEN else []
        for reference in idle:
            other = reference()
            if other is not None and other is not file:
                other.close()


_open_files = _OpenFiles()
