"""``pymirror why``: why a project, a release or a file is in the mirror or is not, and what the disk is spent on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pymirror.spec.units import format_size
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex

WHEEL = "demo-1.0-py3-none-any.whl"


@pytest.fixture
def asked(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror whose spec wants some files of ``demo`` and excludes others."""
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    index.add(make_wheel("demo", "1.1"))
    index.add(make_wheel("demo", "2.0"))
    index.add(make_wheel("demo", "3.0rc1"))
    index.add(("demo-notes.txt", b"hello"), project="demo")
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(
        index,
        "projects:\n"
        "  - demo <2\n"
        "  - other\n"
        "package-types: [wheel]\n"
        "exclude:\n"
        "  - {name: demo, version: '==1.1', reason: CVE-2026-1}",
    )
    mirror.sync()
    return mirror


def why(mirror: Mirror, *arguments: str) -> Any:
    return mirror.run("why", *arguments, "--json").json


# ── projects and releases ───────────────────────────────────────────────────────────────────────────


def test_why_tells_of_every_release_of_a_project(index: LocalIndex, asked: Mirror) -> None:
    index.forget()
    before = asked.content()

    text = asked.run("why", "Demo").out
    report = why(asked, "demo")

    assert report["subject"]["project"] == "demo"
    assert (report["command"], report["exit-code"], report["is-wanted"]) == ("why", 0, True)
    releases = {each["version"]: each for each in report["releases"]}
    assert list(releases) == ["3.0rc1", "2.0", "1.1", "1.0", None]
    assert (releases["1.0"]["files-in"], releases["1.0"]["files"]) == (1, 2)
    assert releases["1.0"]["reasons"] == {"package-type": 1}
    assert releases["1.0"]["size"] == len(index.entries[0].data)
    assert releases["1.1"]["reasons"] == {"excluded": 1}
    assert releases["2.0"]["reasons"] == {"version": 1}
    assert report["published"] == [WHEEL]
    assert "mirror.yaml:5: demo <2" in text.splitlines()
    lines = {line.split()[0]: " ".join(line.split()) for line in text.splitlines()}
    size = format_size(len(index.entries[0].data))
    assert lines["1.0"] == f"1.0 in 1 of 2 files {size} 1 package-type (mirror.yaml:7: package-types: wheel)"
    assert lines["1.1"].startswith("1.1 out 0 of 1 file 1 excluded (mirror.yaml:9: demo ==1.1")
    assert index.asked_for("GET", "/simple/") == ["/simple/demo/"] * 2
    assert index.requests("/packages/") == []
    assert asked.content() == before


@pytest.mark.parametrize("question", ["demo 1.0", "demo==1.0", "Demo ==1.0", "demo-1.0"])
def test_why_tells_of_every_file_of_a_release(asked: Mirror, question: str) -> None:
    run = asked.run("why", question)

    assert f"{WHEEL}: in, " in run.out
    assert "  wanted by mirror.yaml:5: demo <2" in run.out.splitlines()
    assert "demo-1.0.tar.gz: out" in run.out
    assert "  left out: package-type: sdist (mirror.yaml:7: package-types: wheel)" in run.out.splitlines()
    assert "demo-1.1-py3" not in run.out


def test_why_tells_an_exclusion_from_a_rule_that_wants_the_project(asked: Mirror) -> None:
    run = asked.run("why", "demo")

    (line,) = [line for line in run.out.splitlines() if line.startswith("mirror.yaml:9:")]
    assert "exclude" in line


def test_why_takes_a_range_of_releases(asked: Mirror) -> None:
    report = why(asked, "demo >=1.1")

    assert [each["version"] for each in report["releases"]] == ["3.0rc1", "2.0", "1.1"]


def test_why_tells_that_no_line_wants_a_project(index: LocalIndex, asked: Mirror) -> None:
    index.forget()

    run = asked.run("why", "stranger")

    assert run.out == "stranger: out: no line of the spec wants it\n"
    assert index.requests() == []
    report = why(asked, "stranger")
    assert (report["is-wanted"], report["files"], report["published"]) == (False, [], [])


def test_why_tells_that_a_project_is_published_that_no_line_wants_any_more(index: LocalIndex, asked: Mirror) -> None:
    asked.write_spec(index, "projects: [demo]")

    run = asked.run("why", "other")

    assert "other: out: no line of the spec wants it" in run.out
    assert "other-1.0-py3-none-any.whl: published now" in run.out


def test_why_tells_that_upstream_has_no_such_project(index: LocalIndex, mirror: Mirror) -> None:
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.run("why", "demo", code=None)

    assert "not had: " in run.out
    assert "upstream has no such project" in run.out
    assert "no line of the spec" not in run.out


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


