"""What other mirrors were seen to do wrong: each of it, made to happen here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex

WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"


def around(mirror: Mirror) -> list[Path]:
    return sorted(path for path in mirror.folder.parent.rglob("*") if not path.is_relative_to(mirror.tree))


@pytest.mark.parametrize(
    "path",
    [
        "/files/../../../../../../evil/demo-1.0.tar.gz",
        "/files/%2e%2e/%2e%2e/%2e%2e/evil/demo-1.0.tar.gz",
        "/files/..%2f..%2f..%2f..%2fevil%2fdemo-1.0.tar.gz",
        "/files/..%5c..%5cevil%5cdemo-1.0.tar.gz",
        "//127.0.0.1/../../demo-1.0.tar.gz",
    ],
)
@pytest.mark.parametrize("format_", ["json", "html"])
def test_nothing_is_written_outside_the_tree_when_a_url_climbs(
    index: LocalIndex, mirror: Mirror, path: str, format_: str
) -> None:
    index.formats = (format_,)
    entry = index.add(make_sdist("demo", "1.0"), url=path)
    for form in (path, "/evil/demo-1.0.tar.gz"):
        index.fail_always(form, Answer(200, entry.data))
    index.add(make_sdist("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]\nflat: true", network="retries: 0")
    before = around(mirror)

    mirror.sync(code=None)

    assert around(mirror) == before
    assert set(mirror.pool()) <= {SDIST, "demo-2.0.tar.gz"}
    for file in mirror.tree.rglob("*.tar.gz"):
        folders = file.relative_to(mirror.tree).parts[:-1]
        assert folders[0] in ("packages", "flat"), file


def test_no_markup_of_upstream_is_live_when_it_is_in_any_field(index: LocalIndex, mirror: Mirror) -> None:
    evil = "</a></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    index.add((f"demo-1.0{evil}.tar.gz", b"x"), project="demo", url="/evil")
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: {evil}\nAuthor: {evil}\nKeywords: {evil}\n"
    metadata += f"Home-page: javascript:alert(1)\nLicense: {evil}\nRequires-Dist: {evil}\nClassifier: {evil}\n"
    metadata += f"Project-URL: {evil}, javascript:alert(1)\nDescription-Content-Type: text/markdown\n\n{evil}\n"
    metadata += "[x](javascript:alert(1))\n"
    index.add(make_wheel("demo", "1.0", metadata=metadata), yanked=f"yanked {evil}", requires_python=f">=3 {evil}")
    index.add(make_sdist("demo", "2.0"), yanked=evil)
    index.statuses["demo"] = ("archived", evil)
    mirror.write_spec(index, "projects: [{name: demo, yanked: include}]\nflat: true")

    mirror.sync(code=None)

    pages = [path for path in mirror.tree.rglob("*") if path.suffix == ".html"]
    assert len(pages) >= 4
    for page in pages:
        text = page.read_bytes().lower()
        assert b"<script>alert" not in text, page
        assert b"<img src=x" not in text, page
        assert b'href="javascript' not in text, page


def test_no_page_is_emptied_when_upstream_answers_with_valid_empty_projects(index: LocalIndex, mirror: Mirror) -> None:
    names = ("a", "b", "c")
    for name in names:
        index.add(make_wheel(name, "1.0"))
    mirror.write_spec(index, "projects: [a, b, c]")
    mirror.sync()
    before = mirror.published()
    for name in names:
        body = f'{{"meta":{{"api-version":"1.4"}},"name":"{name}","versions":[],"files":[]}}'
        page = Answer(200, body.encode(), {"Content-Type": "application/vnd.pypi.simple.v1+json"})
        index.fail_always(f"/simple/{name}/", page)

    run = mirror.sync(code=1)

    assert mirror.published() == before
    assert all(f"failed: {name}: " in run.err for name in names)


def test_a_good_file_stays_when_upstream_writes_its_hash_in_capitals(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.published()
    entry.hashes = {"SHA256": entry.hashes["sha256"].upper()}
    index.forget()
    index.fail_always(entry.path, Answer(500))

    mirror.sync()

    assert mirror.published() == before
    assert index.requests(entry.path) == []


def test_a_good_file_stays_when_its_replacement_cannot_be_had(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")
    mirror.sync()
    before = mirror.published()
    entry.hashes = {"sha256": "1" * 64}
    index.fail_always(entry.path, Answer(500))

    mirror.sync(code=1)

    assert mirror.published() == before


@pytest.mark.parametrize("kind", ["page", "file"])
def test_a_project_is_tried_again_when_it_was_missing_once(index: LocalIndex, mirror: Mirror, kind: str) -> None:
    index.add(make_sdist("good", "1.0"))
    entry = index.add(make_sdist("demo", "1.0"))
    index.fail("/simple/demo/" if kind == "page" else entry.path, Answer(404))
    mirror.write_spec(index, "projects: [demo, good]")
    mirror.sync(code=1)
    assert mirror.projects() == ["good"]

    mirror.sync()

    assert mirror.projects() == ["demo", "good"]


@pytest.mark.parametrize("kind", ["page", "file"])
def test_it_is_tried_again_at_once_when_the_server_failed_once(index: LocalIndex, mirror: Mirror, kind: str) -> None:
    entry = index.add(make_sdist("demo", "1.0"))
    index.fail("/simple/demo/" if kind == "page" else entry.path, Answer(500))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.filenames("demo") == [SDIST]


@pytest.mark.parametrize(
    "body",
    [b"[]", b"\xff\xfe", b'{"files":[{"filename":1}]}', b'{"files":[{"filename":"a","url":"//[","hashes":{}}]}', b"0"],
)
def test_all_that_comes_after_is_done_when_a_page_is_bad(index: LocalIndex, mirror: Mirror, body: bytes) -> None:
    index.fail_always("/simple/a/", Answer(200, body, {"Content-Type": "application/vnd.pypi.simple.v1+json"}))
    for name in ("b", "c", "d"):
        index.add(make_wheel(name, "1.0"))
    mirror.write_spec(index, "projects: [a, b, c, d]", network="connections: 1")

    mirror.sync(code=1)

    assert mirror.projects() == ["b", "c", "d"]


@pytest.mark.parametrize("answer", [Answer(500), Answer(404), Answer(302, b"", {"Location": "//"}), Answer(raw=())])
def test_the_password_is_in_no_line_when_the_index_fails(index: LocalIndex, mirror: Mirror, answer: Answer) -> None:
    entry = index.add(make_wheel("demo", "1.0"))
    index.fail_always("/simple/other/", answer)
    index.fail_always(entry.path, answer)
    mirror.write_spec(index.url.replace("//", "//robot:hunter2@"), "projects: [demo, other]", network="retries: 1")

    run = mirror.sync("-v", "--json", code=1)

    assert "hunter2" not in run.out + run.err
    assert not [path for path in mirror.tree.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_the_metadata_beside_a_wheel_are_its_own_when_upstream_sends_others(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_wheel("demo", "1.0", requires=["right"]), core_metadata=True)
    other = make_wheel("demo", "1.0", requires=["wrong"])
    index.fail_always(f"{entry.path}.metadata", Answer(200, other[1]))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert b"right" in mirror.find(f"{WHEEL}.metadata").read_bytes()
