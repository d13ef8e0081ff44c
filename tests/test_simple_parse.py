"""Pages of an upstream, HTML and JSON: what is understood, passed over and refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from pymirror.errors import PageError
from pymirror.simple.model import KNOWN_HASHES, File, ProjectDetail, ProjectList, make_hashes
from pymirror.simple.parse import ACCEPT, Cut, find_cut, parse_project_detail, parse_project_list
from pymirror.simple.parse_html import filename_of_url

URL = "https://index.example/root/simple/demo/"
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
SDIST = "demo-1.0.tar.gz"
A, B = "a" * 64, "b" * 64


def parse_html(body: str | bytes, *, content_type: str = "text/html", url: str = URL) -> ProjectDetail:
    return parse_project_detail(body.encode() if isinstance(body, str) else body, content_type=content_type, url=url)


def anchor(attributes: str) -> File:
    """The one file of a page whose one anchor has these ``attributes`` beside its href."""
    (file,) = parse_html(f'<a href="{SDIST}" {attributes}>{SDIST}</a>').files
    return file


def link(href: str, *, head: str = "") -> File | None:
    """What the anchor with this ``href`` is taken for."""
    files = parse_html(f'{head}<a href="{href}">text</a>').files
    return files[0] if files else None


def make_page(file: Mapping[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """A JSON page with one file; ``file`` and ``keys`` are added or take a key's place."""
    entry = {"filename": SDIST, "url": f"../../files/{SDIST}", "hashes": {"sha256": A}, **(file or {})}
    page = {"meta": {"api-version": "1.4"}, "name": "demo", "files": [entry]}
    return {**page, **{key.replace("_", "-"): value for key, value in keys.items()}}


def parse_json(page: object) -> ProjectDetail:
    body = page if isinstance(page, bytes) else json.dumps(page).encode()
    return parse_project_detail(body, content_type=JSON, url=URL)


def entry(**keys: Any) -> File:
    """The one file of a JSON page, with these ``keys``."""
    (file,) = parse_json(make_page({key.replace("_", "-"): value for key, value in keys.items()})).files
    return file


# ── content types ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "TEXT/HTML",
        "text/html; charset=utf-8",
        'text/html; Charset="UTF-8"',
        "text/html;",
        HTML,
        f"{HTML}; charset=utf-8",
        "application/vnd.pypi.simple.latest+html",
        "application/xhtml+xml",
    ],
)
def test_a_page_is_read_as_html_when_its_type_says_so(content_type: str) -> None:
    assert parse_html(f'<a href="{SDIST}">', content_type=content_type).files[0].filename == SDIST


@pytest.mark.parametrize(
    "content_type",
    [JSON, JSON.upper(), f"{JSON}; charset=utf-8", "application/vnd.pypi.simple.latest+json", "application/json"],
)
def test_a_page_is_read_as_json_when_its_type_says_so(content_type: str) -> None:
    detail = parse_project_detail(json.dumps(make_page()).encode(), content_type=content_type, url=URL)
    assert detail.files[0].filename == SDIST


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text",
        "/",
        "text/plain",
        "text/plain; charset=text/html",
        "application/octet-stream",
        "application/vnd.pypi.simple.v2+json",
        "application/vnd.pypi.simple.v1+xml",
        "text/html, application/json",
        "image/png\r\nContent-Type: text/html",
    ],
)
def test_a_page_is_refused_when_its_type_is_another(content_type: str) -> None:
    with pytest.raises(PageError, match="not that of a Simple index") as caught:
        parse_html(f'<a href="{SDIST}">', content_type=content_type)
    assert str(caught.value).startswith(f"{URL}: ")
    assert str(caught.value).isprintable()
    with pytest.raises(PageError, match="not that of a Simple index"):
        parse_project_list(b'<a href="demo/">demo</a>', content_type=content_type, url=URL)


def test_a_message_is_cut_when_the_type_is_long() -> None:
    with pytest.raises(PageError) as caught:
        parse_html("", content_type="x" * 10_000)
    assert len(str(caught.value)) < 400


