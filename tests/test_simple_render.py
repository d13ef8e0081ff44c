"""Pages that are published: what goes in comes out of every client's parser, and the rules that clients need.

The rules and the failures behind them are in the documentation of the tree; each was seen with a real client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymirror.simple import render
from pymirror.simple.model import ProjectDetail
from pymirror.simple.parse import parse_project_detail, parse_project_list
from pymirror.snapshot import EMPTY, Snapshot, SnapshotFile, SnapshotProject
from pymirror.spec.model import DEFAULT_SITE, Site

ROOT = "https://mirror.example/prefix/"
PAGE = f"{ROOT}simple/demo/"
JSON = "application/vnd.pypi.simple.v1+json"
SHA256, BLAKE2B, METADATA = "a" * 64, "0123456789abcdef" * 4, "c" * 64


def render_detail_html(project: SnapshotProject, site: Site = DEFAULT_SITE) -> bytes:
    return b"".join(render.render_detail_html(project, site))


def render_detail_json(project: SnapshotProject, site: Site = DEFAULT_SITE) -> bytes:
    return b"".join(render.render_detail_json(project, site))


def render_list_html(snapshot: Snapshot) -> bytes:
    return b"".join(render.render_list_html(snapshot))


def render_list_json(snapshot: Snapshot) -> bytes:
    return b"".join(render.render_list_json(snapshot))


def render_links(snapshot: Snapshot) -> bytes:
    return b"".join(render.render_links(snapshot))


def make_file(
    filename: str = "demo-1.0-py3-none-any.whl",
    *,
    version: str = "1.0",
    yanked: bool | str = False,
    requires_python: str | None = None,
    upload_time: datetime | None = None,
    metadata_sha256: str | None = None,
) -> SnapshotFile:
    return SnapshotFile(
        filename=filename,
        version=version,
        sha256=SHA256,
        blake2b=BLAKE2B,
        size=1234,
        yanked=yanked,
        requires_python=requires_python,
        upload_time=upload_time,
        metadata_sha256=metadata_sha256,
    )


def make_project(*files: SnapshotFile, status: str = "active", status_reason: str | None = None) -> SnapshotProject:
    return SnapshotProject(name="demo", files=files, status=status, status_reason=status_reason)


def make_snapshot(*files: SnapshotFile) -> Snapshot:
    return Snapshot(projects=(make_project(*files),))


FULL = make_file(
    "demo-1!2.0+cu118-py3-none-any.whl",
    version="1!2.0+cu118",
    yanked='"broken" & <script>alert(1)</script> caf\xe9\n\U0001f4a5',
    requires_python=">=3.8,<4,!=3.9.*",
    upload_time=datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
    metadata_sha256=METADATA,
)
PLAIN = make_file()
WITHDRAWN = make_file("demo-1.0.tar.gz", yanked=True)
PROJECT = make_project(FULL, PLAIN, WITHDRAWN, status="archived", status_reason='caf\xe9 "x" <b>')
SNAPSHOT = Snapshot(projects=(PROJECT, SnapshotProject(name="zope-interface", files=(PLAIN,))))

HTML_PAGES = {
    "detail": render_detail_html(PROJECT),
    "list": render_list_html(SNAPSHOT),
    "links": render_links(SNAPSHOT),
    "empty list": render_list_html(EMPTY),
}
JSON_PAGES = {
    "detail": render_detail_json(PROJECT),
    "list": render_list_json(SNAPSHOT),
    "empty list": render_list_json(EMPTY),
}


class _Anchors(HTMLParser):
    """Every tag of a page, by the standard library's parser."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode("ascii"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def anchors(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "a"]


def parse_html(page: bytes, *, url: str = PAGE) -> ProjectDetail:
    return parse_project_detail(page, content_type="text/html", url=url)


def parse_json(page: bytes) -> ProjectDetail:
    return parse_project_detail(page, content_type=JSON, url=PAGE)


# ── there and back ──────────────────────────────────────────────────────────────────────────────────

