"""The keys that say which files are kept, which are wanted one by one, and which never: their meaning and mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pymirror.environment import make_environment
from pymirror.spec.files import is_ignored
from pymirror.spec.filters import MAX_ENVIRONMENTS
from pymirror.spec.model import (
    Cutoff,
    Filters,
    KeepLatest,
    Origin,
    PackageType,
    ReleaseLine,
    ReleaseRule,
    RemovalPolicy,
    SdistPolicy,
    Spec,
    Unservable,
    YankedPolicy,
)
from tests.test_spec import load, load_line, message_of, message_of_line, problems_of

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LINUX_312 = make_environment("3.12", "linux")
KEEP_LATEST = 'keep-latest: expected "all" or a whole number from 1 to 1000000 or a mapping, got'
NO_CUTOFF = 'is neither a date nor an age (write "2026-01-31" or "7 days")'
NO_SIZE = 'not an amount that can be used (write "500 kB", "2 GB")'


def load_entry(entry: str, line: str = "", *, environ: Mapping[str, str] | None = None) -> Spec:
    """A spec of one project: ``entry``, its third line, after ``line``."""
    return load(f"output: tree\n{line}\nprojects: [{entry}]\n", environ=environ)


def filters_of_line(line: str, **environ: str) -> Filters:
    return load(f"output: tree\nprojects: [demo]\n{line}\n", environ=environ).filters


def message_of_entry(entry: str) -> str:
    """What is said of the one entry of ``projects``, on line 2."""
    return message_of(f"output: tree\nprojects: [{entry}]\n")


# ── every key: the top level, a project's own, and where each was given ─────────────────────────────

FILTERS: list[tuple[str, str, Any]] = [
    ("environments: {python: ['3.12'], platform: [linux]}", "environments", (LINUX_312,)),
    ("environments: [{python: '3.12', platform: linux}]", "environments", (LINUX_312,)),
    ("environments: all", "environments", None),
    ("package-types: [egg]", "package_types", frozenset({PackageType.BDIST_EGG})),
    ("package-types: [wheel, bdist_wheel]", "package_types", frozenset({PackageType.BDIST_WHEEL})),
    ("package-types: [bdist_msi]", "package_types", frozenset({PackageType.BDIST_MSI})),
    ("sdists: fallback", "sdists", SdistPolicy.FALLBACK),
    ("sdists: all", "sdists", SdistPolicy.ALL),
    ("prereleases: true", "prereleases", True),
    ("yanked: include", "yanked", YankedPolicy.INCLUDE),
    ("keep-latest: 5", "keep_latest", KeepLatest(count=5)),
    ("keep-latest: {per: major, count: 1}", "keep_latest", KeepLatest(count=1, per=ReleaseLine.MAJOR)),
    ("keep-latest: all", "keep_latest", None),
    ("exclude-newer: 7 days", "exclude_newer", Cutoff(text="7 days", age_seconds=604_800)),
    ("exclude-newer: 0", "exclude_newer", Cutoff(text="0")),
    ("exclude-older: 1000 days", "exclude_older", Cutoff(text="1000 days", age_seconds=86_400_000)),
    ("max-file-size: 1.5 MB", "max_file_size", 1_500_000),
    ("max-file-size: 1", "max_file_size", 1),
    ("build-dependencies: false", "build_dependencies", False),
]


@pytest.mark.parametrize(("line", "name", "value"), FILTERS)
def test_a_filter_holds_for_every_project_when_it_stands_at_the_top(line: str, name: str, value: Any) -> None:
    spec = load_line(line)
    assert getattr(spec.filters, name) == value
    assert spec.rules[0].filters == spec.filters


@pytest.mark.parametrize(("line", "name", "value"), FILTERS)
def test_a_filter_holds_for_one_project_when_it_is_its_own(line: str, name: str, value: Any) -> None:
    other = {
        "environments": "{python: ['3.9'], platform: [windows]}",
        "package-types": "[sdist]",
        "sdists": "all" if "fallback" in line else "fallback",
        "prereleases": "false",
        "yanked": "exclude",
        "keep-latest": "99",
        "exclude-newer": "99 days",
        "exclude-older": "99 days",
        "max-file-size": "99 GB",
        "build-dependencies": "true",
    }
    key = name.replace("_", "-")
    spec = load(f"output: tree\n{key}: {other[key]}\nprojects:\n  - name: own\n    {line}\n  - other\n")
    own, without = spec.rules
    assert getattr(own.filters, name) == value
    assert getattr(without.filters, name) == getattr(spec.filters, name) != value
    origin, top = own.filters.origin_of(key), spec.filters.origin_of(key)
    assert origin is not None
    assert top is not None
    assert (str(origin), str(top)) == ("mirror.yaml:5", "mirror.yaml:2")
    assert without.filters.origin_of(key) == top


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("environments: {python: ['3.12'], platform: [linux]}", "environments"),
        ("environments: [{python: '3.12', platform: linux}]", "environments"),
        ("environments: all", "environments: all"),
        ("package-types: [wheel, sdist]", "package-types: wheel, sdist"),
        ("sdists: fallback", "sdists: fallback"),
        ("prereleases: false", "prereleases: false"),
        ("prereleases: True", "prereleases: true"),
        ("yanked: pinned", "yanked: pinned"),
        ("keep-latest: 5", "keep-latest: 5"),
        ("keep-latest: {per: major, count: 2}", "keep-latest: 2 per major"),
        ("exclude-newer: 2026-01-31", "exclude-newer: 2026-01-31"),
        ("exclude-older: 0", "exclude-older: 0"),
        ("max-file-size: 500 MB", "max-file-size: 500 MB"),
        ("build-dependencies: no", "build-dependencies: false"),
    ],
)
def test_a_filter_knows_its_line_and_text_when_it_was_given(line: str, text: str) -> None:
    filters = load_line(line).filters
    key = line.partition(":")[0]
    (given,) = filters.origins
    assert (given[0], str(given[1]), given[1].text) == (key, "mirror.yaml:3", text)
    assert filters.origin_of(key) == given[1]
    assert filters.origin_of("name") is None


def test_a_project_keeps_the_other_filters_of_the_top_when_it_has_one_of_its_own() -> None:
    spec = load_entry("{name: demo, yanked: exclude}", "prereleases: true")
    filters = spec.rules[0].filters
    assert (filters.prereleases, filters.yanked) == (True, YankedPolicy.EXCLUDE)
    assert [(key, str(origin)) for key, origin in filters.origins] == [
        ("prereleases", "mirror.yaml:2"),
        ("yanked", "mirror.yaml:3"),
    ]


def test_a_filter_is_switched_off_for_a_project_when_it_says_all() -> None:
    line = "keep-latest: 1\nenvironments: [{python: '3.12', platform: linux}]"
    filters = load_entry("{name: demo, keep-latest: all, environments: all}", line).rules[0].filters
    assert (filters.keep_latest, filters.environments) == (None, None)


# ── environments ────────────────────────────────────────────────────────────────────────────────────


def test_environments_are_each_python_on_each_platform_when_they_are_two_lists() -> None:
    spec = load_line("environments: {python: ['3.12', pypy3.10], platform: [linux, x86_64-manylinux_2_28, win_amd64]}")
    assert [environment.name for environment in spec.filters.environments or ()] == [
        "cpython 3.12 on x86_64-unknown-linux-gnu",
        "cpython 3.12 on x86_64-manylinux_2_28",
        "cpython 3.12 on win_amd64",
        "pypy 3.10 on x86_64-unknown-linux-gnu",
        "pypy 3.10 on x86_64-manylinux_2_28",
        "pypy 3.10 on win_amd64",
    ]


def test_environments_are_as_written_when_they_are_a_list() -> None:
    spec = load_line(
        "environments: [{python: '3.13t', platform: macos}, {python: '3.9', platform: windows, implementation: pypy}]"
    )
    assert spec.filters.environments == (
        make_environment("3.13t", "macos"),
        make_environment("3.9", "windows", "pypy"),
    )


def test_an_environment_is_one_when_it_is_given_under_two_names() -> None:
    spec = load_line("environments: {python: ['3.12', cp312], platform: [linux, x86_64-unknown-linux-gnu, Linux]}")
    assert spec.filters.environments == (LINUX_312,)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[]", "environments: an empty list makes no environment (leave it out to keep every wheel)"),
        ("{python: [], platform: [linux]}", "environments.python: an empty list makes no environment"),
        ("{python: ['3.12'], platform: []}", "environments.platform: an empty list makes no environment"),
        ("{python: ['3.12']}", 'environments: the key "platform" is missing'),
        ("{platform: [linux]}", 'environments: the key "python" is missing'),
        ("{pythons: ['3.12'], python: ['3.12'], platform: [linux]}", 'environments.pythons: unknown key "pythons"'),
        ("~", 'environments: expected "all" or a mapping or a list, got nothing'),
        ("linux", 'environments: expected "all" or a mapping or a list, got "linux"'),
        ("3", 'environments: expected "all" or a mapping or a list, got "3"'),
        ("All", 'environments: expected "all" or a mapping or a list, got "All" (did you mean "all"?)'),
        (
            "{python: ['3.12'], platform: linux}",
            'environments.platform: expected a list, got "linux" (write it as a list: [linux])',
        ),
        (
            "{python: ['3.12'], platform: [linux, x86_64-manylinux-2_28]}",
            'environments.platform[1]: "x86_64-manylinux-2_28" is no known platform (did you mean "',
        ),
        (
            "{python: ['3.12', '3.13'], platform: [plan9]}",
            'environments.platform[0]: "plan9" is no known platform (known: linux, macos, windows, ',
        ),
        (
            "{python: ['3.12', '312'], platform: [linux, windows]}",
            'environments.python[1]: "312" is no Python version (did you mean "3.12"?)',
        ),
        ("{python: ['3'], platform: [linux]}", 'environments.python[0]: "3" names no minor version ('),
        (
            "{python: ['>=3.9'], platform: [linux]}",
            'environments.python[0]: ">=3.9" is a range (name each Python by itself, such as "3.12")',
        ),
        ("[{python: nonsense, platform: linux}]", 'environments[0]: "nonsense" is no Python version (known: '),
        ("[{python: '3.12', platform: plan9}]", 'environments[0]: "plan9" is no known platform (known: '),
        (
            "[{python: '3.12', platform: linux, implementation: jython}]",
            'environments[0]: "jython" names an unknown implementation (known: cpython, pypy)',
        ),
        (
            "[{python: pypy3.10, platform: linux, implementation: cpython}]",
            'environments[0]: "pypy3.10" is pypy, but the implementation is cpython (name it once)',
        ),
        (
            "[{python: '3.12', platform: linux}, linux]",
            'environments[1]: expected a mapping, got "linux"',
        ),
        (
            "[{python: 3.10, platform: linux}, {python: '3.9', platform: linux}]",
            'environments[0].python: expected text, got "3.10" (put it in quotes: "3.10")',
        ),
        (
            "{python: ['3.9', 3.10], platform: [linux]}",
            'environments.python[1]: expected text, got "3.10" (put it in quotes: "3.10")',
        ),
    ],
)
def test_environments_are_refused_when_they_cannot_be_read(value: str, message: str) -> None:
    assert message_of_line(f"environments: {value}").startswith(f"mirror.yaml:3: {message}")
    said = message_of_entry(f"{{name: demo, environments: {value}}}")
    assert said.startswith(f"mirror.yaml:2: projects[0].{message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "environments: {python: [3.10], platform: [linux]}",
            'environments.python[0]: expected text, got "3.10" (put it in quotes: "3.10")',
        ),
        ("environments: [linux]", 'environments[0]: expected a mapping, got "linux"'),
        ("environments: [{python: '3.12'}]", 'environments[0]: the key "platform" is missing'),
        ("package-types: [1]", 'package-types[0]: expected text, got "1" (put it in quotes: "1")'),
    ],
)
def test_a_list_is_not_called_empty_when_its_only_item_is_refused(line: str, message: str) -> None:
    assert message_of_line(line) == f"mirror.yaml:3: {message}"


@pytest.mark.parametrize("platform", ["Plan9", "' plan9'"])
def test_a_platform_is_told_as_a_platform_when_it_is_not_in_lower_case(platform: str) -> None:
    said = message_of_line(f"environments: {{python: ['3.12', '3.13'], platform: [{platform}]}}")
    assert said.startswith('mirror.yaml:3: environments.platform[0]: "')


def test_a_python_is_told_as_a_python_when_it_is_the_word_of_the_platform() -> None:
    said = message_of_line("environments: {python: [linux], platform: [linux]}")
    assert said.startswith('mirror.yaml:3: environments.python[0]: "linux" is no Python version')


def test_both_are_told_when_a_python_and_its_platform_are_wrong() -> None:
    line = "environments: {python: [foo], platform: [plan9]}"
    problems = problems_of(f"output: tree\nprojects: [demo]\n{line}\n")
    assert [problem.message for problem in problems] == ['"foo" is no Python version', '"plan9" is no known platform']


def test_a_wrong_value_is_told_once_when_it_would_make_several_environments() -> None:
    problems = problems_of(
        "output: tree\nprojects: [demo]\nenvironments:\n"
        "  python: ['3.12', '3.x', '3.13']\n  platform:\n    - linux\n    - plan9\n    - windows\n"
    )
    assert [(problem.line, problem.key) for problem in problems] == [
        (4, "environments.python[1]"),
        (7, "environments.platform[1]"),
    ]


def _many(count: int) -> str:
    platforms = ", ".join(f"manylinux_2_{minor}_x86_64" for minor in range(10, 26))
    pythons = ", ".join(f'"3.12.{patch}"' for patch in range(count))
    return f"environments: {{python: [{pythons}], platform: [{platforms}]}}"


def test_environments_are_refused_when_they_are_too_many() -> None:
    environments = load_line(_many(16)).filters.environments
    assert environments is not None
    assert len(environments) == MAX_ENVIRONMENTS
    said = message_of_line(_many(17))
    assert said == "mirror.yaml:3: environments: 272 environments are more than 256"


def test_a_list_of_environments_is_refused_when_it_is_too_long() -> None:
    entries = [f"{{python: '3.{minor}', platform: linux}}" for minor in range(3, 99)] * 3
    allowed = entries[:MAX_ENVIRONMENTS]
    assert len(load_line(f"environments: [{', '.join(allowed)}]").filters.environments or ()) == 96
    said = message_of_line(f"environments: [{', '.join([*allowed, entries[-1]])}]")
    assert said == "mirror.yaml:3: environments: 257 environments are more than 256"


# ── keep-latest ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("keep-latest: 0", f'{KEEP_LATEST} "0"'),
        ("keep-latest: -1", f'{KEEP_LATEST} "-1"'),
        ("keep-latest: 1000001", f'{KEEP_LATEST} "1000001"'),
        ("keep-latest: 1.5", f'{KEEP_LATEST} "1.5"'),
        ("keep-latest: '3'", f'{KEEP_LATEST} "3"'),
        ("keep-latest: newest", f'{KEEP_LATEST} "newest"'),
        ("keep-latest: true", f'{KEEP_LATEST} "true"'),
        ("keep-latest: [1]", f"{KEEP_LATEST} a list"),
        ("keep-latest:", f"{KEEP_LATEST} nothing"),
        ("keep-latest: {per: major}", 'keep-latest: the key "count" is missing'),
        ("keep-latest: {count: 1}", 'keep-latest: the key "per" is missing'),
        (
            "keep-latest: {per: minors, count: 1}",
            'keep-latest.per: expected "major" or "minor", got "minors" (did you mean "minor"?)',
        ),
        (
            "keep-latest: {per: minor, count: 0}",
            'keep-latest.count: expected a whole number from 1 to 1000000, got "0"',
        ),
        ("keep-latest: {per: minor, count: 1, off: 1}", 'keep-latest.off: unknown key "off" (known: count, per)'),
    ],
)
def test_keep_latest_is_refused_when_it_is_no_count(line: str, message: str) -> None:
    assert message_of_line(line).startswith(f"mirror.yaml:3: {message}")
    assert message_of_entry(f"{{name: demo, {line}}}").startswith(f"mirror.yaml:2: projects[0].{message}")


# ── exclude-newer and exclude-older ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["exclude-newer", "exclude-older"])
@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-01-31T12:30:00", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("'2026-01-31T12:30'", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31 12:30:00", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30:00+02:00", datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
        ("'2026-01-31T12:30:00-05:30'", datetime(2026, 1, 31, 18, 0, tzinfo=UTC)),
        ("1 h", NOW - timedelta(hours=1)),
        ("36 hours", NOW - timedelta(hours=36)),
        ("7 days", NOW - timedelta(days=7)),
        ("7d", NOW - timedelta(days=7)),
        ("2 weeks", NOW - timedelta(weeks=2)),
        ("3 years", NOW - timedelta(days=3 * 365)),
        ("1.5 days", NOW - timedelta(hours=36)),
        ("0", NOW),
        ("0 days", NOW),
        ("1000000 days", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_a_cutoff_is_a_moment_when_a_run_begins(key: str, value: str, moment: datetime) -> None:
    filters = filters_of_line(f"{key}: {value}")
    cutoff, other = filters.exclude_newer, filters.exclude_older
    if key == "exclude-older":
        cutoff, other = other, cutoff
    assert cutoff is not None
    assert (cutoff.at(NOW), other) == (moment, None)
    assert cutoff.text == value.strip("' ")


@pytest.mark.parametrize("value", ["2026-01-31", "'2026-01-31'", "' 2026-01-31 '"])  # YAML makes a date of the first
def test_a_date_is_no_cutoff_for_its_own_day_when_it_is_given(value: str) -> None:
    newer = filters_of_line(f"exclude-newer: {value}").exclude_newer
    older = filters_of_line(f"exclude-older: {value}").exclude_older
    assert newer == Cutoff(text="2026-01-31", moment=datetime(2026, 2, 1, tzinfo=UTC))
    assert older == Cutoff(text="2026-01-31", moment=datetime(2026, 1, 31, tzinfo=UTC))


def test_an_age_moves_with_the_run_and_a_date_does_not_when_time_goes_by() -> None:
    later = NOW + timedelta(days=1)
    age, date = (filters_of_line(f"exclude-newer: {value}").exclude_newer for value in ("7 days", "2026-01-31"))
    assert age is not None
    assert date is not None
    assert age.at(later) - age.at(NOW) == timedelta(days=1)
    assert date.at(later) == date.at(NOW)


@pytest.mark.parametrize("key", ["exclude-newer", "exclude-older"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("soon", f'"soon" {NO_CUTOFF}'),
        ("''", f'"" {NO_CUTOFF}'),
        ("7", f'"7" {NO_CUTOFF}'),
        ("20260131", f'"20260131" {NO_CUTOFF}'),
        ("-1", f'"-1" {NO_CUTOFF}'),
        ("-1 days", f'"-1 days" {NO_CUTOFF}'),
        ("7 fortnights", f'"7 fortnights" {NO_CUTOFF}'),
        ("P7D", f'"P7D" {NO_CUTOFF}'),
        ("'2026-02-30'", f'"2026-02-30" {NO_CUTOFF}'),
        ("'2026-01-31T25:00'", f'"2026-01-31T25:00" {NO_CUTOFF}'),
        ("31.01.2026", f'"31.01.2026" {NO_CUTOFF}'),
        ("1e9 days", f'"1e9 days" {NO_CUTOFF}'),
        (f"{'9' * 12} days", f'"{"9" * 12} days" {NO_CUTOFF}'),
        (f"'{'9' * 400} days'", f'"{"9" * 120}…" (405 characters) is neither'),
        ("2026-02-30", 'expected text or a whole number, got "2026-02-30"'),
        ("1.5", 'expected text or a whole number, got "1.5" (put it in quotes: "1.5")'),
        ("[7 days]", "expected text or a whole number, got a list"),
        ("true", 'expected text or a whole number, got "true"'),
        ("", "expected text or a whole number, got nothing"),
    ],
)
def test_a_cutoff_is_refused_when_it_is_neither_a_date_nor_an_age(key: str, value: str, message: str) -> None:
    assert message_of_line(f"{key}: {value}").startswith(f"mirror.yaml:3: {key}: {message}")
    said = message_of(f"output: tree\nprojects:\n  - name: demo\n    {key}: {value}\n")
    assert said.startswith(f"mirror.yaml:4: projects[0].{key}: {message}")


@pytest.mark.parametrize("value", ["'7'", "'007'", "'20260131'", "${DAYS}"])
def test_a_cutoff_is_refused_when_it_is_a_number_in_quotes(value: str) -> None:
    (problem,) = problems_of(f"output: tree\nprojects: [demo]\nexclude-newer: {value}\n", environ={"DAYS": "7"})
    assert problem.message.endswith("is neither a date nor an age")


@pytest.mark.parametrize("value", ["²", "9" * 5000], ids=["superscript", "long"])
def test_a_cutoff_is_refused_when_it_is_no_number_that_python_reads(value: str) -> None:
    (problem,) = problems_of(f"output: tree\nprojects: [demo]\nexclude-newer: '{value}'\n")
    assert problem.message.endswith("is neither a date nor an age")


def test_the_times_are_left_out_when_nothing_is_known_of_a_file_but_its_name() -> None:
    filters = load_line("exclude-newer: 7 days\nexclude-older: 9 days\nmax-file-size: 5\nyanked: include").filters
    plain = filters.without_times()
    assert (plain.exclude_newer, plain.exclude_older) == (None, None)
    assert (plain.max_file_size, plain.yanked) == (5, YankedPolicy.INCLUDE)


# ── sizes, sdists, removals ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["max-file-size", "max-total-size"])
@pytest.mark.parametrize(
    ("value", "size"), [("1", 1), ("500 MB", 500_000_000), ("2 GiB", 2 * 1024**3), ("'7'", 7), ("1.5 kB", 1500)]
)
def test_a_size_is_bytes_when_it_is_given(key: str, value: str, size: int) -> None:
    spec = load_line(f"{key}: {value}")
    sizes = {"max-file-size": spec.filters.max_file_size, "max-total-size": spec.max_total_size}
    assert sizes.pop(key) == size
    assert list(sizes.values()) == [None]


@pytest.mark.parametrize("key", ["max-file-size", "max-total-size"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", NO_SIZE),
        ("-1", NO_SIZE),
        ("0.5", 'expected text or a whole number, got "0.5" (put it in quotes: "0.5")'),
        ("'0.5'", NO_SIZE),
        ("big", NO_SIZE),
        ("5 days", NO_SIZE),
        (f"'{'9' * 400} GB'", NO_SIZE),
        ("[5 GB]", "expected text or a whole number, got a list"),
        ("", "expected text or a whole number, got nothing"),
    ],
)
def test_a_size_is_refused_when_it_is_none(key: str, value: str, message: str) -> None:
    assert message_of_line(f"{key}: {value}") == f"mirror.yaml:3: {key}: {message}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sdists: none", 'sdists: expected "all" or "fallback", got "none" (known: all, fallback)'),
        ("sdists: falback", 'sdists: expected "all" or "fallback", got "falback" (did you mean "fallback"?)'),
        ("sdists: [all]", 'sdists: expected "all" or "fallback", got a list'),
        (
            "on-upstream-removal: delete",
            'on-upstream-removal: expected "quarantine" or "keep" or "drop", got "delete" (known: drop, keep, ',
        ),
        ("allow-newer: demo", 'allow-newer: expected a list, got "demo" (write it as a list: [demo])'),
        ("allow-newer: [demo 2.0]", 'allow-newer[0]: "2.0" is not a version specifier (did you mean "==2.0"?)'),
        ("allow-newer: ['a b']", 'allow-newer[0]: "b" is not a version specifier'),
        ("allow-newer: ['!']", 'allow-newer[0]: "!" is neither a project nor a pattern'),
        ("allow-newer: [{name: demo}]", "allow-newer[0]: expected text, got a mapping"),
        ("max_total_size: 1", 'max_total_size: unknown key "max_total_size" (did you mean "max-total-size"?)'),
        ("keep_latest: 1", 'keep_latest: unknown key "keep_latest" (did you mean "keep-latest"?)'),
    ],
)
def test_a_choice_or_release_is_refused_when_it_does_not_fit(line: str, message: str) -> None:
    assert message_of_line(line).startswith(f"mirror.yaml:3: {message}")


@pytest.mark.parametrize("policy", list(RemovalPolicy))
def test_a_removal_policy_is_taken_when_it_is_given(policy: RemovalPolicy) -> None:
    assert load_line(f"on-upstream-removal: {policy}").on_upstream_removal is policy


@pytest.mark.parametrize("key", ["on-upstream-removal: keep", "max-total-size: 1", "allow-newer: [a]"])
def test_a_key_is_refused_under_a_project_when_it_is_one_of_the_whole_mirror(key: str) -> None:
    name = key.partition(":")[0]
    said = message_of_entry(f"{{name: demo, {key}}}")
    assert said.startswith(f'mirror.yaml:2: projects[0].{name}: unknown key "{name}"')


def test_releases_may_be_newer_when_allow_newer_names_them() -> None:
    exact, glob = load_line("allow-newer: ['Url_Lib3 ==2.2.2, !=3', 'acme.*']").allow_newer
    assert (exact.pattern, exact.specifier) == ("url-lib3", SpecifierSet("==2.2.2,!=3"))
    assert (str(exact.origin), exact.origin.text) == ("mirror.yaml:3", "Url_Lib3 ==2.2.2, !=3")
    assert (glob.pattern, glob.specifier) == ("acme-*", SpecifierSet())


# ── projects as patterns ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("entry", "pattern", "specifier"),
    [
        ("requests*", "requests*", ""),
        ("'*'", "*", ""),
        ("'Acme_?.x-*'", "acme-?-x-*", ""),
        ("' acme-* '", "acme-*", ""),
        ("'acme-* >=2,<3'", "acme-*", "<3,>=2"),
        ("'acme-*>=2'", "acme-*", ">=2"),
        ("'acme-* ==2.*'", "acme-*", "==2.*"),
        ("{name: acme-*, version: '>=2'}", "acme-*", ">=2"),
        ("{name: 'acme-* >=2'}", "acme-*", ">=2"),
        ("{name: acme-*}", "acme-*", ""),
        ("demo ==1.*", "demo", "==1.*"),  # no pattern: the star is the version's
        ("demo==1.*", "demo", "==1.*"),
    ],
)
def test_a_project_is_a_pattern_when_its_name_has_a_wildcard(entry: str, pattern: str, specifier: str) -> None:
    spec = load_entry(entry)
    (rule,) = spec.rules
    assert (rule.pattern, str(rule.specifier)) == (pattern, specifier)
    assert rule.is_glob == (pattern != "demo")
    assert str(rule.origin) == "mirror.yaml:3"
    assert spec.projects() == (() if rule.is_glob else ("demo",))
    assert spec.globs() == ((pattern,) if rule.is_glob else ())


def test_globs_are_each_listed_once_when_several_rules_have_them() -> None:
    assert load_entry("'b-* >=2', a-*, B_*, demo").globs() == ("a-*", "b-*")


def test_a_pattern_is_refused_when_its_version_is_given_twice() -> None:
    said = message_of_entry("{name: 'acme-* >=2', version: '>=1'}")
    assert said == 'mirror.yaml:2: projects[0].version: "acme-* >=2" has a version already (give it once)'


@pytest.mark.parametrize(
    ("pattern", "filename", "matches"),
    [
        ("demo-*", "demo-1.0.tar.gz", True),
        ("demo-1.?-*.whl", "demo-1.0-py3-none-any.whl", True),
        ("demo-1.[12]-*.whl", "demo-1.0-py3-none-any.whl", False),
        ("DEMO-*", "demo-1.0.tar.gz", False),  # as upstream spells it
    ],
)
def test_the_files_of_an_exclusion_are_globs_when_they_have_wildcards(
    pattern: str, filename: str, matches: bool
) -> None:
    (rule,) = load_line(f"exclude: [{{files: ['{pattern}']}}]").excludes
    assert rule.matches(filename, Version("1.0")) is matches


@pytest.mark.parametrize("text", ["demo/x.whl", "../demo-1.0.tar.gz", "a b", "", "a\\\\b", "demo-1.0.tar.gz;x"])
def test_a_file_pattern_is_refused_when_it_is_of_no_file_name(text: str) -> None:
    for line, key in (
        (f'projects: [{{name: demo, files: ["{text}"]}}]', "projects[0].files[0]"),
        (f'projects: [demo]\nexclude: [{{name: a, files: ["{text}"]}}]', "exclude[0].files[0]"),
        (f'files: ["{text}"]', "files[0]"),
        (f'files: [{{project: demo, file: "{text}"}}]', "files[0].file"),
    ):
        said = message_of(f"output: tree\n{line}\n")
        assert f" {key}: " in said
        assert 'is no file name and no pattern of one (like "demo-1.0-*-win_amd64.whl")' in said


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("entry", "project", "pattern"),
    [
        ("demo-1.0-py3-none-any.whl", "demo", "demo-1.0-py3-none-any.whl"),
        ("Num_Py-1.0-1-cp312-cp312-win_amd64.whl", "num-py", "Num_Py-1.0-1-cp312-cp312-win_amd64.whl"),
        ("'demo-*.whl'", "demo", "demo-*.whl"),
        ("'demo-1.[01]-*'", "demo", "demo-1.[01]-*"),
        ("demo-1.0.tar.gz", "demo", "demo-1.0.tar.gz"),
        ("zope.interface-5.0.zip", "zope-interface", "zope.interface-5.0.zip"),
        ("my-long-name-1.0rc1.tar.gz", "my-long-name", "my-long-name-1.0rc1.tar.gz"),
        ("py-2-exe-1.0.tar.gz", "py", "py-2-exe-1.0.tar.gz"),  # as the standard reads it: {project, file} says it
        ("'my-long-name-*.tar.gz'", "my-long-name", "my-long-name-*.tar.gz"),
        ("{project: Py-2.Exe, file: py-2-exe-1.0.tar.gz}", "py-2-exe", "py-2-exe-1.0.tar.gz"),
        ("{project: demo, file: '*'}", "demo", "*"),
        ("{project: demo, file: Setup.exe}", "demo", "Setup.exe"),
    ],
)
def test_a_file_is_of_the_project_that_its_name_tells_when_it_is_wanted(entry: str, project: str, pattern: str) -> None:
    spec = load(f"output: tree\nfiles:\n  - {entry}\n")
    (rule,) = spec.files
    assert (rule.project, rule.pattern) == (project, pattern)
    assert (str(rule.origin), rule.origin.text) == ("mirror.yaml:3", pattern)
    assert spec.projects() == (project,)
    assert spec.rules == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("'*.whl'", 'files[0]: "*.whl" does not tell its project (write {project: NAME, file: PATTERN})'),
        ("demo.tar.gz", 'files[0]: "demo.tar.gz" does not tell its project'),
        ("demo.whl", 'files[0]: "demo.whl" does not tell its project'),
        ("demo-latest.tar.gz", 'files[0]: "demo-latest.tar.gz" does not tell its project'),
        ("'de*-1.0.tar.gz'", 'files[0]: "de*-1.0.tar.gz" does not tell its project'),
        ("'-1.0.tar.gz'", 'files[0]: "-1.0.tar.gz" does not tell its project'),
        ("1", 'files[0]: expected text or a mapping, got "1" (put it in quotes: "1")'),
        ("{project: demo}", 'files[0]: the key "file" is missing'),
        ("{file: demo-1.0.tar.gz}", 'files[0]: the key "project" is missing'),
        ("{project: 'de*', file: x}", 'files[0].project: "de*" is a pattern (name the project)'),
        ("{project: 'a b', file: x}", 'files[0].project: "a b" is neither a project nor a pattern'),
        ("{project: -a, file: x}", 'files[0].project: "-a" is not a project name'),
        ("{projects: a, project: a, file: x}", 'files[0].projects: unknown key "projects" (did you mean "project"?)'),
    ],
)
def test_a_file_is_refused_when_its_project_is_not_known(entry: str, message: str) -> None:
    assert message_of(f"output: tree\nfiles:\n  - {entry}\n").startswith(f"mirror.yaml:3: {message}")


# ── exclude ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("entry", "pattern", "specifier", "files", "text"),
    [
        ("{name: Demo}", "demo", "", (), "Demo"),
        ("{name: 'Demo >=1'}", "demo", ">=1", (), "Demo >=1"),
        ("{name: Demo, version: '>=1'}", "demo", ">=1", (), "Demo >=1"),
        ("{name: 'acme_*', version: ==1.*}", "acme-*", "==1.*", (), "acme_* ==1.*"),
        ("{version: '>=9000'}", "*", ">=9000", (), "* >=9000"),
        ("{files: ['*.exe', '*.msi']}", "*", "", ("*.exe", "*.msi"), "* *.exe *.msi"),
        ("{name: a, files: [a.zip], reason: big}", "a", "", ("a.zip",), "a a.zip"),
        ("demo <2", "demo", "<2", (), "demo <2"),
        ("'* >=9000'", "*", ">=9000", (), "* >=9000"),
        ("'demo'", "demo", "", (), "demo"),
    ],
)
def test_an_exclusion_names_releases_and_files_when_it_is_read(
    entry: str, pattern: str, specifier: str, files: tuple[str, ...], text: str
) -> None:
    (rule,) = load(f"output: tree\nprojects: [demo]\nexclude:\n  - {entry}\n").excludes
    assert (rule.pattern, str(rule.specifier), rule.files) == (pattern, specifier, files)
    assert (str(rule.origin), rule.origin.text) == ("mirror.yaml:4", text)
    assert rule.reason == ("big" if "reason" in entry else None)


def test_an_exclusion_takes_what_meets_all_of_it_when_it_says_several_things() -> None:
    (rule,) = load_line("exclude: [{name: demo, version: '>=2', files: ['*.zip', '*.exe']}]").excludes
    found = [
        (name, version)
        for name in ("demo.zip", "demo.exe", "demo.whl")
        for version in ("1.0", "2.0", "3.0rc1")
        if rule.matches(name, Version(version))
    ]
    assert found == [("demo.zip", "2.0"), ("demo.zip", "3.0rc1"), ("demo.exe", "2.0"), ("demo.exe", "3.0rc1")]
    assert not rule.matches_project(canonicalize_name("demo-x"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{}", "exclude[0]: nothing is named (give name:, version: or files:)"),
        ("{reason: because}", "exclude[0]: nothing is named (give name:, version: or files:)"),
        ("{name: '*'}", "exclude[0]: nothing is named (give name:, version: or files:)"),
        ("{name: 'a >1', version: '<3'}", 'exclude[0].version: "a >1" has a version already (give it once)'),
        (
            "{name: a, version: '1.0'}",
            'exclude[0].version: "1.0" is not a version specifier (did you mean "==1.0"?)',
        ),
        ("{name: a, version: 1.0}", 'exclude[0].version: expected text, got "1.0" (put it in quotes: "1.0")'),
        ("{name: 'a[x]'}", 'exclude[0].name: "[x]" is not a version specifier'),
        ("{name: '!'}", 'exclude[0].name: "!" is neither a project nor a pattern'),
        ("{name: -a}", 'exclude[0].name: "-a" is not a project name'),
        ("{name: a, file: x}", 'exclude[0].file: unknown key "file" (did you mean "files"?)'),
        ("{name: a, files: x}", 'exclude[0].files: expected a list, got "x" (write it as a list: [x])'),
        ("{name: a, reason: [x]}", "exclude[0].reason: expected text, got a list"),
    ],
)
def test_an_exclusion_is_refused_when_it_cannot_be_read(entry: str, message: str) -> None:
    assert message_of_line(f"exclude: [{entry}]").startswith(f"mirror.yaml:3: {message}")


@pytest.mark.parametrize("entry", ["{version: x}", "{files: ['a b']}"])
def test_an_exclusion_is_not_called_empty_when_what_it_names_is_wrong(entry: str) -> None:
    assert "nothing is named" not in message_of_line(f"exclude: [{entry}]")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("'*'", '"*" excludes everything (name a project, or files:)'),
        ("{version: ''}", "nothing is named (give name:, version: or files:)"),
        ("{name: '**', version: ' '}", "nothing is named (give name:, version: or files:)"),
    ],
)
def test_an_exclusion_is_refused_when_it_would_leave_nothing(entry: str, message: str) -> None:
    assert message_of_line(f"exclude: [{entry}]") == f"mirror.yaml:3: exclude[0]: {message}"


# ── ignore ──────────────────────────────────────────────────────────────────────────────────────────

LOCK = (
    b"-e git+https://x.example.com/Acme_Tool.git#egg=Acme_Tool\n"
    b"acme-web @ https://x.example.com/acme_web-1.0-py3-none-any.whl\n"
    b"./local/thing\n"
    b"click==8.1.7\n"
)


@pytest.mark.parametrize(
    ("ignore", "lines"),
    [
        ("[]", [1, 2, 3]),
        ("[acme-tool]", [2, 3]),
        ("[Acme.Tool]", [2, 3]),
        ("[Acme._Tool]", [2, 3]),
        ("[' acme-tool ']", [2, 3]),
        ("[acme-*]", [3]),
        ("['*']", [3]),  # a path names no project
        ("[./local/thing]", [1, 2]),
        ("[' ./local/thing ']", [1, 2]),
        ("[./local/*]", [1, 2, 3]),
        ("[acme, click]", [1, 2, 3]),
        ("[acme-*, ./local/thing]", []),
        ("['acme-web @ https://x.example.com/acme_web-1.0-py3-none-any.whl']", [1, 3]),
    ],
)
def test_an_unservable_line_is_left_out_when_it_is_ignored(ignore: str, lines: list[int]) -> None:
    spec = load(f"output: tree\nlockfiles: [a.lock]\nignore: {ignore}\n", files={"a.lock": LOCK})
    assert [line.origin.line for line in spec.unservable] == lines
    assert [pin.project for pin in spec.pins] == ["click"]  # what an index has is never ignored


@pytest.mark.parametrize("entry", ["", " ", "*", "demo"])
def test_a_line_of_which_nothing_is_known_is_told_when_an_entry_to_ignore_is_empty(entry: str) -> None:
    line = Unservable(origin=Origin(file="uv.lock", line=1, text="?"), problem="local")
    assert not is_ignored(line, [entry])
    assert is_ignored(replace(line, line=" ./here "), ["./here"])


# ── variables ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("keep-latest: ${V}", "keep_latest", ("3", KeepLatest(count=3))),
        ("keep-latest: ${V}", "keep_latest", ("all", None)),
        ("keep-latest: {per: '${V}', count: 1}", "keep_latest", ("minor", KeepLatest(count=1, per=ReleaseLine.MINOR))),
        ("keep-latest: {per: minor, count: '${V}'}", "keep_latest", ("7", KeepLatest(count=7, per=ReleaseLine.MINOR))),
        ("prereleases: ${V}", "prereleases", ("true", True)),
        ("prereleases: '${V}'", "prereleases", ("1", True)),
        ("prereleases: ${V}", "prereleases", ("false", False)),
        ("build-dependencies: ${V}", "build_dependencies", ("false", False)),
        ("yanked: ${V}", "yanked", ("include", YankedPolicy.INCLUDE)),
        ("sdists: ${V}back", "sdists", ("fall", SdistPolicy.FALLBACK)),
        ("max-file-size: ${V} MB", "max_file_size", ("2", 2_000_000)),
        ("max-file-size: ${V}", "max_file_size", ("2", 2)),
        ("exclude-newer: ${V} days", "exclude_newer", ("1", Cutoff(text="1 days", age_seconds=86_400))),
        ("package-types: ['${V}']", "package_types", ("sdist", frozenset({PackageType.SDIST}))),
        ("environments: {python: ['${V}'], platform: [linux]}", "environments", ("3.12", (LINUX_312,))),
        ("environments: ${V}", "environments", ("all", None)),
    ],
)
def test_a_variable_is_read_as_what_is_expected_when_it_is_set(line: str, name: str, value: tuple[str, Any]) -> None:
    text, expected = value
    filters = filters_of_line(line, V=text)
    assert getattr(filters, name) == expected
    assert filters.origin_of(name.replace("_", "-")) is not None


def test_a_variable_is_read_as_a_number_or_truth_value_when_it_stands_outside_the_filters() -> None:
    spec = load(
        "output: tree\nprojects: [demo]\nrequire-hashes: ${NO}\nnetwork: {retries: '${N}', connections: '${N}'}\n",
        environ={"NO": "false", "N": "7"},
    )
    assert not spec.require_hashes
    assert (spec.network.retries, spec.network.connections) == (7, 7)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("keep-latest: ${V}", "many-secrets"),
        ("keep-latest: ${V}", "0"),
        ("keep-latest: ${V}", "1.5"),
        ("prereleases: ${V}", "perhaps-secret"),
        ("prereleases: ${V}", ""),
        ("network: {retries: '${V}'}", "101"),
        ("yanked: ${V}", "secret"),
    ],
)
def test_a_variable_is_refused_without_its_value_when_it_does_not_fit(line: str, value: str) -> None:
    (problem,) = problems_of(f"output: tree\nprojects: [demo]\n{line}\n", environ={"V": value})
    assert problem.line == 3
    assert problem.message.startswith("expected ")
    assert problem.message.endswith('got "${V}"')
    assert len(value) < 4 or value not in str(problem)  # a short one may be part of a limit


@pytest.mark.parametrize("line", ["keep-latest: '3'", "prereleases: 'true'", "network: {retries: '7'}"])
def test_a_text_is_not_read_as_a_number_or_truth_value_when_no_variable_made_it(line: str) -> None:
    assert ": expected " in message_of_line(line)


@pytest.mark.parametrize("line", ["keep-latest: ${V}", "prereleases: ${V}", "max-total-size: ${V} GB"])
def test_a_variable_is_named_when_it_is_not_set(line: str) -> None:
    key = line.partition(":")[0]
    assert message_of_line(line) == f"mirror.yaml:3: {key}: the environment variable V is not set"


def test_a_rule_matches_every_release_when_it_names_none() -> None:
    rule = ReleaseRule(pattern="demo", specifier=SpecifierSet(), origin=load_line("").rules[0].origin)
    assert rule.matches("demo-1.0rc1.tar.gz", Version("1.0rc1"))


@pytest.mark.parametrize("key", ["exclude-newer", "exclude-older", "max-file-size"])
def test_a_project_has_no_limit_when_it_says_none(key: str) -> None:
    value = "1 MB" if key == "max-file-size" else "7 days"
    spec = load(f"output: x\n{key}: {value}\nprojects: [demo, {{name: other, {key}: none}}]\n")
    name = key.replace("-", "_")
    demo, other = (getattr(rule.filters, name) for rule in spec.rules)
    assert demo is not None
    assert other is None


def test_an_entry_of_ignore_is_taken_as_it_stands_when_it_holds_a_variable() -> None:
    line = "-e git+https://${TOKEN}@x.example.com/x/y.git"
    spec = load(
        f"output: x\nlockfiles: [r.txt]\nignore: ['{line}']\n", files={"r.txt": f"{line}\nclick==8.1.7\n".encode()}
    )
    assert spec.unservable == ()
