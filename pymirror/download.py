"""Transfers → verified files in the pool.

A file streams into a temporary one while it is hashed; only when size and sha256 are the promised ones does it get its
name. What a broken connection or a killed run left is asked on with Range and If-Range (RFC 9110, 14), never trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from pymirror.errors import (
    IntegrityError,
    OutOfTimeError,
    PymirrorError,
    RequestError,
    StorageError,
    TooLargeError,
    TransientRequestError,
    UnsafeNameError,
)
from pymirror.layout import PARTIAL, longest_pool_path
from pymirror.plan import PoolFile, WantedFile
from pymirror.pool import Pool
from pymirror.progress import Progress
from pymirror.spec.model import Network
from pymirror.storage.interface import Storage, is_too_long
from pymirror.transport import Answer, Transport
from pymirror.workers import Stop, run_ordered

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/(?:[0-9]+|\*)")
_CHUNK_BYTES = 1024 * 1024

SMALL_BYTES = 1024 * 1024
"""A file of at most so many bytes stays in memory until it is whole, once for each connection."""

_OTHER_HASHES = frozenset({"md5", "sha1", "sha224", "sha384", "sha512"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What became of a transfer: a pool file, or the error; or it is larger than the spec allows.

    ``told_size`` are the bytes of a file that is too large, or at least so many. One that ``is_unreached`` was not
    fetched, or not to its end, since the time of ``stop-after`` was over.
    """

    file: WantedFile
    stored: PoolFile | None
    problem: str | None = None
    is_too_large: bool = False
    told_size: int | None = None
    is_unreached: bool = False


class _Source(msgspec.Struct, frozen=True):
    """What a partial file is a part of: kept beside it."""

    url: str
    validator: str


