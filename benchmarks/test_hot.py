"""The functions that a run calls most: ``pytest benchmarks/test_hot.py``, with pytest-benchmark for their times.

Pages have 4,000 files, like those of the largest projects.
"""

# ruff: noqa: S101 - these are tests too: of a function that does something else, the time says nothing
from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from packaging.utils import canonicalize_name

from benchmarks.selection import NOW, SPEC, make_page
from benchmarks.upstream import MadeFile, render_html, render_json
from pymirror.distribution import parse_filename
from pymirror.pool_record import RECORD, PoolRecord, Record
from pymirror.selection.select import select
from pymirror.selection.wants import wants_of
from pymirror.simple.parse import parse_project_detail
from pymirror.simple.render import render_detail_html, render_detail_json
from pymirror.snapshot import Snapshot, SnapshotFile, SnapshotProject, decode_project, encode_project
from pymirror.spec.load import load_spec
from pymirror.spec.model import DEFAULT_SITE, Site
from pymirror.storage.local import LocalStorage
from pymirror.stored_snapshot import encode_pieces, load_snapshot

R = TypeVar("R")

FILES = 4_000
PROJECTS = 400
RECORDED = 40_000
PAGE_URL = "https://index.example.com/simple/demo/"


class Benchmark(Protocol):
    """pytest-benchmark's fixture, as far as it is used: calls the function many times, and hands its result over."""

    def __call__(self, function: Callable[..., R], *arguments: object) -> R: ...


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def filenames() -> list[str]:
    return [file.filename for file in make_page(FILES).files]


@pytest.fixture(scope="module")
def made(filenames: list[str]) -> list[MadeFile]:
    return [
        MadeFile(
            project="demo",
            filename=name,
            path=f"packages/{_digest(name)[:2]}/{_digest(name)[2:4]}/{_digest(name)[4:]}/{name}",
            sha256=_digest(name),
            size=1000,
            requires_python=">=3.8",
            upload_time="2025-01-01T00:00:00.000000Z",
            state=0,
        )
        for name in filenames
    ]


def _make_project(name: str, filenames: list[str]) -> SnapshotProject:
    files = tuple(
        SnapshotFile(
            filename=filename,
            version=filename.split("-")[1].removesuffix(".tar.gz"),
            sha256=_digest(filename),
            blake2b=_digest(f"{name}/{filename}"),
            size=1000,
            upload_time=datetime(2025, 1, 1, tzinfo=UTC),
            requires_python=">=3.8",
            metadata_sha256=_digest(f"{filename}.metadata") if filename.endswith(".whl") else None,
        )
        for filename in filenames
    )
    return SnapshotProject(name=name, files=files, wanted_by=("demo >=1",))


@pytest.fixture(scope="module")
def project(filenames: list[str]) -> SnapshotProject:
    return _make_project("demo", filenames)


@pytest.fixture(scope="module")
def snapshot(filenames: list[str]) -> Snapshot:
    """400 projects of 20 files."""
    return Snapshot(projects=tuple(_make_project(f"demo-{number:04d}", filenames[:20]) for number in range(PROJECTS)))


# ── what upstream has ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["json", "html"])
def test_parse_page(benchmark: Benchmark, made: list[MadeFile], kind: str) -> None:
    body = (render_json if kind == "json" else render_html)("demo", made, serial=1)
    content_type = {"json": "application/vnd.pypi.simple.v1+json", "html": "text/html"}[kind]

    detail = benchmark(lambda: parse_project_detail(body, content_type=content_type, url=PAGE_URL))

    assert len(detail.files) == FILES


def test_understand_filenames(benchmark: Benchmark, filenames: list[str]) -> None:
    name = canonicalize_name("demo")

    found = benchmark(lambda: [parse_filename(filename, name) for filename in filenames])

    assert all(found)


# ── what we decide ──────────────────────────────────────────────────────────────────────────────────


def test_select(benchmark: Benchmark) -> None:
    page = make_page(FILES)
    spec = load_spec(Path("mirror.yaml"), read=lambda _path: SPEC, environ={})
    wants = wants_of(spec, canonicalize_name("demo"), now=NOW)

    selection = benchmark(lambda: select(wants, page, page_url=PAGE_URL))

    assert selection.chosen


@pytest.mark.parametrize("render", [render_detail_json, render_detail_html], ids=["json", "html"])
def test_render_page(
    benchmark: Benchmark, project: SnapshotProject, render: Callable[[SnapshotProject, Site], Iterator[bytes]]
) -> None:
    page = benchmark(lambda: b"".join(render(project, DEFAULT_SITE)))

    assert page.count(b"demo-") >= FILES


# ── what is remembered ──────────────────────────────────────────────────────────────────────────────


def test_encode_project(benchmark: Benchmark, project: SnapshotProject) -> None:
    assert benchmark(encode_project, project)


def test_decode_project(benchmark: Benchmark, project: SnapshotProject) -> None:
    assert benchmark(decode_project, encode_project(project)) == project


def test_scan_snapshot(benchmark: Benchmark, snapshot: Snapshot, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_bytes(b"".join(encode_pieces(snapshot)))

    found = benchmark(load_snapshot, path)

    assert found is not None
    assert len(found.projects) == PROJECTS


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [
        Record(
            filename=f"demo-{number}-py3-none-any.whl",
            blake2b=_digest(f"blake2b {number}"),
            sha256=_digest(str(number)),
            size=1000,
            mtime_ns=number,
        )
        for number in range(RECORDED)
    ]


@pytest.fixture
def pool_record(tmp_path: Path, records: list[Record]) -> PoolRecord:
    """40,000 files, on disk."""
    (tmp_path / RECORD).parent.mkdir(parents=True)
    pool_record = PoolRecord(LocalStorage(tmp_path))
    pool_record.rewrite(records)
    return pool_record


def test_load_pool_record(benchmark: Benchmark, pool_record: PoolRecord) -> None:
    benchmark(pool_record.load)

    assert pool_record


def test_find_in_pool_record(benchmark: Benchmark, pool_record: PoolRecord, records: list[Record]) -> None:
    some = records[:: RECORDED // 1000]

    found = benchmark(lambda: [pool_record.find(record.key) for record in some])

    assert found == some


# ── the start ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [("-c", "pass"), ("-m", "pymirror", "--help"), ("-c", "import pymirror.commands.sync")],
    ids=["nothing", "help", "sync"],
)
def test_start(benchmark: Benchmark, arguments: tuple[str, ...]) -> None:
    """``nothing`` is Python's own start, which the others have in them."""
    done = benchmark(
        lambda: subprocess.run([sys.executable, *arguments], check=False, capture_output=True)  # noqa: S603
    )

    assert done.returncode == 0, done.stderr