def test_json_is_asked_for_first_when_a_page_is_requested() -> None:
    assert ACCEPT.split(", ")[0] == JSON
    assert all(";q=0." in option for option in ACCEPT.split(", ")[1:])


# ── HTML: links ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("href", "url"),
    [
        (SDIST, f"https://index.example/root/simple/demo/{SDIST}"),
        (f"../../files/{SDIST}", f"https://index.example/root/files/{SDIST}"),
        (f"/files/{SDIST}", f"https://index.example/files/{SDIST}"),
        (f"//files.example/{SDIST}", f"https://files.example/{SDIST}"),
        (f"https://files.example/a/{SDIST}", f"https://files.example/a/{SDIST}"),
        (f"http://files.example:8080/{SDIST}", f"http://files.example:8080/{SDIST}"),
        (f"HTTPS://files.example/{SDIST}", f"https://files.example/{SDIST}"),
        (f"  {SDIST}\n", f"https://index.example/root/simple/demo/{SDIST}"),
        (f"{SDIST}?token=1&amp;x=2#sha256={A}", f"https://index.example/root/simple/demo/{SDIST}?token=1&x=2"),
        (f"&#100;emo-1.0.tar.gz#sha256={A}", f"https://index.example/root/simple/demo/{SDIST}"),
    ],
)
def test_a_link_is_made_absolute_when_it_is_read(href: str, url: str) -> None:
    file = link(href)
    assert file is not None
    assert (file.url, file.filename) == (url, SDIST)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ('<base href="https://files.example/x/">', f"https://files.example/x/{SDIST}"),
        ('<base href="https://files.example/x">', f"https://files.example/{SDIST}"),
        ('<base href="/files/">', f"https://index.example/files/{SDIST}"),
        ('<base href="../../files/">', f"https://index.example/root/files/{SDIST}"),
        ('<BASE HREF=" /files/ ">', f"https://index.example/files/{SDIST}"),
        ('<base target="_top"><base href="/files/"><base href="/other/">', f"https://index.example/files/{SDIST}"),
        ('<base href="">', URL + SDIST),
        ('<base href="https://[/">', URL + SDIST),
    ],
)
def test_a_link_is_relative_to_the_base_when_the_page_has_one(base: str, url: str) -> None:
    file = link(SDIST, head=f"<html><head>{base}</head><body>")
    assert file is not None
    assert file.url == url


@pytest.mark.parametrize(
    "href",
    [
        "",
        "#",
        "#demo-1.0.tar.gz",
        "../",
        "https://example.com/",
        "javascript:void(0)",
        "javascript:history.back()",
        "mailto:someone@example.com",
        "about:blank",
        "demo-1.0.tar.gz.asc",
        "demo-1.0-py3-none-any.whl.metadata",
        "index.html",
        "demo-1.0.tar.gz/",
        "https://[/demo-1.0.tar.gz",
        "?file=demo-1.0.tar.gz",
    ],
)
def test_a_link_is_passed_over_when_it_leads_to_no_distribution(href: str) -> None:
    assert link(href) is None


def test_an_anchor_is_passed_over_when_it_has_no_href() -> None:
    files = parse_html(f'<a>x</a><a name="top">y</a><a href>z</a><a href="{SDIST}">{SDIST}</a>').files
    assert [file.filename for file in files] == [SDIST]


def test_a_link_is_passed_over_when_it_is_in_a_comment_a_script_or_a_template() -> None:
    hidden = f'<a href="{SDIST}">x</a>'
    detail = parse_html(f'<!-- {hidden} --><script>{hidden}</script><template>{hidden}</template><a href="x.zip">x</a>')
    assert [file.filename for file in detail.files] == ["x.zip"]


