"""What stands beside the Simple pages of a project: the legacy JSON API, and its page for people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import msgspec
from packaging.utils import canonicalize_version

from pymirror.contents import Contents
from pymirror.descriptions import Descriptions
from pymirror.layout import legacy_page, project_page
from pymirror.metadata import CoreMetadata
from pymirror.page_files import Render
from pymirror.page_record import list_folders
from pymirror.pages.front import FrontRow
from pymirror.pages.project import render_project_page
from pymirror.simple.render_legacy import newest_version, render_legacy_project, render_legacy_release
from pymirror.snapshot import SnapshotFile, SnapshotProject, encode_project
from pymirror.spec.model import Site

FORMAT = 1  # raised when the same metadata make other documents

# What the descriptions are rendered with: another version may be safer, or make other pages.
_RENDERERS = ("pymirror", "readme-renderer", "comrak", "docutils", "nh3", "Pygments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The documents of a project, each with its name; and what the front page says of it."""

    version: str
    summary: str
    pages: tuple[tuple[str, Render], ...]


class Documents:
    """Makes the documents of projects, on any number of threads."""

    def __init__(self, contents: Contents, descriptions: Descriptions, site: Site) -> None:
        self._contents = contents
        self._descriptions = descriptions
        self._site = msgspec.structs.replace(site, file_mode=None, folder_mode=None)  # of which no page tells
        self._digest_start = b"[" + msgspec.json.encode(self._site) + b","
        self.made_by = digest((FORMAT, {name: _find_version(name) for name in _RENDERERS}))
        """A digest of the programs that put the documents into words."""

    @property
    def is_makeshift(self) -> bool:
        """Whether a description may be shown as it is written because no process could be had."""
        return self._descriptions.is_makeshift

    @property
    def lacking(self) -> dict[str, str]:
        """The projects whose documents say less than they would, each with the file whose metadata cannot be read."""
        return self._contents.lacking

    def digest(self, project: SnapshotProject) -> str:
        """A digest of what the documents of ``project`` say."""
        return self.digest_line(encode_project(project))

    def digest_line(self, line: bytes) -> str:
        """The same of the canonical JSON of a project: the sha256 hex digest of that of the site and the project."""
        return hashlib.sha256(self._digest_start + line + b"]").hexdigest()

    def render(self, project: SnapshotProject) -> Rendered:
        """Reads the metadata of ``project``'s files; what comes last is what leads to the rest."""
        newest = newest_version(project)
        if not list_folders(self._site):
            return Rendered(version=newest, summary="", pages=())
        releases: dict[str, list[SnapshotFile]] = {}
        for file in project.files:
            releases.setdefault(canonicalize_version(file.version), []).append(file)
        metadata = self._contents.read(project.name, releases[canonicalize_version(newest)])
        pages: list[tuple[str, Render]] = []
        if self._site.legacy_json:
            # A release has as many documents as its files have spellings of its version: 1.0 is 1.0.0.
            for each in _list_spellings(project):
                files = releases[canonicalize_version(each)]
                pages.append((legacy_page(project.name, each), partial(self._render_release, project, each, files)))
            project_json = partial(render_legacy_project, project, metadata, self._site)
            pages.append((legacy_page(project.name), lambda: [project_json()]))
        if self._site.pages:
            pages.append((project_page(project.name), partial(self._render_page, project, metadata)))
        return Rendered(version=newest, summary=metadata.summary if metadata else "", pages=tuple(pages))

    def _render_release(self, project: SnapshotProject, each: str, files: list[SnapshotFile]) -> list[bytes]:
        metadata = self._contents.read(project.name, files)
        return [render_legacy_release(project, each, metadata, self._site)]

    def _render_page(self, project: SnapshotProject, metadata: CoreMetadata | None) -> Iterator[bytes]:
        text = metadata.description if metadata else ""
        kind = metadata.description_content_type if metadata else ""
        description = self._descriptions.render(text, kind) if text.strip() else ""
        return render_project_page(project, metadata, description, site=self._site)


def list_documents(project: SnapshotProject, site: Site) -> Iterator[str]:
    """The names of the documents of ``project``."""
    if site.legacy_json:
        yield from (legacy_page(project.name, each) for each in _list_spellings(project))
        yield legacy_page(project.name)
    if site.pages:
        yield project_page(project.name)


def _list_spellings(project: SnapshotProject) -> list[str]:
    return list(dict.fromkeys(file.version for file in project.files))


def digest(values: object) -> str:
    """The sha256 hex digest of ``values`` in their canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()


def make_row(project: SnapshotProject, version: str, summary: str) -> FrontRow:
    """What the front page says of ``project``."""
    return FrontRow(
        name=project.name,
        version=version,
        summary=summary,
        files=len(project.files),
        size=project.size,
        status=project.status,
        is_yanked=all(file.yanked for file in project.files if file.version == version),
        newest_upload=max((file.upload_time for file in project.files if file.upload_time is not None), default=None),
    )


def _find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
