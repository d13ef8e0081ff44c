"""What a file is, as a person says it: ``CPython 3.13 on Linux x86-64 with glibc 2.17 or newer``.

Tags: https://packaging.python.org/specifications/platform-compatibility-tags/
"""

from __future__ import annotations

import re
from functools import lru_cache

_INTERPRETERS = {
    "cp": "CPython",
    "pp": "PyPy",
    "py": "Python",
    "graalpy": "GraalPy",
    "ip": "IronPython",
    "jy": "Jython",
}
_MACHINES = {
    "x86_64": "x86-64",
    "amd64": "x86-64",
    "aarch64": "ARM64",
    "arm64": "ARM64",
    "i686": "x86, 32 bits",
    "i386": "x86, 32 bits",
    "armv7l": "ARMv7",
    "universal2": "Intel and Apple silicon",
    "intel": "Intel",
}
_OLD_MANYLINUX = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
_FIXED = {"any": "any platform", "win32": "Windows x86, 32 bits"}

_INTERPRETER = re.compile(r"([a-z]+)([0-9])([0-9]*)(?:_([0-9]+))?")
_MANYLINUX = re.compile(r"(manylinux1|manylinux2010|manylinux2014|manylinux_([0-9]+)_([0-9]+))_([a-z0-9_]+)")
_MUSLLINUX = re.compile(r"musllinux_([0-9]+)_([0-9]+)_([a-z0-9_]+)")
_MACOS = re.compile(r"macosx_([0-9]+)_([0-9]+)_([a-z0-9_]+)")
_WINDOWS = re.compile(r"win_([a-z0-9]+)")
_LINUX = re.compile(r"linux_([a-z0-9_]+)")


def describe_file(filename: str) -> str:
    """What ``filename`` is for: ``Wheel: Python 3, any platform``, ``Source distribution``."""
    if filename.endswith(".whl"):
        return f"Wheel: {_describe_tags(*filename.removesuffix('.whl').split('-')[-3:])}"
    if filename.endswith(".egg"):
        return "Egg"
    if filename.endswith((".exe", ".msi", ".dmg", ".rpm")):
        return "Installer"
    return "Source distribution"


@lru_cache(maxsize=4096)
def _describe_tags(python: str = "", abi: str = "", platform: str = "") -> str:
    interpreters = ", ".join(dict.fromkeys(_describe_interpreter(tag, abi) for tag in python.split(".")[:8]))
    platforms: dict[str, str] = {}
    for tag in platform.split(".")[:32]:
        system, least = _describe_platform(tag)
        platforms[system] = _lesser(platforms.get(system), least)
    return f"{interpreters}; {', '.join(f'{system}{least}' for system, least in platforms.items())}"


def _describe_interpreter(tag: str, abi: str) -> str:
    match = _INTERPRETER.fullmatch(tag)
    if match is None or match[1] not in _INTERPRETERS:
        return tag
    version = ".".join(part for part in match.groups()[1:] if part)
    words = f"{_INTERPRETERS[match[1]]} {version}"
    if abi.startswith("abi3"):
        words += " or newer"
    elif match[1] == "cp" and abi.endswith("t"):
        words += " free-threaded"
    return words


def _describe_platform(tag: str) -> tuple[str, str]:
    """The system, and the least version of it, which starts with a space; of several tags the least counts."""
    if match := _MANYLINUX.fullmatch(tag):
        version = _OLD_MANYLINUX.get(match[1]) or f"{match[2]}.{match[3]}"
        return f"Linux {_machine(match[4])}", f" with glibc {version} or newer"
    if match := _MUSLLINUX.fullmatch(tag):
        return f"Linux {_machine(match[3])} with musl", f" {match[1]}.{match[2]} or newer"
    if match := _MACOS.fullmatch(tag):
        return f"macOS on {_machine(match[3])}", f" {match[1]}.{match[2]} or newer"
    if match := _WINDOWS.fullmatch(tag):
        return f"Windows {_machine(match[1])}", ""
    if match := _LINUX.fullmatch(tag):
        return f"Linux {_machine(match[1])}", ""
    return _FIXED.get(tag, tag), ""


def _machine(tag: str) -> str:
    return _MACHINES.get(tag, tag)


def _lesser(one: str | None, other: str) -> str:
    return other if one is None else min(one, other, key=_numbers)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", text)]
