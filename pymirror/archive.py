"""METADATA out of a wheel, within limits and without running anything. The only user of pkginfo.

https://packaging.python.org/specifications/binary-distribution-format/
"""

from __future__ import annotations

import errno
import lzma
import re
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import pkginfo
from packaging.utils import canonicalize_name

from pymirror.distribution import parse_version
from pymirror.errors import IntegrityError, StorageError
from pymirror.metadata import MAX_HEADER_BYTES, MAX_METADATA_BYTES, CoreMetadata

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
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
    try:
        with zipfile.ZipFile(path) as wheel:
            member = _find_metadata(wheel, filename)
            # bzip2 and lzma unpack without a bound, and no tool writes wheels with them.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _problem(filename, "stored or deflated", f"compression {member.compress_type}")
            with wheel.open(member) as file:
                data = file.read(MAX_METADATA_BYTES + 1)  # whatever size the archive's directory claims
            if len(data) > MAX_METADATA_BYTES:
                raise _problem(filename, f"at most {MAX_METADATA_BYTES} bytes", "more")
    except _ARCHIVE_ERRORS as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise StorageError.from_os_error(error, path) from error  # of the disk, not of the archive
        raise _problem(filename, "a readable wheel", str(error)) from error
    header = _HEADER_END.split(data, maxsplit=1)[0]
    if len(header) > MAX_HEADER_BYTES:
        raise _problem(filename, f"at most {MAX_HEADER_BYTES} bytes of fields", f"{len(header)}")
    _check_names(parse_core_metadata(header), filename)
    return data


def parse_core_metadata(data: bytes) -> CoreMetadata:
    """The fields of a METADATA file that a mirror needs; a missing one is ``None``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkginfo warns of metadata versions that it does not know yet
        distribution = pkginfo.Distribution()
        distribution.parse(data)
    return CoreMetadata(name=distribution.name, version=distribution.version)


def _find_metadata(wheel: zipfile.ZipFile, filename: str) -> zipfile.ZipInfo:
    """The one METADATA in a top-level ``.dist-info`` folder."""
    found = [
        member
        for member in wheel.infolist()
        if member.filename.count("/") == 1 and member.filename.endswith(".dist-info/METADATA")
    ]
    if len(found) != 1:
        raise _problem(filename, "one .dist-info/METADATA", str(len(found)))
    return found[0]


def _check_names(metadata: CoreMetadata, filename: str) -> None:
    name, version = filename.split("-")[:2]
    if metadata.name is None or canonicalize_name(metadata.name) != canonicalize_name(name):
        raise _problem(filename, f"Name: {name}", f"{metadata.name}")
    if metadata.version is None or parse_version(metadata.version.strip()) != parse_version(version):
        raise _problem(filename, f"Version: {version}", f"{metadata.version}")


def _problem(filename: str, expected: str, actual: str) -> IntegrityError:
    return IntegrityError(f"METADATA of {filename}", expected=expected, actual=actual)