def test_why_tells_the_reason_of_an_exclusion(asked: Mirror) -> None:
    text = asked.run("why", "demo-1.1-py3-none-any.whl").out
    (file,) = why(asked, "demo-1.1-py3-none-any.whl")["files"]

    assert "demo-1.1-py3-none-any.whl: out" in text
    assert "  left out: excluded: CVE-2026-1 (mirror.yaml:9: demo ==1.1)" in text.splitlines()
    assert (file["is-in"], file["is-published"], file["reason"]) == (False, False, "excluded")
    assert (file["detail"], file["rule"]) == ("CVE-2026-1", "mirror.yaml:9: demo ==1.1")


def test_why_tells_which_rule_refused_a_file(asked: Mirror) -> None:
    (file,) = why(asked, "demo-2.0-py3-none-any.whl")["files"]

    assert (file["reason"], file["rule"]) == ("version", "mirror.yaml:5: demo <2")
    assert [(each["rule"], each["reason"]) for each in file["refusals"]] == [("mirror.yaml:5", "version")]


def test_why_tells_of_an_entry_that_is_no_distribution(asked: Mirror) -> None:
    (file,) = [each for each in why(asked, "demo")["files"] if each["filename"] == "demo-notes.txt"]

    assert (file["is-in"], file["reason"], file["version"]) == (False, "not-a-distribution", None)


def test_why_tells_that_upstream_has_no_such_file(asked: Mirror) -> None:
    run = asked.run("why", "demo-1.9-py3-none-any.whl")

    assert "demo-1.9-py3-none-any.whl: out: upstream has no such file" in run.out
    assert why(asked, "demo-1.9-py3-none-any.whl")["files"] == []


def test_why_tells_that_a_file_comes_or_goes_with_the_next_run(index: LocalIndex, asked: Mirror) -> None:
    asked.write_spec(index, "projects: ['demo ==2.0', other]")

    assert "demo-2.0-py3-none-any.whl: in, from the next sync on" in asked.run("why", "demo-2.0-py3-none-any.whl").out
    assert f"{WHEEL}: out, but published now" in asked.run("why", WHEEL).out


@pytest.mark.parametrize("policy", ["quarantine", "keep"])
def test_why_tells_of_a_file_that_upstream_lists_no_more(index: LocalIndex, asked: Mirror, policy: str) -> None:
    spec = asked.spec.read_text() + f"on-upstream-removal: {policy}\n"
    asked.spec.write_text(spec)
    index.remove(WHEEL)

    run = asked.run("why", WHEEL)
    (file,) = why(asked, WHEEL)["files"]

    assert "listed upstream no more" in run.out
    assert (file["is-in"], file["is-published"], file["is-removed"]) == (policy == "keep", True, True)
    assert file["reason"] == (None if policy == "keep" else "removed-upstream")


def test_why_tells_until_when_a_file_is_set_aside(index: LocalIndex, asked: Mirror) -> None:
    index.remove(WHEEL)
    asked.environ["SOURCE_DATE_EPOCH"] = str(int(datetime(2026, 6, 10, 12, tzinfo=UTC).timestamp()))
    asked.sync(code=None)

    said = f"{WHEEL}: out: upstream lists it no more; set aside on 2026-06-10, kept until 2026-06-24 12:00 UTC"
    for question in (WHEEL, "demo 1.0"):
        assert said in asked.run("why", question).out.splitlines()


