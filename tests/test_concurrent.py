"""Several at once: runs, a prune, and readers who must never see anything half."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Self

import pytest

from pymirror.workers import Stop, run_ordered
from tests.conftest import Mirror
from tests.crash import assert_whole, make_change
from tests.index import LocalIndex


class Reader:
    """Reads the list, every page and every file, again and again, as a client does."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read_all)
        self.rounds = 0
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _read_all(self) -> None:
        while not self._end.is_set():
            self._read_list()
            self.rounds += 1

    def _read_list(self) -> None:
        listed = [project["name"] for project in json.loads(self._read("simple/index.v1_json"))["projects"]]
        assert self._read("simple/index.html").endswith(b"</html>\n")
        for project in listed:
            try:
                page = json.loads(self._read(f"simple/{project}/index.v1_json"))
            except FileNotFoundError:
                now = json.loads(self._read("simple/index.v1_json"))["projects"]
                if {"name": project} in [{"name": each["name"]} for each in now]:
                    self.problems.append(f"{project} is listed and has no page")
                continue
            except ValueError as error:
                self.problems.append(f"{project}: {error}")
                continue
            for file in page["files"]:
                self._check_file(project, file)

    def _check_file(self, project: str, file: dict[str, object]) -> None:
        try:
            data = self._read(os.path.normpath(f"simple/{project}/{file['url']}"))  # as a client does, not the disk
        except FileNotFoundError:
            self.problems.append(f"{file['filename']} is listed and not there")
            return
        if {"sha256": hashlib.sha256(data).hexdigest()} != file["hashes"]:
            self.problems.append(f"{file['filename']} is not what its page says")

    def _read(self, name: str) -> bytes:
        return (self._tree / name).read_bytes()


def test_a_reader_sees_whole_pages_and_every_file_when_runs_and_prunes_go_on(index: LocalIndex, mirror: Mirror) -> None:
    make_change(index, mirror)
    new = mirror.spec.read_text()
    specs = [new, new.replace("[demo, kept]", "[other]"), new.replace("[demo, kept]", "[kept, demo, other]")]

    with Reader(mirror.tree) as one, Reader(mirror.tree) as other:
        for number in range(6):
            mirror.spec.write_text(specs[number % 3])
            mirror.sync("--allow-shrink")
            mirror.run("prune", "--grace", "1 h")

    assert one.problems == other.problems == []
    assert min(one.rounds, other.rounds) > 6


def test_one_runs_and_the_others_end_at_once_when_several_are_started_together(
    index: LocalIndex, mirror: Mirror
) -> None:
    make_change(index, mirror)
    with (
        mirror.started("sync") as one,
        mirror.started("sync") as two,
        mirror.started("prune") as three,
        mirror.started("verify") as four,
    ):
        codes = [process.wait(60) for process in (one, two, three, four)]

    assert 0 in codes
    assert set(codes) <= {0, 3}
    assert_whole(mirror)
    mirror.sync()
    mirror.run("verify")


@pytest.mark.parametrize("threads", [2, 8])
def test_nothing_is_written_any_more_when_the_work_has_ended_in_an_error(threads: int) -> None:
    """The lock is given back then, and another run may begin."""
    begun, steps = threading.Event(), []

    def work(item: int) -> None:
        if item == 0:
            begun.wait(10)
            raise OSError("the disk is full")
        for step in range(20):
            begun.set()
            threading.Event().wait(0.002)
            steps.append(step)

    stop = Stop()
    with pytest.raises(OSError, match="full"):
        list(run_ordered(range(threads), work, threads=threads, stop=stop))
    at_the_end = len(steps)
    for thread in threading.enumerate():
        if thread.name.startswith("pymirror-"):
            thread.join()

    assert len(steps) == at_the_end > 0
