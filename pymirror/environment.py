"""Target interpreters and platforms: the wheel tags they install, and the markers they meet.

Tags: https://packaging.python.org/specifications/platform-compatibility-tags/ ·
markers: https://packaging.python.org/specifications/dependency-specifiers/#environment-markers ·
the names of platforms are those of uv's ``--python-platform`` and of pip's ``--platform``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from packaging import tags as packaging_tags
from packaging.markers import Marker, UndefinedEnvironmentName
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag

from pymirror.errors import printable

_ARCHES = ("x86_64", "i686", "aarch64", "armv7l", "ppc64le", "s390x", "riscv64", "loongarch64")
_LEGACY_MANYLINUX = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}  # PEP 600
_IOS_TARGETS = ("arm64_iphoneos", "arm64_iphonesimulator", "x86_64_iphonesimulator")

# The glibc of ``-unknown-linux-gnu`` is uv's, 2.28. Where the images that build wheels of an architecture start later,
# it is theirs, as it is for uv's riscv64: an older one would install next to nothing.
_GLIBC_MINORS = dict.fromkeys(_ARCHES, 28) | {"armv7l": 31, "riscv64": 39, "loongarch64": 38}

# Every kind of platform tag with its architectures, and the oldest version of each that a wheel can name.
_OLDEST: dict[tuple[str, str], tuple[int, ...]] = {
    **{("manylinux", arch): (2, 5 if arch in ("x86_64", "i686") else 17) for arch in _ARCHES},
    **{("musllinux", arch): (1, 0) for arch in _ARCHES},
    ("macosx", "arm64"): (11, 0),
    ("macosx", "x86_64"): (10, 4),
    **{("android", abi): (16,) for abi in ("arm64_v8a", "x86_64")},
    **{("ios", target): (12, 0) for target in _IOS_TARGETS},
    **{(name, "wasm32"): (2024, 0) for name in ("pyemscripten", "pyodide")},  # the second before PEP 783
}
_SYS_PLATFORMS = {"win": "win32", "macosx": "darwin", "pyemscripten": "emscripten", "pyodide": "emscripten"}
_SYSTEMS = {"win32": "Windows", "darwin": "Darwin", "ios": "iOS"}  # others are sys.platform with a capital
_MACHINES = {"win_amd64": "AMD64", "win_arm64": "ARM64", "win32": "x86", "arm64_v8a": "aarch64"}
_EMSCRIPTEN_RELEASES = {2024: "3.1.58", 2025: "4.0.9"}  # https://pyodide.org/en/stable/development/abi.html

_ALIASES = {
    "linux": "x86_64-unknown-linux-gnu",
    "macos": "aarch64-apple-darwin",
    "windows": "x86_64-pc-windows-msvc",
    "riscv64-unknown-linux-gnu": "riscv64-unknown-linux",
}
_NATIVE_TAGS = {  # the highest tag that each installs; where a name says no version of its system, uv's
    "x86_64-pc-windows-msvc": "win_amd64",
    "aarch64-pc-windows-msvc": "win_arm64",
    "i686-pc-windows-msvc": "win32",
    "aarch64-apple-darwin": "macosx_13_0_arm64",
    "x86_64-apple-darwin": "macosx_13_0_x86_64",
    "aarch64-linux-android": "android_24_arm64_v8a",
    "x86_64-linux-android": "android_24_x86_64",
    "arm64-apple-ios": "ios_13_0_arm64_iphoneos",
    "arm64-apple-ios-simulator": "ios_13_0_arm64_iphonesimulator",
    "x86_64-apple-ios-simulator": "ios_13_0_x86_64_iphonesimulator",
    **{f"wasm32-pyodide{year}": f"pyemscripten_{year}_0_wasm32" for year in _EMSCRIPTEN_RELEASES},
    "riscv64-unknown-linux": f"manylinux_2_{_GLIBC_MINORS['riscv64']}_riscv64",
    **{f"linux_{arch}": f"manylinux_2_{minor}_{arch}" for arch, minor in _GLIBC_MINORS.items()},
    **{f"{arch}-unknown-linux-gnu": f"manylinux_2_{minor}_{arch}" for arch, minor in _GLIBC_MINORS.items()},
    **{f"{arch}-unknown-linux-musl": f"musllinux_1_2_{arch}" for arch in _ARCHES},
}
_ARCH_FIRST = re.compile(r"(?P<arch>[a-z0-9_]+)-(?P<libc>(?:manylinux|musllinux)[0-9_]+)")
_VERSION = r"(?P<version>(?:0|[1-9][0-9]?|20[0-9]{2})(?:_(?:0|[1-9][0-9]?))?)"
# Only the libcs may count further in their first number one day: what their tags mean then is to be read first.
_KIND = r"(?P<kind>manylinux(?=_2_)|musllinux(?=_1_)|macosx|android|ios|pyemscripten|pyodide)"
_TAG = re.compile(rf"{_KIND}_{_VERSION}_(?P<arch>[a-z][a-z0-9_]*)")
_OTHER_WORDS = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "x86": "i686", "win64": "win_amd64"}

_IMPLEMENTATIONS = {"cpython": "cpython", "cp": "cpython", "pypy": "pypy", "pp": "pypy"}
_PYTHON = re.compile(r"(?P<name>[a-z]*)[@-]?(?P<version>[0-9][0-9.]*)(?P<threading>t|\+freethreaded)?")
_RELEASE = re.compile(r"(?:2\.7|3\.(?:0|[1-9][0-9]?))(?:\.(?:0|[1-9][0-9]{0,2}))?")
_PRERELEASE = re.compile(r"(?P<release>.*[0-9])\.?(?:a|b|c|rc|alpha|beta|dev)[0-9]*")

_KNOWN_PLATFORMS = "known: linux, macos, windows, x86_64-manylinux_2_28, aarch64-apple-darwin, macosx_12_0_arm64, …"
_KNOWN_PYTHONS = 'known: 2.7 and any 3, such as "3.12", "3.12.4", "3.13t" or "pypy3.10"'
_HIGHEST_PATCH = 99
_MAX_SPECIFIER = 500
_MAX_MARKER = 4000
_MAX_TRIES = 500
_KERNEL = ("platform_release", "platform_version")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")


class UnknownEnvironmentError(ValueError):
    """A Python, an implementation or a platform that names no environment; ``hint`` says what would."""

    def __init__(self, text: str, problem: str, hint: str) -> None:
        self.text, self.problem, self.hint = text, problem, hint
        super().__init__()

    def __str__(self) -> str:
        return f'"{printable(self.text)}" {self.problem}'


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
    name = platform.strip().lower()
    name = _ALIASES.get(name, name)
    _find_platform(name)
    return Environment(python=release, implementation=named or "cpython", is_free_threaded=threaded, platform=name)


@lru_cache(maxsize=1024)
def find_tags(environment: Environment) -> frozenset[Tag]:
    """Every wheel tag that pip would install in ``environment``."""
    python, platforms = _minor_of(environment.python), _find_platform(environment.platform).tags
    interpreter = f"{'pp' if environment.implementation == 'pypy' else 'cp'}{python[0]}{python[1]}"
    common = packaging_tags.compatible_tags(python, interpreter, platforms)
    if environment.implementation == "cpython":
        return frozenset([*packaging_tags.cpython_tags(python, _find_abis(environment, platforms), platforms), *common])
    # The interface of extension modules is that of PyPy 7.3, whichever 7.3.x it is: there was no other since 2019.
    abi = "pypy_73" if python[0] == 2 else f"pypy{python[0]}{python[1]}_pp73"
    own = packaging_tags.generic_tags(interpreter, [abi], platforms)
    return frozenset([*own, Tag(f"pp{python[0]}", "none", "any"), *common])


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
    platform = _find_platform(environment.platform)
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


# ── platforms ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class _Platform:
    """The platform tags that a system installs, and its values of the markers' variables."""

    tags: tuple[str, ...]
    sys_platform: str
    system: str
    machine: str
    release: str


