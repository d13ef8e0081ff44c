"""TLS with real certificates and a real server: whom a run trusts, what it shows, and what it refuses."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex


@dataclass(frozen=True)
class Certificates:
    """PEM files: a CA, servers that it signed (with their keys), and a client (certificate and key apart)."""

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / f"{name}.pem"


def _openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=60)


_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


def _sign(folder: Path, name: str, *, alternative: str, ca: str = "ca", dates: str = "-days 2") -> None:
    """``name.pem``: a certificate with its key, signed by ``ca``."""
    _openssl(folder, f"req {_KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr")
    (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
    _openssl(
        folder,
        f"x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -extfile {name}.ext"
        f" -out {name}.crt {dates}",
    )
    (folder / f"{name}.pem").write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text())


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    for ca in ("ca", "other"):
        _openssl(folder, f"req -x509 {_KEY} -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.pem")
    _sign(folder, "server", alternative="IP:127.0.0.1")
    _sign(folder, "stranger", alternative="DNS:packages.example.com")
    _sign(folder, "expired", alternative="IP:127.0.0.1", dates="-days -1")
    _sign(folder, "client", alternative="email:robot@example.com")
    _openssl(folder, "ec -in client.key -aes128 -passout pass:hunter2 -out locked.key")
    return Certificates(folder)


def _serve(certificates: Certificates, name: str = "server", *, asks_for_a_client: bool = False) -> LocalIndex:
    index = LocalIndex(certificate=certificates[name])
    context = index.server.socket.context  # type: ignore[attr-defined]
    if asks_for_a_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates["ca"])
    index.add(make_wheel("demo", "1.0"))
    return index


@pytest.fixture
def secure(certificates: Certificates) -> Iterator[LocalIndex]:
    with _serve(certificates) as index:
        yield index


def _write(mirror: Mirror, index: LocalIndex, *, upstream: str = "", network: str = "") -> None:
    mirror.spec.write_text(
        f"output: mirror\nupstreams: [{{name: local, url: '{index.url}'{upstream}}}]\n"
        f"network: {{retries: 0{network}}}\nprojects: [demo]\n"
    )


@pytest.mark.parametrize("place", ["upstream", "network"])
def test_a_ca_of_ones_own_is_trusted_when_the_spec_names_it(
    secure: LocalIndex, mirror: Mirror, certificates: Certificates, place: str
) -> None:
    (mirror.folder / "our-ca.pem").write_bytes(certificates["ca"].read_bytes())
    _write(mirror, secure, **{place: ", ca-file: our-ca.pem"})

    mirror.sync()

    assert mirror.filenames("demo") == ["demo-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("place", ["", "upstream", "network"])
def test_a_server_is_refused_when_no_trusted_ca_signed_it(
    secure: LocalIndex, mirror: Mirror, certificates: Certificates, place: str
) -> None:
    _write(mirror, secure, **({place: f", ca-file: '{certificates['other']}'"} if place else {}))

    run = mirror.sync(code=1)

    assert "the server's certificate is not trusted" in run.err
    assert secure.requests() == []


@pytest.mark.parametrize(
    ("name", "said"), [("expired", "certificate has expired"), ("stranger", "is not valid for '127.0.0.1'")]
)
def test_a_certificate_is_refused_when_it_is_expired_or_anothers(
    mirror: Mirror, certificates: Certificates, name: str, said: str
) -> None:
    with _serve(certificates, name) as index:
        _write(mirror, index, upstream=f", ca-file: '{certificates['ca']}'")

        run = mirror.sync(code=1)

        assert "the server's certificate is not trusted" in run.err
        assert said in run.err
        assert index.requests() == []
        assert len(run.err.splitlines()) <= 3


@pytest.mark.parametrize("is_apart", [False, True])
def test_a_client_certificate_is_shown_when_the_upstream_asks_for_one(
    mirror: Mirror, certificates: Certificates, is_apart: bool
) -> None:
    named = f"client-cert: '{certificates['client']}'"
    if is_apart:
        named = (
            f"client-cert: '{certificates.folder / 'client.crt'}', client-key: '{certificates.folder / 'client.key'}'"
        )
    with _serve(certificates, asks_for_a_client=True) as index:
        _write(mirror, index, upstream=f", ca-file: '{certificates['ca']}', {named}")

        mirror.sync()

        assert mirror.filenames("demo") == ["demo-1.0-py3-none-any.whl"]


def test_a_server_that_wants_a_client_certificate_refuses_a_run_that_has_none(
    mirror: Mirror, certificates: Certificates
) -> None:
    with _serve(certificates, asks_for_a_client=True) as index:
        _write(mirror, index, upstream=f", ca-file: '{certificates['ca']}'")

        run = mirror.sync(code=1)

        assert "certificate required" in run.err
        assert index.requests() == []


def test_no_other_host_is_shown_the_client_certificate_when_a_redirect_leads_there(
    mirror: Mirror, certificates: Certificates, tmp_path: Path
) -> None:
    """127.0.0.1 sends to localhost, which asks for a certificate too, and is shown none."""
    _sign(certificates.folder, "local", alternative="DNS:localhost")
    with (
        _serve(certificates, asks_for_a_client=True) as index,
        _serve(certificates, "local", asks_for_a_client=True) as other,
    ):
        port = other.server.server_address[1]
        target = f"https://localhost:{port}/simple/demo/"
        index.fail("/simple/demo/", Answer(302, b"", {"Location": target}))
        certificate = f"client-cert: '{certificates['client']}'"
        _write(mirror, index, upstream=f", {certificate}", network=f", ca-file: '{certificates['ca']}'")

        run = mirror.sync(code=1)

        assert "certificate required" in run.err
        assert [request.path for request in index.requests()] == ["/simple/demo/"]
        assert other.requests() == []


class _Connect(socketserver.StreamRequestHandler):
    """A proxy that leads every CONNECT to the one index, whatever its host is called."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection(self.server.target) as index:  # type: ignore[attr-defined]
            back = threading.Thread(target=_pass_on, args=(index, self.connection))
            back.start()
            _pass_on(self.connection, index)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def test_a_ca_and_a_client_certificate_are_used_when_the_host_is_not_written_in_ascii(
    mirror: Mirror, certificates: Certificates
) -> None:
    _sign(certificates.folder, "books", alternative="DNS:xn--bcher-kva.example")
    with (
        _serve(certificates, "books", asks_for_a_client=True) as index,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Connect) as proxy,
    ):
        proxy.daemon_threads = True
        proxy.target = index.server.server_address  # type: ignore[attr-defined]
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        mirror.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{proxy.server_address[1]}"
        index.entries[0].url = f"https://bücher.example{index.entries[0].path}"
        own = f"ca-file: '{certificates['ca']}', client-cert: '{certificates['client']}'"
        mirror.spec.write_text(
            f"output: mirror\nupstreams: [{{url: 'https://bücher.example/simple/', {own}}}]\n"
            "network: {retries: 0}\nprojects: [demo]\n",
            encoding="utf-8",
        )

        mirror.sync()
        proxy.shutdown()

    assert mirror.filenames("demo") == ["demo-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        (", ca-file: none.pem", "ca-file: none.pem: No such file or directory"),
        (", ca-file: mirror.yaml", "ca-file: mirror.yaml: "),
        (", client-cert: none.pem", "client-cert: none.pem: No such file or directory"),
        (", client-cert: '{client}.crt'", "client-cert: "),
        (", client-cert: '{client}.crt', client-key: '{locked}.key'", "the key is encrypted"),
        (", client-cert: '{client}.crt', client-key: '{server}.key'", "client-cert: "),
    ],
)
def test_a_file_is_told_of_when_it_cannot_be_used(
    secure: LocalIndex, mirror: Mirror, certificates: Certificates, upstream: str, said: str
) -> None:
    names = {name: certificates.folder / name for name in ("client", "locked", "server")}
    _write(mirror, secure, upstream=upstream.format(**names))

    run = mirror.sync(code=2)

    assert said in run.err
    assert "hint: a PEM file" in run.err
    assert "hunter2" not in run.err
    assert not mirror.tree.exists()
    assert secure.requests() == []


@pytest.mark.parametrize(("upstream", "network"), [(", ca-file: none.pem", ""), ("", ", ca-file: none.pem")])
def test_a_file_is_told_of_when_only_a_redirect_could_need_it(
    index: LocalIndex, mirror: Mirror, upstream: str, network: str
) -> None:
    _write(mirror, index, upstream=upstream, network=network)

    assert "ca-file: none.pem: No such file" in mirror.sync(code=2).err
    assert index.requests() == []


def test_a_variable_is_told_of_when_its_file_cannot_be_used(index: LocalIndex, mirror: Mirror) -> None:
    _write(mirror, index)
    mirror.environ["SSL_CERT_FILE"] = "none.pem"

    assert "SSL_CERT_FILE or SSL_CERT_DIR cannot be used" in mirror.sync(code=2).err
    assert index.requests() == []


def test_verify_needs_no_certificate_when_it_asks_nobody(
    secure: LocalIndex, mirror: Mirror, certificates: Certificates
) -> None:
    (mirror.folder / "ca.pem").write_bytes(certificates["ca"].read_bytes())
    _write(mirror, secure, upstream=", ca-file: ca.pem")
    mirror.sync()
    (mirror.folder / "ca.pem").unlink()

    mirror.run("verify")
