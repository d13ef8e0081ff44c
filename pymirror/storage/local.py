"""A folder of this machine.

Durability: a file is synced before it is renamed; the folders that changed are synced together, before the pages that
point into them are switched. Modes are 0644 and 0755 whatever the umask, or as the spec says; the private folder is
0700. Disks that have no modes, links or times of their own (exFAT, SMB) do without.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from pymirror.errors import StorageError
from pymirror.layout import POOL, PRIVATE, SIMPLE, TEMPORARY, is_device
from pymirror.storage.interface import Stat
from pymirror.storage.steps import (
    Translated,
    exchange,
    link,
    link_or_copy,
    make_room,
    move,
    remove,
    renew_time,
    set_mode,
    sync_all,
    write_all,
)
from pymirror.workers import Stop, run_ordered

FILE_MODE = 0o644
FOLDER_MODE = 0o755
_PRIVATE_MODE = 0o700
_PIECE_BYTES = 256 * 1024
_SYNCED_TOGETHER = 32
_SYNCING_THREADS = 8
_STAYING = (POOL, SIMPLE, PRIVATE)  # which are there though they be empty

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class LocalStorage:
    """The tree below ``root``; ``file_mode`` and ``folder_mode`` are the permissions of what is made in it."""

    def __init__(self, root: Path, *, file_mode: int = FILE_MODE, folder_mode: int = FOLDER_MODE) -> None:
        self.root = root
        self._top = os.fspath(root)
        self._file_mode = file_mode
        self._folder_mode = folder_mode
        self._unsynced: set[str] = set()
        self._lock = threading.Lock()
        self._serial = count()
        self._longest: tuple[int, int] | None = None

    @property
    def location(self) -> str:
        return str(self.root)

    # ── files ───────────────────────────────────────────────────────────────────────────────────

    def local_path(self, name: str) -> Path:
        return self.root / name

    def can_hold(self, name: str) -> bool:
        if sys.platform == "win32" and any(map(is_device, name.split("/"))):
            return False
        if self._longest is None:
            try:
                longest, most = os.pathconf(self.root, "PC_NAME_MAX"), os.pathconf(self.root, "PC_PATH_MAX")
            except (AttributeError, OSError, ValueError):
                return True  # nobody says: it shows when it is written
            self._longest = longest, most - len(os.fsencode(os.path.abspath(self._top))) - 1
        longest, most = self._longest
        encoded = os.fsencode(name)
        return len(encoded) < most and all(len(part) <= longest for part in encoded.split(b"/"))

    def stat(self, name: str) -> Stat | None:
        path = f"{self._top}/{name}"
        try:
            found = os.lstat(path)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise StorageError.from_os_error(error, Path(path)) from error
        return Stat(found.st_size, found.st_mtime_ns)

    def read(self, name: str) -> bytes | None:
        path = f"{self._top}/{name}"
        with Translated(path):
            try:
                with open(path, "rb", buffering=0) as file:
                    return file.readall()
            except OSError as error:
                if error.errno in _ABSENT or isinstance(error, IsADirectoryError):
                    return None
                raise

    def read_pieces(self, name: str) -> Iterator[bytes]:
        path = f"{self._top}/{name}"
        with Translated(path):
            try:
                file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
        with file:
            while True:
                with Translated(path):
                    piece = file.read(_PIECE_BYTES)
                if not piece:
                    return
                yield piece

    def write(self, name: str, data: bytes | Iterable[bytes], *, newer_than: str | None = None) -> Stat:
        path = f"{self._top}/{name}"
        temporary = f"{self._top}/{TEMPORARY}/{os.getpid()}-{next(self._serial)}"
        try:
            with Translated(path), self._open_new(temporary) as file:
                for piece in [data] if isinstance(data, bytes) else data:
                    write_all(file, piece)
                if newer_than is not None:
                    renew_time(temporary, f"{self._top}/{newer_than}")
                return self._finish(file, temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _open_new(self, temporary: str) -> io.FileIO:
        try:
            return open(temporary, "xb", buffering=0)
        except FileNotFoundError:
            self._make_folder(os.path.dirname(temporary))
        except FileExistsError:
            os.unlink(temporary)  # a killed run may have left a further name of a published file: it is not written to
        return open(temporary, "xb", buffering=0)

    def _finish(self, file: io.FileIO, temporary: str, path: str) -> Stat:
        """Gives the open and complete ``temporary`` its mode and, when it is durable, its name."""
        found = os.fstat(file.fileno())
        if stat.S_IMODE(found.st_mode) != self._file_mode or self._folder_mode & stat.S_ISGID:
            self._permit(temporary, self._file_mode)
        try:
            os.fsync(file.fileno())
        except OSError:
            # The system takes the pages that it could not write for written: nobody may go on with this file.
            os.unlink(temporary)
            raise
        if renew_time(temporary, path):
            make_room(path)
            found = os.fstat(file.fileno())
        try:
            move(temporary, path)
        except (FileNotFoundError, NotADirectoryError):
            self._make_folder(os.path.dirname(path))
            move(temporary, path)
        self._touch(os.path.dirname(path))
        return Stat(found.st_size, found.st_mtime_ns)

    def append(self, name: str, data: bytes) -> None:
        path = f"{self._top}/{name}"
        with Translated(path), self._open_end(path) as file:
            write_all(file, data)
        self._touch(path)

    def _open_end(self, path: str) -> io.FileIO:
        try:
            return open(path, "ab", buffering=0)
        except FileNotFoundError:
            self._make_folder(os.path.dirname(path))
        return open(path, "ab", buffering=0)

    def remove(self, name: str) -> None:
        path = f"{self._top}/{name}"
        with Translated(path):
            remove(path)
        folder = name.rpartition("/")[0]
        self._touch(f"{self._top}/{folder}" if folder else self._top)
        while folder and folder not in _STAYING:
            try:
                os.rmdir(f"{self._top}/{folder}")
            except OSError:
                break
            folder = folder.rpartition("/")[0]
            self._touch(f"{self._top}/{folder}" if folder else self._top)

    def walk(self, folder: str) -> Iterator[str]:
        root = self.root / folder

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise StorageError.from_os_error(error, root)

        with Translated(root):
            is_file = root.is_file()
        if is_file:
            yield folder
            return
        skipped = len(self._top) + 1
        for parent, folders, files in os.walk(f"{self._top}/{folder}", onerror=refuse):
            folders.sort()
            name = parent[skipped:].replace(os.sep, "/")
            for file in sorted(files):
                yield f"{name}/{file}"

    def list_folder(self, folder: str) -> list[str]:
        path = f"{self._top}/{folder}"
        with Translated(path):
            try:
                return sorted(os.listdir(path))
            except (FileNotFoundError, NotADirectoryError):
                return []

    # ── temporary files ─────────────────────────────────────────────────────────────────────────

    def temporary(self, name: str) -> Path:
        path = self.root / name
        with Translated(path):
            self._make_folder(path.parent)
        return path

    def adopt(self, temporary: Path, name: str) -> Stat:
        path = f"{self._top}/{name}"
        with Translated(path), open(temporary, "r+b", buffering=0) as file:
            return self._finish(file, os.fspath(temporary), path)

    # ── folders ─────────────────────────────────────────────────────────────────────────────────

    def link(self, source: str, name: str) -> None:
        path = f"{self._top}/{name}"
        folder = os.path.dirname(path)
        with Translated(path):
            try:
                is_linked = link(f"{self._top}/{source}", path)
            except (FileNotFoundError, NotADirectoryError):  # the folder, sooner than the source
                self._make_folder(folder)
                is_linked = link(f"{self._top}/{source}", path)
            if not is_linked:
                self._replace_by_link(f"{self._top}/{source}", path)
            self._touch(folder)

    def _replace_by_link(self, source: str, path: str) -> None:
        temporary = os.fspath(self.temporary(f"{TEMPORARY}/{os.getpid()}-{next(self._serial)}"))
        self._make_folder(os.path.dirname(path))
        try:
            link_or_copy(source, temporary, partial(self._permit, mode=self._file_mode))
            make_room(path)
            move(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def is_linked(self, one: str, other: str) -> bool:
        with Translated(self.root / one):
            try:
                return (self.root / one).samefile(self.root / other)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def switch(self, staged: str, folder: str) -> bool:
        source, target = self.root / staged, self.root / folder
        with Translated(target):
            self._make_folder(target.parent)
            if not target.exists():
                source.rename(target)
            elif not exchange(source, target):
                return False
            self._touch(target.parent)
            self._touch(source.parent)
            self.sync()
        return True

    def remove_folder(self, folder: str) -> None:
        path = self.root / folder
        with Translated(path):
            if path.is_dir():
                shutil.rmtree(path)
                self._touch(path.parent)

    def sync(self) -> None:
        with self._lock:
            unsynced, self._unsynced = self._unsynced, set()
        paths = sorted(unsynced)
        # The disk answers several at a time, as it does when files are fetched; most of it is waiting.
        parts = [paths[begin : begin + _SYNCED_TOGETHER] for begin in range(0, len(paths), _SYNCED_TOGETHER)]
        if len(parts) == 1:
            sync_all(parts[0])
            return
        for _ in run_ordered(parts, sync_all, threads=_SYNCING_THREADS, stop=Stop()):
            pass

    def _touch(self, path: str | Path) -> None:
        with self._lock:
            self._unsynced.add(os.fspath(path))

    def _make_folder(self, folder: str | Path) -> None:
        """``folder`` and its parents, with the modes that a web server needs whatever the umask is."""
        path = os.fspath(folder)
        mode = _PRIVATE_MODE if path == f"{self._top}{os.sep}{PRIVATE}" else self._folder_mode
        try:
            found = os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            found = 0
        if stat.S_ISDIR(found):
            if mode == _PRIVATE_MODE and stat.S_IMODE(found) != mode:
                set_mode(path, mode)  # as it is after a copy of the tree
            return
        parent = os.path.dirname(path) or os.curdir
        self._make_folder(parent)
        # Damage within the tree gives way. What stands at its top, or above it, may be a file of the user's own.
        if stat.S_ISREG(found) and parent.startswith(f"{self._top}{os.sep}"):
            os.unlink(path)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if os.path.isdir(path):
                return  # another thread was first
            raise
        self._permit(path, mode)
        self._touch(parent)

    def _permit(self, path: str | Path, mode: int) -> None:
        """Gives ``path`` its mode; with setgid, the group of the whole tree too, which a rename would not give it."""
        if self._folder_mode & stat.S_ISGID and os.fspath(path) != self._top and sys.platform != "win32":
            with contextlib.suppress(PermissionError):  # of a user who is not in it, or on a disk without groups
                shutil.chown(path, group=self.root.stat().st_gid)
        set_mode(path, mode)
