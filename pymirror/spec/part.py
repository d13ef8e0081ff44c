"""One document of a spec: the spec itself, or a file that it includes; and how its texts become names and patterns."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name

from pymirror.spec.document import Path as KeyPath
from pymirror.spec.document import Reading, quote
from pymirror.spec.model import Origin, is_glob
from pymirror.spec.schema import Document

ReadFile = Callable[[Path], bytes]

MAX_TEXT = 2000  # of a requirement or a specifier; numbers and markers without end stop the parser

_GLOB_NAME = re.compile(r"[A-Za-z0-9._*?-]+")
_RELEASES = re.compile(r"\s*([A-Za-z0-9._*?-]+)\s*(.*)", re.DOTALL)
_FILE_GLOB = re.compile(r"[A-Za-z0-9._+!*?\[\]-]+")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A document, its lines and problems, and ``folder``, where it lies as seen from the spec's own folder.

    ``parent`` is the line of ``include`` that named it.
    """

    reading: Reading
    document: Document
    folder: str
    parent: Origin | None = None

    def is_given(self, *path: str) -> bool:
        return self.reading.is_given(path)

    def add(self, path: KeyPath, message: str, hint: str | None = None) -> None:
        """Notes a problem."""
        self.reading.add(path, message, hint)

    def origin(self, path: KeyPath, text: str) -> Origin:
        return Origin(file=self.reading.file, line=self.reading.line_of(path), text=text, parent=self.parent)

    def locate(self, name: str) -> str:
        """A file that this document names, as seen from the spec's folder."""
        return posixpath.normpath(posixpath.join(self.folder, name))

    # ── texts → values, or a problem ────────────────────────────────────────────────────────────

    def requirement(self, text: str, path: KeyPath) -> Requirement | None:
        try:
            requirement = Requirement(text) if len(text) <= MAX_TEXT else None
        except InvalidRequirement as error:
            self.add(path, f"{quote(text)} is not a requirement: {str(error).splitlines()[0]}")
            return None
        except (RecursionError, ValueError):
            requirement = None  # brackets without end, numbers of thousands of digits
        if requirement is None:
            self.add(path, f"{quote(text)} is not a requirement that can be read")
            return None
        if requirement.url:
            # The URL may hold a credential, so it is not repeated.
            self.add(path, f'"{requirement.name} @ …" names a URL, which no index can serve')
            return None
        return requirement

    def specifier(self, text: str, path: KeyPath) -> SpecifierSet | None:
        try:
            if len(text) <= MAX_TEXT:
                return SpecifierSet(text)
        except InvalidSpecifier:
            hint = f'did you mean "=={text}"?' if re.fullmatch(r"[0-9][0-9A-Za-z.]*", text.strip()) else None
            self.add(path, f"{quote(text)} is not a version specifier", hint)
            return None
        except ValueError:
            pass  # a number of thousands of digits
        self.add(path, f"{quote(text)} is not a version specifier that can be read")
        return None

    def releases(self, text: str, path: KeyPath) -> tuple[str, SpecifierSet] | None:
        """``urllib3 <2.2`` or ``*-nightly``: a name or a glob over names, and a specifier."""
        match = _RELEASES.fullmatch(text)
        if match is None:
            self.add(path, f"{quote(text)} is neither a project nor a pattern")
            return None
        specifier = self.specifier(match.group(2), path)
        pattern = self.pattern(match.group(1), path)
        return None if specifier is None or pattern is None else (pattern, specifier)

    def pattern(self, text: str, path: KeyPath) -> str | None:
        """``text`` as a normalized name, or as a glob over such names."""
        if not _GLOB_NAME.fullmatch(text):
            self.add(path, f"{quote(text)} is neither a project nor a pattern")
            return None
        if is_glob(text):
            return re.sub(r"[-_.]+", "-", text).lower()
        try:
            return canonicalize_name(text, validate=True)
        except InvalidName:
            self.add(path, f"{quote(text)} is not a project name")
            return None

    def file_glob(self, text: str, path: KeyPath) -> str | None:
        """``text`` as a file name, or as a glob over file names."""
        if _FILE_GLOB.fullmatch(text):
            return text
        self.add(path, f"{quote(text)} is no file name and no pattern of one", 'like "demo-1.0-*-win_amd64.whl"')
        return None

    def file_globs(self, texts: list[str], path: KeyPath) -> tuple[str, ...]:
        globs = (self.file_glob(text, (*path, index)) for index, text in enumerate(texts))
        return tuple(each for each in globs if each is not None)
