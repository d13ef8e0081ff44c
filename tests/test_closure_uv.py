"""The hard cases of resolution on made-up indexes, each resolved by us and by the real uv: the same answer from both.

Where the two differ by their own rules, there is a test of its own that says why.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings

from pymirror.environment import Environment
from tests.closure_cases import CASES, Case, holds, indexes
from tests.made_index import LINUX, MadeIndex, make_root, run_closure, solve, versions_of
from tests.servers import for_others, skip_or_fail


class Uv:
    """The real uv over a made-up index, for an environment that it does not run in."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._folder = folder
        self._environ = for_others(environ)
        self._count = 0

    def resolve(
        self, index: MadeIndex, *requirements: str, environment: Environment = LINUX, builds: bool = False
    ) -> dict[str, str] | str:
        """Project → version, or what uv says. With ``builds``, it may choose sdists that say what they need."""
        self._count += 1
        folder = self._folder / str(self._count)
        url = index.write(folder)
        (folder / "requirements.in").write_text("\n".join(requirements) + "\n")
        target = ("--python-version", environment.python, "--python-platform", environment.platform)
        source = ("--offline", "--no-config", "--no-cache", "--no-python-downloads", "--default-index", url)
        output = ("--quiet", "--no-header", "--no-annotate", *([] if builds else ["--no-build"]), "requirements.in")
        done = subprocess.run(
            [find_uv(), "pip", "compile", "--python", sys.executable, *target, *source, *output],
            cwd=folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            assert "No solution found" in done.stderr or "not found" in done.stderr, done.stderr
            return done.stderr
        pairs = (line.partition("==") for line in done.stdout.split())
        return {project.partition("[")[0]: version for project, _, version in pairs}


def find_uv() -> str:
    try:
        return import_module("uv").find_uv_bin()  # type: ignore[no-any-return]
    except (ImportError, FileNotFoundError):
        skip_or_fail("uv is not installed")


@pytest.fixture
def uv(tmp_path: Path, environ: dict[str, str]) -> Uv:
    return Uv(tmp_path, environ)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_we_and_uv_answer_the_same_when_an_index_is_hard(uv: Uv, case: Case) -> None:
    index = case.make()
    mine = solve(index, *case.requirements, environment=case.environment)
    its = uv.resolve(index, *case.requirements, environment=case.environment)
    assert (mine if isinstance(mine, dict) else None) == case.expected, mine
    assert (its if isinstance(its, dict) else None) == case.expected, its


# ── builds ──────────────────────────────────────────────────────────────────────────────────────────


def test_builds_are_those_of_uv_when_sdists_need_sdists_to_be_built(uv: Uv) -> None:
    index = MadeIndex()
    index.add("a", "1", "b", "c")
    index.add("b", "1", "c", sdist=True, build_requires=["backend>=2", 'helper; sys_platform == "win32"'])
    index.add("c", "1")
    index.add("backend", "3", "c", sdist=True, build_requires=["core<2", "setuptools"])
    index.add("core", "2")
    index.add("core", "1", "c")
    index.add("setuptools", "1")
    outcomes = run_closure(index.facts(), make_root("a"))
    built = {str(outcome.root.built): versions_of(outcome) for outcome in outcomes}
    assert built == {
        "None": {"a": "1", "b": "1", "c": "1"},
        "b 1": {"backend": "3", "c": "1"},
        "backend 3": {"c": "1", "core": "1", "setuptools": "1"},
    }
    for outcome in outcomes:
        requirements = [str(requirement) for requirement in outcome.root.requirements]
        assert uv.resolve(index, *requirements, builds=True) == versions_of(outcome)


# ── where uv has other rules ────────────────────────────────────────────────────────────────────────


def test_a_cycle_has_two_answers_when_each_release_shuts_out_the_other(uv: Uv) -> None:
    # Both hold. uv keeps what was asked for first as new as it can; pip, whose search this is, takes back "a 2" when
    # it comes by "a<2". A root is one release, so of a root there is nothing to choose.
    index = MadeIndex()
    for project, version, *requires in (("a", "2", "b"), ("a", "1", "b"), ("b", "2", "a<2"), ("b", "1")):
        index.add(project, version, *requires)
    assert solve(index, "a") == {"a": "1", "b": "2"}
    assert uv.resolve(index, "a") == {"a": "2", "b": "1"}


def test_a_prerelease_is_passed_over_when_final_releases_fail_for_other_reasons(uv: Uv) -> None:
    # PEP 440, and so pip: a final release that meets the specifier shuts pre-releases out, whatever becomes of it. uv
    # takes the pre-release in the end.
    index = MadeIndex()
    index.add("a", "2.0b1")
    index.add("a", "1.0", "nosuch")
    assert solve(index, "a") == "a 1.0 needs nosuch: upstream has no such project"
    assert uv.resolve(index, "a") == {"a": "2.0b1"}


def test_a_prerelease_is_taken_when_a_specifier_names_one(uv: Uv) -> None:
    # By PEP 440, and so for pip, a specifier that names a pre-release lets them in; uv takes one only where nothing
    # else will do.
    index = MadeIndex()
    index.add("a", "2.0b1")
    index.add("a", "1.0")
    index.add("b", "1", "a>=1.0rc1")
    assert solve(index, "b") == {"a": "2.0b1", "b": "1"}
    assert uv.resolve(index, "b") == {"a": "1.0", "b": "1"}
    index.add("c", "1", "a>1.0rc1,!=1.0")
    assert solve(index, "c") == uv.resolve(index, "c") == {"a": "2.0b1", "c": "1"}


def test_a_prerelease_is_passed_over_when_the_final_release_is_yanked(uv: Uv) -> None:
    # For pip the yanked release is still a final one; uv does not see it.
    index = MadeIndex()
    index.add("a", "2.0", yanked=True)
    index.add("a", "1.0b1")
    assert solve(index, "a") == "root asks for a: 2.0 is yanked, and no == asks for it"
    assert uv.resolve(index, "a") == {"a": "1.0b1"}


def test_a_release_is_passed_over_when_its_requirement_is_invalid_but_uv_mends_it(uv: Uv) -> None:
    # pip takes no such release; uv reads ">=1.*" as ">=1".
    index = MadeIndex()
    index.add("a", "2", "b>=1.*")
    index.add("a", "1")
    index.add("b", "1")
    assert solve(index, "a") == {"a": "1"}
    assert uv.resolve(index, "a") == {"a": "2", "b": "1"}


def test_arbitrary_equality_is_of_the_text_when_uv_compares_versions(uv: Uv) -> None:
    index = MadeIndex()
    index.add("a", "1.0")
    assert solve(index, "a===1") == "root asks for a===1: there is only 1.0"
    assert uv.resolve(index, "a===1") == {"a": "1.0"}


# ── at random ───────────────────────────────────────────────────────────────────────────────────────


def test_we_and_uv_both_find_something_when_there_is_something(uv: Uv) -> None:
    # Which of several answers is found is a matter of taste; uv's must hold by our reading, and the other way around.
    @settings(max_examples=25, deadline=None)
    @given(indexes())
    def compare(made: tuple[MadeIndex, tuple[str, ...]]) -> None:
        index, requirements = made
        its = uv.resolve(index, *requirements)
        mine = solve(index, *requirements)
        assert isinstance(its, str) == isinstance(mine, str), (mine, its)
        if isinstance(its, dict):
            files = {file.project: file for file in index.files if its.get(file.project) == file.version}
            assert holds(files, requirements)

    compare()