@pytest.mark.parametrize(
    ("path", "filename"),
    [
        ("demo-1.0%2Bcu1.zip", "demo-1.0+cu1.zip"),
        ("demo-1.0+cu1.zip", "demo-1.0+cu1.zip"),
        ("demo%2D1.0.zip", "demo-1.0.zip"),
        ("..%2F..%2Fx.zip", "../../x.zip"),
        ("%252e%252e%252Fx.zip", "%2e%2e%2Fx.zip"),
        ("a/b/x.zip", "x.zip"),
        ("x%00.zip", "x\0.zip"),
        ("x%0a.zip", "x\n.zip"),
        ("x\\y.zip", "x\\y.zip"),
        ("x%5Cy.zip", "x\\y.zip"),
        ("x%ff.zip", "x\ufffd.zip"),
    ],
)
def test_a_file_name_is_decoded_once_when_the_link_is_encoded(path: str, filename: str) -> None:
    file = link(path)
    assert file is not None
    assert file.filename == filename == filename_of_url(file.url)


def test_the_link_names_the_file_when_the_text_says_something_else() -> None:
    assert parse_html(f'<a href="{SDIST}">other-2.0.tar.gz</a>').files[0].filename == SDIST


# ── HTML: hashes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fragment", "hashes"),
    [
        (f"sha256={A}", (("sha256", A),)),
        (f"SHA256={A.upper()}", (("sha256", A),)),
        (f"sha256%3D{A}", (("sha256", A),)),
        (f"egg=demo-1.0&amp;sha256={A}", (("sha256", A),)),
        (f"sha256={A}&amp;egg=demo&amp;subdirectory=src", (("sha256", A),)),
        (f"sha512={A}{B}&amp;md5={'0' * 32}", (("md5", "0" * 32), ("sha512", A + B))),
        ("md5=00112233445566778899aabbccddeeff", (("md5", "00112233445566778899aabbccddeeff"),)),
        ("blake3=00", ()),
        ("sha256=not-hex", ()),
        ("sha256=", ()),
        ("sha256", ()),
        ("egg=demo", ()),
        ("", ()),
    ],
)
def test_hashes_are_read_when_the_fragment_has_some(fragment: str, hashes: tuple[tuple[str, str], ...]) -> None:
    file = link(f"{SDIST}#{fragment}")
    assert file is not None
    assert file.hashes == hashes
    assert "#" not in file.url


@pytest.mark.parametrize(("digest", "sha256"), [(A, A), (A[1:], None), (A + "0", None), ("", None)])
def test_sha256_is_none_when_the_digest_can_be_none(digest: str, sha256: str | None) -> None:
    file = link(f"{SDIST}#sha256={digest}")
    assert file is not None
    assert file.sha256 == sha256


def test_make_hashes_is_in_order_and_knows_what_python_guarantees_when_given_anything() -> None:
    assert make_hashes({"sha512": "AB", "MD5": "0f", "crc32": "00", "sha1": "xyz"}) == (("md5", "0f"), ("sha512", "ab"))
    assert {"md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"} <= KNOWN_HASHES


# ── HTML: attributes ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attribute", "yanked"),
    [
        ("", False),
        ("data-yanked", True),
        ('data-yanked=""', True),
        ('data-yanked="broken"', "broken"),
        ('DATA-YANKED="broken"', "broken"),
        ('data-yanked="&lt;b&gt; &amp;quot; &quot;q&quot; &#39;s&#39; caf&eacute;"', "<b> &quot; \"q\" 's' caf\xe9"),
        (
            'data-yanked="&#1114111;&#xfdd0;&#128;&#0;&#xD800;&#99999999999999999999;&#65"',
            "\U0010ffff\ufdd0€\ufffd\ufffd\ufffdA",
        ),
        ('data-yanked="two\nlines"', "two\nlines"),
        ('data-yanked="false"', "false"),
    ],
)
def test_a_file_is_yanked_when_the_attribute_is_there_in_any_form(attribute: str, yanked: bool | str) -> None:
    assert anchor(attribute).yanked == yanked


