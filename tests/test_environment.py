"""Which wheels, Requires-Python and markers fit an interpreter on a platform; the real uv is asked the same."""

from __future__ import annotations

import string
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging import tags as packaging_tags
from packaging.markers import default_environment
from packaging.tags import parse_tag

from pymirror.environment import (
    Environment,
    UnknownEnvironmentError,
    find_tags,
    make_environment,
    marker_values,
    meets_marker,
    suits_python,
)
from tests.archives import make_wheel
from tests.servers import for_others, skip_or_fail


def accepts(environment: Environment, tag: str) -> bool:
    return not find_tags(environment).isdisjoint(parse_tag(tag))


# ── names ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("3.12", "cpython 3.12"),
        ("3.12.4", "cpython 3.12.4"),
        (" 3.12 ", "cpython 3.12"),
        ("python3.12", "cpython 3.12"),
        ("cpython3.12", "cpython 3.12"),
        ("cpython@3.12", "cpython 3.12"),
        ("CPython-3.12.4", "cpython 3.12.4"),
        ("cp312", "cpython 3.12"),
        ("cp39", "cpython 3.9"),
        ("py311", "cpython 3.11"),
        ("3.13t", "cpython 3.13t"),
        ("3.13.1t", "cpython 3.13.1t"),
        ("3.14+freethreaded", "cpython 3.14t"),
        ("cp313t", "cpython 3.13t"),
        ("pypy3.10", "pypy 3.10"),
        ("pypy@3.10", "pypy 3.10"),
        ("pp310", "pypy 3.10"),
        ("2.7", "cpython 2.7"),
        ("2.7.18", "cpython 2.7.18"),
    ],
)
def test_a_python_is_read_when_written_as_pip_or_uv_do(text: str, name: str) -> None:
    assert make_environment(text, "x86_64-manylinux_2_28").name == f"{name} on x86_64-manylinux_2_28"


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("3", '"3" names no minor version', '"3.12"'),
        ("cp3", "names no minor version", '"3.12"'),
        ("3.12rc1", '"3.12rc1" is a pre-release', '"3.12"'),
        ("3.14.0b2", "is a pre-release", '"3.14.0"'),
        ("312", "is no Python version", 'did you mean "3.12"?'),
        (">=3.9", "is a range", "by itself"),
        ("3.12.*", "is a range", "by itself"),
        ("3.9,3.10", "is a range", "by itself"),
        ("4.0", "is no Python version", "known: 2.7 and any 3"),
        ("2.6", "is no Python version", "known: 2.7 and any 3"),
        ("3.010", "is no Python version", "known"),
        ("3.1.2.3", "is no Python version", "known"),
        ("cp37m", "is no Python version", "known"),
        ("", "is no Python version", "known"),
        ("graalpy3.11", "names an unknown implementation", "known: cpython, pypy"),
        ("3.12t", "is free-threaded", "3.13t"),
        ("pypy3.13t", "only CPython can be", 'leave the "t" out'),
        ("\x1b[31m", '"\\u001b[31m" is no Python version', "known"),
    ],
)
def test_a_python_is_refused_with_a_hint_when_it_names_none(text: str, problem: str, hint: str) -> None:
    with pytest.raises(UnknownEnvironmentError) as caught:
        make_environment(text, "linux")
    assert problem in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.text == text


@pytest.mark.parametrize(
    ("python", "implementation", "expected"),
    [
        ("3.10", "pypy", "pypy 3.10"),
        ("3.10", "pp", "pypy 3.10"),
        ("3.10", "CPython", "cpython 3.10"),
        ("pypy3.10", "pypy", "pypy 3.10"),
        ("cp310", "cp", "cpython 3.10"),
        ("3.10", None, "cpython 3.10"),
    ],
)
def test_the_implementation_is_taken_when_it_is_named(python: str, implementation: str | None, expected: str) -> None:
    assert make_environment(python, "win32", implementation).name == f"{expected} on win32"


