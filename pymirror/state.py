"""What is remembered of upstream between runs: validators and parsed pages. Safe to delete.

With it, an unchanged page costs one conditional request (RFC 9110, 13) and no parsing.
"""

from __future__ import annotations

import hashlib

import msgspec

from pymirror.errors import StorageError
from pymirror.layout import STATE, check_project
from pymirror.simple.model import ProjectDetail
from pymirror.storage.interface import Files

FORMAT = 1  # raised when the parser reads more out of a page than before


class CachedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it was last fetched: its validators, the digest of its bytes, and what they said.

    ``url`` is what was asked, ``page_url`` where redirects led. ``is_completed`` where the legacy API was asked for
    what the page lacks, and answered.
    """

    url: str
    page_url: str
    etag: str | None
    last_modified: str | None
    body_sha256: str
    detail: ProjectDetail
    is_completed: bool = False
    format: int = FORMAT


_decoder = msgspec.msgpack.Decoder(CachedPage)
_encoder = msgspec.msgpack.Encoder()


class CachedList(msgspec.Struct, frozen=True, kw_only=True):
    """The page of all projects as it was last fetched; ``projects`` are normalized names in order."""

    url: str
    etag: str | None
    last_modified: str | None
    body_sha256: str
    projects: tuple[str, ...]
    format: int = FORMAT
    serial: int | None = None


_list_decoder = msgspec.msgpack.Decoder(CachedList)


class PageCache:
    """The cached pages of one upstream."""

    def __init__(self, storage: Files, upstream_url: str) -> None:
        self._storage = storage
        digest = hashlib.sha256(upstream_url.encode()).hexdigest()[:16]
        self._folder = f"{STATE}/pages/{digest}"
        self._list = f"{STATE}/lists/{digest}"

    def load(self, project: str, url: str) -> CachedPage | None:
        """``None`` where nothing usable is remembered; damage is the same as nothing."""
        try:
            data = self._storage.read(self._name(project))
            page = _decoder.decode(data) if data is not None else None
        except (msgspec.DecodeError, ValueError, StorageError):
            return None
        return page if page is not None and page.format == FORMAT and page.url == url else None

    def save(self, project: str, page: CachedPage) -> None:
        self._storage.write(self._name(project), _encoder.encode(page))

    def load_list(self, url: str) -> CachedList | None:
        """The same for the page of all projects."""
        try:
            data = self._storage.read(self._list)
            page = _list_decoder.decode(data) if data is not None else None
        except (msgspec.DecodeError, ValueError, StorageError):
            return None
        return page if page is not None and page.format == FORMAT and page.url == url else None

    def save_list(self, page: CachedList) -> None:
        self._storage.write(self._list, _encoder.encode(page))

    def _name(self, project: str) -> str:
        return f"{self._folder}/{check_project(project)}"
