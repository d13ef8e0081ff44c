"""METADATA out of a wheel, PKG-INFO and its like out of an sdist: within limits, running nothing. The only user of
pkginfo.

https://packaging.python.org/specifications/binary-distribution-format/
"""

from __future__ import annotations

import errno
import io
import lzma
import re
import struct
import tarfile
import threading
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pkginfo
from packaging.utils import canonicalize_name

from pymirror.distribution import DISTRIBUTION_SUFFIXES, Distribution, parse_filename, parse_version
from pymirror.errors import IntegrityError, StorageError
from pymirror.metadata import MAX_HEADER_BYTES, MAX_METADATA_BYTES
from pymirror.needs import MAX_PART_BYTES
from pymirror.sdist import BoundedFile, Member, walk_sdist

_HEADER_END = re.compile(rb"\r?\n\r?\n")
# Whatever may be taken for the field: odd spaces, spelling and lines that go on are left to pkginfo.
_PLAIN_HEADER = re.compile(rb"(?:[!-9;-~]+:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*(?:\r?\n|\Z))*")
_FORMAT_LINE = re.compile(
    rb"^[ \t]*metadata-version[ \t]*:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE
)
_NAME_LINE = re.compile(rb"^[ \t]*name[ \t]*:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE)
_VERSION_LINE = re.compile(rb"^[ \t]*version[ \t]*:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE)
_PLAIN_FORMAT = re.compile(rb"Metadata-Version: (?:1\.[012]|2\.[1-4])")
_PLAIN_NAME = re.compile(rb"Name: ([A-Za-z0-9][A-Za-z0-9._-]*)")
_PLAIN_VERSION = re.compile(rb"Version: ([0-9][0-9A-Za-z.!+_-]*)")
_SEPARATORS = re.compile(r"[^A-Za-z0-9]+")
_EGG_INFO = re.compile(r"(?:src/)?([^/]+)\.egg-info/(?:PKG-INFO|requires\.txt)")
_PLAIN_PARTS = ("pyproject.toml", "setup.cfg")
_pkginfo_lock = threading.Lock()
_MAX_FOLDERS = 4  # of which parts are kept until it is known which one counts; an sdist has one
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,  # bz2 has no error of its own
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def read_wheel_metadata(source: Path | bytes, *, filename: str) -> bytes:
    """The bytes of ``*.dist-info/METADATA`` in the wheel at ``source``, or of these bytes, that is called ``filename``.

    Raises :class:`IntegrityError` where the file is no wheel, holds no METADATA or too large a one, or where its
    METADATA names another project or version than ``filename``: an installer that was given such metadata would refuse.
    Raises :class:`StorageError` where the disk fails.
    """
    if isinstance(source, bytes):
        with _translated(f"METADATA of {filename}", "wheel"):
            return _read_wheel(io.BytesIO(source), filename)
    with _reading(source, f"METADATA of {filename}", "wheel") as file:
        return _read_wheel(file, filename)


def read_open_wheel(file: io.RawIOBase, *, filename: str) -> bytes:
    """As :func:`read_wheel_metadata`, of a wheel that ``file`` reads: it must bound what it reads at once.

    What ``file`` raises of our own errors is passed on.
    """
    with _translated(f"METADATA of {filename}", "wheel"):
        return _read_wheel(file, filename)


def check_wheel_metadata(data: bytes, *, filename: str) -> None:
    """Raises :class:`IntegrityError` where ``data`` cannot be the METADATA of the wheel that is called ``filename``."""
    what = f"METADATA of {filename}"
    if len(data) > MAX_METADATA_BYTES:
        raise IntegrityError(what, expected=f"at most {MAX_METADATA_BYTES} bytes", actual="more")
    name, version = filename.split("-")[:2]
    found = _read_names(data, what)
    _check_name(found, name, what)
    if found.version is None or parse_version(found.version.strip()) != parse_version(version):
        raise IntegrityError(what, expected=f"Version: {version}", actual=f"{found.version}")


def read_sdist_metadata(path: Path, *, filename: str) -> bytes:
    """The bytes of ``<folder>/PKG-INFO`` in the sdist at ``path``, which is called ``filename``.

    The folder is the one that is named after the file; where there is none, the first. Raises what
    :func:`read_wheel_metadata` does, for the same reasons, but a Version that is none (old ones) is not compared with
    one that is. Nothing is unpacked to disk and no code is run.
    """
    what = f"PKG-INFO of {filename}"
    with _reading(path, what, "sdist") as file:
        parts = _find_parts(walk_sdist(file, filename=filename), filename, only_pkg_info=True)
    _check_pkg_info(parts.get("PKG-INFO"), filename, what)
    return parts["PKG-INFO"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SdistParts:
    """What an sdist says of what it needs; ``None`` is a part that it has not.

    ``requires_txt`` is that of the project's egg-info, and empty where there is an egg-info without one: so says
    setuptools that there is nothing to write.
    """

    pkg_info: bytes
    requires_txt: bytes | None = None
    pyproject: bytes | None = None
    setup_cfg: bytes | None = None


def read_sdist_parts(path: Path, *, filename: str, project: str | None = None) -> SdistParts:
    """All that :func:`pymirror.needs.read_sdist_needs` is to be given, in one walk.

    PKG-INFO is found and checked as by :func:`read_sdist_metadata`, which see for the errors, and the other parts are
    those of its folder. With ``project``, a normalized name, an sdist that is another's is an :class:`IntegrityError`:
    ``foo-2-2.tar.gz`` may be one of ``foo`` or of ``foo-2``, and only the sdist tells.
    """
    what = f"PKG-INFO of {filename}"
    with _reading(path, what, "sdist") as file:
        parts = _find_parts(walk_sdist(file, filename=filename), filename, only_pkg_info=False)
    distribution = _check_pkg_info(parts.get("PKG-INFO"), filename, what)
    if project is not None and distribution.project != project:
        raise IntegrityError(what, expected=f"Name: {project}", actual=distribution.project)
    return SdistParts(
        pkg_info=parts["PKG-INFO"],
        requires_txt=_find_requires_txt(parts, distribution),
        pyproject=parts.get("pyproject.toml"),
        setup_cfg=parts.get("setup.cfg"),
    )


@contextmanager
def _reading(path: Path, what: str, kind: str) -> Iterator[BoundedFile]:
    """The file at ``path``; what the libraries raise for an archive that is damaged becomes an error of ours."""
    with _translated(what, kind, path=path), BoundedFile(path) as file:
        yield file


@contextmanager
def _translated(what: str, kind: str, *, path: Path | None = None) -> Iterator[None]:
    try:
        yield
    except _ARCHIVE_ERRORS as error:
        if path is not None and isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise StorageError.from_os_error(error, path) from error  # of the disk, not of the archive
        raise IntegrityError(what, expected=f"a readable {kind}", actual=str(error)) from error


def _read_wheel(file: io.RawIOBase | io.BytesIO, filename: str) -> bytes:
    what = f"METADATA of {filename}"
    with zipfile.ZipFile(file) as wheel:
        member = _find_metadata(wheel, what)
        # bzip2 and lzma unpack without a bound, and no tool writes wheels with them.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise IntegrityError(what, expected="stored or deflated", actual=f"compression {member.compress_type}")
        with wheel.open(member) as metadata:
            data = metadata.read(MAX_METADATA_BYTES + 1)  # whatever size the archive's directory claims
    check_wheel_metadata(data, filename=filename)
    return data


def _find_metadata(wheel: zipfile.ZipFile, what: str) -> zipfile.ZipInfo:
    """The one METADATA in a top-level ``.dist-info`` folder."""
    found = [
        member
        for member in wheel.infolist()
        if member.filename.count("/") == 1 and member.filename.endswith(".dist-info/METADATA")
    ]
    if len(found) != 1:
        raise IntegrityError(what, expected="one .dist-info/METADATA", actual=str(len(found)))
    return found[0]


def _find_parts(members: Iterator[Member], filename: str, *, only_pkg_info: bool) -> dict[str, bytes]:
    """The parts of the folder that counts, by their path in it; nothing where no folder has a PKG-INFO.

    That is the folder that is named after the file, else the first that has a PKG-INFO, which is one folder deep.
    """
    suffix = next((suffix for suffix in DISTRIBUTION_SUFFIXES if filename.endswith(suffix)), "")
    own = canonicalize_name(filename.removesuffix(suffix))
    found: dict[str, dict[str, bytes]] = {}
    best: str | None = None
    is_own = False
    for member in members:
        folder, _, rest = member.name.removeprefix("./").partition("/")
        if not member.is_file or folder in ("", ".", ".."):
            continue
        if rest == "PKG-INFO":
            is_better = best is None or (not is_own and canonicalize_name(folder) == own)
            if not is_better:
                continue
            best, is_own = folder, canonicalize_name(folder) == own
            found.setdefault(folder, {})[rest] = member.read(MAX_METADATA_BYTES)
            if only_pkg_info and is_own:
                break
        elif not only_pkg_info and _is_part(rest, own) and (folder in found or len(found) < _MAX_FOLDERS):
            # Of the egg-info's PKG-INFO no more is needed than that it is there.
            data = b"" if rest.endswith("/PKG-INFO") else member.read(MAX_PART_BYTES)
            found.setdefault(folder, {}).setdefault(rest, data)
    return found[best] if best is not None else {}


def _is_part(path: str, own: str) -> bool:
    match = _EGG_INFO.fullmatch(path)
    return path in _PLAIN_PARTS or (match is not None and own.startswith(canonicalize_name(match[1]) + "-"))


def _find_requires_txt(parts: dict[str, bytes], distribution: Distribution) -> bytes | None:
    """That of the egg-info that is named after the project: in the folder itself, else in its ``src``."""
    names = [
        path
        for path in sorted(parts, key=lambda path: path.startswith("src/"))
        if (match := _EGG_INFO.fullmatch(path)) and canonicalize_name(match[1]) == distribution.project
    ]
    if not names:
        return None
    folder = names[0].rpartition("/")[0]
    return parts.get(f"{folder}/requires.txt", b"")


def _check_pkg_info(data: bytes | None, filename: str, what: str) -> Distribution:
    """What the sdist is, by its name and its PKG-INFO, which must agree."""
    if data is None:
        raise IntegrityError(what, expected="one in the folder of the sdist", actual="none")
    found = _read_names(data, what)
    # Only a name tells where the name ends in foo-2-2.tar.gz and the version begins.
    distribution = parse_filename(filename, canonicalize_name(found.name or ""))
    if distribution is None:
        raise IntegrityError(what, expected="a Name that the file name begins with", actual=f"{found.name}")
    _check_name(found, distribution.project, what)
    if not _may_be_version(found.version or "", distribution):
        raise IntegrityError(what, expected=f"Version: {distribution.version_text}", actual=f"{found.version}")
    return distribution


def _may_be_version(text: str, distribution: Distribution) -> bool:
    """Whether the file may be of the version ``text``. Where one of both is no version, tools have written what they
    liked; but the end of another project's name (foo-bar-1.0 is no ``bar-1.0`` of foo) must not pass for one.
    """
    if distribution.version is None:
        return _SEPARATORS.sub("-", text.strip()) == _SEPARATORS.sub("-", distribution.version_text)
    version = parse_version(text.strip())
    return version is None or version == distribution.version


@dataclass(frozen=True, slots=True)
class _Names:
    """What an archive calls itself."""

    name: str | None
    version: str | None


def _read_names(data: bytes, what: str) -> _Names:
    """What the fields in ``data`` say. A Name or a Version of ``UNKNOWN`` is none."""
    header = _HEADER_END.split(data, maxsplit=1)[0]
    if len(header) > MAX_HEADER_BYTES:
        raise IntegrityError(what, expected=f"at most {MAX_HEADER_BYTES} bytes of fields", actual=f"{len(header)}")
    if (plain := _read_plain_names(header)) is not None:
        return plain
    with _pkginfo_lock, warnings.catch_warnings():  # which is of all threads at once
        warnings.simplefilter("ignore")  # pkginfo warns of metadata versions that it does not know yet
        distribution = pkginfo.Distribution()
        distribution.parse(header)
    return _Names(distribution.name, distribution.version)


def _read_plain_names(header: bytes) -> _Names | None:
    """What nearly all metadata say, a line each and each once, as pkginfo reads it and without its effort."""
    if not _PLAIN_HEADER.fullmatch(header):
        return None
    formats, names, versions = (line.findall(header) for line in (_FORMAT_LINE, _NAME_LINE, _VERSION_LINE))
    if [len(formats), len(names), len(versions)] != [1, 1, 1] or not _PLAIN_FORMAT.fullmatch(formats[0]):
        return None
    name, version = _PLAIN_NAME.fullmatch(names[0]), _PLAIN_VERSION.fullmatch(versions[0])
    if name is None or version is None or b"UNKNOWN" in (name[1], version[1]):
        return None
    return _Names(name[1].decode("ascii"), version[1].decode("ascii"))


def _check_name(found: _Names, name: str, what: str) -> None:
    if found.name is None or canonicalize_name(found.name) != canonicalize_name(name):
        raise IntegrityError(what, expected=f"Name: {name}", actual=f"{found.name}")
