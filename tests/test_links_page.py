"""``links.html`` says what the snapshot says, whatever parts of the last one it was made from."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pymirror.errors import StorageError
from pymirror.links_page import put_links
from pymirror.simple.render import render_links
from pymirror.snapshot import EMPTY, Snapshot, SnapshotFile, SnapshotProject
from pymirror.spec.model import Site
from pymirror.storage.local import LocalStorage

MADE_BY = "tests"
RECORD = ".pymirror/state/links.msgpack"


def make_project(name: str, *, files: int, yanked: bool = False) -> SnapshotProject:
    made = []
    for number in range(files):
        digest = hashlib.sha256(f"{name}-{number}".encode()).hexdigest()
        filename = f"{name}-{number}.0.tar.gz"
        made.append(
            SnapshotFile(
                filename=filename, version=f"{number}.0", sha256=digest, blake2b=digest, size=number, yanked=yanked
            )
        )
    return SnapshotProject(name=name, files=tuple(made))


PROJECTS = tuple(make_project(f"project-{number:03}", files=20 + number % 7) for number in range(80))
MANY = Snapshot(projects=PROJECTS)


def replace_one(index: int) -> Snapshot:
    changed = make_project(PROJECTS[index].name, files=31)
    return Snapshot(projects=(*PROJECTS[:index], changed, *PROJECTS[index + 1 :]))


def read_page(tree: Path) -> bytes:
    """The page, which its packed copy must say too where it has one."""
    page = (tree / "links.html").read_bytes()
    if (tree / "links.html.gz").exists():
        assert gzip.decompress((tree / "links.html.gz").read_bytes()) == page
    return page


def read_all(tree: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tree.glob("links*")}


@pytest.mark.parametrize(
    "snapshot",
    [
        EMPTY,
        MANY,
        Snapshot(projects=PROJECTS[:1]),
        Snapshot(projects=(make_project("yanked", files=9, yanked=True),)),
        Snapshot(projects=PROJECTS, site=Site(public_url="https://mirror.example.com/")),
    ],
)
def test_the_page_says_what_the_snapshot_says_when_there_was_none(tmp_path: Path, snapshot: Snapshot) -> None:
    assert put_links(LocalStorage(tmp_path), snapshot, made_by=MADE_BY) == 1 + (tmp_path / "links.html.gz").exists()

    assert read_page(tmp_path) == b"".join(render_links(snapshot))
    assert (tmp_path / "links.html.gz").exists() is (len(snapshot.projects) > 1)
    assert list((tmp_path / ".pymirror/temporary").iterdir()) == []


@pytest.mark.parametrize(
    "after",
    [
        replace_one(0),
        replace_one(40),
        replace_one(79),
        Snapshot(projects=PROJECTS[1:]),
        Snapshot(projects=PROJECTS[:-1]),
        Snapshot(projects=(*PROJECTS[:33], *PROJECTS[34:])),
        Snapshot(projects=(make_project("a", files=3), *PROJECTS)),
        Snapshot(projects=PROJECTS[:1]),
        Snapshot(projects=PROJECTS, site=Site(legacy_json=False)),
        EMPTY,
    ],
)
def test_both_files_are_those_of_a_new_tree_when_projects_have_changed(tmp_path: Path, after: Snapshot) -> None:
    put_links(LocalStorage(tmp_path / "old"), MANY, made_by=MADE_BY)
    put_links(LocalStorage(tmp_path / "old"), after, made_by=MADE_BY)
    put_links(LocalStorage(tmp_path / "new"), after, made_by=MADE_BY)

    assert read_page(tmp_path / "old") == b"".join(render_links(after))
    assert read_all(tmp_path / "old") == read_all(tmp_path / "new")


def test_most_parts_are_taken_over_when_one_project_has_changed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    put_links(storage, MANY, made_by=MADE_BY)
    before = msgspec.msgpack.decode((tmp_path / RECORD).read_bytes())[1]
    put_links(storage, replace_one(40), made_by=MADE_BY)
    after = msgspec.msgpack.decode((tmp_path / RECORD).read_bytes())[1]

    parts = {before[start : start + 16] for start in range(0, len(before), 16)}
    same = sum(after[start : start + 16] in parts for start in range(0, len(after), 16))
    assert len(parts) > 10
    assert same > len(parts) * 0.7


def test_nothing_is_written_when_nothing_has_changed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    put_links(storage, MANY, made_by=MADE_BY)
    names = ("links.html", "links.html.gz", RECORD)
    before = {name: (tmp_path / name).stat() for name in names}

    assert put_links(storage, MANY, made_by=MADE_BY) == 0

    after = {name: (tmp_path / name).stat() for name in names}
    assert [(each.st_ino, each.st_mtime_ns) for each in after.values()] == [
        (each.st_ino, each.st_mtime_ns) for each in before.values()
    ]


def _alter(path: Path) -> None:
    """Other bytes of the same size and time."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _swap_offsets(path: Path) -> None:
    record = msgspec.msgpack.decode(path.read_bytes())
    record[2] = record[2][8:] + record[2][:8]
    path.write_bytes(msgspec.msgpack.encode(record))


def _make_huge(path: Path) -> None:
    record = msgspec.msgpack.decode(path.read_bytes())
    record[2] = record[2][:-8] + b"\xff" * 8
    path.write_bytes(msgspec.msgpack.encode(record))


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_by_large_folder(path: Path) -> None:
    """One that could be the page by its size: reading it fails, as a bad sector does."""
    size = path.stat().st_size
    _replace_by_folder(path)
    number = 0
    while path.stat().st_size < size:
        (path / f"{number:0200}").touch()
        number += 1
        assert number < 20_000


@pytest.mark.parametrize("name", ["links.html", "links.html.gz", RECORD])
@pytest.mark.parametrize("damage", [_alter, _cut, _empty, os.unlink, _replace_by_folder, _replace_by_large_folder])
@pytest.mark.parametrize("after", [MANY, replace_one(40)])
def test_damage_is_not_taken_over_when_the_page_is_made_again(
    tmp_path: Path, name: str, damage: Callable[[Path], None], after: Snapshot
) -> None:
    storage = LocalStorage(tmp_path)
    put_links(storage, MANY, made_by=MADE_BY)
    damage(tmp_path / name)

    put_links(storage, after, made_by=MADE_BY)

    put_links(LocalStorage(tmp_path / "new"), after, made_by=MADE_BY)
    assert read_all(tmp_path) == read_all(tmp_path / "new")


@pytest.mark.parametrize("damage", [_swap_offsets, _make_huge])
def test_offsets_are_not_followed_when_they_cannot_be_right(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    storage = LocalStorage(tmp_path)
    put_links(storage, MANY, made_by=MADE_BY)
    damage(tmp_path / RECORD)

    put_links(storage, replace_one(40), made_by=MADE_BY)

    assert read_page(tmp_path) == b"".join(render_links(replace_one(40)))


def test_an_error_of_the_disk_is_told_as_one_when_the_page_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".pymirror/temporary/links").mkdir(parents=True)

    with pytest.raises(StorageError, match="links"):
        put_links(LocalStorage(tmp_path), MANY, made_by=MADE_BY)
