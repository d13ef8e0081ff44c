"""``links.html`` and its packed copy: parts of the last ones are taken over where their projects say the same.

The page names every file of the index, and most runs change few. A part is some neighbouring projects. Where it ends
depends on nothing but them, and in the packed copy each part is packed on its own: the same snapshot makes the same
bytes, whatever there was before. Where the parts are is state: safe to delete, and without it all are made again.
"""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from pymirror.errors import StorageError
from pymirror.layout import COMPRESSED_SUFFIX, LINKS_PAGE, STATE, TEMPORARY
from pymirror.page_files import MIN_COMPRESSED_BYTES
from pymirror.pieces import GZIP_END, GZIP_START, is_same, pack_part, render_gzip_trailer
from pymirror.positioned import PositionedFile
from pymirror.simple.render import END, render_links_part, render_links_start
from pymirror.snapshot import Snapshot
from pymirror.storage.interface import Storage
from pymirror.stored_snapshot import list_lines, list_names

_RECORD = f"{STATE}/links.msgpack"
_PACKED = LINKS_PAGE + COMPRESSED_SUFFIX
_NEW = f"{TEMPORARY}/links"
_NEW_PACKED = f"{TEMPORARY}/links-packed"
_KEY_BYTES = 16
_MIN_PART_FILES = 40
_FILE = b'"filename":'  # of which a line has one for each file: within a text, the quotes would be escaped


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """Where the parts are in the page and in its packed copy, as offsets and checksums, and what each was made from."""

    made_by: str
    keys: bytes
    ends: bytes
    checksums: bytes
    packed_ends: bytes
    packed_checksums: bytes


_decoder = msgspec.msgpack.Decoder(_Record)


