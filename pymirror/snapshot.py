"""The immutable content of one index: its canonical JSON, its digest, and the difference of two.

A snapshot holds all that the pages say, so that any snapshot whose files are in the pool can be published again
without asking anyone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from pymirror.errors import UnsafeNameError
from pymirror.layout import METADATA_SUFFIX, PROVENANCE_SUFFIX, check_project, pool_path
from pymirror.spec.model import DEFAULT_SITE, Site

FORMAT = 1


class SnapshotFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A published file. Digests are lower-case hex; ``metadata_sha256`` is that of its ``.metadata`` file, and
    ``provenance_sha256`` of its ``.provenance`` file (PEP 740).

    ``other_hashes`` are upstream's, where it gave no sha256: what tells that it changed the file.
    """

    filename: str
    version: str
    sha256: str
    blake2b: str
    size: int
    upload_time: datetime | None = None
    requires_python: str | None = None
    yanked: bool | str = False
    metadata_sha256: str | None = None
    provenance_sha256: str | None = None
    other_hashes: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        return pool_path(self.blake2b, self.filename)

    @property
    def paths(self) -> tuple[str, ...]:
        """The file, and what stands beside it."""
        beside = ((METADATA_SUFFIX, self.metadata_sha256), (PROVENANCE_SUFFIX, self.provenance_sha256))
        return (self.path, *(self.path + suffix for suffix, digest in beside if digest is not None))


class Needed(msgspec.Struct, frozen=True, kw_only=True):
    """A release that is there because others need it; ``roots`` are the names of what led to it, in order."""

    version: str
    roots: tuple[str, ...]


class SnapshotProject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A published project, its files in order of version and name. ``status`` is PEP 792's.

    ``wanted_by`` are the rules and locks that it is in the index for, as the spec writes them, in order; ``needed`` are
    the releases that are there as dependencies.
    """

    name: str
    files: tuple[SnapshotFile, ...]
    status: str = "active"
    status_reason: str | None = None
    wanted_by: tuple[str, ...] = ()
    needed: tuple[Needed, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all files, each counted once however often it is listed."""
        return sum({(file.blake2b, file.filename): file.size for file in self.files}.values())


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that one index holds, its projects in order of name."""

    projects: Sequence[SnapshotProject]
    site: Site = DEFAULT_SITE
    format: int = FORMAT

    def files(self) -> Iterator[tuple[str, SnapshotFile]]:
        """Every (project, file)."""
        for project in self.projects:
            for file in project.files:
                yield project.name, file

    @property
    def size(self) -> int:
        """The bytes of all files, each counted once however often its project lists it."""
        return sum(project.size for project in self.projects)


class _Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """As it is read: snapshots that tell nothing of their site are of versions that wrote no documents."""

    projects: tuple[SnapshotProject, ...]
    site: Site = Site(legacy_json=False, pages=False)
    format: int = FORMAT


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """What follows the projects; ``sha256`` is that of their lines and of the site."""

    site: Site
    format: int
    sha256: str


EMPTY = Snapshot(projects=())


START = b'{"projects":['
SEPARATOR = b"\n,"

_encoder = msgspec.json.Encoder()
_project_decoder = msgspec.json.Decoder(SnapshotProject)
_snapshot_decoder = msgspec.json.Decoder(_Recorded)
_end_decoder = msgspec.json.Decoder(_End)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The canonical JSON, with a line for each project: the same content gives the same bytes."""
    lines = b"".join(
        (SEPARATOR if number else b"\n") + encode_project(project) for number, project in enumerate(snapshot.projects)
    )
    return START + lines + encode_end(snapshot.site, digest_lines(snapshot.site, hashlib.sha256(lines)))


def encode_project(project: SnapshotProject) -> bytes:
    """The canonical JSON of a project, without a line feed."""
    return _encoder.encode(project)


def digest_lines(site: Site, lines: hashlib._Hash) -> str:
    """The hex digest that tells damage from a whole file: of the lines of the projects, and the site."""
    digest = lines.copy()
    digest.update(_encoder.encode(site))
    return digest.hexdigest()


def encode_end(site: Site, sha256: str) -> bytes:
    """What follows the projects. ``sha256`` is what :func:`digest_lines` says."""
    end = _encoder.encode(_End(site=site, format=FORMAT, sha256=sha256))
    return b"\n]," + end.removeprefix(b"{") + b"\n"


def decode_project(line: bytes) -> SnapshotProject:
    """What :func:`encode_project` wrote. Raises :class:`ValueError` for anything else.

    Names are checked where they become paths.
    """
    return _project_decoder.decode(line)


def decode_end(data: bytes) -> tuple[Site, str]:
    """The site, and the digest of the lines. Raises :class:`ValueError` for what :func:`encode_end` did not write."""
    if not data.startswith(b"\n],"):
        raise ValueError("not the end of a snapshot")
    end = _end_decoder.decode(b"{" + data.removeprefix(b"\n],"))
    _check_format(end.format)
    return end.site, end.sha256


def decode_snapshot(data: bytes) -> Snapshot:
    """What :func:`encode_snapshot` wrote, or earlier versions in one line. Raises :class:`ValueError` otherwise."""
    recorded = _snapshot_decoder.decode(data)
    _check_format(recorded.format)
    snapshot = Snapshot(projects=recorded.projects, site=recorded.site, format=recorded.format)
    try:
        for project, file in snapshot.files():
            check_project(project)
            pool_path(file.blake2b, file.filename)
    except UnsafeNameError as error:
        raise ValueError(f"not a snapshot: {error}") from None
    return snapshot


def _check_format(found: int) -> None:
    if found != FORMAT:
        raise ValueError(f"snapshot format {found}; this version reads {FORMAT}")


def digest_snapshot(snapshot: Snapshot) -> str:
    """The sha256 hex digest of the canonical JSON."""
    return hashlib.sha256(encode_snapshot(snapshot)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changes from one snapshot to another: (project, file name) pairs in order."""

    added: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str], ...]
    kept: int

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def diff_snapshots(old: Snapshot, new: Snapshot) -> Difference:
    """``changed`` are files listed in both of which the index says something else (a yank, say)."""
    before = {(project, file.filename): file for project, file in old.files()}
    after = {(project, file.filename): file for project, file in new.files()}
    changed = tuple(sorted(key for key in before.keys() & after.keys() if before[key] != after[key]))
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=changed,
        kept=len(before.keys() & after.keys()) - len(changed),
    )
