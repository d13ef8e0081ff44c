"""The command as people and cron jobs meet it: options, streams, colours and exit codes."""

from __future__ import annotations

import importlib.metadata
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, Gate, LocalIndex

VERBS = ("sync", "plan", "verify", "prune")
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(?:3[0-8]|4[0-8]|9[0-7])[0-9;]*m")


@pytest.fixture
def published(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of one project."""
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    return mirror


# ── usage ───────────────────────────────────────────────────────────────────────────────────────────


def test_version_is_that_of_the_distribution(mirror: Mirror) -> None:
    assert mirror.run("--version").out == f"pymirror {importlib.metadata.version('pymirror')}\n"


def test_help_names_every_verb_and_every_exit_code(mirror: Mirror) -> None:
    out = mirror.run("--help").out

    for word in (*VERBS, "why", "init", "schema", "0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "130 ", "143 "):
        assert word in out
    assert mirror.run("-h").out == out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_names_the_spec_and_the_common_options(mirror: Mirror, verb: str) -> None:
    out = mirror.run(verb, "--help").out

    for word in ("SPEC", "--json", "--quiet", "--verbose"):
        assert word in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("snyc",),
        ("sync", "--no-such-option"),
        ("sync", "a.yaml", "b.yaml"),
        ("sync", "-q", "-v"),
        ("plan", "--grace=1h"),
    ],
    ids=" ".join,
)
def test_bad_usage_is_2(index: LocalIndex, mirror: Mirror, arguments: tuple[str, ...]) -> None:
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.run(*arguments, code=2)

    assert run.out == ""
    assert "Usage: pymirror" in run.err or "-q and -v exclude each other" in run.err
    assert not mirror.tree.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_missing_spec_is_2_and_nothing_is_made(mirror: Mirror, verb: str) -> None:
    run = mirror.run(verb, code=2)

    assert "mirror.yaml: cannot be read: No such file or directory" in run.err
    assert run.out == ""
    assert list(mirror.folder.iterdir()) == []


@pytest.mark.parametrize("verb", ["sync", "plan"])
def test_a_spec_that_is_no_file_is_2(mirror: Mirror, verb: str) -> None:
    os.mkfifo(mirror.folder / "pipe.yaml")  # which would be read for ever

    mirror.run(verb, "pipe.yaml", code=2, timeout=10)
    mirror.run(verb, ".", code=2)


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_spec_is_2_with_every_problem_and_nothing_is_made(mirror: Mirror, verb: str) -> None:
    mirror.spec.write_text("output: mirror\nproject: [demo]\nprojects: ['demo >>1']\n")

    run = mirror.run(verb, code=2)

    assert "mirror.yaml:2: " in run.err
    assert "mirror.yaml:3: projects[0]" in run.err
    assert not mirror.tree.exists()


def test_output_is_relative_to_the_spec_and_not_to_the_caller(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    (mirror.folder / "elsewhere").mkdir()
    mirror.spec.rename(mirror.folder / "elsewhere" / "my.yaml")

    mirror.run("sync", "elsewhere/my.yaml")

    assert (mirror.folder / "elsewhere" / "mirror" / "simple" / "demo" / "index.html").is_file()
    assert not mirror.tree.exists()


def test_a_disk_that_refuses_is_an_error_and_no_traceback(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.tree.mkdir()
    (mirror.tree / ".pymirror").write_text("a file where the folder should be")

    run = mirror.sync(code=1)

    assert "error: " in run.err
    assert (mirror.tree / ".pymirror").read_text() == "a file where the folder should be"


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_goes_to_stdout_but_data(published: Mirror) -> None:
    assert published.run("sync").out == ""
    assert published.run("prune").out == ""
    plan = published.run("plan")
    assert "demo" in plan.out
    assert plan.err == ""


@pytest.mark.parametrize("verb", ["sync", "verify", "prune"])
def test_quiet_is_silent_on_success(published: Mirror, verb: str) -> None:
    run = published.run(verb, "-q")

    assert (run.out, run.err) == ("", "")


def test_quiet_tells_of_errors(index: LocalIndex, published: Mirror) -> None:
    index.fail_always("/simple/demo/", Answer(404))
    assert "failed: demo" in published.run("sync", "-q", code=1).err
    (published.tree / "links.html").unlink()
    assert "links.html" in published.run("verify", "-q", code=5).out


def test_verbose_lists_every_failure_and_normal_the_first(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    names = [f"missing{number:02}" for number in range(25)]
    mirror.write_spec(index, f"projects: [demo, {', '.join(names)}]", network="connections: 4")

    normal = mirror.sync(code=1).err
    verbose = mirror.sync("-v", "--json", code=1)

    assert normal.count("failed: missing") == 20
    assert "and 5 more" in normal
    assert verbose.err.count("failed: missing") == 25
    assert [failure["project"] for failure in verbose.json["failures"]] == names


@pytest.mark.parametrize("verb", VERBS)
def test_json_is_one_document_on_stdout(published: Mirror, verb: str) -> None:
    run = published.run(verb, "--json")

    assert run.json["command"] == verb
    assert run.json["exit-code"] == 0
    assert run.json["output"] == "mirror"
    assert not any("_" in key for key in run.json)


def test_json_tells_what_failed(index: LocalIndex, published: Mirror) -> None:
    index.fail_always("/simple/missing/", Answer(404))
    published.write_spec(index, "projects: [demo, missing]")

    for verb in ("plan", "sync"):
        report = published.run(verb, "--json", code=1).json
        assert report["exit-code"] == 1
        assert [failure["what"] for failure in report["failures"]] == ["missing"]


@pytest.mark.parametrize("verb", VERBS)
def test_json_tells_of_an_error_too(mirror: Mirror, verb: str) -> None:
    mirror.spec.write_text("output: mirror\nprojcts: [demo]\n")

    run = mirror.run(verb, "--json", code=2)

    assert run.json["exit-code"] == 2
    assert 'unknown key "projcts"' in run.json["error"]


def test_plan_shows_whole_names_when_its_output_is_piped(index: LocalIndex, mirror: Mirror) -> None:
    name = "-".join(["a-rather-long-name"] * 6)
    index.add(make_sdist(name, "1.0"), project=name)
    mirror.write_spec(index, f"projects: [{name}]")

    assert name in mirror.run("plan").out


# ── plan writes nothing ─────────────────────────────────────────────────────────────────────────────


def test_plan_makes_no_folder(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.run("plan", "--json")

    assert run.json["downloads"] == 1
    assert run.json["download-size"] == len(index.entries[0].data)
    assert not mirror.tree.exists()
    assert index.requests("/packages/") == []


def test_plan_touches_nothing(index: LocalIndex, published: Mirror) -> None:
    index.add(make_wheel("demo", "2.0"))
    before = published.content()

    run = published.run("plan", "--json")

    assert run.json["projects"][0]["added"] == ["demo-2.0-py3-none-any.whl"]
    assert published.content() == before


def test_plan_touches_nothing_when_there_is_something_to_mend(published: Mirror) -> None:
    published.find("demo-1.0-py3-none-any.whl.metadata").unlink()
    before = published.content()

    published.run("plan")

    assert published.content() == before


# ── terminals ───────────────────────────────────────────────────────────────────────────────────────


def _run_on_terminal(mirror: Mirror, gate: Gate, **environ: str) -> str:
    """What a person sees of a sync that waits for its first file for a moment."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-m", "pymirror", "sync"],
        cwd=mirror.folder,
        env={name: value for name, value in mirror.environ.items() if name != "NO_COLOR"} | environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        gate.wait_for(1)
        time.sleep(0.3)  # a bar is drawn ten times a second
        gate.open()
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not data:
                break
            seen += data
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return seen.decode()