class _Parts:
    """Parts of a page in order: the key of each, where it ends, and its checksum; the same in the packed copy."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        start = render_links_start()
        self.ends = array("Q", [len(start)])
        self.checksums = array("Q")
        self.packed_ends = array("Q", [len(GZIP_START + pack_part(start))])
        self.packed_checksums = array("Q")

    def add(self, key: bytes, page: bytes, packed: bytes) -> None:
        self.keys.append(key)
        self.ends.append(self.ends[-1] + len(page))
        self.checksums.append(zlib.crc32(page))
        self.packed_ends.append(self.packed_ends[-1] + len(packed))
        self.packed_checksums.append(zlib.crc32(packed))

    def save(self, storage: Storage, made_by: str) -> None:
        arrays = (self.ends, self.checksums, self.packed_ends, self.packed_checksums)
        record = _Record(made_by, b"".join(self.keys), *(each.tobytes() for each in arrays))
        data = msgspec.msgpack.encode(record)
        if storage.read(_RECORD) != data:
            storage.write(_RECORD, data)


class _LastPage:
    """The page that there is, as far as it is known what its parts were made from."""

    def __init__(self, storage: Storage, made_by: str) -> None:
        self._parts = _load(storage, made_by)
        self._indexes = {key: index for index, key in enumerate(self._parts.keys)}
        try:
            self._page = PositionedFile(storage.local_path(LINKS_PAGE))
            self._packed = PositionedFile(storage.local_path(_PACKED))
        except StorageError:
            self._indexes = {}

    def find(self, key: bytes) -> tuple[bytes, bytes] | None:
        """The part that was made from what ``key`` stands for, and the same packed; ``None`` where it is damaged."""
        index = self._indexes.get(key)
        if index is None:
            return None
        parts = self._parts
        page = _read(self._page, parts.ends, parts.checksums, index)
        packed = _read(self._packed, parts.packed_ends, parts.packed_checksums, index)
        return (page, packed) if page is not None and packed is not None else None

    def close(self) -> None:
        if self._indexes:
            self._page.close()
            self._packed.close()


def put_links(storage: Storage, snapshot: Snapshot, *, made_by: str) -> int:
    """Makes the page and its packed copy say what ``snapshot`` says; how many files were written or removed.

    The packed copy comes first: killed in between, a server sends one of two whole pages, and no old one as the new.
    """
    made_by = f"{made_by} {zlib.ZLIB_RUNTIME_VERSION} {hashlib.sha256(msgspec.json.encode(snapshot.site)).hexdigest()}"
    try:
        parts = _write(storage, snapshot, made_by)
    except OSError as error:
        raise StorageError.from_os_error(error, storage.local_path(_NEW)) from error
    if parts.ends[-1] + len(END) >= MIN_COMPRESSED_BYTES:
        changed = _adopt(storage, _NEW_PACKED, _PACKED)
    else:
        storage.remove(_NEW_PACKED)
        changed = _remove(storage, _PACKED)
    changed += _adopt(storage, _NEW, LINKS_PAGE)
    parts.save(storage, made_by)
    return changed


def _write(storage: Storage, snapshot: Snapshot, made_by: str) -> _Parts:
    """Writes both files to temporary places, side by side."""
    page_path, packed_path = storage.temporary(_NEW), storage.temporary(_NEW_PACKED)
    last, parts = _LastPage(storage, made_by), _Parts()
    above = render_links_start()
    checksum = zlib.crc32(above)
    with page_path.open("wb") as page_file, packed_path.open("wb") as packed_file:
        page_file.write(above)
        packed_file.write(GZIP_START + pack_part(above))
        for key, start, end in _cut(snapshot):
            found = last.find(key)
            if found is None:
                page = b"".join(render_links_part(snapshot.projects[start:end], snapshot.site))
                found = page, pack_part(page)
            page, packed = found
            page_file.write(page)
            packed_file.write(packed)
            parts.add(key, page, packed)
            checksum = zlib.crc32(page, checksum)
        page_file.write(END)
        packed_file.write(pack_part(END) + GZIP_END)
        size = parts.ends[-1] + len(END)
        packed_file.write(render_gzip_trailer(zlib.crc32(END, checksum), size))
    last.close()
    return parts


def _cut(snapshot: Snapshot) -> Iterator[tuple[bytes, int, int]]:
    """What each part is made from, as a digest, and the first project of it and of the next.

    A part ends after a project whose name says so: where one has grown, the cuts behind it soon are where they were.
    What the page does not tell, such as why a project is in the index, moves none.
    """
    start = files = 0
    digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    names = list_names(snapshot)
    for index, line in enumerate(list_lines(snapshot)):
        digest.update(line + b"\n")
        files += line.count(_FILE)
        if files >= _MIN_PART_FILES and zlib.crc32(names[index].encode("ascii")) % 2:
            yield digest.digest(), start, index + 1
            start, files = index + 1, 0
            digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    if start < len(names):
        yield digest.digest(), start, len(names)


def _adopt(storage: Storage, temporary: str, name: str) -> int:
    """Gives a file its place, where that holds other bytes; how many files were written."""
    if _says(storage, name, temporary):
        storage.remove(temporary)
        return 0
    storage.adopt(storage.local_path(temporary), name)
    return 1


def _says(storage: Storage, name: str, other: str) -> bool:
    try:
        return is_same(storage.read_pieces(name), storage.read_pieces(other))
    except StorageError:  # one that the disk cannot read is written anew
        return False


def _remove(storage: Storage, name: str) -> int:
    if storage.stat(name) is None:
        return 0
    storage.remove(name)
    return 1


def _load(storage: Storage, made_by: str) -> _Parts:
    parts = _Parts()
    try:
        data = storage.read(_RECORD)
        record = _decoder.decode(data) if data is not None else None
        if record is None or record.made_by != made_by:
            return parts
        keys = record.keys
        ends, checksums = array("Q", record.ends), array("Q", record.checksums)
        packed_ends, packed_checksums = array("Q", record.packed_ends), array("Q", record.packed_checksums)
    except (msgspec.DecodeError, ValueError, StorageError):
        return parts
    count = len(checksums)
    lengths = (len(keys), len(packed_checksums), len(ends), len(packed_ends))
    is_whole = lengths == (count * _KEY_BYTES, count, count + 1, count + 1)
    if is_whole and _fits(storage, LINKS_PAGE, ends) and _fits(storage, _PACKED, packed_ends):
        parts.keys = [keys[start : start + _KEY_BYTES] for start in range(0, len(keys), _KEY_BYTES)]
        parts.ends, parts.checksums = ends, checksums
        parts.packed_ends, parts.packed_checksums = packed_ends, packed_checksums
    return parts


def _fits(storage: Storage, name: str, ends: array[int]) -> bool:
    stat = storage.stat(name)
    return stat is not None and ends[-1] <= stat.size and all(one <= other for one, other in pairwise(ends))


def _read(file: PositionedFile, ends: array[int], checksums: array[int], index: int) -> bytes | None:
    try:
        data = file.read(ends[index], ends[index + 1] - ends[index])
    except StorageError:  # what the disk cannot read is made again
        return None
    return data if zlib.crc32(data) == checksums[index] else None
