"""JSON pages (PEP 691, 700, 714, 740, 792), decoded into types; unknown keys are ignored, as the standard says."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import msgspec

from pymirror.errors import PageError
from pymirror.simple.model import File, Hashes, ProjectDetail, ProjectList, make_hashes, parse_serial, parse_upload_time

MAX_VALUES = 5_000_000
"""The most values that a page may have: a file has fifteen, and each takes much more memory than text."""


class _Meta(msgspec.Struct):
    api_version: Any = msgspec.field(name="api-version", default="1.0")
    last_serial: Any = msgspec.field(name="_last-serial", default=None)


class _File(msgspec.Struct, rename="kebab"):
    """Only what every client needs is typed: a page must not fail for an odd value in one optional key."""

    filename: str
    url: str
    hashes: dict[str, Any]
    size: Any = None
    upload_time: Any = None
    requires_python: Any = None
    yanked: Any = False
    core_metadata: Any = None
    dist_info_metadata: Any = None
    gpg_sig: Any = None
    provenance: Any = None


class _Detail(msgspec.Struct, rename="kebab"):
    files: list[_File]
    meta: _Meta = msgspec.field(default_factory=_Meta)
    name: Any = None
    versions: Any = None
    project_status: Any = None


class _Project(msgspec.Struct):
    name: str


class _List(msgspec.Struct):
    projects: list[_Project]
    meta: _Meta = msgspec.field(default_factory=_Meta)


_detail_decoder = msgspec.json.Decoder(_Detail)
_list_decoder = msgspec.json.Decoder(_List)


def parse_json_detail(body: bytes, *, url: str) -> ProjectDetail:
    """A project page. Raises :class:`PageError`."""
    check_size(body, url)
    try:
        page = _detail_decoder.decode(body)
        files = tuple(_make_file(entry, url) for entry in page.files)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise PageError(url, f"not a page of the Simple API: {error}") from None
    status = page.project_status if isinstance(page.project_status, dict) else {}
    marker, reason = status.get("status"), status.get("reason")
    return ProjectDetail(
        files=files,
        name=page.name if isinstance(page.name, str) else None,
        api_version=str(page.meta.api_version),
        versions=_make_versions(page.versions),
        status=marker if isinstance(marker, str) and marker else "active",
        status_reason=reason if isinstance(reason, str) and reason else None,
        serial=parse_serial(page.meta.last_serial),
    )


def parse_json_list(body: bytes, *, url: str) -> ProjectList:
    """The page of all projects. Raises :class:`PageError`."""
    check_size(body, url)
    try:
        page = _list_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise PageError(url, f"not a list of the Simple API: {error}") from None
    if not page.projects:
        raise PageError(url, "the list has no project; an empty answer is not taken for an empty index")
    return ProjectList(
        projects=tuple(project.name for project in page.projects),
        api_version=str(page.meta.api_version),
        serial=parse_serial(page.meta.last_serial),
    )


def check_size(body: bytes, url: str) -> None:
    """Raises :class:`PageError` where ``body`` may hold more than :data:`MAX_VALUES`, by the signs between them."""
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise PageError(url, f"more than {MAX_VALUES} values")


def _make_versions(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(version for version in value if isinstance(version, str))


def _make_file(entry: _File, page_url: str) -> File:
    # A truthy value of another type gives no reason, but it is a yank: to pass the file on as good would be worse.
    yanked = entry.yanked if isinstance(entry.yanked, (bool, str)) else bool(entry.yanked)
    core_metadata = entry.core_metadata if entry.core_metadata is not None else entry.dist_info_metadata
    absolute = entry.url.startswith(("https://", "http://"))
    size = entry.size
    return File(
        filename=entry.filename,
        url=(entry.url if absolute else urljoin(page_url, entry.url)).partition("#")[0],
        hashes=_make_hashes(entry.hashes),
        size=size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63 else None,
        upload_time=parse_upload_time(entry.upload_time if isinstance(entry.upload_time, str) else None),
        requires_python=(entry.requires_python or None) if isinstance(entry.requires_python, str) else None,
        yanked=yanked or False,  # PEP 691: an empty string is falsy, so not yanked
        core_metadata=_make_core_metadata(core_metadata),
        gpg_sig=entry.gpg_sig if isinstance(entry.gpg_sig, bool) else None,
        provenance=(entry.provenance or None) if isinstance(entry.provenance, str) else None,
    )


def _make_hashes(value: dict[str, Any]) -> Hashes:
    return make_hashes({name: digest for name, digest in value.items() if isinstance(digest, str)})


def _make_core_metadata(value: object) -> bool | Hashes | None:
    if isinstance(value, dict):
        return _make_hashes(value) or bool(value)
    return value if isinstance(value, bool) else None
