"""A snapshot → the pages of the Simple API on disk, and ``links.html``; changed ones only.

The pages of a run are staged beside the published ones and take their place in one step where the system can exchange
two folders.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from pymirror.layout import (
    COMPRESSED_SUFFIX,
    HTML_PAGE,
    JSON_PAGE,
    LINKS_PAGE,
    SIMPLE,
    STAGED_SIMPLE,
    project_folder,
    project_pages,
)
from pymirror.links_page import put_links
from pymirror.page_files import PageFile, Render, check_page, write_page
from pymirror.published_pages import PublishedPages, save_published
from pymirror.simple.render import (
    render_detail_html,
    render_detail_json,
    render_list_html,
    render_list_json,
)
from pymirror.snapshot import EMPTY, Snapshot, SnapshotProject
from pymirror.storage.interface import Files, Storage
from pymirror.stored_snapshot import StoredProjects, list_names

FORMAT = 2  # raised when the same snapshot makes other pages

_SYNC_PROJECTS = 1000  # after so many, so that no list of what is to be synced grows with the mirror

_COMMON = (f"{SIMPLE}/{HTML_PAGE}", f"{SIMPLE}/{JSON_PAGE}", LINKS_PAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """How many pages were written, and how many went."""

    written: int
    removed: int


def render_pages(snapshot: Snapshot) -> Iterator[tuple[str, Render]]:
    """Every page below ``simple/`` with its name: those of the projects first, the list last."""
    for project in snapshot.projects:
        html, json = project_pages(project.name)
        yield html, partial(render_detail_html, project, snapshot.site)
        yield json, partial(render_detail_json, project, snapshot.site)
    yield f"{SIMPLE}/{HTML_PAGE}", partial(render_list_html, snapshot)
    yield f"{SIMPLE}/{JSON_PAGE}", partial(render_list_json, snapshot)


def count_stale_pages(snapshot: Snapshot, storage: Files) -> int:
    """How many of the pages on disk do not say what ``snapshot`` says."""
    pages = render_pages(snapshot)
    return sum(1 for name, render in pages for _, problem in check_page(storage, name, render) if problem is not None)


def publish(snapshot: Snapshot, storage: Storage, previous: Snapshot = EMPTY) -> Published:
    """Makes the pages say what ``snapshot`` says. Every file that it names must be in the pool.

    Pages of ``previous`` that are as they were recorded, and say the same still, are not made again.
    """
    storage.remove_folder(STAGED_SIMPLE)
    made_by = f"{FORMAT} {_find_version()}"
    known = PublishedPages(storage, previous, made_by=made_by, per_project=2, common=len(_COMMON))
    is_site_same = previous.site == snapshot.site
    here = frozenset(list_names(snapshot))
    foreign = {name for name in storage.list_folder(SIMPLE) if name not in here}
    removed: list[str] = []
    written = 0
    is_known = True
    kept = bytearray()
    for number, (name, line, read) in enumerate(_walk(snapshot), start=1):
        there = known.find(name, line) if line and is_site_same else None
        is_known = is_known and there is not None
        own = _write_project(storage, name, read, snapshot, there)
        removed += _list_others(storage, project_folder(name), {file.name for file in own})
        written += sum(file.is_changed for file in own)
        kept.append(_mark_kept(name, own))
        if number % _SYNC_PROJECTS == 0:
            storage.sync()
    is_same = known.is_same(snapshot) and known.has_common(_COMMON)
    if is_same:
        lists = [PageFile(name, is_changed=False) for name in known.list_there(_COMMON[:2])]
    else:
        lists = [
            *write_page(storage, _COMMON[0], partial(render_list_html, snapshot), place=_staged),
            *write_page(storage, _COMMON[1], partial(render_list_json, snapshot), place=_staged),
        ]
        written += sum(file.is_changed for file in lists)
    foreign -= {file.name.removeprefix(f"{SIMPLE}/") for file in lists}
    removed += (name for entry in sorted(foreign) for name in storage.walk(f"{SIMPLE}/{entry}"))
    storage.sync()
    if written or removed:
        kept_lists = (file.name for file in lists if not file.is_changed)
        _switch(storage, itertools.chain(_list_kept(snapshot, kept), kept_lists), removed)
    links = 0 if is_same else put_links(storage, snapshot, made_by=made_by)
    if written or removed or not (is_same and is_known):
        save_published(storage, snapshot, itertools.chain(_list_pages(snapshot), _COMMON), made_by=made_by)
    storage.sync()
    return Published(written=written + links, removed=len(removed))


def _list_pages(snapshot: Snapshot) -> Iterator[str]:
    """The names of the pages of every project."""
    return (page for name in list_names(snapshot) for page in project_pages(name))


def _mark_kept(name: str, own: Iterable[PageFile]) -> int:
    """Which files of a project stay as they are: a bit for each that it can have."""
    stays = {file.name for file in own if not file.is_changed}
    return sum(1 << bit for bit, each in enumerate(_list_files(name)) if each in stays) if stays else 0


def _list_kept(snapshot: Snapshot, kept: bytearray) -> Iterator[str]:
    """The files that :func:`_mark_kept` told of, of every project."""
    for name, marks in zip(list_names(snapshot), kept, strict=True):
        if marks:
            yield from (each for bit, each in enumerate(_list_files(name)) if marks >> bit & 1)


def _list_files(name: str) -> list[str]:
    """The files that the pages of a project can have."""
    return [each for page in project_pages(name) for each in (page, page + COMPRESSED_SUFFIX)]


def _write_project(
    storage: Storage,
    name: str,
    read: Callable[[], SnapshotProject],
    snapshot: Snapshot,
    known: list[str] | None,
) -> list[PageFile]:
    """The files of a project's pages: those that are ``known`` to be right, or staged where they are not."""
    if known is not None:
        return [PageFile(each, is_changed=False) for each in known]
    project = read()
    html, json = project_pages(name)
    # In memory, as the project is: what is compared with the page is what is written then.
    html_pieces = list(render_detail_html(project, snapshot.site))
    json_pieces = list(render_detail_json(project, snapshot.site))
    return [
        *write_page(storage, html, partial(iter, html_pieces), place=_staged),
        *write_page(storage, json, partial(iter, json_pieces), place=_staged),
    ]