def test_an_implementation_is_refused_when_the_python_names_another_or_it_is_unknown() -> None:
    with pytest.raises(UnknownEnvironmentError, match=r'"pypy3\.10" is pypy, but the implementation is cpython'):
        make_environment("pypy3.10", "linux", "cpython")
    with pytest.raises(UnknownEnvironmentError, match='"jython" names an unknown implementation') as caught:
        make_environment("3.12", "linux", "jython")
    assert caught.value.hint == "known: cpython, pypy"
    with pytest.raises(UnknownEnvironmentError, match="only CPython can be"):
        make_environment("3.13t", "linux", "pypy")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("linux", "x86_64-unknown-linux-gnu"),
        ("macos", "aarch64-apple-darwin"),
        ("Windows ", "x86_64-pc-windows-msvc"),
        ("riscv64-unknown-linux-gnu", "riscv64-unknown-linux"),
        *(
            (name, name)
            for name in (
                "aarch64-manylinux2014",
                "s390x-manylinux_2_28",
                "ppc64le-musllinux_1_2",
                "armv7l-unknown-linux-musl",
                "loongarch64-unknown-linux-gnu",
                "x86_64-manylinux_2_99",
                "manylinux_2_28_x86_64",
                "manylinux2014_x86_64",
                "manylinux2010_i686",
                "manylinux1_x86_64",
                "musllinux_1_2_aarch64",
                "macosx_12_0_arm64",
                "macosx_10_13_x86_64",
                "win_amd64",
                "win_arm64",
                "win32",
                "linux_x86_64",
                "android_21_arm64_v8a",
                "ios_15_4_arm64_iphoneos",
                "pyodide_2024_0_wasm32",
                "pyemscripten_2026_0_wasm32",
            )
        ),
    ],
)
def test_a_platform_is_named_canonically_when_written_as_pip_or_uv_do(text: str, canonical: str) -> None:
    assert make_environment("3.12", text).platform == canonical


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("linuks", '"linuks" is no known platform', 'did you mean "linux"?'),
        ("amd64-manylinux_2_28", "is no known platform", 'did you mean "x86_64-manylinux_2_28"?'),
        ("arm64-manylinux_2_31", "is no known platform", 'did you mean "aarch64-manylinux_2_31"?'),
        ("manylinux_2_28", "is no known platform", 'did you mean "x86_64-manylinux_2_28"?'),
        ("manylinux_2_28_arm64", "is no known platform", 'did you mean "manylinux_2_28_aarch64"?'),
        ("linux-x86_64", "is no known platform", 'did you mean "linux_x86_64"?'),
        ("macosx-12.0-arm64", "is no known platform", 'did you mean "macosx_12_0_arm64"?'),
        ("win-amd64", "is no known platform", 'did you mean "win_amd64"?'),
        ("win64", "is no known platform", 'did you mean "win_amd64"?'),
        ("arm64-apple-darwin", "is no known platform", 'did you mean "aarch64-apple-darwin"?'),
        ("macosx_12_0_universal2", "is no known platform", "did you mean"),
        ("x86_64-manylinux_3_1", "is no known platform", "did you mean"),
        ("musllinux_2_0_x86_64", "is no known platform", "did you mean"),
        ("ubuntu", "is no known platform", "known: linux, macos, windows"),
        ("", "is no known platform", "known: linux, macos, windows"),
        ("x86_64-manylinux_2_4", "is older than any wheel of x86_64", "manylinux_2_5_x86_64"),
        ("aarch64-manylinux2010", "is older than any wheel of aarch64", "manylinux_2_17_aarch64"),
        ("macosx_10_13_arm64", "is older than any wheel of arm64", "macosx_11_0_arm64"),
        ("macosx_10_3_x86_64", "is older than any wheel of x86_64", "macosx_10_4_x86_64"),
        ("android_15_x86_64", "is older than any wheel of x86_64", "android_16_x86_64"),
        ("ios_11_0_arm64_iphoneos", "is older than any wheel", "ios_12_0_arm64_iphoneos"),
    ],
)
def test_a_platform_is_refused_with_a_hint_when_unknown(text: str, problem: str, hint: str) -> None:
    with pytest.raises(UnknownEnvironmentError) as caught:
        make_environment("3.12", text)
    assert problem in str(caught.value)
    assert hint in caught.value.hint


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet=string.ascii_lowercase + string.digits + "_-.", max_size=60))
def test_any_text_is_an_environment_or_refused_when_read(text: str) -> None:
    for python, platform in ((text, "linux"), ("3.12", text)):
        try:
            environment = make_environment(python, platform)
        except UnknownEnvironmentError:
            continue
        assert find_tags(environment)
        assert make_environment(environment.python, environment.platform).platform == environment.platform


