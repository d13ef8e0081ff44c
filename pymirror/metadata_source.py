"""What files need, from wherever that can be had at the least cost, and each asked once.

In this order: what is remembered; the metadata in the pool; upstream's core-metadata file (PEP 658, PEP 714); the end
of the wheel; the whole file. No code of a distribution is run. What is remembered is state: safe to delete.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec
from packaging.utils import NormalizedName

from pymirror.archive import check_wheel_metadata, read_sdist_parts, read_wheel_metadata
from pymirror.closure.model import AskNeeds, NoNeeds
from pymirror.errors import (
    IntegrityError,
    OutOfTimeError,
    PymirrorError,
    RequestError,
    StorageError,
    TransientRequestError,
    UnavailableError,
    UnreachableError,
)
from pymirror.layout import METADATA_SUFFIX, NEEDS, pool_path
from pymirror.metadata import MAX_METADATA_BYTES
from pymirror.needs import Needs, read_sdist_needs, read_wheel_needs
from pymirror.plan import PoolFile
from pymirror.pool import hash_file
from pymirror.progress import Progress
from pymirror.remote_wheel import RemoteWheels
from pymirror.simple.model import File
from pymirror.spec.model import Network, PackageType
from pymirror.storage.interface import Storage
from pymirror.transport import Transport
from pymirror.workers import Stop, run_ordered

FORMAT = 1  # raised when more or other needs are read out of the same file

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHECKED_HASHES = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedNeeds:
    """A wheel or an sdist, as its page describes it, and what the pool holds of it.

    ``max_size`` are the bytes that it may have where its page does not tell them.
    """

    project: NormalizedName
    file: File
    package_type: PackageType
    held: PoolFile | None = None
    max_size: int | None = None

    @property
    def question(self) -> AskNeeds:
        return AskNeeds(project=self.project, filename=self.file.filename)


Obtain = Callable[[WantedNeeds], Path | None]
"""Fetches the whole file, on the thread that calls it, and says where it can be read: verified, by the hashes that its
page gives. ``None`` where it may not be fetched; raises :class:`PymirrorError` where it cannot be had.
"""


class _Remembered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file was found to need, or why that cannot be told. ``metadata_sha256`` is that of a wheel's METADATA."""

    project: str
    filename: str
    format: int
    needs: Needs | None = None
    problem: str | None = None
    metadata_sha256: str | None = None


