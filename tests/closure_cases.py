"""Hard cases for a resolution, by name; small random indexes; and every assignment tried, to judge an answer by."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pymirror.environment import Environment, make_environment
from tests.made_index import LINUX, MadeFile, MadeIndex

OLD_LINUX = make_environment("3.9", "linux")
WINDOWS = make_environment("3.12", "windows")
MACOS = make_environment("3.13", "macos")


@dataclass(frozen=True, kw_only=True)
class Case:
    """``expected`` is project → version, or ``None`` where nothing goes together."""

    name: str
    make: Callable[[], MadeIndex]
    requirements: tuple[str, ...]
    expected: dict[str, str] | None
    environment: Environment = LINUX


def _index(*releases: tuple[str, ...]) -> MadeIndex:
    """Each release is a project, a version, and what it needs."""
    index = MadeIndex()
    for project, version, *requires in releases:
        index.add(project, version, *requires, extras=["x", "y", "all"])
    return index


def _conflict() -> MadeIndex:
    return _index(("a", "1", "c<2"), ("b", "1", "c>=2"), ("c", "1"), ("c", "2"))


def _three_deep() -> MadeIndex:
    """Only the oldest ``a`` works, and that shows in the fourth project."""
    index = _index(("e", "1"))
    for version in "123":
        index.add("a", version, f"b=={version}")
        index.add("b", version, f"c=={version}")
        index.add("c", version, f"d=={version}")
        index.add("d", version, "e<2" if version == "1" else "e>=2")
    return index


def _far_apart() -> MadeIndex:
    """What is in conflict was chosen long before, and much that has nothing to do with it in between."""
    index = _index(("root", "1", "a", *(f"m{n}" for n in range(8)), "z"), ("s", "1"), ("s", "2"), ("s", "3"))
    for version, bound in (("1", "s<2"), ("2", "s<3"), ("3", "s>=3")):
        index.add("a", version, bound)
    for number in range(8):
        index.add(f"m{number}", "1")
        index.add(f"m{number}", "2")
    index.add("z", "1", "s<2")
    return index


def _cycle() -> MadeIndex:
    return _index(("a", "2", "b"), ("a", "1", "b"), ("b", "2", "c"), ("b", "1"), ("c", "1", "a<2"))


def _extras() -> MadeIndex:
    index = MadeIndex()
    index.add("a", "1", 'a[x,y]; extra == "all"', 'b[x]; extra == "x"', 'c; extra == "y"', extras=["x", "y", "all"])
    index.add("b", "1", "d", 'e; extra == "x"', 'f; extra == "y"', extras=["x", "y"])
    for project in "cdef":
        index.add(project, "1")
    return index


def _markers() -> MadeIndex:
    index = MadeIndex()
    index.add(
        "a",
        "1",
        'win; sys_platform == "win32"',
        'mac; sys_platform == "darwin" and platform_machine == "arm64"',
        'old; python_version < "3.10"',
        'new[x]; python_version >= "3.12" and sys_platform != "win32"',
        'nobody; implementation_name == "pypy"',
    )
    index.add("new", "1", 'mac; extra == "x"', extras=["x"])
    for project in ("win", "mac", "old"):
        index.add(project, "1")
    return index


def _for_some() -> MadeIndex:
    """The newest is for others, by its tag or by its Python."""
    index = _index(("a", "1", "b"), ("b", "1"))
    index.add("a", "2", "b", requires_python=">=3.13")
    index.add("a", "3", "b", tag="cp312-cp312-win_amd64")
    index.add("b", "2", tag="py3-none-win_amd64")
    index.add("b", "3", requires_python=">=3.13", hides_python=True)
    return index


def _missing() -> MadeIndex:
    return _index(("a", "2", "nosuch>=1"), ("a", "1", "b"), ("b", "1"))


def _prereleases() -> MadeIndex:
    index = _index(("only", "1.0a1"), ("mixed", "1.0"), ("mixed", "2.0b1"), ("asks", "1", "mixed>=2.0a1"))
    index.add("mixed", "1.0.dev3")
    index.add("plain", "1", "mixed", "only")
    return index


def _yanked() -> MadeIndex:
    index = _index(("a", "1"), ("pins", "1", "a==2"), ("b", "1", "a>1"), ("prefix", "1", "a==2.*"))
    index.add("a", "2", yanked=True)
    return index


def _locals() -> MadeIndex:
    return _index(("a", "1.0"), ("a", "1.0+cpu"), ("b", "1", "a==1.0"), ("c", "1", "a==1.0+cpu"), ("d", "1", "a>1.0"))


def _epochs() -> MadeIndex:
    return _index(("a", "9.0"), ("a", "1!1.0"), ("b", "1", "a>=2"), ("c", "1", "a<1!0"), ("d", "1", "a==1!1.*"))


def _wide() -> MadeIndex:
    """Three hundred projects; each needs some of the later ones, and a third of them an older release of one."""
    index = MadeIndex()
    for number in range(300):
        later = [f"p{(number * factor) % 7 + number + 1}" for factor in (1, 3, 5)]
        requires = [name for name in dict.fromkeys(later) if int(name[1:]) < 300]
        for version in "123":
            index.add(f"p{number}", version, *requires)
    index.add("old", "1", *(f"p{number}<{2 + number % 2}" for number in range(0, 300, 3)))
    return index


def _wide_expected() -> dict[str, str]:
    bound = {number: str(1 + number % 2) for number in range(0, 300, 3)}
    return {"old": "1", **{f"p{number}": bound.get(number, "3") for number in range(300)}}


def _self() -> MadeIndex:
    return _index(("a", "1", "a"), ("a", "2", 'a[x]>=2; extra == "y"', "a<3"), ("b", "1", "b>=2"), ("b", "2"))


def _invalid() -> MadeIndex:
    return _index(("a", "2", "b @@ nothing"), ("a", "1", "b"), ("b", "1"))


CASES = (
    Case(name="no conflict", make=_conflict, requirements=("a",), expected={"a": "1", "c": "1"}),
    Case(name="conflicting roots", make=_conflict, requirements=("a", "b"), expected=None),
    Case(
        name="three deep",
        make=_three_deep,
        requirements=("a",),
        expected={"a": "1", "b": "1", "c": "1", "d": "1", "e": "1"},
    ),
    Case(name="three deep, nothing left", make=_three_deep, requirements=("a>1",), expected=None),
    Case(
        name="far apart",
        make=_far_apart,
        requirements=("root",),
        expected={"root": "1", "a": "2", "s": "1", "z": "1", **{f"m{n}": "2" for n in range(8)}} | {"a": "2", "s": "1"},
    ),
    Case(name="cycle", make=_cycle, requirements=("a==2",), expected={"a": "2", "b": "1"}),
    Case(name="cycle, older", make=_cycle, requirements=("b", "c"), expected={"a": "1", "b": "2", "c": "1"}),
    Case(name="no extra", make=_extras, requirements=("a",), expected={"a": "1"}),
    Case(
        name="extras of extras",
        make=_extras,
        requirements=("a[all]",),
        expected=dict.fromkeys("abcde", "1"),
    ),
    Case(name="missing extra", make=_extras, requirements=("c[nosuch]", "a[y]"), expected={"a": "1", "c": "1"}),
    Case(
        name="markers, linux",
        make=_markers,
        requirements=("a",),
        expected={"a": "1", "new": "1", "mac": "1"},
    ),
    Case(
        name="markers, old linux",
        make=_markers,
        requirements=("a",),
        expected={"a": "1", "old": "1"},
        environment=OLD_LINUX,
    ),
    Case(
        name="markers, windows",
        make=_markers,
        requirements=("a",),
        expected={"a": "1", "win": "1"},
        environment=WINDOWS,
    ),
    Case(
        name="markers, macos",
        make=_markers,
        requirements=("a",),
        expected={"a": "1", "mac": "1", "new": "1"},
        environment=MACOS,
    ),
    Case(name="only an old release, linux", make=_for_some, requirements=("a",), expected={"a": "1", "b": "1"}),
    Case(
        name="only an old release, windows",
        make=_for_some,
        requirements=("a",),
        expected={"a": "3", "b": "2"},
        environment=WINDOWS,
    ),
    Case(
        name="only an old release, macos",
        make=_for_some,
        requirements=("a",),
        expected={"a": "2", "b": "3"},
        environment=MACOS,
    ),
    Case(name="only a new release, linux", make=_for_some, requirements=("a>1",), expected=None),
    Case(name="missing upstream, older", make=_missing, requirements=("a",), expected={"a": "1", "b": "1"}),
    Case(name="missing upstream", make=_missing, requirements=("a>1",), expected=None),
    Case(name="nothing but a pre-release", make=_prereleases, requirements=("only",), expected={"only": "1.0a1"}),
    Case(
        name="no pre-release",
        make=_prereleases,
        requirements=("plain",),
        expected={"plain": "1", "mixed": "1.0", "only": "1.0a1"},
    ),
    Case(
        name="a pre-release that something else asks for",
        make=_prereleases,
        requirements=("plain", "asks"),
        expected={"plain": "1", "asks": "1", "mixed": "2.0b1", "only": "1.0a1"},
    ),
    Case(name="yanked", make=_yanked, requirements=("a",), expected={"a": "1"}),
    Case(name="nothing but yanked", make=_yanked, requirements=("b",), expected=None),
    Case(name="yanked and pinned", make=_yanked, requirements=("a==2",), expected={"a": "2"}),
    Case(name="yanked, a prefix is no pin", make=_yanked, requirements=("prefix",), expected=None),
    Case(name="local", make=_locals, requirements=("a",), expected={"a": "1.0+cpu"}),
    Case(name="local, public asked", make=_locals, requirements=("b",), expected={"a": "1.0+cpu", "b": "1"}),
    Case(
        name="local, both asked", make=_locals, requirements=("b", "c"), expected={"a": "1.0+cpu", "b": "1", "c": "1"}
    ),
    Case(name="local is not newer", make=_locals, requirements=("d",), expected=None),
    Case(name="epoch", make=_epochs, requirements=("b",), expected={"a": "1!1.0", "b": "1"}),
    Case(name="no epoch", make=_epochs, requirements=("b", "c"), expected={"a": "9.0", "b": "1", "c": "1"}),
    Case(name="two epochs", make=_epochs, requirements=("c", "d"), expected=None),
    Case(name="arbitrary equality", make=_locals, requirements=("a===1.0",), expected={"a": "1.0"}),
    Case(name="arbitrary equality, none", make=_locals, requirements=("a===1.1",), expected=None),
    Case(name="wide", make=_wide, requirements=("p0", "p2", "p4", "old"), expected=_wide_expected()),
    Case(name="itself", make=_self, requirements=("a[y]", "b"), expected={"a": "2", "b": "2"}),
    Case(name="invalid metadata", make=_invalid, requirements=("a",), expected={"a": "1", "b": "1"}),
    Case(name="invalid metadata, nothing else", make=_invalid, requirements=("a>1",), expected=None),
)


# ── at random ───────────────────────────────────────────────────────────────────────────────────────

_CLAUSES = ("", "", ">={}", "<{}", "=={}", "!={}", "<={}", ">{}")
_EXTRAS = ("", "", "", "[x]", "[y]", "[x,y]")
_MARKERS = ("", "", "", '; extra == "x"', '; extra == "y"')


@st.composite
def indexes(draw: st.DrawFn, *, projects: int = 4, versions: int = 3) -> tuple[MadeIndex, tuple[str, ...]]:
    """A small index, tightly knit, and requirements on it. Some releases are for another Python."""
    names = "abcdefgh"[:projects]
    numbers = st.integers(1, versions)

    def clause() -> str:
        return draw(st.sampled_from(_CLAUSES)).format(draw(numbers))

    index = MadeIndex()
    for name in names:
        for version in range(1, draw(numbers) + 1):
            needed = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
            requires = [
                f"{other}{draw(st.sampled_from(_EXTRAS))}{clause()}{draw(st.sampled_from(_MARKERS))}"
                for other in needed
            ]
            python = ">=3.99" if draw(st.integers(0, 9)) == 0 else None
            index.add(name, str(version), *requires, extras=["x", "y"], requires_python=python, hides_python=True)
    asked = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    return index, tuple(f"{name}{draw(st.sampled_from(('', '', '[x]')))}{clause()}" for name in asked)


def brute_force(index: MadeIndex, requirements: Sequence[str]) -> dict[str, str] | None:
    """The first assignment that holds, of all that there are; ``None`` where none does. No pre-releases, no markers
    but extras.
    """
    files: dict[NormalizedName, list[MadeFile]] = {}
    for file in index.files:
        if file.requires_python is None:
            files.setdefault(file.project, []).append(file)
    for chosen in itertools.product(*([None, *reversed(same)] for same in files.values())):
        assignment = {file.project: file for file in chosen if file is not None}
        if holds(assignment, requirements):
            return {project: file.version for project, file in assignment.items()}
    return None


def holds(assignment: Mapping[NormalizedName, MadeFile], requirements: Sequence[str]) -> bool:
    """Whether ``assignment`` meets ``requirements`` and its own, and has nothing that nobody needs."""
    queue = [Requirement(text) for text in requirements]
    seen: set[tuple[str, str]] = set()
    for requirement in queue:  # grows on the way
        file = assignment.get(canonicalize_name(requirement.name))
        if file is None or not requirement.specifier.contains(file.version):
            return False
        for extra in sorted({"", *requirement.extras}):
            if (requirement.name, extra) not in seen:
                seen.add((requirement.name, extra))
                needs = [Requirement(text) for text in file.requires]
                queue += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return {project for project, _ in seen} == set(assignment)