# ── tags ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("python", "platform", "accepted", "refused"),
    [
        (
            "3.12",
            "linux",
            (
                "py3-none-any py2.py3-none-any py312-none-any py30-none-any cp312-none-any cp312-cp312-linux_x86_64 "
                "cp312-cp312-manylinux_2_28_x86_64 cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64 "
                "cp312-cp312-manylinux1_x86_64 cp37-abi3-manylinux2010_x86_64 cp312-abi3-manylinux_2_5_x86_64 "
                "cp32-abi3-linux_x86_64 py3-none-manylinux_2_12_x86_64 cp312-none-manylinux_2_28_x86_64"
            ),
            (
                "cp312-cp312-manylinux_2_29_x86_64 cp312-cp312-manylinux_2_31_x86_64 cp312-cp312-musllinux_1_2_x86_64 "
                "cp312-cp312-manylinux_2_17_aarch64 cp312-cp312-win_amd64 cp313-abi3-manylinux_2_17_x86_64 "
                "cp313-cp313-manylinux_2_17_x86_64 cp311-cp311-manylinux_2_17_x86_64 cp312-cp312t-linux_x86_64 "
                "py2-none-any py313-none-any cp311-none-any cp312-cp312m-linux_x86_64 pp310-pypy310_pp73-linux_x86_64 "
                "cp31-abi3-linux_x86_64 cp312-cp312-manylinux_2_4_x86_64"
            ),
        ),
        ("3.12.4", "x86_64-manylinux_2_31", "cp312-cp312-manylinux_2_31_x86_64", "cp312-cp312-manylinux_2_32_x86_64"),
        (
            "3.9",
            "aarch64-manylinux2014",
            "cp39-cp39-manylinux2014_aarch64 cp39-cp39-manylinux_2_17_aarch64 cp39-cp39-linux_aarch64",
            "cp39-cp39-manylinux_2_12_aarch64 cp39-cp39-manylinux2010_aarch64 cp39-cp39-manylinux_2_24_aarch64",
        ),
        (
            "3.12",
            "manylinux1_i686",
            "cp312-cp312-manylinux1_i686 cp312-cp312-manylinux_2_5_i686",
            "cp312-cp312-manylinux2010_i686",
        ),
        ("3.12", "armv7l-unknown-linux-gnu", "py3-none-manylinux_2_31_armv7l", "py3-none-manylinux_2_32_armv7l"),
        ("3.12", "riscv64-unknown-linux", "py3-none-manylinux_2_39_riscv64", "py3-none-manylinux_2_40_riscv64"),
        ("3.12", "loongarch64-unknown-linux-gnu", "py3-none-manylinux_2_38_loongarch64", "py3-none-linux_x86_64"),
        ("3.12", "linux_x86_64", "py3-none-manylinux_2_28_x86_64", "py3-none-manylinux_2_29_x86_64"),
        (
            "3.12",
            "x86_64-unknown-linux-musl",
            "cp312-cp312-musllinux_1_2_x86_64 cp312-cp312-musllinux_1_0_x86_64 cp312-cp312-linux_x86_64",
            "cp312-cp312-musllinux_1_3_x86_64 cp312-cp312-manylinux_2_17_x86_64 cp312-cp312-manylinux1_x86_64",
        ),
        ("3.12", "musllinux_1_1_ppc64le", "py3-none-musllinux_1_1_ppc64le", "py3-none-musllinux_1_2_ppc64le"),
        (
            "3.12",
            "macos",
            (
                "cp312-cp312-macosx_11_0_arm64 cp312-cp312-macosx_13_0_arm64 cp312-cp312-macosx_10_9_universal2 "
                "cp312-cp312-macosx_13_0_universal2"
            ),
            (
                "cp312-cp312-macosx_14_0_arm64 cp312-cp312-macosx_11_0_x86_64 cp312-cp312-macosx_10_9_x86_64 "
                "cp312-cp312-macosx_10_9_intel cp312-cp312-macosx_10_9_arm64"
            ),
        ),
        (
            "3.12",
            "x86_64-apple-darwin",
            (
                "cp312-cp312-macosx_10_9_x86_64 cp312-cp312-macosx_13_0_x86_64 cp312-cp312-macosx_10_9_universal2 "
                "cp312-cp312-macosx_10_6_intel cp312-cp312-macosx_11_0_universal2"
            ),
            "cp312-cp312-macosx_14_0_x86_64 cp312-cp312-macosx_11_0_arm64 cp312-cp312-macosx_10_3_x86_64",
        ),
        ("3.12", "macosx_12_0_arm64", "py3-none-macosx_12_0_arm64", "py3-none-macosx_13_0_arm64"),
        (
            "3.12",
            "macosx_10_13_x86_64",
            "py3-none-macosx_10_13_x86_64 py3-none-macosx_10_9_universal2",
            "py3-none-macosx_10_14_x86_64 py3-none-macosx_11_0_universal2",
        ),
        ("3.12", "windows", "cp312-cp312-win_amd64 cp37-abi3-win_amd64", "cp312-cp312-win32 cp312-cp312-win_arm64"),
        ("3.12", "win32", "cp312-cp312-win32 py3-none-win32", "cp312-cp312-win_amd64 cp312-cp312-win_arm64"),
        ("3.12", "aarch64-pc-windows-msvc", "cp312-cp312-win_arm64", "cp312-cp312-win_amd64 cp312-cp312-win32"),
        (
            "3.13t",
            "linux",
            "cp313-cp313t-linux_x86_64 py3-none-any cp313-none-any py3-none-linux_x86_64",
            "cp313-cp313-linux_x86_64 cp313-abi3-linux_x86_64 cp39-abi3-linux_x86_64 cp314-cp314t-linux_x86_64",
        ),
        (
            "3.15t",
            "linux",
            "cp315-cp315t-linux_x86_64 cp315-abi3t-linux_x86_64 cp315-abi3.abi3t-linux_x86_64",
            "cp315-abi3-linux_x86_64 cp315-cp315-linux_x86_64 cp316-abi3t-linux_x86_64",
        ),
        (
            "pypy3.10",
            "linux",
            "pp310-pypy310_pp73-manylinux_2_17_x86_64 pp310-none-any pp3-none-any py3-none-any py2.py3-none-any",
            (
                "cp310-cp310-linux_x86_64 cp37-abi3-linux_x86_64 cp310-none-any pp39-pypy39_pp73-linux_x86_64 "
                "pp311-pypy311_pp73-linux_x86_64 pp310-pypy310_pp74-linux_x86_64"
            ),
        ),
        ("pypy2.7", "linux", "pp27-pypy_73-manylinux2010_x86_64 py2-none-any", "pp27-pypy_41-linux_x86_64"),
        (
            "3.7",
            "linux",
            "cp37-cp37m-manylinux1_x86_64 cp36-abi3-manylinux1_x86_64",
            "cp37-cp37-manylinux1_x86_64 cp38-abi3-manylinux1_x86_64",
        ),
        (
            "2.7",
            "linux",
            "cp27-cp27mu-manylinux1_x86_64 cp27-cp27m-manylinux1_x86_64 py2-none-any py27-none-any py2.py3-none-any",
            "py3-none-any cp27-abi3-linux_x86_64 cp27-cp27-linux_x86_64",
        ),
        ("2.7", "windows", "cp27-cp27m-win_amd64", "cp27-cp27mu-win_amd64"),
        ("3.13", "aarch64-linux-android", "cp313-cp313-android_24_arm64_v8a", "cp313-cp313-android_25_arm64_v8a"),
        ("3.13", "arm64-apple-ios", "cp313-cp313-ios_13_0_arm64_iphoneos", "cp313-cp313-ios_13_1_arm64_iphoneos"),
        (
            "3.13",
            "wasm32-pyodide2025",
            "cp313-cp313-pyodide_2025_0_wasm32 cp313-cp313-pyemscripten_2025_0_wasm32",
            "cp313-cp313-pyodide_2024_0_wasm32",
        ),
    ],
)
def test_a_wheel_fits_when_pip_would_install_it(python: str, platform: str, accepted: str, refused: str) -> None:
    environment = make_environment(python, platform)
    assert [tag for tag in accepted.split() if not accepts(environment, tag)] == []
    assert [tag for tag in refused.split() if accepts(environment, tag)] == []


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="tags of CPython are compared")
def test_no_tag_of_the_running_interpreter_is_missed_when_its_platform_is_named() -> None:
    running = list(packaging_tags.sys_tags())
    threads = "t" if running[0].abi.endswith("t") else ""
    platform = next(tag.platform for tag in running if not tag.platform.startswith("linux"))
    environment = make_environment(f"{sys.version_info[0]}.{sys.version_info[1]}{threads}", platform)
    assert set(running) <= find_tags(environment)
    assert {str(tag) for tag in find_tags(environment)} == {str(tag) for tag in running}


