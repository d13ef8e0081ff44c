"""The record of the pool, and what gets into the pool: small files that come from memory, and the names in them."""

from __future__ import annotations

import errno
import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pkginfo
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pymirror.archive import _read_plain_names
from pymirror.errors import StorageError
from pymirror.pool import Pool
from pymirror.pool_record import RECORD, PoolRecord, Record
from pymirror.storage.local import LocalStorage
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.faulty_storage import WRITES, Failing, watched
from tests.index import LocalIndex


def make_record(number: int, **said: object) -> Record:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    record = Record(filename=f"demo-{number}.tar.gz", blake2b=digest, sha256=digest, size=number, mtime_ns=number)
    return msgspec.structs.replace(record, **said)


def load(storage: LocalStorage) -> PoolRecord:
    record = PoolRecord(storage)
    record.load()
    return record


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


# ── the record ──────────────────────────────────────────────────────────────────────────────────────


def test_what_was_added_is_found_when_the_record_is_read_again(storage: LocalStorage) -> None:
    writing = load(storage)
    assert not writing
    records = [make_record(number) for number in range(50)]
    for record in records:
        writing.append(record)

    for reading in (writing, load(storage)):
        assert reading
        assert [reading.find(record.key) for record in records] == records
        assert list(reading.records()) == records
        assert reading.find(("0" * 64, "demo-1.tar.gz")) is None
        assert not reading.needs_rewriting


def test_the_last_line_counts_when_a_file_has_several(storage: LocalStorage) -> None:
    writing = load(storage)
    old, new, other = make_record(1), make_record(1, size=2, mtime_ns=3), make_record(2)
    for record in (old, other, new):
        writing.append(record)
    reading = load(storage)
    newest = msgspec.structs.replace(new, size=4)
    reading.append(newest)

    assert writing.find(old.key) == new
    assert reading.find(old.key) == load(storage).find(old.key) == newest
    assert list(reading.records()) == list(load(storage).records()) == [other, newest]


def test_a_file_is_gone_when_it_is_forgotten_and_there_when_it_came_again(storage: LocalStorage) -> None:
    record, other = make_record(1), make_record(2)
    writing = load(storage)
    writing.append(record)
    writing.append(other)
    writing.append(msgspec.structs.replace(record, is_forgotten=True))

    for reading in (writing, load(storage)):
        assert reading.find(record.key) is None
        assert list(reading.records()) == [other]
    writing.append(record)
    assert writing.find(record.key) == load(storage).find(record.key) == record


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"\xff\n",
        b'{"filename":"demo-1.tar.gz"',
        b'{"filename":"demo-1.tar.gz","sha256":"x"}\n',
        msgspec.json.encode(make_record(9, filename="../../demo-9.tar.gz")) + b"\n",
        msgspec.json.encode(make_record(9, blake2b="../" * 21 + "a")) + b"\n",
        msgspec.json.encode(make_record(9, filename="a" * 5000 + ".whl")) + b"\n",
    ],
)
def test_damaged_lines_are_passed_over_when_others_are_whole(storage: LocalStorage, line: bytes) -> None:
    first, last = make_record(1), make_record(2)
    path = storage.temporary(RECORD)
    text = [msgspec.json.encode(record) + b"\n" for record in (first, last)]
    path.write_bytes(text[0] + line + text[1])
    if not line.endswith(b"\n"):
        text[1] = b""  # it is glued to the other
    reading = load(storage)

    assert reading.find(first.key) == first
    assert list(reading.records()) == ([first, last] if text[1] else [first])
    for name in ("../../demo-9.tar.gz", "a" * 5000 + ".whl", "demo-9.tar.gz"):
        assert reading.find((make_record(9).sha256, name)) is None
    reading.rewrite()
    assert path.read_bytes() == b"".join(sorted(text))


def test_a_torn_last_line_is_no_file_when_the_record_is_read(storage: LocalStorage) -> None:
    writing = load(storage)
    records = [make_record(number) for number in range(3)]
    for record in records:
        writing.append(record)
    path = storage.local_path(RECORD)
    whole = path.read_bytes()
    begin = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(begin + 1, len(whole) - 1, 9):
        path.write_bytes(whole[:cut])
        reading = load(storage)
        assert reading.needs_rewriting
        assert list(reading.records()) == records[:2]
        reading.rewrite()
        reading.append(records[2])
        assert load(storage).find(records[2].key) == records[2]
        assert not load(storage).needs_rewriting


