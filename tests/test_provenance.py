"""Provenance objects (PEP 740): fetched once, kept beside the file, linked where the tree's URL is known."""

from __future__ import annotations

import base64
import json
import shutil
from typing import Any

import pytest

from pymirror.simple.provenance import find_problem
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import Answer, Entry, LocalIndex

URL = "https://mirror.example.com/python/"


_STATED = b'{"version": 1, "attestation_bundles": [{"attestations": [{"envelope": {"statement": "%s"}}]}]}'


def make_provenance(*sha256: str, version: object = 1, statements: int = 1) -> bytes:
    subject = [{"name": "demo", "digest": {"sha256": digest}} for digest in sha256]
    statement = base64.b64encode(json.dumps({"_type": "x", "subject": subject}).encode()).decode()
    attestations = [{"version": 1, "envelope": {"statement": statement, "signature": ""}}] * statements
    bundle = {"publisher": {"kind": "GitHub"}, "attestations": attestations}
    return json.dumps({"version": version, "attestation_bundles": [bundle]}).encode()


def add_attested(index: LocalIndex, version: str = "1.0") -> Entry:
    entry = index.add(make_wheel("demo", version))
    entry.provenance = make_provenance(entry.hashes["sha256"])
    return entry


def asked(index: LocalIndex) -> list[str]:
    return index.asked_for("GET", "/integrity/")


# ── what is one ─────────────────────────────────────────────────────────────────────────────────────


def test_find_problem_finds_none_when_the_object_speaks_of_the_file() -> None:
    assert find_problem(make_provenance("a" * 64), sha256="a" * 64) is None
    assert find_problem(make_provenance("b" * 64, "A" * 64), sha256="a" * 64) is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (make_provenance("b" * 64), "it attests another file"),
        (make_provenance(), "it attests another file"),
        (make_provenance("a" * 64, statements=0), "it attests nothing"),
        (make_provenance("a" * 64, version=2), "its version is 2, which is not known here"),
        (make_provenance("a" * 64, version="1"), "it is no provenance object"),
        (b'{"version": 1, "attestation_bundles": []}', "it attests nothing"),
        (b"<!DOCTYPE html>", "it is no provenance object"),
        (b"", "it is no provenance object"),
        (b"[" * 100_000, "it is no provenance object"),
        (_STATED % b"%", "it is no provenance object"),
        (_STATED % b"e30=", "it is no provenance object"),  # {}
    ],
)
def test_find_problem_says_why_when_it_is_not_one(data: bytes, problem: str) -> None:
    assert find_problem(data, sha256="a" * 64) == problem


