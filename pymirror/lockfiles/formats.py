"""Which format a lock file has: by its name, or by its content where somebody has renamed it (``web-uv.lock``)."""

from __future__ import annotations

import posixpath
import re

from pymirror.lockfiles.findings import MAX_FILE_BYTES, coding_of
from pymirror.lockfiles.interface import LockFormat

_NAMES = {name: LockFormat(name) for name in ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")}
_PYLOCK_NAME = re.compile(r"pylock\.[^.]+\.toml")  # PEP 751

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_KEYS = re.compile(
    r"^[ \t]*(lock-version|lock_version|created-by|content-hash|version)[ \t]*=[ \t]*(\S?)", re.MULTILINE
)


def detect_format(data: bytes, *, file: str) -> LockFormat:
    """The format of ``data``, the content of ``file``; what is none of the others is a requirements file."""
    name = posixpath.basename(file.replace("\\", "/"))
    if name in _NAMES:
        return _NAMES[name]
    if _PYLOCK_NAME.fullmatch(name):
        return LockFormat.PYLOCK
    return _detect_content(data[:MAX_FILE_BYTES].decode(coding_of(data), errors="replace"))


def _detect_content(text: str) -> LockFormat:
    """A file that is damaged is told too, so that its problem is one of its format: no parser is asked."""
    if text.lstrip().startswith("{") and '"_meta"' in text:
        return LockFormat.PIPENV
    header = _HEADER.search(text)
    top_end = header.start() if header else len(text)
    top = {match[1]: match[2] for match in _KEYS.finditer(text, 0, top_end)}
    if "lock-version" in top:
        return LockFormat.PYLOCK
    if top.get("version", "").isdigit():
        return LockFormat.UV
    below = {match[1] for match in _KEYS.finditer(text, top_end)}
    if "lock_version" in below:
        return LockFormat.PDM
    return LockFormat.POETRY if "lock-version" in below else LockFormat.REQUIREMENTS
