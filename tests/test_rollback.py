"""An upstream that goes back in time is noticed and told of, by project and as a whole; what it has is taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pymirror.limits import BATCH_PROJECTS
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, Handler, LocalIndex

MAY, JUNE = "2024-05-01T00:00:00.000000Z", "2024-06-01T00:00:00.000000Z"


def _add(index: LocalIndex, version: str, time: str | None = MAY, project: str = "demo") -> None:
    index.add(make_wheel(project, version), upload_time=time)


@pytest.fixture
def published(index: LocalIndex, mirror: Mirror) -> Mirror:
    """Two releases of one project, one of May and one of June."""
    _add(index, "1.0", MAY)
    _add(index, "2.0", JUNE)
    mirror.write_spec(index, "projects: [demo]")
    first = mirror.sync("--json")
    assert first.json["rollbacks"] == []
    return mirror


@pytest.fixture
def index(request: pytest.FixtureRequest) -> Iterator[LocalIndex]:
    with LocalIndex(formats=(getattr(request, "param", "json"),)) as local:
        yield local


in_both_formats = pytest.mark.parametrize("index", ["json", "html"], indirect=True)


@in_both_formats
def test_fewer_files_and_an_older_newest_one_are_told_of_when_upstream_goes_back(
    index: LocalIndex, published: Mirror
) -> None:
    index.remove("demo-2.0-py3-none-any.whl")

    planned = published.run("plan")
    run = published.sync()

    said = "warning: demo went back in time at local: files: 1 after 2, "
    said += f"the newest file is of {MAY} after {JUNE}"
    assert said in planned.err
    assert said in run.err
    assert published.filenames("demo") == ["demo-1.0-py3-none-any.whl"]
    assert "went back" not in published.sync().err  # it is told when it happens


def test_nothing_is_told_when_upstream_grows_or_changes(index: LocalIndex, published: Mirror) -> None:
    index.entries[0].yanked = "broken"
    _add(index, "3.0", JUNE)
    _add(index, "0.9", None)

    assert published.sync("--json").json["rollbacks"] == []


def test_it_is_noticed_by_what_is_published_when_the_state_is_lost(index: LocalIndex, published: Mirror) -> None:
    shutil.rmtree(published.tree / ".pymirror" / "state")
    index.remove("demo-2.0-py3-none-any.whl")

    (found,) = published.sync("--json").json["rollbacks"]

    assert (found["upstream"], found["project"]) == ("local", "demo")
    assert found["problem"] == f"the newest file is of {MAY} after {JUNE}"


def _with_serial(index: LocalIndex, serial: object, *, in_header: bool) -> Any:
    """The project's page with a serial, as PyPI gives it."""

    def answer(handler: Handler) -> Answer:
        is_json = JSON_TYPE in handler.headers.get("Accept", "") and "json" in index.formats
        body = index.detail_json("demo") if is_json else index.detail_html("demo")
        headers = {"Content-Type": JSON_TYPE if is_json else "text/html"}
        if in_header:
            headers["X-PyPI-Last-Serial"] = str(serial)
        elif is_json:
            page = json.loads(body)
            page["meta"]["_last-serial"] = serial
            body = json.dumps(page).encode()
        # Another page for each serial, as the real one is.
        return Answer(200, body + f"{' ' * (sum(map(ord, str(serial))))}\n".encode(), headers)

    return answer


@pytest.mark.parametrize(
    ("before", "after", "is_told"), [(12, 7, True), (7, 12, False), (12, None, False), ("x", 3, False), (-1, 3, False)]
)
@pytest.mark.parametrize(("index", "in_header"), [("json", False), ("json", True), ("html", True)], indirect=["index"])
def test_a_lower_serial_is_told_of(
    index: LocalIndex, mirror: Mirror, before: object, after: object, is_told: bool, in_header: bool
) -> None:
    _add(index, "1.0")
    mirror.write_spec(index, "projects: [demo]")
    index.fail("/simple/demo/", _with_serial(index, before, in_header=in_header))
    mirror.sync()
    index.fail("/simple/demo/", _with_serial(index, after, in_header=in_header))

    found = mirror.sync("--json").json["rollbacks"]

    assert [each["problem"] for each in found] == (["serial 7 after 12"] if is_told else [])


