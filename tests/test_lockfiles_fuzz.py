"""Whatever a lock file holds, it is read to pins and problems: nothing is raised, and the time stays in line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymirror.lockfiles import Lock, list_requirements, read_lockfile

FOLDER = Path(__file__).parent / "lockfiles"
NAMES = ("demo.txt", "uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock")
FIXTURES = {
    "demo.txt": "pip-tools/requirements.txt",
    "uv.lock": "uv/uv.lock",
    "poetry.lock": "poetry/poetry.lock",
    "pdm.lock": "pdm/pdm.lock",
    "pylock.toml": "pdm/pylock.toml",
    "Pipfile.lock": "pipenv/Pipfile.lock",
}
A = "a" * 64

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["demo", "1.0", ".", "==1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    [
        *("name", "version", "source", "registry", "editable", "path", "url", "files", "file", "hash", "hashes", "vcs"),
        *(
            "wheels",
            "sdist",
            "dependencies",
            "marker",
            "markers",
            "groups",
            "extras",
            "package",
            "packages",
            "metadata",
        ),
        *("lock-version", "lock_version", "manifest", "members", "directory", "archive", "resolution-markers", "tool"),
    ]
)
entries = st.dictionaries(keys, values | st.dictionaries(keys, values, max_size=3), max_size=6)


def no_file(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", name)


def read(data: bytes, file: str) -> Lock:
    lock = read_lockfile(data, file=file, read=no_file)
    assert all(str(problem).startswith(file) for problem in lock.problems)
    for pin in lock.pins:
        assert pin.project
        assert str(pin.specifier) or pin.files
        assert all(file.filename and "/" not in file.filename for file in pin.files)
    return lock


def to_toml(value: object) -> str:
    """``value`` on one line; nothing where TOML has no such value."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {to_toml(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(to_toml, value))}]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(sign):08x}" for sign in value) + '"'
    return json.dumps(value) if value is not None else '""'


