"""What must install, by the spec and by what the tree holds: projects and groups, each in each of its environments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec
from packaging.requirements import Requirement
from packaging.utils import NormalizedName

from pymirror.closure.model import Root
from pymirror.commands.check_report import RootKind
from pymirror.environment import Environment
from pymirror.errors import printable
from pymirror.roots import find_root_releases
from pymirror.selection.fit import Fit
from pymirror.selection.model import Chosen
from pymirror.spec.model import DependencyPolicy, Filters, Group, Origin, ProjectRule, Spec, matches_any
from pymirror.tree_facts import HeldFile, Tree, why_unfit

_MAX_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something that must install in ``environment``.

    ``requirements`` are what a client is to be asked for. ``root`` is what the first judge solves, and ``None`` where
    there is nothing to solve: ``problem`` says why. ``projects`` are those that are asked for by name;
    ``is_followed`` where the spec wants what they need too.
    """

    kind: RootKind
    name: str
    origin: Origin
    environment: Environment
    requirements: tuple[Requirement, ...]
    root: Root | None = None
    version: str | None = None
    problem: str | None = None
    projects: tuple[NormalizedName, ...] = ()
    is_followed: bool = False


def list_environments(spec: Spec, own: Environment | None) -> tuple[Environment, ...]:
    """Every environment that the spec names, in its order; ``own`` where something has none."""
    found: dict[Environment, None] = {}
    for filters in (spec.filters, *(rule.filters for rule in spec.rules)):
        found |= dict.fromkeys(environments_of(filters, own))
    return tuple(found)


def environments_of(filters: Filters, own: Environment | None) -> tuple[Environment, ...]:
    """Where what ``filters`` hold for must install; ``own`` where every wheel is kept."""
    if filters.environments is not None:
        return filters.environments
    return (own,) if own is not None else ()


def list_project_tasks(spec: Spec, tree: Tree, own: Environment | None) -> Iterator[Task]:
    """The entries of ``projects``: the newest release of each environment, or with ``dependencies: every`` each.

    A pattern stands for the projects that the tree lists; where one of these has nothing for an environment, nothing is
    missing, since nobody named it.
    """
    listed = tree.list_projects()
    entries = [
        (rule, project)
        for rule in spec.rules
        for project in ([p for p in listed if fnmatchcase(p, rule.pattern)] if rule.is_glob else [_name(rule)])
    ]
    count = Counter(project for _, project in entries)
    seen: set[tuple[str, str | None, Environment]] = set()
    for rule, project in entries:
        for task in _list_rule_tasks(rule, project, tree, own, is_only=count[project] == 1):
            key = (task.name, task.version, task.environment)
            if key not in seen:
                seen.add(key)
                yield task


def _list_rule_tasks(
    rule: ProjectRule, project: NormalizedName, tree: Tree, own: Environment | None, *, is_only: bool
) -> Iterator[Task]:
    environments = environments_of(rule.filters, own)
    filters = msgspec.structs.replace(rule.filters, environments=environments)
    aimed = msgspec.structs.replace(rule, filters=filters)
    kept = _list_kept(aimed, project, tree)
    found: dict[Environment, list[str]] = {}
    for environment, version in find_root_releases(aimed, kept):
        found.setdefault(environment, []).append(str(version))
    is_every = rule.filters.dependencies is DependencyPolicy.EVERY
    name = _spell(rule, project, with_specifier=False) if is_only else _spell_entry(rule, project)
    for environment in Fit(environments, rule.marker).environments:
        versions = found.get(environment, [])
        for text in versions:
            label = f"{name} ({text})" if is_every or len(versions) > 1 else name
            yield _make_task(rule, project, environment, text, label)
        if not versions and not rule.is_glob:
            yield Task(
                kind=RootKind.PROJECT,
                name=name,
                origin=rule.origin,
                environment=environment,
                requirements=(Requirement(_spell(rule, project, with_specifier=True)),),
                problem=_explain_nothing(rule, project, environment, tree),
                projects=(project,),
                is_followed=_is_followed(rule),
            )


