"""PKG-INFO comes out of real sdists of every kind, and out of hostile ones comes an error and nothing else."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymirror.archive import SdistParts, read_sdist_metadata, read_sdist_parts, read_wheel_metadata
from pymirror.contents import Contents
from pymirror.errors import IntegrityError, StorageError
from pymirror.layout import pool_path
from pymirror.metadata import MAX_HEADER_BYTES, MAX_METADATA_BYTES
from pymirror.needs import MAX_PART_BYTES
from pymirror.sdist import MAX_ENTRIES, MAX_UNPACKED_BYTES, BoundedFile, walk_sdist
from pymirror.snapshot import SnapshotFile
from pymirror.storage.local import LocalStorage
from tests.archives import make_sdist, make_wheel

ROOT = Path(__file__).parent.parent
PKG_INFO = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n\nA description.\n"
OTHER = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: another\n\n"
MEGABYTE = 1024 * 1024

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info, data


GOOD = member("demo-1.0/PKG-INFO", PKG_INFO)


def make_tar(*members: Member, style: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=style) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_zip(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return out.getvalue()


def make_block(name: str, size: int, *, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header, whatever it claims."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


class Sdists:
    """A folder to put one archive after the other into, and to read them from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, data: bytes, filename: str = "demo-1.0.tar") -> bytes:
        path = self.folder / "sdist"
        path.write_bytes(data)
        return read_sdist_metadata(path, filename=filename)

    def read_parts(self, members: dict[str, bytes], filename: str = "demo-1.0.tar") -> SdistParts:
        """The parts of a tar archive with ``members``, which a zip archive must have too."""
        zipped = self.folder / "zipped"
        zipped.write_bytes(make_zip(*members.items()))
        found = read_sdist_parts(zipped, filename=filename.replace(".tar", ".zip"))
        (self.folder / "sdist").write_bytes(make_tar(*(member(name, data) for name, data in members.items())))
        assert read_sdist_parts(self.folder / "sdist", filename=filename) == found
        return found

    def refuse(self, data: bytes, filename: str = "demo-1.0.tar") -> str:
        """What is said of an archive that must not be read."""
        with pytest.raises(IntegrityError) as caught:
            self.read(data, filename)
        assert str(caught.value).startswith(f"PKG-INFO of {filename}: expected ")
        assert os.listdir(self.folder) == ["sdist"]  # noqa: PTH208 — nothing was unpacked
        return str(caught.value)


@pytest.fixture
def sdists(tmp_path: Path) -> Sdists:
    folder = tmp_path / "sdists"
    folder.mkdir()
    return Sdists(folder)


# ── kinds of archives ───────────────────────────────────────────────────────────────────────────────

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tbz": bz2.compress,
    ".tar.xz": lzma.compress,
    ".txz": lzma.compress,
}


