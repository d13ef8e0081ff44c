"""A disk that fails, and one that loses its power, under the real program.

Every call of this process that changes something below a folder passes here first: files that are made and written,
fsync, rename, link, mkdir and the rest. So a fault stands where a real disk has it, between any two calls, and not
where our own functions end.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import errno
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

CALLS = frozenset({"create", "write", "fsync", "rename", "link", "unlink", "mkdir", "rmdir"})
"""The calls that can fail on any disk."""

WRITES = frozenset({"create", "write", "mkdir", "link"})
"""Those that a full one refuses."""


class Observer(Protocol):
    """Looks at each call before it is made; what it raises is raised by the call."""

    def before(self, call: str, path: Path) -> None: ...

    def made(self, path: Path) -> None:
        """A new file or folder has been made."""

    def synced(self, descriptor: int) -> None:
        """``fsync`` has returned."""


class Failing:
    """Refuses the ``at``-th call of ``calls``, counted from 0; with ``for_good``, every one after it too."""

    def __init__(self, at: int, code: int, *, calls: frozenset[str], for_good: bool = False) -> None:
        self._at = at
        self._code = code
        self._calls = calls
        self._for_good = for_good
        self._lock = threading.Lock()
        self.seen = 0

    def before(self, call: str, path: Path) -> None:
        if call not in self._calls:
            return
        with self._lock:
            number, self.seen = self.seen, self.seen + 1
        if number == self._at or (self._for_good and number > self._at):
            raise OSError(self._code, os.strerror(self._code), str(path))

    def made(self, path: Path) -> None:
        pass

    def synced(self, descriptor: int) -> None:
        pass


class Recording:
    """Only tells of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def before(self, call: str, path: Path) -> None:
        with self._lock:
            self.calls.append((call, str(path)))

    def made(self, path: Path) -> None:
        pass

    def synced(self, descriptor: int) -> None:
        pass


# ── what a disk holds at a moment ───────────────────────────────────────────────────────────────────

State = frozenset[tuple[str, bytes | None, int]]
"""Every file (name, bytes, time in nanoseconds) and folder (name, ``None``, 0) of a tree."""


def read_state(root: Path) -> State:
    """What is below ``root`` now."""
    found: set[tuple[str, bytes | None, int]] = set()
    for parent, folders, files in os.walk(root):
        for name in folders:
            found.add((os.path.relpath(f"{parent}/{name}", root), None, 0))
        for name in files:
            path = Path(parent, name)
            found.add((os.path.relpath(path, root), path.read_bytes(), path.stat().st_mtime_ns))
    return frozenset(found)


def write_state(state: State, root: Path) -> None:
    """Makes that tree below ``root``, which is not there."""
    root.mkdir(parents=True)
    for name, data, mtime_ns in sorted(state, key=lambda item: item[0]):
        path = root / name
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, ns=(mtime_ns, mtime_ns))


