"""A snapshot → the documents beside its Simple pages, and the front page; changed ones only.

They appear one by one, after the Simple pages: each is whole in itself, and none names a file that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from pymirror.contents import Contents
from pymirror.descriptions import Descriptions
from pymirror.documents import Documents, digest, list_documents, make_row
from pymirror.history import History
from pymirror.layout import COMPRESSED_SUFFIX, FRONT_PAGE, LEGACY, PROJECTS
from pymirror.page_files import Render, put_page, remove_page
from pymirror.page_record import PageRecord, Record, is_own_page, is_unchanged, list_folders, list_pages
from pymirror.pages.front import FrontRow, render_front
from pymirror.progress import Progress
from pymirror.publish import Published
from pymirror.snapshot import Snapshot, SnapshotProject
from pymirror.spec.model import Site
from pymirror.storage.interface import Storage
from pymirror.workers import Stop, run_ordered


def publish_documents(
    snapshot: Snapshot, storage: Storage, *, progress: Progress, stop: Stop, threads: int
) -> Published:
    """Makes the documents say what ``snapshot`` says."""
    rows: dict[str, FrontRow] = {}
    written = removed = 0
    disused = _list_disused(snapshot, storage)
    with Descriptions() as descriptions:
        documents = Documents(Contents(storage, write=True), descriptions, snapshot.site)
        changed = []
        for index, project in enumerate(snapshot.projects):
            row = _find_row(project, documents, storage)
            if row is None:
                changed.append(index)
            else:
                rows[project.name] = row
                progress.item()
        update = partial(
            _update,
            snapshot=snapshot,
            documents=documents,
            storage=storage,
            disused=disused,
            stop=stop,
        )
        for _, (row, published) in run_ordered(changed, update, threads=threads, stop=stop, ahead=8 * threads):
            rows[row.name] = row
            written += published.written
            removed += published.removed
            progress.item()
        if documents.is_makeshift:
            progress.warn(
                "no process could be had to format descriptions; some are shown as they are written until the next run"
            )
        for name, filename in sorted(documents.lacking.items()):
            progress.warn(f"{name}: the metadata of {filename} cannot be read; `pymirror verify` tells more")
    if snapshot.site.pages:
        ordered = [rows[name] for name in sorted(rows)]
        written += _update_front_page(snapshot, ordered, storage, documents.made_by)
    elif is_own_page(storage, FRONT_PAGE):
        removed += remove_page(storage, FRONT_PAGE)
    removed += _remove_gone(snapshot, storage, disused)
    storage.sync()
    return Published(written=written, removed=removed)


def render_front_page(snapshot: Snapshot, rows: Sequence[FrontRow]) -> Iterator[bytes]:
    """The top page, for people."""
    return render_front(
        rows,
        site=snapshot.site,
        files=sum(row.files for row in rows),
        size=sum(row.size for row in rows),
        newest_upload=_find_newest_upload(rows),
    )


def _find_newest_upload(rows: Sequence[FrontRow]) -> datetime | None:
    return max((row.newest_upload for row in rows if row.newest_upload is not None), default=None)


def digest_front_page(snapshot: Snapshot, rows: Sequence[FrontRow]) -> str:
    """A digest of what the top page says."""
    return digest((snapshot.site, rows))


def _update_front_page(snapshot: Snapshot, rows: Sequence[FrontRow], storage: Storage, made_by: str) -> int:
    records = PageRecord(storage)
    record = records.load(None)
    made_from = digest_front_page(snapshot, rows)
    if record is not None and _is_right(storage, record, made_from, made_by):
        return 0
    written = put_page(storage, FRONT_PAGE, partial(render_front_page, snapshot, rows))
    pages = tuple(list_pages(storage, [FRONT_PAGE]))
    records.save(None, Record(made_from=made_from, made_by=made_by, pages=pages))
    return written


def _is_right(storage: Storage, record: Record, made_from: str, made_by: str) -> bool:
    return (record.made_from, record.made_by) == (made_from, made_by) and is_unchanged(storage, record)


def _find_row(project: SnapshotProject, documents: Documents, storage: Storage) -> FrontRow | None:
    """What the front page says of ``project``, where its documents are as they were made."""
    record = PageRecord(storage).load(project.name)
    if record is None or not _is_right(storage, record, documents.digest(project), documents.made_by):
        return None
    return make_row(project, record.version, record.summary)


def _update(
    index: int,
    *,
    snapshot: Snapshot,
    documents: Documents,
    storage: Storage,
    disused: Mapping[str, set[str]],
    stop: Stop,
) -> tuple[FrontRow, Published]:
    project, site = snapshot.projects[index], snapshot.site
    records = PageRecord(storage)
    record = records.load(project.name)
    made_from = documents.digest(project)
    rendered = documents.render(project)
    written = 0
    for name, render in rendered.pages:
        once = _once(render)
        stop.check()  # so that nothing is written that the end of the run made other than it should be
        written += put_page(storage, name, once)
    pages = tuple(list_pages(storage, (name for name, _ in rendered.pages)))
    known = {page.name for page in record.pages} if record is not None else set()
    known |= disused.get(project.name, set())
    removed = _remove_others(storage, project.name, site, known, keep={page.name for page in pages})
    record = Record(
        made_from=made_from,
        made_by=documents.made_by,
        pages=pages,
        version=rendered.version,
        summary=rendered.summary,
    )
    if not documents.is_makeshift and project.name not in documents.lacking:
        records.save(project.name, record)  # else the next run makes them again
    return make_row(project, rendered.version, rendered.summary), Published(written=written, removed=removed)


def _once(render: Render) -> Render:
    """Renders now, and gives the same bytes each time: a description is put into words once."""
    pieces = list(render())
    return lambda: pieces


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
    here = {project.name for project in snapshot.projects}
    recorded = set(records.projects())
    shown = {name for folder in list_folders(snapshot.site) for name in storage.list_folder(folder)}
    removed = 0
    for name in sorted((recorded | shown | disused.keys()) - here):
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
