"""What goes into a page comes out of it again, whatever it is; and what is lost on the way is lost by design.

The losses, each of which has its test here:

- HTML has no form for control characters, noncharacters and surrogates: they become U+FFFD. It has no key for the name
  of the project and for its versions, and the reason of a status loses the blanks around it.
- No page of the Simple API says which rule wants a project, what upstream's other hashes were, or the digest of a
  provenance object. The object is linked only where the tree has a public https URL. The BLAKE2b digest is in the URL.
- A reason is given only of a status that is not ``active``.
- ``links.html`` has only files that are not yanked.
- The legacy JSON API says nothing of a project's status, and pymirror reads less of it than there is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version

from pymirror.layout import LINKS_PAGE, blake2b_of_url, legacy_page, project_folder
from pymirror.simple.legacy import parse_legacy
from pymirror.simple.model import File, ProjectDetail, ProjectList
from pymirror.simple.parse import parse_project_detail, parse_project_list
from pymirror.simple.render import (
    render_detail_html,
    render_detail_json,
    render_links,
    render_list_html,
    render_list_json,
)
from pymirror.simple.render_legacy import newest_version, render_legacy_project, render_legacy_release
from pymirror.snapshot import Snapshot, SnapshotFile, SnapshotProject
from pymirror.spec.model import Site

HTML, JSON = "text/html", "application/vnd.pypi.simple.v1+json"
ROOT = "https://mirror.example/some%20where/"
PUBLIC = "https://public.example/prefix/"


def joined(page: bytes | Iterable[bytes]) -> bytes:
    return page if isinstance(page, bytes) else b"".join(page)


# ── anything that a snapshot can hold ───────────────────────────────────────────────────────────────

_HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
_MARKUP = (
    '"',
    "'",
    "<",
    ">",
    "&",
    "&amp;",
    "&#0;",
    "-->",
    "</a>",
    "]]>",
    "\\",
    "\\ud800",
    " ",
    "\xa0",
    "\n",
    "\r",
    "\t",
)
_CONTROL = ("\0", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ufffd", "\ufffe", "\ufdd0", "\U0010ffff")
_HOSTILE = st.sampled_from([*_MARKUP, *_CONTROL, "\xe9", "\U0001f4a5"])
_TEXT = st.lists(_HOSTILE | st.text(max_size=5), min_size=1, max_size=8).map("".join).filter(bool)
_SPECIFIER = st.sampled_from([">=3.8", "<4,>=3.8", "!=3.9.*,>=3", "~=3.10"]) | _TEXT
_NAME = st.from_regex(r"[A-Za-z0-9]{1,4}([-_.][A-Za-z0-9]{1,4}){0,2}", fullmatch=True)
_VERSION = st.from_regex(
    r"([1-9]!)?[0-9]{1,3}(\.[0-9]{1,3}){0,2}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?(\+[a-z0-9]{1,6}(\.[a-z0-9]{1,3})?)?",
    fullmatch=True,
).map(lambda text: str(Version(text)))
_ENDINGS = (
    "-py3-none-any.whl",
    "-py2.py3-none-any.whl",
    "-1build-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    ".tar.gz",
    ".zip",
    ".tar.bz2",
    ".tgz",
    ".tar.Z",
    "-py3.6.egg",
    "-py2.7-win32.egg",
    ".win32-py2.7.exe",
    ".win-amd64-py3.4.msi",
    "-1.noarch.rpm",
    ".linux-x86_64.tar.gz",
    ".dmg",
)


@st.composite
def _files(draw: st.DrawFn, name: str) -> SnapshotFile:
    version, ending = draw(_VERSION), draw(st.sampled_from(_ENDINGS))
    stem = re.sub(r"[-_.]+", "_", name) if ending.endswith(".whl") else name
    return SnapshotFile(
        filename=f"{stem}-{version}{ending}",
        version=version,
        sha256=draw(_HEX),
        blake2b=draw(_HEX),
        size=draw(st.integers(0, 10**18 - 1)),
        upload_time=draw(st.none() | st.datetimes(timezones=st.just(UTC))),
        requires_python=draw(st.none() | _SPECIFIER),
        yanked=draw(st.booleans() | _TEXT),
        metadata_sha256=draw(st.none() | _HEX),
        provenance_sha256=draw(st.none() | _HEX),
        other_hashes=draw(st.just(()) | st.just((("md5", "0" * 32),))),
    )


@st.composite
def _projects(draw: st.DrawFn) -> SnapshotProject:
    name = draw(_NAME)
    files = draw(st.lists(_files(name), min_size=1, max_size=4, unique_by=lambda file: file.filename))
    return SnapshotProject(
        name=canonicalize_name(name),
        files=tuple(files),
        status=draw(st.sampled_from(["active", "archived", "deprecated", "quarantined"])),
        status_reason=draw(st.none() | _TEXT),
        wanted_by=draw(st.just(()) | st.just(("demo >=1",))),
    )


_SITES = st.builds(Site, public_url=st.sampled_from([None, PUBLIC, "http://plain.example/"]))
_SNAPSHOTS = st.builds(
    Snapshot,
    projects=st.lists(_projects(), min_size=1, max_size=3, unique_by=lambda project: project.name).map(tuple),
    site=_SITES,
)


# ── what must come back ─────────────────────────────────────────────────────────────────────────────


def as_it_is(text: str) -> str:
    return text


def as_in_html(text: str) -> str:
    """What HTML has no form for, as the standards of HTML and Unicode list it."""

    def is_writable(sign: str) -> bool:
        number = ord(sign)
        is_control = number < 0x20 or 0x7F <= number < 0xA0
        is_noncharacter = 0xFDD0 <= number <= 0xFDEF or number in (0xFFFE, 0xFFFF)
        return sign in "\t\n" or not (is_control or is_noncharacter)

    return "".join(sign if is_writable(sign) else "\ufffd" for sign in text)


def expect_file(file: SnapshotFile, site: Site, text: Callable[[str], str]) -> File:
    url = quote(file.path)
    has_provenance = file.provenance_sha256 is not None and site.public_url == PUBLIC
    return File(
        filename=file.filename,
        url=ROOT + url,
        hashes=(("sha256", file.sha256),),
        size=file.size,
        upload_time=file.upload_time,
        requires_python=None if file.requires_python is None else text(file.requires_python),
        yanked=text(file.yanked) if isinstance(file.yanked, str) else file.yanked,
        core_metadata=None if file.metadata_sha256 is None else (("sha256", file.metadata_sha256),),
        provenance=f"{PUBLIC}{url}.provenance" if has_provenance else None,
    )


def expect_reason(project: SnapshotProject, text: Callable[[str], str]) -> str | None:
    return text(project.status_reason) if project.status_reason and project.status != "active" else None


@settings(deadline=None)
@given(_projects(), _SITES)
@pytest.mark.no_cover
def test_a_project_comes_back_when_its_json_page_is_read(project: SnapshotProject, site: Site) -> None:
    page = joined(render_detail_json(project, site))
    assert parse_project_detail(page, content_type=JSON, url=f"{ROOT}{project_folder(project.name)}/") == ProjectDetail(
        files=tuple(expect_file(file, site, as_it_is) for file in project.files),
        name=project.name,
        api_version="1.4",
        versions=tuple(dict.fromkeys(file.version for file in project.files)),
        status=project.status,
        status_reason=expect_reason(project, as_it_is),
    )


@settings(deadline=None)
@given(_projects(), _SITES)
@pytest.mark.no_cover
def test_a_project_comes_back_when_its_html_page_is_read(project: SnapshotProject, site: Site) -> None:
    page = joined(render_detail_html(project, site))
    reason = expect_reason(project, as_in_html)
    assert parse_project_detail(page, content_type=HTML, url=f"{ROOT}{project_folder(project.name)}/") == ProjectDetail(
        files=tuple(expect_file(file, site, as_in_html) for file in project.files),
        api_version="1.4",
        status=project.status,
        status_reason=(reason or "").strip() or None,
    )


@settings(deadline=None)
@given(_projects())
@pytest.mark.no_cover
def test_the_digest_of_the_pool_comes_back_when_a_url_is_read(project: SnapshotProject) -> None:
    page = joined(render_detail_html(project, Site()))
    detail = parse_project_detail(page, content_type=HTML, url=f"{ROOT}{project_folder(project.name)}/")
    found = [blake2b_of_url(file.url, file.filename) for file in detail.files]
    assert found == [file.blake2b for file in project.files]


@settings(deadline=None, max_examples=50)
@given(_SNAPSHOTS)
@pytest.mark.no_cover
def test_the_names_come_back_when_a_list_is_read(snapshot: Snapshot) -> None:
    expected = ProjectList(projects=tuple(project.name for project in snapshot.projects), api_version="1.4")
    html, data = joined(render_list_html(snapshot)), joined(render_list_json(snapshot))
    assert parse_project_list(html, content_type=HTML, url=f"{ROOT}simple/") == expected
    assert parse_project_list(data, content_type=JSON, url=f"{ROOT}simple/") == expected


@settings(deadline=None, max_examples=50)
@given(_SNAPSHOTS)
@pytest.mark.no_cover
def test_the_files_come_back_when_the_page_of_links_is_read(snapshot: Snapshot) -> None:
    kept = [file for _, file in snapshot.files() if not file.yanked]
    page = joined(render_links(snapshot))
    if not kept:
        assert b"<a " not in page
        return
    assert parse_project_detail(page, content_type=HTML, url=ROOT + LINKS_PAGE) == ProjectDetail(
        files=tuple(expect_file(file, snapshot.site, as_in_html) for file in kept), api_version="1.4"
    )


# ── the legacy JSON API ─────────────────────────────────────────────────────────────────────────────


def expect_legacy(files: Iterable[SnapshotFile]) -> dict[str, File]:
    """As pymirror reads it of upstream: what a page of the Simple API may lack, and the hash to know the file by."""
    return {
        file.filename: File(
            filename=file.filename,
            url="",
            hashes=(("sha256", file.sha256),),
            size=file.size,
            upload_time=file.upload_time,
        )
        for file in files
    }


def read_legacy_file(entry: dict[str, Any], url: str) -> tuple[object, ...]:
    metadata = entry.get("core-metadata")
    yanked = (entry["yanked_reason"] or True) if entry["yanked"] else False
    digests = (entry["digests"]["sha256"], entry["digests"]["blake2b_256"], metadata and metadata["sha256"])
    return urljoin(url, entry["url"]), entry["filename"], *digests, entry["size"], entry["requires_python"], yanked


def expect_legacy_file(file: SnapshotFile, site: Site) -> tuple[object, ...]:
    url = (site.public_url or ROOT) + quote(file.path)
    digests = (file.sha256, file.blake2b, file.metadata_sha256)
    return url, file.filename, *digests, file.size, file.requires_python, file.yanked


def of_version(project: SnapshotProject, version: str) -> list[SnapshotFile]:
    return [file for file in project.files if Version(file.version) == Version(version)]


@settings(deadline=None)
@given(_projects(), _SITES)
@pytest.mark.no_cover
def test_a_project_comes_back_when_its_legacy_document_is_read(project: SnapshotProject, site: Site) -> None:
    page = joined(render_legacy_project(project, None, site))
    url = ROOT + legacy_page(project.name)
    assert parse_legacy(page, url=url) == expect_legacy(project.files)
    document = json.loads(page)
    listed = {
        version: [read_legacy_file(each, url) for each in files] for version, files in document["releases"].items()
    }
    assert listed == {
        version: [expect_legacy_file(file, site) for file in of_version(project, version)] for version in listed
    }
    assert sum(map(len, listed.values())) == len(project.files)
    assert document["info"]["version"] == newest_version(project)
    assert document["urls"] == document["releases"][document["info"]["version"]]


@settings(deadline=None)
@given(_projects(), _SITES)
@pytest.mark.no_cover
def test_a_release_comes_back_when_its_legacy_document_is_read(project: SnapshotProject, site: Site) -> None:
    version = project.files[0].version
    page = joined(render_legacy_release(project, version, None, site))
    url = ROOT + legacy_page(project.name, version)
    files = of_version(project, version)
    assert parse_legacy(page, url=url) == expect_legacy(files)
    document = json.loads(page)
    assert [read_legacy_file(each, url) for each in document["urls"]] == [
        expect_legacy_file(file, site) for file in files
    ]
    assert document["info"]["yanked"] == all(file.yanked for file in files)


# ── the losses ──────────────────────────────────────────────────────────────────────────────────────

_FILE = SnapshotFile(
    filename="demo-1.0.tar.gz",
    version="1.0",
    sha256="a" * 64,
    blake2b="b" * 64,
    size=1,
    provenance_sha256="c" * 64,
    other_hashes=(("md5", "d" * 32),),
)


@pytest.mark.parametrize(
    "sign", ["\0", "\x08", "\x0b", "\x0c", "\r", "\x1f", "\x7f", "\x80", "\x9f", "\ufdd0", "\ufffe", "\uffff"]
)
def test_a_sign_is_replaced_in_html_alone_when_it_has_no_form_there(sign: str) -> None:
    project = SnapshotProject(
        name="demo",
        files=(SnapshotFile(**{**_fields(_FILE), "yanked": f"a{sign}b", "requires_python": f">={sign}3"}),),
        status="archived",
        status_reason=f"c{sign}d",
    )
    for page, kind, shown in (
        (render_detail_html(project, Site()), HTML, "\ufffd"),
        (render_detail_json(project, Site()), JSON, sign),
    ):
        detail = parse_project_detail(joined(page), content_type=kind, url=ROOT)
        found = (detail.files[0].yanked, detail.files[0].requires_python, detail.status_reason)
        assert found == (f"a{shown}b", f">={shown}3", f"c{shown}d")


def test_nothing_is_said_of_what_is_private_when_pages_are_rendered() -> None:
    project = SnapshotProject(name="demo", files=(_FILE,), status_reason="of nothing", wanted_by=("a secret rule",))
    snapshot = Snapshot(projects=(project,))
    for page in (
        render_detail_html(project, Site()),
        render_detail_json(project, Site()),
        render_links(snapshot),
        render_list_html(snapshot),
        render_list_json(snapshot),
        render_legacy_project(project, None, Site()),
        render_legacy_release(project, "1.0", None, Site()),
    ):
        for hidden in (b"c" * 64, b"d" * 32, b"of nothing", b"a secret rule", b"provenance"):
            assert hidden not in joined(page)


def _fields(file: SnapshotFile) -> dict[str, Any]:
    return {name: getattr(file, name) for name in file.__struct_fields__}
