"""An entry of a lock → :class:`Pin` or :class:`Unservable`: what the formats that are tables have in common."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial
from urllib.parse import unquote

from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pymirror.lockfiles.findings import shown
from pymirror.lockfiles.hashes import read_hashes
from pymirror.lockfiles.tables import Table
from pymirror.spec.model import LockedFile, Pin, Unservable

MAX_VERSION = 200  # characters; Python refuses numbers of more than some thousand digits

EDITABLE = "an editable project"
FROM_URL = "not from an index: a URL"
FROM_PATH = "not from an index: a local path"

# The version of a === clause, which ends at any of the first; no file's name has the last, which a URL has.
_ARBITRARY = re.compile(r"[^\s,;()/@]+")

# "pytz==2004d", or its specifier alone; what may be a URL or a variable is left alone.
_PINNED = re.compile(
    r"\s*(?:[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\]\s*)?)?==\s*([A-Za-z0-9][A-Za-z0-9.+!_-]*)(?=\s|[,;#]|$)"
)

_REQUIREMENT_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")

RequiredBy = Mapping[NormalizedName, tuple[NormalizedName, ...]]


def from_version_control(kind: str) -> str:
    """Why an entry cannot be served that ``kind`` (git, hg …) has the source of."""
    return f"not from an index: version control ({kind})"


def has_version(table: Table, key: str, text: str, known: Container[int], problem: str) -> bool:
    """Whether ``text``, the version of the format under ``key``, has one of the ``known`` first numbers.

    Notes what is wrong where it has not: ``problem`` says who made it and what can be read.
    """
    try:
        version = Version(text[:100])
    except InvalidVersion:
        table.problem(key, "not a version")
        return False
    if version.major not in known:
        table.problem(key, f"version {version}, {problem}")
    return version.major in known


def read_name(table: Table) -> NormalizedName | None:
    """The entry's project; ``None`` with a problem noted where it names none."""
    name = table.need_text("name")
    return None if name is None else normalize_name(name, table, "name")


def normalize_name(name: str, table: Table, key: str) -> NormalizedName | None:
    """``name``, which stands at ``key`` of ``table``; ``None`` with a problem noted where it is no project's."""
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        table.problem(key, f'"{shown(name)}" is no name of a project')
        return None


NOT_A_VERSION_HINT = "=== pins a version as it is written"


def odd_version(text: str) -> str | None:
    """What is wrong with the version that ``text`` pins with ``==``, where it is none of PEP 440's: ``2004d``."""
    match = _PINNED.match(text)
    if match is None:
        return None
    try:
        Version(match[1])
    except ValueError:
        return f'"{shown(match[1])}" is no version (PEP 440)'
    return None


def exact_specifier(version: str) -> SpecifierSet | None:
    """``==version``; ``===version`` where it is none of PEP 440's; ``None`` where it can be neither."""
    version = version.strip()
    if not version or len(version) > MAX_VERSION or not _ARBITRARY.fullmatch(version):
        return None
    try:
        Version(version)
    except ValueError:
        operator = "==="
    else:
        operator = "=="
    try:
        return SpecifierSet(f"{operator}{version}")
    except InvalidSpecifier:
        return None


def parse_marker(text: str) -> Marker | None:
    """The marker (PEP 508, with PEP 751's ``extras`` and ``dependency_groups``); ``None`` where it is none."""
    try:
        return Marker(text)
    except (InvalidMarker, RecursionError):
        return None


def any_of(markers: Iterable[str]) -> str | None:
    """The marker that holds where one of ``markers`` does. ``and`` binds tighter than ``or``: none needs brackets."""
    return " or ".join(dict.fromkeys(markers)) or None


def read_files(tables: Iterable[Table], *keys: str) -> tuple[LockedFile, ...]:
    """The files of an entry; the first of ``keys`` that a table has names the file, by its name, path or URL."""
    files = []
    for table in tables:
        key = next((key for key in keys if key in table), keys[0])
        address = table.need_text(key)
        text = table.text("hash")
        if address is None:
            continue
        filename = filename_of(address)
        if filename is None:
            table.problem(key, "names no file")
            continue
        hashes = read_hashes([] if text is None else [text], partial(table.problem, "hash"))
        files.append(LockedFile(filename=filename, hashes=hashes))
    return tuple(files)


def filename_of(address: str) -> str | None:
    """The last part of a path or a URL, of which a URL's is percent-encoded; ``None`` where that is no file name."""
    if "://" in address:
        path = re.split(r"[?#]", address, maxsplit=1)[0].partition("://")[2].partition("/")[2]
        name = unquote(path.rpartition("/")[2])
    else:
        name = re.split(r"[/\\]", address)[-1]
    return None if name in ("", ".", "..") or "/" in name else name


def is_own_folder(path: str | None) -> bool:
    """Whether ``path`` is the folder of the lock itself, so that the entry is the project that was locked."""
    return path is not None and posixpath.normpath(path.replace("\\", "/") or "/") == "."


def requirement_names(requirements: Iterable[str]) -> Iterator[str]:
    """The names of requirements (PEP 508)."""
    for requirement in requirements:
        if match := _REQUIREMENT_NAME.match(requirement):
            yield match[1]


def invert(needs: Iterable[tuple[NormalizedName | None, Iterable[str]]]) -> RequiredBy:
    """Who needs a project, from (project, the names of what it needs)."""
    found: dict[NormalizedName, set[NormalizedName]] = {}
    for project, names in needs:
        for name in map(canonicalize_name, names):
            if project is not None and name != project:
                found.setdefault(name, set()).add(project)
    return {name: tuple(sorted(projects)) for name, projects in found.items()}


def add_pin(
    table: Table,
    project: NormalizedName,
    *,
    version: str | None,
    files: tuple[LockedFile, ...],
    required_by: RequiredBy,
    marker: str | None = None,
    marker_extras: frozenset[str] = frozenset(),
    marker_groups: frozenset[str] = frozenset(),
    extras: Iterable[str] = (),
) -> None:
    """Notes the pin of an entry of a lock that names files, or what keeps it from being one."""
    if version is None and not files:
        table.problem("", "has neither a version nor files")
        return
    specifier = SpecifierSet("") if version is None else exact_specifier(version)
    if specifier is None:
        table.problem("version", "not a version")
        return
    parsed = None
    if marker is not None:
        parsed = parse_marker(marker)
        if parsed is None:
            table.problem("", "has a marker that cannot be read")
            return
    table.findings.pins.append(
        Pin(
            project=project,
            specifier=specifier,
            files=files,
            extras=frozenset(map(canonicalize_name, extras)),
            marker=None if parsed is None else str(parsed),
            marker_extras=marker_extras,
            marker_groups=marker_groups,
            required_by=required_by.get(project, ()),
            origin=table.findings.origin(table.line, f"{project}{specifier}"),
        )
    )


def add_unservable(table: Table, project: NormalizedName, problem: str) -> None:
    """Notes an entry that comes from no index; neither its URL nor its path is kept."""
    origin = table.findings.origin(table.line, project)
    table.findings.unservable.append(Unservable(origin=origin, problem=problem, project=project, line=project))
