"""A requirements file and those that it names with ``-r`` and ``-c``, as pip follows them.

Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/#referring-to-other-requirements-files
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from pymirror.lockfiles.findings import MAX_FILE_BYTES, Findings, decode, shown
from pymirror.lockfiles.interface import ReadNested
from pymirror.lockfiles.requirements import Mistake, Nested, Requirement, parse_requirements
from pymirror.spec.model import Origin

MAX_DEPTH = 50
MAX_FILES = 1000

_URL = re.compile(r"(?:https?|file|ftp|s3|git\+\w+):|.*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A requirement, and the findings of the file that it stands in."""

    requirement: Requirement
    findings: Findings

    def origin(self, text: str) -> Origin:
        return self.findings.origin(self.requirement.line, text)

    def problem(self, message: str, hint: str | None = None) -> None:
        self.findings.problem(self.requirement.line, message, hint)


@dataclass(slots=True)
class Files:
    """The requirements and the constraints of a file and of those below it; each file is read once in each role."""

    read: ReadNested
    requirements: list[Found] = field(default_factory=list)
    constraints: list[Found] = field(default_factory=list)
    _visited: set[tuple[str, bool]] = field(default_factory=set)
    _bytes: int = 0

    def add(self, data: bytes, findings: Findings) -> None:
        """Reads ``data``, the content of the file that the spec names."""
        self._visited.add((posixpath.normpath(findings.file), False))
        self._add(data, findings, path=findings.file, is_constraint=False, chain=(posixpath.normpath(findings.file),))

    def _add(self, data: bytes, findings: Findings, *, path: str, is_constraint: bool, chain: tuple[str, ...]) -> None:
        self._bytes += len(data)
        text = decode(data, findings)
        for statement in parse_requirements(text) if text is not None else ():
            if isinstance(statement, Requirement):
                (self.constraints if is_constraint else self.requirements).append(Found(statement, findings))
            elif isinstance(statement, Mistake):
                findings.problem(statement.line, statement.message, statement.hint)
            else:
                self._follow(statement, findings, path, chain)

    def _follow(self, nested: Nested, findings: Findings, path: str, chain: tuple[str, ...]) -> None:
        """Reads the file that ``nested`` names; its path is from the folder of the file at ``path``, as with pip.

        A file is known by its path without ``..``; it is read by the path as it stands, which may lead through links.
        """
        if _URL.match(nested.path):
            findings.problem(
                nested.line, f"names a file by URL with {nested.option}", "nothing is fetched; keep a copy beside it"
            )
            return
        location = posixpath.join(posixpath.dirname(path), nested.path)
        name = posixpath.normpath(location)
        is_constraint = nested.option == "-c"  # and -r within a -c asks for projects again
        if name in chain:
            circle = " → ".join(map(shown, (*chain[chain.index(name) :], name)))
            findings.problem(nested.line, f'"{shown(name)}" includes itself: {circle}')
        elif (name, is_constraint) not in self._visited:
            self._visited.add((name, is_constraint))
            data = self._load(nested, location, name, findings, depth=len(chain))
            if data is not None:
                origin = findings.origin(nested.line, f"{nested.option} {nested.path}")
                self._add(
                    data,
                    findings.nested(name, origin),
                    path=location,
                    is_constraint=is_constraint,
                    chain=(*chain, name),
                )

    def _load(self, nested: Nested, location: str, name: str, findings: Findings, *, depth: int) -> bytes | None:
        if depth >= MAX_DEPTH:
            findings.problem(nested.line, f"files are nested more than {MAX_DEPTH} deep")
            return None
        if len(self._visited) > MAX_FILES:
            findings.problem(nested.line, f"names, with the files below it, more than {MAX_FILES} files")
            return None
        try:
            data = self.read(location)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            findings.problem(nested.line, f'"{shown(name)}" cannot be read: {reason or "not a path"}')
            return None
        if self._bytes + len(data) > MAX_FILE_BYTES:
            findings.problem(nested.line, f"the files are more than {MAX_FILE_BYTES} bytes together")
            return None
        return data
