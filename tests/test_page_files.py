"""Pages on disk: compared and written in pieces, with a packed copy beside the large ones."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymirror.errors import StorageError
from pymirror.page_files import MIN_COMPRESSED_BYTES, check_page, put_page, remove_page, write_page
from pymirror.pieces import compress, decompress, is_same
from pymirror.storage.interface import Stat
from pymirror.storage.local import LocalStorage

LARGE = b"a line of a large page\n" * (MIN_COMPRESSED_BYTES // 20)
SMALL = b"a small page\n"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "tree")


def read(storage: LocalStorage, name: str) -> bytes:
    return storage.local_path(name).read_bytes()


def put(storage: LocalStorage, data: bytes) -> int:
    return put_page(storage, "simple/index.html", lambda: [data])


def problems(storage: LocalStorage, data: bytes) -> dict[str, str | None]:
    return dict(check_page(storage, "simple/index.html", lambda: [data]))


# ── pieces ──────────────────────────────────────────────────────────────────────────────────────────


def _cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


@given(st.binary(max_size=60), st.lists(st.integers(0, 9), max_size=9), st.lists(st.integers(0, 9), max_size=9))
def test_is_same_when_the_same_bytes_are_cut_otherwise(data: bytes, one: list[int], other: list[int]) -> None:
    assert is_same(_cut(data, one), _cut(data, other))
    assert not is_same(_cut(data + b"x", one), _cut(data, other))
    assert not is_same(_cut(data, one), _cut(data + b"x", other))


@given(st.binary(min_size=1, max_size=60), st.integers(0, 59))
def test_is_same_is_false_when_one_byte_differs(data: bytes, place: int) -> None:
    place %= len(data)
    other = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    assert not is_same([data], [other])


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_compress_is_undone_when_its_bytes_are_unpacked(pieces: list[bytes]) -> None:
    packed = b"".join(compress(pieces))
    assert gzip.decompress(packed) == b"".join(pieces)
    assert b"".join(decompress([packed])) == b"".join(pieces)
    assert packed == b"".join(compress(pieces))
    assert packed[4:8] == b"\0\0\0\0"  # no time


_PACKED = b"".join(compress([LARGE]))


@pytest.mark.parametrize("damaged", [_PACKED[:-1], _PACKED + b"x", b"no gzip", b""])
def test_decompress_gives_no_page_when_the_copy_is_damaged(damaged: bytes) -> None:
    assert not is_same(decompress([damaged]), [LARGE])


def test_decompress_stays_small_when_a_copy_unpacks_to_much() -> None:
    packed = b"".join(compress(b"\0" * 1_000_000 for _ in range(50)))
    assert max(map(len, decompress([packed]))) <= 256 * 1024


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


def test_put_page_writes_a_packed_copy_when_the_page_is_large(storage: LocalStorage) -> None:
    assert put(storage, LARGE) == 2
    assert read(storage, "simple/index.html") == LARGE
    assert gzip.decompress(read(storage, "simple/index.html.gz")) == LARGE
    assert put(storage, LARGE) == 0


def test_put_page_writes_no_packed_copy_when_the_page_is_small(storage: LocalStorage) -> None:
    assert put(storage, SMALL) == 1
    assert sorted(storage.walk("simple")) == ["simple/index.html"]


def test_put_page_removes_the_packed_copy_when_the_page_became_small(storage: LocalStorage) -> None:
    put(storage, LARGE)
    assert put(storage, SMALL) == 2
    assert sorted(storage.walk("simple")) == ["simple/index.html"]


@pytest.mark.parametrize("damage", [b"", b"no gzip", b"".join(compress([LARGE + b"x"]))])
def test_put_page_mends_the_packed_copy_when_it_alone_is_wrong(storage: LocalStorage, damage: bytes) -> None:
    put(storage, LARGE)
    page = storage.stat("simple/index.html")
    storage.local_path("simple/index.html.gz").write_bytes(damage)
    assert problems(storage, LARGE)["simple/index.html.gz"] == "the packed copy is not that of the page"
    assert put(storage, LARGE) == 1
    assert storage.stat("simple/index.html") == page
    assert problems(storage, LARGE) == {"simple/index.html": None, "simple/index.html.gz": None}


class _Full(LocalStorage):
    """A disk that is full when the page itself is to be written."""

    def write(self, name: str, data: bytes | Iterable[bytes], *, newer_than: str | None = None) -> Stat:
        if not name.endswith(".gz"):
            raise StorageError(name, "no space left")
        return super().write(name, data, newer_than=newer_than)


@pytest.mark.parametrize("new", [SMALL, LARGE + b"x"])
def test_put_page_leaves_no_packed_copy_of_an_older_page_when_it_is_cut_short(
    storage: LocalStorage, new: bytes
) -> None:
    put(storage, LARGE)
    put(storage, LARGE + b"the page of today\n")
    with pytest.raises(StorageError):
        put_page(_Full(storage.root), "simple/index.html", lambda: [new])
    packed = storage.local_path("simple/index.html.gz")
    assert not packed.exists() if new == SMALL else gzip.decompress(packed.read_bytes()) == new


def test_write_page_leaves_the_page_as_it_is_when_it_is_written_elsewhere(storage: LocalStorage) -> None:
    put(storage, LARGE)
    files = list(write_page(storage, "simple/index.html", lambda: [LARGE, b"x"], place=lambda name: f"staged/{name}"))
    assert [(file.name, file.is_changed) for file in files] == [
        ("simple/index.html", True),
        ("simple/index.html.gz", True),
    ]
    assert read(storage, "simple/index.html") == LARGE
    assert gzip.decompress(read(storage, "staged/simple/index.html.gz")) == LARGE + b"x"
    # A server builds the ETag of each from its own time and size.
    for name in ("simple/index.html", "simple/index.html.gz"):
        old, new = storage.stat(name), storage.stat(f"staged/{name}")
        assert old is not None
        assert new is not None
        assert new.mtime_ns // 10**9 > old.mtime_ns // 10**9


def test_check_page_names_what_is_wrong_when_it_is(storage: LocalStorage) -> None:
    assert problems(storage, SMALL) == {"simple/index.html": "the page is missing"}
    put(storage, LARGE)
    assert problems(storage, SMALL) == {"simple/index.html": "the page is not what the snapshot says"}


def test_remove_page_takes_the_packed_copy_along_when_there_is_one(storage: LocalStorage) -> None:
    put(storage, LARGE)
    assert remove_page(storage, "simple/index.html") == 2
    assert list(storage.walk("simple")) == []
    assert remove_page(storage, "simple/index.html") == 0


@pytest.mark.parametrize("name", ["mirror", "mirror/simple"])
def test_a_file_of_the_users_own_stays_when_it_stands_where_a_folder_belongs(tmp_path: Path, name: str) -> None:
    own = tmp_path / name
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("precious")
    with pytest.raises(StorageError):
        LocalStorage(tmp_path / "mirror").write("simple/demo/index.html", b"x")
    assert own.read_text() == "precious"


def test_a_file_gives_way_when_it_stands_where_a_folder_of_the_tree_belongs(storage: LocalStorage) -> None:
    storage.write("simple/demo", b"damage")
    storage.write("simple/demo/index.html", b"x")
    assert read(storage, "simple/demo/index.html") == b"x"
