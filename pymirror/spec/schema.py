"""The document's shape: the keys of ``mirror.yaml``, their types and their defaults.

A key of Python's ``package_types`` is ``package-types`` in the document. ``None`` means that the key is not given.
``pymirror.spec.json_schema`` makes the JSON Schema from these types.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Yanked = Literal["pinned", "include", "exclude"]
Sdists = Literal["all", "fallback"]
Removal = Literal["quarantine", "keep", "drop"]
Dependencies = bool | Literal["newest", "every"]  # true is newest
Connections = Annotated[int, msgspec.Meta(ge=1, le=1024)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class UpstreamEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """An item of ``upstreams``."""

    url: str
    name: str | None = None
    username: str | None = None
    password: str | None = None
    projects: list[str] = []
    allow_http: bool | None = None
    serials: bool = True
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None


class EnvironmentProduct(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """``environments`` as two lists, each interpreter on each platform."""

    python: list[str]
    platform: list[str]


class EnvironmentEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """An item of ``environments`` where it is a list."""

    python: str
    platform: str
    implementation: str | None = None


class KeepLatestEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """``keep-latest`` by release line."""

    per: Literal["major", "minor"]
    count: Count


Environments = Literal["all"] | EnvironmentProduct | list[EnvironmentEntry]
KeepLatest = Literal["all"] | Count | KeepLatestEntry


class ProjectEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """An item of ``projects`` in its long form; what it leaves out comes from the top-level keys."""

    name: str
    version: str | None = None
    files: list[str] = []
    environments: Environments | None = None
    package_types: list[str] | None = None
    sdists: Sdists | None = None
    prereleases: bool | None = None
    yanked: Yanked | None = None
    keep_latest: KeepLatest | None = None
    exclude_newer: str | int | None = None
    exclude_older: str | int | None = None
    max_file_size: str | int | None = None
    dependencies: Dependencies | None = None
    build_dependencies: bool | None = None


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """An item of ``files`` in its long form, for a file whose name does not tell its project."""

    project: str
    file: str


class ExcludeEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """An item of ``exclude`` in its long form."""

    name: str = "*"
    version: str | None = None
    files: list[str] = []
    reason: str | None = None


class NetworkEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The limits under ``network``."""

    connections: Connections | None = None
    connections_per_host: Connections | None = None
    timeout: str | int | None = None
    page_timeout: str | int | None = None
    file_timeout: str | int | None = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    max_page_size: str | int | None = None
    max_file_size: str | int | None = None
    max_rate: str | int | None = None
    ca_file: str | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The whole of ``mirror.yaml``."""

    include: list[str] = []
    output: str | None = None
    upstreams: list[UpstreamEntry] = []
    projects: list[str | ProjectEntry] = []
    groups: dict[str, list[str]] = {}
    files: list[str | FileEntry] = []
    lockfiles: list[str] = []
    ignore: list[str] = []
    exclude: list[str | ExcludeEntry] = []
    exclude_from: list[str] = []
    environments: Environments | None = None
    package_types: list[str] | None = None  # bdist_wheel and sdist
    sdists: Sdists = "all"
    prereleases: bool = False
    yanked: Yanked = "pinned"
    keep_latest: KeepLatest | None = None
    exclude_newer: str | int | None = None
    allow_newer: list[str] = []
    exclude_older: str | int | None = None
    max_file_size: str | int | None = None
    max_total_size: str | int | None = None
    dependencies: Dependencies = False
    build_dependencies: bool = True
    require_hashes: bool = True
    on_upstream_removal: Removal = "quarantine"
    max_removal: str | int | None = None  # 10 %
    stop_after: str | int | None = None
    allow_http: bool = False
    public_url: str | None = None
    flat: bool = False
    legacy_json: bool = True
    pages: bool = True
    provenance: bool = True
    file_mode: str | None = None  # 0644
    folder_mode: str | None = None  # 0755
    network: NetworkEntry | None = None
