"""What upstream, another program or an impatient user may do, and what must not come of it."""

from __future__ import annotations

import gzip
import io
import shutil
import zipfile
from pathlib import Path

import pytest

from pymirror.archive import read_wheel_metadata
from pymirror.errors import IntegrityError, PageError
from pymirror.simple.parse import parse_project_detail
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, LocalIndex

WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"


# ── another's folder ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["packages/my-app/src/main.ts", "simple/thesis.tex", "simple/demo/index.html"])
def test_sync_touches_nothing_when_the_folder_is_another_s(index: LocalIndex, mirror: Mirror, name: str) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    theirs = mirror.tree / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("years of work")

    run = mirror.sync(code=2)

    assert name in run.err
    assert theirs.read_text() == "years of work"
    assert not (mirror.tree / ".pymirror").exists()


def test_prune_deletes_only_what_has_the_form_of_the_pool(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    theirs = mirror.tree / "packages" / "my-app" / "main.ts"
    theirs.parent.mkdir()
    theirs.write_text("years of work")

    mirror.run("prune")

    assert theirs.read_text() == "years of work"


def test_an_output_that_is_a_file_is_a_usage_error(index: LocalIndex, mirror: Mirror) -> None:
    mirror.write_spec(index, "projects: [demo]")
    mirror.tree.write_text("a file")

    assert "output: mirror is not a folder" in mirror.sync(code=2).err


# ── files that are wanted and must not be taken ─────────────────────────────────────────────────────


def _drop_hash(index: LocalIndex) -> None:
    index.entries[0].hashes = {}


def _list_twice(index: LocalIndex) -> None:
    index.add((WHEEL, b"other"), hashes={"sha256": "f" * 64})


def _link_elsewhere(index: LocalIndex) -> None:
    index.entries[0].url = f"ftp://127.0.0.1/{WHEEL}"


FAULTS = {"no sha256": _drop_hash, "duplicate": _list_twice, "ftp": _link_elsewhere}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_published_file_stays_when_upstream_offers_it_wrongly(
    index: LocalIndex, mirror: Mirror, fault: object
) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.published()
    assert callable(fault)
    fault(index)

    run = mirror.sync(code=1)

    assert f"failed: {WHEEL}: refused: " in run.err
    assert mirror.published() == before


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_release_is_held_back_when_a_file_of_it_is_refused(index: LocalIndex, mirror: Mirror, fault: object) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_sdist("demo", "1.0"))
    index.add(make_sdist("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]")
    assert callable(fault)
    fault(index)

    mirror.sync(code=1)

    assert mirror.filenames("demo") == ["demo-2.0.tar.gz"]


def test_what_the_pages_show_is_what_is_protected_after_a_kill(index: LocalIndex, mirror: Mirror) -> None:
    """The pages of a killed run are in place, and it was not noted as the current one."""
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    index.add(make_sdist("demo", "2.0"))
    mirror.sync()
    (mirror.tree / ".pymirror" / "snapshots" / "current").write_text("000001\n")
    before = mirror.published()
    index.remove("demo-2.0.tar.gz")
    index.add(make_sdist("demo", "2.0", requires_python=">=3.8"))

    run = mirror.sync(code=1)

    assert "upstream changed the file" in run.err
    assert mirror.published() == before


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────


def test_odd_answers_cost_their_project_alone(index: LocalIndex, mirror: Mirror) -> None:
    for name in ("good", "host", "label", "date", "stack"):
        index.add(make_sdist(name, "1.0"))
    index.entries[1].url = "http://a..b/host-1.0.tar.gz"
    index.entries[2].url = f"http://{'x' * 70}.example/label-1.0.tar.gz"
    late = {"Retry-After": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}
    index.fail("/simple/date/", *[Answer(503, b"", late)] * 9)
    packed = gzip.compress(gzip.compress(bytes(50_000_000)))
    index.fail_always(
        "/simple/stack/", Answer(200, packed, {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip, gzip"})
    )
    mirror.write_spec(index, "projects: [good, host, label, date, stack]", network="retries: 1")

    run = mirror.sync(code=1)

    assert mirror.projects() == ["good"]
    assert 'content encoding "gzip, gzip"' in run.err


def test_a_packed_page_is_bounded_and_must_be_whole(index: LocalIndex, mirror: Mirror) -> None:
    for name in ("good", "bomb", "half"):
        index.add(make_sdist(name, "1.0"))
    headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
    index.fail_always("/simple/good/", Answer(200, gzip.compress(index.detail_json("good")), headers))
    index.fail_always("/simple/bomb/", Answer(200, gzip.compress(bytes(50_000_000)), headers))
    index.fail_always("/simple/half/", Answer(200, gzip.compress(index.detail_json("half"))[:-9], headers))
    mirror.write_spec(index, "projects: [good, bomb, half]", network="retries: 0, max-page-size: 1 MB")

    run = mirror.sync(code=1)

    assert mirror.projects() == ["good"]
    assert "larger than 1000000 bytes" in run.err
    assert "the packed answer was cut off" in run.err


def test_validators_that_cannot_be_sent_back_are_not_kept(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    page = index.detail_json("demo")
    odd = Answer(200, page, {"Content-Type": JSON_TYPE, "ETag": '"\u00e9"'})
    index.fail_always("/simple/demo/", odd)
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()
    before = mirror.content()
    mirror.sync()

    assert mirror.content() == before


def test_a_run_with_nothing_new_writes_nothing_when_validators_change_each_time(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.add(make_sdist("demo", "1.0"))
    page = index.detail_json("demo")
    answers = [
        Answer(200, page, {"Content-Type": JSON_TYPE, "Last-Modified": f"Mon, 0{n} Jan 2024 00:00:00 GMT"})
        for n in range(1, 4)
    ]
    index.fail("/simple/demo/", *answers)
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.content()

    mirror.sync()
    mirror.sync()

    assert mirror.content() == before


@pytest.mark.parametrize(
    "body",
    [
        b"<a " + b"x " * 2000 + b">",
        b"<br>" * 5_100_000,
        pytest.param(b"<a>" * 1_100_000, marks=pytest.mark.no_cover),  # which would take twice as long
    ],
)
def test_a_page_is_refused_when_it_has_too_many_elements(body: bytes) -> None:
    with pytest.raises(PageError, match="more than"):
        parse_project_detail(body, content_type="text/html", url="http://x/simple/demo/")


# ── wheels ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_metadata_that_unpack_to_more_than_they_claim_are_refused(tmp_path: Path, method: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as wheel:
        wheel.writestr("demo-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\n" + b"x" * 50_000_000)
    path = tmp_path / WHEEL
    # The directory's claim of the size is made a lie: the last 50,000,022 becomes 60.
    data = bytearray(out.getvalue())
    at = data.rindex((50_000_022).to_bytes(4, "little"))
    data[at : at + 4] = (60).to_bytes(4, "little")
    path.write_bytes(data)

    with pytest.raises(IntegrityError):
        read_wheel_metadata(path, filename=WHEEL)


# ── damage that must mend ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["simple/demo/index.html", "pool"])
def test_a_folder_in_the_place_of_a_file_is_found_and_mended(index: LocalIndex, mirror: Mirror, name: str) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.published()
    path = mirror.find(SDIST) if name == "pool" else mirror.tree / name
    path.unlink()
    path.mkdir()

    mirror.run("verify", code=5)
    mirror.sync()

    assert mirror.published() == before
    mirror.run("verify")


def test_names_in_the_private_folder_that_no_path_may_have_are_passed_over(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = mirror.published()
    snapshot = mirror.tree / ".pymirror" / "snapshots" / "000001.json"
    snapshot.write_bytes(snapshot.read_bytes().replace(SDIST.encode(), b"../../evil-1.0.whl"))
    record = mirror.tree / ".pymirror" / "state" / "pool.jsonl"
    record.write_bytes(record.read_bytes() + b'{"filename":"x","blake2b":"zz","sha256":"a","size":1,"mtime_ns":1}\n')

    mirror.run("verify")
    mirror.sync()
    mirror.run("prune")

    assert mirror.published() == before


def test_what_is_left_of_a_download_goes_when_nothing_can_come_of_it(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    partial = mirror.tree / ".pymirror" / "partial" / ("a" * 64)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"of a file that is no longer wanted")

    mirror.sync()

    assert not partial.exists()
    shutil.rmtree(mirror.tree)


def test_an_exclusion_wins_when_the_page_of_its_project_fails(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    index.add(make_sdist("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")
    mirror.sync()
    index.fail("/simple/demo/", Answer(500))
    mirror.write_spec(index, "projects: [demo]\nexclude: ['demo <2']", network="retries: 0")

    mirror.sync(code=1)

    assert mirror.filenames("demo") == ["demo-2.0.tar.gz"]


def test_a_link_with_a_password_is_followed_and_not_remembered(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    index.entries[0].url = f"http://robot:hunter2@{index.origin.removeprefix('http://')}{index.entries[0].path}"
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.filenames("demo") == [SDIST]
    assert not [path for path in mirror.tree.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_a_tree_whose_times_were_lost_is_read_and_not_fetched_again(index: LocalIndex, mirror: Mirror) -> None:
    for version in ("1.0", "2.0", "3.0"):
        index.add(make_wheel("demo", version))
    index.flat_urls = True
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    copy = mirror.folder / "copy"
    shutil.copytree(mirror.tree, copy, copy_function=shutil.copyfile)
    shutil.rmtree(mirror.tree)
    copy.rename(mirror.tree)
    index.forget()

    mirror.sync()

    assert index.requests("/files/") == []
    mirror.run("verify")
