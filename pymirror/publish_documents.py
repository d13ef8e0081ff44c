"""A snapshot → the documents beside its Simple pages, and the front page; changed ones only.

They appear one by one, after the Simple pages: each is whole in itself, and none names a file that is not there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from functools import partial

from pymirror.contents import Contents
from pymirror.descriptions import Descriptions
from pymirror.documents import Documents, list_documents, make_row
from pymirror.front_page import FrontRows, FrontTotals, add_up, is_right, publish_front_page
from pymirror.history import History
from pymirror.layout import COMPRESSED_SUFFIX, FRONT_PAGE, LEGACY, PROJECTS
from pymirror.page_files import put_page, remove_page
from pymirror.page_record import PageRecord, Record, RecordedPage, is_own_page, list_files, list_folders
from pymirror.pages.front import FrontRow
from pymirror.progress import Progress
from pymirror.publish import Published
from pymirror.snapshot import Snapshot
from pymirror.spec.model import Site
from pymirror.storage.interface import Storage
from pymirror.stored_snapshot import list_lines, list_names
from pymirror.workers import Stop, run_ordered

_SYNC_PROJECTS = 1000  # after so many, so that no list of what is to be synced grows with the mirror


def publish_documents(
    snapshot: Snapshot, storage: Storage, *, progress: Progress, stop: Stop, threads: int
) -> Published:
    """Makes the documents say what ``snapshot`` says."""
    unrecorded: dict[str, tuple[str, str]] = {}
    totals = FrontTotals(snapshot.site)
    written = removed = 0
    disused = _list_disused(snapshot, storage)
    with Descriptions() as descriptions:
        documents = Documents(Contents(storage, write=True), descriptions, snapshot.site)
        changed = array("Q")
        for index, line in enumerate(list_lines(snapshot)):
            row = _find_row(snapshot, index, line, documents, storage)
            if row is None:
                changed.append(index)
            else:
                totals.add(row)
                progress.item()
        update = partial(
            _update,
            snapshot=snapshot,
            documents=documents,
            storage=storage,
            disused=disused,
            stop=stop,
        )
        answers = run_ordered(changed, update, threads=threads, stop=stop, ahead=8 * threads)
        for number, (index, (told, published)) in enumerate(answers, start=1):
            if told is not None:
                unrecorded[snapshot.projects[index].name] = told
            written += published.written
            removed += published.removed
            progress.item()
            if number % _SYNC_PROJECTS == 0:
                storage.sync()
        if documents.is_makeshift:
            progress.warn(
                "no process could be had to format descriptions; some are shown as they are written until the next run"
            )
        for name, filename in sorted(documents.lacking.items()):
            progress.warn(f"{name}: the metadata of {filename} cannot be read; `pymirror verify` tells more")
    if snapshot.site.pages:
        rows = FrontRows(snapshot, storage, unrecorded)
        if changed:
            totals = add_up(rows, snapshot.site)
        written += publish_front_page(snapshot.site, rows, totals, storage, made_by=documents.made_by)
    elif is_own_page(storage, FRONT_PAGE):
        removed += remove_page(storage, FRONT_PAGE)
    removed += _remove_gone(snapshot, storage, disused)
    storage.sync()
    return Published(written=written, removed=removed)


def _find_row(snapshot: Snapshot, index: int, line: bytes, documents: Documents, storage: Storage) -> FrontRow | None:
    """What the front page says of a project, whose canonical JSON is ``line``, where its documents are as they were
    made.
    """
    record = PageRecord(storage).load(list_names(snapshot)[index])
    if record is None or not is_right(storage, record, documents.digest_line(line), documents.made_by):
        return None
    return record.row or make_row(snapshot.projects[index], record.version, record.summary)


def _update(
    index: int,
    *,
    snapshot: Snapshot,
    documents: Documents,
    storage: Storage,
    disused: Mapping[str, set[str]],
    stop: Stop,
) -> tuple[tuple[str, str] | None, Published]:
    """Makes the documents of a project. Its version and its summary are returned where they are not recorded."""
    project, site = snapshot.projects[index], snapshot.site
    records = PageRecord(storage)
    record = records.load(project.name)
    made_from = documents.digest(project)
    rendered = documents.render(project)
    written = 0
    pages: list[RecordedPage] = []
    for name, render in rendered.pages:
        pieces = list(render())  # once: a description is put into words once
        stop.check()  # so that nothing is written that the end of the run made other than it should be
        written += put_page(storage, name, partial(iter, pieces))
        pages += list_files(storage, name, pieces)
    known = {page.name for page in record.pages} if record is not None else set()
    known |= disused.get(project.name, set())
    removed = _remove_others(storage, project.name, site, known, keep={page.name for page in pages})
    record = Record(
        made_from=made_from,
        made_by=documents.made_by,
        pages=tuple(pages),
        version=rendered.version,
        summary=rendered.summary,
        row=make_row(project, rendered.version, rendered.summary),
    )
    is_recorded = not documents.is_makeshift and project.name not in documents.lacking
    if is_recorded:
        records.save(project.name, record)  # else the next run makes them again
    told = None if is_recorded else (rendered.version, rendered.summary)
    return told, Published(written=written, removed=removed)


def _list_disused(snapshot: Snapshot, storage: Storage) -> dict[str, set[str]]:
    """By project, the documents that the last snapshots had, where the site has one of the folders no more.

    They are ours though the record of them be lost; what else is in such a folder may be the user's own.
    """
    disused: dict[str, set[str]] = {}
    wanted = list_folders(snapshot.site)
    if any(folder not in wanted and storage.list_folder(folder) for folder in (LEGACY, PROJECTS)):
        for old in History(storage).recent():
            for project in old.projects:
                names = disused.setdefault(project.name, set())
                for name in list_documents(project, old.site):
                    names |= {name, name + COMPRESSED_SUFFIX}
    return disused


def _remove_gone(snapshot: Snapshot, storage: Storage, disused: Mapping[str, set[str]]) -> int:
    """Removes the documents of projects that left the index, and what stands beside the folders of projects."""
    records = PageRecord(storage)
    here = frozenset(list_names(snapshot))
    recorded = {name for name in records.projects() if name not in here}
    shown = {name for folder in list_folders(snapshot.site) for name in storage.list_folder(folder) if name not in here}
    removed = 0
    for name in sorted(recorded | shown | (disused.keys() - here)):
        record = records.load(name) if name in recorded else None
        known = {page.name for page in record.pages} if record is not None else set()
        known |= disused.get(name, set())
        removed += _remove_others(storage, name, snapshot.site, known, keep=())
        if name in recorded:
            records.forget(name)
    return removed


def _remove_others(storage: Storage, project: str, site: Site, known: set[str], keep: Iterable[str]) -> int:
    """Removes the documents of ``project`` but for ``keep``; in a folder that the site has not, ``known`` ones only."""
    found = {name for folder in list_folders(site) for name in storage.walk(f"{folder}/{project}")}
    doomed = sorted((found | known) - set(keep), reverse=True)
    there = [name for name in doomed if storage.stat(name) is not None]
    for name in there:
        storage.remove(name)
    return len(there)