# A control character has no HTML form; of the others none may be lost, whatever a parser does with line ends.
_TEXT = st.text(st.one_of(st.characters(exclude_categories=("Cc", "Cs")), st.sampled_from("\n\t\"'<>&;#")), max_size=40)
_REASON = _TEXT.filter(bool)
_HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
_VERSION = st.from_regex(
    r"([0-9]{1,2}!)?[0-9]{1,3}(\.[0-9]{1,3}){0,2}(rc[0-9])?(\.post[0-9])?(\+[a-z0-9]{1,6})?", fullmatch=True
)
_TIME = st.datetimes(timezones=st.just(UTC))
_SPECIFIER = st.one_of(st.sampled_from([">=3.8", "<4,>=3.8", "!=3.9.*,>=3", "~=3.10"]), _REASON)


@st.composite
def _files(draw: st.DrawFn) -> SnapshotFile:
    version = draw(_VERSION)
    suffix = draw(st.sampled_from(["-py3-none-any.whl", ".tar.gz", ".zip"]))
    return SnapshotFile(
        filename=f"demo-{version}{suffix}",
        version=version,
        sha256=draw(_HEX),
        blake2b=draw(_HEX),
        size=draw(st.integers(0, 10**18 - 1)),
        upload_time=draw(st.none() | _TIME),
        requires_python=draw(st.none() | _SPECIFIER),
        yanked=draw(st.booleans() | _REASON),
        metadata_sha256=draw(st.none() | _HEX),
    )


_PROJECTS = st.builds(
    SnapshotProject,
    name=st.just("demo"),
    files=st.lists(_files(), min_size=1, max_size=4).map(tuple),
    status=st.sampled_from(["active", "archived", "deprecated"]),
    status_reason=st.none() | _REASON.map(str.strip).filter(bool),
)


def _assert_same(detail: ProjectDetail, project: SnapshotProject, *, root: str) -> None:
    assert len(detail.files) == len(project.files)
    for found, file in zip(detail.files, project.files, strict=True):
        assert found.filename == file.filename
        assert unquote(found.url) == root + file.path
        assert found.hashes == (("sha256", file.sha256),)
        assert found.size == file.size
        assert found.upload_time == file.upload_time
        assert found.requires_python == file.requires_python
        assert found.yanked == file.yanked
        assert found.core_metadata == ((("sha256", file.metadata_sha256),) if file.metadata_sha256 else None)
    assert detail.api_version == "1.4"
    assert detail.status == project.status
    assert detail.status_reason == (project.status_reason if project.status != "active" else None)


@settings(deadline=None)
@given(_PROJECTS)
@pytest.mark.no_cover
def test_a_project_is_the_same_when_its_html_page_is_read_again(project: SnapshotProject) -> None:
    _assert_same(parse_html(render_detail_html(project)), project, root=ROOT)


@settings(deadline=None)
@given(_PROJECTS)
@pytest.mark.no_cover
def test_a_project_is_the_same_when_its_json_page_is_read_again(project: SnapshotProject) -> None:
    detail = parse_json(render_detail_json(project))
    _assert_same(detail, project, root=ROOT)
    assert detail.name == project.name
    assert set(detail.versions or ()) == {file.version for file in project.files}


@settings(deadline=None)
@given(_PROJECTS)
@pytest.mark.no_cover
def test_the_files_are_the_same_when_the_page_of_links_is_read_again(project: SnapshotProject) -> None:
    kept = tuple(file for file in project.files if not file.yanked)
    page = render_links(Snapshot(projects=(project,)))
    if not kept:
        assert b"<a " not in page
        return
    detail = parse_html(page, url=f"{ROOT}links.html")
    _assert_same(detail, SnapshotProject(name="demo", files=kept), root=ROOT)


@settings(deadline=None)
@given(st.text(max_size=60))
@pytest.mark.no_cover
def test_a_page_is_ascii_and_keeps_its_shape_when_a_reason_is_any_text(reason: str) -> None:
    project = make_project(make_file(yanked=reason or True), status="archived", status_reason=reason)
    html, data = render_detail_html(project), render_detail_json(project)
    assert html.isascii()
    assert data.isascii()
    plain = render_detail_html(
        make_project(make_file(yanked="x"), status="archived", status_reason="x" if reason else None)
    )
    shape = [(tag, set(attributes)) for tag, attributes in _Anchors(html).tags]
    assert shape == [(tag, set(attributes)) for tag, attributes in _Anchors(plain).tags]
    assert html.count(b"\n") == plain.count(b"\n")
    assert json.loads(data)["files"][0]["yanked"] == (reason or True)


