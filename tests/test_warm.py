"""A run by an interpreter that was waiting is as ``python -m pymirror`` is; and every verb finds its modules alone."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pymirror.cli import cli
from tests import warm
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import Gate, LocalIndex

ARGUMENTS = {
    "sync": "sync --json",
    "plan": "plan --json",
    "check": "check --no-uv --json",
    "verify": "verify --json",
    "prune": "prune -v",
    "why": "why demo",
    "init": "init -o new.yaml demo",
    "serve": "serve --port 70000",
    "doctor": "doctor ftp://127.0.0.1/",
    "config": "config nginx",
    "schema": "schema",
}


@pytest.fixture
def published(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of one project."""
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    return mirror


def run_cold(mirror: Mirror, *arguments: str) -> tuple[int, str, str]:
    """Code, stdout and stderr of an interpreter that starts anew."""
    done = subprocess.run(
        [sys.executable, "-m", "pymirror", *arguments],
        cwd=mirror.folder,
        env=mirror.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("verb", cli.commands)
def test_a_run_is_the_same_when_the_interpreter_starts_anew(published: Mirror, verb: str) -> None:
    arguments = shlex.split(ARGUMENTS[verb])
    cold = run_cold(published, *arguments)
    (published.folder / "new.yaml").unlink(missing_ok=True)

    run = published.run(*arguments, code=None)

    assert (run.code, run.out, run.err) == cold
    assert "Traceback" not in cold[2]


ENDS = {
    "nothing is said": "print('done', end='')",
    "a number": "raise SystemExit(3)",
    "a number that is too large": "raise SystemExit(300)",
    "no number": "raise SystemExit",
    "a text": "raise SystemExit('no')",
    "an error": "raise ValueError('no')",
    "something is called at exit": "import atexit; atexit.register(print, 'late')",
    "a thread goes on": "import threading; threading.Timer(0.2, print, ['late']).start()",
    "it kills itself": "import os; os.kill(os.getpid(), 15)",
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS)
def test_the_end_is_the_same_when_a_program_ends_so(tmp_path: Path, environ: dict[str, str], program: str) -> None:
    (tmp_path / "told.py").write_text(f"{program}\n")
    cold = subprocess.run(
        [sys.executable, "-m", "told"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )

    done = warm.run([], folder=tmp_path, environ=environ, module="told")

    # Above its last line, a traceback tells who called.
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1:]) == (
        cold.returncode,
        cold.stdout,
        cold.stderr.splitlines()[-1:],
    )


def test_the_hashes_of_two_runs_differ_when_one_follows_the_other(tmp_path: Path, environ: dict[str, str]) -> None:
    """So a page that depends on the order of a set is not the same twice."""
    (tmp_path / "told.py").write_text("print(hash('demo'))\n")

    told = {warm.run([], folder=tmp_path, environ=environ, module="told").stdout for _ in range(2)}

    assert len(told) == 2


def test_a_run_is_killed_when_it_takes_too_long(index: LocalIndex, mirror: Mirror) -> None:
    gate = Gate()
    index.fail("/simple/demo/", gate)
    mirror.write_spec(index, "projects: [demo]")

    with pytest.raises(subprocess.TimeoutExpired):
        mirror.run("sync", timeout=1)

    assert index.requests() == []  # nobody waited for the answer, which is held back
    gate.open()
    mirror.run("schema")