@pytest.mark.parametrize("name", ["data-core-metadata", "data-dist-info-metadata", "DATA-CORE-METADATA"])
@pytest.mark.parametrize(
    ("value", "core_metadata"),
    [
        ("", True),
        ('=""', True),
        ('="true"', True),
        ('="True"', True),
        ('="false"', False),
        ('="False"', False),
        (f'="sha256={A}"', (("sha256", A),)),
        (f'="SHA256={A.upper()}"', (("sha256", A),)),
        ('="crc32=00"', True),
    ],
)
def test_core_metadata_is_read_when_the_attribute_has_any_spelling(
    name: str, value: str, core_metadata: bool | tuple[tuple[str, str], ...]
) -> None:
    assert anchor(f"{name}{value}").core_metadata == core_metadata


def test_the_new_name_of_core_metadata_wins_when_both_are_there() -> None:
    assert anchor(f'data-dist-info-metadata="sha256={B}" data-core-metadata="sha256={A}"').core_metadata == (
        ("sha256", A),
    )
    assert anchor("").core_metadata is None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("0", 0),
        ("123456", 123456),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("\uff11", None),
        ("9" * 30, None),
        ("x", None),
    ],
)
def test_a_size_is_read_when_it_is_a_whole_number(value: str, size: int | None) -> None:
    assert anchor(f'data-size="{value}"').size == size


TIMES = [
    ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
    ("2024-05-06T07:08:09.123456Z", datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)),
    ("2024-05-06T07:08:09+00:00", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
    ("2024-05-06T07:08:09+02:00", None),
    ("2024-05-06T07:08:09", None),
    ("2024-05-06", None),
    ("yesterday", None),
    ("", None),
]


@pytest.mark.parametrize(("value", "time"), TIMES)
def test_an_upload_time_is_read_when_it_is_one_in_utc(value: str, time: datetime | None) -> None:
    assert anchor(f'data-upload-time="{value}"').upload_time == time
    assert entry(upload_time=value).upload_time == time


def test_the_other_attributes_are_read_when_they_are_there() -> None:
    file = anchor(
        'data-requires-python="&gt;=3.8,&lt;4" data-gpg-sig="true" data-provenance="https://index.example/provenance"'
    )
    assert file.requires_python == ">=3.8,<4"
    assert file.gpg_sig is True
    assert file.provenance == "https://index.example/provenance"
    assert anchor("data-requires-python='>=3.8,<4' data-gpg-sig='false'").requires_python == ">=3.8,<4"
    assert anchor('data-requires-python="" data-gpg-sig="perhaps" data-provenance=""') == anchor("")


def test_a_page_is_read_as_a_browser_does_when_it_is_not_well_formed() -> None:
    detail = parse_html(f"<HTML><BODY><P><A HREF={SDIST}#sha256={A} DATA-YANKED>one<A HREF='demo-2.0.zip'>two")
    assert [(file.filename, file.sha256, file.yanked) for file in detail.files] == [
        (SDIST, A, True),
        ("demo-2.0.zip", None, False),
    ]


# ── HTML: the page ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", '<a href="demo-1.0.zip" data-yanked="caf\xe9">'.encode()),
        ("text/html; charset=utf-8", '<a href="demo-1.0.zip" data-yanked="caf\xe9">'.encode()),
        ("text/html; charset=latin-1", '<a href="demo-1.0.zip" data-yanked="caf\xe9">'.encode("latin-1")),
        ("text/html; charset=Windows-1252", '<a href="demo-1.0.zip" data-yanked="caf\xe9">'.encode("cp1252")),
        ("text/html; charset=utf-16", '<a href="demo-1.0.zip" data-yanked="caf\xe9">'.encode("utf-16")),
        ("text/html", b'<a href="demo-1.0.zip" data-yanked="caf&#xe9;">'),
    ],
)
def test_a_reason_is_decoded_when_the_answer_has_a_character_set(content_type: str, body: bytes) -> None:
    assert parse_html(body, content_type=content_type).files[0].yanked == "caf\xe9"


def test_a_page_is_read_when_a_byte_does_not_fit_the_character_set() -> None:
    assert parse_html(b'<a href="demo-1.0.zip" data-yanked="caf\xe9">').files[0].yanked == "caf\ufffd"


