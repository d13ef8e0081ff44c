"""Files and projects that upstream took away, or has set aside: what the pages, the pool and the report do then."""

from __future__ import annotations

import hashlib

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex

OLD = "demo-1.0-py3-none-any.whl"
NEW = "demo-2.0-py3-none-any.whl"
DAY = 24 * 3600
START = 4_000_000_000  # later than the files themselves: prune compares with their times


def at(mirror: Mirror, days: float) -> None:
    """The next runs take place so many days after the first."""
    mirror.environ["SOURCE_DATE_EPOCH"] = str(int(START + days * DAY))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def publish(index: LocalIndex, mirror: Mirror, policy: str = "", *, projects: str = "[demo]") -> None:
    """A mirror of two releases, of which upstream then takes the older one away."""
    at(mirror, 0)
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"))
    mirror.write_spec(index, f"projects: {projects}" + (f"\non-upstream-removal: {policy}" if policy else ""))
    mirror.sync()
    index.remove(OLD)


# ── what becomes of a removed file ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", ["", "quarantine", "drop"])
def test_a_file_leaves_the_pages_when_upstream_lists_it_no_more(index: LocalIndex, mirror: Mirror, policy: str) -> None:
    publish(index, mirror, policy)
    before = mirror.content()
    plan = mirror.run("plan", "--json").json
    assert mirror.content() == before

    run = mirror.sync("--json")

    said = {"project": "demo", "filename": OLD, "policy": policy or "quarantine"}
    assert run.json["removals"] == plan["removals"] == [said]
    assert f"upstream lists no more: {OLD}: off the pages" in run.err
    assert ("after 14 days" in run.err) == (policy != "drop")
    assert run.json["excluded"]["removed-upstream"] == 1
    assert mirror.filenames("demo") == [NEW]
    assert OLD not in (mirror.tree / "links.html").read_text()
    assert OLD in mirror.pool()
    before = mirror.content()

    again = mirror.sync("--json")

    assert again.json["removals"] == []
    assert "nothing new, nothing written" in again.err
    assert mirror.content() == before


def test_a_file_stays_when_upstream_lists_it_no_more_and_the_spec_keeps_it(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror, "keep")
    before = mirror.content()

    for _ in range(2):
        run = mirror.sync("--json")

        assert run.json["removals"] == [{"project": "demo", "filename": OLD, "policy": "keep"}]
        assert f"upstream lists no more: {OLD}: kept" in run.err
        assert mirror.filenames("demo") == [OLD, NEW]
        served = {name: state for name, state in mirror.content().items() if not name.startswith(".pymirror/")}
        assert served == {name: state for name, state in before.items() if not name.startswith(".pymirror/")}
    before = mirror.content()
    mirror.sync()
    assert mirror.content() == before
    assert mirror.run("verify", "--json").json["quarantined"] == 0


def test_a_kept_file_is_reported_when_the_pool_lost_it(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror, "keep")
    mirror.find(OLD).unlink()

    run = mirror.sync("--json", code=1)

    assert [failure["what"] for failure in run.json["failures"]] == [OLD]
    assert mirror.filenames("demo") == [NEW]


def test_a_kept_file_counts_among_the_latest_when_upstream_lists_it_no_more(index: LocalIndex, mirror: Mirror) -> None:
    body = "projects: [demo]\nkeep-latest: 2\non-upstream-removal: keep"
    for version in ("1.0", "2.0", "3.0"):
        index.add(make_wheel("demo", version))
    mirror.write_spec(index, body)
    mirror.sync()
    index.remove("demo-3.0-py3-none-any.whl")

    mirror.sync()

    # 3.0 is still one of the two newest that the mirror may have, so 1.0 does not come in its place.
    assert mirror.filenames("demo") == [NEW, "demo-3.0-py3-none-any.whl"]

    mirror.write_spec(index, body.replace("removal: keep", "removal: drop"))
    mirror.sync()

    assert mirror.filenames("demo") == [OLD, NEW]