@pytest.mark.parametrize("sign", ["\0", "\x01", "\x0b", "\x1b", "\r"])
def test_a_control_character_is_replaced_when_html_has_no_form_for_it(sign: str) -> None:
    project = make_project(make_file(yanked=f"a{sign}b"))
    assert parse_html(render_detail_html(project)).files[0].yanked == "a\ufffdb"
    assert parse_json(render_detail_json(project)).files[0].yanked == f"a{sign}b"


@pytest.mark.parametrize("sign", ["\x80", "\x85", "\x9f"])
def test_a_control_character_is_replaced_when_browsers_take_its_number_for_another(sign: str) -> None:
    page = render_detail_html(make_project(make_file(yanked=f"a{sign}b")))
    assert parse_html(page).files[0].yanked in (f"a{sign}b", "a\ufffdb")


# ── rules for both formats ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", [*HTML_PAGES.values(), *JSON_PAGES.values()], ids=[*HTML_PAGES, *JSON_PAGES])
def test_a_page_is_ascii_when_rendered(page: bytes) -> None:
    assert page.isascii()  # servers send no character set
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", page)


@pytest.mark.parametrize("page", [*HTML_PAGES.values(), *JSON_PAGES.values()], ids=[*HTML_PAGES, *JSON_PAGES])
def test_a_page_never_has_the_old_name_of_core_metadata_when_rendered(page: bytes) -> None:
    assert b"dist-info-metadata" not in page  # pip 22.3 to 23.1 fail on it


@pytest.mark.parametrize("page", [*HTML_PAGES.values(), *JSON_PAGES.values()], ids=[*HTML_PAGES, *JSON_PAGES])
def test_a_page_has_no_absolute_url_when_rendered(page: bytes) -> None:
    assert b"//" not in page
    assert not re.search(rb'(?:href=|"url":)"(?:/|[a-z]+:)', page)


@pytest.mark.parametrize("page", [*HTML_PAGES.values(), *JSON_PAGES.values()], ids=[*HTML_PAGES, *JSON_PAGES])
def test_a_page_is_the_same_when_rendered_again(page: bytes) -> None:
    again = [
        render_detail_html(PROJECT),
        render_list_html(SNAPSHOT),
        render_links(SNAPSHOT),
        render_list_html(EMPTY),
        render_detail_json(PROJECT),
        render_list_json(SNAPSHOT),
        render_list_json(EMPTY),
    ]
    assert page in again


@pytest.mark.parametrize("name", ["detail", "list"])
def test_both_formats_say_the_same_when_they_are_of_one_snapshot(name: str) -> None:
    if name == "list":
        pages = [
            parse_project_list(HTML_PAGES[name], content_type="text/html", url=f"{ROOT}simple/"),
            parse_project_list(JSON_PAGES[name], content_type=JSON, url=f"{ROOT}simple/"),
        ]
        assert pages[0] == pages[1]
        assert pages[0].projects == ("demo", "zope-interface")
        return
    html, data = parse_html(HTML_PAGES[name]), parse_json(JSON_PAGES[name])
    assert html.files == data.files
    assert (html.status, html.status_reason) == (data.status, data.status_reason) == ("archived", 'caf\xe9 "x" <b>')


# ── rules for HTML ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", HTML_PAGES.values(), ids=HTML_PAGES.keys())
def test_an_html_page_starts_with_its_doctype_and_says_its_version_when_rendered(page: bytes) -> None:
    assert page.startswith(b"<!DOCTYPE html>\n")
    metas = [attributes for tag, attributes in _Anchors(page).tags if tag == "meta"]
    assert {"name": "pypi:repository-version", "content": "1.4"} in metas
    assert {"charset": "utf-8"} in metas


@pytest.mark.parametrize("page", HTML_PAGES.values(), ids=HTML_PAGES.keys())
def test_an_html_page_has_only_harmless_tags_when_rendered(page: bytes) -> None:
    tags = {tag for tag, _ in _Anchors(page).tags}
    assert tags <= {"html", "head", "meta", "title", "body", "h1", "a", "br"}  # no base: pip breaks on a relative one