class Doomed:
    """Keeps, before each call, what would be left if the process were killed there, and if the power went.

    ``killed``: all that was done so far. ``cut``: what was synced, and nothing else: a file has the bytes that it had
    at its last fsync, a folder the names. ``emptied``: names as they are, bytes as they were synced, which is what a
    file system leaves that orders the one and not the other.
    """

    def __init__(self, root: Path, *, with_power: bool) -> None:
        self._root = root
        self._lock = threading.RLock()
        self._inside = False
        self._with_power = with_power
        self._generation: dict[int, int] = {}
        self._files: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._folders: dict[tuple[int, int], dict[str, tuple[int, int, bool]]] = {}
        self.calls = 0
        self.killed: dict[State, int] = {}
        self.cut: dict[State, int] = {}
        self.emptied: dict[State, int] = {}
        self._adopt_all()

    def before(self, call: str, path: Path) -> None:  # noqa: ARG002 - the port's names
        with self._lock:
            if self._inside:
                return
            self._inside = True
            try:
                self.killed.setdefault(read_state(self._root), self.calls)
                if self._with_power:
                    self.cut.setdefault(self._read_cut(), self.calls)
                    self.emptied.setdefault(self._read_emptied(), self.calls)
            finally:
                self._inside = False
            self.calls += 1

    def made(self, path: Path) -> None:
        with self._lock:
            number = path.lstat().st_ino
            self._generation[number] = self._generation.get(number, 0) + 1  # numbers are given anew

    def synced(self, descriptor: int) -> None:
        with self._lock:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                self._folders[self._key(status)] = self._list(os.listdir(descriptor), descriptor)
            else:
                data = Path(f"/proc/self/fd/{descriptor}").read_bytes()  # itself it may be open for writing alone
                self._files[self._key(status)] = (data, status.st_mtime_ns)

    def _adopt_all(self) -> None:
        """What is there before the run is on the disk."""
        for parent, _, _ in os.walk(self._root):
            descriptor = os.open(parent, os.O_RDONLY)
            self.synced(descriptor)
            os.close(descriptor)
        for path in self._root.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    self.synced(file.fileno())

    def _key(self, status: os.stat_result) -> tuple[int, int]:
        return status.st_ino, self._generation.get(status.st_ino, 0)

    def _list(self, names: list[str], descriptor: int) -> dict[str, tuple[int, int, bool]]:
        statuses = ((name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)) for name in names)
        return {name: (*self._key(status), stat.S_ISDIR(status.st_mode)) for name, status in statuses}

    def _read_cut(self) -> State:
        found: set[tuple[str, bytes | None, int]] = set()

        def descend(key: tuple[int, int], prefix: str) -> None:
            for name, (number, generation, is_folder) in self._folders.get(key, {}).items():
                if is_folder:
                    found.add((prefix + name, None, 0))
                    descend((number, generation), f"{prefix}{name}/")
                else:
                    data, mtime_ns = self._files.get((number, generation), (b"", 0))
                    found.add((prefix + name, data, mtime_ns))

        descend(self._key(self._root.stat()), "")
        return frozenset(found)

    def _read_emptied(self) -> State:
        return frozenset(
            (name, data, mtime_ns) if data is None else (name, *self._files.get(self._key(status), (b"", mtime_ns)))
            for name, data, mtime_ns in read_state(self._root)
            for status in [(self._root / name).lstat()]
        )


# ── the calls ───────────────────────────────────────────────────────────────────────────────────────

_NAMES = {"rename": "rename", "replace": "rename", "unlink": "unlink", "remove": "unlink", "rmdir": "rmdir"}
_NAMES |= {"chmod": "chmod", "utime": "utime", "truncate": "write"}


class _File(io.FileIO):
    """A file that is written, each piece a call."""

    def __init__(
        self, path: Path, mode: str, observer: Observer, most_bytes: int | None, turn: AbstractContextManager[bool]
    ) -> None:
        self._turn = turn
        self._observer = observer
        self._path = path
        self._most_bytes = most_bytes
        super().__init__(path, mode)

    def write(self, data: Any, /) -> int:
        with self._turn:
            self._observer.before("write", self._path)
            return super().write(data if self._most_bytes is None else memoryview(data)[: self._most_bytes])


@contextlib.contextmanager
def watched(
    root: Path,
    observer: Observer,
    *,
    can_exchange: bool = True,
    can_link: bool = True,
    most_bytes: int | None = None,
) -> Iterator[None]:
    """Every call of this process that changes something below ``root`` goes by ``observer``, in this block.

    A disk that takes ``most_bytes`` at a time, as write(2) may, can be had too.
    """
    with contextlib.ExitStack() as stack:
        # One call at a time, so that what is seen before each is what it finds.
        turn = threading.RLock()

        def put(module: Any, name: str, value: object) -> None:
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)

        def in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                with turn:
                    return function(*arguments, **options)

            return call

        for name, call in _NAMES.items():
            put(os, name, in_turn(_watch(getattr(os, name), call, root, observer)))
        link = _watch(os.link if can_link else _refuse_link, "link", root, observer, watched_argument=1)
        put(os, "link", in_turn(link))
        put(os, "mkdir", in_turn(_watch(os.mkdir, "mkdir", root, observer, makes=0)))
        put(os, "open", in_turn(_watch_open(os.open, root, observer)))
        put(os, "fsync", in_turn(_watch_fsync(os.fsync, root, observer)))
        opened = in_turn(_watch_files(io.open, root, observer, most_bytes, turn))
        put(io, "open", opened)
        put(builtins, "open", opened)
        put(ctypes, "CDLL", _watch_exchange(ctypes.CDLL, root, observer, turn, can_exchange=can_exchange))
        yield


