"""nginx before an index that :mod:`benchmarks.upstream` made: plain and with TLS, near and 50 ms away.

HTTP/1.1 everywhere, on loopback. Pages are negotiated, packed and have validators. Every request is in the log.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
ONE_WAY_MS = 25
SCENARIOS = ("plain", "tls", "plain+50ms", "tls+50ms")

_WAIT_SECONDS = 20.0
_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"

_NGINX = """
daemon off;
worker_processes 2;
pid "{work}/pid";
error_log "{work}/error.log";
{user}
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path "{work}/body";
    proxy_temp_path "{work}/proxy";
    fastcgi_temp_path "{work}/fastcgi";
    uwsgi_temp_path "{work}/uwsgi";
    scgi_temp_path "{work}/scgi";
    log_format requests '$request_method $status $body_bytes_sent $connection $request_uri';
    access_log "{work}/access.log" requests;
    types {{ application/vnd.pypi.simple.v1+json json; text/html html; }}
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    gzip on;
    gzip_comp_level 1;
    gzip_min_length 1024;
    gzip_types application/vnd.pypi.simple.v1+json;
    gzip_vary on;
    map $http_accept $kind {{ default html; "~application/vnd.pypi.simple.v1.json" json; }}
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate "{work}/server.pem";
        ssl_certificate_key "{work}/server.key";
        root "{folder}";
        location = /simple/ {{ add_header Vary Accept; try_files /overlay/index.$kind /pages/index.$kind =404; }}
        location ~ "^/simple/(?<project>[a-z0-9-]+)/$" {{
            add_header Vary Accept;
            try_files /overlay/$project.$kind /pages/$project.$kind =404;
        }}
        location ~ "^/packages/(?<shard>[0-9a-f][0-9a-f])/[0-9a-f]+/[0-9a-f]+/(?<file>[^/]+)$" {{
            try_files /files/$shard/$file =404;
        }}
        location / {{ return 404; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The running servers. ``urls`` end in a slash, by scenario; ``log`` has a line for each request."""

    urls: dict[str, str]
    ca: Path
    log: Path

    def count(self, since: int = 0) -> Counter[str]:
        """The requests after the first ``since`` bytes of the log: page, file, other, and those that failed."""
        time.sleep(0.2)  # a line is written after its answer was sent
        counts: Counter[str] = Counter()
        with self.log.open("rb") as lines:
            lines.seek(since)
            for line in lines:
                _, status, _, _, uri = line.decode("utf-8", "replace").split(" ", 4)
                kind = {"simple": "page", "packages": "file"}.get(uri.split("/")[1].strip(), "other")
                counts[kind] += 1
                counts["failed"] += status >= "400"
        return counts


class MissingProgramError(Exception):
    """A program that this needs is not installed."""


def find_program(name: str) -> str:
    """Its path; servers stand in folders that are not on everyone's PATH."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/local/bin"
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingProgramError(f"{name} is not installed: the benchmarks need nginx, openssl and curl")
    return found


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Site]:
    """Serves what was made in ``folder``, in every scenario."""
    with tempfile.TemporaryDirectory(prefix="bench-web-") as made, contextlib.ExitStack() as stack:
        work = Path(made)
        _make_certificates(work)
        ports = dict(zip(SCENARIOS, _free_ports(len(SCENARIOS)), strict=True))
        user = "user root;" if os.geteuid() == 0 else ""  # else nobody would read the folders of root
        settings = _NGINX.format(work=work, folder=folder.resolve(), user=user, plain=ports["plain"], tls=ports["tls"])
        (work / "nginx.conf").write_text(settings, encoding="utf-8")
        nginx = [find_program("nginx"), "-e", str(work / "error.log"), "-p", str(work), "-c", str(work / "nginx.conf")]
        late = [f"{ports[f'{name}+50ms']}:{ports[name]}" for name in ("plain", "tls")]
        delay = [sys.executable, "-m", "benchmarks.delay", str(ONE_WAY_MS), *late]
        for command in (nginx, delay):
            stack.enter_context(_running(command))
        for port in ports.values():
            _wait_for(port, work / "error.log")
        urls = {
            name: f"{'https' if name.startswith('tls') else 'http'}://127.0.0.1:{port}/" for name, port in ports.items()
        }
        yield Site(urls=urls, ca=work / "ca.pem", log=work / "access.log")


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[None]:
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL) as process:  # noqa: S603 - the commands are ours
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(_WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _make_certificates(work: Path) -> None:
    """``ca.pem``, and ``server.pem`` with ``server.key`` that it signed."""
    (work / "server.ext").write_text("subjectAltName=IP:127.0.0.1", encoding="ascii")
    signer = "-CA ca.pem -CAkey ca.key -CAcreateserial"
    for options in (
        f"req -x509 {_KEY} -subj /CN=bench -keyout ca.key -out ca.pem",
        f"req {_KEY} -subj /CN=server -keyout server.key -out server.csr",
        f"x509 -req -in server.csr {signer} -extfile server.ext -out server.pem -days 30",
    ):
        command = [find_program("openssl"), *options.split()]
        subprocess.run(command, cwd=work, check=True, capture_output=True)  # noqa: S603 - the commands are ours


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_for(port: int, log: Path) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > end:
            said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            raise RuntimeError(f"nothing listens on port {port}; nginx said: {said}")
        time.sleep(0.05)
