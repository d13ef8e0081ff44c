"""The pages for people, as bytes: what they tell, that they are valid, and that nothing of others is markup in them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from pymirror.metadata import CoreMetadata
from pymirror.pages.details import find_host
from pymirror.pages.front import FrontRow, render_front
from pymirror.pages.kinds import describe_file
from pymirror.pages.project import render_project_page
from pymirror.pages.releases import find_newest, group_releases
from pymirror.snapshot import SnapshotFile, SnapshotProject
from pymirror.spec.model import Site

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)

# What a hostile upstream would put wherever it can.
EVIL = (
    '"><img src=x onerror="window.ran=1"><script>window.ran=1</script><svg onload=window.ran=1>'
    "</title></style></textarea><!-- javascript:window.ran=1 \u202egnp.exe\u2066 \x00\x85\ud800\ufffe &lt;b&gt; ' \n x"
)
EVIL_URL = "javascript:window.ran=1"


def make_file(filename: str, version: str, **fields: Any) -> SnapshotFile:
    digest = hashlib.sha256(filename.encode()).hexdigest()
    return SnapshotFile(
        **{"filename": filename, "version": version, "sha256": digest, "blake2b": digest, "size": 22_111, **fields}
    )


def make_project(name: str = "six", versions: tuple[str, ...] = ("1.16.0", "1.17.0"), **fields: Any) -> SnapshotProject:
    """A wheel and an sdist for each version, the later ones uploaded later."""
    files = []
    for number, version in enumerate(versions):
        time = NOON + timedelta(days=number)
        wheel = f"{name}-{version}-py3-none-any.whl"
        files.append(make_file(wheel, version, upload_time=time, metadata_sha256="0" * 64))
        files.append(make_file(f"{name}-{version}.tar.gz", version, upload_time=time, requires_python=">=3.9"))
    return SnapshotProject(name=name, files=tuple(files), **fields)


def make_hostile_project() -> SnapshotProject:
    file = make_file(
        "evil-1.0-py3-none-any.whl",
        "1.0",
        upload_time=NOON,
        requires_python=EVIL,
        yanked=EVIL,
        metadata_sha256="0" * 64,
        provenance_sha256="0" * 64,
    )
    return SnapshotProject(
        name="evil", files=(file,), status="archived", status_reason=EVIL, wanted_by=(EVIL, f"evil {EVIL}")
    )


def make_hostile_metadata() -> CoreMetadata:
    return CoreMetadata(
        name=EVIL,
        version=EVIL,
        summary=EVIL,
        keywords=(EVIL, "plain"),
        author=EVIL,
        author_email=f"{EVIL} <a@example.org>, javascript:alert(1)@x, {EVIL_URL}",
        maintainer=EVIL,
        maintainer_email=f'"{EVIL}" <{EVIL}>',
        license=f"{EVIL}\n{EVIL}",
        classifiers=(f"{EVIL} :: {EVIL}", EVIL),
        home_page=EVIL_URL,
        download_url=f"https://example.org/{EVIL}",
        project_urls=((EVIL, EVIL_URL), (EVIL, "https://example.org/"), ("x", "data:text/html,<script>1</script>")),
        requires_python=EVIL,
        requires_dist=(EVIL,),
        requires_external=(EVIL,),
        provides_extra=(EVIL,),
    )


def render_project(
    project: SnapshotProject, metadata: CoreMetadata | None = None, description: str = "", site: Site | None = None
) -> str:
    return b"".join(render_project_page(project, metadata, description, site=site or Site())).decode("ascii")


def render_rows(*rows: FrontRow, site: Site | None = None, newest_upload: datetime | None = NOON) -> str:
    parts = render_front(
        rows,
        site=site or Site(),
        projects=len(rows),
        files=sum(row.files for row in rows),
        size=sum(row.size for row in rows),
        newest_upload=newest_upload,
    )
    return b"".join(parts).decode("ascii")


def make_row(name: str = "six", **fields: Any) -> FrontRow:
    row = {"name": name, "version": "1.17.0", "summary": "Python 2 and 3", "files": 2, "size": 46_000}
    return FrontRow(**{**row, **fields})


# ── a strict reader of HTML ─────────────────────────────────────────────────────────────────────────


def _words(text: str) -> set[str]:
    return set(text.split())


_VOID = {"meta", "input", "br", "hr"}
_INLINE = _words("a abbr b bdi br button cite code data del em i input kbd label small span strong sub sup time var")
_BLOCK = _words("p div ul ol dl pre table details section aside header footer main nav blockquote hr h1 h2 h3 h4 h5 h6")
_FLOW = _INLINE | _BLOCK
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_CHILDREN: dict[str, set[str]] = {
    "": {"html"},
    "html": {"head", "body"},
    "head": {"meta", "title", "style", "script"},
    "ul": {"li"},
    "ol": {"li"},
    "dl": {"dt", "dd"},
    "table": {"caption", "thead", "tbody"},
    "thead": {"tr"},
    "tbody": {"tr"},
    "tr": {"th", "td"},
    "details": _FLOW | {"summary"},
    "summary": _INLINE | _HEADINGS,
    "title": set(),
    "style": set(),
    "script": set(),
    **dict.fromkeys(("body", "div", "section", "aside", "header", "footer", "main", "nav", "li", "dd", "td"), _FLOW),
    **dict.fromkeys(("blockquote", "th"), _FLOW),
    "dt": _FLOW - _HEADINGS - {"header", "footer", "section", "aside", "nav"},
}
_NO_TEXT = {"html", "head", "ul", "ol", "dl", "table", "thead", "tbody", "tr"}
_ATTRIBUTES = {
    "a": {"href", "rel"},
    "button": {"type"},
    "data": {"value"},
    "details": {"open"},
    "html": {"lang"},
    "input": {"type", "autocomplete", "autocapitalize", "spellcheck"},
    "label": {"for"},
    "meta": {"charset", "name", "content", "http-equiv"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"scope", "colspan", "rowspan"},
    "time": {"datetime"},
}
_GLOBAL = {"id", "class", "title", "hidden", "role", "tabindex"}


class Strict(HTMLParser):
    """Refuses what a validator refuses: elements out of place, left open or unknown, attributes, ``id``s."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = [""]
        self.count = [0]
        self.ids: list[str] = []
        self.referred: list[str] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        parent = self.open[-1]
        allowed = _CHILDREN.get(parent, _INLINE)  # a name that is no key holds text and what stands in a line
        assert tag in allowed, f"<{tag}> in <{parent}>, line {self.getpos()[0]}"
        assert tag != "a" or not {"a", "button"} & set(self.open), "a link in a link"
        assert tag != "summary" or self.count[-1] == 0, "a summary that is not first"
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), names
        for name, value in attrs:
            assert name in _GLOBAL | _ATTRIBUTES.get(tag, set()) or name.startswith(("aria-", "data-")), (tag, name)
            self.ids += [value or ""] if name == "id" else []
            self.referred += [value or ""] if name in ("for", "aria-labelledby") else []
            self.links += [value or ""] if name == "href" else []
        self.elements.append((tag, dict(attrs)))
        self.count[-1] += 1
        if tag not in _VOID:
            self.open.append(tag)
            self.count.append(0)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop(), f"</{tag}>, line {self.getpos()[0]}"
        self.count.pop()

    def handle_data(self, data: str) -> None:
        assert not data.strip() or self.open[-1] not in _NO_TEXT, f"text in <{self.open[-1]}>: {data!r}"
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read_strictly(html: str, *, inside: str = "") -> Strict:
    """Reads a page, or with ``inside`` what stands in such an element; fails where it is not valid."""
    reader = Strict()
    if inside:
        reader.open.append(inside)
        reader.count.append(0)
    reader.feed(html)
    reader.close()
    assert reader.open == (["", inside] if inside else [""]), f"left open: {reader.open}"
    assert len(reader.ids) == len(set(reader.ids)), "an id stands twice"
    assert not [name for name in reader.ids if re.search(r"\s", name) or not name]
    assert set(reader.referred) <= set(reader.ids)
    if not inside:
        within = {unquote(href[1:]) for href in reader.links if href.startswith("#")}
        assert within <= set(reader.ids), "a link within the page leads nowhere"
    return reader


