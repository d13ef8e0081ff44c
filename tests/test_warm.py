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
