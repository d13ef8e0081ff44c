"""``poetry.lock``, lock versions 1 and 2.

https://python-poetry.org/docs/basic-usage/#installing-with-poetrylock
"""

from __future__ import annotations

from packaging.utils import NormalizedName, canonicalize_name

from pymirror.lockfiles.entries import (
    FROM_PATH,
    FROM_URL,
    RequiredBy,
    add_pin,
    add_unservable,
    any_of,
    from_version_control,
    has_version,
    invert,
    is_own_folder,
    read_files,
    read_name,
)
from pymirror.lockfiles.findings import Findings
from pymirror.lockfiles.tables import Table, header_lines, parse_toml
from pymirror.spec.model import LockedFile

_INDEXES = frozenset({"legacy", "pypi"})  # "legacy" is what Poetry calls the Simple API
_UNSERVABLE = {
    "git": from_version_control("git"),
    "url": FROM_URL,
    "file": FROM_PATH,
    "directory": FROM_PATH,
}

FilesOf = dict[NormalizedName, tuple[LockedFile, ...]]


def read_poetry(text: str, findings: Findings) -> None:
    """Notes the pins of every entry, of whatever group."""
    root = parse_toml(text, findings)
    if root is None:
        return
    metadata = root.table("metadata")
    if metadata is None or not _is_readable(metadata):
        if metadata is None and "metadata" not in root:
            root.problem("", 'the key "metadata" is missing')
        return
    packages = root.tables("package", lines=header_lines(text, "package"))
    named = [(package, read_name(package)) for package in packages]
    required_by = invert((name, package.table("dependencies") or ()) for package, name in named)
    extras_table = root.table("extras")
    extras = frozenset(map(canonicalize_name, extras_table or ()))
    files = _read_old_files(metadata)
    for package, name in named:
        if name is not None:
            _read_package(package, name, required_by, extras, files)


def _is_readable(metadata: Table) -> bool:
    text = metadata.text("lock-version")
    if text is None:
        if "lock-version" not in metadata:
            metadata.problem("", 'the key "lock-version" is missing', "write the lock with Poetry 1.0 or newer")
        return False
    return has_version(metadata, "lock-version", text, (1, 2), "made by another Poetry; versions 1 and 2 can be read")


def _read_old_files(metadata: Table) -> FilesOf:
    """``[metadata.files]`` of lock version 1: the files of a project, of all of its versions in the lock."""
    table = metadata.table("files")
    if table is None:
        return {}
    return {canonicalize_name(name): read_files(table.tables(name), "file") for name in table}


def _read_package(
    package: Table, name: NormalizedName, required_by: RequiredBy, extras: frozenset[str], old_files: FilesOf
) -> None:
    source = package.table("source")
    if source is not None:
        kind = source.need_text("type")
        if kind is None or (kind == "directory" and is_own_folder(source.text("url"))):
            return
        if kind not in _INDEXES:
            add_unservable(package, name, _UNSERVABLE.get(kind, "not from an index"))
            return
    version = package.need_text("version")
    if version is None:
        return
    marker = _read_marker(package)
    files = read_files(package.tables("files"), "file", "url")
    add_pin(
        package,
        name,
        version=version,
        files=files or _of_version(old_files.get(name, ()), version),
        marker=marker,
        marker_extras=extras if marker else frozenset(),
        required_by=required_by,
    )


def _of_version(files: tuple[LockedFile, ...], version: str) -> tuple[LockedFile, ...]:
    """Those with ``version`` in their names; where none has it (it is spelled otherwise), all."""
    own = tuple(file for file in files if f"-{version}-" in file.filename or f"-{version}." in file.filename)
    return own or files


def _read_marker(package: Table) -> str | None:
    """The marker; where each group has its own, the entry is meant where one of them holds."""
    if not isinstance(package.values.get("markers"), dict):
        return package.text("markers")
    table = package.table("markers")
    if table is None or any(group not in table for group in package.texts("groups")):
        return None  # a group without a marker needs it everywhere
    return any_of(marker for group in table if (marker := table.text(group)) is not None)
