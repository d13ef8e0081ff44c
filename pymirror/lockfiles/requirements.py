"""``pip freeze`` output and requirements files with ``--hash``.

Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import codecs
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name
from pip_requirements_parser import InstallRequirement, RequirementsFile

from pymirror.errors import Problem
from pymirror.lockfiles.interface import Lock
from pymirror.spec.model import Origin, Pin, Unservable

# The lengths, in hexadecimal digits, of the hashes that pip's --hash takes.
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_LINE = 20_000  # the parser's time grows with the square of a line's length

# They say how pip is to reach or install things, not what is installed.
_HARMLESS_OPTIONS = frozenset(
    {
        "index_url", "extra_index_urls", "no_index", "find_links", "trusted_hosts", "require_hashes",
        "format_control", "no_binary", "only_binary", "prefer_binary", "pre", "features_enabled", "use_features",
    }
)  # fmt: skip


@dataclass(slots=True)
class _Findings:
    file: str
    pins: list[Pin] = field(default_factory=list)
    unservable: list[Unservable] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def origin(self, line: int | None, text: str) -> Origin:
        return Origin(file=self.file, line=line, text=text)

    def problem(self, line: int | None, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(file=self.file, line=line, key="", message=message, hint=hint))


def read_requirements(data: bytes, *, file: str) -> Lock:
    """The pins of a requirements file; a line that pins nothing is a problem, one that no index serves is named."""
    findings = _Findings(file)
    if len(data) > MAX_FILE_BYTES:
        findings.problem(None, f"{len(data)} bytes; a lock file may have {MAX_FILE_BYTES}")
        return _lock(findings)
    # PowerShell writes `pip freeze > requirements.lock` as UTF-16, with a mark.
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        findings.problem(None, f"not UTF-8 text (byte {error.start})")
        return _lock(findings)
    if "\0" in text:
        findings.problem(None, "not text: it holds NUL characters")
        return _lock(findings)
    if any(len(line) > MAX_LINE for line in text.splitlines()):
        findings.problem(None, f"has a line of more than {MAX_LINE} characters")
        return _lock(findings)
    parsed = _parse(text)
    for requirement in parsed.requirements:
        _read_line(requirement, findings)
    for option in parsed.options:
        line = option.requirement_line.line_number
        if not option.options:
            # A --hash that has lost its requirement is one of these: the pin would be left without its hash.
            findings.problem(line, "not a line of a requirements file", "a --hash follows its requirement, after a \\")
        for name in option.options:
            if name in ("requirements", "constraints"):
                findings.problem(line, "names another file with -r or -c", "list that file under lockfiles: too")
            elif name not in _HARMLESS_OPTIONS:
                findings.problem(line, f'unknown option "{name}"')
    for invalid in parsed.invalid_lines:
        # The parser's own words name its own program, and its line may hold a credential.
        findings.problem(invalid.requirement_line.line_number, "not a line of a requirements file")
    return _lock(findings)


def _parse(text: str) -> RequirementsFile:
    """The parser reads only files; it gets a copy, so that what is parsed is what was checked."""
    with tempfile.TemporaryDirectory(prefix="pymirror-") as folder:
        copy = Path(folder, "requirements.txt")
        copy.write_text(text, encoding="utf-8-sig")  # the mark outdoes a "coding" comment
        return RequirementsFile.from_file(str(copy), include_nested=False)


def _lock(findings: _Findings) -> Lock:
    return Lock(pins=tuple(findings.pins), unservable=tuple(findings.unservable), problems=tuple(findings.problems))


def _read_line(requirement: InstallRequirement, findings: _Findings) -> None:
    line: int = requirement.requirement_line.line_number
    name: str | None = requirement.name
    if requirement.is_editable:
        findings.unservable.append(
            Unservable(origin=findings.origin(line, f"-e {name or '…'}"), problem="an editable project")
        )
        return
    if requirement.link is not None or name is None:
        findings.unservable.append(
            Unservable(
                origin=findings.origin(line, f"{name} @ …" if name else "a path or a URL"),
                problem="not from an index: a URL, a version control address or a local path",
            )
        )
        return
    hashes = _read_hashes(requirement.hash_options, line, findings)
    specifier = requirement.req.specifier
    clauses = list(specifier)
    exact = [c for c in clauses if c.operator == "===" or (c.operator == "==" and not c.version.endswith(".*"))]
    if not exact or any(not clause.version.strip() for clause in clauses):
        findings.problem(
            line, f'"{requirement.req}" is not pinned with ==', "a lock is exact; put ranges under projects:"
        )
        return
    findings.pins.append(
        Pin(
            project=canonicalize_name(name),
            specifier=specifier,
            hashes=hashes,
            extras=frozenset(canonicalize_name(extra) for extra in requirement.req.extras),
            marker=str(requirement.marker) if requirement.marker else None,
            origin=findings.origin(line, f"{name}{specifier}"),
        )
    )


def _read_hashes(options: list[str], line: int, findings: _Findings) -> frozenset[tuple[str, str]]:
    hashes = set()
    for option in options:
        algorithm, _, digest = option.partition(":")
        length = _DIGEST_LENGTHS.get(algorithm.lower())
        if length is None:
            findings.problem(line, f'unknown hash "{algorithm}"', f"known: {', '.join(_DIGEST_LENGTHS)}")
        elif not re.fullmatch(rf"[0-9A-Fa-f]{{{length}}}", digest):
            findings.problem(line, f"a {algorithm.lower()} hash has {length} hexadecimal digits")
        else:
            hashes.add((algorithm.lower(), digest.lower()))
    return frozenset(hashes)
