"""What was verified of the pool: a line of JSON for each file, found again by where it stands.

Of a file that is not asked for, sixteen bytes are kept in memory. The record is state: without it the pool is read once
and the record written anew. The last line of a file counts; damage, such as the last line of a run that was killed, is
passed over.
"""

from __future__ import annotations

import hashlib
import threading
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

import msgspec

from pymirror.errors import StorageError, UnsafeNameError
from pymirror.layout import STATE, pool_path
from pymirror.plan import PoolKey
from pymirror.positioned import PositionedFile
from pymirror.storage.interface import Storage

RECORD = f"{STATE}/pool.jsonl"

_MAX_NEW = 50_000
_MAX_LINE_BYTES = 2048


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the record. ``mtime_ns`` is that of the file when it was verified."""

    filename: str
    blake2b: str
    sha256: str
    size: int
    mtime_ns: int
    metadata_sha256: str | None = None
    metadata_size: int | None = None
    is_forgotten: bool = False

    @property
    def key(self) -> PoolKey:
        return (self.sha256, self.filename)


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    sha256: str
    filename: str


_decoder = msgspec.json.Decoder(Record)
_key_decoder = msgspec.json.Decoder(_Key)


class PoolRecord:
    """The record, for any number of threads."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        # The lines that were there when it was read, by the digests of their keys in order; and those after them.
        self._digests = array("Q")
        self._offsets = array("Q")
        self._new: dict[int, int] = {}
        self._lines = 0
        self._end = 0
        self._file: PositionedFile | None = None
        self._is_torn = False

    def load(self) -> None:
        """Reads what is recorded, as far as it can be read."""
        self._file = None
        self._new = {}
        self._lines, self._end, self._is_torn = 0, 0, False
        digests, offsets = array("Q"), array("Q")
        for line in self._read_lines():
            offset, self._end = self._end, self._end + len(line)
            self._lines += 1
            self._is_torn = not line.endswith(b"\n")
            try:
                key = _key_decoder.decode(line)
            except (msgspec.DecodeError, ValueError):
                continue
            digests.append(_digest((key.sha256, key.filename)))
            offsets.append(offset)
        self._index(digests, offsets)

    def __bool__(self) -> bool:
        return bool(self._offsets or self._new)

    @property
    def needs_rewriting(self) -> bool:
        """Whether the next line would be glued to half a one, or most lines are of the past."""
        return self._is_torn or self._lines > 2 * (len(self._offsets) + len(self._new)) + 1000

    def find(self, key: PoolKey) -> Record | None:
        """What is known of a file."""
        digest = _digest(key)
        with self._lock:
            offset = self._new.get(digest)
            if offset is None:
                index = bisect_right(self._digests, digest) - 1
                if index < 0 or self._digests[index] != digest:
                    return None
                offset = self._offsets[index]
            record = self._read(offset)
        return record if record is not None and record.key == key and not record.is_forgotten else None

    def append(self, record: Record) -> None:
        """Adds a line."""
        line = _encode(record)
        with self._lock:
            self._storage.append(RECORD, line)
            self._new[_digest(record.key)] = self._end
            self._end += len(line)
            self._lines += 1
            if len(self._new) > _MAX_NEW:
                self._index(
                    self._digests + array("Q", self._new.keys()), self._offsets + array("Q", self._new.values())
                )
                self._new = {}

    def records(self) -> Iterator[Record]:
        """All that is known, each file once."""
        known = [*self._new.values(), *(offset for offset, digest in self._old() if digest not in self._new)]
        for offset in sorted(known):
            with self._lock:
                record = self._read(offset)
            if record is not None and not record.is_forgotten:
                yield record

    def rewrite(self, records: Iterable[Record] | None = None) -> None:
        """Writes the record anew: ``records``, or what is known, in order."""
        known = sorted(self.records() if records is None else records, key=lambda record: record.key)
        self._storage.write(RECORD, map(_encode, known))
        self.load()

    def _old(self) -> Iterator[tuple[int, int]]:
        return zip(self._offsets, self._digests, strict=True)

    def _index(self, digests: array[int], offsets: array[int]) -> None:
        """Of two lines of a file the later one is kept."""
        # By their first byte before they are sorted: all of them as objects would be many times what is kept.
        parts = [array("Q") for _ in range(256)]
        for digest, offset in zip(digests, offsets, strict=True):
            parts[digest >> 56].extend((digest, offset))
        self._digests, self._offsets = array("Q"), array("Q")
        for part in parts:
            last = dict(zip(part[::2], part[1::2], strict=True))
            known = sorted(last)
            self._digests.extend(known)
            self._offsets.extend(map(last.__getitem__, known))

    def _read(self, offset: int) -> Record | None:
        if self._file is None:
            self._file = PositionedFile(self._storage.local_path(RECORD))
        try:
            record = _decoder.decode(self._file.read(offset, _MAX_LINE_BYTES).partition(b"\n")[0])
            pool_path(record.blake2b, record.filename)
        except (msgspec.DecodeError, ValueError, UnsafeNameError):
            return None
        return record

    def _read_lines(self) -> Iterator[bytes]:
        path = self._storage.local_path(RECORD)
        try:
            with path.open("rb") as file:
                yield from file
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise StorageError.from_os_error(error, path) from error


def _digest(key: PoolKey) -> int:
    text = f"{key[0]}/{key[1]}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _encode(record: Record) -> bytes:
    return msgspec.json.encode(record) + b"\n"
