"""METADATA out of a wheel that stays where it is: by requests for parts of it (RFC 9110, 14).

The directory of a zip archive stands at its end, and most tools put METADATA right before it: one request is enough
then. What comes is not verified as a whole, so it serves to decide by, and never to publish.
"""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pymirror.archive import read_open_wheel
from pymirror.credentials import Origin, origin_of
from pymirror.errors import RequestError, TransientRequestError
from pymirror.progress import Progress
from pymirror.spec.model import Network
from pymirror.transport import Answer, Transport

R = TypeVar("R")

TAIL_BYTES = 64 * 1024
"""How much of the end is asked for at first: the directory and METADATA of all but the largest wheels."""

MAX_DIRECTORY_BYTES = 8 * 1024 * 1024
"""The largest directory that is read: that of some 50,000 files."""

MAX_REQUESTS = 12
"""For one wheel, beside that for its end: more than any needs whose METADATA is in one piece."""

_AHEAD_BYTES = 32 * 1024
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_NO_SUFFIX = frozenset({400, 501})  # and 416, which is an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Bytes of a file from ``start`` on. ``total`` is the size of the file, ``etag`` its strong validator if any."""

    start: int
    data: bytes
    total: int
    etag: str | None

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class RemoteWheels:
    """Reads METADATA from servers, and remembers which of them send no parts. For any number of threads."""

    def __init__(self, *, transport: Transport, network: Network, progress: Progress) -> None:
        self._transport = transport
        self._network = network
        self._progress = progress
        self._without_parts: set[Origin] = set()

    def read(self, url: str, *, filename: str, size: int | None = None) -> bytes | None:
        """The METADATA of the wheel at ``url``, which is called ``filename``; ``size`` is what its page says.

        ``None`` where its server sends no parts: that is found out once for each server, and no body is read for it.
        Raises :class:`RequestError` where a request fails or an answer is not to the question, and
        :class:`IntegrityError` as :func:`pymirror.archive.read_wheel_metadata`.
        """
        try:
            origin = origin_of(url)
        except ValueError:
            raise RequestError(url, "not a URL") from None
        if origin in self._without_parts:
            return None
        tail = self._ask_tail(url, size)
        if tail is None:
            # The whole is a fair answer to a request for all of it: that says nothing of other files.
            if size is None or size > TAIL_BYTES:
                self._without_parts.add(origin)
            return None
        return read_open_wheel(_RemoteFile(url, tail, self._ask_part), filename=filename)

    def _ask_tail(self, url: str, size: int | None) -> _Part | None:
        """The end of the file; ``None`` where the server does not send it alone."""
        if size is None:
            tail, size = self._ask_suffix(url)
            if tail is not None:
                return tail
            if size is None:
                size = self._ask_size(url)
            if size is None:
                return None
        start = max(0, size - TAIL_BYTES)
        tail = self._ask(url, f"bytes={start}-", lambda answer: _read_part(answer, url))
        if tail is not None and (tail.start, tail.end, tail.total) != (start, size, size):
            raise RequestError(url, f"the answer is not the end of a file of {size} bytes")
        return tail

    def _ask_suffix(self, url: str) -> tuple[_Part | None, int | None]:
        """The end of a file whose size nobody told; or its size, where the server answers with the whole of it."""

        def read(answer: Answer) -> tuple[_Part | None, int | None]:
            if answer.status == 416:
                return None, None
            part = _read_part(answer, url)
            return part, answer.content_length if part is None else None

        try:
            tail, size = self._ask(url, f"bytes=-{TAIL_BYTES}", read)
        except RequestError as error:
            if error.status in _NO_SUFFIX:
                return None, None
            raise
        if tail is not None and tail.end != tail.total:
            raise RequestError(url, "the answer is not the end of the file")
        return tail, size

    def _ask_size(self, url: str) -> int | None:
        """As the server says without sending the file."""

        def attempt() -> int | None:
            timeout = self._network.page_timeout_seconds
            headers = {"Accept-Encoding": "identity"}
            with self._transport.get(url, headers=headers, timeout_seconds=timeout, method="HEAD") as answer:
                return answer.content_length if answer.status == 200 and _is_plain(answer) else None

        return self._transport.retry(attempt, progress=self._progress)

    def _ask_part(self, url: str, start: int, end: int) -> _Part:
        """Bytes from ``start`` on, to ``end`` or to what the server likes to send of that."""
        part = self._ask(url, f"bytes={start}-{end - 1}", lambda answer: _read_part(answer, url, limit=end - start))
        if part is None:
            raise RequestError(url, "the server sends parts of the file no more")
        if part.start != start:
            raise RequestError(url, "the answer is another part of the file")
        return part

    def _ask(self, url: str, part: str, read: Callable[[Answer], R]) -> R:
        def attempt() -> R:
            headers = {"Accept-Encoding": "identity", "Range": part}
            timeout = self._network.page_timeout_seconds
            with self._transport.get(url, headers=headers, timeout_seconds=timeout) as answer:
                return read(answer)

        return self._transport.retry(attempt, progress=self._progress)


