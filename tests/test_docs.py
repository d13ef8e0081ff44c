"""The documents say what the program does: help, exit codes, keys, defaults, examples and links are compared."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin
from urllib.parse import unquote

import msgspec
import pytest
import yaml
from msgspec import structs

from pymirror.cli import cli
from pymirror.environment import make_environment
from pymirror.errors import ExitCode, SpecError
from pymirror.lockfiles import LockFormat
from pymirror.spec.load import load_spec
from pymirror.spec.model import Spec
from pymirror.spec.schema import (
    Document,
    EnvironmentEntry,
    EnvironmentProduct,
    ExcludeEntry,
    FileEntry,
    KeepLatestEntry,
    NetworkEntry,
    ProjectEntry,
    UpstreamEntry,
)
from pymirror.storage.local import FILE_MODE, FOLDER_MODE
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SPEC_PAGE = ROOT / "docs" / "spec.md"
EXAMPLE = ROOT / "examples" / "mirror.yaml"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

# Documents name no public index; their examples use the hosts that are reserved for it (RFC 2606).
_EXAMPLE_HOST = re.compile(r"localhost|127\.0\.0\.1|(?:[a-z0-9-]+\.)*example\.com|…")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after the fence, and the text inside."""

    file: str
    line: int
    info: tuple[str, ...]
    text: str


