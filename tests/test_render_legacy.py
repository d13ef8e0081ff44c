"""The documents of the legacy JSON API: PyPI's keys and shapes, with what the tree holds and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pymirror.metadata import CoreMetadata
from pymirror.simple.render_legacy import newest_version, render_legacy_project, render_legacy_release
from pymirror.snapshot import SnapshotFile, SnapshotProject
from pymirror.spec.model import Site

SHA256, BLAKE2B, METADATA = "a" * 64, "0123456789abcdef" * 4, "c" * 64
FOLDER = f"packages/{BLAKE2B[:2]}/{BLAKE2B[2:4]}/{BLAKE2B[4:]}"
TIME = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
SITE = Site()

# What PyPI's documents have and a tree knows nothing of.
LEFT_OUT = {
    "last_serial",
    "vulnerabilities",
    "downloads",
    "has_sig",
    "md5_digest",
    "comment_text",
    "bugtrack_url",
    "docs_url",
    "package_url",
    "project_url",
    "release_url",
}


def make_file(
    version: str = "1.0",
    ending: str = ".tar.gz",
    *,
    yanked: bool | str = False,
    upload_time: datetime | None = None,
    requires_python: str | None = None,
    metadata_sha256: str | None = None,
) -> SnapshotFile:
    return SnapshotFile(
        filename=f"demo-{version}{ending}",
        version=version,
        sha256=SHA256,
        blake2b=BLAKE2B,
        size=1234,
        yanked=yanked,
        upload_time=upload_time,
        requires_python=requires_python,
        metadata_sha256=metadata_sha256,
    )


def make_project(*files: SnapshotFile) -> SnapshotProject:
    return SnapshotProject(name="demo", files=files)


def render(*files: SnapshotFile, metadata: CoreMetadata | None = None, site: Site = SITE) -> Any:
    return json.loads(render_legacy_project(make_project(*files), metadata, site))


def keys_of(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys_of(item) for item in value.values()))
    return set().union(*(keys_of(item) for item in value)) if isinstance(value, list) else set()


# ── which release ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (["1.0", "1.10", "1.9"], "1.10"),
        (["1.0", "2.0rc1"], "1.0"),
        (["1.0", "2.0.dev1", "1.1a1"], "1.0"),
        (["1.0a1", "1.0b2", "1.0b1"], "1.0b2"),
        (["1.0", "1!0.1", "9.0"], "1!0.1"),
        (["1.0", "1.0.post1", "1.0+local"], "1.0.post1"),
        (["1.0", "1.0+local"], "1.0+local"),
        (["1.0", "2.0 yanked"], "1.0"),
        (["1.0 yanked", "2.0rc1"], "2.0rc1"),
        (["1.0 yanked", "0.9"], "0.9"),
        (["1.0 yanked", "2.0 yanked", "3.0rc1 yanked"], "3.0rc1"),
        (["1.0rc1 yanked", "0.9rc1"], "0.9rc1"),
    ],
)
def test_the_newest_version_is_the_one_that_pip_takes_when_there_are_several(
    versions: list[str], expected: str
) -> None:
    files = [make_file(text.split()[0], yanked=text.endswith("yanked")) for text in versions]
    assert newest_version(make_project(*files)) == expected
    assert newest_version(make_project(*reversed(files))) == expected
    assert render(*files)["info"]["version"] == expected


def test_a_release_is_not_yanked_when_one_of_its_files_is_not() -> None:
    whole, half = make_file("1.0"), make_file("2.0", yanked="broken sdist")
    document = render(whole, half, make_file("2.0", "-py3-none-any.whl"))
    assert document["info"]["version"] == "2.0"
    assert (document["info"]["yanked"], document["info"]["yanked_reason"]) == (False, None)
    assert [(file["yanked"], file["yanked_reason"]) for file in document["urls"]] == [
        (True, "broken sdist"),
        (False, None),
    ]


@pytest.mark.parametrize(
    ("states", "reason"),
    [([True, True], None), ([True, "why"], "why"), (["first", "second"], "first")],
)
def test_a_release_is_yanked_when_all_its_files_are(states: list[bool | str], reason: str | None) -> None:
    files = [make_file(ending=ending, yanked=state) for ending, state in zip((".zip", ".tar.gz"), states, strict=True)]
    info = render(*files)["info"]
    assert (info["yanked"], info["yanked_reason"]) == (True, reason)


def test_versions_are_one_release_when_they_are_equal() -> None:
    project = make_project(make_file("1.0"), make_file("1.0.0", "-py3-none-any.whl"), make_file("0.9"))
    document = json.loads(render_legacy_project(project, None, SITE))
    assert {version: len(files) for version, files in document["releases"].items()} == {"1.0": 2, "0.9": 1}
    for version in ("1.0", "1.0.0"):
        release = json.loads(render_legacy_release(project, version, None, SITE))
        assert release["info"]["version"] == version
        assert [file["filename"] for file in release["urls"]] == ["demo-1.0.tar.gz", "demo-1.0.0-py3-none-any.whl"]


# ── info ────────────────────────────────────────────────────────────────────────────────────────────

FULL = CoreMetadata(
    metadata_version="2.4",
    name="Demo",
    version="1.0.0",
    summary='caf\xe9 "x" <b>',
    description="# Demo\n\U0001f4a5\x00\n",
    description_content_type="text/markdown",
    keywords=("one", "two words"),
    author="A. Uthor",
    author_email="author@example.com",
    maintainer="M. Aintainer",
    maintainer_email="m@example.com",
    license="MIT",
    license_expression="MIT",
    license_files=("LICENSE",),
    classifiers=("Typing :: Typed",),
    platforms=("linux", "win32"),
    home_page="https://example.com/",
    download_url="https://example.com/demo.zip",
    project_urls=(
        ("Source", "https://example.com/src"),
        ("Source", "https://example.com/2"),
        ("", "https://e.example/"),
    ),
    requires_python=">=3.8",
    requires_dist=('idna; extra == "x"',),
    requires_external=("C",),
    provides_extra=("x",),
    dynamic=("license-file",),
)


def test_the_info_is_that_of_the_metadata_when_there_are_some() -> None:
    assert render(make_file(), metadata=FULL)["info"] == {
        "author": "A. Uthor",
        "author_email": "author@example.com",
        "classifiers": ["Typing :: Typed"],
        "description": "# Demo\n\U0001f4a5\x00\n",
        "description_content_type": "text/markdown",
        "download_url": "https://example.com/demo.zip",
        "dynamic": ["license-file"],
        "home_page": "https://example.com/",
        "keywords": "one,two words",
        "license": "MIT",
        "license_expression": "MIT",
        "license_files": ["LICENSE"],
        "maintainer": "M. Aintainer",
        "maintainer_email": "m@example.com",
        "name": "Demo",
        "platform": "linux,win32",
        "project_urls": {
            "Source": "https://example.com/src",
            "https://e.example/": "https://e.example/",
            "Homepage": "https://example.com/",
            "Download": "https://example.com/demo.zip",
        },
        "provides_extra": ["x"],
        "requires_dist": ['idna; extra == "x"'],
        "requires_python": ">=3.8",
        "summary": 'caf\xe9 "x" <b>',
        "version": "1.0",
        "yanked": False,
        "yanked_reason": None,
    }


def test_the_info_is_null_when_the_metadata_say_nothing() -> None:
    said = {"classifiers": [], "name": "demo", "version": "1.0", "yanked": False}
    for metadata in (None, CoreMetadata()):
        info = render(make_file(), metadata=metadata)["info"]
        assert set(info) == set(render(make_file(), metadata=FULL)["info"])
        assert {key: value for key, value in info.items() if value is not None} == said


def test_the_python_that_is_required_is_that_of_the_files_when_there_are_no_metadata() -> None:
    file = make_file(requires_python=">=3.9")
    assert render(file)["info"]["requires_python"] == ">=3.9"
    assert render(file, metadata=CoreMetadata())["info"]["requires_python"] is None
    assert render(file, metadata=FULL)["info"]["requires_python"] == ">=3.8"


def test_the_home_page_is_not_named_twice_when_it_has_a_label() -> None:
    metadata = CoreMetadata(home_page="https://a.example/", project_urls=(("homepage", "https://b.example/"),))
    assert render(make_file(), metadata=metadata)["info"]["project_urls"] == {"homepage": "https://b.example/"}


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_says_all_that_the_tree_knows_when_all_is_known() -> None:
    ending = "-cp311-cp311-win_amd64.whl"
    file = make_file("1!2.0+cu118", ending, upload_time=TIME, requires_python=">=3.8", metadata_sha256=METADATA)
    document = render(file)
    assert document["urls"] == [
        {
            "filename": f"demo-1!2.0+cu118{ending}",
            "url": f"../../{FOLDER}/demo-1%212.0%2Bcu118{ending}",
            "digests": {"sha256": SHA256, "blake2b_256": BLAKE2B},
            "size": 1234,
            "packagetype": "bdist_wheel",
            "python_version": "cp311",
            "requires_python": ">=3.8",
            "yanked": False,
            "yanked_reason": None,
            "upload_time": "2024-05-06T07:08:09",
            "upload_time_iso_8601": "2024-05-06T07:08:09.123456Z",
            "core-metadata": {"sha256": METADATA},
        }
    ]
    assert document["releases"] == {"1!2.0+cu118": document["urls"]}


def test_a_file_leaves_out_what_nobody_knows_when_little_is_known() -> None:
    assert set(render(make_file())["urls"][0]) == {
        "filename",
        "url",
        "digests",
        "size",
        "packagetype",
        "python_version",
        "requires_python",
        "yanked",
        "yanked_reason",
    }


@pytest.mark.parametrize(
    ("ending", "package_type", "python_version"),
    [
        (".tar.gz", "sdist", "source"),
        (".zip", "sdist", "source"),
        (".tar.bz2", "sdist", "source"),
        ("-py3-none-any.whl", "bdist_wheel", "py3"),
        ("-py2.py3-none-any.whl", "bdist_wheel", "py2.py3"),
        ("-1-cp312-abi3-win_amd64.whl", "bdist_wheel", "cp312"),
        ("-py3.6.egg", "bdist_egg", "3.6"),
        ("-py2.7-win32.egg", "bdist_egg", "2.7"),
        (".egg", "bdist_egg", None),
        (".win32-py2.7.exe", "bdist_wininst", "2.7"),
        (".win32.exe", "bdist_wininst", None),
        (".win-amd64-py3.10.msi", "bdist_msi", "3.10"),
        ("-1.noarch.rpm", "bdist_rpm", None),
        (".linux-x86_64.tar.gz", "bdist_dumb", None),
        (".nothing", None, None),
    ],
)
def test_the_types_are_pypis_when_the_name_tells_them(
    ending: str, package_type: str | None, python_version: str | None
) -> None:
    file = render(make_file(ending=ending))["urls"][0]
    assert (file.get("packagetype"), file.get("python_version")) == (package_type, python_version)
    assert None not in (file.get("packagetype", ""), file.get("python_version", ""))


def test_a_file_is_linked_from_where_the_document_is_when_there_is_no_public_url() -> None:
    project = make_project(make_file())
    assert render(*project.files)["urls"][0]["url"] == f"../../{FOLDER}/demo-1.0.tar.gz"
    release = json.loads(render_legacy_release(project, "1.0", None, SITE))
    assert release["urls"][0]["url"] == f"../../../{FOLDER}/demo-1.0.tar.gz"


def test_a_file_is_linked_absolutely_when_there_is_a_public_url() -> None:
    project, site = make_project(make_file("1.0+a")), Site(public_url="https://mirror.example/some/where/")
    expected = f"https://mirror.example/some/where/{FOLDER}/demo-1.0%2Ba.tar.gz"
    assert render(*project.files, site=site)["urls"][0]["url"] == expected
    assert json.loads(render_legacy_release(project, "1.0+a", None, site))["urls"][0]["url"] == expected


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────

PROJECT = make_project(make_file("0.9"), make_file("1.0", upload_time=TIME), make_file("1.0", ".zip", yanked="\xe9\n"))


def test_a_document_has_pypis_keys_when_rendered() -> None:
    assert list(render(*PROJECT.files)) == ["info", "releases", "urls"]
    release = json.loads(render_legacy_release(PROJECT, "0.9", FULL, SITE))
    assert list(release) == ["info", "urls"]
    assert [file["filename"] for file in release["urls"]] == ["demo-0.9.tar.gz"]
    assert list(render(*PROJECT.files)["releases"]) == ["0.9", "1.0"]


def test_nothing_is_invented_when_a_document_is_rendered() -> None:
    assert keys_of(render(*PROJECT.files, metadata=FULL)) & LEFT_OUT == set()
    assert "md5" not in keys_of(render(*PROJECT.files))


def test_a_document_is_one_line_of_ascii_when_rendered() -> None:
    for page in (render_legacy_project(PROJECT, FULL, SITE), render_legacy_release(PROJECT, "1.0", FULL, SITE)):
        assert page.isascii()
        assert page.endswith(b"}\n")
        assert page.count(b"\n") == 1
        assert json.loads(page)["info"]["description"] == FULL.description


def test_the_bytes_are_the_same_when_the_content_is() -> None:
    again = make_project(*PROJECT.files)
    assert render_legacy_project(again, FULL, SITE) == render_legacy_project(PROJECT, FULL, SITE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\ud800b", "a\ufffdb"), ("\udfff\ud800", "\ufffd\ufffd"), ("\\ud800 \U0001f4a5", "\\ud800 \U0001f4a5")],
)
def test_a_lone_surrogate_is_replaced_when_a_text_has_one(text: str, expected: str) -> None:
    page = render_legacy_project(make_project(make_file(yanked=text)), CoreMetadata(summary=text), SITE)
    document = json.loads(page)
    assert (document["info"]["summary"], document["urls"][0]["yanked_reason"]) == (expected, expected)
