"""The locks that are tables, written by hand: what the fixtures of ``lockfiles/`` do not hold, and mistakes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pymirror.lockfiles import Lock, LockFormat, detect_format, read_lockfile
from pymirror.lockfiles.findings import MAX_FILE_BYTES
from pymirror.lockfiles.hashes import DIGEST_LENGTHS
from pymirror.simple.model import KNOWN_HASHES
from pymirror.spec.model import Origin, Pin

A, B = "a" * 64, "b" * 64
PASSWORD = "hunter2"
SECRET = f"https://robot:{PASSWORD}@x"

UV = "version = 1\nrevision = 3\n"
POETRY = '[metadata]\nlock-version = "2.1"\n'
PDM = '[metadata]\nlock_version = "4.5.1"\n'
PYLOCK = 'lock-version = "1.0"\ncreated-by = "hand"\n'
HEADS = {"uv.lock": UV, "poetry.lock": POETRY, "pdm.lock": PDM, "pylock.toml": PYLOCK}
WHEEL = "demo-1.0-py3-none-any.whl"


def no_file(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", name)


def read(file: str, text: str | bytes) -> Lock:
    return read_lockfile(text.encode() if isinstance(text, str) else text, file=file, read=no_file)


def read_entry(file: str, entry: str, *, after: str = "") -> Lock:
    """The lock ``file`` with one package, that has the keys of ``entry``."""
    array = "packages" if file == "pylock.toml" else "package"
    return read(file, f"{HEADS[file]}\n[[{array}]]\n{entry}\n{after}")


def read_pipfile(entry: object, *, name: str = "demo", **sections: object) -> Lock:
    document: dict[str, Any] = {"_meta": {"pipfile-spec": 6}, "default": {name: entry}, **sections}
    return read("Pipfile.lock", json.dumps(document, indent=4))


def pin_of(lock: Lock) -> Pin:
    assert (len(lock.pins), lock.unservable, lock.problems) == (1, (), ()), lock
    return lock.pins[0]


def message_of(lock: Lock) -> str:
    assert len(lock.problems) == 1, lock
    assert PASSWORD not in repr(lock)
    return str(lock.problems[0])


# ── which format ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("uv.lock", LockFormat.UV),
        ("services/web/poetry.lock", LockFormat.POETRY),
        ("services\\web\\pdm.lock", LockFormat.PDM),
        ("Pipfile.lock", LockFormat.PIPENV),
        ("pylock.toml", LockFormat.PYLOCK),
        ("pylock.web.toml", LockFormat.PYLOCK),
        ("pylock.web.x.toml", LockFormat.REQUIREMENTS),
        ("requirements.txt", LockFormat.REQUIREMENTS),
    ],
)
def test_the_format_is_told_by_its_name_when_it_is_the_usual_one(file: str, expected: LockFormat) -> None:
    assert detect_format(b"", file=file) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (UV, LockFormat.UV),
        ("version = 1\nrequires-python = '>=3.9'\n[[package]]\nname = 'a'\n", LockFormat.UV),
        (POETRY, LockFormat.POETRY),
        (f"[[package]]\nname = 'a'\nversion = '1'\n\n{POETRY}", LockFormat.POETRY),
        (PDM, LockFormat.PDM),
        (PYLOCK, LockFormat.PYLOCK),
        (f"{PYLOCK}[[packages]]\nname = ", LockFormat.PYLOCK),
        (' \n{"_meta": {}, "default": ', LockFormat.PIPENV),
        ("{}", LockFormat.REQUIREMENTS),
        ("demo==1.0\n# version = 1\n", LockFormat.REQUIREMENTS),
        ("[project]\nname = 'demo'\n", LockFormat.REQUIREMENTS),
        ("", LockFormat.REQUIREMENTS),
    ],
)
def test_the_format_is_told_by_the_content_when_the_name_says_nothing(text: str, expected: LockFormat) -> None:
    assert detect_format(text.encode(), file="web.lock") == expected
    assert detect_format(text.encode("utf-16"), file="web.lock") == expected
    assert detect_format(text.encode() + b"\xff", file="web.lock") == expected


# ── what is no lock ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("file", [*HEADS, "Pipfile.lock"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "not UTF-8 text (byte 0)"),
        (b"# \0", "not text: it holds NUL characters"),
        (b" " * (MAX_FILE_BYTES + 1), f"{MAX_FILE_BYTES + 1} bytes; a lock file may have {MAX_FILE_BYTES}"),
    ],
)
def test_a_file_is_refused_when_it_is_not_text(file: str, data: bytes, message: str) -> None:
    assert message_of(read(file, data)) == f"{file}: {message}"


@pytest.mark.parametrize("file", HEADS)
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = \n", ":1", "not TOML: Invalid value"),
        ("\na = 1\na = 2\n", ":3", "not TOML: Cannot overwrite a value"),
        ('a = "', "", "not TOML: Unterminated string"),
        (f"a = {'9' * 5000}", "", "not TOML: a number of too many digits"),
        (f"a = {'[' * 5000}", "", "nested too deeply"),
        (f"\n{'a.' * 5000}a = 1", ":2", "not TOML that a tool wrote: a key of too many parts"),
        ("x = { " + '"a" . ' * 500 + "a = 1 }", ":1", "not TOML that a tool wrote: a key of too many parts"),
    ],
)
def test_a_file_is_refused_when_it_is_not_toml(file: str, text: str, line: str, message: str) -> None:
    assert message_of(read(file, text)) == f"{file}{line}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: Input data was truncated"),
        ('{"_meta": {}', "not JSON: Input data was truncated"),
        ("demo==1.0", "not JSON: JSON is malformed: invalid character (byte 0)"),
        ("[]", "expected a table, got a list"),
        ("1", "expected a table, got a number"),
        ("null", "expected a table, got nothing"),
        ('{"a":' * 200_000, "nested too deeply"),  # how deep is too deep depends on the interpreter
        ("{}", 'the key "_meta" is missing'),
        ('{"_meta": 1}', "_meta: expected a table, got a number"),
        ('{"_meta": {}}', "_meta.pipfile-spec: not a spec of Pipfile.lock that can be read; 6 can"),
        ('{"_meta": {"pipfile-spec": 7}}', "_meta.pipfile-spec: not a spec of Pipfile.lock that can be read; 6 can"),
        ('{"_meta": {"pipfile-spec": "6"}}', "_meta.pipfile-spec: not a spec of Pipfile.lock that can be read; 6 can"),
        ('{"_meta": {"pipfile-spec": 6}, "default": []}', "default: expected a table, got a list"),
    ],
)
def test_a_pipfile_lock_is_refused_when_it_is_none(text: str, message: str) -> None:
    assert message_of(read("Pipfile.lock", text)) == f"Pipfile.lock: {message}"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("uv.lock", "version = 2", "version: version 2, made by a newer uv; version 1 can be read"),
        (
            "uv.lock",
            f"version = 0x{'f' * 50_000}",
            "version: not a version of uv.lock that can be read (version 1 can)",
        ),
        ("uv.lock", "version = true", "version: not a version of uv.lock that can be read (version 1 can)"),
        ("uv.lock", 'version = "1"', "version: not a version of uv.lock that can be read (version 1 can)"),
        ("uv.lock", "", "version: not a version of uv.lock that can be read (version 1 can)"),
        ("poetry.lock", "", 'the key "metadata" is missing'),
        ("poetry.lock", "metadata = 1", "metadata: expected a table, got a number"),
        (
            "poetry.lock",
            "[metadata]",
            'metadata: the key "lock-version" is missing (write the lock with Poetry 1.0 or newer)',
        ),
        ("poetry.lock", "[metadata]\nlock-version = 2", "metadata.lock-version: expected text, got a number"),
        ("poetry.lock", "[metadata]\nlock-version = 'x'", "metadata.lock-version: not a version"),
        (
            "poetry.lock",
            "[metadata]\nlock-version = '3.0'",
            "metadata.lock-version: version 3.0, made by another Poetry; versions 1 and 2 can be read",
        ),
        ("pdm.lock", "", 'the key "metadata" is missing'),
        ("pdm.lock", "metadata = []", "metadata: expected a table, got a list"),
        ("pdm.lock", "[metadata]", 'metadata: the key "lock_version" is missing'),
        ("pdm.lock", "[metadata]\nlock_version = ''", "metadata.lock_version: not a version"),
        (
            "pdm.lock",
            "[metadata]\nlock_version = '5.0'",
            "metadata.lock_version: version 5.0, made by another PDM; version 4 can be read",
        ),
        ("pylock.toml", "", 'the key "lock-version" is missing'),
        ("pylock.toml", "lock-version = 1.0", "lock-version: expected text, got a number"),
        ("pylock.toml", "lock-version = 'x'", "lock-version: not a version"),
        (
            "pylock.toml",
            "lock-version = '2.0'",
            "lock-version: version 2.0, of another standard; version 1 can be read",
        ),
        ("pylock.toml", "lock-version = '1.0'", "created-by: missing required value"),
        ("pylock.toml", PYLOCK, "packages: missing required value"),
        ("pylock.toml", f"{PYLOCK}packages = 1", "packages: unexpected type int (expected Sequence)"),
    ],
)
def test_a_lock_is_refused_when_its_version_is_another(file: str, text: str, message: str) -> None:
    assert message_of(read(file, text)) == f"{file}: {message}"


def test_nothing_is_found_when_a_lock_is_empty() -> None:
    for file, text in HEADS.items():
        assert read(file, f"{text}packages = []\n" if file == "pylock.toml" else text) == Lock()
    assert read("Pipfile.lock", '{"_meta": {"pipfile-spec": 6}, "default": {}, "develop": {}}') == Lock()


# ── entries that pin ────────────────────────────────────────────────────────────────────────────────

ENTRIES = {
    "uv.lock": f'name = "demo"\nversion = "1.0"\nsource = {{ registry = "https://x/simple" }}\nwheels = '
    f'[{{ url = "https://x/{WHEEL}", hash = "sha256:{A}" }}]\n',
    "poetry.lock": f'name = "demo"\nversion = "1.0"\nfiles = [{{file = "{WHEEL}", hash = "sha256:{A}"}}]\n',
    "pdm.lock": f'name = "demo"\nversion = "1.0"\nfiles = [{{file = "{WHEEL}", hash = "sha256:{A}"}}]\n',
    "pylock.toml": f'name = "demo"\nversion = "1.0"\nwheels = '
    f'[{{ url = "https://x/{WHEEL}", hashes = {{ sha256 = "{A}" }} }}]\n',
}


@pytest.mark.parametrize("file", HEADS)
def test_an_entry_pins_a_version_and_its_files_when_it_is_a_table(file: str) -> None:
    parent = Origin(file="mirror.yaml", line=1, text=file)
    array = "packages" if file == "pylock.toml" else "package"
    text = f"{HEADS[file]}\n[[{array}]]\n{ENTRIES[file]}"
    pin = pin_of(read_lockfile(text.encode(), file=file, read=no_file, parent=parent))
    assert (pin.project, str(pin.specifier), pin.hashes) == ("demo", "==1.0", frozenset())
    assert [(each.filename, set(each.hashes)) for each in pin.files] == [(WHEEL, {("sha256", A)})]
    assert pin.origin == Origin(file=file, line=4, text="demo==1.0")
    assert pin.origin.parent is parent


@pytest.mark.parametrize("file", HEADS)
def test_the_line_is_left_out_when_headers_cannot_be_told(file: str) -> None:
    array = "packages" if file == "pylock.toml" else "package"
    lock = read(file, f"{HEADS[file]}\n[[ '{array}' ]]\n{ENTRIES[file]}")
    assert pin_of(lock).origin.line is None


@pytest.mark.parametrize(
    ("file", "entry", "filename"),
    [
        ("uv.lock", 'wheels = [{url = "https://x/a/demo-1.0%2Bcu1.whl?t=1#f/g"}]', "demo-1.0+cu1.whl"),
        ("uv.lock", 'wheels = [{path = "wheels/demo-1.0+cu1.whl"}]', "demo-1.0+cu1.whl"),
        ("uv.lock", 'wheels = [{path = "demo-1.0%2B.whl"}]', "demo-1.0%2B.whl"),
        ("uv.lock", 'wheels = [{filename = "demo-1.0.whl"}]', "demo-1.0.whl"),
        ("uv.lock", 'sdist = {url = "file:///srv/demo-1.0.zip"}', "demo-1.0.zip"),
        ("poetry.lock", 'files = [{file = "C:\\\\wheels\\\\demo-1.0.whl"}]', "demo-1.0.whl"),
        ("pdm.lock", 'files = [{url = "https://x/demo-1.0%2Bcu1.whl"}]', "demo-1.0+cu1.whl"),
    ],
)
def test_a_file_has_the_last_part_of_its_address_when_that_is_all_there_is(
    file: str, entry: str, filename: str
) -> None:
    source = 'source = { registry = "wheels" }\n' if file == "uv.lock" else ""
    pin = pin_of(read_entry(file, f'name = "demo"\nversion = "1.0"\n{source}{entry}'))
    assert [(each.filename, each.hashes) for each in pin.files] == [(filename, frozenset())]


@pytest.mark.parametrize(
    ("entry", "filename"),
    [
        (f'wheels = [{{name = "{WHEEL}", url = "https://x/other"', WHEEL),
        (f'wheels = [{{path = "wheels/{WHEEL}"', WHEEL),
        ('wheels = [{url = "https://x/demo-1.0%2Bcu1-py3-none-any.whl"', "demo-1.0+cu1-py3-none-any.whl"),
        ('wheels = [{url = "https://x/demo-2.0-py3-none-any.whl"', "demo-2.0-py3-none-any.whl"),
    ],
)
def test_a_file_of_a_pylock_is_named_when_its_version_is_absent_or_another(entry: str, filename: str) -> None:
    for version, specifier in (("", ""), ('version = "1.0"\n', "==1.0")):
        lock = read_entry("pylock.toml", f'name = "demo"\n{version}{entry}, hashes = {{sha256 = "{A.upper()}"}}}}]')
        pin = pin_of(lock)
        assert str(pin.specifier) == specifier
        assert [(each.filename, set(each.hashes)) for each in pin.files] == [(filename, {("sha256", A)})]


@pytest.mark.parametrize(
    ("version", "specifier"),
    [("1.0", "==1.0"), ("1!2.0.post1.dev3+cu118", "==1!2.0.post1.dev3+cu118"), ("weird-build", "===weird-build")],
)
@pytest.mark.parametrize("file", ["uv.lock", "poetry.lock", "pdm.lock"])
def test_a_version_is_pinned_when_it_is_one_of_pep_440_or_not(file: str, version: str, specifier: str) -> None:
    entry = ENTRIES[file].replace('version = "1.0"', f'version = "{version}"')
    assert str(pin_of(read_entry(file, entry)).specifier) == specifier


@pytest.mark.parametrize("version", ["", " ", "1.0,<2", "a b", "x" * 201, "1;2", "(1)"])
@pytest.mark.parametrize("file", ["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"])
def test_an_entry_is_refused_when_its_version_can_be_none(file: str, version: str) -> None:
    array = "packages" if file == "pylock.toml" else "package"
    entry = ENTRIES[file].replace('version = "1.0"', f'version = "{version}"')
    assert message_of(read_entry(file, entry)) == f"{file}:4: {array}[0].version: not a version"


@pytest.mark.parametrize("file", HEADS)
def test_an_entry_pins_twice_when_a_lock_forks(file: str) -> None:
    array = "packages" if file == "pylock.toml" else "package"
    second = ENTRIES[file].replace("1.0", "2.0")
    lock = read(file, f"{HEADS[file]}[[{array}]]\n{ENTRIES[file]}[[{array}]]\n{second}")
    assert lock.problems == ()
    assert [str(pin.specifier) for pin in lock.pins] == ["==1.0", "==2.0"]


# ── hashes ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_known_hashes_are_those_of_project_pages_when_compared() -> None:
    assert set(DIGEST_LENGTHS) == KNOWN_HASHES


@pytest.mark.parametrize("algorithm", DIGEST_LENGTHS)
def test_a_hash_is_read_when_its_algorithm_is_known(algorithm: str) -> None:
    digest = "ab" * (DIGEST_LENGTHS[algorithm] // 2)
    pin = pin_of(read_pipfile({"version": "==1.0", "hashes": [f"{algorithm.upper()}:{digest.upper()}"]}))
    assert pin.hashes == {(algorithm, digest)}


def test_an_unknown_hash_is_left_out_when_a_known_one_is_there() -> None:
    pin = pin_of(read_pipfile({"version": "==1.0", "hashes": ["crc32:00", f"sha256:{A}", "sha3:1"]}))
    assert pin.hashes == {("sha256", A)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crc32:00", 'unknown hash "crc32"'),
        ("", 'unknown hash ""'),
        (A, f'unknown hash "{A}"'),
        ("sha256:", "a sha256 hash has 64 hexadecimal digits"),
        (f"sha256:{A}0", "a sha256 hash has 64 hexadecimal digits"),
        (f"sha256:{'g' * 64}", "a sha256 hash has 64 hexadecimal digits"),
        (f"md5:{A}", "a md5 hash has 32 hexadecimal digits"),
    ],
)
def test_a_hash_is_refused_when_it_can_be_none(text: str, message: str) -> None:
    said = message_of(read_pipfile({"version": "==1.0", "hashes": [text]}))
    assert said == f"Pipfile.lock:6: default.demo.hashes: {message}"
    entry = f'name = "demo"\nversion = "1"\nfiles = [{{file = "{WHEEL}", hash = "{text}"}}]'
    said = message_of(read_entry("poetry.lock", entry))
    assert said == f"poetry.lock:4: package[0].files[0].hash: {message}"


def test_a_hash_of_a_pylock_is_refused_when_it_can_be_none() -> None:
    lock = read_entry("pylock.toml", ENTRIES["pylock.toml"].replace(A, "00"))
    assert message_of(lock) == ("pylock.toml:4: packages[0].wheels[0].hashes: a sha256 hash has 64 hexadecimal digits")


# ── markers ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "entry", "marker"),
    [
        ("poetry.lock", "markers = \"os_name == 'nt'\"", 'os_name == "nt"'),
        (
            "poetry.lock",
            "groups = ['main', 'dev']\nmarkers = {main = \"os_name == 'nt'\", dev = \"os_name == 'x'\"}",
            'os_name == "nt" or os_name == "x"',
        ),
        ("poetry.lock", "groups = ['main', 'dev']\nmarkers = {main = \"os_name == 'nt'\"}", None),
        ("poetry.lock", "groups = ['main']\nmarkers = {}", None),
        ("pdm.lock", "marker = \"os_name == 'nt'\"", 'os_name == "nt"'),
        ("uv.lock", "resolution-markers = []", None),
        ("uv.lock", "resolution-markers = [\"os_name == 'nt'\"]", 'os_name == "nt"'),
        (
            "uv.lock",
            "resolution-markers = [\"os_name == 'a' and os_name == 'b'\", \"os_name == 'c'\"]",
            'os_name == "a" and os_name == "b" or os_name == "c"',
        ),
        ("uv.lock", "resolution-markers = [\"os_name == 'a'\", \"extra == 'extra-4-demo-cpu'\"]", None),
        (
            "pylock.toml",
            "marker = \"'docs' in extras and 'dev' not in dependency_groups\"",
            '"docs" in extras and "dev" not in dependency_groups',
        ),
    ],
)
def test_a_marker_is_kept_when_a_table_has_one(file: str, entry: str, marker: str | None) -> None:
    pin = pin_of(read_entry(file, f"{ENTRIES[file]}{entry}"))
    assert pin.marker is None if marker is None else pin.marker is not None
    assert (pin.marker or "").replace("'", '"') == (marker or "")


@pytest.mark.parametrize("marker", ["nonsense", "", "os_name == 'nt' ;", "(" * 5000])
@pytest.mark.parametrize(
    ("file", "key"), [("poetry.lock", "markers"), ("pdm.lock", "marker"), ("pylock.toml", "marker")]
)
def test_an_entry_is_refused_when_its_marker_cannot_be_read(file: str, key: str, marker: str) -> None:
    said = message_of(read_entry(file, f'{ENTRIES[file]}{key} = "{marker}"'))
    assert said.startswith(f"{file}:4: package")


def test_extras_and_groups_of_the_lock_are_known_when_a_pylock_has_some() -> None:
    head = "extras = ['docs']\ndependency-groups = ['dev', 'Test']\ndefault-groups = ['hand']\n"
    pin = pin_of(read("pylock.toml", f"{PYLOCK}{head}[[packages]]\n{ENTRIES['pylock.toml']}"))
    assert (set(pin.marker_extras), set(pin.marker_groups)) == ({"docs"}, {"dev", "Test", "hand"})


# ── who needs a project ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "needs"),
    [
        ("uv.lock", 'dependencies = [{name = "demo"}, {name = "demo", extra = ["x"]}]'),
        ("uv.lock", '[package.optional-dependencies]\nx = [{name = "demo"}]'),
        ("uv.lock", '[package.dev-dependencies]\ndev = [{name = "demo"}]'),
        ("poetry.lock", '[package.dependencies]\nDemo = "*"'),
        ("poetry.lock", '[package.dependencies]\ndemo = [{version = "*"}, {version = "1"}]'),
        ("pdm.lock", "dependencies = [\"Demo[x]>=1; os_name == 'nt'\", 'demo @ https://x']"),
        ("pylock.toml", 'dependencies = [{name = "demo"}]'),
        ("pylock.toml", '[packages.tool.pdm]\ndependencies = ["demo>=1"]'),
    ],
)
def test_who_needs_a_project_is_known_when_tables_say_so(file: str, needs: str) -> None:
    array = "packages" if file == "pylock.toml" else "package"
    others = "".join(
        f"[[{array}]]\n{ENTRIES[file].replace('demo', name)}{needs}\n" for name in ("zeta", "other", "other")
    )
    lock = read(file, f"{HEADS[file]}[[{array}]]\n{ENTRIES[file]}{others}")
    assert lock.problems == ()
    assert [pin.required_by for pin in lock.pins] == [("other", "zeta"), (), (), ()]


# ── entries that no index can serve ─────────────────────────────────────────────────────────────────

URL = "not from an index: a URL"
PATH = "not from an index: a local path"
GIT = "not from an index: version control (git)"


@pytest.mark.parametrize(
    ("file", "entry", "problem"),
    [
        ("uv.lock", f'source = {{ git = "{SECRET}/demo.git?rev=1#0123" }}', GIT),
        ("uv.lock", f'source = {{ url = "{SECRET}/demo.zip" }}', URL),
        ("uv.lock", 'source = { path = "demo.whl" }', PATH),
        ("uv.lock", 'source = { directory = "libs/demo" }', PATH),
        ("uv.lock", 'source = { editable = "libs/demo" }', "an editable project"),
        ("poetry.lock", f'[package.source]\ntype = "git"\nurl = "{SECRET}/demo.git"', GIT),
        ("poetry.lock", f'[package.source]\ntype = "url"\nurl = "{SECRET}/demo.zip"', URL),
        ("poetry.lock", '[package.source]\ntype = "file"\nurl = "demo.zip"', PATH),
        ("poetry.lock", '[package.source]\ntype = "directory"\nurl = "libs/demo"', PATH),
        ("poetry.lock", '[package.source]\ntype = "new"\nurl = "x"', "not from an index"),
        ("pdm.lock", f'git = "{SECRET}/demo.git"\nrevision = "0123"', GIT),
        ("pdm.lock", f'hg = "{SECRET}/demo"', "not from an index: version control (hg)"),
        ("pdm.lock", f'url = "{SECRET}/demo.zip"', URL),
        ("pdm.lock", 'path = "./libs/demo"', PATH),
        ("pdm.lock", 'path = "./libs/demo"\neditable = true', "an editable project"),
        ("pylock.toml", f'vcs = {{ type = "git", url = "{SECRET}/demo.git", commit-id = "0123" }}', GIT),
        (
            "pylock.toml",
            f'vcs = {{ type = "{SECRET}", url = "x", commit-id = "0123" }}',
            "not from an index: version control (another)",
        ),
        ("pylock.toml", f'archive = {{ url = "{SECRET}/demo.zip", hashes = {{ sha256 = "{A}" }} }}', URL),
        ("pylock.toml", f'archive = {{ path = "demo.zip", hashes = {{ sha256 = "{A}" }} }}', PATH),
        ("pylock.toml", 'directory = { path = "libs/demo", editable = true }', PATH),
    ],
)
def test_an_entry_is_named_when_it_comes_from_no_index(file: str, entry: str, problem: str) -> None:
    lock = read_entry(file, f'name = "demo"\nversion = "1.0"\n{entry}')
    (unservable,) = lock.unservable
    assert (lock.pins, lock.problems) == ((), ())
    assert (unservable.problem, unservable.project, unservable.line) == (problem, "demo", "demo")
    assert str(unservable.origin) == f"{file}:4"
    assert PASSWORD not in repr(lock) + unservable.line


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        ("uv.lock", 'source = { editable = "." }'),
        ("uv.lock", 'source = { virtual = "." }'),
        ("uv.lock", 'source = { virtual = "libs/demo" }'),
        ("uv.lock", 'source = { directory = "./" }'),
        ("poetry.lock", '[package.source]\ntype = "directory"\nurl = "."'),
        ("pdm.lock", 'path = "."\neditable = true'),
        ("pdm.lock", 'path = "./."'),
        ("pylock.toml", 'directory = { path = "." }'),
    ],
)
def test_an_entry_is_passed_over_when_it_is_the_project_itself(file: str, entry: str) -> None:
    assert read_entry(file, f'name = "demo"\nversion = "1.0"\n{entry}') == Lock()


def test_an_entry_is_passed_over_when_it_is_a_member_of_the_workspace() -> None:
    lock = read_entry(
        "uv.lock", 'name = "demo"\nsource = { editable = "libs/demo" }', after='[manifest]\nmembers = ["Demo"]'
    )
    assert lock == Lock()


# ── mistakes in entries ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "entry", "message"),
    [
        ("uv.lock", "", 'package[0]: the key "name" is missing'),
        ("uv.lock", "name = 1", "package[0].name: expected text, got a number"),
        ("uv.lock", 'name = "../x"', 'package[0].name: "../x" is no name of a project'),
        ("uv.lock", 'name = "demo"\nsource = {registry = "x"}', "package[0]: has neither a version nor files"),
        (
            "uv.lock",
            'name = "demo"',
            "package[0].source: says of no source that is known where the package comes from",
        ),
        (
            "uv.lock",
            'name = "demo"\nsource = {new = "x"}',
            "package[0].source: says of no source that is known where the package comes from",
        ),
        (
            "uv.lock",
            'name = "demo"\nversion = "1"\nsource = {registry = "x"}\nwheels = [{hash = "sha256:00"}]',
            'package[0].wheels[0]: the key "url" is missing',
        ),
        (
            "uv.lock",
            'name = "demo"\nversion = "1"\nsource = {registry = "x"}\nwheels = [1]',
            "package[0].wheels[0]: expected a table, got a number",
        ),
        (
            "uv.lock",
            'name = "demo"\nversion = "1"\nsource = {registry = "x"}\nsdist = {url = "https://x/"}',
            "package[0].sdist.url: names no file",
        ),
        (
            "uv.lock",
            'name = "demo"\nversion = "1"\nsource = {registry = "x"}\nsdist = {url = "https://x/a%2Fb"}',
            "package[0].sdist.url: names no file",
        ),
        (
            "uv.lock",
            'name = "demo"\nversion = "1"\nsource = {registry = "x"}\n[package.optional-dependencies]\nx = 2.5',
            "package[0].optional-dependencies.x: expected a list, got a number",
        ),
        ("poetry.lock", 'name = "demo"', 'package[0]: the key "version" is missing'),
        (
            "poetry.lock",
            'name = "demo"\nversion = 2024-01-01',
            "package[0].version: expected text, got a date or a time",
        ),
        (
            "poetry.lock",
            'name = "demo"\nversion = "1"\nmarkers = true',
            "package[0].markers: expected text, got true or false",
        ),
        (
            "poetry.lock",
            'name = "demo"\nversion = "1"\n[package.source]',
            'package[0].source: the key "type" is missing',
        ),
        (
            "poetry.lock",
            'name = "demo"\nversion = "1"\nfiles = [{file = ".."}]',
            "package[0].files[0].file: names no file",
        ),
        ("pdm.lock", 'name = "demo"\nversion = "1"\nfiles = {}', "package[0].files: expected a list, got a table"),
        ("pdm.lock", 'name = "demo"\nversion = "1"\nfiles = [{}]', 'package[0].files[0]: the key "file" is missing'),
        ("pdm.lock", 'name = "demo"\nversion = "1"\nextras = [1]', "package[0].extras[0]: expected text, got a number"),
        ("pylock.toml", 'name = "Demo"', "packages[0].name: name 'Demo' is not normalized"),
        (
            "pylock.toml",
            'name = "demo"',
            "packages[0]: exactly one of vcs, directory, archive must be set if sdist and wheels are not set",
        ),
    ],
)
def test_an_entry_is_refused_with_its_path_when_a_key_is_wrong(file: str, entry: str, message: str) -> None:
    lock = read_entry(file, entry)
    assert message_of(lock) == f"{file}:4: {message}"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ('url = "https://[x/a.whl"', "packages[0]: invalid IPv6 URL"),
        (f'url = "https://robot:{PASSWORD}@x\\u2100/a.whl"', "packages[0]: not as PEP 751 has it"),
        (f'url = "https://robot:{PASSWORD}@x/a.whl"', "packages[0].wheels[0]: invalid wheel filename 'a.whl'"),
        ('url = "https://x/y", name = "demo-1.0-py3-none-a/b.whl"', "packages[0].wheels[0]: names no file"),
        ('name = "demo-1.0-py3-none-any.whl"', "packages[0].wheels[0]: path or url must be provided"),
    ],
)
def test_a_file_of_a_pylock_is_refused_without_its_password_when_it_is_wrong(file: str, message: str) -> None:
    entry = f'name = "demo"\nversion = "1.0"\nwheels = [{{{file}, hashes = {{sha256 = "{A}"}}}}]'
    assert message_of(read_entry("pylock.toml", entry)) == f"pylock.toml:4: {message}"


@pytest.mark.parametrize("file", HEADS)
@pytest.mark.parametrize("value", ["1", "'x'", "true", "[1]", "['x']", "[[]]", "1979-05-27", "{}", "{x = {}}", "[{}]"])
def test_a_lock_is_refused_in_words_when_its_types_are_wrong(file: str, value: str) -> None:
    array = "packages" if file == "pylock.toml" else "package"
    for key in ("package", "packages", "metadata", "manifest", "extras", "lock-version", "created-by"):
        text = "".join(line for line in HEADS[file].splitlines(keepends=True) if not line.startswith(key))
        read(file, f"{key} = {value}\n{text}")
    keys = ("name", "version", "source", "files", "wheels", "sdist", "dependencies", "marker", "markers", "groups")
    for key in (*keys, "extras", "path", "url", "editable", "vcs", "tool", "resolution-markers", "dev-dependencies"):
        entry = "".join(line for line in ENTRIES[file].splitlines(keepends=True) if not line.startswith(key))
        read(file, f"{HEADS[file]}[[{array}]]\n{entry}{key} = {value}\n")


# ── old locks ───────────────────────────────────────────────────────────────────────────────────────


def test_files_are_read_when_the_first_poetry_wrote_them() -> None:
    lock = read(
        "poetry.lock",
        '[[package]]\nname = "Demo"\nversion = "1.0"\ncategory = "main"\n\n'
        '[[package]]\nname = "demo"\nversion = "2.0"\n\n[[package]]\nname = "other"\nversion = "1"\n\n'
        f'[metadata]\nlock-version = "1.1"\n\n[metadata.files]\nDemo = [\n'
        f'    {{file = "{WHEEL}", hash = "sha256:{A}"}},\n    {{file = "demo-2.0.tar.gz", hash = "sha256:{B}"}},\n]\n'
        f'other = [{{file = "other-1.0.zip", hash = "sha256:{A}"}}]\n',
    )
    assert lock.problems == ()
    assert [[file.filename for file in pin.files] for pin in lock.pins] == [
        [WHEEL],
        ["demo-2.0.tar.gz"],
        ["other-1.0.zip"],
    ]


def test_files_are_read_when_an_early_pdm_wrote_them() -> None:
    lock = read(
        "pdm.lock",
        '[[package]]\nname = "demo"\nversion = "1.0"\n\n[metadata]\nlock_version = "4.0"\n\n'
        f'[metadata.files]\n"Demo 1.0" = [{{url = "https://x/{WHEEL}", hash = "sha256:{A}"}}]\n',
    )
    assert [file.filename for file in pin_of(lock).files] == [WHEEL]


# ── Pipfile.lock ────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_pins_when_a_pipfile_lock_has_it() -> None:
    entry = {
        "extras": ["Fast_Io"],
        "hashes": [f"sha256:{A}"],
        "index": "ours",
        "markers": "os_name == 'nt'",
        "version": "==1.0",
    }
    pin = pin_of(read_pipfile(entry, name="Demo_Tool"))
    assert (pin.project, str(pin.specifier), pin.files) == ("demo-tool", "==1.0", ())
    assert (set(pin.hashes), set(pin.extras), pin.marker) == ({("sha256", A)}, {"fast-io"}, 'os_name == "nt"')
    assert pin.origin == Origin(file="Pipfile.lock", line=6, text="demo-tool==1.0")


@pytest.mark.parametrize(("version", "specifier"), [("==1.0", "==1.0"), ("===odd", "===odd"), ("== 1.0", "==1.0")])
def test_a_version_is_pinned_when_a_pipfile_lock_has_it_exactly(version: str, specifier: str) -> None:
    assert str(pin_of(read_pipfile({"version": version})).specifier) == specifier
    assert str(pin_of(read_pipfile(version)).specifier) == specifier


@pytest.mark.parametrize("version", ["*", "", "1.0", ">=1", "==1.*", "==1,==2", "===", f"=={'1' * 500}"])
def test_an_entry_of_a_pipfile_lock_is_refused_when_it_is_not_exact(version: str) -> None:
    assert message_of(read_pipfile({"version": version})) == (
        'Pipfile.lock:6: default.demo.version: "demo" is not pinned with == '
        "(a lock is exact; put ranges under projects:)"
    )


def test_every_category_is_read_when_a_pipfile_lock_has_several() -> None:
    lock = read_pipfile({"version": "==1.0"}, develop={"demo": {"version": "==1.0"}}, docs={"other": "==2"})
    assert [(pin.project, pin.origin.line) for pin in lock.pins] == [("demo", 6), ("demo", 11), ("other", 16)]


def test_the_line_of_an_entry_is_found_when_the_text_is_laid_out_otherwise() -> None:
    lock = read(
        "Pipfile.lock",
        '{"default": {"a": {"version": "==1", "x": {"b": [{"b": "}"}]}},\n"b\\u002dx": {"version": "==1"},'
        '"c"\n:\n{"version": "==1"}}, "_meta": {"pipfile-spec": 6, "a": {"b": 1}}}',
    )
    assert lock.problems == ()
    assert [(pin.project, pin.origin.line) for pin in lock.pins] == [("a", 1), ("b-x", 2), ("c", 3)]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"git": f"{SECRET}/demo.git", "ref": "0123"}, GIT),
        ({"git": f"{SECRET}/demo.git", "editable": True}, GIT),
        ({"file": f"{SECRET}/demo.zip"}, URL),
        ({"file": "./demo.zip"}, PATH),
        ({"uri": f"{SECRET}/demo.zip"}, URL),
        ({"path": "./libs/demo"}, PATH),
        ({"path": "./libs/demo", "editable": True}, "an editable project"),
        (
            {"version": "*", "markers": "os_name == 'nt'"},
            'not locked: Pipenv writes no version, or "*", where the marker was false on the machine that locked',
        ),
        (
            {"markers": "os_name == 'nt'"},
            'not locked: Pipenv writes no version, or "*", where the marker was false on the machine that locked',
        ),
    ],
)
def test_an_entry_of_a_pipfile_lock_is_named_when_it_comes_from_no_index(entry: object, problem: str) -> None:
    lock = read_pipfile(entry)
    (unservable,) = lock.unservable
    assert (lock.pins, lock.problems) == ((), ())
    assert (unservable.problem, unservable.project, unservable.origin.line) == (problem, "demo", 6)
    assert PASSWORD not in repr(lock) + unservable.line


@pytest.mark.parametrize("entry", [{"path": ".", "editable": True}, {"path": "."}, {"path": "./", "editable": True}])
def test_an_entry_of_a_pipfile_lock_is_passed_over_when_it_is_the_project_itself(entry: object) -> None:
    assert read_pipfile(entry) == Lock()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (1, "default.demo: expected a table, got a number"),
        (None, "default.demo: expected a table, got nothing"),
        ({}, 'default.demo: the key "version" is missing'),
        ({"version": 1}, "default.demo.version: expected text, got a number"),
        ({"version": "==1", "hashes": "x"}, "default.demo.hashes: expected a list, got text"),
        ({"version": "==1", "hashes": [None]}, "default.demo.hashes[0]: expected text, got nothing"),
        ({"version": "==1", "markers": "nonsense"}, "default.demo.markers: not a marker"),
        ({"version": "==1", "extras": {}}, "default.demo.extras: expected a list, got a table"),
        (
            {"version": "==2004d"},
            'default.demo.version: "2004d" is no version (PEP 440) (=== pins a version as it is written)',
        ),
        ({"version": 1, "markers": "os_name == 'nt'"}, "default.demo.version: expected text, got a number"),
        ({"path": 1, "editable": 1}, ""),
    ],
)
def test_an_entry_of_a_pipfile_lock_is_refused_when_a_key_is_wrong(entry: object, message: str) -> None:
    lock = read_pipfile(entry)
    if message:
        assert message_of(lock).partition(": ")[2] == message
    else:
        assert len(lock.problems) == 2


def test_an_entry_of_a_pipfile_lock_is_refused_when_its_name_is_none() -> None:
    assert (
        message_of(read_pipfile("==1", name="../x")) == 'Pipfile.lock:6: default.../x: "../x" is no name of a project'
    )


def test_a_key_that_is_written_twice_has_its_lines_when_one_is_escaped() -> None:
    lock = read(
        "Pipfile.lock",
        '{"_meta": {"pipfile-spec": 6}, "default": {"demo": {"version": "==1.0"}},\n'
        '"d\\u0065velop": {"d\\u0065mo": {"version": "==1.0"}}}',
    )
    assert [(pin.project, pin.origin.line) for pin in lock.pins] == [("demo", 1), ("demo", 2)]


# ── what messages do not repeat ─────────────────────────────────────────────────────────────────────

LONG = "d" * 5000


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        (
            read_pipfile("==1", name=f"{SECRET}/x"),
            'Pipfile.lock:6: default.…: "…" is no name of a project',
        ),
        (read_pipfile({"version": 1}, name=f"robot:{PASSWORD}@x"), 'Pipfile.lock:6: default.…: "…" is no name of'),
        (
            read("Pipfile.lock", json.dumps({"_meta": {"pipfile-spec": 6}, SECRET: {"demo": 1}})),
            "Pipfile.lock: ….demo: expected a table, got a number",
        ),
        (read_pipfile({"version": f"==={SECRET}"}), 'Pipfile.lock:6: default.demo.version: "demo" is not pinned with'),
        (
            read_pipfile({"version": "==1", "hashes": [f"{PASSWORD}@x:1"]}),
            'Pipfile.lock:6: default.demo.hashes: unknown hash "…"',
        ),
        (
            read_entry("poetry.lock", f'name = "{SECRET}"\nversion = "1"'),
            'poetry.lock:4: package[0].name: "…" is no name of a project',
        ),
        (
            read_entry("poetry.lock", f'name = "demo"\nversion = "{SECRET}"'),
            "poetry.lock:4: package[0].version: not a version",
        ),
        (
            read_entry("poetry.lock", f'name = "demo"\nversion = "1"\nfiles = [{{file = "{SECRET}"}}]'),
            "poetry.lock:4: package[0].files[0].file: names no file",
        ),
        (
            read("poetry.lock", f'{POETRY}[metadata.files]\n"{SECRET}" = 1'),
            "poetry.lock: metadata.files.…: expected a list, got a number",
        ),
        (read("pdm.lock", f'{PDM}[a."{SECRET}"]\n[a."{SECRET}"]'), "pdm.lock:4: not TOML"),
        (
            read_entry("uv.lock", f'name = "demo"\nsource = {{git = "x"}}\ndev-dependencies = {{"{SECRET}" = 1}}'),
            "uv.lock:4: package[0].dev-dependencies.…: expected a list, got a number",
        ),
        (read_entry("pylock.toml", f'name = "{SECRET}"'), "pylock.toml:4: packages[0].name: not as PEP 751 has it"),
    ],
)
def test_a_message_says_nothing_of_an_address_when_it_may_hold_a_credential(lock: Lock, message: str) -> None:
    assert message_of(lock).startswith(message)


@pytest.mark.parametrize(
    "lock",
    [
        read_pipfile("==1", name=f"-{LONG}"),
        read_pipfile({"version": ">1"}, name=LONG),
        read_pipfile({"version": "==1", "hashes": [f"{LONG}:1"]}),
        read("poetry.lock", f'{POETRY}[metadata.files]\n"{LONG}" = 1'),
        read("pdm.lock", f'{PDM}[a."{LONG}"]\n[a."{LONG}"]'),
        read_entry("poetry.lock", f'name = "-{LONG}"\nversion = "1"'),
        read_entry(
            "pylock.toml",
            f'name = "demo"\nsdist = {{name = "{LONG}", url = "https://x/y", hashes = {{sha256 = "{A}"}}}}',
        ),
    ],
)
def test_a_message_is_cut_when_a_text_of_the_lock_is_long(lock: Lock) -> None:
    said = message_of(lock)
    assert "d" * 150 in said
    assert "…" in said
    assert len(said) < 550


@pytest.mark.parametrize("key", ["marker", "environments"])
def test_a_pylock_is_refused_in_words_when_a_marker_has_too_many_brackets(key: str) -> None:
    marker = f"{'(' * 5000}os_name == 'x'{')' * 5000}"
    lines = {
        "marker": f'{PYLOCK}\n[[packages]]\nname = "demo"\nversion = "1"\nmarker = "{marker}"',
        "environments": f'{PYLOCK}environments = ["{marker}"]\npackages = []',
    }
    said = message_of(read("pylock.toml", lines[key]))
    assert "cannot be read: nested too deeply" in said
    assert "recursion" not in said
