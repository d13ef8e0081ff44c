"""Doing the work of a command, and turning what happens into a message and the exit code.

A command's modules are imported when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from pymirror.errors import (
    ConfigurationError,
    ExitCode,
    InterruptedRunError,
    PymirrorError,
    StorageError,
    TerminatedError,
    UsageError,
)

if TYPE_CHECKING:
    from datetime import datetime

    from pymirror.commands.ports import Ports
    from pymirror.console import Terminal
    from pymirror.spec.model import Site, Spec
    from pymirror.workers import LastWords, Stop

_MAX_FILE_BYTES = 64 * 1024 * 1024


def run(
    spec_path: Path, work: Callable[[Spec, Ports, Terminal], ExitCode], *, quiet: bool, verbose: bool, as_json: bool
) -> NoReturn:
    """``work`` on a spec."""

    def start(terminal: Terminal, stop: Stop) -> ExitCode:
        import msgspec

        spec, fingerprint = _load_spec(spec_path)
        if spec.output.exists() and not spec.output.is_dir():
            raise ConfigurationError(f"output: {spec.output} is not a folder")
        ports = _make_ports(spec.output, terminal, stop, spec.site)
        return work(spec, msgspec.structs.replace(ports, fingerprint=fingerprint), terminal)

    guard(start, quiet=quiet, verbose=verbose, as_json=as_json)


def run_on_tree(
    path: Path, work: Callable[[Ports, Terminal], ExitCode], *, quiet: bool, verbose: bool, as_json: bool
) -> NoReturn:
    """``work`` on a tree, which the spec names or which ``path`` is."""

    def start(terminal: Terminal, stop: Stop) -> ExitCode:
        if path.is_dir():
            return work(_make_ports(path, terminal, stop, None), terminal)
        spec = load_spec(path)
        return work(_make_ports(spec.output, terminal, stop, spec.site), terminal)

    guard(start, quiet=quiet, verbose=verbose, as_json=as_json)


def load_spec(path: Path) -> Spec:
    """The spec at ``path``, with every file that it names."""
    return _load_spec(path)[0]


def _load_spec(path: Path) -> tuple[Spec, str]:
    """The spec, and a digest of all that it was read from: files and variables."""
    import hashlib

    from pymirror.spec.load import load_spec as load

    digest = hashlib.sha256()

    def note(kind: str, name: object, value: bytes) -> None:
        digest.update(f"{kind} {name} {len(value)}\n".encode(errors="surrogateescape") + value)

    def read(file: Path) -> bytes:
        data = read_file(file)
        note("file", file, data)
        return data

    class Environ(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            value = super().get(name, default)
            note("variable", name, str(value).encode(errors="surrogateescape"))
            return value

        def __getitem__(self, name: str) -> str:
            value = super().__getitem__(name)
            note("variable", name, value.encode(errors="surrogateescape"))
            return value

    spec = load(path, read=read, environ=Environ(os.environ))
    return spec, digest.hexdigest()


def _make_ports(output: Path, terminal: Terminal, stop: Stop, site: Site | None) -> Ports:
    from pymirror.commands.ports import Ports
    from pymirror.storage.local import FILE_MODE, FOLDER_MODE, LocalStorage

    # So that what is made has its mode from the first moment: a run that is killed leaves no folder that is not served.
    file_mode = site.file_mode if site is not None and site.file_mode is not None else FILE_MODE
    folder_mode = site.folder_mode if site is not None and site.folder_mode is not None else FOLDER_MODE
    os.umask(0o777 & ~(file_mode | folder_mode))
    storage = LocalStorage(output, file_mode=file_mode, folder_mode=folder_mode)
    return Ports(storage=storage, environ=os.environ, progress=terminal, stop=stop, now=_read_clock(os.environ))


def _read_clock(environ: Mapping[str, str]) -> datetime:
    """When the run began: what ages in the spec are counted from.

    ``SOURCE_DATE_EPOCH`` (https://reproducible-builds.org/specs/source-date-epoch/) makes a run repeatable.
    """
    from datetime import UTC, datetime

    text = environ.get("SOURCE_DATE_EPOCH", "")
    try:
        return datetime.fromtimestamp(int(text) if text else time.time(), UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(f'SOURCE_DATE_EPOCH is "{text}", not a number of seconds') from None


def guard(start: Callable[[Terminal, Stop], ExitCode], *, quiet: bool, verbose: bool, as_json: bool) -> NoReturn:
    """Does the work, and turns what happens into a message and the exit code."""
    from pymirror.console import Terminal, Verbosity
    from pymirror.workers import Stop

    terminal = Terminal(Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL)
    signals = _Signals(Stop(), as_json=as_json)
    _expect_odd_markers()
    if isinstance(sys.stdout, io.TextIOWrapper):
        with contextlib.suppress(OSError, ValueError):
            # As stderr has it: what a locale cannot write is no failure.
            sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with signals:
            if quiet and verbose:
                raise UsageError("-q and -v exclude each other")
            with terminal:
                code = start(terminal, signals.stop)
    except (KeyboardInterrupt, InterruptedRunError):
        code = _tell(terminal, signals.error, as_json=as_json)
    except PymirrorError as error:
        code = _tell(terminal, error, as_json=as_json)
    except BrokenPipeError:
        code = ExitCode.INCOMPLETE
    except RuntimeError:
        # CPython makes one of whatever comes while a class is made, as in the middle of an import.
        if not signals.is_heard:
            raise
        code = _tell(terminal, signals.error, as_json=as_json)
    except OSError as error:
        # What no storage translated: the system has no file, process or socket left, or the log is on the full disk.
        code = _tell(terminal, StorageError.from_os_error(error, Path("the system")), as_json=as_json)
    _flush()
    signals.tell()
    raise SystemExit(int(code))


def _expect_odd_markers() -> None:
    """Keeps Python from warning of a backslash in a marker, which is of upstream's or the spec's making.

    `packaging` reads the strings of markers as Python's own, from a source without a name; nothing else is meant.
    """
    for category in (SyntaxWarning, DeprecationWarning):  # the latter before Python 3.12
        warnings.filterwarnings(
            "ignore", message=".*invalid (octal )?escape sequence", category=category, module="<unknown>"
        )


def _tell(terminal: Terminal, error: PymirrorError, *, as_json: bool) -> ExitCode:
    with contextlib.suppress(OSError):
        terminal.error(error)
        if as_json:
            terminal.json(_describe(error))
    return error.exit_code


def _describe(error: PymirrorError) -> dict[str, Any]:
    return {"exit-code": int(error.exit_code), "error": str(error), "hint": error.hint}


def _flush() -> None:
    """Ends quietly where the reader of stdout or stderr went away: what was to be done is done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as it is where the caller closed it
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def read_file(path: Path) -> bytes:
    """A file that the user named, or more of it than any may have; a pipe or a device would be read for ever."""
    if path.exists() and not path.is_file():
        raise IsADirectoryError(21, "not a file")
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES + 1)


