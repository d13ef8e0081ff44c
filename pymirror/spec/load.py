"""The document → :class:`Spec`: names, specifiers, URLs and lock files, every problem in one error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name

from pymirror.errors import SpecError
from pymirror.lockfiles import Lock, read_lockfile
from pymirror.spec.document import Path as KeyPath
from pymirror.spec.document import Reading, quote, suggest
from pymirror.spec.model import (
    ExcludeRule,
    Network,
    Origin,
    PackageType,
    ProjectRule,
    Spec,
    Upstream,
    YankedPolicy,
)
from pymirror.spec.schema import Document, ProjectEntry, UpstreamEntry
from pymirror.spec.units import parse_duration, parse_size

ReadFile = Callable[[Path], bytes]

_DEFAULT_TYPES = [PackageType.BDIST_WHEEL, PackageType.SDIST]
_ALIASES = {"wheel": PackageType.BDIST_WHEEL, "egg": PackageType.BDIST_EGG}
_EXCLUDE = re.compile(r"\s*([A-Za-z0-9._*?-]+)\s*(.*)", re.DOTALL)
_GLOB_NAME = re.compile(r"[A-Za-z0-9._*?-]+")


def load_spec(path: Path, *, read: ReadFile, environ: Mapping[str, str]) -> Spec:
    """The spec at ``path`` and the files that it names, through ``read``.

    Raises :class:`SpecError` with every problem found.
    """
    reading = Reading(str(path), environ)
    document: object = None
    try:
        node = reading.compose(read(path))
    except OSError as error:
        reading.add((), f"cannot be read: {error.strerror or error}", "name the spec, or write one first")
    else:
        document = reading.read(node, Document) if node is not None else None
    spec = _Loader(reading, path, read).load(document) if isinstance(document, Document) else None
    if spec is None or reading.problems:
        problems = dict.fromkeys(reading.problems)  # each once, in the order of the document
        raise SpecError(sorted(problems, key=lambda problem: (problem.file, problem.line or 0)))
    return spec


class _Loader:
    """Turns each part of a :class:`Document` into its values."""

    def __init__(self, reading: Reading, path: Path, read: ReadFile) -> None:
        self._reading = reading
        self._path = path
        self._read = read

    def load(self, document: Document) -> Spec:
        folder = self._path.parent
        given = _DEFAULT_TYPES if document.package_types is None else document.package_types
        types = self._package_types(given, ("package-types",))
        rules = tuple(
            rule
            for index, entry in enumerate(document.projects)
            if (rule := self._rule(entry, document, types, ("projects", index))) is not None
        )
        locks = [self._lock(name, ("lockfiles", index)) for index, name in enumerate(document.lockfiles)]
        if not document.projects and not document.lockfiles and not self._reading.problems:
            self._reading.add((), "nothing is wanted", "list something under projects: or lockfiles:")
        return Spec(
            path=self._path,
            output=self._output(document.output, folder),
            upstreams=self._upstreams(document.upstreams),
            rules=rules,
            pins=tuple(pin for lock in locks for pin in lock.pins),
            unservable=tuple(line for lock in locks for line in lock.unservable),
            excludes=tuple(
                exclude
                for index, text in enumerate(document.exclude)
                if (exclude := self._exclude(text, ("exclude", index))) is not None
            ),
            package_types=types,
            yanked=YankedPolicy(document.yanked),
            network=self._network(document),
            require_hashes=document.require_hashes,
        )

    def _origin(self, path: KeyPath, text: str) -> Origin:
        return Origin(file=self._reading.file, line=self._reading.line_of(path), text=text)

    def _output(self, text: str | None, folder: Path) -> Path:
        if text is None:
            if not self._reading.is_given(("output",)):
                self._reading.add((), 'the key "output" is missing', "the folder that becomes the mirror")
            return folder
        if not text.strip() or "\0" in text:
            self._reading.add(("output",), "names no folder")
            return folder
        try:
            return folder / Path(text).expanduser()
        except RuntimeError:
            self._reading.add(("output",), f'"{text}" names the home of a user who has none')
            return folder

    # ── projects and exclusions ─────────────────────────────────────────────────────────────────

    def _rule(
        self, entry: str | ProjectEntry, document: Document, types: frozenset[PackageType], path: KeyPath
    ) -> ProjectRule | None:
        long_form = entry if isinstance(entry, ProjectEntry) else None
        text = long_form.name if long_form else str(entry)
        requirement = self._requirement(text, (*path, "name") if long_form else path)
        if requirement is None:
            return None
        specifier = requirement.specifier
        if long_form and long_form.version is not None:
            if str(specifier):
                self._reading.add((*path, "version"), f'"{text}" has a version already', "give it once")
            parsed = self._specifier(long_form.version, (*path, "version"))
            specifier = parsed if parsed is not None else specifier
        if long_form and long_form.package_types is not None:
            types = self._package_types(long_form.package_types, (*path, "package-types"))
        prereleases = long_form.prereleases if long_form else None
        yanked = (long_form.yanked if long_form else None) or document.yanked
        return ProjectRule(
            project=canonicalize_name(requirement.name),
            specifier=specifier,
            package_types=types,
            prereleases=document.prereleases if prereleases is None else prereleases,
            yanked=YankedPolicy(yanked),
            origin=self._origin(path, f"{text} {long_form.version or ''}".strip() if long_form else text),
            extras=frozenset(canonicalize_name(extra) for extra in requirement.extras),
            marker=str(requirement.marker) if requirement.marker else None,
        )

    def _requirement(self, text: str, path: KeyPath) -> Requirement | None:
        if _GLOB_NAME.fullmatch(text.strip()) and any(sign in text for sign in "*?"):
            self._reading.add(path, f"{quote(text)} is a pattern", "name each project")
            return None
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            self._reading.add(path, f"{quote(text)} is not a requirement: {str(error).splitlines()[0]}")
            return None
        if requirement.url:
            # The URL may hold a credential, so it is not repeated.
            self._reading.add(path, f'"{requirement.name} @ …" names a URL, which no index can serve')
            return None
        return requirement

    def _specifier(self, text: str, path: KeyPath) -> SpecifierSet | None:
        try:
            return SpecifierSet(text)
        except InvalidSpecifier:
            hint = f'did you mean "=={text}"?' if re.fullmatch(r"[0-9][0-9A-Za-z.]*", text.strip()) else None
            self._reading.add(path, f"{quote(text)} is not a version specifier", hint)
            return None

    def _exclude(self, text: str, path: KeyPath) -> ExcludeRule | None:
        match = _EXCLUDE.fullmatch(text)
        if match is None:
            self._reading.add(path, f"{quote(text)} is neither a project nor a pattern")
            return None
        specifier = self._specifier(match.group(2), path)
        if specifier is None:
            return None
        pattern = self._pattern(match.group(1), path)
        if pattern is None:
            return None
        return ExcludeRule(pattern=pattern, specifier=specifier, origin=self._origin(path, text))

    def _pattern(self, text: str, path: KeyPath) -> str | None:
        """``text`` as a glob over normalized names."""
        if not _GLOB_NAME.fullmatch(text):
            self._reading.add(path, f"{quote(text)} is neither a project nor a pattern")
            return None
        if not any(sign in text for sign in "*?"):
            try:
                return canonicalize_name(text, validate=True)
            except InvalidName:
                self._reading.add(path, f"{quote(text)} is not a project name")
                return None
        return re.sub(r"[-_.]+", "-", text).lower()

    def _package_types(self, texts: Sequence[str], path: KeyPath) -> frozenset[PackageType]:
        known = [*PackageType, *_ALIASES]
        types = set()
        for index, text in enumerate(texts):
            if text in _ALIASES:
                types.add(_ALIASES[text])
            elif text in list(PackageType):
                types.add(PackageType(text))
            else:
                self._reading.add((*path, index), f'unknown package type "{text}"', suggest(text, known))
        if not texts:
            self._reading.add(path, "an empty list keeps no file at all")
        return frozenset(types)

    # ── upstreams and network ───────────────────────────────────────────────────────────────────

    def _upstreams(self, entries: list[UpstreamEntry]) -> tuple[Upstream, ...]:
        upstreams = []
        names: set[str] = set()
        for index, entry in enumerate(entries):
            path: KeyPath = ("upstreams", index)
            upstream = self._upstream(entry, path)
            if upstream is None:
                continue
            if upstream.name in names:
                self._reading.add((*path, "name"), f'a second upstream named "{upstream.name}"', "give each a name:")
            names.add(upstream.name)
            upstreams.append(upstream)
        unclaimed = [index for index, entry in enumerate(entries) if not entry.projects]
        for index in unclaimed[1:]:
            self._reading.add(
                ("upstreams", index),
                "a second upstream without projects: it would never be asked",
                "say with projects: what comes from it",
            )
        return tuple(upstreams)

    def _upstream(self, entry: UpstreamEntry, path: KeyPath) -> Upstream | None:
        upstream = parse_upstream_url(entry.url, name=entry.name)
        if upstream is None:
            # The URL may hold a credential, so no message repeats it.
            example = "https://packages.example.com/simple/"
            self._reading.add((*path, "url"), "not the http(s) URL of an index", f"like {example}")
            return None
        if entry.password is not None and entry.username is None:
            self._reading.add((*path, "password"), "a password without a username", "add username:")
        if entry.username is not None:
            upstream = replace(upstream, credentials=(entry.username, entry.password))
        patterns = (self._pattern(text, (*path, "projects", i)) for i, text in enumerate(entry.projects))
        return replace(upstream, projects=tuple(pattern for pattern in patterns if pattern))

    def _network(self, document: Document) -> Network:
        given = document.network
        if given is None:
            return Network()
        default = Network()
        connections = given.connections or default.connections

        def seconds(key: str, value: str | int | None, otherwise: float) -> float:
            return self._unit(key, value, parse_duration, '"30 s", "5 min", "2 h"', otherwise)

        def size(key: str, value: str | int | None, otherwise: int) -> int:
            return int(self._unit(key, value, parse_size, '"500 kB", "2 GB"', otherwise, smallest=1))

        return Network(
            connections=connections,
            connections_per_host=given.connections_per_host or connections,
            timeout_seconds=seconds("timeout", given.timeout, default.timeout_seconds),
            page_timeout_seconds=seconds("page-timeout", given.page_timeout, default.page_timeout_seconds),
            file_timeout_seconds=seconds("file-timeout", given.file_timeout, default.file_timeout_seconds),
            retries=default.retries if given.retries is None else given.retries,
            max_page_bytes=size("max-page-size", given.max_page_size, default.max_page_bytes),
            max_file_bytes=size("max-file-size", given.max_file_size, default.max_file_bytes),
        )

    def _unit(
        self,
        key: str,
        value: str | int | None,
        parse: Callable[[str], float | None],
        examples: str,
        otherwise: float,
        *,
        smallest: float = 0.001,
    ) -> float:
        if value is None:
            return otherwise
        parsed = parse(str(value))
        if parsed is None or parsed < smallest or not isfinite(parsed):
            # The value may come from a variable, so it is not repeated.
            self._reading.add(("network", key), "not an amount that can be used", f"write {examples}")
            return otherwise
        return parsed

    # ── lock files ──────────────────────────────────────────────────────────────────────────────

    def _lock(self, name: str, path: KeyPath) -> Lock:
        location = self._path.parent / name
        try:
            data = self._read(location)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            hint = None if quote(name) == '"…"' else f"looked for {location.absolute()}"
            self._reading.add(path, f"{quote(name)} cannot be read: {reason}", hint)
            return Lock()
        lock = read_lockfile(data, file=name)
        self._reading.problems.extend(lock.problems)
        return lock


def parse_upstream_url(text: str, *, name: str | None = None) -> Upstream | None:
    """The index at ``text``, its credentials taken out of the URL; ``None`` where it is no such URL."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in ("http", "https") or port == 0 or parts.query or parts.fragment:
        return None
    if not host.isprintable() or " " in host:
        return None
    if "@" in parts.path:
        return None  # the end of a password with a slash in it, which must be written %2F
    credentials: tuple[str, str | None] | None = None
    if parts.username is not None:
        credentials = (unquote(parts.username), None if parts.password is None else unquote(parts.password))
    folder = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return Upstream(
        name=name or host,
        url=urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], folder, "", "")),
        credentials=credentials,
    )
