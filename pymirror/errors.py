"""Every deliberate error: its fields, its sentence, its hint and its exit code.

The exit codes are the contract with cron: see the table in the README.
"""

from __future__ import annotations

import enum
import errno
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit


class ExitCode(enum.IntEnum):
    """What the process tells its caller."""

    OK = 0
    INCOMPLETE = 1  # something wanted could not be had; the rest is published
    USAGE = 2  # bad usage or spec; nothing was touched
    LOCKED = 3  # another run holds the mirror
    REFUSED = 4  # a safety limit would be crossed
    DAMAGED = 5  # verify found something wrong
    INTERRUPTED = 130
    TERMINATED = 143


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, *, limit: int = 500) -> str:
    """``text`` for a message: control and direction characters escaped, over-long text cut.

    Names, headers and reasons come from upstream; none may move the cursor or forge a log line.
    """
    escaped = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    return escaped if len(escaped) <= limit else f"{escaped[:limit]}… ({len(escaped)} characters)"


def printable_url(url: str) -> str:
    """``url`` for a message: without user, password, query and fragment, any of which may carry a secret."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
        return printable(urlunsplit((parts.scheme, netloc, parts.path, "", "")))
    except ValueError:
        return "(a URL that cannot be read)"


class PymirrorError(Exception):
    """The base of every deliberate error; the command line catches this one class."""

    exit_code: ExitCode = ExitCode.INCOMPLETE
    hint: str | None = None


# ── what was asked ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing wrong with a document: ``mirror.yaml:12: projects[2]: unknown key "specifer" (did you mean …?)``."""

    file: str
    line: int | None
    key: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return printable(f"{where}:{key} {self.message}{hint}", limit=2000)


class SpecError(PymirrorError):
    """The spec or a file that it names cannot be used; carries every problem found."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__()

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class ConfigurationError(PymirrorError):
    """The user's surroundings (pip's configuration, a certificate file) cannot be used."""

    exit_code = ExitCode.USAGE

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        self.what = what
        self.hint = hint
        super().__init__()

    def __str__(self) -> str:
        return self.what


class UsageError(PymirrorError):
    """What was asked for on the command line cannot be understood, or cannot be done."""

    exit_code = ExitCode.USAGE

    def __init__(self, problem: str, *, hint: str | None = None) -> None:
        self.problem = problem
        self.hint = hint
        super().__init__()

    def __str__(self) -> str:
        return printable(self.problem)


# ── what upstream has ───────────────────────────────────────────────────────────────────────────────


class _UrlError(PymirrorError):
    """What is wrong with a URL, or with what is there."""

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        self.problem = problem
        super().__init__()

    def __str__(self) -> str:
        return f"{printable_url(self.url)}: {printable(self.problem)}"


class PageError(_UrlError):
    """An answer that is not a usable Simple repository page."""


class EmptyPageError(PageError):
    """A page without any file of its project: an upstream's mistake, or a project that has no release yet."""


