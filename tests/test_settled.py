"""What is decided is not decided again, and yet nothing that changes is missed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, Entry, LocalIndex
from tests.test_batches import make_environ
from tests.test_provenance import make_provenance

RECORD = ".pymirror/state/settled.msgpack"
POOL_RECORD = ".pymirror/state/pool.jsonl"
NOW = 1_720_000_000  # 2024-07-03
DAY = 24 * 60 * 60
WRITTEN = ("pages-written", "downloaded", "downloaded-size", "added", "removed", "changed", "reused", "rollbacks")

BODY = """\
legacy-json: false
pages: false
exclude-newer: 7 days
on-upstream-removal: quarantine
max-file-size: ${MAX_SIZE}
projects: [demo, other, third, lib]
exclude: ['third ==1.0']
lockfiles: [requirements.lock]
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalIndex]:
    with LocalIndex() as local:
        for name in ("demo", "other", "third", "lib"):
            for version in ("1.0", "2.0", "3.0"):
                local.add(make_sdist(name, version))
        wheel = local.add(make_wheel("demo", "3.0"))
        wheel.provenance = make_provenance(wheel.hashes["sha256"])
        local.add(make_sdist("other", "4.0"), upload_time="2024-07-01T00:00:00Z")
        local.add(make_sdist("locked", "1.0"))
        local.add(make_sdist("locked", "2.0"))
        yield local


@pytest.fixture(scope="module")
def base(shared: LocalIndex, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mirror, dict[str, Any]]:
    """A published mirror of which all is settled, and the report of a run with nothing new."""
    folder = tmp_path_factory.mktemp("settled")
    mirror = Mirror(folder, make_environ(folder / "home") | {"SOURCE_DATE_EPOCH": str(NOW), "MAX_SIZE": "1 MB"})
    mirror.write_spec(shared, BODY, network="retries: 0")
    (folder / "requirements.lock").write_text("locked==1.0\n")
    mirror.sync()
    return mirror, mirror.sync("--json").json


@pytest.fixture
def upstream(shared: LocalIndex) -> Iterator[LocalIndex]:
    """The index, which a test may change."""
    entries, shared.entries = shared.entries, [replace(entry) for entry in shared.entries]
    shared.forget()
    yield shared
    shared.entries = entries
    shared.faults.clear()
    shared.statuses.clear()


@pytest.fixture
def copied(base: tuple[Mirror, dict[str, Any]], mirror: Mirror) -> Mirror:
    """A mirror of which all is settled, which a test may change."""
    return copy_to(base[0], mirror.folder)


def copy_to(mirror: Mirror, folder: Path) -> Mirror:
    shutil.copytree(mirror.folder, folder, dirs_exist_ok=True)
    return Mirror(folder, mirror.environ)


def find_entry(index: LocalIndex, filename: str) -> Entry:
    (entry,) = (entry for entry in index.entries if entry.filename == filename)
    return entry


