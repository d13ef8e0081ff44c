"""``groups``, and whether there is an environment for everything that is to be solved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from packaging.utils import InvalidName, canonicalize_name

from pymirror.spec.document import Path as KeyPath
from pymirror.spec.document import quote
from pymirror.spec.model import Filters, Group, ProjectRule
from pymirror.spec.part import Part
from pymirror.spec.rules import is_pattern, read_rule
from pymirror.spec.schema import Document, ProjectEntry
from pymirror.spec.site import last

_NONE = (None, "all")
_NO_ENVIRONMENT = "there is no environment to solve them for"
_NAME_SOME = "say with environments: where everything must install"
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_OF_EXTRAS = re.compile(r"\b(?:extras?|dependency_groups)\b")


# ── groups ──────────────────────────────────────────────────────────────────────────────────────────


def read_groups(parts: Sequence[Part], filters: Filters) -> tuple[Group, ...]:
    """The groups of all documents; one of a later document replaces that of the same name.

    ``filters`` are the top-level ones.
    """
    groups: dict[str, Group] = {}
    for part in parts:
        groups |= {group.name: group for group in _read_groups(part, filters)}
    return tuple(groups.values())


def _read_groups(part: Part, filters: Filters) -> Iterator[Group]:
    written: dict[str, str] = {}
    for text, entries in part.document.groups.items():
        path: KeyPath = ("groups", text)
        try:
            name = canonicalize_name(text, validate=True)
        except InvalidName:
            part.add(path, f"{quote(text)} is no name of a group", 'letters, digits, "-", "_" and ".", such as "web"')
            continue
        if name in written:
            part.add(path, f"{quote(text)} and {quote(written[name])} are the same name", "make one group of them")
        if not entries:
            part.add(path, "an empty list names nothing", "list requirements, or leave the group out")
        written.setdefault(name, text)
        rules = tuple(_read_rules(part, entries, path, filters))
        yield Group(name=name, rules=rules, origin=part.origin(path, f"group {name}"))


def _read_rules(part: Part, entries: Sequence[str], group: KeyPath, filters: Filters) -> Iterator[ProjectRule]:
    """The requirements of the group at the path ``group``."""
    seen: dict[object, int | None] = {}
    for index, text in enumerate(entries):
        path = (*group, index)
        if is_pattern(text):
            part.add(path, f"{quote(text)} is a pattern; a group lists requirements", "name the projects")
            continue
        rule = read_rule(part, text, None, path, path, filters)
        if rule is None:
            continue
        if rule.marker is not None and _OF_EXTRAS.search(_QUOTED.sub("", rule.marker)):
            part.add(
                path, f"{quote(text)} has a marker of extras, and a group has none", "write a[b] for the extra b of a"
            )
        said = (rule.pattern, rule.specifier, rule.extras, rule.marker)
        if said in seen:
            part.add(path, f"{quote(text)} is in the group already", f"first given on line {seen[said]}")
        seen.setdefault(said, rule.origin.line)
        yield rule


# ── environments ────────────────────────────────────────────────────────────────────────────────────


def check_environments(parts: Sequence[Part]) -> None:
    """Notes each key that asks for dependencies where every wheel is kept: what is needed differs by environment.

    ``parts`` were read without a problem: what could not be read might have named some.
    """
    nothing = Document()
    environments = last(parts, "environments", _document, otherwise=nothing).environments
    dependencies = last(parts, "dependencies", _document, otherwise=nothing).dependencies
    for part in parts:
        if environments in _NONE and part.document.groups:
            part.add(("groups",), _NO_ENVIRONMENT, _NAME_SOME)
        for index, entry in enumerate(part.document.projects):
            own = entry if isinstance(entry, ProjectEntry) else ProjectEntry(name=entry)
            is_asked = dependencies if own.dependencies is None else own.dependencies
            where = environments if own.environments is None else own.environments
            if not is_asked or where not in _NONE:
                continue
            if own.dependencies is not None:
                part.add(("projects", index, "dependencies"), _NO_ENVIRONMENT, _NAME_SOME)
            elif own.environments is not None:
                hint = "name some, or add dependencies: false"
                part.add(("projects", index, "environments"), '"all" is no environment to solve dependencies for', hint)
            else:
                last(parts, "dependencies", _add_missing, otherwise=None)


def _document(part: Part) -> Document:
    return part.document


def _add_missing(part: Part) -> None:
    part.add(("dependencies",), _NO_ENVIRONMENT, _NAME_SOME)
