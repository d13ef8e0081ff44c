"""What the published files say of themselves: the core metadata of a release, without upstream.

Those of a wheel stand beside it in the pool. Those of an sdist are read out of it once and remembered by its hash,
which is state: safe to delete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from pymirror.distribution import parse_filename
from pymirror.errors import IntegrityError, StorageError
from pymirror.layout import METADATA_SUFFIX, SDIST_METADATA, check_project
from pymirror.metadata import CoreMetadata, parse_core_metadata
from pymirror.pool import hash_file
from pymirror.snapshot import SnapshotFile
from pymirror.spec.model import PackageType
from pymirror.storage.interface import Storage

_FORMAT = b"1\n"  # raised when more or other metadata are read out of an sdist


class Contents:
    """Reads the metadata of files in the pool. With ``write``, what is read out of sdists is remembered."""

    def __init__(self, storage: Storage, *, write: bool) -> None:
        self._storage = storage
        self._write = write
        self.lacking: dict[str, str] = {}
        """The projects of which something is damaged or cannot be read, each with such a file."""

    def read(self, project: str, files: Sequence[SnapshotFile]) -> CoreMetadata | None:
        """The core metadata of a release, which has ``files``: those of its first wheel that has some, else of its
        first sdist; ``None`` where they cannot be had.
        """
        for file in sorted(files, key=lambda file: file.filename):
            if file.metadata_sha256 is not None:
                data = self._read(file.path + METADATA_SUFFIX)
                if data is not None and hashlib.sha256(data).hexdigest() == file.metadata_sha256:
                    return parse_core_metadata(data)
                self.lacking[project] = file.filename
        for file in sorted(files, key=lambda file: file.filename):
            if _is_sdist(file.filename, project) and (data := self._read_sdist(file, project)):
                metadata = parse_core_metadata(data)
                # foo-2-2.tar.gz may be one of foo or of foo-2: only what is in it tells.
                if canonicalize_name(metadata.name or "") == project:
                    return metadata
        return None

    def _read(self, name: str) -> bytes | None:
        try:
            return self._storage.read(name)
        except StorageError:  # the private folder is another user's, or the disk fails
            return None

    def _read_sdist(self, file: SnapshotFile, project: str) -> bytes:
        """PKG-INFO; empty where the sdist has none that can be used."""
        name = sdist_metadata_name(file.sha256)
        remembered = self._read(name)
        if remembered is not None and remembered.startswith(_FORMAT):
            return remembered.removeprefix(_FORMAT)
        path = self._storage.local_path(file.path)
        try:
            data = _read_pkg_info(path, file.filename)
            # What is remembered must be that of these very bytes: half an archive may be readable too.
            is_whole = (bool(data) and not self._write) or hash_file(path)[0] == file.sha256
        except StorageError:
            data, is_whole = b"", False
        if not is_whole:
            self.lacking[project] = file.filename
        elif self._write:
            self._storage.write(name, _FORMAT + data)
        return data


def sdist_metadata_name(sha256: str) -> str:
    """Where that is remembered which was read out of the sdist with this digest."""
    return f"{SDIST_METADATA}/{sha256[:2]}/{sha256[2:]}"


def forget_sdists(storage: Storage, *, keep: Container[str]) -> None:
    """Drops what is remembered of sdists whose sha256 is not in ``keep``."""
    for name in storage.walk(SDIST_METADATA):
        if "".join(name.split("/")[-2:]) not in keep:
            storage.remove(name)


def _read_pkg_info(path: Path, filename: str) -> bytes:
    from pymirror.archive import read_sdist_metadata  # which a run without new files does without

    try:
        return read_sdist_metadata(path, filename=filename)
    except IntegrityError:
        return b""


def _is_sdist(filename: str, project: str) -> bool:
    distribution = parse_filename(filename, check_project(project))
    return distribution is not None and distribution.package_type is PackageType.SDIST