@pytest.mark.parametrize("charset", ["bogus", "hex", "rot13", "zip", "''"])
def test_a_page_is_refused_when_its_character_set_is_unknown(charset: str) -> None:
    with pytest.raises(PageError, match="the character set "):
        parse_html(f'<a href="{SDIST}">', content_type=f"text/html; charset={charset}")


@pytest.mark.parametrize("charset", ["idna", "undefined", "punycode", "utf-8\0"])
def test_a_page_is_refused_when_its_character_set_cannot_decode_it(charset: str) -> None:
    with pytest.raises(PageError):
        parse_html(f'<a href="{SDIST}">caf\xe9</a>', content_type=f"text/html; charset={charset}")


def test_the_project_status_is_read_when_the_head_has_one() -> None:
    detail = parse_html(
        '<META NAME="PyPI:Project-Status" CONTENT=" archived ">'
        '<meta name="pypi:project-status-reason" content="use &lt;other&gt;">'
        f'<a href="{SDIST}">'
    )
    assert (detail.status, detail.status_reason) == ("archived", "use <other>")


def test_the_project_is_active_when_the_head_does_not_say() -> None:
    detail = parse_html(f'<meta name="pypi:project-status" content=""><a href="{SDIST}">')
    assert (detail.status, detail.status_reason, detail.versions, detail.name) == ("active", None, None, None)


