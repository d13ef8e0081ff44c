"""What the benchmarks stand on, without any time: the index that they make, the line that is slow, and their tables."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.measure import look_at, run
from benchmarks.tables import GOALS, Row, render_results, replace_between
from benchmarks.upstream import PRESETS, Upstream, make_upstream
from benchmarks.web import SCENARIOS, MissingProgramError, Site, find_program, serve
from tests.conftest import Mirror
from tests.servers import for_others, skip_or_fail

ROOT = Path(__file__).parent.parent
TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    return make_upstream(tmp_path_factory.mktemp("upstream"), TINY)


@pytest.fixture(scope="module")
def site(upstream: Upstream) -> Iterator[Site]:
    for program in ("nginx", "openssl"):
        try:
            find_program(program)
        except MissingProgramError as error:
            skip_or_fail(str(error))
    with serve(upstream.folder) as running:
        yield running


def _run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=for_others(environ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


# ── the index that is made ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("has_pattern", [False, True], ids=["names", "pattern"])
def test_made_index_is_mirrored_when_a_hundredth_changes(
    upstream: Upstream, site: Site, mirror: Mirror, has_pattern: bool
) -> None:
    """With a pattern, the serials of the list say which page is to be asked for."""
    wanted = '"*"' if has_pattern else ", ".join(upstream.projects)
    mirror.write_spec(f"{site.urls['plain']}simple/", f"projects: [{wanted}]")
    files = list(upstream.files())
    first = {file.filename for file in files if file.state == 0}
    since = site.log.stat().st_size
    mirror.sync()

    assert {name for project in upstream.projects for name in mirror.filenames(project)} == first
    assert len(first) == TINY.files
    assert site.count(since) == {"page": TINY.projects + has_pattern, "file": TINY.files, "failed": 0}

    upstream.switch(1)
    since = site.log.stat().st_size
    try:
        mirror.sync()
    finally:
        upstream.switch(0)

    assert {name for project in upstream.projects for name in mirror.filenames(project)} == {f.filename for f in files}
    assert len(files) == TINY.files + TINY.changed * TINY.files_per_release
    assert site.count(since)["file"] == len(files) - len(first)


def test_pages_are_those_of_the_accepted_format_when_asked_for_again(upstream: Upstream, site: Site) -> None:
    url = f"{site.urls['plain']}simple/{upstream.projects[0]}/"
    types = set()
    for accepted in ("application/vnd.pypi.simple.v1+json", "text/html"):
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accepted})) as answer:
            etag = answer.headers["ETag"]
            types.add((accepted, answer.headers["Content-Type"]))
        again = urllib.request.Request(url, headers={"Accept": accepted, "If-None-Match": etag})
        with pytest.raises(urllib.error.HTTPError, match="304") as unchanged:
            urllib.request.urlopen(again)
        unchanged.value.close()

    assert all(accepted == kind for accepted, kind in types)


def test_bytes_are_the_same_when_an_index_is_made_again(upstream: Upstream, tmp_path: Path) -> None:
    manifest = (upstream.folder / "files.jsonl").read_bytes()
    make_upstream(tmp_path / "again", TINY)
    make_upstream(tmp_path / "other", TINY, seed=2)

    assert (tmp_path / "again" / "files.jsonl").read_bytes() == manifest
    assert (tmp_path / "other" / "files.jsonl").read_bytes() != manifest
    for page in (upstream.folder / "pages").iterdir():
        assert page.read_bytes() == (tmp_path / "again" / "pages" / page.name).read_bytes()


def test_an_index_is_made_once_when_its_preset_stays(tmp_path: Path) -> None:
    manifest = make_upstream(tmp_path / "made", TINY).folder / "files.jsonl"
    before = manifest.stat().st_mtime_ns
    make_upstream(tmp_path / "made", TINY)
    assert manifest.stat().st_mtime_ns == before

    make_upstream(tmp_path / "made", TINY, seed=2)
    assert manifest.stat().st_mtime_ns != before


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_files_are_whole_when_the_line_is_slow(upstream: Upstream, site: Site, scenario: str) -> None:
    file = max(upstream.files(), key=lambda file: file.size)
    context = ssl.create_default_context(cafile=site.ca) if scenario.startswith("tls") else None
    with urllib.request.urlopen(f"{site.urls[scenario]}{file.path}", context=context) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == file.sha256


# ── the tables ──────────────────────────────────────────────────────────────────────────────────────


def _row(tool: str, wall_seconds: float, *, requests: int = 2050, wrote: list[str] | None = None) -> Row:
    return Row(
        preset="small",
        scenario="plain",
        tool=tool,
        phase="refresh" if wrote is not None else "cold",
        round=0,
        wall_seconds=wall_seconds,
        cpu_seconds=1,
        peak_bytes=50_000_000,
        requests=requests,
        needed=2050,
        failed=0,
        wrote=wrote,
    )


def _verdicts(rows: list[Row]) -> dict[str, str]:
    lines = [line.strip("| ").split(" | ") for line in render_results(rows).splitlines() if line.startswith("| ")]
    return {cells[0]: cells[-1] for cells in lines if cells[0] in {goal.title for goal in GOALS}}


def test_a_goal_is_met_when_the_ratio_of_the_rounds_is_within_it() -> None:
    title = next(goal.title for goal in GOALS if goal.limit == 2 and "plain" in goal.title)
    rounds = [_row("curl", 1), _row("pymirror", 1.9), _row("curl", 4), _row("pymirror", 7.9)]
    slower = [_row("curl", 1), _row("pymirror", 2.5), _row("curl", 4), _row("pymirror", 7.9)]

    assert _verdicts(rounds)[title] == "met"
    assert _verdicts(slower)[title] == "missed"
    assert _verdicts(rounds[::2])[title] == "not measured"


def test_a_goal_is_missed_when_a_run_asks_or_writes_too_much() -> None:
    requests, written = (goal.title for goal in GOALS if goal.limit == 0)
    good = _verdicts([_row("pymirror", 1), _row("pymirror", 1, wrote=[])])
    bad = _verdicts([_row("pymirror", 1, requests=2051), _row("pymirror", 1, wrote=[".pymirror/lock"])])

    assert (good[requests], good[written]) == ("met", "met")
    assert (bad[requests], bad[written]) == ("missed", "missed")


def test_the_rest_of_a_page_stays_when_a_table_is_put_in() -> None:
    page = "above\n<!-- made by x -->\nold\n<!-- end of x -->\nbelow\n"

    assert replace_between(page, "x", "new") == "above\n<!-- made by x -->\n\nnew\n<!-- end of x -->\nbelow\n"
    with pytest.raises(ValueError, match="are not there"):
        replace_between(page, "y", "new")


def test_performance_page_has_a_place_for_every_table() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    makers = ["whole", "hot", "http_clients", "profile cold", "profile refresh", "profile plan"]

    for maker in makers:
        assert "\nnew\n" in replace_between(page, f"benchmarks.{maker}", "new")


# ── what is measured ────────────────────────────────────────────────────────────────────────────────


def test_a_write_is_seen_when_a_file_came_and_went(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x")
    before = look_at(tmp_path)
    assert look_at(tmp_path) == before

    (tmp_path / "folder" / "temporary").touch()
    (tmp_path / "folder" / "temporary").unlink()
    assert {name for name, _ in before.items() ^ look_at(tmp_path).items()} == {"folder"}


def test_memory_is_that_of_the_whole_tree_when_a_child_takes_it(tmp_path: Path, environ: dict[str, str]) -> None:
    child = "import time; kept = bytearray(b'x') * 200_000_000; time.sleep(1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    usage = run([[sys.executable, "-c", parent]], folder=tmp_path, environ=for_others(environ), output=tmp_path / "out")

    assert usage.code == 0
    assert usage.peak_bytes > 200_000_000


def test_no_more_is_run_when_a_command_fails(tmp_path: Path, environ: dict[str, str]) -> None:
    commands = [
        [sys.executable, "-c", "print('first'); raise SystemExit(3)"],
        [sys.executable, "-c", "print('second')"],
    ]
    usage = run(commands, folder=tmp_path, environ=for_others(environ), output=tmp_path / "out")

    assert usage.code == 3
    assert (tmp_path / "out").read_text() == "first\n"


# ── the programs ────────────────────────────────────────────────────────────────────────────────────


def test_whole_runs_are_measured_when_it_is_quick(site: Site, tmp_path: Path, environ: dict[str, str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- made by benchmarks.whole -->\n<!-- end of benchmarks.whole -->\n", encoding="utf-8")
    tools = "pymirror,curl" if shutil.which("curl") else "pymirror"
    options = ["--quick", "--scenario", "plain", "--tool", tools, "--folder", str(tmp_path), "--write", str(page)]
    _run(environ, "benchmarks.whole", *options)
    text = page.read_text(encoding="utf-8")

    assert "**`tiny`, plain**" in text
    needed = TINY.projects + TINY.files
    assert text.count(f"| {needed} ({needed}) |") == len(tools.split(","))
    assert "requests of a cold run beyond one per project and file | 0 | 0 | met |" in text


def test_every_way_brings_all_bytes_when_clients_are_compared(
    site: Site, tmp_path: Path, environ: dict[str, str]
) -> None:
    options = ["--preset", "tiny", "--files", "20", "--threads", "2", "--rounds", "1", "--folder", str(tmp_path)]
    done = _run(environ, "benchmarks.http_clients", *options, "--scenario", "tls")

    assert "20 files" in done.stdout
    assert done.stderr.count("round 0, 2 at a time") >= 9


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="cProfile knows one thread at a time from Python 3.12 on")
def test_all_threads_are_seen_when_a_run_is_profiled(site: Site, tmp_path: Path, environ: dict[str, str]) -> None:
    done = _run(
        environ, "benchmarks.profile", "cold", "--preset", "tiny", "--largest", "500", "--folder", str(tmp_path)
    )

    assert "| sockets and TLS | " in done.stderr  # only the threads have any
    assert "| reading modules | " in done.stderr  # and this only the first


def test_hot_functions_do_their_work_when_they_are_not_timed(environ: dict[str, str]) -> None:
    is_there = importlib.util.find_spec("pytest_benchmark") is not None
    options = ["-q", "-p", "no:cacheprovider", *["--benchmark-disable"] * is_there]

    assert " passed" in _run(environ, "pytest", "benchmarks/test_hot.py", *options).stdout
