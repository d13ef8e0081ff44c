"""Which projects need no decision: neither the spec nor the page nor what is published of them has changed.

What is here was decided by an earlier run, and would be decided again. This is state: safe to delete, and without it
every page is judged again.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version

import msgspec

from pymirror.errors import StorageError
from pymirror.layout import METADATA_SUFFIX, PROVENANCE_SUFFIX, STATE
from pymirror.pool import Pool
from pymirror.pool_record import RECORD
from pymirror.selection.model import Reason, Selection, Wants
from pymirror.snapshot import Snapshot, SnapshotProject
from pymirror.state import CachedPage
from pymirror.storage.interface import Files
from pymirror.stored_snapshot import StoredProjects
from pymirror.upstream import FetchedPage

FORMAT = 1  # raised when the same page and the same spec are decided otherwise

_RECORD = f"{STATE}/settled.msgpack"
_KEY_BYTES = 16
_UNSETTLED = bytes(_KEY_BYTES)
_FOR_EVER = float("inf")
_OPEN = frozenset({Reason.REMOVED_UPSTREAM, Reason.QUARANTINED})


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """What was ``decided`` then (seconds since the epoch) on each project of a snapshot, in order. ``told`` is what a
    report says of it, where that is anything. ``files`` are the stamps of their files; ``pool`` is what the record of
    the pool was like, which vouches for them.
    """

    made_by: str
    snapshot: str
    decided: float
    keys: bytes
    untils: bytes
    told: dict[int, bytes]
    files: bytes = b""
    pool: tuple[int, int] | None = None


_decoder = msgspec.msgpack.Decoder(_Record)
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a project is settled: a digest of its page; until when (seconds since the epoch); what is told of it.

    ``files`` is the stamp of its files when they were as they had been verified.
    """

    key: bytes = _UNSETTLED
    until: float = _FOR_EVER
    told: bytes = b""
    files: bytes = _UNSETTLED

    @property
    def is_settled(self) -> bool:
        return self.key != _UNSETTLED


