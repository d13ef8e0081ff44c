"""``pymirror config``: what it prints is put into the real servers and clients as it is, and does what it should."""

from __future__ import annotations

import configparser
import getpass
import gzip
import html
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from pymirror.commands.config import write_config
from pymirror.errors import ConfigurationError, UsageError
from pymirror.pages.install import render_ways
from pymirror.settings import Facts, list_tools, make_config
from pymirror.spec.model import Site, Spec
from tests.conftest import Mirror
from tests.index import JSON_TYPE
from tests.servers import Reply, for_others, read_nginx_blocks, serve_with_python, skip_or_fail
from tests.web_servers import SERVERS, Server, make_tree, serve

TOOLS = [line.split()[0] for line in list_tools().splitlines()]
CLIENTS = ["pip", "uv", "pdm", "pipenv", "pip-tools", "tox", "lockfile", "poetry"]

_IS_POSIX = os.name == "posix"
_PUBLIC = "https://index.example.com/simple/"

# A request to anything but loopback goes to a proxy that is not there.
_LOOPBACK_ONLY = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,0.0.0.0"),
}


def _make(tool: str, url: str | None = None, folder: str | Path | None = "/srv/mirror") -> str:
    facts = Facts(
        url=url,
        folder=None if folder is None else str(folder),
        spec="/srv/mirror.yaml",
        command=("/opt/pymirror/bin/pymirror",),
        user="mirror",
        made_against=_PUBLIC,
    )
    return make_config(tool, facts)


# ── the tree and the servers ────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that everyone may enter: pytest's own are closed to what a server becomes when root starts it."""
    with tempfile.TemporaryDirectory(prefix="pymirror-config-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "home").mkdir()
        yield folder


@pytest.fixture(scope="module")
def tree(place: Path) -> Path:
    """A finished mirror whose upstream is gone, with a space in its path and other things beside it in its folder."""
    tree = make_tree(place).tree.rename(place / "the mirror")
    wheel = tree / _find(tree, "app-1.0-py3-none-any.whl")
    wheel.with_name(f"{wheel.name}.provenance").write_bytes(b"{}")
    (tree / "flat" / "app-1.0.tar").write_bytes(b"the archive")
    (tree / "flat" / "app-1.0.tar.gz").write_bytes(b"snapshot-: another file")
    for name in ("notes.html", "other/index.html", "simple-old/index.html", "index.html.old", "simple/.x/index.html"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"snapshot-: nobody else's business")
    return tree


@pytest.fixture(scope="module", params=[f"{name} {path}" for name in SERVERS for path in ("/", "/python/x.y/")])
def server(request: pytest.FixtureRequest, tree: Path, place: Path) -> Iterator[Server]:
    """Each server with what is printed for it, at the root of its host and below a path."""
    name, _, path = request.param.partition(" ")
    url = f"http://127.0.0.1:{{port}}{path}"
    with serve(name, lambda port: _make(name, url.format(port=port), tree), place, url=url) as running:
        yield running


def _find(tree: Path, filename: str) -> str:
    (path,) = (tree / "packages").rglob(filename)
    return path.relative_to(tree).as_posix()


def _vary(reply: Reply) -> set[str]:
    """What the answer depends on; as one header, since some caches look at the first alone."""
    (vary,) = reply.headers.get_all("Vary") or [""]
    return {name.strip().lower() for name in vary.split(",")}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "text/html"),
        ("*/*", "text/html"),
        ("text/html", "text/html"),
        (JSON_TYPE, JSON_TYPE),
        ("application/vnd.pypi.simple.latest+json", JSON_TYPE),
        (f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01", JSON_TYPE),
    ],
)
def test_server_answers_with_the_format_when_it_is_accepted(
    server: Server, tree: Path, accept: str | None, expected: str
) -> None:
    for path in ("simple/", "simple/app/"):
        reply = server.get(path, {} if accept is None else {"Accept": accept})
        file = "index.v1_json" if expected == JSON_TYPE else "index.html"
        assert (reply.status, reply.headers.get_content_type()) == (200, expected)
        assert _vary(reply) == {"accept", "accept-encoding"}
        assert reply.headers.get_all("Cache-Control") == ["no-cache"]
        assert reply.body == (tree / path / file).read_bytes()


def test_server_names_the_type_when_a_page_is_asked_for_by_its_name(server: Server) -> None:
    for path, expected in (("index.html", "text/html"), ("index.v1_json", JSON_TYPE)):
        reply = server.get(f"simple/app/{path}")
        assert (reply.status, reply.headers.get_content_type()) == (200, expected)


