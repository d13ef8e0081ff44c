"""The end of a run's time, ``stop-after``: what is complete is published, and the rest is left for the next run."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pymirror.commands.ports import Ports
from pymirror.commands.report import SyncReport, Unfinished
from pymirror.commands.sync import sync
from pymirror.errors import ExitCode, InterruptedRunError, OutOfTimeError
from pymirror.limits import BATCH_PROJECTS
from pymirror.progress import NoProgress
from pymirror.spec.load import load_spec
from pymirror.storage.local import LocalStorage
from pymirror.workers import Deadline, Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, Gate, Handler, LocalIndex, Respond

HOUR = 3600.0
ONE = "connections: 1, retries: 2"


@dataclass
class Clock:
    """A monotonic clock that goes on when it is told to."""

    now: float = 50.0

    def __call__(self) -> float:
        return self.now

    def end(self, _handler: object = None) -> None:
        """The time of the run is over: as an answer of the index, with the right one after it."""
        self.now += 2 * HOUR


class Told(NoProgress):
    """What is said while it goes on."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(message)


@dataclass
class Bench:
    """A mirror with an hour for each run, by a clock of its own."""

    index: LocalIndex
    mirror: Mirror
    clock: Clock = field(default_factory=Clock)
    told: Told = field(default_factory=Told)

    def write(self, body: str, *, network: str = ONE) -> None:
        self.mirror.write_spec(self.index, f"{body}\nstop-after: 1h", network=network)

    def sync(self) -> SyncReport:
        spec = load_spec(self.mirror.spec, read=Path.read_bytes, environ={})
        ports = Ports(
            storage=LocalStorage(self.mirror.tree),
            environ=os.environ,
            progress=self.told,
            stop=Stop(clock=self.clock),
            now=datetime.now(UTC),
        )
        return sync(spec, ports, allow_shrink=False)

    def publish(self, body: str = "projects: [aa, bb, cc]") -> None:
        """Three projects, and then a new release of each upstream."""
        for name in ("aa", "bb", "cc"):
            self.index.add(make_wheel(name, "1.0"))
        self.write(body)
        assert self.sync().exit_code is ExitCode.OK
        for name in ("aa", "bb", "cc"):
            self.index.add(make_wheel(name, "2.0"))
        self.index.forget()

    def versions(self) -> dict[str, list[str]]:
        return {name: [file.split("-")[1] for file in self.mirror.filenames(name)] for name in self.mirror.projects()}

    def paths(self) -> list[str]:
        """The ends of what was asked for."""
        return [request.path.rstrip("/").rpartition("/")[2] for request in self.index.requests()]


@pytest.fixture
def bench(index: LocalIndex, mirror: Mirror) -> Bench:
    return Bench(index, mirror)


OLD, BOTH = ["1.0"], ["1.0", "2.0"]


# ── where the time ends ─────────────────────────────────────────────────────────────────────────────


def test_all_is_done_when_there_is_time_enough(bench: Bench) -> None:
    bench.publish()
    bench.clock.now += HOUR - 1  # between two runs, which counts for neither

    report = bench.sync()

    assert (report.exit_code, report.unfinished) == (ExitCode.OK, Unfinished())
    assert bench.versions() == {"aa": BOTH, "bb": BOTH, "cc": BOTH}


def test_projects_stay_as_they_were_when_the_time_ends_while_pages_are_read(bench: Bench) -> None:
    bench.publish()
    bench.index.fail("/simple/bb/", bench.clock.end)

    report = bench.sync()

    assert bench.paths() == ["aa", "bb"]  # neither the page of cc nor the file of aa
    assert report.unfinished == Unfinished(projects=2, files=1)
    assert (report.exit_code, report.failures, report.removed) == (ExitCode.INCOMPLETE, (), 0)
    assert bench.versions() == {"aa": OLD, "bb": OLD, "cc": OLD}


def test_what_is_complete_is_published_when_the_time_ends_while_files_are_fetched(bench: Bench) -> None:
    bench.publish()
    entry = next(entry for entry in bench.index.entries if entry.filename.startswith("bb-2.0"))
    bench.index.fail(entry.path, bench.clock.end)

    report = bench.sync()

    assert report.unfinished == Unfinished(files=2)
    assert (report.exit_code, report.failures) == (ExitCode.INCOMPLETE, ())
    assert bench.versions() == {"aa": BOTH, "bb": OLD, "cc": OLD}
    assert bench.paths() == ["aa", "bb", "cc", "aa-2.0-py3-none-any.whl", "bb-2.0-py3-none-any.whl"]


