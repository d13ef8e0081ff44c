"""The text of a requirements file → its statements, read by pip's own code.

Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import enum
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from pip_requirements_parser import InstallRequirement, OptionLine, RequirementsFile

from pymirror.lockfiles.entries import NOT_A_VERSION_HINT, odd_version

MAX_LINE = 20_000  # the parser's time grows with the square of a line's length

NOT_A_LINE = "not a line of a requirements file"

# They say how pip is to reach or install things, not what is installed.
_HARMLESS_OPTIONS = frozenset(
    {
        "index_url", "extra_index_urls", "no_index", "find_links", "trusted_hosts", "require_hashes",
        "format_control", "no_binary", "only_binary", "prefer_binary", "pre", "features_enabled", "use_features",
    }
)  # fmt: skip
# The same, of a newer pip than the one whose code reads the file: whether each takes a value.
_NEW_OPTIONS = {
    "--config-settings": True,
    "--config-setting": True,
    "-C": True,
    "--all-releases": True,
    "--only-final": True,
    "--uploaded-prior-to": True,
    "--no-require-hashes": False,
}
_NEW_OPTION = re.compile(r"-C|--(?:config-setting|all-releases|only-final|uploaded-prior-to|no-require-hashes)")
_WORD = re.compile(r"(?:\"(?:[^\"\\]|\\.)*+\"|'[^']*+'|\\.|[^\s\"'\\])++")  # as a shell splits them
_QUOTING = re.compile(r"[\"']|\\(?=.)")
_COMMENT = re.compile(r"(?<!\S)#.*$")
_OPTIONS = re.compile(r"(?:^| )-.*$")

_CONDA = re.compile(r"[A-Za-z0-9_.-]+=[^=\s]+=[^=\s]+")

_NESTED_OPTIONS = {"requirements": "-r", "constraints": "-c"}

# pip-compile and uv write who needs a project: "# via one, two", or "# via" and a comment for each below it.
_VIA = re.compile(r"#\s*via\b(.*)")
_VIA_NAME = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[^\]]*\])?")


class Source(enum.Enum):
    """Where a requirement comes from."""

    INDEX = enum.auto()
    EDITABLE = enum.auto()
    DIRECT = enum.auto()  # a URL, a version control address or a local path


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A line that asks for a project; ``text`` is the line without its comment, and may hold a credential.

    ``shown`` is for messages, and ``hashes`` are as they stand there; both are empty where no index is asked.
    """

    line: int
    text: str = field(repr=False)
    source: Source
    name: str | None
    shown: str = ""
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    extras: frozenset[str] = frozenset()
    marker: str | None = None
    hashes: tuple[str, ...] = ()
    via: tuple[NormalizedName, ...] = ()

    @property
    def project(self) -> NormalizedName | None:
        return None if self.name is None else canonicalize_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """A line that names another file with ``-r`` or ``-c``."""

    line: int
    option: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A line that cannot be used."""

    line: int | None
    message: str
    hint: str | None = None


Statement = Requirement | Nested | Mistake


def parse_requirements(text: str) -> list[Statement]:
    """The statements in the order of the file; options that only say how to reach or install things are left out."""
    lines = text.splitlines()
    if any(len(line) > MAX_LINE for line in lines):
        return [Mistake(line=None, message=f"has a line of more than {MAX_LINE} characters")]
    parsed = _parse("\n".join(_without_new_options(lines)) if _NEW_OPTION.search(text) else text)
    statements: list[Statement] = [_read_requirement(requirement, lines) for requirement in parsed.requirements]
    for option in parsed.options:
        statements += _read_option(option)
    for bad in parsed.invalid_lines:
        statements.append(_read_mistake(bad.requirement_line.line_number, bad.requirement_line.line.strip()))
    return sorted(statements, key=lambda statement: statement.line or 0)


def _read_mistake(line: int, text: str) -> Mistake:
    """The parser's own words name its own program, and its line may hold a credential: neither is repeated."""
    if problem := odd_version(text):
        return Mistake(line=line, message=problem, hint=NOT_A_VERSION_HINT)
    if _CONDA.fullmatch(text):
        return Mistake(line=line, message=NOT_A_LINE, hint="this is one of conda; write the file with `pip freeze`")
    return Mistake(line=line, message=NOT_A_LINE)


def _without_new_options(lines: list[str]) -> list[str]:
    """As many lines, of which a statement that has one of the new options stands, without it, on its first."""
    found: list[str] = []
    start = 0
    while start < len(lines):
        end = start
        while _goes_on(lines[end]) and end + 1 < len(lines):
            end += 1
        part = lines[start : end + 1]
        joined = "".join(map(_bare, part))
        stripped = _strip_options(_COMMENT.sub("", joined).strip()) if _NEW_OPTION.search(joined) else None
        found += part if stripped is None else [stripped, *[""] * (len(part) - 1)]
        start = end + 1
    return found


