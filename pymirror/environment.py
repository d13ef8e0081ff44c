"""Target interpreters and platforms: the wheel tags they install, and the markers they meet.

Tags: https://packaging.python.org/specifications/platform-compatibility-tags/ ·
markers: https://packaging.python.org/specifications/dependency-specifiers/#environment-markers ·
the names of platforms are those of uv's ``--python-platform`` and of pip's ``--platform``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from packaging import tags as packaging_tags
from packaging.markers import Marker, UndefinedEnvironmentName
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag

from pymirror.platforms import UnknownEnvironmentError, find_platform, name_platform

__all__ = [
    "Environment",
    "UnknownEnvironmentError",
    "find_tags",
    "make_environment",
    "marker_values",
    "meets_marker",
    "rank_tags",
    "suits_python",
]

_IMPLEMENTATIONS = {"cpython": "cpython", "cp": "cpython", "pypy": "pypy", "pp": "pypy"}
_PYTHON = re.compile(r"(?P<name>[a-z]*)[@-]?(?P<version>[0-9][0-9.]*)(?P<threading>t|\+freethreaded)?")
_RELEASE = re.compile(r"(?:2\.7|3\.(?:0|[1-9][0-9]?))(?:\.(?:0|[1-9][0-9]{0,2}))?")
_PRERELEASE = re.compile(r"(?P<release>.*[0-9])\.?(?:a|b|c|rc|alpha|beta|dev)[0-9]*")

_KNOWN_PYTHONS = 'known: 2.7 and any 3, such as "3.12", "3.12.4", "3.13t" or "pypy3.10"'
_HIGHEST_PATCH = 99
_MAX_SPECIFIER = 500
_MAX_MARKER = 4000
_MAX_TRIES = 500
_KERNEL = ("platform_release", "platform_version")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An interpreter on a platform that the mirror must serve; ``make_environment`` makes one.

    ``python`` is the release as asked for: ``3.12``, which is any 3.12.x, or ``3.12.4``. ``implementation`` is
    ``cpython`` or ``pypy``. ``platform`` is uv's name of it, or a platform tag.
    """

    python: str
    implementation: str
    is_free_threaded: bool
    platform: str

    @property
    def name(self) -> str:
        """``cpython 3.13t on x86_64-manylinux_2_28``."""
        return f"{self.implementation} {self.python}{'t' if self.is_free_threaded else ''} on {self.platform}"


def make_environment(python: str, platform: str, implementation: str | None = None) -> Environment:
    """The environment that the words of pip or uv mean: ``3.13t``, ``cp312`` or ``pypy3.10``, and a platform's name.

    An alias becomes what it stands for: ``linux`` is ``x86_64-unknown-linux-gnu``. Raises UnknownEnvironmentError.
    """
    named, release, threaded = _read_python(python)
    if implementation is not None:
        asked = _read_implementation(implementation)
        if named not in (None, asked):
            raise UnknownEnvironmentError(python, f"is {named}, but the implementation is {asked}", "name it once")
        named = asked
    if threaded and named == "pypy":
        raise UnknownEnvironmentError(python, "is free-threaded, which only CPython can be", 'leave the "t" out')
    if threaded and _minor_of(release) < (3, 13):
        raise UnknownEnvironmentError(python, "is free-threaded, which Python can be since 3.13", "known: 3.13t")
    name = name_platform(platform)
    find_platform(name)
    return Environment(python=release, implementation=named or "cpython", is_free_threaded=threaded, platform=name)


@lru_cache(maxsize=1024)
def find_tags(environment: Environment) -> frozenset[Tag]:
    """Every wheel tag that pip would install in ``environment``."""
    return frozenset(rank_tags(environment))


@lru_cache(maxsize=1024)
def rank_tags(environment: Environment) -> Mapping[Tag, int]:
    """The tags of :func:`find_tags` in the order of packaging and pip: of the wheels of a release, an installer takes
    the one with the lowest number.
    """
    ranks: dict[Tag, int] = {}
    for tag in _list_tags(environment):
        ranks.setdefault(tag, len(ranks))
    return MappingProxyType(ranks)