def test_a_bare_data_yanked_is_never_written_when_there_is_no_reason() -> None:
    page = render_detail_html(make_project(WITHDRAWN))
    assert b' data-yanked=""' in page  # pip takes the bare attribute for not yanked
    assert not re.search(rb"data-yanked(?!=\")", HTML_PAGES["detail"])


def test_a_file_has_no_data_yanked_when_it_is_not_yanked() -> None:
    assert b"data-yanked" not in render_detail_html(make_project(PLAIN))


def test_a_script_is_escaped_when_it_is_in_a_reason() -> None:
    page = render_detail_html(make_project(FULL))
    assert b"<script" not in page
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("reason", ['" onclick="x', "'><b>", "</a><a href=x>", "--><!--", "]]>", "&quot;", "&#34;"])
def test_a_reason_stays_in_its_attribute_when_it_tries_to_leave(reason: str) -> None:
    project = make_project(make_file(yanked=reason, requires_python=reason), status="archived", status_reason=reason)
    page = _Anchors(render_detail_html(project))
    (attributes,) = page.anchors()
    assert attributes["data-yanked"] == attributes["data-requires-python"] == reason
    assert {"name": "pypi:project-status-reason", "content": reason} in [a for tag, a in page.tags if tag == "meta"]
    assert set(attributes) == {"href", "data-requires-python", "data-yanked", "data-size"}


def test_an_anchor_has_every_attribute_when_the_file_has_them() -> None:
    (attributes,) = _Anchors(render_detail_html(make_project(FULL))).anchors()
    assert attributes == {
        "href": f"../../packages/01/23/{BLAKE2B[4:]}/demo-1%212.0%2Bcu118-py3-none-any.whl#sha256={SHA256}",
        "data-requires-python": FULL.requires_python,
        "data-yanked": FULL.yanked,
        "data-core-metadata": f"sha256={METADATA}",
        "data-size": "1234",  # uv reads this one and the next
        "data-upload-time": "2024-05-06T07:08:09.123456Z",
    }


def test_an_anchor_has_no_attribute_when_the_file_has_nothing_to_say() -> None:
    (attributes,) = _Anchors(render_detail_html(make_project(PLAIN))).anchors()
    assert set(attributes) == {"href", "data-size"}  # pip reads data-core-metadata="false" as "there is some"


def test_the_text_of_an_anchor_is_the_file_name_when_rendered() -> None:
    page = _Anchors(HTML_PAGES["detail"])
    for file in PROJECT.files:
        assert file.filename in page.texts
    names = [unquote(urlsplit(a["href"] or "").path.rpartition("/")[2]) for a in page.anchors()]
    assert names == [file.filename for file in PROJECT.files]


@pytest.mark.parametrize(
    ("filename", "encoded"),
    [
        ("demo-1.0+cu118.zip", "demo-1.0%2Bcu118.zip"),
        ("demo-1!1.0.zip", "demo-1%211.0.zip"),
        ("Demo_x.y-1.0.zip", "Demo_x.y-1.0.zip"),
    ],
)
def test_a_path_is_percent_encoded_when_the_name_has_other_signs(filename: str, encoded: str) -> None:
    project = make_project(make_file(filename))
    (attributes,) = _Anchors(render_detail_html(project)).anchors()
    path = f"../../packages/01/23/{BLAKE2B[4:]}/{encoded}"
    assert attributes["href"] == f"{path}#sha256={SHA256}"
    assert json.loads(render_detail_json(project))["files"][0]["url"] == path


@pytest.mark.parametrize(
    "root", ["https://mirror.example/", "https://mirror.example/a/b/", "file:///media/disk%20%C3%A9/"]
)
def test_links_lead_into_the_pool_when_the_tree_stands_elsewhere(root: str) -> None:
    for page, url in ((HTML_PAGES["detail"], f"{root}simple/demo/"), (HTML_PAGES["links"], f"{root}links.html")):
        for attributes in _Anchors(page).anchors():
            target = urljoin(url, attributes["href"] or "").partition("#")[0]
            assert unquote(target.removeprefix(root)) in [file.path for _, file in SNAPSHOT.files()]