def _read_blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\S[^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(path.name, line, tuple(match[1].split()), match[2])


def _blocks(*paths: Path, info: str) -> list[Block]:
    return [block for path in paths for block in _read_blocks(path) if block.info[0] == info]


def _name(block: Block) -> str:
    return f"{block.file}:{block.line}"


# ── the README ──────────────────────────────────────────────────────────────────────────────────────


_HELP = re.compile(r"^\$ pymirror ((?:\w+ )?)--help\n(.*?)(?=\n^\$ |\Z)", re.MULTILINE | re.DOTALL)


def _help_blocks() -> list[tuple[str, str]]:
    """(command, help) of every help text that the README quotes; the command is empty for the program's own."""
    found = (match for block in _blocks(README, info="console") for match in _HELP.finditer(block.text))
    return [(match[1].strip(), match[2]) for match in found]


@pytest.mark.parametrize(("command", "quoted"), _help_blocks(), ids=[name or "pymirror" for name, _ in _help_blocks()])
def test_readme_quotes_the_help(command: str, quoted: str, environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pymirror", *command.split(), "--help"],
        env=environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert quoted == done.stdout


def test_readme_has_every_command() -> None:
    text = README.read_text(encoding="utf-8")

    assert {name for name, _ in _help_blocks()} == {"", *cli.commands}
    assert set(re.findall(r"^\| `pymirror (\w+)` \|", text, re.MULTILINE)) == set(cli.commands)


def test_readme_has_every_exit_code() -> None:
    rows = re.findall(r"^\| (\d+) \| \S", README.read_text(encoding="utf-8"), re.MULTILINE)

    assert [int(row) for row in rows] == sorted(ExitCode)


def test_readme_names_the_lines_of_the_example() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    named = re.findall(r"examples/mirror\.yaml:(\d+): ([\w.-]+)", README.read_text(encoding="utf-8"))

    assert named
    assert [(number, word) for number, word in named if word not in lines[int(number) - 1]] == []


# ── docs/spec.md ────────────────────────────────────────────────────────────────────────────────────


# Where the page describes the keys of each mapping.
STRUCTS: dict[type[msgspec.Struct], str] = {
    Document: "",
    UpstreamEntry: "upstreams[].",
    ProjectEntry: "projects[].",
    FileEntry: "files[].",
    ExcludeEntry: "exclude[].",
    EnvironmentProduct: "environments.",
    EnvironmentEntry: "environments[].",
    KeepLatestEntry: "keep-latest.",
    NetworkEntry: "network.",
}


def _keys(struct: type[msgspec.Struct], prefix: str = "") -> set[str]:
    return {f"{prefix}{field.encode_name}" for field in msgspec.structs.fields(struct)}


def _parts(annotation: object) -> Iterator[object]:
    """A type and everything that it is made of."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _parts(part)


def _words(struct: type[msgspec.Struct]) -> set[str]:
    """The literal words that the keys of a mapping take."""
    parts = [part for field in msgspec.structs.fields(struct) for part in _parts(field.type)]
    return {word for part in parts if get_origin(part) is Literal for word in get_args(part)}


def test_every_mapping_is_described() -> None:
    found: set[object] = {Document}
    for struct in STRUCTS:
        found |= {part for field in msgspec.structs.fields(struct) for part in _parts(field.type)}

    assert {part for part in found if isinstance(part, type) and issubclass(part, msgspec.Struct)} == set(STRUCTS)


def test_every_key_has_its_place_in_the_spec_page() -> None:
    headings = re.findall(r"^### `([^`]+)`$", SPEC_PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(headings) == len(set(headings))
    assert set(headings) == {key for struct, prefix in STRUCTS.items() for key in _keys(struct, prefix)}


def test_every_word_that_a_key_takes_is_in_the_spec_page() -> None:
    text = SPEC_PAGE.read_text(encoding="utf-8")
    words = {word for struct in STRUCTS for word in _words(struct)}

    assert {"all", "fallback", "pinned", "quarantine", "minor"} <= words
    assert [word for word in sorted(words) if f"| `{word}` |" not in text] == []


def test_every_lock_format_is_in_the_spec_page() -> None:
    names = {name for name in LockFormat if name is not LockFormat.REQUIREMENTS}

    assert names == {name for name in LOCKS if name != "requirements.lock"}
    assert [name for name in sorted(names) if f"| `{name}`" not in SPEC_PAGE.read_text(encoding="utf-8")] == []


def _written(heading: str) -> list[str]:
    """The words in the first column of the table below a heading."""
    text = SPEC_PAGE.read_text(encoding="utf-8")
    below = text[text.index(f"### `{heading}`\n") :].split("\n### ")[0]
    return [word for row in re.findall(r"^\| (`.*?) \|", below, re.MULTILINE) for word in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("platform", _written("environments.platform"))
def test_platform_of_the_spec_page_is_known(platform: str) -> None:
    assert make_environment("3.12", platform)


@pytest.mark.parametrize("python", _written("environments.python"))
def test_python_of_the_spec_page_is_known(python: str) -> None:
    assert make_environment(python.strip('"'), "linux")


@pytest.mark.parametrize("cutoff", _written("exclude-newer"))
def test_date_of_the_spec_page_can_be_read(cutoff: str) -> None:
    assert _load(f"exclude-newer: {cutoff}\n").filters.exclude_newer


# A lock of each format with six in it, by its name.
_FILE, _SHA256 = "six-1.17.0-py2.py3-none-any.whl", "0" * 64
LOCKS = {
    "requirements.lock": "six==1.17.0\n",
    "pylock.toml": f"""\
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "six"
version = "1.17.0"
wheels = [{{name = "{_FILE}", url = "https://files.example.com/{_FILE}", hashes = {{sha256 = "{_SHA256}"}}}}]
""",
    "uv.lock": f"""\
version = 1
[[package]]
name = "six"
version = "1.17.0"
source = {{registry = "https://packages.example.com/simple"}}
wheels = [{{url = "https://files.example.com/{_FILE}", hash = "sha256:{_SHA256}"}}]
""",
    "poetry.lock": f"""\
[[package]]
name = "six"
version = "1.17.0"
files = [{{file = "{_FILE}", hash = "sha256:{_SHA256}"}}]
[metadata]
lock-version = "2.1"
""",
    "pdm.lock": f"""\
[metadata]
lock_version = "4.5.0"
[[package]]
name = "six"
version = "1.17.0"
files = [{{file = "{_FILE}", hash = "sha256:{_SHA256}"}}]
""",
    "Pipfile.lock": '{"_meta": {"pipfile-spec": 6}, "default": {"six": {"version": "==1.17.0"}}}',
}


def _load(text: str) -> Spec:
    """The spec of a block. A block that shows a part is completed with what every spec needs."""
    if "output:" not in text:
        text += "output: mirror\n"
    top_level = re.sub(r"^ .*", "", text, flags=re.MULTILINE)
    if not any(f"{key}:" in top_level for key in ("projects", "files", "lockfiles")):
        text += "projects: [six]\n"
    document = yaml.safe_load(text)
    included, listed = document.get("include", []), document.get("exclude-from", [])

    def read(path: Path) -> bytes:
        if path.as_posix() == "mirror.yaml":
            return text.encode()
        if path.as_posix() in included:
            return b"exclude: ['*-nightly']\n"
        if path.as_posix() in listed:
            return b"- urllib3 <2.2.2\n" if path.suffix == ".yaml" else b"urllib3 <2.2.2  # CVE-2024-37891\n"
        return LOCKS.get(path.name, LOCKS["requirements.lock"]).encode()

    environ = {name: "3" if name.endswith("_RELEASES") else "secret" for name in re.findall(r"\$\{(\w+)\}", text)}
    return load_spec(Path("mirror.yaml"), read=read, environ=environ)


@pytest.mark.parametrize(
    "block", [block for block in _blocks(*DOCUMENTS, info="yaml") if "wrong" not in block.info], ids=_name
)
def test_example_is_a_spec(block: Block) -> None:
    spec = _load(block.text)

    assert spec.projects() or spec.globs()


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_lock_of_the_examples_is_one(name: str) -> None:
    spec = _load(f"lockfiles: [{name}]\n")

    assert [(pin.project, str(pin.specifier)) for pin in spec.pins] == [("six", "==1.17.0")]


def test_example_to_start_from_is_a_spec() -> None:
    spec = load_spec(EXAMPLE, read=Path.read_bytes, environ={})

    assert spec.pins
    assert spec.output == EXAMPLE.parent / "mirror"


def test_what_is_commented_out_in_the_example_is_a_spec_too() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    text = re.sub(r"^# (?=[a-z ])", "", text, flags=re.MULTILINE)  # prose begins with a capital

    spec = _load(text)

    assert spec.upstreams
    assert spec.filters.environments
    assert spec.max_total_size
    assert spec.allow_newer


@pytest.mark.parametrize(
    "block", [block for block in _blocks(SPEC_PAGE, info="yaml") if "defaults" in block.info], ids=_name
)
def test_defaults_are_the_defaults(block: Block) -> None:
    shown, default = _load(block.text), _load("")

    assert shown.network == default.network
    assert structs.replace(shown.filters, origins=()) == structs.replace(default.filters, origins=())
    assert (shown.max_removal, shown.allow_http) == (default.max_removal, default.allow_http)
    assert shown.site.file_mode in (None, FILE_MODE)
    assert shown.site.folder_mode in (None, FOLDER_MODE)
    assert (shown.require_hashes, shown.on_upstream_removal) == (default.require_hashes, default.on_upstream_removal)
    keys = set(re.findall(r"^ *([a-z-]+):", block.text, re.MULTILINE))
    with_defaults = {"network"} | _keys(NetworkEntry) - {"ca-file", "max-rate"}
    assert keys == (with_defaults if "network" in keys else keys & _keys(Document))


def test_defaults_are_shown_of_every_key_that_has_one() -> None:
    shown = {
        key
        for block in _blocks(SPEC_PAGE, info="yaml")
        if "defaults" in block.info
        for key in re.findall(r"^([a-z-]+):", block.text, re.MULTILINE)
    }
    said = r"^### `([a-z-]+)`\n\n[^\n]*(?:default: none|required)\b"
    without = set(re.findall(said, SPEC_PAGE.read_text(encoding="utf-8"), re.MULTILINE))

    assert shown == _keys(Document) - without


def test_mistakes_are_told_as_the_spec_page_shows() -> None:
    blocks = list(_read_blocks(SPEC_PAGE))
    (wrong,) = (number for number, block in enumerate(blocks) if "wrong" in block.info)

    with pytest.raises(SpecError) as caught:
        _load(blocks[wrong].text)

    assert blocks[wrong + 1].text == f"{caught.value}\n{len(caught.value.problems)} problems; nothing was touched\n"


def test_file_above_the_limit_is_a_failure(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]", network="retries: 0, max-file-size: 100 B")

    run = mirror.sync(code=1)

    assert "demo-1.0-py3-none-any.whl" in run.err
    assert mirror.pool() == []


def test_mistake_in_a_password_does_not_tell_it() -> None:
    with pytest.raises(SpecError) as caught:
        _load("upstreams: [{url: 'https://packages.example.com/simple/', username: me, password: 8315562}]\n")

    assert "upstreams[0].password" in str(caught.value)
    assert "8315562" not in str(caught.value)


def test_url_with_a_password_that_is_not_encoded_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        _load("upstreams: [{url: 'https://me:1/two@packages.example.com/simple/'}]\n")

    assert "two" not in str(caught.value)


# ── all documents ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = unquote(target).partition("#")
        found = path.parent / file if file else path
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings], target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_hosts_are_those_of_examples(path: Path) -> None:
    hosts = re.findall(r"https?://(?:[^/\s@]*@)?([^/\s:`\")]+)", path.read_text(encoding="utf-8"))

    assert [host for host in hosts if not _EXAMPLE_HOST.fullmatch(host)] == []


def test_every_test_that_reliability_names_is_there() -> None:
    tests = {
        name
        for path in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w.…])(test_\w+)(?![\w.…])", text))

    assert len(named) > 100
    assert named - tests == set()
