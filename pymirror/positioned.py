"""A file of which any part is read without a seek, so that any number of threads may."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from pymirror.errors import StorageError


class PositionedFile:
    """The file that is at ``path`` now, whatever takes its name later. Closed when nobody has it any more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise StorageError.from_os_error(error, path) from error
        self.close = weakref.finalize(self, os.close, self._descriptor)

    def read(self, start: int, size: int) -> bytes:
        """At most ``size`` bytes from ``start`` on. Raises :class:`StorageError`."""
        try:
            if hasattr(os, "pread"):
                return os.pread(self._descriptor, size, start)
            with self._path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise StorageError.from_os_error(error, self._path) from error