class _Ended(KeyboardInterrupt):
    """A signal came, any of them: no code takes this one for a failure of what it was just at.

    Of a class of its own: where KeyboardInterrupt itself passes through an ``exec``, as of a dataclass that is made,
    CPython kills itself in the end with SIGINT, whatever exit code was asked for.
    """


class _Signals:
    """SIGTERM ends the run as Ctrl-C does, with its own exit code; SIGHUP is what a closed terminal sends.

    The first signal is the last that is heard: an impatient second one must not disturb the way out. After the block,
    none is: what was done is told, with its own code.
    """

    def __init__(self, stop: Stop, *, as_json: bool) -> None:
        from pymirror.workers import Alarm

        self.stop = stop
        self.is_heard = False
        self._number: int = signal.SIGINT
        known = (getattr(signal, name, None) for name in ("SIGTERM", "SIGINT", "SIGHUP"))
        # What is ignored stays so: nohup says it of SIGHUP, a shell of SIGINT for what it runs in the background.
        self._watched = [each for each in known if each is not None and signal.getsignal(each) != signal.SIG_IGN]
        self._alarm = Alarm({each: _last_words(_error_of(each), as_json=as_json) for each in self._watched})

    @property
    def error(self) -> PymirrorError:
        """What the signal means."""
        return _error_of(self._number)

    def tell(self) -> None:
        """All has been said that is to be said."""
        self._alarm.tell()

    def __enter__(self) -> None:
        self._alarm.__enter__()
        for each in self._watched:
            signal.signal(each, self._end)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ignore()
        self._alarm.__exit__(kind, error, trace)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self._ignore()
        self._alarm.hear()
        self._number = number
        self.is_heard = True
        self.stop.set_by_signal()
        raise _Ended

    def _ignore(self) -> None:
        for each in self._watched:
            signal.signal(each, signal.SIG_IGN)


def _error_of(number: int) -> PymirrorError:
    return InterruptedRunError() if number == signal.SIGINT else TerminatedError()


def _last_words(error: PymirrorError, *, as_json: bool) -> LastWords:
    """What :func:`_tell` says, where nothing can be relied on any more."""
    import json

    from pymirror.workers import LastWords

    out = json.dumps(_describe(error), indent=2) + "\n" if as_json else ""
    return LastWords(int(error.exit_code), f"error: {error}\n".encode(), out.encode())
