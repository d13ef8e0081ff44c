"""The modes of what is served: 0644 and 0755, whatever the umask was.

A disk may have no modes (exFAT), or those of whoever copied the tree: where no file at all has the right one, that is
how the disk is, and no damage, as long as everyone can read it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pymirror.commands.report import Damage
from pymirror.layout import FLAT, LEGACY, LOCK_FILE, POOL, PROJECTS, SIMPLE
from pymirror.storage.interface import Storage

FILE_MODE = 0o644
FOLDER_MODE = 0o755

LINK = "a link in the place of a file"

_SERVED = (SIMPLE, LEGACY, PROJECTS, FLAT, POOL)


def check_modes(storage: Storage, names: Iterable[str], *, is_writable: bool) -> list[Damage]:
    """What is wrong with the modes of the files ``names``, and of the folders that they are in."""
    if sys.platform == "win32":
        return []
    files = list(dict.fromkeys(names))
    folders = sorted({parent for name in files for parent in _list_parents(name)})
    modes = {name: mode for name in files if (mode := read_mode(storage.local_path(name))) is not None}
    wrong = {name: mode for name, mode in modes.items() if mode != FILE_MODE}
    if modes and len(wrong) == len(modes):
        is_open = all(mode & 0o444 == 0o444 for mode in wrong.values())
        if is_open or not (is_writable and _keeps_modes(storage)):
            return []
    found = [
        Damage(path=name, problem=LINK) if storage.local_path(name).is_symlink() else _tell(name, mode, FILE_MODE)
        for name, mode in wrong.items()
    ]
    for name in folders:
        mode = read_mode(storage.local_path(name), is_folder=True)
        if mode not in (None, FOLDER_MODE):
            found.append(_tell(name, mode or 0, FOLDER_MODE))
    return found


def mend_mode(storage: Storage, name: str) -> None:
    """Gives ``name`` the mode that it must have, where that is to be had: only the owner can."""
    path = storage.local_path(name)
    with contextlib.suppress(OSError):
        if path.is_symlink():
            return
        expected = FOLDER_MODE if path.is_dir() else FILE_MODE
        if stat.S_IMODE(path.stat().st_mode) & 0o777 != expected:
            path.chmod(expected)


def find_links(storage: Storage) -> Iterator[Damage]:
    """Symbolic links to folders, which lead a web server out of the tree; what stands at its top may be the user's."""
    for served in _SERVED:
        root = storage.local_path(served)
        for parent, folders, _ in os.walk(root):
            for folder in sorted(folders):
                path = Path(parent, folder)
                if path.is_symlink():
                    name = f"{served}/{path.relative_to(root).as_posix()}"
                    yield Damage(path=name, problem="a foreign link to a folder")


def read_mode(path: Path, *, is_folder: bool = False) -> int | None:
    """The nine bits; 0o777 is what a link has. ``None`` where nothing is there, which is told as such."""
    try:
        found = path.stat() if is_folder else path.lstat()
    except OSError:
        return None
    return stat.S_IMODE(found.st_mode) & 0o777


def _keeps_modes(storage: Storage) -> bool:
    """Whether the disk has modes at all: seen by the lock, which this run holds."""
    path = storage.local_path(LOCK_FILE)
    try:
        before = stat.S_IMODE(path.stat().st_mode)
        path.chmod(before ^ 0o040)
        is_kept = stat.S_IMODE(path.stat().st_mode) != before
        path.chmod(before)
    except OSError:
        return False
    return is_kept


def _tell(name: str, mode: int, expected: int) -> Damage:
    return Damage(path=name, problem=f"the mode is {mode:04o}, not {expected:04o}")


def _list_parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