@lru_cache(maxsize=256)
def _find_platform(name: str) -> _Platform:
    split = _split_platform(name)
    if split is None:
        raise UnknownEnvironmentError(name, "is no known platform", _suggest_platform(name))
    kind, version, arch = split
    oldest = _OLDEST.get((kind, arch), ())
    if version < oldest:
        example = "_".join([kind, *map(str, oldest), arch])
        raise UnknownEnvironmentError(name, f"is older than any wheel of {arch}", f"the oldest is {example}")
    sys_platform = "linux" if kind.endswith("linux") else _SYS_PLATFORMS.get(kind, kind)
    release = _EMSCRIPTEN_RELEASES.get(version[0], "") if sys_platform == "emscripten" else ""
    return _Platform(
        tags=tuple(_expand_tags(kind, version, arch)),
        sys_platform=sys_platform,
        system=_SYSTEMS.get(sys_platform, sys_platform.capitalize()),
        machine=_MACHINES.get(arch, arch.partition("_iphone")[0]),
        release=release,
    )


def _split_platform(name: str) -> tuple[str, tuple[int, ...], str] | None:
    """The kind, version and architecture of the highest tag that ``name`` installs; ``None`` for an unknown name."""
    tag = _NATIVE_TAGS.get(name, name)
    if match := _ARCH_FIRST.fullmatch(tag):
        tag = f"{match['libc']}_{match['arch']}"
    if tag in ("win_amd64", "win_arm64", "win32"):
        return "win", (), tag
    for minor, legacy in _LEGACY_MANYLINUX.items():
        if tag.startswith(f"{legacy}_"):
            tag = f"manylinux_2_{minor}_{tag.removeprefix(f'{legacy}_')}"
    match = _TAG.fullmatch(tag)
    oldest = _OLDEST.get((match["kind"], match["arch"])) if match else None
    if match is None or oldest is None:
        return None
    version = tuple(int(number) for number in match["version"].split("_"))
    return (match["kind"], version, match["arch"]) if len(version) == len(oldest) else None


