"""Which wheel of a release an environment likes best: packaging, the real pip and the real uv are asked the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from packaging import tags as packaging_tags
from packaging.tags import Tag

from pymirror.environment import Environment, find_tags, make_environment, rank_tags
from tests.archives import make_wheel
from tests.servers import for_others, skip_or_fail

PLATFORMS = ("linux", "x86_64-unknown-linux-musl", "macos", "x86_64-apple-darwin", "windows", "wasm32-pyodide2025")


def ranked(environment: Environment) -> list[Tag]:
    """The tags of ``environment``, the best first, as their numbers tell."""
    ranks = rank_tags(environment)
    assert sorted(ranks.values()) == list(range(len(ranks)))
    return sorted(ranks, key=lambda tag: ranks[tag])


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="tags of CPython are compared")
def test_tags_are_in_the_order_of_the_running_interpreter_when_its_platform_is_named() -> None:
    running = list(packaging_tags.sys_tags())
    threads = "t" if running[0].abi.endswith("t") else ""
    platform = next(tag.platform for tag in running if not tag.platform.startswith("linux"))
    environment = make_environment(f"{sys.version_info[0]}.{sys.version_info[1]}{threads}", platform)
    assert ranked(environment) == running


@pytest.mark.parametrize("python", ["2.7", "3.7", "3.12", "3.12.4", "3.13t", "3.15t", "pypy2.7", "pypy3.10"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_tag_has_a_rank_when_it_is_installed(python: str, platform: str) -> None:
    environment = make_environment(python, platform)
    assert frozenset(ranked(environment)) == find_tags(environment)


@pytest.mark.parametrize(
    ("python", "platform", "tags"),
    [
        (
            "3.12",
            "linux",
            (
                "cp312-cp312-linux_x86_64 cp312-cp312-manylinux_2_28_x86_64 cp312-cp312-manylinux_2_17_x86_64 "
                "cp312-cp312-manylinux2014_x86_64 cp312-cp312-manylinux_2_5_x86_64 cp312-abi3-manylinux_2_28_x86_64 "
                "cp312-none-manylinux_2_28_x86_64 cp311-abi3-manylinux_2_28_x86_64 cp37-abi3-manylinux_2_28_x86_64 "
                "py312-none-manylinux_2_28_x86_64 py3-none-manylinux_2_28_x86_64 cp312-none-any py312-none-any "
                "py3-none-any py311-none-any py30-none-any"
            ),
        ),
        (
            "3.13t",
            "macos",
            (
                "cp313-cp313t-macosx_13_0_arm64 cp313-cp313t-macosx_13_0_universal2 cp313-cp313t-macosx_12_0_arm64 "
                "cp313-cp313t-macosx_11_0_universal2 cp313-cp313t-macosx_10_16_universal2 cp313-none-macosx_13_0_arm64 "
                "py3-none-any"
            ),
        ),
        (
            "pypy3.10",
            "windows",
            (
                "pp310-pypy310_pp73-win_amd64 pp310-none-win_amd64 py310-none-win_amd64 py3-none-win_amd64 "
                "pp310-none-any pp3-none-any py310-none-any py3-none-any"
            ),
        ),
        ("2.7", "linux", "cp27-cp27mu-linux_x86_64 cp27-cp27m-linux_x86_64 cp27-none-linux_x86_64 py2-none-any"),
    ],
)
def test_what_is_more_special_is_liked_better_when_several_wheels_fit(python: str, platform: str, tags: str) -> None:
    ranks = rank_tags(make_environment(python, platform))
    numbers = [ranks[Tag(*text.split("-"))] for text in tags.split()]
    assert numbers == sorted(set(numbers))


# ── the real pip, the real uv ───────────────────────────────────────────────────────────────────────


def put_pairs(links: Path, tags: Sequence[Tag]) -> dict[str, Tag]:
    """A project for each tag but the last: it has a wheel of that tag, and one of the next. Project and better tag."""
    links.mkdir()
    projects = {}
    for number, pair in enumerate(pairwise(tags)):
        projects[f"p{number}"] = pair[0]
        for tag in pair:
            filename, content = make_wheel(f"p{number}", "1", tag=str(tag))
            (links / filename).write_bytes(content)
    return projects


def run(command: Sequence[str], environ: dict[str, str]) -> None:
    done = subprocess.run(command, env=for_others(environ), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def find_uv() -> str:
    try:
        return import_module("uv").find_uv_bin()  # type: ignore[no-any-return]
    except (ImportError, FileNotFoundError):
        skip_or_fail("uv is not installed")


def is_ranked_otherwise_by_uv(tag: Tag) -> bool:
    """For uv, "linux_x86_64" is the worst of all, for packaging since 26.3 the best; uv has "fat32" for "fat3"."""
    return tag.platform.startswith("linux_") or tag.platform.endswith("_fat3")


def is_old_manylinux(tag: Tag) -> bool:
    return tag.platform.startswith("manylinux") and not tag.platform.startswith("manylinux_")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_wheel_is_that_of_uv_when_two_fit(platform: str, tmp_path: Path, environ: dict[str, str]) -> None:
    tags = [tag for tag in ranked(make_environment("3.13", platform)) if not is_ranked_otherwise_by_uv(tag)]
    sample = tags[:: len(tags) // 60 + 1]
    projects = put_pairs(tmp_path / "links", sample)
    target = ("--python-platform", platform, "--python-version", "3.13", "--python", sys.executable)
    source = ("--no-config", "--no-cache", "--no-python-downloads", "--no-index", "--find-links", tmp_path / "links")
    run(
        [
            find_uv(),
            *map(str, ("pip", "install", "--target", tmp_path / "out", "--no-deps", *target, *source, *projects)),
        ],
        environ,
    )
    wheels = {project: (tmp_path / "out" / f"{project}-1.dist-info" / "WHEEL").read_text() for project in projects}
    assert [str(tag) for project, tag in projects.items() if f"Tag: {tag}\n" not in wheels[project]] == []
    assert len(projects) >= 20


@pytest.mark.parametrize(
    ("python", "platform", "words"),
    [
        ("3.12", "linux", "--python-version 312 --implementation cp --abi cp312"),
        ("3.13t", "linux", "--python-version 313 --implementation cp --abi cp313t"),
        ("3.12", "macos", "--python-version 312 --implementation cp --abi cp312"),
        ("3.12", "windows", "--python-version 312 --implementation cp --abi cp312"),
        ("pypy3.10", "linux", "--python-version 310 --implementation pp --abi pypy310_pp73"),
    ],
)
def test_the_wheel_is_that_of_pip_when_two_fit(
    python: str, platform: str, words: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    environment = make_environment(python, platform)
    # pip has no pp3-none-any, and takes the old names of manylinux for the older ones too.
    tags = [tag for tag in ranked(environment) if str(tag) != "pp3-none-any" and not is_old_manylinux(tag)]
    projects = put_pairs(tmp_path / "links", tags[:: len(tags) // 60 + 1])
    platforms = dict.fromkeys(tag.platform for tag in tags if tag.platform != "any")
    target = [*words.split(), *(word for name in platforms for word in ("--platform", name))]
    source = ("--isolated", "--no-cache-dir", "--disable-pip-version-check", "--no-index", "--only-binary", ":all:")
    folders = ("--find-links", str(tmp_path / "links"), "--dest", str(tmp_path / "out"))
    run([sys.executable, "-m", "pip", "download", "--no-deps", *target, *source, *folders, *projects], environ)
    expected = {f"{project}-1-{tag}.whl" for project, tag in projects.items()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
