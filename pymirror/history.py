"""The snapshots that were published, newest last, and which one the pages show.

A snapshot is written before its pages appear and becomes the current one after. A run that was killed in between leaves
one that is newer than the current: both are kept, since the pages may be either's.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from pymirror.errors import DamagedIndexError, PageError, StorageError, UnsafeNameError
from pymirror.layout import (
    CURRENT,
    FLAT,
    FRONT_PAGE,
    HTML_PAGE,
    JSON_PAGE,
    LINKS_PAGE,
    LOCK_FILE,
    POOL,
    PROVENANCE_SUFFIX,
    SIMPLE,
    SNAPSHOTS,
    blake2b_of_pool_path,
    blake2b_of_url,
    check_filename,
    check_project,
    pool_path,
    project_folder,
    relative_url,
)
from pymirror.page_record import is_own_page, list_folders
from pymirror.publish import count_stale_pages
from pymirror.simple.model import File
from pymirror.simple.provenance import find_problem
from pymirror.simple.render import render_list_json
from pymirror.snapshot import EMPTY, Snapshot, SnapshotFile, SnapshotProject
from pymirror.spec.model import Site
from pymirror.storage.interface import Files, Storage
from pymirror.stored_snapshot import encode_pieces, is_same_snapshot, load_snapshot

_NAME = re.compile(rf"{re.escape(SNAPSHOTS)}/([0-9]{{6,}})\.json")
_BASE = "https://mirror.invalid/"


class History:
    """The snapshots below ``.pymirror/snapshots``."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def is_empty(self) -> bool:
        """Whether nothing was ever published here."""
        names = (CURRENT, f"{SIMPLE}/{HTML_PAGE}", f"{SIMPLE}/{JSON_PAGE}")
        return all(self._storage.stat(name) is None for name in names)

    def find_foreign(self, site: Site) -> str | None:
        """A file that stands where something of the mirror would, and is none of its."""
        if site.pages and self._storage.stat(FRONT_PAGE) is not None and not is_own_page(self._storage, FRONT_PAGE):
            return FRONT_PAGE
        folders = _list_folders(site)
        if self._storage.stat(LOCK_FILE) is not None or self._storage.stat(f"{SIMPLE}/{JSON_PAGE}") is not None:
            # A mirror already: what is in a folder that it had before was put there by it, or goes as damage does.
            folders = [folder for folder in folders if next(self._storage.walk(folder), None) is not None]
            sites = [snapshot.site for snapshot in self._list_before()] if folders else []
            had = {folder for each in sites for folder in _list_folders(each)}
            return next(itertools.chain(*(self._storage.walk(folder) for folder in folders if folder not in had)), None)
        pool = (name for name in self._storage.walk(POOL) if blake2b_of_pool_path(name) is None)
        folders.append(SIMPLE)
        links = [LINKS_PAGE] if self._storage.stat(LINKS_PAGE) is not None else []
        return next(itertools.chain(*map(self._storage.walk, folders), pool, links), None)

    def current(self) -> Snapshot | None:
        """What the pages show: as recorded, else as the pages themselves say, as far as they can be read.

        ``None`` where there are none.
        """
        candidates = self._candidates()
        if not candidates:
            return self._find_first() or read_pages(self._storage)
        # A run that was killed between its pages and its record leaves pages that are right by the newer snapshot.
        if len(candidates) == 1:
            return candidates[0]
        return min(candidates, key=lambda snapshot: count_stale_pages(snapshot, self._storage))

    def _find_first(self) -> Snapshot | None:
        """The snapshot of the first run, where that was cut short after its pages were in place: on disk, where the
        pages themselves would all be read into memory.
        """
        numbers = list(self._numbers())
        first = self._load(numbers[0]) if len(numbers) == 1 and self._current_number() is None else None
        return first if first is not None and not count_stale_pages(first, self._storage) else None

    def _candidates(self) -> list[Snapshot]:
        """The recorded current snapshot and those after it; none where the record is lost."""
        current = self._current_number()
        if current is None:
            return []
        found = {number: self._load(number) for number in self._numbers() if number >= current}
        return [each for each in found.values() if each is not None] if found.get(current) is not None else []

    def _list_before(self) -> list[Snapshot]:
        """What the tree may hold: by the record, or by the pages where there is none."""
        pages = read_pages(self._storage) if not (recent := self.recent()) else None
        return recent if pages is None else [pages]

    def recent(self) -> list[Snapshot]:
        """The current snapshot and every one after it; all where it is not recorded which one is current."""
        current = self._current_number() or 0
        found = (self._load(number) for number in self._numbers() if number >= current)
        return [snapshot for snapshot in found if snapshot is not None]

    def record(self, snapshot: Snapshot) -> int:
        """Keeps ``snapshot``, which is about to be published, and returns its number.

        Where the record is lost, and the tree has a folder that it shall have no more, what the pages say is kept
        before it: it tells what of that folder is ours.
        """
        lost = read_pages(self._storage) if next(self._numbers(), None) is None else None
        if lost is not None and not set(_list_folders(lost.site)) <= set(_list_folders(snapshot.site)):
            self._storage.write(_name(1), encode_pieces(lost))
        numbers = list(self._numbers())
        number = max(numbers, default=0)
        newest = self._load(number) if numbers else None
        if newest is None or not is_same_snapshot(newest, snapshot):
            number += 1
            self._storage.write(_name(number), encode_pieces(snapshot))
        return number

    def publish(self, number: int) -> None:
        """From now on the pages show snapshot ``number``."""
        if self._current_number() != number:
            self._storage.write(CURRENT, f"{number:06}\n".encode())

    def kept(self) -> list[Snapshot]:
        """The current snapshot, and any that a killed run may have published after it.

        Raises :class:`DamagedIndexError` where neither the record nor the pages say what is published.
        """
        candidates = self._candidates()
        if candidates:
            return candidates
        found = [self._load(number) for number in self._numbers()]
        return [*(snapshot for snapshot in found if snapshot is not None), read_pages_strictly(self._storage)]

    def superseded(self, *, since: float) -> tuple[list[Snapshot], list[str]]:
        """The snapshots that gave way to a newer one after ``since`` (seconds since the epoch), and the names of those
        that did before.
        """
        current = self._current_number() or 0
        recent: list[Snapshot] = []
        expired: list[str] = []
        numbers = list(self._numbers())
        for number, successor in pairwise(numbers):
            if number >= current:
                break
            stat = self._storage.stat(_name(successor))
            snapshot = self._load(number)
            if stat is not None and stat.mtime_ns >= since * 1e9 and snapshot is not None:
                recent.append(snapshot)
            else:
                expired.append(_name(number))
        return recent, expired

    def _numbers(self) -> Iterator[int]:
        matches = (_NAME.fullmatch(name) for name in self._storage.walk(SNAPSHOTS))
        yield from sorted(int(match[1]) for match in matches if match)

    def _current_number(self) -> int | None:
        text = (self._storage.read(CURRENT) or b"").strip()
        return int(text) if text.isdigit() and len(text) < 19 else None

    def _load(self, number: int) -> Snapshot | None:
        return load_snapshot(self._storage.local_path(_name(number)))


