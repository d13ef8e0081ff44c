"""Pages that are as they were published are not made again, and any other is mended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.archives import make_sdist
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.test_batches import make_environ

RECORD = ".pymirror/state/pages.msgpack"
BODY = "legacy-json: false\npages: false\nprojects: [demo, large, other]"
VERSIONS = 40
REQUIRES = ">=3.8" + ",!=3.9.1" * 90  # so long that their pages have packed copies


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalIndex]:
    with LocalIndex() as local:
        for name in ("demo", "other"):
            local.add(make_sdist(name, "1.0"))
        _, data = make_sdist("large", "1.0")
        for number in range(VERSIONS):
            local.add((f"large-1.{number}.tar.gz", data), requires_python=REQUIRES)
        yield local


@pytest.fixture(scope="module")
def base(shared: LocalIndex, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    folder = tmp_path_factory.mktemp("pages")
    mirror = Mirror(folder, make_environ(folder / "home"))
    mirror.write_spec(shared, BODY)
    mirror.sync()
    assert (mirror.tree / "simple/large/index.html.gz").exists()
    return mirror


@pytest.fixture
def copied(base: Mirror, mirror: Mirror) -> Mirror:
    """A published mirror, which a test may change."""
    shutil.copytree(base.folder, mirror.folder, dirs_exist_ok=True)
    mirror.environ = base.environ
    return mirror


def change(path: Path, data: bytes, *, is_time_kept: bool = False) -> None:
    """Puts other bytes there."""
    stat = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns if is_time_kept else stat.st_mtime_ns - 10**9))


def lengthen(tree: Path) -> None:
    change(tree / "simple/demo/index.html", (tree / "simple/demo/index.html").read_bytes() + b"<!-- -->")


def lengthen_with_its_time(tree: Path) -> None:
    path = tree / "simple/demo/index.v1_json"
    change(path, path.read_bytes() + b" ", is_time_kept=True)


def alter(tree: Path) -> None:
    path = tree / "simple/demo/index.v1_json"
    change(path, path.read_bytes().replace(b"1.0", b"9.0"))


def alter_list(tree: Path) -> None:
    path = tree / "simple/index.html"
    change(path, path.read_bytes().replace(b"other", b"rehto"))


def alter_links(tree: Path) -> None:
    path = tree / "links.html"
    change(path, path.read_bytes().replace(b"demo", b"omed"))


def delete(tree: Path) -> None:
    (tree / "simple/demo/index.html").unlink()


def delete_folder(tree: Path) -> None:
    shutil.rmtree(tree / "simple/demo")


def delete_list(tree: Path) -> None:
    (tree / "simple/index.v1_json").unlink()


def delete_links(tree: Path) -> None:
    (tree / "links.html").unlink()


def add_foreign(tree: Path) -> None:
    (tree / "simple/demo/index.htm").write_text("foreign")


def add_foreign_folder(tree: Path) -> None:
    (tree / "simple/demo/deep/er").mkdir(parents=True)
    (tree / "simple/demo/deep/er/index.html").write_text("foreign")


def add_foreign_project(tree: Path) -> None:
    (tree / "simple/foreign").mkdir()
    (tree / "simple/foreign/index.html").write_text("foreign")


def add_foreign_page(tree: Path) -> None:
    (tree / "simple/robots.txt").write_text("foreign")


def lose_packed(tree: Path) -> None:
    (tree / "simple/large/index.html.gz").unlink()


def alter_packed(tree: Path) -> None:
    change(tree / "simple/large/index.v1_json.gz", b"\x1f\x8b")


def add_packed(tree: Path) -> None:
    (tree / "simple/demo/index.html.gz").write_bytes(b"foreign")


def add_packed_list(tree: Path) -> None:
    (tree / "simple/index.html.gz").write_bytes(b"foreign")


def add_packed_json_list(tree: Path) -> None:
    (tree / "simple/index.v1_json.gz").write_bytes(b"foreign")


def lose_packed_links(tree: Path) -> None:
    (tree / "links.html.gz").unlink()


def put_folder(tree: Path) -> None:
    (tree / "simple/demo/index.html").unlink()
    (tree / "simple/demo/index.html").mkdir()
    (tree / "simple/demo/index.html/x").write_text("foreign")


SPOILS = [
    lengthen,
    lengthen_with_its_time,
    alter,
    alter_list,
    alter_links,
    delete,
    delete_folder,
    delete_list,
    delete_links,
    add_foreign,
    add_foreign_folder,
    add_foreign_project,
    add_foreign_page,
    lose_packed,
    alter_packed,
    add_packed,
    add_packed_list,
    add_packed_json_list,
    lose_packed_links,
    put_folder,
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_page_is_mended_by_the_next_run_when_it_is_not_as_it_was_published(
    base: Mirror, copied: Mirror, spoil: Callable[[Path], None]
) -> None:
    before = copied.content()
    spoil(copied.tree)
    assert copied.published() != base.published()

    report = copied.sync("--json").json

    assert report["pages-written"] > 0
    assert copied.published() == base.published()
    # Of the other projects nothing is touched.
    after = copied.content()
    others = [name for name in before if name.startswith("simple/other/")]
    assert {name: after[name] for name in others} == {name: before[name] for name in others}


def test_nothing_is_written_when_what_was_mended_is_as_it_was_published(copied: Mirror) -> None:
    for spoil in (alter, alter_list, lose_packed, add_foreign_project):
        spoil(copied.tree)
    copied.sync()
    before = copied.content()

    assert copied.sync("--json").json["pages-written"] == 0

    assert copied.content() == before


@pytest.mark.parametrize("page", ["simple/demo/index.html", "simple/index.v1_json", "simple/large/index.html.gz"])
def test_verify_finds_a_page_when_its_size_and_its_time_are_as_they_were_and_the_next_run_mends_it(
    base: Mirror, copied: Mirror, page: str
) -> None:
    path = copied.tree / page
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    change(path, bytes(data), is_time_kept=True)

    found = copied.run("verify", "--json", code=5).json["damages"]

    assert [damage["path"] for damage in found] == [page]
    assert copied.sync("--json").json["pages-written"] > 0
    assert copied.published() == base.published()
    assert copied.run("verify", "--json").json["damages"] == []


@pytest.mark.parametrize("data", [b"", b"\x93\xa0\xa0\xc4\x00", None])
def test_pages_are_compared_again_when_the_record_is_damaged(base: Mirror, copied: Mirror, data: bytes | None) -> None:
    path = copied.tree / RECORD
    good = path.read_bytes()
    before = {name: state for name, state in copied.content().items() if name != RECORD}
    path.write_bytes(good[:-8] if data is None else data)

    assert copied.sync("--json").json["pages-written"] == 0

    assert {name: state for name, state in copied.content().items() if name != RECORD} == before
    assert path.read_bytes() == good
    path.write_bytes(b"x")
    alter(copied.tree)
    copied.sync()
    assert copied.published() == base.published()


def test_pages_keep_their_inodes_and_times_when_the_state_is_deleted(copied: Mirror) -> None:
    before = {name: state for name, state in copied.content().items() if not name.startswith(".pymirror/")}
    shutil.rmtree(copied.tree / ".pymirror/state")

    assert copied.sync("--json").json["pages-written"] == 0

    assert {name: state for name, state in copied.content().items() if not name.startswith(".pymirror/")} == before


@pytest.mark.parametrize("body", ["public-url: https://mirror.example.com/\n", "file-mode: '0640'\n"])
def test_the_pages_are_those_of_a_new_mirror_when_the_site_changes_and_changes_back(
    base: Mirror, copied: Mirror, shared: LocalIndex, body: str
) -> None:
    copied.write_spec(shared, f"{body}{BODY}")
    copied.sync()
    new = Mirror(copied.folder.parent / "new", copied.environ)
    new.folder.mkdir()
    new.write_spec(shared, f"{body}{BODY}")
    new.sync()
    assert copied.published() == new.published()

    copied.write_spec(shared, BODY)
    copied.sync()
    assert copied.published() == base.published()


def test_only_the_pages_of_a_project_are_made_again_when_it_alone_changed(
    base: Mirror, copied: Mirror, shared: LocalIndex
) -> None:
    entries = list(shared.entries)
    shared.add(make_sdist("demo", "2.0"))
    before = copied.content()
    try:
        copied.sync()
    finally:
        shared.entries = entries

    changed = {name for name, state in copied.content().items() if before.get(name) != state}
    pages = {name for name in changed if not name.startswith((".pymirror/", "packages/"))}
    demo = {"simple/demo/index.html", "simple/demo/index.v1_json"}
    assert pages == {*demo, "links.html", "links.html.gz"}


def test_nothing_is_left_beside_the_staged_pages_when_a_page_is_mended(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(150):  # so that links.html has a packed copy
        index.add(make_sdist("demo", f"{number}.0"))
    mirror.write_spec(index, "projects: [demo]\nlegacy-json: false\npages: false")
    mirror.sync()
    assert (mirror.tree / "links.html.gz").is_file()
    (mirror.tree / "simple/demo/index.html").write_text("damage")

    mirror.sync()

    staged = mirror.tree / ".pymirror/staged"
    assert not staged.exists() or list(staged.iterdir()) == []
    assert (mirror.tree / "links.html.gz").stat().st_nlink == 1
