"""Sizes and upload times that a page lacks come from upstream's legacy JSON API, where it has one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pymirror.errors import PageError
from pymirror.simple.legacy import complete, find_legacy_url, lacks_something, parse_legacy
from pymirror.simple.model import File, ProjectDetail
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex

A, B = "a" * 64, "b" * 64
TIME = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
URL = "https://index.example.com/pypi/demo/json"


def page_of(*files: dict[str, Any]) -> bytes:
    return json.dumps({"info": {"name": "demo"}, "releases": {"1.0": list(files)}, "urls": []}).encode()


def told(**said: Any) -> dict[str, Any]:
    return {
        "filename": "demo-1.0.zip",
        "digests": {"sha256": A, "md5": "c" * 32},
        "size": 12,
        "upload_time_iso_8601": "2024-05-06T07:08:09Z",
        **said,
    }


@pytest.mark.parametrize(
    ("index_url", "expected"),
    [
        ("https://index.example.com/simple/", "https://index.example.com/pypi/demo/json"),
        ("https://example.com/some/where/simple/", "https://example.com/some/where/pypi/demo/json"),
        ("https://packages.example.com/", None),
        ("https://packages.example.com/notsimple/", None),
    ],
)
def test_the_legacy_url_stands_beside_simple_when_there_can_be_one(index_url: str, expected: str | None) -> None:
    assert find_legacy_url(index_url, "demo") == expected


@pytest.mark.parametrize(
    ("said", "size", "time"),
    [
        ({}, 12, TIME),
        ({"size": None}, None, TIME),
        ({"size": -1}, None, TIME),
        ({"size": True}, None, TIME),
        ({"size": "12"}, None, TIME),
        ({"upload_time_iso_8601": None}, 12, None),
        ({"upload_time_iso_8601": "yesterday"}, 12, None),
        ({"upload_time_iso_8601": 5}, 12, None),
        ({"digests": {"sha256": B}}, None, None),
        ({"digests": {}}, None, None),
        ({"digests": {"sha256": 5}}, None, None),
        ({"filename": "demo-1.0.tar.gz"}, None, None),
    ],
)
def test_a_file_learns_what_it_lacks_when_a_hash_shows_it_to_be_the_same(
    said: dict[str, Any], size: int | None, time: datetime | None
) -> None:
    file = File(filename="demo-1.0.zip", url="https://x.example.com/demo-1.0.zip", hashes=(("sha256", A),))
    (after,) = complete(ProjectDetail(files=(file,)), parse_legacy(page_of(told(**said)), url=URL)).files
    assert (after.size, after.probable_size, after.upload_time) == (None, size, time)


def test_a_file_keeps_what_its_page_says_when_the_legacy_api_says_otherwise() -> None:
    file = File(filename="demo-1.0.zip", url="x", hashes=(("sha256", A),), size=7, upload_time=TIME.replace(year=2020))
    assert complete(ProjectDetail(files=(file,)), parse_legacy(page_of(told()), url=URL)).files == (file,)
    assert not lacks_something(ProjectDetail(files=(file,)))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"releases": []}', b'{"releases": {"1": [5]}}', b"[" * 10_000]
)
def test_an_answer_is_refused_when_it_is_not_that_of_a_project(body: bytes) -> None:
    with pytest.raises(PageError):
        parse_legacy(body, url=URL)


@pytest.fixture
def bare(index: LocalIndex) -> LocalIndex:
    """An index whose pages tell neither sizes nor upload times."""
    index.tells_sizes = index.tells_upload_times = False
    index.has_legacy = True
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "2.0"), upload_time="2026-06-08T18:30:00.000000Z")
    return index


def asked(index: LocalIndex) -> list[int]:
    return [request.status for request in index.requests("/pypi/")]


def test_upload_times_are_published_when_only_the_legacy_api_tells_them(bare: LocalIndex, mirror: Mirror) -> None:
    mirror.write_spec(bare, "projects: [demo]")

    mirror.sync()

    times = [file["upload-time"] for file in mirror.page("demo")["files"]]
    assert times == ["2024-05-06T07:08:09.123456Z", "2026-06-08T18:30:00.000000Z"]
    assert asked(bare) == [200]
    before = mirror.content()
    mirror.sync()
    assert asked(bare) == [200]
    assert mirror.content() == before


def test_filters_of_age_and_size_work_when_only_the_legacy_api_tells(bare: LocalIndex, mirror: Mirror) -> None:
    mirror.write_spec(bare, "projects: [demo]\nexclude-newer: 7 days\nmax-file-size: 1 MB")
    mirror.environ["SOURCE_DATE_EPOCH"] = str(int(datetime(2026, 6, 10, tzinfo=UTC).timestamp()))

    mirror.sync()

    assert mirror.filenames("demo") == ["demo-1.0-py3-none-any.whl"]
    assert bare.asked_for("HEAD") == []


def test_nothing_is_asked_when_the_pages_tell_everything(index: LocalIndex, mirror: Mirror) -> None:
    index.has_legacy = True
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert asked(index) == []


@pytest.mark.parametrize("answer", [Answer(404), Answer(500), Answer(200, b"<html>"), Answer(200, b"", cut=0)])
def test_the_project_is_published_when_the_legacy_api_fails(bare: LocalIndex, mirror: Mirror, answer: Answer) -> None:
    bare.fail_always("/pypi/demo/json", answer)
    mirror.write_spec(bare, "projects: [demo]", network="retries: 0")

    mirror.sync()

    assert [file.get("upload-time") for file in mirror.page("demo")["files"]] == [None, None]


def test_an_index_without_the_legacy_api_is_asked_once_when_it_has_many_projects(
    bare: LocalIndex, mirror: Mirror
) -> None:
    bare.has_legacy = False
    for number in range(5):
        bare.add(make_wheel(f"other{number}", "1.0"))
    mirror.write_spec(bare, "projects: ['*']", network="connections: 1")

    mirror.sync()

    assert asked(bare) == [404]
    before = mirror.content()
    mirror.sync()
    assert asked(bare) == [404]
    assert mirror.content() == before
