"""The front page of a tree. Its rows are read when they are asked for, and not kept: there are as many as projects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial

import msgspec

from pymirror.documents import make_row
from pymirror.layout import FRONT_PAGE
from pymirror.page_files import put_page
from pymirror.page_record import PageRecord, Record, is_unchanged, list_pages
from pymirror.pages.front import FrontRow, render_front
from pymirror.simple.render_legacy import newest_version
from pymirror.snapshot import Snapshot, SnapshotProject
from pymirror.spec.model import Site
from pymirror.storage.interface import Storage
from pymirror.stored_snapshot import list_names

_encoder = msgspec.json.Encoder()


class FrontRows:
    """The rows of the front page in order of name, from ``snapshot`` and from the records of its documents.

    ``unrecorded`` are the version and the summary of those projects of which the record does not tell them.
    """

    def __init__(self, snapshot: Snapshot, storage: Storage, unrecorded: Mapping[str, tuple[str, str]]) -> None:
        self._snapshot = snapshot
        self._records = PageRecord(storage)
        self._unrecorded = unrecorded

    def __iter__(self) -> Iterator[FrontRow]:
        for index, name in enumerate(list_names(self._snapshot)):
            told = self._unrecorded.get(name)
            row = self._records.load_row(name) if told is None else None
            yield row or self._make(self._snapshot.projects[index], told)

    def _make(self, project: SnapshotProject, told: tuple[str, str] | None) -> FrontRow:
        if told is None:
            record = self._records.load(project.name)
            told = (record.version, record.summary) if record is not None else (newest_version(project), "")
        return make_row(project, *told)


class FrontTotals:
    """What the front page says of all projects, added up row by row, in order of name."""

    def __init__(self, site: Site) -> None:
        self.projects = self.files = self.size = 0
        self.newest_upload: datetime | None = None
        self._digest = hashlib.sha256(b"[" + _encoder.encode(site) + b",[")

    def add(self, row: FrontRow) -> None:
        self._digest.update((b"," if self.projects else b"") + _encoder.encode(row))
        self.projects += 1
        self.files += row.files
        self.size += row.size
        uploads = [time for time in (self.newest_upload, row.newest_upload) if time is not None]
        self.newest_upload = max(uploads, default=None)

    def digest(self) -> str:
        """The sha256 hex digest of the canonical JSON of the site and all rows: of all that the page says."""
        digest = self._digest.copy()
        digest.update(b"]]")
        return digest.hexdigest()


def add_up(rows: FrontRows, site: Site) -> FrontTotals:
    """The totals of all ``rows``."""
    totals = FrontTotals(site)
    for row in rows:
        totals.add(row)
    return totals


def render_front_page(site: Site, rows: FrontRows, totals: FrontTotals) -> Iterator[bytes]:
    """The top page, for people."""
    return render_front(
        rows,
        site=site,
        projects=totals.projects,
        files=totals.files,
        size=totals.size,
        newest_upload=totals.newest_upload,
    )


def publish_front_page(site: Site, rows: FrontRows, totals: FrontTotals, storage: Storage, *, made_by: str) -> int:
    """Makes the top page say what ``rows`` say; how many files were written."""
    records = PageRecord(storage)
    record = records.load(None)
    made_from = totals.digest()
    if record is not None and is_right(storage, record, made_from, made_by):
        return 0
    written = put_page(storage, FRONT_PAGE, partial(render_front_page, site, rows, totals))
    pages = tuple(list_pages(storage, [FRONT_PAGE]))
    records.save(None, Record(made_from=made_from, made_by=made_by, pages=pages))
    return written


def is_right(storage: Storage, record: Record, made_from: str, made_by: str) -> bool:
    """Whether what is recorded was made of the same by the same, and is as it was made."""
    return (record.made_from, record.made_by) == (made_from, made_by) and is_unchanged(storage, record)
