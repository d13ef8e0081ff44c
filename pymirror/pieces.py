"""Bytes that come in pieces: compared, packed and unpacked without being in memory as a whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

_GZIP = 31  # window bits of the gzip format (RFC 1952), whose header then holds neither name nor time
_MAX_PIECE_BYTES = 256 * 1024

GZIP_START = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
GZIP_END = b"\x03\x00"
"""The last, empty block of what :func:`pack_part` packed."""


def is_same(one: Iterable[bytes], other: Iterable[bytes]) -> bool:
    """Whether both are the same bytes, however they are cut."""
    left, right = filter(None, one), filter(None, other)
    held, given = b"", b""
    while True:
        held = held or next(left, b"")
        given = given or next(right, b"")
        if not held or not given:
            return not _rest(held, left) and not _rest(given, right)
        size = min(len(held), len(given))
        if held[:size] != given[:size]:
            return False
        held, given = held[size:], given[size:]


def _rest(held: bytes, pieces: Iterator[bytes]) -> bool:
    return bool(held) or any(pieces)


def compress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """``pieces`` as a gzip file; the same bytes give the same file, as long as zlib is the same."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def pack_part(data: bytes) -> bytes:
    """``data`` as a part of a gzip file that can be packed before or after any other (RFC 1951, a sync flush)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


def render_gzip_trailer(checksum: int, size: int) -> bytes:
    """What ends a gzip file; ``checksum`` is the CRC-32 of all its bytes, ``size`` their number."""
    return struct.pack("<LL", checksum, size & 0xFFFFFFFF)


def decompress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What :func:`compress` was given; what is no such file ends where it is none."""
    unpacker = zlib.decompressobj(_GZIP)
    for piece in pieces:
        while piece:
            try:
                yield unpacker.decompress(piece, _MAX_PIECE_BYTES)
            except zlib.error:
                yield b"\0"  # which no page holds
                return
            piece = unpacker.unconsumed_tail
    if not unpacker.eof or unpacker.unused_data:
        yield b"\0"
