"""What the spec says of one project."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeVar

from packaging.utils import NormalizedName

from pymirror.selection.fit import Fit
from pymirror.selection.model import Wants
from pymirror.spec.model import ReleaseRule, Spec, is_glob

T = TypeVar("T")

_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)


class Demands:
    """A spec by project: what names a project is found at once, and only patterns are compared with each name."""

    def __init__(self, spec: Spec, *, now: datetime) -> None:
        self._spec = spec
        self._now = now
        self._rules = _by_name((rule.pattern, rule) for rule in spec.rules if not rule.is_glob)
        self._globs = [rule for rule in spec.rules if rule.is_glob]
        self._pins = _by_name((pin.project, pin) for pin in spec.pins)
        self._files = _by_name((rule.project, rule) for rule in spec.files)
        self._excludes = _Releases(spec.excludes)
        self._allow_newer = _Releases(spec.allow_newer)

    def of(self, project: NormalizedName) -> Wants:
        """Everything that concerns ``project``."""
        matching = (rule for rule in self._globs if fnmatchcase(project, rule.pattern))
        return Wants(
            project=project,
            now=self._now,
            rules=(*self._rules.get(project, ()), *matching),
            pins=tuple(self._pins.get(project, ())),
            files=tuple(self._files.get(project, ())),
            excludes=self._excludes.of(project),
            allow_newer=self._allow_newer.of(project),
            filters=self._spec.filters,
            require_hashes=self._spec.require_hashes,
            on_upstream_removal=self._spec.on_upstream_removal,
        )


def list_reasons(wants: Wants) -> tuple[str, ...]:
    """What asks for the project, as the spec and its lock files write it, each with the file that it stands in.

    Without lines, which change with every line above; ``why`` tells them. Without folders, which are the machine's.
    """
    environments = wants.filters.environments
    asked = [
        *((rule.origin, Fit(rule.filters.environments, rule.marker)) for rule in wants.rules),
        *((pin.origin, Fit(environments, pin.marker, pin.marker_extras, pin.marker_groups)) for pin in wants.pins),
    ]
    origins = [*(origin for origin, fit in asked if fit.every), *(rule.origin for rule in wants.files)]
    return tuple(dict.fromkeys(f"{origin.text} ({_FOLDERS.sub('', origin.file)})" for origin in origins))


class _Releases:
    def __init__(self, rules: Sequence[ReleaseRule]) -> None:
        self._named = _by_name((rule.pattern, rule) for rule in rules if not is_glob(rule.pattern))
        self._globs = [rule for rule in rules if is_glob(rule.pattern)]

    def of(self, project: NormalizedName) -> tuple[ReleaseRule, ...]:
        return (*self._named.get(project, ()), *(rule for rule in self._globs if rule.matches_project(project)))


def _by_name(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for name, item in pairs:
        found[name].append(item)
    return dict(found)


def is_moot(wants: Wants) -> bool:
    """Whether nothing of the project can be wanted, whatever upstream has: then its page is not asked for.

    That is where the markers of all that asks for it hold in none of the environments, and where only a pattern asks
    for it and it is excluded as a whole.
    """
    if not wants.is_named and any(not str(rule.specifier) and not rule.files for rule in wants.excludes):
        return True
    fits = [Fit(rule.filters.environments, rule.marker) for rule in wants.rules]
    environments = wants.filters.environments
    fits += [Fit(environments, pin.marker, pin.marker_extras, pin.marker_groups) for pin in wants.pins]
    return not wants.files and bool(fits) and not any(fit.every for fit in fits)


def wants_of(spec: Spec, project: NormalizedName, *, now: datetime) -> Wants:
    """What ``spec`` says of ``project``, for a run that began ``now`` (aware UTC)."""
    return Demands(spec, now=now).of(project)