def _walk(snapshot: Snapshot) -> Iterator[tuple[str, bytes, Callable[[], SnapshotProject]]]:
    """Each project: its name, its canonical JSON where it stands there, and itself, once it is asked for."""
    projects = snapshot.projects
    if isinstance(projects, StoredProjects):
        for index, name in enumerate(projects.names):
            yield name, projects.read(index), partial(projects.__getitem__, index)
    else:
        for project in projects:
            yield project.name, b"", partial(_same, project)


def _same(project: SnapshotProject) -> SnapshotProject:
    return project


def _list_others(storage: Storage, folder: str, expected: set[str]) -> Iterator[str]:
    """The files of a project's folder that are none of its pages."""
    for entry in storage.list_folder(folder):
        if f"{folder}/{entry}" not in expected:
            yield from storage.walk(f"{folder}/{entry}")


def _find_version() -> str:
    try:
        return version("pymirror")
    except PackageNotFoundError:
        return ""


def _switch(storage: Storage, kept: Iterable[str], removed: list[str]) -> None:
    """Lets what is staged take the place of the folder, with the files ``kept`` of it, which stay as they are."""
    for number, name in enumerate(kept, start=1):
        if number % (2 * _SYNC_PROJECTS) == 0:
            storage.sync()
        storage.link(name, _staged(name))
    storage.sync()
    if not storage.switch(STAGED_SIMPLE, SIMPLE):
        # Page by page: what comes is there before the list names it, what goes is off the list before it goes.
        staged = (SIMPLE + name.removeprefix(STAGED_SIMPLE) for name in storage.walk(STAGED_SIMPLE))
        changed = (name for name in staged if storage.stat(name) != storage.stat(_staged(name)))
        for name in sorted(changed, key=lambda name: (name.count("/") == 1, name)):
            storage.adopt(storage.local_path(_staged(name)), name)
        for name in removed:
            storage.remove(name)
        storage.sync()
    storage.remove_folder(STAGED_SIMPLE)


def _staged(name: str) -> str:
    return STAGED_SIMPLE + name.removeprefix(SIMPLE)
