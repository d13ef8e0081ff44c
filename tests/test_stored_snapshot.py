"""Snapshots on disk: what is written is what is read, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymirror.errors import StorageError, UnsafeNameError
from pymirror.history import History
from pymirror.layout import project_pages
from pymirror.snapshot import (
    EMPTY,
    START,
    Needed,
    Snapshot,
    SnapshotFile,
    SnapshotProject,
    decode_snapshot,
    digest_lines,
    encode_end,
    encode_snapshot,
)
from pymirror.spec.model import Site
from pymirror.storage.local import LocalStorage
from pymirror.stored_snapshot import (
    SnapshotDraft,
    StoredProjects,
    encode_pieces,
    is_same_snapshot,
    list_names,
    load_snapshot,
    pick_projects,
)
from tests.archives import make_sdist
from tests.conftest import Mirror
from tests.index import LocalIndex

DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
NAMES = st.from_regex(r"[a-z0-9]{1,3}(-[a-z0-9]{1,3})?", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)  # line feeds, quotes and odd characters among them

FILES = st.builds(
    SnapshotFile,
    filename=st.from_regex(r"[a-z]{1,4}-[0-9]\.[0-9]\.tar\.gz", fullmatch=True),
    version=st.sampled_from(["1.0", "2.0", "1!3.0+local"]),
    sha256=DIGESTS,
    blake2b=DIGESTS,
    size=st.integers(0, 2**60),
    upload_time=st.none() | st.just(datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)),
    requires_python=st.none() | TEXTS,
    yanked=st.booleans() | TEXTS,
    metadata_sha256=st.none() | DIGESTS,
    other_hashes=st.just(()) | st.just((("md5", "0" * 32),)),
)
PROJECTS = st.builds(
    SnapshotProject,
    name=NAMES,
    files=st.lists(FILES, max_size=2).map(tuple),
    status_reason=st.none() | TEXTS,
    wanted_by=st.lists(TEXTS, max_size=2).map(tuple),
    needed=st.just(()) | st.just((Needed(version="1.0", roots=("a", "b")),)),
)
SITES = st.sampled_from([Site(), Site(public_url="https://mirror.example.com/"), Site(pages=False, legacy_json=False)])


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    projects = draw(st.lists(PROJECTS, max_size=5, unique_by=lambda project: project.name))
    return Snapshot(projects=tuple(sorted(projects, key=lambda project: project.name)), site=draw(SITES))


def make_project(name: str, **said: Any) -> SnapshotProject:
    digest = hashlib.sha256(name.encode()).hexdigest()
    file = SnapshotFile(filename=f"{name}-1.0.tar.gz", version="1.0", sha256=digest, blake2b=digest, size=1)
    return SnapshotProject(name=name, files=(file,), **said)


SMALL = Snapshot(
    projects=(make_project("a", wanted_by=("a ≥1\n",)), make_project("b")),
    site=Site(public_url="https://mirror.example.com/"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshots")


def store(folder: Path, data: bytes) -> Snapshot | None:
    """What is read where ``data`` is on disk."""
    path = folder / "snapshot.json"
    path.write_bytes(data)
    return load_snapshot(path)


# ── written and read ────────────────────────────────────────────────────────────────────────────────


@given(snapshots())
@settings(max_examples=40, deadline=None)
def test_a_snapshot_is_the_same_when_it_was_written_and_read(folder: Path, snapshot: Snapshot) -> None:
    data = b"".join(encode_pieces(snapshot))
    assert data == encode_snapshot(snapshot)
    assert json.loads(data)["projects"] == json.loads(msgspec.json.encode(snapshot.projects))

    loaded = store(folder, data)

    assert loaded is not None
    projects = loaded.projects
    assert isinstance(projects, StoredProjects)
    assert tuple(projects) == projects[:] == snapshot.projects
    assert loaded.site == snapshot.site
    assert loaded.size == snapshot.size
    assert b"".join(encode_pieces(loaded)) == data
    assert is_same_snapshot(loaded, snapshot)
    assert is_same_snapshot(snapshot, loaded)
    assert decode_snapshot(data) == snapshot
    assert list_names(loaded) == projects.names == list_names(snapshot)
    assert projects[::-1] == tuple(reversed(projects)) == tuple(snapshot.projects[::-1])
    assert projects[1:3] == tuple(snapshot.projects[1:3])
    for project in snapshot.projects:
        assert projects.find(project.name) == project
        assert projects.find(project.name + "-") is None
    for name in ("", "zzzz"):
        assert projects.find(name) is None
    some = list_names(snapshot)[::2]
    assert pick_projects(loaded, some) == pick_projects(snapshot, some)
    assert list_names(pick_projects(loaded, [*some, "zzzz"])) == some


def test_a_snapshot_is_read_to_its_end_when_its_name_is_given_away_meanwhile(folder: Path) -> None:
    loaded = store(folder, encode_snapshot(SMALL))
    assert loaded is not None
    (folder / "snapshot.json").unlink()
    (folder / "snapshot.json").write_bytes(encode_snapshot(EMPTY))

    assert tuple(loaded.projects) == SMALL.projects


def test_two_snapshots_differ_when_a_project_or_the_site_does(folder: Path) -> None:
    loaded = store(folder, encode_snapshot(SMALL))
    assert loaded is not None
    changed = make_project("b", status="archived")
    for other in (
        Snapshot(projects=SMALL.projects[:1], site=SMALL.site),
        Snapshot(projects=(SMALL.projects[0], changed), site=SMALL.site),
        Snapshot(projects=SMALL.projects),
    ):
        assert not is_same_snapshot(loaded, other)
        assert not is_same_snapshot(other, loaded)


def test_a_snapshot_in_one_line_is_read_when_an_earlier_version_wrote_it(folder: Path) -> None:
    old = msgspec.json.encode({"projects": SMALL.projects, "format": 1})

    loaded = store(folder, old)

    assert loaded == Snapshot(projects=SMALL.projects, site=Site(legacy_json=False, pages=False))
    for cut in range(0, len(old), 7):
        assert store(folder, old[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        START,
        START + b"\n",
        b'{"projects": [\n]}',
        b"[]",
        encode_snapshot(SMALL).replace(b'"format":1', b'"format":2'),
        encode_snapshot(SMALL).replace(b"\n,", b"\n", 1),
        b" " + encode_snapshot(SMALL),
    ],
)
def test_a_file_is_no_snapshot_when_its_form_is_another(folder: Path, data: bytes) -> None:
    assert store(folder, data) is None


def test_there_is_no_snapshot_when_there_is_no_file(folder: Path) -> None:
    assert load_snapshot(folder / "none.json") is None
    (folder / "file").write_bytes(b"")
    assert load_snapshot(folder / "file" / "none.json") is None


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_snapshot_is_none_when_it_is_cut_short_anywhere(folder: Path) -> None:
    data = encode_snapshot(SMALL)
    for cut in range(len(data) - 1):
        assert store(folder, data[:cut]) is None, cut
    whole = store(folder, data[:-1])  # but for the last line feed, all is there
    assert whole is not None
    assert is_same_snapshot(whole, SMALL)


def find_accepted(folder: Path, begin: int, end: int) -> list[int]:
    """The places where a flipped bit makes the file another snapshot."""
    data = encode_snapshot(SMALL)
    accepted = []
    for place in range(begin, end):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        loaded = store(folder, bytes(damaged))
        if loaded is not None and not is_same_snapshot(loaded, SMALL):
            accepted.append(place)
    return accepted


END = encode_snapshot(SMALL).index(b'"site":')


def test_a_snapshot_is_none_when_a_bit_of_its_projects_is_flipped(folder: Path) -> None:
    assert find_accepted(folder, 0, END) == []


def test_a_snapshot_is_none_when_a_bit_of_its_site_is_flipped(folder: Path) -> None:
    assert find_accepted(folder, END, len(encode_snapshot(SMALL))) == []


# ── names that lead elsewhere ───────────────────────────────────────────────────────────────────────


def forge(*lines: bytes) -> bytes:
    """A file with these lines and the digest that they have."""
    text = b"\n" + b"\n,".join(lines)
    return START + text + encode_end(Site(), digest_lines(Site(), hashlib.sha256(text)))


def test_a_forged_snapshot_is_what_it_says_when_its_names_are_good(folder: Path) -> None:
    loaded = store(folder, forge(*(msgspec.json.encode(project) for project in SMALL.projects)))
    assert loaded is not None
    assert tuple(loaded.projects) == SMALL.projects


GOOD_LINE = msgspec.json.encode(make_project("a"))
HOSTILE_LINES = [
    GOOD_LINE.replace(b'"a-1.0.tar.gz"', b'"../../a-1.0.tar.gz"'),
    GOOD_LINE.replace(b'"a-1.0.tar.gz"', b'"/etc/a-1.0.tar.gz"'),
    GOOD_LINE.replace(b'"a-1.0.tar.gz"', b'"a\\u0000.tar.gz"'),
    GOOD_LINE.replace(b'"blake2b":"', b'"blake2b":"../'),
    GOOD_LINE.replace(b'"name":"a"', b'"name":"--"'),
    GOOD_LINE.replace(b'"name":"a"', b'"name":"-a"'),
    GOOD_LINE.replace(b"]}", b'],"name":"../a"}'),
    b'{"name":"a"',
    b'{"name":"a","files":0}',
]


@pytest.mark.parametrize("line", HOSTILE_LINES)
def test_a_project_gives_no_path_when_its_names_lead_out_of_the_tree(folder: Path, line: bytes) -> None:
    loaded = store(folder, forge(line))
    if loaded is not None:
        with pytest.raises((StorageError, UnsafeNameError)):
            list_paths(loaded.projects[0])


def list_paths(project: SnapshotProject) -> list[str]:
    return [*project_pages(project.name), *(path for file in project.files for path in file.paths)]


@pytest.mark.parametrize("name", [b"../a", b"a/b", b"A", b"", b".", b"a\\u002fb", b"a_b", b"\xc3\xa4"])
def test_a_snapshot_is_none_when_a_name_is_none(folder: Path, name: bytes) -> None:
    assert store(folder, forge(GOOD_LINE.replace(b'"name":"a"', b'"name":"%s"' % name))) is None


def test_no_file_is_touched_outside_the_tree_when_the_record_is_forged(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    published = mirror.published()
    for line in (HOSTILE_LINES[0], HOSTILE_LINES[5], HOSTILE_LINES[6]):
        (mirror.tree / ".pymirror" / "snapshots" / "000001.json").write_bytes(forge(line))

        mirror.run("verify", code=None)  # which fails if there is a traceback
        mirror.sync(code=None)

        assert {path.name for path in mirror.folder.iterdir()} == {"mirror", "mirror.yaml"}
        assert mirror.published() == published


def test_the_snapshot_of_the_first_run_is_used_when_that_was_cut_short_after_its_pages(
    index: LocalIndex, mirror: Mirror
) -> None:
    """The pages say the same, but would all be in memory; where they say anything else, they count."""
    index.add(make_sdist("demo", "1.0"))
    index.add(make_sdist("other", "1.0"))
    mirror.write_spec(index, "projects: [demo, other]")
    mirror.sync()
    history = History(LocalStorage(mirror.tree))
    published = history.current()
    (mirror.tree / ".pymirror" / "snapshots" / "current").unlink()

    cut_short = history.current()

    assert published is not None
    assert cut_short is not None
    assert isinstance(cut_short.projects, StoredProjects)
    assert is_same_snapshot(cut_short, published)
    (mirror.tree / "simple" / "demo" / "index.v1_json").unlink()
    damaged = history.current()
    assert damaged is not None
    assert list_names(damaged) == ["other"]


def test_the_pages_are_read_when_a_record_without_a_project_was_removed(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    published = mirror.published()
    record = mirror.tree / ".pymirror" / "snapshots" / "000001.json"
    record.write_bytes(forge(HOSTILE_LINES[8]))

    assert "000001.json: a line of it is no project" in mirror.sync(code=1).err
    record.unlink()
    mirror.sync()

    assert mirror.published() == published
    assert mirror.run("verify", "--json").json["damages"] == []


# ── a draft ─────────────────────────────────────────────────────────────────────────────────────────


def make_draft(storage: LocalStorage, previous: Snapshot, snapshot: Snapshot) -> Snapshot:
    with SnapshotDraft(storage, previous) as draft:
        for project in snapshot.projects:
            draft.add(project)
        return draft.finish(snapshot.site)


@given(snapshots(), snapshots(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_draft_says_what_was_added_when_there_was_another_before(
    tmp_path_factory: pytest.TempPathFactory, folder: Path, before: Snapshot, other: Snapshot, data: st.DataObject
) -> None:
    # Of the projects there were, some stay, some change, some go; of the others, some come.
    stay = data.draw(st.sets(st.sampled_from(list_names(before)))) if before.projects else set()
    kept = {project.name: project for project in before.projects if project.name in stay}
    come = {project.name: project for project in other.projects}
    projects = tuple(each for _, each in sorted((come | kept).items()))
    snapshot = Snapshot(projects=projects, site=data.draw(st.sampled_from([before.site, other.site])))
    stored = store(folder, encode_snapshot(before))
    assert stored is not None

    for previous in (stored, before, EMPTY):
        storage = LocalStorage(folder / "tree")
        made = make_draft(storage, previous, snapshot)
        assert b"".join(encode_pieces(made)) == encode_snapshot(snapshot)
        assert is_same_snapshot(made, snapshot)
        assert tuple(made.projects) == snapshot.projects
        if isinstance(made.projects, StoredProjects):
            assert made.projects.names == list_names(snapshot)
            again = store(folder, encode_snapshot(snapshot))
            assert again is not None
            assert isinstance(again.projects, StoredProjects)
            assert made.projects.digest == again.projects.digest
        if previous is stored:
            assert (made is stored) == (encode_snapshot(before) == encode_snapshot(snapshot))


def test_nothing_is_written_when_a_draft_is_as_before(tmp_path: Path) -> None:
    stored = store(tmp_path, encode_snapshot(SMALL))
    assert stored is not None
    storage = LocalStorage(tmp_path / "tree")

    with SnapshotDraft(storage, stored) as draft:
        for project in SMALL.projects:
            draft.add(project)
        assert not (tmp_path / "tree").exists()
        made = draft.finish(SMALL.site)

    assert made is stored
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize("change", ["site", "first", "last", "fewer", "more", "none"])
def test_a_draft_is_another_when_anything_changed(tmp_path: Path, change: str) -> None:
    stored = store(tmp_path, encode_snapshot(SMALL))
    assert stored is not None
    a, b = SMALL.projects
    projects = {
        "site": (a, b),
        "first": (make_project("a"), b),
        "last": (a, make_project("b", status="archived")),
        "fewer": (a,),
        "more": (a, b, make_project("c")),
        "none": (),
    }[change]
    snapshot = Snapshot(projects=projects, site=Site() if change == "site" else SMALL.site)

    made = make_draft(LocalStorage(tmp_path / "tree"), stored, snapshot)

    assert b"".join(encode_pieces(made)) == encode_snapshot(snapshot)
    assert not is_same_snapshot(made, stored)


def test_no_snapshot_is_left_when_a_draft_is_not_finished(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "tree")

    with SnapshotDraft(storage, EMPTY) as draft:
        draft.add(SMALL.projects[0])

    left = {path.relative_to(tmp_path / "tree").as_posix() for path in (tmp_path / "tree").rglob("*")}
    assert left <= {".pymirror", ".pymirror/temporary", ".pymirror/temporary/snapshot"}
    assert load_snapshot(tmp_path / "tree" / ".pymirror" / "temporary" / "snapshot") is None
    made = make_draft(storage, EMPTY, SMALL)  # what is left is in nobody's way
    assert tuple(made.projects) == SMALL.projects