def test_a_file_that_the_spec_wants_no_more_is_no_removal(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    mirror.write_spec(index, "projects: ['demo >=2']")

    run = mirror.sync("--json")

    assert run.json["removals"] == []
    assert mirror.filenames("demo") == [NEW]
    assert mirror.run("prune", "--json").json["kept-in-quarantine"] == 0


# ── quarantine, prune and verify ────────────────────────────────────────────────────────────────────


def test_prune_deletes_a_quarantined_file_when_its_time_is_over_and_not_before(
    index: LocalIndex, mirror: Mirror
) -> None:
    publish(index, mirror)
    at(mirror, 3)
    mirror.sync()
    verified = mirror.run("verify")
    assert "set aside, since upstream lists them no more: 2 files" in verified.err
    assert "`pymirror prune`" not in verified.err
    report = mirror.run("verify", "--json").json
    assert (report["quarantined"], report["unreferenced"], report["damages"]) == (2, 0, [])
    at(mirror, 16.9)

    early = mirror.run("prune", "--json").json

    assert (early["deleted"], early["kept-in-quarantine"]) == ([], 2)
    assert OLD in mirror.pool()
    at(mirror, 17.1)
    would = mirror.run("prune", "--dry-run", "--json").json
    assert OLD in mirror.pool()

    late = mirror.run("prune", "--json").json

    assert late["deleted"] == would["deleted"]
    assert [name.rpartition("/")[2] for name in late["deleted"]] == [OLD, f"{OLD}.metadata"]
    assert late["kept-in-quarantine"] == 0
    assert mirror.pool() == [NEW, f"{NEW}.metadata"]
    assert not any("quarantine" in name for name in mirror.content())
    assert mirror.run("verify", "--json").json["quarantined"] == 0


def test_prune_deletes_a_dropped_file_at_once(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror, "drop")
    mirror.sync()

    assert mirror.run("verify", "--json").json["quarantined"] == 0
    report = mirror.run("prune", "--json").json

    assert (len(report["deleted"]), report["kept-in-quarantine"]) == (2, 0)
    assert OLD not in mirror.pool()


def test_prune_deletes_when_the_clock_of_the_run_is_set_back(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror, "drop")
    mirror.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    mirror.sync()

    assert len(mirror.run("prune", "--json").json["deleted"]) == 2


@pytest.mark.parametrize("is_pruned", [False, True])
def test_a_file_comes_back_without_a_download_when_upstream_lists_it_again(
    index: LocalIndex, mirror: Mirror, is_pruned: bool
) -> None:
    index.flat_urls = True
    publish(index, mirror)
    published = mirror.published()
    mirror.sync()
    if is_pruned:
        at(mirror, 13)
        assert mirror.run("prune", "--json").json["deleted"] == []
    index.add(make_wheel("demo", "1.0"))
    index.forget()

    run = mirror.sync("--json")

    assert (run.json["added"], run.json["downloaded"], run.json["removals"]) == (1, 0, [])
    assert mirror.published() == published
    assert index.requests("/files/") == []
    assert mirror.run("verify", "--json").json["quarantined"] == 0
    # A second removal has a time of its own.
    at(mirror, 13.5)
    index.remove(OLD)
    mirror.sync()
    at(mirror, 15)
    assert mirror.run("prune", "--json").json["deleted"] == []


@pytest.mark.parametrize("damage", ["deleted", "garbage", "other shape", "bad path"])
def test_the_record_of_the_quarantine_may_be_damaged(index: LocalIndex, mirror: Mirror, damage: str) -> None:
    publish(index, mirror)
    mirror.sync()
    (record,) = (mirror.tree / ".pymirror").rglob("quarantine*")
    text = record.read_text()
    if damage == "deleted":
        record.unlink()
    else:
        evil = text.replace(OLD, "../../../evil.whl")
        record.write_text({"garbage": "\0{", "other shape": '{"a": 1}', "bad path": evil}[damage])
    before = mirror.published()

    report = mirror.run("verify", "--json").json

    assert (report["quarantined"], report["unreferenced"]) == (0, 2)
    mirror.sync()
    assert mirror.published() == before
    mirror.run("prune")
    assert mirror.pool() == [NEW, f"{NEW}.metadata"]
    mirror.run("verify")


# ── how much may go ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", ["quarantine", "drop", "keep"])
def test_too_many_removed_files_stop_the_run_unless_they_are_kept(
    index: LocalIndex, mirror: Mirror, policy: str
) -> None:
    for number in range(12):
        index.add(make_sdist("demo", f"1.{number}"))
    mirror.write_spec(index, f"projects: [demo]\non-upstream-removal: {policy}")
    mirror.sync()
    for number in range(6):
        index.remove(f"demo-1.{number}.tar.gz")
    before = mirror.content()

    if policy == "keep":
        mirror.sync()
        assert len(mirror.filenames("demo")) == 12
        return
    run = mirror.sync(code=4)

    assert "6 of the 12 published files would leave the index" in run.err
    assert mirror.content() == before
    plan = mirror.run("plan", "--json", code=4).json
    assert len(plan["removals"]) == 6
    assert "6 of the 12" in plan["refusals"][0]
    mirror.sync("--allow-shrink")
    assert len(mirror.filenames("demo")) == 6
    assert mirror.run("verify", "--json").json["quarantined"] == (6 if policy == "quarantine" else 0)


# ── what a lock file pins ───────────────────────────────────────────────────────────────────────────


def test_a_removed_file_is_reported_in_every_run_when_a_lock_pins_it(index: LocalIndex, mirror: Mirror) -> None:
    old = index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"))
    (mirror.folder / "pins.txt").write_text(f"demo==1.0 --hash=sha256:{sha256(old.data)}\n")
    mirror.write_spec(index, "projects: ['demo ==2.0']\nlockfiles: [pins.txt]")
    mirror.sync()
    index.remove(OLD)

    first = mirror.sync("--json", code=1)
    second = mirror.sync("--json", code=1)

    assert [item["filename"] for item in first.json["removals"]] == [OLD]
    for run in (first, second):
        (failure,) = run.json["failures"]
        assert "pins.txt:1" in failure["what"]
    assert "removed-upstream" in first.json["failures"][0]["problem"]
    assert mirror.filenames("demo") == [NEW]


UV_LOCK = """version = 1
requires-python = ">=3.11"

[[package]]
name = "demo"
version = "1.0"
source = {{ registry = "https://example.com/simple" }}
sdist = {{ url = "https://example.com/demo-1.0.tar.gz", hash = "sha256:{sdist}" }}
wheels = [
    {{ url = "https://example.com/demo-1.0-py3-none-any.whl", hash = "sha256:{wheel}" }},
]
"""


@pytest.mark.parametrize("policy", ["quarantine", "keep"])
def test_one_of_several_locked_files_is_reported_when_upstream_removed_it(
    index: LocalIndex, mirror: Mirror, policy: str
) -> None:
    wheel = index.add(make_wheel("demo", "1.0"))
    sdist = index.add(make_sdist("demo", "1.0"))
    (mirror.folder / "uv.lock").write_text(UV_LOCK.format(sdist=sha256(sdist.data), wheel=sha256(wheel.data)))
    mirror.write_spec(index, f"lockfiles: [uv.lock]\non-upstream-removal: {policy}")
    mirror.sync()
    index.remove(OLD)

    if policy == "keep":
        for _ in range(2):
            mirror.sync()
            assert mirror.filenames("demo") == [OLD, "demo-1.0.tar.gz"]
        return
    codes = [mirror.sync(code=None) for _ in range(2)]

    assert [run.code for run in codes] == [1, 1]
    for run in codes:
        assert OLD in run.err
        assert "uv.lock" in run.err
    assert mirror.filenames("demo") == ["demo-1.0.tar.gz"]


# ── project status (PEP 792) ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("format_", ["json", "html"])
@pytest.mark.parametrize("status", ["archived", "deprecated"])
def test_a_status_is_passed_on_and_reported(index: LocalIndex, mirror: Mirror, status: str, format_: str) -> None:
    index.formats = (format_,)
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("other", "1.0"))
    index.statuses["demo"] = (status, "see other")
    mirror.write_spec(index, "projects: [demo, other]")

    run = mirror.sync("--json")

    assert run.json["statuses"] == {"demo": status}
    assert f"demo is {status} upstream" in run.err
    assert mirror.page("demo")["project-status"] == {"status": status, "reason": "see other"}
    html = (mirror.tree / "simple" / "demo" / "index.html").read_text()
    assert f'<meta name="pypi:project-status" content="{status}">' in html
    assert "project-status" not in mirror.page("other")
    before = mirror.content()
    assert mirror.sync("--json").json["statuses"] == {"demo": status}
    assert mirror.content() == before
    del index.statuses["demo"]
    assert mirror.sync("--json").json["statuses"] == {}
    assert "project-status" not in mirror.page("demo")


