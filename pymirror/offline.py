"""Another program, run with no network, none of its user's settings, and for a bounded time.

"No network" is what the program is told: proxies that lead nowhere, and what it has for offline work. What it starts
itself could open a connection of its own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pymirror.workers import Stop

NOWHERE = "http://127.0.0.1:9"  # the port of "discard", where nobody listens
_KEPT = ("PATH", "PATHEXT", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "NUMBER_OF_PROCESSORS", "LANG", "LC_ALL")
_LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_PERIOD_SECONDS = 0.2
_MAX_OUTPUT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended; ``code`` is ``None`` where its time was over before."""

    code: int | None
    out: str
    err: str


def refuse_network(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The variables of a process that has an empty home, no settings of pip and uv, and proxies that lead nowhere."""
    kept = {name: value for name, value in environ.items() if name.upper() in _KEPT or name in _LOADER}
    homes = dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TMPDIR", "TEMP", "TMP"), str(home))
    words = ("http_proxy", "https_proxy", "all_proxy")
    proxies = dict.fromkeys([*words, *map(str.upper, words)], NOWHERE)
    return {
        **kept,
        **homes,
        **proxies,
        "NO_PROXY": "",
        "no_proxy": "",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INPUT": "1",
        "PYTHONNOUSERSITE": "1",
        "NO_COLOR": "1",
    }


def run_bounded(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: Path,
    timeout_seconds: float,
    stop: Stop,
    text: str = "",
) -> Finished:
    """Runs a program in ``folder`` with ``text`` on its stdin; it is killed when its time or the run is over.

    Raises :class:`OSError` where it cannot be started, :class:`pymirror.errors.InterruptedRunError`.
    """
    deadline = time.monotonic() + timeout_seconds
    with tempfile.TemporaryFile() as given:  # a pipe is not written on by communicate() once that has timed out
        given.write(text.encode())
        given.seek(0)
        process = subprocess.Popen(  # noqa: S603 - the programs of the callers, and no shell
            list(arguments),
            cwd=folder,
            env=dict(environ),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    try:
        while True:
            try:
                out, err = process.communicate(timeout=_PERIOD_SECONDS)
            except subprocess.TimeoutExpired:
                stop.check()
                if time.monotonic() > deadline:
                    return Finished(None, "", f"not done after {timeout_seconds:g} seconds")
            else:
                return Finished(process.returncode, out[:_MAX_OUTPUT], err[:_MAX_OUTPUT])
    finally:
        if process.poll() is None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=5)
