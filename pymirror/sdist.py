"""The members of an sdist, one after the other: streamed, within limits, nothing unpacked to disk, no link followed.

https://packaging.python.org/specifications/source-distribution-format/. Tar archives are walked here rather than by
the standard library's reader, of which only the parser of one header block is used: it takes extended headers of any
size into memory, and of the Pythons that we run on some need quadratic time for hostile ones (CVE-2024-6232).
"""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
"""How much is unpacked of an archive at most: more than the largest sdists hold, and seconds of work."""

MAX_ENTRIES = 200_000
"""The most headers that are read: many tools write two for each file."""

_MAX_EXTENSION_BYTES = 16 * 1024 * 1024  # extended headers and long names, all together
_MAX_STREAMS = 10_000  # compressed streams one after the other, which parallel compressors write
_MAX_UNPACKER_BYTES = 80 * 1024 * 1024  # xz -9 needs 65 MiB; an archive can ask for 4 GiB
_ONE_UNPACKER = threading.Lock()  # for those that take so much: memory must not grow with the threads
_MAX_READ_BYTES = 16 * 1024 * 1024
_CHUNK = 256 * 1024
_BLOCK = tarfile.BLOCKSIZE
_MAX_DIGITS = 20  # of a number in an extended header


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An entry of an archive. ``name`` is as it is written there: never a path to write to.

    ``is_file`` is whether it is a regular file. ``read(limit)`` gives its bytes, until the next member is asked for;
    it raises :class:`ValueError` where there are more than ``limit``.
    """

    name: str
    is_file: bool
    read: Callable[[int], bytes]


class BoundedFile(io.FileIO):
    """A file of which only so much is read at a time, whatever an archive claims of the size of its directory."""

    _held: threading.Lock | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        limit = _MAX_READ_BYTES + 1
        data = super().read(limit if size is None or size < 0 else min(size, limit)) or b""
        if len(data) == limit:
            raise ValueError(f"its directory has more than {_MAX_READ_BYTES} bytes")
        return data

    def hold(self, lock: threading.Lock) -> None:
        """Waits for ``lock``, and keeps it until the file is closed."""
        lock.acquire()
        self._held = lock

    def close(self) -> None:
        super().close()
        held, self._held = self._held, None
        if held is not None:
            held.release()


def walk_sdist(file: BoundedFile, *, filename: str) -> Iterator[Member]:
    """The members of ``file``, an sdist that is called ``filename``, in the order of the archive.

    Raises :class:`ValueError`, :class:`EOFError` or an error of the library that reads the format, where the archive is
    damaged, of another format, or larger than the limits.
    """
    if filename.endswith(".zip"):
        return _walk_zip(file)
    unpackers = (pair for pair in _UNPACKERS.items() if filename.endswith(pair[0]))
    _, start = next(unpackers, ("", None))
    if start is not None:
        if start is _start_xz:
            file.hold(_ONE_UNPACKER)
        return _walk_tar(_Stream(_unpack(file, start)))
    if filename.endswith(".tar"):
        return _walk_tar(_Stream(iter(partial(file.read, _CHUNK), b"")))
    raise ValueError("an archive of a kind that is not read")


# ── zip ─────────────────────────────────────────────────────────────────────────────────────────────


def _walk_zip(file: BoundedFile) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        if len(archive.infolist()) > MAX_ENTRIES:
            raise ValueError(f"it has more than {MAX_ENTRIES} members")
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # none where another system than Unix wrote it
            is_file = not info.filename.endswith("/") and kind in (0, stat.S_IFREG)
            yield Member(name=info.filename, is_file=is_file, read=partial(_read_zipped, archive, info))


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    # bzip2 and lzma unpack without a bound, and no tool writes sdists with them.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its compression is {info.compress_type}")
    with archive.open(info) as member:
        data = member.read(limit + 1)  # whatever size the archive's directory claims
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _too_large(limit: int) -> ValueError:
    return ValueError(f"more than {limit} bytes")


# ── tar ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True, kw_only=True)
class _Extension:
    """What headers of their own say of the member that follows them: of its name and size more than fits in its own."""

    name: str | None = None
    size: int | None = None
    is_sparse: bool = False


def _walk_tar(stream: _Stream) -> Iterator[Member]:
    extension = _Extension()
    left = _MAX_EXTENSION_BYTES
    for _ in range(MAX_ENTRIES):
        block = stream.read_block()
        if not block.strip(b"\0"):
            return
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if header.type in _EXTENSIONS:
            payload = _Payload(stream, header.size)
            left -= header.size
            if left < 0:
                raise ValueError(f"its extended headers have more than {_MAX_EXTENSION_BYTES} bytes")
            _extend(extension, header.type, payload.read(header.size))
            continue
        has_payload = header.isreg() or header.type not in tarfile.SUPPORTED_TYPES
        is_sparse = extension.is_sparse or header.type == tarfile.GNUTYPE_SPARSE
        if header.type == tarfile.GNUTYPE_SPARSE and block[_SPARSE_FLAG]:
            _skip_sparse_map(stream)
        size = header.size if extension.size is None else extension.size
        payload = _Payload(stream, size if has_payload else 0)
        yield Member(name=extension.name or header.name, is_file=header.isreg() and not is_sparse, read=payload.read)
        payload.skip()
        extension = _Extension()
    raise ValueError(f"it has more than {MAX_ENTRIES} members")


_EXTENSIONS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_SPARSE_FLAG = 482  # of the first block, whether there is another; in each of those it stands elsewhere
_NEXT_SPARSE_FLAG = 504


def _extend(extension: _Extension, kind: bytes, data: bytes) -> None:
    """What is said of the target of a link, or of all members at once, is not needed."""
    if kind in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
        for key, value in _parse_extended(data):
            if key == b"path":
                extension.name = _decode(value)
            elif key == b"size":
                extension.size = _parse_number(value)
            elif key.startswith(b"GNU.sparse."):
                extension.is_sparse = True
    elif kind == tarfile.GNUTYPE_LONGNAME:
        extension.name = _decode(data.partition(b"\0")[0])


def _parse_extended(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a pax header: ``<length> <key>=<value>\\n``, the length that of all of it."""
    start = 0
    while start < len(data) and data[start]:
        digits, blank, _ = data[start : start + _MAX_DIGITS].partition(b" ")
        length = _parse_number(digits)
        record = data[start : start + length]
        if not blank or length <= len(digits) + 1 or len(record) != length:
            raise ValueError("an extended header cannot be read")
        key, _, value = record[len(digits) + 1 : -1].partition(b"=")
        yield key, value
        start += length


