"""The files that a spec names: those that it includes, its lock files and its block lists."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from pymirror.errors import Problem
from pymirror.spec.document import MAX_DOCUMENT_BYTES, Reading, quote
from pymirror.spec.document import Path as KeyPath
from pymirror.spec.model import ReleaseRule, Unservable
from pymirror.spec.part import Part, ReadFile
from pymirror.spec.rules import read_exclude
from pymirror.spec.schema import Document, ExcludeEntry

if TYPE_CHECKING:
    from pymirror.lockfiles import Lock

MAX_INCLUDES = 100


class Files:
    """Reads what lies beside a spec, and collects the problems of all that it reads."""

    def __init__(self, spec: Path, read: ReadFile, environ: Mapping[str, str]) -> None:
        self._folder = spec.parent
        self._name = spec.name
        self._read = read
        self._environ = environ
        self._parts: dict[str, Part | None] = {}
        self.readings: list[Reading] = []
        self.problems: list[Problem] = []

    # ── include ─────────────────────────────────────────────────────────────────────────────────

    def parts(self, main: Part) -> list[Part]:
        """``main`` and what it includes, each once, what is included before what includes it."""
        found: list[Part] = []
        self._include(main, found, chain=(self._name,))
        return [*found, main]

    def _include(self, part: Part, found: list[Part], chain: tuple[str, ...]) -> None:
        for index, name in enumerate(part.document.include):
            path: KeyPath = ("include", index)
            label = part.locate(name)
            if label in chain:
                part.add(path, f"{quote(name)} includes itself: {' → '.join([*chain, label])}")
            elif label not in self._parts and len(self._parts) >= MAX_INCLUDES:
                part.add(path, f"more than {MAX_INCLUDES} files are included")
            elif label not in self._parts:
                self._parts[label] = included = self._read_part(part, name, label, path)
                if included is not None:
                    self._include(included, found, (*chain, label))
                    found.append(included)

    def _read_part(self, part: Part, name: str, label: str, path: KeyPath) -> Part | None:
        data = self._open(part, name, label, path)
        reading = Reading(label, self._environ)
        self.readings.append(reading)
        node = reading.compose(data) if data is not None else None
        document = reading.read(node, Document) if node is not None else None
        if not isinstance(document, Document):
            return None
        parent = part.origin(path, f"include: {name}")
        return Part(reading=reading, document=document, folder=posixpath.dirname(label), parent=parent)

    # ── lock files ──────────────────────────────────────────────────────────────────────────────

    def locks(self, part: Part) -> Iterator[Lock]:
        """The lock files of one document."""
        if not part.document.lockfiles:
            return
        from pymirror.lockfiles import read_lockfile  # late, for the many specs that name none

        for index, name in enumerate(part.document.lockfiles):
            path: KeyPath = ("lockfiles", index)
            label = part.locate(name)
            data = self._open(part, name, label, path)
            if data is None:
                continue
            lock = read_lockfile(data, file=label, read=self._open_nested, parent=part.origin(path, name))
            self.problems.extend(lock.problems)
            yield lock

    def _open_nested(self, label: str) -> bytes:
        return self._read(self._path(label))

    # ── block lists ─────────────────────────────────────────────────────────────────────────────

    def block_lists(self, part: Part) -> Iterator[ReleaseRule]:
        """The entries of the block lists of one document: YAML, or an entry a line with its reason after a ``#``."""
        for index, name in enumerate(part.document.exclude_from):
            path: KeyPath = ("exclude-from", index)
            label = part.locate(name)
            data = self._open(part, name, label, path)
            if data is None:
                continue
            is_yaml = label.endswith((".yaml", ".yml"))
            reading = Reading(label, self._environ, has_keys=is_yaml)
            self.readings.append(reading)
            parent = part.origin(path, f"exclude-from: {name}")
            listed = Part(reading=reading, document=Document(), folder="", parent=parent)
            entries = _read_yaml_list(listed, data) if is_yaml else _read_lines(listed, data)
            for at, entry, reason in entries:
                rule = read_exclude(listed, entry, at, reason)
                if rule is not None:
                    yield rule

    # ── the disk ────────────────────────────────────────────────────────────────────────────────

    def _path(self, label: str) -> Path:
        return self._folder / label

    def _open(self, part: Part, name: str, label: str, path: KeyPath) -> bytes | None:
        location = self._path(label)
        try:
            return self._read(location)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            hint = None if quote(name) == '"…"' else f"looked for {location.absolute()}"
            part.add(path, f"{quote(name)} cannot be read: {reason}", hint)
            return None


def _read_yaml_list(part: Part, data: bytes) -> Iterator[tuple[KeyPath, str | ExcludeEntry, None]]:
    if not _has_content(data):
        return
    node = part.reading.compose(data)
    entries = part.reading.read(node, list[str | ExcludeEntry]) if node is not None else []
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        yield (index,), entry, None


def _has_content(data: bytes) -> bool:
    """Whether there is more than blank lines and comments: a block list may be empty."""
    lines = (line.strip() for line in data.removeprefix(b"\xef\xbb\xbf").splitlines())
    return any(line and not line.startswith(b"#") and line != b"---" for line in lines)


def _read_lines(part: Part, data: bytes) -> Iterator[tuple[KeyPath, str, str | None]]:
    if len(data) > MAX_DOCUMENT_BYTES:
        part.add((), f"{len(data)} bytes; a block list may have {MAX_DOCUMENT_BYTES}")
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        part.add((), f"not UTF-8: byte {error.start}")
        return
    for number, line in enumerate(text.splitlines(), start=1):
        entry, _, comment = line.partition("#")
        if entry.strip():
            part.reading.place((number,), number)
            yield (number,), entry.strip(), comment.strip() or None


def is_ignored(line: Unservable, ignore: list[str]) -> bool:
    """Whether one of the entries of ``ignore`` names the line: its project, a glob of it, or its very text."""
    for entry in ignore:
        name = re.sub(r"[-_.]+", "-", entry.strip()).lower()
        if line.project is not None and fnmatchcase(line.project, name):
            return True
        if line.line and line.line.strip() == entry.strip():
            return True
    return False
