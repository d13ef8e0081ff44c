"""A run that a signal was sent to ends, whatever its main thread waits for."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

# The ways in which a main thread cannot end.
_LOCKED = """
    try:
        time.sleep(60)
    finally:
        with contextlib.suppress(RuntimeError):
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()  # as where an interrupt came between the lock and what would give it back
"""
_SWALLOWED = """
    class Closed:
        def __del__(self):
            time.sleep(60)  # what is raised in here is ignored

    Closed()
    threading.Event().wait()
"""
_DEAF = """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})  # as in a call that goes on when it comes
    time.sleep(60)
"""
_TELLS = """
    try:
        time.sleep(60)
    finally:
        threading.Thread(target=time.sleep, args=(60,)).start()  # which Python waits for, when all has been told
"""

_PROGRAM = """
import contextlib, signal, sys, threading, time
from pymirror.running import guard

def start(terminal, stop):
    threading.Timer(0.3, print, ["ready"], {{"flush": True}}).start()  # when the main thread is where it waits
    {body}

guard(start, quiet=False, verbose=False, as_json="--json" in sys.argv)
"""


@contextlib.contextmanager
def _started(body: str, *arguments: str, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(body=body.strip()), *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("body", [_LOCKED, _SWALLOWED, _DEAF, _TELLS])
def test_a_signal_ends_the_run_when_its_main_thread_cannot(
    environ: dict[str, str], body: str, number: signal.Signals
) -> None:
    code, word = (143, "terminated") if number == signal.SIGTERM else (130, "interrupted")

    with _started(body, environ=environ) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert process.returncode == code, err
    line = f"error: {word}; what is published is whole, and the next run goes on from here"
    assert err.splitlines().count(line) == 1
    assert err.splitlines()[-1] == line
    assert out == ""


def test_a_signal_is_told_as_json_when_the_main_thread_cannot(environ: dict[str, str]) -> None:
    with _started(_LOCKED, "--json", environ=environ) as process:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 143, err
    report = json.loads(out)
    assert report["exit-code"] == 143
    assert report["error"].startswith("terminated; ")


def test_last_words_are_lost_alone_when_nobody_reads_them(environ: dict[str, str]) -> None:
    with _started(_LOCKED, "--json", environ=environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=20) == 143


def test_last_words_are_lost_alone_when_their_pipe_is_full(environ: dict[str, str]) -> None:
    filling = """
    threading.Timer(1, signal.raise_signal, [signal.SIGTERM]).start()
    while True:
        sys.stderr.write("x" * 4096)  # which nobody reads
"""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(body=filling.strip())], env=environ, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.wait(timeout=20) == 143
        finally:
            process.kill()


def test_no_signal_ends_the_process_when_the_run_was_over(environ: dict[str, str]) -> None:
    program = """
import os, signal, time
from pymirror.workers import Alarm, LastWords

signal.signal(signal.SIGTERM, lambda number, frame: None)
with Alarm({signal.SIGTERM: LastWords(9, b"")}):
    signal.raise_signal(signal.SIGTERM)
time.sleep(2)
"""
    done = subprocess.run([sys.executable, "-c", program], env=environ, timeout=20, check=False)

    assert done.returncode == 0