def _list_folders(site: Site) -> list[str]:
    """What ``site`` has beside the pages for installers."""
    return [*list_folders(site), *([FLAT] if site.flat else [])]


def find_published(storage: Storage) -> Snapshot | None:
    """What the tree holds: as recorded, or, to a user who may not read the private folder, as the pages say.

    ``None`` where nothing was ever published.
    """
    history = History(storage)
    try:
        return None if history.is_empty() else history.current() or EMPTY
    except StorageError as error:
        if not error.is_read_only:
            raise
        return read_pages(storage)


def read_pages(storage: Files) -> Snapshot | None:
    """The snapshot that the published JSON pages describe, without those that cannot be read; ``None`` where there is
    no list of projects. They tell neither what asked for a project nor of any other digest than sha256.
    """
    if storage.read(f"{SIMPLE}/{JSON_PAGE}") is None:
        return None
    projects = (_read_project(storage, name) for name in _read_list(storage) or ())
    return _assemble(storage, (project for project in projects if project is not None))


def read_pages_strictly(storage: Files) -> Snapshot:
    """The same, but raises :class:`DamagedIndexError` where a page cannot be read."""
    names = _read_list(storage)
    if names is None:
        raise DamagedIndexError(f"{SIMPLE}/{JSON_PAGE}")
    projects = []
    for name in names:
        project = _read_project(storage, name)
        if project is None:
            raise DamagedIndexError(f"{SIMPLE}/{name}/{JSON_PAGE}")
        projects.append(project)
    return _assemble(storage, projects)


