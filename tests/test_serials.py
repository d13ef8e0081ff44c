"""Which pages need not be asked for, by the serials that the upstream's list tells."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from pymirror.serials import LIST_BYTES_PER_PAGE, MIN_PAGES
from pymirror.simple.serials import parse_serials
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, Handler, LocalIndex

DAY = 86_400
LIST = "/simple/"
NAMED = "projects: [aa, bb, cc]"
ALL = "projects: ['*']"


def pages(index: LocalIndex) -> list[str]:
    """The projects whose pages were asked for since the last look."""
    found = sorted(request.path.split("/")[2] for request in index.requests("/simple/") if request.path != LIST)
    index.forget()
    return found


def publish(index: LocalIndex, mirror: Mirror, body: str = ALL) -> None:
    """Three projects with serials; the second run has seen all that there is."""
    for number, name in enumerate(("aa", "bb", "cc"), start=1):
        index.add(make_wheel(name, "1.0"))
        index.serials[name] = number * 10
    mirror.write_spec(index, body)
    mirror.sync()
    index.forget()


def add_release(index: LocalIndex, name: str, version: str = "2.0") -> None:
    index.add(make_wheel(name, version))
    index.serials[name] = max(index.serials.values()) + 1


def state_of(mirror: Mirror, name: str) -> tuple[float, int]:
    """When the remembered page was written, and its inode."""
    (path,) = (mirror.tree / ".pymirror" / "state" / "pages").glob(f"*/{name}")
    stat = path.stat()
    return stat.st_mtime, stat.st_ino


def make_old(mirror: Mirror, name: str, days: float) -> None:
    (path,) = (mirror.tree / ".pymirror" / "state" / "pages").glob(f"*/{name}")
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))


# ── where a pattern needs the list anyway ───────────────────────────────────────────────────────────


def test_no_page_is_asked_for_when_the_list_has_the_serial_of_each(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    before = mirror.content()

    run = mirror.sync()

    assert [(request.path, request.status) for request in index.requests()] == [(LIST, 304)]
    assert mirror.content() == before
    assert "nothing new, nothing written" in run.err


def test_only_the_changed_project_is_asked_for_when_the_list_tells_of_it(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    add_release(index, "bb")

    mirror.sync()

    assert pages(index) == ["bb"]
    assert mirror.filenames("bb") == ["bb-1.0-py3-none-any.whl", "bb-2.0-py3-none-any.whl"]
    mirror.sync()
    assert pages(index) == []


def test_nothing_is_written_when_the_list_has_new_serials_of_other_projects_only(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.listed.append("zz")
    index.serials["zz"] = 5
    publish(index, mirror, "projects: ['aa*', 'bb*', 'cc*']")
    index.serials["zz"] = 500
    before = mirror.content()

    mirror.sync()

    assert [(request.path, request.status) for request in index.requests()] == [(LIST, 200)]
    assert mirror.content() == before


def _tell_another(index: LocalIndex) -> None:
    index.listed_serials = index.serials | {"bb": 21}


def _tell_none(index: LocalIndex) -> None:
    index.listed_serials = {"aa": 10, "cc": 30}


def _tell_text(index: LocalIndex) -> None:
    index.listed_serials = index.serials | {"bb": "twenty"}


def _tell_less(index: LocalIndex) -> None:
    index.listed_serials = index.serials | {"bb": 19}


@pytest.mark.parametrize("change", [_tell_another, _tell_none, _tell_text, _tell_less])
def test_a_project_is_asked_for_when_the_list_does_not_tell_its_serial(
    index: LocalIndex, mirror: Mirror, change: Callable[[LocalIndex], None]
) -> None:
    publish(index, mirror)
    change(index)

    mirror.sync()

    assert pages(index) == ["bb"]
    assert mirror.projects() == ["aa", "bb", "cc"]


def _list_went_back(index: LocalIndex) -> None:
    index.list_serial = 29


def _list_has_no_serial(index: LocalIndex) -> None:
    index.fail(LIST, Answer(200, json.dumps(_listing(index, meta={"api-version": "1.0"})).encode(), _JSON))


def _list_is_another(index: LocalIndex) -> None:
    entries = [{"name": name, "_last-serial": serial} for name, serial in index.serials.items()]
    doubled = [*entries, {"name": "BB", "_last-serial": 20}]
    page = {"meta": {"api-version": "1.0", "_last-serial": 30}, "projects": doubled}
    index.fail(LIST, Answer(200, json.dumps(page).encode(), _JSON))


_JSON = {"Content-Type": JSON_TYPE}


def _listing(index: LocalIndex, *, meta: dict[str, object]) -> dict[str, object]:
    return {"meta": meta, "projects": [{"name": n, "_last-serial": s} for n, s in index.serials.items()]}


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (_list_went_back, ["aa", "bb", "cc"]),
        (_list_has_no_serial, ["aa", "bb", "cc"]),
        (_list_is_another, ["bb"]),
    ],
)
def test_the_list_is_not_believed_when_it_is_doubtful(
    index: LocalIndex, mirror: Mirror, change: Callable[[LocalIndex], None], asked: list[str]
) -> None:
    publish(index, mirror)
    change(index)

    mirror.sync()

    assert pages(index) == asked


def test_a_page_is_asked_for_when_the_list_is_older_than_it(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    for folder in ("lists", "serials"):
        shutil.rmtree(mirror.tree / ".pymirror" / "state" / folder)
    index.list_serial = 15

    mirror.sync()

    assert pages(index) == ["bb", "cc"]


def test_every_page_is_asked_for_when_the_serials_of_an_upstream_are_switched_off(
    index: LocalIndex, mirror: Mirror
) -> None:
    publish(index, mirror)
    mirror.spec.write_text(mirror.spec.read_text().replace("name: local,", "name: local, serials: false,"))

    mirror.sync()

    assert pages(index) == ["aa", "bb", "cc"]


def test_a_page_is_asked_for_when_it_was_not_for_a_week(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    make_old(mirror, "aa", 6.9)
    make_old(mirror, "bb", 7.1)
    young = state_of(mirror, "aa")

    mirror.sync()

    assert pages(index) == ["bb"]
    assert state_of(mirror, "aa") == young
    assert time.time() - state_of(mirror, "bb")[0] < DAY
    before = mirror.content()
    mirror.sync()
    assert pages(index) == []
    assert mirror.content() == before


def test_a_page_is_asked_for_and_not_kept_anew_when_the_clock_was_set_back(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    make_old(mirror, "bb", -3)
    before = mirror.content()

    mirror.sync()

    assert pages(index) == ["bb"]
    assert mirror.content() == before


def test_a_project_stays_and_is_asked_for_when_its_page_is_remembered_by_a_list_of_before(
    index: LocalIndex, mirror: Mirror
) -> None:
    """The page was changed behind the list's back: the list is older than what is remembered."""
    publish(index, mirror)
    index.listed_serials = dict(index.serials)
    index.list_serial = 30
    add_release(index, "bb")
    make_old(mirror, "bb", 8)
    mirror.sync()
    assert mirror.filenames("bb") == ["bb-1.0-py3-none-any.whl", "bb-2.0-py3-none-any.whl"]
    index.forget()

    mirror.sync()

    assert pages(index) == ["bb"]