def test_why_tells_until_when_a_file_waits(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"), upload_time="2026-06-08T18:30:00Z")
    mirror.write_spec(index, "projects: [demo]\nexclude-newer: 7 days")
    mirror.environ["SOURCE_DATE_EPOCH"] = str(int(datetime(2026, 6, 10, tzinfo=UTC).timestamp()))

    run = mirror.run("why", WHEEL)

    said = "  left out: too-new: uploaded 2026-06-08 18:30 UTC, until 2026-06-15 18:30 UTC (mirror.yaml:5: "
    assert said in run.out
    assert why(mirror, WHEEL)["files"][0]["until"].startswith("2026-06-15")


@pytest.mark.parametrize("filename", ["my-big-tool-1.0.tar.gz", "my_big_tool-1.0.tar.gz", "my-big-tool-1.0-2.zip"])
def test_why_finds_the_project_of_a_file_whose_name_has_dashes(
    index: LocalIndex, mirror: Mirror, filename: str
) -> None:
    data = make_sdist("my-big-tool", "1.0")[1]
    index.add((filename, data), project="my-big-tool")
    mirror.write_spec(index, "projects: [my-big-tool, my, my-big]")

    report = why(mirror, filename)

    assert report["subject"]["project"] == "my-big-tool"
    assert [file["filename"] for file in report["files"]] == [filename]


def test_why_tells_of_every_rule_that_wants_a_file_and_of_those_that_do_not(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "files: ['demo-1.*']\nprojects: [demo >=1, demo ==1.0, demo >=2]")

    run = mirror.run("why", WHEEL)
    (file,) = why(mirror, WHEEL)["files"]

    wanted = [chain["steps"][0] for chain in file["wanted-by"]]
    assert wanted == ["mirror.yaml:4: demo-1.*", "mirror.yaml:5: demo ==1.0", "mirror.yaml:5: demo >=1"]
    for line in wanted:
        assert f"  wanted by {line}" in run.out.splitlines()
    assert "  not by mirror.yaml:5: demo >=2: version: >=2" in run.out.splitlines()


def test_why_tells_of_a_project_that_upstream_quarantined(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.statuses["demo"] = ("quarantined", "malware")
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.run("why", WHEEL)

    assert "demo: quarantined upstream" in run.out
    assert "left out: quarantined: malware" in run.out
    assert why(mirror, "demo")["status"] == "quarantined"


def test_why_judges_a_file_by_a_size_that_the_page_does_not_tell(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = False
    index.add(("demo-1.0.tar.gz", b"x" * 20_000))
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB")

    (file,) = why(mirror, "demo-1.0.tar.gz")["files"]

    assert (file["reason"], file["detail"], file["rule"]) == (
        "too-large",
        "20.0 kB",
        "mirror.yaml:5: max-file-size: 10 kB",
    )
    assert not mirror.tree.exists()


# ── what led to a rule ──────────────────────────────────────────────────────────────────────────────


def test_why_tells_the_way_through_requirements_files(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    (mirror.folder / "locks").mkdir()
    (mirror.folder / "locks" / "top.txt").write_text("# top\n-r base.txt\n")
    (mirror.folder / "locks" / "base.txt").write_text("# base\n\ndemo==1.0\n")
    mirror.write_spec(index, "lockfiles:\n  - locks/top.txt")

    run = mirror.run("why", WHEEL)

    (file,) = why(mirror, WHEEL)["files"]
    (chain,) = file["wanted-by"]
    assert chain["steps"] == [
        "locks/base.txt:3: demo==1.0",
        "locks/top.txt:2: -r base.txt",
        "mirror.yaml:5: locks/top.txt",
    ]
    assert "  wanted by " + " ← ".join(chain["steps"]) in run.out.splitlines()


def test_why_tells_the_way_through_an_included_spec(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    (mirror.folder / "team.yaml").write_text("# of the team\nprojects: [demo]\n")
    mirror.write_spec(index, "include: [team.yaml]")

    (chain,) = why(mirror, "demo")["rules"]

    assert chain["steps"] == ["team.yaml:2: demo", "mirror.yaml:4: include: team.yaml"]


UV_LOCK = """version = 1
requires-python = ">=3.11"

[[package]]
name = "app"
version = "0.1"
source = { virtual = "." }
dependencies = [{ name = "web" }]

[[package]]
name = "web"
version = "1.0"
source = { registry = "https://example.com/simple" }
dependencies = [{ name = "demo" }]
wheels = [{ url = "https://example.com/web-1.0-py3-none-any.whl", hash = "sha256:%(web)s" }]

[[package]]
name = "demo"
version = "1.0"
source = { registry = "https://example.com/simple" }
wheels = [{ url = "https://example.com/demo-1.0-py3-none-any.whl", hash = "sha256:%(demo)s" }]
"""


def test_why_tells_who_needs_a_project_in_a_lock_file(index: LocalIndex, mirror: Mirror) -> None:
    hashes = {name: index.add(make_wheel(name, "1.0"), project=name).hashes["sha256"] for name in ("web", "demo")}
    (mirror.folder / "uv.lock").write_text(UV_LOCK % hashes)
    mirror.write_spec(index, "lockfiles: [uv.lock]")

    run = mirror.run("why", "demo")
    (chain,) = why(mirror, WHEEL)["files"][0]["wanted-by"]

    assert chain["steps"][0].startswith("uv.lock:17: ")
    assert chain["steps"][1:] == ["mirror.yaml:4: uv.lock"]
    assert chain["required-by"] == ["app", "web", "demo"]
    assert "  needed through app → web → demo" in run.out.splitlines()
    assert why(mirror, "web")["rules"][0]["required-by"] == ["app", "web"]


# ── questions ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "question", ["nonsense !!", "a b c", "", "x.tar.gz", "../../etc/passwd", "demo ==", "-1.0.whl"]
)
def test_a_question_that_names_nothing_is_2(index: LocalIndex, asked: Mirror, question: str) -> None:
    index.forget()

    run = asked.run("why", "--json", "--", question, code=2)

    assert run.json["exit-code"] == 2
    assert run.json["error"]
    assert "error: " in run.err
    assert index.requests() == []


def test_why_needs_a_question(asked: Mirror) -> None:
    run = asked.run("why", code=2)

    assert "name a project, a release or a file, or give --size" in run.err


def test_why_takes_another_spec(index: LocalIndex, asked: Mirror) -> None:
    asked.spec.rename(asked.folder / "my.yaml")

    assert why(asked, WHEEL, "my.yaml")["files"][0]["wanted-by"][0]["steps"] == ["my.yaml:5: demo <2"]
    assert asked.run("why", "--size", "my.yaml").out.startswith("mirror: ")


def test_why_is_clean_when_upstream_cannot_be_reached(index: LocalIndex, asked: Mirror) -> None:
    index.fail_always("/simple/demo/", Answer(403))

    run = asked.run("why", WHEEL, code=1)

    assert "403" in run.out
    assert f"{WHEEL}: published now" in run.out


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def weighed(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of two projects in three release lines for two environments."""

    def add(name: str, version: str, tag: str, size: int) -> None:
        index.add((f"{name}-{version}-{tag}.whl", f"{name} {version} {tag}".encode().ljust(size, b"x")))

    add("heavy", "1.0.0", "cp312-cp312-manylinux_2_17_x86_64", 5_000)
    add("heavy", "1.0.1", "cp312-cp312-win_amd64", 3_000)
    add("heavy", "2.1", "py3-none-any", 1_000)
    add("light", "1.0", "py3-none-any", 400)
    index.add(("light-1.0.tar.gz", b"y" * 200))
    mirror.write_spec(
        index,
        "projects: [heavy, light]\nenvironments: {python: ['3.12'], platform: [manylinux_2_28_x86_64, win_amd64]}",
    )
    mirror.sync()
    index.forget()
    return mirror


def test_size_ranks_what_is_published_and_asks_nobody(index: LocalIndex, weighed: Mirror) -> None:
    before = weighed.content()

    text = weighed.run("why", "--size")
    report = weighed.run("why", "--size", "--json").json

    def ranked(key: str) -> list[tuple[str, int, int, int]]:
        return [(each["name"], each["files"], each["size"], each["only"]) for each in report[key]]

    assert report["size"] == 9_600
    assert ranked("projects") == [("heavy", 3, 9_000, 9_000), ("light", 2, 600, 600)]
    assert ranked("release-lines") == [
        ("heavy 1.0", 2, 8_000, 8_000),
        ("heavy 2.1", 1, 1_000, 1_000),
        ("light 1.0", 2, 600, 600),
    ]
    linux, windows, source = ranked("environments")
    assert "manylinux" in linux[0]
    assert linux[1:] == (3, 6_400, 5_000)
    assert "win_amd64" in windows[0]
    assert windows[1:] == (3, 4_400, 3_000)
    assert source == ("source (sdist)", 1, 200, 200)
    lines = [" ".join(line.split()) for line in text.out.splitlines()]
    assert lines[0] == "mirror: 9.6 kB"
    assert "heavy 9.0 kB 93.8 % 9.0 kB 3" in lines
    assert "heavy 1.0 8.0 kB 83.3 % 8.0 kB 2" in lines
    assert "source (sdist) 200 B 2.1 % 200 B 1" in lines
    assert text.err == ""
    assert index.requests() == []
    assert weighed.content() == before


def test_size_tells_kinds_of_wheels_when_the_spec_has_no_environments(index: LocalIndex, weighed: Mirror) -> None:
    weighed.write_spec(index, "projects: [heavy, light]")

    report = weighed.run("why", "--size", "--json").json

    assert [(each["name"], each["size"]) for each in report["environments"]] == [
        ("cp312 manylinux x86_64", 5_000),
        ("cp312 win_amd64", 3_000),
        ("py3 any", 1_400),
        ("source (sdist)", 200),
    ]


def test_size_lists_the_heaviest_and_all_of_them_when_asked(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(17):
        index.add((f"demo-{number}.0.tar.gz", f"{number}".encode().ljust(100 + number, b"x")))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()

    assert "… and 2 more" in mirror.run("why", "--size").out
    assert "demo 0.0 " in mirror.run("why", "--size", "-v").out


@pytest.mark.parametrize("arguments", [("--size",), ("--size", "--json")])
def test_size_needs_a_mirror(index: LocalIndex, mirror: Mirror, arguments: tuple[str, ...]) -> None:
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.run("why", *arguments, code=2)

    assert "there is no published index here" in run.err
    assert not mirror.tree.exists()
