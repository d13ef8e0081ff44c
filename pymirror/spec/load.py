"""The document and those that it includes → :class:`Spec`, every problem of them in one error.

Where several documents give a key, lists add up; of single values, and of groups of one name, that of the spec itself
goes before that of what it includes, and a later include before an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pymirror.errors import SpecError
from pymirror.spec.dependencies import check_environments, read_groups
from pymirror.spec.document import Reading
from pymirror.spec.files import Files, is_ignored
from pymirror.spec.filters import read_filters, read_size
from pymirror.spec.model import Filters, RemovalPolicy, Spec
from pymirror.spec.part import Part, ReadFile
from pymirror.spec.rules import read_allow_newer, read_excludes, read_file_rules, read_rules
from pymirror.spec.schema import Document
from pymirror.spec.site import last, read_site
from pymirror.spec.units import DEFAULT_MAX_REMOVAL, MaxRemoval, parse_max_removal
from pymirror.spec.upstreams import read_network, read_stop_after, read_upstreams

R = TypeVar("R")


def load_spec(path: Path, *, read: ReadFile, environ: Mapping[str, str]) -> Spec:
    """The spec at ``path`` and the files that it names, through ``read``.

    Raises :class:`SpecError` with every problem found.
    """
    reading = Reading(str(path), environ)
    files = Files(path, read, environ)
    document: object = None
    try:
        node = reading.compose(read(path))
    except OSError as error:
        reading.add(
            (), f"cannot be read: {error.strerror or error}", "name the spec, or write one with `pymirror init`"
        )
    else:
        document = reading.read(node, Document) if node is not None else None
    spec = _load(path, reading, document, files) if isinstance(document, Document) else None
    problems = [*reading.problems, *(p for each in files.readings for p in each.problems), *files.problems]
    if spec is None or problems:
        unique = dict.fromkeys(problems)  # each once, in the order of the documents
        raise SpecError(sorted(unique, key=lambda problem: (problem.file, problem.line or 0)))
    return spec


def _load(path: Path, reading: Reading, document: Document, files: Files) -> Spec:
    main = Part(reading=reading, document=document, folder="")
    parts = files.parts(main)
    # Where a document cannot be read, nothing is said to be missing: it may be there.
    is_whole = not (reading.problems or any(each.problems for each in files.readings))
    filters = Filters()
    for part in parts:
        filters = read_filters(part, part.document, (), filters)
    locks = [lock for part in parts for lock in files.locks(part)]
    ignore = [text for part in parts for text in part.document.ignore]
    allow_http = last(parts, "allow-http", lambda part: part.document.allow_http, otherwise=False)
    spec = Spec(
        path=path,
        output=_read_output(parts, main, path.parent, is_whole=is_whole),
        upstreams=read_upstreams(parts, path.parent, allow_http=allow_http),
        rules=_each(parts, lambda part: read_rules(part, filters)),
        pins=tuple(pin for lock in locks for pin in lock.pins),
        files=_each(parts, read_file_rules),
        unservable=tuple(line for lock in locks for line in lock.unservable if not is_ignored(line, ignore)),
        excludes=(*_each(parts, read_excludes), *_each(parts, files.block_lists)),
        allow_newer=_each(parts, read_allow_newer),
        filters=filters,
        network=read_network(parts, path.parent),
        require_hashes=last(parts, "require-hashes", lambda part: part.document.require_hashes, otherwise=True),
        on_upstream_removal=RemovalPolicy(
            last(parts, "on-upstream-removal", lambda part: part.document.on_upstream_removal, otherwise="quarantine")
        ),
        max_total_size=last(parts, "max-total-size", _read_max_total_size, otherwise=None),
        site=read_site(parts),
        provenance=last(parts, "provenance", lambda part: part.document.provenance, otherwise=True),
        groups=read_groups(parts, filters),
        max_removal=last(parts, "max-removal", _read_max_removal, otherwise=DEFAULT_MAX_REMOVAL),
        allow_http=allow_http,
        stop_after_seconds=last(parts, "stop-after", read_stop_after, otherwise=None),
    )
    if is_whole:
        check_environments(parts)
    if is_whole and not any(_wants_something(part.document) for part in parts):
        main.add((), "nothing is wanted", "list something under projects:, groups:, files: or lockfiles:")
    return spec


def _wants_something(document: Document) -> bool:
    return bool(document.projects or document.groups or document.files or document.lockfiles)


def _each(parts: Sequence[Part], read: Callable[[Part], Iterable[R]]) -> tuple[R, ...]:
    return tuple(item for part in parts for item in read(part))


def _read_max_total_size(part: Part) -> int | None:
    value = part.document.max_total_size
    return None if value is None else read_size(part, value, ("max-total-size",))


def _read_max_removal(part: Part) -> MaxRemoval:
    value = part.document.max_removal
    parsed = parse_max_removal(str(value)) if value is not None else DEFAULT_MAX_REMOVAL
    if parsed is None:
        part.add(("max-removal",), "neither a share nor a number of files", 'write "25 %", or 100 for so many files')
    return parsed or DEFAULT_MAX_REMOVAL


def _read_output(parts: Sequence[Part], main: Part, folder: Path, *, is_whole: bool) -> Path:
    part = next((part for part in reversed(parts) if part.is_given("output")), main)
    text = part.document.output
    if text is None:
        if not part.is_given("output") and (is_whole or not main.document.include):
            main.add((), 'the key "output" is missing', "the folder that becomes the mirror")
        return folder
    if not text.strip() or "\0" in text:
        part.add(("output",), "names no folder")
        return folder
    try:
        return folder / part.folder / Path(text).expanduser()
    except RuntimeError:
        part.add(("output",), f'"{text}" names the home of a user who has none')
        return folder
