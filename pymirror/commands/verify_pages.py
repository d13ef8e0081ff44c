"""The pages of a tree compared with what its snapshot says: what ``verify`` finds in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import Damage
from pymirror.contents import Contents
from pymirror.descriptions import Descriptions
from pymirror.documents import Documents
from pymirror.errors import StorageError
from pymirror.flat import check_flat
from pymirror.front_page import FrontRows, add_up, render_front_page
from pymirror.layout import FRONT_PAGE, LINKS_PAGE, SIMPLE, is_project, project_page
from pymirror.page_files import Render, check_packed, check_page
from pymirror.page_record import PageRecord, check_recorded, list_folders
from pymirror.publish import render_pages
from pymirror.simple.render import render_links
from pymirror.site_record import is_same_but_for_text
from pymirror.snapshot import Snapshot, SnapshotProject
from pymirror.spec.model import Site
from pymirror.storage.interface import Files, Storage
from pymirror.workers import run_ordered


def check_pages(ports: Ports, snapshot: Snapshot) -> tuple[list[str], list[Damage]]:
    """The files that the pages are, and what is wrong with them."""
    storage = ports.storage
    found: list[tuple[str, str | None]] = []
    for name, render in render_pages(snapshot):
        found += check_page(storage, name, render)
    known = {name for name, _ in found}
    found += _find_foreign(storage, [SIMPLE], known)
    found += check_page(storage, LINKS_PAGE, partial(render_links, snapshot))
    found += _check_documents(ports, snapshot)
    found += check_flat(snapshot, storage)
    damages = [Damage(path=name, problem=problem) for name, problem in found if problem is not None]
    return [name for name, _ in found], damages


def _find_foreign(storage: Files, folders: Iterable[str], known: set[str]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for name in storage.walk(folder):
            if name not in known:
                yield name, "a foreign file among the pages"


def _check_documents(ports: Ports, snapshot: Snapshot) -> list[tuple[str, str | None]]:
    """What is recorded of the documents is what they must be; where nothing is, they are made again."""
    storage = ports.storage
    unrecorded: dict[str, tuple[str, str]] = {}
    found: list[tuple[str, str | None]] = []
    ports.progress.phase("verifying pages", items=len(snapshot.projects))
    with Descriptions() as descriptions:
        documents = Documents(Contents(storage, write=False), descriptions, snapshot.site)
        check = partial(_check_project, documents=documents, storage=storage)
        answers = run_ordered(snapshot.projects, check, threads=DISK_THREADS, stop=ports.stop, ahead=8 * DISK_THREADS)
        for project, (told, pages) in answers:
            if told is not None:
                unrecorded[project.name] = told
            found += pages
            if any(problem is not None for _, problem in pages):
                distrust(storage, project.name)
            ports.progress.item()
    known = {name for name, _ in found}
    foreign = list(_find_foreign(storage, list_folders(snapshot.site), known))
    for folder in {name.split("/")[1] for name, _ in foreign if "/" in name}:
        if is_project(folder):
            distrust(storage, folder)
    found += foreign
    if snapshot.site.pages:
        rows = FrontRows(snapshot, storage, unrecorded)
        found += _check_front_page(storage, snapshot.site, rows, is_known=not documents.lacking)
    return found


def _check_front_page(storage: Storage, site: Site, rows: FrontRows, *, is_known: bool) -> list[tuple[str, str | None]]:
    """``is_known`` is whether all metadata that it is made from could be read."""
    record = PageRecord(storage).load(None)
    totals = add_up(rows, site)
    if record is not None and (record.made_from == totals.digest() or not is_known):
        pages = list(check_recorded(storage, record))
    else:
        render = partial(render_front_page, site, rows, totals)
        render = render if is_known else partial(storage.read_pieces, FRONT_PAGE)
        pages = list(check_page(storage, FRONT_PAGE, render))
    if any(problem is not None for _, problem in pages):
        distrust(storage, None)
    return pages


def _check_project(
    project: SnapshotProject, *, documents: Documents, storage: Storage
) -> tuple[tuple[str, str] | None, list[tuple[str, str | None]]]:
    """A project's version and summary, where no record tells them; and what is wrong with its documents."""
    record = PageRecord(storage).load(project.name)
    if record is not None and record.made_from == documents.digest(project):
        return None, list(check_recorded(storage, record))
    rendered = documents.render(project)
    pages = [each for name, render in rendered.pages for each in _check_document(storage, project, name, render)]
    if project.name in documents.lacking or documents.is_makeshift:
        # A file is damaged, which is told as such, or no process renders: what the documents must say is not known.
        pages = [(name, problem if storage.stat(name) is None else None) for name, problem in pages]
    return (rendered.version, rendered.summary), pages


def _check_document(
    storage: Storage, project: SnapshotProject, name: str, render: Render
) -> Iterator[tuple[str, str | None]]:
    """Where the record is lost, nothing tells what asked for the project, nor with what its description was formatted:
    a page for people may differ in these.
    """
    is_vague = not project.wanted_by and not project.needed and name == project_page(project.name)
    if is_vague and is_same_but_for_text(storage.read(name) or b"", b"".join(render())):
        yield name, None
        yield from check_packed(storage, name)
    else:
        yield from check_page(storage, name, render)


def distrust(storage: Files, project: str | None) -> None:
    """So that the next run writes the documents anew, and a further ``verify`` still knows what they must be.

    On a read-only disk there is no next run.
    """
    with contextlib.suppress(StorageError):
        records = PageRecord(storage)
        record = records.load(project)
        if record is None:
            records.forget(project)
        elif any(page.mtime_ns for page in record.pages):
            pages = tuple(msgspec.structs.replace(page, mtime_ns=0) for page in record.pages)
            records.save(project, msgspec.structs.replace(record, pages=pages))
