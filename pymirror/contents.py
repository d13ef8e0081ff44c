"""What the published files say of themselves: the core metadata of a release, without upstream.

Those of a wheel stand beside it in the pool. Those of an sdist are read out of it once and remembered by its hash,
which is state: safe to delete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pymirror.archive import read_sdist_metadata
from pymirror.distribution import parse_filename
from pymirror.errors import IntegrityError
from pymirror.layout import METADATA_SUFFIX, SDIST_METADATA, check_project
from pymirror.metadata import CoreMetadata, parse_core_metadata
from pymirror.snapshot import SnapshotFile
from pymirror.spec.model import PackageType
from pymirror.storage.interface import Storage

_FORMAT = b"1\n"  # raised when more or other metadata are read out of an sdist


class Contents:
    """Reads the metadata of files in the pool. With ``write``, what is read out of sdists is remembered."""

    def __init__(self, storage: Storage, *, write: bool) -> None:
        self._storage = storage
        self._write = write

    def read(self, project: str, files: Sequence[SnapshotFile]) -> CoreMetadata | None:
        """The core metadata of a release, which has ``files``: those of its first wheel that has some, else of its
        first sdist; ``None`` where they cannot be had.
        """
        for file in sorted(files, key=lambda file: file.filename):
            if file.metadata_sha256 is not None:
                data = self._storage.read(file.path + METADATA_SUFFIX)
                if data is not None and hashlib.sha256(data).hexdigest() == file.metadata_sha256:
                    return parse_core_metadata(data)
        for file in sorted(files, key=lambda file: file.filename):
            if _is_sdist(file.filename, project) and (data := self._read_sdist(file)):
                return parse_core_metadata(data)
        return None

    def _read_sdist(self, file: SnapshotFile) -> bytes:
        """PKG-INFO; empty where the sdist has none that can be used."""
        name = f"{SDIST_METADATA}/{file.sha256[:2]}/{file.sha256[2:]}"
        remembered = self._storage.read(name)
        if remembered is not None and remembered.startswith(_FORMAT):
            return remembered.removeprefix(_FORMAT)
        try:
            data = read_sdist_metadata(self._storage.local_path(file.path), filename=file.filename)
        except IntegrityError:
            data = b""
        if self._write:
            self._storage.write(name, _FORMAT + data)
        return data


def _is_sdist(filename: str, project: str) -> bool:
    distribution = parse_filename(filename, check_project(project))
    return distribution is not None and distribution.package_type is PackageType.SDIST
