"""``pymirror plan``: files and bytes by project and by reason, what waits, and every file with its rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pymirror.spec.units import format_size
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex

EPOCH = int(datetime(2026, 6, 10, 12, tzinfo=UTC).timestamp())
DAY = 24 * 3600


def cells(out: str, project: str) -> list[str]:
    """The words of a project's line in the table."""
    (line,) = [line for line in out.splitlines() if line.split(" ", 1)[0] == project]
    return line.split()


@pytest.fixture
def changing(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror for which the next run adds, removes, changes and keeps files."""
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"))
    index.add(make_wheel("other", "1.0"))
    index.add(make_sdist("other", "1.0"))
    index.add(make_sdist("same", "1.0"))
    mirror.write_spec(index, "projects: [demo, other, same]")
    mirror.sync()
    index.add(make_sdist("demo", "2.1"))
    index.add(make_sdist("fresh", "1.0"))
    index.add(make_wheel("other", "2.0rc1"))
    entry = next(entry for entry in index.entries if entry.filename == "other-1.0-py3-none-any.whl")
    entry.requires_python = ">=3.8"
    body = "projects:\n  - demo >=2\n  - other\n  - same\n  - fresh\n"
    mirror.write_spec(
        index, f"{body}exclude:\n  - {{name: same, version: '<1', reason: CVE-1}}\n  - 'other ==1.0.post1'"
    )
    return mirror


# ── by project ──────────────────────────────────────────────────────────────────────────────────────


def test_plan_tells_files_and_bytes_of_every_project(index: LocalIndex, changing: Mirror) -> None:
    before = changing.content()
    index.forget()
    sizes = {entry.filename: len(entry.data) for entry in index.entries}

    report = changing.run("plan", "--json").json
    text = changing.run("plan")

    by_name = {item.pop("project"): item for item in report["projects"]}
    assert by_name["demo"] == {
        "added": ["demo-2.1.tar.gz"],
        "removed": ["demo-1.0-py3-none-any.whl"],
        "changed": [],
        "kept": 1,
        "added-size": sizes["demo-2.1.tar.gz"],
        "removed-size": sizes["demo-1.0-py3-none-any.whl"],
        "kept-size": sizes["demo-2.0-py3-none-any.whl"],
        "download-size": sizes["demo-2.1.tar.gz"],
    }
    assert by_name["other"] == {
        "added": [],
        "removed": [],
        "changed": ["other-1.0-py3-none-any.whl"],
        "kept": 1,
        "added-size": 0,
        "removed-size": 0,
        "kept-size": sizes["other-1.0-py3-none-any.whl"] + sizes["other-1.0.tar.gz"],
        "download-size": 0,
    }
    assert by_name["fresh"]["added"] == ["fresh-1.0.tar.gz"]
    assert list(by_name) == ["demo", "fresh", "other", "same"]
    fetched = sizes["demo-2.1.tar.gz"] + sizes["fresh-1.0.tar.gz"]
    assert (report["downloads"], report["download-size"], report["unknown-sizes"]) == (2, fetched, 0)
    assert report["reused"] == 4
    assert report["refusals"] == report["removals"] == report["waiting"] == report["failures"] == []
    assert report["statuses"] == {}
    assert "files" not in report
    assert report["excluded"] == {"version": 1, "prerelease": 1}
    assert report["excluded-size"] == {
        "version": sizes["demo-1.0-py3-none-any.whl"],
        "prerelease": sizes["other-2.0rc1-py3-none-any.whl"],
    }

    def spell(*names: str) -> list[str]:
        return format_size(sum(sizes[name] for name in names)).split()

    assert cells(text.out, "demo") == [
        "demo",
        "1",
        *spell("demo-2.1.tar.gz"),
        "1",
        *spell("demo-1.0-py3-none-any.whl"),
        "1",
        *spell("demo-2.0-py3-none-any.whl"),
        *spell("demo-2.1.tar.gz"),
    ]
    other = spell("other-1.0-py3-none-any.whl", "other-1.0.tar.gz")
    assert cells(text.out, "other") == ["other", "2", *other, "1"]
    total = cells(text.out, "total")
    assert total[:4] == ["total", "2", *format_size(fetched).split()]
    assert total[-2:] == format_size(fetched).split()
    assert f"2 files to download, {format_size(fetched)}; 4 in the pool already" in text.out
    for reason, size in report["excluded-size"].items():
        assert f"1 {reason} ({format_size(size)})" in text.err
    assert changing.content() == before
    assert index.requests("/packages/") == []
    # And sync does what was foretold.
    done = changing.sync("--json").json
    assert (done["added"], done["removed"], done["changed"]) == (2, 1, 1)
    assert (done["downloaded"], done["downloaded-size"]) == (2, fetched)
    assert changing.run("plan", "--json").json["downloads"] == 0


def test_plan_counts_files_of_unknown_size(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = False
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    text = mirror.run("plan").out
    report = mirror.run("plan", "--json").json

    assert "1 file to download, size unknown" in text
    assert (report["downloads"], report["download-size"], report["unknown-sizes"]) == (1, 0, 1)
    assert index.asked_for("HEAD") == []


def test_plan_tells_of_a_project_that_the_spec_wants_no_more(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(index, "projects: [demo, other]")
    mirror.sync()
    mirror.write_spec(index, "projects: [demo]")

    report = mirror.run("plan", "--json", "--files").json

    (other,) = [item for item in report["projects"] if item["project"] == "other"]
    assert other["removed"] == ["other-1.0-py3-none-any.whl"]
    assert [(file["filename"], file["action"]) for file in report["files"]] == [
        ("demo-1.0-py3-none-any.whl", "keep"),
        ("other-1.0-py3-none-any.whl", "remove"),
    ]


def test_plan_shows_no_total_when_there_is_one_project(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    assert "total" not in mirror.run("plan").out


def test_plan_tells_what_failed_and_of_a_refusal(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(12):
        index.add(make_sdist("demo", f"1.{number}"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    index.fail_always("/simple/other/", Answer(404))
    mirror.write_spec(index, "projects: ['demo >=1.6', other]\nmax-total-size: 1 kB")

    run = mirror.run("plan", code=4)
    report = mirror.run("plan", "--json", code=4).json

    assert run.out.count("sync would stop: refused: ") == 2
    assert "--allow-shrink" in run.out
    assert "failed: other" in run.err
    assert (report["exit-code"], report["is-refused"], len(report["refusals"])) == (4, True, 2)
    assert [failure["what"] for failure in report["failures"]] == ["other"]


# ── by file ─────────────────────────────────────────────────────────────────────────────────────────


def test_plan_lists_every_file_with_its_action_reason_and_rule(index: LocalIndex, changing: Mirror) -> None:
    index.add(make_wheel("same", "0.5"))
    index.add(("demo-readme.txt", b"hello"), project="demo")
    before = changing.content()
    sizes = {entry.filename: len(entry.data) for entry in index.entries}

    text = changing.run("plan", "--files")
    report = changing.run("plan", "--files", "--json").json

    def told(filename: str) -> dict[str, Any]:
        (file,) = [file for file in report["files"] if file["filename"] == filename]
        assert file.pop("size") == (sizes[filename] if file["reason"] not in NAMELESS else None)
        return {key: file[key] for key in ("action", "reason", "rules")}

    on_page = {entry.filename for entry in index.entries}
    assert on_page == {file["filename"] for file in report["files"]}
    assert told("demo-2.1.tar.gz") == {"action": "add", "reason": None, "rules": ["mirror.yaml:5"]}
    assert told("demo-2.0-py3-none-any.whl") == {"action": "keep", "reason": None, "rules": ["mirror.yaml:5"]}
    assert told("demo-1.0-py3-none-any.whl") == {"action": "remove", "reason": "version", "rules": ["mirror.yaml:5"]}
    assert told("other-1.0-py3-none-any.whl") == {"action": "change", "reason": None, "rules": ["mirror.yaml:6"]}
    out = {"action": "leave-out", "reason": "prerelease", "rules": ["mirror.yaml:6"]}
    assert told("other-2.0rc1-py3-none-any.whl") == out
    out = {"action": "leave-out", "reason": "excluded", "rules": ["mirror.yaml:10"]}
    assert told("same-0.5-py3-none-any.whl") == out
    assert told("demo-readme.txt") == {"action": "leave-out", "reason": "not-a-distribution", "rules": []}
    lines = text.out.splitlines()
    size = format_size(sizes["same-0.5-py3-none-any.whl"])
    assert f"  same-0.5-py3-none-any.whl {size} excluded: CVE-1 (mirror.yaml:10)" in lines
    for sign, name in {
        "+": "demo-2.1.tar.gz",
        "-": "demo-1.0-py3-none-any.whl",
        "~": "other-1.0-py3-none-any.whl",
        "=": "same-1.0.tar.gz",
    }.items():
        assert any(line.startswith(f"{sign} {name} {format_size(sizes[name])}") for line in lines), name
    assert changing.content() == before


NAMELESS = ("not-a-distribution",)


def test_plan_lists_a_file_that_is_refused_and_what_it_holds_back(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"))
    index.add(make_sdist("demo", "2.0"), url="ftp://127.0.0.1/demo-2.0.tar.gz")
    mirror.write_spec(index, "projects: [demo]")

    report = mirror.run("plan", "--files", "--json", code=1).json

    actions = {file["filename"]: file["action"] for file in report["files"]}
    assert actions["demo-1.0-py3-none-any.whl"] == "add"
    assert {"demo-2.0-py3-none-any.whl", "demo-2.0.tar.gz"} <= actions.keys()
    assert actions["demo-2.0-py3-none-any.whl"] != "add"
    (refused,) = [file for file in report["files"] if file["filename"] == "demo-2.0.tar.gz"]
    assert (refused["reason"], refused["rules"]) == ("unsafe-url", ["mirror.yaml:4"])


def test_plan_names_the_line_of_a_filter_and_of_every_rule_that_wants_a_file(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "2.0"))
    index.add(make_wheel("demo", "2.0"))
    (mirror.folder / "pins.txt").write_text("# pinned\ndemo==2.0\n")
    mirror.write_spec(index, "projects: [demo]\nlockfiles: [pins.txt]\npackage-types: [wheel]\nkeep-latest: 1")

    report = mirror.run("plan", "--files", "--json").json

    said = {file["filename"]: (file["action"], file["reason"], file["rules"]) for file in report["files"]}
    assert said == {
        "demo-1.0-py3-none-any.whl": ("leave-out", "not-latest", ["mirror.yaml:7"]),
        "demo-2.0.tar.gz": ("leave-out", "package-type", ["mirror.yaml:6"]),
        "demo-2.0-py3-none-any.whl": ("add", None, ["mirror.yaml:4", "pins.txt:2"]),
    }


# ── what waits ──────────────────────────────────────────────────────────────────────────────────────


def _upload(index: LocalIndex, version: str, *times: str | None) -> None:
    make = (make_wheel, make_sdist)
    for number, moment in enumerate(times):
        index.add(make[number]("demo", version), upload_time=moment)


@pytest.fixture
def cooling(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A spec that waits seven days, on 10 June 2026 at noon."""
    _upload(index, "1.0", "2026-01-01T00:00:00Z")
    _upload(index, "2.0", "2026-06-08T12:00:00Z", "2026-06-08T18:30:00Z")
    mirror.write_spec(index, "projects: [demo]\nexclude-newer: 7 days")
    mirror.environ["SOURCE_DATE_EPOCH"] = str(EPOCH)
    return mirror


def test_a_release_that_is_too_new_waits_and_comes_in_later(cooling: Mirror) -> None:
    text = cooling.run("plan").out
    planned = cooling.run("plan", "--json").json
    run = cooling.sync("--json")

    assert "waiting: demo 2.0 (2 files), until 2026-06-15 18:30 UTC (mirror.yaml:5)" in text
    (waiting,) = planned["waiting"]
    assert waiting == {
        "project": "demo",
        "version": "2.0",
        "files": 2,
        "until": "2026-06-15T18:30:00.000000Z",
        "rule": "mirror.yaml:5",
        "detail": "uploaded 2026-06-08 18:30 UTC",
    }
    assert run.json["waiting"] == planned["waiting"]
    assert "waiting: 1 release, the first until 2026-06-15 18:30 UTC" in run.err
    assert run.json["excluded"] == {"too-new": 2}
    assert cooling.filenames("demo") == ["demo-1.0-py3-none-any.whl"]
    cooling.environ["SOURCE_DATE_EPOCH"] = str(EPOCH + 6 * DAY)

    later = cooling.sync("--json").json

    assert (later["waiting"], later["excluded"]) == ([], {})
    assert len(cooling.filenames("demo")) == 3


def test_a_later_run_lets_a_release_in_at_the_minute_that_was_told(index: LocalIndex, mirror: Mirror) -> None:
    _upload(index, "1.0", "2026-06-08T12:00:00Z")
    mirror.write_spec(index, "projects: [demo]\nexclude-newer: 7 days")
    until = EPOCH + 5 * DAY
    mirror.environ["SOURCE_DATE_EPOCH"] = str(until)
    early = mirror.run("plan", "--json", code=None).json
    mirror.environ["SOURCE_DATE_EPOCH"] = str(until + 1)

    late = mirror.run("plan", "--json").json

    assert [item["until"] for item in early["waiting"]] == ["2026-06-15T12:00:00.000000Z"]
    assert (late["waiting"], late["downloads"]) == ([], 1)


def test_a_pinned_release_that_waits_is_reported_with_the_time(index: LocalIndex, cooling: Mirror) -> None:
    cooling.write_spec(index, "projects: ['demo ==2.0']\nexclude-newer: 7 days")

    run = cooling.run("plan", code=1)

    assert "failed: demo ==2.0" in run.err
    assert "too-new" in run.err
    assert "until 2026-06-15 " in run.err
    assert "(mirror.yaml:5)" in run.err


def test_the_latest_release_stays_until_a_newer_one_has_waited(index: LocalIndex, cooling: Mirror) -> None:
    cooling.write_spec(index, "projects: [demo]\nexclude-newer: 7 days\nkeep-latest: 1")
    cooling.sync()
    assert cooling.filenames("demo") == ["demo-1.0-py3-none-any.whl"]
    cooling.environ["SOURCE_DATE_EPOCH"] = str(EPOCH + 6 * DAY)

    cooling.sync()

    assert cooling.filenames("demo") == ["demo-2.0-py3-none-any.whl", "demo-2.0.tar.gz"]


def test_a_file_without_an_upload_time_waits_without_end(index: LocalIndex, mirror: Mirror) -> None:
    _upload(index, "1.0", "2026-01-01T00:00:00Z")
    _upload(index, "2.0", None)
    _upload(index, "3.0", "2026-06-10T00:00:00Z", None)
    mirror.write_spec(index, "projects: [demo]\nexclude-newer: 7 days")
    mirror.environ["SOURCE_DATE_EPOCH"] = str(EPOCH)

    run = mirror.run("plan")
    report = mirror.run("plan", "--json").json

    assert "waiting: demo 2.0 (1 file), upstream gives no upload time (mirror.yaml:5)" in run.out
    assert [(item["version"], item["files"], item["until"]) for item in report["waiting"]] == [
        ("2.0", 1, None),
        ("3.0", 2, None),
    ]


def test_a_date_lets_in_what_was_uploaded_on_that_day_and_nothing_newer_ever(index: LocalIndex, mirror: Mirror) -> None:
    _upload(index, "1.0", "2026-06-08T23:59:59Z")
    _upload(index, "2.0", "2026-06-09T00:00:00Z")
    mirror.write_spec(index, "projects: [demo]\nexclude-newer: 2026-06-08")

    report = mirror.run("plan", "--json").json

    assert report["projects"][0]["added"] == ["demo-1.0-py3-none-any.whl"]
    assert [(item["version"], item["until"]) for item in report["waiting"]] == [("2.0", None)]


@pytest.mark.parametrize(("allowed", "is_let_in"), [("demo ==2.0", True), ("d*", True), ("demo <2", False)])
def test_a_release_need_not_wait_when_it_is_allowed(
    index: LocalIndex, cooling: Mirror, allowed: str, is_let_in: bool
) -> None:
    cooling.write_spec(index, f"projects: [demo]\nexclude-newer: 7 days\nallow-newer: ['{allowed}']")

    report = cooling.run("plan", "--json").json

    assert (report["downloads"], len(report["waiting"])) == ((3, 0) if is_let_in else (1, 1))


@pytest.mark.parametrize("text", ["soon", "1e400", "-99999999999999999999"])
def test_a_clock_that_cannot_be_read_is_a_mistake(index: LocalIndex, mirror: Mirror, text: str) -> None:
    mirror.write_spec(index, "projects: [demo]")
    mirror.environ["SOURCE_DATE_EPOCH"] = text

    run = mirror.run("plan", code=2)

    assert "SOURCE_DATE_EPOCH" in run.err


# ── environments ────────────────────────────────────────────────────────────────────────────────────


def test_only_the_wheels_that_suit_an_environment_are_fetched(index: LocalIndex, mirror: Mirror) -> None:
    suiting = [
        ("cp312-cp312-manylinux_2_17_x86_64", None),
        ("cp39-abi3-manylinux2014_x86_64", None),
        ("py3-none-any", None),
    ]
    others = [
        ("cp311-cp311-manylinux_2_17_x86_64", None),
        ("cp312-cp312-win_amd64", None),
        ("cp312-cp312-macosx_11_0_arm64", None),
        ("cp312-cp312-musllinux_1_2_x86_64", None),
        ("cp312-cp312-manylinux_2_99_x86_64", None),
        ("py2-none-any", None),
    ]
    for number, (tag, _) in enumerate([*suiting, *others]):
        index.add(make_wheel("demo", "1.0", tag=tag, files={"demo/n.py": str(number).encode()}))
    index.add(make_wheel("demo", "0.9"), requires_python="<3.12")
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(
        index, "projects: [demo]\nsdists: fallback\nenvironments: [{python: '3.12', platform: manylinux_2_28_x86_64}]"
    )

    run = mirror.sync("--json")

    names = sorted(f"demo-1.0-{tag}.whl" for tag, _ in suiting)
    assert mirror.filenames("demo") == names
    fetched = sorted(path.rpartition("/")[2] for path in index.asked_for("GET", "/packages/"))
    assert fetched == names
    assert run.json["excluded"] == {"environment": len(others), "requires-python": 1, "has-wheels": 1}
    reasons = {file["reason"] for file in mirror.run("plan", "--files", "--json").json["files"]}
    assert reasons == {None, "environment", "requires-python", "has-wheels"}


def test_an_sdist_is_fetched_when_an_environment_has_no_wheel(index: LocalIndex, mirror: Mirror) -> None:
    for version in ("1.0", "2.0"):
        index.add(make_wheel("demo", version, tag="cp312-cp312-manylinux_2_17_x86_64"))
        index.add(make_sdist("demo", version))
    index.add(make_wheel("demo", "2.0", tag="cp312-cp312-win_amd64"))
    mirror.write_spec(
        index,
        "projects: [demo]\nsdists: fallback\n"
        "environments: {python: ['3.12'], platform: [manylinux_2_28_x86_64, win_amd64]}",
    )

    mirror.sync()

    assert mirror.filenames("demo") == [
        "demo-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
        "demo-1.0.tar.gz",
        "demo-2.0-cp312-cp312-manylinux_2_17_x86_64.whl",
        "demo-2.0-cp312-cp312-win_amd64.whl",
    ]
