"""The provenance objects of published files (PEP 740): fetched once, kept beside the file.

Upstream may change an object, as when it adds an attestation; the one that was there when the file came is kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from pymirror.errors import (
    OutOfTimeError,
    PymirrorError,
    RequestError,
    StorageError,
    TransientRequestError,
    UnreachableError,
)
from pymirror.layout import PROVENANCE_SUFFIX
from pymirror.progress import Progress
from pymirror.simple.provenance import ACCEPT, MAX_BYTES, find_problem
from pymirror.snapshot import Snapshot, SnapshotFile
from pymirror.spec.model import Network
from pymirror.storage.interface import Storage
from pymirror.transport import Transport
from pymirror.workers import Stop, run_ordered

MAX_FAILURES = 5
"""From a host that failed to answer so often, one time after the other, no more are asked for in this run."""

_MAX_WARNINGS = 5  # for each host; an index may list thousands of objects that it has not
_USELESS = (None, 404, 410)  # the status of an answer that is the object's own fault


@dataclass(frozen=True, slots=True, kw_only=True)
class _Missing:
    file: SnapshotFile
    url: str


class Provenances:
    """Finds and fetches provenance objects."""

    def __init__(
        self, *, transport: Transport, storage: Storage, network: Network, progress: Progress, stop: Stop
    ) -> None:
        self._transport = transport
        self._storage = storage
        self._network = network
        self._progress = progress
        self._stop = stop
        self._lock = threading.Lock()
        self._failures: dict[str, int] = {}
        self._warned: dict[str, int] = {}
        self._unasked: dict[str, int] = {}

    def add(self, snapshot: Snapshot, previous: Snapshot, urls: Mapping[tuple[str, str], str]) -> Snapshot:
        """``snapshot`` with the digests of the objects that its files have, those of ``previous`` among them.

        ``urls`` are upstream's, by (project, file name). One that cannot be had is told of, and tried again by the next
        run: the file is as good without it.
        """
        known = {file.path: file.provenance_sha256 for _, file in previous.files()}
        digests: dict[str, str] = {}
        missing: dict[str, _Missing] = {}
        for project, file in snapshot.files():
            held = self._find(file, known.get(file.path))
            url = urls.get((project, file.filename))
            if held is not None:
                digests[file.path] = held
            elif url is not None:
                missing[file.path] = _Missing(file=file, url=url)
        self._progress.phase("fetching provenance", items=len(missing))
        fetched = run_ordered(list(missing.values()), self._fetch, threads=self._network.connections, stop=self._stop)
        digests |= {item.file.path: digest for item, digest in fetched if digest is not None}
        return _with_digests(snapshot, digests) if digests else snapshot

    def _find(self, file: SnapshotFile, known: str | None) -> str | None:
        """The digest of the object that is there already."""
        name = file.path + PROVENANCE_SUFFIX
        if known is not None and self._storage.stat(name) is not None:
            return known
        data = self._storage.read(name)  # left by a run that was killed, or of a tree whose record is lost
        if data is None or find_problem(data, sha256=file.sha256) is not None:
            return None
        return hashlib.sha256(data).hexdigest()

    def _fetch(self, missing: _Missing) -> str | None:
        host = urlsplit(missing.url).netloc
        if not self._storage.can_hold(missing.file.path + PROVENANCE_SUFFIX):
            self._progress.warn(f"no provenance for {missing.file.filename}: the name is longer than this disk takes")
            self._progress.item()
            return None
        with self._lock:
            if self._failures.get(host, 0) >= MAX_FAILURES:
                self._unasked[host] = self._unasked.get(host, 0) + 1
                self._progress.item()
                return None
        try:
            data = self._transport.retry(lambda: self._ask(missing), progress=self._progress)
            self._storage.write(missing.file.path + PROVENANCE_SUFFIX, data)
        except StorageError:
            raise
        except OutOfTimeError:
            return None  # the next run finds that it is missing
        except PymirrorError as error:
            self._stop.check()
            self._fail(host, missing.file.filename, error)
            return None
        finally:
            self._progress.item()
        with self._lock:
            self._failures[host] = 0
        return hashlib.sha256(data).hexdigest()

    def _fail(self, host: str, filename: str, error: PymirrorError) -> None:
        """Tells of the first ones; how many there are more is told at the end."""
        with self._lock:
            self._failures[host] = 0 if _is_useless(error) else self._failures.get(host, 0) + 1
            self._warned[host] = self._warned.get(host, 0) + 1
            is_told = self._warned[host] <= _MAX_WARNINGS
        message = f"no provenance for {filename}: {error}"
        self._progress.warn(message) if is_told else self._progress.note(message)

    def tell_rest(self) -> None:
        """Warns of those that no warning was for yet."""
        for host, count in sorted(self._warned.items()):
            if count > _MAX_WARNINGS:
                self._progress.warn(f"no provenance for {count - _MAX_WARNINGS} more files, by what {host} answered")
        for host, count in sorted(self._unasked.items()):
            self._progress.warn(
                f"no provenance for {count} more files: {host} was not asked any more, since it failed "
                f"{MAX_FAILURES} times; the next run tries again"
            )

    def _ask(self, missing: _Missing) -> bytes:
        timeout = self._network.page_timeout_seconds
        with self._transport.get(missing.url, headers={"Accept": ACCEPT}, timeout_seconds=timeout) as answer:
            if answer.status != 200:
                raise RequestError(missing.url, f"HTTP {answer.status} is no answer to this question")
            data = answer.read(max_bytes=MAX_BYTES)
        problem = find_problem(data, sha256=missing.file.sha256)
        if problem is not None:
            raise RequestError(missing.url, problem)
        return data


def _is_useless(error: PymirrorError) -> bool:
    """Whether the host did answer, but for this object alone with nothing that can be used: others may be right."""
    is_silent = isinstance(error, (TransientRequestError, UnreachableError))
    return isinstance(error, RequestError) and not is_silent and error.status in _USELESS


def _with_digests(snapshot: Snapshot, digests: Mapping[str, str]) -> Snapshot:
    projects = tuple(
        msgspec.structs.replace(
            project,
            files=tuple(
                msgspec.structs.replace(file, provenance_sha256=digests[file.path]) if file.path in digests else file
                for file in project.files
            ),
        )
        for project in snapshot.projects
    )
    return msgspec.structs.replace(snapshot, projects=projects)
