"""What the second judge says of each root, and whether it is what the first one says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName

from pymirror.closure.model import NoNeeds, Option, Outcome, Solution
from pymirror.commands.check_report import Finding, FindingKind, Second
from pymirror.commands.ports import Ports
from pymirror.environment import Environment
from pymirror.errors import printable
from pymirror.interpreters import describe_own, find_interpreters
from pymirror.judge_uv import Told, UvAnswer, UvJudge, UvQuestion, Verdict, list_pythons
from pymirror.needs import Needs
from pymirror.tree_facts import TreeFacts
from pymirror.workers import run_ordered

_MAX_THREADS = 8

Key = tuple[tuple[str, ...], Environment]
"""What is asked for, and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """``requirements`` that the first judge has solved in ``environment``, or has not. ``has_faults`` where a client
    would fail on a file of the solution.
    """

    requirements: tuple[str, ...]
    environment: Environment
    outcome: Outcome | None = None
    has_faults: bool = False

    @property
    def key(self) -> Key:
        return self.requirements, self.environment

    @property
    def is_solved(self) -> bool:
        return isinstance(self.outcome, Solution) and not self.has_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """What uv, of this ``version``, says of each question; ``problem`` is why it was not asked at all."""

    answers: Mapping[Key, Second] = field(default_factory=dict)
    version: str | None = None
    problem: str | None = None


def make_outcome_question(outcome: Outcome, facts: TreeFacts) -> Question:
    """What the first judge was asked when it came to ``outcome``."""
    question = make_question(outcome.root.requirements, outcome.root.environment)
    has_faults = isinstance(outcome, Solution) and bool(facts.list_faults(outcome))
    return replace(question, outcome=outcome, has_faults=has_faults)


def make_question(requirements: Iterable[Requirement], environment: Environment) -> Question:
    """Without markers, which were judged already: what is left of a requirement has no blank in it, so that whatever
    stands in the metadata of a mirrored project is one line of uv's input.
    """
    texts = [f"{each.name}{_spell_extras(each)}{each.specifier}" for each in requirements]
    return Question(requirements=tuple(dict.fromkeys(texts)), environment=environment)


def ask_second(uv: UvJudge, questions: Sequence[Question], facts: TreeFacts, ports: Ports) -> Opinions:
    """What uv says to each question; it is asked several at once."""
    environments = tuple(dict.fromkeys(question.environment for question in questions))
    _introduce(uv, environments, facts, ports)
    unique = list({question.key: question for question in questions}.values())
    ports.progress.phase("asking uv", items=len(unique))

    def ask(question: Question) -> UvAnswer:
        answer = uv.ask(_put(question))
        ports.progress.item()
        return answer

    threads = max(1, min(_MAX_THREADS, os.cpu_count() or 1))
    answers = run_ordered(unique, ask, threads=threads, stop=ports.stop)
    return Opinions(
        answers={question.key: _read(question, answer, facts) for question, answer in answers}, version=uv.version
    )


def compare(question: Question, second: Second) -> Finding | None:
    """The finding where one judge says that it installs, and the other that it does not."""
    if second.verdict is Verdict.NOT_JUDGED or question.is_solved == (second.verdict is Verdict.INSTALLS):
        return None
    what = ", ".join(question.requirements[:5]) + (", …" if len(question.requirements) > 5 else "")
    if question.is_solved:
        problem = f"uv says that {what} does not install: {second.detail}"
    else:
        problem = f"uv says that {what} installs, and pymirror's own resolver that it does not"
    return Finding(kind=FindingKind.DIFFERENCE, problem=printable(problem, limit=2000))


def _introduce(uv: UvJudge, environments: Sequence[Environment], facts: TreeFacts, ports: Ports) -> None:
    """Tells uv of the Pythons that are here, and of the sdists that it may take."""
    # An ordinary Python resolves for every ordinary one.
    special = [each for each in environments if each.implementation != "cpython" or each.is_free_threaded]
    own = describe_own()
    wanted = special if own.is_ordinary else environments

    def list_others() -> list[str]:
        return list_pythons(uv.program, environ=ports.environ, stop=ports.stop)

    uv.use(find_interpreters(wanted, environ=ports.environ, stop=ports.stop, more=list_others))
    projects = facts.tree.list_pages()
    for environment in environments:
        told = [each for project in sorted(facts.sdists) for each in _tell(project, environment, facts)]
        if told:
            uv.tell(environment, told, projects=projects)


def _tell(project: NormalizedName, environment: Environment, facts: TreeFacts) -> list[Told]:
    """What each release of a project needs, where one of them is an sdist in ``environment``."""
    options = facts.options(project, environment).options
    if not any(option.is_sdist for option in options):
        return []
    return [Told(project=project, version=each.version, needs=_read_needs(each, facts)) for each in options]


def _read_needs(option: Option, facts: TreeFacts) -> Needs | None:
    needs = facts.needs(option)
    if isinstance(needs, NoNeeds):
        return None
    try:
        for text in needs.requires:
            Requirement(text)
    except (InvalidRequirement, RecursionError):
        return None  # pip passes such a release over
    return needs


def _put(question: Question) -> UvQuestion:
    picks = question.outcome.picks if isinstance(question.outcome, Solution) else ()
    is_delicate = any(pick.option.is_yanked or pick.option.version.is_prerelease for pick in picks)
    return UvQuestion(
        requirements=question.requirements,
        environment=question.environment,
        pins=tuple(f"{pick.option.project}=={pick.option.version}" for pick in picks) if is_delicate else (),
        has_sdists=any(pick.option.is_sdist for pick in picks),
    )


def _read(question: Question, answer: UvAnswer, facts: TreeFacts) -> Second:
    """uv reads pages and metadata, not the files themselves: what it would take must be there as well."""
    second = Second(verdict=answer.verdict, detail=answer.detail, note=answer.note)
    if answer.verdict is not Verdict.INSTALLS:
        return second
    for project, version in answer.picks:
        options = facts.options(project, question.environment).options
        option = next((option for option in options if option.version == version), None)
        fault = facts.tree.find_fault(facts.file_of(option)) if option is not None else None
        if fault is not None:
            detail = f"it takes {project} {version}: {fault}"
            return replace(second, verdict=Verdict.REFUSES, detail=detail)
    return second


def _spell_extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
