"""``pymirror doctor`` as a command: exit codes, what is printed, credentials, and TLS."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pymirror.commands.doctor_report import Check, Finding, Severity
from pymirror.commands.doctor_seen import Certificate, Pages, Reply, Site, choose_files, choose_large, choose_projects
from pymirror.commands.doctor_site import judge
from pymirror.simple.model import File
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.misbehaving import Asked, Good, Said, misbehaving
from tests.servers import serve_with_python
from tests.test_serve import served


@pytest.fixture
def good(index: LocalIndex, mirror: Mirror) -> Iterator[str]:
    index.add(make_wheel("app", "1.0"))
    mirror.write_spec(index, "projects: [app]")
    mirror.sync()
    with served(mirror) as (url, _):
        yield url


def _pass_on(_: Asked, right: Good) -> Said:
    return right()


# ── exit codes and output ───────────────────────────────────────────────────────────────────────────


def test_doctor_exits_0_when_all_is_well(good: str, mirror: Mirror) -> None:
    run = mirror.run("doctor", good)

    assert run.err == ""
    assert run.out == (f"{good}: 0 errors, 0 warnings, 27 of 29 checks fine; 22 requests, 1 of 1 project looked at\n")


def test_doctor_lists_what_is_well_when_it_is_verbose(good: str, mirror: Mirror) -> None:
    lines = mirror.run("doctor", "-v", good).out.splitlines()

    assert "ok: vary: Vary: Accept" in lines
    assert "skipped: encoded-names: no page that was read names a file with + or !" in lines
    assert len(lines) == len(Check) + 1


def test_doctor_exits_5_when_something_is_wrong(good: str, mirror: Mirror) -> None:
    with serve_with_python(mirror.tree) as url:
        run = mirror.run("doctor", url, code=5)
        told = mirror.run("doctor", "--json", url, code=5).json

    lines = run.out.splitlines()
    assert lines[:2] == ["error: private: the private folder is served", f"  at {url}.pymirror/"]
    assert lines[3].startswith("  to mend it: nginx: location")
    assert "`pymirror config nginx`" in lines[-2]
    assert (told["command"], told["exit-code"], told["errors"], told["warnings"]) == ("doctor", 5, 1, 6)
    assert [finding["id"] for finding in told["findings"]] == [check.id for check in Check]
    (private,) = (finding for finding in told["findings"] if finding["id"] == "private")
    assert (private["severity"], private["url"]) == ("error", f"{url}.pymirror/")
    assert private["why"]
    assert private["mend"]


def test_doctor_exits_1_when_nobody_answers(mirror: Mirror) -> None:
    run = mirror.run("doctor", "--json", "http://127.0.0.1:9/", code=1)

    assert run.json["exit-code"] == 1
    assert "error: http://127.0.0.1:9/simple/: ConnectError" in run.err


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "mirror", "http://", "http://x/?y", "file:///tmp/simple/"])
def test_doctor_exits_2_when_that_is_no_url(mirror: Mirror, url: str) -> None:
    run = mirror.run("doctor", url, code=2)

    assert "is not a URL of http or https" in run.err


def test_doctor_exits_2_when_no_url_is_given(mirror: Mirror) -> None:
    mirror.run("doctor", code=2)


def test_doctor_escapes_what_a_server_says_when_it_is_shown(good: str, mirror: Mirror) -> None:
    def bend(asked: Asked, right: Good) -> Said:
        return right().but(vary="\x1b[31mred") if asked.path.startswith("/simple/") else right()

    with misbehaving(good, bend) as server:
        run = mirror.run("doctor", server.url, code=5)

    assert "\x1b" not in run.out
    assert "red" in run.out


# ── credentials ─────────────────────────────────────────────────────────────────────────────────────


def test_doctor_uses_credentials_when_the_url_or_netrc_has_them(good: str, mirror: Mirror) -> None:
    wanted = f"Basic {b64encode(b'user:pass%word').decode()}"

    def bend(asked: Asked, right: Good) -> Said:
        return right(authorization=None) if asked.headers.get("authorization") == wanted else Said(401)

    with misbehaving(good, bend) as server:
        assert "access was refused" in mirror.run("doctor", server.url, code=1).err
        for arguments in ([], ["-v"], ["--json"]):
            run = mirror.run("doctor", *arguments, server.url.replace("//", "//user:pass%25word@"))
            assert "word" not in run.out + run.err
        Path(mirror.environ["HOME"], ".netrc").write_text("machine 127.0.0.1 login user password pass%word\n")
        mirror.run("doctor", server.url)


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=[5, 90])
def certificate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A self-signed certificate for 127.0.0.1 with its key, and the days that it is valid for."""
    folder = tmp_path_factory.mktemp("certificate")
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {request.param}"
    command += " -subj /CN=tests -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both, request.param


