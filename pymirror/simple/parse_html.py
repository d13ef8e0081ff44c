"""HTML pages (PEP 503), read as a browser reads them."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from pymirror.distribution import DISTRIBUTION_SUFFIXES
from pymirror.errors import PageError
from pymirror.simple.model import File, Hashes, ProjectDetail, ProjectList, make_hashes, parse_upload_time
from pymirror.simple.tags import Tag, TooManyAttributesError, walk_tags

MAX_ANCHORS = 1_000_000
MAX_TAGS = 5_000_000  # some ten seconds

_ATTRIBUTES = {
    "a": frozenset(
        {
            "href",
            "data-yanked",
            "data-size",
            "data-upload-time",
            "data-requires-python",
            "data-core-metadata",
            "data-dist-info-metadata",
            "data-gpg-sig",
            "data-provenance",
        }
    ),
    "base": frozenset({"href"}),
    "meta": frozenset({"name", "content"}),
}
_CHARSETS = frozenset({"utf-8", "utf-16", "ascii", "iso8859-1", "cp1252"})
_SUFFIXES = tuple(suffix.lower() for suffix in DISTRIBUTION_SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """What counts of a page. ``base`` is what its links are relative to."""

    anchors: tuple[Tag, ...]
    meta: dict[str, str]
    base: str


def parse_html_detail(body: bytes, *, charset: str | None, url: str) -> ProjectDetail:
    """A project page. An anchor that links to no distribution is passed over; no anchor at all is an error.

    Raises :class:`PageError`.
    """
    page = _read(body, charset, url)
    if not page.anchors:
        raise PageError(url, "the page has no link at all; an empty answer is not taken for an empty project")
    files = (_parse_anchor(anchor, page.base) for anchor in page.anchors)
    return ProjectDetail(
        files=tuple(file for file in files if file is not None),
        api_version=page.meta.get("pypi:repository-version") or "1.0",
        status=page.meta.get("pypi:project-status") or "active",
        status_reason=page.meta.get("pypi:project-status-reason") or None,
    )


def parse_html_list(body: bytes, *, charset: str | None, url: str) -> ProjectList:
    """The page of all projects: the text of each anchor that links somewhere. Raises :class:`PageError`."""
    page = _read(body, charset, url)
    names = tuple(name for anchor in page.anchors if anchor.attributes.get("href") and (name := anchor.text))
    if not names:
        raise PageError(url, "the list has no project; an empty answer is not taken for an empty index")
    return ProjectList(projects=names, api_version=page.meta.get("pypi:repository-version") or "1.0")


def _read(body: bytes, charset: str | None, url: str) -> _Page:
    if not body.strip():
        raise PageError(url, "the answer is empty")
    try:
        codec = codecs.lookup(charset or "utf-8").name
    except (LookupError, ValueError):
        codec = ""
    if codec not in _CHARSETS:
        raise PageError(url, f'the character set "{charset}" is none that a page may have')
    text = body.decode(codec, errors="replace")
    if text.count("<") > MAX_TAGS:
        raise PageError(url, f"more than {MAX_TAGS} tags")
    anchors: list[Tag] = []
    meta: dict[str, str] = {}
    base: str | None = None
    try:
        for tag in walk_tags(text, _ATTRIBUTES.get):
            href = (tag.attributes.get("href") or "").strip()
            if tag.name == "a":
                anchors.append(tag)
            elif tag.name == "base" and href:
                base = base or _join(url, href) or url  # the first counts, itself relative to the page
            elif tag.name == "meta" and "name" in tag.attributes:
                content = (tag.attributes.get("content") or "").strip()
                meta.setdefault((tag.attributes["name"] or "").lower(), content)
            if len(anchors) > MAX_ANCHORS:
                raise PageError(url, f"more than {MAX_ANCHORS} links")
    except TooManyAttributesError as error:
        raise PageError(url, str(error)) from None
    return _Page(anchors=tuple(anchors), meta=meta, base=base or url)


def _parse_anchor(anchor: Tag, base: str) -> File | None:
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
