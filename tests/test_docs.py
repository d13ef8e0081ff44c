"""The documents say what the program does: help, exit codes, keys, defaults, examples and links are compared."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import msgspec
import pytest

from pymirror.cli import cli
from pymirror.errors import ExitCode, SpecError
from pymirror.spec.load import load_spec
from pymirror.spec.model import Spec
from pymirror.spec.schema import Document, NetworkEntry, ProjectEntry, UpstreamEntry
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SPEC_PAGE = ROOT / "docs" / "spec.md"
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


_HELP = re.compile(r"\$ pymirror ((?:\w+ )?)--help\n(.*)", re.DOTALL)


def _help_blocks() -> list[tuple[str, str]]:
    """(command, help) of every help text that the README quotes; the command is empty for the program's own."""
    matches = (_HELP.fullmatch(block.text) for block in _blocks(README, info="console"))
    return [(match[1].strip(), match[2]) for match in matches if match]


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


# ── docs/spec.md ────────────────────────────────────────────────────────────────────────────────────


def _keys(struct: type[msgspec.Struct], prefix: str = "") -> set[str]:
    return {f"{prefix}{field.encode_name}" for field in msgspec.structs.fields(struct)}


def test_every_key_has_its_place_in_the_spec_page() -> None:
    headings = re.findall(r"^### `([^`]+)`$", SPEC_PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(headings) == len(set(headings))
    assert set(headings) == (
        _keys(Document)
        | _keys(UpstreamEntry, "upstreams[].")
        | _keys(ProjectEntry, "projects[].")
        | _keys(NetworkEntry, "network.")
    )


def test_every_word_that_a_key_takes_is_in_the_spec_page() -> None:
    text = SPEC_PAGE.read_text(encoding="utf-8")
    for field in msgspec.structs.fields(Document):
        for choice in get_args(field.type):
            if isinstance(choice, str):  # of a Literal
                assert f"| `{choice}` |" in text


def _load(text: str) -> Spec:
    """The spec of a block. A block that shows a part is completed with what every spec needs."""
    if "output:" not in text:
        text += "output: mirror\n"
    if "projects:" not in re.sub(r"^ .*", "", text, flags=re.MULTILINE) and "lockfiles:" not in text:
        text += "projects: [six]\n"

    def read(path: Path) -> bytes:
        return text.encode() if path.name == "mirror.yaml" else b"six==1.17.0\n"

    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "secret")
    return load_spec(Path("mirror.yaml"), read=read, environ=environ)


@pytest.mark.parametrize(
    "block", [block for block in _blocks(*DOCUMENTS, info="yaml") if "wrong" not in block.info], ids=_name
)
def test_example_is_a_spec(block: Block) -> None:
    assert _load(block.text).projects()


@pytest.mark.parametrize(
    "block", [block for block in _blocks(SPEC_PAGE, info="yaml") if "defaults" in block.info], ids=_name
)
def test_defaults_are_the_defaults(block: Block) -> None:
    shown, default = _load(block.text), _load("")

    assert shown.network == default.network
    assert (shown.package_types, shown.yanked, shown.require_hashes) == (
        default.package_types,
        default.yanked,
        default.require_hashes,
    )
    assert [rule.prereleases for rule in shown.rules] == [rule.prereleases for rule in default.rules]
    keys = set(re.findall(r"^ *([a-z-]+):", block.text, re.MULTILINE))
    assert keys == ({"network"} | _keys(NetworkEntry) if "network" in keys else keys & _keys(Document))


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
