"""A snapshot → its pages on disk; changed ones only.

The pages of a run are staged beside the published ones and take their place in one step where the system can exchange
two folders. A page that did not change keeps its inode and its time, so that caches keep it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pymirror.layout import HTML_PAGE, JSON_PAGE, LINKS_PAGE, SIMPLE, STAGED_SIMPLE, project_folder
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


def render_pages(snapshot: Snapshot) -> Iterator[tuple[str, bytes]]:
    """Every page below ``simple/`` with its name: those of the projects first, the list last."""
    for project in snapshot.projects:
        folder = project_folder(project.name)
        yield f"{folder}/{HTML_PAGE}", render_detail_html(project)
        yield f"{folder}/{JSON_PAGE}", render_detail_json(project)
    yield f"{SIMPLE}/{HTML_PAGE}", render_list_html(snapshot)
    yield f"{SIMPLE}/{JSON_PAGE}", render_list_json(snapshot)


def count_stale_pages(snapshot: Snapshot, storage: Files) -> int:
    """How many of the pages on disk do not say what ``snapshot`` says."""
    return sum(1 for name, page in render_pages(snapshot) if storage.read(name) != page)


def publish(snapshot: Snapshot, storage: Storage) -> Published:
    """Makes the pages say what ``snapshot`` says. Every file that it names must be in the pool."""
    storage.remove_folder(STAGED_SIMPLE)
    changed: list[str] = []
    unchanged: list[str] = []
    for name, page in render_pages(snapshot):
        if storage.read(name) == page:
            unchanged.append(name)
        else:
            storage.write(_staged(name), page, newer_than=name)
            changed.append(name)
    expected = {*changed, *unchanged}
    removed = [name for name in storage.walk(SIMPLE) if name not in expected]
    storage.sync()
    if changed or removed:
        _switch(storage, changed, unchanged, removed)
    links = render_links(snapshot)
    if storage.read(LINKS_PAGE) != links:
        storage.write(LINKS_PAGE, links)
        storage.sync()
        changed.append(LINKS_PAGE)
    return Published(written=len(changed), removed=len(removed))


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