def _is_below(path: object, root: Path) -> bool:
    return isinstance(path, str | os.PathLike) and Path(path).is_relative_to(root)


def _refuse_link(*_arguments: object, **_options: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # as exFAT says it


def _watch(
    function: Callable[..., Any],
    call: str,
    root: Path,
    observer: Observer,
    *,
    watched_argument: int = 0,
    makes: int | None = None,
) -> Callable[..., Any]:
    def watch(*arguments: Any, **options: Any) -> Any:
        path = arguments[watched_argument]
        if options.get("dir_fd") is not None:  # as shutil.rmtree does
            path = Path(f"/proc/self/fd/{options['dir_fd']}").readlink() / path
        if not _is_below(path, root):
            return function(*arguments, **options)
        observer.before(call, Path(path))
        result = function(*arguments, **options)
        if makes is not None:
            observer.made(Path(arguments[makes]))
        return result

    return watch


def _watch_open(function: Callable[..., int], root: Path, observer: Observer) -> Callable[..., int]:
    def watch(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        makes = bool(flags & os.O_CREAT) and _is_below(path, root) and not Path(path).exists()
        if makes:
            observer.before("create", Path(path))
        descriptor = function(path, flags, *arguments, **options)
        if makes:
            observer.made(Path(path))
        return descriptor

    return watch


def _watch_fsync(function: Callable[[int], None], root: Path, observer: Observer) -> Callable[[int], None]:
    def watch(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if _is_below(path, root):
            observer.before("fsync", path)
            function(descriptor)
            observer.synced(descriptor)

    return watch


def _watch_files(
    function: Callable[..., Any],
    root: Path,
    observer: Observer,
    most_bytes: int | None,
    turn: AbstractContextManager[bool],
) -> Callable[..., Any]:
    def watch(path: Any, mode: str = "r", buffering: int = -1, *arguments: Any, **options: Any) -> Any:
        if not (set(mode) & set("wax+")) or not _is_below(path, root):
            return function(path, mode, buffering, *arguments, **options)
        assert "b" in mode, "the tree is written as bytes"
        makes = not Path(path).exists()
        if makes or "w" in mode:
            observer.before("create", Path(path))
        file = _File(Path(path), mode.replace("b", ""), observer, most_bytes, turn)
        if makes:
            observer.made(Path(path))
        if buffering == 0:
            return file
        return io.BufferedRandom(file) if "+" in mode else io.BufferedWriter(file)

    return watch


def _watch_exchange(
    library: Callable[..., Any],
    root: Path,
    observer: Observer,
    turn: AbstractContextManager[bool],
    *,
    can_exchange: bool,
) -> Callable[..., Any]:
    class Library:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._real = library(*arguments, **options)

        def renameat2(self, one: int, source: bytes, other: int, target: bytes, flags: int) -> int:
            try:
                if not can_exchange:
                    raise OSError(errno.EINVAL, "")
                with turn:
                    if _is_below(os.fsdecode(target), root):
                        observer.before("rename", Path(os.fsdecode(target)))
                    return int(self._real.renameat2(one, source, other, target, flags))
            except OSError as error:
                ctypes.set_errno(error.errno or errno.EIO)
                return -1

    return Library