def without(report: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on what the run had to do again."""
    return {key: value for key, value in report.items() if key not in WRITTEN}


def sync_as_without_state(mirror: Mirror, *, code: int | None = 0) -> dict[str, Any]:
    """The report of a run, which must come to what one comes to that remembers nothing."""
    other = copy_to(mirror, mirror.folder.parent / "stateless")
    shutil.rmtree(other.tree / ".pymirror" / "state")
    report: dict[str, Any] = mirror.sync("--json", code=code).json
    told = other.sync("--json", code=code).json
    assert mirror.published() == other.published()
    assert without(report) == without(told)
    shutil.rmtree(other.folder)
    return report


# ── nothing new ─────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_written_and_the_same_is_told_when_nothing_is_new(
    base: tuple[Mirror, dict[str, Any]], copied: Mirror
) -> None:
    before = copied.content()
    assert RECORD in before

    report = copied.sync("--json").json

    assert report == base[1]
    assert copied.content() == before
    assert report["excluded"] == {"excluded": 1, "too-new": 1, "version": 1}
    assert [(each["project"], each["version"]) for each in report["waiting"]] == [("other", "4.0")]
    assert report["files"] == report["reused"] == len(copied.filenames("demo")) + 3 + 2 + 3 + 1
    (copied.tree / RECORD).unlink()
    assert copied.sync("--json").json == base[1]


def test_the_record_is_used_when_nothing_is_new(upstream: LocalIndex, copied: Mirror) -> None:
    # What is settled is not looked at: so a page that is not told to have changed is what it was.
    page = copied.tree / RECORD
    assert page.stat().st_size > 100
    before = page.read_bytes()
    upstream.add(make_sdist("lib", "4.0"))

    copied.sync()

    assert page.read_bytes() != before


# ── what changes in the tree ────────────────────────────────────────────────────────────────────────


def delete(mirror: Mirror, filename: str) -> None:
    mirror.find(filename).unlink()


def damage(mirror: Mirror, filename: str) -> None:
    with mirror.find(filename).open("ab") as file:
        file.write(b"x")


def touch(mirror: Mirror, filename: str) -> None:
    """Other bytes of the same size, at another time."""
    path = mirror.find(filename)
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("spoil", [delete, damage, touch])
def test_a_pool_file_is_fetched_again_when_it_is_not_as_it_was(
    base: tuple[Mirror, dict[str, Any]],
    upstream: LocalIndex,
    copied: Mirror,
    spoil: Callable[[Mirror, str], None],
) -> None:
    spoil(copied, "lib-2.0.tar.gz")

    report = sync_as_without_state(copied)

    assert report["downloaded"] == 1
    assert copied.published() == base[0].published()
    assert copied.find("lib-2.0.tar.gz").read_bytes() == find_entry(upstream, "lib-2.0.tar.gz").data


def verify(mirror: Mirror) -> None:
    mirror.run("verify", code=5)


def lose_pool_record(mirror: Mirror) -> None:
    (mirror.tree / POOL_RECORD).unlink()


def spoil_pool_record(mirror: Mirror) -> None:
    (mirror.tree / POOL_RECORD).write_bytes(b"garbage")


@pytest.mark.parametrize("find", [verify, lose_pool_record, spoil_pool_record])
def test_a_pool_file_is_fetched_again_when_other_bytes_with_its_size_and_time_are_found(
    base: tuple[Mirror, dict[str, Any]], upstream: LocalIndex, copied: Mirror, find: Callable[[Mirror], None]
) -> None:
    path = copied.find("lib-2.0.tar.gz")
    stat = path.stat()
    touch(copied, "lib-2.0.tar.gz")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert copied.sync("--json").json["downloaded"] == 0  # which nobody can know
    find(copied)

    assert copied.sync("--json").json["downloaded"] == 1

    assert copied.published() == base[0].published()
    assert copied.find("lib-2.0.tar.gz").read_bytes() == find_entry(upstream, "lib-2.0.tar.gz").data


@pytest.mark.parametrize("spoil", [delete, damage, touch])
def test_a_pool_file_is_fetched_again_when_the_record_is_one_that_vouches_for_no_file(
    upstream: LocalIndex, copied: Mirror, spoil: Callable[[Mirror, str], None]
) -> None:
    path = copied.tree / RECORD
    path.write_bytes(msgspec.msgpack.encode(msgspec.msgpack.decode(path.read_bytes())[:6]))
    before = copied.content()
    copied.sync()
    assert copied.content() == before
    spoil(copied, "lib-2.0.tar.gz")

    assert copied.sync("--json").json["downloaded"] == 1


@pytest.mark.parametrize(("spoil", "suffix"), [(delete, ".metadata"), (damage, ".metadata"), (delete, ".provenance")])
def test_what_stands_beside_a_pool_file_is_put_there_again_when_it_is_not_as_it_was(
    base: tuple[Mirror, dict[str, Any]],
    upstream: LocalIndex,
    copied: Mirror,
    spoil: Callable[[Mirror, str], None],
    suffix: str,
) -> None:
    spoil(copied, f"demo-3.0-py3-none-any.whl{suffix}")

    sync_as_without_state(copied)

    assert copied.published() == base[0].published()


def test_a_file_that_stays_away_is_a_failure_when_the_pool_lost_it(upstream: LocalIndex, copied: Mirror) -> None:
    delete(copied, "lib-2.0.tar.gz")
    upstream.fail_always(find_entry(upstream, "lib-2.0.tar.gz").path, Answer(404))

    report = sync_as_without_state(copied, code=1)

    assert [failure["what"] for failure in report["failures"]] == ["lib-2.0.tar.gz"]
    assert copied.filenames("lib") == ["lib-1.0.tar.gz", "lib-3.0.tar.gz"]


# ── what changes in the spec ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "files"),
    [
        ("'third ==1.0'", "'third ==1.0', 'lib ==2.0'", {"lib": ["1.0", "3.0"]}),
        ("'third ==1.0'", "", {"third": ["1.0", "2.0", "3.0"]}),
        ("exclude-newer", "keep-latest: 2\nexclude-newer", {"lib": ["2.0", "3.0"], "third": ["2.0", "3.0"]}),
        ("7 days", "1 days", {"other": ["1.0", "2.0", "3.0", "4.0"]}),
    ],
)
def test_all_is_decided_again_when_the_spec_changes(
    upstream: LocalIndex, copied: Mirror, old: str, new: str, files: dict[str, list[str]]
) -> None:
    text = copied.spec.read_text()
    assert old in text
    copied.spec.write_text(text.replace(old, new))

    sync_as_without_state(copied)

    for project, versions in files.items():
        assert copied.filenames(project) == [f"{project}-{version}.tar.gz" for version in versions]


def test_all_is_decided_again_when_a_variable_of_the_spec_changes(upstream: LocalIndex, copied: Mirror) -> None:
    wheel = find_entry(upstream, "demo-3.0-py3-none-any.whl")
    copied.environ["MAX_SIZE"] = f"{len(wheel.data) - 1} B"

    sync_as_without_state(copied)

    assert copied.filenames("demo") == ["demo-1.0.tar.gz", "demo-2.0.tar.gz", "demo-3.0.tar.gz"]


def test_all_is_decided_again_when_a_lock_file_changes(upstream: LocalIndex, copied: Mirror) -> None:
    (copied.folder / "requirements.lock").write_text("locked==2.0\n")

    sync_as_without_state(copied)

    assert copied.filenames("locked") == ["locked-2.0.tar.gz"]


# ── what changes upstream ───────────────────────────────────────────────────────────────────────────


def test_a_new_file_is_published_when_a_page_changed(upstream: LocalIndex, copied: Mirror) -> None:
    upstream.add(make_sdist("lib", "4.0"))

    report = sync_as_without_state(copied)

    assert copied.filenames("lib")[-1] == "lib-4.0.tar.gz"
    assert (report["added"], report["downloaded"]) == (1, 1)


def test_a_yanked_file_leaves_when_a_page_changed(upstream: LocalIndex, copied: Mirror) -> None:
    find_entry(upstream, "lib-2.0.tar.gz").yanked = "bad"
    sync_as_without_state(copied)
    assert copied.filenames("lib") == ["lib-1.0.tar.gz", "lib-3.0.tar.gz"]


def test_a_file_comes_when_its_time_has_come_and_its_page_is_the_same(upstream: LocalIndex, copied: Mirror) -> None:
    for days, is_there in ((4, False), (8, True)):
        copied.environ["SOURCE_DATE_EPOCH"] = str(NOW + days * DAY)
        upstream.forget()
        report = copied.sync("--json").json
        assert ("other-4.0.tar.gz" in copied.filenames("other")) == is_there
        assert len(report["waiting"]) == (not is_there)
    pages = [request for request in upstream.requests("/simple/") if request.status != 304]
    assert pages == []
    before = copied.published()
    shutil.rmtree(copied.tree / ".pymirror" / "state")
    copied.sync()
    assert copied.published() == before


def test_a_file_goes_when_it_has_become_too_old_and_its_page_is_the_same(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"), upload_time="2024-05-01T00:00:00Z")
    index.add(make_sdist("demo", "2.0"), upload_time="2024-08-01T00:00:00Z")
    mirror.write_spec(index, "exclude-older: 100 days\nprojects: [demo]")
    for moment, names in (("2024-08-02", ["demo-1.0.tar.gz", "demo-2.0.tar.gz"]), ("2024-10-02", ["demo-2.0.tar.gz"])):
        mirror.environ["SOURCE_DATE_EPOCH"] = str(int(datetime.fromisoformat(f"{moment}T00:00:00+00:00").timestamp()))
        mirror.sync()
        assert mirror.filenames("demo") == names


def test_a_file_comes_when_it_waited_for_one_rule_and_another_had_more_against_it(
    index: LocalIndex, mirror: Mirror
) -> None:
    for version, month in (("1.0", "05"), ("3.0", "08"), ("4.0", "05")):
        index.add(make_sdist("demo", version), upload_time=f"2024-{month}-01T00:00:00Z")
    rules = "{name: demo, keep-latest: 1}, {name: demo, version: '>=3', exclude-newer: 7 days}"
    mirror.write_spec(index, f"projects: [{rules}]")
    for moment, number in (("2024-08-02", 1), ("2024-10-02", 2)):
        mirror.environ["SOURCE_DATE_EPOCH"] = str(int(datetime.fromisoformat(f"{moment}T00:00:00+00:00").timestamp()))
        mirror.sync()
        assert len(mirror.filenames("demo")) == number


def test_the_clock_is_doubted_when_it_was_set_back(copied: Mirror) -> None:
    copied.environ["SOURCE_DATE_EPOCH"] = str(NOW + 8 * DAY)
    copied.sync()
    assert "other-4.0.tar.gz" in copied.filenames("other")

    copied.environ["SOURCE_DATE_EPOCH"] = str(NOW + 4 * DAY)
    copied.sync()

    assert "other-4.0.tar.gz" not in copied.filenames("other")


def test_a_provenance_comes_when_it_could_not_be_had_the_first_time(upstream: LocalIndex, copied: Mirror) -> None:
    entry = upstream.add(make_wheel("lib", "4.0"))
    entry.provenance = make_provenance(entry.hashes["sha256"])
    upstream.fail(entry.provenance_path, *[Answer(503)] * 2)
    for _ in range(2):
        copied.sync()
        assert "lib-4.0-py3-none-any.whl.provenance" not in copied.pool()

    sync_as_without_state(copied)

    assert copied.find("lib-4.0-py3-none-any.whl.provenance").read_bytes() == entry.provenance


def test_a_withdrawn_file_leaves_and_is_told_of_when_a_page_lists_it_no_more(
    upstream: LocalIndex, copied: Mirror
) -> None:
    upstream.remove("lib-2.0.tar.gz")

    report = sync_as_without_state(copied)

    assert [each["filename"] for each in report["removals"]] == ["lib-2.0.tar.gz"]
    assert copied.filenames("lib") == ["lib-1.0.tar.gz", "lib-3.0.tar.gz"]
    again = copied.sync("--json").json
    assert again["removals"] == []
    assert again["reused"] == again["files"]
    upstream.add(make_sdist("lib", "2.0"))
    report = sync_as_without_state(copied)
    assert copied.filenames("lib") == ["lib-1.0.tar.gz", "lib-2.0.tar.gz", "lib-3.0.tar.gz"]
    assert report["downloaded"] == 0


def test_a_withdrawn_file_is_told_of_once_when_the_spec_drops_it(upstream: LocalIndex, copied: Mirror) -> None:
    copied.spec.write_text(copied.spec.read_text().replace("removal: quarantine", "removal: drop"))
    upstream.remove("lib-2.0.tar.gz")

    for removals in (1, 0, 0):
        assert len(copied.sync("--json").json["removals"]) == removals


def test_a_withdrawn_file_is_counted_once_when_another_reason_leaves_it_out(index: LocalIndex, mirror: Mirror) -> None:
    """Upstream lists it no more, and the spec wants no prereleases any more: only that run knows of it."""
    index.add(make_sdist("demo", "1.0"))
    index.add(make_sdist("demo", "2.0rc1"))
    mirror.write_spec(index, "on-upstream-removal: keep\nprereleases: true\nprojects: [demo]")
    mirror.sync()
    index.remove("demo-2.0rc1.tar.gz")
    mirror.write_spec(index, "on-upstream-removal: keep\nprereleases: false\nprojects: [demo]")

    reports = [mirror.sync("--json", "--allow-shrink").json for _ in range(3)]

    assert [report["excluded"] for report in reports] == [{"prerelease": 1}, {}, {}]
    assert [report["files"] for report in reports] == [1, 1, 1]
    assert reports[2]["pages-written"] == 0


def test_a_quarantined_project_is_told_of_in_each_run_when_its_page_says_so(
    upstream: LocalIndex, copied: Mirror
) -> None:
    upstream.statuses["lib"] = ("quarantined", "malware")
    assert sync_as_without_state(copied, code=1)["statuses"] == {"lib": "quarantined"}
    assert "lib" not in copied.projects()
    assert copied.sync("--json", code=1).json["statuses"] == {"lib": "quarantined"}
    del upstream.statuses["lib"]
    assert copied.sync("--json").json["downloaded"] == 0
    assert len(copied.filenames("lib")) == 3


def test_an_archived_project_is_told_of_in_each_run_when_its_page_says_so(upstream: LocalIndex, copied: Mirror) -> None:
    upstream.statuses["lib"] = ("archived", None)
    for _ in range(2):
        assert copied.sync("--json").json["statuses"] == {"lib": "archived"}


def test_a_rule_that_nothing_meets_is_told_of_in_each_run_when_it_is_so(upstream: LocalIndex, copied: Mirror) -> None:
    copied.spec.write_text(copied.spec.read_text().replace("third, lib]", "third, 'lib <4', 'lib ==9.0']"))
    for _ in range(2):
        report = copied.sync("--json", code=1).json
        assert [failure["project"] for failure in report["failures"]] == ["lib"]


# ── the record itself ───────────────────────────────────────────────────────────────────────────────


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    return bytes(byte ^ 0x10 for byte in data)


def replace_all(_: bytes) -> bytes:
    return msgspec.msgpack.encode(["", "", 0.0, b"", b"", {}])


def empty(_: bytes) -> bytes:
    return b""


def shorten_keys(data: bytes) -> bytes:
    return shorten(data, 3, 16)


def shorten_times(data: bytes) -> bytes:
    return shorten(data, 4, 16)


def shorten(data: bytes, part: int, size: int) -> bytes:
    """The same without a few bytes of one part."""
    parts = msgspec.msgpack.decode(data)
    parts[part] = parts[part][:-size]
    return msgspec.msgpack.encode(parts)


def test_all_is_decided_again_when_the_record_is_damaged(
    base: tuple[Mirror, dict[str, Any]], upstream: LocalIndex, copied: Mirror
) -> None:
    good = (copied.tree / RECORD).read_bytes()
    upstream.add(make_sdist("lib", "4.0"))
    find_entry(upstream, "other-1.0.tar.gz").yanked = True
    sync_as_without_state(copied)
    for spoil in (cut, flip, replace_all, empty, shorten_keys, shorten_times):
        other = copy_to(base[0], copied.folder.parent / spoil.__name__)
        (other.tree / RECORD).write_bytes(spoil(good))
        other.sync()
        assert other.published() == copied.published()


def test_the_record_is_made_again_when_it_is_damaged_and_nothing_is_new(copied: Mirror) -> None:
    path = copied.tree / RECORD
    good = path.read_bytes()
    path.write_bytes(b"x")

    assert copied.sync("--json").json["pages-written"] == 0

    assert path.read_bytes() == good


def test_all_is_decided_again_when_the_record_is_of_another_snapshot(upstream: LocalIndex, copied: Mirror) -> None:
    # Both have the same spec; the other mirror has more.
    other = copy_to(copied, copied.folder.parent / "other")
    upstream.add(make_sdist("lib", "4.0"))
    upstream.add(make_wheel("demo", "4.0"))
    other.sync()
    foreign = other.tree / RECORD
    assert foreign.read_bytes() != (copied.tree / RECORD).read_bytes()
    shutil.copy(foreign, copied.tree / RECORD)
    shutil.copytree(other.tree / ".pymirror/state/pages", copied.tree / ".pymirror/state/pages", dirs_exist_ok=True)

    report = sync_as_without_state(copied)

    assert copied.published() == other.published()
    assert (report["added"], report["downloaded"]) == (2, 2)


def test_what_was_published_before_is_settled_no_more_when_an_older_tree_is_put_back(
    upstream: LocalIndex, copied: Mirror
) -> None:
    old = copy_to(copied, copied.folder.parent / "old")
    upstream.add(make_sdist("lib", "4.0"))
    copied.sync()
    for folder in ("simple", ".pymirror/snapshots"):
        shutil.rmtree(copied.tree / folder)
        shutil.copytree(old.tree / folder, copied.tree / folder)
    assert copied.filenames("lib")[-1] == "lib-3.0.tar.gz"

    copied.sync()

    assert copied.filenames("lib")[-1] == "lib-4.0.tar.gz"
