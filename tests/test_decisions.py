"""What is published stays what it is, and ``plan`` and ``why`` say what ``sync`` does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror, Run
from tests.index import Answer, LocalIndex

LIST = "/simple/"
WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"
NEW = "demo-2.0-py3-none-any.whl"
OTHER_SHA256 = "ab" * 32
EPOCH = int(datetime(2026, 6, 10, 12, tzinfo=UTC).timestamp())


def why(mirror: Mirror, *arguments: str, code: int | None = None) -> Any:
    return mirror.run("why", *arguments, "--json", code=code).json


def actions(mirror: Mirror, *, code: int | None = None) -> dict[str, str]:
    """What ``plan --files`` foretells for each file."""
    report = mirror.run("plan", "--files", "--json", code=code).json
    return {file["filename"]: file["action"] for file in report["files"]}


def problems(run: Run) -> dict[str, str]:
    return {failure["what"]: failure["problem"] for failure in run.json["failures"]}


def other_wheel(version: str = "1.0") -> tuple[str, bytes]:
    """A wheel of demo that is called as the right one, and holds something else."""
    return make_wheel("demo", version, files={"demo/other.py": b"print('other')\n"})


def pages_of(mirror: Mirror) -> dict[str, str]:
    """What is served but for the pool, in which a file may wait for the rest of its release."""
    return {name: digest for name, digest in mirror.published().items() if not name.startswith("packages/")}


# ── files that come back ────────────────────────────────────────────────────────────────────────────


def withdraw(index: LocalIndex, mirror: Mirror) -> None:
    """A mirror that had 1.0 and 2.0, of which upstream has withdrawn 1.0 since."""
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]\nrequire-hashes: false")
    mirror.sync()
    index.remove(WHEEL)
    mirror.sync()
    assert mirror.filenames("demo") == [NEW]


@pytest.mark.parametrize("has_hash", [True, False])
def test_a_withdrawn_file_does_not_come_back_when_its_bytes_are_others(
    index: LocalIndex, mirror: Mirror, has_hash: bool
) -> None:
    withdraw(index, mirror)
    published = pages_of(mirror)
    entry = index.add(other_wheel())
    if not has_hash:
        entry.hashes = {}
    index.add(make_sdist("demo", "1.0"))  # a release comes in whole or not at all

    foretold = actions(mirror)
    run = mirror.sync("--json", code=1)

    assert foretold[WHEEL] in ("refuse", "hold-back")
    assert foretold[SDIST] == "hold-back"
    assert foretold[NEW] == "keep"
    assert list(problems(run)) == [WHEEL]
    assert "upstream changed the file" in problems(run)[WHEEL]
    assert pages_of(mirror) == published
    assert index.requests(entry.path) == []
    assert problems(mirror.sync("--json", code=1)) == problems(run)


def test_a_withdrawn_file_comes_back_as_it_was_when_only_its_bytes_would_tell_that_it_is_another(
    index: LocalIndex, mirror: Mirror
) -> None:
    """The page gives neither a hash nor a size: what the pool holds is what is meant, as for a published file."""
    withdraw(index, mirror)
    index.tells_sizes = index.answers_head = False
    index.add(other_wheel(), hashes={})
    index.forget()

    mirror.sync()

    assert mirror.filenames("demo") == [WHEEL, NEW]
    assert mirror.find(WHEEL).read_bytes() == make_wheel("demo", "1.0")[1]
    assert [path for path in index.asked_for("GET") if path.endswith(".whl")] == []


@pytest.mark.parametrize(("days", "code"), [(13, 1), (14, 0)])
def test_other_bytes_are_taken_when_the_time_of_the_quarantine_is_over(
    index: LocalIndex, mirror: Mirror, days: int, code: int
) -> None:
    """Also where nobody pruned meanwhile."""
    begin = datetime(2026, 6, 1, tzinfo=UTC)
    mirror.environ["SOURCE_DATE_EPOCH"] = str(int(begin.timestamp()))
    withdraw(index, mirror)
    index.add(other_wheel())
    mirror.environ["SOURCE_DATE_EPOCH"] = str(int((begin + timedelta(days=days)).timestamp()))

    mirror.sync(code=code)

    assert (WHEEL in mirror.filenames("demo")) is (code == 0)


def test_a_withdrawn_file_comes_back_when_its_bytes_are_the_same(index: LocalIndex, mirror: Mirror) -> None:
    withdraw(index, mirror)
    index.add(other_wheel())
    mirror.sync(code=1)
    index.remove(WHEEL)
    index.add(make_wheel("demo", "1.0"))

    assert actions(mirror, code=0) == {WHEEL: "add", NEW: "keep"}
    mirror.sync()

    assert mirror.filenames("demo") == [WHEEL, NEW]


# ── who is asked for a list ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("claim", ["*", "acme-*", "acme-x*"])
@pytest.mark.parametrize("has_other", [True, False])
def test_no_other_list_is_asked_for_when_an_upstream_claims_all_that_a_pattern_matches(
    index: LocalIndex, mirror: Mirror, claim: str, has_other: bool
) -> None:
    """Nor is that of the default index, where the spec names no other upstream."""
    with LocalIndex() as internal:
        index.add(make_wheel("acme-xb", "9.9"), project="acme-xb")
        for name in ("acme-xa", "acme-y"):
            internal.add(make_wheel(name, "1.0"), project=name)
        mirror.environ["PIP_INDEX_URL"] = index.url
        upstreams = [f"{{name: internal, url: '{internal.url}', projects: ['{claim}']}}"]
        upstreams += [f"{{name: public, url: '{index.url}'}}"] if has_other else []
        mirror.spec.write_text(f"output: mirror\nupstreams: [{', '.join(upstreams)}]\nprojects: ['acme-x*']\n")

        mirror.sync()

        assert mirror.projects() == ["acme-xa"]
        assert index.requests() == []
        assert [path for path in internal.asked_for("GET") if path == LIST] == [LIST]


# ── why, where there is no page ─────────────────────────────────────────────────────────────────────


def test_why_tells_that_the_list_cannot_be_had(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("acme-db", "1.0"), project="acme-db")
    index.fail_always(LIST, Answer(500))
    mirror.write_spec(index, "projects: ['acme-*']", network="retries: 0")

    text = mirror.run("why", "acme-db", code=1)
    report = why(mirror, "acme-db", code=1)

    assert "not had: the list of projects of local" in text.out or "HTTP 500" in text.out
    (failure,) = report["failures"]
    assert "500" in failure
    assert report["is-answered"] is False


def test_why_tells_that_a_matched_project_is_not_listed(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("acme-db", "1.0"), project="acme-db")
    mirror.write_spec(index, "projects: ['acme-*']")

    text = mirror.run("why", "acme-gone")

    assert "not had: upstream does not list it" in text.out.splitlines()
    assert why(mirror, "acme-gone")["failures"] == ["upstream does not list it"]


def test_why_tells_that_a_listed_project_has_no_page(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("acme-db", "1.0"), project="acme-db")
    index.listed.append("acme-gone")
    mirror.write_spec(index, "projects: ['acme-*']")

    text = mirror.run("why", "acme-gone")

    assert "upstream has no such project" in text.out
    assert "does not list it" not in text.out
    (failure,) = why(mirror, "acme-gone")["failures"]
    assert "upstream has no such project" in failure


# ── plan and sync ───────────────────────────────────────────────────────────────────────────────────


def test_plan_tells_of_no_change_when_the_pool_lost_a_published_file(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    published = mirror.published()
    mirror.find(WHEEL).unlink()

    report = mirror.run("plan", "--json").json
    (project,) = report["projects"]

    assert (project["added"], project["removed"], project["changed"], project["kept"]) == ([], [], [], 2)
    assert report["downloads"] == 1
    assert actions(mirror, code=0) == {WHEEL: "keep", SDIST: "keep"}
    run = mirror.sync("--json")
    assert (run.json["added"], run.json["removed"], run.json["changed"], run.json["downloaded"]) == (0, 0, 0, 1)
    assert mirror.published() == published


def test_plan_stops_as_sync_does_when_kept_files_are_lost_from_the_pool(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(12):
        index.add(make_sdist("demo", f"1.{number}"))
    mirror.write_spec(index, "projects: [demo]\non-upstream-removal: keep")
    mirror.sync()
    for number in range(6):
        index.remove(f"demo-1.{number}.tar.gz")
        mirror.find(f"demo-1.{number}.tar.gz").unlink()
    before = mirror.content()

    plan = mirror.run("plan", "--json", code=4)
    run = mirror.sync(code=4)

    for text in (plan.json["refusals"][0], run.err):
        assert "6 of the 12 published files would leave the index" in text
    pages = {name: state for name, state in mirror.content().items() if name.startswith("simple/")}
    assert pages == {name: state for name, state in before.items() if name.startswith("simple/")}


# ── the record of what is set aside ─────────────────────────────────────────────────────────────────


Tamper = Callable[[dict[str, Any]], None]


def _since(time: str) -> Tamper:
    return lambda held: held.update(since=time)


TAMPERED: dict[str, Tamper] = {
    "naive time": _since("2026-06-10T12:00:00"),
    "last year of all": _since("9999-12-31T23:59:59Z"),
    "last year of all, elsewhere": _since("9999-12-31T23:59:59-14:00"),
    "first year of all, elsewhere": _since("0001-01-01T00:00:00+14:00"),
    "no time": _since("soon"),
    "bad version": lambda held: held["file"].update(version="no version"),
    "empty version": lambda held: held["file"].update(version=""),
    "bad project": lambda held: held.update(project="../.."),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_no_command_breaks_when_the_record_of_the_quarantine_was_tampered_with(
    index: LocalIndex, mirror: Mirror, tamper: Tamper
) -> None:
    withdraw(index, mirror)
    path = mirror.tree / ".pymirror" / "quarantine.json"
    record = json.loads(path.read_text())
    for held in record:
        tamper(held)
    text = json.dumps(record)
    published = mirror.published()

    for command in (("why", WHEEL), ("why", "demo", "--json"), ("verify",), ("plan",), ("prune",), ("sync",)):
        path.write_text(text)
        mirror.run(*command)

    pages = {name: digest for name, digest in published.items() if WHEEL not in name}
    assert {name: digest for name, digest in mirror.published().items() if WHEEL not in name} == pages


# ── why and sync ────────────────────────────────────────────────────────────────────────────────────


def test_why_names_a_published_file_that_upstream_changed(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    index.remove(WHEEL)
    index.add(other_wheel())

    report = why(mirror, WHEEL)
    text = mirror.run("why", WHEEL, code=None).out
    run = mirror.sync("--json", code=1)

    (failure,) = report["failures"]
    assert failure == f"{WHEEL}: {problems(run)[WHEEL]}"
    assert "upstream changed the file" in failure
    assert f"not had: {failure}" in text.splitlines()
    (file,) = report["files"]
    assert (file["is-in"], file["is-published"]) == (True, True)


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


@pytest.fixture
def locked(index: LocalIndex, mirror: Mirror) -> Callable[..., None]:
    """Writes a lock file and a spec with ``body``; ``wrong`` is the file that upstream has with another sha256."""
    wheel = index.add(make_wheel("demo", "1.0"))
    sdist = index.add(make_sdist("demo", "1.0"))

    def write(body: str, *, wrong: str = "") -> None:
        right = {"wheel": wheel.hashes["sha256"], "sdist": sdist.hashes["sha256"]}
        (mirror.folder / "uv.lock").write_text(UV_LOCK.format(**right | ({wrong: OTHER_SHA256} if wrong else {})))
        mirror.write_spec(index, f"lockfiles: [uv.lock]\n{body}")

    return write


def test_why_tells_that_a_file_is_held_back_with_its_release(
    index: LocalIndex, mirror: Mirror, locked: Callable[..., None]
) -> None:
    index.add(make_wheel("demo", "2.0"))
    locked("projects: [demo]", wrong="sdist")

    report = why(mirror, "demo 1.0")
    text = mirror.run("why", WHEEL, code=None).out
    run = mirror.sync("--json", code=1)

    files = {file["filename"]: file for file in report["files"]}
    assert {name: (file["is-in"], file["is-held-back"]) for name, file in files.items()} == {
        WHEEL: (False, True),
        SDIST: (False, True),
    }
    assert files[SDIST]["reason"] == "lock-mismatch"
    assert any(failure.startswith(f"{SDIST}: refused: lock-mismatch") for failure in report["failures"])
    assert f"{WHEEL}: out, held back with its release" in text
    assert "from the next sync on" not in text
    (release,) = report["releases"]
    assert (release["files-in"], release["files"], release["size"]) == (0, 2, 0)
    assert SDIST in problems(run)
    assert mirror.filenames("demo") == [NEW]


def test_a_release_stays_out_when_upstream_has_another_wheel_than_the_lock(
    index: LocalIndex, mirror: Mirror, locked: Callable[..., None]
) -> None:
    index.add(make_wheel("demo", "2.0"))
    locked("projects: [demo]", wrong="wheel")

    foretold = actions(mirror)
    run = mirror.sync("--json", code=1)

    assert foretold == {WHEEL: "refuse", SDIST: "hold-back", NEW: "add"}
    assert "lock-mismatch" in problems(run)[WHEEL]
    assert mirror.filenames("demo") == [NEW]
    assert index.requests(WHEEL) == []


@pytest.mark.parametrize("wrong", ["", "wheel"])
def test_a_lock_is_not_met_when_its_project_is_excluded(
    index: LocalIndex, mirror: Mirror, locked: Callable[..., None], wrong: str
) -> None:
    index.add(make_wheel("other", "1.0"))
    locked("projects: [demo, other]\nexclude: [demo]", wrong=wrong)

    run = mirror.sync("--json", code=1)

    (pinned,) = [failure for failure in run.json["failures"] if "uv.lock" in failure["what"]]
    assert "excluded" in pinned["problem"]
    assert mirror.projects() == ["other"]
    assert [path for path in index.asked_for("GET", "/packages/") if "/demo" in path] == []


# ── questions, and times ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_json", [False, True])
def test_the_size_of_one_project_is_no_question(index: LocalIndex, mirror: Mirror, is_json: bool) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()

    run = mirror.run("why", "--size", *(["--json"] if is_json else []), "demo", "mirror.yaml", code=2)

    assert "--size is about the whole mirror" in run.err
    assert not is_json or "--size is about the whole mirror" in run.json["error"]
    assert is_json or run.out == ""


def test_why_tells_as_json_that_there_is_no_question(index: LocalIndex, mirror: Mirror) -> None:
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.run("why", "--json", code=2)

    assert run.json["exit-code"] == 2
    assert "name a project, a release or a file" in run.json["error"]
    assert index.requests() == []


def test_times_end_with_z_when_why_prints_json(index: LocalIndex, mirror: Mirror) -> None:
    mirror.environ["SOURCE_DATE_EPOCH"] = str(EPOCH)
    withdraw(index, mirror)
    index.add(make_wheel("demo", "3.0"), upload_time="2026-06-08T18:30:00Z")
    mirror.write_spec(index, "projects: [demo]\nexclude-newer: 7 days")

    report = why(mirror, "demo")

    times = [file["until"] for file in report["files"] if file["until"] is not None]
    (held,) = report["set-aside"]
    times += [held["since"], held["until"]]
    assert len(times) == 3
    for time in times:
        assert re.fullmatch(r"2026-06-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", time)
        assert datetime.fromisoformat(time).tzinfo is not None


# ── a project that upstream quarantines, wanted by a pattern ────────────────────────────────────────


@pytest.mark.parametrize("has_files", [True, False])
def test_the_files_of_a_quarantined_project_are_set_aside_when_a_pattern_wants_it(
    index: LocalIndex, mirror: Mirror, has_files: bool
) -> None:
    mirror.environ["SOURCE_DATE_EPOCH"] = str(EPOCH)
    for name in ("acme-db", "acme-web"):
        index.add(make_wheel(name, "1.0"), project=name)
    mirror.write_spec(index, "projects: ['acme-*']")
    mirror.sync()
    filename = "acme_db-1.0-py3-none-any.whl"
    index.statuses["acme-db"] = ("quarantined", "looks like malware")
    if not has_files:
        index.remove(filename)

    run = mirror.sync("--json", code=None)

    assert run.json["statuses"] == {"acme-db": "quarantined"}
    assert mirror.projects() == ["acme-web"]
    assert filename in mirror.pool()
    assert mirror.run("verify", "--json").json["quarantined"] == 2  # the wheel and its metadata
    if not has_files:
        said = f"{filename}: out: upstream has quarantined the project; set aside on 2026-06-10, kept until 2026-06-24"
        assert said in mirror.run("why", "acme-db", code=None).out
        (held,) = why(mirror, "acme-db")["set-aside"]
        assert held["is-quarantined-upstream"] is True
    else:
        assert "acme-db: quarantined upstream" in mirror.run("why", filename, code=None).out
    mirror.environ["SOURCE_DATE_EPOCH"] = str(EPOCH + 13 * 24 * 3600)
    mirror.run("prune")
    assert filename in mirror.pool()
