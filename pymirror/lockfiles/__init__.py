"""Lock files → pins: exact versions and hashes, never re-resolved. A file per format."""

from pymirror.lockfiles.findings import Findings, decode
from pymirror.lockfiles.formats import detect_format
from pymirror.lockfiles.interface import NOT_PINNED, Lock, LockFormat, LooseRequirement, ReadNested
from pymirror.lockfiles.pdm import read_pdm
from pymirror.lockfiles.pinning import list_lines, read_requirements
from pymirror.lockfiles.pipenv import read_pipfile
from pymirror.lockfiles.poetry import read_poetry
from pymirror.lockfiles.pylock import read_pylock
from pymirror.lockfiles.uv import read_uv
from pymirror.spec.model import Origin

__all__ = [
    "NOT_PINNED",
    "Lock",
    "LockFormat",
    "LooseRequirement",
    "ReadNested",
    "detect_format",
    "list_requirements",
    "read_lockfile",
]

_READERS = {
    LockFormat.PYLOCK: read_pylock,
    LockFormat.UV: read_uv,
    LockFormat.POETRY: read_poetry,
    LockFormat.PDM: read_pdm,
    LockFormat.PIPENV: read_pipfile,
}


def read_lockfile(data: bytes, *, file: str, read: ReadNested, parent: Origin | None = None) -> Lock:
    """What the lock file ``file``, whose content is ``data``, pins; ``parent`` is what names it."""
    findings = Findings(file, parent)
    reader = _READERS.get(detect_format(data, file=file))
    if reader is None:
        read_requirements(data, findings, read)
    elif (text := decode(data, findings)) is not None:
        reader(text, findings)
    return findings.lock()


def list_requirements(data: bytes, *, file: str, read: ReadNested) -> tuple[LooseRequirement, ...]:
    """The requirements of a requirements file and of those that it names, pinned or not.

    What no index serves is left out, and so is what cannot be read: :func:`read_lockfile` tells of both.
    """
    return list_lines(data, Findings(file), read)