def _make_task(rule: ProjectRule, project: NormalizedName, environment: Environment, version: str, name: str) -> Task:
    requirement = Requirement(f"{_spell(rule, project, with_specifier=False)}=={version}")
    return Task(
        kind=RootKind.PROJECT,
        name=name,
        origin=rule.origin,
        environment=environment,
        requirements=(requirement,),
        root=Root(
            name=_spell(rule, project, with_specifier=False),
            requirements=(requirement,),
            environment=environment,
            origin=rule.origin,
            build_dependencies=rule.filters.build_dependencies,
        ),
        version=version,
        projects=(project,),
        is_followed=_is_followed(rule),
    )


def _is_followed(rule: ProjectRule) -> bool:
    return rule.filters.dependencies is not DependencyPolicy.NONE


def _list_kept(rule: ProjectRule, project: NormalizedName, tree: Tree) -> list[Chosen]:
    """The files that the page lists and the rule means."""
    meant = [held for held in tree.project(project).files if _is_meant(rule, held)]
    versions = {held.version for held in meant}
    admitted = set(rule.specifier.filter(versions, prereleases=True))
    return [
        Chosen(file=held.file, distribution=held.distribution, version=held.version, origins=(rule.origin,))
        for held in meant
        if held.version in admitted
    ]


def _is_meant(rule: ProjectRule, held: HeldFile) -> bool:
    is_kind = held.distribution.package_type in rule.filters.package_types
    return is_kind and matches_any(held.filename, rule.files)


def _explain_nothing(rule: ProjectRule, project: NormalizedName, environment: Environment, tree: Tree) -> str:
    """Why no held release of a named project can be installed."""
    page = tree.project(project)
    if page.problem is not None:
        return f"{project}: {page.problem}"
    reasons = []
    for held in sorted(page.files, key=lambda held: (held.version, held.filename), reverse=True):
        if not rule.specifier.contains(held.version, prereleases=True):
            reason = f"{rule.specifier} is asked for"
        elif not _is_meant(rule, held):
            reason = "it is not what the line keeps"
        else:
            reason = why_unfit(held, environment) or "it is yanked"
        reasons.append(f"{held.filename}: {reason}")
    return f"the tree holds no release of {project} that installs there: {join_some(reasons) or 'its page has no file'}"


def list_group_tasks(spec: Spec, own: Environment | None) -> Iterator[Task]:
    """The groups, in the environments in which anything of them is asked for."""
    for group in spec.groups:
        filters = [environments_of(rule.filters, own) for rule in group.rules]
        for environment in dict.fromkeys(each for environments in filters for each in environments):
            task = _make_group_task(group, environment)
            if task is not None:
                yield task


def _make_group_task(group: Group, environment: Environment) -> Task | None:
    rules = [rule for rule in group.rules if Fit((environment,), rule.marker).every]
    requirements = tuple(Requirement(_spell(rule, _name(rule), with_specifier=True)) for rule in rules)
    if not requirements:
        return None
    root = Root(
        name=f"group {group.name}",
        requirements=requirements,
        environment=environment,
        origin=group.origin,
        build_dependencies=all(rule.filters.build_dependencies for rule in rules),
    )
    return Task(
        kind=RootKind.GROUP,
        name=f"group {group.name}",
        origin=group.origin,
        environment=environment,
        requirements=requirements,
        root=root,
        projects=tuple(sorted({_name(rule) for rule in rules})),
        is_followed=True,
    )


def join_some(texts: Sequence[str]) -> str:
    """The first few of ``texts``, and how many more there are."""
    shown = "; ".join(printable(text, limit=300) for text in texts[:_MAX_TOLD])
    return shown if len(texts) <= _MAX_TOLD else f"{shown}; and {len(texts) - _MAX_TOLD} more"


def _name(rule: ProjectRule) -> NormalizedName:
    return NormalizedName(rule.pattern)


def _spell_entry(rule: ProjectRule, project: NormalizedName) -> str:
    """A project that several entries ask for, by the text of one of them."""
    return f"{project} of {rule.origin.text}" if rule.is_glob else rule.origin.text


def _spell(rule: ProjectRule, project: NormalizedName, *, with_specifier: bool) -> str:
    """``requests[socks]``, with the specifier ``requests[socks]<3,>=2``."""
    extras = f"[{','.join(sorted(rule.extras))}]" if rule.extras else ""
    return f"{project}{extras}{rule.specifier if with_specifier else ''}"
