"""Requests: where they go, what they carry, and how they end."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, Gate, LocalIndex

SDIST = "demo-1.0.tar.gz"
USER = "robot"
PASSWORD = "s3cret@w:rd/%41"


def redirect(location: str, status: int = 302) -> Answer:
    return Answer(status, b"over there", {"Location": location})


@pytest.fixture
def other() -> Iterator[LocalIndex]:
    """Another index: the same host, another port."""
    with LocalIndex() as local:
        yield local


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, and not for localhost, with its key."""
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tests"
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return folder / "both.pem"


@pytest.fixture
def secure(certificate: Path, mirror: Mirror) -> Iterator[LocalIndex]:
    """An index that speaks https and that the mirror trusts."""
    mirror.environ["SSL_CERT_FILE"] = str(certificate)
    with LocalIndex(certificate=certificate) as local:
        yield local


# ── redirects ───────────────────────────────────────────────────────────────────────────────────────


def test_links_are_relative_to_where_the_page_was_in_the_end(
    index: LocalIndex, other: LocalIndex, mirror: Mirror
) -> None:
    other.add(make_sdist("demo", "1.0"))
    index.fail("/simple/demo/", redirect(f"{other.url}demo/", 301))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.filenames("demo") == [SDIST]
    assert [request.path for request in index.requests()] == ["/simple/demo/"]


def test_links_are_relative_to_where_a_remembered_page_is_now(
    index: LocalIndex, other: LocalIndex, mirror: Mirror
) -> None:
    index.validators = other.validators = False
    index.add(make_sdist("demo", "1.0"))
    other.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    index.fail_always("/simple/demo/", redirect(f"{other.url}demo/", 301))
    index.fail_always(index.entries[0].path, Answer(404))
    mirror.find(SDIST).unlink()

    mirror.sync()

    assert mirror.filenames("demo") == [SDIST]


REFUSED_LOCATIONS = {
    "ftp": "ftp://127.0.0.1/simple/demo/",
    "file": "file:///etc/passwd",
    "javascript": "javascript:alert(1)",
    "data": "data:text/html,<a href=demo-1.0.tar.gz>",
    "nowhere": "",
    "no-host": "http:///simple/",
    "no-url": "http://[::1",
    "no-port": "http://127.0.0.1:99999/",
    "spaces": "http://127.0.0.1 evil/",
}


def test_a_redirect_that_leads_astray_is_not_followed(index: LocalIndex, mirror: Mirror) -> None:
    for project, location in REFUSED_LOCATIONS.items():
        index.fail_always(f"/simple/{project}/", redirect(location))
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, f"projects: [demo, {', '.join(REFUSED_LOCATIONS)}]", network="retries: 0")

    run = mirror.sync("--json", code=1)

    assert {failure["project"] for failure in run.json["failures"]} == REFUSED_LOCATIONS.keys()
    for project in REFUSED_LOCATIONS:
        assert len(index.requests(f"/simple/{project}/")) == 1
    assert mirror.projects() == ["demo"]


@pytest.mark.parametrize(("hops", "code"), [(10, 0), (11, 1)])
def test_redirects_are_counted(index: LocalIndex, mirror: Mirror, hops: int, code: int) -> None:
    index.absolute_urls = True
    index.add(make_sdist("demo", "1.0"))
    path = "/simple/demo/"
    for hop in range(1, hops):
        index.fail(path, redirect(f"/hop/{hop}"))
        path = f"/hop/{hop}"
    index.fail(path, redirect("/simple/demo/"))
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync(code=code)

    assert ("more than 10 redirects" in run.err) == (code == 1)
    assert len(index.requests("/hop/")) + len(index.requests("/simple/")) == 11


def test_a_loop_of_redirects_ends(index: LocalIndex, mirror: Mirror) -> None:
    index.fail_always("/simple/demo/", redirect("/simple/demo/"))
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync(code=1)

    assert "more than 10 redirects" in run.err
    assert len(index.requests()) == 11