def read_page(html: str) -> Strict:
    assert html.startswith("<!DOCTYPE html>\n")
    assert not re.search(r"[^\x20-\x7e\n\t]", html)
    return read_strictly(html)


PAGES: dict[str, Callable[[], str]] = {
    "an empty mirror": lambda: render_rows(newest_upload=None),
    "one project": lambda: render_rows(make_row()),
    "many projects": lambda: render_rows(
        *(make_row(f"p{n:03}") for n in range(250)), make_row(summary=EVIL, status=EVIL)
    ),
    "a project": lambda: render_project(make_project()),
    "metadata": lambda: render_project(
        make_project(), CoreMetadata(summary="Six", license="text\n" * 30), "<p>Hello</p>"
    ),
    "many releases": lambda: render_project(make_project(versions=tuple(f"1.{number}" for number in range(30)))),
    "a hostile project": lambda: render_project(make_hostile_project(), make_hostile_metadata()),
    "no file": lambda: render_project(SnapshotProject(name="empty", files=(), status="quarantined")),
}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    """A page of each kind."""
    return PAGES[request.param]()


# ── every page ──────────────────────────────────────────────────────────────────────────────────────


def test_strict_reader_refuses_a_page_when_it_is_not_valid() -> None:
    for wrong in ("<p><div></div></p>", "<ul>x</ul>", "<p>", "<b></i></b>", '<p id="a"></p><p id="a"></p>', "<img>"):
        with pytest.raises(AssertionError):
            read_strictly(wrong, inside="div")


