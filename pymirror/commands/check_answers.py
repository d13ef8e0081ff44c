"""What both judges said of a root → its answer in the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from pymirror.closure.model import Edge, Outcome, Root, Solution, Unsolved
from pymirror.commands.check_locks import HeldPin, LockTask, find_conflicts
from pymirror.commands.check_report import Answer, Dropped, Finding, FindingKind, RootKind, Second
from pymirror.commands.check_roots import Task, join_some
from pymirror.commands.check_rules import find_dropped, find_named
from pymirror.commands.check_second import Key, Question, compare, make_outcome_question, make_question
from pymirror.environment import Environment
from pymirror.errors import printable
from pymirror.judge_uv import Verdict
from pymirror.spec.model import Spec
from pymirror.tree_facts import TreeFacts

_MAX_PROBLEM = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All that is known when answers are made. ``outcomes`` are those of a root first, then those of its builds."""

    spec: Spec
    facts: TreeFacts
    outcomes: Mapping[Root, Sequence[Outcome]]
    seconds: Mapping[Key, Second]


def collect_outcomes(outcomes: Sequence[Outcome]) -> Mapping[Root, Sequence[Outcome]]:
    """The outcome of each root, with those of all the builds that it leads to, however many roots share one."""
    builds = {(each.root.built, each.root.environment): each for each in outcomes if each.root.built is not None}
    found: dict[Root, Sequence[Outcome]] = {}
    for outcome in outcomes:
        if outcome.root.built is None:
            reached = [outcome]
            for current in reached:  # grows on the way
                for name in list_builds(current):
                    build = builds.get((name, outcome.root.environment))
                    if build is not None and build not in reached:
                        reached.append(build)
            found[outcome.root] = reached
    return found


def list_builds(outcome: Outcome) -> Iterator[str]:
    """The sdists of a solution, as the roots of their builds are called: ``foo 1.0``."""
    for pick in outcome.picks if isinstance(outcome, Solution) else ():
        if pick.option.is_sdist:
            yield f"{pick.option.project} {pick.option.version}"


# ── projects and groups ─────────────────────────────────────────────────────────────────────────────


def answer_task(task: Task, judged: Judged) -> Answer:
    """The answer for an entry of ``projects`` or a group in one environment."""
    outcomes = judged.outcomes[task.root] if task.root is not None else ()
    asking = _Asking(environment=task.environment, asked=task.projects, is_followed=task.is_followed)
    problems = [task.problem] if task.problem is not None else list(_list_problems(outcomes, judged.facts))
    questions = _list_questions(outcomes, judged) or [make_question(task.requirements, task.environment)]
    return Answer(
        root=task.name,
        kind=task.kind,
        rule=str(task.origin),
        environment=task.environment.name,
        version=task.version,
        files=_list_files(outcomes[:1]),
        builds=_list_all_builds(outcomes),
        unproven=_list_unproven(outcomes),
        findings=(*(_miss(problem, asking, judged) for problem in problems), *_list_differences(questions, judged)),
        second=_merge(questions, judged),
    )


