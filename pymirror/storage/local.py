"""A folder of this machine.

Durability: a file is synced before it is renamed; the folders that changed are synced together, before the pages that
point into them are switched. Modes are 0644 and 0755 whatever the umask; the private folder is 0700. Disks that have
no modes, links or times of their own (exFAT, SMB) do without.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from pymirror.errors import StorageError
from pymirror.layout import POOL, PRIVATE, SIMPLE, TEMPORARY
from pymirror.storage.interface import Stat

_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
_PRIVATE_MODE = 0o700
_PIECE_BYTES = 256 * 1024
_STAYING = (POOL, SIMPLE, PRIVATE)  # which are there though they be empty

_RENAME_EXCHANGE = 2  # Linux renameat2(2), and macOS renameatx_np(2) as RENAME_SWAP
_AT_FDCWD = -100 if sys.platform == "linux" else -2
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
_CANNOT_EXCHANGE = _UNSUPPORTED | {errno.EXDEV}


class LocalStorage:
    """The tree below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._unsynced: set[Path] = set()
        self._lock = threading.Lock()
        self._serial = count()

    @property
    def location(self) -> str:
        return str(self.root)

    # ── files ───────────────────────────────────────────────────────────────────────────────────

    def local_path(self, name: str) -> Path:
        return self.root / name

    def stat(self, name: str) -> Stat | None:
        with _translated(self.root / name):
            try:
                found = (self.root / name).lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Stat(found.st_size, found.st_mtime_ns)

    def read(self, name: str) -> bytes | None:
        with _translated(self.root / name):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def read_pieces(self, name: str) -> Iterator[bytes]:
        with _translated(self.root / name):
            try:
                file = (self.root / name).open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
        with file:
            while True:
                with _translated(self.root / name):
                    piece = file.read(_PIECE_BYTES)
                if not piece:
                    return
                yield piece

    def write(self, name: str, data: bytes | Iterable[bytes], *, newer_than: str | None = None) -> None:
        temporary = self.temporary(f"{TEMPORARY}/{os.getpid()}-{next(self._serial)}")
        try:
            with _translated(self.root / name):
                # A killed run may have left a further name of a published file there: it is never written into.
                temporary.unlink(missing_ok=True)
                with temporary.open("xb") as file:
                    file.writelines([data] if isinstance(data, bytes) else data)
                if newer_than is not None:
                    _renew_time(temporary, self.root / newer_than)
            self.adopt(temporary, name)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def append(self, name: str, data: bytes) -> None:
        path = self.temporary(name)
        with _translated(path), path.open("ab", buffering=0) as file:
            rest = memoryview(data)
            while rest:  # a disk that becomes full takes a part, and refuses only what comes next
                rest = rest[file.write(rest) :]
        self._touch(path)

    def remove(self, name: str) -> None:
        path = self.root / name
        with _translated(path):
            _make_room(path)
            path.unlink(missing_ok=True)
            self._touch(path.parent)
            for parent in path.parents:
                if parent in (self.root, *(self.root / folder for folder in _STAYING)):
                    break
                try:
                    parent.rmdir()
                except OSError:
                    break
                self._touch(parent.parent)

    def walk(self, folder: str) -> Iterator[str]:
        root = self.root / folder

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise StorageError.from_os_error(error, root)

        with _translated(root):
            is_file = root.is_file()
        if is_file:
            yield folder
            return
        for parent, folders, files in os.walk(root, onerror=refuse):
            folders.sort()
            for file in sorted(files):
                yield Path(parent, file).relative_to(self.root).as_posix()

    def list_folder(self, folder: str) -> list[str]:
        with _translated(self.root / folder):
            try:
                return sorted(path.name for path in (self.root / folder).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    # ── temporary files ─────────────────────────────────────────────────────────────────────────

    def temporary(self, name: str) -> Path:
        path = self.root / name
        with _translated(path):
            self._make_folder(path.parent)
        return path

    def adopt(self, temporary: Path, name: str) -> Stat:
        path = self.root / name
        with _translated(path):
            _set_mode(temporary, _FILE_MODE)
            try:
                _sync_file(temporary)
            except OSError:
                # The system takes the pages that it could not write for written: nobody may go on with this file.
                temporary.unlink()
                raise
            self._make_folder(path.parent)
            _renew_time(temporary, path)
            _make_room(path)
            _move(temporary, path)
            self._touch(path.parent)
            found = path.stat()
        return Stat(found.st_size, found.st_mtime_ns)

    # ── folders ─────────────────────────────────────────────────────────────────────────────────

    def link(self, source: str, name: str) -> None:
        path = self.root / name
        temporary = self.temporary(f"{TEMPORARY}/{os.getpid()}-{next(self._serial)}")
        with _translated(path):
            self._make_folder(path.parent)
            try:
                if _link(self.root / source, path, temporary):
                    _make_room(path)
                    _move(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            self._touch(path.parent)

    def is_linked(self, one: str, other: str) -> bool:
        with _translated(self.root / one):
            try:
                return (self.root / one).samefile(self.root / other)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def switch(self, staged: str, folder: str) -> bool:
        source, target = self.root / staged, self.root / folder
        with _translated(target):
            self._make_folder(target.parent)
            if not target.exists():
                source.rename(target)
            elif not _exchange(source, target):
                return False
            self._touch(target.parent)
            self._touch(source.parent)
            self.sync()
        return True

    def remove_folder(self, folder: str) -> None:
        path = self.root / folder
        with _translated(path):
            if path.is_dir():
                shutil.rmtree(path)
                self._touch(path.parent)

    def sync(self) -> None:
        with self._lock:
            paths, self._unsynced = self._unsynced, set()
        for path in sorted(paths):
            with _translated(path), contextlib.suppress(FileNotFoundError):
                _sync_folder(path) if path.is_dir() else _sync_file(path)

    def _touch(self, path: Path) -> None:
        with self._lock:
            self._unsynced.add(path)

    def _make_folder(self, folder: Path) -> None:
        """``folder`` and its parents, with the modes that a web server needs whatever the umask is."""
        mode = _PRIVATE_MODE if folder == self.root / PRIVATE else _FOLDER_MODE
        if folder.is_dir():
            if mode == _PRIVATE_MODE and stat.S_IMODE(folder.stat().st_mode) != mode:
                _set_mode(folder, mode)  # as it is after a copy of the tree
            return
        self._make_folder(folder.parent)
        # Damage within the tree gives way. What stands at its top, or above it, may be a file of the user's own.
        if self.root in folder.parent.parents and folder.is_file():
            folder.unlink()
        try:
            folder.mkdir(mode)
        except FileExistsError:
            if folder.is_dir():
                return  # another thread was first
            raise
        _set_mode(folder, mode)
        self._touch(folder.parent)


def _make_room(path: Path) -> None:
    """Removes a folder that stands where a file belongs, which is damage."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)


def _link(source: Path, path: Path, temporary: Path) -> bool:
    """Makes ``path`` a further name of ``source`` where it is free; else ``temporary`` becomes one, or a whole and
    durable copy where there are no links. Whether it is ``temporary`` that was made.
    """
    temporary.unlink(missing_ok=True)  # what a killed run left may be a name of a published file
    for target in (path, temporary):
        try:
            os.link(source, target)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
                raise
            break  # exFAT, SMB, too many links
        return target == temporary
    shutil.copyfile(source, temporary)
    _set_mode(temporary, _FILE_MODE)
    times = source.stat()
    _set_time(temporary, times.st_mtime_ns)
    _sync_file(temporary)
    return True


def _move(temporary: Path, path: Path) -> None:
    """Gives ``temporary`` the name ``path`` in one step."""
    try:
        temporary.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        problem = f"it is on another disk than {temporary.parent}; the folder of the mirror must be on one disk"
        raise OSError(error.errno, problem, str(path)) from error


def _set_mode(path: Path, mode: int) -> None:
    """What belongs to another user, or lies on a disk without modes, keeps what it has."""
    try:
        path.chmod(mode)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _set_time(path: Path, mtime_ns: int) -> None:
    """The same for the time."""
    try:
        os.utime(path, ns=(mtime_ns, mtime_ns))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _renew_time(temporary: Path, path: Path) -> None:
    """Makes the new file's time later than the old one's, to the second.

    Web servers build the ETag from size and whole seconds: a changed page of equal size, written within the same
    second or after the clock was set back, would be answered with 304.
    """
    try:
        old = path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return
    second = 1_000_000_000
    new = temporary.stat().st_mtime_ns
    if new // second <= old // second:
        _set_time(temporary, (old // second + 1) * second)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)  # Windows syncs only what is open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return  # Windows has no handle to sync a folder by
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot, such as some of FUSE's
            raise
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two folders in one step; ``False`` where the system or the file system has no such step."""
    name = {"linux": "renameat2", "darwin": "renameatx_np"}.get(sys.platform)
    if name is None:
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        return False
    if function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError.from_os_error(error, path) from error