@pytest.mark.parametrize("has_others", [True, False])
def test_the_next_run_adds_whole_lines_when_the_last_one_is_torn(
    index: LocalIndex, mirror: Mirror, has_others: bool
) -> None:
    index.flat_urls = True  # so that the record alone tells where the files are
    if has_others:
        index.add(make_sdist("other", "1.0"))
        mirror.write_spec(index, "projects: [other]")
        mirror.sync()
    path = mirror.tree / RECORD
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b'{"filename":"lost-1.0.tar.gz","sha')
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, f"projects: [demo{', other' if has_others else ''}]")
    (mirror.tree / ".pymirror" / "lock").touch()

    mirror.sync()

    lines = [msgspec.json.decode(line, type=Record) for line in path.read_bytes().splitlines()]
    assert [line.filename for line in lines] == ["other-1.0.tar.gz"] * has_others + ["demo-1.0.tar.gz"]


def test_one_file_is_not_taken_for_another_when_their_digests_collide(storage: LocalStorage) -> None:
    # What is digested is `sha256/filename`: these two keys have one digest.
    record = make_record(1, sha256="a/b", filename="c.tar.gz")
    writing = load(storage)
    writing.append(record)

    for reading in (writing, load(storage)):
        assert reading.find(("a/b", "c.tar.gz")) == record
        assert reading.find(("a", "b/c.tar.gz")) is None


def test_the_record_is_written_anew_when_most_lines_are_of_the_past(storage: LocalStorage) -> None:
    path = storage.temporary(RECORD)
    records = [make_record(number % 3, mtime_ns=number) for number in range(1100)]
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    reading = load(storage)
    assert reading.needs_rewriting

    reading.rewrite()

    newest = {record.key: record for record in records}
    assert {record.key: record for record in reading.records()} == newest
    assert path.read_bytes().count(b"\n") == 3
    assert not reading.needs_rewriting


def test_every_line_is_whole_and_found_when_threads_add_and_find(storage: LocalStorage) -> None:
    known = [make_record(number) for number in range(100, 200)]
    for record in known:
        load(storage)
        storage.append(RECORD, msgspec.json.encode(record) + b"\n")
    shared = load(storage)

    def work(thread: int) -> list[str]:
        wrong = []
        for number in range(60):
            mine = make_record(1000 * (thread + 1) + number)
            shared.append(mine)
            newer = msgspec.structs.replace(mine, size=7)
            shared.append(newer)
            again = msgspec.structs.replace(known[number], size=thread)  # all threads write this one
            shared.append(again)
            found = shared.find(again.key)
            if shared.find(mine.key) != newer or found is None or found.key != again.key:
                wrong.append(mine.filename)
            if shared.find(known[99 - thread].key) != known[99 - thread]:
                wrong.append(known[99 - thread].filename)
        return wrong

    with ThreadPoolExecutor(8) as threads:
        assert [wrong for each in threads.map(work, range(8)) for wrong in each] == []
    reading = load(storage)
    assert len(list(shared.records())) == len(list(reading.records())) == 100 + 8 * 60
    assert list(shared.records()) == list(reading.records())


def test_the_record_is_empty_when_something_else_stands_in_its_place(storage: LocalStorage) -> None:
    storage.temporary(RECORD).mkdir()
    assert not load(storage)


# ── a small file ────────────────────────────────────────────────────────────────────────────────────


def list_tree(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "packages").rglob("*") if path.is_file())


@pytest.mark.parametrize("has_before", [False, True])
def test_no_metadata_stand_alone_when_the_disk_is_full_between_them_and_their_file(
    tmp_path: Path, has_before: bool
) -> None:
    filename, data = make_wheel("demo", "1.0")
    sha256, blake2b = hashlib.sha256(data).hexdigest(), hashlib.blake2b(data, digest_size=32).hexdigest()
    seen = 0
    is_whole = False
    while not is_whole:
        folder = tmp_path / str(seen)
        storage = LocalStorage(folder)
        pool = Pool(storage)
        storage.temporary(".pymirror/temporary/x")
        if has_before:
            pool.add(data, filename=filename, sha256=sha256, blake2b=blake2b)
        before = list_tree(folder)
        with watched(folder, Failing(seen, errno.ENOSPC, calls=WRITES, for_good=True)):
            try:
                pool.add(data, filename=filename, sha256=sha256, blake2b=blake2b)
                is_whole = True
            except StorageError:
                assert list_tree(folder) in (before, [filename, f"{filename}.metadata"])
        seen += 1
    assert seen > 3
    assert list_tree(folder) == [filename, f"{filename}.metadata"]


