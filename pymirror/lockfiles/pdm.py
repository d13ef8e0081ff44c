"""``pdm.lock``, lock version 4.

An entry's ``version`` may lack the local part of its files' (``1.0`` for ``demo-1.0+cu118-…``): the files count.
https://pdm-project.org/latest/usage/lockfile/
"""

from __future__ import annotations

from packaging.utils import NormalizedName, canonicalize_name

from pymirror.lockfiles.entries import (
    EDITABLE,
    FROM_PATH,
    FROM_URL,
    RequiredBy,
    add_pin,
    add_unservable,
    from_version_control,
    has_version,
    invert,
    is_own_folder,
    read_files,
    read_name,
    requirement_names,
)
from pymirror.lockfiles.findings import Findings
from pymirror.lockfiles.tables import Table, header_lines, parse_toml
from pymirror.spec.model import LockedFile

_VERSION_CONTROL = ("git", "hg", "svn", "bzr")

FilesOf = dict[tuple[NormalizedName, str], tuple[LockedFile, ...]]


def read_pdm(text: str, findings: Findings) -> None:
    """Notes the pins; an entry with extras is one beside that of the project without them."""
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
    required_by = invert((name, requirement_names(package.texts("dependencies"))) for package, name in named)
    files = _read_old_files(metadata)
    for package, name in named:
        if name is not None:
            _read_package(package, name, required_by, files)


def _is_readable(metadata: Table) -> bool:
    text = metadata.need_text("lock_version")
    if text is None:
        return False
    return has_version(metadata, "lock_version", text, (4,), "made by another PDM; version 4 can be read")


def _read_old_files(metadata: Table) -> FilesOf:
    """``[metadata.files]`` of the first lock versions 4, by ``"name version"``."""
    table = metadata.table("files")
    found: FilesOf = {}
    for key in table or ():
        name, _, version = key.partition(" ")
        if table is not None:
            found[canonicalize_name(name), version] = read_files(table.tables(key), "file", "url")
    return found


def _read_package(package: Table, name: NormalizedName, required_by: RequiredBy, old_files: FilesOf) -> None:
    path = package.text("path")
    if is_own_folder(path):
        return
    if problem := _why_unservable(package):
        add_unservable(package, name, problem)
        return
    version = package.need_text("version")
    if version is None:
        return
    add_pin(
        package,
        name,
        version=version,
        files=read_files(package.tables("files"), "file", "url") or old_files.get((name, version), ()),
        extras=package.texts("extras"),
        marker=package.text("marker"),
        required_by=required_by,
    )


def _why_unservable(package: Table) -> str | None:
    for kind in _VERSION_CONTROL:
        if kind in package:
            return from_version_control(kind)
    if package.flag("editable"):
        return EDITABLE
    if "url" in package:
        return FROM_URL
    return FROM_PATH if "path" in package else None
