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
from pymirror.page_files import PageFile, Render, check_page, put_page, write_page
from pymirror.published_pages import PublishedPages, save_published
from pymirror.simple.render import (
    render_detail_html,
    render_detail_json,
    render_links,
    render_list_html,
    render_list_json,
)
from pymirror.snapshot import EMPTY, Snapshot, SnapshotProject
from pymirror.storage.interface import Files, Storage
from pymirror.stored_snapshot import StoredProjects, list_names

FORMAT = 1  # raised when the same snapshot makes other pages

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
    foreign = set(storage.list_folder(SIMPLE))
    removed: list[str] = []
    written = 0
    is_known = True
    for name, line, read in _walk(snapshot):
        foreign.discard(name)
        there = known.find(name, line) if line and is_site_same else None
        is_known = is_known and there is not None
        own = _write_project(storage, name, read, snapshot, there)
        removed += _list_others(storage, project_folder(name), {file.name for file in own})
        written += sum(file.is_changed for file in own)
    is_same = known.is_same(snapshot) and known.has_common(_COMMON)
    if is_same:
        lists = [PageFile(name, is_changed=False) for name in known.list_there(_COMMON) if name != LINKS_PAGE]
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
        _switch(storage, itertools.chain(_list_pages(snapshot), _COMMON[:2]), removed)
    links = 0 if is_same else put_page(storage, LINKS_PAGE, partial(render_links, snapshot))
    if written or removed or not (is_same and is_known):
        save_published(storage, snapshot, itertools.chain(_list_pages(snapshot), _COMMON), made_by=made_by)
    storage.sync()
    return Published(written=written + links, removed=len(removed))


def _list_pages(snapshot: Snapshot) -> Iterator[str]:
    """The names of the pages of every project."""
    return (page for name in list_names(snapshot) for page in project_pages(name))


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
    return [
        *write_page(storage, html, partial(render_detail_html, project, snapshot.site), place=_staged),
        *write_page(storage, json, partial(render_detail_json, project, snapshot.site), place=_staged),
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


def _switch(storage: Storage, pages: Iterable[str], removed: list[str]) -> None:
    """Lets what is staged take the place of the folder, with those of ``pages`` that stay as they are."""
    gone = set(removed)
    for page in pages:
        for name in (page, page + COMPRESSED_SUFFIX):
            if name not in gone and storage.stat(_staged(name)) is None and storage.stat(name) is not None:
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
