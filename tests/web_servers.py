"""nginx, Apache and Caddy with exactly what ``pymirror config`` prints, each a process on loopback without any right.

Around the printed text stands only what keeps a test to itself: where the log and the pid are, and the modules that
Debian loads. Listings are allowed there, archives have their encodings and answers are packed on the way, as some
distributions have it, so that the text has something to forbid.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.servers import Reply, _free_port, _is_listening, skip_or_fail

SERVERS = ("nginx", "apache", "caddy")

_PROGRAMS = {"nginx": "nginx", "apache": "apache2", "caddy": "caddy"}
_APACHE_MODULES = Path("/usr/lib/apache2/modules")
_APACHE_LOADED = (
    *("mpm_event", "authz_core", "dir", "autoindex", "negotiation", "mime", "alias", "rewrite", "headers"),
    *("filter", "deflate"),
)
_WAIT_SECONDS = 20.0

_NGINX = """
daemon off;
master_process off;
pid "{work}/pid";
error_log "{work}/error.log";
events {{}}
http {{
    client_body_temp_path "{work}/body";
    proxy_temp_path "{work}/proxy";
    fastcgi_temp_path "{work}/fastcgi";
    uwsgi_temp_path "{work}/uwsgi";
    scgi_temp_path "{work}/scgi";
    access_log off;
    autoindex on;
    gzip on;
    gzip_types *;
    types {{ text/html html; application/gzip gz; }}
    include "{printed}";
}}
"""

_APACHE = """
ServerRoot "{work}"
PidFile "{work}/pid"
ErrorLog "{work}/error.log"
ServerName localhost
{modules}
TypesConfig "{work}/types"
AddEncoding x-gzip .tgz
AddOutputFilterByType DEFLATE text/html application/json
<Directory />
    Options Indexes FollowSymLinks MultiViews
    Require all denied
</Directory>
Include "{printed}"
"""

_CADDY = """
{{
	admin off
}}
import "{printed}"
"""


LARGE = 150
"""How many files the project ``big`` has: enough for a packed copy beside each of its pages."""


def make_tree(folder: Path, body: str = "flat: true") -> Mirror:
    """A finished mirror below ``folder`` with all that a tree can have, and whose upstream is gone."""
    (folder / "home").mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in os.environ if name == "PATH" or name.startswith("COVERAGE_")}
    mirror = Mirror(folder, kept | {"HOME": str(folder / "home"), "PIP_CONFIG_FILE": os.devnull})
    with LocalIndex() as index:
        for name, version in (("app", "1.0"), ("base", "1.0"), ("base", "2.0"), ("tensor", "1.0+cpu")):
            index.add(make_wheel(name, version, requires=["base>=1"] if name == "app" else []))
        for number in range(LARGE):
            index.add(make_wheel("big", f"1.{number}"))
        index.add(make_sdist("legacy", "1.0"))
        index.add(make_wheel("Odd.Name_x", "1.0"))
        mirror.write_spec(index, f"{body}\nprojects: [app, base, big, legacy, odd-name-x, tensor]")
        mirror.sync()
    return mirror


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Hands a redirect over as the answer that it is."""

    def redirect_request(self, *arguments: object) -> None:
        """None: it is not followed."""


@dataclass(frozen=True)
class Server:
    """A running server; ``url`` ends in a slash, and is the tree's."""

    name: str
    url: str

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """The answer to GET ``path`` below the tree, whatever its status; a redirect is not followed."""
        request = urllib.request.Request(f"{self.url}{path}", headers=dict(headers or {}))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
        try:
            with opener.open(request, timeout=_WAIT_SECONDS) as answer:
                return Reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read())


@contextlib.contextmanager
def serve(name: str, printed: Callable[[int], str], work: Path, *, url: str) -> Iterator[Server]:
    """The server with the text that ``printed`` has for a port; ``url`` has ``{port}`` in it.

    ``work`` is a folder that everyone may enter: started by root, the server becomes nobody.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/local/bin"
    program = shutil.which(_PROGRAMS[name], path=path)
    if program is None:
        skip_or_fail(f"{_PROGRAMS[name]} is not installed")
    folder = work
    for attempt in range(5):
        port = _free_port()
        folder = work / f"{name}-{port}-{attempt}"
        folder.mkdir()
        folder.chmod(0o777)
        with (folder / "output").open("wb") as output:
            command = _prepare(name, program, printed(port), folder)
            # PATH, for what a server starts itself; HOME, which Caddy writes to.
            environ = {"PATH": path, "HOME": str(folder)}
            with subprocess.Popen(
                command, cwd=folder, env=environ, stdout=output, stderr=output, **_without_rights()
            ) as process:
                try:
                    if _is_listening(process, port):
                        yield Server(name, url.format(port=port))
                        return
                finally:
                    process.terminate()
    texts = [path.read_text(errors="replace") for path in (folder / "output", folder / "error.log") if path.exists()]
    raise AssertionError(f"{name} does not start:\n" + "\n".join(texts))


def _without_rights() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": "nogroup", "extra_groups": []}


def _prepare(name: str, program: str, text: str, work: Path) -> Sequence[str]:
    """Writes the configuration; returns the command that serves with it in the foreground."""
    printed = work / "printed.conf"
    printed.write_text(text, encoding="utf-8")
    config = work / "main.conf"
    if name == "nginx":
        config.write_text(_NGINX.format(work=work, printed=printed), encoding="utf-8")
        return program, "-p", str(work), "-e", str(work / "error.log"), "-c", str(config)
    if name == "caddy":
        config.write_text(_CADDY.format(printed=printed), encoding="utf-8")
        return program, "run", "--adapter", "caddyfile", "--config", str(config)
    (work / "types").write_text("text/html html\napplication/gzip gz tgz\napplication/zip whl\n", encoding="utf-8")
    modules = "\n".join(f'LoadModule {each}_module "{_APACHE_MODULES}/mod_{each}.so"' for each in _APACHE_LOADED)
    config.write_text(_APACHE.format(work=work, printed=printed, modules=modules), encoding="utf-8")
    return program, "-f", str(config), "-DFOREGROUND"