@lru_cache(maxsize=65536)
def suits_python(environment: Environment, requires_python: str | None) -> bool:
    """Whether a Python of ``environment`` is one that ``requires_python`` allows.

    Where the environment names no patch, one patch that is allowed is enough. A text that is no specifier allows every
    Python, as it does for pip; so does one of absurd length, which nobody can have meant.
    """
    if not requires_python or len(requires_python) > _MAX_SPECIFIER:
        return True
    try:
        specifier = _parse_specifier(requires_python)
    except ValueError:
        return True
    return any(specifier.contains(python) for python in _full_versions(environment, requires_python))


@lru_cache(maxsize=65536)
def meets_marker(
    environment: Environment, marker: str, *, extras: frozenset[str] = frozenset(), groups: frozenset[str] = frozenset()
) -> bool:
    """Whether ``marker`` can hold in ``environment`` with ``extras`` and dependency ``groups`` switched on.

    What the environment leaves open may have any value: the patch of its Python, the release of its kernel. A marker
    that cannot be evaluated (no marker, an undefined comparison, absurdly long or deep) is taken as met: a mirror
    may hold too much, but not too little.
    """
    if len(marker) > _MAX_MARKER:
        return True
    extra_values = sorted({"", *extras}) if "extra" in marker else [""]
    tries = ((values, extra) for values in _possible_values(environment, marker) for extra in extra_values)
    try:
        parsed = _parse_marker(marker)
        for count, (values, extra) in enumerate(tries):
            switched: dict[str, str | AbstractSet[str]] = {"extras": extras, "dependency_groups": groups}
            if count == _MAX_TRIES or parsed.evaluate({**values, **switched, "extra": extra}, context="requirement"):
                return True
    except (ValueError, TypeError, UndefinedEnvironmentName, RecursionError):
        return True
    return False


def marker_values(environment: Environment, *, patch: int | None = None) -> dict[str, str]:
    """The variables of PEP 508, without the extras: the environment of ``packaging.markers.Marker.evaluate``.

    ``patch`` counts where the environment names none, and is 0 there by default. The version and the release of the
    kernel are unknown, so empty.
    """
    platform = find_platform(environment.platform)
    python_version = ".".join(environment.python.split(".")[:2])
    full_version = environment.python if environment.python != python_version else f"{python_version}.{patch or 0}"
    is_pypy = environment.implementation == "pypy"
    return {
        "implementation_name": environment.implementation,
        "implementation_version": "7.3.0" if is_pypy else full_version,
        "os_name": "nt" if platform.sys_platform == "win32" else "posix",
        "platform_machine": platform.machine,
        "platform_python_implementation": "PyPy" if is_pypy else "CPython",
        "platform_release": platform.release,
        "platform_system": platform.system,
        "platform_version": "#1" if platform.release else "",  # what every Emscripten answers
        "python_full_version": full_version,
        "python_version": python_version,
        "sys_platform": platform.sys_platform,
    }


# ── Pythons ─────────────────────────────────────────────────────────────────────────────────────────


def _read_python(text: str) -> tuple[str | None, str, bool]:
    """The implementation, if ``text`` names one, the release, and whether it is free-threaded."""
    plain = text.strip().lower()
    match = _PYTHON.fullmatch(plain)
    if match is None:
        raise UnknownEnvironmentError(text, *_explain_python(plain))
    name, version = match["name"], match["version"]
    implementation = None if name in ("", "py", "python") else _read_implementation(name, text)
    if "." not in version and len(version) > 1:
        dotted = f"{version[0]}.{version[1:]}"  # as in the tags cp312 and pp310
        if not name:
            raise UnknownEnvironmentError(text, "is no Python version", f'did you mean "{dotted}"?')
        version = dotted
    if version in ("2", "3"):
        raise UnknownEnvironmentError(text, "names no minor version", 'write it out, such as "3.12"')
    if not _RELEASE.fullmatch(version):
        raise UnknownEnvironmentError(text, "is no Python version", _KNOWN_PYTHONS)
    return implementation, version, match["threading"] is not None


def _explain_python(plain: str) -> tuple[str, str]:
    """What is wrong with ``plain``, which looks like no Python at all."""
    if match := _PRERELEASE.fullmatch(plain):
        return "is a pre-release", f'write the release that it leads to: "{match["release"]}"'
    if re.search(r"[<>=~!*,]", plain):
        return "is a range", 'name each Python by itself, such as "3.12"'
    return "is no Python version", _KNOWN_PYTHONS


