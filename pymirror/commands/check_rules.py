"""Which lines of the spec may be why something is not in the tree: what can be told without asking upstream."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from packaging.utils import NormalizedName, canonicalize_name

from pymirror.commands.check_report import Dropped
from pymirror.environment import Environment
from pymirror.selection.fit import Fit
from pymirror.spec.model import Filters, Origin, PackageType, ProjectRule, ReleaseRule, Spec

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_WORD = re.compile(_NAME)
# How the resolver says what stands in the way; its chains name what leads there too.
_CULPRIT = re.compile(rf"\b(?:needs|asks for|built with) \"?({_NAME})|({_NAME})[^ ]* is asked for")
_INSTALLED = (PackageType.BDIST_WHEEL, PackageType.SDIST)

# Keys that leave releases out of which only upstream's page tells; those of the second are not for what others need.
_POLICIES = {"exclude-newer": "leaves new releases out", "max-file-size": "leaves large files out"}
_CHOICES = {"exclude-older": "leaves old releases out", "keep-latest": "keeps the newest releases only"}


def find_named(problem: str, known: Iterable[NormalizedName]) -> tuple[NormalizedName, ...]:
    """The projects among ``known`` that a problem is about, in order: what something needs, else all that it names."""
    culprits = [match[1] or match[2] for match in _CULPRIT.finditer(problem)]
    words = {canonicalize_name(word) for word in culprits or _WORD.findall(problem)}
    return tuple(sorted(words & set(known)))


def find_dropped(
    spec: Spec, project: NormalizedName, environment: Environment, *, is_asked: bool, is_followed: bool
) -> tuple[Dropped, ...]:
    """The lines of ``spec`` that keep something of ``project`` out of ``environment``, or may.

    ``is_asked`` where the root itself asks for the project, and something that it needs does not. Where it
    ``is_followed``, the spec wants what it needs: then the entries of ``projects`` limit only what was asked for.
    """
    found = list(_list_excludes(spec.excludes, project))
    rules = [rule for rule in spec.rules if fnmatchcase(project, rule.pattern)]
    is_limited = is_asked or not is_followed
    for rule in rules:
        found += _list_limits(rule, project, environment) if is_limited else ()
        found += _list_filters(rule.filters, project, environment, rule.origin, is_limited=is_limited)
    if not rules:
        found += _list_filters(spec.filters, project, environment, None, is_limited=is_asked)
        if not is_asked and not is_followed and not any(pin.project == project for pin in spec.pins):
            found.append(_tell_unasked(spec, project))
    return tuple(sorted(set(found)))


def _list_excludes(excludes: Iterable[ReleaseRule], project: NormalizedName) -> Iterator[Dropped]:
    for rule in excludes:
        if rule.matches_project(project):
            why = f": {rule.reason}" if rule.reason else ""
            yield Dropped(project=project, rule=str(rule.origin), reason=f"exclude: {rule.origin.text}{why}")


def _list_limits(rule: ProjectRule, project: NormalizedName, environment: Environment) -> Iterator[Dropped]:
    """What the text of an entry of ``projects`` leaves out."""

    def drop(reason: str) -> Dropped:
        return Dropped(project=project, rule=str(rule.origin), reason=reason)

    if str(rule.specifier):
        yield drop(f"{rule.origin.text}: takes {rule.specifier} only")
    if rule.files:
        yield drop(f"files: takes {', '.join(rule.files)} only")
    if rule.marker is not None and not Fit((environment,), rule.marker).every:
        yield drop(f"is not asked for there: {rule.marker}")


def _list_filters(
    filters: Filters, project: NormalizedName, environment: Environment, rule: Origin | None, *, is_limited: bool
) -> Iterator[Dropped]:
    """What the keys leave out; those that are choices of who names the project only where it ``is_limited``."""

    def drop(key: str, reason: str) -> Iterator[Dropped]:
        origin = filters.origin_of(key) or rule
        if origin is not None:
            yield Dropped(project=project, rule=str(origin), reason=f"{key}: {reason}")

    if is_limited and filters.environments is not None and environment not in filters.environments:
        yield from drop("environments", f"{environment.name} is none of them")
    missing = [kind.value for kind in _INSTALLED if kind not in filters.package_types]
    if missing:
        yield from drop("package-types", f"no {' and no '.join(missing)} is kept")
    for key, reason in {**_POLICIES, **(_CHOICES if is_limited else {})}.items():
        if filters.origin_of(key) is not None:
            yield from drop(key, reason)


def _tell_unasked(spec: Spec, project: NormalizedName) -> Dropped:
    """Nothing names the project, and what others need is not followed."""
    origin = spec.filters.origin_of("dependencies")
    if origin is not None:
        return Dropped(project=project, rule=str(origin), reason=f"nothing asks for {project}; {origin.text}")
    return Dropped(
        project=project, rule=str(spec.path), reason=f"nothing asks for {project}, and dependencies are not followed"
    )
