"""The real pip and the real uv install from a real tree, in every way that it can be reached, its upstream gone."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, LocalIndex
from tests.servers import (
    Logged,
    Nginx,
    for_others,
    read_nginx_blocks,
    serve_with_nginx,
    serve_with_python,
    skip_or_fail,
)

# A request to anything but loopback goes to a proxy that is not there.
_LOOPBACK_ONLY = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1"),
}

# Without Cache-Control, a client takes a page to be fresh for a tenth of its age.
LONG_AGO = 1_600_000_000

_SPEC = """
projects:
  - app
  - base
  - speed
  - picky
  - legacy
  - newer
  - yank
  - yank ==1.1
  - tensor
  - Odd.Name_x
"""


# ── the tree ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Tree:
    """A finished mirror whose upstream is gone; ``sha256`` is of each file as upstream had it."""

    folder: Path
    sha256: dict[str, str]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "home").mkdir()
    kept = {
        name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START", "COVERAGE_FILE") if name in os.environ
    }
    mirror = Mirror(folder, kept | {"HOME": str(folder / "home"), "PIP_CONFIG_FILE": os.devnull})
    with LocalIndex() as index:
        _fill(index)
        mirror.write_spec(index, _SPEC)
        mirror.sync()
        sha256 = {entry.filename: hashlib.sha256(entry.data).hexdigest() for entry in index.entries}
    return Tree(mirror.tree, sha256)


def _fill(index: LocalIndex) -> None:
    index.add(make_wheel("app", "1.0", requires=["base>=1", "speed; extra == 'fast'"], extras=["fast"]))
    index.add(make_wheel("base", "1.0"))
    index.add(make_wheel("base", "2.0"))
    index.add(make_wheel("speed", "1.0"))
    index.add(make_wheel("picky", "1.0", requires=["speed"]))
    index.add(make_wheel("picky", "2.0", requires=["base>=99"]))  # cannot be met
    index.add(make_sdist("legacy", "1.0"))
    index.add(make_wheel("newer", "1.0"))
    index.add(make_wheel("newer", "2.0", requires_python=">=3.99"), requires_python=">=3.99")
    index.add(make_wheel("yank", "1.0"))
    index.add(make_wheel("yank", "1.1"), yanked='breaks "everything": très <b>')
    index.add(make_wheel("tensor", "1.0+cpu"))
    index.add(make_wheel("Odd.Name_x", "1.0"))


# ── the ways to it ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Way:
    """How a client reaches a tree: an index URL, or a page of links."""

    location: str
    is_links: bool = False


@pytest.fixture(scope="module")
def python_server(tree: Tree) -> Iterator[str]:
    with serve_with_python(tree.folder) as url:
        yield url


@pytest.fixture(scope="module")
def nginx_plain(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with serve_with_nginx(tree.folder, read_nginx_blocks()[0], tmp_path_factory.mktemp("plain")) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def nginx(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx that negotiates the format of the pages."""
    with serve_with_nginx(tree.folder, read_nginx_blocks()[1], tmp_path_factory.mktemp("negotiated")) as nginx:
        yield nginx


def _way(name: str, request: pytest.FixtureRequest) -> Way:
    tree: Tree = request.getfixturevalue("tree")
    match name:
        case "file":
            return Way((tree.folder / "simple").as_uri() + "/")
        case "file links":
            return Way(str(tree.folder / "links.html"), is_links=True)
        case "http.server":
            return Way(request.getfixturevalue("python_server") + "simple/")
        case "http.server links":
            return Way(request.getfixturevalue("python_server") + "links.html", is_links=True)
        case "nginx":
            return Way(request.getfixturevalue("nginx_plain").url + "simple/")
        case _:
            return Way(request.getfixturevalue("nginx").url + "simple/")


_INDEXES = ["file", "http.server", "nginx", "nginx negotiated"]
_LINKS = ["file links", "http.server links"]


@pytest.fixture(scope="module", params=_INDEXES)
def index_way(request: pytest.FixtureRequest) -> Way:
    return _way(request.param, request)


@pytest.fixture(scope="module", params=_LINKS)
def links_way(request: pytest.FixtureRequest) -> Way:
    return _way(request.param, request)


@pytest.fixture(scope="module", params=_INDEXES + _LINKS)
def way(request: pytest.FixtureRequest) -> Way:
    return _way(request.param, request)


# ── the clients ─────────────────────────────────────────────────────────────────────────────────────


class Client:
    """An installer, with no setting of this machine and no cache but the one of the test."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.environ = for_others(environ) | _LOOPBACK_ONLY

    def install(self, way: Way, *arguments: str, target: str = "target") -> subprocess.CompletedProcess[str]:
        """Installs into the folder ``target`` of the test."""
        raise NotImplementedError

    def resolve(self, way: Way, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Works out what would be installed."""
        raise NotImplementedError

    def installed(self, target: str = "target") -> dict[str, str]:
        """Name and version of all that is in ``target``."""
        found = importlib.metadata.distributions(path=[str(self.folder / target)])
        return {distribution.name: distribution.version for distribution in found}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )


