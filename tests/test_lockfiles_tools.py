"""What the tools really write: their locks of one small project, made once from an index of our own (``lockfiles/``).

The project wants a plain project, one with an extra, one for Windows alone, one with wheels for platforms, a local
one that is editable where the tool can, and groups. ``packages.example.com`` stands for the index, ``/srv/demo`` for
the folder. uv 0.13.8, pip 26.3, pip-tools 7.6.2, Poetry 2.5.1, PDM 2.29.3 and Pipenv 2026.10.3 wrote them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pymirror.lockfiles import Lock, LockFormat, detect_format, list_requirements, read_lockfile
from pymirror.lockfiles.pipenv import NOT_LOCKED
from pymirror.spec.model import Pin, Unservable

FOLDER = Path(__file__).parent / "lockfiles"
LOCKS = sorted(str(path.relative_to(FOLDER).as_posix()) for path in FOLDER.rglob("*") if path.is_file())

BASE_WHEEL = ("demo_base-1.0-py3-none-any.whl", "8dc38ef233bec930ad775683c6dcb5afe98866fca3242f72d4252382df8a7254")
BASE_SDIST = ("demo_base-1.0.tar.gz", "ef1fbba0e35cfe7228a449ff0aef3e76b01be43026fd9403dd8c1bc10a1fe0b7")
NATIVE = {
    "demo_native-3.1.post1-cp311-cp311-manylinux_2_17_x86_64.whl",
    "demo_native-3.1.post1-cp311-cp311-win_amd64.whl",
    "demo_native-3.1.post1-cp312-cp312-macosx_11_0_arm64.whl",
    "demo_native-3.1.post1-cp312-cp312-manylinux_2_17_x86_64.whl",
    "demo_native-3.1.post1.tar.gz",
}
NAMING_FILES = [
    "pdm/pdm.lock",
    "pdm/pylock.toml",
    "pdm/static-urls.lock",
    "poetry/poetry.lock",
    "uv/pylock.toml",
    "uv/uv.lock",
]


def open_nested(path: str) -> bytes:
    return FOLDER.joinpath(path).read_bytes()


def read(name: str) -> Lock:
    return read_lockfile(open_nested(name), file=name, read=open_nested)


def pins_of(name: str, project: str) -> list[Pin]:
    return [pin for pin in read(name).pins if pin.project == project]


def names_of(name: str) -> list[str]:
    """The releases that a lock pins, without ``demo-``."""
    return [f"{pin.project.removeprefix('demo-')}{pin.specifier}" for pin in read(name).pins]


FORMATS = {
    "pdm/pdm.lock": LockFormat.PDM,
    "pdm/pylock.toml": LockFormat.PYLOCK,
    "pdm/static-urls.lock": LockFormat.PDM,
    "pip/pylock.toml": LockFormat.PYLOCK,
    "pipenv/Pipfile.lock": LockFormat.PIPENV,
    "poetry/poetry.lock": LockFormat.POETRY,
    "uv/pylock.toml": LockFormat.PYLOCK,
    "uv/uv.lock": LockFormat.UV,
}


@pytest.mark.parametrize("name", LOCKS)
def test_the_format_is_told_when_the_file_has_its_name_or_another(name: str) -> None:
    expected = FORMATS.get(name, LockFormat.REQUIREMENTS)
    for file in (name, f"/srv/{name}", "locks/renamed.txt", "mine.lock"):
        assert detect_format(open_nested(name), file=file) == expected
    bent = open_nested(name).replace(b"\n", b"\r\n")
    assert detect_format(b"\xef\xbb\xbf" + bent[: len(bent) - 3], file="mine.lock") == expected


@pytest.mark.parametrize("name", [name for name in LOCKS if not name.endswith(".in")])
def test_a_lock_is_read_without_a_problem_when_a_tool_wrote_it(name: str) -> None:
    lock = read(name)
    assert lock.problems == ()
    assert lock.pins
    lines = open_nested(name).decode().splitlines()
    entries: list[Pin | Unservable] = [*lock.pins, *lock.unservable]
    for entry in entries:
        assert entry.origin.file == name
        assert entry.origin.line is not None
        named = "\n".join(lines[entry.origin.line - 1 : entry.origin.line + 1])
        assert entry.project is None or entry.project in named


@pytest.mark.parametrize("name", FORMATS)
def test_a_lock_reads_the_same_when_it_has_windows_line_ends_and_a_mark(name: str) -> None:
    data = b"\xef\xbb\xbf" + open_nested(name).replace(b"\n", b"\r\n")
    assert read_lockfile(data, file=name, read=open_nested) == read(name)


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        (
            "pdm/pdm.lock",
            (
                "base==1.0 cuda==1.0 docs==5.0 extra==2.0 extra==2.0 fast==1.5 lint==4.0 local-dep==1.0 "
                "native==3.1.post1 plain==1.1 win==0.4"
            ),
        ),
        (
            "pdm/pylock.toml",
            (
                "base==1.0 cuda==1.0 docs==5.0 extra==2.0 fast==1.5 lint==4.0 local-dep==1.0 native==3.1.post1 "
                "plain==1.1 win==0.4"
            ),
        ),
        ("pip/pylock.toml", "base==1.0 extra==2.0 fast==1.5 local-dep==1.0 native==3.1.post1 plain==1.1"),
        (
            "pipenv/Pipfile.lock",
            "base==1.0 extra==2.0 fast==1.5 local-dep==1.0 native==3.1.post1 plain==1.1 base==1.0 lint==4.0 docs==5.0",
        ),
        (
            "poetry/poetry.lock",
            (
                "base==1.0 docs==5.0 extra==2.0 fast==1.5 fork==1.0 fork==2.0 lint==4.0 local-dep==1.0 "
                "native==3.1.post1 plain==1.1 win==0.4"
            ),
        ),
        (
            "uv/uv.lock",
            (
                "base==1.0 docs==5.0 extra==2.0 fast==1.5 fork==1.0 fork==2.0 lint==4.0 local-dep==1.0 "
                "native==3.1.post1 plain==1.1 win==0.4"
            ),
        ),
        (
            "uv/pylock.toml",
            (
                "base==1.0 docs==5.0 extra==2.0 fast==1.5 fork==1.0 fork==2.0 lint==4.0 local-dep==1.0 "
                "native==3.1.post1 plain==1.1 win==0.4"
            ),
        ),
        ("pip-tools/dev.txt", "base==1.0 lint==4.0"),
        (
            "uv/compiled.txt",
            "base==1.0 extra==2.0 fast==1.5 local-dep==1.0 native==3.1.post1 plain==1.1 win==0.4",
        ),
    ],
)
def test_every_release_is_pinned_when_a_tool_locked_it(name: str, pinned: str) -> None:
    assert names_of(name) == pinned.split()


@pytest.mark.parametrize("name", NAMING_FILES)
def test_files_are_named_with_their_hashes_when_the_lock_names_them(name: str) -> None:
    (base,) = pins_of(name, "demo-base")
    assert base.hashes == frozenset()
    assert {(file.filename, file.hashes) for file in base.files} == {
        (filename, frozenset({("sha256", digest)})) for filename, digest in (BASE_WHEEL, BASE_SDIST)
    }
    (native,) = pins_of(name, "demo-native")
    assert {file.filename for file in native.files} == NATIVE


def test_one_file_is_named_when_pip_locked_it() -> None:
    (native,) = pins_of("pip/pylock.toml", "demo-native")
    assert [file.filename for file in native.files] == ["demo_native-3.1.post1-cp311-cp311-manylinux_2_17_x86_64.whl"]


@pytest.mark.parametrize(
    "name", ["pip-tools/requirements.txt", "pipenv/Pipfile.lock", "uv/compiled.txt", "uv/requirements.txt"]
)
def test_hashes_are_read_when_the_lock_names_no_files(name: str) -> None:
    base = pins_of(name, "demo-base")[0]
    assert base.files == ()
    assert base.hashes == {("sha256", BASE_WHEEL[1]), ("sha256", BASE_SDIST[1])}
    assert len(pins_of(name, "demo-native")[0].hashes) == 5


@pytest.mark.parametrize("name", ["pdm/pdm.lock", "pdm/pylock.toml", "pdm/static-urls.lock"])
def test_the_file_keeps_its_name_when_the_version_lacks_its_local_part(name: str) -> None:
    (cuda,) = pins_of(name, "demo-cuda")
    assert str(cuda.specifier) == "==1.0"
    assert [file.filename for file in cuda.files] == ["demo_cuda-1.0+cu118-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("name", "project", "markers"),
    [
        ("pdm/pdm.lock", "demo-win", ['sys_platform == "win32"']),
        ("pdm/pylock.toml", "demo-win", ['sys_platform == "win32"']),
        (
            "poetry/poetry.lock",
            "demo-win",
            ['sys_platform == "win32" or sys_platform == "linux" or sys_platform == "linux"'],
        ),
        ("poetry/poetry.lock", "demo-fork", ['python_version == "3.11"', 'python_version >= "3.12"']),
        ("poetry/poetry.lock", "demo-docs", ['extra == "docs"']),
        ("poetry/poetry.lock", "demo-base", [None]),
        ("uv/uv.lock", "demo-fork", ['python_full_version < "3.12"', 'python_full_version >= "3.12"']),
        ("uv/uv.lock", "demo-win", [None]),  # its marker is one of who needs it
        ("uv/pylock.toml", "demo-win", ['sys_platform == "win32"']),
        ("uv/requirements.txt", "demo-fork", ['python_full_version < "3.12"', 'python_full_version >= "3.12"']),
        ("uv/compiled.txt", "demo-win", ['sys_platform == "win32"']),
    ],
)
def test_markers_are_kept_when_the_lock_has_them(name: str, project: str, markers: list[str | None]) -> None:
    assert [pin.marker for pin in pins_of(name, project)] == markers


def test_the_extras_of_the_lock_are_known_when_a_marker_asks_for_one() -> None:
    (docs,) = pins_of("poetry/poetry.lock", "demo-docs")
    assert docs.marker_extras == {"docs"}


@pytest.mark.parametrize("name", ["pdm/pdm.lock", "pip-tools/requirements.txt", "pipenv/Pipfile.lock"])
def test_extras_are_kept_when_the_lock_has_them(name: str) -> None:
    assert [set(pin.extras) for pin in pins_of(name, "demo-extra") if pin.extras] == [{"fast"}]


@pytest.mark.parametrize(
    ("name", "project", "required_by"),
    [
        ("pdm/pdm.lock", "demo-base", "demo-extra demo-lint demo-plain"),
        ("pdm/pdm.lock", "demo-extra", ""),  # though the entry with the extra needs that without
        ("pdm/pdm.lock", "demo-local-dep", "demo-local"),
        ("pdm/pylock.toml", "demo-base", "demo-extra demo-lint demo-plain"),
        ("pip/pylock.toml", "demo-base", ""),
        ("poetry/poetry.lock", "demo-base", "demo-extra demo-lint demo-plain"),
        ("poetry/poetry.lock", "demo-fast", "demo-extra"),
        ("uv/uv.lock", "demo-base", "demo-extra demo-lint demo-plain"),
        ("uv/uv.lock", "demo-fast", "demo-extra"),
        ("uv/uv.lock", "demo-docs", "demo-app"),
        ("uv/uv.lock", "demo-lint", "demo-app"),
        ("uv/requirements.txt", "demo-base", "demo-extra demo-lint demo-plain"),
        ("uv/requirements.txt", "demo-lint", ""),
        ("uv/compiled.txt", "demo-base", "demo-extra demo-plain"),
        ("pip-tools/requirements.txt", "demo-base", "demo-extra demo-plain"),
        ("pip-tools/line.txt", "demo-base", "demo-extra demo-plain"),
        ("pip-tools/dev.txt", "demo-base", "demo-lint"),
        ("pip-tools/base.txt", "demo-base", ""),
    ],
)
def test_who_needs_a_project_is_known_when_the_lock_says_so(name: str, project: str, required_by: str) -> None:
    assert {pin.required_by for pin in pins_of(name, project)} == {tuple(required_by.split())}


@pytest.mark.parametrize(
    ("name", "unservable"),
    [
        ("pdm/pdm.lock", [("demo-local", "an editable project")]),
        ("pdm/pylock.toml", [("demo-local", "not from an index: a local path")]),
        ("pip/pylock.toml", [("demo-local", "not from an index: a local path")]),
        (
            "pipenv/Pipfile.lock",
            [
                ("demo-local", "an editable project"),
                (
                    "demo-win",
                    NOT_LOCKED,
                ),
            ],
        ),
        ("poetry/poetry.lock", [("demo-local", "not from an index: a local path")]),
        ("uv/uv.lock", [("demo-local", "an editable project")]),  # its own project and its member are none
        (
            "uv/pylock.toml",
            [
                ("demo-local", "not from an index: a local path"),
                ("demo-member", "not from an index: a local path"),
            ],
        ),
        ("uv/requirements.txt", [(None, "an editable project")] * 2),
        ("uv/compiled.txt", [(None, "an editable project")]),
        ("pip-tools/requirements.txt", [(None, "an editable project")]),
        ("pip-tools/dev.txt", []),
    ],
)
def test_an_entry_is_named_when_no_index_can_serve_it(name: str, unservable: list[tuple[str | None, str]]) -> None:
    assert [(each.project, each.problem) for each in read(name).unservable] == unservable


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pdm/pdm.lock", "demo-local"),
        ("uv/compiled.txt", "-e ./libs/demo-local"),
        ("pip-tools/line.txt", "-e file:///srv/demo/libs/demo-local"),
    ],
)
def test_the_text_of_an_entry_is_kept_for_ignore_when_no_index_can_serve_it(name: str, line: str) -> None:
    assert [each.line for each in read(name).unservable] == [line]


def test_requirements_are_listed_when_a_person_wrote_them() -> None:
    name = "pip-tools/requirements.in"
    assert [each.text for each in list_requirements(open_nested(name), file=name, read=open_nested)] == [
        "demo-plain",
        "demo-extra[fast]",
        'demo-win ; sys_platform == "win32"',
        "demo-native",
    ]


def test_a_constraint_is_followed_when_a_person_wrote_it() -> None:
    name = "pip-tools/dev.in"
    (lint,) = list_requirements(open_nested(name), file=name, read=open_nested)
    assert (lint.text, str(lint.origin)) == ("demo-lint", f"{name}:2")