@pytest.mark.parametrize("style", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_pkg_info_is_read_when_the_sdist_is_a_tar_archive(sdists: Sdists, suffix: str, style: int) -> None:
    noise = random.Random(1).randbytes(300_000)
    data = make_tar(member("demo-1.0/data", noise), GOOD, member("demo-1.0/more", noise), style=style)
    assert sdists.read(COMPRESSIONS[suffix](data), f"demo-1.0{suffix}") == PKG_INFO


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_pkg_info_is_read_when_the_sdist_is_a_zip_archive(sdists: Sdists, compression: int) -> None:
    data = make_zip(("demo-1.0/a", b"x" * 1000), ("demo-1.0/PKG-INFO", PKG_INFO), compression=compression)
    assert sdists.read(data, "demo-1.0.zip") == PKG_INFO


def test_pkg_info_is_read_when_a_build_backend_made_the_sdist(sdists: Sdists) -> None:
    filename, data = make_sdist("demo-project", "1.0")
    assert b"Name: demo-project" in sdists.read(data, filename)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz"])
def test_pkg_info_is_read_when_there_are_several_compressed_streams(sdists: Sdists, suffix: str) -> None:
    data = make_tar(member("demo-1.0/data", b"x" * 5000), GOOD)
    parts = [COMPRESSIONS[suffix](data[start : start + 700]) for start in range(0, len(data), 700)]
    assert sdists.read(b"".join(parts), f"demo-1.0{suffix}") == PKG_INFO


@pytest.mark.parametrize("filename", ["demo-1.0.tar.Z", "demo-1.0.whl", "demo-1.0.egg", "demo-1.0"])
def test_an_archive_is_refused_when_it_is_of_another_kind(sdists: Sdists, filename: str) -> None:
    assert "a kind that is not read" in sdists.refuse(make_tar(GOOD), filename)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_archive_is_refused_when_its_compression_has_no_bound(sdists: Sdists, compression: int) -> None:
    data = make_zip(("demo-1.0/PKG-INFO", PKG_INFO), compression=compression)
    assert "compression" in sdists.refuse(data, "demo-1.0.zip")


# ── which PKG-INFO ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("own", ["demo-1.0", "./demo-1.0", "Demo-1.0", "demo_1.0"])
def test_the_folder_of_the_sdist_wins_when_others_have_one_too(sdists: Sdists, own: str) -> None:
    members = [
        ("PKG-INFO", b"at the top"),
        ("demo-1.0/demo.egg-info/PKG-INFO", b"too deep"),
        ("demo/PKG-INFO", OTHER),
        (f"{own}/PKG-INFO", PKG_INFO),
        (f"{own}/PKG-INFO", b"the second"),
    ]
    assert sdists.read(make_tar(*(member(name, data) for name, data in members))) == PKG_INFO
    assert sdists.read(make_zip(*members[:-1]), "demo-1.0.zip") == PKG_INFO


def test_the_first_wins_when_no_folder_is_named_after_the_sdist(sdists: Sdists) -> None:
    data = make_tar(member("demo-1.0-beta/x"), member("demo-a/PKG-INFO", PKG_INFO), member("demo-b/PKG-INFO", OTHER))
    assert sdists.read(data) == PKG_INFO


@pytest.mark.parametrize(
    "name",
    [
        "PKG-INFO",
        "/PKG-INFO",
        "./PKG-INFO",
        "../PKG-INFO",
        "demo-1.0//PKG-INFO",
        "demo-1.0/../PKG-INFO",
        "a/demo-1.0/PKG-INFO",
        "/demo-1.0/PKG-INFO",
        "demo-1.0\\PKG-INFO",
        "demo-1.0/pkg-info",
        "demo-1.0/PKG-INFO/x",
        "demo-1.0/PKG-INFO\n",
    ],
)
def test_there_is_none_when_it_stands_elsewhere(sdists: Sdists, name: str) -> None:
    assert sdists.refuse(make_tar(member(name, PKG_INFO))).endswith("got none")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE],
)
def test_there_is_none_when_it_is_no_regular_file(sdists: Sdists, kind: bytes) -> None:
    target = member("demo-1.0/target", PKG_INFO)
    assert sdists.refuse(make_tar(target, member(GOOD[0].name, kind=kind, link="demo-1.0/target"))).endswith("got none")
    assert sdists.read(make_tar(target, member(GOOD[0].name, kind=kind, link="/etc/passwd"), GOOD)) == PKG_INFO


def test_there_is_none_when_it_is_a_symbolic_link_in_a_zip_archive(sdists: Sdists) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("demo-1.0/PKG-INFO")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, PKG_INFO)
        archive.writestr("demo-1.0/", b"")
    assert sdists.refuse(out.getvalue(), "demo-1.0.zip").endswith("got none")


def test_there_is_none_when_the_archive_is_empty(sdists: Sdists) -> None:
    assert sdists.refuse(make_tar()).endswith("got none")
    assert sdists.refuse(make_zip(), "demo-1.0.zip").endswith("got none")


