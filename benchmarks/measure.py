"""What a command costs: its time, and the processor time and memory of its whole process tree. Linux only."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SAMPLE_SECONDS = 0.03
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

State = dict[str, tuple[int, int, int]]
"""Inode, time of the last change and size, by path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """``peak_bytes`` is the largest sum of the resident memory of all processes; what they share counts for each."""

    code: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(commands: Sequence[Sequence[str]], *, folder: Path, environ: Mapping[str, str], output: Path) -> Usage:
    """Runs ``commands`` one after the other until one fails. What they print goes to ``output``."""
    os.sync()  # what earlier runs wrote is not to be paid for by this one
    code, cpu, peak = 0, 0.0, 0
    start = time.perf_counter()
    with output.open("wb") as out:
        for command in commands:
            process = subprocess.Popen(  # noqa: S603 - the commands are ours
                command, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
            with _Sampler(process.pid) as sampler:
                _, status, used = os.wait4(process.pid, 0)
            code = process.returncode = os.waitstatus_to_exitcode(status)
            cpu += used.ru_utime + used.ru_stime
            peak = max(peak, sampler.peak_bytes)
            if code:
                break
    return Usage(code=code, wall_seconds=time.perf_counter() - start, cpu_seconds=cpu, peak_bytes=peak)


class _Sampler:
    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, sum(map(_resident_bytes, _list_tree(self._pid))))
            if self._is_over.wait(_SAMPLE_SECONDS):
                return


def _list_tree(pid: int) -> Iterator[int]:
    yield pid
    children: list[int] = []
    with contextlib.suppress(OSError):  # it ended meanwhile
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - a path object for each takes longer
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
    for child in children:
        yield from _list_tree(child)


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def look_at(folder: Path) -> State:
    """Every file and folder below ``folder``, and itself: a file that came and went shows in its folder's time.

    But for the private folder itself, in which the note of who holds the lock comes and goes.
    """
    state: State = {}
    for path in (folder, *folder.rglob("*")):
        if path == folder / ".pymirror":
            continue
        stat = path.lstat()
        state[str(path.relative_to(folder))] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return state
