"""``flat: true``: a folder of all files, as further names of those in the pool."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pymirror.commands.ports import Ports
from pymirror.commands.sync import sync
from pymirror.layout import LINKS_PAGE
from pymirror.progress import NoProgress
from pymirror.spec.load import load_spec
from pymirror.storage.interface import Stat
from pymirror.storage.local import LocalStorage
from pymirror.workers import Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex

FLAT = "flat: true\nprojects: [demo]"


def names(mirror: Mirror) -> list[str]:
    return sorted(path.name for path in (mirror.tree / "flat").iterdir())


def fill(index: LocalIndex) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    index.add(make_wheel("demo", "2.0"), yanked="broken")


def test_sync_links_every_file_that_is_not_yanked_when_the_spec_says_flat(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, f"yanked: include\n{FLAT}")
    mirror.sync()
    assert names(mirror) == ["demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"]
    for name in names(mirror):
        assert (mirror.tree / "flat" / name).samefile(mirror.find(name))
    before = mirror.content()
    mirror.sync()
    assert mirror.content() == before
    mirror.run("verify")


def test_sync_makes_no_folder_when_the_spec_does_not_say_flat(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    assert not (mirror.tree / "flat").exists()


def test_sync_unlinks_what_left_the_index_when_it_did(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, FLAT)
    mirror.sync()
    mirror.write_spec(index, f"package-types: [sdist]\n{FLAT}")
    mirror.sync()
    assert names(mirror) == ["demo-1.0.tar.gz"]
    assert mirror.find("demo-1.0-py3-none-any.whl").exists()


def test_sync_takes_its_links_away_and_nothing_else_when_flat_is_taken_back(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, FLAT)
    mirror.sync()
    (mirror.tree / "flat" / "own.txt").write_text("the user's")
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    assert names(mirror) == ["own.txt"]


def test_sync_refuses_when_a_folder_of_that_name_was_there_before_the_mirror(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    (mirror.tree / "flat").mkdir(parents=True)
    (mirror.tree / "flat" / "own.txt").write_text("the user's")
    mirror.write_spec(index, FLAT)
    assert "flat/own.txt" in mirror.sync(code=2).err
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    assert names(mirror) == ["own.txt"]


def test_sync_refuses_when_a_folder_of_that_name_came_before_flat_did(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    (mirror.tree / "flat").mkdir()
    (mirror.tree / "flat" / "own.txt").write_text("the user's")
    before = mirror.content()
    mirror.write_spec(index, FLAT)
    err = mirror.sync(code=2).err
    assert "flat/own.txt" in err
    assert "flat: false" in err
    assert mirror.content() == before


class KilledAfterThePages(LocalStorage):
    """The pages for installers are in place, and then the process is gone."""

    def adopt(self, temporary: Path, name: str) -> Stat:
        stat = super().adopt(temporary, name)
        if name == LINKS_PAGE:
            raise KeyboardInterrupt
        return stat


def test_sync_takes_its_links_away_when_the_run_that_should_have_was_killed(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, FLAT)
    mirror.sync()
    index.add(make_wheel("demo", "3.0"))
    mirror.write_spec(index, "projects: [demo]")
    spec = load_spec(mirror.spec, read=Path.read_bytes, environ={})
    storage = KilledAfterThePages(mirror.tree)
    ports = Ports(storage=storage, environ=os.environ, progress=NoProgress(), stop=Stop(), now=datetime.now(UTC))
    with pytest.raises(KeyboardInterrupt):
        sync(spec, ports, allow_shrink=False)
    assert names(mirror)
    mirror.sync()
    assert not (mirror.tree / "flat").exists()


@pytest.mark.parametrize("lost", [".pymirror", ".pymirror/state"])
def test_sync_takes_its_links_away_when_the_record_is_lost(index: LocalIndex, mirror: Mirror, lost: str) -> None:
    fill(index)
    mirror.write_spec(index, FLAT)
    mirror.sync()
    shutil.rmtree(mirror.tree / lost)
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    assert not (mirror.tree / "flat").exists()


_WITHOUT_LINKS = """
import errno, os, shutil, sys
def link(*_, **__): raise OSError(errno.EPERM, "no links here")
os.link = link
def copy_half(source, target, *_):
    target.write(source.read()[:100]); target.flush(); os._exit(137)
if sys.argv.pop() == "killed":
    shutil._fastcopy_sendfile = shutil.copyfileobj = copy_half
from pymirror.cli import main
main()
"""


def test_no_half_file_is_offered_when_the_disk_has_no_links_and_the_run_is_killed(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, FLAT)
    for way, code in (("killed", 137), ("whole", 0)):
        command = [sys.executable, "-c", _WITHOUT_LINKS, "sync", way]
        assert subprocess.run(command, cwd=mirror.folder, env=mirror.environ, check=False).returncode == code
        offered = [path.read_bytes() for path in (mirror.tree / "flat").glob("*")]
        assert offered == ([] if code else [mirror.find("demo-1.0-py3-none-any.whl").read_bytes()])
    before = mirror.content()
    mirror.sync()
    assert mirror.content() == before


@pytest.mark.parametrize("damage", ["gone", "other bytes", "foreign", "a folder"])
def test_verify_finds_and_sync_mends_when_the_folder_is_not_right(
    index: LocalIndex, mirror: Mirror, damage: str
) -> None:
    fill(index)
    mirror.write_spec(index, FLAT)
    mirror.sync()
    link = mirror.tree / "flat" / "demo-1.0.tar.gz"
    if damage == "foreign":
        (mirror.tree / "flat" / "own.txt").write_text("not the mirror's")
    else:
        link.unlink()
    if damage == "other bytes":
        link.write_bytes(b"other")
    if damage == "a folder":
        link.mkdir()
    assert "flat/" in mirror.run("verify", code=5).out
    mirror.sync()
    mirror.run("verify")
    assert names(mirror) == ["demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"]
    assert link.samefile(mirror.find("demo-1.0.tar.gz"))


def test_pip_installs_from_the_folder_when_it_is_given_to_find_links(
    index: LocalIndex, mirror: Mirror, tmp_path: Path
) -> None:
    fill(index)
    mirror.write_spec(index, FLAT)
    mirror.sync()
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", "mirror/flat", "demo"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    subprocess.run(
        [*command, "--target", str(tmp_path / "target")], cwd=mirror.folder, env=environ, check=True, timeout=120
    )
    assert (tmp_path / "target" / "demo-1.0.dist-info").exists()
