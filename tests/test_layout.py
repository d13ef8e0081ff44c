"""Paths and URLs of the tree: which names may become part of one, and how they are written."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymirror.errors import UnsafeNameError
from pymirror.layout import (
    MAX_FILENAME_BYTES,
    METADATA_SUFFIX,
    blake2b_of_pool_path,
    blake2b_of_url,
    check_filename,
    check_project,
    is_device,
    pool_path,
    project_folder,
    relative_url,
)

DIGEST = "0123456789abcdef" * 4
WHEEL = "demo-1.0-py3-none-any.whl"


# ── file names ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "filename",
    [
        WHEEL,
        "demo-1.0.tar.gz",
        "Demo_X.y-1!1.0+cu118.post1-cp312-abi3-manylinux_2_28_x86_64.whl",
        "_demo-1.0.zip",
        "0-1.zip",
        "console-1.0.tar.gz",
        "nullable.zip",
        "com-1.0.zip",
        "com10.zip",
        "demo-1.0.tar.Z",
        "a..b-1.0.zip",
        "x" * MAX_FILENAME_BYTES,
    ],
)
def test_check_filename_returns_a_name_when_it_is_safe_everywhere(filename: str) -> None:
    assert check_filename(filename) == filename


@pytest.mark.parametrize(
    "filename",
    [
        "",
        ".",
        "..",
        ".hidden-1.0.zip",
        "-rf.zip",
        "+x.zip",
        "!x.zip",
        "/etc/passwd",
        "../x.whl",
        "a/b.whl",
        "a\\b.whl",
        "..\\x.whl",
        "C:x.whl",
        "x.whl:stream",
        "x\0.whl",
        "x.whl\0",
        "x\n.whl",
        "x.whl\n",
        "\rx.whl",
        "x\x1b[2J.whl",
        "x\x7f.whl",
        "x\u0085.whl",
        "%2e%2e",
        "%2e%2e%2fx.whl",
        "demo%2F1.0.whl",
        "a b-1.0.zip",
        " x.zip",
        "x.zip ",
        "x.zip.",
        "x.",
        "~/x.zip",
        "$HOME.zip",
        "`x`.zip",
        "x;y.zip",
        "x|y.zip",
        "x*y.zip",
        "x?y.zip",
        '"x".zip',
        "<x>.zip",
        "d\xe9mo-1.0.zip",
        "demo\u2215x.zip",  # looks like a slash
        "demo\uff0ex.zip",  # becomes a dot where names are normalized
        "demo\u202egpj.zip",
        "demo\u200f.zip",
        "demo\u061c.zip",
        "\ud800.zip",
        "demo-\uff11.zip",
    ],
)
def test_check_filename_refuses_a_name_when_it_has_other_characters(filename: str) -> None:
    with pytest.raises(UnsafeNameError) as caught:
        check_filename(filename)
    assert caught.value.name == filename
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "filename", ["con", "CON", "nul", "NUL.zip", "aux.tar.gz", "Prn.whl", "com1.zip", "LPT9.whl", "com0", "con.1.0.zip"]
)
def test_check_filename_refuses_a_name_when_windows_takes_it_for_a_device(filename: str) -> None:
    with pytest.raises(UnsafeNameError, match="device name on Windows"):
        check_filename(filename)


@pytest.mark.parametrize("project", ["con", "nul", "prn", "aux", "com1", "lpt9"])
def test_a_project_may_have_the_name_of_a_device(project: str) -> None:
    """There are such projects: nobody must go without them but on Windows, where the storage cannot hold them."""
    assert check_project(project) == project
    assert is_device(project)


@pytest.mark.parametrize("name", ["console", "con-1", "null", "com10", "a-con", "con-1.0.zip"])
def test_a_name_is_no_device_when_it_only_begins_as_one(name: str) -> None:
    assert not is_device(name)


@pytest.mark.parametrize("length", [MAX_FILENAME_BYTES + 1, 300, 100_000])
def test_check_filename_refuses_a_name_when_it_is_long(length: int) -> None:
    with pytest.raises(UnsafeNameError, match="longer than 240 bytes") as caught:
        check_filename("x" * length)
    assert len(str(caught.value)) < 1000


def test_the_name_of_every_file_beside_a_file_fits_when_the_file_has_the_longest_name() -> None:
    assert MAX_FILENAME_BYTES + len(METADATA_SUFFIX) <= 255
    assert MAX_FILENAME_BYTES + len(".provenance") <= 255


_SIGNS = st.sampled_from([*"aZ0._+!-/\\:% \t\n\0~*?", "..", "con", "nul", "%2e", "\u202e", "\ud800", "\xe9", ".whl"])


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(_SIGNS).map("".join)))
def test_check_filename_returns_one_safe_component_when_it_does_not_refuse(text: str) -> None:
    try:
        name = check_filename(text)
    except UnsafeNameError:
        return
    assert name == text
    assert PurePosixPath("folder", name).parent == PurePosixPath("folder")
    assert PurePosixPath(name).name == name
    assert PureWindowsPath(name).name == name
    assert not PureWindowsPath(name).is_reserved()
    assert name.encode("ascii").decode() == name == unquote(name)
    assert 0 < len(name) <= MAX_FILENAME_BYTES
    assert not name.endswith((".", " "))
    assert not name.startswith((".", "-"))


# ── projects ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("project", ["demo", "a", "0", "zope-interface", "3-1", "console"])
def test_project_folder_is_below_simple_when_the_name_is_normalized(project: str) -> None:
    assert project_folder(project) == f"simple/{project}"


@pytest.mark.parametrize(
    "project",
    ["", "Demo", "a.b", "a_b", "-a", "a-", "a--b", "..", "a/b", "a\\b", "a\n", "d\xe9mo", "a b", "a\0", "x" * 241],
)
def test_check_project_refuses_a_name_when_it_is_not_normalized(project: str) -> None:
    with pytest.raises(UnsafeNameError):
        check_project(project)


# ── the pool ────────────────────────────────────────────────────────────────────────────────────────


def test_pool_path_is_that_of_pypi_when_the_digest_is_one() -> None:
    assert pool_path(DIGEST, WHEEL) == f"packages/01/23/{DIGEST[4:]}/{WHEEL}"


@pytest.mark.parametrize(
    "digest",
    ["", "..", DIGEST[1:], DIGEST + "0", DIGEST.upper(), DIGEST[:-1] + "g", DIGEST[:-1] + "/", DIGEST + "\n"],
)
def test_pool_path_refuses_a_digest_when_it_is_none(digest: str) -> None:
    with pytest.raises(UnsafeNameError):
        pool_path(digest, WHEEL)


@pytest.mark.parametrize("filename", ["../x.whl", "", "con.whl", "a/b.whl"])
def test_pool_path_refuses_a_name_when_it_is_unsafe(filename: str) -> None:
    with pytest.raises(UnsafeNameError):
        pool_path(DIGEST, filename)


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        (pool_path(DIGEST, WHEEL), DIGEST),
        (f"/{pool_path(DIGEST, WHEEL)}", DIGEST),
        (f"https://x/prefix/{pool_path(DIGEST, WHEEL)}", DIGEST),
        (f"other{pool_path(DIGEST, WHEEL)}", None),
        (f"packages/{DIGEST}/{WHEEL}", None),
        (f"packages/01/23/{DIGEST[4:].upper()}/{WHEEL}", None),
        (f"packages/01/23/{DIGEST[4:]}/", None),
        (f"packages/01/23/{DIGEST[4:]}/x/{WHEEL}", None),
        ("", None),
    ],
)
def test_blake2b_of_pool_path_is_read_when_the_path_has_the_form(path: str, digest: str | None) -> None:
    assert blake2b_of_pool_path(path) == digest


@pytest.mark.parametrize(
    ("url", "filename", "digest"),
    [
        (f"https://x/{pool_path(DIGEST, WHEEL)}", WHEEL, DIGEST),
        (f"https://x/prefix/{pool_path(DIGEST, WHEEL)}?a=b#c", WHEEL, DIGEST),
        (f"https://x/packages/01/23/{DIGEST[4:]}/demo-1.0%2Bcu1.zip", "demo-1.0+cu1.zip", DIGEST),
        (f"https://x/{pool_path(DIGEST, WHEEL)}", "other.whl", None),
        (f"https://x/{pool_path(DIGEST, WHEEL)}.metadata", WHEEL, None),
        (f"https://x/files/{WHEEL}", WHEEL, None),
        (f"https://x/?{pool_path(DIGEST, WHEEL)}", WHEEL, None),
        ("", WHEEL, None),
    ],
)
def test_blake2b_of_url_is_a_hint_when_the_url_has_the_form_of_pypi(
    url: str, filename: str, digest: str | None
) -> None:
    assert blake2b_of_url(url, filename) == digest


# ── URLs ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "depth", "url"),
    [
        ("packages/x.whl", 0, "packages/x.whl"),
        ("packages/x.whl", 2, "../../packages/x.whl"),
        ("packages/demo-1!2.0+cu118.whl", 2, "../../packages/demo-1%212.0%2Bcu118.whl"),
        ("packages/a_b-c.d~e", 1, "../packages/a_b-c.d~e"),
    ],
)
def test_relative_url_encodes_plus_and_exclamation_mark_when_a_name_has_them(path: str, depth: int, url: str) -> None:
    assert relative_url(path, depth=depth) == url


@settings(deadline=None)
@given(st.from_regex(re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]{0,40}x"), fullmatch=True))
def test_relative_url_leads_back_to_the_path_when_a_browser_resolves_it(filename: str) -> None:
    path = pool_path(DIGEST, check_filename(filename))
    url = urljoin("https://host/prefix/simple/demo/", relative_url(path, depth=2))
    assert unquote(urlsplit(url).path) == f"/prefix/{path}"
    assert blake2b_of_url(url, filename) == DIGEST
