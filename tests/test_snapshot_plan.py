"""What the index holds, what must be fetched for it, and what can be published once that was tried."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from pymirror.distribution import parse_filename
from pymirror.errors import ExitCode, ShrinkError, UnsafeNameError
from pymirror.limits import check_shrink
from pymirror.plan import (
    Failure,
    Plan,
    PoolFile,
    PoolKey,
    WantedFile,
    list_published,
    make_plan,
    make_snapshot,
    plan_projects,
)
from pymirror.selection.model import Chosen, Selection, Unmet
from pymirror.simple.model import File
from pymirror.snapshot import (
    EMPTY,
    FORMAT,
    Snapshot,
    SnapshotFile,
    SnapshotProject,
    decode_snapshot,
    diff_snapshots,
    digest_snapshot,
    encode_snapshot,
)
from pymirror.spec.model import Origin

WHEEL, SDIST = "demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"
A, B, C, D = "a" * 64, "b" * 64, "c" * 64, "d" * 64
NOTHING: dict[PoolKey, PoolFile] = {}


def version_of(filename: str, project: str = "demo") -> str:
    distribution = parse_filename(filename, canonicalize_name(project))
    assert distribution is not None
    return str(distribution.version)


def published(
    filename: str, sha256: str = A, *, project: str = "demo", yanked: bool | str = False, metadata: str | None = None
) -> SnapshotFile:
    return SnapshotFile(
        filename=filename,
        version=version_of(filename, project),
        sha256=sha256,
        blake2b=sha256[::-1],
        size=100,
        yanked=yanked,
        metadata_sha256=metadata,
    )


def make_snapshot_of(**projects: Sequence[SnapshotFile]) -> Snapshot:
    return Snapshot(projects=tuple(SnapshotProject(name=name, files=tuple(files)) for name, files in projects.items()))


def offered(
    filename: str,
    sha256: str | None = A,
    *,
    size: int | None = 100,
    yanked: bool | str = False,
    requires_python: str | None = None,
    core_metadata: bool | tuple[tuple[str, str], ...] | None = None,
) -> File:
    return File(
        filename=filename,
        url=f"https://files.example/{filename}",
        hashes=(("sha256", sha256),) if sha256 else (),
        size=size,
        yanked=yanked,
        requires_python=requires_python,
        core_metadata=core_metadata,
    )


def select_all(*files: File, project: str = "demo", unmet: Sequence[Unmet] = (), status: str = "active") -> Selection:
    """A selection that wants all ``files``."""
    name = canonicalize_name(project)
    chosen = []
    for file in files:
        distribution = parse_filename(file.filename, name)
        assert distribution is not None
        assert distribution.version is not None
        chosen.append(Chosen(file=file, distribution=distribution, version=distribution.version, origins=()))
    chosen.sort(key=lambda item: (item.version, item.file.filename))
    return Selection(project=name, chosen=tuple(chosen), excluded=(), unmet=tuple(unmet), status=status)


def stored(filename: str, sha256: str = A, *, metadata: str | None = None) -> PoolFile:
    return PoolFile(filename=filename, sha256=sha256, blake2b=sha256[::-1], size=100, metadata_sha256=metadata)


def hold(*files: PoolFile) -> dict[PoolKey, PoolFile]:
    return {(file.sha256, file.filename): file for file in files}


def plan_all(
    *selections: Selection,
    failures: Sequence[Failure] = (),
    previous: Snapshot = EMPTY,
    held: Mapping[PoolKey, PoolFile] = NOTHING,
) -> Plan:
    projects, found = plan_projects(selections, failures, previous)
    return make_plan(projects, found, previous, held)


def fetch(*files: PoolFile, project: str = "demo") -> dict[tuple[str, str], PoolFile]:
    return {(project, file.filename): file for file in files}


def names(snapshot: Snapshot) -> list[str]:
    return [file.filename for _, file in snapshot.files()]


# ── the snapshot ────────────────────────────────────────────────────────────────────────────────────

_HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SNAPSHOT_FILES = st.builds(
    SnapshotFile,
    filename=st.from_regex(r"[a-z][a-z0-9._+!-]{0,20}[.]whl", fullmatch=True),
    version=_TEXT,
    sha256=_HEX,
    blake2b=_HEX,
    size=st.integers(0, 2**62),
    upload_time=st.none() | st.datetimes(timezones=st.just(UTC)),
    requires_python=st.none() | _TEXT,
    yanked=st.booleans() | _TEXT,
    metadata_sha256=st.none() | _HEX,
)
_SNAPSHOTS = st.builds(
    Snapshot,
    projects=st.lists(
        st.builds(
            SnapshotProject,
            name=st.from_regex(r"[a-z]{1,8}", fullmatch=True),
            files=st.lists(_SNAPSHOT_FILES, max_size=3, unique_by=lambda file: file.filename).map(tuple),
            status=st.sampled_from(["active", "archived"]),
            status_reason=st.none() | _TEXT,
        ),
        max_size=3,
        unique_by=lambda project: project.name,
    ).map(tuple),
)


@settings(deadline=None, max_examples=50)
@given(_SNAPSHOTS)
def test_a_snapshot_is_the_same_when_its_json_is_read_again(snapshot: Snapshot) -> None:
    data = encode_snapshot(snapshot)
    again = decode_snapshot(data)
    assert again == snapshot
    assert encode_snapshot(again) == data
    assert digest_snapshot(again) == digest_snapshot(snapshot)


@settings(deadline=None, max_examples=50)
@given(_SNAPSHOTS, _SNAPSHOTS)
def test_two_snapshots_have_one_digest_when_they_are_the_same(one: Snapshot, other: Snapshot) -> None:
    assert (one == other) is (encode_snapshot(one) == encode_snapshot(other))
    assert (one == other) is (digest_snapshot(one) == digest_snapshot(other))


def test_the_json_of_a_snapshot_is_canonical_when_encoded() -> None:
    file = SnapshotFile(
        filename=WHEEL,
        version="1.0",
        sha256=A,
        blake2b=B,
        size=7,
        upload_time=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        yanked="caf\xe9",
    )
    line = (
        '\n{"name":"demo","files":[{"filename":"demo-1.0-py3-none-any.whl","version":"1.0",'
        f'"sha256":"{A}","blake2b":"{B}","size":7,"upload_time":"2024-05-06T07:08:09Z","yanked":"caf\xe9"}}]}}'
    )
    digest = hashlib.sha256(line.encode() + b"{}").hexdigest()
    end = f'\n],"site":{{}},"format":1,"sha256":"{digest}"}}\n'
    assert encode_snapshot(make_snapshot_of(demo=[file])).decode() == '{"projects":[' + line + end


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"projects":[]',
        b'{"projects":{}}',
        b'{"projects":[{"name":"demo"}]}',
        b'{"projects":[{"name":"demo","files":[{"filename":"x"}]}]}',
        b'{"projects":[{"name":3,"files":[]}]}',
        b'{"projects":[],"format":2}',
        b'{"projects":[],"format":"1"}',
        b'{"projects":[{"name":"\xff","files":[]}]}',
    ],
)
def test_a_snapshot_is_refused_when_its_json_is_another(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  msgspec's own errors are of that class, with words of their own
        decode_snapshot(data)


def test_the_format_is_said_when_a_later_version_wrote_the_snapshot() -> None:
    with pytest.raises(ValueError, match=f"format 99; this version reads {FORMAT}"):
        decode_snapshot(b'{"projects":[],"format":99}')


def test_the_paths_of_a_file_are_in_the_pool_when_it_has_metadata_or_not() -> None:
    path = f"packages/bb/bb/{B[4:]}/{WHEEL}"
    file = SnapshotFile(filename=WHEEL, version="1.0", sha256=A, blake2b=B, size=1)
    assert (file.path, file.paths) == (path, (path,))
    assert msgspec.structs.replace(file, metadata_sha256=C).paths == (path, f"{path}.metadata")


@pytest.mark.parametrize(("filename", "blake2b"), [("../x.whl", B), (WHEEL, "../.."), (WHEEL, "")])
def test_the_path_of_a_file_is_refused_when_a_snapshot_was_tampered_with(filename: str, blake2b: str) -> None:
    file = SnapshotFile(filename=filename, version="1.0", sha256=A, blake2b=blake2b, size=1)
    with pytest.raises(UnsafeNameError):
        _ = file.path


def test_the_size_counts_a_file_once_when_it_is_listed_twice() -> None:
    assert make_snapshot_of(demo=[published(WHEEL), published(WHEEL), published(SDIST, B)]).size == 200
    assert EMPTY.size == 0


def test_the_files_come_with_their_project_when_walked() -> None:
    snapshot = make_snapshot_of(demo=[published(WHEEL)], other=[published("other-1.zip", B, project="other")])
    assert [(project, file.filename) for project, file in snapshot.files()] == [
        ("demo", WHEEL),
        ("other", "other-1.zip"),
    ]


# ── the difference ──────────────────────────────────────────────────────────────────────────────────


def test_a_difference_tells_what_came_went_and_changed_when_snapshots_differ() -> None:
    old = make_snapshot_of(demo=[published("demo-1.zip", A), published("demo-2.zip", B), published("demo-3.zip", C)])
    new = make_snapshot_of(
        demo=[published("demo-2.zip", B, yanked="broken"), published("demo-3.zip", C), published("demo-4.zip", D)],
        other=[published("other-1.zip", A, project="other")],
    )
    difference = diff_snapshots(old, new)
    assert difference.added == (("demo", "demo-4.zip"), ("other", "other-1.zip"))
    assert difference.removed == (("demo", "demo-1.zip"),)
    assert difference.changed == (("demo", "demo-2.zip"),)
    assert difference.kept == 1
    assert difference


def test_a_difference_is_false_when_nothing_changed() -> None:
    snapshot = make_snapshot_of(demo=[published(WHEEL)])
    assert not diff_snapshots(snapshot, snapshot)
    assert diff_snapshots(snapshot, snapshot).kept == 1


def test_a_file_goes_and_comes_when_another_project_lists_it() -> None:
    difference = diff_snapshots(make_snapshot_of(demo=[published(WHEEL)]), make_snapshot_of(other=[published(WHEEL)]))
    assert (difference.added, difference.removed) == ((("other", WHEEL),), (("demo", WHEEL),))


@settings(deadline=None, max_examples=50)
@given(_SNAPSHOTS, _SNAPSHOTS)
def test_a_difference_is_turned_round_when_the_snapshots_are(old: Snapshot, new: Snapshot) -> None:
    there, back = diff_snapshots(old, new), diff_snapshots(new, old)
    assert (there.added, there.removed, there.changed, there.kept) == (
        back.removed,
        back.added,
        back.changed,
        back.kept,
    )
    assert len(there.added) + len(there.changed) + there.kept == len(list(new.files()))


# ── the plan ────────────────────────────────────────────────────────────────────────────────────────


def test_only_missing_files_are_transferred_when_the_pool_holds_others() -> None:
    plan = plan_all(
        select_all(offered(WHEEL, A), offered(SDIST, B, size=7), offered("demo-2.0.zip", None, size=None)),
        held=hold(stored(WHEEL, A)),
    )
    assert [(file.filename, file.url) for file in plan.transfers] == [
        (SDIST, f"https://files.example/{SDIST}"),
        ("demo-2.0.zip", "https://files.example/demo-2.0.zip"),
    ]
    assert (plan.reused, plan.transfer_size, plan.unknown_sizes) == (1, 7, 1)
    assert (plan.removed, plan.failures) == ((), ())


def test_a_file_is_transferred_when_the_pool_holds_other_bytes_of_its_name() -> None:
    assert len(plan_all(select_all(offered(WHEEL, A)), held=hold(stored(WHEEL, B))).transfers) == 1


def test_a_wanted_file_is_as_upstream_describes_it_when_planned() -> None:
    (file,) = plan_all(
        select_all(
            offered(
                WHEEL, A, yanked="broken", requires_python=">=3.8", core_metadata=(("md5", "0" * 32), ("sha256", C))
            )
        )
    ).transfers
    assert file == WantedFile(
        project="demo",
        filename=WHEEL,
        version="1.0",
        url=f"https://files.example/{WHEEL}",
        hashes=(("sha256", A),),
        sha256=A,
        size=100,
        upload_time=None,
        requires_python=">=3.8",
        yanked="broken",
        upstream_metadata_sha256=C,
    )


@pytest.mark.parametrize("core_metadata", [True, False, None, (("md5", "0" * 32),)])
def test_no_digest_of_metadata_is_expected_when_upstream_gives_none(
    core_metadata: bool | tuple[tuple[str, str], ...] | None,
) -> None:
    (file,) = plan_all(select_all(offered(WHEEL, core_metadata=core_metadata))).transfers
    assert file.upstream_metadata_sha256 is None


def test_files_are_removed_when_nothing_wants_them() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A), published(SDIST, B)], gone=[published(WHEEL, A)])
    plan = plan_all(select_all(offered(SDIST, B)), previous=previous, held=hold(stored(SDIST, B)))
    assert plan.removed == (("demo", WHEEL), ("gone", WHEEL))
    assert names(make_snapshot(plan, hold(stored(SDIST, B)), {}, previous)) == [SDIST]


def test_projects_and_failures_are_in_order_when_planned() -> None:
    failures = [Failure(project="z", what="z", problem="p"), Failure(project="", what="a line", problem="p")]
    plan = plan_all(
        select_all(offered("b-1.zip"), project="b"), select_all(offered("a-1.zip"), project="a"), failures=failures
    )
    assert [project.name for project in plan.projects] == ["a", "b"]
    assert [failure.project for failure in plan.failures] == ["", "z"]


def test_an_unmet_rule_is_a_failure_that_names_its_line_when_planned() -> None:
    unmet = Unmet(
        project=canonicalize_name("demo"),
        origin=Origin(file="mirror.yaml", line=7, text="demo >=9"),
        problem="no release matches",
    )
    plan = plan_all(select_all(offered(WHEEL), unmet=[unmet]))
    assert plan.failures == (Failure(project="demo", what="demo >=9 (mirror.yaml:7)", problem="no release matches"),)


def test_the_second_plan_is_idle_when_the_first_was_carried_out() -> None:
    selection = select_all(offered(WHEEL, A), offered(SDIST, B))
    first = plan_all(selection)
    snapshot = make_snapshot(first, {}, fetch(stored(WHEEL, A), stored(SDIST, B)), EMPTY)
    held = hold(stored(WHEEL, A), stored(SDIST, B))
    second = plan_all(selection, previous=snapshot, held=held)
    assert (second.transfers, second.removed, second.failures, second.reused) == ((), (), (), 2)
    assert make_snapshot(second, held, {}, snapshot) == snapshot


# ── a failed project stays as it was (promise 3) ────────────────────────────────────────────────────

BAD_PAGE = Failure(project="demo", what="demo", problem="HTTP 500")


def test_a_project_stays_as_it_was_when_its_page_failed() -> None:
    old = published(WHEEL, A, yanked="broken", metadata=C)
    previous = Snapshot(projects=(SnapshotProject(name="demo", files=(old,), status="archived", status_reason="old"),))
    held = hold(stored(WHEEL, A, metadata=C))
    plan = plan_all(select_all(offered("b-1.zip", B), project="b"), failures=[BAD_PAGE], previous=previous, held=held)
    assert plan.removed == ()
    assert [file.filename for file in plan.transfers] == ["b-1.zip"]
    assert plan.failures == (BAD_PAGE,)
    assert [project.name for project in plan.projects] == ["b", "demo"]
    snapshot = make_snapshot(plan, held, fetch(stored("b-1.zip", B), project="b"), previous)
    assert snapshot.projects[1] == previous.projects[0]


def test_a_project_is_not_there_when_its_page_failed_and_it_never_was() -> None:
    plan = plan_all(failures=[BAD_PAGE])
    assert (plan.projects, plan.failures) == ((), (BAD_PAGE,))
    assert make_snapshot(plan, {}, {}, EMPTY) == EMPTY


def test_a_project_stays_as_it_was_when_several_things_failed_in_it() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL)])
    held = hold(stored(WHEEL))
    plan = plan_all(failures=[BAD_PAGE, Failure(project="demo", what="x", problem="y")], previous=previous, held=held)
    assert make_snapshot(plan, held, {}, previous) == previous


# ── a release whole or not at all (promise 3) ───────────────────────────────────────────────────────

TWO_RELEASES = select_all(
    offered(WHEEL, A), offered(SDIST, B), offered("demo-2.0-py3-none-any.whl", C), offered("demo-2.0.tar.gz", D)
)


def test_a_release_is_left_out_when_one_file_of_it_failed() -> None:
    fetched = fetch(stored(WHEEL, A), stored(SDIST, B), stored("demo-2.0.tar.gz", D))
    snapshot = make_snapshot(plan_all(TWO_RELEASES), {}, fetched, EMPTY)
    assert names(snapshot) == [WHEEL, SDIST]


def test_a_project_is_left_out_when_all_its_releases_failed() -> None:
    snapshot = make_snapshot(plan_all(TWO_RELEASES), {}, fetch(stored(WHEEL, A), stored("demo-2.0.tar.gz", D)), EMPTY)
    assert snapshot == EMPTY


def test_a_release_stays_as_it_was_when_a_new_file_of_it_failed() -> None:
    old = published(WHEEL, A)
    previous = make_snapshot_of(demo=[old])
    held = hold(stored(WHEEL, A))
    plan = plan_all(select_all(offered(WHEEL, A, yanked="broken"), offered(SDIST, B)), previous=previous, held=held)
    assert make_snapshot(plan, held, {}, previous) == previous
    complete = make_snapshot(plan, held, fetch(stored(SDIST, B)), previous)
    assert [(file.filename, file.yanked) for _, file in complete.files()] == [(WHEEL, "broken"), (SDIST, False)]


def test_a_release_keeps_a_file_that_is_no_longer_wanted_when_the_new_one_failed() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A)])
    held = hold(stored(WHEEL, A))
    plan = plan_all(select_all(offered(SDIST, B)), previous=previous, held=held)
    assert plan.removed == (("demo", WHEEL),)
    assert make_snapshot(plan, held, {}, previous) == previous


def test_another_release_goes_on_when_one_failed() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A)])
    held = hold(stored(WHEEL, A))
    plan = plan_all(TWO_RELEASES, previous=previous, held=held)
    fetched = fetch(stored("demo-2.0-py3-none-any.whl", C), stored("demo-2.0.tar.gz", D))
    assert names(make_snapshot(plan, held, fetched, previous)) == [
        WHEEL,
        "demo-2.0-py3-none-any.whl",
        "demo-2.0.tar.gz",
    ]


def test_a_release_is_left_out_when_a_file_failed_that_spells_the_version_otherwise() -> None:
    plan = plan_all(select_all(offered(WHEEL, A), offered("demo-1.0.0.tar.gz", B)))
    assert make_snapshot(plan, {}, fetch(stored(WHEEL, A)), EMPTY) == EMPTY


def test_a_failed_file_of_one_project_leaves_another_alone_when_names_are_the_same() -> None:
    plan = plan_all(select_all(offered(WHEEL, A)), select_all(offered(SDIST, B)))
    assert names(make_snapshot(plan, {}, fetch(stored(WHEEL, A), project="other"), EMPTY)) == []


_NAMES = [
    f"demo-{version}{suffix}" for version in ("1.0", "2.0") for suffix in ("-py3-none-any.whl", ".tar.gz", ".zip")
]
_STATES = st.fixed_dictionaries(
    {name: st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()) for name in _NAMES}
)


@settings(deadline=None)
@given(_STATES)
def test_every_release_is_as_wanted_or_as_it_was_when_anything_fails(
    states: dict[str, tuple[bool, bool, bool, bool]],
) -> None:
    """Each file: was it published, is it wanted, is it in the pool, could it be fetched."""
    digests = {name: f"{index:x}" * 64 for index, name in enumerate(_NAMES)}
    previous = make_snapshot_of(demo=[published(name, digests[name]) for name in _NAMES if states[name][0]])
    held = hold(*(stored(name, digests[name]) for name in _NAMES if states[name][0] or states[name][2]))
    fetched = fetch(*(stored(name, digests[name]) for name in _NAMES if states[name][3]))
    plan = plan_all(
        select_all(*(offered(name, digests[name]) for name in _NAMES if states[name][1])), previous=previous, held=held
    )
    snapshot = make_snapshot(plan, held, fetched, previous)
    for version in ("1.0", "2.0"):
        now = {file.filename for _, file in snapshot.files() if file.version == version}
        before = {file.filename for _, file in previous.files() if file.version == version}
        wanted = {name for name in _NAMES if states[name][1] and version_of(name) == version}
        assert now in (before, wanted)


def test_published_files_are_listed_without_a_url_when_a_release_may_fall_back_to_them() -> None:
    found = list_published(make_snapshot_of(demo=[published(WHEEL, A, yanked="broken")], other=[published(SDIST, B)]))
    assert [(file.project, file.filename, file.sha256, file.url) for file in found] == [
        ("demo", WHEEL, A, ""),
        ("other", SDIST, B, ""),
    ]
    assert found[0].yanked == "broken"


# ── published files are immutable (promise 7) ───────────────────────────────────────────────────────


def test_the_published_file_is_kept_when_upstream_changes_its_bytes() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A, metadata=C)])
    held = hold(stored(WHEEL, A, metadata=C))
    plan = plan_all(select_all(offered(WHEEL, B)), previous=previous, held=held)
    assert (plan.transfers, plan.removed, plan.reused) == ((), (), 1)
    (failure,) = plan.failures
    assert (failure.project, failure.what) == ("demo", WHEEL)
    assert failure.problem == f"upstream changed the file: sha256 was {A}, is {B}; the old one is kept"
    assert make_snapshot(plan, held, {}, previous) == previous


def test_other_files_go_on_when_upstream_changes_the_bytes_of_one() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A)])
    held = hold(stored(WHEEL, A))
    plan = plan_all(select_all(offered(WHEEL, B), offered(SDIST, C)), previous=previous, held=held)
    assert [file.filename for file in plan.transfers] == [SDIST]
    snapshot = make_snapshot(plan, held, fetch(stored(SDIST, C)), previous)
    assert [(file.filename, file.sha256) for _, file in snapshot.files()] == [(WHEEL, A), (SDIST, C)]


def test_other_bytes_are_not_fetched_in_its_place_when_the_changed_file_is_lost() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A)])
    plan = plan_all(select_all(offered(WHEEL, B)), previous=previous)
    assert plan.transfers == ()
    assert len(plan.failures) == 2


def test_what_the_index_says_of_a_file_is_refreshed_when_its_bytes_are_the_same() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A, yanked="broken")])
    held = hold(stored(WHEEL, A))
    plan = plan_all(select_all(offered(WHEEL, A, requires_python=">=3.8")), previous=previous, held=held)
    ((_, file),) = make_snapshot(plan, held, {}, previous).files()
    assert (file.yanked, file.requires_python) == (False, ">=3.8")


def test_the_published_digest_is_demanded_when_upstream_gives_none() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A)])
    (file,) = plan_all(select_all(offered(WHEEL, None)), previous=previous).transfers
    assert (file.sha256, file.hashes, file.url) == (A, (("sha256", A),), f"https://files.example/{WHEEL}")


def test_a_yank_is_refreshed_when_upstream_gives_no_digest() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A)])
    held = hold(stored(WHEEL, A))
    plan = plan_all(select_all(offered(WHEEL, None, yanked="broken")), previous=previous, held=held)
    ((_, file),) = make_snapshot(plan, held, {}, previous).files()
    assert file.yanked == "broken"


# ── lost files ──────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_file_is_fetched_again_when_upstream_still_has_it() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A)])
    plan = plan_all(select_all(offered(WHEEL, A)), previous=previous)
    assert [file.filename for file in plan.transfers] == [WHEEL]
    assert plan.failures == ()
    assert make_snapshot(plan, {}, fetch(stored(WHEEL, A)), previous) == previous


def test_a_lost_file_is_a_failure_and_leaves_when_it_cannot_be_fetched() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A), published("demo-2.0.tar.gz", B)])
    held = hold(stored("demo-2.0.tar.gz", B))
    plan = plan_all(failures=[BAD_PAGE], previous=previous, held=held)
    assert plan.transfers == ()
    assert [failure.what for failure in plan.failures] == ["demo", WHEEL]
    assert "cannot be fetched again" in plan.failures[1].problem
    # No page may name a file that is not there (promise 1).
    assert names(make_snapshot(plan, held, {}, previous)) == ["demo-2.0.tar.gz"]


def test_no_file_is_published_when_the_pool_does_not_hold_it() -> None:
    previous = make_snapshot_of(demo=[published(WHEEL, A), published(SDIST, B)])
    plan = plan_all(select_all(offered(WHEEL, A), offered(SDIST, B), offered("demo-1.0.zip", C)), previous=previous)
    assert make_snapshot(plan, {}, {}, previous) == EMPTY


# ── a run that would empty the mirror (promise 6) ───────────────────────────────────────────────────


def _removed(count: int) -> list[tuple[str, str]]:
    return [("demo", f"demo-{index}.zip") for index in range(count)]


@pytest.mark.parametrize(
    ("published_files", "removed_files"), [(0, 0), (5, 5), (1, 1), (60, 6), (61, 6), (100, 10), (1000, 100)]
)
def test_a_run_goes_on_when_few_files_would_leave(published_files: int, removed_files: int) -> None:
    check_shrink(published_files, _removed(removed_files))


@pytest.mark.parametrize(("published_files", "removed_files"), [(6, 6), (59, 6), (100, 11), (1000, 101), (1000, 1000)])
def test_a_run_is_refused_when_many_files_would_leave(published_files: int, removed_files: int) -> None:
    with pytest.raises(ShrinkError) as caught:
        check_shrink(published_files, _removed(removed_files))
    error = caught.value
    assert error.exit_code is ExitCode.REFUSED
    assert (error.removed, error.published) == (removed_files, published_files)
    assert error.examples == ("demo-0.zip", "demo-1.zip", "demo-2.zip")
    assert f"{removed_files} of the {published_files} published files" in str(error)
    assert "--allow-shrink" in (error.hint or "")