def test_page_is_valid_ascii_html_when_rendered(page: str) -> None:
    read_page(page)


def test_policy_allows_exactly_what_stands_in_the_page_when_rendered(page: str) -> None:
    head = re.search(r'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert head, "the policy comes before all that it is for"
    policy = dict(part.split(" ", 1) for part in head[1].split("; "))
    assert policy.pop("default-src") == "'none'"
    for name in ("style", "script"):
        (text,) = re.findall(f"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy.pop(f"{name}-src") == f"'sha256-{digest}'"
    assert set(policy.values()) == {"'none'"}
    assert {"img-src", "base-uri", "form-action"} <= set(policy)


def test_page_needs_nothing_else_when_rendered(page: str) -> None:
    reader = read_page(page)
    for tag, attributes in reader.elements:
        assert tag not in ("link", "img", "iframe", "object", "form", "base")
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset")]
    assert "url(" not in page.partition("<body")[0]
    assert "@import" not in page.partition("<body")[0]


def test_links_are_relative_and_name_a_file_when_they_stay_in_the_mirror(page: str) -> None:
    for href in read_page(page).links:
        parts = urlsplit(href)
        if href.startswith("#") or parts.scheme in ("https", "mailto"):
            continue
        assert not parts.scheme
        assert not parts.netloc
        assert not href.startswith("/")
        assert not href.endswith("/")


def test_pages_are_the_same_bytes_when_rendered_twice() -> None:
    assert [make() for make in PAGES.values()] == [make() for make in PAGES.values()]


# ── the front page ──────────────────────────────────────────────────────────────────────────────────


def test_front_page_tells_what_is_in_the_mirror_when_there_is_much() -> None:
    page = render_rows(make_row("six"), make_row("zope-interface", files=1_234_567, size=3_000_000_000_000))
    text = " ".join("".join(read_page(page).text).split())
    assert "2 projects 1,234,569 files 3.0 TB newest upload 20 Nov 2026" in text
    assert '<a href="project/zope-interface/index.html">zope-interface</a>' in page
    assert '<a href="simple/index.html">' in page
    assert '<a href="links.html">' in page
    assert '<time datetime="2026-11-20T12:00:00Z"' in page


def test_front_page_tells_the_exact_bytes_when_hovered() -> None:
    assert '<data value="46000" title="46,000 bytes">46.0 kB</data>' in render_rows(make_row())


def test_front_page_says_so_when_the_mirror_is_empty() -> None:
    page = render_rows(newest_upload=None)
    assert "There is no project in this mirror yet." in page
    assert "<input" not in page
    assert "newest upload" not in page


def test_front_page_uses_the_singular_when_there_is_one() -> None:
    text = " ".join("".join(read_page(render_rows(make_row(files=1))).text).split())
    assert "1 project 1 file " in text


def test_row_tells_in_words_when_a_project_is_archived_or_yanked() -> None:
    page = render_rows(make_row(status="archived", is_yanked=True))
    assert '<span class="tag">archived</span>' in page
    assert '<span class="tag bad">yanked</span>' in page


def test_row_has_no_summary_when_there_is_none() -> None:
    assert "<p></p>" not in render_rows(make_row(summary=" "))


def test_row_cuts_the_summary_when_it_is_long() -> None:
    page = render_rows(make_row(summary="wordy " * 1000))
    assert page.count("wordy") == 41
    assert "wor&#8230;</p>" in page


# ── the page of a project ───────────────────────────────────────────────────────────────────────────


def test_project_page_tells_of_each_file_what_the_index_knows() -> None:
    file = make_file(
        "six-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "1.0",
        size=1_234_567,
        upload_time=NOON,
        requires_python=">=3.9,<4",
        metadata_sha256="1" * 64,
        provenance_sha256="2" * 64,
    )
    page = render_project(SnapshotProject(name="six", files=(file,)))
    pool = f"../../packages/{file.blake2b[:2]}/{file.blake2b[2:4]}/{file.blake2b[4:]}/{file.filename}"
    assert {pool, f"{pool}.metadata", f"{pool}.provenance"} <= set(read_page(page).links)
    assert f"<code>{file.sha256}</code>" in page
    assert '<data value="1234567" title="1,234,567 bytes">1.2 MB</data>' in page
    assert 'title="2026-11-20 12:00:00 UTC"' in page
    assert "Requires Python &gt;=3.9,&lt;4" in page
    assert "Wheel: CPython 3.13; Linux x86-64 with glibc 2.17 or newer" in page


def test_file_has_no_link_beside_it_when_nothing_is_there() -> None:
    page = render_project(SnapshotProject(name="six", files=(make_file("six-1.0.tar.gz", "1.0"),)))
    assert ".metadata" not in page
    assert ".provenance" not in page
    assert "not known" in page  # the upload time


def test_yanked_file_says_why_when_it_has_a_reason() -> None:
    project = SnapshotProject(
        name="six",
        files=(
            make_file("six-1.0.tar.gz", "1.0", yanked="broken on <Windows>"),
            make_file("six-1.1.tar.gz", "1.1", yanked=True),
            make_file("six-1.2.tar.gz", "1.2", yanked=""),
        ),
    )
    page = render_project(project)
    assert '<span class="tag bad">yanked</span> <bdi>broken on &lt;Windows&gt;</bdi>' in page
    assert page.count('<small class="yanked">') == 3  # PEP 592: an empty reason is one, too
    assert "six==1.2" in page


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (("1.0", "2.0", "2.1rc1"), "2.0"),
        (("1.0a1", "1.0a2"), "1.0a2"),
        (("2.0",), "2.0"),
    ],
)
def test_newest_release_is_what_an_installer_takes_when_asked(versions: tuple[str, ...], newest: str) -> None:
    project = make_project(versions=versions)
    found = find_newest(project, group_releases(project))
    assert found is not None
    assert found.version == newest


