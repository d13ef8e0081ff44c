"""Every path and relative URL of the tree; refuses unsafe names.

Paths are ``/``-separated and relative to the output folder. The pool's path is the file's BLAKE2b-256 digest, which
is how PyPI itself lays out its files, so a lock file made against PyPI fits after its hosts are replaced.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import NormalizedName

from pymirror.errors import UnsafeNameError

POOL = "packages"
SIMPLE = "simple"
LEGACY = "pypi"
PROJECTS = "project"
FLAT = "flat"
PRIVATE = ".pymirror"
LINKS_PAGE = "links.html"
FRONT_PAGE = "index.html"
HTML_PAGE = "index.html"
JSON_PAGE = "index.v1_json"
LEGACY_PAGE = "json"
METADATA_SUFFIX = ".metadata"
PROVENANCE_SUFFIX = ".provenance"
BESIDE_SUFFIXES = (METADATA_SUFFIX, PROVENANCE_SUFFIX)
COMPRESSED_SUFFIX = ".gz"

LOCK_FILE = f"{PRIVATE}/lock"
HOLDER_FILE = f"{PRIVATE}/holder"
TEMPORARY = f"{PRIVATE}/temporary"
PARTIAL = f"{PRIVATE}/partial"
STAGED_SIMPLE = f"{PRIVATE}/staged/simple"
SNAPSHOTS = f"{PRIVATE}/snapshots"
CURRENT = f"{PRIVATE}/snapshots/current"
STATE = f"{PRIVATE}/state"
QUARANTINE = f"{PRIVATE}/quarantine.json"

PUBLISHED = f"{STATE}/published"
PUBLISHED_FRONT = f"{STATE}/front"
SDIST_METADATA = f"{STATE}/sdists"
NEEDS = f"{STATE}/needs"

MAX_FILENAME_BYTES = 240  # file systems take 255, less the longest suffix that stands beside a file

_UNSAFE = re.compile(r"[^A-Za-z0-9_.~/-]")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*")
_PLAIN = re.compile(r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$))[A-Za-z0-9_][A-Za-z0-9._+!-]{0,239}(?<!\.)")
_PROJECT = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_POOL_PATH = re.compile(r"/packages/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})/([^/]+)$")
_VERSION = re.compile(r"(?:[0-9]+!)?[0-9][0-9a-z.]*(?:\+[0-9a-z.]+)?")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def check_filename(filename: str) -> str:
    """``filename``, which must be one path component that is safe everywhere.

    The standards allow letters, digits and ``. _ + ! -`` in the file name of a distribution, and nothing else is let
    through: no separator, no control character, no name with a meaning to a shell or to Windows.

    Raises :class:`UnsafeNameError`.
    """
    if _PLAIN.fullmatch(filename):  # all of what follows in one step: every path of the pool is made from one
        return filename
    if not _FILENAME.fullmatch(filename):
        raise UnsafeNameError(filename, "has characters that no distribution file name has")
    if filename.endswith("."):
        raise UnsafeNameError(filename, "ends with a dot, which Windows drops")
    if len(filename) > MAX_FILENAME_BYTES:
        raise UnsafeNameError(filename, f"is longer than {MAX_FILENAME_BYTES} bytes")
    if is_device(filename):
        raise UnsafeNameError(filename, "is a device name on Windows")
    return filename


def is_device(name: str) -> bool:
    """Whether Windows takes ``name`` for one of its devices, in whatever folder it stands."""
    return _RESERVED.fullmatch(name) is not None


def check_project(project: str) -> NormalizedName:
    """``project``, which must be a normalized name (PEP 503). Raises :class:`UnsafeNameError`.

    There are projects that are called as devices of Windows are, and each must have a folder of that very name. Nobody
    need go without them because of a system that cannot make it: there, the storage refuses them.
    """
    if not _PROJECT.fullmatch(project):
        raise UnsafeNameError(project, "is not a normalized project name")
    if len(project) > MAX_FILENAME_BYTES:
        raise UnsafeNameError(project, f"is longer than {MAX_FILENAME_BYTES} bytes")
    return NormalizedName(project)


def is_project(name: str) -> bool:
    """Whether ``name`` is one that :func:`check_project` lets through."""
    try:
        check_project(name)
    except UnsafeNameError:
        return False
    return True


@lru_cache(maxsize=8192)  # every step of a run asks for the paths of the files at hand
def pool_path(blake2b: str, filename: str) -> str:
    """``packages/<2>/<2>/<60>/<filename>`` for the BLAKE2b-256 hex digest of the file."""
    if not _DIGEST.fullmatch(blake2b):
        raise UnsafeNameError(blake2b, "is not a BLAKE2b-256 digest")
    return f"{POOL}/{blake2b[:2]}/{blake2b[2:4]}/{blake2b[4:]}/{check_filename(filename)}"


def longest_pool_path(filename: str) -> str:
    """A path as long as the longest that a file of that name has in the pool: of what must stand beside it."""
    suffix = METADATA_SUFFIX if filename.endswith(".whl") else ""
    return pool_path("0" * 64, filename) + suffix


def blake2b_of_pool_path(path: str) -> str | None:
    """The digest that a pool path, or a URL that ends in one, claims; ``None`` where it has another form."""
    match = _POOL_PATH.search(path if path.startswith("/") else f"/{path}")
    return f"{match[1]}{match[2]}{match[3]}" if match else None


def blake2b_of_url(url: str, filename: str) -> str | None:
    """The digest that an upstream URL claims for ``filename``: a hint where a file may be, never a proof."""
    match = _POOL_PATH.search(urlsplit(url).path)
    if match is None or unquote(match[4]) != filename:
        return None
    return f"{match[1]}{match[2]}{match[3]}"


def project_folder(project: str) -> str:
    """``simple/<project>``."""
    return f"{SIMPLE}/{check_project(project)}"


def project_pages(project: str) -> tuple[str, str]:
    """The names of a project's Simple pages, as HTML and as JSON."""
    folder = project_folder(project)
    return f"{folder}/{HTML_PAGE}", f"{folder}/{JSON_PAGE}"


def project_page(project: str) -> str:
    """``project/<project>/index.html``: the page for people."""
    return f"{PROJECTS}/{check_project(project)}/{HTML_PAGE}"


def legacy_folder(project: str) -> str:
    """``pypi/<project>``: its documents of the legacy JSON API."""
    return f"{LEGACY}/{check_project(project)}"


def legacy_page(project: str, version: str | None = None) -> str:
    """``pypi/<project>/json``, or ``pypi/<project>/<version>/json``. Raises :class:`UnsafeNameError`."""
    if version is None:
        return f"{legacy_folder(project)}/{LEGACY_PAGE}"
    if not _VERSION.fullmatch(version) or len(version) > MAX_FILENAME_BYTES:
        raise UnsafeNameError(version, "is not a version in its normalized form")
    return f"{legacy_folder(project)}/{version}/{LEGACY_PAGE}"


def relative_url(path: str, *, depth: int) -> str:
    """The URL of ``path`` as seen from a page ``depth`` folders below the root, percent-encoded.

    ``+`` and ``!`` are encoded too: object stores read a bare ``+`` as a space.
    """
    return "../" * depth + (quote(path, safe="/") if _UNSAFE.search(path) else path)