class Settled:
    """What earlier runs decided by the same spec, whose digest is ``fingerprint``."""

    def __init__(self, storage: Files, previous: Snapshot, fingerprint: str, now: datetime) -> None:
        self._storage = storage
        self._now = now.timestamp()
        self._made_by = f"{FORMAT} {version('pymirror')} {version('packaging')} {fingerprint}" if fingerprint else ""
        projects = previous.projects
        self._keys = bytearray()
        self._new_untils = array("d")
        self._told: dict[int, bytes] = {}
        self._files = bytearray()
        self._vouches = False
        self._names: list[str] = []
        self._record: _Record | None = None
        self._untils = array("d")
        if isinstance(projects, StoredProjects) and self._made_by:
            self._names = projects.names
            self._record = self._load(projects)

    def _load(self, projects: StoredProjects) -> _Record | None:
        try:
            data = self._storage.read(_RECORD)
            record = _decoder.decode(data) if data is not None else None
        except (msgspec.DecodeError, ValueError, StorageError):
            return None
        if record is None or (record.made_by, record.snapshot) != (self._made_by, projects.digest):
            return None
        if self._now < record.decided:
            return None  # the clock was set back, and files may be too new again
        if len(record.keys) != _KEY_BYTES * len(projects) or len(record.untils) != 8 * len(projects):
            return None
        self._untils.frombytes(record.untils)
        # A line more in the record of the pool may tell that a file is damaged; one that was made anew has read all.
        is_whole = len(record.files) == len(record.keys)
        self._vouches = is_whole and record.pool is not None and record.pool == self._find_pool()
        return record

    def find(self, project: str, page: CachedPage | None) -> Verdict | None:
        """What was decided on ``project`` by this very page, as long as that holds."""
        if self._record is None or page is None:
            return None
        index = bisect_left(self._names, project)
        if index == len(self._names) or self._names[index] != project or self._untils[index] <= self._now:
            return None
        key = self._record.keys[index * _KEY_BYTES : (index + 1) * _KEY_BYTES]
        if key != digest_page(page):
            return None
        start = index * _KEY_BYTES
        files = self._record.files[start : start + _KEY_BYTES] if self._vouches else _UNSETTLED
        return Verdict(key=key, until=self._untils[index], told=self._record.told.get(index, b""), files=files)

    @property
    def is_used(self) -> bool:
        """Whether anything is kept for the next run."""
        return bool(self._made_by)

    def stamp(self, project: SnapshotProject) -> bytes:
        """A digest of the sizes and times of all files of a published project, and of what stands beside them."""
        stats = array("q")
        for file in project.files:
            path = file.path
            stat = self._storage.stat(path)
            metadata = self._storage.stat(path + METADATA_SUFFIX)
            stats.extend((stat.size, stat.mtime_ns) if stat is not None else (-1, -1))
            stats.append(metadata.size if metadata is not None else -1)
            if file.provenance_sha256 is not None:
                stats.append(self._storage.stat(path + PROVENANCE_SUFFIX) is not None)
        return hashlib.blake2b(stats, digest_size=_KEY_BYTES).digest()

    def _find_pool(self) -> tuple[int, int] | None:
        stat = self._storage.stat(RECORD)
        return (stat.size, stat.mtime_ns) if stat is not None else None

    def add(self, verdict: Verdict) -> None:
        """What was decided on the next project, in order of name."""
        if verdict.told:
            self._told[len(self._new_untils)] = verdict.told
        self._keys += verdict.key
        self._files += verdict.files
        self._new_untils.append(verdict.until if verdict.key != _UNSETTLED else 0.0)

    def save(self, snapshot: Snapshot, *, is_due: bool) -> None:
        """Keeps what was added, where it is of the projects of ``snapshot``, which is published.

        Where it is not ``is_due``, since nothing else was written, and something is kept already, that may wait.
        """
        projects = snapshot.projects
        if self._record is not None and not is_due:
            return
        if not isinstance(projects, StoredProjects) or not self._made_by or len(projects) != len(self._new_untils):
            return
        untils = self._new_untils.tobytes()
        record = _Record(
            self._made_by,
            projects.digest,
            self._now,
            bytes(self._keys),
            untils,
            self._told,
            bytes(self._files),
            self._find_pool(),
        )
        self._storage.write(_RECORD, _encoder.encode(record))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What tells whether a project is settled: what was decided, and whether its files are there."""

    settled: Settled
    pool: Pool
    aside: frozenset[str]

    def find(self, published: SnapshotProject | None, page: FetchedPage) -> Verdict | None:
        """The verdict on a project, where nothing has changed since."""
        if published is None or page.is_new or published.name in self.aside:
            return None
        verdict = self.settled.find(published.name, page.to_remember)
        return self._stamp(published, verdict) if verdict is not None else None

    def stamp(self, projects: Iterable[tuple[SnapshotProject, Verdict]]) -> Iterator[tuple[SnapshotProject, Verdict]]:
        """``projects``, of which those that are settled know their files again."""
        for project, verdict in projects:
            is_due = verdict.is_settled and self.settled.is_used
            yield project, (self._stamp(project, verdict) if is_due else None) or verdict

    def _stamp(self, project: SnapshotProject, verdict: Verdict) -> Verdict | None:
        """``verdict`` with the stamp of the files of ``project``; ``None`` where one is not as it was verified."""
        files = self.settled.stamp(project)  # before they are looked at: what changes in between is noticed
        if files == verdict.files:
            return verdict
        return replace(verdict, files=files) if all(map(self.pool.holds, project.files)) else None


def digest_page(page: CachedPage) -> bytes:
    """All that is remembered of a page, in sixteen bytes."""
    return hashlib.blake2b(_encoder.encode(page), digest_size=_KEY_BYTES).digest()


def judge(
    selection: Selection,
    wants: Wants,
    page: CachedPage | None,
    published: SnapshotProject,
    before: SnapshotProject | None,
    *,
    wants_provenance: bool,
) -> Verdict:
    """Whether a run with the same page and the same spec would come to ``published`` again, and until when.

    ``before`` is what was published of the project. Not where anything is open: a rule that nothing meets, a
    withdrawal, a file that is missing.
    """
    open_ends = selection.unmet or selection.refused or selection.is_dependency or selection.status != "active"
    if page is None or open_ends or any(item.reason in _OPEN for item in selection.excluded):
        return Verdict()
    listed = {file.filename for file in page.detail.files}
    if before is not None and any(file.filename not in listed for file in before.files):
        return Verdict()  # which had its part in this decision, and has none in the next
    chosen = {each.file.filename: each for each in selection.chosen}
    files = {file.filename: file for file in published.files}
    if chosen.keys() != files.keys() or len(chosen) != len(selection.chosen):
        return Verdict()
    for name, each in chosen.items():
        is_same = each.file.sha256 is not None and each.file.sha256 == files[name].sha256
        is_attested = not wants_provenance or each.file.provenance is None or files[name].provenance_sha256 is not None
        if each.is_removed or not is_same or not is_attested:
            return Verdict()
    return Verdict(key=digest_page(page), until=_find_turn(wants, page))


def _find_turn(wants: Wants, page: CachedPage) -> float:
    """When the first file of the page is old enough, or too old, for any filter; whatever else there is against it."""
    filters = (wants.filters, *(rule.filters for rule in wants.rules))
    cutoffs = {cutoff for each in filters for cutoff in (each.exclude_newer, each.exclude_older) if cutoff is not None}
    ages = {cutoff.age_seconds for cutoff in cutoffs if cutoff.moment is None}
    uploads = (
        [file.upload_time.timestamp() for file in page.detail.files if file.upload_time is not None] if ages else []
    )
    now = wants.now.timestamp()
    return min((turn for upload in uploads for age in ages if (turn := upload + age) > now), default=_FOR_EVER)
