"""The closure: what it asks for and when, what its outcomes say, and that no index can keep it busy forever."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from pymirror.closure import (
    AskNeeds,
    AskProject,
    Closure,
    Edge,
    LeftOut,
    NoNeeds,
    Options,
    Outcome,
    Root,
    Solution,
    Unsolved,
    sort_outcomes,
)
from pymirror.environment import Environment, make_environment
from pymirror.spec.model import Origin
from tests.made_index import LINUX, MadeIndex, make_root, run_closure, solve, versions_of

WINDOWS = make_environment("3.12", "windows")
MACOS = make_environment("3.13", "macos")


def make_index(*releases: tuple[str, ...]) -> MadeIndex:
    """Each release is a project, a version, and what it needs."""
    index = MadeIndex()
    for project, version, *requires in releases:
        index.add(project, version, *requires, extras=["x", "y"])
    return index


def solution_of(index: MadeIndex, *requirements: str, environment: Environment = LINUX) -> Solution:
    outcome = run_closure(index.facts(), make_root(*requirements, environment=environment, name="root"))[0]
    assert isinstance(outcome, Solution), versions_of(outcome)
    return outcome


def problem_of(index: MadeIndex, *requirements: str, name: str | None = None) -> str:
    (outcome,) = run_closure(index.facts(), make_root(*requirements, name=name))
    assert isinstance(outcome, Unsolved), versions_of(outcome)
    return outcome.problem


# ── what is asked, and when ─────────────────────────────────────────────────────────────────────────


def test_questions_of_all_roots_are_asked_together_when_nothing_is_known() -> None:
    index = make_index(*((f"p{number}", "1", f"p{number + 1}") for number in range(5)), ("p5", "1"), ("q", "1", "p3"))
    facts = index.facts()
    run_closure(facts, make_root("p0"), make_root("q"))
    assert facts.waves[0] == {AskProject(canonicalize_name("p0")), AskProject(canonicalize_name("q"))}
    assert len(facts.waves) == 2 * 4  # a page and metadata for each step: from q to p5, and to p2 beside that
    asked = [question for wave in facts.waves for question in wave]
    assert len(asked) == len(set(asked)) == 2 * 7


def test_the_width_costs_no_wave_when_a_thousand_projects_are_needed() -> None:
    names = [f"p{number}" for number in range(1000)]
    index = make_index(("a", "1", *names), *((name, "1", "leaf") for name in names), ("leaf", "1"))
    facts = index.facts()
    run_closure(facts, make_root("a"))
    assert [len(wave) for wave in facts.waves] == [1, 1, 1000, 1000, 1, 1]


def test_older_releases_are_asked_for_ahead_when_the_newest_do_not_fit() -> None:
    index = make_index(*(("a", str(number), f"b<{number}") for number in range(1, 41)), ("b", "1"))
    facts = index.facts()
    assert versions_of(run_closure(facts, make_root("a", "b>0"))[0]) == {"a": "40", "b": "1"}
    hard = make_index(*(("a", str(number), f"b>{number}") for number in range(1, 101)), ("a", "0"), ("b", "1"))
    facts = hard.facts()
    assert versions_of(run_closure(facts, make_root("a"))[0]) == {"a": "0"}
    counts = [sum(isinstance(question, AskNeeds) for question in wave) for wave in facts.waves]
    assert sum(counts) == 101
    assert len(facts.waves) < 12


def test_no_sdist_is_asked_for_ahead_when_older_releases_are_sdists() -> None:
    index = make_index(("b", "1"))
    for number in range(1, 21):
        index.add("a", str(number), f"b>{number}" if number > 19 else "b", sdist=number < 20)
    facts = index.facts()
    assert versions_of(run_closure(facts, make_root("a", build_dependencies=False))[0]) == {"a": "19", "b": "1"}
    asked = {question.filename for wave in facts.waves for question in wave if isinstance(question, AskNeeds)}
    assert {name for name in asked if name.startswith("a-")} == {"a-20-py3-none-any.whl", "a-19.tar.gz"}


def test_older_releases_are_asked_for_ahead_when_the_newest_are_for_another_python() -> None:
    index = make_index(("a", "0"))
    for number in range(1, 101):
        index.add("a", str(number), requires_python=">=3.13", hides_python=True)
    facts = index.facts()
    assert versions_of(run_closure(facts, make_root("a"))[0]) == {"a": "0"}
    assert len(facts.waves) < 12


def test_a_solved_root_asks_nothing_when_all_is_known() -> None:
    index = make_index(("a", "1", "b"), ("b", "1"))
    facts = index.facts()
    run_closure(facts, make_root("a"))
    again = Closure([make_root("a")], facts)
    assert again.advance() == frozenset()
    assert versions_of(again.outcomes[0]) == {"a": "1", "b": "1"}
    assert again.advance() == frozenset()


def test_there_are_no_outcomes_when_nothing_is_answered_yet() -> None:
    closure = Closure([make_root("a")], make_index().facts())
    assert closure.outcomes == ()
    assert closure.advance() == {AskProject(canonicalize_name("a"))}
    assert closure.outcomes == ()


def test_it_says_so_when_nobody_answers() -> None:
    closure = Closure([make_root("a")], make_index().facts())
    closure.advance()
    with pytest.raises(LookupError, match="nobody answers AskProject"):
        closure.advance()


def test_roots_that_are_the_same_are_solved_once_when_given_twice() -> None:
    index = make_index(("a", "1"))
    assert len(run_closure(index.facts(), make_root("a"), make_root("a"))) == 1


def test_there_is_a_solution_when_a_root_asks_for_nothing() -> None:
    root = Root(name="group empty", requirements=(), environment=LINUX)
    (outcome,) = run_closure(make_index().facts(), root)
    assert outcome == Solution(root=root, picks=())


# ── solutions ───────────────────────────────────────────────────────────────────────────────────────


def test_picks_have_their_extras_and_edges_when_several_ask_for_them() -> None:
    index = make_index(
        ("a", "1", "c[x]>=1", "b"), ("b", "1", "c[y]<2", "a"), ("c", "1", 'd>0; extra == "x"'), ("d", "1")
    )
    a, b, c, d = (canonicalize_name(name) for name in "abcd")
    picks = {pick.option.project: pick for pick in solution_of(index, "a[x]").picks}
    assert list(picks) == [a, b, c, d]
    assert (picks[a].extras, picks[c].extras) == (("x",), ("x", "y"))
    assert picks[a].edges == (Edge(parent=None, requirement="a[x]"), Edge(parent=b, requirement="a"))
    assert picks[c].edges == (Edge(parent=a, requirement="c[x]>=1"), Edge(parent=b, requirement="c[y]<2"))
    assert picks[d].edges == (Edge(parent=c, requirement="d>0"),)


def test_the_chain_is_the_shortest_when_there_are_several() -> None:
    index = make_index(
        ("requests", "2.32.3", "adapter", "urllib>1,<3"),
        ("adapter", "1", "pool"),
        ("pool", "1", "idna<4"),
        ("urllib", "2", "idna>=2.5"),
        ("idna", "3.10", "requests"),
    )
    solution = solution_of(index, "requests")
    assert solution.chain(canonicalize_name("requests")) == ("requests 2.32.3",)
    assert solution.chain(canonicalize_name("idna")) == (
        "requests 2.32.3",
        "urllib 2 (urllib<3,>1)",
        "idna 3.10 (idna>=2.5)",
    )
    with pytest.raises(KeyError):
        solution.chain(canonicalize_name("nosuch"))


def test_what_a_release_needed_that_was_given_up_is_not_picked_when_an_older_one_does() -> None:
    index = make_index(
        ("a", "2", "b", "only-by-a2", "c>=2"),
        ("a", "1", "b"),
        ("b", "1", "c<2"),
        ("c", "1"),
        ("c", "2"),
        ("only-by-a2", "1"),
    )
    assert solve(index, "a") == {"a": "1", "b": "1", "c": "1"}


def test_a_pick_is_unproven_when_only_a_build_tells_what_it_needs() -> None:
    index = make_index(("a", "1", "b", "c"), ("c", "1"))
    index.add("b", "2", "c", sdist=True, is_known=False)
    assert solution_of(index, "a").unproven == ("b 2",)


def test_a_warning_is_given_when_an_extra_is_not_there() -> None:
    index = make_index(("a", "1", "b[nosuch,x]"), ("b", "1"))
    solution = solution_of(index, "a")
    assert solution.warnings == ('b 1 has no extra "nosuch"',)
    assert versions_of(solution) == {"a": "1", "b": "1"}


def test_requirements_of_an_extra_are_taken_when_the_metadata_do_not_name_the_extra() -> None:
    # pip leaves them out, uv takes them: a mirror has them.
    index = MadeIndex()
    index.add("a", "1", 'b; extra == "x"')
    index.add("b", "1")
    assert solve(index, "a[x]") == {"a": "1", "b": "1"}


def test_an_extra_is_found_when_it_is_written_otherwise() -> None:
    index = MadeIndex()
    index.add("a", "1", 'b; extra == "Two_Words"', extras=["two.words"])
    index.add("b", "1")
    solution = solution_of(index, "A[TWO-WORDS]")
    assert solution.picks[0].extras == ("two-words",)
    assert versions_of(solution) == {"a": "1", "b": "1"}
    assert solution.warnings == ()


def test_each_environment_has_its_own_solution_when_there_are_several() -> None:
    index = MadeIndex()
    index.add("a", "1", 'b; sys_platform == "win32"', 'c; python_version >= "3.13"')
    index.add("b", "2", tag="cp312-cp312-win_amd64")
    index.add("b", "1")
    index.add("c", "1")
    facts = index.facts()
    outcomes = run_closure(facts, *(make_root("a", environment=each) for each in (WINDOWS, MACOS, LINUX)))
    assert [(outcome.root.environment, versions_of(outcome)) for outcome in outcomes] == [
        (WINDOWS, {"a": "1", "b": "2"}),
        (LINUX, {"a": "1"}),
        (MACOS, {"a": "1", "c": "1"}),
    ]


def test_a_marker_is_met_when_the_patch_of_the_python_is_left_open() -> None:
    index = make_index(("a", "1", "b; python_full_version < '3.12.2'", "c; python_full_version > '3.12.2'"))
    for project in "bc":
        index.add(project, "1")
    assert solve(index, "a") == {"a": "1", "b": "1", "c": "1"}


# ── metadata that no installer takes ────────────────────────────────────────────────────────────────


def test_a_release_is_passed_over_with_a_warning_when_its_metadata_are_invalid() -> None:
    index = make_index(("a", "3", "b>=nothing"), ("a", "2", "b @@ x"), ("a", "1", "b"), ("b", "1"))
    solution = solution_of(index, "a")
    assert versions_of(solution) == {"a": "1", "b": "1"}
    assert solution.warnings == (
        'a 3 is passed over: its METADATA says "b>=nothing", which is no valid requirement',
        'a 2 is passed over: its METADATA says "b @@ x", which is no valid requirement',
    )


def test_a_release_is_passed_over_silently_when_it_is_for_another_python() -> None:
    index = make_index(("a", "1"))
    index.add("a", "2", requires_python=">=3.13", hides_python=True)
    assert solution_of(index, "a").warnings == ()
    assert problem_of(index, "a>1") == "a>1 is asked for: 2 cannot be taken: it needs Python >=3.13"
    assert solve(index, "a", environment=MACOS) == {"a": "2"}


def test_a_release_is_passed_over_when_its_metadata_could_not_be_had() -> None:
    index = make_index(("a", "1"), ("a", "2"))
    index.unreadable["a-2-py3-none-any.whl"] = NoNeeds(problem="it has no METADATA", is_error=False)
    solution = solution_of(index, "a")
    assert versions_of(solution) == {"a": "1"}
    assert solution.warnings == ("a 2 is passed over: it has no METADATA",)


def test_a_release_is_passed_over_when_it_needs_a_url() -> None:
    index = make_index(("a", "2", "b @ https://user:secret@files.example/b.whl"), ("a", "1", "b"), ("b", "1"))
    assert solve(index, "a") == {"a": "1", "b": "1"}
    problem = problem_of(index, "a>1")
    assert problem == "a 2 needs b @ https://files.example/b.whl: an index cannot serve a URL"
    ignored = make_index(("a", "1", 'b @ https://files.example/b.whl ; sys_platform == "win32"'))
    assert solve(ignored, "a") == {"a": "1"}


@pytest.mark.parametrize(
    ("is_error", "where"), [(True, "needs"), (False, "needs"), (True, "options"), (False, "options")]
)
def test_an_outcome_is_an_error_when_an_answer_could_not_be_had(is_error: bool, where: str) -> None:
    index = make_index(("a", "1", "b"), ("b", "1"))
    if where == "needs":
        index.unreadable["b-1-py3-none-any.whl"] = NoNeeds(problem="HTTP 503", is_error=is_error)
    else:
        index.broken["b"] = Options(options=(), problem="HTTP 503", is_error=is_error)
    (outcome,) = run_closure(index.facts(), make_root("a"))
    assert isinstance(outcome, Unsolved)
    assert outcome.is_error == is_error
    told = "1 cannot be taken: HTTP 503" if where == "needs" else "HTTP 503"
    assert outcome.problem == f"a 1 needs b: {told}"


# ── what stands in the way ──────────────────────────────────────────────────────────────────────────


def test_the_chain_is_named_when_a_project_is_missing() -> None:
    index = make_index(("web", "1", "lib"), ("lib", "2", "acme>=1"), ("acme", "1.0", "nosuch>=2"))
    assert problem_of(index, "web") == "web 1 → lib 2 → acme 1.0 needs nosuch>=2: upstream has no such project"


def test_both_sides_are_named_when_two_requirements_conflict() -> None:
    index = make_index(("a", "1.0", "c<2"), ("b", "1.0", "c>=2"), ("c", "1"), ("c", "2"), ("x", "1", "a", "b", "c"))
    assert problem_of(index, "a", "b", name="group web") == "a 1.0 needs c<2 and b 1.0 needs c>=2"
    assert problem_of(index, "x") == "x 1 → a 1.0 needs c<2 and x 1 → b 1.0 needs c>=2"
    assert problem_of(index, "c<2", "c>1", name="group web") == "group web asks for c<2 and c>1"


def test_only_those_in_conflict_are_named_when_others_ask_for_the_same() -> None:
    index = make_index(
        ("x", "1", "c", "a", "b", "d"),
        ("a", "1", "c<2"),
        ("b", "1", "c!=5"),
        ("d", "1", "c>=2"),
        ("c", "1"),
        ("c", "2"),
    )
    assert problem_of(index, "x") == "x 1 → a 1 needs c<2 and x 1 → d 1 needs c>=2"


def test_the_rule_is_named_when_it_leaves_out_what_is_needed() -> None:
    index = make_index(("requests", "2.32", "urllib3<3"), ("urllib3", "3.0"))
    index.add("urllib3", "2.5.0", left_out="too-new, 2 days (mirror.yaml:9)")
    index.add("urllib3", "2.5.0", tag="cp312-cp312-win_amd64", left_out="too-new, 2 days (mirror.yaml:9)")
    index.add("urllib3", "2.4.0", left_out="excluded: malware (mirror.yaml:12)")
    index.add("urllib3", "4.0", left_out="excluded: other (mirror.yaml:13)")
    assert problem_of(index, "requests") == (
        "requests 2.32 needs urllib3<3: 2.5.0 is left out: too-new, 2 days (mirror.yaml:9); "
        "2.4.0 is left out: excluded: malware (mirror.yaml:12)"
    )


def test_the_rule_is_named_when_two_requirements_would_have_met_there() -> None:
    index = make_index(("a", "1", "c<3"), ("b", "1", "c>=2"), ("c", "1"), ("c", "3"))
    index.add("c", "2", left_out="excluded (mirror.yaml:7)")
    assert problem_of(index, "a", "b", name="group web") == (
        "a 1 needs c<3 and b 1 needs c>=2: 2 is left out: excluded (mirror.yaml:7)"
    )


def test_the_releases_that_are_there_are_named_when_none_meets_a_requirement() -> None:
    index = make_index(("a", "1", "b>9"), *(("b", str(number)) for number in range(1, 6)))
    assert problem_of(index, "a") == "a 1 needs b>9: there are only 5, 4, 3, and 2 more"
    assert problem_of(make_index(("a", "1", "b>9"), ("b", "1")), "a") == "a 1 needs b>9: there is only 1"


def test_it_is_said_when_a_project_has_no_release() -> None:
    index = make_index(("a", "1", "b"))
    index.broken["b"] = Options(options=())
    assert problem_of(index, "a") == "a 1 needs b: there is no release of it"
    index.broken["b"] = Options(options=(), left_out=(LeftOut(filename="b.egg", version=None, reason="an egg"),))
    assert problem_of(index, "a") == "a 1 needs b: every release of it is left out"


def test_the_newest_releases_are_named_when_all_of_them_fail() -> None:
    index = make_index(
        ("root", "1", "a", "c<2"), *(("a", str(n), f"c>={n}") for n in (2, 3, 4)), ("c", "1"), ("c", "4")
    )
    assert problem_of(index, "root") == "root 1 needs c<2 and root 1 → a 4 needs c>=4"


def test_names_from_outside_are_escaped_when_a_message_has_them() -> None:
    index = make_index(("a", "1", "b===1\x1b[31m"), ("b", "1"))
    index.add("b", "2", left_out="an \x1b escape")
    assert "\x1b" not in problem_of(index, "a")
    index = make_index(("a", "1", "b>1"), ("b", "1"))
    index.add("b", "2", left_out="an \x1b escape")
    assert problem_of(index, "a") == "a 1 needs b>1: 2 is left out: an \\u001b escape"


# ── builds ──────────────────────────────────────────────────────────────────────────────────────────


def make_builds() -> MadeIndex:
    index = make_index(("a", "1", "s"), ("b", "1", "s"), ("setuptools", "1"), ("wheel", "1"))
    index.add("s", "1", "r", sdist=True, build_requires=["setuptools>=1", "t"])
    index.add("t", "1", sdist=True, build_requires=["wheel"])
    index.add("r", "1")
    return index


def test_each_sdist_is_built_once_in_each_environment_when_many_roots_need_it() -> None:
    roots = [make_root(name, environment=each) for name in "ba" for each in (WINDOWS, LINUX)]
    outcomes = run_closure(make_builds().facts(), *roots)
    assert [(o.root.name, o.root.built, o.root.environment, versions_of(o)) for o in outcomes] == [
        ("a", None, WINDOWS, {"a": "1", "r": "1", "s": "1"}),
        ("a", None, LINUX, {"a": "1", "r": "1", "s": "1"}),
        ("a", "s 1", WINDOWS, {"setuptools": "1", "t": "1"}),
        ("a", "s 1", LINUX, {"setuptools": "1", "t": "1"}),
        ("a", "t 1", WINDOWS, {"wheel": "1"}),
        ("a", "t 1", LINUX, {"wheel": "1"}),
        ("b", None, WINDOWS, {"b": "1", "r": "1", "s": "1"}),
        ("b", None, LINUX, {"b": "1", "r": "1", "s": "1"}),
    ]
    parents = [outcome.root.parent for outcome in outcomes[4:6]]
    assert [(p.built, p.parent.name if p.parent else None) for p in parents if p] == [("s 1", "a"), ("s 1", "a")]


def test_nothing_is_built_when_the_root_says_so() -> None:
    assert len(run_closure(make_builds().facts(), make_root("a", build_dependencies=False))) == 1


def test_a_build_belongs_to_the_root_that_asks_for_it_when_another_does_not() -> None:
    roots = (make_root("a", build_dependencies=False), make_root("b"))
    assert [outcome.root.name for outcome in run_closure(make_builds().facts(), *roots)] == ["a", "b", "b", "b"]


def test_a_build_has_the_origin_of_its_root_when_it_is_reported() -> None:
    origin = Origin(file="mirror.yaml", line=7, text="a")
    root = Root(name="a", requirements=make_root("a").requirements, environment=LINUX, origin=origin)
    assert {outcome.root.origin for outcome in run_closure(make_builds().facts(), root)} == {origin}


def test_markers_of_build_requirements_are_judged_when_they_have_some() -> None:
    index = make_index(("tomli", "1"))
    index.add("a", "1", sdist=True, build_requires=['tomli; python_version < "3.11"', 'nosuch; os_name == "nt"'])
    assert [versions_of(outcome) for outcome in run_closure(index.facts(), make_root("a"))] == [{"a": "1"}, {}]


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ("nosuch>1", "s 1 is built with nosuch>1: upstream has no such project"),
        ("not a requirement", 's 1 is built with "not a requirement", which is no valid requirement'),
        (
            "b @ https://me:pw@files.example/b.zip",
            's 1 is built with "b @ https://files.example/b.zip", which an index cannot serve',
        ),
    ],
)
def test_the_chain_is_named_when_an_sdist_cannot_be_built(requirement: str, told: str) -> None:
    index = make_index(("a", "1", "s<2"))
    index.add("s", "1", sdist=True, build_requires=[requirement])
    solved, unsolved = run_closure(index.facts(), make_root("a"))
    assert isinstance(solved, Solution)
    assert isinstance(unsolved, Unsolved)
    assert unsolved.problem == f"a 1 → s 1 (s<2): {told}"
    assert unsolved.root.built == "s 1"
    assert not unsolved.is_error


def test_the_whole_chain_is_named_when_a_build_of_a_build_fails() -> None:
    index = make_index(("a", "1", "s"))
    index.add("s", "1", sdist=True, build_requires=["t"])
    index.add("t", "1", sdist=True, build_requires=["nosuch"])
    *_, unsolved = run_closure(index.facts(), make_root("a"))
    assert versions_of(unsolved) == (
        "a 1 → s 1 (s), built with t 1: t 1 is built with nosuch: upstream has no such project"
    )


def test_a_circle_is_told_when_an_sdist_takes_itself_to_be_built() -> None:
    index = make_index(("a", "1", "s"), ("q", "1", "s"))
    index.add("s", "1", sdist=True, build_requires=["t"])
    index.add("t", "1", "q", sdist=True, build_requires=["u"])
    index.add("u", "1")
    _, unsolved = run_closure(index.facts(), make_root("a"))
    assert isinstance(unsolved, Unsolved)
    assert unsolved.problem == "a 1 → s 1 (s): s 1 is built with s 1: only a wheel breaks the circle"


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_root_is_given_up_when_an_index_has_no_end() -> None:
    index = make_index(*((f"a{number}", "1", f"a{number + 1}") for number in range(3000)))
    facts = index.facts()
    (outcome,) = run_closure(facts, make_root("a0"), max_waves=5000)
    assert versions_of(outcome) == "a0 needs more than 2000 projects and extras"


def test_a_root_is_solved_when_its_chain_is_long() -> None:
    index = make_index(*((f"a{number}", "1", f"a{number + 1}") for number in range(1500)), ("a1500", "1"))
    (outcome,) = run_closure(index.facts(), make_root("a0"), max_waves=5000)
    assert len(versions_of(outcome)) == 1501


def test_a_root_is_given_up_when_there_are_too_many_ways() -> None:
    # Nine things in eight places: no proof is shorter than trying them all.
    index = make_index()
    for thing in range(9):
        others = [other for other in range(9) if other != thing]
        for place in range(8):
            index.add(f"p{thing}", str(place), *(f"p{other}!={place}" for other in others))
    facts = index.facts()
    closure = Closure([make_root(*(f"p{thing}" for thing in range(9)), name="group all")], facts, max_rounds=500)
    while asked := closure.advance():
        facts.answer(asked)
    (outcome,) = closure.outcomes
    assert isinstance(outcome, Unsolved)
    assert outcome.problem.startswith("too many ways were tried; one of them: p")


@pytest.mark.parametrize(
    "requires",
    [
        [f"b>={number / 10000}" for number in range(9999)],
        [f"p{number}" for number in range(10001)],
        ["b" + ",".join(f"!={number}.5" for number in range(2000))],
        ["b; " + " or ".join(['os_name == "nt"'] * 8000)],
        ["b; " + "(" * 5000 + 'os_name == "nt"' + ")" * 5000],
    ],
    ids=["many on one", "many", "many clauses", "long marker", "deep marker"],
)
def test_a_release_is_passed_over_when_its_metadata_are_hostile(requires: list[str]) -> None:
    index = make_index(("a", "2", *requires), ("a", "1"), ("b", "1"))
    solution = solution_of(index, "a")
    assert versions_of(solution) == {"a": "1"}
    assert len(solution.warnings) == 1
    assert len(solution.warnings[0]) < 300


def test_many_requirements_are_borne_when_they_are_on_many_projects() -> None:
    index = make_index(("a", "1", *(f"p{number}" for number in range(9999))))
    assert solve(index, "a") == "root needs more than 2000 projects and extras"


# ── order ───────────────────────────────────────────────────────────────────────────────────────────


def test_outcomes_are_sorted_when_names_are_the_same() -> None:
    index = make_index(("a", "1"), ("a", "2"))
    roots = [make_root(f"a=={version}", name="a", environment=each) for version in "21" for each in (WINDOWS, LINUX)]
    outcomes = run_closure(index.facts(), *roots)
    assert outcomes == run_closure(index.facts(), *reversed(roots))
    assert [(o.root.environment, versions_of(o)) for o in outcomes] == [
        (WINDOWS, {"a": "1"}),
        (WINDOWS, {"a": "2"}),
        (LINUX, {"a": "1"}),
        (LINUX, {"a": "2"}),
    ]
    shuffled: list[Outcome] = [outcomes[index] for index in (2, 0, 3, 1)]
    assert tuple(sort_outcomes(shuffled)) == outcomes
