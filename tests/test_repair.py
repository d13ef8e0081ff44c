"""``verify --repair`` mends what upstream still has; ``verify`` finds all damage, and goes on after Ctrl-C."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pymirror.commands.ports import Ports
from pymirror.commands.verify import verify
from pymirror.commands.verify_files import VERIFIED
from pymirror.errors import InterruptedRunError
from pymirror.progress import NoProgress
from pymirror.storage.local import LocalStorage
from pymirror.workers import Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex
from tests.test_provenance import make_provenance
from tests.test_verify_prune import alter, cut, write

WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"

Break = Callable[[Path], None]


@pytest.fixture
def published(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of two projects, one with a provenance object; with the folder of all files."""
    wheel = index.add(make_wheel("demo", "1.0"))
    wheel.provenance = make_provenance(wheel.hashes["sha256"])
    index.add(make_sdist("demo", "1.0"))
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(index, "flat: true\nprojects: [demo, other]")
    mirror.sync()
    return mirror


def make_unreadable(path: Path) -> None:
    path.chmod(0o600)


def open_for_all(path: Path) -> None:
    path.chmod(0o666)


def make_link(path: Path) -> None:
    """The same bytes, by a link that leads out of the tree."""
    aside = Path(os.environ["HOME"], hashlib.sha256(str(path).encode()).hexdigest())
    shutil.copy2(path, aside)
    path.unlink()
    path.symlink_to(aside)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


IN_POOL = (WHEEL, SDIST, f"{WHEEL}.metadata", f"{WHEEL}.provenance")
PAGES = (
    "simple/index.html",
    "simple/index.v1_json",
    "simple/demo/index.html",
    "simple/demo/index.v1_json",
    "links.html",
    "index.html",
    "project/demo/index.html",
    "pypi/demo/json",
    "pypi/demo/1.0/json",
)
BREAKS: dict[str, Break] = {
    "missing": Path.unlink,
    "altered": alter,
    "truncated": cut,
    "unreadable": make_unreadable,
    "writable": open_for_all,
    "link": make_link,
    "folder": make_folder,
}


def _find(mirror: Mirror, name: str) -> Path:
    return mirror.tree / name if "/" in name or name in PAGES else mirror.find(name)


def _modes(mirror: Mirror) -> dict[str, int]:
    paths = [path for path in mirror.tree.rglob("*") if ".pymirror" not in path.parts]
    return {path.relative_to(mirror.tree).as_posix(): stat.S_IMODE(path.lstat().st_mode) for path in paths}


@pytest.mark.parametrize("damage", BREAKS.values(), ids=BREAKS)
def test_repair_mends_every_file_that_upstream_still_has(index: LocalIndex, published: Mirror, damage: Break) -> None:
    """All at once: what is found is all of it, and what there is afterwards is what there was."""
    before, modes = published.published(), _modes(published)
    paths = [_find(published, name) for name in (*IN_POOL, *PAGES)]
    names = {path.relative_to(published.tree).as_posix() for path in paths}
    for path in paths:
        damage(path)

    found = published.run("verify", "--json", code=5).json
    run = published.run("verify", "--repair", "--json").json

    assert names <= {each["path"] for each in found["damages"]}
    assert {each["path"] for each in found["damages"]} <= names | {f"flat/{WHEEL}", f"flat/{SDIST}"}
    assert run["damages"] == []
    assert {each["path"] for each in run["mended"]} == {each["path"] for each in found["damages"]}
    assert published.published() == before
    assert _modes(published) == modes
    published.run("verify")
    assert published.sync().err.endswith("nothing new, nothing written\n")


def test_repair_asks_for_nothing_but_what_is_damaged(index: LocalIndex, published: Mirror) -> None:
    index.add(make_wheel("demo", "2.0"))
    alter(published.find(WHEEL))
    alter(published.find(f"{WHEEL}.metadata"))
    index.forget()

    run = published.run("verify", "--repair")

    assert [request.path for request in index.requests("/packages/")] == [
        entry.path for entry in index.entries if entry.filename == WHEEL
    ]
    assert [request.path for request in index.requests("/simple/")] == ["/simple/demo/"]
    assert sorted(published.filenames("demo")) == [WHEEL, SDIST]  # and not the new release
    assert f"{WHEEL}: the sha256 is " in run.out
    assert "mended: packages/" in run.out
    assert "2 problems mended" in run.err


def test_repair_asks_nobody_when_pages_alone_are_damaged(index: LocalIndex, published: Mirror) -> None:
    before = published.published()
    shutil.rmtree(published.tree / "simple")
    alter(published.find(f"{WHEEL}.metadata"))
    index.forget()

    published.run("verify", "--repair")

    assert published.published() == before
    assert index.requests() == []


def test_repair_writes_nothing_when_all_is_well(index: LocalIndex, published: Mirror) -> None:
    before = published.content()
    index.forget()

    run = published.run("verify", "--repair")

    assert "all is well" in run.out
    assert published.content() == before
    assert index.requests() == []


