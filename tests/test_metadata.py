"""METADATA and PKG-INFO of every age become values, and nothing in them is an error."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymirror.metadata import MAX_HEADER_BYTES, MAX_METADATA_BYTES, CoreMetadata, parse_core_metadata

FULL = """\
Metadata-Version: 2.4
Name: Demo.Project
Version: 1!2.0+local
Dynamic: license-file
Dynamic: requires-dist
Platform: linux
Platform: win32
Summary: caf\xe9 \U0001f4a5 "quoted" <b>
Description-Content-Type: text/markdown; charset=UTF-8
Keywords: one,two words, three
Home-page: https://example.com/?a=b&c=d
Download-URL: https://example.com/demo.tar.gz
Author: A. Uthor
Author-email: "A. Uthor" <author@example.com>
Maintainer: M. Aintainer
Maintainer-email: m@example.com
License: MIT
License-Expression: MIT AND (Apache-2.0 OR BSD-2-Clause)
License-File: LICENSE
License-File: licenses/OTHER.txt
Classifier: Programming Language :: Python :: 3
Classifier: Typing :: Typed
Requires-Dist: requests[socks]>=2.31; python_version < "3.13"
Requires-Dist: idna
Requires-Python: >=3.8,!=3.9.*
Requires-External: C
Project-URL: Source, https://example.com/source
Project-URL: Changes, https://example.com/changes, and more
Provides-Extra: socks
Provides-Extra: test
Import-Name: demo
X-Unheard-Of: anything

# Demo