class Pip(Client):
    def pip(self, command: str, way: Way, *arguments: str) -> subprocess.CompletedProcess[str]:
        source = ("--no-index", "--find-links", way.location) if way.is_links else ("--index-url", way.location)
        options = ("--isolated", "--disable-pip-version-check", "--no-input", "--no-cache-dir", *source)
        return self.run(sys.executable, "-m", "pip", command, *options, *arguments)

    def install(self, way: Way, *arguments: str, target: str = "target") -> subprocess.CompletedProcess[str]:
        return self.pip("install", way, "--no-compile", "--target", target, *arguments)

    def resolve(self, way: Way, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.pip("install", way, "--dry-run", "--ignore-installed", *arguments)


class Uv(Client):
    def uv(self, command: str, way: Way, *arguments: str) -> subprocess.CompletedProcess[str]:
        source = ("--no-index", "--find-links", way.location) if way.is_links else ("--default-index", way.location)
        options = ("--no-config", "--cache-dir", "cache", "--python", sys.executable, "--no-python-downloads", *source)
        return self.run(_find_uv(), "pip", command, *options, *arguments)

    def install(self, way: Way, *arguments: str, target: str = "target") -> subprocess.CompletedProcess[str]:
        return self.uv("install", way, "--target", target, *arguments)

    def resolve(self, way: Way, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "requirements.in").write_text("\n".join(arguments), encoding="utf-8")
        return self.uv("compile", way, "requirements.in")


def _find_uv() -> str:
    try:
        return import_module("uv").find_uv_bin()  # type: ignore[no-any-return]
    except (ImportError, FileNotFoundError):
        skip_or_fail("uv is not installed")


@pytest.fixture
def pip(tmp_path: Path, environ: dict[str, str]) -> Pip:
    return Pip(tmp_path, environ)


@pytest.fixture(params=[Pip, Uv])
def client(request: pytest.FixtureRequest, tmp_path: Path, environ: dict[str, str]) -> Client:
    made: Client = request.param(tmp_path, environ)
    return made


# ── what they do ────────────────────────────────────────────────────────────────────────────────────


def test_client_installs_the_right_files(client: Client, way: Way) -> None:
    """A dependency and an extra, an sdist, Requires-Python, a yanked release, a local version, an odd name; and of
    ``picky`` the release before the newest, whose dependency cannot be met.
    """
    done = client.install(way, "app[fast]", "legacy", "newer", "yank", "tensor==1.0+cpu", "odd_name.X", "picky")

    assert done.returncode == 0, done.stdout
    assert client.installed() == {
        "app": "1.0",
        "base": "2.0",
        "speed": "1.0",
        "legacy": "1.0",
        "newer": "1.0",
        "yank": "1.0",
        "tensor": "1.0+cpu",
        "Odd.Name_x": "1.0",
        "picky": "1.0",
    }


def test_client_installs_a_yanked_release_that_is_pinned(client: Client, index_way: Way) -> None:
    done = client.install(index_way, "yank==1.1")

    assert done.returncode == 0, done.stdout
    assert client.installed() == {"yank": "1.1"}


def test_links_page_has_no_yanked_release(client: Client, links_way: Way) -> None:
    done = client.install(links_way, "yank==1.1")

    assert done.returncode != 0
    assert client.installed() == {}


def test_client_finds_nothing_else(client: Client, index_way: Way) -> None:
    done = client.install(index_way, "not-in-the-mirror")

    assert done.returncode != 0
    assert "not-in-the-mirror" in done.stdout


# ── hashes ──────────────────────────────────────────────────────────────────────────────────────────


def _require(client: Client, *lines: str) -> tuple[str, str, str]:
    (client.folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "--require-hashes", "-r", "requirements.txt"


def test_client_installs_with_the_hashes_that_upstream_had(client: Client, tree: Tree, way: Way) -> None:
    lines = [
        f"app==1.0 --hash=sha256:{tree.sha256['app-1.0-py3-none-any.whl']}",
        f"base==2.0 --hash=sha256:{tree.sha256['base-2.0-py3-none-any.whl']}",
        f"legacy==1.0 --hash=sha256:{tree.sha256['legacy-1.0.tar.gz']}",
    ]

    done = client.install(way, *_require(client, *lines))

    assert done.returncode == 0, done.stdout
    assert client.installed() == {"app": "1.0", "base": "2.0", "legacy": "1.0"}


def test_client_refuses_other_hashes(client: Client, way: Way) -> None:
    done = client.install(way, *_require(client, f"base==2.0 --hash=sha256:{'0' * 64}"))

    assert done.returncode != 0
    assert "hash" in done.stdout.lower()
    assert client.installed() == {}


# ── what is asked for ───────────────────────────────────────────────────────────────────────────────


def _paths(requests: list[Logged]) -> list[str]:
    return [request.path.rpartition("/")[2] for request in requests if request.status in (200, 206)]


def test_client_resolves_from_metadata_without_any_wheel(client: Client, nginx: Nginx) -> None:
    nginx.requests()

    done = client.resolve(Way(nginx.url + "simple/"), "picky")

    assert done.returncode == 0, done.stdout
    asked = _paths(nginx.requests())
    assert {"picky-2.0-py3-none-any.whl.metadata", "picky-1.0-py3-none-any.whl.metadata"} <= set(asked)
    assert not [name for name in asked if name.endswith(".whl")]


def test_client_fetches_only_the_wheels_that_it_installs(client: Client, nginx: Nginx) -> None:
    nginx.requests()

    done = client.install(Way(nginx.url + "simple/"), "picky")

    assert done.returncode == 0, done.stdout
    wheels = sorted(name for name in _paths(nginx.requests()) if name.endswith(".whl"))
    assert wheels == ["picky-1.0-py3-none-any.whl", "speed-1.0-py3-none-any.whl"]


def test_client_gets_json_where_the_server_negotiates(client: Client, nginx: Nginx, nginx_plain: Nginx) -> None:
    for server, expected in ((nginx, JSON_TYPE), (nginx_plain, "text/html")):
        server.requests()
        assert client.install(Way(server.url + "simple/"), "speed", target=expected.replace("/", "-")).returncode == 0
        pages = [request for request in server.requests() if request.path == "/simple/speed/"]
        assert [page.content_type for page in pages] == [expected]


# ── the servers of the README ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "text/html"),
        ("text/html", "text/html"),
        (JSON_TYPE, JSON_TYPE),
        ("application/vnd.pypi.simple.latest+json", JSON_TYPE),
        (f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01", JSON_TYPE),
    ],
)
def test_nginx_answers_what_is_accepted(nginx: Nginx, accept: str, expected: str) -> None:
    for path in ("simple/", "simple/app/"):
        reply = nginx.get(path, {"Accept": accept})
        assert (reply.status, reply.headers["Content-Type"]) == (200, expected)
        assert reply.headers["Vary"] == "Accept, Accept-Encoding"


def test_nginx_sends_pages_to_be_asked_for_again_and_files_to_be_kept(nginx: Nginx) -> None:
    page = nginx.get("simple/app/")
    again = nginx.get("simple/app/", {"If-None-Match": page.headers["ETag"]})
    nginx.requests()
    name = page.body.decode().partition('href="../../')[2].partition("#")[0]

    assert page.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-cache"
    assert again.status == 304
    assert nginx.get("links.html").headers["Cache-Control"] == "no-cache"
    for path in (name, f"{name}.metadata"):
        assert nginx.get(path).headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_nginx_redirects_to_the_slash_and_hides_what_is_private(nginx: Nginx, nginx_plain: Nginx) -> None:
    for server in (nginx, nginx_plain):
        assert server.get("simple/app").body == server.get("simple/app/").body
        assert server.get(".pymirror/snapshots/current").status == 404
        assert server.get("simple/nothing/").status == 404


def test_client_sees_a_new_release_at_once(
    client: Client, index: LocalIndex, mirror: Mirror, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The folders are exchanged under the running server, and the client has a page in its cache that looks settled."""
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    for page in (mirror.tree / "simple").rglob("index.*"):
        os.utime(page, (LONG_AGO, LONG_AGO))
    with serve_with_nginx(mirror.tree, read_nginx_blocks()[1], tmp_path_factory.mktemp("refresh")) as server:
        way = Way(server.url + "simple/")
        assert client.install(way, "demo", target="before").returncode == 0
        index.add(make_wheel("demo", "2.0"))
        mirror.sync()
        assert client.install(way, "demo", target="after").returncode == 0

    assert client.installed("before") == {"demo": "1.0"}
    assert client.installed("after") == {"demo": "2.0"}


# ── a folder that travels ───────────────────────────────────────────────────────────────────────────


def test_tree_works_after_it_was_copied_elsewhere(client: Client, tree: Tree) -> None:
    moved = client.folder / "USB disk é #1 100%" / "the mirror"
    shutil.copytree(tree.folder, moved, ignore=shutil.ignore_patterns(".pymirror"))

    done = client.install(Way((moved / "simple").as_uri() + "/"), "app[fast]", "legacy", "tensor")

    assert done.returncode == 0, done.stdout
    assert client.installed() == {"app": "1.0", "base": "2.0", "speed": "1.0", "legacy": "1.0", "tensor": "1.0+cpu"}


def test_links_page_works_after_it_was_copied_elsewhere(client: Client, tree: Tree) -> None:
    moved = client.folder / "USB disk é" / "the mirror"  # uv takes no # or % in a path
    shutil.copytree(tree.folder, moved)

    done = client.install(Way(str(moved / "links.html"), is_links=True), "app[fast]")

    assert done.returncode == 0, done.stdout
    assert client.installed() == {"app": "1.0", "base": "2.0", "speed": "1.0"}


def test_pip_downloads_the_bytes_that_upstream_had(pip: Pip, tree: Tree, way: Way) -> None:
    done = pip.pip("download", way, "--dest", "files", "app[fast]", "legacy")

    assert done.returncode == 0, done.stdout
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (pip.folder / "files").iterdir()}
    names = ["app-1.0-py3-none-any.whl", "base-2.0-py3-none-any.whl", "legacy-1.0.tar.gz", "speed-1.0-py3-none-any.whl"]
    assert found == {name: tree.sha256[name] for name in names}