def test_the_next_run_goes_on_when_the_time_of_one_was_over(bench: Bench) -> None:
    bench.publish()
    bench.index.fail("/simple/bb/", bench.clock.end)
    bench.sync()

    report = bench.sync()

    assert (report.exit_code, report.unfinished) == (ExitCode.OK, Unfinished())
    assert bench.versions() == {"aa": BOTH, "bb": BOTH, "cc": BOTH}
    before = bench.mirror.content()
    assert bench.sync().is_unchanged
    assert bench.mirror.content() == before


def test_what_is_excluded_goes_also_when_there_is_no_time_for_the_page(bench: Bench) -> None:
    bench.publish()
    bench.index.fail("/simple/aa/", bench.clock.end)
    bench.write("projects: [aa, bb, cc]\nexclude: ['cc ==1.0']")

    bench.sync()

    assert bench.versions() == {"aa": OLD, "bb": OLD}


def test_later_batches_are_not_asked_for_and_stay_when_the_time_is_over(bench: Bench) -> None:
    names = [f"p{number:03}" for number in range(BATCH_PROJECTS + 40)]
    for name in names:
        bench.index.add(make_sdist(name, "1.0"))
    bench.write("projects: ['*']\npages: false\nlegacy-json: false\nmax-removal: 0", network="connections: 2")
    bench.sync()
    published = bench.mirror.published()
    bench.index.forget()
    bench.index.fail("/simple/p005/", bench.clock.end)

    report = bench.sync()

    assert len(bench.paths()) < 20
    assert report.unfinished.projects >= len(names) - 10
    assert (report.projects, report.removed, report.failures) == (len(names), 0, ())
    assert bench.mirror.published() == published


def test_nothing_is_taken_for_gone_when_there_is_no_time_for_the_list(bench: Bench) -> None:
    bench.publish("projects: ['*']")
    bench.index.fail("/simple/", bench.clock.end)

    report = bench.sync()

    assert report.unfinished == Unfinished(projects=3)
    assert bench.versions() == {"aa": OLD, "bb": OLD, "cc": OLD}


# ── what is under way ───────────────────────────────────────────────────────────────────────────────


def test_a_page_that_does_not_come_is_ended_and_is_no_failure_of_its_server(bench: Bench) -> None:
    names = [f"p{number}" for number in range(12)]  # more than it takes to give a server up
    gate = Gate()
    for name in names:
        bench.index.add(make_wheel(name, "1.0"))
        bench.index.fail(f"/simple/{name}/", gate, Answer(500))
    bench.write(f"projects: [{', '.join(names)}]", network="retries: 0")
    reports: list[SyncReport] = []
    thread = threading.Thread(target=lambda: reports.append(bench.sync()), daemon=True)
    thread.start()
    gate.wait_for(len(names))

    bench.clock.end()
    thread.join(30)

    assert [report.unfinished for report in reports] == [Unfinished(projects=len(names))]
    assert reports[0].failures == ()
    assert bench.told.lines == []
    gate.open()


def test_a_retry_is_not_waited_for_when_the_time_is_over(bench: Bench) -> None:
    bench.publish("projects: [aa]")

    def refuse(_handler: object) -> Answer:
        bench.clock.end()
        return Answer(503, b"", {"Retry-After": "299"})

    bench.index.fail("/simple/aa/", refuse)

    report = bench.sync()

    assert bench.paths() == ["aa"]
    assert (report.unfinished, report.failures) == (Unfinished(projects=1), ())


BIG = 4 * 1024 * 1024


