"""What is found in one file while it is read, and the step that every format begins with: bytes → text."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from pymirror.errors import Problem
from pymirror.lockfiles.interface import Lock
from pymirror.spec.model import Origin, Pin, Unservable

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_SHOWN = 200  # characters of a text of a file, in a message


@dataclass(slots=True)
class Findings:
    """Collects; ``parent`` is what named the file."""

    file: str
    parent: Origin | None = None
    pins: list[Pin] = field(default_factory=list)
    unservable: list[Unservable] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def origin(self, line: int | None, text: str) -> Origin:
        return Origin(file=self.file, line=line, text=text, parent=self.parent)

    def problem(self, line: int | None, message: str, hint: str | None = None, *, key: str = "") -> None:
        self.problems.append(Problem(file=self.file, line=line, key=key, message=message, hint=hint))

    def nested(self, file: str, parent: Origin) -> Findings:
        """For a file that ``parent`` names: what is found there is collected here."""
        return Findings(file, parent, self.pins, self.unservable, self.problems)

    def lock(self) -> Lock:
        return Lock(pins=tuple(self.pins), unservable=tuple(self.unservable), problems=tuple(self.problems))


def may_hold_credential(text: str) -> bool:
    """Whether ``text`` looks like an address, which may have a password."""
    return "://" in text or "@" in text


def shown(text: str) -> str:
    """``text``, which a file holds, for a message: cut where it is long; "…" where it may hold a credential."""
    if may_hold_credential(text):
        return "…"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def decode(data: bytes, findings: Findings) -> str | None:
    """The text of a file; ``None`` with a problem noted where it is none."""
    if len(data) > MAX_FILE_BYTES:
        findings.problem(None, f"{len(data)} bytes; a lock file may have {MAX_FILE_BYTES}")
        return None
    try:
        text = data.decode(coding_of(data))
    except UnicodeDecodeError as error:
        findings.problem(None, f"not UTF-8 text (byte {error.start})")
        return None
    if "\0" in text:
        findings.problem(None, "not text: it holds NUL characters")
        return None
    return text


def coding_of(data: bytes) -> str:
    """PowerShell writes ``pip freeze > requirements.lock`` as UTF-16, with a mark; all else is UTF-8."""
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if is_utf_16 else "utf-8-sig"