# ── in the tree ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("format_", ["json", "html"])
def test_sync_keeps_the_object_beside_the_file_when_upstream_has_one(
    index: LocalIndex, mirror: Mirror, format_: str
) -> None:
    index.formats = (format_,)
    entry = add_attested(index)
    index.add(make_wheel("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    beside = mirror.tree / f"{entry.path[1:]}.provenance"
    assert beside.read_bytes() == entry.provenance
    assert len(list(mirror.tree.rglob("*.provenance"))) == 1
    # The link must be absolute, and nobody said where the tree is served from.
    assert "provenance" not in (mirror.tree / "simple/demo/index.v1_json").read_text()
    assert "provenance" not in (mirror.tree / "simple/demo/index.html").read_text()
    assert len(asked(index)) == 1
    mirror.sync()
    assert len(asked(index)) == 1
    mirror.run("verify")


def test_pages_link_to_the_object_when_the_public_url_is_known(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_attested(index)
    mirror.write_spec(index, f"public-url: {URL}\nprojects: [demo]")
    mirror.sync()
    link = f"{URL}{entry.path[1:]}.provenance"
    page: dict[str, Any] = json.loads((mirror.tree / "simple/demo/index.v1_json").read_bytes())
    assert [file["provenance"] for file in page["files"]] == [link]
    assert f'data-provenance="{link}"' in (mirror.tree / "simple/demo/index.html").read_text()


def test_pages_link_to_no_object_when_the_public_url_is_not_https(index: LocalIndex, mirror: Mirror) -> None:
    add_attested(index)
    mirror.write_spec(index, "public-url: http://mirror.example.com/\nprojects: [demo]")
    mirror.sync()
    assert "provenance" not in (mirror.tree / "simple/demo/index.v1_json").read_text()


def test_sync_reports_no_change_when_a_file_has_the_object_that_it_had(index: LocalIndex, mirror: Mirror) -> None:
    add_attested(index)
    mirror.write_spec(index, "projects: [demo]")
    assert mirror.sync("--json").json["changed"] == 0
    assert mirror.sync("--json").json["changed"] == 0


def test_sync_asks_for_none_when_the_spec_says_so(index: LocalIndex, mirror: Mirror) -> None:
    add_attested(index)
    mirror.write_spec(index, "provenance: false\nprojects: [demo]")
    mirror.sync()
    assert asked(index) == []


@pytest.mark.parametrize(
    "answer",
    [Answer(404, b""), Answer(200, b"<html>"), Answer(200, make_provenance("b" * 64)), Answer(200, b"x" * 5_000_000)],
    ids=["404", "html", "another file's", "huge"],
)
def test_sync_publishes_the_file_and_tries_again_when_the_object_cannot_be_had(
    index: LocalIndex, mirror: Mirror, answer: Answer
) -> None:
    entry = add_attested(index)
    index.fail(entry.provenance_path, answer)
    mirror.write_spec(index, f"public-url: {URL}\nprojects: [demo]")
    result = mirror.sync()
    assert "no provenance for demo-1.0-py3-none-any.whl" in result.err
    assert list(mirror.tree.rglob("*.provenance")) == []
    assert "provenance" not in (mirror.tree / "simple/demo/index.v1_json").read_text()
    assert entry.filename in (mirror.tree / "simple/demo/index.v1_json").read_text()
    result = mirror.sync()
    assert "no provenance" not in result.err
    assert "provenance" in (mirror.tree / "simple/demo/index.v1_json").read_text()


def test_sync_stops_asking_when_the_host_fails_again_and_again(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(12):
        entry = add_attested(index, f"1.{number}")
        index.fail_always(entry.provenance_path, Answer(503, b""))
    mirror.write_spec(index, "projects: [demo]", network="connections: 1, retries: 0")
    assert "no provenance for 7 more files" in mirror.sync().err
    assert len(asked(index)) == 5


def test_sync_asks_for_the_others_when_one_project_has_only_useless_objects(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(12):
        entry = add_attested(index, f"1.{number}")
        entry.provenance = make_provenance(entry.hashes["sha256"], version=2)
        if number % 2:
            index.fail_always(entry.provenance_path, Answer(404, b""))
    last = index.add(make_wheel("zzz", "1.0"))
    last.provenance = make_provenance(last.hashes["sha256"])
    mirror.write_spec(index, "projects: [demo, zzz]", network="connections: 1, retries: 0")
    err = mirror.sync().err
    assert [path.name for path in mirror.tree.rglob("*.provenance")] == [f"{last.filename}.provenance"]
    assert err.count("no provenance for demo-1.") == 5
    assert "no provenance for 7 more files" in err


def test_sync_keeps_the_object_when_upstream_lists_it_no_more(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_attested(index)
    mirror.write_spec(index, f"public-url: {URL}\nprojects: [demo]")
    mirror.sync()
    entry.provenance = None
    mirror.sync()
    assert "provenance" in (mirror.tree / "simple/demo/index.v1_json").read_text()


def test_sync_asks_for_no_object_again_when_the_record_is_lost(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_attested(index)
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    before = (mirror.tree / f"{entry.path[1:]}.provenance").stat()
    shutil.rmtree(mirror.tree / ".pymirror")
    mirror.sync()
    assert len(asked(index)) == 1
    assert (mirror.tree / f"{entry.path[1:]}.provenance").stat().st_mtime_ns == before.st_mtime_ns
    mirror.run("verify")


def test_verify_finds_a_changed_object_and_the_next_run_fetches_it_again(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_attested(index)
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    beside = mirror.tree / f"{entry.path[1:]}.provenance"
    beside.write_bytes(make_provenance("b" * 64))
    assert "the provenance is not upstream's" in mirror.run("verify", code=5).out
    mirror.sync()
    assert beside.read_bytes() == entry.provenance
    mirror.run("verify")


def test_prune_deletes_the_object_when_its_file_goes(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_attested(index)
    index.add(make_wheel("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    mirror.write_spec(index, "projects: [demo >=2]")
    mirror.sync()
    assert (mirror.tree / f"{entry.path[1:]}.provenance").exists()
    mirror.run("prune")
    assert not (mirror.tree / f"{entry.path[1:]}.provenance").exists()
    assert len(list((mirror.tree / "packages").rglob("*.whl"))) == 1


def test_prune_keeps_the_object_when_all_state_is_gone(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_attested(index)
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    shutil.rmtree(mirror.tree / ".pymirror")
    mirror.run("prune")
    assert (mirror.tree / f"{entry.path[1:]}.provenance").read_bytes() == entry.provenance
    assert mirror.run("verify", "--json").json["unreferenced"] == 0
