"""Limits of size, of a file and of the whole mirror, with pages that tell sizes and pages that do not."""

from __future__ import annotations

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, Entry, LocalIndex

SMALL = "demo-1.0-py3-none-any.whl"
LARGE = "demo-1.0.tar.gz"


def add_large(index: LocalIndex, project: str = "demo", version: str = "1.0", *, size: int = 20_000) -> Entry:
    """An sdist of so many bytes, which nobody looks into."""
    return index.add((f"{project}-{version}.tar.gz", version.encode().ljust(size, b"x")))


def downloads(index: LocalIndex) -> list[str]:
    """The names of the files that were fetched; to ask for one byte is to ask for the size."""
    fetched = [request for request in index.requests("/packages/") if request.headers.get("range") != "bytes=0-0"]
    return [request.path.rpartition("/")[2] for request in fetched if request.method == "GET"]


def heads(index: LocalIndex) -> list[str]:
    return [path.rpartition("/")[2] for path in index.asked_for("HEAD")]


# ── max-file-size ───────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_is_too_large_is_left_out_when_its_page_tells_the_size(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    add_large(index)
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB")

    run = mirror.sync("--json")

    assert run.json["excluded"] == {"too-large": 1}
    assert run.json["excluded-size"] == {"too-large": 20_000}
    assert "1 too-large (20.0 kB)" in run.err
    assert mirror.filenames("demo") == [SMALL]
    assert heads(index) == []
    assert downloads(index) == [SMALL]