def _list_problems(outcomes: Iterable[Outcome], facts: TreeFacts) -> Iterator[str]:
    """Why a root or a build of it does not install: there is no solution, or a client fails on a file of it."""
    for outcome in outcomes:
        if isinstance(outcome, Unsolved):
            yield outcome.problem
        else:
            for pick, fault in facts.list_faults(outcome):
                yield f"{' → '.join(outcome.chain(pick.option.project))}: {pick.option.filename}: {fault}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """Where something is missing: ``asked`` are the projects that the root asks for by name."""

    environment: Environment
    asked: tuple[NormalizedName, ...]
    is_followed: bool = False


def _miss(problem: str, asking: _Asking, judged: Judged, kind: FindingKind = FindingKind.MISSING) -> Finding:
    """A finding with the lines of the spec that may have dropped what the problem speaks of."""
    named = find_named(problem, {*judged.facts.asked, *asking.asked})
    dropped: set[Dropped] = set()
    for project in named:
        dropped |= set(
            find_dropped(
                judged.spec,
                project,
                asking.environment,
                is_asked=project in asking.asked,
                is_followed=asking.is_followed,
            )
        )
    return Finding(kind=kind, problem=printable(problem, limit=_MAX_PROBLEM), dropped=tuple(sorted(dropped)))


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────


def answer_lock(task: LockTask, judged: Judged) -> Answer:
    """The answer for a lock in one environment."""
    outcomes = [each for root in task.roots for each in judged.outcomes[root]]
    findings = [_miss_pin(task, *each, judged) for each in task.problems]
    findings += [
        Finding(kind=FindingKind.LOCK, problem=printable(line, limit=_MAX_PROBLEM)) for line in task.lock.unservable
    ]
    notes = list(task.notes)
    if len(task.roots) > 1:
        notes.append("it pins two versions of a project there, so each pin was judged by itself")
    _judge_together(task, outcomes, judged, findings, notes)
    questions = _list_questions(outcomes, judged)
    return Answer(
        root=task.lock.name,
        kind=RootKind.LOCK,
        rule=str(task.lock.origin),
        environment=task.environment.name,
        files=tuple(sorted({each.held.filename for each in task.pins if each.held is not None})),
        builds=_list_all_builds(outcomes),
        unproven=_list_unproven(outcomes),
        findings=(*findings, *_list_differences(questions, judged)),
        notes=tuple(notes),
        second=_merge(questions, judged),
    )


def _miss_pin(task: LockTask, each: HeldPin, problem: str, judged: Judged) -> Finding:
    asking = _Asking(environment=task.environment, asked=(each.pin.project,))
    finding = _miss(f"{each.text} ({each.pin.origin}): {problem}", asking, judged)
    return Finding(
        kind=finding.kind,
        problem=finding.problem,
        dropped=tuple(drop for drop in finding.dropped if drop.project == each.pin.project),
    )


def _judge_together(
    task: LockTask, outcomes: Sequence[Outcome], judged: Judged, findings: list[Finding], notes: list[str]
) -> None:
    """Whether the pins need anything that the lock does not pin, or do not go together.

    What installers solve anew fails then. What they install as it is may be meant so, by overrides: it is a finding
    only where the tree has not what is needed.
    """
    asked = tuple(sorted({each.pin.project for each in task.pins}))
    asking = _Asking(environment=task.environment, asked=asked)
    conflicts = find_conflicts(task, judged.facts.tree) if len(task.roots) == 1 else []
    for outcome in outcomes:
        if isinstance(outcome, Unsolved):
            if conflicts and not task.lock.is_resolved:
                notes.append(f"its pins do not go together: {join_some(conflicts)}")
            else:
                findings.append(_miss(outcome.problem, asking, judged, FindingKind.LOCK))
            continue
        findings += [_miss(problem, asking, judged) for problem in _list_problems([outcome], judged.facts)]
        if outcome.root.built is None and (lacking := _list_lacking(outcome, asked)):
            problem = f"it does not pin what its entries need: {join_some(lacking)}"
            if task.lock.is_resolved and task.lock.is_hashed:
                problem += "; with hashes, pip installs nothing that is not pinned"
                findings.append(Finding(kind=FindingKind.LOCK, problem=problem))
            else:
                notes.append(f"{problem}; the tree has it")


def _list_lacking(solution: Solution, pinned: Sequence[NormalizedName]) -> list[str]:
    """What a solution has beside what is pinned, and what asks for it."""
    return [
        f"{pick.option.project} ({', '.join(sorted({_spell_edge(edge) for edge in pick.edges}))})"
        for pick in solution.picks
        if pick.option.project not in pinned
    ]


def _spell_edge(edge: Edge) -> str:
    return f"{edge.parent} needs {edge.requirement}" if edge.parent is not None else edge.requirement


# ── both judges ─────────────────────────────────────────────────────────────────────────────────────


def _list_questions(outcomes: Iterable[Outcome], judged: Judged) -> list[Question]:
    return [make_outcome_question(each, judged.facts) for each in outcomes]


def _list_differences(questions: Iterable[Question], judged: Judged) -> Iterator[Finding]:
    for question in questions:
        second = judged.seconds.get(question.key)
        finding = compare(question, second) if second is not None else None
        if finding is not None:
            yield finding


def _merge(questions: Sequence[Question], judged: Judged) -> Second | None:
    """One opinion of all: it installs where all of it does."""
    known = [second for each in questions if (second := judged.seconds.get(each.key)) is not None]
    for verdict in (Verdict.REFUSES, Verdict.NOT_JUDGED):
        found = [second for second in known if second.verdict is verdict]
        if found:
            return found[0]
    notes = dict.fromkeys(second.note for second in known if second.note)
    return Second(verdict=Verdict.INSTALLS, note="; ".join(notes)) if known else None


# ── what is installed ───────────────────────────────────────────────────────────────────────────────


def _list_files(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    return tuple(pick.option.filename for each in outcomes if isinstance(each, Solution) for pick in each.picks)


def _list_all_builds(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    return tuple(sorted({name for outcome in outcomes for name in list_builds(outcome)}))


def _list_unproven(outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    return tuple(sorted({name for each in outcomes if isinstance(each, Solution) for name in each.unproven}))
