"""What a resolution may choose of a page, the roots that a spec asks for, and what their outcomes make needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.closure import Edge, Option, Options, Outcome, Pick, Root, Solution, Unsolved
from pymirror.environment import Environment, make_environment
from pymirror.roots import explain_project, find_root_releases, gather_needs, list_roots
from pymirror.selection.candidates import read_offered
from pymirror.selection.model import Chosen, Need, Selection, Wants
from pymirror.selection.needs import Choices
from pymirror.selection.select import select
from pymirror.selection.wants import Demands
from pymirror.simple.model import File, ProjectDetail
from pymirror.snapshot import Needed, SnapshotFile, SnapshotProject
from pymirror.spec.model import (
    DependencyPolicy,
    Filters,
    Group,
    Network,
    Origin,
    PackageType,
    ProjectRule,
    RemovalPolicy,
    SdistPolicy,
    Spec,
    YankedPolicy,
)
from tests.selection_cases import DEMO, NOW, exclude, make_file, make_wants, rule, sdist, wheel

LINUX = make_environment("3.12", "linux")
WINDOWS = make_environment("3.12", "windows")
OLD = make_environment("3.8", "linux")
HERE = Origin(file="mirror.yaml", line=7, text="app")


def options(files: Sequence[File], wants: Wants | None = None, environment: Environment = LINUX) -> Options:
    detail = ProjectDetail(files=tuple(files))
    offered = read_offered(DEMO, detail, page_url="https://index.example/demo/")
    return Choices(offered.candidates, wants or make_wants()).list_options(environment)


def names(found: Options) -> list[str]:
    return [option.filename for option in found.options]


# ── what may be chosen ──────────────────────────────────────────────────────────────────────────────


def test_options_are_one_for_each_version_the_newest_first_and_wheels_before_sdists() -> None:
    found = options([sdist("1.0"), wheel("1.0"), sdist("2.0"), wheel("0.9")])
    assert names(found) == ["demo-2.0.tar.gz", "demo-1.0-py3-none-any.whl", "demo-0.9-py3-none-any.whl"]
    assert [option.is_sdist for option in found.options] == [True, False, False]


def test_the_wheel_is_the_one_that_an_installer_takes_when_several_suit() -> None:
    tags = ["py3-none-any", "cp312-abi3-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_28_x86_64"]
    files = [make_file(f"demo-1.0-{tag}.whl") for tag in tags]
    assert names(options(files)) == ["demo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"]
    assert names(options(files, environment=WINDOWS)) == ["demo-1.0-py3-none-any.whl"]
    builds = [make_file(f"demo-1.0-{build}-py3-none-any.whl") for build in ("2", "10", "9")]
    assert names(options([wheel("1.0"), *builds])) == ["demo-1.0-10-py3-none-any.whl"]


def test_a_yanked_file_is_marked_and_stands_behind_one_that_is_not() -> None:
    found = options([wheel("1.0", yanked="broken"), sdist("1.0"), wheel("2.0", yanked=True)])
    assert [(option.filename, option.is_yanked) for option in found.options] == [
        ("demo-2.0-py3-none-any.whl", True),
        ("demo-1.0.tar.gz", False),
    ]
    strict = make_wants(filters=Filters(yanked=YankedPolicy.EXCLUDE))
    assert names(options([wheel("1.0", yanked="broken"), wheel("0.9")], strict)) == ["demo-0.9-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("file", "wants", "reason"),
    [
        (wheel("1.0"), make_wants(exclude("==1.0", reason="malware")), "excluded: malware (mirror.yaml:90)"),
        (sdist("1.0"), make_wants(filters=Filters(package_types=frozenset({PackageType.BDIST_WHEEL}))), "package-type"),
        (wheel("1.0", sha256=None), make_wants(), "no-sha256"),
        (make_file("demo-1.0-cp311-cp311-win_amd64.whl"), make_wants(), "environment"),
        (make_file("demo-1.0-py3-none-any.whl", requires_python=">=3.13"), make_wants(), "requires-python: >=3.13"),
        (make_file("demo-1.0-py3-none-any.whl", size=9), make_wants(filters=Filters(max_file_size=8)), "too-large"),
        (make_file("demo-1.0-py3-none-any.whl", url="ftp://x/y"), make_wants(), "unsafe-url"),
        (make_file("demo-1.0-py3.8.egg"), make_wants(), "package-type: bdist_egg"),
    ],
)
def test_a_file_is_no_option_when_the_selection_would_not_take_it(file: File, wants: Wants, reason: str) -> None:
    found = options([file], wants)
    assert found.options == ()
    (left_out,) = found.left_out
    assert left_out.filename == file.filename
    assert reason in left_out.reason


def test_filters_are_those_of_the_rules_for_that_release_when_there_are_some() -> None:
    wheels = Filters(package_types=frozenset({PackageType.BDIST_WHEEL}))
    wants = make_wants(rule("<2", filters=wheels), filters=Filters())
    assert names(options([sdist("1.0"), sdist("2.0")], wants)) == ["demo-2.0.tar.gz"]
    both = make_wants(rule("<2", filters=wheels), rule("<3", filters=Filters(), line=2))
    assert names(options([sdist("1.0")], both)) == ["demo-1.0.tar.gz"]


# ── the files of what is needed ─────────────────────────────────────────────────────────────────────


def need(version: str, *environments: Environment, filenames: frozenset[str] | None = None) -> Need:
    return Need(version=Version(version), origin=HERE, roots=("app",), environments=environments, filenames=filenames)


def chosen(wants: Wants, *files: File, published: Sequence[File] = ()) -> Selection:
    return select(wants, ProjectDetail(files=files), page_url="https://index.example/demo/", published=published)


def test_a_needed_release_is_chosen_with_all_that_suits_its_environments() -> None:
    windows = make_file("demo-1.0-cp312-cp312-win_amd64.whl")
    linux = make_file("demo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl")
    wants = replace(make_wants(), needs=(need("1.0", LINUX),))
    selection = chosen(wants, windows, linux, sdist("1.0"), wheel("2.0"))
    assert [each.file.filename for each in selection.chosen] == [linux.filename, "demo-1.0.tar.gz"]
    assert all(each.is_dependency for each in selection.chosen)
    assert selection.is_dependency
    assert selection.unmet == ()


def test_an_sdist_is_left_out_when_wheels_serve_and_sdists_are_a_fallback() -> None:
    wants = replace(make_wants(filters=Filters(sdists=SdistPolicy.FALLBACK)), needs=(need("1.0", LINUX),))
    assert [each.file.filename for each in chosen(wants, wheel("1.0"), sdist("1.0")).chosen] == [
        "demo-1.0-py3-none-any.whl"
    ]


def test_an_exclusion_wins_when_a_release_is_needed() -> None:
    wants = replace(make_wants(exclude("==1.0")), needs=(need("1.0", LINUX),))
    selection = chosen(wants, wheel("1.0"))
    assert selection.chosen == ()
    assert len(selection.unmet) == 1


def test_a_file_is_no_dependency_when_a_rule_wants_it_too() -> None:
    wants = replace(make_wants(rule("==1.0")), needs=(need("1.0", LINUX), need("2.0", LINUX)))
    selection = chosen(wants, wheel("1.0"), wheel("2.0"))
    assert [each.is_dependency for each in selection.chosen] == [False, True]
    assert not selection.is_dependency


def test_only_published_files_stay_when_a_release_is_kept_as_it_was() -> None:
    kept = need("1.0", filenames=frozenset({"demo-1.0.tar.gz"}))
    wants = replace(make_wants(), needs=(kept,))
    selection = chosen(wants, sdist("1.0"), wheel("1.0"))
    assert [each.file.filename for each in selection.chosen] == ["demo-1.0.tar.gz"]
    assert chosen(wants, wheel("1.0")).unmet == ()  # it is no demand


# ── roots ───────────────────────────────────────────────────────────────────────────────────────────


def make_rule(specifier: str = "", **more: object) -> ProjectRule:
    settings: dict[str, object] = {"environments": (LINUX,), "dependencies": DependencyPolicy.NEWEST}
    extras = more.pop("extras", frozenset())
    made = rule(specifier, filters=Filters(**{**settings, **more}))  # type: ignore[arg-type]
    return structs.replace(made, extras=extras)


def make_spec(*rules: ProjectRule, groups: tuple[Group, ...] = ()) -> Spec:
    return Spec(
        path=Path("mirror.yaml"),
        output=Path("mirror"),
        upstreams=(),
        rules=rules,
        pins=(),
        files=(),
        unservable=(),
        excludes=(),
        allow_newer=(),
        filters=Filters(),
        network=Network(),
        require_hashes=True,
        on_upstream_removal=RemovalPolicy.QUARANTINE,
        groups=groups,
    )


def roots_of(made: ProjectRule, *files: File) -> list[str]:
    spec = make_spec(made)
    selection = chosen(Demands(spec, now=NOW).of(DEMO), *files)
    return [f"{root.requirements[0]} {root.environment.python}" for root in list_roots(spec, [selection])]


def test_the_root_is_the_newest_release_of_each_environment_with_its_extras() -> None:
    made = make_rule(environments=(LINUX, OLD), extras=frozenset({"b", "a"}))
    files = [wheel("1.0"), make_file("demo-2.0-py3-none-any.whl", requires_python=">=3.9")]
    assert roots_of(made, *files) == ["demo[a,b]==2.0 3.12", "demo[a,b]==1.0 3.8"]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (make_rule(), ["demo==1.0 3.12"]),
        (make_rule(prereleases=True), ["demo==2.0a1 3.12", "demo==1.0 3.12"]),
        (make_rule(dependencies=DependencyPolicy.EVERY), ["demo==1.0 3.12", "demo==0.9 3.12"]),
        (make_rule("==0.8"), ["demo==0.8 3.12"]),
        (make_rule(dependencies=DependencyPolicy.NONE), []),
    ],
)
def test_roots_are_what_an_installer_would_take_when_nothing_is_said(made: ProjectRule, expected: list[str]) -> None:
    files = [wheel("0.8", yanked=True), wheel("0.9"), wheel("1.0"), wheel("2.0a1")]
    assert roots_of(made, *files) == expected


def test_a_release_is_no_root_when_no_installer_takes_its_files() -> None:
    made = make_rule(package_types=frozenset(PackageType))
    assert roots_of(made, wheel("1.0"), make_file("demo-2.0.win-amd64-py3.12.exe")) == ["demo==1.0 3.12"]


def test_a_group_is_one_root_for_each_environment_with_what_its_markers_allow() -> None:
    filters = Filters(environments=(LINUX, WINDOWS))
    rules = (
        structs.replace(rule(">=1", filters=filters, pattern="one"), extras=frozenset({"x"})),
        rule("<2", filters=filters, pattern="two", marker='sys_platform == "win32"'),
    )
    found = list_roots(make_spec(groups=(Group(name="web", rules=rules, origin=HERE),)), [])
    assert [(root.name, [str(each) for each in root.requirements]) for root in found] == [
        ("group web", ["one[x]>=1"]),
        ("group web", ["one[x]>=1", "two<2"]),
    ]


def test_find_root_releases_gives_nothing_when_no_environment_meets_the_marker() -> None:
    made = structs.replace(make_rule(), marker='sys_platform == "win32"')
    kept = [each for each in chosen(make_wants(rule()), wheel("1.0")).chosen if isinstance(each, Chosen)]
    assert list(find_root_releases(made, kept)) == []


# ── outcomes ────────────────────────────────────────────────────────────────────────────────────────


def root(name: str = "app", environment: Environment = LINUX, parent: Root | None = None) -> Root:
    return Root(name=name, requirements=(Requirement("app"),), environment=environment, origin=HERE, parent=parent)


def solution(of: Root, *releases: str) -> Solution:
    picks = []
    for release in releases:
        name, _, version = release.partition(" ")
        option = Option(project=canonicalize_name(name), version=Version(version), filename=f"{name}-{version}.tar.gz")
        picks.append(Pick(option=option, extras=(), edges=(Edge(parent=None, requirement=name),)))
    return Solution(root=of, picks=tuple(picks))


def published(name: str, version: str, *roots: str) -> SnapshotProject:
    file = SnapshotFile(filename=f"{name}-{version}.tar.gz", version=version, sha256="a", blake2b="b", size=1)
    return SnapshotProject(name=name, files=(file,), needed=(Needed(version=version, roots=roots),))


def needed(outcomes: Sequence[Outcome], *before: SnapshotProject, is_uncertain: bool = False) -> dict[str, list[str]]:
    needs = gather_needs(outcomes, before, is_uncertain=is_uncertain)
    return {
        project: [f"{each.version} for {'+'.join(each.roots)}{' kept' if each.filenames else ''}" for each in found]
        for project, found in needs.items()
    }


def test_needs_are_those_of_all_solutions_and_builds_count_for_what_they_are_for() -> None:
    first, other = root(), root("other", WINDOWS)
    build = root("app", parent=first)
    outcomes = [solution(first, "lib 1.0"), solution(other, "lib 1.0", "leaf 2"), solution(build, "tool 3")]
    assert needed(outcomes) == {"leaf": ["2 for other"], "lib": ["1.0 for app+other"], "tool": ["3 for app"]}
    (lib,) = gather_needs(outcomes, (), is_uncertain=False)[NormalizedName("lib")]
    assert lib.environments == (WINDOWS, LINUX)  # in order of name


def test_what_was_published_for_a_root_stays_when_it_has_no_solution() -> None:
    before = [published("lib", "1.0", "app", "gone"), published("leaf", "1.0", "other")]
    outcomes: list[Outcome] = [Unsolved(root=root(), problem="no"), solution(root("other"), "leaf 2")]
    assert needed(outcomes, *before) == {"leaf": ["2 for other"], "lib": ["1.0 for app kept"]}


def test_everything_that_was_published_as_needed_stays_when_something_could_not_be_read() -> None:
    before = [published("lib", "1.0", "app"), published("leaf", "1.0", "gone")]
    assert needed([solution(root(), "lib 2")], *before, is_uncertain=True) == {
        "leaf": ["1.0 for gone kept"],
        "lib": ["1.0 for app kept", "2 for app"],
    }


def test_a_published_project_tells_what_it_is_needed_for() -> None:
    demands = Demands(make_spec(rule("==1.0")), now=NOW)
    before = published("demo", "1.0")
    many = tuple(f"root-{number:02}" for number in range(25))
    needs = {DEMO: (Need(version=Version("1"), origin=HERE, roots=many, environments=(LINUX,)),)}
    told = explain_project(before, demands, needs)
    assert told.wanted_by[0] == "demo ==1.0 (mirror.yaml)"
    assert told.wanted_by[1:3] == ("needed by root-00", "needed by root-01")
    assert told.wanted_by[-1] == "needed by 5 more"
    assert told.needed == (Needed(version="1.0", roots=many),)
    assert SpecifierSet("==1.0").contains(told.needed[0].version)
