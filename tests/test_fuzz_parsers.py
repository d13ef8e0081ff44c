"""Whatever comes is read or refused, and nothing else happens; and tags are told apart as a browser does it."""

from __future__ import annotations

import json
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.targets import SEEDS, TARGETS
from pymirror.simple.tags import walk_tags

_SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

_PIECES = [
    *("<a ", "<a", ">", " href=", '"', "'", "x.zip", "</a>", "<!--", "-->", "--!>", "<!", "<?", "/", "</", " ", "\n"),
    *("data-yanked", "<br>", "<p>", "<title>", "</title>", "<script>", "</script>", "&amp;", "&copy", "&copy="),
    *("&lt", "<A HREF=a>", "\0", "text", "<template>", "</template>", "<style>", "</style", "<meta name=x content=y>"),
    *("\r\n", "<a href='demo-1.0.zip#sha256=00'>t</a>", "-", "!", "<textarea>", "</textarea >", "<base href=//[>"),
    *("<a href=https://[x/demo-1.0.zip>", "&#9999999999;", "<plaintext>", "<svg>", "<![CDATA[", "]]>", "\ud7ff"),
    *("=", "&#x41;"),
]  # fmt: skip

_html = st.lists(st.sampled_from(_PIECES), max_size=20).map(lambda pieces: "".join(pieces))
_json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_file = st.fixed_dictionaries(
    {"filename": st.text(max_size=20) | _json_values, "url": st.text(max_size=20), "hashes": _json_values},
    optional=dict.fromkeys(
        ("size", "upload-time", "requires-python", "yanked", "core-metadata", "gpg-sig", "provenance"), _json_values
    ),
)
_page = st.fixed_dictionaries(
    {"files": st.lists(_file, max_size=3) | _json_values},
    optional=dict.fromkeys(("meta", "name", "versions", "project-status", "projects", "releases"), _json_values),
)


@pytest.mark.parametrize("name", TARGETS)
@_SETTINGS
@given(data=st.binary(max_size=200))
@pytest.mark.no_cover
def test_nothing_else_is_raised_when_bytes_are_read(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize("name", ["html", "lists"])
@_SETTINGS
@given(text=_html)
@pytest.mark.no_cover
def test_nothing_else_is_raised_when_markup_is_read(name: str, text: str) -> None:
    TARGETS[name](text.encode())


@pytest.mark.parametrize("name", ["json", "lists", "legacy"])
@_SETTINGS
@given(page=_page)
@pytest.mark.no_cover
def test_nothing_else_is_raised_when_a_page_has_odd_values(name: str, page: dict[str, Any]) -> None:
    TARGETS[name](json.dumps(page).encode())


@_SETTINGS
@given(text=_html, cut=st.integers(0, 200))
@pytest.mark.no_cover
def test_the_first_tags_are_the_same_when_a_page_is_cut(text: str, cut: int) -> None:
    """What was read of the beginning does not change by what follows it, but for a tag that was not over."""
    wanted = {"a": frozenset({"href"})}.get
    whole = [tag.attributes for tag in walk_tags(text.replace("\r", ""), wanted)]
    part = [tag.attributes for tag in walk_tags(text.replace("\r", "")[:cut], wanted)]
    assert part == whole[: len(part)]


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append({name: value for name, value in reversed(attrs) if name == "href"})


@_SETTINGS
@given(
    anchors=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12), max_size=4
    )
)
@pytest.mark.no_cover
def test_addresses_come_back_when_they_were_written_by_another(anchors: list[str]) -> None:
    text = "<!DOCTYPE html><html><body>" + "".join(f'<a href="{escape(href)}">x</a><br>\n' for href in anchors)
    other = _Anchors()
    other.feed(text)
    mine = [tag.attributes for tag in walk_tags(text, {"a": frozenset({"href"})}.get)]
    assert mine == other.found == [{"href": href} for href in anchors]


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_fuzzer_begins_with_is_read_when_it_starts(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        TARGETS[name](seed[: len(seed) // 2])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!-- <a href=1> --!><a href=2>", ["2"]),
        ("<!--><a href=1>", ["1"]),
        ("<!---><a href=1>", ["1"]),
        ("<!-- <a href=1>", []),
        ("<! <a href=1><a href=2>", ["2"]),
        ("<?x <a href=1><a href=2>", ["2"]),
        ("</ <a href=1><a href=2>", ["2"]),
        ("</a <a href=1><a href=2>", ["2"]),
        ("<<a href=1>", ["1"]),
        ("<a/href=1/x>", ["1/x"]),
        ("<a href=1 href=2>", ["1"]),
        ("<a href = '>' ><a href=\">\">", [">", ">"]),
        ("<a href=a\"b'c>", ["a\"b'c"]),
        ("<a href='1><a href=2>", []),
        ("<a href='1'x='<a href=2>'>", ["1"]),
        ("<a href>", [None]),
        ("<a href=>", [None]),
        ("<a =href=1>", [None]),
        ("<a href=1", []),
        ("<abbr href=1><a\nhref=2>", ["2"]),
        ("<a href='&amp;&AMP&copy=1&copyx&#65&#x42;&bogus;'>", ["&&&copy=1&copyxAB&bogus;"]),
        ("<a href='a\0b'>", ["a\ufffdb"]),
        ("<script><a href=1></SCRIPT ><a href=2>", ["2"]),
        ("<script><a href=1></scripts><a href=2>", []),
        ("<title><a href=1></title><a href=2>", ["2"]),
        ("<template><a href=1><template></template><a href=2></template><a href=3>", ["3"]),
        ("<plaintext><a href=1>", []),
    ],
)
def test_tags_are_those_that_a_browser_sees_when_markup_is_odd(text: str, expected: list[str | None]) -> None:
    assert [tag.attributes.get("href") for tag in walk_tags(text, {"a": frozenset({"href"})}.get)] == expected
