"""The legacy JSON API, as PyPI answers it at ``/pypi/<project>/json`` and ``/pypi/<project>/<version>/json``.

It is no standard. These documents hold what the tree holds, under PyPI's keys and with PyPI's ``null`` for what the
metadata do not say. Keys of which a tree knows nothing are left out: serials, downloads, md5, signatures, URLs of
PyPI's own pages, vulnerabilities.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import Version

from pymirror.distribution import parse_filename, parse_version
from pymirror.layout import relative_url
from pymirror.metadata import CoreMetadata
from pymirror.simple.model import render_upload_time
from pymirror.snapshot import SnapshotFile, SnapshotProject
from pymirror.spec.model import PackageType, Site

_PROJECT_DEPTH = 2
_RELEASE_DEPTH = 3
_LEAST = Version("0.dev0")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BUILT_FOR = re.compile(r".*-py(?P<python>[23]\.[0-9]+)(?:-.*)?\.(?:egg|exe|msi)")


def newest_version(project: SnapshotProject) -> str:
    """The version that pip takes where nothing is asked of it, of a project that has files.

    That is the newest final release, else the newest prerelease, of those that are not yanked; and where all are, the
    newest. A release is yanked where all its files are.
    """
    releases = _group(project)
    return max(releases, key=lambda version: _rank(version, releases[version]))


def render_legacy_project(project: SnapshotProject, metadata: CoreMetadata | None, site: Site) -> bytes:
    """``pypi/<project>/json``. ``metadata`` are those of :func:`newest_version`; ``None`` where they cannot be had."""
    releases = _group(project)
    newest = newest_version(project)
    rendered = {
        version: [_render_file(file, project, site, depth=_PROJECT_DEPTH) for file in files]
        for version, files in releases.items()
    }
    return _dump(
        {
            "info": _render_info(project, newest, releases[newest], metadata),
            "releases": rendered,
            "urls": rendered[newest],
        }
    )


def render_legacy_release(project: SnapshotProject, version: str, metadata: CoreMetadata | None, site: Site) -> bytes:
    """``pypi/<project>/<version>/json``: the release as files spell it, with its ``metadata`` where there are any."""
    wanted = _canonicalize(version)
    files = [file for file in project.files if _canonicalize(file.version) == wanted]
    return _dump(
        {
            "info": _render_info(project, version, files, metadata),
            "urls": [_render_file(file, project, site, depth=_RELEASE_DEPTH) for file in files],
        }
    )


@lru_cache(maxsize=4096)  # a project of a thousand releases asks a million times
def _canonicalize(version: str) -> str:
    return canonicalize_version(version)


def _group(project: SnapshotProject) -> dict[str, list[SnapshotFile]]:
    """The files by version, in order; versions that are equal (1.0, 1.0.0) are one, as the first file spells it."""
    spelled: dict[str, str] = {}
    releases: dict[str, list[SnapshotFile]] = {}
    for file in project.files:
        version = spelled.setdefault(_canonicalize(file.version), file.version)
        releases.setdefault(version, []).append(file)
    return releases


def _rank(text: str, files: Iterable[SnapshotFile]) -> tuple[bool, bool, bool, Version]:
    version = parse_version(text)
    is_listed = _yanked(files) is False
    is_final = version is not None and not version.is_prerelease
    return is_listed, is_listed and is_final, version is not None, version or _LEAST


def _yanked(files: Iterable[SnapshotFile]) -> bool | str:
    """PyPI yanks releases: whether all ``files`` are yanked, and the first reason that is given."""
    states = [file.yanked for file in files]
    if not all(states):
        return False
    return next((state for state in states if isinstance(state, str)), True)


def _render_info(
    project: SnapshotProject, version: str, files: list[SnapshotFile], metadata: CoreMetadata | None
) -> dict[str, Any]:
    known = metadata or CoreMetadata()
    requires_python = known.requires_python or next((file.requires_python for file in files if metadata is None), None)
    return {
        "author": known.author or None,
        "author_email": known.author_email or None,
        "classifiers": known.classifiers,
        "description": known.description or None,
        "description_content_type": known.description_content_type or None,
        "download_url": known.download_url or None,
        "dynamic": known.dynamic or None,
        "home_page": known.home_page or None,
        "keywords": ",".join(known.keywords) or None,
        "license": known.license or None,
        "license_expression": known.license_expression or None,
        "license_files": known.license_files or None,
        "maintainer": known.maintainer or None,
        "maintainer_email": known.maintainer_email or None,
        "name": known.name or project.name,
        "platform": ",".join(known.platforms) or None,
        "project_urls": _render_project_urls(known) or None,
        "provides_extra": known.provides_extra or None,
        "requires_dist": known.requires_dist or None,
        "requires_python": requires_python or None,
        "summary": known.summary or None,
        "version": version,
        **_render_yanked(_yanked(files)),
    }


def _render_project_urls(metadata: CoreMetadata) -> dict[str, str]:
    """By label, as PyPI: with the two that have fields of their own. A URL without a label is its own."""
    urls: dict[str, str] = {}
    for label, url in metadata.project_urls:
        urls.setdefault(label or url, url)
    labels = {label.casefold() for label in urls}
    fields = (("Homepage", metadata.home_page), ("Download", metadata.download_url))
    return urls | {label: url for label, url in fields if url and label.casefold() not in labels}


def _render_yanked(yanked: bool | str) -> dict[str, Any]:
    return {"yanked": bool(yanked), "yanked_reason": yanked if yanked and isinstance(yanked, str) else None}


def _render_file(file: SnapshotFile, project: SnapshotProject, site: Site, *, depth: int) -> dict[str, Any]:
    distribution = parse_filename(file.filename, canonicalize_name(project.name))
    package_type = distribution.package_type if distribution else None
    python_version = _python_version(file.filename, package_type)
    entry: dict[str, Any] = {
        "filename": file.filename,
        "url": _render_url(file, site, depth=depth),
        "digests": {"blake2b_256": file.blake2b, "sha256": file.sha256},
        "size": file.size,
        "requires_python": file.requires_python or None,
        **_render_yanked(file.yanked),
    }
    if package_type is not None:
        entry["packagetype"] = package_type.value
    if python_version is not None:
        entry["python_version"] = python_version
    if file.upload_time is not None:
        text = render_upload_time(file.upload_time)
        entry |= {"upload_time": text.partition(".")[0], "upload_time_iso_8601": text}
    if file.metadata_sha256 is not None:
        entry["core-metadata"] = {"sha256": file.metadata_sha256}
    return entry


def _render_url(file: SnapshotFile, site: Site, *, depth: int) -> str:
    if site.public_url is None:
        return relative_url(file.path, depth=depth)
    return site.public_url + relative_url(file.path, depth=0)


def _python_version(filename: str, package_type: PackageType | None) -> str | None:
    """What PyPI has there: ``source``, a wheel's tag (``py2.py3``), the version of Python that an egg is for (``3.6``).

    ``None`` where the name does not tell.
    """
    if package_type is PackageType.SDIST:
        return "source"
    if package_type is PackageType.BDIST_WHEEL:
        return filename.split("-")[-3]
    match = _BUILT_FOR.fullmatch(filename)
    return match["python"] if match else None


def _dump(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() and "\x7f" not in text:  # which is the same with each escaped that is not ASCII
        return text.encode("ascii") + b"\n"
    if _SURROGATE.search(text):  # strict readers of JSON refuse a lone one
        document = json.loads(_SURROGATE.sub("\ufffd", text))
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