# ── names ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filename", "name", "version"),
    [
        ("demo-1.0.tar", "demo", "1.0"),
        ("Demo.Project-1.0.tar", "demo_project", "1.0.0"),
        ("demo-project-1.0.tar", "Demo.Project", "1.0"),
        ("foo-2-2.tar", "foo", "2.post2"),
        ("foo-2-2.tar", "foo-2", "2"),
        ("demo-2004d.tar", "demo", "2004d"),
        ("demo-1.0dev-r7.tar", "demo", "1.0dev-r7"),
        ("demo-the-first.tar", "demo", "the first"),
        ("demo-1.0.tar", "demo", "not a version"),
        ("demo-1!1.0+local.1.tar", "demo", "1!1.0+local.1"),
    ],
)
def test_the_names_agree_when_they_mean_the_same(sdists: Sdists, filename: str, name: str, version: str) -> None:
    data = f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n\n".encode()
    assert sdists.read(make_tar(member("any/PKG-INFO", data)), filename) == data


@pytest.mark.parametrize(
    ("filename", "fields", "problem"),
    [
        ("demo-1.0.tar", "Name: other\nVersion: 1.0", "expected Name: demo, got other"),
        ("demo-1.0.tar", "Version: 1.0", "expected Name: demo, got None"),
        ("demo-1.0.tar", "Name: UNKNOWN\nVersion: 1.0", "expected Name: demo, got None"),
        ("demo-1.0.tar", "Name: demo\nVersion: 1.1", "expected Version: 1.0, got 1.1"),
        ("demo-1.0.tar", "Name: demo\nVersion: 1.0+local", "expected Version: 1.0, got 1.0+local"),
        ("demo-project-1.0.tar", "Name: demo\nVersion: 1.0", "expected Version: project-1.0, got 1.0"),
        ("demo-2004d.tar", "Name: demo\nVersion: 2004e", "expected Version: 2004d, got 2004e"),
        ("demo-1.0.tar", "\nName: demo\nVersion: 1.0", "expected Name: demo, got None"),
        ("demo.tar", "Name: other\nVersion: 1.0", "a Name that the file name begins with, got other"),
    ],
)
def test_an_sdist_is_refused_when_it_is_called_otherwise_inside(
    sdists: Sdists, filename: str, fields: str, problem: str
) -> None:
    data = f"Metadata-Version: 1.0\n{fields}\n\n".encode()
    assert problem in sdists.refuse(make_tar(member("demo-1.0/PKG-INFO", data)), filename)


# ── the other parts ─────────────────────────────────────────────────────────────────────────────────


def test_all_parts_are_read_when_they_are_there(sdists: Sdists) -> None:
    found = sdists.read_parts(
        {
            "demo-1.0/setup.cfg": b"[options]",
            "demo-1.0/docs/pyproject.toml": b"too deep",
            "demo-1.0/tests/demo.egg-info/requires.txt": b"too deep",
            "demo-1.0/PKG-INFO": PKG_INFO,
            "demo-1.0/other.egg-info/PKG-INFO": b"another's",
            "demo-1.0/other.egg-info/requires.txt": b"another's",
            "demo-1.0/demo.egg-info/PKG-INFO": PKG_INFO,
            "demo-1.0/demo.egg-info/requires.txt": b"six",
            "demo-1.0/pyproject.toml": b"[project]",
        }
    )
    assert found == SdistParts(pkg_info=PKG_INFO, requires_txt=b"six", pyproject=b"[project]", setup_cfg=b"[options]")


def test_only_pkg_info_is_there_when_the_sdist_has_no_more(sdists: Sdists) -> None:
    assert sdists.read_parts({"demo-1.0/PKG-INFO": PKG_INFO}) == SdistParts(pkg_info=PKG_INFO)
    filename, data = make_sdist("demo", "1.0")
    (sdists.folder / "sdist").write_bytes(data)
    assert b"build-backend" in (read_sdist_parts(sdists.folder / "sdist", filename=filename).pyproject or b"")