def test_links_of_the_list_lead_to_the_folders_when_rendered() -> None:
    assert [attributes["href"] for attributes in _Anchors(HTML_PAGES["list"]).anchors()] == ["demo/", "zope-interface/"]


def test_yanked_files_are_left_out_of_the_links_when_rendered() -> None:
    page = HTML_PAGES["links"]
    assert FULL.filename.encode() not in page
    assert WITHDRAWN.filename.encode() not in page
    assert len(_Anchors(page).anchors()) == 2
    assert b"yanked" not in page


@pytest.mark.parametrize(
    ("status", "reason", "metas"),
    [
        ("active", None, []),
        ("active", "ignored", []),
        ("archived", None, [("pypi:project-status", "archived")]),
        ("deprecated", "old", [("pypi:project-status", "deprecated"), ("pypi:project-status-reason", "old")]),
    ],
)
def test_the_project_status_is_in_both_formats_when_it_is_not_active(
    status: str, reason: str | None, metas: Sequence[tuple[str, str]]
) -> None:
    project = make_project(PLAIN, status=status, status_reason=reason)
    page = _Anchors(render_detail_html(project))
    found = [(a["name"], a["content"]) for tag, a in page.tags if tag == "meta" and "name" in a]
    assert [item for item in found if "status" in str(item[0])] == list(metas)
    data = json.loads(render_detail_json(project))
    values = [value for _, value in metas]
    assert data.get("project-status") == (dict(zip(("status", "reason"), values, strict=False)) or None)


# ── rules for JSON ──────────────────────────────────────────────────────────────────────────────────


def test_a_json_page_has_every_key_when_the_file_has_them() -> None:
    page: dict[str, Any] = json.loads(render_detail_json(make_project(FULL, status="archived")))
    assert page == {
        "meta": {"api-version": "1.4"},
        "name": "demo",
        "versions": ["1!2.0+cu118"],
        "project-status": {"status": "archived"},
        "files": [
            {
                "filename": FULL.filename,
                "url": f"../../packages/01/23/{BLAKE2B[4:]}/demo-1%212.0%2Bcu118-py3-none-any.whl",
                "hashes": {"sha256": SHA256},
                "size": 1234,
                "upload-time": "2024-05-06T07:08:09.123456Z",
                "requires-python": FULL.requires_python,
                "yanked": FULL.yanked,
                "core-metadata": {"sha256": METADATA},
            }
        ],
    }


def test_a_json_page_leaves_keys_out_when_the_file_has_nothing_to_say() -> None:
    (entry,) = json.loads(render_detail_json(make_project(PLAIN)))["files"]
    assert set(entry) == {"filename", "url", "hashes", "size"}


def test_yanked_is_true_and_never_empty_when_there_is_no_reason() -> None:
    (entry,) = json.loads(render_detail_json(make_project(WITHDRAWN)))["files"]
    assert entry["yanked"] is True  # an empty text is not yanked in JSON


def test_each_version_is_listed_once_when_it_has_several_files() -> None:
    page = json.loads(render_detail_json(make_project(FULL, PLAIN, WITHDRAWN)))
    assert page["versions"] == ["1!2.0+cu118", "1.0"]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2024, 5, 6, tzinfo=UTC), "2024-05-06T00:00:00.000000Z"),
        (datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC), "2024-05-06T07:08:09.000010Z"),
        (datetime.min.replace(tzinfo=UTC) + timedelta(days=366), "0002-01-02T00:00:00.000000Z"),
    ],
)
def test_an_upload_time_has_the_one_form_of_the_standard_when_rendered(time: datetime, text: str) -> None:
    (entry,) = json.loads(render_detail_json(make_project(make_file(upload_time=time))))["files"]
    assert entry["upload-time"] == text


def test_the_lists_are_whole_pages_when_the_index_is_empty() -> None:
    assert json.loads(JSON_PAGES["empty list"]) == {"meta": {"api-version": "1.4"}, "projects": []}
    assert HTML_PAGES["empty list"].rstrip().endswith(b"</html>")