def test_repair_asks_nobody_when_the_folder_of_all_files_still_has_it(index: LocalIndex, published: Mirror) -> None:
    before = published.published()
    published.find(WHEEL).unlink()
    index.forget()

    published.run("verify", "--repair")

    assert published.published() == before
    assert index.requests() == []


def test_repair_mends_a_flat_file_that_is_a_copy(published: Mirror) -> None:
    path = published.tree / "flat" / WHEEL
    path.unlink()
    path.write_bytes(b"foreign")

    published.run("verify", "--repair")

    assert path.read_bytes() == published.find(WHEEL).read_bytes()


WITHOUT: dict[str, tuple[Callable[[LocalIndex], None], str]] = {
    "gone": (lambda index: index.remove(WHEEL), "upstream lists it no more"),
    "project gone": (lambda index: index.entries.clear(), "upstream has no such project"),
    "404": (lambda index: index.fail_always(index.entries[0].path, Answer(404)), "HTTP 404"),
    "other bytes": (
        lambda index: index.entries.__setitem__(0, index.add(make_wheel("demo", "1.0", files={"new": b"x"}))),
        "upstream has other bytes under its name now",
    ),
    "lies": (
        lambda index: index.fail_always(index.entries[0].path, Answer(200, b"x" * len(index.entries[0].data))),
        "sha256 of",
    ),
    "unsafe": (lambda index: setattr(index.entries[0], "url", "file:///etc/passwd"), "not one that may be followed"),
}


@pytest.mark.parametrize(("change", "said"), WITHOUT.values(), ids=WITHOUT)
def test_repair_says_what_is_left_and_mends_the_rest(
    index: LocalIndex, published: Mirror, change: Callable[[LocalIndex], None], said: str
) -> None:
    pages = {name: state for name, state in published.published().items() if name.startswith("simple/")}
    other = published.find("other-1.0-py3-none-any.whl")
    other_bytes = other.read_bytes()
    for path in (published.find(WHEEL), other, published.tree / "simple/demo/index.html"):
        path.unlink()
    shutil.rmtree(published.tree / "flat")
    change(index)
    if not index.entries:
        index.add(make_wheel("other", "1.0"))

    run = published.run("verify", "--repair", code=5)

    left = [line for line in run.out.splitlines() if line.startswith(("packages/", "flat/"))]
    assert left[0].startswith("flat/")
    assert len(left) == 2
    left = left[1:]
    assert f"{WHEEL}: the file is missing; not mended: " in left[0]
    assert said in left[0]
    assert "2 problems; what is left cannot be mended from upstream" in run.out
    assert other.read_bytes() == other_bytes
    assert {name: state for name, state in published.published().items() if name.startswith("simple/")} == pages


def test_repair_keeps_what_is_there_when_upstream_is_down(index: LocalIndex, published: Mirror) -> None:
    damaged = published.find(WHEEL)
    alter(damaged)
    bytes_there = damaged.read_bytes()
    index.fail_always("/simple/demo/", Answer(404))

    run = published.run("verify", "--repair", code=5)

    assert "upstream has no such project" in run.out
    assert damaged.read_bytes() == bytes_there


def test_repair_is_refused_when_it_is_given_a_folder(published: Mirror) -> None:
    before = published.content()

    run = published.run("verify", "--repair", "mirror", code=2)

    assert "--repair needs the spec" in run.err
    assert published.content() == before


def test_repair_does_not_guess_when_the_record_is_lost_and_a_page_is_damaged(published: Mirror) -> None:
    """The page is the only one that knew; what is written by a half of it could be wrong."""
    shutil.rmtree(published.tree / ".pymirror")
    page = published.tree / "simple/demo/index.html"
    alter(page)
    damaged = page.read_bytes()

    run = published.run("verify", "--repair", code=5)

    assert "simple/demo/index.html cannot be read, so it is not known" in run.err
    assert page.read_bytes() == damaged


def test_repair_works_when_the_record_is_lost_and_a_file_is_damaged(published: Mirror) -> None:
    files = {name: state for name, state in published.published().items() if name.startswith(("packages/", "simple/"))}
    shutil.rmtree(published.tree / ".pymirror")
    alter(published.find(WHEEL))

    published.run("verify", "--repair")

    assert {n: s for n, s in published.published().items() if n.startswith(("packages/", "simple/"))} == files
    published.run("verify")


# ── kinds of damage that no file of the tree has ────────────────────────────────────────────────────


def test_a_foreign_file_in_the_pool_is_found_and_left_to_its_owner(published: Mirror) -> None:
    stranger = published.tree / "packages/aa/notes.html"
    write(stranger)

    assert "packages/aa/notes.html: a foreign file in the pool" in published.run("verify", code=5).out
    run = published.run("verify", "--repair", code=5)

    assert "not mended: pymirror did not put it there" in run.out
    assert stranger.exists()


