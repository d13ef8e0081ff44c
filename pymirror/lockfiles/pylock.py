"""``pylock.toml``, the standard's own lock file (PEP 751), which pip and uv write and PDM too.

https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial

from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.utils import NormalizedName

from pymirror.lockfiles.entries import (
    FROM_PATH,
    FROM_URL,
    RequiredBy,
    add_pin,
    add_unservable,
    from_version_control,
    has_version,
    invert,
    is_own_folder,
    requirement_names,
)
from pymirror.lockfiles.findings import Findings, may_hold_credential, shown
from pymirror.lockfiles.hashes import read_hashes
from pymirror.lockfiles.tables import Table, header_lines, parse_toml
from pymirror.spec.model import LockedFile

_TOO_DEEP = "cannot be read: nested too deeply"
_PACKAGE = re.compile(r"packages\[(\d+)\]")


def read_pylock(text: str, findings: Findings) -> None:
    """Notes the pins; the first value that the standard does not allow is the one problem."""
    root = parse_toml(text, findings)
    if root is None or not _is_readable(root):
        return
    lines = header_lines(text, "packages")
    try:
        lock = Pylock.from_dict(_without_versions(root.values))
    except PylockValidationError as error:
        _note(error, findings, lines)
        return
    except RecursionError:
        findings.problem(None, _TOO_DEEP)
        return
    tables = root.tables("packages", lines=lines)
    required_by = invert((package.name, _needs(table)) for package, table in zip(lock.packages, tables, strict=True))
    extras = frozenset(lock.extras or ())
    groups = frozenset([*(lock.dependency_groups or ()), *(lock.default_groups or ())])
    for package, table in zip(lock.packages, tables, strict=True):
        problem = _why_unservable(package)
        if problem:
            add_unservable(table, package.name, problem)
        elif package.directory is None:
            _add_pin(table, package, required_by, extras, groups)


def _is_readable(root: Table) -> bool:
    text = root.need_text("lock-version")
    if text is None:
        return False
    return has_version(root, "lock-version", text, (1,), "of another standard; version 1 can be read")


def _without_versions(values: Mapping[str, object]) -> dict[str, object]:
    """The document without the packages' versions, which are read apart.

    PDM writes ``1.0`` for files of ``1.0+cu118``, which the standard does not allow; it is the files that count.
    """
    packages = values.get("packages")
    if not isinstance(packages, list):
        return dict(values)
    bare = [
        {key: value for key, value in package.items() if key != "version"} if isinstance(package, dict) else package
        for package in packages
    ]
    return {**values, "packages": bare}


def _note(error: PylockValidationError, findings: Findings, lines: list[int]) -> None:
    context = error.context or ""
    match = _PACKAGE.match(context)
    line = lines[int(match[1])] if match and int(match[1]) < len(lines) else None
    message = error.message.partition("\n")[0]
    if "recursion" in message:
        message = _TOO_DEEP  # of a marker: Python's own words, which say nothing of the file
    elif not message or may_hold_credential(message):
        message = "not as PEP 751 has it"  # what is said of a URL may repeat its password
    findings.problem(line, shown(f"{message[:1].lower()}{message[1:]}"), key=shown(context))


def _needs(table: Table) -> Iterator[str]:
    """The names of ``dependencies``; PDM keeps its own, requirements as text, in its part of ``tool``."""
    for dependency in table.tables("dependencies"):
        if isinstance(name := dependency.values.get("name"), str):
            yield name
    tool = table.table("tool")
    if tool is not None and (pdm := tool.table("pdm")) is not None:
        yield from requirement_names(pdm.texts("dependencies"))


def _why_unservable(package: Package) -> str | None:
    if package.vcs is not None:
        return from_version_control(package.vcs.type if package.vcs.type in ("git", "hg", "bzr", "svn") else "another")
    if package.archive is not None:
        return FROM_URL if package.archive.url else FROM_PATH
    if package.directory is not None and not is_own_folder(package.directory.path):
        return FROM_PATH
    return None


def _add_pin(
    table: Table,
    package: Package,
    required_by: RequiredBy,
    extras: frozenset[NormalizedName],
    groups: frozenset[str],
) -> None:
    files = []
    for key, file in [("sdist", package.sdist), *((f"wheels[{i}]", w) for i, w in enumerate(package.wheels or ()))]:
        if file is None:
            continue
        filename = file.filename
        if "/" in filename or "\\" in filename:
            table.problem(key, "names no file")
            continue
        texts = [f"{name}:{digest}" for name, digest in file.hashes.items()]
        hashes = read_hashes(texts, partial(table.problem, f"{key}.hashes"))
        files.append(LockedFile(filename=filename, hashes=hashes))
    add_pin(
        table,
        package.name,
        version=table.text("version"),
        files=tuple(files),
        marker=None if package.marker is None else str(package.marker),
        marker_extras=frozenset(extras),
        marker_groups=groups,
        required_by=required_by,
    )