def test_the_values_are_those_of_the_running_interpreter_when_its_platform_is_named() -> None:
    platform = next(tag.platform for tag in packaging_tags.sys_tags() if not tag.platform.startswith("linux"))
    values = marker_values(make_environment(".".join(map(str, sys.version_info[:3])), platform))
    assert values["platform_release"] == values["platform_version"] == ""
    assert dict(default_environment()) == values | {
        name: default_environment()[name] for name in ("platform_release", "platform_version")
    }


def test_tags_are_found_fast_when_environments_are_many() -> None:
    platforms = ("x86_64-manylinux_2_40", "macosx_26_0_x86_64", "macosx_26_0_arm64", "win_amd64")
    environments = [make_environment(f"3.{minor}", platform) for minor in range(10, 15) for platform in platforms]
    find_tags.cache_clear()
    start = time.perf_counter()
    for environment in environments:
        find_tags(environment)
    assert time.perf_counter() - start < 1  # about 0.03 s; a slow machine is no failure


# ── Requires-Python ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("python", "requires_python", "suits"),
    [
        ("3.12", None, True),
        ("3.12", "", True),
        ("3.12", " ", True),
        ("3.12", ">=3.8", True),
        ("3.12", ">=3.12", True),
        ("3.12", ">=3.13", False),
        ("3.12", "<3.12", False),
        ("3.12", "<=3.12", True),
        ("3.12", "==3.12", True),
        ("3.12", "==3.12.*", True),
        ("3.12", "!=3.12.*", False),
        ("3.12", ">3.12", True),
        ("3.12", ">=3.12.4", True),
        ("3.12", "==3.12.4", True),
        ("3.12", "===3.12.4", True),
        ("3.12", ">=3.12.4,<3.12.5", True),
        ("3.12", ">3.12.4,<3.12.5", False),
        ("3.12", ">3.12.4,<3.12.6", True),
        ("3.12", "!=3.12.0,!=3.12.1", True),
        ("3.12", "~=3.12.3", True),
        ("3.12", "~=3.11.3", False),
        ("3.12", "~=3.6", True),
        ("3.12.4", ">=3.12.4", True),
        ("3.12.4", ">=3.12.5", False),
        ("3.12.4", "!=3.12.4", False),
        ("3.12.4", "==3.12", False),
        ("3.13t", ">=3.13", True),
        ("pypy3.10", "<3.11", True),
        ("2.7", ">=2.7, !=3.0.*, !=3.1.*, !=3.2.*", True),
        ("2.7", ">=3", False),
        # pip ignores what is no specifier
        ("3.12", "3.6", True),
        ("3.12", ">=3.13.*", True),
        ("3.12", ">= 3.13, <4.x", True),
        ("3.12", "nonsense", True),
        ("3.12", ">=3.13" + ",>=3.13" * 100, True),
    ],
)
def test_requires_python_suits_when_one_patch_is_allowed(python: str, requires_python: str | None, suits: bool) -> None:
    assert suits_python(make_environment(python, "linux"), requires_python) is suits


