"""A machine that fails: a clear error, nothing lost, and the next run goes on."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pymirror.commands.sync import sync
from pymirror.errors import ClockError, StorageError
from pymirror.flat import list_flat
from pymirror.history import History
from pymirror.page_files import put_page
from pymirror.spec.load import load_spec
from pymirror.storage.local import LocalStorage
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.crash import assert_whole, every, make_change, make_ports, prune_here, sync_here
from tests.faulty_storage import CALLS, WRITES, Failing, Recording, watched
from tests.index import Gate, LocalIndex
from tests.servers import for_others
from tests.test_provenance import make_provenance

CODES = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE)
DAY = 24 * 60 * 60


# ── a disk that refuses ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", CODES, ids=[errno.errorcode[code] for code in CODES])
def test_a_run_ends_with_what_is_wrong_when_any_call_fails(
    index: LocalIndex, mirror: Mirror, tmp_path: Path, code: int
) -> None:
    make_change(index, mirror)
    start = tmp_path / "start"
    shutil.copytree(mirror.tree, start)
    is_full = code in (errno.ENOSPC, errno.EDQUOT)
    calls = WRITES if is_full else CALLS
    counting = Failing(-1, code, calls=calls)
    with watched(mirror.tree, counting):
        sync_here(mirror)
    undisturbed = mirror.published()
    ended = 0

    for number in every(30, CODES.index(code) * 5, counting.seen):
        shutil.rmtree(mirror.tree)
        shutil.copytree(start, mirror.tree)
        error = _sync_badly(mirror, Failing(number, code, calls=calls, for_good=is_full))
        if error is not None:  # a temporary file that stays, or a folder that is not removed, is no reason to end
            assert (error.code, str(mirror.tree) in error.path) == (code, True), number
            ended += 1
        assert_whole(mirror)
        sync_here(mirror)
        assert mirror.published() == undisturbed, number
    assert ended


def _sync_badly(mirror: Mirror, failing: Failing) -> StorageError | None:
    try:
        with watched(mirror.tree, failing):
            sync_here(mirror)
    except StorageError as error:
        return error
    return None


def test_a_file_is_fetched_from_its_start_when_it_could_not_be_synced(index: LocalIndex, mirror: Mirror) -> None:
    """After a failed fsync, what the system has in memory may never have reached the disk."""
    index.tells_sizes = False  # so that it does not stay in memory until it is whole
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    class SyncFails(Recording):
        def before(self, call: str, path: Path) -> None:
            if call == "fsync" and path.parent.name == "partial":
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    with watched(mirror.tree, SyncFails()), pytest.raises(StorageError, match="Input/output error"):
        sync_here(mirror)
    assert not [path for path in (mirror.tree / ".pymirror/partial").iterdir() if path.suffix != ".json"]
    index.forget()
    mirror.sync()

    assert [("range" in request.headers) for request in index.requests("/packages/")] == [False]


def test_every_folder_is_synced_when_many_have_changed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    names = [f"packages/{number:03}/file" for number in range(200)]
    for name in names:
        storage.write(name, b"bytes")
    storage.append(".pymirror/record", b"a line\n")
    shutil.rmtree(tmp_path / "packages/007")  # and one that is gone again
    recording = Recording()
    with watched(tmp_path, recording):
        storage.sync()
    synced = [Path(path).relative_to(tmp_path).as_posix() for call, path in recording.calls if call == "fsync"]

    folders = {name.rpartition("/")[0] for name in names} - {"packages/007"}
    assert sorted(synced) == sorted({*folders, "packages", ".", ".pymirror", ".pymirror/record"})


@pytest.mark.parametrize("number", [0, 100, 199])
def test_nothing_is_called_durable_when_one_of_many_folders_cannot_be_synced(tmp_path: Path, number: int) -> None:
    storage = LocalStorage(tmp_path)
    for each in range(200):
        storage.write(f"packages/{each:03}/file", b"bytes")

    with (
        watched(tmp_path, Failing(number, errno.EIO, calls=frozenset({"fsync"}))),
        pytest.raises(StorageError) as caught,
    ):
        storage.sync()
    assert caught.value.code == errno.EIO
    assert caught.value.path.startswith(str(tmp_path))


def test_records_are_whole_when_the_disk_takes_a_few_bytes_at_a_time(index: LocalIndex, mirror: Mirror) -> None:
    make_change(index, mirror)
    with watched(mirror.tree, Recording(), most_bytes=64):
        sync_here(mirror)

    record = (mirror.tree / ".pymirror/state/pool.jsonl").read_bytes()
    assert record.count(b"\n") == len([name for name in mirror.pool() if name.endswith((".whl", ".gz"))])
    assert mirror.run("verify", "--json").json["damages"] == []


def test_a_page_is_written_anew_when_the_disk_cannot_read_it(tmp_path: Path) -> None:
    class Unreadable(LocalStorage):
        def read_pieces(self, name: str) -> Iterator[bytes]:
            yield from ()
            raise StorageError(name, "Input/output error", code=errno.EIO)

    LocalStorage(tmp_path).write("project/demo/index.html", b"old")

    assert put_page(Unreadable(tmp_path), "project/demo/index.html", lambda: [b"new"]) == 1
    assert (tmp_path / "project/demo/index.html").read_bytes() == b"new"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        is_mounted = False
    if not is_mounted:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


def test_nothing_is_lost_when_the_disk_is_full_and_prune_makes_room(
    index: LocalIndex, mirror: Mirror, small_disk: Path
) -> None:
    big = {"demo/data.bin": os.urandom(300_000)}
    index.add(make_wheel("demo", "1.0", files=big))
    index.add(make_wheel("other", "1.0", files=big))
    mirror.tree = small_disk / "mirror"
    mirror.write_spec(index, "projects: [demo, other]")
    mirror.spec.write_text(mirror.spec.read_text().replace("output: mirror", f"output: {mirror.tree}"))
    mirror.sync()
    text = mirror.spec.read_text()
    mirror.spec.write_text(text.replace("[demo, other]", "[demo]"))
    mirror.sync()
    before = mirror.published()
    index.add(make_wheel("demo", "2.0", files={"demo/data.bin": os.urandom(700_000)}))

    run = mirror.sync(code=1)

    assert "No space left on device" in run.err
    assert mirror.published() == before
    _fill(small_disk)
    mirror.run("prune")
    assert mirror.pool() == ["demo-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl.metadata"]
    (small_disk / "full").unlink()
    shutil.rmtree(mirror.tree / ".pymirror/partial", ignore_errors=True)
    mirror.run("verify")


def test_prune_makes_room_when_not_a_byte_can_be_written(index: LocalIndex, mirror: Mirror) -> None:
    make_change(index, mirror)
    mirror.sync()
    mirror.write_spec(index, "flat: true\nprojects: [demo]")
    mirror.sync()

    with watched(mirror.tree, Failing(0, errno.ENOSPC, calls=WRITES, for_good=True)):
        report = prune_here(mirror)

    assert {Path(path).name.partition("-")[0] for path in report.deleted} == {"demo", "kept", "leaf", "other"}
    mirror.run("verify")
    assert "nothing written" in mirror.sync().err


def test_the_message_names_both_places_when_the_pool_is_on_another_disk(
    index: LocalIndex, mirror: Mirror, small_disk: Path
) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.tree.mkdir()
    (mirror.tree / "packages").symlink_to(small_disk)

    run = mirror.sync(code=1)

    assert "it is on another disk than" in run.err
    assert "Traceback" not in run.err


LIMITS = {
    "Too many open files": "resource.RLIMIT_NOFILE, len(os.listdir('/proc/self/fd')) + 2",
    "File too large": "resource.RLIMIT_FSIZE, 0",
}


@pytest.mark.parametrize(("said", "limit"), LIMITS.items(), ids=["files", "bytes"])
def test_a_run_ends_in_a_message_when_the_system_gives_it_too_little(
    index: LocalIndex, mirror: Mirror, said: str, limit: str
) -> None:
    """Open files; and the size of files, which stands for a full disk."""
    make_change(index, mirror)
    program = f"""
