"""Core metadata: the fields of a METADATA or PKG-INFO file, as values.

https://packaging.python.org/specifications/core-metadata/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.metadata import parse_email

MAX_METADATA_BYTES = 4 * 1024 * 1024
"""The largest METADATA that is taken out of a wheel: far above any real one, far below what hurts."""

MAX_HEADER_BYTES = 512 * 1024
"""The largest part of it that is parsed: the fields, without the description."""

# The fields of CoreMetadata. All others are dropped before parse_email sees them: it looks for every name among all
# lines, which is quadratic where a file has many, and some (Content-Type) would change what it takes the text for.
_SINGLE_FIELDS = (
    "Author",
    "Author-email",
    "Description",
    "Description-Content-Type",
    "Download-URL",
    "Home-page",
    "Keywords",
    "License",
    "License-Expression",
    "Maintainer",
    "Maintainer-email",
    "Metadata-Version",
    "Name",
    "Requires-Python",
    "Summary",
    "Version",
)
_LIST_FIELDS = (
    "Classifier",
    "Dynamic",
    "License-File",
    "Platform",
    "Project-URL",
    "Provides-Extra",
    "Requires-Dist",
    "Requires-External",
)
_FIELD_BY_NAME = {field.lower().encode(): field for field in (*_SINGLE_FIELDS, *_LIST_FIELDS)}

_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n|\Z)")
_NAME = re.compile(rb"([!-9;-~]*):")
_PIPE = " " * 7 + "|"  # what the standard puts before the lines of a description that is a field
_MAX_INDENT = 8  # what distutils put there
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMetadata:
    """The fields of a METADATA or PKG-INFO file, each as it is written there; empty where there is none.

    ``project_urls`` are (label, URL) in order, the label empty where none is given. ``description`` is the body, or the
    field of that name in old metadata; it and ``license`` may have several lines, which end in a line feed, and every
    other text has one. Texts may hold control characters, but no surrogate.
    """

    name: str | None = None
    version: str | None = None
    metadata_version: str | None = None
    summary: str = ""
    description: str = ""
    description_content_type: str = ""
    keywords: tuple[str, ...] = ()
    author: str = ""
    author_email: str = ""
    maintainer: str = ""
    maintainer_email: str = ""
    license: str = ""
    license_expression: str = ""
    license_files: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    home_page: str = ""
    download_url: str = ""
    project_urls: tuple[tuple[str, str], ...] = ()
    requires_python: str = ""
    requires_dist: tuple[str, ...] = ()
    requires_external: tuple[str, ...] = ()
    provides_extra: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()


def parse_core_metadata(data: bytes) -> CoreMetadata:
    """What ``data``, METADATA or PKG-INFO of any version of the standard, says. Nothing in it is an error.

    Of a field that may stand once the first counts, as for installers. What is not UTF-8 is taken for Latin-1, which
    old tools wrote. ``UNKNOWN``, which distutils wrote where it was told nothing, is nothing; but a project may be
    called so.
    """
    header, body = _split(data)
    raw, unparsed = parse_email(header)
    return CoreMetadata(
        name=_unfold(raw.get("name", "")) or None,
        version=_text(raw.get("version")) or None,
        metadata_version=_text(raw.get("metadata_version")) or None,
        summary=_text(raw.get("summary")),
        description=_known(body) or _known(_dedent(raw.get("description", ""))),
        description_content_type=_text(raw.get("description_content_type")),
        keywords=_split_keywords(raw.get("keywords", [])),
        author=_text(raw.get("author")),
        author_email=_text(raw.get("author_email")),
        maintainer=_text(raw.get("maintainer")),
        maintainer_email=_text(raw.get("maintainer_email")),
        license=_known(_dedent(raw.get("license", ""))).strip(),
        license_expression=_text(raw.get("license_expression")),
        license_files=_texts(raw.get("license_files")),
        classifiers=_texts(raw.get("classifiers")),
        platforms=_texts(raw.get("platforms")),
        home_page=_text(raw.get("home_page")),
        download_url=_text(raw.get("download_url")),
        project_urls=_split_project_urls(raw.get("project_urls", {}), unparsed.get("project-url", [])),
        requires_python=_text(raw.get("requires_python")),
        requires_dist=_texts(raw.get("requires_dist")),
        requires_external=_texts(raw.get("requires_external")),
        provides_extra=_texts(raw.get("provides_extra")),
        dynamic=_texts(raw.get("dynamic")),
    )


def _split(data: bytes) -> tuple[str, str]:
    """The fields that are known, without repetitions of what may stand once, and the body."""
    kept: list[bytes] = []
    seen: set[str] = set()
    is_kept = False
    end = len(data)
    for match in _LINE.finditer(data):
        line = match[1]
        if line.startswith((b" ", b"\t")):
            if is_kept:
                kept.append(line)
            continue
        name = _NAME.match(line)
        if name is None:  # a blank line; or what is no field, with which the body begins
            end = match.start() if line else match.end()
            break
        field = _FIELD_BY_NAME.get(name[1].lower())
        is_kept = field is not None and (field in _LIST_FIELDS or field not in seen)
        if field is not None and is_kept:
            seen.add(field)
            kept.append(field.encode() + line[name.end(1) :])
    return _decode(b"\n".join([*kept, b"", b""])), _decode(data[end:]).replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _known(text: str) -> str:
    return "" if text.strip() in ("", _UNKNOWN) else text


def _unfold(text: str) -> str:
    return " ".join(line.strip() for line in text.split("\n")).strip()


def _text(value: str | None) -> str:
    return _known(_unfold(value or ""))


def _texts(values: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(text for value in values or () if (text := _text(value)))


def _dedent(text: str) -> str:
    """The lines of a field without what was put before them so that they belong to it."""
    first, *rest = text.split("\n")
    if all(line.startswith(_PIPE) for line in rest):
        indent = len(_PIPE)
    else:
        indent = min((len(line) - len(line.lstrip(" \t")) for line in rest if line.strip()), default=0)
        indent = min(indent, _MAX_INDENT)
    return "\n".join([first, *(line[indent:] if line.strip() else "" for line in rest)])


def _split_keywords(between_commas: list[str]) -> tuple[str, ...]:
    """Tools have written them with commas, with semicolons and with blanks."""
    words = [_text(word) for word in between_commas]
    if len(words) == 1:
        words = words[0].split(";") if ";" in words[0] else words[0].split()
    return tuple(word for text in words if (word := text.strip("\"' \t")))


def _split_project_urls(by_label: dict[str, str], unparsed: list[str]) -> tuple[tuple[str, str], ...]:
    """``unparsed`` is all of them as they are written, where two have the same label."""
    pairs = (text.partition(",")[::2] for text in unparsed) if unparsed else by_label.items()
    found = (_read_project_url(_text(label), _text(url)) for label, url in pairs)
    return tuple((label, url) for label, url in found if url)


def _read_project_url(label: str, url: str) -> tuple[str, str]:
    """``label`` and ``url`` are what stands before and after the first comma, which may be one of a lone URL."""
    if not _URL.match(label):
        return label, url
    return "", f"{label},{url}" if url else label