@pytest.mark.parametrize("file", NAMES)
@given(data=st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
@pytest.mark.no_cover
def test_nothing_is_raised_when_a_file_holds_any_bytes(file: str, data: bytes) -> None:
    read(data, file)
    read(data, "unknown")


@pytest.mark.parametrize("file", NAMES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.no_cover
def test_nothing_is_raised_when_a_lock_is_bent(file: str, data: st.DataObject) -> None:
    original = FOLDER.joinpath(FIXTURES[file]).read_bytes()
    start = data.draw(st.integers(0, len(original)))
    length = data.draw(st.integers(0, 40))
    inserted = data.draw(
        st.binary(max_size=6) | st.sampled_from([b'"', b"[", b"]", b"{", b"\n", b"=", b"\\", b"-r x\n"])
    )
    bent = original[:start] + inserted + original[start + length :]
    read(bent, file)
    read(bent, "unknown")


@pytest.mark.parametrize("file", ["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"])
@given(top=entries, packages=st.lists(entries, max_size=3))
@settings(max_examples=80, deadline=None)
@pytest.mark.no_cover
def test_nothing_is_raised_when_the_types_of_tables_are_wrong(
    file: str, top: dict[str, object], packages: list[dict[str, object]]
) -> None:
    heads: dict[str, dict[str, object]] = {
        "uv.lock": {"version": 1},
        "poetry.lock": {"metadata": {"lock-version": "2.1"}},
        "pdm.lock": {"metadata": {"lock_version": "4.5"}},
        "pylock.toml": {"lock-version": "1.0", "created-by": "x"},
    }
    array = "packages" if file == "pylock.toml" else "package"
    text = "".join(
        f"{json.dumps(key)} = {to_toml(value)}\n" for key, value in ({**top, **heads[file], array: packages}).items()
    )
    read(text.encode(), file)


@given(
    sections=st.dictionaries(
        st.sampled_from(["default", "develop", "docs"]), values | st.dictionaries(st.text(), entries)
    )
)
@settings(max_examples=80, deadline=None)
@pytest.mark.no_cover
def test_nothing_is_raised_when_the_types_of_a_pipfile_lock_are_wrong(sections: dict[str, object]) -> None:
    read(json.dumps({"_meta": {"pipfile-spec": 6}, **sections}).encode(), "Pipfile.lock")


@given(
    lines=st.lists(
        st.sampled_from(
            ["demo==1", "demo", "demo>1 ; os_name == 'x'", "-r a.txt", "-c a.txt", "-e .", "???", "demo<1"]
        ),
        max_size=5,
    ),
    others=st.lists(
        st.sampled_from(["demo==2", "demo @ https://x/y.zip", "-r demo.txt", "-c a.txt", "demo[x]", "-e ."]), max_size=4
    ),
)
@settings(max_examples=80, deadline=None)
@pytest.mark.no_cover
def test_nothing_is_raised_when_files_name_each_other(lines: list[str], others: list[str]) -> None:
    data = "\n".join(lines).encode()
    nested = "\n".join(others).encode()
    read_lockfile(data, file="demo.txt", read=lambda _: nested)
    list_requirements(data, file="demo.txt", read=lambda _: nested)


# ── time ────────────────────────────────────────────────────────────────────────────────────────────


def make_lock(file: str, count: int) -> bytes:
    if file == "demo.txt":
        return ("-c limits.txt\n" + "".join(f"demo>{n % 7}\n" for n in range(count // 4))).encode()
    if file == "Pipfile.lock":
        default = {f"demo-{n}": {"version": "==1.0", "hashes": [f"sha256:{A}"]} for n in range(count)}
        return json.dumps({"_meta": {"pipfile-spec": 6}, "default": default}, indent=4).encode()
    needs = {"poetry.lock": '[package.dependencies]\ndemo = "*"\n', "pdm.lock": 'dependencies = ["demo"]\n'}
    entry = needs.get(file, 'dependencies = [{name = "demo"}]\n')
    head = {
        "uv.lock": "version = 1\n",
        "poetry.lock": '[metadata]\nlock-version = "2.1"\n',
        "pdm.lock": '[metadata]\nlock_version = "4.5"\n',
        "pylock.toml": 'lock-version = "1.0"\ncreated-by = "x"\n',
    }[file]
    header = "[[packages]]" if file == "pylock.toml" else "[[package]]"
    files = {
        "uv.lock": f'source = {{registry = "x"}}\nwheels = [{{url = "https://x/demo.whl", hash = "sha256:{A}"}}]\n',
        "pylock.toml": f'sdist = {{url = "https://x/demo-1.0.tar.gz", hashes = {{sha256 = "{A}"}}}}\n',
    }.get(file, f'files = [{{file = "demo.whl", hash = "sha256:{A}"}}]\n')
    named = "demo" if file == "pylock.toml" else "demo-{}"
    return (
        head + "".join(f'{header}\nname = "{named.format(n)}"\nversion = "1.0"\n{files}{entry}' for n in range(count))
    ).encode()


@pytest.mark.parametrize("file", NAMES)
@pytest.mark.no_cover
def test_the_time_grows_with_the_size_when_a_lock_is_large(file: str) -> None:
    def seconds(count: int) -> float:
        data = make_lock(file, count)
        limits = "".join(f"demo=={n} ; python_version == '3.{n}'\n" for n in range(30)).encode()
        best = []
        for _ in range(2):
            start = time.perf_counter()
            read_lockfile(data, file=file, read=lambda _: limits)
            best.append(time.perf_counter() - start)
        return min(best)

    assert seconds(2400) < 0.1 + 20 * seconds(400)  # six times the entries; thirty-six times the time, were it square


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("uv.lock", b"a = " + b"[" * 1_000_000),
        ("uv.lock", b"a." * 500_000 + b"a = 1"),
        ("uv.lock", b"'a' . " * 200_000 + b"a = 1"),
        ("uv.lock", b"[" + b"a." * 500_000 + b"a]"),
        ("uv.lock", b"a" * 1_000_000),
        ("uv.lock", b'"' * 1_000_001),
        ("uv.lock", b"a" + b" " * 1_000_000),
        ("uv.lock", b"version = 1\n" + b"\n" * 1_000_000 + b"[[package]]\n" * 1000),
        ("Pipfile.lock", b'{"_meta": {"pipfile-spec": 6}, "default": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}"),
        ("Pipfile.lock", b'{"_meta": ' + b"[" * 1_000_000),
        ("Pipfile.lock", b'{"_meta": {"pipfile-spec": 6, "x": "' + b"\\\\" * 500_000 + b'"}}'),
        ("unknown", b" " * 1_000_000 + b"{"),
        ("unknown", b"lock-version" * 100_000),
        ("demo.txt", b"-r x\n" * 5000),
        ("demo.txt", b"demo==1 \\\n" * 300),
        ("demo.txt", b"demo==1\n" + b"  # via\n" * 20_000),
    ],
)
@pytest.mark.no_cover
def test_a_hostile_file_is_read_in_seconds_when_it_is_large(file: str, data: bytes) -> None:
    start = time.perf_counter()
    read(data, file)
    assert time.perf_counter() - start < 10
