"""``pymirror sync``, from a spec to a tree: what the tree holds, and what becomes of an upstream that is wrong."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.archives import make_metadata, make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, LocalIndex

WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"


class Page(HTMLParser):
    """The anchors and meta elements of an HTML page, read by another parser than ours."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: dict[str, dict[str, str | None]] = {}
        self.meta: dict[str | None, str | None] = {}
        self._open: dict[str, str | None] | None = None
        self.feed(path.read_bytes().decode("ascii"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._open = dict(attrs)
        elif tag == "meta":
            self.meta[dict(attrs).get("name")] = dict(attrs).get("content")

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.anchors[data] = self._open

    def handle_endtag(self, tag: str) -> None:
        self._open = None if tag == "a" else self._open


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ── what the tree holds ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("formats", "urls"),
    [
        (("json",), "relative"),
        (("json", "html"), "flat"),
        (("html",), "absolute"),
        (("html",), "flat"),
    ],
)
def test_sync_publishes_what_the_spec_wants(
    index: LocalIndex, mirror: Mirror, formats: tuple[str, ...], urls: str
) -> None:
    index.formats = formats
    index.absolute_urls = urls == "absolute"
    index.flat_urls = urls == "flat"
    index.add(make_wheel("demo", "1.0", requires_python=">=3.8"), requires_python=">=3.8")
    index.add(make_sdist("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"))
    mirror.write_spec(index, "projects: ['demo <2']")

    mirror.sync()

    assert mirror.projects() == ["demo"]
    assert mirror.filenames("demo") == [WHEEL, SDIST]
    assert mirror.pool() == [WHEEL, f"{WHEEL}.metadata", SDIST]


def test_pool_path_is_the_blake2b_digest_when_urls_have_none(index: LocalIndex, mirror: Mirror) -> None:
    index.flat_urls = True
    wheel = index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert (mirror.tree / wheel.path.removeprefix("/")).read_bytes() == wheel.data


@pytest.mark.parametrize("upstream", ["json", "html"])
def test_both_pages_say_what_upstream_says(index: LocalIndex, mirror: Mirror, upstream: str) -> None:
    index.formats = (upstream,)
    reason = 'breaks "everything" <b>\u00e0 la carte</b> & more'
    index.statuses["demo"] = ("archived", "no one's & nobody's")
    wheel = index.add(make_wheel("demo", "1.0", requires_python=">=3.8,<4"), requires_python=">=3.8,<4")
    sdist = index.add(make_sdist("demo", "1.1"), yanked=reason, upload_time=None)
    bare = index.add(make_sdist("demo", "1.2"), yanked=True)
    mirror.write_spec(index, "projects: [demo]\nyanked: include")

    mirror.sync()

    metadata = sha256((mirror.tree / f"{wheel.path}.metadata".removeprefix("/")).read_bytes())
    assert mirror.page("demo") == {
        "meta": {"api-version": "1.4"},
        "name": "demo",
        "versions": ["1.0", "1.1", "1.2"],
        "files": [
            {
                "filename": WHEEL,
                "url": f"../..{wheel.path}",
                "hashes": {"sha256": sha256(wheel.data)},
                "size": len(wheel.data),
                "upload-time": "2024-05-06T07:08:09.123456Z",
                "requires-python": ">=3.8,<4",
                "core-metadata": {"sha256": metadata},
            },
            {
                "filename": "demo-1.1.tar.gz",
                "url": f"../..{sdist.path}",
                "hashes": {"sha256": sha256(sdist.data)},
                "size": len(sdist.data),
                "yanked": reason,
            },
            {
                "filename": "demo-1.2.tar.gz",
                "url": f"../..{bare.path}",
                "hashes": {"sha256": sha256(bare.data)},
                "size": len(bare.data),
                "upload-time": "2024-05-06T07:08:09.123456Z",
                "yanked": True,
            },
        ],
        "project-status": {"status": "archived", "reason": "no one's & nobody's"},
    }
    page = Page(mirror.tree / "simple" / "demo" / "index.html")
    assert page.anchors == {
        WHEEL: {
            "href": f"../..{wheel.path}#sha256={sha256(wheel.data)}",
            "data-requires-python": ">=3.8,<4",
            "data-core-metadata": f"sha256={metadata}",
            "data-size": str(len(wheel.data)),
            "data-upload-time": "2024-05-06T07:08:09.123456Z",
        },
        "demo-1.1.tar.gz": {
            "href": f"../..{sdist.path}#sha256={sha256(sdist.data)}",
            "data-yanked": reason,
            "data-size": str(len(sdist.data)),
        },
        "demo-1.2.tar.gz": {
            "href": f"../..{bare.path}#sha256={sha256(bare.data)}",
            "data-yanked": "",
            "data-size": str(len(bare.data)),
            "data-upload-time": "2024-05-06T07:08:09.123456Z",
        },
    }
    assert page.meta["pypi:repository-version"] == "1.4"
    assert page.meta["pypi:project-status"] == "archived"
    assert page.meta["pypi:project-status-reason"] == "no one's & nobody's"


def test_links_page_lists_every_file_that_is_not_yanked(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"), yanked="bad")
    index.add(make_sdist("other", "1.0"))
    mirror.write_spec(index, "projects: [demo, other]\nyanked: include")

    mirror.sync()

    assert list(Page(mirror.tree / "links.html").anchors) == [WHEEL, "other-1.0.tar.gz"]


def test_metadata_file_is_the_metadata_in_the_wheel(index: LocalIndex, mirror: Mirror) -> None:
    wheel = index.add(make_wheel("demo", "1.0", requires=["other >=1"], extras=["x"]))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        inside = archive.read("demo-1.0.dist-info/METADATA")
    assert mirror.find(f"{WHEEL}.metadata").read_bytes() == inside
    assert mirror.page("demo")["files"][0]["core-metadata"] == {"sha256": sha256(inside)}


def test_every_link_is_relative_and_leads_to_its_file_when_the_tree_was_moved(
    index: LocalIndex, mirror: Mirror, tmp_path: Path
) -> None:
    index.absolute_urls = True
    index.add(make_wheel("demo", "1.0+local.1"))
    index.add(make_sdist("demo", "1.0"))
    index.add(make_wheel("other", "1!2.0"))
    mirror.write_spec(index, "projects: ['demo >=1', other]")
    mirror.sync()
    moved = tmp_path / "elsewhere" / "tree"
    moved.parent.mkdir()
    mirror.tree.rename(moved)

    pages = [moved / "links.html", *(moved / "simple").rglob("index.html")]
    hrefs = [(page, anchor["href"] or "") for page in pages for anchor in Page(page).anchors.values()]

    assert len(hrefs) == 2 + 3 + 3  # the list, the project pages, links.html
    for page, href in hrefs:
        parts = urlsplit(href)
        assert not parts.scheme
        assert not parts.netloc
        assert not parts.path.startswith("/")
        target = (page.parent / unquote(parts.path)).resolve()
        assert target.is_relative_to(moved)
        if parts.fragment:
            assert parts.fragment == f"sha256={sha256(target.read_bytes())}"
        else:
            assert (target / "index.html").is_file()


def test_modes_are_those_that_a_web_server_needs_when_the_umask_is_narrow(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    before = os.umask(0o077)
    try:
        mirror.sync()
    finally:
        os.umask(before)

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(mirror.tree / ".pymirror") == 0o700
    served = [path for path in mirror.tree.rglob("*") if ".pymirror" not in path.parts]
    assert {mode(path) for path in served if path.is_file()} == {0o644}
    assert {mode(path) for path in [mirror.tree, *served] if path.is_dir()} == {0o755}
    assert not any(path.is_symlink() for path in mirror.tree.rglob("*"))


def test_two_mirrors_of_one_upstream_are_the_same_bytes(index: LocalIndex, mirror: Mirror, tmp_path: Path) -> None:
    for version in ("1.0", "1.10", "1.9", "2.0rc1"):
        index.add(make_wheel("demo", version))
        index.add(make_sdist("demo", version))
        index.add(make_wheel("other", version, tag="cp311-cp311-manylinux_2_28_x86_64"))
    body = "projects: [{name: demo, prereleases: true}, other >=1.9]"
    mirror.write_spec(index, body, network="connections: 1")
    mirror.sync()
    (tmp_path / "second").mkdir()
    second = Mirror(tmp_path / "second", mirror.environ)
    second.write_spec(index, body, network="connections: 8")
    index.entries.reverse()  # the order of a page means nothing

    second.sync()

    assert second.published() == mirror.published()
    assert mirror.page("demo")["versions"] == ["1.0", "1.9", "1.10", "2.0rc1"]


# ── pages that cannot be used ───────────────────────────────────────────────────────────────────────

BAD_PAGES = {
    "missing": Answer(404, b"gone\n"),
    "gone": Answer(410, b"gone\n"),
    "forbidden": Answer(403, b"no\n"),
    "unavailable": Answer(503, b"later\n"),
    "empty-html": Answer(200, b"", {"Content-Type": "text/html"}),
    "empty-json": Answer(200, b"", {"Content-Type": JSON_TYPE}),
    "no-anchor": Answer(200, b"<html><body>under construction</body></html>", {"Content-Type": "text/html"}),
    "no-file": Answer(200, b'{"meta":{"api-version":"1.0"},"files":[]}', {"Content-Type": JSON_TYPE}),
    "login": Answer(
        200,
        b'<!DOCTYPE html><form action="/login"><input name="user"></form><a href="/forgot">forgot?</a>',
        {"Content-Type": "text/html; charset=utf-8"},
    ),
    "broken-json": Answer(200, b'{"meta":{"api-version":"1.0"},"files":[{"filena', {"Content-Type": JSON_TYPE}),
    "no-json-at-all": Answer(200, b"<html>", {"Content-Type": JSON_TYPE}),
    "other-type": Answer(200, b"demo-1.0.tar.gz", {"Content-Type": "text/plain"}),
    "other-api": Answer(200, b'{"meta":{"api-version":"2.0"},"files":[]}', {"Content-Type": JSON_TYPE}),
    "cut": Answer(200, b'{"meta":{"api-version":"1.0"}}', {"Content-Type": JSON_TYPE}, cut=5),
}  # fmt: skip


def test_a_bad_page_costs_its_project_alone(index: LocalIndex, mirror: Mirror) -> None:
    for project in ("good", *BAD_PAGES):
        index.add(make_wheel(project, "1.0"), project=project)
    mirror.write_spec(index, f"projects: [good, {', '.join(BAD_PAGES)}]", network="retries: 0")
    mirror.sync()
    before = mirror.content()
    for project, answer in BAD_PAGES.items():
        index.fail_always(f"/simple/{project}/", answer)
    index.add(make_wheel("good", "2.0"))

    run = mirror.sync("--json", code=1)

    assert {failure["what"] for failure in run.json["failures"]} == BAD_PAGES.keys()
    for project in BAD_PAGES:
        assert f"failed: {project}: " in run.err
        for page in ("index.html", "index.v1_json"):
            assert mirror.content()[f"simple/{project}/{page}"] == before[f"simple/{project}/{page}"]
    assert len(mirror.filenames("good")) == 2
    assert mirror.projects() == sorted(["good", *BAD_PAGES])


@pytest.mark.parametrize("upstream", ["json", "html"])
def test_a_page_of_another_project_costs_its_project_alone(index: LocalIndex, mirror: Mirror, upstream: str) -> None:
    index.formats = (upstream,)
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("good", "1.0"))
    mirror.write_spec(index, "projects: [demo, good]")
    mirror.sync()
    before = mirror.published()
    body = index.detail_json("good") if upstream == "json" else index.detail_html("good")
    kind = JSON_TYPE if upstream == "json" else "text/html"
    index.fail_always("/simple/demo/", Answer(200, body, {"Content-Type": kind}))

    run = mirror.sync(code=1)

    assert "failed: demo" in run.err
    assert mirror.published() == before


def test_a_project_that_upstream_lacks_is_reported_and_the_others_are_published(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo, missing]")

    run = mirror.sync("--json", code=1)

    assert run.json["exit-code"] == 1
    assert [(failure["project"], failure["what"]) for failure in run.json["failures"]] == [("missing", "missing")]
    assert mirror.projects() == ["demo"]


UNMET = {
    "no such release": ("projects: ['demo >=9']", "the newest upstream is 1.0"),
    "another type": ("projects: [{name: demo, package-types: [bdist_egg]}]", "package-type"),
    "excluded": ("projects: [demo]\nexclude: [demo]", "excluded"),
}


@pytest.mark.parametrize(("body", "said"), UNMET.values(), ids=UNMET)
def test_a_requirement_that_nothing_matches_is_reported(
    index: LocalIndex, mirror: Mirror, body: str, said: str
) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(index, body.replace("projects: [", "projects: [other, "))

    run = mirror.sync(code=1)

    assert "failed: demo" in run.err
    assert "mirror.yaml:4" in run.err
    assert said in run.err
    assert mirror.projects() == ["other"]


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_without_sha256_is_refused(index: LocalIndex, mirror: Mirror) -> None:
    archive = make_wheel("demo", "1.0")
    index.add(archive, hashes={"md5": hashlib.md5(archive[1]).hexdigest()})
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(index, "projects: [demo, other]")

    run = mirror.sync(code=1)

    assert "no-sha256" in run.err
    assert mirror.projects() == ["other"]
    assert index.requests(WHEEL) == []


@pytest.mark.parametrize("algorithm", ["md5", "sha512", ""])
def test_a_file_without_sha256_is_taken_when_the_spec_allows_it(
    index: LocalIndex, mirror: Mirror, algorithm: str
) -> None:
    archive = make_wheel("demo", "1.0")
    hashes = {algorithm: hashlib.new(algorithm, archive[1]).hexdigest()} if algorithm else {}
    index.add(archive, hashes=hashes, size=None)
    mirror.write_spec(index, "projects: [demo]\nrequire-hashes: false")
    mirror.sync()
    before = mirror.content()

    run = mirror.sync()

    assert mirror.page("demo")["files"][0]["hashes"] == {"sha256": sha256(archive[1])}
    assert mirror.content() == before
    assert "nothing new, nothing written" in run.err


def test_another_hash_is_checked_when_there_is_no_sha256(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"), hashes={"md5": "0" * 32})
    mirror.write_spec(index, "projects: [demo]\nrequire-hashes: false")

    run = mirror.sync(code=1)

    assert f"md5 of {WHEEL}" in run.err
    assert mirror.projects() == []


def test_a_release_is_published_whole_or_not_at_all(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")
    mirror.sync()
    index.add(make_wheel("demo", "2.0"))
    sdist = index.add(make_sdist("demo", "2.0"))
    index.fail(sdist.path, Answer(404))

    run = mirror.sync(code=1)

    assert "failed: demo-2.0.tar.gz" in run.err
    assert mirror.filenames("demo") == [WHEEL]

    index.forget()
    mirror.sync()

    assert mirror.filenames("demo") == [WHEEL, "demo-2.0-py3-none-any.whl", "demo-2.0.tar.gz"]
    assert [request.path for request in index.requests("/packages/")] == [sdist.path]


def test_a_release_stays_as_it_was_when_a_file_that_joins_it_fails(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")
    mirror.sync()
    index.fail(index.add(make_sdist("demo", "1.0")).path, Answer(404))

    mirror.sync(code=1)

    assert mirror.filenames("demo") == [WHEEL]


def test_a_release_stays_as_it_was_when_what_takes_the_place_of_its_files_fails(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.add(make_sdist("demo", "1.0"))
    wheel = index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]\npackage-types: [sdist]", network="retries: 0")
    mirror.sync()
    mirror.write_spec(index, "projects: [demo]\npackage-types: [bdist_wheel]", network="retries: 0")
    index.fail(wheel.path, Answer(404))

    mirror.sync(code=1)

    assert mirror.projects() == ["demo"]
    assert mirror.filenames("demo") == [SDIST]


def test_changed_bytes_under_a_published_name_are_refused(index: LocalIndex, mirror: Mirror) -> None:
    old = index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.published()
    index.remove(WHEEL)
    new = index.add(make_wheel("demo", "1.0", files={"demo/extra.py": b"1"}))
    index.forget()

    for _ in range(2):  # no error marks something as done
        run = mirror.sync(code=1)

        assert f"failed: {WHEEL}: upstream changed the file" in run.err
        assert sha256(old.data) in run.err
        assert sha256(new.data) in run.err
    assert mirror.published() == before
    assert index.requests("/packages/") == []


def test_a_yank_is_published_when_upstream_gives_no_sha256(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_wheel("demo", "1.0"), hashes={})
    mirror.write_spec(index, "projects: [demo]\nyanked: include\nrequire-hashes: false")
    mirror.sync()
    entry.yanked = "bad"

    mirror.sync()

    assert mirror.page("demo")["files"][0]["yanked"] == "bad"


@pytest.mark.parametrize("said", ["size", "sha512"])
def test_changed_bytes_are_reported_when_upstream_gives_no_sha256(index: LocalIndex, mirror: Mirror, said: str) -> None:
    def describe(data: bytes) -> dict[str, Any]:
        hashes = {"sha512": hashlib.sha512(data).hexdigest()} if said == "sha512" else {}
        return {"hashes": hashes, "size": len(data) if said == "size" else None}

    old, new = make_sdist("demo", "1.0"), make_sdist("demo", "1.0", requires_python=">=3.8")
    index.add(old, **describe(old[1]))
    mirror.write_spec(index, "projects: [demo]\nrequire-hashes: false")
    mirror.sync()
    before = mirror.published()
    index.remove(SDIST)
    index.add(new, **describe(new[1]))

    run = mirror.sync(code=1)

    assert f"failed: {SDIST}: " in run.err
    assert mirror.published() == before


HOSTILE_NAMES = [
    "../../../evil-1.0.tar.gz",
    "/tmp/demo-1.0.tar.gz",
    "..",
    "demo-1.0.tar.gz/../../../evil-1.0.tar.gz",
    "demo-1.0\\..\\evil.tar.gz",
    "demo-1.0.tar.gz\x1b[2J",
    "demo-1.0.tar.gz\0",
    "demo-1.0\n.tar.gz",
    "demo-1.0.tar.gz.",
    "nul.tar.gz",
    f"demo-1.0+{'x' * 300}.tar.gz",
]


def test_a_name_from_upstream_that_is_not_safe_reaches_no_path(index: LocalIndex, mirror: Mirror) -> None:
    for name in HOSTILE_NAMES:
        index.add((name, make_sdist("demo", "1.0")[1]), project="demo", url="/packages/evil")
    index.add(make_sdist("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]")
    around = sorted(mirror.folder.parent.rglob("*"))

    run = mirror.sync("-v")

    assert mirror.filenames("demo") == ["demo-2.0.tar.gz"]
    assert mirror.pool() == ["demo-2.0.tar.gz"]
    assert index.requests("evil") == []
    assert "\x1b" not in run.err
    outside = [path for path in mirror.folder.parent.rglob("*") if not path.is_relative_to(mirror.tree)]
    assert sorted(outside) == around


# ── metadata that cannot be used ────────────────────────────────────────────────────────────────────


def _zip(content: dict[str, str], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, text in content.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text, compress_type=method)
    return out.getvalue()


def _corrupt(method: int) -> bytes:
    data = bytearray(_zip({"demo-1.0.dist-info/METADATA": make_metadata("demo", "1.0") * 50}, method=method))
    start = 30 + len("demo-1.0.dist-info/METADATA") + 20
    data[start : start + 30] = b"\xff" * 30
    return bytes(data)


def _misplaced() -> bytes:
    """A wheel whose directory says that it begins before the file does."""
    data = bytearray(make_wheel("demo", "1.0")[1])
    end = data.rfind(b"PK\x05\x06")
    data[end + 16 : end + 20] = b"\xff\xff\xff\x7f"
    return bytes(data)


_GOOD = make_metadata("demo", "1.0")
BAD_WHEELS = {
    "no zip": b"this is no archive",
    "empty": b"",
    "half": make_wheel("demo", "1.0")[1][:200],
    "no metadata": _zip({"demo/__init__.py": ""}),
    "two metadata": _zip({"demo-1.0.dist-info/METADATA": _GOOD, "demo_1.0.dist-info/METADATA": _GOOD}),
    "other name": make_wheel("demo", "1.0", metadata=make_metadata("evil", "1.0"))[1],
    "other version": make_wheel("demo", "1.0", metadata=make_metadata("demo", "9.0"))[1],
    "no fields": make_wheel("demo", "1.0", metadata="")[1],
    "corrupt deflate": _corrupt(zipfile.ZIP_DEFLATED),
    "corrupt bzip2": _corrupt(zipfile.ZIP_BZIP2),
    "corrupt lzma": _corrupt(zipfile.ZIP_LZMA),
    "misplaced": _misplaced(),
}


def test_a_wheel_is_published_without_core_metadata_when_its_own_cannot_be_used(
    index: LocalIndex, mirror: Mirror
) -> None:
    names = [f"demo-1.0-{number}-py3-none-any.whl" for number in range(len(BAD_WHEELS))]
    for name, data in zip(names, BAD_WHEELS.values(), strict=True):
        index.add((name, data), core_metadata={"sha256": "0" * 64})
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync()

    for name in names:
        assert f"warning: METADATA of {name}" in run.err
    assert mirror.pool() == sorted([*names, WHEEL, f"{WHEEL}.metadata"])
    assert [file["filename"] for file in mirror.page("demo")["files"] if "core-metadata" in file] == [WHEEL]
    anchors = Page(mirror.tree / "simple" / "demo" / "index.html").anchors
    assert [name for name, anchor in anchors.items() if "data-core-metadata" in anchor] == [WHEEL]


def test_a_wheel_that_upstream_announces_other_metadata_for_is_published_with_its_own(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.add(make_wheel("demo", "1.0"), core_metadata={"sha256": "0" * 64})
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync()

    assert f"warning: {WHEEL}" in run.err
    metadata = mirror.find(f"{WHEEL}.metadata").read_bytes()
    assert mirror.page("demo")["files"][0]["core-metadata"] == {"sha256": sha256(metadata)}


# ── lock files ──────────────────────────────────────────────────────────────────────────────────────


def _write_lock(mirror: Mirror, text: str) -> None:
    (mirror.folder / "requirements.lock").write_text(text)


def test_a_lock_file_gets_the_files_that_it_names_and_no_other(index: LocalIndex, mirror: Mirror) -> None:
    wheel = index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"))
    index.add(make_wheel("free", "1.0"))
    index.add(make_sdist("free", "1.0"))
    index.add(make_wheel("old", "1.0rc1"), yanked="bad")
    _write_lock(mirror, f"demo==1.0 \\\n    --hash=sha256:{sha256(wheel.data)}\nfree==1.0\nold==1.0rc1\n")
    mirror.write_spec(index, "lockfiles: [requirements.lock]")

    mirror.sync()

    assert mirror.filenames("demo") == [WHEEL]
    assert mirror.filenames("free") == ["free-1.0-py3-none-any.whl", "free-1.0.tar.gz"]
    assert mirror.page("old")["files"][0]["yanked"] == "bad"


def test_a_lock_file_whose_hash_upstream_does_not_have_is_reported(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("good", "1.0"))
    _write_lock(mirror, f"good==1.0\ndemo==1.0 --hash=sha256:{'0' * 64}\n")
    mirror.write_spec(index, "lockfiles: [requirements.lock]")

    run = mirror.sync(code=1)

    assert "requirements.lock:2" in run.err
    assert "not-in-lock" in run.err
    assert mirror.projects() == ["good"]


def test_lines_of_a_lock_file_that_no_index_serves_are_reported(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    _write_lock(
        mirror,
        "demo==1.0\n"
        "-e git+https://user:secret@example.com/repository.git#egg=edited\n"
        "direct @ https://user:secret@example.com/direct-1.0.zip\n",
    )
    mirror.write_spec(index, "lockfiles: [requirements.lock]")

    run = mirror.sync("--json", code=1)

    named = [failure["what"] for failure in run.json["failures"]]
    assert len(named) == 2
    assert any("edited" in what and "requirements.lock:2" in what for what in named)
    assert any("direct" in what and "requirements.lock:3" in what for what in named)
    assert "secret" not in run.out + run.err
    assert mirror.projects() == ["demo"]


# ── several upstreams ───────────────────────────────────────────────────────────────────────────────


def test_a_project_is_asked_for_on_the_upstream_that_claims_it_and_nowhere_else(
    index: LocalIndex, mirror: Mirror
) -> None:
    with LocalIndex() as internal:
        index.add(make_wheel("demo", "1.0"))
        index.add(make_wheel("acme-tool", "9.9"), project="acme-tool")
        index.add(make_wheel("acme-missing", "9.9"), project="acme-missing")
        internal.add(make_wheel("acme-tool", "1.0"), project="acme-tool")
        internal.add(make_wheel("demo", "9.9"))
        mirror.spec.write_text(
            "output: mirror\n"
            "upstreams:\n"
            f"  - {{name: public, url: '{index.url}'}}\n"
            f"  - {{name: internal, url: '{internal.url}', projects: [acme-*]}}\n"
            "projects: [demo, Acme.Tool, acme-missing]\n"
        )

        run = mirror.sync(code=1)

        assert "failed: acme-missing: " in run.err
        assert mirror.filenames("demo") == [WHEEL]
        assert mirror.filenames("acme-tool") == ["acme_tool-1.0-py3-none-any.whl"]
        assert index.requests("acme") == []
        assert internal.requests("demo") == []
