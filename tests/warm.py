"""Runs of ``pymirror`` without the start of an interpreter, which takes longer than what most of the tests do with it.

An interpreter that has read all modules waits for orders, and forks for each: what runs is a process of its own, with
the folder, the environment, the pipes, the end and the exit code of ``python -m pymirror``. Two runs in a row come from
two interpreters, and each interpreter is replaced in time, so that what depends on the order of a set is still seen.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_MAX_RUNS = 40
"""After so many an interpreter is replaced, for another seed of the hashes."""

_MAX_MESSAGE = 1 << 20


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that an interpreter reads when it starts, and never again."""
    return {name: value for name, value in environ.items() if name.startswith(("PYTHON", "LANG", "LC_"))}


# Read here: the fixture `environ` empties the environment before a test looks.
_USUAL = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    timeout: float = 60,
    module: str = "pymirror",
) -> subprocess.CompletedProcess[str]:
    """``python -m MODULE ARGUMENTS`` in ``folder``; nobody writes its input. Any number of threads may call this.

    Raises ``TimeoutExpired`` when it takes longer than ``timeout`` seconds; it was killed then.
    """
    if sys.platform != "linux" or _read_at_start(environ) != _USUAL:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    order = {"module": module, "arguments": arguments, "folder": str(folder), "environ": dict(environ)}
    return _interpreters.run(order, timeout)


class _Interpreters:
    """Those that wait: at least two, and one more for each further run at the same time."""

    def __init__(self) -> None:
        self._idle: deque[_Interpreter] = deque()

    def run(self, order: dict[str, Any], timeout: float) -> subprocess.CompletedProcess[str]:
        if len(self._idle) < 2:
            self._idle.append(_Interpreter())
        interpreter = self._idle.popleft()
        try:
            done = interpreter.run(order, timeout)
        except BaseException:
            interpreter.end()
            raise
        if interpreter.runs < _MAX_RUNS:
            self._idle.append(interpreter)
        else:
            interpreter.end()
        return done

    def end(self) -> None:
        while self._idle:
            self._idle.pop().end()


class _Interpreter:
    """One that waits; it ends when its end of the socket is closed, so also when this process is killed."""

    def __init__(self) -> None:
        self.runs = 0
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                env=_USUAL | {name: os.environ[name] for name in os.environ if name.startswith("COVERAGE_")},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def run(self, order: dict[str, Any], timeout: float) -> subprocess.CompletedProcess[str]:
        self.runs += 1
        message = json.dumps(order).encode()
        assert len(message) < _MAX_MESSAGE
        pipes = [os.pipe(), os.pipe()]
        with ThreadPoolExecutor(2) as readers:
            out, err = (readers.submit(_read, read) for read, _ in pipes)
            try:
                socket.send_fds(self._socket, [message], [write for _, write in pipes])
            finally:
                for _, write in pipes:
                    os.close(write)
            pid = int(self._receive(60))
            try:
                code = int(self._receive(timeout))
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):  # it may have ended this very moment
                    os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(order["arguments"], timeout) from None
        return subprocess.CompletedProcess(order["arguments"], code, out.result(), err.result())

    def _receive(self, seconds: float) -> bytes:
        self._socket.settimeout(seconds)
        message = self._socket.recv(100)
        assert message, "the interpreter has gone"
        return message

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


def _read(descriptor: int) -> str:
    with open(descriptor) as pipe:
        return pipe.read()


_interpreters = _Interpreters()
atexit.register(_interpreters.end)


# ── the other side ──────────────────────────────────────────────────────────────────────────────────


def _wait_for_orders(orders: socket.socket) -> dict[str, Any] | None:
    """Returns in a new process, with what it shall run; ``None`` in the old one when no more orders will come."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, _MAX_MESSAGE, 2)
        if not message:
            return None
        pid = os.fork()
        if pid == 0:
            for theirs, standard in zip(descriptors, (1, 2), strict=True):
                os.dup2(theirs, standard)
                os.close(theirs)
            orders.close()
            order: dict[str, Any] = json.loads(message)
            return order
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ConnectionError):  # who ordered has gone; the next message is the end
            orders.send(str(pid).encode())
            orders.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _main() -> None:
    import pymirror

    for module in pkgutil.walk_packages(pymirror.__path__, "pymirror."):
        if module.name not in ("pymirror.__main__", "pymirror.description_worker"):
            with contextlib.suppress(Exception):  # where one cannot be read, the run that needs it says so
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # the memory stays shared, and no run looks through all of it when it ends
    coverage = sys.modules.get("coverage")
    measured = coverage.Coverage.current() if coverage else None
    if measured:
        measured.save()  # once, and not again by every run
    order = _wait_for_orders(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        os._exit(0)  # nothing was done here, and no file of coverage may appear when all was added up
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["folder"])
    sys.path.insert(0, order["folder"])
    sys.argv = ["", *order["arguments"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