# ── https ───────────────────────────────────────────────────────────────────────────────────────────


def test_https_works_with_a_certificate_that_the_user_trusts(secure: LocalIndex, mirror: Mirror) -> None:
    secure.add(make_wheel("demo", "1.0"))
    mirror.write_spec(secure, "projects: [demo]")

    mirror.sync()

    assert mirror.projects() == ["demo"]


def test_http_may_become_https(index: LocalIndex, secure: LocalIndex, mirror: Mirror) -> None:
    secure.add(make_sdist("demo", "1.0"))
    index.fail("/simple/demo/", redirect(f"{secure.url}demo/"))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.projects() == ["demo"]


@pytest.mark.parametrize("what", ["page", "file"])
def test_https_never_becomes_http_by_a_redirect(
    index: LocalIndex, secure: LocalIndex, mirror: Mirror, what: str
) -> None:
    index.add(make_sdist("demo", "1.0"))
    path = secure.add(make_sdist("demo", "1.0")).path if what == "file" else "/simple/demo/"
    secure.fail_always(path, redirect(f"{index.origin}{path}"))
    mirror.write_spec(secure, "projects: [demo]")

    run = mirror.sync(code=1)

    assert "from https to http" in run.err
    assert index.requests() == []


def test_https_never_becomes_http_however_it_is_spelled(index: LocalIndex, secure: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    entry = secure.add(make_sdist("demo", "1.0"))
    entry.url = f"{secure.origin.replace('https', 'HTTPS')}{entry.path}"
    secure.fail_always(entry.path, redirect(f"{index.origin}{entry.path}"))
    mirror.write_spec(secure, "projects: [demo]")

    mirror.sync(code=1)

    assert index.requests() == []


def test_https_never_becomes_http_by_a_link(index: LocalIndex, secure: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_sdist("demo", "1.0"))
    secure.add(make_sdist("demo", "1.0"), url=f"{index.origin}{entry.path}")
    mirror.write_spec(secure, "projects: [demo]")

    mirror.sync(code=1)

    assert index.requests() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_that_is_not_trusted_ends_the_attempt_at_once(
    secure: LocalIndex, mirror: Mirror, host: str
) -> None:
    """127.0.0.1 is in the certificate, which nobody signed; localhost is not, though the certificate is trusted."""
    if host == "127.0.0.1":
        del mirror.environ["SSL_CERT_FILE"]
    mirror.write_spec(secure.url.replace("127.0.0.1", host), "projects: [demo]", network="retries: 5")

    run = mirror.sync("-v", code=1)

    assert "certificate is not trusted" in run.err
    assert "attempt" not in run.err
    assert secure.requests() == []


def test_a_certificate_file_that_cannot_be_read_is_a_usage_error(index: LocalIndex, mirror: Mirror) -> None:
    mirror.environ["SSL_CERT_FILE"] = str(mirror.folder / "missing.pem")
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync(code=2)

    assert "SSL_CERT_FILE" in run.err
    assert not mirror.tree.exists()


def test_a_server_that_speaks_no_tls_is_given_up(index: LocalIndex, mirror: Mirror) -> None:
    mirror.write_spec(index.url.replace("http:", "https:"), "projects: [demo]", network="retries: 1")

    mirror.sync(code=1)


# ── credentials ─────────────────────────────────────────────────────────────────────────────────────


def _with_user(url: str, user: str) -> str:
    return url.replace("http://", f"http://{user}@")


def _give_in_url(index: LocalIndex, mirror: Mirror) -> str:
    return _with_user(index.url, f"{USER}:{quote(PASSWORD, safe='')}")


def _give_as_variables(index: LocalIndex, mirror: Mirror) -> str:
    mirror.environ |= {"INDEX_USER": USER, "INDEX_PASSWORD": quote(PASSWORD, safe="")}
    return _with_user(index.url, "${INDEX_USER}:${INDEX_PASSWORD}")


def _give_as_keys(index: LocalIndex, mirror: Mirror) -> str:
    mirror.environ["INDEX_PASSWORD"] = PASSWORD  # as it is: it is no part of a URL
    return f"{index.url}', username: {USER}, password: '${{INDEX_PASSWORD}}"  # the spec closes the quote


def _give_in_netrc(index: LocalIndex, mirror: Mirror) -> str:
    text = f"machine example.com login no password no\nmachine 127.0.0.1 login {USER} password {PASSWORD}\n"
    netrc = Path(mirror.environ["HOME"], ".netrc")
    netrc.write_text(text)
    netrc.chmod(0o600)
    return index.url


def _give_as_keyring_command(index: LocalIndex, mirror: Mirror) -> str:
    """The command that `unearth` looks for, where Python has no module of that name."""
    folder = mirror.folder / "bin"
    folder.mkdir()
    (folder / "keyring.py").write_text("raise ImportError\n")
    script = folder / "keyring"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> "{mirror.folder}/keyring.log"\n'
        f'[ "$1 $2 $3" = "--mode=creds get {index.url}" ] || exit 1\n'
        f"printf '%s\\n%s\\n' '{USER}' '{PASSWORD}'\n"
    )
    script.chmod(0o755)
    mirror.environ |= {"PATH": f"{folder}:{mirror.environ['PATH']}", "PYTHONPATH": str(folder)}
    return index.url


