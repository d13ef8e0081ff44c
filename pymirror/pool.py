"""Distribution files, addressed by content.

The record spares every run from hashing the pool again: a file whose size and time are as recorded is taken to be what
it was. It is state: without it the pool is read once and the record written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from pymirror.errors import IntegrityError, StorageError, UnsafeNameError
from pymirror.layout import (
    BESIDE_SUFFIXES,
    METADATA_SUFFIX,
    POOL,
    PROVENANCE_SUFFIX,
    blake2b_of_pool_path,
    blake2b_of_url,
    check_filename,
    pool_path,
)
from pymirror.plan import PoolFile, PoolKey, WantedFile
from pymirror.pool_record import PoolRecord, Record
from pymirror.progress import Progress
from pymirror.snapshot import SnapshotFile
from pymirror.storage.interface import Stat, Storage
from pymirror.workers import Stop, run_ordered

_CHUNK_BYTES = 1024 * 1024


class Pool:
    """The files below ``packages/``."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._record = PoolRecord(storage)
        self._examined: dict[PoolKey, Record] = {}  # where nothing may be written

    # ── the record ──────────────────────────────────────────────────────────────────────────────

    def load(self, *, progress: Progress, stop: Stop, threads: int, write: bool) -> None:
        """Reads the record; where there is none, reads the pool itself, and with ``write`` records what it holds."""
        self._record.load()
        if self._record:
            if write and self._record.needs_rewriting:
                self._record.rewrite()
            return
        names = [name for name in self._storage.walk(POOL) if not name.endswith(BESIDE_SUFFIXES)]
        if not names:
            if write and self._record.needs_rewriting:
                self._record.rewrite([])
            return
        progress.phase("reading the pool", items=len(names))
        examine = partial(self._examine, write=write)
        found = []
        for _, record in run_ordered(names, examine, threads=threads, stop=stop):
            if record is not None:
                found.append(record)
            progress.item()
        if write:
            self._record.rewrite(found)
        else:
            self._examined = {record.key: record for record in found}

    # ── what is held ────────────────────────────────────────────────────────────────────────────

    def find(
        self, wanted: Iterable[WantedFile], *, progress: Progress, stop: Stop, threads: int, write: bool
    ) -> dict[PoolKey, PoolFile]:
        """Those of ``wanted`` that the pool holds, verified now or unchanged since they were."""
        held: dict[PoolKey, PoolFile] = {}
        unsure: dict[PoolKey, str] = {}
        for file in wanted:
            key = (file.sha256 or "", file.filename)
            if file.sha256 is None or key in held:
                continue
            record = self._find(key)
            if record is not None and self._is_unchanged(record):
                held[key] = _pool_file(record)
            elif (path := _find_path(record, file)) is not None and self._storage.stat(path) is not None:
                unsure[key] = path
        # After a copy that lost the times, this is the whole pool.
        if unsure:
            progress.phase("reading the pool", items=len(unsure))
        examine = partial(self._examine, write=write)
        examined = run_ordered(list(unsure.values()), examine, threads=threads, stop=stop)
        for key, (_, found) in zip(unsure, examined, strict=True):
            if found is not None and found.sha256 == key[0]:
                held[key] = _pool_file(found)
                if write:
                    self._record.append(found)
                else:
                    self._examined[key] = found
            progress.item()
        return held

    def holds(self, file: SnapshotFile) -> bool:
        """Whether a published file, and what stands beside it, are there and unchanged since they were verified."""
        record = self._record.find((file.sha256, file.filename))
        if record is None or (record.blake2b, record.metadata_sha256) != (file.blake2b, file.metadata_sha256):
            return False
        if file.provenance_sha256 is not None and self._storage.stat(file.path + PROVENANCE_SUFFIX) is None:
            return False
        return self._is_unchanged(record)

    def _find(self, key: PoolKey) -> Record | None:
        return self._examined.get(key) or self._record.find(key)

    def _is_unchanged(self, record: Record) -> bool:
        """Whether the file and its metadata have the size and the time that they had when they were verified."""
        path = pool_path(record.blake2b, record.filename)
        stat = self._storage.stat(path)
        if stat is None or (stat.size, stat.mtime_ns) != (record.size, record.mtime_ns):
            return False
        metadata = self._storage.stat(path + METADATA_SUFFIX)
        return (metadata.size if metadata is not None else None) == record.metadata_size

    def _examine(self, path: str, *, write: bool) -> Record | None:
        """A pool file read and hashed; ``None`` where it is not what its path says.

        With ``write``, metadata that are missing beside it, or are others, are put there.
        """
        filename = path.rpartition("/")[2]
        stat = self._storage.stat(path)
        try:
            check_filename(filename)
        except UnsafeNameError:
            return None
        if stat is None or self._storage.local_path(path).is_symlink():
            return None  # what a link leads to may change or go at any time
        try:
            sha256, blake2b = hash_file(self._storage.local_path(path))
        except StorageError:
            return None  # not to be read is not to be held: another copy takes its place
        if blake2b != blake2b_of_pool_path(path):
            return None
        metadata = self._read_metadata(self._storage.local_path(path), filename)
        if write and metadata is not None and self._storage.read(path + METADATA_SUFFIX) != metadata:
            self._storage.write(path + METADATA_SUFFIX, metadata)
        return _make_record(filename, sha256, blake2b, stat, metadata)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────

    def add(self, source: Path | bytes, *, filename: str, sha256: str, blake2b: str) -> tuple[PoolFile, str | None]:
        """A verified temporary file, or its bytes, get their place; with it comes a warning where its metadata cannot
        be used.

        The metadata are written first, so that a file in its place always has them beside it.
        """
        from pymirror.archive import read_wheel_metadata  # which a run without new files does without

        path = pool_path(blake2b, filename)
        warning = None
        metadata = None
        if filename.endswith(".whl"):
            try:
                metadata = read_wheel_metadata(source, filename=filename)
            except IntegrityError as error:
                warning = f"{error}; it is published without core metadata"
        if metadata is not None:
            self._storage.write(path + METADATA_SUFFIX, metadata)
        try:
            stat = self._storage.write(path, source) if isinstance(source, bytes) else self._storage.adopt(source, path)
        except StorageError:
            with contextlib.suppress(StorageError):
                if metadata is not None and self._storage.stat(path) is None:
                    self._storage.remove(path + METADATA_SUFFIX)  # which would stand beside nothing
            raise
        record = _make_record(filename, sha256, blake2b, stat, metadata)
        self._record.append(record)
        return _pool_file(record), warning

    def forget(self, files: Sequence[PoolKey]) -> None:
        """Drops what is known of ``files``, so that the next run reads them again."""
        for key in files:
            record = self._record.find(key)
            if record is not None:
                self._record.append(msgspec.structs.replace(record, is_forgotten=True))

    def forget_paths(self, paths: Iterable[str]) -> None:
        """:meth:`forget` for pool paths."""
        gone = set(paths)
        self.forget([r.key for r in self._record.records() if pool_path(r.blake2b, r.filename) in gone])

    @staticmethod
    def _read_metadata(path: Path, filename: str) -> bytes | None:
        from pymirror.archive import read_wheel_metadata

        if not filename.endswith(".whl"):
            return None
        try:
            return read_wheel_metadata(path, filename=filename)
        except IntegrityError:
            return None