def _expand_tags(kind: str, version: tuple[int, ...], arch: str) -> Iterable[str]:
    """Every platform tag that such a system installs."""
    if kind == "win":
        return [arch]
    if kind == "macosx":
        return packaging_tags.mac_platforms((version[0], version[1]), arch)
    if kind == "android":
        return packaging_tags.android_platforms(version[0], arch)
    if kind == "ios":
        return packaging_tags.ios_platforms((version[0], version[1]), arch)
    if kind in ("pyemscripten", "pyodide"):
        return [f"{name}_{version[0]}_{version[1]}_{arch}" for name in ("pyemscripten", "pyodide")]
    tags = [f"linux_{arch}"]
    for minor in range(version[1], _OLDEST[kind, arch][1] - 1, -1):
        tags.append(f"{kind}_{version[0]}_{minor}_{arch}")
        if kind == "manylinux" and minor in _LEGACY_MANYLINUX:
            tags.append(f"{_LEGACY_MANYLINUX[minor]}_{arch}")
    return tags


def _suggest_platform(name: str) -> str:
    name = name[:100]
    renamed = "".join(_OTHER_WORDS.get(word, word) for word in re.split(r"([-_.])", name))
    for candidate in (renamed, re.sub(r"[-.]", "_", name), re.sub(r"[-.]", "_", renamed), f"x86_64-{name}"):
        if candidate != name and _split_platform(candidate):
            return f'did you mean "{candidate}"?'
    known = [*_ALIASES, *_NATIVE_TAGS, *_NATIVE_TAGS.values(), *(f"{arch}-manylinux_2_28" for arch in _ARCHES)]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else _KNOWN_PLATFORMS