VERSIONS = ["1.0", "1.1", "1.4", "1.10", "1.999"]
BAD_VERSIONS = ["2.0", "0.9", "10.0", "1", "1.", ".1", "1.0.0", "1.x", "v1.0", "-1.0", "\uff11.0", "1,0", "garbage"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_page_is_read_when_its_api_version_is_of_the_same_major(version: str) -> None:
    page = parse_html(f'<meta name="pypi:repository-version" content="{version}"><a href="{SDIST}">')
    assert page.api_version == parse_json(make_page(meta={"api-version": version})).api_version == version


@pytest.mark.parametrize("version", BAD_VERSIONS)
def test_a_page_is_refused_when_its_api_version_is_another_or_none(version: str) -> None:
    head = f'<meta name="pypi:repository-version" content="{version}">'
    with pytest.raises(PageError, match="API version"):
        parse_html(f'{head}<a href="{SDIST}">')
    with pytest.raises(PageError, match="API version"):
        parse_json(make_page(meta={"api-version": version}))
    with pytest.raises(PageError, match="API version"):
        parse_project_list(f'{head}<a href="demo/">demo</a>'.encode(), content_type="text/html", url=URL)


def test_the_api_version_is_1_0_when_the_page_does_not_say() -> None:
    assert parse_html(f'<a href="{SDIST}">').api_version == "1.0"
    assert parse_json({"files": []}).api_version == "1.0"


@pytest.mark.parametrize(
    "body",
    [b"", b"  \n", b"\0\0", b"plain text", b"<html><body><p>Log in</p></body></html>", b"<!-- <a href=x.zip> -->"],
)
def test_an_html_page_is_refused_when_it_has_no_link_at_all(body: bytes) -> None:
    with pytest.raises(PageError):
        parse_html(body)


def test_a_page_is_read_when_it_is_deep() -> None:
    assert len(parse_html("<div>" * 20_000 + f'<a href="{SDIST}">x</a>').files) == 1


def test_no_credential_of_the_page_is_in_the_message_when_it_is_refused() -> None:
    with pytest.raises(PageError) as caught:
        parse_html("", url="https://robot:hunter2@index.example/simple/demo/?key=hunter2")
    assert str(caught.value).startswith("https://index.example/simple/demo/: ")
    assert "hunter2" not in str(caught.value)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────


def test_every_key_is_read_when_a_json_page_has_it() -> None:
    detail = parse_json(
        {
            "meta": {"api-version": "1.4", "_last-serial": 7},
            "name": "demo",
            "versions": ["1.0", "not a version"],
            "project-status": {"status": "deprecated", "reason": "old"},
            "files": [
                {
                    "filename": SDIST,
                    "url": f"../../files/{SDIST}#fragment",
                    "hashes": {"SHA256": A.upper(), "md5": "00", "crc32": "00"},
                    "size": 1234,
                    "upload-time": "2024-05-06T07:08:09.5Z",
                    "requires-python": ">=3.8,<4",
                    "yanked": "broken",
                    "core-metadata": {"sha256": B},
                    "gpg-sig": True,
                    "provenance": "https://index.example/provenance",
                    "x-future": {"deep": [1]},
                }
            ],
            "alternate-locations": ["https://other.example/"],
        }
    )
    assert detail == ProjectDetail(
        name="demo",
        api_version="1.4",
        versions=("1.0", "not a version"),
        status="deprecated",
        status_reason="old",
        serial=7,
        files=(
            File(
                filename=SDIST,
                url=f"https://index.example/root/files/{SDIST}",
                hashes=(("md5", "00"), ("sha256", A)),
                size=1234,
                upload_time=datetime(2024, 5, 6, 7, 8, 9, 500_000, tzinfo=UTC),
                requires_python=">=3.8,<4",
                yanked="broken",
                core_metadata=(("sha256", B),),
                gpg_sig=True,
                provenance="https://index.example/provenance",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        (SDIST, URL + SDIST),
        (f"/files/{SDIST}", f"https://index.example/files/{SDIST}"),
        (f"//files.example/{SDIST}", f"https://files.example/{SDIST}"),
        (f"https://files.example/{SDIST}#sha256={A}", f"https://files.example/{SDIST}"),
        (f"HTTPS://files.example/{SDIST}", f"https://files.example/{SDIST}"),
    ],
)
def test_a_url_is_made_absolute_when_a_json_page_is_read(url: str, absolute: str) -> None:
    assert entry(url=url).url == absolute


@pytest.mark.parametrize(
    ("value", "yanked"), [(True, True), ("broken", "broken"), (False, False), ("", False), (None, False)]
)
def test_a_file_is_yanked_when_the_key_is_true_or_a_reason(value: object, yanked: bool | str) -> None:
    assert entry(yanked=value).yanked == yanked


@pytest.mark.parametrize("value", [1, ["broken"], {"reason": "broken"}])
def test_a_file_is_yanked_when_the_key_is_truthy_of_another_type(value: object) -> None:
    assert entry(yanked=value).yanked


@pytest.mark.parametrize(
    ("keys", "core_metadata"),
    [
        ({"core_metadata": True}, True),
        ({"core_metadata": False}, False),
        ({"core_metadata": None}, None),
        ({"core_metadata": {}}, False),
        ({"core_metadata": {"sha256": A}}, (("sha256", A),)),
        ({"core_metadata": {"crc32": "00"}}, True),
        ({"dist_info_metadata": {"sha256": A}}, (("sha256", A),)),
        ({"dist_info_metadata": True}, True),
        ({"core_metadata": False, "dist_info_metadata": {"sha256": A}}, False),
        ({"core_metadata": {"sha256": A}, "dist_info_metadata": {"sha256": B}}, (("sha256", A),)),
        ({"data_dist_info_metadata": {"sha256": A}}, None),
        ({"core_metadata": "true"}, None),
    ],
)
def test_core_metadata_is_read_when_either_key_is_there(
    keys: dict[str, object], core_metadata: bool | tuple[tuple[str, str], ...] | None
) -> None:
    assert entry(**keys).core_metadata == core_metadata


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", -1),
        ("size", 1.5),
        ("size", "1234"),
        ("size", True),
        ("size", 2**63),
        ("size", 1e30),
        ("size", None),
        ("size", []),
        ("upload-time", 1234),
        ("upload-time", None),
        ("upload-time", "yesterday"),
        ("requires-python", None),
        ("requires-python", ""),
        ("requires-python", 3),
        ("gpg-sig", "true"),
        ("gpg-sig", None),
        ("provenance", None),
        ("provenance", ""),
        ("provenance", {}),
        ("core-metadata", []),
        ("unknown", {"a": [1, None]}),
    ],
)
def test_a_file_is_read_when_an_optional_key_has_an_odd_value(key: str, value: object) -> None:
    assert parse_json(make_page({key: value})) == parse_json(make_page())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 3),
        ("name", None),
        ("versions", "1.0"),
        ("versions", {}),
        ("versions", None),
        ("project-status", None),
        ("project-status", "archived"),
        ("project-status", []),
        ("project-status", {}),
        ("project-status", {"status": 3, "reason": 4}),
        ("project-status", {"status": "", "reason": ""}),
        ("unknown", None),
    ],
)
def test_a_page_is_read_when_an_optional_key_has_an_odd_value(key: str, value: object) -> None:
    page = {"files": [], key: value}
    assert parse_json(page) == parse_json({"files": []})