def _give_as_keyring_module(index: LocalIndex, mirror: Mirror) -> str:
    folder = mirror.folder / "modules"
    folder.mkdir()
    (folder / "keyring.py").write_text(
        "from types import SimpleNamespace\n"
        "def get_credential(service, user):\n"
        f"    print(service, file=open({str(mirror.folder / 'keyring.log')!r}, 'a'))\n"
        f"    if service == {index.url!r}:\n"
        f"        return SimpleNamespace(username={USER!r}, password={PASSWORD!r})\n"
        "def get_password(service, user):\n"
        "    return None\n"
    )
    mirror.environ["PYTHONPATH"] = str(folder)
    return index.url


Give = Callable[[LocalIndex, Mirror], str]
SOURCES: dict[str, Give] = {
    "url": _give_in_url,
    "variables": _give_as_variables,
    "keys": _give_as_keys,
    "netrc": _give_in_netrc,
    "keyring command": _give_as_keyring_command,
    "keyring module": _give_as_keyring_module,
}

SECRETS = [
    *{PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), quote_plus(PASSWORD), json.dumps(PASSWORD)[1:-1]},
    b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
]


def _assert_nowhere(mirror: Mirror, *texts: str) -> None:
    """No secret is in ``texts``, nor in any file of the tree, the private ones among them."""
    for secret in SECRETS:
        for text in texts:
            assert secret not in text
        for path in mirror.tree.rglob("*"):
            assert secret not in path.name
            assert not path.is_file() or secret.encode() not in path.read_bytes()


@pytest.mark.parametrize("give", SOURCES.values(), ids=SOURCES)
def test_a_credential_opens_the_index_and_is_told_to_nobody(index: LocalIndex, mirror: Mirror, give: Give) -> None:
    index.credential = f"{USER}:{PASSWORD}"
    index.add(make_wheel("demo", "1.0"))
    lost = index.add(make_sdist("demo", "2.0"))
    index.fail_always(lost.path, Answer(503))
    index.fail_always("/simple/broken/", Answer(200, b"{", {"Content-Type": JSON_TYPE}))
    mirror.write_spec(give(index, mirror), "projects: [demo, missing, broken]", network="retries: 1")

    run = mirror.sync("-v", "--json", code=1)

    assert len(run.json["failures"]) == 3
    assert mirror.filenames("demo") == ["demo-1.0-py3-none-any.whl"]
    plan = mirror.run("plan", "-v", code=1)
    _assert_nowhere(mirror, run.out, run.err, plan.out, plan.err)


