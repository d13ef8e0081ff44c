"""One writer at a time, and a run that is told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archives import make_sdist
from tests.conftest import Mirror
from tests.index import Answer, Gate, LocalIndex

SIGNALS = {"TERM": (signal.SIGTERM, 143), "INT": (signal.SIGINT, 130), "HUP": (signal.SIGHUP, 143)}


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Opened at the end, so that no thread of the index waits for nothing."""
    made = Gate()
    yield made
    made.open()


@pytest.fixture
def published(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of one file, of which upstream has a second release by now."""
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    index.add(make_sdist("demo", "2.0"))
    return mirror


# ── the lock ────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_run_ends_at_once_and_names_the_first(index: LocalIndex, published: Mirror, gate: Gate) -> None:
    index.fail(index.entries[1].path, gate)
    before = published.published()

    with published.started("sync") as first:
        gate.wait_for(1)
        for command in ("sync", "verify", "prune"):
            run = published.run(command, code=3)
            assert f"pymirror sync, process {first.pid} on " in run.err
            assert run.out == ""
        assert first.poll() is None
        assert published.published() == before
        gate.open()
        assert first.wait(20) == 0

    assert published.filenames("demo") == ["demo-1.0.tar.gz", "demo-2.0.tar.gz"]


def test_plan_works_during_a_run(index: LocalIndex, published: Mirror, gate: Gate) -> None:
    index.fail(index.entries[1].path, gate)

    with published.started("sync") as first:
        gate.wait_for(1)
        plan = published.run("plan", "--json")
        gate.open()
        assert first.wait(20) == 0

    assert plan.json["downloads"] == 1


@pytest.mark.parametrize("command", ["sync", "verify", "prune"])
def test_the_lock_of_a_killed_run_does_not_block(
    index: LocalIndex, published: Mirror, gate: Gate, command: str
) -> None:
    index.fail(index.entries[1].path, gate)
    with published.started("sync") as first:
        gate.wait_for(1)
        first.kill()
        assert first.wait(20) == -signal.SIGKILL

    published.run(command)

    assert not (published.tree / ".pymirror" / "holder").exists()


def test_two_mirrors_do_not_lock_each_other(index: LocalIndex, published: Mirror, gate: Gate) -> None:
    index.fail(index.entries[1].path, gate)
    with published.started("sync"):
        gate.wait_for(1)
        second = published.folder / "second.yaml"
        second.write_text(published.spec.read_text().replace("output: mirror", "output: second"))

        published.run("sync", "second.yaml")


# ── signals ─────────────────────────────────────────────────────────────────────────────────────────


def _stall_page(index: LocalIndex, gate: Gate) -> None:
    index.fail("/simple/demo/", gate)


def _stall_head(index: LocalIndex, gate: Gate) -> None:
    index.fail(index.entries[1].path, gate)


def _stall_body(index: LocalIndex, gate: Gate) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(index.entries[1].data)
        yield index.entries[1].data[:100]
        gate(None)

    index.fail(index.entries[1].path, Answer(raw=pieces()))


def _ask_to_wait(index: LocalIndex, gate: Gate) -> None:
    """A run that sleeps until it may ask again."""
    index.fail("/simple/demo/", Answer(503, b"", {"Retry-After": "200"}))


STALLS = {"page": _stall_page, "head": _stall_head, "body": _stall_body, "retry": _ask_to_wait}


@pytest.mark.parametrize(
    ("stall", "name"), [*((stall, "TERM") for stall in STALLS), ("body", "INT"), ("retry", "INT"), ("body", "HUP")]
)
def test_a_signal_ends_a_run_that_waits_for_the_network(
    index: LocalIndex, published: Mirror, gate: Gate, stall: str, name: str
) -> None:
    number, code = SIGNALS[name]
    before = published.published()
    index.forget()
    STALLS[stall](index, gate)

    with published.started("sync") as process:
        if stall == "retry":
            deadline = time.monotonic() + 20
            while not index.requests("/simple/demo/"):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.1)
        else:
            gate.wait_for(1)
        process.send_signal(number)
        _, err = process.communicate(timeout=5)

    assert process.returncode == code, err
    assert "Traceback" not in err
    assert ("terminated; " if code == 143 else "interrupted; ") in err
    assert published.published() == before
    assert not (published.tree / ".pymirror" / "holder").exists()
    gate.open()

    published.sync()

    assert published.filenames("demo") == ["demo-1.0.tar.gz", "demo-2.0.tar.gz"]


def test_a_run_survives_the_closing_of_the_terminal_when_started_with_nohup(
    index: LocalIndex, published: Mirror, gate: Gate
) -> None:
    index.fail(index.entries[1].path, gate)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; a child inherits it
    try:
        with published.started("sync") as process:
            signal.signal(signal.SIGHUP, before)
            gate.wait_for(1)
            process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
            gate.open()
            assert process.wait(20) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_impatient_signals_leave_no_traceback(index: LocalIndex, published: Mirror, gate: Gate) -> None:
    index.fail(index.entries[1].path, gate)

    with published.started("sync") as process:
        gate.wait_for(1)
        deadline = time.monotonic() + 5
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.002)
        _, err = process.communicate(timeout=5)

    assert "Traceback" not in err
    assert process.returncode in (143, -signal.SIGTERM)  # the last one may find the interpreter gone


def test_a_signal_ends_the_run_when_it_comes_in_the_middle_of_an_import(
    index: LocalIndex, published: Mirror, tmp_path: Path
) -> None:
    """CPython makes a RuntimeError of what is raised while a class is made."""
    (tmp_path / "filelock.py").write_text(
        "import os, signal\n"
        "class Late:\n"
        "    def __set_name__(self, owner, name):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        for _ in range(1000000): pass\n"
        "class Made:\n"
        "    late = Late()\n"
    )

    run = subprocess.run(
        [sys.executable, "-m", "pymirror", "sync"],
        cwd=published.spec.parent,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.returncode == 143, run.stderr
    assert "Traceback" not in run.stderr
