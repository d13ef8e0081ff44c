"""``pymirror why --size``: what the disk is spent on, by project, release line and environment. Asks nobody."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from packaging.utils import canonicalize_name
from packaging.version import Version

from pymirror.commands.ports import Ports
from pymirror.commands.why_report import SizeReport, Weight
from pymirror.distribution import Distribution, parse_filename
from pymirror.environment import Environment, find_tags, suits_python
from pymirror.errors import NoMirrorError
from pymirror.history import find_published
from pymirror.snapshot import SnapshotFile
from pymirror.spec.model import PackageType, Spec

_VERSIONED = re.compile(r"(?P<system>[a-z]+)(?:_[0-9]+_[0-9]+|20[0-9]{2}|1)_(?P<arch>.+)")

_Bag = dict[str, dict[str, int]]
"""name → (path → bytes): a file is counted once for each name."""


def why_size(spec: Spec, ports: Ports) -> SizeReport:
    """Ranks what is published. Raises :class:`NoMirrorError` where nothing is."""
    snapshot = find_published(ports.storage)
    if snapshot is None:
        raise NoMirrorError(ports.storage.location)
    projects: _Bag = defaultdict(dict)
    lines: _Bag = defaultdict(dict)
    environments: _Bag = defaultdict(dict)
    for project, file in snapshot.files():
        size = file.size
        projects[project][file.path] = size
        version = Version(file.version)
        epoch = f"{version.epoch}!" if version.epoch else ""
        lines[f"{project} {epoch}{version.major}.{version.minor}"][file.path] = size
        for name in _list_users(project, file, spec.filters.environments):
            environments[name][file.path] = size
    return SizeReport(
        output=str(spec.output),
        size=snapshot.size,
        projects=_rank(projects),
        release_lines=_rank(lines),
        environments=_rank(environments),
    )


def _rank(bags: _Bag) -> tuple[Weight, ...]:
    users: dict[str, int] = defaultdict(int)
    for bag in bags.values():
        for path in bag:
            users[path] += 1
    weights = [
        Weight(
            name=name,
            files=len(bag),
            size=sum(bag.values()),
            only=sum(size for path, size in bag.items() if users[path] == 1),
        )
        for name, bag in bags.items()
    ]
    return tuple(sorted(weights, key=lambda weight: (-weight.size, weight.name)))


def _list_users(project: str, file: SnapshotFile, environments: tuple[Environment, ...] | None) -> Iterable[str]:
    """The environments that can use the file; without any in the spec, the kinds of interpreter and platform."""
    distribution = parse_filename(file.filename, canonicalize_name(project))
    if distribution is None or distribution.package_type is not PackageType.BDIST_WHEEL:
        return [f"source ({PackageType.SDIST.value})" if _is_sdist(distribution) else "other package types"]
    if environments is None:
        return sorted({f"{tag.interpreter} {_family(tag.platform)}" for tag in distribution.tags})
    users = [
        each.name
        for each in environments
        if suits_python(each, file.requires_python) and not distribution.tags.isdisjoint(find_tags(each))
    ]
    return users or ["no environment of the spec"]


def _is_sdist(distribution: Distribution | None) -> bool:
    return distribution is not None and distribution.package_type is PackageType.SDIST


def _family(platform: str) -> str:
    """``manylinux x86_64`` of ``manylinux_2_17_x86_64``: what differs in a version only is one platform."""
    match = _VERSIONED.fullmatch(platform)
    return f"{match['system']} {match['arch']}" if match else platform
