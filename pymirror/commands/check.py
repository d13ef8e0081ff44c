"""``pymirror check``: whether everything that the spec wants installs from the published tree, and from nothing else.

Two judges: the resolver of ``dependencies``, and the real uv. Where they differ, that is a finding too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from pymirror.closure.closure import Closure
from pymirror.closure.model import Outcome, Root
from pymirror.commands.check_answers import Judged, answer_lock, answer_task, collect_outcomes
from pymirror.commands.check_install import install_answers
from pymirror.commands.check_locks import LockTask, list_lock_tasks, list_locks
from pymirror.commands.check_report import Answer, CheckReport
from pymirror.commands.check_roots import Task, environments_of, list_environments, list_group_tasks, list_project_tasks
from pymirror.commands.check_second import Opinions, ask_second, make_outcome_question, make_question
from pymirror.commands.ports import Ports
from pymirror.environment import Environment
from pymirror.errors import StorageError
from pymirror.interpreters import make_own_environment
from pymirror.judge_uv import find_uv, open_uv
from pymirror.layout import SIMPLE
from pymirror.lock import hold_lock
from pymirror.spec.model import Filters, Spec
from pymirror.storage.interface import Storage
from pymirror.tree_facts import Tree, TreeFacts

_NO_UV = "uv is not installed, so there is one judge only; `pip install pymirror[check]` brings it"


def check(spec: Spec, ports: Ports, *, with_uv: bool = True, with_install: bool = False) -> CheckReport:
    """Resolves every project, group and lock of ``spec`` in every environment, from the tree alone.

    Without environments in the spec, this machine's is checked. Nothing of a mirrored project runs, but
    ``with_install``: then what this machine can run is installed too and imported, in environments that are thrown
    away, and the result is recorded in the tree.

    Raises :class:`NoMirrorError` where nothing is published, :class:`LockedError` during another run.
    """
    tree = Tree(ports.storage)
    tree.list_projects()  # before there is a lock, so that none is left where there is no mirror
    with _lock_if_writable(ports.storage):
        facts = TreeFacts(tree)
        own = make_own_environment() if _needs_own(spec) else None
        tasks = [*list_project_tasks(spec, tree, own), *list_group_tasks(spec, own)]
        locks = _list_lock_tasks(spec, tree, own)
        outcomes = _resolve(tasks, locks, facts, ports)
        opinions = _ask_uv(tasks, outcomes, facts, ports, with_uv=with_uv)
        judged = Judged(spec=spec, facts=facts, outcomes=outcomes, seconds=opinions.answers)
        answers: Sequence[Answer] = [
            *(answer_task(task, judged) for task in tasks),
            *(answer_lock(lock, judged) for lock in locks),
        ]
        warnings: list[str] = []
        if with_install:
            answers = install_answers(answers, [*tasks, *locks], ports, warnings)
        return CheckReport(
            output=ports.storage.location,
            environments=tuple(each.name for each in list_environments(spec, own)),
            is_own_environment=own is not None,
            answers=tuple(answers),
            uv=opinions.version,
            uv_problem=opinions.problem,
            warnings=tuple(warnings),
        )


@contextlib.contextmanager
def _lock_if_writable(storage: Storage) -> Iterator[None]:
    """A run that publishes meanwhile would be read half; a read-only disk has no writer."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(storage, command="check"))
        except StorageError as error:
            if not error.is_read_only:
                raise
        yield


def _needs_own(spec: Spec) -> bool:
    """Whether anything is wanted for no environment in particular."""
    filters: list[Filters] = [rule.filters for rule in spec.rules]
    filters += [rule.filters for group in spec.groups for rule in group.rules]
    filters += [spec.filters] if spec.pins or spec.unservable else []
    return any(each.environments is None for each in filters)


def _list_lock_tasks(spec: Spec, tree: Tree, own: Environment | None) -> list[LockTask]:
    environments = environments_of(spec.filters, own)
    builds = spec.filters.build_dependencies
    return [
        task
        for lock in list_locks(spec)
        for task in list_lock_tasks(lock, environments, tree, build_dependencies=builds)
    ]


def _resolve(
    tasks: Sequence[Task], locks: Sequence[LockTask], facts: TreeFacts, ports: Ports
) -> Mapping[Root, Sequence[Outcome]]:
    """The outcome of every root, and of every build that it leads to."""
    roots = [task.root for task in tasks if task.root is not None]
    roots += [root for lock in locks for root in lock.roots]
    ports.progress.phase("resolving", items=0)
    closure = Closure(roots, facts)
    while closure.advance():  # the facts answer at once, so this is one step
        ports.stop.check()
    ports.stop.check()
    return collect_outcomes(closure.outcomes)


def _ask_uv(
    tasks: Sequence[Task],
    outcomes: Mapping[Root, Sequence[Outcome]],
    facts: TreeFacts,
    ports: Ports,
    *,
    with_uv: bool,
) -> Opinions:
    """What uv says of all that was resolved, and of what there was nothing to resolve of."""
    program = find_uv(ports.environ) if with_uv else None
    if program is None:
        return Opinions(problem=_NO_UV if with_uv else None)
    questions = [make_question(task.requirements, task.environment) for task in tasks if task.root is None]
    for found in outcomes.values():
        questions += [make_outcome_question(each, facts) for each in found]
    tree = ports.storage.local_path(SIMPLE).parent
    try:
        with open_uv(program, tree=tree, environ=ports.environ, stop=ports.stop) as uv:
            return ask_second(uv, [each for each in questions if each.requirements], facts, ports)
    except OSError as error:
        return Opinions(problem=f"uv cannot be run: {error.strerror or error}")
