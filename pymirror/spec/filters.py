"""The keys that say which files of a release are kept: the top-level ones, or a project's own over them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

import msgspec

from pymirror.environment import Environment, UnknownEnvironmentError, make_environment
from pymirror.spec.document import Path as KeyPath
from pymirror.spec.document import quote, suggest
from pymirror.spec.model import (
    Cutoff,
    DependencyPolicy,
    Filters,
    KeepLatest,
    Origin,
    PackageType,
    ReleaseLine,
    SdistPolicy,
    YankedPolicy,
)
from pymirror.spec.part import Part
from pymirror.spec.schema import Document, EnvironmentEntry, EnvironmentProduct, KeepLatestEntry, ProjectEntry
from pymirror.spec.units import parse_duration, parse_size

MAX_ENVIRONMENTS = 256
NONE = "none"
"""What a project says that has no cutoff or limit, where the spec has one."""

_BARE_NUMBER = re.compile(r"[0-9]*[1-9][0-9]*")

_ALIASES = {"wheel": PackageType.BDIST_WHEEL, "egg": PackageType.BDIST_EGG}


def read_filters(part: Part, entry: Document | ProjectEntry, path: KeyPath, base: Filters) -> Filters:
    """``base``, with what ``entry`` (which stands at ``path``) says instead."""
    changes: dict[str, Any] = {}
    origins = dict(base.origins)
    for name, read in _READERS.items():
        key = name.replace("_", "-")
        value = getattr(entry, name)
        if value is None or not part.reading.is_given((*path, key)):
            continue
        changes[name] = read(part, value, (*path, key))
        origins[key] = _origin(part, key, value, (*path, key))
    return msgspec.structs.replace(base, **changes, origins=tuple(sorted(origins.items())))


def _origin(part: Part, key: str, value: object, path: KeyPath) -> Origin:
    if isinstance(value, bool):
        text = f"{key}: {str(value).lower()}"
    elif isinstance(value, str | int):
        text = f"{key}: {value}"
    elif isinstance(value, KeepLatestEntry):
        text = f"{key}: {value.count} per {value.per}"
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = f"{key}: {', '.join(value)}"
    else:
        text = key
    return part.origin(path, text)


# ── package types ───────────────────────────────────────────────────────────────────────────────────


def _read_package_types(part: Part, texts: Sequence[str], path: KeyPath) -> frozenset[PackageType]:
    known = [*PackageType, *_ALIASES]
    types = set()
    for index, text in enumerate(texts):
        if text in _ALIASES:
            types.add(_ALIASES[text])
        elif text in list(PackageType):
            types.add(PackageType(text))
        else:
            part.add((*path, index), f'unknown package type "{text}"', suggest(text, known))
    if not texts:
        part.add(path, "an empty list keeps no file at all")
    return frozenset(types)


# ── environments ────────────────────────────────────────────────────────────────────────────────────


def _read_environments(
    part: Part, value: str | EnvironmentProduct | list[EnvironmentEntry], path: KeyPath
) -> tuple[Environment, ...] | None:
    if isinstance(value, str):
        return None  # "all": every wheel is kept
    found: dict[Environment, None] = {}
    if not isinstance(value, EnvironmentProduct):
        if not value:
            part.add(path, "an empty list makes no environment", "leave it out to keep every wheel")
        for index, item in enumerate(value[: MAX_ENVIRONMENTS + 1]):
            environment = _read_environment(part, item, (*path, index))
            if environment is not None:
                found[environment] = None
        if len(value) > MAX_ENVIRONMENTS:
            part.add(path, f"{len(value)} environments are more than {MAX_ENVIRONMENTS}")
        return tuple(found)
    for key, texts in (("python", value.python), ("platform", value.platform)):
        if not texts:
            part.add((*path, key), "an empty list makes no environment")
    if len(value.python) * len(value.platform) > MAX_ENVIRONMENTS:
        part.add(path, f"{len(value.python) * len(value.platform)} environments are more than {MAX_ENVIRONMENTS}")
        return None
    # Each value on its own with a partner that is known: what is wrong is told once, and where it stands.
    pythons = [
        text
        for index, text in enumerate(value.python)
        if _make_environment(part, text, "linux", None, (*path, "python", index)) is not None
    ]
    platforms = [
        text
        for index, text in enumerate(value.platform)
        if _make_environment(part, "3.12", text, None, (*path, "platform", index)) is not None
    ]
    return tuple(dict.fromkeys(make_environment(python, platform) for python in pythons for platform in platforms))


def _read_environment(part: Part, entry: EnvironmentEntry, path: KeyPath) -> Environment | None:
    python = _make_environment(part, entry.python, "linux", entry.implementation, path)
    platform = _make_environment(part, "3.12", entry.platform, None, path)
    return None if python is None or platform is None else replace(python, platform=platform.platform)


def _make_environment(
    part: Part, python: str, platform: str, implementation: str | None, path: KeyPath
) -> Environment | None:
    try:
        return make_environment(python, platform, implementation)
    except UnknownEnvironmentError as error:
        part.add(path, str(error), error.hint)
        return None


# ── counts, times and sizes ─────────────────────────────────────────────────────────────────────────


def _read_keep_latest(_part: Part, value: str | int | KeepLatestEntry, _path: KeyPath) -> KeepLatest | None:
    if isinstance(value, str):
        return None  # "all"
    if isinstance(value, int):
        return KeepLatest(count=value)
    return KeepLatest(count=value.count, per=ReleaseLine(value.per))


def _read_newer(part: Part, value: str | int, path: KeyPath) -> Cutoff | None:
    """What is newer than a date is what was uploaded after that day."""
    return _read_cutoff(part, value, path, days=1)


def _read_older(part: Part, value: str | int, path: KeyPath) -> Cutoff | None:
    """What is older than a date is what was uploaded before that day."""
    return _read_cutoff(part, value, path, days=0)


def _read_cutoff(part: Part, value: str | int, path: KeyPath, *, days: int) -> Cutoff | None:
    """A date, a time, or an age: what pip and uv take, always in UTC. A date stands for its begin and ``days``."""
    text = str(value).strip()
    if text == NONE:
        return None
    moment = _parse_moment(text, days)
    if moment is not None:
        return Cutoff(text=text, moment=moment)
    # A bare number is no age: nobody means seconds.
    seconds = None if _BARE_NUMBER.fullmatch(text) else parse_duration(text)
    if seconds is None or not isfinite(seconds) or seconds > 1e11:
        part.add(path, f"{quote(text)} is neither a date nor an age", 'write "2026-01-31" or "7 days"')
        return None
    return Cutoff(text=text, age_seconds=seconds)


def _parse_moment(text: str, days: int) -> datetime | None:
    """A date or a time, which is in UTC where it names no zone; ``None`` for anything else."""
    if not text[:4].isdigit() or "-" not in text[:5]:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if len(text) == 10:
            moment += timedelta(days=days)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_size(part: Part, value: str | int, path: KeyPath) -> int | None:
    """A number of bytes greater than zero; ``None`` where there is to be no limit."""
    if value == NONE:
        return None
    size = parse_size(str(value))
    if size is None or size < 1 or not isfinite(size):
        part.add(path, "not an amount that can be used", 'write "500 kB", "2 GB"')
        return None
    return int(size)


def _read_dependencies(_part: Part, value: str | bool, _path: KeyPath) -> DependencyPolicy:
    if isinstance(value, bool):
        return DependencyPolicy.NEWEST if value else DependencyPolicy.NONE
    return DependencyPolicy(value)


_READERS: dict[str, Any] = {
    "environments": _read_environments,
    "package_types": _read_package_types,
    "sdists": lambda _part, value, _path: SdistPolicy(value),
    "prereleases": lambda _part, value, _path: value,
    "yanked": lambda _part, value, _path: YankedPolicy(value),
    "keep_latest": _read_keep_latest,
    "exclude_newer": _read_newer,
    "exclude_older": _read_older,
    "max_file_size": read_size,
    "dependencies": _read_dependencies,
    "build_dependencies": lambda _part, value, _path: value,
}
