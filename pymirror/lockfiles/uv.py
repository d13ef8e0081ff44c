"""``uv.lock``, version 1: one lock for every environment; a project that differs between them has several entries.

https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from packaging.utils import NormalizedName, canonicalize_name

from pymirror.lockfiles.entries import (
    EDITABLE,
    FROM_PATH,
    FROM_URL,
    RequiredBy,
    add_pin,
    add_unservable,
    any_of,
    from_version_control,
    invert,
    is_own_folder,
    read_files,
    read_name,
)
from pymirror.lockfiles.findings import Findings
from pymirror.lockfiles.tables import Table, header_lines, parse_toml

# Each names its address under a key of its own; that of a registry may be a folder (find-links).
_SOURCES = {
    "registry": "",
    "git": from_version_control("git"),
    "url": FROM_URL,
    "path": FROM_PATH,
    "directory": FROM_PATH,
    "editable": EDITABLE,
    "virtual": "",
}
_EXTRA = re.compile(r"\bextra\b")


def read_uv(text: str, findings: Findings) -> None:
    """Notes the pins of every entry but the project's own."""
    root = parse_toml(text, findings)
    if root is None or not _is_readable(root):
        return
    manifest = root.table("manifest")
    members = frozenset(map(canonicalize_name, manifest.texts("members"))) if manifest else frozenset()
    packages = root.tables("package", lines=header_lines(text, "package"))
    named = [(package, read_name(package)) for package in packages]
    required_by = invert((name, _needs(package)) for package, name in named)
    for package, name in named:
        if name is not None:
            _read_package(package, name, members, required_by)


def _is_readable(root: Table) -> bool:
    version = root.values.get("version")
    if version == 1 and not isinstance(version, bool):
        return True
    if isinstance(version, int) and 1 < version < 1000:
        root.problem("version", f"version {version}, made by a newer uv; version 1 can be read")
    else:
        root.problem("version", "not a version of uv.lock that can be read", "version 1 can")
    return False


def _needs(package: Table) -> Iterator[str]:
    groups = [package.tables("dependencies")]
    for key in ("optional-dependencies", "dev-dependencies"):
        table = package.table(key)
        if table is not None:
            groups += [table.tables(name) for name in table]
    for dependency in chain.from_iterable(groups):
        name = dependency.text("name")
        if name is not None:
            yield name


def _read_package(
    package: Table, name: NormalizedName, members: frozenset[NormalizedName], required_by: RequiredBy
) -> None:
    source = package.table("source")
    kind = None if source is None else next((kind for kind in _SOURCES if kind in source), None)
    if source is None or kind is None:
        package.problem("source", "says of no source that is known where the package comes from")
    elif kind == "registry":
        sdist = package.table("sdist")
        tables = (*([sdist] if sdist else []), *package.tables("wheels"))
        add_pin(
            package,
            name,
            version=package.text("version"),
            files=read_files(tables, "url", "path", "filename"),
            marker=_read_marker(package),
            required_by=required_by,
        )
    elif kind != "virtual" and name not in members and not is_own_folder(source.text(kind)):
        # Nothing is built of a virtual project, so nothing of it is missing.
        add_unservable(package, name, _SOURCES[kind])


def _read_marker(package: Table) -> str | None:
    """Where the entry is meant; of a fork between conflicting extras, everywhere.

    The names that uv gives such extras ("extra-4-demo-cpu") are its own, and exclude each other.
    """
    markers = package.texts("resolution-markers")
    return None if any(_EXTRA.search(marker) for marker in markers) else any_of(markers)
