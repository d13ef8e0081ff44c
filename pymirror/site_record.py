"""What a tree whose record is lost has beside the pages for installers, as far as that shows.

Nothing is taken for ours that does not look so: what else stands there may be the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape

import msgspec

from pymirror.documents import list_documents
from pymirror.layout import (
    FLAT,
    FRONT_PAGE,
    LEGACY,
    PROJECTS,
    SIMPLE,
    blake2b_of_url,
    pool_path,
    project_page,
    relative_url,
)
from pymirror.page_record import is_own_page
from pymirror.snapshot import SnapshotProject
from pymirror.spec.model import Site
from pymirror.storage.interface import Files

_INDEX = re.compile(rb'<span class="index">"?(https?://[^"<]*/)' + SIMPLE.encode() + rb'/"?</span>')

_REASONS = (b'<div class="reason">', b"\n</section>")
_DESCRIPTION = (b'<section id="description"', b"\n</div></main>")
_OTHER_TAG = re.compile(rb"<(?!/?(?:bdi|code|div|h3|li|p|span|strong|ul)(?: class=\"[a-z -]*\")?>)")


class _Entry(msgspec.Struct):
    filename: str
    url: str


class _Document(msgspec.Struct):
    urls: list[_Entry]


_document = msgspec.json.Decoder(_Document)


def read_site(storage: Files, projects: Sequence[SnapshotProject], public_url: str | None) -> Site:
    """The site of a tree that lists ``projects``; ``public_url`` is what their pages tell of it."""
    document = _find_document(storage, projects)
    page = _find_page(storage, projects)
    if public_url is None and document is not None:
        public_url = document
    if public_url is None and page is not None:
        match = _INDEX.search(storage.read(page) or b"")
        public_url = unescape(match[1].decode("ascii", "replace")) if match else None
    return Site(
        public_url=public_url or None,
        flat=_has_flat(storage, projects),
        legacy_json=document is not None,
        pages=page is not None,
    )


def _find_document(storage: Files, projects: Sequence[SnapshotProject]) -> str | None:
    """Where the tree is served from, by the first document of the legacy JSON API that leads to a file of the tree:
    empty where it does not say; ``None`` where there is no such document.
    """
    if not storage.list_folder(LEGACY):
        return None
    for project in projects:
        files = {(file.filename, file.blake2b) for file in project.files}
        for name in list_documents(project, Site(pages=False)):
            for entry in _read_entries(storage, name):
                blake2b = blake2b_of_url(entry.url, entry.filename)
                if blake2b is not None and (entry.filename, blake2b) in files:
                    path = relative_url(pool_path(blake2b, entry.filename), depth=0)
                    is_absolute = entry.url.startswith(("http://", "https://")) and entry.url.endswith(path)
                    return entry.url.removesuffix(path) if is_absolute else ""
    return None


def _read_entries(storage: Files, name: str) -> list[_Entry]:
    try:
        return _document.decode(storage.read(name) or b"").urls
    except (msgspec.DecodeError, ValueError):
        return []


def _find_page(storage: Files, projects: Sequence[SnapshotProject]) -> str | None:
    """A page for people."""
    if is_own_page(storage, FRONT_PAGE):
        return FRONT_PAGE
    names = [project_page(project.name) for project in projects] if storage.list_folder(PROJECTS) else []
    return next((name for name in names if is_own_page(storage, name)), None)


def _has_flat(storage: Files, projects: Sequence[SnapshotProject]) -> bool:
    """Whether most files of the index are in the folder of all files."""
    if not storage.list_folder(FLAT):
        return False
    sizes = {file.filename: file.size for project in projects for file in project.files if not file.yanked}
    stats = ((storage.stat(f"{FLAT}/{filename}"), size) for filename, size in sizes.items())
    return 2 * sum(1 for stat, size in stats if stat is not None and stat.size == size) > len(sizes)


def is_same_but_for_text(page: bytes, other: bytes) -> bool:
    """Whether two pages of a project are the same but for why it is in the mirror, and for its description.

    The first holds no tags but the plain ones that it is made of. In the other no script can run: the page's own
    policy, which is in what is compared, allows it none.
    """
    page, reasons = _cut(page, *_REASONS)
    other, _ = _cut(other, *_REASONS)
    return _cut(page, *_DESCRIPTION)[0] == _cut(other, *_DESCRIPTION)[0] and not _OTHER_TAG.search(reasons)


def _cut(page: bytes, start: bytes, end: bytes) -> tuple[bytes, bytes]:
    """``page`` without what is between, and that."""
    before, found, rest = page.partition(start)
    between, closed, after = rest.partition(end)
    return (before + found + closed + after, between) if found and closed else (page, b"")
