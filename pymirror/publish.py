"""A snapshot → the pages of the Simple API on disk, and ``links.html``; changed ones only.

The pages of a run are staged beside the published ones and take their place in one step where the system can exchange
two folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pymirror.layout import HTML_PAGE, JSON_PAGE, LINKS_PAGE, SIMPLE, STAGED_SIMPLE, project_folder
from pymirror.page_files import Render, check_page, put_page, write_page
from pymirror.simple.render import (
    render_detail_html,
    render_detail_json,
    render_links,
    render_list_html,
    render_list_json,
)
from pymirror.snapshot import Snapshot
from pymirror.storage.interface import Files, Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """How many pages were written, and how many went."""

    written: int
    removed: int


def render_pages(snapshot: Snapshot) -> Iterator[tuple[str, Render]]:
    """Every page below ``simple/`` with its name: those of the projects first, the list last."""
    for project in snapshot.projects:
        folder = project_folder(project.name)
        yield f"{folder}/{HTML_PAGE}", partial(render_detail_html, project, snapshot.site)
        yield f"{folder}/{JSON_PAGE}", partial(render_detail_json, project, snapshot.site)
    yield f"{SIMPLE}/{HTML_PAGE}", partial(render_list_html, snapshot)
    yield f"{SIMPLE}/{JSON_PAGE}", partial(render_list_json, snapshot)


def count_stale_pages(snapshot: Snapshot, storage: Files) -> int:
    """How many of the pages on disk do not say what ``snapshot`` says."""
    pages = render_pages(snapshot)
    return sum(1 for name, render in pages for _, problem in check_page(storage, name, render) if problem is not None)


def publish(snapshot: Snapshot, storage: Storage) -> Published:
    """Makes the pages say what ``snapshot`` says. Every file that it names must be in the pool."""
    storage.remove_folder(STAGED_SIMPLE)
    pages = (write_page(storage, name, render, place=_staged) for name, render in render_pages(snapshot))
    files = [file for page in pages for file in page]
    changed = [file.name for file in files if file.is_changed]
    unchanged = [file.name for file in files if not file.is_changed]
    expected = {*changed, *unchanged}
    removed = [name for name in storage.walk(SIMPLE) if name not in expected]
    storage.sync()
    if changed or removed:
        _switch(storage, changed, unchanged, removed)
    written = put_page(storage, LINKS_PAGE, partial(render_links, snapshot))
    storage.sync()
    return Published(written=len(changed) + written, removed=len(removed))


def _switch(storage: Storage, changed: list[str], unchanged: list[str], removed: list[str]) -> None:
    for name in unchanged:
        storage.link(name, _staged(name))
    storage.sync()
    if not storage.switch(STAGED_SIMPLE, SIMPLE):
        # Page by page: what comes is there before the list names it, what goes is off the list before it goes.
        for name in changed:
            storage.adopt(storage.local_path(_staged(name)), name)
        for name in removed:
            storage.remove(name)
        storage.sync()
    storage.remove_folder(STAGED_SIMPLE)


def _staged(name: str) -> str:
    return STAGED_SIMPLE + name.removeprefix(SIMPLE)
