"""Killed at any moment, and without power: what is published is whole, and the next run comes to the same bytes."""

from __future__ import annotations

import contextlib
import ctypes
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.crash import IS_THOROUGH, assert_whole, every, make_change, prune_here, sync_here
from tests.faulty_storage import Doomed, Recording, State, watched, write_state
from tests.index import Gate, LocalIndex

SIGNALS = {"TERM": (signal.SIGTERM, 143), "INT": (signal.SIGINT, 130)}


# ── before any call ─────────────────────────────────────────────────────────────────────────────────


def assert_next_run_converges(mirror: Mirror, states: dict[State, int], undisturbed: dict[str, str], step: int) -> None:
    """For every ``step``-th of ``states``, each with the number of the call that was not made."""
    assert states
    moments = list(states.items())
    for number in every(step, 0, len(moments)):
        state, call = moments[number]
        shutil.rmtree(mirror.tree)
        write_state(state, mirror.tree)
        try:
            assert_whole(mirror)
            sync_here(mirror)
            assert mirror.published() == undisturbed
            private = mirror.tree / ".pymirror"
            left = {path.relative_to(private).parts[0] for path in private.rglob("*") if path.is_file()}
            assert left == {"lock", "snapshots", "state"}
        except (AssertionError, OSError) as error:
            raise AssertionError(f"cut short before call {call}") from error


@pytest.mark.no_cover
def test_next_run_converges_when_a_run_was_killed_or_lost_its_power_before_any_call(
    index: LocalIndex, mirror: Mirror
) -> None:
    make_change(index, mirror)
    old = _pages(mirror)
    doomed = Doomed(mirror.tree, with_power=True)
    with watched(mirror.tree, doomed):
        sync_here(mirror)
    undisturbed = mirror.published()
    new = _pages(mirror)

    assert doomed.calls > 200
    seen = {
        frozenset((name, data) for name, data, _ in state if name.startswith("simple/"))
        for states in (doomed.killed, doomed.cut, doomed.emptied)
        for state in states
    }
    assert old != new
    assert seen == {old, new}, "the pages were a mix"
    assert_next_run_converges(mirror, doomed.killed, undisturbed, 6)
    assert_next_run_converges(mirror, doomed.cut, undisturbed, 3)
    assert_next_run_converges(mirror, doomed.emptied, undisturbed, 8)
    for number in every(10, 5, len(doomed.killed)):
        shutil.rmtree(mirror.tree)
        write_state(list(doomed.killed)[number], mirror.tree)
        prune_here(mirror)  # keeps what either pages need
        assert_whole(mirror)


@pytest.mark.no_cover
def test_next_run_converges_when_a_run_without_exchange_was_killed_before_any_call(
    index: LocalIndex, mirror: Mirror
) -> None:
    make_change(index, mirror)
    doomed = Doomed(mirror.tree, with_power=False)
    with watched(mirror.tree, doomed, can_exchange=False, can_link=False):
        sync_here(mirror)

    assert_next_run_converges(mirror, doomed.killed, mirror.published(), 8)


def _pages(mirror: Mirror) -> frozenset[tuple[str, bytes | None]]:
    return frozenset(
        (path.relative_to(mirror.tree).as_posix(), path.read_bytes() if path.is_file() else None)
        for path in (mirror.tree / "simple").rglob("*")
    )


def test_files_are_durable_before_pages_when_they_are_published(index: LocalIndex, mirror: Mirror) -> None:
    """A file is synced before it is renamed, its folder before the pages are exchanged."""
    make_change(index, mirror)
    recording = Recording()
    with watched(mirror.tree, recording):
        sync_here(mirror)
    calls = [(call, Path(path).relative_to(mirror.tree).as_posix()) for call, path in recording.calls]
    exchange = calls.index(("rename", "simple"))

    renamed = [path for call, path in calls[:exchange] if call == "rename" and path.startswith(".pymirror/")]
    assert len(renamed) > 10
    for path in renamed:
        assert ("fsync", path) in calls[: calls.index(("rename", path))]
    pool = {path.parent for path in (mirror.tree / "packages").rglob("demo-2.0*")}
    folders = {path.relative_to(mirror.tree).as_posix() for path in pool}
    assert {("fsync", folder) for folder in [*folders, ".pymirror/snapshots"]} <= set(calls[:exchange])
    assert ("fsync", ".") in calls[exchange:]


# ── at random ───────────────────────────────────────────────────────────────────────────────────────


