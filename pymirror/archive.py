"""METADATA out of a wheel, PKG-INFO out of an sdist: within limits, running nothing. The only user of pkginfo.

https://packaging.python.org/specifications/binary-distribution-format/
"""

from __future__ import annotations

import errno
import lzma
import re
import struct
import tarfile
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
from pymirror.sdist import BoundedFile, Member, walk_sdist

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_SEPARATORS = re.compile(r"[^A-Za-z0-9]+")
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,  # bz2 has no error of its own
    EOFError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def read_wheel_metadata(path: Path, *, filename: str) -> bytes:
    """The bytes of ``*.dist-info/METADATA`` in the wheel at ``path``, which is called ``filename``.

    Raises :class:`IntegrityError` where the file is no wheel, holds no METADATA or too large a one, or where its
    METADATA names another project or version than ``filename``: an installer that was given such metadata would refuse.
    Raises :class:`StorageError` where the disk fails.
    """
    what = f"METADATA of {filename}"
    with _reading(path, what, "wheel") as file, zipfile.ZipFile(file) as wheel:
        member = _find_metadata(wheel, what)
        # bzip2 and lzma unpack without a bound, and no tool writes wheels with them.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise IntegrityError(what, expected="stored or deflated", actual=f"compression {member.compress_type}")
        with wheel.open(member) as metadata:
            data = metadata.read(MAX_METADATA_BYTES + 1)  # whatever size the archive's directory claims
        if len(data) > MAX_METADATA_BYTES:
            raise IntegrityError(what, expected=f"at most {MAX_METADATA_BYTES} bytes", actual="more")
    name, version = filename.split("-")[:2]
    found = _read_names(data, what)
    _check_name(found, name, what)
    if found.version is None or parse_version(found.version.strip()) != parse_version(version):
        raise IntegrityError(what, expected=f"Version: {version}", actual=f"{found.version}")
    return data


def read_sdist_metadata(path: Path, *, filename: str) -> bytes:
    """The bytes of ``<folder>/PKG-INFO`` in the sdist at ``path``, which is called ``filename``.

    The folder is the one that is named after the file; where there is none, the first. Raises what
    :func:`read_wheel_metadata` does, for the same reasons, but a Version that is none (old ones) is not compared with
    one that is. Nothing is unpacked to disk and no code is run.
    """
    what = f"PKG-INFO of {filename}"
    with _reading(path, what, "sdist") as file:
        data = _find_pkg_info(walk_sdist(file, filename=filename), filename)
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
    return data


@contextmanager
def _reading(path: Path, what: str, kind: str) -> Iterator[BoundedFile]:
    """The file at ``path``; what the libraries raise for an archive that is damaged becomes an error of ours."""
    try:
        with BoundedFile(path) as file:
            yield file
    except _ARCHIVE_ERRORS as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise StorageError.from_os_error(error, path) from error  # of the disk, not of the archive
        raise IntegrityError(what, expected=f"a readable {kind}", actual=str(error)) from error


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


def _find_pkg_info(members: Iterator[Member], filename: str) -> bytes | None:
    """The PKG-INFO that is one folder deep: in the folder named after the file, else in the first that has one."""
    suffix = next((suffix for suffix in DISTRIBUTION_SUFFIXES if filename.endswith(suffix)), "")
    own = canonicalize_name(filename.removesuffix(suffix))
    first: bytes | None = None
    for member in members:
        folder, _, rest = member.name.removeprefix("./").partition("/")
        if rest != "PKG-INFO" or not member.is_file or folder in ("", ".", ".."):
            continue
        if canonicalize_name(folder) == own:
            return member.read(MAX_METADATA_BYTES)
        if first is None:
            first = member.read(MAX_METADATA_BYTES)
    return first


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkginfo warns of metadata versions that it does not know yet
        distribution = pkginfo.Distribution()
        distribution.parse(header)
    return _Names(distribution.name, distribution.version)


def _check_name(found: _Names, name: str, what: str) -> None:
    if found.name is None or canonicalize_name(found.name) != canonicalize_name(name):
        raise IntegrityError(what, expected=f"Name: {name}", actual=f"{found.name}")
