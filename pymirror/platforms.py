"""The names of platforms: which platform tags each installs, and its values of the markers' variables.

Tags: https://packaging.python.org/specifications/platform-compatibility-tags/ · the names are those of uv's
``--python-platform`` and of pip's ``--platform``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from packaging import tags as packaging_tags

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

_KNOWN_PLATFORMS = "known: linux, macos, windows, x86_64-manylinux_2_28, aarch64-apple-darwin, macosx_12_0_arm64, …"


class UnknownEnvironmentError(ValueError):
    """A Python, an implementation or a platform that names no environment; ``hint`` says what would."""

    def __init__(self, text: str, problem: str, hint: str) -> None:
        self.text, self.problem, self.hint = text, problem, hint
        super().__init__()

    def __str__(self) -> str:
        return f'"{printable(self.text)}" {self.problem}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The platform tags that a system installs, the best first, and its values of the markers' variables."""

    tags: tuple[str, ...]
    sys_platform: str
    system: str
    machine: str
    release: str


def name_platform(text: str) -> str:
    """The name of the platform that ``text`` means, an alias written out; whether it is known is not looked at."""
    name = text.strip().lower()
    return _ALIASES.get(name, name)


@lru_cache(maxsize=256)
def find_platform(name: str) -> Platform:
    """What the platform ``name`` installs. Raises UnknownEnvironmentError."""
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
    return Platform(
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
    """Every platform tag that such a system installs, in the order in which packaging and pip like them."""
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
