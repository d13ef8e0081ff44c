"""The front page of a mirror: its rows come from what is recorded, and are as many as projects."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec

from pymirror.front_page import FrontRows, FrontTotals, add_up
from pymirror.history import History
from pymirror.page_record import PageRecord
from pymirror.pages.front import FrontRow
from pymirror.snapshot import Snapshot
from pymirror.spec.model import Site
from pymirror.storage.local import LocalStorage
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex


def publish(index: LocalIndex, mirror: Mirror) -> tuple[LocalStorage, Snapshot]:
    for version, time in (("1.0", "2024-05-01T00:00:00Z"), ("2.0", "2024-06-01T00:00:00Z")):
        metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\nSummary: The one of {time[:7]}\n"
        index.add(make_wheel("demo", version, metadata=metadata), upload_time=time)
    index.add(make_sdist("other", "1.0"))
    mirror.write_spec(index, "projects: [demo, other]")
    mirror.sync()
    storage = LocalStorage(mirror.tree)
    snapshot = History(storage).current()
    assert snapshot is not None
    return storage, snapshot


def test_the_rows_are_those_of_the_page_when_all_is_recorded(index: LocalIndex, mirror: Mirror) -> None:
    storage, snapshot = publish(index, mirror)
    record = PageRecord(storage).load(None)
    assert record is not None

    rows = FrontRows(snapshot, storage, {})
    totals = add_up(rows, snapshot.site)

    listed = list(rows)
    assert [(row.name, row.version, row.summary, row.files) for row in listed] == [
        ("demo", "2.0", "The one of 2024-06", 2),
        ("other", "1.0", listed[1].summary, 1),
    ]
    assert (totals.projects, totals.files, totals.size) == (2, 3, snapshot.size)
    assert totals.newest_upload == datetime(2024, 6, 1, tzinfo=UTC)
    # As it was when all rows were made at once: a page that was made then stays.
    digest = hashlib.sha256(msgspec.json.encode((snapshot.site, listed))).hexdigest()
    assert totals.digest() == digest == record.made_from


def test_a_row_says_what_it_is_told_when_that_is_not_what_is_recorded(index: LocalIndex, mirror: Mirror) -> None:
    storage, snapshot = publish(index, mirror)
    PageRecord(storage).forget("other")

    demo, other = FrontRows(snapshot, storage, {"demo": ("2.0", "Another")})

    assert (demo.version, demo.summary) == ("2.0", "Another")
    assert (other.version, other.summary) == ("1.0", "")


def test_the_digest_is_that_of_a_page_without_rows_when_there_are_none() -> None:
    totals = FrontTotals(Site())
    assert totals.digest() == hashlib.sha256(msgspec.json.encode((Site(), []))).hexdigest()
    totals.add(FrontRow(name="demo", version="1.0", summary="", files=1, size=3))
    assert (totals.projects, totals.newest_upload) == (1, None)


def test_a_record_is_not_believed_when_a_number_in_it_is_another(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    page = (mirror.tree / "index.html").read_bytes()
    record = mirror.tree / ".pymirror/state/published/demo"
    data = record.read_bytes()
    assert b"2024-06" in data
    record.write_bytes(data.replace(b"2024-06", b"2025-07"))
    (mirror.tree / ".pymirror/state/front").unlink(missing_ok=True)
    (mirror.tree / "index.html").unlink()

    mirror.sync()

    assert (mirror.tree / "index.html").read_bytes() == page