def _parse_number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise ValueError("an extended header has something else for a number")
    return int(digits)


def _decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _skip_sparse_map(stream: _Stream) -> None:
    while stream.read(_BLOCK)[_NEXT_SPARSE_FLAG]:
        pass


class _Payload:
    """The bytes of a member, which fill whole blocks."""

    def __init__(self, stream: _Stream, size: int) -> None:
        if size < 0:
            raise ValueError("a member has a negative size")
        self._stream = stream
        self._size = size
        self._left = size + -size % _BLOCK

    def read(self, limit: int) -> bytes:
        if self._size > limit:
            raise _too_large(limit)
        data = self._stream.read(self._left)
        self._left = 0
        return data[: self._size]

    def skip(self) -> None:
        self._stream.skip(self._left)
        self._left = 0


# ── compression ─────────────────────────────────────────────────────────────────────────────────────


class _Stream:
    """The unpacked bytes of an archive, of which so many come and no more."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._start = 0
        self._total = 0

    def read_block(self) -> bytes:
        """The next block; empty at the end."""
        return self.read(_BLOCK) if self._fill() else b""

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes. Raises :class:`EOFError` where there are fewer."""
        return b"".join(self._take(size))

    def skip(self, size: int) -> None:
        for _ in self._take(size):
            pass

    def _take(self, size: int) -> Iterator[bytes]:
        while size:
            if not self._fill():
                raise EOFError("it ends within a member")
            part = self._chunk[self._start : self._start + size]
            self._start += len(part)
            size -= len(part)
            yield part

    def _fill(self) -> bool:
        """Whether there are bytes left; some are at hand then."""
        while self._start >= len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._chunk, self._start = chunk, 0
            self._total += len(chunk)
            if self._total > MAX_UNPACKED_BYTES:
                raise ValueError(f"more than {MAX_UNPACKED_BYTES} bytes are before what is looked for")
        return True


class _Unpacker(Protocol):
    """Unpacks one compressed stream; at most so many bytes at a time."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's unpacker with the methods that those of bz2 and lzma have."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_start_xz = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _MAX_UNPACKER_BYTES)
_UNPACKERS: dict[str, Callable[[], _Unpacker]] = {
    ".tar.gz": _Gzip,
    ".tgz": _Gzip,
    ".tar.bz2": bz2.BZ2Decompressor,
    ".tbz": bz2.BZ2Decompressor,
    ".tar.xz": _start_xz,
    ".txz": _start_xz,
}


def _unpack(file: BoundedFile, start: Callable[[], _Unpacker]) -> Iterator[bytes]:
    data = file.read(_CHUNK)
    for _ in range(_MAX_STREAMS):
        unpacker = start()
        while not unpacker.eof:
            if unpacker.needs_input and not data:
                data = file.read(_CHUNK)
                if not data:
                    raise EOFError("it ends early")
            yield unpacker.decompress(data, _CHUNK)
            data = b""
        data = unpacker.unused_data or file.read(_CHUNK)
        if not data:
            return
    raise ValueError(f"it has more than {_MAX_STREAMS} compressed streams")
