"""The files of the pool compared with what the snapshot says, each read as a whole.

A run that was interrupted leaves a record of the files that it had found whole; the next one goes on from there. It is
used up by a run that comes to its end, and after a week.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import Damage
from pymirror.errors import StorageError
from pymirror.layout import METADATA_SUFFIX, POOL, PROVENANCE_SUFFIX, STATE, blake2b_of_pool_path
from pymirror.pool import hash_file
from pymirror.snapshot import Snapshot, SnapshotFile
from pymirror.storage.interface import Storage
from pymirror.workers import run_ordered

VERIFIED = f"{STATE}/verified.jsonl"
MAX_AGE = timedelta(days=7)

_SAVE_FILES = 1000
_SAVE_BYTES = 64 * 1024 * 1024


class _Verified(msgspec.Struct, frozen=True, array_like=True):
    """A line of the record: a file that was whole. Its times are those of the disk: a change shows in one of them."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int


_decoder = msgspec.json.Decoder(_Verified)


class Progressed:
    """What is known to be whole, by this run and by an interrupted one before it. Without ``write``, nothing is kept.

    ``resumed`` is how many files were not read again.
    """

    def __init__(self, storage: Storage, *, now: datetime, write: bool, anew: bool) -> None:
        self._storage = storage
        self._write = write
        self._known = {} if anew or not write else _load(storage, now)
        self._unsaved: list[_Verified] = []
        self._unsaved_bytes = 0
        self.resumed = 0
        if anew and write:
            storage.remove(VERIFIED)

    def is_known(self, file: SnapshotFile) -> bool:
        """Whether ``file`` was whole, and nobody touched it since."""
        known = self._known.get(file.path)
        return known is not None and known == _look(self._storage.local_path(file.path), file.path)

    def add(self, file: SnapshotFile) -> None:
        """``file`` was read and is whole."""
        seen = _look(self._storage.local_path(file.path), file.path) if self._write else None
        if seen is not None:
            self._unsaved.append(seen)
            self._unsaved_bytes += file.size
        if len(self._unsaved) >= _SAVE_FILES or self._unsaved_bytes >= _SAVE_BYTES:
            self.save()

    def save(self) -> None:
        """Keeps what was found so far."""
        lines, self._unsaved, self._unsaved_bytes = self._unsaved, [], 0
        if lines:
            self._storage.append(VERIFIED, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def finish(self) -> None:
        """The run came to its end: the next one reads everything."""
        self._unsaved = []
        if self._write:
            self._storage.remove(VERIFIED)


def _load(storage: Storage, now: datetime) -> dict[str, _Verified]:
    stat = storage.stat(VERIFIED)
    if stat is None or abs(now.timestamp() - stat.mtime_ns / 1e9) > MAX_AGE.total_seconds():
        return {}
    known = {}
    for line in (storage.read(VERIFIED) or b"").splitlines():
        try:
            verified = _decoder.decode(line)
        except (msgspec.DecodeError, ValueError):
            continue  # the last line of a run that was killed
        known[verified.path] = verified
    return known


def _look(path: Path, name: str) -> _Verified | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return _Verified(name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def list_files(snapshot: Snapshot) -> list[SnapshotFile]:
    """Each file of the pool once, in order of its path."""
    return sorted({file.path: file for _, file in snapshot.files()}.values(), key=lambda file: file.path)


def check_files(ports: Ports, files: list[SnapshotFile], progressed: Progressed) -> Iterator[Damage]:
    """What is wrong with ``files`` and with what stands beside them."""
    ports.progress.phase("verifying", items=len(files), size=sum(file.size for file in files))

    def check(file: SnapshotFile) -> tuple[list[Damage], bool]:
        is_known = progressed.is_known(file)
        try:
            found = [] if is_known else list(_check_file(ports.storage, file))
            found += _check_beside(ports.storage, file)
        except StorageError as error:
            found = [Damage(path=file.path, problem=f"cannot be read: {error.problem}")]
        ports.progress.received(file.size)
        ports.progress.item()
        return found, is_known

    try:
        for file, (found, is_known) in run_ordered(files, check, threads=DISK_THREADS, stop=ports.stop):
            progressed.resumed += is_known
            if not found and not is_known:
                progressed.add(file)
            yield from found
    finally:
        progressed.save()


def _check_file(storage: Storage, file: SnapshotFile) -> Iterator[Damage]:
    stat = storage.stat(file.path)
    if stat is None:
        yield Damage(path=file.path, problem="the file is missing")
    elif stat.size != file.size:
        yield Damage(path=file.path, problem=f"the file has {stat.size} bytes, not {file.size}")
    else:
        sha256, blake2b = hash_file(storage.local_path(file.path))
        if sha256 != file.sha256:
            yield Damage(path=file.path, problem=f"the sha256 is {sha256}, not {file.sha256}")
        elif blake2b != file.blake2b:
            yield Damage(path=file.path, problem=f"the BLAKE2b-256 digest is {blake2b}, not what the path says")


def _check_beside(storage: Storage, file: SnapshotFile) -> Iterator[Damage]:
    beside: tuple[tuple[str, str | None, str, str], ...] = (
        (METADATA_SUFFIX, file.metadata_sha256, "the metadata are missing", "the metadata are not those of the wheel"),
        (PROVENANCE_SUFFIX, file.provenance_sha256, "the provenance is missing", "the provenance is not upstream's"),
    )
    for suffix, expected, missing, other in beside:
        if expected is not None:
            data = storage.read(file.path + suffix)
            if data is None:
                yield Damage(path=file.path + suffix, problem=missing)
            elif hashlib.sha256(data).hexdigest() != expected:
                yield Damage(path=file.path + suffix, problem=other)


def find_strangers(names: Iterable[str]) -> Iterator[Damage]:
    """What of the pool's ``names`` is none that pymirror gives: no run deletes it, and a web server serves it."""
    for name in names:
        if name.startswith(f"{POOL}/") and blake2b_of_pool_path(name) is None:
            yield Damage(path=name, problem="a foreign file in the pool")
