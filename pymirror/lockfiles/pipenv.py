"""``Pipfile.lock``, spec 6: a table of entries for each category; hashes, but no names of files.

https://pipenv.pypa.io/en/latest/pipfile.html
"""

from __future__ import annotations

import re
from functools import partial

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from pymirror.lockfiles.entries import (
    EDITABLE,
    FROM_PATH,
    FROM_URL,
    MAX_VERSION,
    NOT_A_VERSION_HINT,
    add_unservable,
    from_version_control,
    is_own_folder,
    normalize_name,
    odd_version,
    parse_marker,
)
from pymirror.lockfiles.findings import Findings, may_hold_credential, shown
from pymirror.lockfiles.hashes import read_hashes
from pymirror.lockfiles.interface import NOT_PINNED
from pymirror.lockfiles.tables import Table, parse_json
from pymirror.spec.model import Pin

_SPEC = 6
_VERSION_CONTROL = ("git", "hg", "svn", "bzr")
_SIGN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]:\n]', re.DOTALL)

NOT_LOCKED = 'not locked: Pipenv writes no version, or "*", where the marker was false on the machine that locked'


def read_pipfile(text: str, findings: Findings) -> None:
    """Notes the pins of every category."""
    root = parse_json(text, findings)
    if root is None or not _is_readable(root):
        return
    lines = _entry_lines(text)
    for category in root:
        if category == "_meta":
            continue
        section = root.table(category)
        for name in section or ():
            if section is not None and (entry := _entry(section, name, lines.get((category, name)))):
                _read_entry(entry, name)


def _is_readable(root: Table) -> bool:
    meta = root.table("_meta")
    if meta is None:
        if "_meta" not in root:
            root.problem("", 'the key "_meta" is missing')
        return False
    spec = meta.values.get("pipfile-spec")
    if spec != _SPEC or isinstance(spec, bool):
        meta.problem("pipfile-spec", f"not a spec of Pipfile.lock that can be read; {_SPEC} can")
        return False
    return True


def _entry(section: Table, name: str, line: int | None) -> Table | None:
    """The entry ``name``; the first Pipenvs wrote a bare version."""
    values = section.values[name]
    if isinstance(values, str):
        values = {"version": values}
    if not isinstance(values, dict):
        section.table(name)
        return None
    return Table(values, section.findings, path=f"{section.path}.{shown(name)}", line=line)


def _read_entry(entry: Table, name: str) -> None:
    project = normalize_name(name, entry, "")
    if project is None or is_own_folder(entry.text("path")):
        return
    if problem := _why_unservable(entry):
        add_unservable(entry, project, problem)
        return
    if "markers" in entry and ("version" not in entry or str(entry.values["version"]).strip() == "*"):
        add_unservable(entry, project, NOT_LOCKED)
        return
    version = entry.need_text("version")
    if version is None:
        return
    specifier = _exact(version)
    if specifier is None and (problem := odd_version(version)):
        entry.problem("version", problem, NOT_A_VERSION_HINT)
    elif specifier is None:
        entry.problem("version", f'"{shown(project)}" {NOT_PINNED}', "a lock is exact; put ranges under projects:")
    else:
        _add_pin(entry, project, specifier)


def _add_pin(entry: Table, project: NormalizedName, specifier: SpecifierSet) -> None:
    marker = entry.text("markers")
    parsed = None if marker is None else parse_marker(marker)
    if marker is not None and parsed is None:
        entry.problem("markers", "not a marker")
        return
    entry.findings.pins.append(
        Pin(
            project=project,
            specifier=specifier,
            hashes=read_hashes(entry.texts("hashes"), partial(entry.problem, "hashes")),
            extras=frozenset(map(canonicalize_name, entry.texts("extras"))),
            marker=None if parsed is None else str(parsed),
            origin=entry.findings.origin(entry.line, f"{project}{specifier}"),
        )
    )


def _why_unservable(entry: Table) -> str | None:
    for kind in _VERSION_CONTROL:
        if kind in entry:
            return from_version_control(kind)
    if entry.flag("editable"):
        return EDITABLE
    if "path" in entry:
        return FROM_PATH
    if "file" in entry or "uri" in entry or "url" in entry:
        address = entry.values.get("file")
        return FROM_PATH if isinstance(address, str) and "://" not in address else FROM_URL
    return None


def _exact(version: str) -> SpecifierSet | None:
    if len(version) > MAX_VERSION or may_hold_credential(version):
        return None
    try:
        specifier = SpecifierSet(version)
    except InvalidSpecifier:
        return None
    clauses = list(specifier)
    is_exact = len(clauses) == 1 and (
        clauses[0].operator == "===" or (clauses[0].operator == "==" and not clauses[0].version.endswith(".*"))
    )
    return specifier if is_exact and clauses[0].version.strip() else None


def _entry_lines(text: str) -> dict[tuple[str, str], int]:
    """Where the keys (category, name) stand, of a text that is JSON."""
    lines: dict[tuple[str, str], int] = {}
    depth, line, category, last = 0, 1, "", ""
    for match in _SIGN.finditer(text):
        sign = match[0]
        if sign == "\n":
            line += 1
        elif sign in "{[":
            depth += 1
        elif sign in "}]":
            depth -= 1
        elif sign != ":":
            last = msgspec.json.decode(sign, type=str) if "\\" in sign else sign[1:-1]
        elif depth == 1:
            category = last
        elif depth == 2:
            lines[category, last] = line
    return lines
