"""Runs over more projects than are dealt with at a time: nothing of that may be seen from outside."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pymirror.limits import BATCH_PROJECTS
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, Gate, LocalIndex

NAMES = [f"p{number:03}" for number in range(2 * BATCH_PROJECTS + 30)]
PLACES = (0, BATCH_PROJECTS, 2 * BATCH_PROJECTS)
"""Where in the names each batch begins."""

_SHARE = len(NAMES) // 18 + 1
# Of these, in the first two batches, there are two releases: with the second ones just over a tenth of all goes.
DOUBLE = [NAMES[place + offset] for place in PLACES[:2] for offset in range(30, 30 + _SHARE)]
# As many with one release.
SINGLE = [NAMES[place + offset] for place in PLACES[:2] for offset in range(60, 60 + _SHARE)]
# These have a file that is too new, and one that is excluded.
WAITING = [NAMES[place + 20] for place in PLACES]
_DATA = make_sdist("demo", "1.0")[1]
NOW = 1_720_000_000  # 2024-07-03

_SPEC = """\
legacy-json: false
pages: false
exclude-newer: 7 days
package-types: [sdist]
projects: [{}]
"""
EVERY = _SPEC.format("'p*'")
WRITTEN = ("pages-written", "downloaded", "downloaded-size")


def sdist(name: str, version: str) -> tuple[str, bytes]:
    return f"{name}-{version}.tar.gz", _DATA


def at(*offsets: int) -> list[str]:
    """One project of each batch for each of ``offsets``."""
    return [NAMES[place + offset] for offset in offsets for place in PLACES]


def make_environ(home: Path) -> dict[str, str]:
    """As the fixture `environ`, for what lasts longer than a test."""
    home.mkdir()
    kept = {name: os.environ[name] for name in os.environ if name in ("PATH", "LANG", "LC_ALL")}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return kept | {
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "NO_COLOR": "1",
        "SOURCE_DATE_EPOCH": str(NOW),
    }


@pytest.fixture(scope="module")
def large() -> Iterator[LocalIndex]:
    """An index of so many projects that they make three batches."""
    with LocalIndex(flat_urls=True) as local:
        for name in NAMES:
            local.add(sdist(name, "1.0"))
        for name in DOUBLE:
            local.add(sdist(name, "2.0"))
        for name in WAITING:
            local.add(sdist(name, "3.0"), upload_time="2024-07-01T00:00:00Z")
            local.add((f"{name}-1.0-py3-none-any.whl", b"never fetched"))
        yield local


@pytest.fixture(scope="module")
def base(large: LocalIndex, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mirror, dict[str, Any]]:
    """The mirror of all, and the report of the run that made it."""
    folder = tmp_path_factory.mktemp("batches")
    mirror = Mirror(folder, make_environ(folder / "home"))
    mirror.write_spec(large, EVERY, network="retries: 0")
    return mirror, mirror.sync("--json").json


@pytest.fixture
def upstream(large: LocalIndex) -> Iterator[LocalIndex]:
    """The index, which a test may change."""
    entries, large.entries = large.entries, [replace(entry) for entry in large.entries]
    large.forget()
    yield large
    large.entries = entries
    large.faults.clear()
    large.listed = []


@pytest.fixture
def copied(base: tuple[Mirror, dict[str, Any]], mirror: Mirror) -> Mirror:
    """A mirror of all, which a test may change."""
    shutil.copytree(base[0].folder, mirror.folder, dirs_exist_ok=True)
    mirror.environ = dict(base[0].environ)
    return mirror


def files_asked_for(index: LocalIndex) -> set[str]:
    """The projects of which a file was asked for."""
    return {path.removeprefix("/files/")[:4] for path in index.asked_for("GET", "/files/")}


def pages(mirror: Mirror) -> dict[str, str]:
    """All that is published but the pool."""
    return {name: digest for name, digest in mirror.published().items() if not name.startswith("packages/")}


def without(report: dict[str, Any], keys: Iterable[str] = WRITTEN) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in keys}


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────


def test_every_project_is_published_when_there_are_several_batches(base: tuple[Mirror, dict[str, Any]]) -> None:
    mirror, _ = base
    assert mirror.projects() == NAMES
    expected = {name: [f"{name}-1.0.tar.gz"] + [f"{name}-2.0.tar.gz"] * (name in DOUBLE) for name in NAMES}
    assert {name: mirror.filenames(name) for name in NAMES} == expected
    assert sorted(mirror.pool()) == sorted(name for names in expected.values() for name in names)
    assert mirror.run("verify", "--json").json["damages"] == []


def test_the_report_counts_all_batches_when_the_mirror_is_new(base: tuple[Mirror, dict[str, Any]]) -> None:
    _, report = base
    files = len(NAMES) + len(DOUBLE)
    assert report["projects"] == len(NAMES)
    assert report["files"] == report["releases"] == report["added"] == report["downloaded"] == files
    assert report["size"] == report["downloaded-size"] == files * len(_DATA)
    assert (report["reused"], report["removed"], report["changed"]) == (0, 0, 0)
    assert sum(report["excluded"].values()) == 2 * len(WAITING)
    assert [each["project"] for each in report["waiting"]] == WAITING


def test_the_report_is_that_of_a_run_without_memory_when_some_projects_changed(
    upstream: LocalIndex, copied: Mirror
) -> None:
    new, yanked, changed = at(1, 2), at(3), at(4)
    for name in new:
        upstream.add(sdist(name, "4.0"))
    for entry in upstream.entries:
        if entry.project in yanked:
            entry.yanked = "bad"
        if entry.project in changed:
            entry.requires_python = ">=3.8"
    other = Mirror(copied.folder.parent / "other", copied.environ)
    shutil.copytree(copied.folder, other.folder)
    shutil.rmtree(other.tree / ".pymirror" / "state")

    report = copied.sync("--json").json

    assert report == without(other.sync("--json").json, ()) | {"pages-written": report["pages-written"]}
    assert copied.published() == other.published()
    assert report["added"] == report["downloaded"] == len(new)
    assert report["files"] == len(NAMES) + len(DOUBLE) + len(new) - len(yanked)
    assert (report["removed"], report["changed"]) == (len(yanked), len(changed))
    assert [each["project"] for each in report["waiting"]] == WAITING
    assert report["reused"] == report["files"] - len(new)


def test_plan_foretells_all_batches_when_some_projects_changed(upstream: LocalIndex, copied: Mirror) -> None:
    new, gone = at(1, 2), at(3)
    for name in new:
        upstream.add(sdist(name, "4.0"))
    upstream.entries = [entry for entry in upstream.entries if entry.project not in gone]

    planned = copied.run("plan", "--json", "--files").json
    done = copied.sync("--json").json

    changes = {change["project"]: change for change in planned["projects"]}
    assert list(changes) == NAMES
    assert [name for name in NAMES if changes[name]["added"]] == sorted(new)
    assert [name for name in NAMES if changes[name]["removed"]] == sorted(gone)
    assert sum(change["kept"] for change in changes.values()) == done["files"] - len(new)
    assert (planned["downloads"], planned["download-size"]) == (done["downloaded"], done["downloaded-size"])
    same = ("reused", "excluded", "excluded-size", "waiting", "removals", "failures", "rollbacks")
    assert {key: planned[key] for key in same} == {key: done[key] for key in same}
    assert len(planned["waiting"]) == len(WAITING)
    assert planned["refusals"] == []
    assert [file["project"] for file in planned["files"]] == sorted(file["project"] for file in planned["files"])
    assert {file["project"] for file in planned["files"] if file["action"] == "add"} == set(new)


# ── failures ────────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_page_and_a_broken_file_cost_only_themselves_when_each_batch_has_one(
    upstream: LocalIndex, copied: Mirror
) -> None:
    broken_pages, broken_files, good = at(5), at(6), at(7)
    before = {name: copied.filenames(name) for name in NAMES}
    for name in [*broken_pages, *broken_files, *good]:
        upstream.add(sdist(name, "4.0"))
    for name in broken_pages:
        upstream.fail_always(f"/simple/{name}/", Answer(200, b"{", {"Content-Type": "application/json"}))
    for name in broken_files:
        upstream.fail_always(f"/files/{name}-4.0.tar.gz", Answer(200, b"x" * len(_DATA)))

    run = copied.sync("--json", code=1)

    assert [failure["project"] for failure in run.json["failures"]] == sorted([*broken_pages, *broken_files])
    expected = before | {name: [*before[name], f"{name}-4.0.tar.gz"] for name in good}
    assert {name: copied.filenames(name) for name in NAMES} == expected


@pytest.mark.parametrize("what", ["projects", "files"])
def test_a_run_is_refused_when_only_all_batches_together_lose_too_much(
    upstream: LocalIndex, copied: Mirror, what: str
) -> None:
    before = pages(copied)
    gone = SINGLE if what == "projects" else DOUBLE
    upstream.entries = [
        entry
        for entry in upstream.entries
        if not (entry.project in gone if what == "projects" else entry.filename.endswith("-2.0.tar.gz"))
    ]
    upstream.add(sdist(NAMES[-1], "4.0"))

    planned = copied.run("plan", code=4)
    run = copied.sync(code=4)

    assert f"sync would stop: refused: {len(gone)} of the {len(NAMES) + len(DOUBLE)} published files" in planned.out
    assert f"{len(gone)} of the {len(NAMES) + len(DOUBLE)} published files" in run.err
    assert pages(copied) == before
    if what == "projects":
        assert copied.sync("--allow-shrink", "--json").json["removed"] == len(gone)
        assert copied.projects() == [name for name in NAMES if name not in gone]
    else:
        upstream.add(sdist(DOUBLE[0], "2.0"))  # one less
        assert copied.sync("--json").json["removed"] == len(gone) - 1


def test_the_next_run_goes_on_with_the_last_batch_when_one_was_killed_in_it(
    base: tuple[Mirror, dict[str, Any]], upstream: LocalIndex, mirror: Mirror
) -> None:
    gate = Gate()
    last = NAMES[PLACES[2] :]
    upstream.fail(f"/files/{last[3]}-1.0.tar.gz", gate)
    mirror.environ = dict(base[0].environ)
    shutil.copy(base[0].spec, mirror.spec)
    with mirror.started("sync") as process:
        gate.wait_for(1)
        process.kill()
        process.wait()
    gate.open()
    assert process.returncode == -9
    assert not (mirror.tree / "simple").exists()
    first = files_asked_for(upstream)
    assert first > set(NAMES[: PLACES[2]])
    upstream.forget()

    report = mirror.sync("--json").json

    assert files_asked_for(upstream) <= set(last)
    assert last[3] in files_asked_for(upstream)
    assert mirror.published() == base[0].published()
    assert report["reused"] + report["downloaded"] == report["files"] == report["added"]


# ── what the spec says ──────────────────────────────────────────────────────────────────────────────


def test_the_tree_is_the_same_when_the_spec_names_the_projects_in_another_order(
    base: tuple[Mirror, dict[str, Any]], upstream: LocalIndex, mirror: Mirror
) -> None:
    mirror.environ = dict(base[0].environ)
    shuffled = [NAMES[number * 7 % len(NAMES)] for number in range(len(NAMES))]
    assert sorted(shuffled) == NAMES
    mirror.write_spec(upstream, _SPEC.format(", ".join(shuffled)), network="retries: 0")

    mirror.sync()

    assert mirror.published() == base[0].published()

    # Some leave the spec.
    left = at(9)
    rest = [name for name in reversed(NAMES) if name not in left]
    mirror.write_spec(upstream, _SPEC.format(", ".join(rest)), network="retries: 0")
    report = mirror.sync("--json").json
    assert mirror.projects() == sorted(rest)
    assert not any((mirror.tree / "simple" / name).exists() for name in left)
    assert (report["projects"], report["removed"]) == (len(rest), len(left))


def test_nothing_is_fetched_when_the_last_projects_exceed_the_total_size(
    base: tuple[Mirror, dict[str, Any]], upstream: LocalIndex, mirror: Mirror
) -> None:
    mirror.environ = dict(base[0].environ)
    upstream.add(sdist(NAMES[-1], "4.0"), size=500_000_000)
    mirror.write_spec(upstream, f"max-total-size: 400 MB\n{EVERY}", network="retries: 0")

    run = mirror.sync(code=4)

    assert NAMES[-1] in run.err
    assert files_asked_for(upstream) == set()
    assert not (mirror.tree / "simple").exists()


def test_needs_are_solved_together_when_they_span_what_would_be_batches(
    index: LocalIndex, mirror: Mirror, environ: dict[str, str]
) -> None:
    names = [f"n{number:03}" for number in range(BATCH_PROJECTS + 5)]
    for name in names:
        index.add(make_wheel(name, "1.0", requires=[f"{names[-1]} <2"] if name == names[0] else ()))
    index.add(make_wheel(names[-1], "2.0", requires=["a-leaf"]))
    index.add(make_wheel("a-leaf", "1.0"))
    body = "legacy-json: false\npages: false\ndependencies: true\nkeep-latest: 1\n"
    body += "environments: {python: ['3.12'], platform: [linux]}\n"
    mirror.write_spec(index, f"{body}projects: [{', '.join(names)}]")

    report = mirror.sync("--json").json

    assert mirror.projects() == ["a-leaf", *names]
    assert mirror.filenames(names[-1]) == [f"{names[-1]}-{version}-py3-none-any.whl" for version in ("1.0", "2.0")]
    assert report["files"] == report["added"] == len(names) + 2
    assert report["dependencies"]["files"] == 2