def _read_part(answer: Answer, url: str, *, limit: int = TAIL_BYTES) -> _Part | None:
    """The part that ``answer`` holds, of ``limit`` bytes at most; ``None``, unread, where it is the whole file."""
    if answer.status == 200:
        return None
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", "").strip())
    if answer.status != 206 or match is None or not _is_plain(answer):
        raise RequestError(url, f"HTTP {answer.status} is no answer to a request for a part")
    start, last, total = (int(number) for number in match.groups())
    length = last + 1 - start
    if not 0 < length <= limit or last >= total:
        raise RequestError(url, "the answer is another part than the one that was asked for")
    data = bytearray()
    for chunk in answer.stored_chunks():
        data += chunk
        if len(data) > length:
            raise RequestError(url, "the answer is longer than it says")
    if len(data) < length:
        raise TransientRequestError(url, "the answer was cut off")
    etag = answer.headers.get("etag", "")
    return _Part(start=start, data=bytes(data), total=total, etag=etag if etag.startswith('"') else None)


def _is_plain(answer: Answer) -> bool:
    return answer.headers.get("content-encoding", "identity").strip().lower() == "identity"


class _RemoteFile(io.RawIOBase):
    """A file of which the parts are asked for when they are read, and kept: so many, and no more."""

    def __init__(self, url: str, tail: _Part, ask: Callable[[str, int, int], _Part]) -> None:
        self._url = url
        self._tail = tail
        self._parts = [tail]
        self._ask = ask
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._tail.total}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "before the beginning")  # as a file on disk does, which zipfile counts on
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._tail.total - self._position)
        left = left if size is None or size < 0 else min(size, left)
        if left > MAX_DIRECTORY_BYTES:
            raise ValueError(f"its directory has more than {MAX_DIRECTORY_BYTES} bytes")
        data = bytearray()
        while left:
            piece = self._read_some(left)
            data += piece
            left -= len(piece)
            self._position += len(piece)
        return bytes(data)

    def _read_some(self, size: int) -> bytes:
        """Up to ``size`` bytes from where the file stands, and at least one."""
        here = self._position
        part = next((part for part in self._parts if part.start <= here < part.end), None)
        if part is None:
            known = min((part.start for part in self._parts if part.start > here), default=self._tail.total)
            part = self._fetch(here, min(here + max(size, _AHEAD_BYTES), known))
        return part.data[here - part.start : here - part.start + size]

    def _fetch(self, start: int, end: int) -> _Part:
        if len(self._parts) > MAX_REQUESTS:
            raise ValueError(f"it takes more than {MAX_REQUESTS} requests")
        part = self._ask(self._url, start, end)
        is_same = part.etag == self._tail.etag or None in (part.etag, self._tail.etag)
        if part.total != self._tail.total or not is_same:
            raise RequestError(self._url, "the file was changed between two requests")
        self._parts.append(part)
        return part