def test_the_texts_among_the_versions_are_kept_when_others_are_there() -> None:
    assert parse_json(make_page(versions=["1.0", 2, None, "x"])).versions == ("1.0", "x")


def test_hashes_may_be_empty_when_an_upstream_has_none() -> None:
    assert entry(hashes={}).hashes == ()
    assert entry(hashes={"sha256": None, "md5": 3, "sha1": "xyz"}).hashes == ()


def test_a_json_page_without_files_is_read_when_it_says_so() -> None:
    assert parse_json(make_page(files=[])).files == ()


@pytest.mark.parametrize("key", ["filename", "url", "hashes"])
@pytest.mark.parametrize("value", [None, 3, []])
def test_a_page_is_refused_when_a_required_key_of_a_file_does_not_fit(key: str, value: object) -> None:
    with pytest.raises(PageError, match=rf"\$\.files\[0\]\.{key}"):
        parse_json(make_page({key: value}))


@pytest.mark.parametrize("key", ["filename", "url", "hashes"])
def test_a_page_is_refused_when_a_required_key_of_a_file_is_missing(key: str) -> None:
    page = make_page()
    del page["files"][0][key]
    with pytest.raises(PageError, match=f"missing required field `{key}`"):
        parse_json(page)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"null",
        b"[]",
        b"3",
        b'"text"',
        b"{}",
        b"{",
        b'{"files": null}',
        b'{"files": {}}',
        b'{"files": [null]}',
        b'{"files": [[]]}',
        b'{"files": []} trailing',
        b'{"files": [], "meta": null}',
        b'{"files": [], "meta": []}',
        b'{"files": [], "meta": {"api-version": null}}',
        b'{"files": [], "meta": {"api-version": 1}}',
        b'{"files": [], "meta": {"api-version": true}}',
        b'{"files": [], "name": "\\ud800"}',
        b'{"files": [{"filename": "\xff", "url": "x", "hashes": {}}]}',
        b'{"files": [{"filename": "x", "url": "x", "hashes": {}, "size": NaN}]}',
        b'{"files": [{"filename": "x", "url": "//[/x", "hashes": {}}]}',
        b"[" * 100_000,
        b'{"files": [], "x": ' + b"[" * 100_000,
        b"<html></html>",
    ],
)
def test_a_json_page_is_refused_when_it_is_none(body: bytes) -> None:
    with pytest.raises(PageError) as caught:
        parse_json(body)
    assert str(caught.value).startswith(f"{URL}: ")
    assert str(caught.value).isprintable()


# ── the list of projects ────────────────────────────────────────────────────────────────────────────


def parse_list(body: str | bytes, content_type: str) -> ProjectList:
    return parse_project_list(
        body.encode() if isinstance(body, str) else body, content_type=content_type, url="https://index.example/simple/"
    )


def test_a_list_is_read_when_it_is_html() -> None:
    page = parse_list(
        '<meta name="pypi:repository-version" content="1.1">'
        '<a href="demo/"> Demo_Tool\n</a><A HREF="/simple/b/">b</A><a name="x">x</a><a href="">y</a><a href="z/"></a>',
        "text/html",
    )
    assert page == ProjectList(projects=("Demo_Tool", "b"), api_version="1.1")


