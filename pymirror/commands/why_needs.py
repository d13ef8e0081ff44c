"""``pymirror why``: which roots need a project, and through what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.closure import Outcome, Solution
from pymirror.commands.why_report import NeedAnswer
from pymirror.roots import find_first


def list_need_answers(
    outcomes: Iterable[Outcome], project: NormalizedName, is_meant: Callable[[Version], bool]
) -> tuple[NeedAnswer, ...]:
    """The ways by which releases that ``is_meant`` of ``project`` came in, each with the environments that it holds in;
    the shortest first.
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for outcome in outcomes:
        if not isinstance(outcome, Solution):
            continue
        pick = next((pick for pick in outcome.picks if pick.option.project == project), None)
        if pick is None or not is_meant(pick.option.version):
            continue
        first = find_first(outcome.root)
        rule = f"{first.origin}: {first.origin.text}" if first.origin is not None else first.name
        steps = (*_list_builds(outcome), *outcome.chain(project))
        if len(steps) > 1 or first.name.startswith("group "):
            found.setdefault((rule, steps), []).append(outcome.root.environment.name)
    answers = (
        NeedAnswer(rule=rule, steps=steps, environments=tuple(dict.fromkeys(names)))
        for (rule, steps), names in found.items()
    )
    return tuple(sorted(answers, key=lambda answer: (len(answer.steps), answer.steps, answer.rule)))


def _list_builds(solution: Solution) -> Iterator[str]:
    """The builds that led to the root of ``solution``, outermost first."""
    builds = []
    root = solution.root
    while root.parent is not None:
        builds.append(f"the build of {root.built}")
        root = root.parent
    return reversed(builds)
