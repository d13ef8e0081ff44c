"""What every test may use: an index on loopback, and a mirror that is made from it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.index import LocalIndex

_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")


@pytest.fixture(scope="session", autouse=True)
def interpreters() -> Iterator[None]:
    """Those that run the command; their coverage is there when that of the tests is added up."""
    warm.measure()
    yield
    warm.end()


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that no test has seen. Most tests need no `tmp_path`, which takes longer the more there are."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def environ(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment as on a fresh machine: an empty HOME, no settings of pip, uv, proxies or certificates."""
    home = next(homes)
    home.mkdir()
    clean = {name: os.environ[name] for name in os.environ if name in _KEPT_VARIABLES or name.startswith("COVERAGE_")}
    clean |= {"HOME": str(home), "PIP_CONFIG_FILE": os.devnull, "NO_COLOR": "1"}
    for name in list(os.environ):
        if name not in clean and not name.startswith("PYTEST"):
            monkeypatch.delenv(name)
    for name, value in clean.items():
        monkeypatch.setenv(name, value)
    return clean


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    """An index that speaks JSON and HTML, with validators."""
    with LocalIndex() as local:
        yield local


@dataclass(frozen=True)
class Run:
    """A finished ``pymirror`` process."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Mirror:
    """A folder with a spec, and the real command run on it."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.tree = folder / "mirror"
        self.environ = dict(environ)

    @property
    def spec(self) -> Path:
        return self.folder / "mirror.yaml"

    def write_spec(self, index: LocalIndex | str, body: str, *, network: str = "retries: 2") -> None:
        """``body`` is YAML beside output, upstreams and network."""
        url = index if isinstance(index, str) else index.url
        self.spec.write_text(
            f"output: mirror\nupstreams: [{{name: local, url: '{url}'}}]\nnetwork: {{{network}}}\n{body}\n",
            encoding="utf-8",
        )

    def run(self, *arguments: str, code: int | None = 0, timeout: float = 60) -> Run:
        """``pymirror ARGUMENTS`` in the folder; with ``code``, it must exit so."""
        done = warm.run(arguments, folder=self.folder, environ=self.environ, timeout=timeout)
        assert "Traceback" not in done.stderr, done.stderr
        if code is not None:
            assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Run(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """``pymirror ARGUMENTS`` while it runs; killed at the end where it is not over by then."""
        with subprocess.Popen(
            [sys.executable, "-m", "pymirror", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def sync(self, *arguments: str, code: int | None = 0) -> Run:
        return self.run("sync", *arguments, code=code)

    def page(self, project: str) -> Any:
        """The project's JSON page."""
        return json.loads((self.tree / "simple" / project / "index.v1_json").read_text())

    def filenames(self, project: str) -> list[str]:
        return [file["filename"] for file in self.page(project)["files"]]

    def projects(self) -> list[str]:
        listing = json.loads((self.tree / "simple" / "index.v1_json").read_text())
        return [project["name"] for project in listing["projects"]]

    def pool(self) -> list[str]:
        """The file names in the pool, metadata among them."""
        return sorted(path.name for path in (self.tree / "packages").rglob("*") if path.is_file())

    def find(self, filename: str) -> Path:
        """Where the pool keeps the one file that is called so."""
        (path,) = (self.tree / "packages").rglob(filename)
        return path

    def content(self) -> dict[str, tuple[str, int, int]]:
        """Every file of the tree, the private folder too: digest, time and inode, to see what a run touched."""
        return {
            path.relative_to(self.tree).as_posix(): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
                path.stat().st_ino,
            )
            for path in sorted(self.tree.rglob("*"))
            if path.is_file()
        }

    def published(self) -> dict[str, str]:
        """Every file that is served, and its digest."""
        return {name: state[0] for name, state in self.content().items() if not name.startswith(".pymirror/")}


@pytest.fixture
def mirror(tmp_path: Path, environ: dict[str, str]) -> Mirror:
    """An empty folder to mirror into."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Mirror(folder, environ)