@settings(deadline=None)
@given(st.text(alphabet="<>=!~,.* 0123456789rcx", max_size=40))
def test_any_requires_python_is_judged_when_read(text: str) -> None:
    assert suits_python(make_environment("3.12", "linux"), text) in (True, False)


# ── markers ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("python", "platform", "marker", "is_met"),
    [
        ("3.12", "linux", "python_version >= '3.10'", True),
        ("3.12", "linux", "python_version < '3.9'", False),  # as numbers
        ("3.12", "linux", "python_version in '3.11 3.12'", True),
        ("3.12", "linux", "'3.12' == python_version", True),
        ("3.12", "linux", "python_full_version >= '3.12.4'", True),
        ("3.12", "linux", "python_full_version < '3.12.4'", True),
        ("3.12", "linux", "python_full_version == '3.12.4'", True),
        ("3.12", "linux", "python_full_version > '3.12.4' and python_full_version < '3.12.5'", False),
        ("3.12", "linux", "python_full_version != '3.12.0'", True),
        ("3.12", "linux", "implementation_version >= '3.12.99'", True),
        ("3.12", "linux", "implementation_version >= '3.13'", False),
        ("3.12.4", "linux", "python_full_version >= '3.12.5'", False),
        ("3.12.4", "linux", "python_full_version == '3.12.4'", True),
        ("3.12", "linux", "sys_platform == 'win32'", False),
        ("3.12", "windows", "sys_platform == 'win32' and os_name == 'nt'", True),
        ("3.12", "windows", "platform_system == 'Windows' and platform_machine == 'AMD64'", True),
        ("3.12", "win_arm64", "platform_machine == 'ARM64'", True),
        ("3.12", "win32", "platform_machine == 'x86'", True),
        ("3.12", "macos", "sys_platform == 'darwin' and platform_machine == 'arm64'", True),
        ("3.12", "x86_64-apple-darwin", "platform_system == 'Darwin' and platform_machine == 'x86_64'", True),
        ("3.12", "aarch64-manylinux2014", "platform_machine == 'aarch64' and platform_system == 'Linux'", True),
        ("3.12", "linux", "platform_python_implementation == 'PyPy'", False),
        ("3.12", "linux", "python_implementation == 'CPython' and os.name == 'posix'", True),
        ("pypy3.10", "linux", "platform_python_implementation == 'PyPy' and implementation_name == 'pypy'", True),
        ("pypy3.10", "linux", "implementation_name != 'cpython' and implementation_version < '7.3.9'", True),
        ("pypy3.10", "linux", "implementation_version >= '7.3.16' and python_full_version >= '3.10.14'", True),
        ("pypy3.10", "linux", "implementation_version >= '7.4'", False),
        ("3.13", "arm64-apple-ios", "sys_platform == 'ios' and platform_machine == 'arm64'", True),
        ("3.13", "x86_64-linux-android", "sys_platform == 'android' and platform_system == 'Android'", True),
        ("3.12", "wasm32-pyodide2024", "sys_platform == 'emscripten' and platform_release == '3.1.58'", True),
        ("3.12", "wasm32-pyodide2024", "platform_release >= '4'", False),
        # the kernel is nobody's choice: any release of it will do
        ("3.12", "macos", "platform_release >= '20.0'", True),
        ("3.12", "macos", "platform_release < '20.0'", True),
        ("3.12", "linux", "platform_release >= '20.0' and sys_platform == 'darwin'", False),
        ("3.12", "linux", "'tegra' in platform_release", True),
        ("3.12", "linux", "'tegra' not in platform_release", True),
        ("3.12", "linux", "'Ubuntu' in platform_version", True),
        # what cannot be judged is met
        ("3.12", "linux", "nonsense", True),
        ("3.12", "linux", "", True),
        ("3.12", "linux", "python_version ~= 'x'", True),
        ("3.12", "linux", "extras == 'x'", True),
        ("3.12", "linux", "'a' == 'b'", True),
        ("3.12", "linux", "(" * 1500 + "os_name == 'nt'" + ")" * 1500, True),
        ("3.12", "linux", "os_name == 'nt'" + " and os_name == 'nt'" * 500, True),
    ],
)
def test_a_marker_is_met_when_it_can_hold(python: str, platform: str, marker: str, is_met: bool) -> None:
    assert meets_marker(make_environment(python, platform), marker) is is_met


