"""The single steps on a disk that :mod:`pymirror.storage.local` is made of."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from pymirror.errors import StorageError

_RENAME_EXCHANGE = 2  # Linux renameat2(2), and macOS renameatx_np(2) as RENAME_SWAP
_AT_FDCWD = -100 if sys.platform == "linux" else -2
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
_CANNOT_EXCHANGE = _UNSUPPORTED | {errno.EXDEV}
_NO_LINK = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})  # nor a copy
_SECOND_NS = 1_000_000_000


def write_all(file: io.FileIO, data: bytes) -> None:
    """A disk that becomes full takes a part, and refuses only what comes next."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def make_room(path: str | Path) -> None:
    """Removes a folder that stands where a file belongs, which is damage."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)


def remove(path: str) -> None:
    """Removes what is there, a file or a folder; nothing may be."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:  # of a folder each system says something else
        if not os.path.isdir(path):
            raise
        shutil.rmtree(path)


def link(source: str, path: str) -> bool:
    """Makes ``path`` a further name of ``source``, in its folder, where it is free and the disk knows links."""
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno in _NO_LINK:
            raise
        return False
    return True


def link_or_copy(source: str, temporary: str, permit: Callable[[str], None]) -> None:
    """Makes ``temporary`` a further name of ``source``; where there are no links, a whole and durable copy with
    the mode that ``permit`` gives it.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # what a killed run left may be a name of a published file
    if link(source, temporary):
        return
    shutil.copyfile(source, temporary)
    permit(temporary)
    set_time(temporary, os.stat(source).st_mtime_ns)
    sync_file(temporary)


def move(temporary: str | Path, path: str | Path) -> None:
    """Gives ``temporary`` the name ``path`` in one step."""
    try:
        os.replace(temporary, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        folder = os.path.dirname(temporary)
        problem = f"it is on another disk than {folder}; the folder of the mirror must be on one disk"
        raise OSError(error.errno, problem, os.fspath(path)) from error


def set_mode(path: str | Path, mode: int) -> None:
    """What belongs to another user, or lies on a disk without modes, keeps what it has."""
    try:
        os.chmod(path, mode)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def set_time(path: str | Path, mtime_ns: int) -> None:
    """The same for the time."""
    try:
        os.utime(path, ns=(mtime_ns, mtime_ns))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def renew_time(temporary: str | Path, path: str | Path) -> bool:
    """Makes the new file's time later than that of the old one at ``path``, to the second. Whether there is one.

    Web servers build the ETag from size and whole seconds: a changed page of equal size, written within the same
    second or after the clock was set back, would be answered with 304.
    """
    try:
        old = os.lstat(path).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return False
    new = os.stat(temporary).st_mtime_ns
    if new // _SECOND_NS <= old // _SECOND_NS:
        set_time(temporary, (old // _SECOND_NS + 1) * _SECOND_NS)
    return True


def sync_file(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDWR)  # Windows syncs only what is open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: str | Path) -> None:
    """Raises :class:`NotADirectoryError` where it is a file."""
    if sys.platform == "win32":  # which has no handle to sync a folder by
        if os.path.isfile(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(folder))
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot, such as some of FUSE's
            raise
    finally:
        os.close(descriptor)


def exchange(one: Path, other: Path) -> bool:
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


def sync_all(paths: Iterable[str]) -> None:
    """Each file and folder of ``paths`` that is still there. Raises :class:`StorageError`."""
    for path in paths:
        with Translated(path):
            try:
                sync_folder(path)
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                with contextlib.suppress(FileNotFoundError):
                    sync_file(path)


class Translated:
    """Turns the errors of the block, which works on ``path``, into :class:`StorageError`."""

    __slots__ = ("_path",)

    def __init__(self, path: str | Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise StorageError.from_os_error(error, Path(self._path)) from error