class Downloader:
    """Fetches files into the pool."""

    def __init__(
        self,
        *,
        transport: Transport,
        pool: Pool,
        storage: Storage,
        network: Network,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._transport = transport
        self._pool = pool
        self._storage = storage
        self._network = network
        self._progress = progress
        self._stop = stop
        # What is done with a file that has arrived takes the processor: threads in a queue are faster than in a crowd.
        self._desk = threading.BoundedSemaphore(2 * max(2, os.cpu_count() or 1))

    def download(self, files: tuple[WantedFile, ...]) -> Generator[Download, None, None]:
        """Each of ``files``, fetched or failed, in order. A full or broken disk ends the run."""
        results = run_ordered(files, self._download_one, threads=self._network.connections, stop=self._stop)
        for _, result in results:
            yield result

    def _download_one(self, file: WantedFile) -> Download:
        try:
            return self.fetch(file)
        finally:
            self._progress.item()

    def fetch(self, file: WantedFile) -> Download:
        """``file``, fetched or failed, on this thread. Raises :class:`StorageError`."""
        try:
            stored, warning = self._attempt_again(file)
        except StorageError as error:
            if not is_too_long(error):
                raise
            return Download(file=file, stored=None, problem=str(error))
        except TooLargeError as error:
            return Download(file=file, stored=None, problem=str(error), is_too_large=True, told_size=error.size)
        except OutOfTimeError as error:
            return Download(file=file, stored=None, problem=str(error), is_unreached=True)
        except PymirrorError as error:
            self._stop.check()
            return Download(file=file, stored=None, problem=str(error))
        except Exception as error:  # noqa: BLE001 - whatever one file brings up must not cost the others
            return Download(file=file, stored=None, problem=f"unexpected {type(error).__name__}")
        if warning is not None:
            self._progress.warn(warning)
        elif file.upstream_metadata_sha256 not in (None, stored.metadata_sha256):
            self._progress.warn(
                f"{file.filename}: upstream's core metadata are not the wheel's own, which are published"
            )
        return Download(file=file, stored=stored)

    def _attempt_again(self, file: WantedFile) -> tuple[PoolFile, str | None]:
        """As :meth:`_attempt`, as often as that may help."""
        try:
            return self._transport.retry(lambda: self._attempt(file), progress=self._progress)
        except IntegrityError as error:
            # The line or a cache on the way may be at fault: once more, and then it is upstream's own answer.
            self._progress.note(f"{error}; fetching it once more")
            return self._transport.retry(lambda: self._attempt(file), progress=self._progress)

    def _attempt(self, file: WantedFile) -> tuple[PoolFile, str | None]:
        if file.size is not None and file.size > self._network.max_file_bytes:
            raise RequestError(file.url, f"{file.size} bytes are more than network: max-file-size allows")
        if not self._storage.can_hold(longest_pool_path(file.filename)):
            raise UnsafeNameError(file.filename, "is longer than this disk takes, with what stands beside it")
        if file.size is not None and file.size <= SMALL_BYTES:
            return self._attempt_small(file)
        partial = self._storage.temporary(f"{PARTIAL}/{partial_name(file)}")
        source = partial.with_suffix(".json")
        with _storage_errors(partial):
            offset, validator = _resumable(partial, source, file)
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        with self._transport.get(
            file.url, headers=headers, timeout_seconds=self._network.file_timeout_seconds
        ) as answer:
            if offset and not _continues(answer, offset):
                with _storage_errors(partial):
                    partial.unlink()
                raise TransientRequestError(file.url, "the server cannot go on where it stopped; starting anew")
            offset = _check_answer(answer, file, offset)
            if file.size is None:
                self._progress.expect((answer.content_length or 0) - (file.probable_size or 0))
            with _storage_errors(partial):
                _remember_source(source, answer, file)
                sha256, blake2b = self._receive(answer, file, partial, offset)
        with self._desk:
            stored = self._pool.add(partial, filename=file.filename, sha256=sha256, blake2b=blake2b)
        with contextlib.suppress(OSError):
            source.unlink()
        return stored

    def _attempt_small(self, file: WantedFile) -> tuple[PoolFile, str | None]:
        """The same of a file that is sooner fetched anew than gone on with: it stays in memory until it is whole."""
        with self._transport.get(
            file.url, headers={"Accept-Encoding": "identity"}, timeout_seconds=self._network.file_timeout_seconds
        ) as answer:
            _check_answer(answer, file, 0)
            hashing = _Hashing(file, self._network.max_file_bytes)
            pieces = []
            for chunk in answer.stored_chunks():
                self._progress.received(len(chunk))
                pieces.append(chunk)
                if hashing.count(chunk):
                    break
        with self._desk:
            data = b"".join(pieces)
            hashing.update(data)
            digests = hashing.verify(answer)
            return self._pool.add(data, filename=file.filename, sha256=digests["sha256"], blake2b=hashing.blake2b)

    def _receive(self, answer: Answer, file: WantedFile, partial: Path, offset: int) -> tuple[str, str]:
        """Appends the body to the first ``offset`` bytes of ``partial``; the digests of the whole, once verified."""
        hashing = _Hashing(file, self._network.max_file_bytes)
        with partial.open("r+b" if offset else "wb") as out:
            for chunk in _prefix_then(out, offset, answer):
                if hashing.size >= offset:
                    out.write(chunk)
                    self._progress.received(len(chunk))
                if hashing.count(chunk):
                    break
                hashing.update(chunk)
        if file.max_size is not None and hashing.size > file.max_size:
            partial.unlink()
            raise TooLargeError(file.filename, hashing.size)
        try:
            digests = hashing.verify(answer)
        except IntegrityError:
            partial.unlink()
            if offset:
                raise TransientRequestError(file.url, "the resumed file does not match; starting anew") from None
            raise
        return digests["sha256"], hashing.blake2b


class _Hashing:
    """The digests of a file as it comes, and how many bytes of it there were."""

    def __init__(self, file: WantedFile, max_bytes: int) -> None:
        self._file = file
        limit = max_bytes if file.size is None else file.size
        self._limit = min(limit, file.max_size) if file.max_size is not None else limit
        # Upstream's other hashes count only where it gives no sha256.
        names = {name for allowed in file.lock_hashes for name, _ in allowed} | (
            {name for name, _ in file.hashes} if not file.sha256 else set()
        )
        self._digests = {name: hashlib.new(name) for name in sorted(names & _OTHER_HASHES)}
        self._digests["sha256"] = hashlib.sha256()
        self._blake2b = hashlib.blake2b(digest_size=32)
        self.size = 0

    @property
    def blake2b(self) -> str:
        return self._blake2b.hexdigest()

    def count(self, chunk: bytes) -> bool:
        """Whether with ``chunk`` there are more bytes than may be."""
        self.size += len(chunk)
        return self.size > self._limit

    def update(self, chunk: bytes) -> None:
        self._blake2b.update(chunk)
        for digest in self._digests.values():
            digest.update(chunk)

    def verify(self, answer: Answer) -> dict[str, str]:
        """The digests. Raises :class:`IntegrityError` and :class:`TransientRequestError` where it is not the file."""
        digests = {name: digest.hexdigest() for name, digest in self._digests.items()}
        _verify(self._file, self.size, self._limit, digests, answer)
        return digests


def partial_name(file: WantedFile) -> str:
    """Two files of the same bytes are two downloads."""
    return hashlib.sha256(f"{file.filename} {file.sha256 or file.url}".encode()).hexdigest()


def _resumable(partial: Path, source: Path, file: WantedFile) -> tuple[int, str]:
    """How many bytes are there already and what they are part of; (0, "") where they cannot be used."""
    try:
        known = msgspec.json.decode(source.read_bytes(), type=_Source)
        size = partial.stat().st_size
    except (FileNotFoundError, msgspec.DecodeError):
        return 0, ""
    if known.url != _public_url(file.url) or (file.size is not None and size >= file.size):
        return 0, ""
    return size, known.validator


def _remember_source(source: Path, answer: Answer, file: WantedFile) -> None:
    """Keeps the validator for a later Range request: a strong ETag, else the date (RFC 9110, 13.1.5)."""
    etag = answer.headers.get("etag", "")
    validator = etag if etag.startswith('"') else answer.headers.get("last-modified", "")
    if answer.status == 206:
        return
    if validator and validator.isascii() and validator.isprintable():
        source.write_bytes(msgspec.json.encode(_Source(_public_url(file.url), validator)))
    else:
        source.unlink(missing_ok=True)


def _public_url(url: str) -> str:
    """A digest in place of the URL, which may carry a token."""
    return hashlib.sha256(url.encode()).hexdigest()


def _continues(answer: Answer, offset: int) -> bool:
    """Whether a Range request was answered with the rest of the file from ``offset``, or with the whole of it."""
    if answer.status != 206:
        return answer.status == 200
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    return match is not None and int(match[1]) == offset


def _check_answer(answer: Answer, file: WantedFile, offset: int) -> int:
    """Where in the file the body begins. Raises where it cannot be the file's."""
    if answer.status == 206 and offset:
        return offset
    if answer.status != 200:
        raise RequestError(file.url, f"HTTP {answer.status} is no answer to this question")
    length = answer.content_length
    if length is not None and file.max_size is not None and length > file.max_size:
        raise TooLargeError(file.filename, length)
    if length is not None and file.size is not None and length != file.size:
        raise IntegrityError(
            f"size of {file.filename}", expected=f"{file.size} bytes", actual=f"{length} bytes", url=file.url
        )
    return 0


def _prefix_then(out: BinaryIO, offset: int, answer: Answer) -> Iterator[bytes]:
    """The bytes that are there already, then those that arrive."""
    remaining = offset
    while remaining:
        chunk = out.read(min(_CHUNK_BYTES, remaining))
        if not chunk:
            raise TransientRequestError(answer.url, "the partial file was cut meanwhile")
        remaining -= len(chunk)
        yield chunk
    yield from answer.stored_chunks()


def _verify(file: WantedFile, size: int, limit: int, digests: dict[str, str], answer: Answer) -> None:
    if size > limit:
        problem = "size of " + file.filename
        raise IntegrityError(problem, expected=f"{limit} bytes at most", actual="more", url=answer.url)
    if file.size is not None and size < file.size:
        raise TransientRequestError(file.url, f"the file ended after {size} of {file.size} bytes")
    if not (answer.is_delimited or file.size is not None or file.hashes or file.lock_hashes):
        problem = "neither its server nor its page says where the file ends, so that it may have been cut off"
        raise TransientRequestError(file.url, problem)
    for name, expected in file.hashes:
        if name in digests and digests[name] != expected:
            raise IntegrityError(f"{name} of {file.filename}", expected=expected, actual=digests[name], url=answer.url)
    for allowed in file.lock_hashes:
        if any(digests.get(name) == digest for name, digest in allowed):
            continue
        expected = "one of the lock file's hashes"
        raise IntegrityError(file.filename, expected=expected, actual=f"sha256 {digests['sha256']}", url=answer.url)


@contextlib.contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError.from_os_error(error, path) from error
