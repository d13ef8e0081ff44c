"""Environments, times, sizes, names and counts: which files each filter leaves out, why, and by which line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pymirror.environment import make_environment
from pymirror.selection.model import Reason, Selection, Wants
from pymirror.selection.wants import is_moot
from pymirror.simple.model import File
from pymirror.spec.model import (
    Cutoff,
    FileRule,
    Filters,
    KeepLatest,
    LockedFile,
    Origin,
    PackageType,
    Pin,
    ProjectRule,
    ReleaseLine,
    ReleaseRule,
    RemovalPolicy,
    SdistPolicy,
    YankedPolicy,
)
from tests.selection_cases import (
    BOTH,
    DEMO,
    NOW,
    A,
    B,
    chosen,
    exclude,
    make_file,
    make_wants,
    pin,
    reasons,
    rule,
    run,
    sdist,
    unmet_of,
    wheel,
)

LINUX = make_environment("3.11", "x86_64-manylinux_2_28")
WINDOWS = make_environment("3.11", "windows")
MAC = make_environment("3.12", "macos")
NEW_LINUX = make_environment("3.13", "x86_64-manylinux_2_28")

WEEK = Cutoff(text="7 days", age_seconds=7 * 86400)
NEW_YEAR = Cutoff(text="2026-01-01", moment=datetime(2026, 1, 2, tzinfo=UTC))


def key(name: str, line: int = 50) -> Origin:
    return Origin(file="mirror.yaml", line=line, text=name)


def filters(**values: object) -> Filters:
    """Filters whose keys stand on line 50 of the spec."""
    names = [name.replace("_", "-") for name in values]
    return structs.replace(Filters(), **values, origins=tuple((name, key(name)) for name in names))


def tagged(version: str, tags: str, **said: object) -> File:
    return make_file(f"demo-{version}-{tags}.whl", **said)  # type: ignore[arg-type]


def locked(*files: File, marker: str | None = None, line: int = 1, **said: object) -> Pin:
    """A pin of version 1.0 that names ``files`` with their hashes."""
    named = tuple(LockedFile(filename=file.filename, hashes=frozenset(file.hashes)) for file in files)
    return structs.replace(pin("==1.0", line=line), files=named, marker=marker, **said)


def single(pattern: str, line: int = 3) -> FileRule:
    return FileRule(project=DEMO, pattern=pattern, origin=key(pattern, line))


WIN = tagged("1.0", "cp311-cp311-win_amd64")
LIN = tagged("1.0", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")
ON_LINUX = filters(environments=(LINUX,))

# (reason, wants, file, the line that is named)
FILTER_REASONS: list[tuple[Reason, Wants, File, str]] = [
    (Reason.ENVIRONMENT, make_wants(rule(filters=ON_LINUX)), WIN, "mirror.yaml:50"),
    (Reason.ENVIRONMENT, make_wants(pin("==1.0"), filters=ON_LINUX), WIN, "mirror.yaml:50"),
    (Reason.ENVIRONMENT, make_wants(rule(filters=Filters(environments=(LINUX,)))), WIN, "mirror.yaml:1"),
    (
        Reason.REQUIRES_PYTHON,
        make_wants(rule(filters=ON_LINUX)),
        make_file("demo-1.0.tar.gz", requires_python=">=3.12"),
        "mirror.yaml:50",
    ),
    (
        Reason.MARKER,
        make_wants(rule(filters=ON_LINUX, marker='sys_platform == "win32"')),
        wheel("1.0"),
        "mirror.yaml:1",
    ),
    (
        Reason.MARKER,
        make_wants(locked(wheel("1.0"), marker='sys_platform == "win32"'), filters=ON_LINUX),
        wheel("1.0"),
        "demo.lock:1",
    ),
    (Reason.FILE_NAME, make_wants(rule(files=("*.tar.gz", "*-win32.whl"))), wheel("1.0"), "mirror.yaml:1"),
    (Reason.FILE_NAME, make_wants(single("demo-2*")), wheel("1.0"), "mirror.yaml:3"),
    (
        Reason.TOO_NEW,
        make_wants(rule(filters=filters(exclude_newer=WEEK))),
        make_file("demo-1.0.zip", uploaded="2026-01-25"),
        "mirror.yaml:50",
    ),
    (Reason.TOO_NEW, make_wants(rule(filters=filters(exclude_newer=WEEK))), wheel("1.0"), "mirror.yaml:50"),
    (
        Reason.TOO_NEW,
        make_wants(pin("==1.0"), filters=filters(exclude_newer=NEW_YEAR)),
        make_file("demo-1.0.zip", uploaded="2026-01-02"),
        "mirror.yaml:50",
    ),
    (Reason.TOO_NEW, make_wants(single("demo-*"), filters=filters(exclude_newer=WEEK)), wheel("1.0"), "mirror.yaml:50"),
    (
        Reason.TOO_OLD,
        make_wants(rule(filters=filters(exclude_older=NEW_YEAR))),
        make_file("demo-1.0.zip", uploaded="2026-01-01 23:59"),
        "mirror.yaml:50",
    ),
    (Reason.TOO_OLD, make_wants(rule(filters=filters(exclude_older=WEEK))), wheel("1.0"), "mirror.yaml:50"),
    (
        Reason.TOO_LARGE,
        make_wants(rule(filters=filters(max_file_size=1000))),
        make_file("demo-1.0.zip", size=1001),
        "mirror.yaml:50",
    ),
    (
        Reason.TOO_LARGE,
        make_wants(pin("==1.0"), filters=filters(max_file_size=1000)),
        make_file("demo-1.0.zip", size=1001),
        "mirror.yaml:50",
    ),
    (
        Reason.NOT_LATEST,
        make_wants(rule(filters=filters(keep_latest=KeepLatest(count=1)))),
        wheel("0.1"),
        "mirror.yaml:50",
    ),
    (
        Reason.LOCK_MISMATCH,
        make_wants(locked(wheel("1.0", sha256=B))),
        wheel("1.0", sha256=A),
        "",  # refused, which is no rule's choice
    ),
    (
        Reason.HAS_WHEELS,
        make_wants(rule(filters=filters(sdists=SdistPolicy.FALLBACK))),
        sdist("0.5"),  # beside NEIGHBOUR
        "mirror.yaml:50",
    ),
    (Reason.NOT_IN_LOCK, make_wants(locked(sdist("1.0", sha256=B))), wheel("1.0"), "demo.lock:1"),
    (Reason.VERSION, make_wants(locked(sdist("1.0", sha256=B))), wheel("2.0"), "demo.lock:1"),
    (Reason.YANKED, make_wants(single("*"), yanked=YankedPolicy.EXCLUDE), wheel("1.0", yanked=True), "mirror.yaml:3"),
    (Reason.EXCLUDED, make_wants(single("*"), exclude(files=("*any.whl",))), wheel("1.0"), "mirror.yaml:90"),
]
NEIGHBOUR = wheel("0.5")


@pytest.mark.parametrize(("reason", "wants", "file", "line"), FILTER_REASONS)
def test_a_file_is_left_out_with_its_reason_and_line_when_a_filter_says_so(
    reason: Reason, wants: Wants, file: File, line: str
) -> None:
    selection = run(wants, file, NEIGHBOUR)
    assert reasons(selection)[file.filename] == reason
    origins = [str(item.origin) for item in selection.excluded if item.filename == file.filename]
    assert origins == ([line] if line else [])


@pytest.mark.parametrize("wanted", [rule(), pin("==1.0"), single("*")])
def test_a_file_is_chosen_when_no_filter_is_given(wanted: ProjectRule | Pin | FileRule) -> None:
    assert chosen(make_wants(wanted), WIN) == [WIN.filename]


# ── environments ────────────────────────────────────────────────────────────────────────────────────

TAGS = {
    "cp311-cp311-manylinux_2_17_x86_64": {LINUX},
    "cp311-cp311-manylinux_2_31_x86_64": set(),
    "cp311-cp311-musllinux_1_1_x86_64": set(),
    "cp39-abi3-manylinux_2_28_x86_64": {LINUX, NEW_LINUX},
    "cp312-abi3-win_amd64": set(),
    "cp38-abi3-win_amd64": {WINDOWS},
    "cp312-cp312-macosx_11_0_universal2": {MAC},
    "cp312-cp312-macosx_11_0_x86_64": set(),
    "py3-none-any": {LINUX, WINDOWS, MAC, NEW_LINUX},
    "py2.py3-none-any": {LINUX, WINDOWS, MAC, NEW_LINUX},
    "py2-none-any": set(),
    "py3-none-win_amd64": {WINDOWS},
    "cp313-cp313t-manylinux_2_28_x86_64": set(),
    "pp310-pypy310_pp73-manylinux_2_28_x86_64": set(),
}


@pytest.mark.parametrize("tags", TAGS)
def test_a_wheel_is_kept_when_one_environment_can_install_it(tags: str) -> None:
    file = tagged("1.0", tags)
    for environment in (LINUX, WINDOWS, MAC, NEW_LINUX):
        kept = chosen(make_wants(rule(filters=filters(environments=(environment,)))), file)
        assert bool(kept) is (environment in TAGS[tags]), environment
    everything = filters(environments=(LINUX, WINDOWS, MAC, NEW_LINUX))
    assert bool(chosen(make_wants(rule(filters=everything)), file)) is bool(TAGS[tags])


@pytest.mark.parametrize(
    ("requires_python", "kept"),
    [
        (None, True),
        ("", True),
        (">=3.11", True),
        (">=3.11.4", True),
        ("<3.11", False),
        (">=3.12", False),
        ("!=3.11.*", False),
        (">=3.12'", True),
        ("nonsense", True),
    ],
)
@pytest.mark.parametrize("make", ["demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl"])
def test_a_file_is_judged_by_requires_python_as_pip_does_when_there_are_environments(
    make: str, requires_python: str | None, kept: bool
) -> None:
    file = make_file(make, requires_python=requires_python)
    assert bool(chosen(make_wants(rule(filters=ON_LINUX)), file)) is kept


def test_a_wheel_is_left_out_when_its_tags_suit_one_environment_and_its_python_only_another() -> None:
    file = tagged("1.0", "cp311-cp311-win_amd64", requires_python=">=3.13")
    both = filters(environments=(WINDOWS, NEW_LINUX))
    assert reasons(run(make_wants(rule(filters=both)), file)) == {file.filename: Reason.REQUIRES_PYTHON}


def test_an_egg_is_kept_when_its_type_is_asked_for_whatever_the_environments() -> None:
    only = filters(environments=(LINUX,), package_types=frozenset({PackageType.BDIST_EGG}))
    assert chosen(make_wants(rule(filters=only)), make_file("demo-1.0-py2.7.egg")) == ["demo-1.0-py2.7.egg"]


def test_a_rule_is_limited_to_the_environments_of_its_marker_when_it_has_one() -> None:
    both = filters(environments=(LINUX, WINDOWS))
    wants = make_wants(rule(filters=both, marker='sys_platform == "win32"'))
    assert chosen(wants, WIN, LIN) == [WIN.filename]


def test_a_marker_changes_nothing_when_there_are_no_environments() -> None:
    assert chosen(make_wants(rule(marker='sys_platform == "win32"')), LIN) == [LIN.filename]


@pytest.mark.parametrize(
    "wanted", [rule(filters=ON_LINUX, marker='os_name == "nt"'), locked(LIN, marker='os_name == "nt"')]
)
def test_nothing_is_missing_when_the_marker_holds_in_no_environment(wanted: ProjectRule | Pin) -> None:
    assert unmet_of(make_wants(wanted, filters=ON_LINUX), LIN) == []


def test_a_pin_of_a_group_is_kept_when_its_marker_asks_for_the_group() -> None:
    marked = locked(LIN, marker='"dev" in dependency_groups', marker_groups=frozenset({"dev"}))
    assert chosen(make_wants(marked, filters=ON_LINUX), LIN) == [LIN.filename]


# ── sdists ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("environments", "wheels", "kept"),
    [
        (None, [], True),
        (None, [WIN], False),
        ((LINUX,), [LIN], False),
        ((LINUX,), [WIN], True),
        ((LINUX, WINDOWS), [LIN], True),
        ((LINUX, WINDOWS), [LIN, WIN], False),
        ((LINUX, WINDOWS), [wheel("1.0")], False),
        ((LINUX, WINDOWS), [tagged("2.0", "py3-none-any")], True),
    ],
)
@pytest.mark.parametrize("is_locked", [False, True])
def test_an_sdist_is_a_fallback_when_an_environment_has_no_wheel(
    environments: object, wheels: list[File], kept: bool, is_locked: bool
) -> None:
    fallback = filters(sdists=SdistPolicy.FALLBACK, environments=environments)
    wanted = pin("==1.0") if is_locked else rule("==1.0", filters=fallback)
    assert ("demo-1.0.tar.gz" in chosen(make_wants(wanted, filters=fallback), sdist("1.0"), *wheels)) is kept


def test_an_sdist_is_kept_when_the_wheel_is_too_large() -> None:
    small = filters(sdists=SdistPolicy.FALLBACK, max_file_size=10)
    files = [make_file("demo-1.0.zip", size=1), make_file("demo-1.0-py3-none-any.whl", size=100)]
    assert chosen(make_wants(rule(filters=small)), *files) == ["demo-1.0.zip"]


def test_an_sdist_stays_out_when_its_wheel_is_excluded() -> None:
    fallback = filters(sdists=SdistPolicy.FALLBACK)
    wants = make_wants(rule(filters=fallback), exclude(files=("*.whl",)))
    assert chosen(wants, sdist("1.0"), wheel("1.0")) == []


def test_an_sdist_counts_for_its_own_python_when_it_is_a_fallback() -> None:
    fallback = filters(sdists=SdistPolicy.FALLBACK, environments=(LINUX, NEW_LINUX))
    source = make_file("demo-1.0.zip", requires_python="<3.12")  # which 3.13 could not install anyway
    assert chosen(make_wants(rule(filters=fallback)), source, LIN) == [LIN.filename]


# ── keep-latest ─────────────────────────────────────────────────────────────────────────────────────


def latest(count: int, per: ReleaseLine | None = None, **more: object) -> Filters:
    return filters(keep_latest=KeepLatest(count=count, per=per), **more)


@pytest.mark.parametrize(
    ("count", "per", "expected"),
    [
        (1, None, ["1!0.1"]),
        (2, None, ["2.1.1", "1!0.1"]),
        (1, ReleaseLine.MAJOR, ["1.2", "2.1.1", "1!0.1"]),
        (1, ReleaseLine.MINOR, ["1.0.post1", "1.2", "2.0", "2.1.1", "1!0.1"]),
        (2, ReleaseLine.MINOR, ["1.0", "1.0.post1", "1.2", "2.0", "2.1.0", "2.1.1", "1!0.1"]),
        (99, None, ["0.9rc1+x", "1.0", "1.0.post1", "1.2", "2.0", "2.1.0", "2.1.1", "1!0.1"][1:]),
    ],
)
def test_the_newest_releases_are_kept_when_they_are_counted(
    count: int, per: ReleaseLine | None, expected: list[str]
) -> None:
    files = [wheel(text) for text in ("1.0", "1.0.post1", "1.2", "2.0", "2.1.0", "2.1.1", "1!0.1")]
    selection = run(make_wants(rule(filters=latest(count, per))), *files)
    assert [str(item.version) for item in selection.chosen] == expected


def test_each_environment_keeps_its_newest_when_releases_are_counted() -> None:
    files = [
        tagged("1.0", "cp311-cp311-win_amd64"),
        tagged("1.0", "cp311-cp311-manylinux_2_28_x86_64"),
        tagged("2.0", "cp311-cp311-manylinux_2_28_x86_64"),
    ]
    wants = make_wants(rule(filters=latest(1, environments=(LINUX, WINDOWS))))
    assert chosen(wants, *files) == [files[0].filename, files[2].filename]


def test_an_older_release_is_kept_when_the_newest_dropped_an_environments_python() -> None:
    files = [
        make_file("demo-1.0-py3-none-any.whl", requires_python=">=3.8"),
        make_file("demo-2.0-py3-none-any.whl", requires_python=">=3.13"),
    ]
    wants = make_wants(rule(filters=latest(1, environments=(LINUX, NEW_LINUX))))
    assert chosen(wants, *files) == [file.filename for file in files]


def test_the_count_comes_after_the_other_filters_when_there_are_some() -> None:
    files = [
        wheel("1.0"),
        wheel("2.0", yanked=True),
        make_file("demo-3.0-py3-none-any.whl", size=10**9),
        wheel("4.0rc1"),
        make_file("demo-5.0.zip"),
    ]
    only = latest(1, max_file_size=10, package_types=frozenset({PackageType.BDIST_WHEEL}))
    assert chosen(make_wants(rule(filters=only)), *files) == ["demo-1.0-py3-none-any.whl"]


def test_no_older_release_comes_in_when_the_newest_is_excluded() -> None:
    wants = make_wants(rule(filters=latest(1)), exclude("==2.0"))
    assert chosen(wants, wheel("1.0"), wheel("2.0")) == []


@pytest.mark.parametrize("pattern", ["demo", "d*"])
def test_it_is_told_when_the_newest_are_excluded_and_older_ones_passed_over(pattern: str) -> None:
    wants = make_wants(rule(filters=latest(1), pattern=pattern), exclude("==2.0"))
    ((origin, problem),) = unmet_of(wants, wheel("1.0"), wheel("2.0"))
    assert origin == "mirror.yaml:1"
    assert problem.startswith("all that keep-latest counts is left out by exclude")


def test_the_environment_is_told_when_only_its_newest_are_excluded() -> None:
    files = [
        tagged("1.0", "cp311-cp311-win_amd64"),
        tagged("2.0", "cp311-cp311-win_amd64"),
        tagged("2.0", "cp311-cp311-manylinux_2_28_x86_64"),
    ]
    wants = make_wants(
        rule(filters=latest(1, environments=(LINUX, WINDOWS))), exclude("==2.0", files=("*win_amd64.whl",))
    )
    ((_, problem),) = unmet_of(wants, *files)
    assert problem.startswith("all that keep-latest counts for cpython 3.11 on x86_64-pc-windows-msvc is left out")
    assert chosen(wants, *files) == [files[2].filename]


def test_a_pattern_demands_nothing_when_a_project_has_nothing_for_it() -> None:
    assert unmet_of(make_wants(rule(">=2", pattern="d*")), wheel("1.0")) == []
    assert unmet_of(make_wants(rule(pattern="d*"), exclude()), wheel("1.0")) == []


def test_a_pin_is_kept_when_it_is_older_than_what_is_counted() -> None:
    wants = make_wants(rule(filters=latest(1)), pin("==1.0"), filters=latest(1))
    assert chosen(wants, wheel("1.0"), wheel("2.0"), wheel("3.0")) == [
        "demo-1.0-py3-none-any.whl",
        "demo-3.0-py3-none-any.whl",
    ]


# ── times ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cutoff", "uploaded", "kept"),
    [
        (WEEK, "2026-01-24 11:59:59", True),
        (WEEK, "2026-01-24 12:00", False),
        (WEEK, "2026-01-31", False),
        (NEW_YEAR, "2026-01-01 23:59", True),
        (NEW_YEAR, "2026-01-02", False),
    ],
)
def test_a_file_waits_when_it_is_newer_than_the_cutoff(cutoff: Cutoff, uploaded: str, kept: bool) -> None:
    file = make_file("demo-1.0.zip", uploaded=uploaded)
    assert bool(chosen(make_wants(rule(filters=filters(exclude_newer=cutoff))), file)) is kept


def test_a_file_tells_until_when_it_waits_when_the_cutoff_is_an_age() -> None:
    file = make_file("demo-1.0.zip", uploaded="2026-01-30 06:00")
    (item,) = run(make_wants(rule(filters=filters(exclude_newer=WEEK))), file).excluded
    assert item.until == datetime(2026, 2, 6, 6, tzinfo=UTC)
    (item,) = run(make_wants(rule(filters=filters(exclude_newer=NEW_YEAR))), file).excluded
    assert item.until is None
    later = replace(make_wants(rule(filters=filters(exclude_newer=WEEK))), now=NOW + timedelta(days=6))
    assert chosen(later, file) == [file.filename]


def test_a_file_without_upload_time_says_so_when_it_is_too_new() -> None:
    wants = make_wants(rule(filters=filters(exclude_newer=WEEK)))
    (item,) = run(wants, wheel("1.0")).excluded
    assert (item.detail, item.until) == ("upstream gives no upload time", None)
    ((_, problem),) = unmet_of(wants, wheel("1.0"))
    assert problem == "the one matching file was left out: too-new: upstream gives no upload time (mirror.yaml:50)"


@pytest.mark.parametrize("wanted", [rule(filters=filters(exclude_newer=WEEK)), pin("==1.0"), single("*.zip")])
@pytest.mark.parametrize(("allowed", "kept"), [("==1.0", True), ("<1", False), ("", True)])
def test_a_file_does_not_wait_when_it_is_let_through(
    wanted: ProjectRule | Pin | FileRule, allowed: str, kept: bool
) -> None:
    wants = make_wants(wanted, filters=filters(exclude_newer=WEEK), allow_newer=[exclude(allowed)])
    assert bool(chosen(wants, make_file("demo-1.0.zip", uploaded="2026-01-31"))) is kept


def test_an_exclusion_wins_when_the_file_is_let_through_too() -> None:
    wants = make_wants(rule(filters=filters(exclude_newer=WEEK)), exclude(), allow_newer=[exclude()])
    assert chosen(wants, make_file("demo-1.0.zip", uploaded="2026-01-31")) == []


def test_an_age_reaches_back_for_ever_when_it_is_longer_than_the_calendar() -> None:
    ages = Cutoff(text="3000 years", age_seconds=3000 * 366 * 86400.0)
    file = make_file("demo-1.0.zip", uploaded="2026-01-01")
    assert chosen(make_wants(rule(filters=filters(exclude_older=ages))), file) == [file.filename]
    assert chosen(make_wants(rule(filters=filters(exclude_newer=ages))), file) == []


# ── single files, and lock files that name files ────────────────────────────────────────────────────


def test_a_file_is_kept_when_it_is_named_whatever_its_kind() -> None:
    narrow = filters(
        environments=(LINUX,),
        package_types=frozenset({PackageType.BDIST_WHEEL}),
        keep_latest=KeepLatest(count=1),
        exclude_older=WEEK,
    )
    files = [wheel("2.0"), make_file("demo-1.0rc1-py2.7.egg"), make_file("demo-1.0.win32.exe", yanked=True)]
    wants = make_wants(single("demo-1.0*"), filters=narrow)
    assert chosen(wants, *files) == ["demo-1.0rc1-py2.7.egg", "demo-1.0.win32.exe"]


def test_a_single_file_is_unmet_when_upstream_does_not_have_it() -> None:
    ((origin, problem),) = unmet_of(make_wants(single("demo-2.0.zip")), wheel("1.0"))
    assert (origin, problem) == ("mirror.yaml:3", "none of the 1 files that upstream lists is called so")


def test_a_lock_takes_a_file_by_its_name_when_it_calls_the_version_otherwise() -> None:
    file = make_file("demo-1.0+cu118-py3-none-any.whl")
    assert chosen(make_wants(locked(file)), file, wheel("1.0", sha256=B)) == [file.filename]


@pytest.mark.parametrize("hashes", [True, False])
def test_a_lock_finds_a_file_when_it_spells_the_name_otherwise(hashes: bool) -> None:
    theirs = make_file("Demo-1.0-py3-none-any.whl", sha256=A if hashes else None)
    wants = make_wants(locked(make_file("demo-1.0-py3-none-any.whl")), require_hashes=False)
    selection = run(wants, theirs)
    assert [item.file.filename for item in selection.chosen] == [theirs.filename]
    assert selection.unmet == ()


def test_a_lock_finds_a_file_by_its_hash_when_it_spells_the_project_otherwise() -> None:
    theirs = make_file("de.mo-1.0.tar.gz", sha256=B)
    wants = replace(make_wants(locked(make_file("de_mo-1.0.tar.gz", sha256=B))), project=canonicalize_name("de-mo"))
    selection = run(wants, theirs)
    assert [item.file.filename for item in selection.chosen] == [theirs.filename]
    assert selection.unmet == ()


def test_a_locked_file_is_a_failure_when_upstream_does_not_list_it() -> None:
    wants = make_wants(locked(wheel("1.0"), sdist("1.0")))
    assert unmet_of(wants, wheel("1.0")) == [("demo.lock:1", "upstream does not list demo-1.0.tar.gz, which it locks")]


@pytest.mark.parametrize(
    "wants",
    [
        make_wants(locked(LIN, WIN), filters=ON_LINUX),
        make_wants(locked(LIN, sdist("1.0")), types=frozenset({PackageType.BDIST_WHEEL})),
        make_wants(locked(LIN, sdist("1.0")), exclude(files=("*.tar.gz",))),
        make_wants(locked(LIN, sdist("1.0")), filters=filters(sdists=SdistPolicy.FALLBACK)),
    ],
)
def test_a_locked_file_is_not_missed_when_a_filter_would_leave_it_out(wants: Wants) -> None:
    assert unmet_of(wants, LIN) == []


def test_a_locked_file_is_refused_when_upstreams_hash_is_another() -> None:
    selection = run(make_wants(locked(wheel("1.0", sha256=B), sdist("1.0"))), wheel("1.0", sha256=A), sdist("1.0"))
    assert [item.reason for item in selection.refused] == [Reason.LOCK_MISMATCH]
    assert [item.file.filename for item in selection.chosen] == ["demo-1.0.tar.gz"]


def test_the_lock_decides_by_name_when_two_of_its_files_have_other_hashes() -> None:
    files = [wheel("1.0", sha256=A), sdist("1.0", sha256=B)]
    swapped = [wheel("1.0", sha256=B), sdist("1.0", sha256=A)]
    assert len(chosen(make_wants(locked(*files)), *files)) == 2
    assert chosen(make_wants(locked(*files)), *swapped) == []


# ── what upstream lists no more ─────────────────────────────────────────────────────────────────────

GONE = make_file("demo-1.0-py3-none-any.whl", url="")
POLICIES = [(RemovalPolicy.KEEP, True), (RemovalPolicy.DROP, False), (RemovalPolicy.QUARANTINE, False)]


@pytest.mark.parametrize(("policy", "kept"), POLICIES)
@pytest.mark.parametrize("wanted", [rule(), pin("==1.0"), single("*")])
def test_a_removed_file_is_kept_when_the_policy_says_so(
    wanted: ProjectRule | Pin | FileRule, policy: RemovalPolicy, kept: bool
) -> None:
    wants = make_wants(wanted, on_upstream_removal=policy)
    gone = File(filename=GONE.filename, url="", hashes=GONE.hashes)
    selection = run(wants, sdist("1.0"), published=[gone, sdist("1.0")])
    assert [(c.file.filename, c.is_removed) for c in selection.chosen if c.is_removed] == (
        [(GONE.filename, True)] if kept else []
    )
    assert (reasons(selection).get(GONE.filename) is Reason.REMOVED_UPSTREAM) is not kept


def test_a_removed_file_is_told_by_the_rule_when_nobody_wants_it_any_more() -> None:
    selection = run(make_wants(rule(">=2")), wheel("2.0"), published=[GONE])
    assert reasons(selection) == {GONE.filename: Reason.VERSION}


@pytest.mark.parametrize(("policy", "expected"), [(RemovalPolicy.KEEP, ["2.0"]), (RemovalPolicy.DROP, ["1.0"])])
def test_a_removed_release_counts_when_it_is_kept(policy: RemovalPolicy, expected: list[str]) -> None:
    wants = make_wants(rule(filters=latest(1)), on_upstream_removal=policy)
    selection = run(wants, wheel("1.0"), published=[wheel("2.0")])
    assert [str(item.version) for item in selection.chosen] == expected


def test_removed_files_leave_when_the_project_is_quarantined() -> None:
    wants = make_wants(rule(), on_upstream_removal=RemovalPolicy.KEEP)
    selection = run(wants, status="quarantined", published=[GONE])
    assert reasons(selection) == {GONE.filename: Reason.QUARANTINED}
    assert [item.problem for item in selection.unmet] == ["upstream has quarantined the project"]


# ── properties ──────────────────────────────────────────────────────────────────────────────────────

_VERSIONS = st.sampled_from(["0.9", "1.0", "1.0.post1", "1.1rc1", "1.1", "2.0.dev1", "2.0", "1!0.1"])
_SPECIFIERS = st.sampled_from(["", "<1", ">=1", "==1.0", "==1.*", "!=1.1"])
_TIMES = st.sampled_from([None, "2025-06-01", "2026-01-01", "2026-01-28", "2026-01-31"])
_PYTHONS = st.sampled_from([None, None, ">=3.8", ">=3.12", "<3.12", "junk"])
_SIZES = st.sampled_from([None, 1, 100, 10_000])
_NAMES = st.one_of(
    st.builds("demo-{}-{}.whl".format, _VERSIONS, st.sampled_from(sorted(TAGS))),
    st.builds("demo-{}.tar.gz".format, _VERSIONS),
    st.builds("demo-{}-py3.8.egg".format, _VERSIONS),
)
_FILES = st.lists(
    st.builds(
        make_file,
        _NAMES,
        sha256=st.sampled_from([A, B]),
        yanked=st.sampled_from([False, False, True]),
        size=_SIZES,
        uploaded=_TIMES,
        requires_python=_PYTHONS,
    ),
    max_size=12,
    unique_by=lambda file: file.filename,
)
_ENVIRONMENTS = st.one_of(
    st.none(),
    st.lists(st.sampled_from([LINUX, WINDOWS, MAC, NEW_LINUX]), min_size=1, max_size=3, unique=True).map(tuple),
)
_KEEP = st.one_of(
    st.none(),
    st.builds(KeepLatest, count=st.integers(1, 4), per=st.sampled_from([None, ReleaseLine.MAJOR, ReleaseLine.MINOR])),
)
_FILTERS = st.builds(
    Filters,
    package_types=st.sampled_from([BOTH, frozenset({PackageType.BDIST_WHEEL}), frozenset(PackageType)]),
    prereleases=st.booleans(),
    yanked=st.sampled_from(YankedPolicy),
    sdists=st.sampled_from(SdistPolicy),
    environments=_ENVIRONMENTS,
    keep_latest=_KEEP,
    exclude_newer=st.sampled_from([None, WEEK, NEW_YEAR]),
    exclude_older=st.sampled_from([None, WEEK, NEW_YEAR]),
    max_file_size=st.sampled_from([None, 100]),
)
_RULES = st.lists(
    st.one_of(
        st.builds(
            rule,
            _SPECIFIERS,
            filters=_FILTERS,
            pattern=st.sampled_from(["demo", "d*"]),
            marker=st.sampled_from([None, None, 'sys_platform == "win32"', 'python_version < "3.12"']),
            files=st.sampled_from([(), (), ("*.whl",), ("demo-1*",)]),
        ),
        st.builds(pin, st.sampled_from(["==1.0", "==1.1rc1"])),
        st.builds(single, st.sampled_from(["*.egg", "demo-1.0*", "demo-2.0.tar.gz"])),
    ),
    min_size=1,
    max_size=4,
)
_EXCLUDES = st.lists(
    st.builds(exclude, _SPECIFIERS, files=st.sampled_from([(), (), ("*.whl",), ("*.tar.gz",)])), max_size=2
)
_POLICIES = st.sampled_from(RemovalPolicy)


def _summary(selection: Selection) -> object:
    left_out = {(item.filename, item.reason) for item in selection.excluded}
    return selection.chosen, left_out, {(item.origin, item.problem) for item in selection.unmet}


@settings(deadline=None)
@given(_FILES, _FILES, _RULES, _EXCLUDES, _FILTERS, _POLICIES, st.randoms(use_true_random=False))
def test_the_selection_is_the_same_when_files_and_rules_come_in_another_order(
    files: list[File],
    published: list[File],
    wanted: list[ProjectRule | Pin | FileRule],
    excludes: list[ReleaseRule],
    common: Filters,
    policy: RemovalPolicy,
    random: Random,
) -> None:
    everything = [
        structs.replace(item, origin=replace(item.origin, line=line))
        for line, item in enumerate([*wanted, *excludes], start=1)
    ]
    before = run(make_wants(*everything, filters=common, on_upstream_removal=policy), *files, published=published)
    for each in (files, published, everything):
        random.shuffle(each)
    after = run(make_wants(*everything, filters=common, on_upstream_removal=policy), *files, published=published)
    assert _summary(after) == _summary(before)


@settings(deadline=None)
@given(_FILES, _FILES, _RULES, _EXCLUDES, _EXCLUDES, _FILTERS, _POLICIES)
def test_no_file_comes_in_when_an_exclusion_is_added_to_any_filters(
    files: list[File],
    published: list[File],
    wanted: list[ProjectRule | Pin | FileRule],
    excludes: list[ReleaseRule],
    more: list[ReleaseRule],
    common: Filters,
    policy: RemovalPolicy,
) -> None:
    def kept(*all_excludes: ReleaseRule) -> set[str]:
        wants = make_wants(*wanted, *all_excludes, filters=common, on_upstream_removal=policy)
        return {item.file.filename for item in run(wants, *files, published=published).chosen}

    assert kept(*excludes, *more) <= kept(*excludes)


@settings(deadline=None)
@given(_FILES, _FILTERS, st.integers(1, 4), st.sampled_from([None, ReleaseLine.MAJOR, ReleaseLine.MINOR]), _EXCLUDES)
def test_fewer_latest_releases_are_a_subset_when_more_would_be_kept(
    files: list[File], common: Filters, count: int, per: ReleaseLine | None, excludes: list[ReleaseRule]
) -> None:
    def kept(number: int) -> set[str]:
        own = structs.replace(common, keep_latest=KeepLatest(count=number, per=per))
        return set(chosen(make_wants(rule(filters=own), *excludes), *files))

    assert kept(count) <= kept(count + 1)


@settings(deadline=None)
@given(_FILES, _FILTERS)
def test_each_environment_has_its_newest_when_one_release_is_kept(files: list[File], common: Filters) -> None:
    """What a filter without a count would offer an environment at best, it is still offered."""
    if common.environments is None:
        return
    everything = structs.replace(common, keep_latest=None)
    counted = structs.replace(common, keep_latest=KeepLatest(count=1))
    for environment in common.environments:
        only = structs.replace(everything, environments=(environment,))
        offered = run(make_wants(rule(filters=only)), *files).chosen
        kept = {item.file.filename for item in run(make_wants(rule(filters=counted)), *files).chosen}
        if offered and common.sdists is SdistPolicy.ALL:
            newest = max(item.version for item in offered)
            assert {item.file.filename for item in offered if item.version == newest} <= kept


@settings(deadline=None)
@given(_FILES, _RULES, _EXCLUDES, _FILTERS)
def test_every_file_is_accounted_for_once_when_any_filters_are_given(
    files: list[File], wanted: list[ProjectRule | Pin | FileRule], excludes: list[ReleaseRule], common: Filters
) -> None:
    selection = run(make_wants(*wanted, *excludes, filters=common), *files)
    names = [item.file.filename for item in selection.chosen]
    names += [item.filename for item in selection.excluded]
    names += [item.filename for item in selection.refused]
    assert sorted(names) == sorted(file.filename for file in files)


def test_a_release_rule_names_files_when_it_has_patterns_and_a_specifier() -> None:
    forbidden = ReleaseRule(
        pattern="demo", specifier=SpecifierSet("<2"), origin=key("x"), files=("*.tar.gz", "*.egg"), reason="CVE-1"
    )
    files = [sdist("1.0"), wheel("1.0"), sdist("2.0")]
    selection = run(make_wants(rule(), forbidden), *files)
    assert [(item.filename, item.detail) for item in selection.excluded] == [("demo-1.0.tar.gz", "CVE-1")]


def _names(items: Sequence[File]) -> list[str]:
    return [item.filename for item in items]


@pytest.mark.parametrize(
    ("wants", "expected"),
    [
        (make_wants(rule(pattern="d*"), exclude()), True),
        (make_wants(rule(), exclude()), False),  # named: that nothing is left of it is to be told
        (make_wants(rule(pattern="d*"), exclude("<1")), False),
        (make_wants(rule(pattern="d*"), exclude(files=("*.zip",))), False),
        (make_wants(rule(filters=ON_LINUX, marker='os_name == "nt"')), True),
        (make_wants(rule(filters=ON_LINUX, marker='os_name == "nt"'), rule()), False),
        (make_wants(rule(marker='os_name == "nt"')), False),
        (make_wants(locked(LIN, marker='os_name == "nt"'), filters=ON_LINUX), True),
        (make_wants(locked(LIN, marker='os_name == "nt"'), single("*"), filters=ON_LINUX), False),
    ],
)
def test_a_project_is_not_asked_for_when_nothing_of_it_can_be_wanted(wants: Wants, expected: bool) -> None:
    assert is_moot(wants) is expected


# ── locks against everything else ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("other", [rule(), single("*"), pin("==1.0", line=2), locked(wheel("1.0", sha256=A), line=2)])
def test_a_mismatch_is_refused_when_something_else_wants_the_file(other: ProjectRule | Pin | FileRule) -> None:
    selection = run(make_wants(locked(wheel("1.0", sha256=B)), other), wheel("1.0", sha256=A))
    assert selection.chosen == ()
    assert [(item.reason, len(item.origins)) for item in selection.refused] == [(Reason.LOCK_MISMATCH, 2)]


@pytest.mark.parametrize(
    "wants",
    [
        make_wants(locked(WIN), exclude()),
        make_wants(locked(WIN), exclude(files=("*.whl",))),
        make_wants(locked(WIN), types=frozenset({PackageType.SDIST})),
        make_wants(locked(WIN), filters=ON_LINUX),
        make_wants(locked(WIN), filters=filters(exclude_newer=WEEK)),
    ],
)
def test_a_mismatch_is_no_failure_when_a_filter_leaves_the_file_out_anyway(wants: Wants) -> None:
    theirs = make_file(WIN.filename, sha256=B)
    assert run(wants, theirs).refused == ()


@pytest.mark.parametrize("other", [rule(), single("*"), pin("==1.0", line=2)])
def test_the_hash_of_a_named_file_is_compared_later_whoever_else_wants_it(other: ProjectRule | Pin | FileRule) -> None:
    wants = make_wants(locked(wheel("1.0", sha256=B)), other, require_hashes=False)
    (item,) = run(wants, wheel("1.0", sha256=None)).chosen
    assert item.lock_hashes == {frozenset({("sha256", B)})}


def test_a_file_must_meet_both_locks_when_two_name_it_with_other_hashes() -> None:
    wants = make_wants(
        locked(wheel("1.0", sha256=A), line=1), locked(wheel("1.0", sha256=B), line=2), require_hashes=False
    )
    (item,) = run(wants, wheel("1.0", sha256=None)).chosen
    assert item.lock_hashes == {frozenset({("sha256", A)}), frozenset({("sha256", B)})}


def test_every_hash_of_a_named_file_must_agree_when_a_lock_has_several() -> None:
    file = make_file("demo-1.0.zip", hashes=(("md5", "d" * 32), ("sha256", A)))
    theirs = make_file("demo-1.0.zip", hashes=(("md5", "d" * 32), ("sha256", B)))
    assert [item.reason for item in run(make_wants(locked(file)), theirs).refused] == [Reason.LOCK_MISMATCH]


def test_both_entries_are_judged_when_two_stand_on_one_line() -> None:
    eggs = rule(filters=Filters(package_types=frozenset({PackageType.BDIST_EGG})))
    problem = "the one matching file was left out: package-type: bdist_wheel"
    assert unmet_of(make_wants(rule(), eggs), wheel("1.0")) == [("mirror.yaml:1", problem)]


def test_entries_are_told_in_order_when_one_has_no_line() -> None:
    lost = structs.replace(pin("==1.0"), origin=Origin(file="demo.lock", line=None, text="demo==1.0"))
    (item,) = run(make_wants(pin("==1.0", line=5), lost), wheel("1.0")).chosen
    assert [str(origin) for origin in item.origins] == ["demo.lock", "demo.lock:5"]


def test_a_removed_release_lets_no_prerelease_in_or_out_when_it_is_not_kept() -> None:
    for published in ([wheel("1.0")], []):
        selection = run(make_wants(rule()), wheel("2.0rc1"), published=published)
        assert [str(item.version) for item in selection.chosen] == ["2.0rc1"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_shortest_wait_is_told_when_two_entries_let_a_file_wait(order: int) -> None:
    month = Cutoff(text="30 days", age_seconds=30 * 86400)
    rules = [rule(line=number, filters=filters(exclude_newer=cutoff)) for number, cutoff in ((10, month), (9, WEEK))]
    (item,) = run(make_wants(*rules[::order]), make_file("demo-1.0.zip", uploaded="2026-01-30 06:00")).excluded
    assert item.until == datetime(2026, 2, 6, 6, tzinfo=UTC)


def test_an_exclusion_is_told_and_no_removal_when_both_are_true() -> None:
    selection = run(make_wants(rule(), exclude("<2")), wheel("2.0"), published=[GONE])
    assert reasons(selection) == {GONE.filename: Reason.EXCLUDED}


def test_a_file_that_is_named_tells_why_it_cannot_be_read_when_it_is_no_distribution() -> None:
    ((_, problem),) = unmet_of(make_wants(single("demo-2004d.tar.gz")), make_file("demo-2004d.tar.gz"), wheel("1.0"))
    assert problem == "the one matching file was left out: invalid-version: 2004d"


def test_a_pin_knows_its_release_when_it_spells_the_version_otherwise() -> None:
    assert chosen(make_wants(pin("==1.0.0")), wheel("1"), wheel("1.0.1")) == ["demo-1-py3-none-any.whl"]
    assert chosen(make_wants(pin("==1.0+x")), wheel("1.0"), wheel("1.0+x")) == ["demo-1.0+x-py3-none-any.whl"]
    assert chosen(make_wants(pin("===1.0")), wheel("1.0"), wheel("1.1")) == ["demo-1.0-py3-none-any.whl"]
