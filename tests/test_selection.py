"""Rules and a page → the chosen files, and every other one with the reason why it was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from packaging.version import Version

from pymirror.plan import plan_projects
from pymirror.selection.model import Excluded, Reason, Selection, Wants
from pymirror.selection.wants import list_reasons, wants_of
from pymirror.simple.model import File
from pymirror.snapshot import EMPTY
from pymirror.spec.load import load_spec
from pymirror.spec.model import PackageType, Pin, ProjectRule, ReleaseRule, YankedPolicy
from tests.selection_cases import (
    BOTH,
    DEMO,
    NOW,
    A,
    B,
    C,
    chosen,
    exclude,
    make_file,
    make_wants,
    pin,
    rule,
    run,
    sdist,
    unmet_of,
    versions,
    wheel,
)
from tests.test_filters import FILTER_REASONS

# ── every reason ────────────────────────────────────────────────────────────────────────────────────

WHEELS_ONLY = frozenset({PackageType.BDIST_WHEEL})

REASONS: list[tuple[Reason, Wants, File]] = [
    (Reason.UNSAFE_FILENAME, make_wants(rule()), make_file("../demo-1.0.tar.gz")),
    (Reason.UNSAFE_FILENAME, make_wants(rule()), make_file("demo-1.0\n.tar.gz")),
    (Reason.UNSAFE_FILENAME, make_wants(rule()), make_file("d\xe9mo-1.0.tar.gz")),
    (Reason.UNSAFE_FILENAME, make_wants(rule()), make_file(f"demo-{'1' * 300}.tar.gz")),
    (Reason.UNSAFE_FILENAME, make_wants(rule()), make_file("")),
    (Reason.UNSAFE_URL, make_wants(rule()), make_file("demo-1.0.tar.gz", url="javascript:demo-1.0.tar.gz")),
    (Reason.UNSAFE_URL, make_wants(rule()), make_file("demo-1.0.tar.gz", url="file:///srv/demo-1.0.tar.gz")),
    (Reason.UNSAFE_URL, make_wants(rule()), make_file("demo-1.0.tar.gz", url="ftp://x/demo-1.0.tar.gz")),
    (Reason.UNSAFE_URL, make_wants(rule()), make_file("demo-1.0.tar.gz", url="demo-1.0.tar.gz")),
    (Reason.UNSAFE_URL, make_wants(rule()), make_file("demo-1.0.tar.gz", url="https://[/demo-1.0.tar.gz")),
    (Reason.NOT_A_DISTRIBUTION, make_wants(rule()), make_file("demo-1.0.txt")),
    (Reason.NOT_A_DISTRIBUTION, make_wants(rule()), make_file("demo-1.0-py3-none-any.whl.metadata")),
    (Reason.NOT_A_DISTRIBUTION, make_wants(rule()), make_file("demo.whl")),
    (Reason.OTHER_PROJECT, make_wants(rule()), make_file("other-1.0.tar.gz")),
    (Reason.OTHER_PROJECT, make_wants(rule()), make_file("demo_tool-1.0-py3-none-any.whl")),
    (Reason.INVALID_VERSION, make_wants(rule()), make_file("demo-latest.zip")),
    (Reason.INVALID_VERSION, make_wants(pin("===latest")), make_file("demo-latest.zip")),
    (Reason.PACKAGE_TYPE, make_wants(rule()), make_file("demo-1.0-py3.8.egg")),
    (Reason.PACKAGE_TYPE, make_wants(rule(types=WHEELS_ONLY)), sdist("1.0")),
    (Reason.PACKAGE_TYPE, make_wants(pin("==1.0"), types=WHEELS_ONLY), sdist("1.0")),
    (Reason.VERSION, make_wants(rule(">=2")), wheel("1.0")),
    (Reason.VERSION, make_wants(pin("==1.0")), wheel("1.0.1")),
    (Reason.VERSION, make_wants(rule("==1.0")), wheel("1.0.post1")),
    (Reason.PRERELEASE, make_wants(rule()), wheel("2.0rc1")),
    (Reason.PRERELEASE, make_wants(rule(">=0.1")), wheel("2.0.dev1")),
    (Reason.NOT_IN_LOCK, make_wants(pin("==1.0", B)), wheel("1.0")),
    (Reason.NOT_IN_LOCK, make_wants(pin("==1.0", B, C)), sdist("1.0")),
    (Reason.YANKED, make_wants(rule()), wheel("1.0", yanked="broken")),
    (Reason.YANKED, make_wants(rule(">=1.0,<=1.0")), wheel("1.0", yanked=True)),
    (Reason.YANKED, make_wants(rule("==1.*")), wheel("1.0", yanked=True)),
    (Reason.YANKED, make_wants(rule("==1.0", yanked=YankedPolicy.EXCLUDE)), wheel("1.0", yanked=True)),
    (Reason.YANKED, make_wants(pin("==1.0"), yanked=YankedPolicy.EXCLUDE), wheel("1.0", yanked=True)),
    (Reason.NO_SHA256, make_wants(rule()), wheel("1.0", sha256=None)),
    (Reason.NO_SHA256, make_wants(pin("==1.0", A)), wheel("1.0", sha256=None)),
    (Reason.NO_SHA256, make_wants(rule()), make_file("demo-1.0.tar.gz", hashes=(("md5", "a" * 32),))),
    (Reason.NO_SHA256, make_wants(rule()), make_file("demo-1.0.tar.gz", hashes=(("sha256", "abc"),))),
    (Reason.EXCLUDED, make_wants(rule(), exclude()), wheel("1.0")),
    (Reason.EXCLUDED, make_wants(rule("==1.0"), exclude("<2")), wheel("1.0")),
    (Reason.EXCLUDED, make_wants(pin("==1.0", A), exclude("==1.0")), wheel("1.0")),
    (Reason.EXCLUDED, make_wants(rule(prereleases=True), exclude(">1")), wheel("2.0rc1")),
    (Reason.EXCLUDED, make_wants(rule(), exclude()), wheel("1.0", sha256=None)),
]
NEIGHBOUR = wheel("0.5")  # a final release, so that a pre-release is not alone


def test_every_reason_is_in_a_table_when_one_file_is_enough_for_it() -> None:
    tried = {reason for reason, _, _ in REASONS} | {reason for reason, *_ in FILTER_REASONS}
    assert set(Reason) - tried == {Reason.DUPLICATE, Reason.QUARANTINED, Reason.REMOVED_UPSTREAM}


@pytest.mark.parametrize(("reason", "wants", "file"), REASONS)
def test_a_file_is_left_out_with_its_reason_when_it_is_not_wanted(reason: Reason, wants: Wants, file: File) -> None:
    selection = run(wants, file, NEIGHBOUR)
    assert file not in [item.file for item in selection.chosen]
    left_out = [(item.filename, item.reason) for item in selection.excluded]
    left_out += [(item.filename, item.reason) for item in selection.refused]
    assert [found for filename, found in left_out if filename == file.filename] == [reason]


def test_every_file_is_left_out_when_the_project_is_quarantined() -> None:
    selection = run(make_wants(rule(), pin("==1.0", A)), wheel("1.0"), sdist("1.0"), status="quarantined")
    assert selection.chosen == ()
    assert [item.reason for item in selection.excluded] == [Reason.QUARANTINED] * 2
    assert selection.status == "quarantined"


@pytest.mark.parametrize("status", ["active", "archived", "deprecated", "a word of the future"])
def test_files_are_kept_when_the_project_has_another_status(status: str) -> None:
    assert len(run(make_wants(rule()), wheel("1.0"), status=status).chosen) == 1


def test_both_files_are_left_out_when_one_name_has_two_hashes() -> None:
    selection = run(make_wants(rule()), wheel("1.0", sha256=A), wheel("1.0", sha256=B), sdist("1.0"))
    assert [item.file.filename for item in selection.chosen] == ["demo-1.0.tar.gz"]
    assert [item.reason for item in selection.refused] == [Reason.DUPLICATE]


def test_a_file_is_chosen_once_when_it_is_listed_twice_alike() -> None:
    assert chosen(make_wants(rule()), wheel("1.0"), wheel("1.0")) == ["demo-1.0-py3-none-any.whl"]


def test_the_nearest_miss_is_quoted_when_several_rules_leave_a_file_out() -> None:
    wants = make_wants(
        rule(">=2", line=1), rule("==1.0", types=frozenset({PackageType.SDIST}), line=2), rule("<2", line=3)
    )
    (left_out,) = run(wants, wheel("1.0", yanked="broken")).excluded
    assert left_out == Excluded(
        filename="demo-1.0-py3-none-any.whl",
        reason=Reason.YANKED,
        detail="pinned",
        origin=wants.rules[2].origin,
        version=Version("1.0"),
    )


def test_the_label_of_a_reason_is_a_key_when_it_is_reported() -> None:
    assert [Reason.NO_SHA256.label, Reason.NOT_A_DISTRIBUTION.label] == ["no-sha256", "not-a-distribution"]


# ── what is chosen ──────────────────────────────────────────────────────────────────────────────────


def test_files_are_in_order_of_version_and_name_when_chosen() -> None:
    files = [wheel("10.0"), sdist("2.0"), wheel("2.0"), sdist("1!0.1")]
    assert chosen(make_wants(rule()), *files) == [
        "demo-2.0-py3-none-any.whl",
        "demo-2.0.tar.gz",
        "demo-10.0-py3-none-any.whl",
        "demo-1!0.1.tar.gz",
    ]


def test_a_file_tells_every_rule_that_wants_it_when_there_are_several() -> None:
    wants = make_wants(rule("<2", line=5), rule(">=2", line=3), rule(line=4), pin("==1.0", A))
    (item,) = run(wants, wheel("1.0")).chosen
    assert [str(origin) for origin in item.origins] == ["demo.lock:1", "mirror.yaml:4", "mirror.yaml:5"]


def test_a_file_is_chosen_when_one_rule_wants_it_and_another_does_not() -> None:
    assert versions(make_wants(rule("<1"), rule(">=2")), "0.5", "1.0", "2.0") == ["0.5", "2.0"]


def test_a_file_without_sha256_is_chosen_when_the_spec_allows_it() -> None:
    assert chosen(make_wants(rule(), require_hashes=False), sdist("1.0", sha256=None)) == ["demo-1.0.tar.gz"]


def test_wants_of_takes_what_the_spec_says_of_the_project_when_it_speaks_of_others_too() -> None:
    files = {
        "mirror.yaml": b"output: x\nprojects: [demo >1, other, Demo <9]\nlockfiles: [a.lock]\n"
        b"exclude: [other, 'dem*', demo-x]\nyanked: include\npackage-types: [sdist]\nrequire-hashes: false\n",
        "a.lock": b"other==1\ndemo==2\n",
    }
    wants = wants_of(load_spec(Path("mirror.yaml"), read=lambda path: files[str(path)], environ={}), DEMO, now=NOW)
    assert [str(item.specifier) for item in wants.rules] == [">1", "<9"]
    assert [str(item.origin) for item in wants.pins] == ["a.lock:2"]
    assert [item.pattern for item in wants.excludes] == ["dem*"]
    assert wants.filters.yanked is YankedPolicy.INCLUDE
    assert wants.filters.package_types == {PackageType.SDIST}
    assert not wants.require_hashes


def test_reasons_are_without_those_whose_marker_holds_in_no_environment() -> None:
    files = {
        "mirror.yaml": b"output: x\nenvironments: {python: ['3.12'], platform: [linux]}\nlockfiles: [a.lock]\n"
        b"projects: ['demo >1', \"demo <1; python_version < '3'\"]\n",
        "a.lock": b"demo==2; python_version >= '3'\ndemo==0.5; sys_platform == 'win32'\n",
    }
    wants = wants_of(load_spec(Path("mirror.yaml"), read=lambda path: files[str(path)], environ={}), DEMO, now=NOW)
    assert [reason.rpartition(" ")[2] for reason in list_reasons(wants)] == ["(mirror.yaml)", "(a.lock)"]
    assert list_reasons(wants)[0] == "demo >1 (mirror.yaml)"


# ── pre-releases (PEP 440) ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("specifier", "on_page", "expected"),
    [
        ("", ["1.0", "2.0rc1"], ["1.0"]),
        ("", ["1.0a1", "2.0rc1"], ["1.0a1", "2.0rc1"]),
        (">=2", ["1.0", "2.1rc1"], ["2.1rc1"]),
        (">=1", ["1.0", "2.0rc1"], ["1.0"]),
        (">=2.0rc1", ["1.0", "2.0rc1", "2.0", "3.0b1"], ["2.0rc1", "2.0", "3.0b1"]),
        ("==2.0rc1", ["1.0", "2.0rc1"], ["2.0rc1"]),
        ("<2", ["2.0rc1"], []),
        ("<2", ["1.5rc1"], ["1.5rc1"]),
        ("", ["1.0.dev1", "1.0.post1"], ["1.0.post1"]),
        ("", ["1.0+local", "1.1rc1+local"], ["1.0+local"]),
    ],
)
def test_prereleases_follow_pep_440_when_the_rule_does_not_ask_for_them(
    specifier: str, on_page: Sequence[str], expected: Sequence[str]
) -> None:
    assert versions(make_wants(rule(specifier)), *on_page) == expected


@pytest.mark.parametrize(
    ("specifier", "expected"),
    [("", ["1.0", "1.1b1", "2.0rc1"]), (">1", ["1.1b1", "2.0rc1"]), ("<2", ["1.0", "1.1b1"]), ("==1.0", ["1.0"])],
)
def test_prereleases_are_all_kept_when_the_rule_asks_for_them(specifier: str, expected: Sequence[str]) -> None:
    assert versions(make_wants(rule(specifier, prereleases=True)), "1.0", "1.1b1", "2.0rc1") == expected


def test_a_prerelease_stays_out_when_the_final_release_is_excluded() -> None:
    assert versions(make_wants(rule(), exclude("==1.0")), "1.0", "2.0rc1") == []


def test_a_prerelease_stays_out_when_the_final_release_is_yanked() -> None:
    assert chosen(make_wants(rule()), wheel("1.0", yanked=True), wheel("2.0rc1")) == []


def test_a_prerelease_comes_in_when_the_final_release_is_of_a_type_that_is_not_asked_for() -> None:
    assert chosen(make_wants(rule(types=WHEELS_ONLY)), sdist("1.0"), wheel("2.0rc1")) == [
        "demo-2.0rc1-py3-none-any.whl"
    ]


def test_each_rule_admits_its_own_prereleases_when_there_are_several() -> None:
    assert versions(make_wants(rule("<2"), rule("==3.0rc1")), "1.0", "1.5rc1", "3.0rc1", "3.0rc2") == ["1.0", "3.0rc1"]


# ── yanked files (PEP 592) ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("specifier", "policy", "kept"),
    [
        ("", YankedPolicy.PINNED, False),
        ("==1.*", YankedPolicy.PINNED, False),
        ("~=1.0", YankedPolicy.PINNED, False),
        ("==1.0", YankedPolicy.PINNED, True),
        ("===1.0", YankedPolicy.PINNED, True),
        ("==1.0,<2", YankedPolicy.PINNED, True),
        ("", YankedPolicy.INCLUDE, True),
        ("==1.0", YankedPolicy.EXCLUDE, False),
    ],
)
@pytest.mark.parametrize("yanked", [True, "broken"])
def test_a_yanked_file_is_kept_by_a_rule_when_its_policy_says_so(
    specifier: str, policy: YankedPolicy, kept: bool, yanked: bool | str
) -> None:
    file = wheel("1.0", yanked=yanked)
    selection = run(make_wants(rule(specifier, yanked=policy)), file)
    assert [item.file for item in selection.chosen] == ([file] if kept else [])


@pytest.mark.parametrize("policy", list(YankedPolicy))
def test_a_yanked_file_is_kept_by_a_pin_when_yanked_files_are_not_excluded(policy: YankedPolicy) -> None:
    kept = chosen(make_wants(pin("==1.0"), yanked=policy), wheel("1.0", yanked="broken"))
    assert bool(kept) is (policy is not YankedPolicy.EXCLUDE)


# ── pins ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (pin("==1.0"), ["wheel", "sdist"]),
        (pin("==1.0", A), ["wheel"]),
        (pin("==1.0", B), ["sdist"]),
        (pin("==1.0", A, B), ["wheel", "sdist"]),
        (pin("==1.0", C), []),
        (pin("===1.0", A), ["wheel"]),
        (pin("==1", A), ["wheel"]),
    ],
)
def test_a_pin_allows_only_its_hashes_when_it_has_some(wanted: Pin, expected: Sequence[str]) -> None:
    names = {"wheel": "demo-1.0-py3-none-any.whl", "sdist": "demo-1.0.tar.gz"}
    files = [wheel("1.0", sha256=A), sdist("1.0", sha256=B), wheel("2.0", sha256=A)]
    assert chosen(make_wants(wanted), *files) == [names[name] for name in expected]


def test_a_pin_takes_a_prerelease_when_it_names_one() -> None:
    assert versions(make_wants(pin("==2.0rc1")), "1.0", "2.0rc1") == ["2.0rc1"]


def test_a_pin_takes_local_versions_when_it_names_the_public_one() -> None:
    assert versions(make_wants(pin("==1.0")), "1.0", "1.0+cu118", "1.1") == ["1.0", "1.0+cu118"]


def test_two_pins_keep_both_versions_when_markers_tell_them_apart() -> None:
    assert versions(make_wants(pin("==1.0", line=1), pin("==2.0", line=2)), "1.0", "1.5", "2.0") == ["1.0", "2.0"]


def test_a_file_is_kept_by_a_rule_when_a_pin_does_not_allow_it() -> None:
    assert len(run(make_wants(rule(), pin("==1.0", B)), wheel("1.0", sha256=A)).chosen) == 1


@pytest.mark.parametrize(
    ("hashes", "lock_hashes"),
    [
        ((("sha256", A),), {("sha512", "f" * 128)}),
        ((("md5", "a" * 32),), {("sha512", "f" * 128)}),
        ((("sha256", A), ("sha512", "f" * 128)), set()),  # compared already
    ],
)
def test_the_hashes_of_a_pin_are_left_to_the_download_when_upstream_gives_another_kind(
    hashes: tuple[tuple[str, str], ...], lock_hashes: set[tuple[str, str]]
) -> None:
    wanted = pin("==1.0", "f" * 128, algorithm="sha512")
    selection = run(make_wants(wanted, require_hashes=False), make_file("demo-1.0.tar.gz", hashes=hashes))
    projects, _ = plan_projects([selection], [], EMPTY)
    expected = {frozenset(lock_hashes)} if lock_hashes else set()
    assert [file.lock_hashes for file in projects[0].files] == [expected]


def test_no_hash_is_left_to_the_download_when_no_pin_wants_the_file() -> None:
    wanted = pin("==2.0", "f" * 128, algorithm="sha512")
    (item,) = run(make_wants(rule(), wanted), wheel("1.0")).chosen
    assert item.lock_hashes == frozenset()


# ── exclusions ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wanted",
    [rule(), rule("==1.0"), rule(prereleases=True, yanked=YankedPolicy.INCLUDE), pin("==1.0"), pin("==1.0", A)],
)
def test_an_exclusion_wins_when_anything_wants_the_file(wanted: ProjectRule | Pin) -> None:
    selection = run(make_wants(wanted, exclude("<=1.0", line=7)), wheel("1.0"))
    assert selection.chosen == ()
    (left_out,) = selection.excluded
    assert (left_out.reason, left_out.detail, str(left_out.origin)) == (Reason.EXCLUDED, "demo <=1.0", "mirror.yaml:7")


def test_an_exclusion_takes_prereleases_too_when_they_are_in_its_range() -> None:
    assert versions(make_wants(rule(prereleases=True), exclude("<2")), "1.0", "1.5rc1", "2.0") == ["2.0"]


# ── what could not be had ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wants", "files", "problem"),
    [
        (make_wants(rule(">=2")), [wheel("1.0"), wheel("1.1")], "no release matches; the newest upstream is 1.1"),
        (make_wants(pin("==2.0", A)), [wheel("1.0")], "no release matches; the newest upstream is 1.0"),
        (make_wants(rule()), [make_file("demo.txt")], "upstream lists no distribution that can be used"),
        (make_wants(rule()), [], "upstream lists no distribution that can be used"),
        (make_wants(pin("==1.0", B)), [wheel("1.0")], "the one matching file was left out: not-in-lock"),
        (make_wants(pin("==1.0", C)), [wheel("1.0"), sdist("1.0")], "2 matching files were left out: not-in-lock"),
        (make_wants(rule()), [wheel("1.0", yanked=True)], "the one matching file was left out: yanked: pinned"),
        (
            make_wants(rule(types=WHEELS_ONLY)),
            [sdist("1.0"), sdist("1.1")],
            "2 matching files were left out: package-type: sdist",
        ),
        (
            make_wants(rule("<2"), exclude(">=1", line=9)),
            [wheel("1.0")],
            "the one matching file was left out: excluded: demo >=1 (mirror.yaml:9)",
        ),
    ],
)
def test_a_rule_or_pin_is_unmet_with_the_nearest_miss_when_no_file_is_chosen_for_it(
    wants: Wants, files: Sequence[File], problem: str
) -> None:
    (item,) = run(wants, *files).unmet
    origins = [asked.origin for asked in wants.rules] + [asked.origin for asked in wants.pins]
    assert (item.project, [item.origin], item.problem) == (DEMO, origins, problem)


def test_nothing_is_unmet_when_each_rule_and_pin_has_a_file() -> None:
    assert unmet_of(make_wants(rule("<2"), rule(">=1", line=2), pin("==1.0")), wheel("1.0")) == []


def test_only_the_rule_without_a_file_is_unmet_when_another_has_one() -> None:
    wants = make_wants(rule("<2", line=1), rule(">=2", line=2), pin("==3.0"))
    problem = "no release matches; the newest upstream is 1.0"
    assert unmet_of(wants, wheel("1.0")) == [("mirror.yaml:2", problem), ("demo.lock:1", problem)]


def test_a_pin_tells_of_the_hash_when_a_rule_keeps_the_file_that_the_pin_does_not_allow() -> None:
    problem = "the one matching file was left out: not-in-lock"
    assert unmet_of(make_wants(rule(), pin("==1.0", B)), wheel("1.0", sha256=A)) == [("demo.lock:1", problem)]


# ── properties ──────────────────────────────────────────────────────────────────────────────────────

_VERSIONS = st.sampled_from(["0.9", "1.0", "1.0.post1", "1.1rc1", "1.1", "2.0.dev1", "2.0", "1!0.1"])
_SPECIFIERS = st.sampled_from(["", "<1", ">=1", "==1.0", "==1.*", "~=1.0", ">=1.1rc1", "!=1.1", ">1,<2"])
_YANKED = st.sampled_from([False, False, True, "broken"])
_FILES = st.lists(
    st.one_of(
        st.builds(wheel, _VERSIONS, sha256=st.sampled_from([A, B, None]), yanked=_YANKED),
        st.builds(sdist, _VERSIONS, sha256=st.sampled_from([A, B, None]), yanked=_YANKED),
        st.sampled_from(
            [make_file("demo.txt"), make_file("other-1.0.zip"), make_file("demo-1.0.zip", url="ftp://x/y")]
        ),
    ),
    max_size=8,
    unique_by=lambda file: file.filename,
)
_TYPES = st.sampled_from([BOTH, WHEELS_ONLY, frozenset({PackageType.SDIST})])
_WANTED = st.lists(
    st.one_of(
        st.builds(rule, _SPECIFIERS, types=_TYPES, prereleases=st.booleans(), yanked=st.sampled_from(YankedPolicy)),
        st.builds(pin, st.sampled_from(["==1.0", "==1.1rc1", "===2.0"])),
        st.builds(pin, st.sampled_from(["==1.0", "==1.1"]), st.sampled_from([A, B])),
    ),
    min_size=1,
    max_size=4,
)
_EXCLUDES = st.lists(st.builds(exclude, _SPECIFIERS), max_size=3)


def _numbered(wanted: Sequence[ProjectRule | Pin | ReleaseRule]) -> list[ProjectRule | Pin | ReleaseRule]:
    """``wanted``, each on a line of its own."""
    return [structs.replace(item, origin=replace(item.origin, line=line)) for line, item in enumerate(wanted, start=1)]


def _unordered(selection: Selection) -> object:
    """What must be the same in whatever order the question was put."""
    left_out = {(item.filename, item.reason) for item in selection.excluded}
    return selection.chosen, left_out, {item.origin for item in selection.unmet}


@settings(deadline=None)
@given(_FILES, _WANTED, _EXCLUDES, st.randoms(use_true_random=False), st.booleans())
def test_the_selection_is_the_same_when_files_rules_and_excludes_come_in_another_order(
    files: list[File],
    wanted: list[ProjectRule | Pin],
    excludes: list[ReleaseRule],
    random: Random,
    require_hashes: bool,
) -> None:
    everything = _numbered([*wanted, *excludes])
    before = run(make_wants(*everything, require_hashes=require_hashes), *files)
    random.shuffle(files)
    random.shuffle(everything)
    after = run(make_wants(*everything, require_hashes=require_hashes), *files)
    assert _unordered(after) == _unordered(before)


@settings(deadline=None)
@given(_FILES, _WANTED, _EXCLUDES, st.builds(exclude, _SPECIFIERS))
def test_no_file_comes_in_when_an_exclude_is_added(
    files: list[File], wanted: list[ProjectRule | Pin], excludes: list[ReleaseRule], more: ReleaseRule
) -> None:
    before = chosen(make_wants(*wanted, *excludes), *files)
    after = chosen(make_wants(*wanted, *excludes, more), *files)
    assert set(after) <= set(before)


@settings(deadline=None)
@given(_FILES, _WANTED, _EXCLUDES)
def test_every_file_is_chosen_or_left_out_once_when_names_differ(
    files: list[File], wanted: list[ProjectRule | Pin], excludes: list[ReleaseRule]
) -> None:
    selection = run(make_wants(*wanted, *excludes, rule("===0")), *files)
    names = [item.file.filename for item in selection.chosen]
    names += [item.filename for item in selection.excluded]
    names += [item.filename for item in selection.refused]
    assert sorted(names) == sorted(file.filename for file in files)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (wheel("1.0"), wheel("1.0", yanked="broken")),
        (
            make_file("demo-1.0.zip", url="https://a/demo-1.0.zip"),
            make_file("demo-1.0.zip", url="https://b/demo-1.0.zip"),
        ),
        (
            make_file("demo-1.0.zip", url="https://a/demo-1.0.zip"),
            make_file("demo-1.0.zip", url="ftp://b/demo-1.0.zip"),
        ),
    ],
)
def test_the_selection_is_the_same_when_a_file_is_listed_twice_in_another_order(one: File, other: File) -> None:
    assert run(make_wants(rule()), one, other) == run(make_wants(rule()), other, one)


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_is_yanked_when_one_of_its_entries_says_so(order: int) -> None:
    entries = [wheel("1.0"), wheel("1.0", yanked=True)][::order]
    assert [item.reason for item in run(make_wants(rule()), *entries).excluded] == [Reason.YANKED]


@pytest.mark.parametrize(
    ("url", "page_url", "reasons"),
    [
        ("http://files.example/demo-1.0.zip", "https://index.example/simple/demo/", [Reason.UNSAFE_URL]),
        ("HTTP://files.example/demo-1.0.zip", "https://index.example/simple/demo/", [Reason.UNSAFE_URL]),
        ("http://files.example/demo-1.0.zip", "http://index.example/simple/demo/", []),
        ("https://files.example/demo-1.0.zip", "http://index.example/simple/demo/", []),
    ],
)
def test_a_link_is_unsafe_when_it_leads_from_https_to_http(url: str, page_url: str, reasons: list[Reason]) -> None:
    selection = run(make_wants(rule()), make_file("demo-1.0.zip", url=url), page_url=page_url)
    assert [item.reason for item in selection.refused] == reasons


@pytest.mark.parametrize(
    ("one", "other"), [(rule(">2", line=1), rule(">3", line=1)), (exclude("<2", line=5), exclude("<3", line=6))]
)
def test_the_quoted_rule_is_the_same_when_rules_come_in_another_order(
    one: ProjectRule | ReleaseRule, other: ProjectRule | ReleaseRule
) -> None:
    wanted = rule("==1.0", line=9)
    there, back = make_wants(one, other, wanted), make_wants(other, one, wanted)
    if isinstance(one, ProjectRule):  # nothing else wants the file
        there, back = make_wants(one, other), make_wants(other, one)
    assert run(there, wheel("1.0")).excluded == run(back, wheel("1.0")).excluded
