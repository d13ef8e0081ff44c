"""A published tree compared with what it must be, as a whole: what ``verify`` tells, and what it repairs by."""

from __future__ import annotations

from dataclasses import dataclass

from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import Damage, VerifyReport
from pymirror.commands.verify_files import Progressed, check_files, find_strangers
from pymirror.commands.verify_modes import check_modes, find_links
from pymirror.commands.verify_pages import check_pages, distrust
from pymirror.contents import sdist_metadata_name
from pymirror.errors import NoMirrorError
from pymirror.flat import list_flat
from pymirror.history import find_published
from pymirror.layout import LINKS_PAGE, METADATA_SUFFIX, POOL, PROVENANCE_SUFFIX, SIMPLE
from pymirror.pool import Pool
from pymirror.published_pages import forget_published
from pymirror.quarantine import load_quarantine
from pymirror.snapshot import Snapshot, SnapshotFile
from pymirror.storage.interface import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found in a tree."""

    pages: int
    damages: tuple[Damage, ...]


def find_snapshot(storage: Storage) -> Snapshot:
    """What is published. Raises :class:`NoMirrorError`."""
    snapshot = find_published(storage)
    if snapshot is None:
        raise NoMirrorError(storage.location)
    return snapshot


def examine(
    ports: Ports, snapshot: Snapshot, files: list[SnapshotFile], progressed: Progressed, *, is_writable: bool
) -> Examined:
    """What is wrong with the tree; of the pool, only ``files`` are read."""
    pages, damages = check_pages(ports, snapshot)
    damages += check_files(ports, files, progressed)
    damages += find_strangers(ports.storage.walk(POOL))
    damages += find_links(ports.storage)
    told = {damage.path for damage in damages}
    pool = (path for _, file in snapshot.files() for path in file.paths)
    names = [name for name in (*pages, *pool, *(name for name, _ in list_flat(snapshot))) if name not in told]
    damages += check_modes(ports.storage, names, snapshot.site, is_writable=is_writable)
    return Examined(pages=len(pages), damages=tuple(sorted(set(damages))))


def report_on(
    storage: Storage, snapshot: Snapshot, found: Examined, *, resumed: int = 0, mended: tuple[Damage, ...] = ()
) -> VerifyReport:
    """``found``, with the figures of the tree."""
    named = {path for _, file in snapshot.files() for path in file.paths}
    aside = {path for held in load_quarantine(storage) for path in held.file.paths} - named
    foreign = {damage.path for damage in found.damages}
    unnamed = {path for path in storage.walk(POOL) if path not in named} - foreign
    return VerifyReport(
        output=storage.location,
        projects=len(snapshot.projects),
        files=sum(1 for _ in snapshot.files()),
        size=snapshot.size,
        pages=found.pages,
        unreferenced=len(unnamed - aside),
        quarantined=len(unnamed & aside),
        damages=found.damages,
        mended=mended,
        resumed=resumed,
    )


def forget(ports: Ports, snapshot: Snapshot, damages: tuple[Damage, ...]) -> None:
    """Takes damaged files, and what was made from them, out of the records, so that the next run trusts neither."""
    wrong = [damage.path for damage in damages if not damage.problem.startswith("the mode is")]
    if any(path.startswith((f"{SIMPLE}/", LINKS_PAGE)) for path in wrong):
        forget_published(ports.storage)
    damaged = [path for path in wrong if path.startswith(f"{POOL}/")]
    for project, file in snapshot.files():
        if not set(damaged).isdisjoint(file.paths):
            distrust(ports.storage, project)
            ports.storage.remove(sdist_metadata_name(file.sha256))
    named = {path for _, file in snapshot.files() for path in file.paths}
    for path in named.intersection(damaged):
        if path.endswith(PROVENANCE_SUFFIX) and ports.storage.stat(path) is not None:
            ports.storage.remove(path)  # the next run fetches it again
    paths = {path.removesuffix(METADATA_SUFFIX) for path in damaged if not path.endswith(PROVENANCE_SUFFIX)}
    if not paths:
        return
    pool = Pool(ports.storage)
    pool.load(progress=ports.progress, stop=ports.stop, threads=DISK_THREADS, write=True)
    pool.forget_paths(paths)