def _prepare(index: LocalIndex, mirror: Mirror) -> Gate:
    gate = Gate()
    index.fail(index.add(make_sdist("demo", "1.0")).path, gate)
    mirror.write_spec(index, "projects: [demo]")
    return gate


def test_a_terminal_gets_a_bar_with_colour(index: LocalIndex, mirror: Mirror) -> None:
    seen = _run_on_terminal(mirror, _prepare(index, mirror), TERM="xterm-256color")

    assert "downloading" in seen
    assert "\u2501" in seen
    assert COLOUR.search(seen)


def test_a_terminal_gets_a_bar_without_colour_when_asked_for_none(index: LocalIndex, mirror: Mirror) -> None:
    seen = _run_on_terminal(mirror, _prepare(index, mirror), TERM="xterm-256color", NO_COLOR="1")

    assert "downloading" in seen
    assert not COLOUR.search(seen)


def test_a_pipe_gets_neither_bar_nor_colour(index: LocalIndex, mirror: Mirror) -> None:
    del mirror.environ["NO_COLOR"]
    mirror.environ["TERM"] = "xterm-256color"
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo, missing]")

    for verb in VERBS[::-1]:
        run = mirror.run(verb, code=None)
        assert "\x1b" not in run.out + run.err
        assert "\r" not in run.out + run.err


def test_a_pipe_gets_colour_when_it_is_asked_for(index: LocalIndex, mirror: Mirror) -> None:
    del mirror.environ["NO_COLOR"]
    mirror.environ |= {"TERM": "xterm-256color", "FORCE_COLOR": "1"}
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo, missing]")

    assert COLOUR.search(mirror.sync(code=1).err)