def test_a_size_is_asked_for_once_when_the_page_does_not_tell_it(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = False
    index.add(make_wheel("demo", "1.0"))
    add_large(index)
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB")

    mirror.sync()

    assert sorted(heads(index)) == [SMALL, LARGE]
    assert downloads(index) == [SMALL]
    assert mirror.filenames("demo") == [SMALL]
    index.forget()
    before = mirror.content()

    mirror.sync()

    assert heads(index) == []
    assert mirror.content() == before

    index.add(make_wheel("demo", "2.0"))  # the page is another, but what was known of its files still holds

    mirror.sync()

    assert heads(index) == ["demo-2.0-py3-none-any.whl"]
    assert mirror.filenames("demo") == [SMALL, "demo-2.0-py3-none-any.whl"]


def test_no_size_is_asked_for_when_the_spec_limits_none(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = False
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert heads(index) == []


def test_no_size_is_asked_for_when_another_rule_leaves_the_file_out(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = False
    index.add(make_wheel("demo", "1.0"))
    add_large(index)
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB\npackage-types: [bdist_wheel]")

    mirror.sync()

    assert heads(index) == [SMALL]


def test_a_size_is_asked_for_again_when_the_state_is_gone_but_not_of_what_is_published(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.tells_sizes = False
    index.add(make_wheel("demo", "1.0"))
    add_large(index)
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB")
    mirror.sync()
    for path in (mirror.tree / ".pymirror" / "state" / "pages").rglob("*"):
        if path.is_file():
            path.unlink()
    index.forget()

    mirror.sync()

    assert heads(index) == [LARGE]
    assert downloads(index) == []


@pytest.mark.parametrize("is_listed_small", [False, True])
def test_the_latest_release_is_counted_among_those_that_are_small_enough(
    index: LocalIndex, mirror: Mirror, is_listed_small: bool
) -> None:
    """Sizes are asked for in rounds: that of the newest, and, where it is too large, that of the next."""
    index.tells_sizes = is_listed_small
    for number in range(1, 5):
        add_large(index, version=f"{number}.0", size=20_000 if number > 2 else 500)
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB\nkeep-latest: 1")

    mirror.sync()

    assert mirror.filenames("demo") == ["demo-2.0.tar.gz"]
    wanted = [] if is_listed_small else ["demo-4.0.tar.gz", "demo-3.0.tar.gz", "demo-2.0.tar.gz"]
    assert heads(index) == wanted


SILENT: dict[str, Answer | None] = {
    "method not allowed": Answer(405),
    "server error": Answer(500),
    "not found": Answer(404),
    "no length": None,
}


@pytest.mark.parametrize("answer", SILENT.values(), ids=SILENT)
def test_a_file_is_had_when_nobody_tells_its_size(index: LocalIndex, mirror: Mirror, answer: Answer | None) -> None:
    index.tells_sizes = False
    wheel = index.add(make_wheel("demo", "1.0"))
    if answer is None:
        index.answers_head = False
    else:
        index.fail_always(f"HEAD {wheel.path}", answer)
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB", network="retries: 1")

    mirror.sync()

    assert mirror.filenames("demo") == [SMALL]
    index.forget()
    before = mirror.content()

    mirror.sync()

    assert heads(index) == []
    assert mirror.content() == before


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("length", [0, 5, 9_000, 11_000, 5_000_000])
def test_a_file_is_had_when_the_server_tells_a_wrong_size(
    index: LocalIndex, mirror: Mirror, length: int, has_ranges: bool
) -> None:
    index.tells_sizes = False
    index.validators = has_ranges
    wheel = index.add(make_wheel("demo", "1.0"))
    index.fail_always(f"HEAD {wheel.path}", Answer(200, b"x" * length))
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB\nmax-total-size: 1 MB")

    mirror.sync()

    assert mirror.filenames("demo") == [SMALL]
    assert downloads(index) == [SMALL]
    index.forget()
    mirror.sync()
    assert index.requests("/packages/") == []


def test_a_file_that_turns_out_too_large_is_not_published_when_nobody_told_its_size(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.tells_sizes = index.answers_head = False
    index.add(make_wheel("demo", "1.0"))
    add_large(index, version="2.0")
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB")

    first = mirror.sync("--json")

    assert first.json["excluded"] == {"too-large": 1}
    assert mirror.filenames("demo") == [SMALL]
    published = mirror.published()
    index.forget()

    second = mirror.sync("--json")

    assert second.json["excluded"] == {"too-large": 1}
    assert mirror.published() == published
    assert downloads(index) == []


def test_a_project_has_a_limit_of_its_own(index: LocalIndex, mirror: Mirror) -> None:
    add_large(index, "demo")
    add_large(index, "other")
    index.add(make_wheel("other", "1.0"))
    mirror.write_spec(
        index, "max-file-size: 10 kB\nprojects:\n  - {name: demo, max-file-size: 30 kB}\n  - {name: other}"
    )

    mirror.sync()

    assert mirror.filenames("demo") == [LARGE]
    assert mirror.filenames("other") == ["other-1.0-py3-none-any.whl"]


def test_sizes_are_asked_for_when_only_one_project_has_a_limit(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = False
    add_large(index, "demo")
    index.add(make_wheel("demo", "1.0"))
    add_large(index, "other")
    mirror.write_spec(index, "projects: [{name: demo, max-file-size: 10 kB}, other]")

    mirror.sync()

    assert mirror.filenames("demo") == [SMALL]
    assert mirror.filenames("other") == ["other-1.0.tar.gz"]
    assert sorted(heads(index)) == [SMALL, LARGE]


def test_a_project_whose_files_are_all_too_large_is_reported(index: LocalIndex, mirror: Mirror) -> None:
    add_large(index)
    mirror.write_spec(index, "projects: [demo]\nmax-file-size: 10 kB")

    run = mirror.sync("--json", code=1)

    (failure,) = run.json["failures"]
    assert "too-large: 20.0 kB (mirror.yaml:5)" in failure["problem"]
    assert downloads(index) == []


def test_a_locked_file_that_is_too_large_is_reported(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_large(index)
    (mirror.folder / "pins.txt").write_text(f"demo==1.0 --hash=sha256:{entry.hashes['sha256']}\n")
    mirror.write_spec(index, "lockfiles: [pins.txt]\nmax-file-size: 10 kB")

    run = mirror.sync(code=1)

    assert "failed: demo==1.0 (pins.txt:1)" in run.err
    assert "too-large: 20.0 kB (mirror.yaml:5)" in run.err
    assert downloads(index) == []


# ── max-total-size ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tells_sizes", [True, False])
def test_nothing_is_fetched_when_the_mirror_would_be_too_large(
    index: LocalIndex, mirror: Mirror, tells_sizes: bool
) -> None:
    index.tells_sizes = tells_sizes
    index.add(make_sdist("small", "1.0"))
    add_large(index, "heavy", size=60_000)
    add_large(index, "heavy", "2.0", size=10_000)
    add_large(index, "middle", size=30_000)
    mirror.write_spec(index, "projects: [small, middle, heavy]\nmax-total-size: 90 kB")

    plan = mirror.run("plan", code=4)
    as_json = mirror.run("plan", "--json", code=4).json
    run = mirror.sync(code=4)

    said = "max-total-size is 90.0 kB; the heaviest: heavy 70.0 kB, middle 30.0 kB, small "
    for text in (run.err, plan.out, as_json["refusals"][0]):
        assert said in text
    assert "sync would stop: refused: the mirror would hold " in plan.out
    assert (as_json["is-refused"], as_json["exit-code"]) == (True, 4)
    assert downloads(index) == []
    assert not (mirror.tree / "simple").exists()
    assert "error" in mirror.sync("--json", code=4).json
    assert bool(heads(index)) != tells_sizes


def test_the_mirror_may_be_as_large_as_the_limit_and_no_byte_larger(index: LocalIndex, mirror: Mirror) -> None:
    add_large(index, "one", size=6_000)
    add_large(index, "two", size=4_000)
    mirror.write_spec(index, "projects: [one, two]\nmax-total-size: 10000")
    mirror.sync()
    assert mirror.projects() == ["one", "two"]
    before = mirror.content()
    mirror.write_spec(index, "projects: [one, two]\nmax-total-size: 9999")

    mirror.sync(code=4)

    assert mirror.content() == before
    index.remove("one-1.0.tar.gz")
    add_large(index, "one", "2.0", size=6_001)
    mirror.write_spec(index, "projects: [one, two]\nmax-total-size: 10000")
    mirror.sync(code=4)
    assert mirror.content() == before


def test_bytes_that_two_files_of_one_name_share_count_once(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_large(index, "demo", size=6_000)
    index.add((entry.filename, entry.data), project="alias")
    mirror.write_spec(index, "projects: [demo, alias]\nmax-total-size: 6 kB")

    # A file of another project's page is none of this project, and so it counts for nothing.
    mirror.sync(code=1)

    assert mirror.projects() == ["demo"]


def test_a_mirror_that_turns_out_too_large_is_not_published_when_nobody_told_the_sizes(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.tells_sizes = index.answers_head = False
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]\nmax-total-size: 10 kB")
    mirror.sync()
    published = mirror.published()
    add_large(index, "demo", "2.0", size=20_000)

    run = mirror.sync(code=4)

    assert "the heaviest: demo 2" in run.err
    pages = {name: digest for name, digest in published.items() if not name.startswith("packages/")}
    assert {n: d for n, d in mirror.published().items() if not n.startswith("packages/")} == pages