import os, resource
from pymirror.cli import main
kind, amount = {limit}
resource.setrlimit(kind, (amount, amount))
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "sync"],
        cwd=mirror.folder,
        env=for_others(mirror.environ),  # coverage could not write its own files either
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert_whole(mirror)
    mirror.sync()
    mirror.run("verify")


def test_the_report_ends_in_a_message_when_it_cannot_be_written(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pymirror", "sync", "--json"],
            cwd=mirror.folder,
            env=mirror.environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert mirror.projects() == ["demo"]


# ── a disk that has not everything ──────────────────────────────────────────────────────────────────


class Plain(Recording):
    """Modes and times cannot be set, as on exFAT or SMB that belong to another user."""

    def before(self, call: str, path: Path) -> None:
        if call in ("chmod", "utime"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


def test_the_tree_is_the_same_when_the_disk_has_no_modes_no_links_and_no_exchange(
    index: LocalIndex, mirror: Mirror, tmp_path: Path
) -> None:
    make_change(index, mirror)
    shutil.copytree(mirror.tree, tmp_path / "start")
    mirror.sync()
    published = mirror.published()
    shutil.rmtree(mirror.tree)
    shutil.copytree(tmp_path / "start", mirror.tree)

    with watched(mirror.tree, Plain(), can_exchange=False, can_link=False):
        sync_here(mirror)
        assert mirror.published() == published
        before = mirror.published()
        sync_here(mirror)
        assert mirror.published() == before


def test_one_file_is_in_the_folder_when_two_names_differ_in_case_alone(index: LocalIndex, mirror: Mirror) -> None:
    """Many disks keep no two such names: each run would put the one in the place of the other."""
    index.add(make_sdist("demo", "1.0"))
    filename, data = make_sdist("demo", "1.0")
    index.add((filename.replace("demo", "Demo"), data + b"\0"))
    mirror.write_spec(index, "flat: true\nprojects: [demo]")
    mirror.sync()

    snapshot = History(LocalStorage(mirror.tree)).current()
    assert snapshot is not None
    assert len(mirror.filenames("demo")) == 2
    assert [name for name, _ in list_flat(snapshot)] == [f"flat/{mirror.filenames('demo')[0]}"]
    mirror.run("verify")


def test_a_name_is_mirrored_or_refused_when_it_is_as_long_as_a_disk_allows(index: LocalIndex, mirror: Mirror) -> None:
    longest, longer = (make_wheel("d" * (length - len("-1.0-py3-none-any.whl")), "1.0") for length in (240, 241))
    assert [len(name) for name, _ in (longest, longer)] == [240, 241]
    project, refused = (name.partition("-")[0] for name, _ in (longest, longer))
    entry = index.add(longest)
    entry.provenance = make_provenance(entry.hashes["sha256"])
    index.add(longer)
    mirror.write_spec(index, f"flat: true\nprojects: [{project}, {refused}]")

    run = mirror.sync(code=1)

    assert mirror.filenames(project) == [longest[0]]
    assert max(len(name) for name in mirror.pool()) == 240 + len(".provenance")
    assert f"failed: {refused}" in run.err
    mirror.run("verify")


def _make_deep_folder(folder: Path, length: int) -> Path:
    """A folder whose own path has so many bytes."""
    while len(str(folder)) < length - 201:
        folder /= "d" * min(200, length - 202 - len(str(folder)) if length - len(str(folder)) > 202 else 200)
    folder /= "d" * (length - 1 - len(str(folder)))
    assert len(str(folder)) == length
    return folder


@pytest.mark.parametrize("has_digest", [True, False])
@pytest.mark.parametrize(
    ("spare", "is_mirrored", "has_provenance"),
    [
        (len(".provenance"), True, True),
        (len(".metadata"), True, False),
        (len(".metadata") - 1, False, False),
        (0, False, False),
        (-1, False, False),
    ],
)
def test_a_name_costs_its_file_alone_when_it_is_longer_than_the_system_takes(
    index: LocalIndex, mirror: Mirror, has_digest: bool, spare: int, is_mirrored: bool, has_provenance: bool
) -> None:
    """Here a path is: it may have 4095 bytes. As of names on eCryptfs, of which 143 are taken."""
    name, data = make_wheel("demo", f"2.0+{'a' * 100}")
    entry = index.add((name, data))
    entry.provenance = make_provenance(entry.hashes["sha256"])
    if not has_digest:
        index.flat_urls = True
    index.add(make_wheel("demo", "1.0"))
    mirror.tree = _make_deep_folder(mirror.folder, 4095 - spare - len(f"/packages/00/00/{'0' * 60}/{name}"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.spec.write_text(mirror.spec.read_text().replace("output: mirror", f"output: {mirror.tree}"))

    for _ in range(2):
        run = mirror.sync(code=0 if is_mirrored else 1)

        assert mirror.filenames("demo") == ["demo-1.0-py3-none-any.whl", *([name] if is_mirrored else [])]
        assert ("longer than this disk takes, with what stands beside it" in run.err) == (not is_mirrored)
        assert (f"{name}.provenance" in mirror.pool()) == has_provenance
    asked = [path.startswith("/integrity/") for path in index.asked_for("GET", "aaa")]
    assert asked == [False] * is_mirrored + [True] * has_provenance
    mirror.run("verify")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such folders")
def test_a_project_is_mirrored_when_it_is_called_as_a_device_of_windows(index: LocalIndex, mirror: Mirror) -> None:
    for project in ("con", "prn", "com1"):
        index.add(make_wheel(project, "1.0"))
    mirror.write_spec(index, "flat: true\nprojects: [con, prn, com1]")
    mirror.sync()

    assert mirror.projects() == ["com1", "con", "prn"]
    mirror.run("verify")
    assert mirror.sync().err.endswith("nothing new, nothing written\n")


# ── modes ───────────────────────────────────────────────────────────────────────────────────────────


def test_folders_have_their_modes_when_a_run_is_killed_before_it_sets_them(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "flat: true\nprojects: [demo]")

    before = os.umask(0o022)
    try:
        with watched(mirror.tree, Plain()):
            sync_here(mirror)
    finally:
        os.umask(before)

    folders = [path for path in [mirror.tree, *mirror.tree.rglob("*")] if path.is_dir()]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folders if path.name != ".pymirror"}
    assert modes == {0o755}
    assert stat.S_IMODE((mirror.tree / ".pymirror").stat().st_mode) == 0o700


def test_a_run_has_a_umask_of_its_own_when_that_of_cron_is_narrow(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    gate = Gate()
    index.fail("/simple/demo/", gate)
    before = os.umask(0o077)
    try:
        with mirror.started("sync") as process:
            os.umask(before)
            gate.wait_for(1)
            status = Path(f"/proc/{process.pid}/status").read_text()
            gate.open()
            assert process.wait(20) == 0
    finally:
        os.umask(before)

    assert "Umask:\t0022\n" in status


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nobody_else_can_write_or_look_inside_when_the_umask_is_odd(
    index: LocalIndex, mirror: Mirror, umask: int
) -> None:
    make_change(index, mirror)
    (mirror.tree / ".pymirror").chmod(0o755)  # as a copy of the tree has it
    before = os.umask(umask)
    try:
        sync_here(mirror)
    finally:
        os.umask(before)

    assert stat.S_IMODE((mirror.tree / ".pymirror").stat().st_mode) == 0o700
    served = [path for path in mirror.tree.rglob("*") if ".pymirror" not in path.parts]
    assert {stat.S_IMODE(path.stat().st_mode) for path in served if path.is_file()} == {0o644}
    assert {stat.S_IMODE(path.stat().st_mode) for path in served if path.is_dir()} == {0o755}


# ── what others left, and the clock ─────────────────────────────────────────────────────────────────


def test_a_published_file_is_not_written_into_when_a_killed_run_left_a_name_of_it(tmp_path: Path) -> None:
    """In a container every run may have one number as its process."""
    storage = LocalStorage(tmp_path)
    storage.write("packages/one", b"published")
    for serial in range(8):
        left = tmp_path / f".pymirror/temporary/{os.getpid()}-{serial}"
        os.link(tmp_path / "packages/one", left)
    next_run = LocalStorage(tmp_path)
    next_run.write("simple/index.html", b"a page")
    next_run.write("simple/other.html", b"another")
    next_run.link("simple/index.html", "simple/other.html")

    assert (tmp_path / "packages/one").read_bytes() == b"published"
    assert (tmp_path / "simple/other.html").read_bytes() == b"a page"


def test_nothing_leaves_as_too_new_when_the_clock_was_set_back(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "exclude-newer: 7 days\nprojects: [demo]")
    mirror.sync()
    before = mirror.published()
    spec = load_spec(mirror.spec, read=Path.read_bytes, environ={})
    at_power_on = make_ports(mirror, datetime(1970, 1, 1, tzinfo=UTC))

    with pytest.raises(ClockError, match=r"the clock says 1970-01-01, but .*\(demo-1.0.tar.gz\)"):
        sync(spec, at_power_on, allow_shrink=False)

    assert mirror.published() == before
    sync(spec, at_power_on, allow_shrink=True)
    assert mirror.projects() == []


def test_a_changed_page_is_newer_when_the_clock_was_set_back(index: LocalIndex, mirror: Mirror) -> None:
    make_change(index, mirror)
    pages = [path for path in mirror.tree.rglob("*.html") if ".pymirror" not in path.parts]
    ahead = time.time_ns() + 365 * DAY * 10**9
    for page in pages:
        os.utime(page, ns=(ahead, ahead))
    before = {page: page.read_bytes() for page in pages}
    mirror.sync()

    changed = [page for page in pages if page.exists() and page.read_bytes() != before[page]]
    assert len(changed) > 4
    assert all(page.stat().st_mtime_ns // 10**9 > ahead // 10**9 for page in changed)


def test_a_link_is_no_file_of_the_pool_when_it_leads_to_the_right_bytes(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.published()
    path = mirror.find("demo-1.0-py3-none-any.whl")
    moved = mirror.folder / "elsewhere.whl"
    path.rename(moved)
    path.symlink_to(moved)
    mirror.sync()
    assert not path.is_symlink()
    assert mirror.published() == before