_decoder = msgspec.msgpack.Decoder(_Remembered)
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An answer; what is not ``is_lasting`` is not remembered."""

    answer: Needs | NoNeeds
    metadata_sha256: str | None = None
    is_lasting: bool = True


class MetadataSource:
    """Answers what files need. With ``write``, what is found out is remembered between runs."""

    def __init__(
        self,
        *,
        transport: Transport,
        storage: Storage,
        network: Network,
        progress: Progress,
        stop: Stop,
        obtain: Obtain,
        write: bool,
    ) -> None:
        self._transport = transport
        self._storage = storage
        self._network = network
        self._progress = progress
        self._stop = stop
        self._obtain = obtain
        self._write = write
        self._wheels = RemoteWheels(transport=transport, network=network, progress=progress)
        self._answers: dict[AskNeeds, Needs | NoNeeds] = {}
        self._end: OutOfTimeError | None = None

    def read(self, wanted: Sequence[WantedNeeds]) -> Iterator[tuple[AskNeeds, Needs | NoNeeds]]:
        """The answer for each of ``wanted``, in order; to be read to its end. Of equal questions there is one.

        What was answered in this run before, well or badly, is not asked again. Raises :class:`StorageError`, and at
        the end :class:`OutOfTimeError` where the time of ``stop-after`` was over before.
        """
        unique = list({each.question: each for each in wanted}.values())
        self._progress.phase("reading metadata", items=len(unique))
        threads = self._network.connections
        for each, answer in run_ordered(unique, self._answer, threads=threads, stop=self._stop):
            yield each.question, answer
        if self._end is not None:
            raise self._end

    def read_stored(self, stored: PoolFile) -> Needs | None:
        """What a wheel of the pool needs by its own METADATA; ``None`` where it has none that can be used."""
        if stored.metadata_sha256 is None:
            return None
        data = self._storage.read(pool_path(stored.blake2b, stored.filename) + METADATA_SUFFIX)
        return read_wheel_needs(data) if data is not None else None

    def _answer(self, wanted: WantedNeeds) -> Needs | NoNeeds:
        question = wanted.question
        if question not in self._answers:
            self._answers[question] = self._find(wanted)
        self._progress.item()
        return self._answers[question]

    def _find(self, wanted: WantedNeeds) -> Needs | NoNeeds:
        try:
            remembered = self._recall(wanted)
            if remembered is not None:
                return remembered
            is_wheel = wanted.package_type is PackageType.BDIST_WHEEL
            found = self._read_wheel(wanted) if is_wheel else self._read_sdist(wanted)
            self._remember(wanted, found)
        except StorageError:
            raise
        except OutOfTimeError as error:
            self._end = error
            return NoNeeds(problem=str(error))
        except UnavailableError as error:
            self._stop.check()
            return NoNeeds(problem=str(error), is_error=not error.may_not_be)
        except PymirrorError as error:
            self._stop.check()
            return NoNeeds(problem=str(error))
        except Exception as error:  # noqa: BLE001 - whatever one file brings up must not cost the others
            return NoNeeds(problem=f"{wanted.file.filename}: unexpected {type(error).__name__}")
        return found.answer

    # ── wheels ──────────────────────────────────────────────────────────────────────────────────

    def _read_wheel(self, wanted: WantedNeeds) -> _Found:
        filename = wanted.file.filename
        if wanted.held is not None:
            found = self._read_held_wheel(wanted.held)
            if found is not None:
                return found
        data = self._fetch_core_metadata(wanted.file)
        if data is None:
            data = self._fetch_from_wheel(wanted.file)
        if data is not None:
            return _found_wheel(data)
        path = self._obtain(wanted)
        if path is None:
            return _not_fetched(filename)
        try:
            return _found_wheel(read_wheel_metadata(path, filename=filename))
        except IntegrityError as error:
            return _Found(answer=NoNeeds(problem=str(error), is_error=False))

    def _read_held_wheel(self, held: PoolFile) -> _Found | None:
        """By the metadata beside it, else by the wheel; ``None`` where both were damaged since they were verified."""
        path = pool_path(held.blake2b, held.filename)
        data = self._storage.read(path + METADATA_SUFFIX)
        if data is not None and hashlib.sha256(data).hexdigest() == held.metadata_sha256:
            return _found_wheel(data)
        try:
            found = _found_wheel(read_wheel_metadata(self._storage.local_path(path), filename=held.filename))
        except IntegrityError as error:
            found = _Found(answer=NoNeeds(problem=str(error), is_error=False))
        return found if held.metadata_sha256 in (None, found.metadata_sha256) else None

    def _fetch_core_metadata(self, file: File) -> bytes | None:
        """Upstream's core-metadata file; ``None`` where there is none that can be used."""
        said = file.core_metadata
        if not said:
            return None
        url = _metadata_url(file.url)
        try:
            data = self._transport.retry(lambda: self._get(url), progress=self._progress)
            for name, digest in said if isinstance(said, tuple) else ():
                actual = hashlib.new(name, data, usedforsecurity=False).hexdigest() if name in _CHECKED_HASHES else None
                if actual not in (None, digest):
                    what = f"{name} of the core metadata of {file.filename}"
                    raise IntegrityError(what, expected=digest, actual=f"{actual}", url=url)
            check_wheel_metadata(data, filename=file.filename)
        except (RequestError, IntegrityError) as error:
            self._give_up_where_nobody_answers(error)
            self._progress.note(f"{error}; the metadata are read out of the wheel")
            return None
        return data

    def _get(self, url: str) -> bytes:
        timeout = self._network.page_timeout_seconds
        with self._transport.get(url, headers={}, timeout_seconds=timeout) as answer:
            if answer.status != 200:
                raise RequestError(url, f"HTTP {answer.status} is no answer to this question")
            return answer.read(max_bytes=MAX_METADATA_BYTES)

    def _fetch_from_wheel(self, file: File) -> bytes | None:
        """METADATA out of the wheel where it is; ``None`` where that cannot be done."""
        try:
            return self._wheels.read(file.url, filename=file.filename, size=file.expected_size)
        except (RequestError, IntegrityError) as error:
            self._give_up_where_nobody_answers(error)
            self._progress.note(f"{error}; the whole file is needed")
            return None

    def _give_up_where_nobody_answers(self, error: PymirrorError) -> None:
        """Raises ``error`` where it is no answer of a server: all retries are used up, and would be once more."""
        self._stop.check()
        is_silent = isinstance(error, TransientRequestError) and error.status is None
        if is_silent or isinstance(error, UnreachableError):
            raise error

    # ── sdists ──────────────────────────────────────────────────────────────────────────────────

    def _read_sdist(self, wanted: WantedNeeds) -> _Found:
        filename = wanted.file.filename
        if wanted.package_type is not PackageType.SDIST:
            problem = f"{filename}: what a {wanted.package_type} needs cannot be told"
            return _Found(answer=NoNeeds(problem=problem, is_error=False), is_lasting=False)
        path = self._find_held_sdist(wanted.held) if wanted.held is not None else None
        if path is None:
            path = self._obtain(wanted)
        if path is None:
            return _not_fetched(filename)
        try:
            parts = read_sdist_parts(path, filename=filename, project=wanted.project)
        except IntegrityError as error:
            return _Found(answer=NoNeeds(problem=str(error), is_error=False))
        return _Found(answer=read_sdist_needs(parts.pkg_info, parts.requires_txt, parts.pyproject, parts.setup_cfg))

    def _find_held_sdist(self, held: PoolFile) -> Path | None:
        """Where it is; ``None`` where it was damaged since it was verified: half an archive may be readable too."""
        path = self._storage.local_path(pool_path(held.blake2b, held.filename))
        return path if hash_file(path)[0] == held.sha256 else None

    # ── what is remembered ──────────────────────────────────────────────────────────────────────

    def _recall(self, wanted: WantedNeeds) -> Needs | NoNeeds | None:
        """``None`` where nothing usable is remembered; damage is the same as nothing."""
        name = _name_remembered(wanted.file)
        data = self._storage.read(name) if name is not None else None
        if data is None:
            return None
        try:
            known = _decoder.decode(data)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if (known.format, known.project, known.filename) != (FORMAT, wanted.project, wanted.file.filename):
            return None
        # What upstream said of a wheel counts no more when the wheel itself is there and says something else.
        if wanted.held is not None and known.metadata_sha256 != wanted.held.metadata_sha256:
            return None
        if known.needs is None:
            return None if known.problem is None else NoNeeds(problem=known.problem, is_error=False)
        return known.needs

    def _remember(self, wanted: WantedNeeds, found: _Found) -> None:
        name = _name_remembered(wanted.file)
        if name is None or not self._write or not found.is_lasting:
            return
        known = _Remembered(
            project=wanted.project,
            filename=wanted.file.filename,
            format=FORMAT,
            needs=found.answer if isinstance(found.answer, Needs) else None,
            problem=found.answer.problem if isinstance(found.answer, NoNeeds) else None,
            metadata_sha256=found.metadata_sha256,
        )
        self._storage.write(name, _encoder.encode(known))


def _found_wheel(metadata: bytes) -> _Found:
    return _Found(answer=read_wheel_needs(metadata), metadata_sha256=hashlib.sha256(metadata).hexdigest())


def _not_fetched(filename: str) -> _Found:
    problem = f"{filename}: what it needs cannot be told without the file, which is not fetched"
    return _Found(answer=NoNeeds(problem=problem), is_lasting=False)


def _metadata_url(url: str) -> str:
    """Where the core metadata of the file at ``url`` are: at its path, in which a query has no part."""
    try:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(path=parts.path + METADATA_SUFFIX))
    except ValueError:
        raise RequestError(url, "not a URL") from None


def _name_remembered(file: File) -> str | None:
    """A file without a sha256 has no name that would be its own."""
    digest = file.sha256
    return f"{NEEDS}/{digest[:2]}/{digest[2:]}" if digest is not None and _SHA256.fullmatch(digest) else None