def _assemble(storage: Files, projects: Iterable[tuple[SnapshotProject, str | None]]) -> Snapshot:
    from pymirror.site_record import read_site  # late, for the few trees without a record

    found = list(projects)
    listed = tuple(project for project, _ in found)
    public_url = next((url for _, url in found if url is not None), None)
    return Snapshot(projects=listed, site=read_site(storage, listed, public_url))


def _read_list(storage: Files) -> list[str] | None:
    """The published projects in order; ``None`` where the page cannot be read."""
    from pymirror.simple.parse_json import parse_json_list

    page = storage.read(f"{SIMPLE}/{JSON_PAGE}") or b""
    if page == b"".join(render_list_json(EMPTY)):
        return []  # which the parser takes for an upstream's mistake
    try:
        return sorted(parse_json_list(page, url=_BASE).projects)
    except PageError:
        return None


def _read_project(storage: Files, name: str) -> tuple[SnapshotProject, str | None] | None:
    """A published project, and the tree's URL where a link tells it; ``None`` where its page cannot be read."""
    from pymirror.simple.parse_json import parse_json_detail

    try:
        body = storage.read(f"{project_folder(name)}/{JSON_PAGE}")
        detail = parse_json_detail(body or b"", url=f"{_BASE}{project_folder(name)}/")
    except (PageError, UnsafeNameError):
        return None
    files = [_read_file(storage, file, name) for file in detail.files]
    if None in files:
        return None
    project = SnapshotProject(
        name=name,
        files=tuple(file for file in files if file is not None),
        status=detail.status,
        status_reason=detail.status_reason,
    )
    urls = (_read_public_url(file) for file in detail.files)
    return project, next((url for url in urls if url is not None), None)


def _read_public_url(file: File) -> str | None:
    """Where the tree is served from, by the link to the provenance of ``file``."""
    blake2b = blake2b_of_url(file.url, file.filename)
    if file.provenance is None or blake2b is None:
        return None
    path = relative_url(pool_path(blake2b, file.filename) + PROVENANCE_SUFFIX, depth=0)
    return file.provenance.removesuffix(path) if file.provenance.endswith(path) else None


def _read_file(storage: Files, file: File, project: str) -> SnapshotFile | None:
    from pymirror.distribution import parse_filename

    try:
        distribution = parse_filename(check_filename(file.filename), check_project(project))
    except UnsafeNameError:
        return None
    blake2b = blake2b_of_url(file.url, file.filename)
    if distribution is None or blake2b is None or file.sha256 is None or file.size is None:
        return None
    metadata = dict(file.core_metadata) if isinstance(file.core_metadata, tuple) else {}
    # A link to it must be absolute, so that pages may have none though it is there.
    provenance = storage.read(pool_path(blake2b, file.filename) + PROVENANCE_SUFFIX)
    if provenance is not None and find_problem(provenance, sha256=file.sha256) is not None:
        provenance = None
    return SnapshotFile(
        filename=file.filename,
        version=str(distribution.version),
        sha256=file.sha256,
        blake2b=blake2b,
        size=file.size,
        upload_time=file.upload_time,
        requires_python=file.requires_python,
        yanked=file.yanked,
        metadata_sha256=metadata.get("sha256"),
        provenance_sha256=hashlib.sha256(provenance).hexdigest() if provenance is not None else None,
    )


def _name(number: int) -> str:
    return f"{SNAPSHOTS}/{number:06}.json"