def test_it_is_told_of_the_whole_when_several_projects_went_back(index: LocalIndex, mirror: Mirror) -> None:
    for project in ("aa", "bb", "cc"):
        _add(index, "1.0", MAY, project)
        _add(index, "2.0", JUNE, project)
    mirror.write_spec(index, "max-removal: 100 %\nprojects: ['*']")
    mirror.sync()
    for project in ("aa", "bb"):
        index.remove(f"{project}-2.0-py3-none-any.whl")
    index.entries = [entry for entry in index.entries if entry.project != "cc"]

    run = mirror.sync()

    assert "warning: the list of projects went back in time at local: projects: 2 after 3" in run.err
    assert "warning: local: 2 projects are older than when they were last read" in run.err
    assert "went back" not in mirror.sync("-q").err


def test_it_is_told_of_again_when_the_run_that_saw_it_was_refused(index: LocalIndex, mirror: Mirror) -> None:
    """And when one was that came to the project before it was refused for others."""
    names = [f"p{number:03}" for number in range(BATCH_PROJECTS + 1)]
    for name in names:
        _add(index, "1.0", MAY, name)
    for name in (names[0], names[-1]):
        for number in range(2, 2 + len(names)):
            _add(index, f"{number}.0", JUNE, name)
    mirror.write_spec(index, "legacy-json: false\npages: false\nprojects: ['p*']")
    mirror.sync()
    # Of the first batch too little goes to be refused; of the last one too much.
    index.remove(f"{names[0]}-2.0-py3-none-any.whl")
    index.entries = [entry for entry in index.entries if entry.project != names[-1] or "-1.0-" in entry.filename]

    refused = [mirror.sync(code=4).err for _ in range(2)]
    run = mirror.sync("--allow-shrink", "--json")

    assert all("refused" in err for err in refused)
    assert [each["project"] for each in run.json["rollbacks"]] == [names[0], names[-1]]
    assert mirror.sync("--json").json["rollbacks"] == []  # it is told when it has happened


@pytest.mark.parametrize(
    ("keys", "code"), [("", 4), ("max-removal: 5", 4), ("max-removal: 60 %", 0), ("max-removal: 6", 0)]
)
def test_so_many_files_may_go_at_once_as_the_spec_says(index: LocalIndex, mirror: Mirror, keys: str, code: int) -> None:
    for number in range(10):
        _add(index, f"{number}.0")
    mirror.write_spec(index, f"{keys}\nprojects: [demo]")
    mirror.sync()
    before = mirror.published()
    index.entries = index.entries[:4]

    planned = mirror.run("plan", code=code)
    run = mirror.sync(code=code)

    assert ("sync would stop: refused: 6 of the 10" in planned.out) == bool(code)
    assert ("set max-removal" in run.err) == bool(code)
    assert (mirror.published() == before) == bool(code)
    if code:
        mirror.sync("--allow-shrink")
        assert len(mirror.filenames("demo")) == 4


def test_it_is_told_of_a_dependency_too(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("app", "1.0", requires=["demo"]))
    _add(index, "1.0", MAY)
    _add(index, "2.0", JUNE)
    mirror.write_spec(
        index,
        "dependencies: true\nenvironments: {python: ['3.12'], platform: [linux]}\nmax-removal: 100 %\nprojects: [app]",
    )
    mirror.sync()
    index.remove("demo-2.0-py3-none-any.whl")

    found = mirror.sync("--json").json["rollbacks"]

    assert [each["project"] for each in found] == ["demo"]


def test_it_is_told_once_when_the_page_has_signed_links(index: LocalIndex, mirror: Mirror) -> None:
    """Such a page is not remembered with its links, and what was withdrawn stays published here."""
    _add(index, "1.0", MAY)
    _add(index, "2.0", JUNE)
    signed = index.add(make_wheel("demo", "0.1"), upload_time="2023-01-01T00:00:00Z")
    signed.url = f"{index.origin}{signed.path}?signature=4f3a"
    mirror.write_spec(index, "on-upstream-removal: keep\nprojects: [demo>=1]")
    mirror.sync()
    index.remove("demo-2.0-py3-none-any.whl")

    assert "demo went back in time at local: files: 2 after 3" in mirror.sync().err
    before = mirror.content()
    assert "went back" not in mirror.sync().err
    assert mirror.content() == before
    state = b"".join(path.read_bytes() for path in (mirror.tree / ".pymirror").rglob("*") if path.is_file())
    assert b"4f3a" not in state
    assert len(mirror.filenames("demo")) == 2
