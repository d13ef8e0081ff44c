"""Runs of ``pymirror`` without the start of an interpreter, which takes longer than what most of the tests do with it.

An interpreter that has read all modules waits for orders, and forks for each: what runs is a process of its own, with
the folder, the environment, the pipes and the exit code of ``python -m pymirror``. Only the modules are not taken down
at the end, which would take longer than the run. Two runs in a row come from two interpreters, and each interpreter is
replaced in time, so that what depends on the order of a set is still seen.

Where coverage is measured, a run tells its interpreter what it was the first to pass, and that writes it down once.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import marshal
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

_MAX_RUNS = 80
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
        self.data_file: str | None = None

    def run(self, order: dict[str, Any], timeout: float) -> subprocess.CompletedProcess[str]:
        if len(self._idle) < 2:
            self._idle.append(_Interpreter(self.data_file))
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

    def __init__(self, data_file: str | None) -> None:
        self.runs = 0
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = [str(theirs.fileno()), *([data_file] if data_file else [])]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, *arguments],
                env=_USUAL,
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
        """Returns when it has written down its coverage."""
        self._socket.close()
        self._process.wait()


def _read(descriptor: int) -> str:
    with open(descriptor) as pipe:
        return pipe.read()


_interpreters = _Interpreters()
atexit.register(_interpreters.end)


def measure() -> None:
    """Where coverage is measured now, it will be in the runs; before a test that pauses it."""
    coverage = sys.modules.get("coverage")
    measured = coverage.Coverage.current() if coverage else None
    _interpreters.data_file = str(Path.cwd() / measured.get_option("run:data_file")) if measured else None


def end() -> None:
    """Ends those that wait, before their coverage is added up."""
    _interpreters.end()


# ── the other side ──────────────────────────────────────────────────────────────────────────────────


class _Passed:
    """The branches that runs have passed, packed as coverage has them: a run tells those that were not known yet."""

    def __init__(self, data_file: str) -> None:
        import coverage

        # Named by `include`, and not by `source`: else it would look for the files that nobody has passed.
        root = Path(__file__).parent.parent
        self._coverage = coverage.Coverage(
            data_file=data_file, config_file=str(root / "pyproject.toml"), source=[], include=[f"{root / 'pymirror'}/*"]
        )
        self._known: dict[str, set[Any]] = {}
        self._news: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._coverage.start()

    @property
    def _data(self) -> dict[str, set[Any]]:
        """What the tracer writes to, by file: to put it into a database takes a run as long as its work."""
        collector: Any = self._coverage._collector
        data: dict[str, set[Any]] = collector.data
        return data

    def begin(self) -> None:
        """In the interpreter, when it has read the modules: what that passed is in every run."""
        self._known = {name: set(passed) for name, passed in self._data.items()}

    def tell(self) -> None:
        """In the run, when it ends."""
        self._coverage.stop()
        new = {name: passed - self._known.get(name, set()) for name, passed in self._data.copy().items()}
        news = {name: passed for name, passed in new.items() if passed}
        if news:
            os.write(self._news.fileno(), marshal.dumps(news))

    def hear(self) -> None:
        """In the interpreter, when a run has ended; one that was killed may have told half."""
        self._news.seek(0)
        with contextlib.suppress(EOFError, ValueError, TypeError):
            for name, passed in marshal.loads(self._news.read()).items():
                self._known.setdefault(name, set()).update(passed)
        self._news.seek(0)
        self._news.truncate()

    def write(self) -> None:
        self._coverage.stop()
        if self._known:
            self._data.update(self._known)
            self._coverage.save()


class _Ending:
    """The last that is called at exit: it ends the process before the interpreter takes itself apart."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.passed: _Passed | None = None
        atexit.register(self)

    def __call__(self) -> None:
        if self.passed:
            self.passed.tell()
        if self.code is None:
            return
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.flush()
            except OSError:
                return  # the interpreter knows what its code is then
        os._exit(self.code & 0xFF)


def _wait_for_orders(orders: socket.socket, passed: _Passed | None) -> dict[str, Any] | None:
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
        if passed:
            passed.hear()


def _main(ending: _Ending) -> None:
    passed = _Passed(sys.argv[2]) if sys.argv[2:] else None
    import pymirror

    for module in pkgutil.walk_packages(pymirror.__path__, "pymirror."):
        if module.name not in ("pymirror.__main__", "pymirror.description_worker"):
            with contextlib.suppress(Exception):  # where one cannot be read, the run that needs it says so
                importlib.import_module(module.name)
    for name in ("httpcore", "tenacity"):  # which are read late: with a proxy, and with the first retry
        importlib.import_module(name)
    if passed:
        passed.begin()
    gc.collect()
    gc.freeze()  # the memory stays shared
    order = _wait_for_orders(socket.socket(fileno=int(sys.argv[1])), passed)
    if order is None:
        if passed:
            passed.write()
        os._exit(0)  # nothing else was done here
    ending.passed = passed
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["folder"])
    sys.path.insert(0, order["folder"])
    sys.argv = ["", *order["arguments"]]
    try:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
        ending.code = 0
    except SystemExit as end:
        if isinstance(end.code, int):  # else the interpreter says what it is
            ending.code = end.code
        raise


if __name__ == "__main__":
    _main(_Ending())
