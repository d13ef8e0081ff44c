"""The files of a project by release, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pymirror.distribution import parse_version
from pymirror.simple.render_legacy import newest_version
from pymirror.snapshot import SnapshotFile, SnapshotProject


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version and its files, wheels before the rest."""

    version: str
    files: tuple[SnapshotFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def is_yanked(self) -> bool:
        """Whether every file is."""
        return all(file.yanked is not False for file in self.files)

    @property
    def is_prerelease(self) -> bool:
        version = parse_version(self.version)
        return version is not None and version.is_prerelease

    @property
    def upload_time(self) -> datetime | None:
        """That of the first file, which is when the release came out."""
        return min((file.upload_time for file in self.files if file.upload_time), default=None)


def group_releases(project: SnapshotProject) -> tuple[Release, ...]:
    """The releases of ``project``, newest first: its files are in order of version."""
    files: dict[str, list[SnapshotFile]] = {}
    for file in project.files:
        files.setdefault(file.version, []).append(file)
    return tuple(
        Release(version=version, files=tuple(sorted(group, key=lambda file: not file.filename.endswith(".whl"))))
        for version, group in reversed(files.items())
    )


def find_newest(project: SnapshotProject, releases: tuple[Release, ...]) -> Release | None:
    """The one of ``releases`` that an installer takes; ``None`` where there are none."""
    newest = newest_version(project) if project.files else None
    return next((release for release in releases if release.version == newest), None)