def _read_implementation(name: str, text: str | None = None) -> str:
    implementation = _IMPLEMENTATIONS.get(name.strip().lower())
    if implementation is None:
        raise UnknownEnvironmentError(text or name, "names an unknown implementation", "known: cpython, pypy")
    return implementation


def _minor_of(python: str) -> tuple[int, int]:
    major, minor, *_ = python.split(".")
    return int(major), int(minor)


def _find_abis(environment: Environment, platforms: Sequence[str]) -> list[str]:
    """The ABIs of CPython by its own flags: t since 3.13, m (pymalloc) before 3.8, u (wide characters) before 3.3."""
    major, minor = _minor_of(environment.python)
    abi = f"cp{major}{minor}"
    if environment.is_free_threaded:
        return [f"{abi}t"]
    if (major, minor) >= (3, 8):
        return [abi]
    if (major, minor) >= (3, 3) or platforms[0].startswith("win"):
        return [f"{abi}m"]
    return [f"{abi}mu", f"{abi}m"]  # both were common, and nothing in an environment tells them apart


def _list_tags(environment: Environment) -> Iterator[Tag]:
    """The tags of ``environment``, the best first, some of them twice."""
    python, platforms = _minor_of(environment.python), find_platform(environment.platform).tags
    interpreter = f"{'pp' if environment.implementation == 'pypy' else 'cp'}{python[0]}{python[1]}"
    common = packaging_tags.compatible_tags(python, interpreter, platforms)
    if environment.implementation == "cpython":
        yield from packaging_tags.cpython_tags(python, _find_abis(environment, platforms), platforms)
        yield from common
        return
    # The interface of extension modules is that of PyPy 7.3, whichever 7.3.x it is: there was no other since 2019.
    abi = "pypy_73" if python[0] == 2 else f"pypy{python[0]}{python[1]}_pp73"
    yield from packaging_tags.generic_tags(interpreter, [abi], platforms)
    for tag in common:
        yield tag
        if tag.interpreter == interpreter:  # pip likes pp310-none-any, packaging pp3-none-any: both stand here
            yield Tag(f"pp{python[0]}", "none", "any")


def _full_versions(environment: Environment, text: str) -> Sequence[str]:
    """The releases that ``environment`` may run, as far as ``text`` can tell one from another."""
    if environment.python.count(".") > 1:
        return (environment.python,)
    return [f"{environment.python}.{patch}" for patch in _telling_patches(environment.python, text)]


def _telling_patches(minor: str, text: str) -> list[int]:
    """The lowest patch, a high one, and those around each that ``text`` names: between these, nothing can change."""
    named = {int(patch) for patch in re.findall(rf"(?<![0-9.]){re.escape(minor)}\.([0-9]{{1,3}})(?![0-9])", text)}
    return sorted({0, _HIGHEST_PATCH} | {patch + step for patch in named for step in (-1, 0, 1) if patch + step >= 0})


# A mirror's projects share a few hundred of each: they are parsed once, not once for every environment.
_parse_marker = lru_cache(maxsize=4096)(Marker)
_parse_specifier = lru_cache(maxsize=4096)(SpecifierSet)


def _possible_values(environment: Environment, marker: str) -> Iterator[dict[str, str]]:
    """Every set of variables that ``environment`` may have, as far as ``marker`` can tell one from another."""
    values = marker_values(environment)
    names_version = "python_full_version" in marker or "implementation_version" in marker
    versions = _full_versions(environment, marker) if names_version else (values["python_full_version"],)
    if environment.implementation == "cpython":
        pairs = [(version, version) for version in versions]
    else:
        pairs = [(version, f"7.3.{patch}") for version in versions for patch in _telling_patches("7.3", marker)]
    kernels: list[dict[str, str]] = [{}]
    if not values["platform_release"] and any(name in marker.replace(".", "_") for name in _KERNEL):
        quoted = [double or single for double, single in _QUOTED.findall(marker)]
        kernels += [dict.fromkeys(_KERNEL, release) for release in ("0", "9999", *quoted)]  # an old one, a new one
    for version, own_version in pairs:
        for kernel in kernels:
            yield {**values, "python_full_version": version, "implementation_version": own_version, **kernel}
