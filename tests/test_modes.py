"""``file-mode`` and ``folder-mode``: what is made has them, and ``verify`` judges by them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.test_spec import load_line, problems_of

BODY = "flat: true\nprojects: [demo]"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _served(mirror: Mirror) -> list[Path]:
    return [mirror.tree, *(path for path in mirror.tree.rglob("*") if ".pymirror" not in path.parts)]


def _modes(mirror: Mirror, *, folders: bool) -> set[int]:
    return {_mode(path) for path in _served(mirror) if path.is_dir() == folders}


def _change_modes(mirror: Mirror, files: int, folders: int) -> None:
    for path in _served(mirror):
        path.chmod(folders if path.is_dir() else files)


@pytest.fixture
def filled(index: LocalIndex) -> LocalIndex:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    return index


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize(
    ("files", "folders"), [(0o640, 0o750), (0o644, 0o2755), (0o660, 0o2770), (0o600, 0o700), (0o664, 0o775)]
)
def test_everything_has_the_modes_of_the_spec_when_it_says_them(
    filled: LocalIndex, mirror: Mirror, files: int, folders: int, umask: int
) -> None:
    mirror.write_spec(filled, f'{BODY}\nfile-mode: "{files:04o}"\nfolder-mode: "{folders:04o}"')
    before = os.umask(umask)
    try:
        for version in ("2.0", "3.0"):
            with mirror.started("sync") as process:  # which has the umask of this process
                assert process.wait(60) == 0
            filled.add(make_wheel("demo", version))
    finally:
        os.umask(before)

    assert _modes(mirror, folders=False) == {files}
    assert _modes(mirror, folders=True) == {folders}
    assert _mode(mirror.tree / ".pymirror") == 0o700
    mirror.run("verify")
    mirror.run("verify", "mirror")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give a folder any group")
def test_everything_has_the_group_of_the_folder_when_the_mode_has_setgid(filled: LocalIndex, mirror: Mirror) -> None:
    mirror.tree.mkdir()
    os.chown(mirror.tree, -1, 12345)
    mirror.write_spec(filled, f'{BODY}\nfile-mode: "0640"\nfolder-mode: "2750"')
    mirror.sync()

    assert {path.stat().st_gid for path in _served(mirror)} == {12345}


def test_other_modes_are_told_and_mended_when_the_spec_changes_them(filled: LocalIndex, mirror: Mirror) -> None:
    mirror.write_spec(filled, BODY)
    mirror.sync()
    filled.add(make_wheel("demo", "2.0"))
    mirror.write_spec(filled, f'{BODY}\nfile-mode: "0640"\nfolder-mode: "2750"')
    mirror.sync()

    assert _mode(mirror.find("demo-2.0-py3-none-any.whl")) == 0o640
    assert _mode(mirror.tree / "simple" / "demo" / "index.html") == 0o640
    old = mirror.find("demo-1.0-py3-none-any.whl").relative_to(mirror.tree)
    told = mirror.run("verify", code=5).out
    assert f"{old}: the mode is 0644, not 0640" in told
    assert "packages: the mode is 0755, not 2750" in told
    mirror.run("verify", "--repair")
    mirror.run("verify")
    assert _modes(mirror, folders=False) == {0o640}
    assert _modes(mirror, folders=True) - {_mode(mirror.tree)} == {0o2750}


def test_modes_are_mended_at_once_when_the_spec_was_changed_since_the_last_run(
    filled: LocalIndex, mirror: Mirror
) -> None:
    mirror.write_spec(filled, BODY)
    mirror.sync()
    mirror.write_spec(filled, f'{BODY}\nfile-mode: "0640"')
    before = mirror.published()
    mirror.run("verify", "--repair")

    assert _modes(mirror, folders=False) == {0o640}
    assert mirror.published() == before
    mirror.run("verify")


def test_files_of_a_copy_are_no_damage_when_a_later_run_adds_others(filled: LocalIndex, mirror: Mirror) -> None:
    """As after a copy by a user whose umask is 002."""
    mirror.write_spec(filled, BODY)
    mirror.sync()
    _change_modes(mirror, 0o664, 0o775)
    filled.add(make_wheel("demo", "2.0"))
    mirror.sync()

    assert _modes(mirror, folders=False) == {0o664, 0o644}
    mirror.run("verify")


@pytest.mark.parametrize(("mode", "is_told"), [(0o664, True), (0o646, True), (0o600, True), (0o644, False)])
def test_any_other_mode_is_damage_when_the_spec_says_one(
    filled: LocalIndex, mirror: Mirror, mode: int, is_told: bool
) -> None:
    mirror.write_spec(filled, f'{BODY}\nfile-mode: "0644"\nfolder-mode: "0755"')
    mirror.sync()
    (mirror.tree / "links.html").chmod(mode)

    told = mirror.run("verify", code=5 if is_told else 0).out
    assert (f"links.html: the mode is {mode:04o}, not 0644" in told) == is_told


def test_modes_of_all_files_are_damage_when_the_spec_says_others(filled: LocalIndex, mirror: Mirror) -> None:
    mirror.write_spec(filled, f'{BODY}\nfile-mode: "0640"')
    mirror.sync()
    _change_modes(mirror, 0o644, 0o755)

    assert "links.html: the mode is 0644, not 0640" in mirror.run("verify", code=5).out


# ── the spec ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "files", "folders"),
    [
        ("pages: true", None, None),
        ('file-mode: "0640"', 0o640, None),
        ("file-mode: '640'", 0o640, None),
        ('folder-mode: "750"', None, 0o750),
        ('folder-mode: "2755"', None, 0o2755),
        ('{file-mode: "0600", folder-mode: "0700"}', 0o600, 0o700),
    ],
)
def test_modes_are_read_when_they_are_text(line: str, files: int | None, folders: int | None) -> None:
    if line.startswith("{"):
        line = line.strip("{}").replace(", ", "\n")
    site = load_line(line).site

    assert (site.file_mode, site.folder_mode) == (files, folders)


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("file-mode: 0640", 'expected text, got "0640"', 'put it in quotes: "0640"'),
        ("file-mode: 640", 'expected text, got "640"', 'put it in quotes: "640"'),
        ("folder-mode: 0o750", '"0o750" is not a mode', '"0750"'),
        ('file-mode: "u=rw"', '"u=rw" is not a mode', '"0640"'),
        ('file-mode: "0648"', '"0648" is not a mode', '"0640"'),
        ('file-mode: "64"', '"64" is not a mode', '"0640"'),
        ('file-mode: "٦٤٠"', "is not a mode", '"0640"'),
        ('file-mode: "2640"', '"2640" is not a mode', '"0640"'),
        ('folder-mode: "1755"', '"1755" is not a mode', '"0750"'),
        ('file-mode: "0440"', '"0440" does not let the owner read and write them', '"0640"'),
        ('folder-mode: "0650"', '"0650" does not let the owner read, write and enter them', '"0750"'),
    ],
)
def test_a_mode_is_refused_when_it_is_none_or_shuts_the_owner_out(line: str, message: str, hint: str) -> None:
    (problem,) = problems_of(f"output: tree\nprojects: [demo]\n{line}\n")

    assert problem.key == line.partition(":")[0]
    assert message in problem.message
    assert hint in (problem.hint or "")