@pytest.mark.parametrize(
    ("marker", "extras", "groups", "is_met"),
    [
        ("extra == 'socks'", (), (), False),
        ("extra == 'socks'", ("socks",), (), True),
        ("extra == 'Socks_Proxy'", ("socks-proxy",), (), True),
        ("extra == 'socks'", ("other", "socks"), (), True),
        ("extra == 'socks' and sys_platform == 'win32'", ("socks",), (), False),
        ("extra != 'socks'", ("socks",), (), True),  # without the extra it holds
        ("'socks' in extras", (), (), False),
        ("'socks' in extras", ("socks",), (), True),
        ("'socks' in extras and 'tls' in extras", ("socks", "tls"), (), True),
        ("'dev' in dependency_groups", (), (), False),
        ("'dev' in dependency_groups", (), ("dev",), True),
        ("'dev' not in dependency_groups", (), ("dev",), False),
        ("'socks' in extras or 'dev' in dependency_groups", (), ("dev",), True),
    ],
)
def test_a_marker_of_extras_and_groups_is_met_when_these_are_on(
    marker: str, extras: Sequence[str], groups: Sequence[str], is_met: bool
) -> None:
    environment = make_environment("3.12", "linux")
    assert meets_marker(environment, marker, extras=frozenset(extras), groups=frozenset(groups)) is is_met