# ── the names in it ─────────────────────────────────────────────────────────────────────────────────

_FIELDS = st.sampled_from(["Name", "Version", "name", "NAME", "Version ", " Name", "Summary", "Na me"])
_VALUES = st.sampled_from(["demo", "1.0", "demo-x", "UNKNOWN", "1.0+local", "", "2.1", "a b", "dé", "-x"]) | st.text(
    st.characters(codec="utf-8"), max_size=6
)
_ODD = st.sampled_from(["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\x00", "\t", " ", "", ":", "\ufeff"])
_ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n ", "\n\t", "\x0b", ""])
_SEPARATORS = st.sampled_from([": ", ": ", ": ", ":", " : ", ":\t", "", " ", ":\n "])
_LINES = st.tuples(_FIELDS, _SEPARATORS, _ODD | st.just(""), _VALUES, _ODD | st.just(""), _ENDS).map("".join)
_HEADERS = st.lists(_LINES, max_size=5).map("".join)
# Headers of which most are good, with one or the other line more.
_GOOD = st.permutations(["Metadata-Version: 2.1\n", "Name: demo\n", "Version: 1.0\n", "Summary: x\n y\n"]).map("".join)
_LIKELY = st.tuples(_HEADERS, _GOOD, _HEADERS).map("".join)


def read_with_pkginfo(header: bytes) -> tuple[str | None, str | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distribution = pkginfo.Distribution()
        distribution.parse(header)
    return distribution.name, distribution.version


@given(_LIKELY)
@settings(max_examples=400, deadline=None)
@example("Metadata-Version: 9.9\nName: demo\nVersion: 1.0\n")
@example("Metadata-Version: 2.1\nName: demo\x0bVersion: 1.0\n")
@example("Metadata-Version: 2.1\nFrom demo\nName: demo\nVersion: 1.0\n")
@example("Metadata-Version: 2.1\nName: demo\n .x\nVersion: 1.0\n")
@example("Metadata-Version: 2.1\nSummary: x\nno field\nName: demo\nVersion: 1.0\n")
@example("Metadata-Version: 2.1\nSummary: x\x85Name: other\nName: demo\nVersion: 1.0\n")
@example("Metadata-Version: 2.1\nName: demo\nName: other\nVersion: 1.0\n")
@example("Metadata-Version: 2.1\nNAME: other\nName: demo\nVersion: 1.0\n")
def test_a_plain_name_is_the_one_that_pkginfo_reads_when_it_is_read_without_it(header: str) -> None:
    data = header.encode()
    names = _read_plain_names(data)
    if names is not None:
        assert (names.name, names.version) == read_with_pkginfo(data)


@pytest.mark.parametrize("field", ["", "Metadata-Version:\n"])
def test_a_plain_name_is_the_one_that_pkginfo_reads_when_metadata_tell_no_version_of_theirs(field: str) -> None:
    data = f"{field}Name: demo\nVersion: 1.0\n".encode()
    names = _read_plain_names(data)
    assert names is None or (names.name, names.version) == read_with_pkginfo(data)


@pytest.mark.parametrize("field", ["metadata-version: x\n", "Metadata-Version: x\n", "Metadata-Version:\n 1\n"])
def test_a_plain_name_is_the_one_that_pkginfo_reads_when_metadata_tell_several_versions_of_theirs(field: str) -> None:
    data = f"{field}Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n".encode()
    names = _read_plain_names(data)
    assert names is None or (names.name, names.version) == read_with_pkginfo(data)


@pytest.mark.parametrize(
    ("header", "is_plain"),
    [
        ("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: x\n y\n", True),
        ("Metadata-Version: 2.1\r\nName: demo\r\nVersion: 1.0\r\n", True),
        ("Metadata-Version: 2.1\nName: demo\nVersion: UNKNOWN\n", False),
        ("Metadata-Version: 2.1\nName:  demo\nVersion: 1.0\n", False),
        ("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nversion: 2.0\n", False),
        ("Metadata-Version: 2.1\nName: demo\nSummary\nVersion: 1.0\n", False),
        ("Metadata-Version: 2.1\nName: demo\rVersion: 1.0\n", False),
    ],
)
def test_usual_metadata_are_read_without_pkginfo_and_odd_ones_with_it_when_they_come(
    header: str, is_plain: bool
) -> None:
    names = _read_plain_names(header.encode())
    assert (names is not None) == is_plain
    if names is not None:
        assert (names.name, names.version) == ("demo", "1.0")
