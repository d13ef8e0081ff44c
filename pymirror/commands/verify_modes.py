"""The modes of what is served: 0644 and 0755, whatever the umask was, or those that the spec says.

Where the spec says none, a group that may write too, and files that may be executed, are no damage: that is how a copy
by an ordinary user comes out, and later runs add files of our modes to it. A disk may have no modes at all (exFAT):
where no file has the right one, that is how the disk is, and no damage, as long as everyone can read it.
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
from pymirror.spec.model import Site
from pymirror.storage.interface import Storage
from pymirror.storage.local import FILE_MODE, FOLDER_MODE

LINK = "a link in the place of a file"

_LENIENT_FILE = 0o131  # the group may write, anyone may execute
_LENIENT_FOLDER = 0o020

_SERVED = (SIMPLE, LEGACY, PROJECTS, FLAT, POOL)


def check_modes(storage: Storage, names: Iterable[str], site: Site, *, is_writable: bool) -> list[Damage]:
    """What is wrong with the modes of the files ``names``, and of their folders; ``site`` says what they must be."""
    if sys.platform == "win32":
        return []
    files = list(dict.fromkeys(names))
    folders = sorted({parent for name in files for parent in _list_parents(name)})
    modes = {name: mode for name in files if (mode := read_mode(storage.local_path(name))) is not None}
    of_folders = {name: mode for name in folders if (mode := read_mode(storage.local_path(name), site)) is not None}
    expected, expected_of_folders = find_file_mode(site), find_folder_mode(site)
    lenient = _LENIENT_FILE if site.file_mode is None else 0
    lenient_of_folders = _LENIENT_FOLDER if site.folder_mode is None else 0
    wrong = {name: mode for name, mode in modes.items() if mode | lenient != expected | lenient}
    wrong_folders = {
        name: mode
        for name, mode in of_folders.items()
        if mode | lenient_of_folders != expected_of_folders | lenient_of_folders
    }
    is_said = site.file_mode is not None or site.folder_mode is not None
    if modes and (len(wrong) == len(modes) or (is_said and len(wrong_folders) == len(of_folders))):
        is_open = all(mode & 0o444 == 0o444 for mode in wrong.values())
        if (is_open and not is_said) or not (is_writable and _keeps_modes(storage)):
            return []
    found = [
        Damage(path=name, problem=LINK) if storage.local_path(name).is_symlink() else _tell(name, mode, expected)
        for name, mode in wrong.items()
    ]
    return [*found, *(_tell(name, mode, expected_of_folders) for name, mode in wrong_folders.items())]


def find_file_mode(site: Site) -> int:
    """The permissions of every served file."""
    return FILE_MODE if site.file_mode is None else site.file_mode


def find_folder_mode(site: Site) -> int:
    """The permissions of every served folder."""
    return FOLDER_MODE if site.folder_mode is None else site.folder_mode


def mend_mode(storage: Storage, name: str, site: Site) -> None:
    """Gives ``name`` the mode that it must have, where that is to be had: only the owner can."""
    path = storage.local_path(name)
    with contextlib.suppress(OSError):
        if path.is_symlink():
            return
        is_folder = path.is_dir()
        expected = find_folder_mode(site) if is_folder else find_file_mode(site)
        if read_mode(path, site if is_folder else None) != expected:
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


def read_mode(path: Path, site: Site | None = None) -> int | None:
    """The nine bits; 0o777 is what a link has. ``None`` where nothing is there, which is told as such.

    With ``site``, that of a folder, and setgid too where ``site`` asks for it: else that is the user's own affair.
    """
    try:
        found = path.lstat() if site is None else path.stat()
    except OSError:
        return None
    setgid = stat.S_ISGID & find_folder_mode(site) if site is not None else 0
    return stat.S_IMODE(found.st_mode) & (0o777 | setgid)


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
