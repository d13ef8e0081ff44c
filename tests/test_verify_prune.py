"""``verify`` and ``prune``: damage is found and named, and nothing that is needed is ever deleted."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pymirror.commands.ports import Ports
from pymirror.commands.sync import sync
from pymirror.commands.verify import verify
from pymirror.errors import StorageError
from pymirror.layout import CURRENT
from pymirror.progress import NoProgress
from pymirror.spec.load import load_spec
from pymirror.storage.interface import Stat
from pymirror.storage.local import LocalStorage
from pymirror.workers import Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex

WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"


@pytest.fixture
def published(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of two projects."""
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(index, "projects: [demo, other]")
    mirror.sync()
    return mirror


def alter(path: Path) -> None:
    """Other bytes, but size and time as they were: what a failing disk does."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("foreign")


# ── verify ──────────────────────────────────────────────────────────────────────────────────────────


def test_verify_finds_nothing_in_a_whole_tree_and_asks_nobody(index: LocalIndex, published: Mirror) -> None:
    index.forget()
    before = published.content()

    run = published.run("verify", "--json")

    assert (run.json["projects"], run.json["files"], run.json["pages"]) == (2, 3, 14)
    assert run.json["damages"] == []
    assert run.json["unreferenced"] == 0
    assert published.content() == before
    assert index.requests() == []


Break = Callable[[Path], None]
IN_POOL: dict[str, tuple[str, Break, str]] = {
    "missing file": (WHEEL, Path.unlink, "the file is missing"),
    "altered file": (WHEEL, alter, "the sha256 is "),
    "truncated file": (SDIST, cut, "bytes, not "),
    "missing metadata": (f"{WHEEL}.metadata", Path.unlink, "the metadata are missing"),
    "altered metadata": (f"{WHEEL}.metadata", alter, "the metadata are not those of the wheel"),
}
PROJECT_PAGES = ("simple/demo/index.html", "simple/demo/index.v1_json")
LIST_PAGES = ("simple/index.html", "simple/index.v1_json")
AMONG_PAGES: dict[str, tuple[tuple[str, ...], Break, str]] = {
    "missing": ((*PROJECT_PAGES, "simple/index.html", "links.html"), Path.unlink, "the page is missing"),
    "missing list": (("simple/index.v1_json",), Path.unlink, "the page is missing"),
    "altered": ((*PROJECT_PAGES, *LIST_PAGES, "links.html"), alter, "not what the snapshot says"),
    "cut short": ((*PROJECT_PAGES, *LIST_PAGES, "links.html"), cut, "not what the snapshot says"),
    "foreign": (("simple/demo/index2.html", "simple/evil/index.html", "simple/robots.txt"), write, "foreign"),
}


@pytest.mark.parametrize(
    ("filename", "damage", "said", "flat"),
    [
        *(pytest.param(*case, False, id=title) for title, case in IN_POOL.items()),
        *(pytest.param(*IN_POOL[title], True, id=f"{title}, flat") for title in ("altered file", "altered metadata")),
    ],
)
def test_verify_finds_what_is_wrong_in_the_pool_and_sync_mends_it(
    index: LocalIndex, mirror: Mirror, filename: str, damage: Break, said: str, flat: bool
) -> None:
    index.flat_urls = flat
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.published()
    path = mirror.find(filename)
    damage(path)

    run = mirror.run("verify", code=5)

    assert f"{path.relative_to(mirror.tree).as_posix()}: " in run.out
    assert said in run.out
    mirror.sync()
    assert mirror.published() == before


@pytest.mark.parametrize(("names", "damage", "said"), AMONG_PAGES.values(), ids=AMONG_PAGES)
def test_verify_finds_what_is_wrong_among_the_pages_and_sync_mends_it(
    index: LocalIndex, published: Mirror, names: tuple[str, ...], damage: Break, said: str
) -> None:
    before = published.published()
    for name in names:
        damage(published.tree / name)
    index.forget()

    run = published.run("verify", "--json", code=5)

    assert [found["path"] for found in run.json["damages"]] == sorted(names)
    assert all(said in found["problem"] for found in run.json["damages"])
    assert run.json["exit-code"] == 5
    published.sync()
    assert published.published() == before
    assert index.requests("/packages/") == []


def test_verify_finds_that_all_pages_are_missing(published: Mirror) -> None:
    shutil.rmtree(published.tree / "simple")

    run = published.run("verify", "--json", code=5)

    assert len(run.json["damages"]) == 6


def test_verify_works_when_all_state_is_gone(published: Mirror) -> None:
    shutil.rmtree(published.tree / ".pymirror")
    assert published.run("verify", "--json").json["files"] == 3
    shutil.rmtree(published.tree / ".pymirror")
    alter(published.find(WHEEL))

    published.run("verify", code=5)


@pytest.mark.parametrize("lost", [".pymirror", ".pymirror/state"])
def test_verify_tells_of_every_damage_when_an_sdist_and_the_record_are_missing(
    index: LocalIndex, published: Mirror, lost: str
) -> None:
    index.add(make_sdist("third", "1.0"))
    published.write_spec(index, "projects: [demo, other, third]")
    published.sync()
    damaged = [published.find(filename) for filename in ("third-1.0.tar.gz", WHEEL)]
    for path in damaged:
        path.unlink()
    shutil.rmtree(published.tree / lost)

    run = published.run("verify", "--json", code=5)

    names = sorted(path.relative_to(published.tree).as_posix() for path in damaged)
    assert [found["path"] for found in run.json["damages"]] == names


def test_verify_asks_for_no_documents_when_the_tree_is_of_a_version_that_made_none(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "pages: false\nlegacy-json: false\nprojects: [demo]")
    mirror.sync()
    recorded = mirror.tree / ".pymirror/snapshots/000001.json"
    old = json.loads(recorded.read_bytes())
    del old["site"]
    recorded.write_text(json.dumps(old))

    mirror.run("verify")


def test_verify_takes_the_folder_of_the_tree(published: Mirror, tmp_path: Path) -> None:
    carried = tmp_path / "disk"
    published.tree.rename(carried)

    assert published.run("verify", "--json", str(carried)).json["files"] == 3


def _make_ports(storage: LocalStorage) -> Ports:
    return Ports(storage=storage, environ=os.environ, progress=NoProgress(), stop=Stop(), now=datetime.now(UTC))


class ReadOnly(LocalStorage):
    """A disk that cannot be written."""

    def temporary(self, name: str) -> Path:
        path = self.local_path(name)
        raise StorageError.from_os_error(OSError(errno.EROFS, os.strerror(errno.EROFS), str(path)), path)

    def remove(self, name: str) -> None:
        self.temporary(name)


def test_verify_works_on_a_disk_that_cannot_be_written(published: Mirror) -> None:
    ports = _make_ports(ReadOnly(published.tree))
    assert not verify(ports).damages
    alter(published.find(WHEEL))

    assert len(verify(ports).damages) == 1


class KilledBeforeTheEnd(LocalStorage):
    """The pages are in place, and then the process is gone."""

    def write(self, name: str, data: bytes | Iterable[bytes], *, newer_than: str | None = None) -> Stat:
        if name == CURRENT:
            raise KeyboardInterrupt
        return super().write(name, data, newer_than=newer_than)


def _publish_and_die(mirror: Mirror) -> None:
    spec = load_spec(mirror.spec, read=Path.read_bytes, environ={})
    storage = KilledBeforeTheEnd(mirror.tree)
    with pytest.raises(KeyboardInterrupt):
        sync(spec, _make_ports(storage), allow_shrink=False)


def test_verify_finds_nothing_when_a_run_was_killed_after_its_pages_were_in_place(
    index: LocalIndex, published: Mirror
) -> None:
    index.add(make_wheel("demo", "2.0"))
    _publish_and_die(published)
    assert len(published.filenames("demo")) == 3

    published.run("verify")


@pytest.mark.parametrize("command", ["verify", "prune"])
@pytest.mark.parametrize("is_there", [False, True])
def test_there_must_be_a_mirror(index: LocalIndex, mirror: Mirror, command: str, is_there: bool) -> None:
    mirror.write_spec(index, "projects: [demo]")
    if is_there:
        mirror.tree.mkdir()
        (mirror.tree / "diary.txt").write_text("not a mirror")

    run = mirror.run(command, code=2)

    assert "there is no published index here" in run.err
    assert mirror.tree.exists() == is_there
    assert not is_there or [path.name for path in mirror.tree.iterdir()] == ["diary.txt"]


# ── prune ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def littered(index: LocalIndex, published: Mirror) -> Mirror:
    """A mirror whose pool holds the wheel of ``other`` and its metadata, which no page names any more."""
    published.write_spec(index, "projects: [demo]")
    published.sync()
    return published


def _folders(mirror: Mirror) -> set[Path]:
    return {path for path in (mirror.tree / "packages").rglob("*") if path.is_dir()}


def test_verify_counts_what_no_page_names(littered: Mirror) -> None:
    run = littered.run("verify")

    assert "2 files" in run.err
    assert "`pymirror prune`" in run.err
    assert littered.run("verify", "--json").json["unreferenced"] == 2


def test_prune_deletes_what_no_page_names_and_nothing_else(littered: Mirror) -> None:
    pages = {name: state for name, state in littered.content().items() if name.startswith(("simple/", "links"))}
    size = sum(path.stat().st_size for path in (littered.tree / "packages").rglob("other*"))

    run = littered.run("prune", "--json")

    assert littered.pool() == [WHEEL, f"{WHEEL}.metadata", SDIST]
    assert [Path(path).name for path in run.json["deleted"]] == [
        "other-1.0-py3-none-any.whl",
        "other-1.0-py3-none-any.whl.metadata",
    ]
    assert run.json["size"] == size
    assert all(any(folder.iterdir()) for folder in _folders(littered))
    assert {name: s for name, s in littered.content().items() if name.startswith(("simple/", "links"))} == pages
    assert littered.run("verify", "--json").json["unreferenced"] == 0
    assert littered.run("prune", "--json").json["deleted"] == []


def test_prune_deletes_nothing_when_it_is_asked_what_it_would(littered: Mirror) -> None:
    before = littered.content()

    run = littered.run("prune", "--dry-run")

    assert littered.content() == before
    assert [line.rpartition("/")[2] for line in run.out.splitlines()] == [
        "other-1.0-py3-none-any.whl",
        "other-1.0-py3-none-any.whl.metadata",
    ]
    assert littered.run("prune", "-n", "--json").json["is-dry-run"] is True


def test_prune_keeps_what_left_the_pages_within_the_time_of_grace(littered: Mirror) -> None:
    run = littered.run("prune", "--grace", "1 h", "--json")
    assert run.json["deleted"] == []
    assert run.json["kept-for-grace"] == 2
    assert "other-1.0-py3-none-any.whl" in littered.pool()
    long_ago = time.time() - 3 * 3600
    for path in (littered.tree / ".pymirror" / "snapshots").iterdir():
        os.utime(path, (long_ago, long_ago))

    littered.run("prune", "--grace", "1 h")

    assert littered.pool() == [WHEEL, f"{WHEEL}.metadata", SDIST]


@pytest.mark.parametrize("grace", ["soon", "-1", "", "1 fortnight"])
def test_prune_refuses_what_is_no_duration(littered: Mirror, grace: str) -> None:
    pool = littered.pool()

    littered.run("prune", f"--grace={grace}", code=2)

    assert littered.pool() == pool


def test_a_pruned_file_is_fetched_when_it_is_wanted_again(index: LocalIndex, littered: Mirror) -> None:
    littered.run("prune")
    littered.write_spec(index, "projects: [demo, other]")
    index.forget()

    littered.sync()

    assert littered.projects() == ["demo", "other"]
    assert len(index.requests("/packages/")) == 1
    littered.run("verify")


def test_prune_forgets_what_was_read_out_of_an_sdist_when_it_deletes_it(index: LocalIndex, mirror: Mirror) -> None:
    for version in ("1.0", "2.0"):
        index.add(make_sdist("demo", version))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    mirror.write_spec(index, "projects: [demo ==2.0]")
    mirror.sync()
    assert len(list(mirror.tree.glob(".pymirror/state/sdists/*/*"))) == 2

    mirror.run("prune")

    assert len(list(mirror.tree.glob(".pymirror/state/sdists/*/*"))) == 1
    before = mirror.content()
    mirror.sync()
    assert mirror.content() == before


def test_prune_works_when_all_state_is_gone(littered: Mirror) -> None:
    shutil.rmtree(littered.tree / ".pymirror")

    littered.run("prune")

    assert littered.pool() == [WHEEL, f"{WHEEL}.metadata", SDIST]


def test_prune_keeps_both_what_a_killed_run_published_and_what_was_before(index: LocalIndex, published: Mirror) -> None:
    published.write_spec(index, "projects: [demo]")
    index.add(make_wheel("demo", "2.0"))
    _publish_and_die(published)
    pool = published.pool()

    published.run("prune")

    assert published.pool() == pool


@pytest.mark.parametrize("name", ["simple/index.v1_json", "simple/demo/index.v1_json"])
def test_prune_deletes_nothing_that_it_cannot_know_to_be_unneeded(published: Mirror, name: str) -> None:
    shutil.rmtree(published.tree / ".pymirror")
    cut(published.tree / name)
    (published.tree / name).write_bytes((published.tree / name).read_bytes()[:-10])
    pool = published.pool()

    published.run("prune", code=None)

    assert published.pool() == pool