@pytest.mark.parametrize("folder", ["simple/evil", "project/evil", "packages/aa/evil", "flat/evil"])
def test_a_link_to_a_folder_is_found_when_it_leads_out_of_the_tree(published: Mirror, folder: str) -> None:
    (published.tree / folder).parent.mkdir(exist_ok=True)
    (published.tree / folder).symlink_to("/etc")

    assert f"{folder}: a foreign link to a folder" in published.run("verify", code=5).out
    published.run("verify", "--repair", code=None)

    assert (published.tree / folder).is_symlink() == folder.startswith("packages/")
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("simple/demo", 0o700, "the mode is 0700, not 0755"),
        ("packages", 0o777, "the mode is 0777, not 0755"),
    ],
)
def test_the_mode_of_a_folder_is_found_and_mended_when_it_is_wrong(
    published: Mirror, name: str, mode: int, said: str
) -> None:
    path = published.tree / name
    before = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode)

    assert f"{name}: {said}" in published.run("verify", code=5).out
    published.run("verify", "--repair")

    assert stat.S_IMODE(path.stat().st_mode) == before


def _change_modes(mirror: Mirror, files: int, folders: int) -> None:
    for path in [mirror.tree, *mirror.tree.rglob("*")]:
        if ".pymirror" not in path.parts:
            path.chmod(folders if path.is_dir() else files)


def test_other_modes_are_no_damage_when_all_files_have_them_and_everyone_can_read(published: Mirror) -> None:
    """As on a disk without modes, or after a copy with another umask."""
    _change_modes(published, 0o775, 0o775)

    published.run("verify")


def test_other_modes_are_damage_when_nobody_else_can_read(published: Mirror) -> None:
    """As after a copy by a user whose umask is 077."""
    _change_modes(published, 0o600, 0o700)

    assert "simple/index.html: the mode is 0600, not 0644" in published.run("verify", code=5).out
    published.run("verify", "--repair")
    published.run("verify")


# ── a run that is interrupted ───────────────────────────────────────────────────────────────────────


class Interrupting(LocalStorage):
    """Ctrl-C while the file is read whose name is ``last``."""

    last = "other-1.0-py3-none-any.whl"

    def local_path(self, name: str) -> Path:
        if name.endswith(self.last):
            raise InterruptedRunError
        return super().local_path(name)


def _ports(storage: LocalStorage, *, days: float = 0) -> Ports:
    now = datetime.now(UTC) + timedelta(days=days)
    return Ports(storage=storage, environ=os.environ, progress=NoProgress(), stop=Stop(), now=now)


@pytest.fixture
def interrupted(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of which a verification was broken off before the last of its files."""
    for version in ("1.0", "2.0", "3.0"):
        index.add(make_sdist("demo", version))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    paths = sorted(path.relative_to(mirror.tree).as_posix() for path in (mirror.tree / "packages").rglob("*.tar.gz"))
    storage = Interrupting(mirror.tree)
    storage.last = paths[-1]
    with pytest.raises(InterruptedRunError):
        verify(_ports(storage))
    assert (mirror.tree / VERIFIED).exists()
    return mirror


def _first(mirror: Mirror) -> Path:
    return min((mirror.tree / "packages").rglob("*.tar.gz"))


def test_verify_goes_on_where_it_stopped_when_it_was_interrupted(interrupted: Mirror) -> None:
    run = interrupted.run("verify", "--json").json

    assert run["resumed"] == 2
    assert not (interrupted.tree / VERIFIED).exists()
    assert interrupted.run("verify", "--json").json["resumed"] == 0


def test_verify_says_what_it_did_not_read_again(interrupted: Mirror) -> None:
    assert "2 files had been read by a run that was interrupted" in interrupted.run("verify").err


@pytest.mark.parametrize("damage", [alter, cut, Path.unlink])
def test_verify_reads_what_was_changed_since_it_was_interrupted(interrupted: Mirror, damage: Break) -> None:
    """Also where size and time are what they were: the disk's own time of the last change tells."""
    time.sleep(0.02)  # a tick of the disk's clock
    name = _first(interrupted).relative_to(interrupted.tree).as_posix()
    damage(_first(interrupted))

    run = interrupted.run("verify", "--json", code=5).json

    assert [each["path"] for each in run["damages"]] == [name]


def test_verify_reads_everything_when_it_is_told_to(interrupted: Mirror) -> None:
    assert interrupted.run("verify", "--json", "--anew").json["resumed"] == 0


def test_verify_reads_everything_when_the_interrupted_run_was_long_ago(interrupted: Mirror) -> None:
    assert verify(_ports(LocalStorage(interrupted.tree), days=8)).resumed == 0


def test_verify_goes_on_when_the_last_line_of_the_record_is_torn(interrupted: Mirror) -> None:
    record = interrupted.tree / VERIFIED
    record.write_bytes(record.read_bytes()[:-5])

    assert interrupted.run("verify", "--json").json["resumed"] == 1


def test_damage_is_found_again_when_the_run_after_it_was_interrupted(index: LocalIndex, interrupted: Mirror) -> None:
    path = _first(interrupted)
    alter(path)
    (interrupted.tree / VERIFIED).unlink()
    storage = Interrupting(interrupted.tree)
    storage.last = max(p.relative_to(interrupted.tree).as_posix() for p in path.parents[3].rglob("*.tar.gz"))
    with pytest.raises(InterruptedRunError):
        verify(_ports(storage))

    run = interrupted.run("verify", "--json", code=5).json

    assert run["resumed"] == 1
    assert len(run["damages"]) == 1
