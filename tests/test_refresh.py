"""The second run and all after it: what changes, what does not, and what a run makes of whatever it finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pymirror.commands.ports import Ports
from pymirror.commands.sync import sync
from pymirror.history import History
from pymirror.layout import HOLDER_FILE
from pymirror.progress import NoProgress
from pymirror.publish import publish, render_pages
from pymirror.snapshot import Snapshot
from pymirror.spec.load import load_spec
from pymirror.storage.interface import Stat
from pymirror.storage.local import LocalStorage
from pymirror.workers import Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex

WHEEL = "demo-1.0-py3-none-any.whl"
LIST_PAGES = {"simple/index.html", "simple/index.v1_json"}
DEMO_PAGES = {"simple/demo/index.html", "simple/demo/index.v1_json"}


def publish_two_projects(index: LocalIndex, mirror: Mirror, body: str = "projects: [demo, other]") -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(index, body)
    mirror.sync()


def touched(mirror: Mirror, before: dict[str, tuple[str, int, int]]) -> set[str]:
    """The pages that are new, gone, or not the same in content, time and inode."""
    after = mirror.content()
    return {
        name
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) and not name.startswith((".pymirror/", "packages/"))
    }


# ── nothing new ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("formats", [("json",), ("html",)], ids="+".join)
def test_second_sync_asks_conditionally_and_writes_nothing(
    index: LocalIndex, mirror: Mirror, formats: tuple[str, ...]
) -> None:
    index.formats = formats
    publish_two_projects(index, mirror)
    before = mirror.content()
    index.forget()

    run = mirror.sync()

    assert mirror.content() == before
    assert sorted((request.path, request.status) for request in index.requests()) == [
        ("/simple/demo/", 304),
        ("/simple/other/", 304),
    ]
    assert "nothing new, nothing written" in run.err


def test_second_sync_writes_nothing_when_upstream_has_no_validators(index: LocalIndex, mirror: Mirror) -> None:
    index.validators = False
    publish_two_projects(index, mirror)
    before = mirror.content()
    index.forget()

    mirror.sync()

    assert mirror.content() == before
    assert {request.status for request in index.requests()} == {200}
    assert index.requests("/packages/") == []


# ── something new ───────────────────────────────────────────────────────────────────────────────────


def _add_release(index: LocalIndex) -> None:
    index.add(make_wheel("demo", "2.0"))


def _remove_file(index: LocalIndex) -> None:
    index.remove("demo-1.0.tar.gz")


def _yank(index: LocalIndex) -> None:
    index.entries[0].yanked = "bad"


def _archive(index: LocalIndex) -> None:
    index.statuses["demo"] = ("archived", None)


FRONT = "index.html"
CHANGES: dict[str, tuple[Callable[[LocalIndex], None], set[str]]] = {
    "release": (_add_release, {"links.html", FRONT, "pypi/demo/2.0/json", "pypi/demo/json"}),
    "removal": (_remove_file, {"links.html", FRONT, "pypi/demo/1.0/json", "pypi/demo/json"}),
    "yank": (_yank, {"links.html", "pypi/demo/1.0/json", "pypi/demo/json"}),
    "status": (_archive, {FRONT}),
}


@pytest.mark.parametrize(("change", "also"), CHANGES.values(), ids=CHANGES)
def test_only_the_pages_that_must_change_are_touched(
    index: LocalIndex, mirror: Mirror, change: Callable[[LocalIndex], None], also: set[str]
) -> None:
    publish_two_projects(index, mirror, "projects: [demo, other]\nyanked: include")
    before = mirror.content()
    change(index)
    index.forget()

    mirror.sync()

    assert touched(mirror, before) == DEMO_PAGES | {"project/demo/index.html"} | also
    assert [(request.path, request.status) for request in index.requests("/simple/other/")] == [("/simple/other/", 304)]


def test_a_yank_can_be_taken_back(index: LocalIndex, mirror: Mirror) -> None:
    publish_two_projects(index, mirror)
    published = mirror.published()
    index.entries[0].yanked = "bad"
    mirror.sync()
    assert mirror.filenames("demo") == ["demo-1.0.tar.gz"]
    index.entries[0].yanked = False
    index.forget()

    mirror.sync()

    assert mirror.published() == published
    assert index.requests("/packages/") == []


def test_a_changed_page_is_newer_by_a_second_at_least(index: LocalIndex, mirror: Mirror) -> None:
    """Web servers make the ETag from size and whole seconds."""
    publish_two_projects(index, mirror, "projects: [demo, other]\nyanked: include")
    before = mirror.content()
    for reason in ("one", "two"):  # pages of one size within a second
        index.entries[0].yanked = reason
        mirror.sync()
        after = mirror.content()
        for name in DEMO_PAGES:
            assert after[name][1] // 10**9 > before[name][1] // 10**9
        before = after


def test_a_project_that_the_spec_no_longer_names_leaves_the_pages_and_stays_in_the_pool(
    index: LocalIndex, mirror: Mirror
) -> None:
    publish_two_projects(index, mirror)
    before = mirror.content()
    pool = mirror.pool()
    mirror.write_spec(index, "projects: [demo]")
    index.forget()

    mirror.sync()

    gone = {"simple/other/index.html", "simple/other/index.v1_json", "project/other/index.html"}
    gone |= {"pypi/other/json", "pypi/other/1.0/json"}
    assert touched(mirror, before) == LIST_PAGES | {"links.html", "index.html"} | gone
    assert mirror.projects() == ["demo"]
    assert not (mirror.tree / "simple" / "other").exists()
    assert mirror.pool() == pool
    assert index.requests("other") == []


def test_a_file_that_is_wanted_again_is_not_fetched_again(index: LocalIndex, mirror: Mirror) -> None:
    index.flat_urls = True
    publish_two_projects(index, mirror)
    published = mirror.published()
    mirror.write_spec(index, "projects: [demo, other]\npackage-types: [bdist_wheel]")
    mirror.sync()
    assert mirror.filenames("demo") == [WHEEL]
    assert "demo-1.0.tar.gz" in mirror.pool()
    mirror.write_spec(index, "projects: [demo, other]")
    index.forget()

    mirror.sync()

    assert mirror.published() == published
    assert {request.path for request in index.requests()} == {"/simple/demo/", "/simple/other/"}


# ── a tree that is not as it was left ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("folder", "flat"), [(".pymirror/state", True), (".pymirror", True), (".pymirror", False)])
def test_state_is_rebuilt_without_fetching_files_when_it_was_deleted(
    index: LocalIndex, mirror: Mirror, folder: str, flat: bool
) -> None:
    index.flat_urls = flat
    publish_two_projects(index, mirror)
    before = {name: state for name, state in mirror.content().items() if not name.startswith(".pymirror/")}
    names = mirror.content().keys()
    shutil.rmtree(mirror.tree / folder)
    index.forget()

    mirror.sync()

    after = {name: state for name, state in mirror.content().items() if not name.startswith(".pymirror/")}
    assert after == before
    assert mirror.content().keys() == names
    assert sorted((request.path, request.status) for request in index.requests()) == [
        ("/simple/demo/", 200),
        ("/simple/other/", 200),
    ]


def test_published_files_without_upstream_hashes_are_not_fetched_again_when_all_state_is_gone(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.flat_urls = True
    index.add(make_wheel("demo", "1.0"), hashes={}, size=None)
    mirror.write_spec(index, "projects: [demo]\nrequire-hashes: false")
    mirror.sync()
    published = mirror.published()
    shutil.rmtree(mirror.tree / ".pymirror")
    index.forget()

    mirror.sync()

    assert mirror.published() == published
    assert index.requests("/files/") == []


def test_state_that_is_garbage_is_as_good_as_none(index: LocalIndex, mirror: Mirror) -> None:
    publish_two_projects(index, mirror)
    published = mirror.published()
    for path in (mirror.tree / ".pymirror").rglob("*"):
        if path.is_file() and path.name != "lock":
            path.write_bytes(b"\x00\xffgarbage")
    index.forget()

    mirror.sync()

    assert mirror.published() == published
    assert index.requests("/packages/") == []


def test_files_are_not_fetched_again_when_the_record_lost_its_lines(index: LocalIndex, mirror: Mirror) -> None:
    """What a power cut leaves of a file that is not synced."""
    index.flat_urls = True
    publish_two_projects(index, mirror)
    (mirror.tree / ".pymirror" / "state" / "pool.jsonl").write_bytes(b"")
    index.forget()

    mirror.sync()

    assert index.requests("/files/") == []


def test_a_record_whose_last_line_is_cut_short_takes_new_lines(index: LocalIndex, mirror: Mirror) -> None:
    index.flat_urls = True
    publish_two_projects(index, mirror)
    record = mirror.tree / ".pymirror" / "state" / "pool.jsonl"
    record.write_bytes(record.read_bytes() + b'{"filename":"cut')
    index.add(make_wheel("demo", "2.0"))
    mirror.sync()
    index.forget()

    mirror.sync()

    assert index.requests("/files/") == []


def _delete(path: Path) -> None:
    path.unlink()


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "flat"), [(_delete, False), (_delete, True), (_shorten, False), (_alter, False), (_alter, True)]
)
def test_a_damaged_pool_file_is_fetched_again(
    index: LocalIndex, mirror: Mirror, damage: Callable[[Path], None], flat: bool
) -> None:
    index.flat_urls = flat
    publish_two_projects(index, mirror)
    before = mirror.content()
    damage(mirror.find(WHEEL))
    index.forget()

    mirror.sync()

    assert mirror.published() == {name: state[0] for name, state in before.items() if not name.startswith(".pymirror")}
    assert touched(mirror, before) == set()
    assert len(index.requests(WHEEL)) == 1


@pytest.mark.parametrize("damage", [_delete, _shorten])
def test_damaged_metadata_are_taken_from_the_wheel_again(
    index: LocalIndex, mirror: Mirror, damage: Callable[[Path], None]
) -> None:
    publish_two_projects(index, mirror)
    published = mirror.published()
    damage(mirror.find(f"{WHEEL}.metadata"))
    index.forget()

    mirror.sync()

    assert mirror.published() == published
    assert index.requests("/packages/") == []


def test_a_damaged_file_leaves_the_pages_when_it_cannot_be_fetched(index: LocalIndex, mirror: Mirror) -> None:
    """Promise 1: a page links only to what is on disk and verified."""
    publish_two_projects(index, mirror)
    mirror.find("other-1.0-py3-none-any.whl").unlink()
    index.fail_always(index.entries[2].path, Answer(404))

    run = mirror.sync(code=1)

    assert "failed: other-1.0-py3-none-any.whl" in run.err
    assert mirror.projects() == ["demo"]


def test_what_a_killed_run_left_behind_is_swept(index: LocalIndex, mirror: Mirror) -> None:
    publish_two_projects(index, mirror)
    content = mirror.content()
    for name in ("staged/simple/evil/index.html", "temporary/1234-0"):
        path = mirror.tree / ".pymirror" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left behind")

    mirror.sync()

    assert mirror.content() == content


# ── an upstream that lost files ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def shrunk(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of twelve files, of which upstream now lists six."""
    for number in range(12):
        index.add(make_sdist("demo", f"1.{number}"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    for number in range(6):
        index.remove(f"demo-1.{number}.tar.gz")
    return mirror


def test_nothing_changes_when_too_many_files_would_go(shrunk: Mirror, index: LocalIndex) -> None:
    index.add(make_sdist("demo", "2.0"))
    index.forget()
    before = shrunk.content()

    run = shrunk.sync(code=4)

    assert "6 of the 12 published files would leave the index" in run.err
    assert "--allow-shrink" in run.err
    assert shrunk.content() == before
    assert index.requests("/packages/") == []
    assert shrunk.run("plan", "--json", code=4).json["is-refused"] is True


def test_many_files_go_when_that_is_allowed(shrunk: Mirror) -> None:
    shrunk.sync("--allow-shrink")

    assert len(shrunk.filenames("demo")) == 6
    assert len(shrunk.pool()) == 12
    shrunk.sync()  # is not refused: nothing more goes


def test_five_files_may_go_unasked(shrunk: Mirror, index: LocalIndex) -> None:
    index.add(make_sdist("demo", "1.0"))

    shrunk.sync()

    assert len(shrunk.filenames("demo")) == 7


def test_files_that_cannot_be_fetched_again_count_as_lost(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(6):
        index.fail_always(index.add(make_sdist("demo", f"1.{number}")).path, Answer(404))
    for faults in index.faults.values():
        faults.clear()
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.published()
    shutil.rmtree(mirror.tree / "packages")
    for entry in index.entries:
        index.fail_always(entry.path, Answer(404))

    mirror.sync(code=4)

    assert mirror.published() == {name: digest for name, digest in before.items() if not name.startswith("packages/")}


# ── the switch ──────────────────────────────────────────────────────────────────────────────────────


class WithoutExchange(LocalStorage):
    """A file system that cannot exchange two folders; it remembers the order in which pages came and went."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.steps: list[str] = []

    def switch(self, staged: str, folder: str) -> bool:  # noqa: ARG002 - the port's names
        return False

    def adopt(self, temporary: Path, name: str) -> Stat:
        if name.startswith("simple/"):
            self.steps.append(name)
        return super().adopt(temporary, name)

    def remove(self, name: str) -> None:
        if name.startswith("simple/"):
            self.steps.append(f"-{name}")
        super().remove(name)


def _next_snapshot(storage: LocalStorage) -> Snapshot:
    """``demo`` with a yank, ``more`` in the place of ``other``, ``kept`` as it is."""
    current = History(storage).current()
    assert current is not None
    by_name = {project.name: project for project in current.projects}
    demo = by_name["demo"]
    yanked = msgspec.structs.replace(demo, files=(msgspec.structs.replace(demo.files[0], yanked="bad"),))
    more = msgspec.structs.replace(by_name["other"], name="more")
    return msgspec.structs.replace(current, projects=(yanked, by_name["kept"], more))


def _publish_three(index: LocalIndex, mirror: Mirror) -> None:
    for name in ("demo", "kept", "other"):
        index.add(make_wheel(name, "1.0"))
    mirror.write_spec(index, "projects: [demo, kept, other]")
    mirror.sync()


def test_pages_are_replaced_one_by_one_when_folders_cannot_be_exchanged(index: LocalIndex, mirror: Mirror) -> None:
    _publish_three(index, mirror)
    before = mirror.content()
    storage = WithoutExchange(mirror.tree)
    snapshot = _next_snapshot(storage)

    published = publish(snapshot, storage)

    pages = {name: b"".join(render()) for name, render in render_pages(snapshot)}
    assert {name: (mirror.tree / name).read_bytes() for name in storage.walk("simple")} == pages
    assert mirror.content()["simple/kept/index.html"] == before["simple/kept/index.html"]
    assert (published.written, published.removed) == (7, 2)  # with links.html
    assert not (mirror.tree / ".pymirror" / "staged" / "simple").exists()
    # What comes is there before the list names it; what goes is off the list before it goes.
    assert storage.steps == [
        "simple/demo/index.html",
        "simple/demo/index.v1_json",
        "simple/more/index.html",
        "simple/more/index.v1_json",
        "simple/index.html",
        "simple/index.v1_json",
        "-simple/other/index.html",
        "-simple/other/index.v1_json",
    ]


def test_first_pages_are_published_when_folders_cannot_be_exchanged(index: LocalIndex, mirror: Mirror) -> None:
    _publish_three(index, mirror)
    published = mirror.published()
    storage = WithoutExchange(mirror.tree)
    snapshot = History(storage).current()
    assert snapshot is not None
    shutil.rmtree(mirror.tree / "simple")

    publish(snapshot, storage)

    assert mirror.published() == published


# ── killed at any step ──────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """Stands for SIGKILL: no code of ours catches it."""


class Mortal(LocalStorage):
    """Does so many changes, and then nothing any more, as the storage of a killed process."""

    def __init__(self, root: Path, *, changes: int, can_exchange: bool) -> None:
        super().__init__(root)
        self.left = changes
        self._can_exchange = can_exchange

    def _live(self, name: str) -> None:
        if name == HOLDER_FILE:
            return
        self.left -= 1
        if self.left < 0:
            raise Killed

    def append(self, name: str, data: bytes) -> None:
        self._live(name)
        super().append(name, data)

    def adopt(self, temporary: Path, name: str) -> Stat:
        self._live(name)
        return super().adopt(temporary, name)

    def remove(self, name: str) -> None:
        self._live(name)
        super().remove(name)

    def link(self, source: str, name: str) -> None:
        self._live(name)
        super().link(source, name)

    def switch(self, staged: str, folder: str) -> bool:
        self._live(folder)
        return super().switch(staged, folder) if self._can_exchange else False

    def remove_folder(self, folder: str) -> None:
        self._live(folder)
        super().remove_folder(folder)


def _make_ports(storage: LocalStorage) -> Ports:
    return Ports(storage=storage, environ=os.environ, progress=NoProgress(), stop=Stop(), now=datetime.now(UTC))


def _sync_here(mirror: Mirror, storage: LocalStorage) -> None:
    spec = load_spec(mirror.spec, read=Path.read_bytes, environ={})
    sync(spec, _make_ports(storage), allow_shrink=False)


def _assert_whole(mirror: Mirror) -> None:
    """Every project of the list has its pages, and every link leads to a file."""
    for project in mirror.projects():
        for file in mirror.page(project)["files"]:
            path = mirror.tree / "simple" / project / file["url"]
            assert path.stat().st_size == file["size"]
            if "core-metadata" in file:
                assert path.with_name(path.name + ".metadata").is_file()


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.no_cover
def test_next_run_converges_when_a_run_was_killed_at_any_step(
    index: LocalIndex, mirror: Mirror, tmp_path: Path, can_exchange: bool
) -> None:
    _publish_three(index, mirror)
    start = tmp_path / "start"
    shutil.copytree(mirror.tree, start)
    index.add(make_wheel("demo", "2.0"))
    index.add(make_wheel("more", "1.0"))
    mirror.write_spec(index, "projects: [demo, kept, more]", network="connections: 1")
    _sync_here(mirror, Mortal(mirror.tree, changes=1000, can_exchange=True))
    undisturbed = mirror.published()

    for step in range(1000):
        shutil.rmtree(mirror.tree)
        shutil.copytree(start, mirror.tree)
        storage = Mortal(mirror.tree, changes=step, can_exchange=can_exchange)
        try:
            _sync_here(mirror, storage)
        except Killed:
            _assert_whole(mirror)
            _sync_here(mirror, LocalStorage(mirror.tree))
            assert mirror.published() == undisturbed, step
            assert not (mirror.tree / ".pymirror" / "staged" / "simple").exists()
        else:
            assert step > 10
            return