def test_a_marker_is_judged_soon_when_it_is_hostile() -> None:
    environment = make_environment("3.12", "linux")
    patches = " or ".join(f"python_full_version == '3.12.{patch}.1'" for patch in range(90))
    extras = frozenset(f"x{number}" for number in range(200))
    start = time.perf_counter()
    assert meets_marker(environment, f"({patches}) and platform_release == 'x' and extra == 'y'", extras=extras)
    assert time.perf_counter() - start < 10


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ("extra", "extras", "dependency_groups", "python_version", "platform_release", "os_name", "'a'", "'1'")
        )
        | st.sampled_from(("==", "<", "in", "not in", "~=", "===", "and", "or", "(", ")")),
        max_size=9,
    )
)
def test_any_marker_is_judged_when_read(words: list[str]) -> None:
    environment = make_environment("pypy3.10", "macos")
    assert meets_marker(environment, " ".join(words), extras=frozenset({"a"})) in (True, False)


def test_marker_values_hold_the_patch_when_it_is_given() -> None:
    values = marker_values(make_environment("3.12", "linux"), patch=7)
    assert (values["python_version"], values["python_full_version"]) == ("3.12", "3.12.7")
    assert values["implementation_version"] == "3.12.7"
    assert marker_values(make_environment("3.12", "linux"))["python_full_version"] == "3.12.0"
    assert marker_values(make_environment("3.12.4", "linux"), patch=7)["python_full_version"] == "3.12.4"


# ── the real uv ─────────────────────────────────────────────────────────────────────────────────────

_UV_PLATFORMS = (
    "linux",
    "macos",
    "windows",
    "aarch64-pc-windows-msvc",
    "i686-pc-windows-msvc",
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "riscv64-unknown-linux",
    "x86_64-apple-darwin",
    "x86_64-manylinux2014",
    "x86_64-manylinux_2_31",
    "aarch64-manylinux_2_40",
    "aarch64-linux-android",
    "x86_64-linux-android",
    "wasm32-pyodide2024",
    "wasm32-pyodide2025",
    "arm64-apple-ios",
    "arm64-apple-ios-simulator",
    "x86_64-apple-ios-simulator",
)
_LINUX_TAGS = tuple(
    f"{libc}_{arch}"
    for arch in ("x86_64", "aarch64", "riscv64")
    for libc in (
        *(f"manylinux_2_{minor}" for minor in (4, 5, 12, 16, 17, 27, 28, 29, 31, 32, 38, 39, 40, 41)),
        *("manylinux1", "manylinux2010", "manylinux2014", "linux"),
        *(f"musllinux_1_{minor}" for minor in (0, 1, 2, 3)),
    )
)
_OTHER_TAGS = (
    *("win32", "win_amd64", "win_arm64"),
    *(
        f"macosx_{version}_{arch}"
        for version in ("10_3", "10_4", "10_9", "10_16", "11_0", "11_1", "13_0", "13_1", "14_0")
        for arch in ("x86_64", "arm64", "universal2", "universal", "intel", "fat64", "fat3", "fat32")
    ),
    *(f"android_{level}_{abi}" for level in (15, 16, 21, 24, 25) for abi in ("arm64_v8a", "x86_64")),
    *(
        f"ios_{version}_{target}"
        for version in ("11_0", "12_0", "12_9", "13_0", "13_1")
        for target in ("arm64_iphoneos", "arm64_iphonesimulator", "x86_64_iphonesimulator")
    ),
    *(f"{name}_{year}_0_wasm32" for name in ("pyodide", "pyemscripten") for year in (2024, 2025)),
)
_PYTHON_TAGS = tuple(
    f"{python}-{abi}-linux_x86_64"
    for python in (
        "cp32",
        "cp36",
        "cp37",
        "cp38",
        "cp311",
        "cp312",
        "cp313",
        "cp314",
        "py2.py3",
        "py3",
        "py312",
        "pp311",
    )
    for abi in ("none", "abi3", "abi3t", *(f"cp{minor}" for minor in ("37", "37m", "38", "312", "313", "313t", "314")))
) + tuple(f"{python}-none-any" for python in ("cp311", "cp312", "cp313", "py2", "py3", "py31", "py313", "pp311"))


