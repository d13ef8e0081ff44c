"""A file name understood: project, version, package type, tags.

Wheels: https://packaging.python.org/specifications/binary-distribution-format/ ·
sdists: https://packaging.python.org/specifications/source-distribution-format/ (PEP 625) ·
the older types by the names that distutils gave them. An index says nothing of a file's type: only its name tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from packaging.tags import InvalidTag, Tag, parse_tag
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pymirror.spec.model import PackageType

_WHEEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9])?")
_BUILD = re.compile(r"([0-9]+)(.*)")
_PLATFORM = (
    r"(?:linux|win|macosx|cygwin|mingw|darwin|freebsd|openbsd|solaris|aix|sunos)[A-Za-z0-9_.]*(?:-[A-Za-z0-9_.]+)*"
)
_BUILT = re.compile(rf"(?P<stem>.+?)\.(?P<platform>{_PLATFORM})", re.IGNORECASE)
_PYTHON = re.compile(r"(?P<stem>.+?)-py(?P<python>[23]\.[0-9]+)(?:-(?P<platform>.+))?")
_RPM = re.compile(r"(?P<stem>.+)-(?P<release>[^-]+)\.(?P<arch>[A-Za-z0-9_]+)")

_SDIST_SUFFIXES = (".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.Z", ".tar")
_INSTALLERS = {
    ".exe": PackageType.BDIST_WININST,
    ".msi": PackageType.BDIST_MSI,
    ".dmg": PackageType.BDIST_DMG,
}
_MAX_TAGS = 256
_MAX_FILENAME = 512
DISTRIBUTION_SUFFIXES = (".whl", *_SDIST_SUFFIXES, ".egg", ".rpm", *_INSTALLERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What a file name says. ``version`` is ``None`` where ``version_text`` is no PEP 440 version."""

    project: NormalizedName
    version_text: str
    version: Version | None
    package_type: PackageType
    build: tuple[int, str] | None = None
    tags: frozenset[Tag] = frozenset()


def parse_filename(filename: str, project: NormalizedName) -> Distribution | None:
    """What ``filename``, found on the page of ``project``, is; ``None`` where no distribution is called so.

    ``project`` decides where the name ends and the version begins: ``foo-2-2.zip`` is ``foo`` 2-2 or ``foo-2`` 2.
    The result may name another project than the page's; that is for the caller to judge.
    """
    if len(filename) > _MAX_FILENAME:
        return None
    suffix = next((suffix for suffix in DISTRIBUTION_SUFFIXES if filename.endswith(suffix)), None)
    if suffix is None:
        return None
    stem = filename[: -len(suffix)]
    if suffix == ".whl":
        return _parse_wheel(stem)
    for index in _dashes(stem):
        if index and stem[index - 1] not in "-._" and _canonicalize(stem[:index]) == project:
            version_text, package_type = _read_rest(stem[index + 1 :], suffix)
            return _distribution(project, version_text, package_type)
    # Not called like the page's project: the name ends before the last part that is a version.
    stem, package_type = _read_rest(stem, suffix)
    for index in reversed(_dashes(stem)):
        if index and parse_version(stem[index + 1 :]) is not None:
            return _distribution(_canonicalize(stem[:index]), stem[index + 1 :], package_type)
    return None


def _dashes(stem: str) -> list[int]:
    return [index for index, sign in enumerate(stem) if sign == "-"]


def _read_rest(rest: str, suffix: str) -> tuple[str, PackageType | None]:
    """``rest``, which ends a name, without what follows the version; and the type that this and the suffix tell."""
    if suffix == ".rpm":
        match = _RPM.fullmatch(rest)
        return (match["stem"], PackageType.BDIST_RPM) if match else (rest, None)
    if suffix == ".egg":
        return _without(_PYTHON, rest), PackageType.BDIST_EGG
    if suffix in _INSTALLERS:
        return _without(_BUILT, _without(_PYTHON, rest)), _INSTALLERS[suffix]
    built = _without(_BUILT, rest)
    return built, PackageType.SDIST if built == rest else PackageType.BDIST_DUMB


def _without(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.fullmatch(text)
    return match["stem"] if match else text


def _parse_wheel(stem: str) -> Distribution | None:
    parts = stem.split("-")
    if len(parts) not in (5, 6):
        return None
    name, version_text = parts[0], parts[1]
    if not _WHEEL_NAME.fullmatch(name) or "__" in name:
        return None
    build = None
    if len(parts) == 6:
        match = _BUILD.fullmatch(parts[2])
        if match is None or len(match[1]) > 18:
            return None
        build = (int(match[1]), match[2])
    tags = _parse_tags("-".join(parts[-3:]))
    if not tags or not version_text:
        return None
    return Distribution(
        project=_canonicalize(name),
        version_text=version_text,
        version=parse_version(version_text),
        package_type=PackageType.BDIST_WHEEL,
        build=build,
        tags=tags,
    )


def _distribution(project: NormalizedName, version_text: str, package_type: PackageType | None) -> Distribution | None:
    if not version_text or package_type is None:
        return None
    return Distribution(
        project=project, version_text=version_text, version=parse_version(version_text), package_type=package_type
    )


# A page of thousands of files has a few dozen versions and tag sets: each is parsed once.


@lru_cache(maxsize=4096)
def parse_version(text: str) -> Version | None:
    """The PEP 440 version that ``text`` is, or ``None``."""
    if len(text) > 200:
        return None
    try:
        return Version(text)
    except InvalidVersion:
        return None


@lru_cache(maxsize=4096)
def _parse_tags(text: str) -> frozenset[Tag]:
    if prod(part.count(".") + 1 for part in text.split("-")) > _MAX_TAGS:
        return frozenset()  # compressed tag sets multiply: a.b-c.d-e.f stands for eight tags
    try:
        return frozenset(parse_tag(text))
    except (InvalidTag, ValueError):
        return frozenset()


@lru_cache(maxsize=4096)
def _canonicalize(name: str) -> NormalizedName:
    return canonicalize_name(name)