@pytest.mark.parametrize(
    ("members", "requires_txt"),
    [
        ({"src/demo.egg-info/requires.txt": b"six"}, b"six"),
        ({"src/demo.egg-info/requires.txt": b"six", "demo.egg-info/requires.txt": b"idna"}, b"idna"),
        ({"src/demo.egg-info/requires.txt": b"six", "demo.egg-info/PKG-INFO": b""}, b""),
        ({"demo.egg-info/PKG-INFO": b""}, b""),
        ({"src/Demo.egg-info/PKG-INFO": b""}, b""),
        ({"demo.egg-info/SOURCES.txt": b""}, None),
        ({"demo-1.0.egg-info/requires.txt": b"six"}, None),
        ({"dem.egg-info/requires.txt": b"six"}, None),
        ({"demo-project.egg-info/requires.txt": b"six"}, None),
        ({"lib/demo.egg-info/requires.txt": b"six"}, None),
        ({".egg-info/requires.txt": b"six"}, None),
    ],
)
def test_requires_txt_is_that_of_the_project_when_there_is_an_egg_info(
    sdists: Sdists, members: dict[str, bytes], requires_txt: bytes | None
) -> None:
    files = {f"demo-1.0/{name}": data for name, data in members.items()}
    assert sdists.read_parts({**files, "demo-1.0/PKG-INFO": PKG_INFO}).requires_txt == requires_txt


def test_requires_txt_is_found_when_the_name_is_written_otherwise(sdists: Sdists) -> None:
    pkg_info = PKG_INFO.replace(b"Name: demo", b"Name: Demo.Project")
    members = {"Demo-Project-1.0/PKG-INFO": pkg_info, "Demo-Project-1.0/demo_project.egg-info/requires.txt": b"six"}
    assert sdists.read_parts(members, "Demo.Project-1.0.tar").requires_txt == b"six"


def test_requires_txt_is_that_of_the_project_when_another_has_the_beginning_of_its_name(sdists: Sdists) -> None:
    pkg_info = PKG_INFO.replace(b"demo", b"foo-2").replace(b"1.0", b"2")
    members = {
        "foo-2-2/PKG-INFO": pkg_info,
        "foo-2-2/foo.egg-info/requires.txt": b"six",
        "foo-2-2/foo-2.egg-info/requires.txt": b"idna",
        "foo-2-2/bar.egg-info/requires.txt": bytes(MAX_PART_BYTES + 1),  # not even read
    }
    assert sdists.read_parts(members, "foo-2-2.tar").requires_txt == b"idna"
    del members["foo-2-2/foo-2.egg-info/requires.txt"]
    assert sdists.read_parts(members, "foo-2-2.tar").requires_txt is None


def test_the_parts_are_of_one_folder_when_others_have_some_too(sdists: Sdists) -> None:
    members = {
        "first/pyproject.toml": b"first",
        "first/PKG-INFO": OTHER,
        "demo-1.0/pyproject.toml": b"own",
        "./demo-1.0/PKG-INFO": PKG_INFO,
    }
    assert sdists.read_parts(members) == SdistParts(pkg_info=PKG_INFO, pyproject=b"own")
    del members["./demo-1.0/PKG-INFO"]
    assert sdists.read_parts(members) == SdistParts(pkg_info=OTHER, pyproject=b"first")


def test_a_part_is_passed_over_when_it_is_no_regular_file(sdists: Sdists) -> None:
    link = member("demo-1.0/pyproject.toml", kind=tarfile.SYMTYPE, link="/etc/passwd")
    (sdists.folder / "sdist").write_bytes(make_tar(link, GOOD))
    assert read_sdist_parts(sdists.folder / "sdist", filename="demo-1.0.tar") == SdistParts(pkg_info=PKG_INFO)


def test_little_is_kept_when_the_sdist_has_many_folders(sdists: Sdists) -> None:
    members = {f"folder-{number}/pyproject.toml": b"x" for number in range(100)}
    members["folder-99/PKG-INFO"] = PKG_INFO
    assert sdists.read_parts(members) == SdistParts(pkg_info=PKG_INFO)


@pytest.mark.parametrize("name", ["pyproject.toml", "setup.cfg", "demo.egg-info/requires.txt"])
def test_an_sdist_is_refused_when_a_part_is_too_large(sdists: Sdists, name: str) -> None:
    files = {f"demo-1.0/{name}": bytes(MAX_PART_BYTES), "demo-1.0/PKG-INFO": PKG_INFO}
    assert sdists.read_parts(files).pkg_info == PKG_INFO
    with pytest.raises(IntegrityError, match=f"more than {MAX_PART_BYTES} bytes"):
        sdists.read_parts({**files, f"demo-1.0/{name}": bytes(MAX_PART_BYTES + 1)})


