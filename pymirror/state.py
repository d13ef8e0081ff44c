"""What is remembered of upstream between runs: validators and parsed pages. Safe to delete.

With it, an unchanged page costs one conditional request (RFC 9110, 13) and no parsing.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec

from pymirror.errors import StorageError
from pymirror.layout import STATE, check_project
from pymirror.simple.model import ProjectDetail
from pymirror.storage.interface import Files

_SLACK = timedelta(hours=1)  # a file that is replaced gets a time after that of the one before

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


class CachedSerials(msgspec.Struct, frozen=True, kw_only=True):
    """What the same page said of serials: that of the whole, and those of the projects that are mirrored."""

    url: str
    etag: str | None
    last_modified: str | None
    body_sha256: str
    serial: int
    projects: dict[str, int]
    format: int = FORMAT


class _SerialOfDetail(msgspec.Struct):
    serial: int | None = None


class _SerialOfPage(msgspec.Struct):
    """Of a page, no more than this is decoded."""

    url: str
    detail: _SerialOfDetail
    format: int


_list_decoder = msgspec.msgpack.Decoder(CachedList)
_serials_decoder = msgspec.msgpack.Decoder(CachedSerials)
_serial_decoder = msgspec.msgpack.Decoder(_SerialOfPage)


def _holds_credentials(page: CachedPage) -> bool:
    """Whether a URL has a user or a query in it, which may be a signature: no credential goes into the state."""
    links = (link for file in page.detail.files for link in (file.url, file.provenance or ""))
    return any("?" in url or "@" in url.partition("://")[2].partition("/")[0] for url in (page.page_url, *links))


def _without_links(page: CachedPage) -> CachedPage:
    """``page`` as one that no answer is ever taken for, so that it is asked for again as a whole."""
    files = tuple(msgspec.structs.replace(file, url="", provenance=None) for file in page.detail.files)
    detail = msgspec.structs.replace(page.detail, files=files)
    return msgspec.structs.replace(
        page, page_url="", etag=None, last_modified=None, body_sha256="", detail=detail, is_completed=False
    )


class PageCache:
    """The cached pages of one upstream. ``has_saved`` is whether this run has kept one."""

    def __init__(self, storage: Files, upstream_url: str) -> None:
        self._storage = storage
        digest = hashlib.sha256(upstream_url.encode()).hexdigest()[:16]
        self._folder = f"{STATE}/pages/{digest}"
        self._list = f"{STATE}/lists/{digest}"
        self._serials = f"{STATE}/serials/{digest}"
        self.has_saved = False

    def load(self, project: str, url: str) -> CachedPage | None:
        """``None`` where nothing usable is remembered; damage is the same as nothing."""
        try:
            data = self._storage.read(self._name(project))
            page = _decoder.decode(data) if data is not None else None
        except (msgspec.DecodeError, ValueError, StorageError):
            return None
        return page if page is not None and page.format == FORMAT and page.url == url else None

    def save(self, project: str, page: CachedPage) -> None:
        """Keeps ``page``; where a credential is in its links, only what shows whether a later page is an older one."""
        if not self._storage.can_hold(self._name(project)):
            return
        if not _holds_credentials(page):
            self._storage.write(self._name(project), _encoder.encode(page))
            self.has_saved = True
            return
        data = _encoder.encode(_without_links(page))
        if self._storage.read(self._name(project)) != data:  # such a page is new in every run
            self._storage.write(self._name(project), data)
            self.has_saved = True

    def list_projects(self) -> list[str]:
        """The projects of which a page is remembered, usable or not."""
        return self._storage.list_folder(self._folder)

    def load_serial(self, project: str, url: str) -> int | None:
        """That of the remembered page; ``None`` as for :meth:`load`, and where it has none."""
        try:
            data = self._storage.read(self._name(project))
            page = _serial_decoder.decode(data) if data is not None else None
        except (msgspec.DecodeError, ValueError, StorageError):
            return None
        return page.detail.serial if page is not None and page.format == FORMAT and page.url == url else None

    def read_age(self, project: str, now: datetime) -> timedelta | None:
        """For how long the page has been remembered as it is; ``None`` where it is not, or the clock was set back."""
        stat = self._storage.stat(self._name(project))
        if stat is None:
            return None
        age = now - datetime.fromtimestamp(stat.mtime_ns / 1e9, UTC)
        return age if age > -_SLACK else None

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

    def load_serials(self, url: str) -> CachedSerials | None:
        """The same for what it said of serials."""
        try:
            data = self._storage.read(self._serials)
            page = _serials_decoder.decode(data) if data is not None else None
        except (msgspec.DecodeError, ValueError, StorageError):
            return None
        return page if page is not None and page.format == FORMAT and page.url == url else None

    def save_serials(self, page: CachedSerials) -> None:
        self._storage.write(self._serials, _encoder.encode(page))

    def _name(self, project: str) -> str:
        return f"{self._folder}/{check_project(project)}"
