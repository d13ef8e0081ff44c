"""Files that are read anywhere within: many of them at once, of which few are open."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pymirror.positioned import PositionedFile
from tests.archives import make_sdist
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.servers import for_others

MANY = 80
"""So many files, and fewer descriptors than that."""

_OPEN = Path("/proc/self/fd")
has_descriptors = pytest.mark.skipif(not _OPEN.is_dir(), reason="the system does not list what is open")


def count_open() -> int:
    return sum(1 for _ in _OPEN.iterdir())


def make_files(folder: Path) -> list[Path]:
    paths = [folder / f"{number:03}" for number in range(MANY)]
    for path in paths:
        path.write_bytes(b"-" * 7 + path.name.encode())
    return paths


@has_descriptors
def test_few_files_are_open_when_many_are_read_in_turn(tmp_path: Path) -> None:
    paths = make_files(tmp_path)
    before = count_open()

    files = [PositionedFile(path) for path in paths]

    for file, path in [*zip(files, paths, strict=True)] * 2:
        assert file.read(7, 10) == path.name.encode()
        assert count_open() < before + MANY // 2
    del files, file
    assert count_open() <= before


@has_descriptors
def test_a_file_is_read_to_its_end_when_it_is_kept_and_its_name_goes(tmp_path: Path) -> None:
    first, *others = make_files(tmp_path)
    kept = PositionedFile(first, is_kept=True)
    first.unlink()

    files = [PositionedFile(path) for path in others]

    assert [file.read(7, 3) for file in files] == [path.name.encode() for path in others]
    assert kept.read(0, 10) == b"-------000"


def test_each_reads_its_own_file_when_many_threads_read_many(tmp_path: Path) -> None:
    paths = make_files(tmp_path)
    files = [PositionedFile(path) for path in paths]
    wrong: list[tuple[int, bytes]] = []

    def read(start: int) -> None:
        for step in range(5 * MANY):
            number = (start + step * 7) % MANY
            found = files[number].read(7, 3)
            if found != paths[number].name.encode():
                wrong.append((number, found))

    threads = [threading.Thread(target=read, args=(11 * start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


@has_descriptors
@pytest.mark.parametrize("command", [["prune", "--grace", "60d"], ["sync"]], ids=["prune", "sync"])
def test_a_run_has_enough_descriptors_when_there_are_more_snapshots_than_those(
    index: LocalIndex, mirror: Mirror, command: list[str]
) -> None:
    """As of a mirror that is synced every hour; where it is not recorded which one is current, all are looked at."""
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    snapshots = mirror.tree / ".pymirror" / "snapshots"
    (first,) = snapshots.glob("*.json")
    for number in range(2, MANY + 2):
        shutil.copy(first, snapshots / f"{number:06}.json")
    current = snapshots / "current"
    current.write_text(f"{MANY + 1:06}\n")
    if command == ["sync"]:
        current.unlink()
    program = f"""
import os, resource
from pymirror.cli import main
amount = len(os.listdir('/proc/self/fd')) + {MANY // 2}
resource.setrlimit(resource.RLIMIT_NOFILE, (amount, amount))
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=mirror.folder,
        env=for_others(mirror.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, "Too many" in done.stderr) == (0, False), done.stderr
    assert mirror.filenames("demo") == ["demo-1.0.tar.gz"]