def test_tree_is_whole_and_converges_when_runs_are_killed_at_random(index: LocalIndex, mirror: Mirror) -> None:
    """Eight kills here, 240 in `make crash`."""
    make_change(index, mirror)
    specs = [mirror.spec.read_text(), mirror.spec.read_text().replace("[demo, kept]", "[demo, other]")]
    chance = random.Random(6)
    killed = 0
    for number in range(2000):
        mirror.spec.write_text(specs[number // 5 % 2])
        try:
            mirror.run("sync", timeout=chance.uniform(0.02, 0.5))
        except (subprocess.TimeoutExpired, ProcessLookupError):  # which had just come to its end
            killed += 1
        assert_whole(mirror)
        if killed == (240 if IS_THOROUGH else 8):
            break
    mirror.spec.write_text(specs[0])
    mirror.sync()
    mirror.run("prune")
    published = mirror.published()
    mirror.run("verify")
    shutil.rmtree(mirror.tree)
    mirror.sync()

    assert published == mirror.published()


# ── TERM and INT ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Opened at the end, so that no thread of the index waits for nothing."""
    made = Gate()
    yield made
    made.open()


def _stall_resolving(index: LocalIndex, gate: Gate) -> None:
    index.fail("/simple/leaf/", gate)


def _stall_publishing(index: LocalIndex, gate: Gate) -> None:
    index.fail(next(entry.provenance_path for entry in index.entries if entry.provenance), gate)


@pytest.mark.parametrize("stall", [_stall_resolving, _stall_publishing])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_ends_the_run_when_it_resolves_or_publishes(
    index: LocalIndex, mirror: Mirror, gate: Gate, stall: object, name: str
) -> None:
    make_change(index, mirror)
    before = mirror.published()
    assert callable(stall)
    stall(index, gate)
    number, code = SIGNALS[name]

    with mirror.started("sync") as process:
        gate.wait_for(1)
        process.send_signal(number)
        _, err = process.communicate(timeout=10)

    assert process.returncode == code, err
    assert err.rstrip().endswith("; what is published is whole, and the next run goes on from here")
    assert "Traceback" not in err
    served = {name: digest for name, digest in mirror.published().items() if not name.startswith("packages/")}
    assert served == {name: digest for name, digest in before.items() if not name.startswith("packages/")}


def test_a_signal_ends_the_run_when_it_comes_as_the_main_thread_falls_asleep(
    index: LocalIndex, mirror: Mirror, gate: Gate
) -> None:
    """It wakes nobody then: as if it had come to another thread."""
    index.fail(index.add(make_sdist("demo", "1.0")).path, gate)
    mirror.write_spec(index, "projects: [demo]")

    with mirror.started("sync") as process:
        gate.wait_for(1)
        threads = [int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()]
        assert ctypes.CDLL(None).tgkill(process.pid, max(threads), signal.SIGTERM) == 0
        _, err = process.communicate(timeout=10)

    assert process.returncode == 143, err


def test_a_signal_ends_the_run_when_descriptions_are_made(index: LocalIndex, mirror: Mirror) -> None:
    text = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nDescription-Content-Type: text/x-rst\n\n"
    slow = "".join(f"term{number}\n  *a* ``b`` `c <https://x.example/{number}>`_\n\n" for number in range(4000))
    index.add(make_wheel("demo", "1.0", metadata=text + slow))
    mirror.write_spec(index, "projects: [demo]")

    with mirror.started("sync") as process:
        workers = _wait_for_child(process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=10)

    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert not any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers)
    assert mirror.filenames("demo") == ["demo-1.0-py3-none-any.whl"]


def _wait_for_child(process: subprocess.Popen[str]) -> list[str]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        children: list[str] = []
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread may end meanwhile
                children += (task / "children").read_text().split()
        if children:
            return children
        time.sleep(0.01)
    raise AssertionError("no process came to make the description")


def test_no_signal_leaves_a_traceback_when_it_comes_at_any_time(index: LocalIndex, mirror: Mirror) -> None:
    """From the moment that the program is its own: before, it is the interpreter's."""
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    chance = random.Random(7)
    codes = set()

    for _ in range(60 if IS_THOROUGH else 6):
        with mirror.started("sync") as process:
            time.sleep(chance.uniform(0.0, 1.0))
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=10)
        codes.add(process.returncode)
        assert not re.search("Traceback|Exception", err), err
    assert codes <= {143, -signal.SIGTERM, 0}