def test_an_sdist_is_refused_when_it_ends_before_all_was_looked_for(sdists: Sdists) -> None:
    data = make_tar(GOOD, member("demo-1.0/data", b"x" * 5000))[:3000]
    assert sdists.read(data) == PKG_INFO
    with pytest.raises(IntegrityError, match="ends within a member"):
        read_sdist_parts(sdists.folder / "sdist", filename="demo-1.0.tar")


@pytest.mark.parametrize(
    ("pkg_info", "problem"),
    [
        (None, "one in the folder of the sdist, got none"),
        (PKG_INFO.replace(b"demo", b"other"), "expected Name: demo, got other"),
        (PKG_INFO.replace(b"1.0\n\n", b"1.1\n\n"), "expected Version: 1.0, got 1.1"),
    ],
)
def test_the_parts_are_refused_when_pkg_info_would_be(sdists: Sdists, pkg_info: bytes | None, problem: str) -> None:
    members = {"demo-1.0/setup.cfg": b"", **({"demo-1.0/PKG-INFO": pkg_info} if pkg_info is not None else {})}
    with pytest.raises(IntegrityError, match=problem):
        sdists.read_parts(members)


def test_an_sdist_is_refused_when_it_is_of_another_project_than_the_page(sdists: Sdists) -> None:
    pkg_info = PKG_INFO.replace(b"demo", b"foo-2").replace(b"1.0", b"2")
    (sdists.folder / "sdist").write_bytes(make_tar(member("foo-2-2/PKG-INFO", pkg_info)))

    found = read_sdist_parts(sdists.folder / "sdist", filename="foo-2-2.tar", project="foo-2")
    assert found.pkg_info == pkg_info
    with pytest.raises(IntegrityError, match="expected Name: foo, got foo-2"):
        read_sdist_parts(sdists.folder / "sdist", filename="foo-2-2.tar", project="foo")


@pytest.mark.parametrize("write", [False, True])
def test_the_content_of_an_sdist_is_nothing_when_it_is_of_another_project(tmp_path: Path, write: bool) -> None:
    pkg_info = PKG_INFO.replace(b"demo", b"foo-2").replace(b"1.0", b"2")
    storage = LocalStorage(tmp_path / "mirror")
    data = make_tar(member("foo-2-2/PKG-INFO", pkg_info))
    digest = hashlib.sha256(data).hexdigest()
    file = SnapshotFile(filename="foo-2-2.tar", version="2", sha256=digest, blake2b="cd" * 32, size=len(data))
    storage.write(pool_path(file.blake2b, file.filename), data)

    for _ in range(2):  # read, and then remembered
        contents = Contents(storage, write=write)
        assert contents.read("foo", [file]) is None
        found = contents.read("foo-2", [file])
        assert found is not None
        assert (found.name, found.version) == ("foo-2", "2")


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [MAX_METADATA_BYTES, MAX_METADATA_BYTES + 1])
def test_pkg_info_is_refused_when_it_is_too_large(sdists: Sdists, length: int) -> None:
    data = PKG_INFO.ljust(length, b"x")
    for archive, filename in (
        (gzip.compress(make_tar(member("demo-1.0/PKG-INFO", data)), 1), "demo-1.0.tar.gz"),
        (make_zip(("demo-1.0/PKG-INFO", data)), "demo-1.0.zip"),
    ):
        if length <= MAX_METADATA_BYTES:
            assert sdists.read(archive, filename) == data
        else:
            assert f"more than {MAX_METADATA_BYTES} bytes" in sdists.refuse(archive, filename)


def test_pkg_info_is_refused_when_its_fields_are_too_large(sdists: Sdists) -> None:
    fields = PKG_INFO.partition(b"\n\n")[0].ljust(MAX_HEADER_BYTES + 1, b"x")
    assert f"at most {MAX_HEADER_BYTES} bytes" in sdists.refuse(make_tar(member("demo-1.0/PKG-INFO", fields)))


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz"])
@pytest.mark.no_cover
def test_an_archive_is_refused_when_it_unpacks_to_more_than_it_may(sdists: Sdists, suffix: str) -> None:
    count = MAX_UNPACKED_BYTES // MEGABYTE
    first = COMPRESSIONS[suffix](make_block("demo-1.0/zeros", (count + 1) * MEGABYTE))
    zeros = COMPRESSIONS[suffix](bytes(MEGABYTE))
    bomb = first + zeros * (count + 1)
    assert len(bomb) < 4 * MEGABYTE
    assert f"more than {MAX_UNPACKED_BYTES} bytes" in sdists.refuse(bomb, f"demo-1.0{suffix}")