class Uv:
    """The real uv, which resolves for platforms and Pythons that it does not run on."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.environ = for_others(environ)
        self.links = folder / "links"
        self.links.mkdir()

    def put(self, project: str, version: str, tag: str = "py3-none-any") -> None:
        filename, content = make_wheel(project, version, tag=tag)
        (self.links / filename).write_bytes(content)

    def resolve(self, lines: Sequence[str], *, platform: str, python: str) -> dict[str, str]:
        """What is chosen: project and version."""
        (self.folder / "requirements.in").write_text("\n".join(lines), encoding="utf-8")
        target = ("--python-platform", platform, "--python-version", python, "--python", sys.executable)
        source = ("--no-config", "--no-cache", "--no-python-downloads", "--no-index", "--find-links", str(self.links))
        output = ("--quiet", "--no-header", "--no-annotate", "requirements.in")
        done = subprocess.run(
            [_find_uv(), "pip", "compile", *target, *source, *output],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        pairs = (line.partition("==") for line in done.stdout.split())
        return {project: version for project, _, version in pairs}


def _find_uv() -> str:
    try:
        return import_module("uv").find_uv_bin()  # type: ignore[no-any-return]
    except (ImportError, FileNotFoundError):
        skip_or_fail("uv is not installed")


@pytest.fixture
def uv(tmp_path: Path, environ: dict[str, str]) -> Uv:
    return Uv(tmp_path, environ)


def _put_tags(uv: Uv, tags: Sequence[str]) -> dict[str, str]:
    """A project for every tag: version 1 has that tag, version 0 fits everywhere. Project and tag."""
    projects = {f"p{number}": tag for number, tag in enumerate(tags)}
    for project, tag in projects.items():
        uv.put(project, "0")
        uv.put(project, "1", tag)
    return projects


def _is_known_difference(platform: str, tag: str) -> bool:
    """Where uv differs from packaging, and so from pip; no wheel is known that it would matter for.

    macOS's "fat3" is "fat32" in uv. For riscv64, uv begins at glibc 2.31, packaging at 2.17.
    """
    if platform == "x86_64-apple-darwin":
        return "_fat3" in tag
    old = {f"py3-none-{libc}_riscv64" for libc in ("manylinux2014", *(f"manylinux_2_{n}" for n in range(17, 31)))}
    return platform == "riscv64-unknown-linux" and tag in old


def test_platform_tags_are_those_of_uv_when_it_resolves_for_the_same_platform(uv: Uv) -> None:
    projects = _put_tags(uv, [f"py3-none-{platform}" for platform in (*_LINUX_TAGS, *_OTHER_TAGS)])
    for platform in _UV_PLATFORMS:
        chosen = uv.resolve(tuple(projects), platform=platform, python="3.13")
        environment = make_environment("3.13", platform)
        differences = {
            tag
            for project, tag in projects.items()
            if (chosen[project] == "1") != accepts(environment, tag) and not _is_known_difference(platform, tag)
        }
        assert differences == set(), platform
        assert "1" in chosen.values()


@pytest.mark.parametrize("python", ["3.6", "3.7", "3.8", "3.11", "3.12", "3.13", "3.14.1"])
def test_python_tags_are_those_of_uv_when_it_resolves_for_the_same_python(uv: Uv, python: str) -> None:
    projects = _put_tags(uv, _PYTHON_TAGS)
    chosen = uv.resolve(tuple(projects), platform="linux", python=python)
    environment = make_environment(python, "linux")
    assert {tag for project, tag in projects.items() if (chosen[project] == "1") != accepts(environment, tag)} == set()


def test_markers_are_met_as_uv_judges_them_when_it_resolves_for_the_same_environment(uv: Uv) -> None:
    values = {
        "os_name": ("nt", "posix"),
        "sys_platform": ("win32", "linux", "darwin", "emscripten", "android", "ios"),
        "platform_system": ("Windows", "Linux", "Darwin", "Emscripten", "Android", "iOS"),
        "platform_machine": ("x86_64", "AMD64", "x86", "ARM64", "arm64", "aarch64", "wasm32", "riscv64", "i686"),
        "platform_python_implementation": ("CPython", "PyPy"),
        "implementation_name": ("cpython", "pypy"),
        "implementation_version": ("3.13.1", "3.13.2"),
        "python_version": ("3.12", "3.13"),
        "python_full_version": ("3.13.1", "3.13.2"),
    }
    markers = {
        f"m{number}": marker
        for number, marker in enumerate(f"{name} == '{value}'" for name in values for value in values[name])
    }
    for project in markers:
        uv.put(project, "1")
    for platform in _UV_PLATFORMS:
        lines = [f"{project} ; {marker}" for project, marker in markers.items()]
        chosen = uv.resolve(lines, platform=platform, python="3.13.1")
        environment = make_environment("3.13.1", platform)
        assert {project for project in markers if meets_marker(environment, markers[project])} == set(chosen), platform
