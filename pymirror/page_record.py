"""What the documents of each project were made from, and what they were: spares rendering what did not change.

A document whose size and time are as recorded is taken to be what it was, as files of the pool are. This is state: safe
to delete, and without it every document is rendered and compared again.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator

import msgspec

from pymirror.errors import StorageError
from pymirror.layout import (
    COMPRESSED_SUFFIX,
    FRONT_PAGE,
    LEGACY,
    PROJECTS,
    PUBLISHED,
    PUBLISHED_FRONT,
    check_project,
    is_project,
)
from pymirror.page_files import FOREIGN_COPY
from pymirror.pages.front import FrontRow
from pymirror.simple.markup import GENERATOR
from pymirror.spec.model import Site
from pymirror.storage.interface import Files


class RecordedPage(msgspec.Struct, frozen=True, array_like=True):
    """A file of a document. ``mtime_ns`` is its time when it was right, ``sha256`` that of its bytes."""

    name: str
    size: int
    mtime_ns: int
    sha256: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The documents of a project, or the front page. ``made_from`` is the digest of what they say, ``made_by`` that of
    the programs that put it into words: other words are no damage.

    ``version`` is the newest release, and ``summary`` what its metadata say. ``row`` is what the front page shows;
    records of earlier versions have none.
    """

    made_from: str
    made_by: str
    pages: tuple[RecordedPage, ...]
    version: str = ""
    summary: str = ""
    row: FrontRow | None = None


class _Shown(msgspec.Struct):
    """Of a record, what is asked for to make the front page."""

    row: FrontRow | None = None


_CHECKSUM_BYTES = 4  # what the front page says of a project is taken from its record, and from nowhere else

_decoder = msgspec.msgpack.Decoder(Record)
_row_decoder = msgspec.msgpack.Decoder(_Shown)
_encoder = msgspec.msgpack.Encoder()


class PageRecord:
    """The records of all projects, a file each, and that of the front page."""

    def __init__(self, storage: Files) -> None:
        self._storage = storage

    def load(self, project: str | None) -> Record | None:
        """That of ``project``, or of the front page; ``None`` where nothing usable is recorded, or the user may not
        read it. Damage is the same as nothing.
        """
        try:
            data = self._storage.read(_name(project))
        except StorageError as error:
            if not error.is_read_only:
                raise
            return None
        try:
            record = _decoder.decode(_unseal(data)) if data is not None else None
        except (msgspec.DecodeError, ValueError):
            return None
        return record if record is not None and all(_is_of(page.name, project) for page in record.pages) else None

    def load_row(self, project: str) -> FrontRow | None:
        """What the front page shows of ``project``, where that is recorded."""
        try:
            data = self._storage.read(_name(project))
            return _row_decoder.decode(_unseal(data)).row if data is not None else None
        except (msgspec.DecodeError, ValueError, StorageError):
            return None

    def save(self, project: str | None, record: Record) -> None:
        data = _encoder.encode(record)
        self._storage.write(_name(project), _checksum(data) + data)

    def forget(self, project: str | None) -> None:
        """What is recorded is trusted no more."""
        self._storage.remove(_name(project))

    def projects(self) -> list[str]:
        """Every project of which something is recorded."""
        return [name for name in self._storage.list_folder(PUBLISHED) if is_project(name)]


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES)


def _unseal(data: bytes) -> bytes:
    """What was recorded, behind its checksum. Raises :class:`ValueError` where it is not that any more."""
    checksum, data = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    if checksum != _checksum(data):
        raise ValueError("the record is damaged")
    return data


def is_unchanged(storage: Files, record: Record) -> bool:
    """Whether every file has the size and the time that it had, and no packed copy came."""
    for page in record.pages:
        stat = storage.stat(page.name)
        if stat is None or (stat.size, stat.mtime_ns) != (page.size, page.mtime_ns):
            return False
    return not any(_find_foreign_copies(storage, record))


def list_pages(storage: Files, names: Iterable[str]) -> Iterator[RecordedPage]:
    """The files of the pages ``names``, packed copies too, as they are now."""
    for name in names:
        yield from list_files(storage, name, storage.read_pieces(name))


def list_files(storage: Files, name: str, pieces: Iterable[bytes]) -> Iterator[RecordedPage]:
    """The files of a page, its packed copy too, as they are now. ``pieces`` is what the page says."""
    packed = name + COMPRESSED_SUFFIX
    if (stat := storage.stat(name)) is not None:
        yield RecordedPage(name, stat.size, stat.mtime_ns, _hash(pieces))
    if (stat := storage.stat(packed)) is not None:
        yield RecordedPage(packed, stat.size, stat.mtime_ns, _hash(storage.read_pieces(packed)))


def check_recorded(storage: Files, record: Record) -> Iterator[tuple[str, str | None]]:
    """Each file of ``record``, with what is wrong with it, or ``None``."""
    for page in record.pages:
        if storage.stat(page.name) is None:
            yield page.name, "the page is missing"
        else:
            is_same = _hash(storage.read_pieces(page.name)) == page.sha256
            yield page.name, None if is_same else "the page is not what was written"
    for name in _find_foreign_copies(storage, record):
        yield name, FOREIGN_COPY


def _find_foreign_copies(storage: Files, record: Record) -> Iterator[str]:
    recorded = [page.name for page in record.pages]
    for name in recorded:
        packed = name + COMPRESSED_SUFFIX
        if not name.endswith(COMPRESSED_SUFFIX) and packed not in recorded and storage.stat(packed) is not None:
            yield packed


def list_folders(site: Site) -> list[str]:
    """The folders of documents that ``site`` has, each with a folder for every project."""
    return [folder for folder, is_there in ((LEGACY, site.legacy_json), (PROJECTS, site.pages)) if is_there]


def is_own_page(storage: Files, name: str) -> bool:
    """Whether ``name`` is a page for people that was written here, and not the user's own."""
    return GENERATOR.encode() in next(iter(storage.read_pieces(name)), b"")


def _hash(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _is_of(name: str, project: str | None) -> bool:
    """Whether ``name`` is that of a document of ``project``: the record may have been tampered with."""
    if project is None:
        return name in (FRONT_PAGE, FRONT_PAGE + COMPRESSED_SUFFIX)
    return name.startswith((f"{LEGACY}/{project}/", f"{PROJECTS}/{project}/")) and "/../" not in f"{name}/"


def _name(project: str | None) -> str:
    return PUBLISHED_FRONT if project is None else f"{PUBLISHED}/{check_project(project)}"