@pytest.mark.parametrize("has_files", [True, False])
def test_the_files_of_a_quarantined_project_leave_the_pages(index: LocalIndex, mirror: Mirror, has_files: bool) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(index, "projects: [demo, other]")
    mirror.sync()
    index.statuses["demo"] = ("quarantined", "looks like malware")
    if not has_files:
        index.remove(OLD)

    run = mirror.sync("--json", code=1)

    (failure,) = run.json["failures"]
    assert "mirror.yaml:4" in failure["what"]
    assert failure["problem"] == "upstream has quarantined the project: looks like malware"
    assert run.json["statuses"] == {"demo": "quarantined"}
    assert run.json["excluded"]["quarantined"] == 1
    assert mirror.projects() == ["other"]
    assert not (mirror.tree / "simple" / "demo").exists()
    before = mirror.content()
    mirror.sync(code=1)
    assert mirror.content() == before
    index.forget()
    del index.statuses["demo"]
    if not has_files:
        index.add(make_wheel("demo", "1.0"))

    mirror.sync()

    assert mirror.filenames("demo") == [OLD]
    assert index.requests("/packages/") == []


def test_a_quarantined_project_that_a_pattern_matches_is_left_out_and_counted(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.add(make_wheel("demo-a", "1.0"), project="demo-a")
    index.add(make_wheel("demo-b", "1.0"), project="demo-b")
    index.statuses["demo-b"] = ("quarantined", None)
    mirror.write_spec(index, "projects: ['demo-*']")

    run = mirror.sync("--json")

    assert run.json["excluded"] == {"quarantined": 1}
    assert run.json["statuses"] == {"demo-b": "quarantined"}
    assert mirror.projects() == ["demo-a"]
    assert index.requests("demo_b") == []
