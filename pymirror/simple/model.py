"""The Simple repository API as frozen values, in the standard's own words.

https://packaging.python.org/specifications/simple-repository-api/
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

API_VERSION = "1.4"

# PEP 503 wants one of hashlib's guaranteed algorithms. md5 and sha1 are read, never trusted.
_SHA2 = {"sha224", "sha256", "sha384", "sha512"}
_SHA3 = {"sha3_224", "sha3_256", "sha3_384", "sha3_512"}
KNOWN_HASHES = frozenset({"md5", "sha1", *_SHA2, *_SHA3, "blake2b", "blake2s"})

_HEX = re.compile(r"[0-9A-Fa-f]+")

Hashes = tuple[tuple[str, str], ...]
"""(algorithm, digest) pairs in order of algorithm, both in lower case."""


class File(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of a project page: one distribution file.

    ``url`` is absolute and has no fragment. ``yanked`` is PEP 592's: the reason where there is one.
    ``core_metadata`` is PEP 658's: ``None`` where the page does not say. ``probable_size`` is what the file's server
    said where the page has no size: enough to plan with, and nothing to verify by.
    """

    filename: str
    url: str
    hashes: Hashes = ()
    size: int | None = None
    upload_time: datetime | None = None
    requires_python: str | None = None
    yanked: bool | str = False
    core_metadata: bool | Hashes | None = None
    gpg_sig: bool | None = None
    provenance: str | None = None
    probable_size: int | None = None

    @property
    def expected_size(self) -> int | None:
        """Bytes, by the page or else by the file's server."""
        return self.size if self.size is not None else self.probable_size

    @property
    def sha256(self) -> str | None:
        """The hex digest, or ``None`` where upstream gives none that can be one."""
        return next((digest for name, digest in self.hashes if name == "sha256" and len(digest) == 64), None)


class ProjectDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A project page. ``versions`` is ``None`` where the page does not list them (HTML, JSON before 1.1).

    ``serial`` counts the changes of the project, where the index counts them as PyPI does.
    """

    files: tuple[File, ...]
    name: str | None = None
    api_version: str = "1.0"
    versions: tuple[str, ...] | None = None
    status: str = "active"
    status_reason: str | None = None
    serial: int | None = None


class ProjectList(msgspec.Struct, frozen=True, kw_only=True):
    """The page of all projects: names as upstream writes them, in its order."""

    projects: tuple[str, ...]
    api_version: str = "1.0"
    serial: int | None = None


def make_hashes(pairs: dict[str, str]) -> Hashes:
    """``pairs`` in their canonical form; what is no hash (unknown name, no hex) is left out."""
    lowered = {name.lower(): digest.lower() for name, digest in pairs.items() if _HEX.fullmatch(digest)}
    return tuple(sorted((name, digest) for name, digest in lowered.items() if name in KNOWN_HASHES))


def parse_serial(value: object) -> int | None:
    """A number of changes, as text or as a number; ``None`` for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def parse_upload_time(text: str | None) -> datetime | None:
    """An ``upload-time`` (PEP 700: ISO 8601 in UTC); ``None`` where it cannot be read or is no time in UTC."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    offset = time.utcoffset()
    return time if offset is not None and not offset else None


def render_upload_time(time: datetime) -> str:
    """``yyyy-mm-ddThh:mm:ss.ffffffZ``, the one form that PEP 700 allows."""
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
