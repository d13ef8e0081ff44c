"""The document's shape: the keys of ``mirror.yaml``, their types and their defaults.

A key of Python's ``package_types`` is ``package-types`` in the document. ``None`` means that the key is not given.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Yanked = Literal["pinned", "include", "exclude"]
Count = Annotated[int, msgspec.Meta(ge=1, le=1024)]


class UpstreamEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """An item of ``upstreams``."""

    url: str
    name: str | None = None
    username: str | None = None
    password: str | None = None
    projects: list[str] = []


class ProjectEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """An item of ``projects`` in its long form; what it leaves out comes from the top-level keys."""

    name: str
    version: str | None = None
    package_types: list[str] | None = None
    prereleases: bool | None = None
    yanked: Yanked | None = None


class NetworkEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The limits under ``network``."""

    connections: Count | None = None
    connections_per_host: Count | None = None
    timeout: str | int | None = None
    page_timeout: str | int | None = None
    file_timeout: str | int | None = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    max_page_size: str | int | None = None
    max_file_size: str | int | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The whole of ``mirror.yaml``."""

    output: str | None = None
    upstreams: list[UpstreamEntry] = []
    projects: list[str | ProjectEntry] = []
    lockfiles: list[str] = []
    exclude: list[str] = []
    package_types: list[str] | None = None  # bdist_wheel and sdist
    prereleases: bool = False
    yanked: Yanked = "pinned"
    require_hashes: bool = True
    network: NetworkEntry | None = None