Some text.
"""


def parse(text: str) -> CoreMetadata:
    return parse_core_metadata(text.encode())


def test_every_field_is_read_when_all_are_there() -> None:
    assert parse(FULL) == CoreMetadata(
        metadata_version="2.4",
        name="Demo.Project",
        version="1!2.0+local",
        dynamic=("license-file", "requires-dist"),
        platforms=("linux", "win32"),
        summary='caf\xe9 \U0001f4a5 "quoted" <b>',
        description="# Demo\n\nSome text.\n",
        description_content_type="text/markdown; charset=UTF-8",
        keywords=("one", "two words", "three"),
        home_page="https://example.com/?a=b&c=d",
        download_url="https://example.com/demo.tar.gz",
        author="A. Uthor",
        author_email='"A. Uthor" <author@example.com>',
        maintainer="M. Aintainer",
        maintainer_email="m@example.com",
        license="MIT",
        license_expression="MIT AND (Apache-2.0 OR BSD-2-Clause)",
        license_files=("LICENSE", "licenses/OTHER.txt"),
        classifiers=("Programming Language :: Python :: 3", "Typing :: Typed"),
        requires_dist=('requests[socks]>=2.31; python_version < "3.13"', "idna"),
        requires_python=">=3.8,!=3.9.*",
        requires_external=("C",),
        project_urls=(
            ("Source", "https://example.com/source"),
            ("Changes", "https://example.com/changes, and more"),
        ),
        provides_extra=("socks", "test"),
    )


def test_no_field_is_forgotten_when_all_are_there() -> None:
    found, empty = parse(FULL), CoreMetadata()
    names = [field.name for field in dataclasses.fields(CoreMetadata)]
    assert [name for name in names if getattr(found, name) == getattr(empty, name)] == []


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\0", b":", b"\xff\xfe", b" a\n b", b"Name", b"Name:", b"From x\nName: a"]
)
def test_nothing_is_found_when_nothing_is_there(data: bytes) -> None:
    assert dataclasses.replace(parse_core_metadata(data), description="") == CoreMetadata()


def test_it_is_read_as_ever_when_the_metadata_version_is_not_known() -> None:
    found = parse("Metadata-Version: 99.7\nName: demo\nVersion: 1.0\nSummary: of tomorrow\nNew-Field: x\n\n")
    assert (found.metadata_version, found.name, found.summary) == ("99.7", "demo", "of tomorrow")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_line_ends_do_not_matter_when_they_are_those_of_any_system(end: str) -> None:
    assert parse_core_metadata(FULL.replace("\n", end).encode()) == parse(FULL)


def test_names_are_found_when_their_case_is_another() -> None:
    assert parse("NAME: demo\nrequires-DIST: a\nRequires-Dist: b\nhome-PAGE: https://example.com/\n") == CoreMetadata(
        name="demo", requires_dist=("a", "b"), home_page="https://example.com/"
    )


def test_the_first_counts_when_a_single_field_stands_twice() -> None:
    found = parse(
        "Name: one\nName: two\nSummary: first\n folded\nSummary: second\n folded too\nKeywords: a\nKeywords: b\n"
    )
    assert found == CoreMetadata(name="one", summary="first folded", keywords=("a",))


def test_the_body_counts_when_the_description_is_a_field_too() -> None:
    assert parse("Description: of the field\n\nof the body\n").description == "of the body\n"


# ── descriptions and other long texts ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Description: one\n        two\n        \n            indented\n        end\n",
            "one\ntwo\n\n    indented\nend",
        ),
        (
            "Description: one\n       |two\n       |\n       |    indented\n       |end\n",
            "one\ntwo\n\n    indented\nend",
        ),
        ("Description: one\n  two\n    indented\n", "one\ntwo\n  indented"),
        ("Description: one\n\ttwo\n", "one\ntwo"),
        ("Description: one\n            all indented\n", "one\n    all indented"),
        ("Description: one\n        two\nSummary: x\n", "one\ntwo"),
        ("Description: \n        after a blank line\n", "\nafter a blank line"),
        ("Description: a | b\n        c\n       |d\n", "a | b\n c\n|d"),
    ],
)
def test_a_description_loses_its_indentation_when_it_is_a_field(text: str, expected: str) -> None:
    assert parse(text).description == expected


def test_a_license_keeps_its_lines_when_it_is_a_whole_text() -> None:
    assert parse("License: MIT\n        \n        Permission is\n          granted\n").license == (
        "MIT\n\nPermission is\n  granted"
    )


def test_other_texts_become_one_line_when_they_are_folded() -> None:
    found = parse("Summary: one\n   two\n\tthree\nRequires-Dist: a\n  >=1\nClassifier: x ::\n y\n")
    assert found == CoreMetadata(summary="one two three", requires_dist=("a >=1",), classifiers=("x :: y",))


def test_the_body_begins_when_a_line_is_no_field() -> None:
    found = parse("Name: demo\nthis is: no field\nSummary: nor is this\n")
    assert found == CoreMetadata(name="demo", description="this is: no field\nSummary: nor is this\n")


@pytest.mark.parametrize(
    "header",
    [
        "Content-Type: multipart/mixed; boundary=x",
        "Content-Type: text/plain; charset=utf-16",
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: quoted-printable",
    ],
)
def test_the_body_is_taken_as_it_is_when_a_field_of_mail_says_otherwise(header: str) -> None:
    assert parse(f"{header}\nName: demo\n\n--x\n\nZGVtbw== =3D\n--x--\n").description == "--x\n\nZGVtbw== =3D\n--x--\n"


def test_control_characters_stay_when_a_text_has_some() -> None:
    found = parse("Summary: a\x00b\x0bc\x0cd\x1ce\x85f\u2028g\x1b[31m\n\nh\x00i\x0c\u2029\n")
    assert found == CoreMetadata(summary="a\x00b\x0bc\x0cd\x1ce\x85f\u2028g\x1b[31m", description="h\x00i\x0c\u2029\n")


def test_bytes_are_taken_for_latin_1_when_they_are_not_utf_8() -> None:
    found = parse_core_metadata(b"Name: demo\nAuthor: J\xf6rg\n\ncaf\xe9\n")
    assert found == CoreMetadata(name="demo", author="J\xf6rg", description="caf\xe9\n")


def test_the_fields_stay_utf_8_when_only_the_body_is_not() -> None:
    found = parse_core_metadata("Author: J\xf6rg\n\n".encode() + b"caf\xe9\n")
    assert found == CoreMetadata(author="J\xf6rg", description="caf\xe9\n")


# ── UNKNOWN, keywords, URLs ─────────────────────────────────────────────────────────────────────────


def test_unknown_is_nothing_when_distutils_wrote_it() -> None:
    fields = (
        "Version",
        "Summary",
        "Home-page",
        "Author",
        "Author-email",
        "License",
        "Platform",
        "Keywords",
        "Description",
    )
    text = "\n".join(["Metadata-Version: 1.0", "Name: demo", *(f"{field}: UNKNOWN" for field in fields), ""])
    assert parse(text) == CoreMetadata(metadata_version="1.0", name="demo")


def test_unknown_is_nothing_when_it_is_the_body() -> None:
    assert parse("Name: demo\nDescription: known\n\nUNKNOWN\n\n\n").description == "known"


def test_unknown_is_a_name_when_a_project_has_it() -> None:
    assert parse("Name: UNKNOWN\nSummary: UNKNOWN is not known\n") == CoreMetadata(
        name="UNKNOWN", summary="UNKNOWN is not known"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one,two words , three", ("one", "two words", "three")),
        ("one two\tthree", ("one", "two", "three")),
        ("one; two words;", ("one", "two words")),
        ("one; still one, two", ("one; still one", "two")),
        ("\"one\", 'two'", ("one", "two")),
        ("one,\n  two,\n  three", ("one", "two", "three")),
        ("one", ("one",)),
        (" , ,", ()),
        ("", ()),
    ],
)
def test_keywords_are_told_apart_when_written_in_any_way(text: str, expected: tuple[str, ...]) -> None:
    assert parse(f"Keywords: {text}\n").keywords == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Home, https://example.com/"], (("Home", "https://example.com/"),)),
        (["https://example.com/"], (("", "https://example.com/"),)),
        (["https://example.com/a,b"], (("", "https://example.com/a,b"),)),
        (["Home,https://example.com/a,b"], (("Home", "https://example.com/a,b"),)),
        (["A, https://a.example/", "A, https://b.example/"], (("A", "https://a.example/"), ("A", "https://b.example/"))),
        (["B, https://b.example/", "A, https://a.example/"], (("B", "https://b.example/"), ("A", "https://a.example/"))),
        (["A, https://a.example/", "A, https://b.example/", "https://c.example/x,y"],
         (("A", "https://a.example/"), ("A", "https://b.example/"), ("", "https://c.example/x,y"))),
        (["only a label", "", ",", "UNKNOWN"], ()),
    ],
)  # fmt: skip
def test_project_urls_are_pairs_when_written_in_any_way(
    lines: list[str], expected: tuple[tuple[str, str], ...]
) -> None:
    assert parse("".join(f"Project-URL: {line}\n" for line in lines)).project_urls == expected


# ── anything ────────────────────────────────────────────────────────────────────────────────────────

_LINES = st.sampled_from(
    [
        "Name: ",
        "Summary:",
        "Keywords: a",
        "Project-URL: a,",
        "Description: ",
        " ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        ":",
        ",",
        ";",
    ]
)


@given(
    st.lists(_LINES | st.text(max_size=8), max_size=30).map("".join).map(lambda text: text.encode("utf-8", "replace"))
)
def test_nothing_is_raised_when_any_text_is_read(data: bytes) -> None:
    found = parse_core_metadata(data)
    values = [getattr(found, field.name) for field in dataclasses.fields(found)]
    texts = [text for value in values for text in (value if isinstance(value, tuple) else (value or "",)) if text]
    assert not [text for text in texts if not isinstance(text, tuple) and not text.strip()]
    assert found.summary == " ".join(found.summary.split("\n")).strip()


@given(st.binary(max_size=200))
def test_nothing_is_raised_when_any_bytes_are_read(data: bytes) -> None:
    parse_core_metadata(data)
    parse_core_metadata(b"Summary: " + data)


@pytest.mark.parametrize(
    "line",
    [
        b"Name:\n",
        b"Classifier:\n",
        b" \n",
        b"Keywords: ,\n",
        b"Project-URL: a,b\n",
        b"nAmE:\xff\n",
        b",",
        b" ",
        b"'",
        b":",
    ],
)
@pytest.mark.no_cover
def test_it_ends_when_the_fields_are_as_many_as_may_be(line: bytes) -> None:
    header = b"Description: x\n" + line * (MAX_HEADER_BYTES // len(line))
    assert parse_core_metadata(header + b"\n\nbody").metadata_version is None


@pytest.mark.no_cover
def test_it_ends_when_there_are_many_names_and_a_long_body() -> None:
    names = b"".join(b"x-%d:\n" % number for number in range(MAX_HEADER_BYTES // 10))
    found = parse_core_metadata(b"Name: demo\n" + names + b"\n" + b"\xff\r" * (MAX_METADATA_BYTES // 2))
    assert found.name == "demo"
    assert found.description == "\xff\n" * (MAX_METADATA_BYTES // 2)