@pytest.mark.parametrize(
    ("path", "file", "expected"),
    [
        ("", "index.html", "text/html"),
        ("index.html", "index.html", "text/html"),
        ("links.html", "links.html", "text/html"),
        ("project/app/", "project/app/index.html", "text/html"),
        ("project/big/index.html", "project/big/index.html", "text/html"),
        ("pypi/app/json", "pypi/app/json", "application/json"),
        ("pypi/tensor/1.0+cpu/json", "pypi/tensor/1.0+cpu/json", "application/json"),
        ("pypi/tensor/1.0%2Bcpu/json", "pypi/tensor/1.0+cpu/json", "application/json"),
    ],
)
def test_server_sends_pages_for_people_and_scripts_when_they_are_asked_for(
    server: Server, tree: Path, path: str, file: str, expected: str
) -> None:
    for accept in ("*/*", JSON_TYPE):
        reply = server.get(path, {"Accept": accept})
        assert (reply.status, reply.headers.get_content_type()) == (200, expected)
        assert reply.body == (tree / file).read_bytes()
        assert reply.headers.get_all("Cache-Control") == ["no-cache"]
        assert "accept-encoding" in _vary(reply)


def test_server_lets_nobody_frame_or_guess_when_a_page_is_for_people(server: Server) -> None:
    for path in ("", "project/app/", "simple/app/", "links.html", "pypi/app/json"):
        reply = server.get(path)
        assert reply.headers.get_all("Content-Security-Policy") == ["frame-ancestors 'none'"]
        assert reply.headers.get_all("X-Content-Type-Options") == ["nosniff"]


_PACKED = {
    "simple/big/": "simple/big/index.html",
    "simple/big/index.v1_json": "simple/big/index.v1_json",
    "project/big/": "project/big/index.html",
    "pypi/big/json": "pypi/big/json",
    "links.html": "links.html",
}


@pytest.mark.parametrize("path", _PACKED)
def test_server_sends_the_packed_copy_when_gzip_is_accepted(server: Server, tree: Path, path: str) -> None:
    packed = (tree / f"{_PACKED[path]}.gz").read_bytes()
    plain = server.get(path)
    for accepted in ("gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=1.0", "GZIP"):
        reply = server.get(path, {"Accept-Encoding": accepted})
        assert (reply.status, reply.body, reply.headers["Content-Encoding"]) == (200, packed, "gzip")
        assert reply.headers["Content-Type"] == plain.headers["Content-Type"]
        assert reply.headers.get_all("Cache-Control") == ["no-cache"]
        assert reply.headers.get_all("Content-Security-Policy") == ["frame-ancestors 'none'"]
        assert "accept-encoding" in _vary(reply)
    for refused in ("identity", "br", "gzip;q=0", "deflate, gzip; q=0.0", ""):
        reply = server.get(path, {"Accept-Encoding": refused})
        assert (reply.body, reply.headers["Content-Encoding"]) == (gzip.decompress(packed), None)
        assert "accept-encoding" in _vary(reply)


