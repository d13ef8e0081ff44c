"""The legacy JSON API of PyPI, as far as it tells what a page of the Simple API may lack: sizes and upload times.

It is no standard, and an index that has none is as good as any.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pymirror.errors import PageError
from pymirror.simple.model import File, Hashes, ProjectDetail, make_hashes, parse_upload_time

_SIMPLE = "/simple/"


class _File(msgspec.Struct):
    filename: str
    digests: dict[str, Any] = {}
    size: Any = None
    upload_time_iso_8601: Any = None


class _Project(msgspec.Struct):
    releases: dict[str, list[_File]] = {}
    urls: list[_File] = []


_decoder = msgspec.json.Decoder(_Project)


def find_legacy_url(index_url: str, project: str) -> str | None:
    """Where the index at ``index_url`` would have it; ``None`` where the URL is not that of ``…/simple/``."""
    return f"{index_url.removesuffix(_SIMPLE)}/pypi/{project}/json" if index_url.endswith(_SIMPLE) else None


def parse_legacy(body: bytes, *, url: str) -> dict[str, File]:
    """What ``url`` answered, by file name: hashes, size and upload time. Raises :class:`PageError`."""
    from pymirror.simple.parse_json import check_size  # late, since few pages lack anything

    check_size(body, url)
    try:
        project = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise PageError(url, f"not the JSON of a project: {str(error)[:200]}") from None
    entries = [*project.urls, *(entry for entries in project.releases.values() for entry in entries)]
    return {entry.filename: _make_file(entry) for entry in entries}


def _make_file(entry: _File) -> File:
    digests = {name: digest for name, digest in entry.digests.items() if isinstance(digest, str)}
    size = entry.size if type(entry.size) is int and entry.size >= 0 else None
    time = entry.upload_time_iso_8601 if isinstance(entry.upload_time_iso_8601, str) else None
    return File(
        filename=entry.filename, url="", hashes=make_hashes(digests), size=size, upload_time=parse_upload_time(time)
    )


def lacks_something(detail: ProjectDetail) -> bool:
    """Whether the legacy API could tell more of a file than the page does."""
    return any(file.size is None or file.upload_time is None for file in detail.files)


def complete(detail: ProjectDetail, legacy: dict[str, File]) -> ProjectDetail:
    """``detail`` with the sizes and upload times that it lacks, of files that a hash shows to be the same."""
    files = tuple(_complete(file, legacy.get(file.filename)) for file in detail.files)
    return msgspec.structs.replace(detail, files=files)


def _complete(file: File, told: File | None) -> File:
    if told is None or not _share_a_hash(file.hashes, told.hashes):
        return file
    time = file.upload_time if file.upload_time is not None else told.upload_time
    size = file.probable_size if file.probable_size is not None else told.size
    return msgspec.structs.replace(file, probable_size=size if file.size is None else None, upload_time=time)


def _share_a_hash(one: Hashes, other: Hashes) -> bool:
    return not set(one).isdisjoint(other)