@pytest.mark.no_cover
def test_an_archive_is_refused_when_it_has_more_members_than_it_may(sdists: Sdists) -> None:
    data = gzip.compress(make_block("demo-1.0/x", 0) * (MAX_ENTRIES + 1), 1)
    assert f"more than {MAX_ENTRIES} members" in sdists.refuse(data, "demo-1.0.tar.gz")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz"])
def test_an_archive_is_refused_when_it_is_nothing_but_empty_streams(sdists: Sdists, suffix: str) -> None:
    assert "compressed streams" in sdists.refuse(COMPRESSIONS[suffix](b"") * 20_000, f"demo-1.0{suffix}")


def test_an_archive_is_refused_when_it_asks_for_much_memory(sdists: Sdists) -> None:
    data = bytearray(lzma.compress(make_tar(GOOD), filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}]))
    # The block header: its size, flags, the filter, the size of its properties, and the dictionary: 4 GiB less a byte.
    assert data[12:16] == b"\x02\x00\x21\x01"
    data[16] = 40
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    assert "Memory usage limit" in sdists.refuse(bytes(data), "demo-1.0.tar.xz")
    data[16] = 29  # 96 MiB
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    assert "Memory usage limit" in sdists.refuse(bytes(data), "demo-1.0.tar.xz")
    data[16] = 28  # 64 MiB, as xz -9
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    assert sdists.read(bytes(data), "demo-1.0.tar.xz") == PKG_INFO