def test_a_credential_is_told_to_nobody_when_it_is_wrong(index: LocalIndex, mirror: Mirror) -> None:
    index.credential = "somebody:else"
    mirror.write_spec(_give_in_url(index, mirror), "projects: [demo]")

    run = mirror.sync("-v", code=1)

    assert "HTTP 401: access was refused" in run.err
    assert len(index.requests()) == 1
    _assert_nowhere(mirror, run.out, run.err)


def test_a_credential_is_told_to_nobody_when_the_spec_is_wrong(mirror: Mirror) -> None:
    user = f"{USER}:{quote(PASSWORD, safe='')}"
    mirror.write_spec(f"https://{user}@example.com:port/simple/", f"projects: ['demo @ https://{user}@example.com/']")

    run = mirror.sync("-v", code=2)

    _assert_nowhere(mirror, run.out, run.err)


def test_an_index_that_wants_a_credential_is_asked_once_when_there_is_none(index: LocalIndex, mirror: Mirror) -> None:
    index.credential = "a:b"
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync(code=1)

    assert "credentials come from the upstream's URL, netrc or keyring" in run.err
    assert len(index.requests()) == 1


def test_the_default_entry_of_netrc_goes_nowhere(index: LocalIndex, mirror: Mirror) -> None:
    netrc = Path(mirror.environ["HOME"], ".netrc")
    netrc.write_text(f"default login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    index.credential = f"{USER}:{PASSWORD}"
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync(code=1)

    assert [request.headers.get("authorization") for request in index.requests()] == [None]


def test_a_netrc_that_cannot_be_read_is_a_usage_error_and_is_not_quoted(index: LocalIndex, mirror: Mirror) -> None:
    netrc = Path(mirror.environ["HOME"], ".netrc")
    netrc.write_text(f"machine 127.0.0.1 login {USER} pass {PASSWORD}\n")
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync(code=2)

    assert ".netrc" in run.err
    _assert_nowhere(mirror, run.err)
    assert index.requests() == []


@pytest.mark.parametrize("give", SOURCES.values(), ids=SOURCES)
def test_a_credential_goes_to_its_own_origin_only(
    index: LocalIndex, other: LocalIndex, mirror: Mirror, give: Give
) -> None:
    """A page and a file are elsewhere: by a redirect and by a link, to another port, which asks for a password too."""
    index.credential = f"{USER}:{PASSWORD}"
    index.add(make_sdist("good", "1.0"))
    moved = other.add(make_sdist("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"), url=f"{other.origin}{moved.path}")
    index.fail_always("/simple/moved/", redirect(f"{other.url}moved/"))
    other.fail_always("/simple/moved/", Answer(401, b"", {"WWW-Authenticate": "Basic"}))
    other.fail_always(moved.path, Answer(401, b"", {"WWW-Authenticate": "Basic"}))
    mirror.write_spec(give(index, mirror), "projects: [good, demo, moved]")

    mirror.sync(code=1)

    assert mirror.projects() == ["good"]
    assert len(other.requests()) == 2
    assert [request.headers.get("authorization") for request in other.requests()] == [None, None]
    asked = mirror.folder / "keyring.log"
    assert not asked.exists() or other.origin not in asked.read_text()


def test_each_upstream_gets_its_own_credential(index: LocalIndex, other: LocalIndex, mirror: Mirror) -> None:
    index.credential, other.credential = "one:1", "two:2"
    index.add(make_sdist("demo", "1.0"))
    other.add(make_sdist("acme", "1.0"))
    mirror.spec.write_text(
        "output: mirror\n"
        "upstreams:\n"
        f"  - {{name: one, url: '{_with_user(index.url, 'one:1')}'}}\n"
        f"  - {{name: two, url: '{_with_user(other.url, 'two:2')}', projects: [acme]}}\n"
        "projects: [demo, acme]\n"
    )

    mirror.sync()

    for local, credential in ((index, "one:1"), (other, "two:2")):
        sent = {request.headers.get("authorization") for request in local.requests()}
        assert sent == {f"Basic {b64encode(credential.encode()).decode()}"}


def test_two_upstreams_on_one_host_get_their_own_credentials(index: LocalIndex, mirror: Mirror) -> None:
    """Two repositories of one server, each with a user of its own."""
    for project in ("demo", "acme"):
        index.add(make_sdist(project, "1.0"))
    acme = Answer(200, index.detail_json("acme"), {"Content-Type": JSON_TYPE})
    index.fail_always("/private/simple/acme/", acme)
    mirror.spec.write_text(
        "output: mirror\n"
        "upstreams:\n"
        f"  - {{name: one, url: '{_with_user(index.url, 'one:1')}'}}\n"
        f"  - {{name: two, url: '{_with_user(index.origin, 'two:2')}/private/simple/', projects: [acme]}}\n"
        "projects: [demo, acme]\n"
    )

    mirror.sync(code=None)

    for path, credential in (("/simple/demo/", "one:1"), ("/private/simple/acme/", "two:2")):
        sent = {request.headers.get("authorization") for request in index.requests(path)}
        assert sent == {f"Basic {b64encode(credential.encode()).decode()}"}


def test_the_keyring_is_asked_for_the_password_of_the_user_in_the_url(index: LocalIndex, mirror: Mirror) -> None:
    index.credential = f"{USER}:{PASSWORD}"
    index.add(make_sdist("demo", "1.0"))
    _give_as_keyring_module(index, mirror)
    mirror.write_spec(_with_user(index.url, USER), "projects: [demo]")

    mirror.sync()

    assert mirror.projects() == ["demo"]


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────


def _padded_page(index: LocalIndex, size: int) -> bytes:
    return index.detail_json("demo") + b" " * size


def test_a_page_larger_than_the_limit_is_refused(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    index.fail_always("/simple/demo/", Answer(200, _padded_page(index, 100_000), {"Content-Type": JSON_TYPE}))
    mirror.write_spec(index, "projects: [demo]", network="max-page-size: 100 kB")

    run = mirror.sync(code=1)

    assert "larger than 100000 bytes" in run.err
    assert len(index.requests()) == 1


def test_the_limit_is_that_of_the_unpacked_page(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
    bomb = gzip.compress(_padded_page(index, 20_000_000))
    index.fail("/simple/demo/", Answer(200, bomb, headers))
    mirror.write_spec(index, "projects: [demo]", network="max-page-size: 1 MB")
    assert "larger than 1000000 bytes" in mirror.sync(code=1).err
    index.fail("/simple/demo/", Answer(200, gzip.compress(_padded_page(index, 900_000)), headers))

    mirror.sync()

    assert mirror.projects() == ["demo"]


def test_endless_headers_are_refused(index: LocalIndex, mirror: Mirror) -> None:
    headers = itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X-Filler: " + b"x" * 10_000 + b"\r\n"))
    index.fail_always("/simple/demo/", Answer(raw=headers))
    mirror.write_spec(index, "projects: [demo]", network="retries: 1")

    mirror.sync(code=1)

    assert len(index.requests()) == 2


def _drip(head: bytes, piece: bytes = b" ") -> Answer:
    """``head``, and then a byte now and then: never idle, and never done."""

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(200):
            time.sleep(0.05)
            yield piece

    return Answer(raw=pieces())


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(_HEAD + b"Content-Length: 100000\r\n\r\n", b" ", id="body"),
        pytest.param(_HEAD + b"\r\n", b" ", id="body without length"),
        pytest.param(_HEAD + b"X-Slow: ", b"x", id="header"),
        # The name of the packed file: bytes that arrive, of which none comes out.
        pytest.param(
            _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\0",
            b"n",
            id="gzip header",
        ),
    ],
)
def test_a_page_that_drips_is_given_up(index: LocalIndex, mirror: Mirror, head: bytes, piece: bytes) -> None:
    index.fail("/simple/demo/", _drip(head, piece))
    mirror.write_spec(index, "projects: [demo]", network="page-timeout: 0.5 s, retries: 0")

    run = mirror.run("sync", code=1, timeout=6)

    assert "it took longer than 0.5 s in all" in run.err


def test_what_arrived_of_a_page_before_it_was_given_up_is_no_page(index: LocalIndex, mirror: Mirror) -> None:
    """Or the second release would leave the index, and nobody would be told."""
    index.formats = ("html",)
    index.add(make_sdist("demo", "1.0"))
    index.add(make_sdist("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]", network="page-timeout: 0.5 s, retries: 0")
    mirror.sync()
    before = mirror.published()
    first = index.detail_html("demo").partition(b"<br>")[0]
    index.fail("/simple/demo/", _drip(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + first))

    mirror.run("sync", code=1, timeout=6)

    assert mirror.published() == before


@pytest.mark.parametrize("length", [b"Content-Length: 830\r\n", b""])
def test_a_file_that_drips_is_given_up(index: LocalIndex, mirror: Mirror, length: bytes) -> None:
    """Of which nothing is known that could tell a part from the whole."""
    entry = index.add((SDIST, bytes(830)), hashes={}, size=None)
    index.fail(entry.path, _drip(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n", b"\0"))
    mirror.write_spec(
        index, "projects: [demo]\nrequire-hashes: false", network="file-timeout: 0.5 s, page-timeout: 9 s, retries: 0"
    )

    run = mirror.run("sync", code=1, timeout=6)

    assert "it took longer than 0.5 s in all" in run.err
    assert mirror.pool() == []


def test_a_server_that_says_nothing_is_given_up(index: LocalIndex, mirror: Mirror) -> None:
    gate = Gate()
    index.fail("/simple/demo/", gate, gate)
    mirror.write_spec(index, "projects: [demo]", network="timeout: 0.5 s, retries: 1")

    run = mirror.run("sync", "-v", code=1, timeout=20)

    gate.open()
    assert "attempt 2" in run.err


def test_attempts_are_bounded_when_nobody_listens(mirror: Mirror) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, so that nobody else listens there; and not listening
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/simple/"
        mirror.write_spec(url, "projects: [demo]", network="retries: 2")

        run = mirror.sync("-v", code=1)

    assert "attempt 3" in run.err
    assert "attempt 4" not in run.err
    assert "failed: demo: " in run.err


def test_a_page_is_asked_for_again_when_the_error_may_pass(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    cut = Answer(200, index.detail_json("demo"), {"Content-Type": JSON_TYPE}, cut=20)
    index.fail("/simple/demo/", Answer(503), cut)
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert [request.status for request in index.requests("/simple/")] == [503, 200, 200]


def test_a_304_that_was_not_asked_for_is_no_answer(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    index.fail_always("/simple/demo/", Answer(304))
    mirror.write_spec(index, "projects: [demo]", network="retries: 1")

    run = mirror.sync(code=1)

    assert "HTTP 304 is no answer to " in run.err
    assert len(index.requests()) <= 2


def test_what_upstream_says_cannot_move_the_cursor(index: LocalIndex, mirror: Mirror) -> None:
    page = {"meta": {"api-version": "1.0"}, "files": [], "name": "evil\x1b[2J\r\nerror: forged\u202e"}
    index.fail("/simple/demo/", Answer(200, json.dumps(page).encode(), {"Content-Type": JSON_TYPE}))
    index.fail("/simple/other/", Answer(200, b"", {"Content-Type": "text/\x1b[31mred"}))
    mirror.write_spec(index, "projects: [demo, other]")

    run = mirror.sync("-v", code=1)

    assert "\x1b" not in run.err
    assert "\u202e" not in run.err
    assert "\nerror: forged" not in run.err
