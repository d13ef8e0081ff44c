"""``projects``, ``files``, ``exclude``, ``exclude-from`` and ``allow-newer`` → rules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.utils import NormalizedName, canonicalize_name

from pymirror.spec.document import Path as KeyPath
from pymirror.spec.document import quote
from pymirror.spec.filters import read_filters
from pymirror.spec.model import FileRule, Filters, ProjectRule, ReleaseRule
from pymirror.spec.part import Part
from pymirror.spec.schema import ExcludeEntry, FileEntry, ProjectEntry

_GLOB = re.compile(r"\s*[A-Za-z0-9._-]*[*?]")  # before a specifier begins, which may have a star too


def read_rules(part: Part, filters: Filters) -> Iterator[ProjectRule]:
    """The entries of ``projects``; ``filters`` are the top-level ones."""
    for index, entry in enumerate(part.document.projects):
        path: KeyPath = ("projects", index)
        if isinstance(entry, ProjectEntry):
            rule = _read_long_rule(part, entry, path, filters)
        else:
            rule = read_rule(part, entry, None, path, path, filters)
        if rule is not None:
            yield rule


def _read_long_rule(part: Part, entry: ProjectEntry, path: KeyPath, filters: Filters) -> ProjectRule | None:
    own = read_filters(part, entry, path, filters)
    rule = read_rule(part, entry.name, entry.version, path, (*path, "name"), own)
    files = part.file_globs(entry.files, (*path, "files"))
    if rule is None:
        return None
    return ProjectRule(
        pattern=rule.pattern,
        specifier=rule.specifier,
        filters=own,
        origin=rule.origin,
        extras=rule.extras,
        marker=rule.marker,
        files=files,
    )


def is_pattern(text: str) -> bool:
    """Whether an entry names its projects by a glob."""
    return _GLOB.match(text) is not None


def read_rule(
    part: Part, text: str, version: str | None, path: KeyPath, name_path: KeyPath, filters: Filters
) -> ProjectRule | None:
    """What ``text`` wants, a requirement or a pattern that stands at ``name_path`` of the entry at ``path``."""
    origin = part.origin(path, f"{text} {version or ''}".strip())
    given = part.specifier(version, (*path, "version")) if version is not None else None
    if is_pattern(text):
        if any(sign in text for sign in "[;"):
            part.add(name_path, f"{quote(text)} is a pattern, which takes neither extras nor a marker")
            return None
        found = part.releases(text, name_path)
        if found is None:
            return None
        if version is not None and str(found[1]):
            part.add((*path, "version"), f"{quote(text)} has a version already", "give it once")
        specifier = found[1] if given is None else given
        return ProjectRule(pattern=found[0], specifier=specifier, filters=filters, origin=origin)
    requirement = part.requirement(text, name_path)
    if requirement is None:
        return None
    if version is not None and str(requirement.specifier):
        part.add((*path, "version"), f'"{text}" has a version already', "give it once")
    return ProjectRule(
        pattern=canonicalize_name(requirement.name),
        specifier=requirement.specifier if given is None else given,
        filters=filters,
        origin=origin,
        extras=frozenset(canonicalize_name(extra) for extra in requirement.extras),
        marker=str(requirement.marker) if requirement.marker else None,
    )


# ── individual files ────────────────────────────────────────────────────────────────────────────────


def read_file_rules(part: Part) -> Iterator[FileRule]:
    """The entries of ``files``."""
    for index, entry in enumerate(part.document.files):
        path: KeyPath = ("files", index)
        if isinstance(entry, FileEntry):
            pattern = part.file_glob(entry.file, (*path, "file"))
            project = part.pattern(entry.project, (*path, "project"))
            if project and any(sign in project for sign in "*?"):
                part.add((*path, "project"), f"{quote(entry.project)} is a pattern", "name the project")
                continue
            text = entry.file
        else:
            pattern, text = part.file_glob(entry, path), entry
            project = _find_project(entry) if pattern else None
            if pattern and project is None:
                part.add(path, f"{quote(entry)} does not tell its project", "write {project: NAME, file: PATTERN}")
        if pattern and project:
            yield FileRule(project=NormalizedName(project), pattern=pattern, origin=part.origin(path, text))


def _find_project(pattern: str) -> NormalizedName | None:
    """The project whose files ``pattern`` names: what stands before the first part that begins a version."""
    if pattern.endswith(".whl"):
        name, dash, _ = pattern.partition("-")  # a wheel's name has no dash (PEP 427)
    else:
        parts = pattern.split("-")
        end = next((i for i, part in enumerate(parts) if i and (part[:1].isdigit() or part[:1] in "*?[")), len(parts))
        name, dash = "-".join(parts[:end]), "-" if end < len(parts) else ""
    return (
        canonicalize_name(name) if dash and re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", name) else None
    )


# ── releases: what is excluded, and what may be newer ───────────────────────────────────────────────


def read_excludes(part: Part) -> Iterator[ReleaseRule]:
    """The entries of ``exclude``."""
    for index, entry in enumerate(part.document.exclude):
        path: KeyPath = ("exclude", index)
        rule = read_exclude(part, entry, path)
        if rule is not None:
            yield rule


def read_exclude(part: Part, entry: str | ExcludeEntry, path: KeyPath, reason: str | None = None) -> ReleaseRule | None:
    """An entry of ``exclude`` or of a block list."""
    if isinstance(entry, str):
        found = part.releases(entry, path)
        if found is None:
            return None
        if found[0].strip("*") == "" and not str(found[1]):
            part.add(path, f"{quote(entry)} excludes everything", "name a project, or files:")
        return ReleaseRule(pattern=found[0], specifier=found[1], origin=part.origin(path, entry), reason=reason)
    named = part.releases(entry.name, (*path, "name"))
    given = part.specifier(entry.version, (*path, "version")) if entry.version is not None else None
    files = part.file_globs(entry.files, (*path, "files"))
    if named is None:
        return None
    if entry.version is not None and str(named[1]):
        part.add((*path, "version"), f"{quote(entry.name)} has a version already", "give it once")
    if entry.name.strip("*") == "" and not (entry.version or "").strip() and not entry.files:
        part.add(path, "nothing is named", "give name:, version: or files:")
    text = " ".join(word for word in (entry.name, entry.version or "", *entry.files) if word)
    return ReleaseRule(
        pattern=named[0],
        specifier=named[1] if given is None else given,
        origin=part.origin(path, text),
        files=files,
        reason=entry.reason,
    )


def read_allow_newer(part: Part) -> Iterator[ReleaseRule]:
    """The entries of ``allow-newer``."""
    for index, text in enumerate(part.document.allow_newer):
        path: KeyPath = ("allow-newer", index)
        found = part.releases(text, path)
        if found is not None:
            yield ReleaseRule(pattern=found[0], specifier=found[1], origin=part.origin(path, text))