def test_newest_release_is_not_a_yanked_one_when_there_is_another() -> None:
    files = (make_file("six-1.0.tar.gz", "1.0"), make_file("six-2.0.tar.gz", "2.0", yanked=True))
    project = SnapshotProject(name="six", files=files)
    found = find_newest(project, group_releases(project))
    assert found is not None
    assert found.version == "1.0"


def test_releases_are_newest_first_and_the_newest_is_open_when_there_are_several() -> None:
    page = render_project(make_project(versions=("1.0", "1.1", "1.2rc1")))
    assert re.findall(r'<details class="release" id="release-([^"]*)"( open)?>', page) == [
        ("1.2rc1", ""),
        ("1.1", " open"),
        ("1.0", ""),
    ]
    assert '<span class="tag">prerelease</span>' in page


def test_older_releases_are_folded_when_there_are_many() -> None:
    page = render_project(make_project(versions=tuple(f"1.{number}" for number in range(30))))
    assert "<summary>22 older releases</summary>" in page
    assert page.count('<details class="release"') == 30


def test_no_single_release_is_folded_when_it_is_the_only_one_left() -> None:
    assert "older release" not in render_project(make_project(versions=tuple(f"1.{number}" for number in range(9))))


def test_page_of_three_thousand_files_is_whole_when_rendered() -> None:
    files = tuple(
        make_file(f"big-1.{number // 30}-{number % 30}-py3-none-any.whl", f"1.{number // 30}") for number in range(3000)
    )
    reader = read_page(render_project(SnapshotProject(name="big", files=files)))
    assert sum(href.endswith(".whl") for href in reader.links) == 3000


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("archived", "Archived."),
        ("deprecated", "Deprecated."),
        ("quarantined", "Quarantined."),
        ("some-new-status", "some-new-status."),
    ],
)
def test_status_is_told_in_words_when_a_project_is_not_active(status: str, words: str) -> None:
    page = render_project(make_project(status=status, status_reason="because <b>"))
    assert f"<strong>{words}</strong>" in page
    assert "The reason given: <bdi>because &lt;b&gt;</bdi>" in page
    assert 'class="notice' not in render_project(make_project())


