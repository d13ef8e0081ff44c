"""What the spec wants with its dependencies → the roots of resolutions; and their outcomes → what is needed.

A root is a release that a rule keeps, in an environment where it is the newest (or, with ``dependencies: every``, any
that is kept), or a group. Lock files have none: they are never resolved anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.environment import Environment
from pymirror.selection.candidates import Candidate
from pymirror.selection.fit import Fit
from pymirror.selection.model import Chosen, Need, Selection
from pymirror.selection.needs import is_installable
from pymirror.selection.wants import Demands, is_moot, list_reasons
from pymirror.snapshot import Needed, SnapshotProject
from pymirror.spec.model import DependencyPolicy, Group, Origin, ProjectRule, Spec, YankedPolicy

if TYPE_CHECKING:
    from pymirror.closure.model import Outcome, Root

_NOWHERE = Origin(file="", line=None, text="")

MAX_TOLD = 20
"""Of how many roots a page tells that they need a project."""


def list_roots(spec: Spec, selections: Iterable[Selection]) -> list[Root]:
    """Everything that is to be resolved, each in each of its environments."""
    roots: dict[tuple[object, ...], Root] = {}
    chosen = {selection.project: selection.chosen for selection in selections}
    for rule in spec.rules:
        if rule.filters.dependencies is DependencyPolicy.NONE:
            continue
        projects = [NormalizedName(rule.pattern)] if not rule.is_glob else sorted(chosen)
        for project in projects:
            kept = [each for each in chosen.get(project, ()) if rule.origin in each.origins]
            for root in _list_rule_roots(rule, project, kept):
                roots.setdefault((root.name, root.requirements, root.environment), root)
    for group in spec.groups:
        for root in _list_group_roots(group):
            roots.setdefault((root.name, root.requirements, root.environment), root)
    return list(roots.values())


def _list_rule_roots(rule: ProjectRule, project: NormalizedName, kept: Sequence[Chosen]) -> Iterator[Root]:
    from pymirror.closure.model import Root  # late: only resolutions come here

    extras = f"[{','.join(sorted(rule.extras))}]" if rule.extras else ""
    for environment, version in find_root_releases(rule, kept):
        yield Root(
            name=f"{project}{extras}",
            # Not ===, which compares how versions are spelt: files of one release may spell it as 1.0 and as 1.0.0.
            requirements=(Requirement(f"{project}{extras}=={version}"),),
            environment=environment,
            origin=rule.origin,
            build_dependencies=rule.filters.build_dependencies,
        )


def find_root_releases(rule: ProjectRule, kept: Sequence[Chosen]) -> Iterator[tuple[Environment, Version]]:
    """The releases among ``kept`` files, which ``rule`` keeps, that must be installable in each environment.

    The newest is what an installer takes: no pre-release where there is a final one, unless the rule keeps all
    pre-releases; then the newest of these is one as well. A yanked one only where the rule pins or includes it.
    """
    fit = Fit(rule.filters.environments, rule.marker)
    takes_yanked = rule.is_exact or rule.filters.yanked is YankedPolicy.INCLUDE
    masks: dict[Version, int] = defaultdict(int)
    for each in kept:
        if is_installable(each.distribution) and (takes_yanked or not each.file.yanked):
            masks[each.version] |= fit.of(Candidate(each.file, each.distribution, each.version))
    for environment, bit in zip(fit.environments, fit.bits(), strict=False):
        versions = {version for version, mask in masks.items() if mask & bit}
        if rule.filters.dependencies is not DependencyPolicy.EVERY and versions:
            final = {version for version in versions if not version.is_prerelease}
            newest = {max(final or versions)}
            versions = newest | ({max(versions)} if rule.filters.prereleases else set())
        for version in sorted(versions, reverse=True):
            yield environment, version


def _list_group_roots(group: Group) -> Iterator[Root]:
    from pymirror.closure.model import Root  # late: only resolutions come here

    environments = dict.fromkeys(each for rule in group.rules for each in rule.filters.environments or ())
    for environment in environments:
        rules = [rule for rule in group.rules if Fit((environment,), rule.marker).every]
        if rules:
            yield Root(
                name=f"group {group.name}",
                requirements=tuple(_require(rule) for rule in rules),
                environment=environment,
                origin=group.origin,
                build_dependencies=all(rule.filters.build_dependencies for rule in rules),
            )


def _require(rule: ProjectRule) -> Requirement:
    extras = f"[{','.join(sorted(rule.extras))}]" if rule.extras else ""
    return Requirement(f"{rule.pattern}{extras}{rule.specifier}")


def gather_needs(
    outcomes: Sequence[Outcome],
    previous: Iterable[SnapshotProject],
    *,
    lost: Collection[str] = (),
    broken: Collection[tuple[NormalizedName, Version]] = (),
    is_uncertain: bool = False,
) -> Mapping[NormalizedName, tuple[Need, ...]]:
    """What each project must have for ``outcomes``, in order of version.

    What was published for a root stays where it has no solution, where it is ``lost`` (what it is of could not be
    read), and where a release of its solution is ``broken`` (it could not be had). Where the run ``is_uncertain``,
    since something could not be read that may concern any root, so does what was published for all. An error is no
    reason to take anything away.
    """
    from pymirror.closure.model import Solution  # late: only resolutions come here

    users = _find_users(outcomes)
    environments: dict[tuple[NormalizedName, Version], dict[Environment, None]] = defaultdict(dict)
    roots: dict[tuple[NormalizedName, Version], set[str]] = defaultdict(set)
    origins: dict[tuple[NormalizedName, Version], Origin] = {}
    incomplete = {_base(name) for name in lost}
    for outcome in outcomes:
        names = users[id(outcome)]
        if not isinstance(outcome, Solution):
            incomplete |= set(map(_base, names))
            continue
        origin = find_first(outcome.root).origin or _NOWHERE
        for pick in outcome.picks:
            key = (pick.option.project, pick.option.version)
            if key in broken:
                incomplete |= set(map(_base, names))
            roots[key] |= names
            environments[key][outcome.root.environment] = None
            origins[key] = min(origins.get(key, origin), origin)
    needs: dict[NormalizedName, list[Need]] = defaultdict(list)
    for (project, version), names in roots.items():
        key = (project, version)
        order = sorted(environments[key], key=lambda each: each.name)
        needs[project].append(
            Need(version=version, origin=origins[key], roots=tuple(sorted(names)), environments=tuple(order))
        )
    for project_, need in _list_kept(previous, None if is_uncertain else incomplete):
        needs[project_].append(need)
    return {
        project: tuple(sorted(found, key=lambda need: (need.version, need.filenames is not None)))
        for project, found in sorted(needs.items())
    }


def _find_users(outcomes: Sequence[Outcome]) -> dict[int, set[str]]:
    """The names of the roots that each outcome is for: a build serves every root that picks what it builds."""
    from pymirror.closure.model import Solution  # late: only resolutions come here

    picking: dict[tuple[str, Environment], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        for pick in outcome.picks if isinstance(outcome, Solution) else ():
            if pick.option.is_sdist:
                built = f"{pick.option.project} {pick.option.version}"
                picking[built, outcome.root.environment].append(outcome)
    users: dict[int, set[str]] = {}
    for outcome in outcomes:
        found: set[str] = set()
        queue, seen = [outcome], {id(outcome)}
        for each in queue:  # grows on the way
            if each.root.built is None:
                found.add(each.root.name)
                continue
            found.add(find_first(each.root).name)
            above = picking[each.root.built, each.root.environment]
            queue += [one for one in above if id(one) not in seen]
            seen |= set(map(id, above))
        users[id(outcome)] = found
    return users


def list_lost(
    spec: Spec, demands: Demands, selections: Iterable[Selection], previous: Iterable[SnapshotProject]
) -> set[str]:
    """The names of roots that the spec asks for, and of which this run cannot say what they need: their page could not
    be read, or a file of theirs was refused. What is excluded as a whole was not asked for, and is not lost.
    """
    judged = {selection.project: selection for selection in selections}
    before = list(previous)
    known = [NormalizedName(project.name) for project in before]
    published = {file.filename for project in before for file in project.files}
    lost = set()
    for rule in spec.rules:
        if rule.filters.dependencies is DependencyPolicy.NONE:
            continue
        if not Fit(rule.filters.environments, rule.marker).every:
            continue  # nothing is asked of it anywhere
        wanted = [name for name in known if fnmatchcase(name, rule.pattern)] if rule.is_glob else [rule.pattern]
        lost |= {
            str(name)
            for name in map(NormalizedName, wanted)
            if _is_lost(judged.get(name), published) and not is_moot(demands.of(name))
        }
    return lost


def _is_lost(selection: Selection | None, published: Collection[str]) -> bool:
    """Whether there is no page, or a file was refused that is published and stays, or that would be the root."""
    if selection is None:
        return True
    newest = max((chosen.version for chosen in selection.chosen), default=None)
    return any(
        newest is None or refused.version >= newest or refused.filename in published for refused in selection.refused
    )


def _base(root: str) -> str:
    """The name of a root without its extras: what a project was published for counts whichever are asked for now."""
    return root.partition("[")[0]


def find_first(root: Root) -> Root:
    """What the spec asks for that led to ``root``, which may build a part of it."""
    while root.parent is not None:
        root = root.parent
    return root


def _list_kept(previous: Iterable[SnapshotProject], names: set[str] | None) -> Iterator[tuple[NormalizedName, Need]]:
    """The published releases that were needed by roots called ``names``, or by any."""
    for project in previous:
        for needed in project.needed:
            stays = [name for name in needed.roots if names is None or _base(name) in names]
            if stays:
                files = frozenset(file.filename for file in project.files if file.version == needed.version)
                yield (
                    canonicalize_name(project.name),
                    Need(version=Version(needed.version), origin=_NOWHERE, roots=tuple(stays), filenames=files),
                )


def explain_project(
    project: SnapshotProject, demands: Demands, needs: Mapping[NormalizedName, tuple[Need, ...]]
) -> SnapshotProject:
    """``project`` with what it is wanted by, and which of its releases are there for which roots."""
    name = canonicalize_name(project.name)
    roots: dict[Version, set[str]] = defaultdict(set)
    for need in needs.get(name, ()):
        roots[need.version].update(need.roots)
    spelled = dict.fromkeys(file.version for file in project.files)
    needed = tuple(
        Needed(version=text, roots=tuple(sorted(roots[Version(text)]))) for text in spelled if Version(text) in roots
    )
    others = sorted({root for each in needed for root in each.roots} - {name})
    told = [f"needed by {root}" for root in others[:MAX_TOLD]]
    if len(others) > MAX_TOLD:
        told.append(f"needed by {len(others) - MAX_TOLD} more")
    return msgspec.structs.replace(project, wanted_by=(*list_reasons(demands.of(name)), *told), needed=needed)
