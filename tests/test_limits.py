"""Sizes that nobody tells before the bytes come, and servers that answer for them badly."""

from __future__ import annotations

import pytest

from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import Answer, Entry, LocalIndex

SMALL = "demo-1.0-py3-none-any.whl"
LIMIT = "max-file-size: 10 kB"


def add_sdist(index: LocalIndex, project: str = "demo", version: str = "1.0", *, size: int = 20_000) -> Entry:
    """An sdist of so many bytes, which nobody looks into."""
    return index.add((f"{project}-{version}.tar.gz", version.encode().ljust(size, b"x")))


def downloads(index: LocalIndex) -> list[str]:
    """The names of the files that were fetched, or tried to be; to ask for one byte is to ask for the size."""
    fetched = [request for request in index.requests("/packages/") if request.headers.get("range") != "bytes=0-0"]
    return [request.path.rpartition("/")[2] for request in fetched if request.method == "GET"]


def heads(index: LocalIndex) -> list[str]:
    return [path.rpartition("/")[2] for path in index.asked_for("HEAD")]


def without_length(entry: Entry) -> Answer:
    """The file, the end of which is that of the connection."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
    return Answer(200, raw=(head, entry.data))


# ── max-file-size ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("has_length", [True, False])
def test_an_entry_is_reported_in_the_first_run_when_its_only_file_turns_out_too_large(
    index: LocalIndex, mirror: Mirror, has_length: bool
) -> None:
    index.tells_sizes = index.answers_head = False
    index.add(make_wheel("other", "1.0"))
    large = add_sdist(index)
    if not has_length:
        index.fail_always(large.path, without_length(large))
    mirror.write_spec(index, f"projects:\n  - demo ==1.0\n  - other\n{LIMIT}")

    first = mirror.sync("--json", code=1)

    (failure,) = first.json["failures"]
    assert "demo ==1.0" in failure["what"]
    assert "mirror.yaml:5" in failure["what"]
    assert "too-large" in failure["problem"]
    assert first.json["excluded"] == {"too-large": 1}
    assert mirror.projects() == ["other"]
    assert downloads(index).count(large.filename) == 1
    published = mirror.published()
    index.forget()

    second = mirror.sync("--json", code=1)

    assert second.json["failures"] == first.json["failures"]
    assert second.json["excluded"] == {"too-large": 1}
    assert mirror.published() == published
    assert downloads(index) == []


@pytest.mark.parametrize("has_length", [True, False])
def test_the_next_latest_release_comes_in_at_once_when_the_latest_turns_out_too_large(
    index: LocalIndex, mirror: Mirror, has_length: bool
) -> None:
    index.tells_sizes = index.answers_head = False
    index.add(make_wheel("demo", "1.0"))
    large = add_sdist(index, version="2.0")
    if not has_length:
        index.fail_always(large.path, without_length(large))
    mirror.write_spec(index, f"projects: [demo]\nkeep-latest: 1\n{LIMIT}")

    mirror.sync()

    assert mirror.filenames("demo") == [SMALL]
    assert sorted(downloads(index)) == [SMALL, large.filename]
    published = mirror.published()
    index.forget()

    mirror.sync()

    assert mirror.published() == published
    assert downloads(index) == []


@pytest.mark.parametrize("answers_head", [True, False])
def test_the_latest_small_release_comes_in_at_once_when_many_above_it_are_too_large(
    index: LocalIndex, mirror: Mirror, answers_head: bool
) -> None:
    index.tells_sizes, index.answers_head = False, answers_head
    index.add(make_wheel("demo", "1.0"))
    for number in range(14):
        add_sdist(index, version=f"2.{number}")
    mirror.write_spec(index, f"projects: [demo]\nkeep-latest: 1\n{LIMIT}")

    run = mirror.sync("--json")

    assert mirror.filenames("demo") == [SMALL]
    assert run.json["excluded"] == {"too-large": 14}
    assert run.json["failures"] == []
    assert (downloads(index) == [SMALL]) == answers_head


# ── servers that tell no size, or a wrong one ───────────────────────────────────────────────────────


@pytest.mark.parametrize("connections", [1, 4])
def test_a_server_is_asked_for_sizes_no_more_when_it_keeps_failing(
    index: LocalIndex, mirror: Mirror, connections: int
) -> None:
    index.tells_sizes = False
    for number in range(20):
        entry = add_sdist(index, version=f"{number}.0", size=500)
        index.fail_always(f"HEAD {entry.path}", Answer(503))
    mirror.write_spec(index, f"projects: [demo]\n{LIMIT}", network=f"retries: 3, connections: {connections}")

    run = mirror.sync("--json")

    assert run.json["failures"] == []
    assert run.json["files"] == 20
    asked = heads(index)
    assert len(asked) == len(set(asked))  # no size is asked for twice
    assert len(asked) < 5 + connections
    assert len([line for line in run.err.splitlines() if "does not tell the sizes of its files" in line]) == 1


def test_a_size_is_asked_for_once_when_the_server_fails(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = False
    wheel = index.add(make_wheel("demo", "1.0"))
    index.fail_always(f"HEAD {wheel.path}", Answer(503))
    mirror.write_spec(index, f"projects: [demo]\n{LIMIT}", network="retries: 3")

    run = mirror.sync()

    assert heads(index) == [SMALL]
    assert mirror.filenames("demo") == [SMALL]
    assert "warning" not in run.err


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/html"}, {"Content-Type": "Text/HTML; charset=utf-8"}, {"Content-Encoding": "gzip"}],
    ids=["html", "html with charset", "packed"],
)
def test_a_length_counts_for_nothing_when_it_is_not_that_of_the_file(
    index: LocalIndex, mirror: Mirror, headers: dict[str, str]
) -> None:
    index.tells_sizes = False
    wheel = index.add(make_wheel("demo", "1.0"))
    index.fail_always(f"HEAD {wheel.path}", Answer(200, b"x" * 50_000, headers))
    mirror.write_spec(index, f"projects: [demo]\n{LIMIT}")

    run = mirror.sync("--json")

    assert heads(index) == [SMALL]
    assert run.json["excluded"] == {}
    assert mirror.filenames("demo") == [SMALL]


# ── max-total-size ──────────────────────────────────────────────────────────────────────────────────


def test_the_download_stops_when_the_mirror_grows_beyond_its_limit(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = index.answers_head = False
    for number in range(10):
        add_sdist(index, version=f"{number}.0", size=1_000_000)
    mirror.write_spec(index, "projects: [demo]\nmax-total-size: 50 kB", network="connections: 1")

    run = mirror.sync(code=4)

    assert "max-total-size is 50.0 kB" in run.err
    assert 1 <= len(downloads(index)) <= 3
    assert not (mirror.tree / "simple").exists()
    index.forget()

    plan = mirror.run("plan", "--json", code=4)
    again = mirror.sync(code=4)

    assert "max-total-size is 50.0 kB" in plan.json["refusals"][0]
    assert "max-total-size is 50.0 kB" in again.err
    assert downloads(index) == []


def test_plan_agrees_with_sync_when_a_refused_run_found_the_sizes(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = index.answers_head = False
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]\nmax-total-size: 50 kB")
    mirror.sync()
    for number in range(2, 5):
        add_sdist(index, version=f"{number}.0", size=30_000)
    published = {name: digest for name, digest in mirror.published().items() if not name.startswith("packages/")}
    mirror.run("plan")  # nobody told any size yet
    mirror.sync(code=4)
    index.forget()

    plan = mirror.run("plan", "--json", code=4)
    again = mirror.sync(code=4)

    assert "the heaviest: demo " in plan.json["refusals"][0]
    assert "the heaviest: demo " in again.err
    assert {n: d for n, d in mirror.published().items() if not n.startswith("packages/")} == published