def test_page_says_why_a_project_is_here_when_it_was_recorded() -> None:
    page = render_project(make_project(wanted_by=("six >=1 (mirror.yaml:12)",)))
    assert "<code>six &gt;=1 (mirror.yaml:12)</code>" in page
    assert "did not record" not in page
    assert "The mirror did not record what asked for it." in render_project(make_project())


def test_page_has_no_way_to_install_when_there_is_no_file() -> None:
    page = render_project(SnapshotProject(name="six", files=(), status="quarantined"))
    assert "The mirror has no file of this project." in page
    assert "pip install" not in page


def test_page_links_to_the_legacy_documents_when_the_tree_has_them() -> None:
    assert "../../pypi/six/json" in read_page(render_project(make_project())).links
    assert "pypi/" not in render_project(make_project(), site=Site(legacy_json=False))


def test_metadata_is_told_when_there_is_some() -> None:
    metadata = CoreMetadata(
        summary="Python 2 and 3",
        author="A. Author",
        author_email='"B. Author" <b@example.org>, c@example.org',
        license_expression="MIT OR Apache-2.0",
        license="UNKNOWN",
        keywords=("one", "two"),
        classifiers=("Programming Language :: Python :: 3", "Programming Language :: C", "Typing :: Typed"),
        requires_python=">=3.9",
        requires_dist=("certifi>=2017", 'PySocks; extra == "socks"'),
        provides_extra=("socks",),
        home_page="https://example.org/",
        project_urls=(("Source", "https://example.org/source"), ("Odd", "ftp://example.org/")),
    )
    page = render_project(make_project(), metadata)
    reader = read_page(page)
    assert {"https://example.org/", "https://example.org/source", "mailto:b@example.org"} <= set(reader.links)
    assert not [href for href in reader.links if href.startswith("ftp:")]
    text = "".join(reader.text)
    for words in ("MIT OR Apache-2.0", "A. Author", "B. Author", "ftp://example.org/", "certifi>=2017", "one, two"):
        assert words in text
    assert "<dt>Programming Language</dt><dd>Python &#8250; 3<br>C</dd>" in page
    assert "UNKNOWN" not in page


def test_homepage_is_told_once_when_it_stands_twice() -> None:
    metadata = CoreMetadata(home_page="https://example.org", project_urls=(("Home", "https://example.org/"),))
    assert render_project(make_project(), metadata).count("https://example.org") == 1


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        " https://example.org/ x",
        "https://example.org/\n",
        "https:example.org",
        "https://",
        "https://user:password@example.org/",
        "https://example.org:port/",
        "https://[::1",
        'https://example.org/"onclick="x',
        "https://example.org/<script>",
        "https://example.org\\@evil.example/",
        "data:text/html,x",
        "//example.org/",
        "",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_address_is_no_link_when_it_is_not_plainly_of_the_web(url: str) -> None:
    assert find_host(url) is None


@pytest.mark.parametrize(
    ("url", "host"), [("https://Example.org/a?b=c&d#e", "example.org"), ("http://[::1]:8080/", "::1")]
)
def test_address_is_a_link_when_it_is_plainly_of_the_web(url: str, host: str) -> None:
    assert find_host(url) == host


@pytest.mark.parametrize(
    "address", ["a b@example.org", "a@b", "a@example.org?subject=x", "<script>@example.org", '"a"@x.org']
)
def test_mail_address_is_text_when_it_is_not_plain(address: str) -> None:
    page = render_project(make_project(), CoreMetadata(author_email=address))
    assert not [href for href in read_page(page).links if href.startswith("mailto:")]


def test_nothing_of_upstream_is_markup_when_every_field_is_hostile() -> None:
    harmless = read_page(render_project(make_hostile_project(), CoreMetadata(summary="x")))
    page = render_project(make_hostile_project(), make_hostile_metadata())
    reader = read_page(page)
    assert {tag for tag, _ in reader.elements} - {tag for tag, _ in harmless.elements} <= {"dl", "small", "bdi", "br"}
    assert page.count("<script>") == 1
    assert not [href for href in reader.links if "javascript" in href or "data:" in href]
    body = "".join(reader.text)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x85]", body)


def test_direction_cannot_be_turned_when_a_name_tries() -> None:
    page = render_rows(make_row(summary="good \u202egnp.exe"))
    assert "good &#65533;gnp.exe" in page


# ── how to install ──────────────────────────────────────────────────────────────────────────────────