def _goes_on(line: str) -> bool:
    """Whether the parser joins the next line to ``line``; a comment of its own line ends a statement."""
    return line.endswith("\\") and not line.lstrip().startswith("#")


def _bare(line: str) -> str:
    """The part of a statement that ``line`` is."""
    if line.lstrip().startswith("#"):
        return f" {line}"
    return line.strip("\\") if line.endswith("\\") else line


def _strip_options(statement: str) -> str | None:
    """``statement`` without its new options; ``None`` where it has none, or where they cannot be told."""
    options = _OPTIONS.search(statement)
    if options is None:
        return None
    words = list(_WORD.finditer(statement, options.start()))
    kept = statement[: options.start()].rstrip()
    index = 0
    is_changed = False
    while index < len(words):
        name, sign, _ = _QUOTING.sub("", words[index][0]).partition("=")
        if not name.startswith("--") and name.startswith("-C") and len(name) > 2:
            name, sign = "-C", "="
        if name not in _NEW_OPTIONS:
            kept += f" {words[index][0]}"
        else:
            is_changed = True
            if _NEW_OPTIONS[name] and not sign:
                index += 1
                if index == len(words) or _QUOTING.sub("", words[index][0]).startswith("--hash"):
                    return None
        index += 1
    rest = _WORD.sub("", statement[options.start() :]).strip()  # a quote that is not closed
    return kept.strip() if is_changed and not rest else None


def _parse(text: str) -> RequirementsFile:
    """The parser reads only files; it gets a copy, so that what is parsed is what was checked."""
    with tempfile.TemporaryDirectory(prefix="pymirror-") as folder:
        copy = Path(folder, "requirements.txt")
        copy.write_text(text, encoding="utf-8-sig")  # the mark outdoes a "coding" comment
        return RequirementsFile.from_file(str(copy), include_nested=False)


def _read_option(option: OptionLine) -> list[Statement]:
    line: int = option.requirement_line.line_number
    if not option.options:
        # A --hash that has lost its requirement is one of these: the pin would be left without its hash.
        return [Mistake(line=line, message=NOT_A_LINE, hint="a --hash follows its requirement, after a \\")]
    statements: list[Statement] = []
    for name, value in option.options.items():
        if name in _NESTED_OPTIONS:
            statements += [Nested(line=line, option=_NESTED_OPTIONS[name], path=path) for path in value]
        elif name not in _HARMLESS_OPTIONS:
            statements.append(Mistake(line=line, message=f'unknown option "{name}"'))
    return statements


def _read_requirement(requirement: InstallRequirement, lines: list[str]) -> Requirement:
    line: int = requirement.requirement_line.line_number
    text: str = requirement.requirement_line.line.strip()
    name: str | None = requirement.name
    if requirement.is_editable or requirement.link is not None or name is None:
        source = Source.EDITABLE if requirement.is_editable else Source.DIRECT
        return Requirement(line=line, text=text, source=source, name=name)
    return Requirement(
        line=line,
        text=text,
        source=Source.INDEX,
        name=name,
        shown=str(requirement.req),
        specifier=requirement.req.specifier,
        extras=frozenset(canonicalize_name(extra) for extra in requirement.req.extras),
        marker=str(requirement.marker) if requirement.marker else None,
        hashes=tuple(requirement.hash_options),
        via=_read_via(lines, line - 1),
    )


def _read_via(lines: list[str], start: int) -> tuple[NormalizedName, ...]:
    """The projects of the comment at the end of the statement that begins at ``start``, and of those below it."""
    end = start
    while lines[end].rstrip().endswith("\\") and end + 1 < len(lines):
        end += 1
    comments = [f"#{lines[end].partition(' #')[2]}"]
    for line in lines[end + 1 :]:
        if not line.lstrip().startswith("#") or line.startswith("#"):
            break
        comments.append(line.strip())
    beginning = next((index for index, comment in enumerate(comments) if _VIA.match(comment)), None)
    if beginning is None:
        return ()
    texts = [_VIA.sub(r"\1", comments[beginning], count=1), *(c.lstrip("#") for c in comments[beginning + 1 :])]
    names = (match[1] for text in texts for part in text.split(",") if (match := _VIA_NAME.fullmatch(part.strip())))
    return tuple(sorted({canonicalize_name(name) for name in names}))