def test_server_sends_packed_json_when_pip_asks(server: Server, tree: Path) -> None:
    headers = {"Accept": f"{JSON_TYPE}, text/html; q=0.01", "Accept-Encoding": "gzip, deflate"}
    reply = server.get("simple/big/", headers)

    assert (reply.headers.get_content_type(), reply.headers["Content-Encoding"]) == (JSON_TYPE, "gzip")
    assert reply.body == (tree / "simple" / "big" / "index.v1_json.gz").read_bytes()
    again = server.get("simple/big/", headers | {"If-None-Match": reply.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", _PACKED)
def test_server_knows_the_tag_again_when_it_is_of_the_same_copy(server: Server, path: str) -> None:
    tags = {}
    for encoding, other in (("gzip", "identity"), ("identity", "gzip")):
        tags[encoding] = tag = server.get(path, {"Accept-Encoding": encoding}).headers["ETag"]
        assert server.get(path, {"Accept-Encoding": encoding, "If-None-Match": tag}).status == 304
        assert server.get(path, {"Accept-Encoding": other, "If-None-Match": tag}).status == 200
    assert tags["gzip"] != tags["identity"]


def test_server_knows_the_tag_again_when_a_small_page_could_be_packed_on_the_way(server: Server) -> None:
    for path in ("", "simple/", "project/app/", "pypi/app/json"):
        headers = {"Accept-Encoding": "gzip"}
        tag = server.get(path, headers).headers["ETag"]
        assert server.get(path, headers | {"If-None-Match": tag}).status == 304


def test_server_answers_304_when_a_page_did_not_change(server: Server) -> None:
    for accept in ("text/html", JSON_TYPE):
        page = server.get("simple/app/", {"Accept": accept})
        again = server.get("simple/app/", {"Accept": accept, "If-None-Match": page.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"
        assert _vary(again) == {"accept", "accept-encoding"}
    html, json = (server.get("simple/app/", {"Accept": accept}).headers["ETag"] for accept in ("text/html", JSON_TYPE))
    assert html != json


def test_server_keeps_files_as_they_are_when_they_look_packed(server: Server, tree: Path) -> None:
    wheel = _find(tree, "app-1.0-py3-none-any.whl")
    other = {f"{wheel}.provenance": "application/vnd.pypi.integrity.v1+json"}
    for path in (wheel, f"{wheel}.metadata", f"{wheel}.provenance", _find(tree, "legacy-1.0.tar.gz")):
        reply = server.get(path, {"Accept-Encoding": "gzip"})
        assert reply.body == (tree / path).read_bytes()
        assert reply.headers["Content-Type"] == other.get(path, "application/octet-stream")
        assert reply.headers["Content-Encoding"] is None
        assert reply.headers.get_all("Cache-Control") == ["public, max-age=31536000, immutable"]


def test_server_keeps_flat_files_as_they_are_when_the_packed_one_lies_beside(server: Server, tree: Path) -> None:
    for name in ("app-1.0.tar", "app-1.0.tar.gz", "legacy-1.0.tar.gz", "tensor-1.0%2Bcpu-py3-none-any.whl"):
        reply = server.get(f"flat/{name}", {"Accept-Encoding": "gzip"})
        assert reply.body == (tree / "flat" / name.replace("%2B", "+")).read_bytes()
        assert reply.headers["Content-Type"] == "application/octet-stream"
        assert reply.headers["Content-Encoding"] is None
        assert reply.headers.get_all("Cache-Control") == ["no-cache"]


def test_server_sends_a_part_when_a_range_is_asked_for(server: Server, tree: Path) -> None:
    path = _find(tree, "app-1.0-py3-none-any.whl")
    reply = server.get(path, {"Range": "bytes=-10"})

    assert (reply.status, reply.body) == (206, (tree / path).read_bytes()[-10:])
    assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_server_redirects_without_a_host_when_the_slash_is_missing(server: Server) -> None:
    path = "/" + server.url.split("/", 3)[3]
    for missing in ("simple", "simple/app", "project/app"):
        reply = server.get(missing)
        assert reply.status in (301, 308)
        assert reply.headers["Location"] == f"{path}{missing}/"
    if path != "/":
        reply = replace(server, url=server.url.removesuffix("/")).get("")
        assert (reply.status, reply.headers["Location"]) == (301, path)


@pytest.mark.parametrize(
    "path",
    [
        ".pymirror/",
        ".pymirror/snapshots/current",
        "%2epymirror/snapshots/current",
        "/.pymirror/snapshots/current",
        "simple/../.pymirror/snapshots/current",
        "simple/..%2f.pymirror/snapshots/current",
        "packages/../.pymirror/snapshots/current",
        "packages../.pymirror/snapshots/current",
        "packages/",
        "packages",
        "flat/",
        "pypi/",
        "pypi/app/",
        "project/",
        "simple/nothing/",
        "nothing",
        "notes.html",
        "other",
        "other/",
        "other/index.html",
        "simple-old/",
        "simple-old/index.html",
        "simple/.x/",
        "simple/.x/index.html",
        "index.html.old",
        "%69ndex.html.old",
        "simple/../notes.html",
    ],
)
def test_server_shows_nothing_when_it_is_private_or_a_listing(server: Server, tree: Path, path: str) -> None:
    assert (tree / ".pymirror" / "snapshots" / "current").is_file()
    reply = server.get(path)
    if reply.status in (301, 308):
        reply = server.get(f"{path}/")

    assert reply.status in (400, 403, 404)
    assert b"snapshot-" not in reply.body
    assert b"Index of" not in reply.body


def test_server_lists_no_folder_of_the_pool_and_keeps_no_failure_when_one_is_asked_for(
    server: Server, tree: Path
) -> None:
    folder = Path(_find(tree, "app-1.0-py3-none-any.whl")).parent.as_posix()
    for path in (f"{folder}/", f"{folder}/nothing.whl"):
        reply = server.get(path)
        assert reply.status in (403, 404)
        assert b"app-1.0" not in reply.body
        assert "immutable" not in reply.headers.get("Cache-Control", "")


_HOSTILE = {
    "nginx": "a \\\"b' c\\\\d 100% #;{} [x] ä",
    "apache": "a \\\"b' c\\\\d 100% #;{} $x <y> ä",
    "caddy": "a \"b' 100% #; $x [x] <y> ä",
}


@pytest.mark.skipif(not _IS_POSIX, reason="such names are none elsewhere")
@pytest.mark.parametrize("path", ["/", "/python/"])
@pytest.mark.parametrize("name", SERVERS)
def test_server_finds_the_folder_when_its_name_needs_quotes(name: str, path: str, tree: Path, place: Path) -> None:
    folder = place / _HOSTILE[name]
    if not folder.exists():
        shutil.copytree(tree, folder)
    url = f"http://127.0.0.1:{{port}}{path}"
    with serve(name, lambda port: _make(name, url.format(port=port), folder), place, url=url) as running:
        for accept in ("text/html", JSON_TYPE):
            reply = running.get("simple/app/", {"Accept": accept})
            assert (reply.status, reply.headers.get_content_type()) == (200, accept)
        packed = running.get("simple/big/", {"Accept-Encoding": "gzip"})
        assert packed.body == (folder / "simple" / "big" / "index.html.gz").read_bytes()
        assert running.get(_find(folder, "app-1.0-py3-none-any.whl")).status == 200


@pytest.mark.parametrize("name", SERVERS)
def test_server_serves_every_name_on_port_80_when_no_url_is_given(name: str) -> None:
    text = _make(name)

    assert {"nginx": "    listen 80;\n    root /srv/mirror;\n", "apache": "*:80>", "caddy": ":80 {"}[name] in text
    assert "server_name" not in text.lower().replace("servername", "server_name")


def test_readme_shows_the_settings_of_nginx_when_they_are_printed() -> None:
    assert read_nginx_blocks()[1] == _make("nginx")


@pytest.mark.parametrize("name", SERVERS)
def test_server_has_a_certificate_when_the_url_is_https(name: str) -> None:
    text = _make(name, "https://mirror.example.com/")

    expected = {
        "nginx": ["listen 443 ssl;", "server_name mirror.example.com;", "ssl_certificate_key "],
        "apache": ["<VirtualHost *:443>", "ServerName mirror.example.com", "SSLEngine on", "SSLCertificateKeyFile "],
        "caddy": ["https://mirror.example.com {", "# tls "],
    }
    assert [words for words in expected[name] if words not in text] == []


# ── clients, with the text as it is printed ─────────────────────────────────────────────────────────


class Client:
    """pip and uv, with no setting of this machine but the file that is given."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.environ = for_others(environ) | _LOOPBACK_ONLY

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done

    def pip(self, settings: str, *arguments: str) -> None:
        (self.folder / "pip.conf").write_text(settings, encoding="utf-8")
        self.environ["PIP_CONFIG_FILE"] = str(self.folder / "pip.conf")
        self.run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", *arguments)

    def uv(self, settings: str, *arguments: str) -> None:
        (self.folder / "uv.toml").write_text(settings, encoding="utf-8")
        options = ("--config-file", "uv.toml", "--cache-dir", "cache", "--no-python-downloads")
        self.run(_find_uv(), *options, *arguments)

    def installed(self, *, path: str = "target") -> dict[str, str]:
        found = importlib.metadata.distributions(path=[str(self.folder / path)])
        return {distribution.name: distribution.version for distribution in found}


def _find_uv() -> str:
    try:
        return import_module("uv").find_uv_bin()  # type: ignore[no-any-return]
    except (ImportError, FileNotFoundError):
        skip_or_fail("uv is not installed")


@pytest.fixture
def client(tmp_path: Path, environ: dict[str, str]) -> Client:
    return Client(tmp_path, environ)


def _with_links(settings: str) -> str:
    """The settings with the alternative that stands in comments, in place of the index."""
    kept = [line for line in settings.splitlines() if not line.startswith(("index-url", "[[index]]", "url", "default"))]
    return re.sub(r"^# (no-index|find-links) =", r"\1 =", "\n".join(kept) + "\n", flags=re.MULTILINE)


_UV_PYTHON = ("--python", sys.executable)


def test_pip_and_uv_install_through_the_server_when_both_sides_have_what_is_printed(
    server: Server, client: Client
) -> None:
    client.pip(_make("pip", server.url), "download", "--dest", "files", "app", "legacy", "--no-build-isolation")
    client.uv(_make("uv", server.url), "pip", "install", *_UV_PYTHON, "--target", "target", "app")

    names = ["app-1.0-py3-none-any.whl", "base-2.0-py3-none-any.whl", "legacy-1.0.tar.gz"]
    assert sorted(path.name for path in (client.folder / "files").iterdir()) == names
    assert client.installed() == {"app": "1.0", "base": "2.0"}


@pytest.mark.parametrize("has_links", [False, True])
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_client_installs_from_the_disk_when_no_url_is_given(
    tool: str, has_links: bool, tree: Path, client: Client
) -> None:
    settings = _make(tool, None, tree)
    settings = _with_links(settings) if has_links else settings
    if tool == "pip":
        client.pip(settings, "install", "--no-compile", "--target", "target", "app")
    else:
        client.uv(settings, "pip", "install", *_UV_PYTHON, "--target", "target", "app")

    assert client.installed() == {"app": "1.0", "base": "2.0"}


def test_pip_installs_over_plain_http_when_the_host_is_no_loopback(tree: Path, client: Client) -> None:
    with serve_with_python(tree) as local:
        settings = _make("pip", local.replace("127.0.0.1", "0.0.0.0"))
        assert "\ntrusted-host = 0.0.0.0:" in settings
        client.pip(settings, "install", "--no-compile", "--target", "target", "app")
        client.pip(_with_links(settings), "install", "--no-compile", "--target", "links", "app")

    assert client.installed() == client.installed(path="links") == {"app": "1.0", "base": "2.0"}


def test_pip_and_uv_install_the_requirements_of_a_page_when_it_is_plain_http_from_another_host(
    tree: Path, client: Client
) -> None:
    with serve_with_python(tree) as local:
        site = Site(public_url=local.replace("127.0.0.1", "0.0.0.0"))
        (code,) = re.findall(
            "<code>(--index-url .*?)</code>", "".join(render_ways(site, "app", line="app==1.0")), re.DOTALL
        )
        (client.folder / "requirements.txt").write_text(html.unescape(re.sub("<.*?>", "", code)), encoding="utf-8")
        client.pip("", "install", "--no-compile", "--target", "target", "-r", "requirements.txt")
        client.uv("", "pip", "install", *_UV_PYTHON, "--target", "by uv", "-r", "requirements.txt")

    assert client.installed() == client.installed(path="by uv") == {"app": "1.0", "base": "2.0"}


@pytest.mark.parametrize(
    ("url", "is_trusted"),
    [
        ("http://mirror.example.com/", False),
        ("http://192.0.2.7:8080/", False),
        ("http://127.0.0.1:8080/", True),
        ("http://[::1]:8080/", True),
        ("http://localhost/", True),
        ("https://mirror.example.com/", True),
        ("file:///srv/mirror/", True),
    ],
)
def test_client_is_told_to_trust_when_the_host_is_another_and_http_is_plain(url: str, is_trusted: bool) -> None:
    host = url.split("/")[2]
    word = str(is_trusted).lower()

    assert (f"\ntrusted-host = {host}\n" in _make("pip", url)) is not is_trusted
    assert (f" --trusted-host {host} " in _make("pip-tools", url)) is not is_trusted
    assert (f"export PIP_TRUSTED_HOST={host}\n" in _make("tox", url)) is not is_trusted
    assert f"\nverify_ssl = {word}\n" in _make("pdm", url)
    assert f"\nverify_ssl = {word}\n" in _make("pipenv", url)


def test_client_settings_are_what_their_syntax_reads_when_parsed() -> None:
    url = "https://mirror.example.com:8443/our%20mirror/"
    ini = configparser.RawConfigParser()
    ini.read_string(_make("pip", url))
    pipfile = tomllib.loads(_make("pipenv", url))["source"][0]
    pdm = tomllib.loads(_make("pdm", url))["tool"]["pdm"]["source"][0]
    poetry = tomllib.loads(_make("poetry", url))["tool"]["poetry"]["source"][0]

    assert ini["global"]["index-url"] == f"{url}simple/"
    assert tomllib.loads(_make("uv", url)) == {"index": [{"url": f"{url}simple/", "default": True}]}
    assert tomllib.loads(_with_links(_make("uv", url))) == {"no-index": True, "find-links": [f"{url}links.html"]}
    assert pipfile["url"] == pdm["url"] == poetry["url"] == f"{url}simple/"
    assert (pdm["name"], poetry["priority"]) == ("pypi", "primary")
    for line in (_make("tox", url) + _make("pip-tools", url)).splitlines():
        assert line.startswith("#") or f"{url}simple/" in shlex.split(line.replace("=", " "))


def test_poetry_is_refused_when_the_mirror_is_a_disk() -> None:
    for url, folder in (("file:///srv/mirror/", None), (None, "/srv/mirror")):
        with pytest.raises(UsageError, match="file:// cannot work"):
            _make("poetry", url, folder)


# ── lock files that were made against another index ─────────────────────────────────────────────────


_HASH = "sha256:" + "0" * 64
_FILE = f"packages/1e/db/{'4254e3ea' * 7}4254/app-1.0-py3-none-any.whl"

_LOCK = f"""
version = 1
[[package]]
name = "app"
version = "1.0"
source = {{ registry = "https://index.example.com/simple" }}
wheels = [
    {{ url = "https://files.example.com/{_FILE}", hash = "{_HASH}", size = 1000 }},
]
[[package]]
name = "other"
version = "1.0"
source = {{ registry = "https://indexxexample.com/simple" }}
wheels = [
    {{ url = "https://files.example.com/other/packages/app-1.0-py3-none-any.whl", hash = "{_HASH}" }},
]
"""


def _adapt(way: str, tool_text: str, file: Path, environ: dict[str, str]) -> None:
    """Runs the line for ``sed`` or ``python3`` as it is printed, on another file."""
    (line,) = (line for line in tool_text.splitlines() if line.startswith(f"{way} "))
    if way == "python3":
        line = shlex.quote(sys.executable) + line.removeprefix("python3")
    line = f"{line.removesuffix('uv.lock')}{shlex.quote(file.name)}"
    subprocess.run(["sh", "-euc", line], cwd=file.parent, env=environ, check=True)


@pytest.mark.parametrize("url", ["https://mirror.example.com:8443/a%20b/", "file:///media/disk/mirror/"])
@pytest.mark.parametrize("way", ["sed", "python3"])
def test_lock_file_names_the_mirror_when_the_line_was_run(
    way: str, url: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    lock = tmp_path / "uv.lock"
    lock.write_text(_LOCK, encoding="utf-8")

    for _ in range(2):  # the second run has nothing left to do
        _adapt(way, _make("lockfile", url, None), lock, environ)

        app, other = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
        assert app["source"] == {"registry": f"{url}simple/"}
        assert app["wheels"] == [{"url": f"{url}{_FILE}", "hash": _HASH, "size": 1000}]
        assert other == tomllib.loads(_LOCK)["package"][1]


@pytest.mark.parametrize("way", ["sed", "python3"])
def test_requirements_name_the_mirror_when_the_line_was_run(way: str, tmp_path: Path, environ: dict[str, str]) -> None:
    file = tmp_path / "requirements.txt"
    hosts = ("--index-url https://index.example.com/simple", "-i https://index.example.com/simple/")
    file.write_text("\n".join((*hosts, f"app @ https://files.example.com/{_FILE}#{_HASH}", "")), encoding="utf-8")

    _adapt(way, _make("lockfile", "http://mirror.example.com/", None), file, environ)

    url = "http://mirror.example.com/"
    assert file.read_text(encoding="utf-8").splitlines() == [
        f"--index-url {url}simple/",
        f"-i {url}simple/",
        f"app @ {url}{_FILE}#{_HASH}",
    ]


@pytest.mark.parametrize("way", ["sed", "python3"])
def test_uv_installs_from_the_mirror_alone_when_its_lock_was_adapted(way: str, tree: Path, client: Client) -> None:
    """The lock is made against one server, which is gone when the other, below a path with a space, is used."""
    (client.folder / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["app"]\n',
        encoding="utf-8",
    )
    with ExitStack() as stack:
        public = stack.enter_context(serve_with_python(tree))
        client.uv(_make("uv", public), "lock", *_UV_PYTHON)
        client.uv(_make("uv", public), "export", *_UV_PYTHON, "-q", "--format", "pylock.toml", "-o", "pylock.toml")
    with serve_with_python(tree.parent) as parent:
        facts = Facts(url=f"{parent}the%20mirror/", made_against=f"{public}simple/")
        for name in ("uv.lock", "pylock.toml"):
            assert public in (client.folder / name).read_text(encoding="utf-8")
            _adapt(way, make_config("lockfile", facts), client.folder / name, client.environ)
            assert public not in (client.folder / name).read_text(encoding="utf-8")
        settings = make_config("uv", facts)
        client.uv(settings, "sync", *_UV_PYTHON, "--locked", "--no-install-project")
        client.uv(settings, "pip", "install", *_UV_PYTHON, "--target", "target", "-r", "pylock.toml")

    (packages,) = client.folder.glob(".venv/lib/python*/site-packages")
    assert client.installed(path=str(packages.relative_to(client.folder))) == {"app": "1.0", "base": "2.0"}
    assert client.installed() == {"app": "1.0", "base": "2.0"}


def test_lock_file_is_adapted_from_the_made_against_when_the_machine_is_set_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from unearth import PackageFinder

    monkeypatch.setenv("PIP_INDEX_URL", "https://elsewhere.example.com/simple/")
    text = write_config("lockfile", Path("mirror.yaml"), url="http://m.example.com/", root=None, load=_load_nothing)

    (public,) = (str(source["url"]) for source in PackageFinder().sources)
    assert public.removeprefix("https://").rstrip("/").replace(".", "[.]") in text
    assert "elsewhere" not in text


@pytest.mark.parametrize(
    "index",
    [
        "https://corp.example.com/simple/",
        "http://corp.example.com:8443/root/a+b/+simple",
        "https://[2001:db8::1]:8443/pypi/%7Eus/",
    ],
)
@pytest.mark.parametrize("way", ["sed", "python3"])
def test_lock_file_of_any_index_names_the_mirror_when_it_is_told_which(
    way: str, index: str, mirror: Mirror, tmp_path: Path, environ: dict[str, str]
) -> None:
    file = tmp_path / "uv.lock"
    other = index.replace(".", "x").replace("+", "x").replace("::", "x")
    file.write_text(f'registry = "{index}"\nregistry = "{other}"\n', encoding="utf-8")

    done = mirror.run("config", "lockfile", "--url", "http://m.example.com/", "--made-against", index)
    _adapt(way, done.out, file, environ)

    assert file.read_text(encoding="utf-8") == f'registry = "http://m.example.com/simple/"\nregistry = "{other}"\n'


@pytest.mark.parametrize(
    "index",
    [
        "corp.example.com/simple",
        "https://me:secret@corp.example.com/simple",
        "https://corp.example.com/$(id)/",
        "https://corp.example.com/a'b/",
        "https://corp.example.com/a#b/",
        "https://corp.example.com/a\n/",
    ],
)
def test_index_of_a_lock_file_is_refused_when_no_line_can_name_it(index: str, mirror: Mirror) -> None:
    done = mirror.run("config", "lockfile", "--url", "http://m.example.com/", "--made-against", index, code=2)

    assert "--made-against: not the plain http(s) URL of an index" in done.err
    assert "secret" not in done.out + done.err


def test_option_for_lock_files_is_refused_when_another_tool_is_meant(mirror: Mirror) -> None:
    args = ("--url", "http://m.example.com/", "--made-against", "https://corp.example.com/simple/")
    assert "belongs to: pymirror config lockfile" in mirror.run("config", "pip", *args, code=2).err


# ── cron and systemd ────────────────────────────────────────────────────────────────────────────────


_HOSTILE_SPEC = "/srv/our $HOME mirror's 100% `x`; #.yaml"


def _read_command(cron_text: str) -> str:
    """What cron hands to the shell: up to a bare percent sign, and backslashes before others gone."""
    (line,) = (line for line in cron_text.splitlines() if not line.startswith("#"))
    match = re.fullmatch(r"\d+ \d+ \* \* \*  (.*)", line)
    assert match
    command, bare, _ = re.sub(r"\\%", "\0", match[1]).partition("%")
    assert not bare
    return command.replace("\0", "%")


def test_cron_runs_both_commands_when_the_first_fails(tmp_path: Path, environ: dict[str, str]) -> None:
    program = tmp_path / "say $x 100%.sh"
    program.write_text(f'#!/bin/sh\nprintf "<%s>" "$@" >> "{tmp_path}/said"\nexit 1\n', encoding="utf-8")
    program.chmod(0o755)
    facts = Facts(folder="/srv/mirror", spec=_HOSTILE_SPEC, command=(str(program),))
    command = _read_command(make_config("cron", facts))

    subprocess.run(["sh", "-n", "-c", command], check=True)
    subprocess.run(["sh", "-c", command], check=False, env=environ)

    said = f"<sync><-q><{_HOSTILE_SPEC}><prune><-q><--grace><1 day><{_HOSTILE_SPEC}>"
    assert (tmp_path / "said").read_text(encoding="utf-8") == said


def test_cron_line_is_refused_when_it_is_longer_than_cron_reads() -> None:
    with pytest.raises(UsageError, match="too long"):
        make_config("cron", Facts(folder="/srv/mirror", spec=f"/{'a' * 600}", command=("/opt/pymirror",)))


def _read_units(text: str) -> dict[str, configparser.RawConfigParser]:
    parts = re.split(r"^# ── /etc/systemd/system/(\S+) ──$", text, flags=re.MULTILINE)
    units = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        units[name] = configparser.RawConfigParser(delimiters="=", strict=True)
        units[name].optionxform = str  # type: ignore[assignment,method-assign]
        units[name].read_string(body)
    return units


def test_systemd_units_are_hardened_and_repeat_when_read() -> None:
    units = _read_units(_make("systemd"))
    service, timer = units["pymirror.service"]["Service"], units["pymirror.timer"]["Timer"]

    assert service["ExecStart"] == "/opt/pymirror/bin/pymirror sync /srv/mirror.yaml"
    assert service["ExecStopPost"] == '/opt/pymirror/bin/pymirror prune --grace "1 day" /srv/mirror.yaml'
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")
    assert (service["ReadWritePaths"], service["User"]) == ("/srv/mirror", "mirror")
    assert service["SuccessExitStatus"] == "143"  # 1, something is missing, must be seen
    assert timer["Persistent"] == "yes"
    assert timer["RandomizedDelaySec"] == "1h"


def test_systemd_verifies_the_units_when_their_paths_need_quotes(tmp_path: Path, environ: dict[str, str]) -> None:
    program = tmp_path / "our 100% bin" / "pymirror"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    folder = "/srv/our 100% mirror's $x"
    facts = Facts(folder=folder, spec=_HOSTILE_SPEC, command=(str(program),), user=getpass.getuser())
    text = make_config("systemd", facts)
    service = _read_units(text)["pymirror.service"]["Service"]

    # What systemd makes of it: words in quotes, doubled signs single.
    words = shlex.split(service["ExecStart"].replace("%%", "%").replace("$$", "$"))
    assert words == [str(program), "sync", _HOSTILE_SPEC]
    assert shlex.split(service["ReadWritePaths"].replace("%%", "%")) == [folder]
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # read above all the same
    for name, body in zip(("service", "timer"), re.split(r"^# ── .*$", text, flags=re.MULTILINE)[1:], strict=True):
        (tmp_path / f"pymirror.{name}").write_text(body, encoding="utf-8")
        done = subprocess.run(
            [analyze, "verify", "--man=no", str(tmp_path / f"pymirror.{name}")],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert [line for line in done.stderr.splitlines() if "pymirror" in line] == []


# ── what cannot be written ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("folder", ["/srv/a\nb", "/srv/a\rb", "/srv/a\0b", "/srv/\u2028b", "srv/mirror"])
def test_folder_is_refused_when_it_has_a_line_break_or_is_relative(tool: str, folder: str) -> None:
    with pytest.raises(UsageError):
        _make(tool, None, folder)


@pytest.mark.parametrize(
    ("tool", "folder"),
    [
        ("nginx", "/srv/$mirror"),
        ("apache", "/srv/${mirror}"),
        ("apache", "/srv/mirror*"),
        ("apache", "/srv/[m]irror"),
        ("caddy", "/srv/{env.HOME}"),
        ("caddy", "/srv/mirror\\"),
        ("caddy", "/srv/`mirror"),
        ("systemd", "/srv/mirror\\"),
        ("systemd", '/srv/"mirror'),
    ],
)
def test_folder_is_refused_when_the_syntax_has_no_way_to_write_it(tool: str, folder: str) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        _make(tool, None, folder)


@pytest.mark.parametrize("tool", ["cron", "systemd"])
@pytest.mark.parametrize(
    ("spec", "program"), [("/srv/a\n* * * * * x", "/opt/p"), ("/s\\", "/p"), ("/s", "/p\n"), ("/s", "p")]
)
def test_schedule_is_refused_when_a_path_could_become_a_command(tool: str, spec: str, program: str) -> None:
    with pytest.raises(UsageError):
        make_config(tool, Facts(folder="/srv/mirror", spec=spec, command=(program,), user="mirror"))


def test_systemd_is_refused_when_the_program_or_the_user_cannot_be_written() -> None:
    for program, user in (
        ("/opt/$x/pymirror", "mirror"),
        ("/opt/x's/pymirror", "mirror"),
        ("/opt/pymirror", "a\nb"),
        ("/opt/pymirror", "a b"),
    ):
        with pytest.raises(UsageError):
            make_config("systemd", Facts(folder="/srv/m", spec="/srv/s", command=(program,), user=user))


@pytest.mark.parametrize("tool", [*SERVERS, *CLIENTS])
@pytest.mark.parametrize(
    "url",
    [
        "mirror.example.com",
        "ftp://mirror.example.com/",
        "http://",
        "http:///simple/",
        "http://user:secret@mirror.example.com/",
        "http://secret@mirror.example.com/",
        "http://mirror.example.com/a:secret@b/",
        "http://mirror.example.com/?secret",
        "http://mirror.example.com/#secret",
        "http://mirror.example.com:99999/",
        "http://mirror.example.com:0/",
        "http://mirror.example.com:x/",
        "http://mirror example.com/",
        "http://mirror;example.com/",
        "http://{mirror}/",
        "http://mirror.example.com/a b/",
        'http://mirror.example.com/a"b/',
        "http://mirror.example.com/a'b/",
        "http://mirror.example.com/$HOME/",
        "http://mirror.example.com/a;b/",
        "http://mirror.example.com/{a}/",
        "http://mirror.example.com/a//b/",
        "http://mirror.example.com/../b/",
        "http://mirror.example.com/%zz/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "file://host/srv/mirror/",
    ],
)
def test_url_is_refused_when_it_is_none_of_a_mirror(tool: str, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        _make(tool, url)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("tool", SERVERS)
@pytest.mark.parametrize("url", ["file:///srv/mirror/", "http://h.example.com/a%20b/", "http://h.example.com/.a/"])
def test_url_is_refused_when_a_server_cannot_be_reached_there(tool: str, url: str) -> None:
    with pytest.raises(UsageError):
        _make(tool, url)


@pytest.mark.parametrize("tool", [*SERVERS, *CLIENTS])
def test_url_of_the_index_is_that_of_the_tree_when_it_ends_in_simple(tool: str) -> None:
    texts = {_make(tool, f"http://Mirror.example.com:80/pypi{end}") for end in ("", "/", "/simple", "/simple/")}

    assert len(texts) == 1


# ── the command ─────────────────────────────────────────────────────────────────────────────────────


def _load_nothing(spec: Path) -> Spec:
    raise ConfigurationError(f"{spec} was read")


def test_config_reads_the_spec_only_when_nothing_else_says_where_the_tree_is() -> None:
    spec = Path("mirror.yaml")
    assert write_config("pip", spec, url="http://m.example.com/", root=None, load=_load_nothing)
    assert write_config("nginx", spec, url=None, root=Path("/srv/mirror"), load=_load_nothing)
    for tool, url in (("pip", None), ("nginx", "http://m.example.com/"), ("cron", None)):
        with pytest.raises(ConfigurationError, match="was read"):
            write_config(tool, spec, url=url, root=None, load=_load_nothing)


def test_config_lists_the_tools_when_none_is_named(mirror: Mirror) -> None:
    done = mirror.run("config")

    assert (done.out, done.err) == (list_tools(), "")
    assert {*SERVERS, *CLIENTS, "cron", "systemd"} == set(TOOLS)


def test_config_suggests_a_tool_when_the_name_is_mistyped(mirror: Mirror) -> None:
    done = mirror.run("config", "ngnix", code=2)

    assert done.out == ""
    assert 'did you mean "nginx"?' in done.err
    assert "known: nginx, apache" in mirror.run("config", "iis", code=2).err


def test_config_takes_the_folder_of_the_spec_when_no_root_is_given(mirror: Mirror) -> None:
    mirror.write_spec("http://127.0.0.1:9/", "projects: [app]")

    nginx = mirror.run("config", "nginx")
    assert f"root {mirror.tree};" in nginx.out
    assert nginx.err == ""
    assert f"index-url = {mirror.tree.as_uri()}/simple/" in mirror.run("config", "pip").out
    assert "    root /elsewhere;" in mirror.run("config", "nginx", "--root", "/elsewhere").out
    assert not mirror.tree.exists()


def test_config_starts_this_very_program_when_it_is_put_into_a_crontab(mirror: Mirror) -> None:
    mirror.write_spec("http://127.0.0.1:9/", "projects: [app]")
    words = shlex.split(_read_command(mirror.run("config", "cron").out).partition(";")[0])
    done = subprocess.run([*words[:-3], "--version"], env=mirror.environ, capture_output=True, text=True, check=True)

    assert words[-3:] == ["sync", "-q", str(mirror.spec)]
    assert done.stdout == mirror.run("--version").out
    assert f"User={getpass.getuser()}\n" in mirror.run("config", "systemd").out