_READ_MANY = """
import sys, threading
from pathlib import Path
from pymirror.archive import read_sdist_metadata
read = lambda: read_sdist_metadata(Path(sys.argv[1]), filename="demo-1.0.tar.xz")
threads = [threading.Thread(target=read) for _ in range(5)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_archives_that_need_much_memory_wait_for_each_other_when_there_are_many(sdists: Sdists) -> None:
    data = make_block("demo-1.0/zeros", 72 * MEGABYTE) + bytes(72 * MEGABYTE) + make_tar(GOOD)
    path = sdists.folder / "sdist"
    path.write_bytes(lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 64 * MEGABYTE}]))
    done = subprocess.run(
        [sys.executable, "-c", _READ_MANY, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    assert int(done.stdout) < 200 * 1024  # KiB, at its largest


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_an_archive_is_refused_when_its_extended_headers_are_huge(sdists: Sdists, kind: bytes) -> None:
    one = make_block("x", 2**33, kind=kind)
    assert "extended headers have more than" in sdists.refuse(one)
    data = b"1024 a=%s\n" % (b"b" * 1016) * (MEGABYTE // 1024)
    many = gzip.compress((make_block("x", len(data), kind=kind) + pad(data)) * 17, 1)
    assert "extended headers have more than" in sdists.refuse(many, "demo-1.0.tar.gz")


def test_a_zip_archive_is_read_when_a_member_has_no_name(sdists: Sdists) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        nameless = zipfile.ZipInfo("q")
        nameless.filename = ""
        with archive.open(nameless, "w") as file:
            file.write(b"x")
        archive.writestr("demo-1.0/PKG-INFO", PKG_INFO)
    assert sdists.read(out.getvalue(), "demo-1.0.zip") == PKG_INFO


def test_a_zip_archive_is_refused_when_its_directory_is_huge(sdists: Sdists) -> None:
    entry = make_zip(("x" * 60_000, b""))
    start = entry.index(b"PK\x01\x02")
    end = entry.index(b"PK\x05\x06")
    count = 17 * MEGABYTE // (end - start) + 1
    directory = entry[start:end] * count
    tail = bytearray(entry[end:])
    tail[8:10] = tail[10:12] = count.to_bytes(2, "little")
    tail[12:16] = len(directory).to_bytes(4, "little")
    archive = entry[:start] + directory + tail
    assert "its directory has more than" in sdists.refuse(archive, "demo-1.0.zip")
    path = sdists.folder / "sdist"
    with pytest.raises(IntegrityError, match="its directory has more than"):
        read_wheel_metadata(path, filename="demo-1.0-py3-none-any.whl")


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", [*COMPRESSIONS, ".zip"])
def test_an_archive_is_refused_when_it_is_cut_short_before_its_pkg_info(sdists: Sdists, suffix: str) -> None:
    noise = random.Random(2).randbytes(20_000)
    if suffix == ".zip":
        whole = make_zip(("demo-1.0/noise", noise), ("demo-1.0/PKG-INFO", PKG_INFO))
    else:
        whole = COMPRESSIONS[suffix](make_tar(member("demo-1.0/noise", noise), GOOD))
    assert sdists.read(whole, f"demo-1.0{suffix}") == PKG_INFO
    for length in (0, 1, 20, 511, 512, 513, 1024, 5000, 20_000):
        sdists.refuse(whole[:length], f"demo-1.0{suffix}")


@pytest.mark.parametrize("suffix", [*COMPRESSIONS, ".zip"])
def test_nothing_else_is_raised_when_bytes_are_damaged(sdists: Sdists, suffix: str) -> None:
    members = [("demo-1.0/" + "long" * 50, b"x" * 600), ("demo-1.0/PKG-INFO", PKG_INFO)]
    tar = make_tar(*(member(name, data) for name, data in members))
    whole = make_zip(*members) if suffix == ".zip" else COMPRESSIONS[suffix](tar)
    chance = random.Random(3)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            assert len(sdists.read(bytes(data), f"demo-1.0{suffix}")) < 1000
        except IntegrityError:
            continue


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        (make_block("demo-1.0/x", 0)[:148] + b"0000000\0" + make_block("demo-1.0/x", 0)[156:], "bad checksum"),
        (make_block("demo-1.0/x", -1), "negative size"),
        (make_block("demo-1.0/x", -512), "negative size"),
        (make_block("x", -512, kind=tarfile.XHDTYPE), "negative size"),
        (make_block("demo-1.0/x", 2**60), "ends within a member"),
        (make_block("demo-1.0/PKG-INFO", 100) + b"short", "ends within a member"),
        (make_block("x", 9, kind=tarfile.XHDTYPE) + pad(b"99 path=a"), "extended header cannot be read"),
        (make_block("x", 9, kind=tarfile.XHDTYPE) + pad(b"2 path=aa"), "extended header cannot be read"),
        (make_block("x", 9, kind=tarfile.XHDTYPE) + pad(b"0 path=aa"), "extended header cannot be read"),
        (make_block("x", 9, kind=tarfile.XHDTYPE) + pad(b"-9 path=a"), "something else for a number"),
        (make_block("x", 40, kind=tarfile.XHDTYPE) + pad(b"1" * 40), "extended header cannot be read"),
        (make_block("x", 11, kind=tarfile.XHDTYPE) + pad(b"11 size=-5\n"), "something else for a number"),
        (make_block("x", 0, kind=tarfile.GNUTYPE_SPARSE)[:512] + make_block("y", 5), "ends within a member"),
    ],
)
def test_a_tar_archive_is_refused_when_its_headers_lie(sdists: Sdists, blocks: bytes, problem: str) -> None:
    assert problem in sdists.refuse(blocks)


def _extended(*records: tuple[str, str]) -> bytes:
    lines = [f" {key}={value}\n".encode() for key, value in records]
    data = b"".join(str(len(line) + 2).encode() + line for line in lines)
    assert all(8 <= len(line) <= 97 for line in lines)
    return make_block("x", len(data), kind=tarfile.XHDTYPE) + pad(data)


def test_a_member_has_the_size_of_its_extended_header_when_that_says_another(sdists: Sdists) -> None:
    hidden = make_tar(member("demo-1.0/PKG-INFO", OTHER))[:1024]
    data = _extended(("size", "0000001024")) + make_block("demo-1.0/x", 0) + hidden + make_tar(GOOD)
    assert sdists.read(data) == PKG_INFO


def test_a_member_has_the_name_of_its_extended_header_when_that_says_another(sdists: Sdists) -> None:
    named = _extended(("path", "demo-1.0/PKG-INFO")) + make_tar(member("x", PKG_INFO))[:1024]
    renamed = _extended(("path", "demo-1.0/nothing")) + make_tar(member("demo-1.0/PKG-INFO", OTHER))[:1024]
    assert sdists.read(renamed + named) == PKG_INFO
    assert sdists.refuse(renamed).endswith("got none")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_the_next_member_follows_at_once_when_one_that_has_no_bytes_claims_a_size(sdists: Sdists, kind: bytes) -> None:
    assert sdists.read(make_block("demo-1.0/x", 5120, kind=kind) + make_tar(GOOD)) == PKG_INFO


def test_the_bytes_are_passed_over_when_the_kind_of_a_member_is_not_known(sdists: Sdists) -> None:
    hidden = make_tar(member("demo-1.0/PKG-INFO", OTHER))[:1024]
    assert sdists.read(make_block("demo-1.0/x", 1024, kind=b"Z") + hidden + make_tar(GOOD)) == PKG_INFO


def test_pkg_info_is_passed_over_when_it_is_sparse(sdists: Sdists) -> None:
    new = _extended(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")) + make_tar(member(GOOD[0].name, OTHER))[:1024]
    old = bytearray(make_block("demo-1.0/PKG-INFO", 512, kind=tarfile.GNUTYPE_SPARSE))
    old[482] = 1  # two blocks of its map follow
    old[148:156] = b"%06o\0 " % (sum(old[:148]) + sum(old[156:]) + 8 * 32)
    more = bytes(504) + b"\1" + bytes(7)
    assert sdists.refuse(new).endswith("got none")
    assert sdists.read(bytes(old) + more + bytes(512) + b"x" * 512 + new + make_tar(GOOD)) == PKG_INFO


def test_the_disk_is_blamed_when_it_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_sdist_metadata(tmp_path / "nothing", filename="demo-1.0.tar.gz")
    with pytest.raises(StorageError):
        read_sdist_metadata(tmp_path, filename="demo-1.0.zip")


def test_the_metadata_of_a_wheel_are_read_when_it_is_whole(tmp_path: Path) -> None:
    filename, data = make_wheel("demo", "1.0")
    (tmp_path / "wheel").write_bytes(data)
    assert read_wheel_metadata(tmp_path / "wheel", filename=filename).startswith(b"Metadata-Version: 2.1\nName: demo\n")


# ── the walk, beside that of the standard library ───────────────────────────────────────────────────

_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=130)


@st.composite
def _members(draw: st.DrawFn) -> Member:
    kind = draw(st.sampled_from(_KINDS))
    has_data = kind in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
    data = draw(st.binary(max_size=600)) if has_data else b""
    name = "/".join(draw(st.lists(_NAMES, min_size=1, max_size=3)))
    info, _ = member(name, data, kind=kind, link=draw(_NAMES))
    info.mtime = draw(st.integers(0, 2**31) | st.floats(0, 2**31))
    return info, data


@contextmanager
def _open(folder: Path, data: bytes) -> Iterator[BoundedFile]:
    (folder / "walked").write_bytes(data)
    with BoundedFile(folder / "walked") as file:
        yield file


@settings(deadline=None)
@given(members=st.lists(_members(), max_size=5), style=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_the_members_are_those_of_the_standard_library_when_walked(
    members: list[Member], style: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = make_tar(*members, style=style)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [
            (info.name, info.isreg(), file.read() if info.isreg() and (file := archive.extractfile(info)) else b"")
            for info in archive
        ]
    with _open(tmp_path_factory.getbasetemp(), data) as opened:
        walked = [
            (found.name, found.is_file, found.read(10_000) if found.is_file else b"")
            for found in walk_sdist(opened, filename="x.tar")
        ]
    assert [(name.rstrip("/"), *rest) for name, *rest in walked] == expected