def cut_by(bench: Bench, gate: Gate) -> Respond:
    """The first half of the file; when some of it is on the disk the time is over, and no more comes."""
    folder = bench.mirror.tree / ".pymirror" / "partial"

    def answer(handler: Handler) -> Answer:
        entry = next(entry for entry in handler.server.index.entries if entry.path == handler.path)

        def send() -> Iterator[bytes]:
            head = f'Content-Length: {len(entry.data)}\r\nETag: "{_tag(entry.data)}"'
            yield f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode()
            yield entry.data[: BIG // 2]
            for _ in range(1000):
                if any(path.stat().st_size > BIG // 4 for path in folder.iterdir()):
                    break
                time.sleep(0.02)
            bench.clock.end()
            gate(None)

        return Answer(raw=send())

    return answer


def _tag(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def test_a_download_is_gone_on_with_by_a_later_run(bench: Bench) -> None:
    """The run between them does not even come to its project, and leaves it alone."""
    entry = bench.index.add(make_wheel("zz", "1.0", files={"zz/data.bin": os.urandom(BIG)}))
    bench.index.add(make_wheel("aa", "1.0"))
    bench.write("projects: [aa, zz]")
    gate = Gate()
    bench.index.fail(entry.path, cut_by(bench, gate))
    report = bench.sync()
    gate.open()
    assert report.unfinished == Unfinished(files=1)
    assert bench.mirror.projects() == ["aa"]
    bench.index.fail("/simple/aa/", bench.clock.end)
    assert bench.sync().unfinished == Unfinished(projects=1)
    bench.index.forget()

    report = bench.sync()

    assert report.exit_code is ExitCode.OK
    (request,) = bench.index.requests(entry.path)
    assert request.status == 206
    assert bench.mirror.projects() == ["aa", "zz"]


# ── what is decided as a whole ──────────────────────────────────────────────────────────────────────

SOLVED = "environments: {python: ['3.12'], platform: [linux]}\ndependencies: true\nprojects: [app]"


def list_pages(mirror: Mirror) -> dict[str, Any]:
    return {name: page for name, page in mirror.published().items() if not name.startswith("packages/")}


@pytest.mark.parametrize("where", ["/simple/lib/", "/simple/app/", "lib-2.0"])
def test_all_stays_when_the_time_ends_before_the_dependencies_are_known(bench: Bench, where: str) -> None:
    for version in ("1.0", "2.0"):
        bench.index.add(make_wheel("app", version, requires=[f"lib =={version}"]))
        bench.index.add(make_wheel("lib", version))
    new = [entry for entry in bench.index.entries if "-2.0" in entry.filename]
    bench.index.entries = [entry for entry in bench.index.entries if entry not in new]
    bench.write(SOLVED)
    assert bench.sync().exit_code is ExitCode.OK
    before = list_pages(bench.mirror)
    bench.index.entries += new
    path = next(entry.path for entry in new if entry.project == "lib") if where == "lib-2.0" else where
    bench.index.fail(path, bench.clock.end)

    report = bench.sync()

    assert bench.versions() == {"app": OLD, "lib": OLD}
    assert (report.exit_code, report.failures, report.removed) == (ExitCode.INCOMPLETE, (), 0)
    assert report.unfinished
    assert list_pages(bench.mirror) == before  # with what each is wanted by
    bench.clock.now += 1
    assert bench.sync().exit_code is ExitCode.OK
    assert bench.versions() == {"app": BOTH, "lib": ["2.0"]}


def test_nothing_is_said_of_sizes_or_provenance_when_there_was_no_time_to_ask_for_them(bench: Bench) -> None:
    bench.index.tells_sizes = False
    for number in range(8):
        entry = bench.index.add(make_wheel("aa", f"{number}.0"), provenance=b"{}")
        bench.index.fail(f"HEAD {entry.path}", bench.clock.end)
    bench.write("projects: [aa]\nmax-file-size: 1 GB")

    report = bench.sync()

    assert bench.told.lines == []
    assert report.failures == ()
    assert report.unfinished == Unfinished(files=8)


# ── on the command line ─────────────────────────────────────────────────────────────────────────────


def test_the_report_says_in_one_line_what_is_left(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("aa", "1.0"))
    index.add(make_wheel("bb", "1.0"))
    mirror.write_spec(index, "projects: [aa, bb]")
    mirror.sync()
    published = mirror.published()
    mirror.write_spec(index, "projects: [aa, bb]\nstop-after: 0.001 s")

    run = mirror.sync("-q", code=1)

    assert run.err.splitlines() == ["the time of stop-after was over: 2 projects and 0 files are left for the next run"]
    report = mirror.sync("--json", code=1).json
    assert (report["unfinished"], report["failures"]) == ({"projects": 2, "files": 0}, [])
    assert mirror.published() == published
    mirror.run("plan")


# ── the clock ───────────────────────────────────────────────────────────────────────────────────────


def _is_over(work: Callable[[], object]) -> bool:
    try:
        work()
    except OutOfTimeError:
        return True
    return False


def test_the_time_is_counted_from_when_the_command_began() -> None:
    clock = Clock()
    stop = Stop(clock=clock)
    clock.now += 40
    timed = stop.within(60)

    assert not _is_over(timed.check)
    clock.now += 19.9
    assert not _is_over(timed.check)
    clock.now += 0.1
    assert _is_over(timed.check)
    assert _is_over(lambda: timed.sleep(1000))
    stop.check()
    assert stop.within(None) is stop


def test_the_end_of_the_run_comes_before_the_end_of_its_time() -> None:
    clock = Clock()
    stop = Stop(clock=clock)
    timed = stop.within(60)
    clock.now += 100
    timed.set()

    for each in (stop, timed):
        with pytest.raises(InterruptedRunError):
            each.check()
        with pytest.raises(InterruptedRunError):
            each.sleep(1000)


def test_a_deadline_moves_with_what_is_waited_for_and_not_beyond_the_time_of_the_run() -> None:
    clock = Clock()
    stop = Stop(clock=clock).within(60)
    deadline = Deadline(10, stop=stop)
    clock.now += 10
    assert (deadline.is_over, deadline.must_end) == (True, True)
    deadline.extend(100)
    assert (deadline.is_over, deadline.must_end) == (False, False)
    clock.now += 50
    assert (deadline.is_over, deadline.must_end) == (False, True)
