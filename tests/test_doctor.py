"""``pymirror doctor``: every finding seen to come and not to come, with real servers and with one that misbehaves."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pymirror.commands.doctor import doctor
from pymirror.commands.doctor_report import Check, DoctorReport, Severity
from pymirror.commands.doctor_seen import MAX_REQUESTS
from pymirror.errors import RequestError
from pymirror.progress import NoProgress
from pymirror.settings import Facts, make_config
from pymirror.workers import Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, LocalIndex
from tests.misbehaving import Asked, Bend, Good, Said, misbehaving
from tests.servers import read_nginx_blocks, serve_with_nginx, serve_with_python
from tests.test_provenance import make_provenance
from tests.test_serve import served
from tests.web_servers import LARGE, SERVERS, serve

# ── a tree that is served as it should be ───────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def shared() -> Iterator[Mirror]:
    """In a folder that everyone may enter: started by root, a web server becomes somebody else."""
    kept = {name: os.environ[name] for name in os.environ if name == "PATH" or name.startswith("COVERAGE_")}
    with tempfile.TemporaryDirectory(prefix="pymirror-doctor-") as name, LocalIndex() as index:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "home").mkdir()
        mirror = Mirror(folder, kept | {"HOME": str(folder / "home"), "PIP_CONFIG_FILE": os.devnull})
        index.add(make_wheel("app", "1.0"))
        for number in range(LARGE):
            index.add(make_wheel("big", f"1.{number}"))
        index.add(make_wheel("tensor", "1.0+cpu"))
        index.add(make_sdist("legacy", "1.0"))
        mirror.write_spec(index, "projects: [app, big, tensor, legacy]")
        mirror.sync()
        yield mirror


@pytest.fixture(scope="module")
def good(shared: Mirror) -> Iterator[str]:
    with served(shared) as (url, _):
        yield url


def examine(url: str, now: datetime | None = None) -> DoctorReport:
    return doctor(url, environ={"HOME": "/nowhere"}, now=now or datetime.now(UTC), progress=NoProgress(), stop=Stop())


def severities(report: DoctorReport) -> dict[str, str]:
    """What is not as it should be."""
    wrong = (Severity.WARNING, Severity.ERROR)
    return {finding.check.id: finding.severity.value for finding in report.findings if finding.severity in wrong}


def test_doctor_finds_nothing_when_pymirror_serves(good: str) -> None:
    for url in (good, good.removesuffix("simple/"), good.removesuffix("/")):
        report = examine(url)

        assert severities(report) == {}
        assert report.url == good
        assert len(report.findings) == len(Check)
        assert report.requests <= MAX_REQUESTS


def test_doctor_finds_nothing_when_the_other_server_only_passes_on(good: str) -> None:
    with misbehaving(good, lambda _, right: right()) as server:
        assert severities(examine(server.url)) == {}


# ── each finding ────────────────────────────────────────────────────────────────────────────────────


def _is_page(asked: Asked) -> bool:
    return asked.path.startswith("/simple/") and asked.path.endswith("/")


def _pages(**changed: str | None) -> Bend:
    """Other headers on pages."""
    return lambda asked, right: right().but(**changed) if _is_page(asked) else right()


def _json(**changed: str | None) -> Bend:
    """Other headers where JSON is asked for."""
    return lambda asked, right: right().but(**changed) if asked.accepts_json() else right()


def _head(**changed: str | None) -> Bend:
    """Other headers to HEAD."""
    return lambda asked, right: right().but(**changed) if asked.method == "HEAD" else right()


def _prefer_json(asked: Asked, right: Good) -> Said:
    """JSON to pip before 22.2."""
    return right(accept=JSON_TYPE if asked.headers["accept"] == "text/html" else asked.headers["accept"])


def _files(**changed: str | None) -> Bend:
    """Other headers on files."""
    return lambda asked, right: right().but(**changed) if asked.path.startswith("/packages/") else right()


def _at(pattern: str, said: Callable[[Asked, Said], Said]) -> Bend:
    """Another answer where the path fits."""
    return lambda asked, right: said(asked, right()) if re.search(pattern, asked.path) else right()


def _always(pattern: str, status: int, body: bytes = b"", **headers: str) -> Bend:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return _at(pattern, lambda *_: Said(status, {"content-type": "text/html", **changed}, body))


def _without(*names: str) -> Bend:
    """A server that does not know these headers of a request."""
    return lambda _, right: right(**dict.fromkeys(names))


def _repack(asked: Asked, said: Said) -> Said:
    """Packed on the way, which what has no body only says."""
    if said.status not in (200, 304):
        return said
    return said.with_body(gzip.compress(said.body)).but(content_encoding="gzip", content_length=None)


def _elsewhere(pattern: str, path: str) -> Bend:
    """A redirect to another name of the same server, which is another origin."""
    return _at(pattern, lambda asked, _: Said(302, {"location": f"http://localhost:{asked.port}{path}"}))


def _link_elsewhere(asked: Asked, said: Said) -> Said:
    return said.with_body(said.body.replace(b"../../packages", f"http://localhost:{asked.port}/packages".encode()))


def _lose_a_file(asked: Asked, said: Said) -> Said:
    return said.with_body(re.sub(rb"<a .*", b'<a href="x">x</a>', said.body)) if not asked.accepts_json() else said


def _answer_twice(asked: Asked, said: Said) -> Said:
    return Said(206, said.headers, b"0123456789") if said.status == 206 else said


def _tag(_: Asked, said: Said) -> Said:
    return said.but(etag='"same"')


def _is_for_gzip(asked: Asked) -> bool:
    return "gzip" in asked.headers.get("accept-encoding", "gzip")


def _only_packed(asked: Asked, right: Good) -> Said:
    return right(accept_encoding="gzip") if asked.path == "/simple/big/" else right()


def _pack_another(_: Asked, said: Said) -> Said:
    """The packed copy is that of a page that was."""
    is_packed = said.headers.get("content-encoding") == "gzip" and said.body
    return said.with_body(gzip.compress(gzip.decompress(said.body) + b"<br>")) if is_packed else said


def _break_packed(asked: Asked, said: Said) -> Said:
    return said.with_body(bytes(len(said.body))) if _is_for_gzip(asked) else said


def _unpack_large(asked: Asked, right: Good) -> Said:
    said = right(accept_encoding=None)
    return said.with_body(said.body + b"<br>" * 40_000) if asked.path == "/simple/big/" and said.status == 200 else said


def _keep(_: Asked, said: Said) -> Said:
    return said.but(cache_control="public, max-age=31536000, immutable")


_INTEGRITY = "application/vnd.pypi.integrity.v1+json"
_DIGEST = hashlib.sha256(make_wheel("app", "1.0")[1]).hexdigest()
_PROVENANCE, _OTHERS = make_provenance(_DIGEST), make_provenance("0" * 64)


def _link(url: str) -> Bend:
    """A link to the provenance of the file of app."""

    def bend(asked: Asked, right: Good) -> Said:
        if asked.path != "/simple/app/" or not asked.accepts_json():
            return right()
        said = right()
        page = json.loads(said.body)
        page["files"][0]["provenance"] = url.format(port=asked.port)
        return said.with_body(json.dumps(page).encode())

    return bend


def _attest(answer: Said) -> Bend:
    """A link to the provenance, which is answered so."""
    link = _link("http://127.0.0.1:{port}/attested")
    return lambda asked, right: answer if asked.path == "/attested" else link(asked, right)


_BENDS: list[tuple[str, str, str, Bend]] = [
    ("index-page", "error", "is missing", _always("/simple/$", 404)),
    ("index-page", "error", "is empty", _always("/simple/$", 200)),
    ("project-page", "error", "is missing", _always("/simple/app/$", 404)),
    ("project-page", "error", "is for people", _always("/simple/app/$", 200, b"<p>welcome</p>")),
    ("default-type", "error", "is JSON", lambda a, right: right(accept=JSON_TYPE) if _is_page(a) else right()),
    ("default-type", "error", "is JSON to text/html", _prefer_json),
    ("json", "warning", "is HTML", _without("accept")),
    ("json", "error", "is application/json", _json(content_type="application/json")),
    ("json", "error", "has no type", _json(content_type=None)),
    ("json", "error", "is refused", lambda a, right: Said(406) if a.accepts_json() else right()),
    ("vary", "error", "is missing", _pages(vary=None)),
    ("vary", "error", "is of something else", _pages(vary="Accept-Encoding")),
    ("page-cache", "warning", "is missing", _pages(cache_control=None)),
    ("page-cache", "warning", "is two hours", _pages(cache_control="max-age=7200")),
    ("page-cache", "error", "is for ever", _pages(cache_control="public, max-age=31536000, immutable")),
    ("conditional", "warning", "has no validator", _pages(etag=None, last_modified=None)),
    ("conditional", "warning", "is not understood", _without("if-none-match", "if-modified-since")),
    ("conditional", "error", "has one tag for both", _at("/simple/.*/$", _tag)),
    ("head", "warning", "is refused", lambda a, right: Said(405) if a.method == "HEAD" else right()),
    ("head", "warning", "has another length", _head(content_length="0")),
    ("same-files", "error", "differ", _at("/simple/app/$", _lose_a_file)),
    ("links", "warning", "lead elsewhere", _at("/simple/.*/$", _link_elsewhere)),
    ("packed-pages", "error", "are for all", lambda a, right: _only_packed(a, right)),
    ("packed-pages", "error", "are other pages", _at("/simple/big/$", _pack_another)),
    ("packed-pages", "error", "cannot be unpacked", _at("/simple/big/$", _break_packed)),
    ("packed-pages", "error", "are refused", lambda a, right: Said(406) if not _is_for_gzip(a) else right()),
    ("packed-pages", "error", "do not vary", _pages(vary="Accept")),
    ("packed-pages", "warning", "are there for none", _unpack_large),
    ("front-page", "warning", "is missing", _always("^/$", 404)),
    ("front-page", "warning", "is broken", _always("^/$", 500)),
    ("front-page", "warning", "is a download", _at("^/$", lambda _, said: said.but(content_type="text/plain"))),
    ("peoples-page", "warning", "is missing", _always("^/project/", 404)),
    ("peoples-page", "warning", "is broken", _always("^/project/", 500)),
    ("peoples-page", "warning", "has no type", _at("^/project/", lambda _, said: said.but(content_type=None))),
    ("page-cache", "error", "is for ever, for people", _at("^/project/", _keep)),
    ("page-cache", "error", "is for ever, for scripts", _at("^/pypi/", _keep)),
    ("legacy-json", "warning", "has no type", _at("^/pypi/", lambda _, said: said.but(content_type=None))),
    ("legacy-json", "warning", "is a download", _at("^/pypi/", lambda _, said: said.but(content_type="text/plain"))),
    ("legacy-json", "warning", "is something else", _always("^/pypi/", 200, b"<p>welcome</p>")),
    ("provenance", "warning", "is missing", _attest(Said(404))),
    ("provenance", "warning", "has another type", _attest(Said(200, {"content-type": "text/plain"}, _PROVENANCE))),
    ("provenance", "error", "is of another file", _attest(Said(200, {"content-type": _INTEGRITY}, _OTHERS))),
    ("provenance", "error", "is a page", _attest(Said(200, {"content-type": "text/html"}, b"<p>welcome</p>"))),
    ("file", "error", "is missing", _always("tar.gz$", 404)),
    ("file", "error", "is shorter", _at("tar.gz$", lambda _, said: said.with_body(said.body[:-1]))),
    ("file", "error", "has other bytes", _at("tar.gz$", lambda _, said: said.with_body(bytes(len(said.body))))),
    ("file-encoding", "error", "is of the sdist", _at("tar.gz$", lambda _, said: said.but(content_encoding="x-gzip"))),
    ("file-encoding", "warning", "is on the fly", _at("whl$", _repack)),
    ("file-type", "warning", "is text", _files(content_type="text/plain")),
    ("file-cache", "warning", "is missing", _files(cache_control=None)),
    ("file-cache", "warning", "is no-cache", _files(cache_control="no-cache")),
    ("range", "warning", "is not understood", _without("range")),
    ("range", "error", "gives other bytes", _at("/packages/", _answer_twice)),
    ("metadata", "error", "is missing", _always("metadata$", 404)),
    ("metadata", "error", "has other bytes", _at("metadata$", lambda _, said: said.with_body(b"Name: other\n"))),
    ("encoded-names", "error", "are taken as they are", _always("%2B", 404)),
    ("slash", "warning", "is needed", _always("/simple/app$", 404)),
    ("slash", "warning", "is not needed", lambda _, right: right(path="/simple/app/")),
    ("slash", "error", "leads to another host", _elsewhere("/simple/app$", "/simple/app/")),
    ("slash", "error", "fails", _always("/simple/app$", 400)),
    ("slash", "warning", "leads to another page", _always("/simple/app$", 302, location="/simple/legacy/")),
    ("slash", "warning", "was not the question", _elsewhere("/simple/$", "/simple/?x=1")),
    ("normalized-name", "warning", "fails", _always("/simple/APP/", 400)),
    ("normalized-name", "warning", "leads to another host", _elsewhere("/simple/APP/", "/simple/app/")),
    ("unknown-project", "error", "is welcome", _always("/simple/no-such", 200, b"<a href='/login'>log in</a>")),
    ("unknown-project", "error", "is sent to log in", _always("/simple/no-such", 302, location="/login")),
    ("unknown-project", "error", "is forbidden", _always("/simple/no-such", 403)),
    ("private", "error", "is served", _always("/.pymirror/snapshots", 200, b"00001")),
    ("listing", "warning", "of the pool", _always("/packages/$", 200, b'<html><a href="1e/">1e/</a>')),
    ("listing", "warning", "of the root", _always("^/$", 200, b"<html><title>Index of /</title>")),
    ("clock", "warning", "is missing", _at("", lambda _, said: said.but(date=None))),
    ("clock", "warning", "is no time", _at("", lambda _, said: said.but(date="today"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "severity", "bend"),
    [(check, severity, bend) for check, severity, _, bend in _BENDS],
    ids=[f"{check} {what}" for check, _, what, _ in _BENDS],
)
def test_doctor_finds_it_when_the_server_misbehaves(good: str, check: str, severity: str, bend: Bend) -> None:
    with misbehaving(good, bend) as server:
        report = examine(server.url)

    assert severities(report).get(check) == severity, severities(report)
    (finding,) = (finding for finding in report.findings if finding.check.id == check)
    assert finding.seen
    assert finding.url.startswith(server.url)
    assert (report.exit_code == 5) == (Severity.ERROR in [finding.severity for finding in report.findings])


def _is_packable(asked: Asked) -> bool:
    return _is_page(asked) and _is_for_gzip(asked)


_FINE: list[tuple[str, Bend]] = [
    ("pages are a few minutes old", _pages(cache_control="max-age=600")),
    ("pages expire", _pages(cache_control=None, expires="0")),
    ("there is no time to guess by", _pages(cache_control=None, last_modified=None)),
    ("tags are weak", _pages(etag='W/"x"', last_modified="Tue, 14 Nov 2023 22:13:20 GMT")),
    ("names are not normalized for anybody", _always("/simple/APP/", 404)),
    ("a project is gone", _always("/simple/no-such", 410)),
    ("the root is for people", _always("^/$", 200, b'<h1>Mirror</h1><a href="simple/">index</a>')),
    ("the private folder is forbidden", _always("/.pymirror", 403)),
    ("pages are packed", lambda a, right: _repack(a, right(accept_encoding=None)) if _is_packable(a) else right()),
    ("pages are not packed", lambda _, right: right(accept_encoding=None)),
    ("there is nothing for people", _always("^/(project/.*)?$", 404)),
    ("nothing for people is forbidden", _always("^/(project/.*)?$", 403)),
    ("there is nothing for scripts", _always("^/pypi/", 404)),
    ("the top leads elsewhere", _always("^/$", 302, location="simple/")),
    ("the file is attested", _attest(Said(200, {"content-type": _INTEGRITY}, _PROVENANCE))),
]


@pytest.mark.parametrize("bend", [bend for _, bend in _FINE], ids=[what for what, _ in _FINE])
def test_doctor_finds_nothing_when_that_is_well(good: str, bend: Bend) -> None:
    with misbehaving(good, bend) as server:
        assert set(severities(examine(server.url))) <= {"conditional"}  # a page that is changed here has other tags


def test_doctor_finds_the_clock_wrong_when_it_is_an_hour_away(good: str) -> None:
    for hours in (-1, 1):
        assert severities(examine(good, datetime.now(UTC) + timedelta(hours=hours))) == {"clock": "warning"}


@pytest.mark.parametrize("url", ["http://h:99999/app-1.0.whl", "file:///etc/app-1.0.whl"])
def test_doctor_says_so_when_a_page_links_to_nowhere(good: str, url: str) -> None:
    link = f'<a href="{url}">app-1.0.whl</a>'.encode()
    with misbehaving(good, _always("/simple/(app|big|legacy|tensor)/$", 200, link)) as server:
        found = severities(examine(server.url))

    assert found["links"] == "warning"
    assert found["file"] == "error"


@pytest.mark.parametrize("url", ["nowhere:/", "app.provenance", "http://h:99999/x", "http://[", "file:///etc/passwd"])
def test_doctor_says_so_when_the_provenance_is_nowhere(good: str, url: str) -> None:
    with misbehaving(good, _link(url)) as server:
        assert severities(examine(server.url))["provenance"] == "warning"


def test_doctor_asks_again_when_a_connection_breaks(good: str) -> None:
    broken: list[str] = []

    def bend(asked: Asked, right: Good) -> Said:
        if asked.path != "/simple/app/" or broken:
            return right()
        broken.append(asked.path)
        raise ConnectionError("once")

    with misbehaving(good, bend) as server:
        assert severities(examine(server.url)) == {}
    assert broken == ["/simple/app/"]


# ── real servers ────────────────────────────────────────────────────────────────────────────────────


def test_doctor_tells_what_pythons_server_does_when_it_is_asked(shared: Mirror) -> None:
    with serve_with_python(shared.tree) as url:
        assert severities(examine(url)) == {
            "json": "warning",
            "legacy-json": "warning",
            "page-cache": "warning",
            "file-cache": "warning",
            "range": "warning",
            "listing": "warning",
            "private": "error",
        }


@pytest.mark.parametrize(
    ("block", "expected"),
    [(0, dict.fromkeys(("json", "page-cache", "file-cache", "file-type", "legacy-json"), "warning")), (1, {})],
    ids=["plain", "negotiated"],
)
def test_doctor_tells_what_nginx_does_when_it_is_asked(
    shared: Mirror, tmp_path: Path, block: int, expected: dict[str, str]
) -> None:
    with serve_with_nginx(shared.tree, read_nginx_blocks()[block], tmp_path) as nginx:
        assert severities(examine(nginx.url)) == expected


@pytest.mark.parametrize("path", ["/", "/python/"])
@pytest.mark.parametrize("name", SERVERS)
def test_doctor_finds_nothing_when_the_server_has_what_config_prints(shared: Mirror, name: str, path: str) -> None:
    def printed(port: int) -> str:
        return make_config(name, Facts(url=url.format(port=port), folder=str(shared.tree)))

    url = f"http://127.0.0.1:{{port}}{path}"
    with serve(name, printed, shared.folder, url=url) as server:
        report = examine(server.url)

    assert severities(report) == {}
    skipped = {finding.check for finding in report.findings if finding.severity is Severity.SKIPPED}
    assert skipped == {Check.PROVENANCE}


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────


def _many(asked: Asked, right: Good) -> Said:
    names = "".join(f'<a href="p{number}/">p{number}</a>' for number in range(5000))
    return Said(200, {"content-type": "text/html"}, names.encode()) if asked.path == "/simple/" else right()


def test_doctor_asks_a_few_times_when_there_are_many_projects(good: str) -> None:
    with misbehaving(good, _many) as server:
        report = examine(server.url)

    assert len(server.asked) == report.requests <= MAX_REQUESTS
    assert (report.projects, report.sampled_projects) == (5000, ("p0", "p1666", "p3332", "p4999"))


def test_doctor_stops_asking_when_it_is_sent_on_for_ever(good: str) -> None:
    def bend(asked: Asked, right: Good) -> Said:
        is_good = asked.path == "/simple/" or (_is_page(asked) and not asked.accepts_json())
        return right() if is_good else Said(302, {"location": f"{asked.path}x"})

    with misbehaving(good, bend) as server:
        report = examine(server.url)

    assert len(server.asked) == report.requests == MAX_REQUESTS
    # Nothing is said of what could not be asked any more.
    assert severities(report).keys() == {"json", "file"}


def test_doctor_cannot_say_anything_when_it_is_sent_in_a_circle(good: str) -> None:
    with (
        misbehaving(good, lambda asked, _: Said(302, {"location": f"{asked.path}x/"})) as server,
        pytest.raises(RequestError, match="redirected in a circle"),
    ):
        examine(server.url)


def test_doctor_cannot_say_anything_when_it_may_not_read(good: str) -> None:
    with misbehaving(good, _always("", 401)) as server, pytest.raises(RequestError, match="access was refused"):
        examine(server.url)