def test_a_page_is_asked_for_when_the_legacy_api_has_yet_to_tell_what_it_lacks(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.tells_sizes = False
    index.has_legacy = True
    index.fail_always("/pypi/bb/json", Answer(403))
    publish(index, mirror)
    index.faults.clear()

    mirror.sync()

    assert pages(index) == ["bb"]
    mirror.sync()
    assert pages(index) == []


def test_a_page_is_asked_for_when_its_links_may_not_be_remembered(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    entry = index.add(make_wheel("bb", "2.0"))
    index.serials["bb"] = 40
    index.fail(f"{entry.path}?token=1", Answer(200, entry.data))
    entry.url = f"../..{entry.path}?token=1"
    mirror.sync()
    index.forget()

    mirror.sync()

    assert pages(index) == ["bb"]


def test_the_new_serial_is_kept_when_a_page_has_the_same_bytes_with_it(index: LocalIndex, mirror: Mirror) -> None:
    """An HTML page has its serial in a header alone."""
    index.formats = ("html",)

    def tell(_handler: Handler) -> Answer:
        return Answer(200, index.list_json(), _JSON)

    index.faults[LIST] = [tell] * 10
    publish(index, mirror)
    mirror.sync()
    assert pages(index) == []
    index.serials["bb"] = 40

    mirror.sync()

    assert pages(index) == ["bb"]
    mirror.sync()
    assert pages(index) == []


# ── where it is asked for its serials alone ─────────────────────────────────────────────────────────


NAMES = [f"p{number:03}" for number in range(MIN_PAGES + 5)]


@pytest.fixture
def many(index: LocalIndex, mirror: Mirror) -> Mirror:
    """A mirror of so many projects that their list is worth a request."""
    for number, name in enumerate(NAMES):
        index.add(make_sdist(name, "1.0"))
        index.serials[name] = number
    mirror.write_spec(index, f"projects: [{', '.join(NAMES)}]\npages: false\nlegacy-json: false")
    mirror.sync()
    return mirror


def test_the_list_is_asked_for_on_a_refresh_when_enough_pages_have_serials(index: LocalIndex, many: Mirror) -> None:
    assert index.requests(LIST) == [request for request in index.requests(LIST) if request.path != LIST]
    assert len(index.requests()) == 2 * len(NAMES)  # a first run: a page and a file each, and no list
    before = many.content()
    index.forget()

    many.sync()

    assert [(request.path, request.status) for request in index.requests()] == [(LIST, 200)]
    assert many.content() == before
    index.add(make_sdist("p007", "2.0"))
    index.serials["p007"] = 500
    index.entries = [entry for entry in index.entries if entry.project != "p009"]  # neither in the list nor with a page
    index.forget()

    run = many.sync("--json", code=1)

    assert pages(index) == ["p007", "p009"]
    assert many.filenames("p007") == ["p007-1.0.tar.gz", "p007-2.0.tar.gz"]
    assert many.filenames("p009") == ["p009-1.0.tar.gz"]
    assert [failure["project"] for failure in run.json["failures"]] == ["p009"]

    many.sync(code=1)

    assert [request.status for request in index.requests() if request.path == LIST] == [304]
    assert pages(index) == ["p009"]


def test_every_page_is_asked_for_when_the_list_went_back(index: LocalIndex, many: Mirror) -> None:
    index.add(make_sdist("p007", "2.0"))
    index.serials["p007"] = 500
    many.sync()  # which keeps the serials of the list, as something else is new
    index.list_serial = 499
    index.forget()

    many.sync()

    assert pages(index) == NAMES


def _be_few(index: LocalIndex, mirror: Mirror) -> None:
    few = NAMES[: MIN_PAGES - 1]
    mirror.write_spec(index, f"projects: [{', '.join(few)}]\npages: false\nlegacy-json: false")


def _be_without(index: LocalIndex, mirror: Mirror) -> None:
    for name in NAMES[: len(NAMES) - MIN_PAGES + 1]:
        path = next((mirror.tree / ".pymirror" / "state" / "pages").glob(f"*/{name}"))
        path.unlink()


def _be_off(index: LocalIndex, mirror: Mirror) -> None:
    mirror.spec.write_text(mirror.spec.read_text().replace("name: local,", "name: local, serials: false,"))


@pytest.mark.parametrize("change", [_be_few, _be_without, _be_off])
def test_no_list_is_asked_for_when_it_would_not_pay(
    index: LocalIndex, many: Mirror, change: Callable[[LocalIndex, Mirror], None]
) -> None:
    change(index, many)
    index.forget()

    many.sync()

    assert LIST not in {request.path for request in index.requests()}
    assert len(pages(index)) >= MIN_PAGES - 1


def _be_gone(index: LocalIndex) -> None:
    index.fail(LIST, Answer(500))


def _be_html(index: LocalIndex) -> None:
    index.fail(LIST, Answer(200, b"<a href='p000/'>p000</a>", {"Content-Type": "text/html"}))


def _be_broken(index: LocalIndex) -> None:
    index.fail(LIST, Answer(200, index.list_json()[:-2], {"Content-Type": JSON_TYPE}))


def _be_large(index: LocalIndex) -> None:
    padding = b" " * (LIST_BYTES_PER_PAGE * len(NAMES))
    index.fail(LIST, Answer(200, index.list_json() + padding, {"Content-Type": JSON_TYPE}))


@pytest.mark.parametrize("change", [_be_gone, _be_html, _be_broken, _be_large])
def test_every_page_is_asked_for_once_when_the_list_cannot_be_used(
    index: LocalIndex, many: Mirror, change: Callable[[LocalIndex], None]
) -> None:
    change(index)
    index.forget()

    many.sync()

    assert [request.path for request in index.requests() if request.path == LIST] == [LIST]
    assert pages(index) == NAMES


def test_the_list_is_read_no_further_when_it_is_longer_than_its_pages_are_worth(
    index: LocalIndex, many: Mirror
) -> None:
    sent = 0

    def send() -> Iterator[bytes]:
        nonlocal sent
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\nConnection: close\r\n\r\n"
        yield index.list_json()
        while sent < 1000:
            sent += 1
            yield b" " * 1_000_000

    index.fail(LIST, Answer(raw=send()))
    index.forget()

    many.sync()

    assert sent < 1000
    assert pages(index) == NAMES


# ── the list as bytes ───────────────────────────────────────────────────────────────────────────────


def make_list(*entries: dict[str, object], meta: dict[str, object] | None = None) -> bytes:
    return json.dumps({"projects": entries, "meta": {"_last-serial": 9} if meta is None else meta}).encode()


def test_serials_are_found_in_a_list_that_is_decoded_in_pieces() -> None:
    entries: list[dict[str, object]] = [{"name": f"The.Project__{n}", "_last-serial": n} for n in range(20_000)]
    body = make_list(*entries, meta={"_last-serial": 30_000})
    assert len(body) > 10 * 64 * 1024

    found = parse_serials(body, ["the-project-0", "the-project-12345", "the-project-19999", "other"], told=None)

    assert found is not None
    assert (found.whole, found.told()) == (
        30_000,
        {"the-project-0": 0, "the-project-12345": 12345, "the-project-19999": 19999},
    )
    assert found.find("other") is None


def test_a_serial_may_be_text_and_that_of_the_list_in_its_header() -> None:
    found = parse_serials(make_list({"name": "aa", "_last-serial": "12"}, meta={}), ["aa"], told=15)

    assert found is not None
    assert (found.whole, found.find("aa")) == (15, 12)


@pytest.mark.parametrize("other", [12, 13, None, True, -1])
def test_a_serial_is_none_when_the_list_names_the_project_twice_or_gives_no_number(other: object) -> None:
    twice = make_list({"name": "aa", "_last-serial": 12}, {"name": "AA", "_last-serial": other})
    found = parse_serials(twice, ["aa"], told=None)
    assert found is not None
    assert found.find("aa") is None


WRONG = {
    "nothing": b"",
    "no-json": b"<html>",
    "no-list": b'{"projects": {}, "meta": {"_last-serial": 1}}',
    "no-names": b'{"projects": [{"title": "aa"}], "meta": {"_last-serial": 1}}',
    "no-serial": make_list({"name": "aa", "_last-serial": 1}, meta={}),
    "another-version": make_list({"name": "aa", "_last-serial": 1}, meta={"_last-serial": 1, "api-version": "2.0"}),
    "a-broken-entry": make_list({"name": "aa", "_last-serial": 1}).replace(b'"aa"', b"aa"),
    "cut-short": make_list({"name": "aa", "_last-serial": 1})[:-1],
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_list_tells_nothing_when_it_cannot_be_read(body: bytes) -> None:
    assert parse_serials(body, ["aa"], told=None) is None


def test_nothing_false_is_read_when_a_name_looks_like_the_end_of_an_entry() -> None:
    """Names that would begin an entry if the list were cut within them, at every place where it may be cut."""
    bad = '}, {"name": "aa", "_last-serial": 99, "x": "'
    entries: list[dict[str, object]] = [{"name": bad * 3, "_last-serial": n} for n in range(3000)]
    body = make_list({"name": "aa", "_last-serial": 1}, *entries)

    found = parse_serials(body, ["aa"], told=None)

    assert found is None or found.find("aa") == 1