def _commands(page: str) -> list[str]:
    text = "".join(read_page(page).text)
    return [line for line in text.splitlines() if "--index-url" in line or "--default-index" in line]


def test_command_has_a_placeholder_when_the_address_is_not_known() -> None:
    commands = _commands(render_project(make_project()))
    assert [command.split("install ")[-1] for command in commands[:2]] == [
        '--index-url "<URL of this mirror>/simple/" six',
        '--default-index "<URL of this mirror>/simple/" six',
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://mirror.example/", "pip install --index-url https://mirror.example/simple/ six"),
        ("https://mirror.example/a b/", "pip install --index-url https://mirror.example/a%20b/simple/ six"),
        ("https://mirror.example/a%20b/", "pip install --index-url https://mirror.example/a%20b/simple/ six"),
        ("https://mirror.example/$(x)'/", "pip install --index-url https://mirror.example/%24%28x%29%27/simple/ six"),
        (
            "http://mirror.example:8080/",
            "pip install --index-url http://mirror.example:8080/simple/ --trusted-host mirror.example:8080 six",
        ),
        ("http://127.0.0.1:8080/", "pip install --index-url http://127.0.0.1:8080/simple/ six"),
        ("http://[::1]:8080/", 'pip install --index-url "http://[::1]:8080/simple/" six'),
    ],
)
def test_command_names_the_index_when_the_address_is_known(url: str, expected: str) -> None:
    (command, *_) = _commands(render_project(make_project(), site=Site(public_url=url)))
    assert command.endswith(expected)


@pytest.mark.parametrize(
    ("url", "lines"),
    [
        ("http://mirror.example:8080/", ["--trusted-host mirror.example:8080", "six==1.17.0"]),
        ("https://mirror.example/", ["six==1.17.0"]),
    ],
)
def test_requirements_trust_the_host_on_a_line_of_its_own_when_it_is_plain_http(url: str, lines: list[str]) -> None:
    page = render_project(make_project(), site=Site(public_url=url))
    text = "".join(read_page(page).text).splitlines()
    first = max(number for number, line in enumerate(text) if line.endswith(f"--index-url {url}simple/"))
    assert text[first + 1 : first + 1 + len(lines)] == lines


@pytest.mark.parametrize("versions", [("1.0rc1",), ("2.0a1", "2.0a2")])
def test_command_names_the_version_when_an_installer_would_not_take_it(versions: tuple[str, ...]) -> None:
    (command, *_) = _commands(render_project(make_project(versions=versions)))
    assert command.endswith(f" six=={versions[-1]}")


def test_command_is_quoted_for_the_shell_when_the_version_has_an_epoch() -> None:
    page = render_project(make_project(versions=("1!2.0rc1",)))
    pip, uv, _ = _commands(page)
    assert pip.endswith(" 'six==1!2.0rc1'")
    assert uv.endswith(" 'six==1!2.0rc1'")
    assert "\nsix==1!2.0rc1\n" in re.sub(" *Copy", "\n", "".join(read_page(page).text))


# ── what a file is ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filename", "words"),
    [
        ("six-1.17.0-py2.py3-none-any.whl", "Wheel: Python 2, Python 3; any platform"),
        ("x-1-cp39-abi3-win_amd64.whl", "Wheel: CPython 3.9 or newer; Windows x86-64"),
        ("x-1-cp313-cp313t-win32.whl", "Wheel: CPython 3.13 free-threaded; Windows x86, 32 bits"),
        ("x-1-1-pp310-pypy310_pp73-macosx_11_0_arm64.whl", "Wheel: PyPy 3.10; macOS on ARM64 11.0 or newer"),
        (
            "x-1-cp311-cp311-manylinux1_x86_64.manylinux_2_5_x86_64.manylinux2014_x86_64.whl",
            "Wheel: CPython 3.11; Linux x86-64 with glibc 2.5 or newer",
        ),
        ("x-1-cp311-cp311-musllinux_1_2_aarch64.whl", "Wheel: CPython 3.11; Linux ARM64 with musl 1.2 or newer"),
        ("x-1-odd-none-plan9_mips.whl", "Wheel: odd; plan9_mips"),
        ("x-1.tar.gz", "Source distribution"),
        ("x-1-py3.9.egg", "Egg"),
        ("x-1.win32.exe", "Installer"),
    ],
)
def test_kind_is_told_in_words_when_the_name_has_tags(filename: str, words: str) -> None:
    assert describe_file(filename) == words