class RequestError(_UrlError):
    """A request that failed for good, or that will not be made."""

    def __init__(self, url: str, problem: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(url, problem)


class TransientRequestError(RequestError):
    """A request that may succeed when it is made again.

    ``retry_after_seconds`` is what the server asked for, if it did (RFC 9110, Retry-After).
    """

    def __init__(
        self, url: str, problem: str, *, status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(url, problem, status=status)


class UnansweredError(TransientRequestError):
    """A request to which nothing came: the server cannot be reached, breaks off, or says nothing."""


class UnreachableError(RequestError):
    """A request to a server that was given up, since the last ones went without an answer."""


class IntegrityError(PymirrorError):
    """Bytes that are not the promised ones."""

    def __init__(self, what: str, *, expected: str, actual: str, url: str | None = None) -> None:
        self.what = what
        self.expected = expected
        self.actual = actual
        self.url = url
        super().__init__()

    def __str__(self) -> str:
        where = f" from {printable_url(self.url)}" if self.url else ""
        return f"{printable(self.what)}{where}: expected {printable(self.expected)}, got {printable(self.actual)}"


# ── doing it ────────────────────────────────────────────────────────────────────────────────────────


class TooLargeError(PymirrorError):
    """A file whose size nobody told before is larger than ``max-file-size``: it is left out, as it would have been."""

    def __init__(self, filename: str, size: int | None) -> None:
        self.filename = filename
        self.size = size
        super().__init__()

    def __str__(self) -> str:
        return f"{printable(self.filename)}: larger than max-file-size"


class UnavailableError(PymirrorError):
    """A file that is needed to decide could not be had; where it ``may_not_be``, that is the spec's own will."""

    def __init__(self, filename: str, problem: str, *, may_not_be: bool = False) -> None:
        self.filename = filename
        self.problem = problem
        self.may_not_be = may_not_be
        super().__init__()

    def __str__(self) -> str:
        return f"{printable(self.filename)}: {printable(self.problem)}"


class UnsafeNameError(PymirrorError):
    """A name from outside that must not become part of a path."""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem
        super().__init__()

    def __str__(self) -> str:
        return f'"{printable(self.name)}": {self.problem}'


class StorageError(PymirrorError):
    """The disk refused: full, read-only, gone."""

    hint = "what was published before is untouched; free room or mend the folder, then run again"

    def __init__(self, path: str, problem: str, *, code: int | None = None) -> None:
        self.path = path
        self.problem = problem
        self.code = code
        super().__init__()

    @classmethod
    def from_os_error(cls, error: OSError, path: Path) -> StorageError:
        """``error``, met while ``path`` was worked on."""
        return cls(str(error.filename or path), error.strerror or str(error), code=error.errno)

    @property
    def is_read_only(self) -> bool:
        """Whether the tree cannot be written at all: another's folder, a read-only disk."""
        return self.code in (errno.EROFS, errno.EACCES, errno.EPERM)

    def __str__(self) -> str:
        return f"{printable(self.path)}: {printable(self.problem)}"


class LockedError(PymirrorError):
    """Another run holds the mirror."""

    exit_code = ExitCode.LOCKED
    hint = "wait for it to end; a run that was killed leaves no lock behind"

    def __init__(self, output: str, holder: str) -> None:
        self.output = output
        self.holder = holder
        super().__init__()

    def __str__(self) -> str:
        return f"{printable(self.output)} is in use by {printable(self.holder)}"


class ShrinkError(PymirrorError):
    """Promise 6: a run that would unpublish more files than ``max-removal`` allows stops."""

    exit_code = ExitCode.REFUSED
    hint = "look at it with `pymirror plan`; if it is meant, run again with --allow-shrink, or set max-removal"

    def __init__(self, *, removed: int, published: int, examples: Sequence[str]) -> None:
        self.removed = removed
        self.published = published
        self.examples = tuple(examples)
        super().__init__()

    def __str__(self) -> str:
        names = ", ".join(printable(name) for name in self.examples)
        return (
            f"refused: {self.removed} of the {self.published} published files would leave the index "
            f"({names}{', …' if self.removed > len(self.examples) else ''}); nothing was changed"
        )


class ClockError(PymirrorError):
    """Published files would leave as too new by a clock that was set back since they were published."""

    exit_code = ExitCode.REFUSED
    hint = "set the clock right; if it is, run again with --allow-shrink"

    def __init__(self, *, now: datetime, published: datetime, examples: Sequence[str]) -> None:
        self.now = now
        self.published = published
        self.examples = tuple(examples)
        super().__init__()

    def __str__(self) -> str:
        names = ", ".join(printable(name) for name in self.examples)
        return (
            f"refused: the clock says {self.now:%Y-%m-%d}, but the mirror was published on {self.published:%Y-%m-%d}: "
            f"published files would be too new for exclude-newer ({names}); nothing was changed"
        )


class TotalSizeError(PymirrorError):
    """``max-total-size``: the mirror would hold more bytes than the spec allows."""

    exit_code = ExitCode.REFUSED
    hint = "narrow the spec, or raise max-total-size; `pymirror plan` and `pymirror why --size` show what weighs"

    def __init__(
        self, *, size: int, limit: int, heaviest: Sequence[tuple[str, int]], shown: Callable[[int], str]
    ) -> None:
        self.size = size
        self.limit = limit
        self.heaviest = tuple(heaviest)
        self._shown = shown
        super().__init__()

    def __str__(self) -> str:
        projects = ", ".join(f"{printable(name)} {self._shown(size)}" for name, size in self.heaviest)
        return (
            f"refused: the mirror would hold {self._shown(self.size)}, max-total-size is {self._shown(self.limit)}; "
            f"the heaviest: {projects}; nothing was changed"
        )


class NoMirrorError(PymirrorError):
    """A command that needs a published tree found none."""

    exit_code = ExitCode.USAGE
    hint = "run `pymirror sync` first"

    def __init__(self, output: str) -> None:
        self.output = output
        super().__init__()

    def __str__(self) -> str:
        return f"{printable(self.output)}: there is no published index here"


_KEYS_OF_FOLDERS = {"index.html": "pages", "project": "pages", "pypi": "legacy-json", "flat": "flat"}  # of the spec


class ForeignFolderError(PymirrorError):
    """The output folder holds what pymirror did not put there, and would replace."""

    exit_code = ExitCode.USAGE
    hint = "give the mirror a folder of its own under output:"

    def __init__(self, output: str, path: str) -> None:
        self.output = output
        self.path = path
        key = _KEYS_OF_FOLDERS.get(path.partition("/")[0])
        if key is not None:
            self.hint = f"move it elsewhere, set `{key}: false`, or give the mirror a folder of its own under output:"
        super().__init__()

    def __str__(self) -> str:
        path = printable(self.path)
        return f"{printable(self.output)} holds {path}, which pymirror did not put there; nothing was touched"


class DamagedIndexError(PymirrorError):
    """What is published cannot be told, so nothing may be deleted."""

    exit_code = ExitCode.DAMAGED
    hint = "run `pymirror sync` first, which writes the pages anew"

    def __init__(self, page: str) -> None:
        self.page = page
        super().__init__()

    def __str__(self) -> str:
        return f"{printable(self.page)} cannot be read, so it is not known which files are needed; nothing was deleted"


class OutOfTimeError(PymirrorError):
    """The time of ``stop-after`` is over: what was not done by then is left as it was, and to the next run."""


class TerminatedError(PymirrorError):
    """SIGTERM arrived: the published tree is whole, the next run goes on from here."""

    exit_code = ExitCode.TERMINATED

    def __str__(self) -> str:
        return "terminated; what is published is whole, and the next run goes on from here"


class InterruptedRunError(PymirrorError):
    """Ctrl-C, or the run was told to stop while a worker was busy."""

    exit_code = ExitCode.INTERRUPTED

    def __str__(self) -> str:
        return "interrupted; what is published is whole, and the next run goes on from here"
