"""What stands beside the Simple pages: the legacy JSON API and the pages for people, as ``sync`` keeps them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import msgspec
import pytest

from pymirror.history import History
from pymirror.progress import NoProgress
from pymirror.publish_documents import publish_documents
from pymirror.spec.model import DEFAULT_SITE
from pymirror.storage.local import LocalStorage
from pymirror.workers import Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.servers import serve_with_python

SPEC = "projects: [demo, other]"
DOCUMENTS = {
    "index.html",
    "project/demo/index.html",
    "project/other/index.html",
    "pypi/demo/json",
    "pypi/demo/1.0/json",
    "pypi/demo/2.0/json",
    "pypi/other/json",
    "pypi/other/1.0/json",
}


def fill(index: LocalIndex) -> None:
    index.add(make_wheel("demo", "1.0"))
    index.add(make_wheel("demo", "2.0", requires=["other"]))
    index.add(make_sdist("other", "1.0"))


def publish(index: LocalIndex, mirror: Mirror, body: str = SPEC) -> None:
    fill(index)
    mirror.write_spec(index, body)
    mirror.sync()


def documents(mirror: Mirror) -> set[str]:
    return {name for name in mirror.published() if name.startswith(("index.", "project/", "pypi/"))}


def touched(mirror: Mirror, before: dict[str, tuple[str, int, int]]) -> set[str]:
    after = mirror.content()
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def legacy(mirror: Mirror, path: str) -> Any:
    return json.loads((mirror.tree / "pypi" / path / "json").read_bytes())


# ── what is there ───────────────────────────────────────────────────────────────────────────────────


def test_sync_writes_the_documents_of_every_project_when_it_is_published(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    assert documents(mirror) == DOCUMENTS
    mirror.run("verify")


def test_second_sync_writes_nothing_when_nothing_is_new(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    before = mirror.content()
    assert "nothing written" in mirror.sync().err
    assert touched(mirror, before) == set()


def test_sync_writes_the_same_documents_when_the_state_is_lost(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    before = mirror.published()
    shutil.rmtree(mirror.tree / ".pymirror")
    mirror.sync()
    assert mirror.published() == before
    mirror.run("verify")


def test_sync_writes_the_same_documents_when_the_spec_is_named_otherwise(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    before = mirror.published()
    shutil.rmtree(mirror.tree)
    mirror.sync(str(mirror.spec.resolve()))
    assert mirror.published() == before


def test_sync_leaves_the_documents_of_a_project_alone_when_another_changed(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    before = mirror.content()
    index.add(make_wheel("other", "2.0"))
    mirror.sync()
    assert {name for name in touched(mirror, before) if name.startswith(("index.", "project/", "pypi/"))} == {
        "index.html",
        "project/other/index.html",
        "pypi/other/json",
        "pypi/other/2.0/json",
    }


def test_sync_removes_the_documents_of_what_left_when_it_left(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    mirror.write_spec(index, "projects: [demo ==2.0]")
    mirror.sync()
    assert documents(mirror) == {"index.html", "project/demo/index.html", "pypi/demo/json", "pypi/demo/2.0/json"}
    assert not (mirror.tree / "pypi" / "demo" / "1.0").exists()
    assert not (mirror.tree / "pypi" / "other").exists()


@pytest.mark.parametrize("is_lost", [False, True], ids=["", "its record lost"])
def test_sync_removes_the_documents_when_the_spec_does_without(
    index: LocalIndex, mirror: Mirror, *, is_lost: bool
) -> None:
    publish(index, mirror)
    if is_lost:
        shutil.rmtree(mirror.tree / ".pymirror" / "state")
        mirror.sync()
    mirror.write_spec(index, f"pages: false\nlegacy-json: false\n{SPEC}")
    mirror.sync()
    assert documents(mirror) == set()
    mirror.run("verify")
    mirror.write_spec(index, SPEC)
    mirror.sync()
    assert documents(mirror) == DOCUMENTS


@pytest.mark.parametrize("key", ["pages", "legacy-json"])
def test_sync_writes_the_one_when_the_spec_does_without_the_other(index: LocalIndex, mirror: Mirror, key: str) -> None:
    publish(index, mirror, f"{key}: false\n{SPEC}")
    other = {name for name in DOCUMENTS if name.startswith("pypi/") == (key == "pages")}
    assert documents(mirror) == other
    mirror.run("verify")


# ── what is the user's own ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["index.html", "links.html", "pypi/own/json", "project/own.txt"])
def test_sync_refuses_when_something_stands_where_a_document_would(
    index: LocalIndex, mirror: Mirror, name: str
) -> None:
    fill(index)
    own = mirror.tree / name
    own.parent.mkdir(parents=True)
    own.write_text("the user's own")
    mirror.write_spec(index, SPEC)
    assert name in mirror.sync(code=2).err
    assert mirror.published().keys() == {name}


def test_sync_leaves_a_front_page_of_the_users_own_alone_when_the_spec_has_no_pages(
    index: LocalIndex, mirror: Mirror
) -> None:
    publish(index, mirror, f"pages: false\n{SPEC}")
    own = mirror.tree / "index.html"
    own.write_text("<!DOCTYPE html><title>the user's own</title>")
    mirror.sync()
    mirror.run("verify")
    assert "the user's own" in own.read_text()
    mirror.write_spec(index, SPEC)
    assert "index.html" in mirror.sync(code=2).err
    assert "the user's own" in own.read_text()


def test_sync_removes_nothing_else_when_the_record_was_tampered_with(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    own = mirror.folder / "own.txt"
    own.write_text("the user's own")
    record = {"made_from": "x", "made_by": "x", "pages": [["../own.txt", 1, 1, "x"], ["packages", 1, 1, "x"]]}
    (mirror.tree / ".pymirror/state/published/demo").write_bytes(msgspec.msgpack.encode(record))
    mirror.sync()
    assert own.exists()
    mirror.run("verify")


@pytest.mark.parametrize(
    ("key", "name"), [("pages", "project/docs/guide.html"), ("legacy-json", "pypi/own/json"), ("pages", "project")]
)
def test_sync_refuses_when_something_came_to_a_mirror_before_the_documents_did(
    index: LocalIndex, mirror: Mirror, key: str, name: str
) -> None:
    publish(index, mirror, f"{key}: false\n{SPEC}")
    own = mirror.tree / name
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("the user's own")
    before = mirror.content()
    mirror.write_spec(index, SPEC)
    err = mirror.sync(code=2).err
    assert name in err
    assert f"{key}: false" in err
    assert mirror.content() == before


@pytest.mark.parametrize("lost", [".pymirror/state", ".pymirror"])
def test_sync_removes_its_documents_and_no_other_when_the_record_of_them_is_lost(
    index: LocalIndex, mirror: Mirror, lost: str
) -> None:
    publish(index, mirror)
    own = {"project/docs/guide.html", "pypi/own/json"}
    shutil.rmtree(mirror.tree / lost)
    for name in own:
        (mirror.tree / name).parent.mkdir()
        (mirror.tree / name).write_text("the user's own")
    mirror.write_spec(index, f"pages: false\nlegacy-json: false\n{SPEC}")
    mirror.sync()
    assert documents(mirror) == own
    mirror.run("verify")


def test_no_empty_folder_is_left_when_the_spec_does_without_documents(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    mirror.write_spec(index, f"pages: false\nlegacy-json: false\n{SPEC}")
    mirror.sync()
    assert {path.name for path in mirror.tree.iterdir()} == {".pymirror", "links.html", "packages", "simple"}


def test_no_sdist_is_unpacked_when_there_are_no_documents(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror, f"pages: false\nlegacy-json: false\n{SPEC}")
    assert not list((mirror.tree / ".pymirror/state").glob("sdists/*"))


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("damage", ["gone", "changed", "changed in secret"])
def test_verify_finds_and_sync_mends_documents_when_they_are_damaged(
    index: LocalIndex, mirror: Mirror, damage: str
) -> None:
    publish(index, mirror)
    before = mirror.published()
    for name in DOCUMENTS:
        path = mirror.tree / name
        data, stat = path.read_bytes(), path.stat()
        path.unlink()
        if damage != "gone":
            path.write_bytes(data[:-2] + b"x\n" if damage == "changed in secret" else data + b"x")
        if damage == "changed in secret":
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    out = mirror.run("verify", code=5).out
    assert {name for name in DOCUMENTS if f"{name}:" in out} == DOCUMENTS
    mirror.sync()
    assert mirror.published() == before
    mirror.run("verify")


def test_verify_finds_and_sync_removes_a_file_when_it_is_foreign(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    foreign = ("pypi/demo/9.9/json", "project/demo/own.txt", "pypi/nobody/json")
    for name in foreign:
        path = mirror.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    out = mirror.run("verify", code=5).out
    assert all(name in out for name in foreign)
    mirror.sync()
    assert documents(mirror) == DOCUMENTS
    mirror.run("verify")


def test_verify_finds_and_sync_removes_a_file_when_it_stands_beside_the_folders(
    index: LocalIndex, mirror: Mirror
) -> None:
    publish(index, mirror)
    for name in ("project/.DS_Store", "pypi/robots.txt"):
        (mirror.tree / name).write_text("left by another program")
    out = mirror.run("verify", code=5).out
    assert "project/.DS_Store" in out
    assert "pypi/robots.txt" in out
    mirror.sync()
    assert documents(mirror) == DOCUMENTS
    mirror.run("verify")


def test_sync_mends_a_document_when_a_file_stands_in_place_of_its_folder(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    folder = mirror.tree / "pypi/demo/1.0"
    shutil.rmtree(folder)
    folder.write_text("no folder")
    mirror.run("verify", code=5)
    mirror.sync()
    assert documents(mirror) == DOCUMENTS
    mirror.run("verify")


@pytest.mark.parametrize(
    "name", ["links.html.gz", "index.html.gz", "project/demo/index.html.gz", "simple/index.html.gz"]
)
@pytest.mark.parametrize("is_verified", [False, True])
def test_verify_finds_and_sync_removes_a_packed_copy_when_its_page_is_small(
    index: LocalIndex, mirror: Mirror, name: str, *, is_verified: bool
) -> None:
    publish(index, mirror)
    (mirror.tree / name).write_bytes(gzip.compress(b"what the page said long ago"))
    if is_verified:
        assert name in mirror.run("verify", code=5).out
    mirror.sync()
    assert not (mirror.tree / name).exists()
    mirror.run("verify")


def test_documents_are_right_again_when_a_file_was_damaged_as_they_were_made(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    shutil.rmtree(mirror.tree / ".pymirror/state/sdists")
    for filename in ("demo-2.0-py3-none-any.whl.metadata", "other-1.0.tar.gz"):
        path = mirror.find(filename)
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    index.add(make_wheel("demo", "0.5"))
    index.add(make_sdist("other", "0.5"))
    err = mirror.sync().err
    assert "other: the metadata of other-1.0.tar.gz cannot be read" in err
    assert legacy(mirror, "demo/2.0")["info"]["requires_dist"] is None
    out = mirror.run("verify", code=5).out
    assert "demo-2.0-py3-none-any.whl.metadata" in out
    assert "other-1.0.tar.gz" in out
    mirror.sync()
    mirror.run("verify")
    mended = mirror.published()
    shutil.rmtree(mirror.tree)
    mirror.sync()
    assert mirror.published() == mended


CARRIED = [
    ("project/demo/index.html", "</main>", "<script>alert(1)</script></main>"),
    ("project/other/index.html", "<li><code>", "<li><code><a href='https://evil.example.com'>"),
    ("pypi/demo/json", "{", "x"),
    ("pypi/other/1.0/json", "other", "dama"),
    ("index.html", "demo", "dama"),
    ("flat/demo-1.0-py3-none-any.whl", "", ""),
]


@pytest.mark.parametrize("keys", ["", "legacy-json: false\npublic-url: http://mirror.example.com:8080/a%20b/"])
def test_verify_checks_the_documents_when_a_disk_was_carried_without_its_record(
    index: LocalIndex, mirror: Mirror, keys: str
) -> None:
    metadata = "Metadata-Version: 2.1\nName: third\nVersion: 1.0\n\nSome *text*.\n"
    index.add(make_wheel("third", "1.0", metadata=metadata))
    publish(index, mirror, f"{keys}\nflat: true\nprojects: [demo, other, third]")
    shutil.rmtree(mirror.tree / ".pymirror")
    pages = [name for name in mirror.published() if not name.startswith(("packages/", "flat/"))]
    assert mirror.run("verify", "--json").json["pages"] == len(pages)
    damaged = set()
    for name, old, new in CARRIED:
        path = mirror.tree / name
        if path.exists():
            path.write_text(path.read_text().replace(old, new)) if old else path.unlink()
            damaged.add(name)
    assert {found["path"] for found in mirror.run("verify", "--json", code=5).json["damages"]} == damaged


def test_verify_checks_no_words_of_a_description_when_another_version_may_have_made_them(
    index: LocalIndex, mirror: Mirror
) -> None:
    metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n\nSome *text*.\n"
    index.add(make_wheel("demo", "1.0", metadata=metadata))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    page = mirror.tree / "project/demo/index.html"
    page.write_text(page.read_text().replace("<em>text</em>", "<i>text</i>"))
    assert "project/demo/index.html: " in mirror.run("verify", code=5).out
    shutil.rmtree(mirror.tree / ".pymirror")
    mirror.run("verify")


def test_verify_needs_no_state_when_it_was_lost(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    shutil.rmtree(mirror.tree / ".pymirror" / "state")
    before = mirror.content()
    mirror.run("verify")
    assert {name for name in touched(mirror, before) if not name.startswith(".pymirror/")} == set()
    (mirror.tree / "project/demo/index.html").write_text("damaged")
    assert "project/demo/index.html" in mirror.run("verify", code=5).out


# ── the legacy JSON API ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["demo", "demo/1.0", "demo/2.0", "other", "other/1.0"])
def test_every_link_leads_to_its_file_when_it_is_followed(index: LocalIndex, mirror: Mirror, path: str) -> None:
    publish(index, mirror)
    document = legacy(mirror, path)
    files = [*document["urls"], *(file for files in document.get("releases", {}).values() for file in files)]
    assert files
    for file in files:
        target = urljoin(f"{mirror.tree.as_uri()}/pypi/{path}/json", file["url"])
        found = Path(unquote(target.removeprefix("file://")))
        assert found.stat().st_size == file["size"]
        assert found.name == file["filename"]


def test_links_are_absolute_when_the_public_url_is_known(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror, f"public-url: https://mirror.example.com/python\n{SPEC}")
    (file,) = legacy(mirror, "demo/1.0")["urls"]
    assert file["url"].startswith("https://mirror.example.com/python/packages/")


def test_documents_hold_only_what_the_tree_holds_when_upstream_has_more(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror, "projects: [demo <2]")
    assert list(legacy(mirror, "demo")["releases"]) == ["1.0"]
    assert legacy(mirror, "demo")["info"]["version"] == "1.0"


def test_metadata_come_out_of_the_sdist_when_a_release_has_nothing_else(index: LocalIndex, mirror: Mirror) -> None:
    publish(index, mirror)
    info = legacy(mirror, "other/1.0")["info"]
    assert (info["name"], info["version"]) == ("other", "1.0")
    assert legacy(mirror, "demo/2.0")["info"]["requires_dist"] == ["other"]


# ── large pages ─────────────────────────────────────────────────────────────────────────────────────


def test_large_pages_have_a_packed_copy_when_they_are_published(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(120):
        index.add(make_wheel("demo", f"1.{number}"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    packed = {name for name in mirror.published() if name.endswith(".gz")}
    assert packed >= {"simple/demo/index.html.gz", "simple/demo/index.v1_json.gz", "links.html.gz"}
    for name in packed:
        page = mirror.tree / name.removesuffix(".gz")
        assert gzip.decompress((mirror.tree / name).read_bytes()) == page.read_bytes()
    before = mirror.content()
    mirror.sync()
    assert touched(mirror, before) == set()
    mirror.run("verify")
    (mirror.tree / "simple/demo/index.html.gz").write_bytes(gzip.compress(b"another page"))
    assert "simple/demo/index.html.gz" in mirror.run("verify", code=5).out
    mirror.sync()
    mirror.run("verify")
    mirror.write_spec(index, "projects: [demo ==1.1]")
    mirror.sync("--allow-shrink")
    assert [name for name in mirror.published() if name.endswith(".gz")] == []
    mirror.run("verify")


# ── a mirror of the mirror ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["json", "html"])
def test_another_mirror_has_the_same_bytes_when_it_syncs_from_the_first(
    index: LocalIndex, mirror: Mirror, environ: dict[str, str], tmp_path: Path, way: str
) -> None:
    index.add(make_wheel("demo", "1.0", requires_python=">=3.8"), requires_python=">=3.8", yanked="très <b>")
    index.entries[0].upload_time = "2024-05-06T07:08:09.123456Z"
    fill_more = make_wheel("demo", "2.0+cpu")
    index.add(fill_more)
    index.add(make_sdist("other", "1.0"))
    index.statuses["other"] = ("archived", "no more work on it")
    body = "yanked: include\nprojects: [demo, other]"
    mirror.write_spec(index, body)
    mirror.sync()
    folder = tmp_path / "second"
    folder.mkdir()
    second = Mirror(folder, environ)
    if way == "html":
        with serve_with_python(mirror.tree) as url:
            second.write_spec(f"{url}simple/", body)
            second.sync()
    else:
        with mirror.started("serve", "--port", "0") as process:
            assert process.stdout is not None
            second.write_spec(process.stdout.readline().strip(), body)
            second.sync()
    assert second.published() == mirror.published()
    assert _snapshot(second) == _snapshot(mirror)


def _snapshot(mirror: Mirror) -> bytes:
    return (mirror.tree / ".pymirror/snapshots/000001.json").read_bytes()


def test_descriptions_are_formatted_by_the_next_run_when_no_process_could_be_started(
    index: LocalIndex, mirror: Mirror
) -> None:
    text = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\nDescription-Content-Type: text/markdown\n\nsome *emphasis*\n"
    names = ["aa", "bb", "cc", "dd"]
    for name in names:
        index.add(make_wheel(name, "1.0", metadata=text.format(name)))
    mirror.write_spec(index, f"projects: [{', '.join(names)}]")
    program = "import sys; sys.executable = '/nowhere/python'; from pymirror.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "sync"],
        cwd=mirror.folder,
        env=mirror.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no process could be had to format descriptions" in done.stderr
    assert "some *emphasis*" in (mirror.tree / "project/dd/index.html").read_text()
    mirror.sync()
    assert all("<em>emphasis</em>" in (mirror.tree / f"project/{name}/index.html").read_text() for name in names)
    assert "nothing written" in mirror.sync().err


class StopAtOnce(NoProgress):
    """Ctrl-C as soon as the first project is done."""

    def item(self) -> None:
        raise KeyboardInterrupt


def test_descriptions_are_formatted_by_the_next_run_when_one_was_interrupted(index: LocalIndex, mirror: Mirror) -> None:
    text = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\nDescription-Content-Type: text/x-rst\n\nsome *emphasis*\n"
    names = [f"p{number}" for number in range(12)]
    for name in names:
        index.add(make_wheel(name, "1.0", metadata=text.format(name)))
    mirror.write_spec(index, f"pages: false\nprojects: [{', '.join(names)}]")
    mirror.sync()
    storage = LocalStorage(mirror.tree)
    snapshot = History(storage).current()
    assert snapshot is not None
    snapshot = msgspec.structs.replace(snapshot, site=DEFAULT_SITE)
    with pytest.raises(KeyboardInterrupt):
        publish_documents(snapshot, storage, progress=StopAtOnce(), stop=Stop(), threads=4)
    for thread in threading.enumerate():
        if thread.name.startswith("pymirror-"):
            thread.join()
    assert not [path for path in mirror.tree.glob("project/*/*.html") if "could not be formatted" in path.read_text()]
