"""How long it takes to resolve from known facts: ``python benchmarks/closure.py [ROOTS]``.

Thirty roots in three environments, over a made-up index of layered projects: each root leads to a hundred projects and
more, with extras, markers, bounds, and conflicts that only older releases solve. Nothing is asked of anyone: the facts
are in memory, as the second run of a mirror finds them.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Sequence

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.closure import Closure, Option, Options, Root, Solution
from pymirror.environment import Environment, make_environment
from pymirror.needs import Needs

ENVIRONMENTS = (
    make_environment("3.10", "linux"),
    make_environment("3.12", "windows"),
    make_environment("3.13", "macos"),
)
LAYERS, WIDTH, VERSIONS = 12, 40, 40
MARKERS = (
    "",
    "",
    "",
    '; python_version < "3.11"',
    '; sys_platform == "win32"',
    '; sys_platform != "win32" and platform_machine != "s390x"',
    '; extra == "fast"',
    '; extra == "test" and python_full_version >= "3.11.4"',
)
ROUNDS = 5


class MadeFacts:
    """Every answer at once. ``seed`` makes the same index in every run."""

    def __init__(self, seed: int = 1) -> None:
        chance = random.Random(seed)  # noqa: S311 - no secret
        self._options: dict[NormalizedName, Options] = {}
        self._needs: dict[str, Needs] = {}
        for layer in range(LAYERS):
            for number in range(WIDTH):
                self._add(canonicalize_name(f"p{layer}-{number}"), layer, chance)

    def _add(self, project: NormalizedName, layer: int, chance: random.Random) -> None:
        options = []
        below = [
            f"p{chance.randint(layer, LAYERS - 2) + 1}-{chance.randint(0, WIDTH - 1)}"
            for _ in range(7 * (layer < LAYERS - 1))
        ]
        for release in reversed(range(VERSIONS)):
            version = Version(f"{1 + release // 10}.{release % 10}")
            filename = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
            options.append(Option(project=project, version=version, filename=filename))
            requires = [_make_requirement(name, release, chance) for name in below]
            self._needs[filename] = Needs(requires=tuple(requires), extras=("fast", "test"), requires_python=">=3.8")
        self._options[project] = Options(options=tuple(options))

    def options(self, project: NormalizedName, environment: Environment) -> Options:  # noqa: ARG002
        return self._options[project]

    def needs(self, option: Option) -> Needs:
        return self._needs[option.filename]


def _make_requirement(name: str, release: int, chance: random.Random) -> str:
    """Some shut newer releases out, and some want one of the newest: these do not go together."""
    extra = chance.choice((*[""] * 8, "[fast]", "[fast,test]"))
    bounds = chance.choice(("", f">=1.{release % 10}", f">=1.{release % 10},<{3 + release // 10}.0", ">=1.0,!=1.5"))
    bounds = chance.choice((*[bounds] * 38, "<4.5", ">=4.6")) if release > VERSIONS // 2 else bounds
    return f"{name}{extra}{bounds}{chance.choice(MARKERS)}"


def make_roots(count: int) -> list[Root]:
    names = [f"p{number % 2}-{number}" for number in range(count)]
    return [
        Root(name=name, requirements=(Requirement(f"{name}==4.9"),), environment=environment)
        for name in names
        for environment in ENVIRONMENTS
    ]


def time_closures(roots: Sequence[Root], facts: MadeFacts) -> tuple[list[float], Closure]:
    """The seconds of each round, and the last closure."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        closure = Closure(roots, facts)
        closure.advance()
        times.append(time.perf_counter() - start)
    return times, closure


def main() -> None:
    roots = make_roots(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
    facts = MadeFacts()
    times, closure = time_closures(roots, facts)
    first, *others = times
    single, _ = time_closures(roots[:1], facts)
    sizes = [len(outcome.picks) for outcome in closure.outcomes if isinstance(outcome, Solution)]
    sys.stdout.write(
        f"{len(roots)} roots, {len(sizes)} solved, {min(sizes)} to {max(sizes)} projects each: first {first:.2f} s, "
        f"then {min(others):.2f} to {max(others):.2f} s, median {statistics.median(others):.2f} s; "
        f"{statistics.median(others) / statistics.median(single[1:]):.0f} times one root alone\n"
    )


if __name__ == "__main__":
    main()