def test_a_list_is_read_when_it_is_json() -> None:
    page = parse_list(
        '{"meta":{"api-version":"1.0"},"projects":[{"name":"Demo_Tool","_last-serial":3},{"name":"b"}]}', JSON
    )
    assert page == ProjectList(projects=("Demo_Tool", "b"), api_version="1.0")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "text/html"),
        ("<p>nothing</p>", "text/html"),
        ('<a href="">x</a>', "text/html"),
        ("", JSON),
        ("{}", JSON),
        ('{"projects": null}', JSON),
        ('{"projects": [{}]}', JSON),
        ('{"projects": [{"name": 3}]}', JSON),
        ('{"projects": ["demo"]}', JSON),
        ('{"projects": [], "meta": {"api-version": "2.0"}}', JSON),
        ('{"projects": []}', JSON),
    ],
)
def test_a_list_is_refused_when_it_is_none(body: str, content_type: str) -> None:
    with pytest.raises(PageError):
        parse_list(body, content_type)


# ── the end of a page ───────────────────────────────────────────────────────────────────────────────

LINK = '<a href="demo-1.0.tar.gz">demo</a>'
LONG = "x" * 10_000
UNENDED = Cut(problem="the page ends before its </html>", is_certain=False)
ENDED_EARLY = Cut(problem="the page ends before its </html>")
IN_TAG = Cut(problem="the page ends within a tag")
IN_LINK = Cut(problem="the page ends within a link")
ENDS = {
    "an end tag": (f"<html><body>{LINK}</body></html>\n", None, None),
    "an end tag in capitals": (f"<HTML><BODY>{LINK}</BODY></Html >", None, None),
    "a long comment after the end tag": (f"<html><body>{LINK}</body></html><!-- {LONG} -->", None, None),
    "a long script after the end tag": (f"<html>{LINK}</html><script>{LONG} 1 < 2</script>", None, None),
    "an end tag before a link": (f"<html><body></body></html>{LINK}{LONG}", UNENDED, ENDED_EARLY),
    "no end tag": (f"<!DOCTYPE html><html lang=en><title>x</title><body>{LINK}<br>", UNENDED, ENDED_EARLY),
    "no end tag after a long comment": (f"<!-- {LONG} --><body>{LINK}", UNENDED, ENDED_EARLY),
    "no document at all": (LINK, None, ENDED_EARLY),
    "within a tag": (f'<html><body>{LINK}<a href="demo-2.0', IN_TAG, IN_TAG),
    "within a long tag": (f'<html><body>{LINK}<a title="{LONG}', IN_TAG, IN_TAG),
    "within a tag with a sign in it": (f'<html>{LINK}<a href="x" data-requires-python=">=3', IN_LINK, IN_LINK),
    "within a link": (f"<html><body>{LINK}<a href='demo-2.0.tar.gz'>demo-2", IN_LINK, IN_LINK),
    "within a link that is broken": (f"<html><body>{LINK}<a\nhref='demo-2.0.tar.gz'>{LONG}", IN_LINK, IN_LINK),
    "within no document": ("<a href='demo-2.0.tar.gz'>demo-2", IN_LINK, IN_LINK),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16"])
@pytest.mark.parametrize("name", ENDS)
def test_the_end_of_a_page_is_told_from_a_cut(name: str, encoding: str) -> None:
    text, delimited, not_delimited = ENDS[name]
    body = text.encode(encoding)

    assert find_cut(body, content_type="text/html", is_delimited=True) == delimited
    assert find_cut(body, content_type="text/html", is_delimited=False) == not_delimited


@pytest.mark.parametrize("piece", [b"<a ", b"</html", b"<html", b"</a", b"<", b">", b"</", b"\0", b"<\0a\0 \0"])
def test_a_large_page_is_looked_at_at_once_when_it_is_made_of_one_sign(piece: bytes) -> None:
    """What took more than one pass would never end."""
    body = b"<html>" + piece * (8_000_000 // len(piece)) + b"x" * 5000

    find_cut(body, content_type="text/html", is_delimited=True)


def test_a_page_is_refused_when_its_content_type_is_very_long() -> None:
    """The library's time for one grows with the square of its length."""
    with pytest.raises(PageError, match="content type"):
        parse_html("<html></html>", content_type="text/html; x=" + '"' + ";" * 1_000_000)