def _find_path(record: Record | None, file: WantedFile) -> str | None:
    """Where a file may be that is not as recorded: changed, or without a record since the run that fetched it died."""
    blake2b = record.blake2b if record is not None else blake2b_of_url(file.url, file.filename)
    return pool_path(blake2b, file.filename) if blake2b is not None else None


def hash_file(path: Path) -> tuple[str, str]:
    """The sha256 and BLAKE2b-256 hex digests of a file. Raises :class:`StorageError` where it cannot be read."""
    sha256, blake2b = hashlib.sha256(), hashlib.blake2b(digest_size=32)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                sha256.update(chunk)
                blake2b.update(chunk)
    except OSError as error:
        raise StorageError.from_os_error(error, path) from error
    return sha256.hexdigest(), blake2b.hexdigest()


def _make_record(filename: str, sha256: str, blake2b: str, stat: Stat, metadata: bytes | None) -> Record:
    return Record(
        filename=filename,
        blake2b=blake2b,
        sha256=sha256,
        size=stat.size,
        mtime_ns=stat.mtime_ns,
        metadata_sha256=hashlib.sha256(metadata).hexdigest() if metadata is not None else None,
        metadata_size=len(metadata) if metadata is not None else None,
    )


def _pool_file(record: Record) -> PoolFile:
    return PoolFile(
        filename=record.filename,
        sha256=record.sha256,
        blake2b=record.blake2b,
        size=record.size,
        metadata_sha256=record.metadata_sha256,
    )