# ── the start ───────────────────────────────────────────────────────────────────────────────────────


def _list_read(mirror: Mirror, *arguments: str) -> set[str]:
    """The packages, and the modules of ours, that ``pymirror ARGUMENTS`` reads; most of its time goes there."""
    unmeasured = {name: value for name, value in mirror.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pymirror", *arguments],
        cwd=mirror.folder,
        env=unmeasured,  # coverage would read modules of its own
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    names = re.findall(r"^import time: .*\| +([\w.]+)$", done.stderr, re.MULTILINE)
    return {name if name.startswith("pymirror.") else name.partition(".")[0] for name in names}


def test_a_refresh_reads_little_when_nothing_is_new(published: Mirror) -> None:
    read = _list_read(published, "sync")

    assert {"click", "msgspec", "packaging", "yaml", "http", "pymirror.wire.direct"} <= read
    assert read & {"httpx", "rich", "tenacity", "truststore", "unearth", "resolvelib", "asyncio", "selectolax"} == set()
    late = {"default_index", "metadata_source", "roots", "selection.select", "simple.parse_html", "wire.proxied"}
    assert read & {f"pymirror.{name}" for name in late} == set()


def test_help_reads_no_more_than_it_says(mirror: Mirror) -> None:
    read = _list_read(mirror, "--help")

    assert {"click", "pymirror.cli"} <= read
    assert read & {"msgspec", "packaging", "yaml", "http", "email", "hashlib", "ssl", "pymirror.commands"} == set()


def test_a_name_is_told_when_the_locale_cannot_write_it(environ: dict[str, str]) -> None:
    program = """
from pymirror.running import guard

def start(terminal, stop):
    terminal.tell("caf\u00e9")
    return 0

guard(start, quiet=False, verbose=False, as_json=False)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "caf\\xe9\n", "")


# ── a reader that went away ─────────────────────────────────────────────────────────────────────────


def _run_without_reader(mirror: Mirror, *arguments: str, has_stderr: bool) -> subprocess.CompletedProcess[bytes]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-m", "pymirror", *arguments],
            cwd=mirror.folder,
            env=mirror.environ,
            stdout=writing,
            stderr=subprocess.PIPE if has_stderr else writing,
            timeout=30,
            check=False,
        )
    finally:
        os.close(writing)


def test_a_reader_that_goes_away_causes_no_traceback(published: Mirror) -> None:
    for arguments in ("plan", "plan --json", "sync", "sync --json", "verify", "prune -n"):
        done = _run_without_reader(published, *arguments.split(), has_stderr=True)

        assert done.returncode in (0, 1), arguments
        for word in (b"Traceback", b"Exception ignored", b"BrokenPipe"):
            assert word not in done.stderr, arguments
    published.run("verify")


@pytest.mark.parametrize("arguments", ["plan --json", "verify", "sync", "prune -n"])
def test_the_exit_code_is_one_of_ours_when_nobody_reads_anything(published: Mirror, arguments: str) -> None:
    done = _run_without_reader(published, *arguments.split(), has_stderr=False)

    assert done.returncode in (0, 1)


def test_an_interrupt_leaves_no_traceback_while_the_modules_are_read(environ: dict[str, str]) -> None:
    """A KeyboardInterrupt that nobody catches yet would be Python's own traceback."""
    program = """if True:
        import signal, sys
        from importlib.abc import MetaPathFinder

        class Interrupting(MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name == "click":
                    signal.raise_signal(signal.SIGINT)

        sys.meta_path.insert(0, Interrupting())
        from importlib.metadata import entry_points
        (script,) = entry_points(group="console_scripts", name="pymirror")
        script.load()()
    """
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""


def test_python_warns_of_no_marker_when_a_backslash_is_in_it(index: LocalIndex, mirror: Mirror) -> None:
    """Python 3.12 and newer warn of it unasked; the markers are the spec's and those of a wheel's metadata."""
    odd = r"sys_platform == '\d\400'"
    index.add(make_wheel("demo", "1.0", requires=[f"other ; {odd}"]))
    mirror.write_spec(
        index,
        "dependencies: true\nenvironments: {python: ['3.12'], platform: [linux]}\n"
        f"projects:\n  - demo\n  - demo ; {odd}",
    )
    mirror.environ["PYTHONWARNINGS"] = "default"
    with mirror.started("sync") as process:
        _, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert "escape" not in err
    assert mirror.filenames("demo") == ["demo-1.0-py3-none-any.whl"]
