"""The target of a request → a name of the tree; what is not plainly one is refused (RFC 9112, 3.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote_to_bytes

from packaging.utils import canonicalize_name

from pymirror.layout import (
    FLAT,
    FRONT_PAGE,
    HTML_PAGE,
    JSON_PAGE,
    LEGACY,
    LEGACY_PAGE,
    LINKS_PAGE,
    METADATA_SUFFIX,
    POOL,
    PROJECTS,
    PROVENANCE_SUFFIX,
    SIMPLE,
)

_ABSOLUTE_FORM = re.compile(r"https?://[^/?#]*(?=/)", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# What a name in the tree may hold; so none is a hidden one, a way up, a drive or a stream of Windows.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*")

PAGE_CACHE = "no-cache"
FILE_CACHE = "public, max-age=31536000, immutable"

HTML_TYPE = "text/html; charset=utf-8"
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
LEGACY_TYPE = "application/json"
PROVENANCE_TYPE = "application/vnd.pypi.integrity.v1+json"
METADATA_TYPE = "text/plain; charset=utf-8"
FILE_TYPE = "application/octet-stream"

_PAGES = (FRONT_PAGE, LINKS_PAGE)
_FOLDERS_OF_PAGES = (SIMPLE, PROJECTS, LEGACY)
_FOLDERS_OF_FILES = (POOL, FLAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked for: the names from the root down, whether a slash came last, and ``?format=`` (PEP 691)."""

    names: tuple[str, ...]
    is_folder: bool
    format: str | None = None

    @property
    def path(self) -> str:
        return "/".join(self.names)

    @property
    def is_open(self) -> bool:
        """Whether it can be of the tree; what else lies in the folder is nobody's business."""
        if self.is_folder:
            return not self.names or self.names[0] in _FOLDERS_OF_PAGES
        return self.path in _PAGES or self.names[0] in (*_FOLDERS_OF_PAGES, *_FOLDERS_OF_FILES)

    @property
    def is_page(self) -> bool:
        """Whether it is a page of the index in the format that the client likes best."""
        return self.is_folder and 1 <= len(self.names) <= 2 and self.names[0] == SIMPLE

    @property
    def with_slash(self) -> str:
        """Where the same is, as a folder; relative, so that it holds behind any proxy."""
        asked = f"?format={quote(self.format, safe='')}" if self.format else ""
        return f"{quote(self.names[-1])}/{asked}"

    @property
    def normalized(self) -> tuple[str, str] | None:
        """The page of the project whose name was not normalized (PEP 503): its path, and where it is from here."""
        if len(self.names) != 2 or self.names[0] not in (SIMPLE, PROJECTS):
            return None
        name = canonicalize_name(self.names[1])
        if name == self.names[1]:
            return None
        return f"{self.names[0]}/{name}", f"../{name}/" if self.is_folder else f"{name}/"


def parse_target(raw: str) -> Target | None:
    """``raw`` as it stands in the request line; ``None`` where nothing of that name can be in a tree."""
    path, _, query = _ABSOLUTE_FORM.sub("", raw, count=1).partition("?")
    if not path.startswith("/") or _BAD_ESCAPE.search(path):
        return None
    names = []
    for part in path[1:].split("/"):
        try:
            names.append(unquote_to_bytes(part).decode("ascii"))
        except UnicodeDecodeError:  # also of what was no ASCII before
            return None
    is_folder = names[-1] == ""
    if is_folder:
        names.pop()
    # An escaped slash is part of a name here, so it is refused as any other character that no name has.
    if not all(_NAME.fullmatch(name) for name in names):
        return None
    return Target(names=tuple(names), is_folder=is_folder, format=_read_format(query))


def _read_format(query: str) -> str | None:
    try:
        found = parse_qs(query, max_num_fields=10).get("format")
    except ValueError:
        return None
    # In a query a bare + is a space, and people write the name of the type as it is.
    return found[0].replace(" ", "+") if found else None


def content_type_of(path: str) -> str:
    """The type of a file that was asked for by its own name."""
    folder, name = path.partition("/")[0], path.rpartition("/")[2]
    if folder == POOL and name.endswith(METADATA_SUFFIX):
        return METADATA_TYPE
    if folder == POOL and name.endswith(PROVENANCE_SUFFIX):
        return PROVENANCE_TYPE
    if is_file(path):
        return FILE_TYPE
    if folder == LEGACY and name == LEGACY_PAGE:
        return LEGACY_TYPE
    if name == JSON_PAGE:
        return JSON_TYPE
    return HTML_TYPE if name in (HTML_PAGE, LINKS_PAGE) else FILE_TYPE


def is_file(path: str) -> bool:
    """Whether it is a file for installers, which is sent byte for byte as it is; all else is a page."""
    return path.startswith(tuple(f"{folder}/" for folder in _FOLDERS_OF_FILES))


def cache_control_of(path: str) -> str:
    """What is in the pool never changes; all else is asked for again each time."""
    return FILE_CACHE if path.startswith(f"{POOL}/") else PAGE_CACHE
