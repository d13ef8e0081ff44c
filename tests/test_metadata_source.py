"""What files need comes from where it costs least, each is asked once, and a second run asks for nothing."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from packaging.utils import NormalizedName, canonicalize_name

from pymirror.closure.model import AskNeeds, NoNeeds
from pymirror.credentials import Credentials
from pymirror.errors import InterruptedRunError, RequestError, StorageError
from pymirror.layout import METADATA_SUFFIX, NEEDS, pool_path
from pymirror.metadata import MAX_METADATA_BYTES
from pymirror.metadata_source import MetadataSource, WantedNeeds
from pymirror.needs import Needs
from pymirror.plan import PoolFile
from pymirror.progress import NoProgress
from pymirror.simple.model import File, Hashes, make_hashes
from pymirror.spec.model import Network, PackageType
from pymirror.storage.local import LocalStorage
from pymirror.transport import Transport
from pymirror.workers import Stop
from tests.archives import make_metadata, make_sdist, make_wheel
from tests.index import Answer, Entry, Gate, Handler, LocalIndex
from tests.test_remote_wheel import Files

NEEDS_SIX = Needs(requires=("six",))
NEEDS_NOTHING = Needs()
METADATA = make_metadata("demo", "1.0", requires=["six"]).encode()
OTHER = make_metadata("demo", "1.0", requires=["other"]).encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_large_wheel(name: str = "demo", version: str = "1.0", **said: Any) -> tuple[str, bytes]:
    """One that does not fit into the first request."""
    filler = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(4000))
    return make_wheel(name, version, files={f"{name}/data": filler}, **said)


def held_path(wanted: WantedNeeds) -> str:
    assert wanted.held is not None
    return pool_path(wanted.held.blake2b, wanted.held.filename)


class Source:
    """An index, a tree, and what a run has of them. ``obtained`` are the files that were fetched whole."""

    def __init__(self, index: LocalIndex, folder: Path, *, retries: int = 0, connections: int = 8) -> None:
        self.index = index
        self.storage = LocalStorage(folder / "mirror")
        self.folder = folder / "whole"
        self.folder.mkdir()
        self.network = Network(retries=retries, connections=connections)
        self.stop = Stop()
        self.obtained: list[str] = []
        self.problem: Exception | None = None
        self.may_obtain = True
        self.when_obtained: Callable[[], None] = lambda: None
        self.open = contextlib.ExitStack()
        self.source = self.start()

    def start(self, *, write: bool = True) -> MetadataSource:
        """A run of its own over the same tree."""
        self.index.forget()
        self.obtained.clear()
        transport = Transport(self.network, Credentials([], {}), self.stop)
        self.open.enter_context(contextlib.closing(transport))
        self.source = MetadataSource(
            transport=transport,
            storage=self.storage,
            network=self.network,
            progress=NoProgress(),
            stop=self.stop,
            obtain=self.obtain,
            write=write,
        )
        return self.source

    def obtain(self, wanted: WantedNeeds) -> Path | None:
        self.obtained.append(wanted.file.filename)
        self.when_obtained()
        if self.problem is not None:
            raise self.problem
        if not self.may_obtain:
            return None
        path = self.folder / f"{threading.get_ident()}-{len(self.obtained)}"
        path.write_bytes(next(each.data for each in self.index.entries if each.filename == wanted.file.filename))
        return path

    # ── what is there ───────────────────────────────────────────────────────────────────────────

    def add(
        self,
        archive: tuple[str, bytes],
        *,
        metadata: bytes | None = None,
        core_metadata: bool | Hashes | None = None,
        ranges: bool = True,
        held: bool = False,
        project: str | None = None,
        **said: Any,
    ) -> WantedNeeds:
        """A file of the index with its core-metadata file, where ``metadata`` are given."""
        filename, data = archive
        entry = self.index.add(archive)
        url = f"{self.index.origin}{entry.path}"
        if ranges:
            self.index.fail(entry.path, *[Files(data)] * 100)
        if metadata is not None:
            self.index.fail_always(entry.path + METADATA_SUFFIX, Answer(200, metadata))
            core_metadata = make_hashes({"sha256": sha256(metadata)}) if core_metadata is None else core_metadata
        values: dict[str, Any] = {"hashes": make_hashes({"sha256": sha256(data)}), "size": len(data)} | said
        return WantedNeeds(
            project=canonicalize_name(project or entry.project),
            file=File(filename=filename, url=url, core_metadata=core_metadata, **values),
            package_type=PackageType.BDIST_WHEEL if filename.endswith(".whl") else PackageType.SDIST,
            held=self.hold(entry, metadata) if held else None,
        )

    def hold(self, entry: Entry, metadata: bytes | None = None) -> PoolFile:
        """Puts a file into the pool, and ``metadata`` beside it."""
        blake2b = hashlib.blake2b(entry.data, digest_size=32).hexdigest()
        path = pool_path(blake2b, entry.filename)
        self.storage.write(path, entry.data)
        if metadata is not None:
            self.storage.write(path + METADATA_SUFFIX, metadata)
        return PoolFile(
            filename=entry.filename,
            sha256=sha256(entry.data),
            blake2b=blake2b,
            size=len(entry.data),
            metadata_sha256=sha256(metadata) if metadata is not None else None,
        )

    # ── what is asked ───────────────────────────────────────────────────────────────────────────

    def read(self, *wanted: WantedNeeds) -> list[Needs | NoNeeds]:
        return [answer for _, answer in self.source.read(wanted)]

    def read_one(self, wanted: WantedNeeds) -> Needs | NoNeeds:
        (answer,) = self.read(wanted)
        return answer

    def refuse(self, wanted: WantedNeeds, *, is_error: bool) -> str:
        answer = self.read_one(wanted)
        assert isinstance(answer, NoNeeds)
        assert answer.is_error == is_error
        return answer.problem

    def asked(self) -> list[str]:
        """The kind of every request: ``metadata``, ``part`` or ``whole``."""
        kinds = {True: "metadata", False: "part"}
        return [
            kinds[each.path.endswith(METADATA_SUFFIX)]
            if "range" in each.headers or each.path.endswith(METADATA_SUFFIX)
            else "whole"
            for each in self.index.requests()
        ]

    def remembered(self) -> list[str]:
        return list(self.storage.walk(NEEDS))


@pytest.fixture
def source(index: LocalIndex, tmp_path: Path) -> Iterator[Source]:
    made = Source(index, tmp_path)
    with made.open:
        yield made


# ── the order of the sources ────────────────────────────────────────────────────────────────────────


def test_upstreams_file_is_enough_when_there_is_one(source: Source) -> None:
    wanted = source.add(make_large_wheel(requires=["six"]), metadata=METADATA)
    assert source.read_one(wanted) == NEEDS_SIX
    assert (source.asked(), source.obtained) == (["metadata"], [])


@pytest.mark.parametrize("core_metadata", [True, (("unknown", "ab"),), (("blake2b", "ab"),)])
def test_upstreams_file_is_enough_when_no_digest_can_be_compared(source: Source, core_metadata: bool | Hashes) -> None:
    wanted = source.add(make_large_wheel(), metadata=METADATA, core_metadata=core_metadata)
    assert source.read_one(wanted) == NEEDS_SIX
    assert source.asked() == ["metadata"]


@pytest.mark.parametrize("core_metadata", [None, False, ()])
def test_the_end_of_the_wheel_is_enough_when_upstream_has_no_file(
    source: Source, core_metadata: bool | Hashes | None
) -> None:
    wanted = source.add(make_large_wheel(requires=["six"]), core_metadata=core_metadata)
    assert source.read_one(wanted) == NEEDS_SIX
    assert (source.asked(), source.obtained) == (["part"], [])


def test_the_whole_wheel_is_fetched_when_its_server_sends_no_parts(source: Source) -> None:
    wanted = [source.add(make_large_wheel("demo", f"{n}", requires=["six"]), ranges=False) for n in range(4)]
    source.index.validators = False
    assert [source.read_one(each) for each in wanted] == [NEEDS_SIX] * 4
    assert source.obtained == [each.file.filename for each in wanted]
    assert source.asked() == ["part"]  # the first told it of all


def test_an_sdist_is_fetched_when_it_is_not_there(source: Source) -> None:
    wanted = source.add(make_sdist("demo", "1.0", requires_python=">=3.8"))
    assert source.read_one(wanted) == Needs(requires_python=">=3.8", source="PKG-INFO", is_known=False)
    assert (source.asked(), source.obtained) == ([], [wanted.file.filename])


def test_the_pool_is_enough_when_it_holds_the_file(source: Source) -> None:
    wheel = source.add(make_wheel("demo", "1.0", requires=["other"]), metadata=METADATA, held=True)
    sdist = source.add(make_sdist("demo", "1.0"), held=True)
    assert source.read(wheel, sdist) == [NEEDS_SIX, Needs(source="PKG-INFO", is_known=False)]
    assert (source.asked(), source.obtained) == ([], [])


def test_the_wheel_in_the_pool_is_read_when_its_metadata_are_damaged(source: Source) -> None:
    wanted = source.add(make_wheel("demo", "1.0", requires=["six"]), metadata=METADATA, held=True)
    path = held_path(wanted)
    source.storage.write(path + METADATA_SUFFIX, OTHER)
    assert source.read_one(wanted) == NEEDS_SIX
    source.storage.remove(path + METADATA_SUFFIX)
    source.start(write=False)
    assert source.read_one(wanted) == NEEDS_SIX
    assert source.asked() == []


def test_upstream_is_asked_when_the_pool_is_damaged(source: Source) -> None:
    wanted = source.add(make_wheel("demo", "1.0", requires=["six"]), metadata=METADATA, held=True)
    path = held_path(wanted)
    source.storage.write(path + METADATA_SUFFIX, b"damaged")
    source.storage.write(path, b"damaged")
    assert source.read_one(wanted) == NEEDS_SIX
    assert source.asked() == ["metadata"]


@pytest.mark.parametrize("is_readable", [False, True])
def test_a_file_is_fetched_when_it_was_damaged_in_the_pool(source: Source, is_readable: bool) -> None:
    """Other bytes may be a whole file as well: what they say is not what is asked for."""
    other = ("demo-1.0.tar.gz", make_sdist("demo", "1.0", requires_python=">=3.8")[1] if is_readable else b"damaged")
    sdist = source.add(make_sdist("demo", "1.0"), held=True)
    wheel = source.add(make_wheel("demo", "1.0", requires=["six"]), metadata=METADATA, held=True)
    source.storage.write(held_path(sdist), other[1])
    source.storage.write(held_path(wheel), make_wheel("demo", "1.0")[1] if is_readable else b"damaged")
    source.storage.remove(held_path(wheel) + METADATA_SUFFIX)

    assert source.read(sdist, wheel) == [Needs(source="PKG-INFO", is_known=False), NEEDS_SIX]
    assert (source.asked(), source.obtained) == (["metadata"], [sdist.file.filename])


# ── what is not to be used ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "hashes"),
    [
        (Answer(404), None),
        (Answer(403), None),
        (Answer(503), None),
        (Answer(206, METADATA), None),
        (Answer(200, OTHER), {"sha256": sha256(METADATA)}),
        (Answer(200, OTHER), {"sha512": hashlib.sha512(METADATA).hexdigest()}),
        (Answer(200, METADATA), {"sha256": sha256(METADATA), "md5": "ab" * 16}),
        (Answer(200, METADATA.ljust(MAX_METADATA_BYTES + 1, b"x")), None),
        (Answer(200, b"<!DOCTYPE html><title>Welcome</title>"), None),
        (Answer(200, make_metadata("another", "1.0").encode()), None),
        (Answer(200, make_metadata("demo", "1.1").encode()), None),
        (Answer(200, b""), None),
    ],
)
def test_the_wheel_is_read_when_upstreams_file_cannot_be_used(
    source: Source, answer: Answer, hashes: dict[str, str] | None
) -> None:
    core_metadata = make_hashes(hashes) if hashes else True
    wanted = source.add(make_large_wheel(requires=["six"]), core_metadata=core_metadata)
    source.index.fail_always(source.index.entries[0].path + METADATA_SUFFIX, answer)
    assert source.read_one(wanted) == NEEDS_SIX
    assert (source.asked(), source.obtained) == (["metadata", "part"], [])


def test_the_wheel_is_read_when_upstreams_file_does_not_end(source: Source) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while sent < 200:
            sent += 1
            yield bytes(256 * 1024)

    wanted = source.add(make_large_wheel(requires=["six"]), core_metadata=True)
    source.index.fail_always(source.index.entries[0].path + METADATA_SUFFIX, Answer(200, raw=endless()))
    assert source.read_one(wanted) == NEEDS_SIX
    assert sent < 100


def test_the_whole_wheel_is_fetched_when_its_end_cannot_be_used(source: Source) -> None:
    wanted = source.add(make_large_wheel(requires=["six"]), core_metadata=True)
    source.index.fail_always(source.index.entries[0].path, Answer(206, b"x", {"Content-Range": "bytes 0-0/1"}))
    assert source.read_one(wanted) == NEEDS_SIX
    assert (source.asked(), source.obtained) == (["metadata", "part"], [wanted.file.filename])


def test_the_metadata_stand_at_the_path_when_the_address_has_a_query(source: Source) -> None:
    wanted = source.add(make_wheel("demo", "1.0"), core_metadata=True)
    path = source.index.entries[0].path + METADATA_SUFFIX + "?token=1"
    source.index.fail_always(path, Answer(200, METADATA))
    file = msgspec.structs.replace(wanted.file, url=f"{wanted.file.url}?token=1")
    assert source.read_one(replace(wanted, file=file)) == NEEDS_SIX
    assert [each.path for each in source.index.requests()] == [path]


def test_it_is_an_error_when_nobody_answers(source: Source) -> None:
    with LocalIndex() as gone:
        url = f"{gone.origin}/demo-1.0-py3-none-any.whl"
    for core_metadata in (True, None):
        wanted = source.add(make_wheel("demo", "1.0"), core_metadata=core_metadata)
        source.start()
        wanted = replace(wanted, file=msgspec.structs.replace(wanted.file, url=url))
        problem = source.refuse(wanted, is_error=True)
        assert problem.startswith(f"{url}{METADATA_SUFFIX}: Connect" if core_metadata else f"{url}: Connect")
        assert source.obtained == []  # it would be asked of the same server
    assert source.remembered() == []


@pytest.mark.parametrize("url", ["", "http://[::1", "file:///etc/passwd"])
def test_the_file_is_asked_for_when_its_address_is_none(source: Source, url: str) -> None:
    wanted = source.add(make_wheel("demo", "1.0"), core_metadata=True)
    source.problem = RequestError(url, "not a URL")
    wanted = replace(wanted, file=msgspec.structs.replace(wanted.file, url=url))
    assert "not a URL" in source.refuse(wanted, is_error=True)


@pytest.mark.parametrize("archive", [make_wheel("demo", "1.0"), make_sdist("demo", "1.0")])
def test_it_is_an_error_when_the_file_cannot_be_had(source: Source, archive: tuple[str, bytes]) -> None:
    wanted = source.add(archive, ranges=False)
    source.index.validators = False
    source.problem = RequestError("http://user:secret@127.0.0.1/x", "HTTP 404", status=404)
    assert source.refuse(wanted, is_error=True) == "http://127.0.0.1/x: HTTP 404"
    source.start()
    source.problem = ValueError("whatever")
    assert source.refuse(wanted, is_error=True) == f"{wanted.file.filename}: unexpected ValueError"
    source.start()
    source.problem, source.may_obtain = None, False
    assert "cannot be told without the file" in source.refuse(wanted, is_error=True)
    assert source.remembered() == []


@pytest.mark.parametrize(
    ("archive", "problem"),
    [
        (make_wheel("demo", "1.0", metadata=make_metadata("other", "1.0")), "expected Name: demo, got other"),
        (("demo-1.0-py3-none-any.whl", b"no wheel"), "expected a readable wheel"),
        (("demo-1.0.tar.gz", b"no sdist"), "expected a readable sdist"),
        (("demo-1.0.tar.gz", make_sdist("other", "1.0")[1]), "expected Name: demo, got other"),
    ],
)
def test_a_file_is_passed_over_when_its_metadata_cannot_be_used(
    source: Source, archive: tuple[str, bytes], problem: str
) -> None:
    wanted = source.add(archive)
    assert problem in source.refuse(wanted, is_error=False)
    assert source.obtained == [wanted.file.filename]
    source.start()
    assert problem in source.refuse(wanted, is_error=False)
    assert (source.asked(), source.obtained) == ([], [])


def test_a_file_is_passed_over_when_it_was_so_in_the_pool(source: Source) -> None:
    broken = make_wheel("demo", "1.0", metadata=make_metadata("other", "1.0"))
    wheel = source.add(broken, core_metadata=True, held=True)
    sdist = source.add(("demo-1.0.tar.gz", b"no sdist"), held=True)
    assert "got other" in source.refuse(wheel, is_error=False)
    assert "readable sdist" in source.refuse(sdist, is_error=False)
    assert (source.asked(), source.obtained) == ([], [])


def test_an_sdist_is_passed_over_when_it_is_of_another_project(source: Source) -> None:
    archive = make_sdist("foo-2", "2")
    archive = ("foo-2-2.tar.gz", archive[1])
    wanted = source.add(archive, project="foo")
    assert "expected Name: foo, got foo-2" in source.refuse(wanted, is_error=False)
    own = replace(wanted, project=NormalizedName("foo-2"))
    assert source.read_one(own) == Needs(source="PKG-INFO", is_known=False)


@pytest.mark.parametrize("package_type", [PackageType.BDIST_EGG, PackageType.BDIST_WININST])
def test_a_file_is_passed_over_when_it_is_of_another_kind(source: Source, package_type: PackageType) -> None:
    wanted = replace(source.add(("demo-1.0.egg", b"")), package_type=package_type)
    assert f"what a {package_type} needs cannot be told" in source.refuse(wanted, is_error=False)
    assert (source.obtained, source.remembered()) == ([], [])


# ── what is remembered ──────────────────────────────────────────────────────────────────────────────


def all_kinds(source: Source) -> list[WantedNeeds]:
    """A file for each source."""
    large = make_large_wheel("other", "1.0", requires=["six"])
    whole = replace(source.add(make_wheel("whole", "1.0", requires=["six"])), package_type=PackageType.BDIST_WHEEL)
    source.index.fail(source.index.entries[0].path, *[Answer(404)] * 100)
    return [
        whole,
        source.add(large),
        source.add(make_wheel("demo", "1.0", requires=["six"]), metadata=METADATA),
        source.add(make_wheel("held", "1.0", requires=["six"]), held=True),
        source.add(make_sdist("demo", "1.0")),
    ]


def test_a_second_run_asks_for_nothing_when_nothing_is_new(source: Source) -> None:
    wanted = all_kinds(source)
    first = source.read(*wanted)
    assert first == [NEEDS_SIX] * 4 + [Needs(source="PKG-INFO", is_known=False)]
    assert len(source.asked()) == 3
    assert len(source.obtained) == 2

    source.start()
    assert source.read(*wanted) == first
    assert (source.asked(), source.obtained) == ([], [])


def test_nothing_is_written_when_it_is_only_a_plan(source: Source) -> None:
    wanted = all_kinds(source)
    before = list(source.storage.walk(""))
    source.start(write=False)
    first = source.read(*wanted)
    assert list(source.storage.walk("")) == before
    source.start()
    source.read(*wanted)
    source.start(write=False)
    assert source.read(*wanted) == first
    assert (source.asked(), source.obtained) == ([], [])


@pytest.mark.parametrize("hashes", [(), (("md5", "ab" * 16),), (("sha256", "../../" + "x" * 58),), (("sha256", "ab"),)])
def test_nothing_is_remembered_when_the_page_gives_no_sha256(source: Source, hashes: Hashes) -> None:
    wanted = source.add(make_wheel("demo", "1.0"), metadata=METADATA, hashes=hashes)
    assert source.read_one(wanted) == NEEDS_SIX
    assert list(source.storage.walk("")) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:0],
        lambda data: data[:-1],
        lambda data: b"x" + data,
        lambda data: msgspec.msgpack.encode(msgspec.msgpack.decode(data) | {"format": 0}),
        lambda data: msgspec.msgpack.encode(msgspec.msgpack.decode(data) | {"project": "other"}),
        lambda data: msgspec.msgpack.encode(msgspec.msgpack.decode(data) | {"filename": "other"}),
        lambda data: msgspec.msgpack.encode(msgspec.msgpack.decode(data) | {"needs": None}),
        lambda data: msgspec.msgpack.encode(msgspec.msgpack.decode(data) | {"needs": {"requires": [1]}}),
        lambda data: b"\x81\xa1x" + b"\x91" * 100_000 + data,
    ],
)
def test_upstream_is_asked_again_when_what_is_remembered_is_damaged(source: Source, damage: Any) -> None:
    wanted = source.add(make_wheel("demo", "1.0"), metadata=METADATA)
    source.read(wanted)
    (name,) = source.remembered()
    good = source.storage.read(name)
    assert good is not None
    source.storage.write(name, damage(good))

    source.start()
    assert source.read_one(wanted) == NEEDS_SIX
    assert source.asked() == ["metadata"]
    assert source.storage.read(name) == good


def test_the_wheel_counts_when_it_is_there_and_upstream_said_something_else(source: Source) -> None:
    wanted = source.add(make_wheel("demo", "1.0", requires=["six"]), metadata=OTHER)
    assert source.read_one(wanted) == Needs(requires=("other",))
    wanted = replace(wanted, held=source.hold(source.index.entries[0], METADATA))
    for _ in range(2):
        source.start()
        assert source.read_one(wanted) == NEEDS_SIX
        assert source.asked() == []


def test_no_file_is_touched_when_a_name_is_hostile(source: Source, tmp_path: Path) -> None:
    wanted = source.add(make_wheel("demo", "1.0"), metadata=METADATA)
    file = msgspec.structs.replace(wanted.file, filename="../../../../evil-1.0-py3-none-any.whl")
    held = source.hold(source.index.entries[0])
    before = sorted(tmp_path.rglob("*"))
    for each in (None, replace(held, filename=file.filename), replace(held, blake2b="../" * 21 + "x")):
        source.start()
        source.problem = RequestError(file.url, "no")
        assert isinstance(source.read_one(replace(wanted, file=file, held=each)), NoNeeds)
    assert sorted(tmp_path.rglob("*")) == before


# ── many at once ────────────────────────────────────────────────────────────────────────────────────


def many(source: Source, count: int) -> list[WantedNeeds]:
    return [
        source.add(make_wheel("demo", f"{n}"), metadata=make_metadata("demo", f"{n}", requires=[f"p{n}"]).encode())
        for n in range(count)
    ]


def held_back(gate: Gate, entry: Entry) -> Callable[[Handler], Answer]:
    """The core metadata of ``entry``, once the gate is open."""
    name, version = entry.filename.split("-")[:2]

    def respond(handler: Handler) -> Answer:
        gate(handler)
        return Answer(200, make_metadata(name, version, requires=[f"p{version}"]).encode())

    return respond


def requires(answers: Sequence[Needs | NoNeeds]) -> list[str]:
    return [answer.requires[0] for answer in answers if isinstance(answer, Needs)]


def test_each_is_asked_once_when_it_is_wanted_often(source: Source) -> None:
    wanted = many(source, 5)
    twice = list(source.source.read([*wanted, *reversed(wanted)]))
    assert [question for question, _ in twice] == [each.question for each in wanted]
    assert twice[0] == (AskNeeds(NormalizedName("demo"), wanted[0].file.filename), Needs(requires=("p0",)))
    source.read(*wanted)
    assert len(source.asked()) == 5


def test_a_failure_is_asked_for_once_when_it_is_wanted_again(source: Source) -> None:
    wanted = source.add(make_wheel("demo", "1.0"), ranges=False)
    source.index.validators = False
    source.problem = RequestError(wanted.file.url, "no")
    assert source.read(wanted) == source.read(wanted)
    assert (source.asked(), source.obtained) == (["part"], [wanted.file.filename])


def test_the_answers_are_in_order_when_the_first_is_slow(source: Source) -> None:
    wanted = many(source, 8)
    gate = Gate()
    for entry in source.index.entries:
        source.index.faults[entry.path + METADATA_SUFFIX].insert(0, held_back(gate, entry))
    answers: list[Needs | NoNeeds] = []
    thread = threading.Thread(target=lambda: answers.extend(source.read(*wanted)), daemon=True)
    thread.start()
    gate.wait_for(8)  # all are asked at once
    gate.open()
    thread.join(20)
    assert requires(answers) == [f"p{n}" for n in range(8)]


def test_nothing_is_asked_when_nothing_is_wanted(source: Source) -> None:
    assert source.read() == []


def test_the_run_ends_when_the_disk_fails(source: Source, tmp_path: Path) -> None:
    wanted = source.add(make_wheel("demo", "1.0"), metadata=METADATA)
    (tmp_path / "mirror").symlink_to(tmp_path / "mirror")
    with pytest.raises(StorageError):
        source.read(wanted)


def test_the_run_ends_when_it_is_told_to(source: Source) -> None:
    wanted = source.add(make_sdist("demo", "1.0"))
    source.stop.set()
    with pytest.raises(InterruptedRunError):
        source.read(wanted)


def test_the_run_ends_when_it_is_told_to_while_a_file_is_fetched(source: Source) -> None:
    wanted = source.add(make_sdist("demo", "1.0"))

    source.problem = RequestError(wanted.file.url, "broken off")
    source.when_obtained = source.stop.set
    with pytest.raises(InterruptedRunError):
        source.read(wanted)
