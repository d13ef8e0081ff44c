"""``pymirror verify``: every page, link, size and hash of the published tree, from the disk alone."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import Damage, VerifyReport
from pymirror.commands.verify_pages import check_pages
from pymirror.contents import sdist_metadata_name
from pymirror.errors import NoMirrorError, StorageError
from pymirror.history import find_published
from pymirror.layout import METADATA_SUFFIX, POOL, PROVENANCE_SUFFIX
from pymirror.lock import hold_lock
from pymirror.page_record import PageRecord
from pymirror.pool import Pool, hash_file
from pymirror.quarantine import load_quarantine
from pymirror.snapshot import Snapshot, SnapshotFile
from pymirror.storage.interface import Storage
from pymirror.workers import run_ordered


def verify(ports: Ports) -> VerifyReport:
    """Compares the snapshot, the pool and the pages. What is damaged is fetched again by the next ``sync``.

    Raises :class:`NoMirrorError` where nothing is published, :class:`LockedError` during a run.
    """
    storage = ports.storage
    _find_published(storage)  # before there is a lock, so that none is left where there is no mirror
    with _lock_if_writable(storage) as is_writable:
        snapshot = _find_published(storage)
        pages, damages = check_pages(ports, snapshot)
        damages += _check_files(ports, snapshot)
        if is_writable:
            _forget(ports, snapshot, damages)
        named = {path for _, file in snapshot.files() for path in file.paths}
        aside = {path for held in load_quarantine(storage) for path in held.file.paths} - named
        unnamed = {path for path in storage.walk(POOL) if path not in named}
        return VerifyReport(
            output=storage.location,
            projects=len(snapshot.projects),
            files=sum(1 for _ in snapshot.files()),
            size=snapshot.size,
            pages=pages,
            unreferenced=len(unnamed - aside),
            quarantined=len(unnamed & aside),
            damages=tuple(sorted(damages)),
        )


def _find_published(storage: Storage) -> Snapshot:
    snapshot = find_published(storage)
    if snapshot is None:
        raise NoMirrorError(storage.location)
    return snapshot


@contextlib.contextmanager
def _lock_if_writable(storage: Storage) -> Iterator[bool]:
    """The lock, and whether it could be had: a read-only disk has no other writer either."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(storage, command="verify"))
        except StorageError as error:
            if not error.is_read_only:
                raise
            yield False
        else:
            yield True


def _check_files(ports: Ports, snapshot: Snapshot) -> Iterator[Damage]:
    files = sorted({file.path: file for _, file in snapshot.files()}.values(), key=lambda file: file.path)
    ports.progress.phase("verifying", items=len(files), size=snapshot.size)

    def check(file: SnapshotFile) -> list[Damage]:
        try:
            found = list(_check_file(ports.storage, file))
        except StorageError as error:
            found = [Damage(path=file.path, problem=f"cannot be read: {error.problem}")]
        ports.progress.received(file.size)
        ports.progress.item()
        return found

    for _, found in run_ordered(files, check, threads=DISK_THREADS, stop=ports.stop):
        yield from found


def _check_file(storage: Storage, file: SnapshotFile) -> Iterator[Damage]:
    stat = storage.stat(file.path)
    if stat is None:
        yield Damage(path=file.path, problem="the file is missing")
    elif stat.size != file.size:
        yield Damage(path=file.path, problem=f"the file has {stat.size} bytes, not {file.size}")
    else:
        sha256, blake2b = hash_file(storage.local_path(file.path))
        if sha256 != file.sha256:
            yield Damage(path=file.path, problem=f"the sha256 is {sha256}, not {file.sha256}")
        elif blake2b != file.blake2b:
            yield Damage(path=file.path, problem=f"the BLAKE2b-256 digest is {blake2b}, not what the path says")
    beside: tuple[tuple[str, str | None, str, str], ...] = (
        (METADATA_SUFFIX, file.metadata_sha256, "the metadata are missing", "the metadata are not those of the wheel"),
        (PROVENANCE_SUFFIX, file.provenance_sha256, "the provenance is missing", "the provenance is not upstream's"),
    )
    for suffix, expected, missing, other in beside:
        if expected is not None:
            data = storage.read(file.path + suffix)
            if data is None:
                yield Damage(path=file.path + suffix, problem=missing)
            elif hashlib.sha256(data).hexdigest() != expected:
                yield Damage(path=file.path + suffix, problem=other)


def _forget(ports: Ports, snapshot: Snapshot, damages: list[Damage]) -> None:
    """Takes damaged files, and what was made from them, out of the records, so that the next run trusts neither."""
    damaged = [damage.path for damage in damages if damage.path.startswith(POOL)]
    for project, file in snapshot.files():
        if not set(damaged).isdisjoint(file.paths):
            PageRecord(ports.storage).forget(project)
            ports.storage.remove(sdist_metadata_name(file.sha256))
    for path in damaged:
        if path.endswith(PROVENANCE_SUFFIX) and ports.storage.stat(path) is not None:
            ports.storage.remove(path)  # the next run fetches it again
    paths = {path.removesuffix(METADATA_SUFFIX) for path in damaged if not path.endswith(PROVENANCE_SUFFIX)}
    if not paths:
        return
    pool = Pool(ports.storage)
    pool.load(progress=ports.progress, stop=ports.stop, threads=DISK_THREADS, write=True)
    pool.forget_paths(paths)
