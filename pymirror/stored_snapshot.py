"""Snapshots on disk: written project by project, and read as they are asked for.

An index of any size takes no more memory than the names of its projects.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self, overload

import msgspec

from pymirror.errors import StorageError
from pymirror.layout import TEMPORARY
from pymirror.positioned import PositionedFile
from pymirror.snapshot import (
    SEPARATOR,
    START,
    Snapshot,
    SnapshotProject,
    decode_end,
    decode_project,
    decode_snapshot,
    digest_lines,
    encode_end,
    encode_project,
)
from pymirror.spec.model import Site
from pymirror.storage.interface import Storage

_NAME = re.compile(rb',?\{"name":"([a-z0-9-]+)"')
_PIECE_BYTES = 256 * 1024


class StoredProjects(Sequence[SnapshotProject]):
    """The projects of a snapshot's file, in order of name. Each is decoded when it is asked for, and not kept."""

    def __init__(
        self, path: Path, names: list[str], offsets: array[int], digest: str, *, is_kept: bool = False
    ) -> None:
        self.names = names
        self.digest = digest
        """The sha256 hex digest of their lines."""
        self._offsets = offsets
        self._path = path
        self._file = PositionedFile(path, is_kept=is_kept)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> SnapshotProject: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SnapshotProject, ...]: ...
    def __getitem__(self, index: int | slice) -> SnapshotProject | tuple[SnapshotProject, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        try:
            return decode_project(self.read(index))
        except ValueError:
            problem = "a line of it is no project, though its digest is right; remove it: the pages are read instead"
            raise StorageError(str(self._path), problem) from None

    def read(self, index: int) -> bytes:
        """The canonical JSON of a project."""
        start, end = self._offsets[index], self._offsets[index + 1]
        return self._file.read(start, end - start).strip(b"\n,")

    def find(self, name: str) -> SnapshotProject | None:
        """The project of that name, where it is there."""
        index = bisect_left(self.names, name)
        return self[index] if index < len(self) and self.names[index] == name else None


class SnapshotDraft:
    """A snapshot while it is made. Its projects must come in order of name.

    As long as they are those of ``previous``, nothing is written.
    """

    def __init__(self, storage: Storage, previous: Snapshot) -> None:
        self._storage = storage
        self._path = Path()
        self._previous = previous
        self._same = 0
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._names: list[str] = []
        self._offsets = array("Q", [len(START)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, project: SnapshotProject) -> None:
        """Takes the next project."""
        line = encode_project(project)
        if self._file is None and self._is_next(project.name, line):
            self._same += 1
        else:
            self._add_line(project.name, line)

    def finish(self, site: Site) -> Snapshot:
        """What was added, as an index with ``site``: ``previous`` itself where that is the same."""
        if self._file is None and self._same == len(self._previous.projects) and site == self._previous.site:
            return self._previous
        file = self._open()
        with _translated(self._path):
            sha256 = digest_lines(site, self._digest)
            file.write(encode_end(site, sha256))
            file.close()
        is_kept = sys.platform != "win32"  # where an open file cannot be removed
        projects = StoredProjects(self._path, self._names, self._offsets, sha256, is_kept=is_kept)
        if is_kept:
            with _translated(self._path):
                self._path.unlink()
        return Snapshot(projects=projects, site=site)

    def _is_next(self, name: str, line: bytes) -> bool:
        projects = self._previous.projects
        return (
            isinstance(projects, StoredProjects)
            and self._same < len(projects)
            and projects.names[self._same] == name
            and projects.read(self._same) == line
        )

    def _open(self) -> BinaryIO:
        """The file, with what is the same as before in it."""
        if self._file is None:
            self._path = self._storage.temporary(f"{TEMPORARY}/snapshot")
            with _translated(self._path):
                self._file = self._path.open("wb")
                self._file.write(START)
            projects = self._previous.projects
            if isinstance(projects, StoredProjects):
                for index in range(self._same):
                    self._add_line(projects.names[index], projects.read(index))
        return self._file

    def _add_line(self, name: str, line: bytes) -> None:
        file = self._open()
        whole = (SEPARATOR if self._names else b"\n") + line
        self._names.append(name)
        self._offsets.append(self._offsets[-1] + len(whole))
        self._digest.update(whole)
        with _translated(self._path):
            file.write(whole)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError.from_os_error(error, path) from error


def load_snapshot(path: Path) -> Snapshot | None:
    """The snapshot in the file at ``path``; ``None`` where there is none, or a damaged one."""
    try:
        with path.open("rb") as file:
            if file.read(len(START)) != START:
                return None
            rest = file.read(1)
            if rest != b"\n":  # as it was written once, in one line
                return _decode(START + rest + file.read())
            file.seek(len(START))
            return _scan(path, file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError.from_os_error(error, path) from error


def _scan(path: Path, lines: Iterable[bytes]) -> Snapshot | None:
    names: list[str] = []
    offsets = array("Q", [len(START)])
    digest = hashlib.sha256()
    # A line ends where the next project's begins: what is hashed is shifted by the line feed.
    pending = b""
    for number, line in enumerate(lines):
        if number == 0:
            pending = line
            continue
        match = _NAME.match(line)
        if match is None:
            try:
                site, sha256 = decode_end(pending + line)
            except ValueError:
                return None
            if sha256 != digest_lines(site, digest):
                return None
            return Snapshot(projects=StoredProjects(path, names, offsets, sha256), site=site)
        text = pending + line.removesuffix(b"\n")
        pending = line[len(line) - 1 :] if line.endswith(b"\n") else b""
        digest.update(text)
        names.append(match[1].decode("ascii"))
        offsets.append(offsets[-1] + len(text))
    return None


def _decode(data: bytes) -> Snapshot | None:
    try:
        return decode_snapshot(data)
    except (msgspec.DecodeError, ValueError):
        return None


def list_names(snapshot: Snapshot) -> list[str]:
    """The names of its projects, in order."""
    projects = snapshot.projects
    return projects.names if isinstance(projects, StoredProjects) else [project.name for project in projects]


def pick_projects(snapshot: Snapshot, names: Iterable[str]) -> Snapshot:
    """The part of ``snapshot`` that is of the projects ``names``, which are in order; in memory."""
    projects = snapshot.projects
    if isinstance(projects, StoredProjects):
        found = (projects.find(name) for name in names)
        picked = tuple(project for project in found if project is not None)
    else:
        wanted = frozenset(names)
        picked = tuple(project for project in projects if project.name in wanted)
    return Snapshot(projects=picked, site=snapshot.site)


def encode_pieces(snapshot: Snapshot) -> Iterator[bytes]:
    """The canonical JSON, a project at a time."""
    digest = hashlib.sha256()
    yield START
    for number, line in enumerate(list_lines(snapshot)):
        whole = (SEPARATOR if number else b"\n") + line
        digest.update(whole)
        yield whole
    yield encode_end(snapshot.site, digest_lines(snapshot.site, digest))


def is_same_snapshot(one: Snapshot, other: Snapshot) -> bool:
    """Whether both say the same."""
    if one.site != other.site or len(one.projects) != len(other.projects):
        return False
    if isinstance(one.projects, StoredProjects) and isinstance(other.projects, StoredProjects):
        return one.projects.digest == other.projects.digest
    return all(a == b for a, b in zip(list_lines(one), list_lines(other), strict=True))


def list_lines(snapshot: Snapshot) -> Iterator[bytes]:
    """The canonical JSON of each project, in order."""
    projects = snapshot.projects
    if isinstance(projects, StoredProjects):
        return (projects.read(index) for index in range(len(projects)))
    return map(encode_project, projects)