def test_doctor_looks_at_the_certificate_when_it_is_https(
    good: str, mirror: Mirror, certificate: tuple[Path, int]
) -> None:
    pem, days = certificate
    with misbehaving(good, _pass_on, pem) as server:
        refused = mirror.run("doctor", server.url, code=5)
        mirror.environ["SSL_CERT_FILE"] = str(pem)
        trusted = mirror.run("doctor", "-v", server.url)

    assert "error: tls: the certificate is not trusted: self-signed certificate" in refused.out
    expected = "warning" if days == 5 else "ok"
    assert f"{expected}: tls: the certificate is trusted, until " in trusted.out


# ── values ──────────────────────────────────────────────────────────────────────────────────────────

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _judge_tls(url: str, certificate: Certificate | None = None) -> Finding:
    reply = Reply(asked=url, url=url, status=404)
    listing = Pages(project=None, html=reply, json=reply)
    findings = judge(Site(simple_url=url, now=_NOW, listing=listing, certificate=certificate))
    return next(finding for finding in findings if finding.check is Check.TLS)


@pytest.mark.parametrize(
    ("url", "severity"),
    [
        ("http://mirror.example/simple/", Severity.WARNING),
        ("http://localhost:8000/simple/", Severity.OK),
        ("http://127.0.0.1/simple/", Severity.OK),
        ("http://[::1]:80/simple/", Severity.OK),
        ("http://localhost.example/simple/", Severity.WARNING),
        ("https://mirror.example/simple/", Severity.SKIPPED),
    ],
)
def test_judge_warns_of_http_when_it_is_another_machine(url: str, severity: Severity) -> None:
    assert _judge_tls(url).severity is severity


def test_judge_trusts_the_certificate_when_its_end_cannot_be_seen() -> None:
    assert _judge_tls("https://mirror.example/simple/", Certificate()).severity is Severity.OK


def test_judge_says_everything_once_when_nothing_was_seen() -> None:
    reply = Reply(asked="http://x/simple/", url="http://x/simple/", problem="nothing came")
    findings = judge(Site(simple_url="http://x/simple/", now=_NOW, listing=Pages(project=None, html=reply, json=reply)))

    assert [finding.check for finding in findings] == list(Check)
    assert [finding.check for finding in findings if finding.severity is Severity.ERROR] == [Check.INDEX_PAGE]


def test_every_check_has_its_own_words_when_listed() -> None:
    assert len({check.why for check in Check}) == len({check.mend for check in Check}) == len(Check)


def test_choose_large_takes_what_tells_most_when_there_are_several() -> None:
    def page(body: bytes, status: int = 200, problem: str = "") -> Pages:
        reply = Reply(asked="http://x/", url="http://x/", status=status, body=body, problem=problem)
        return Pages(project=None, html=reply, json=reply)

    small, large, missing = page(b"1"), page(b"12"), page(b"123", status=404)
    broken = page(b"", status=0, problem="cannot be unpacked")
    assert choose_large([small, large, missing]) is large.html
    assert choose_large([small, broken, large]) is broken.html
    assert choose_large([missing]) is None


@pytest.mark.parametrize(
    ("number", "expected"), [(0, []), (1, [0]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 4]), (10, [0, 3, 6, 9])]
)
def test_choose_projects_takes_some_from_all_over_when_there_are_many(number: int, expected: list[int]) -> None:
    assert choose_projects([str(index) for index in range(number)]) == tuple(str(index) for index in expected)


def test_choose_files_takes_one_of_each_kind_when_they_are_small() -> None:
    sizes = {
        "a-1.tar.gz": 9,
        "b-1.tar.gz": 8,
        "c-1+x.whl": 7,
        "m-1.whl": 6,
        "n-1.whl": 5,
        "o-1.zip": 4,
        "p-1.whl": 10**9,
    }
    files = [
        File(filename=name, url=name, size=size, core_metadata=name.startswith("m")) for name, size in sizes.items()
    ]

    assert [file.filename for file in choose_files(files)] == ["b-1.tar.gz", "c-1+x.whl", "m-1.whl", "n-1.whl"]
    assert choose_files([]) == ()
