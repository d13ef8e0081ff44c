"""The search, on small random indexes: it finds something where there is something, and what it finds holds."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pymirror.closure import Closure, Outcome, Question, Solution, Unsolved
from tests.closure_cases import brute_force, holds, indexes
from tests.made_index import MadeFacts, MadeIndex, make_root, run_closure, solve, versions_of

Made = tuple[MadeIndex, tuple[str, ...]]


def _make_index(*releases: tuple[str, ...]) -> MadeIndex:
    """Each release is a project, a version, and what it needs."""
    index = MadeIndex()
    for project, version, *requires in releases:
        index.add(project, version, *requires, extras=["x", "y"])
    return index


@settings(max_examples=120, deadline=None)
@given(indexes())
def test_a_root_is_solved_when_any_assignment_holds(made: Made) -> None:
    index, requirements = made
    found = solve(index, *requirements)
    assert isinstance(found, dict) == (brute_force(index, requirements) is not None), found
    if isinstance(found, dict):
        files = {file.project: file for file in index.files if found.get(file.project) == file.version}
        assert holds(files, requirements), found


# What resolvelib by itself gets wrong, found at random.


def test_a_root_is_solved_when_the_search_leaps_too_far_back() -> None:
    index = _make_index(
        ("a", "1", 'd<=2 ; extra == "x"', "c[x,y]>2"),
        ("a", "2", "d>=1", "b>=3"),
        ("b", "1", "a[x]>1", "d[y]>2"),
        ("c", "1", "d"),
        ("c", "2", "d[x]!=2", "c[y]"),
        ("d", "1", 'd<1; extra == "x"'),
        ("d", "2", "a[y]", "d"),
    )
    assert solve(index, "c[x]") == {"c": "1", "d": "1"}


def test_a_root_is_unsolved_when_the_search_forgets_a_requirement() -> None:
    index = _make_index(
        ("a", "1", 'a[x,y]!=3; extra == "y"', "c[x,y]>1", "b"),
        ("a", "2", "c!=3", "d[x,y]<3", "b[y]>=2"),
        ("a", "3", "a[y]!=3"),
        ("b", "1", "c[y]<2", "a<=2"),
        ("b", "2", "c[x,y]!=3", 'b[x]; extra == "y"'),
        ("b", "3", 'a[x,y]<=2; extra == "y"', "c[x,y]!=3"),
        ("c", "1", "b==1", "d[x]<=2", 'c[x]!=3; extra == "x"'),
        ("c", "2", "b[y]==1", "d"),
        ("d", "1", "a[y]"),
        ("d", "2", 'b[x]<2; extra == "x"', "c[y]>=1"),
    )
    assert brute_force(index, ["d[x]!=3"]) is None
    assert isinstance(solve(index, "d[x]!=3"), str)


# ── order ───────────────────────────────────────────────────────────────────────────────────────────


def _run_in_any_order(index: MadeIndex, roots: Sequence[Sequence[str]], chance: random.Random) -> tuple[Outcome, ...]:
    """The outcomes where the roots come in any order, and where answers come late and one by one."""
    facts = MadeFacts(index)
    closure = Closure(chance.sample([make_root(*root, name="+".join(root)) for root in roots], len(roots)), facts)
    known: set[Question] = set()
    while asked := closure.advance():
        unknown = sorted(asked - known, key=str)
        some = frozenset(chance.sample(unknown, chance.randint(1, len(unknown))))
        known |= some
        facts.answer(some)
    return closure.outcomes


@settings(max_examples=60, deadline=None)
@given(indexes(), st.randoms(use_true_random=False))
def test_outcomes_are_the_same_when_roots_and_answers_come_in_another_order(made: Made, chance: random.Random) -> None:
    index, requirements = made
    roots = [(text,) for text in requirements] + [requirements]
    first = _run_in_any_order(index, roots, chance)
    second = _run_in_any_order(index, roots, chance)
    assert [outcome.root for outcome in first] == [outcome.root for outcome in second]
    assert first == second


@settings(max_examples=60, deadline=None)
@given(indexes())
def test_a_root_has_its_outcome_when_others_are_there_or_not(made: Made) -> None:
    index, requirements = made
    roots = [make_root(text, name=text) for text in requirements]
    together = {outcome.root: outcome for outcome in run_closure(index.facts(), *roots)}
    for root in roots:
        (alone,) = run_closure(index.facts(), root)
        assert together[root] == alone


@settings(max_examples=60, deadline=None)
@given(indexes())
def test_every_pick_has_a_chain_when_a_root_is_solved(made: Made) -> None:
    index, requirements = made
    for outcome in run_closure(index.facts(), make_root(*requirements, name="root")):
        if isinstance(outcome, Unsolved):
            assert outcome.problem
            continue
        assert isinstance(outcome, Solution)
        versions = versions_of(outcome)
        assert isinstance(versions, dict)
        for project, version in versions.items():
            chain = outcome.chain(outcome.picks[list(versions).index(project)].option.project)
            assert chain[-1].startswith(f"{project} {version}")
            assert len(set(chain)) == len(chain)
