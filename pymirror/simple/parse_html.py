"""HTML pages (PEP 503), read as a browser reads them."""

from __future__ import annotations

import codecs
import re
from urllib.parse import unquote, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pymirror.distribution import DISTRIBUTION_SUFFIXES
from pymirror.errors import PageError
from pymirror.simple.model import File, Hashes, ProjectDetail, ProjectList, make_hashes, parse_upload_time

MAX_ANCHORS = 1_000_000
MAX_OTHER_TAGS = 100_000

_ANCHOR = re.compile(r"<a\b", re.IGNORECASE)
_OTHER_TAG = re.compile(r"<(?!/|a\b|br\b)[a-z!?]", re.IGNORECASE)
_CHARSETS = frozenset({"utf-8", "utf-16", "ascii", "iso8859-1", "cp1252"})
_SUFFIXES = tuple(suffix.lower() for suffix in DISTRIBUTION_SUFFIXES)


def parse_html_detail(body: bytes, *, charset: str | None, url: str) -> ProjectDetail:
    """A project page. An anchor that links to no distribution is passed over; no anchor at all is an error.

    Raises :class:`PageError`.
    """
    page = _parse(body, charset, url)
    base = _base(page, url)
    meta = _meta(page)
    files = []
    anchors = 0
    for anchor in page.css("a"):
        anchors += 1
        file = _parse_anchor(anchor, base)
        if file is not None:
            files.append(file)
    if not anchors:
        raise PageError(url, "the page has no link at all; an empty answer is not taken for an empty project")
    return ProjectDetail(
        files=tuple(files),
        api_version=meta.get("pypi:repository-version") or "1.0",
        status=meta.get("pypi:project-status") or "active",
        status_reason=meta.get("pypi:project-status-reason") or None,
    )


def parse_html_list(body: bytes, *, charset: str | None, url: str) -> ProjectList:
    """The page of all projects: the text of each anchor that links somewhere. Raises :class:`PageError`."""
    page = _parse(body, charset, url)
    names = []
    for anchor in page.css("a"):
        name = anchor.text(strip=True)
        if anchor.attributes.get("href") and name:
            names.append(name)
    if not names:
        raise PageError(url, "the list has no project; an empty answer is not taken for an empty index")
    return ProjectList(projects=tuple(names), api_version=_meta(page).get("pypi:repository-version") or "1.0")


def _parse(body: bytes, charset: str | None, url: str) -> LexborHTMLParser:
    if not body.strip():
        raise PageError(url, "the answer is empty")
    try:
        codec = codecs.lookup(charset or "utf-8").name
    except (LookupError, ValueError):
        codec = ""
    if codec not in _CHARSETS:
        raise PageError(url, f'the character set "{charset}" is none that a page may have')
    text = body.decode(codec, errors="replace")
    # The parser's time grows with the square of the depth, and its memory with every element.
    if _count(_ANCHOR, text) > MAX_ANCHORS or _count(_OTHER_TAG, text) > MAX_OTHER_TAGS:
        raise PageError(url, f"more than {MAX_ANCHORS} links, or more than {MAX_OTHER_TAGS} other elements")
    return LexborHTMLParser(text)


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))


def _base(page: LexborHTMLParser, url: str) -> str:
    """What relative links are relative to: the first ``<base href>``, itself relative to the page's URL."""
    for node in page.css("base"):
        href = node.attributes.get("href")
        if href:
            return _join(url, href.strip()) or url
    return url


def _meta(page: LexborHTMLParser) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in page.css("meta[name]"):
        name = (node.attributes.get("name") or "").lower()
        found.setdefault(name, (node.attributes.get("content") or "").strip())
    return found


def _parse_anchor(anchor: LexborNode, base: str) -> File | None:
    attributes = anchor.attributes
    href = (attributes.get("href") or "").strip()
    if not href:
        return None
    absolute = href if href.startswith(("https://", "http://")) else _join(base, href)
    if absolute is None:
        return None
    url, _, fragment = absolute.partition("#")
    filename = filename_of_url(url)
    if not filename.lower().endswith(_SUFFIXES):
        return None
    yanked: bool | str = False
    if "data-yanked" in attributes:
        yanked = attributes["data-yanked"] or True
    size = attributes.get("data-size") or ""
    return File(
        filename=filename,
        url=url,
        hashes=_parse_fragment(fragment),
        size=int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None,
        upload_time=parse_upload_time(attributes.get("data-upload-time")),
        requires_python=attributes.get("data-requires-python") or None,
        yanked=yanked,
        core_metadata=_parse_core_metadata(attributes),
        gpg_sig=_parse_flag(attributes.get("data-gpg-sig")),
        provenance=attributes.get("data-provenance") or None,
    )


def filename_of_url(url: str) -> str:
    """The last component of the URL's path, percent-decoded once; it may be empty or unsafe."""
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return ""


def _join(base: str, href: str) -> str | None:
    try:
        return urljoin(base, href)
    except ValueError:
        return None


def _parse_fragment(fragment: str) -> Hashes:
    """``sha256=…``, and what tools put beside it (``egg=…&subdirectory=…``)."""
    pairs = (part.partition("=") for part in unquote(fragment).split("&"))
    return make_hashes({name: value for name, _, value in pairs})


def _parse_core_metadata(attributes: dict[str, str | None]) -> bool | Hashes | None:
    """PEP 714: ``data-core-metadata``, else its old name; ``<alg>=<hex>``, ``true``, or the bare attribute."""
    for key in ("data-core-metadata", "data-dist-info-metadata"):
        if key in attributes:
            value = (attributes[key] or "").strip()
            if value.lower() == "false":
                return False
            name, _, digest = value.partition("=")
            return make_hashes({name: digest}) or True
    return None


def _parse_flag(value: str | None) -> bool | None:
    return {"true": True, "false": False}.get((value or "").lower())
