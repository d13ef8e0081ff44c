"""What a distribution needs, by its own metadata: nothing is built or run.

https://packaging.python.org/specifications/core-metadata/ · PEP 517, PEP 518, PEP 621, PEP 643
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pymirror.metadata import MAX_METADATA_BYTES, CoreMetadata, parse_core_metadata

MAX_REQUIREMENTS = 10_000
"""The most requirements of one file: ten times those of the largest projects."""

MAX_REQUIREMENT_LENGTH = 20_000
"""The longest text of one, in characters, its marker among them."""

MAX_PART_BYTES = 512 * 1024
"""The largest pyproject.toml, requires.txt or setup.cfg that is read."""

_MAX_EXTRA_LENGTH = 200
_STATIC_SINCE = (2, 2)  # of Metadata-Version: PEP 643
_DYNAMIC_FIELDS = frozenset({"requires-dist", "provides-extra"})
_DYNAMIC_KEYS = frozenset({"dependencies", "optional-dependencies"})
_DEFAULT_BUILD_REQUIRES = ("setuptools", "wheel")

_METADATA_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_EXTRA = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
# The parser's time grows with the square of the parts of a dotted key; no tool reads one of more than a few.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")


class Needs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one file needs.

    ``requires`` are its ``Requires-Dist``, as they are written; ``extras`` are normalized. ``source`` is where that
    stands: METADATA, PKG-INFO, requires.txt or pyproject.toml. ``is_known`` is ``False`` where only a build would tell:
    then ``requires`` is what is declared. ``build_requires`` are those of an sdist (PEP 518), its defaults where it
    declares none.
    """

    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    requires_python: str | None = None
    source: str = "METADATA"
    is_known: bool = True
    build_requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """What one part of a distribution says. ``is_sure`` is ``False`` where that is not to be relied on."""

    requires: tuple[str, ...]
    extras: tuple[str, ...]
    requires_python: str | None
    source: str
    is_sure: bool = True


def read_wheel_needs(metadata: bytes) -> Needs:
    """What the METADATA of a wheel say. Nothing in it is an error; beyond the limits ``is_known`` is ``False``."""
    if len(metadata) > MAX_METADATA_BYTES:
        return Needs(is_known=False)
    declared = _read_fields(parse_core_metadata(metadata), source="METADATA")
    return Needs(
        requires=declared.requires,
        extras=declared.extras,
        requires_python=declared.requires_python,
        source=declared.source,
        is_known=declared.is_sure,
    )


def read_sdist_needs(
    pkg_info: bytes, requires_txt: bytes | None, pyproject: bytes | None, setup_cfg: bytes | None = None
) -> Needs:
    """What an sdist says. Nothing in it is an error.

    The first counts of: PKG-INFO, where its version makes it binding and names neither requirements nor extras as
    dynamic (PEP 643); pyproject.toml, where it has a project table that does not (PEP 621); ``requires_txt``, which is
    that of the project's egg-info, empty where setuptools found nothing to write there. Else only a build would tell,
    and what PKG-INFO declares is taken.
    """
    fields = parse_core_metadata(pkg_info if len(pkg_info) <= MAX_METADATA_BYTES else b"")
    document = _read_toml(pyproject)
    declared = _read_fields(fields, source="PKG-INFO")
    is_known = True
    if not _is_static(fields):
        found = _read_project(document, fields) or _read_requires_txt(requires_txt, fields)
        declared, is_known = found or declared, found is not None
    return Needs(
        requires=declared.requires,
        extras=declared.extras,
        requires_python=declared.requires_python,
        source=declared.source,
        is_known=is_known and declared.is_sure,
        build_requires=_read_build_requires(document, setup_cfg),
    )


# ── core metadata ───────────────────────────────────────────────────────────────────────────────────


def _read_fields(fields: CoreMetadata, *, source: str) -> _Declared:
    requires, is_whole = _bound(fields.requires_dist)
    return _Declared(
        requires=requires,
        extras=_normalize_extras(fields.provides_extra),
        requires_python=fields.requires_python or None,
        source=source,
        is_sure=is_whole,
    )


def _is_static(fields: CoreMetadata) -> bool:
    """Whether a wheel that is built from the sdist must have the same requirements. Field names have no case."""
    match = _METADATA_VERSION.fullmatch(fields.metadata_version or "")
    if match is None:
        return False
    version = int(match[1]), int(match[2])
    is_dynamic = not _DYNAMIC_FIELDS.isdisjoint(name.lower() for name in fields.dynamic)
    return version >= _STATIC_SINCE and version[0] == _STATIC_SINCE[0] and not is_dynamic


def _bound(requires: Iterable[str]) -> tuple[tuple[str, ...], bool]:
    """Those within the limits, and whether these are all."""
    given = tuple(requires)
    kept = tuple(text for text in given[:MAX_REQUIREMENTS] if len(text) <= MAX_REQUIREMENT_LENGTH)
    return kept, len(kept) == len(given)


def _normalize_extras(names: Iterable[str]) -> tuple[str, ...]:
    """In order, each once. One whose name is none can be asked for by nobody."""
    return tuple(dict.fromkeys(canonicalize_name(name) for name in names if _is_extra(name)))[:MAX_REQUIREMENTS]


# ── pyproject.toml ──────────────────────────────────────────────────────────────────────────────────


def _read_toml(data: bytes | None) -> Mapping[str, object]:
    """The document; empty where there is none, or none that can be read."""
    if data is None or len(data) > MAX_PART_BYTES:
        return {}
    try:
        text = data.decode("utf-8")
        return {} if _LONG_KEY.search(text) else tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def _read_project(document: Mapping[str, object], fields: CoreMetadata) -> _Declared | None:
    """What the project table says, where it says all of it; ``None`` also where it is not valid."""
    project = document.get("project")
    if not isinstance(project, dict) or not _is_named(project, fields):
        return None
    dynamic = _texts(project.get("dynamic", []))
    if dynamic is None or not _DYNAMIC_KEYS.isdisjoint(dynamic):
        return None
    if "dependencies" not in project and "poetry" in _table(document, "tool"):
        return None  # Poetry's own table has them then
    optional = project.get("optional-dependencies", {})
    if not isinstance(optional, dict) or not all(map(_is_extra, optional)):
        return None
    pairs: list[tuple[str, str]] = []
    for extra, value in (("", project.get("dependencies", [])), *optional.items()):
        texts = _texts(value)
        if texts is None:
            return None
        pairs += [(extra, text) for text in texts]
    if len(pairs) > MAX_REQUIREMENTS:
        return None
    requires = [text for extra, given in pairs if (text := _render(given, extra=extra)) is not None]
    if len(requires) < len(pairs):
        return None
    requires_python = project.get("requires-python")
    return _Declared(
        requires=tuple(requires),
        extras=_normalize_extras(optional),
        requires_python=fields.requires_python or (requires_python if isinstance(requires_python, str) else None),
        source="pyproject.toml",
    )


def _is_named(project: Mapping[str, object], fields: CoreMetadata) -> bool:
    """Whether the table is that of the sdist's own project."""
    name = project.get("name")
    return isinstance(name, str) and canonicalize_name(name) == canonicalize_name(fields.name or "")


def _read_build_requires(document: Mapping[str, object], setup_cfg: bytes | None) -> tuple[str, ...]:
    """What must be there before anything of the sdist is run (PEP 518), and what setuptools asks for then."""
    system = _table(document, "build-system")
    requires = _texts(system.get("requires"))
    if requires is None:
        requires, system = _DEFAULT_BUILD_REQUIRES, {}
    bounded, _ = _bound(requires)
    if not _builds_with_setuptools(system, bounded):
        return bounded
    # Before 70.1 it asks for wheel when it builds one, whatever pyproject.toml says.
    asked = [*_read_setup_requires(setup_cfg), *([] if "wheel" in _always_named(bounded) else ["wheel"])]
    return tuple(dict.fromkeys([*bounded, *asked]))


def _builds_with_setuptools(system: Mapping[str, object], requires: tuple[str, ...]) -> bool:
    backend = system.get("build-backend")
    if not isinstance(backend, str):
        return True  # setuptools, as before PEP 517
    # A backend of the sdist's own that needs setuptools is mostly a few lines around it.
    is_own = "backend-path" in system and "setuptools" in _always_named(requires)
    return is_own or backend.partition(":")[0].partition(".")[0] == "setuptools"


def _always_named(requires: Iterable[str]) -> frozenset[str]:
    """The projects that are named without a condition."""
    parsed = (_parse(text) for text in requires)
    return frozenset(canonicalize_name(each.name) for each in parsed if each is not None and each.marker is None)


def _read_setup_requires(data: bytes | None) -> tuple[str, ...]:
    """``setup_requires`` of setup.cfg, which setuptools asks for when it builds."""
    if data is None or len(data) > MAX_PART_BYTES:
        return ()
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(_decode(data))
        text = parser.get("options", "setup_requires", fallback="")
    except (configparser.Error, ValueError):
        return ()
    items = (item.strip() for item in (text.splitlines() if "\n" in text else text.split(";")))
    bounded, _ = _bound(item for item in items if item)
    return tuple(item for item in bounded if _parse(item) is not None)


def _table(values: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _texts(value: object) -> tuple[str, ...] | None:
    """A list of texts; ``None`` where it is no such list."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(value)


# ── requires.txt ────────────────────────────────────────────────────────────────────────────────────


def _read_requires_txt(data: bytes | None, fields: CoreMetadata) -> _Declared | None:
    """What setuptools wrote into the egg-info: sections ``[extra]``, ``[:marker]`` and ``[extra:marker]``.

    Where a line is no requirement, or a marker none, ``is_sure`` is ``False``: setuptools of today would not build it.
    """
    if data is None or len(data) > MAX_PART_BYTES:
        return None
    requires: list[str] = []
    extras: list[str] = []
    size = 0
    is_sure = True
    for extra, marker, text in _read_sections(_decode(data)):
        if extra and not _is_extra(extra):
            continue  # can be asked for by nobody
        extras += [extra] if extra else []
        if not text:
            continue
        rendered = None if marker is None else _render(text, extra=extra, marker=marker)
        is_sure = is_sure and rendered is not None
        requires.append(text if rendered is None else rendered)
        size += len(requires[-1])
        if size > MAX_METADATA_BYTES:  # a long marker, written out for each of many lines
            is_sure = False
            break
    bounded, is_whole = _bound(requires)
    return _Declared(
        requires=bounded,
        extras=_normalize_extras([*extras, *fields.provides_extra]),
        requires_python=fields.requires_python or None,
        source="requires.txt",
        is_sure=is_sure and is_whole,
    )


def _read_sections(text: str) -> Iterator[tuple[str, str | None, str]]:
    """(extra, marker, requirement) of each line, the requirement empty for the line that begins a section.

    A marker that is none is ``None``.
    """
    extra = ""
    marker: str | None = ""
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            extra, _, condition = (part.strip() for part in line[1:-1].partition(":"))
            marker = _parse_marker(condition) if condition else ""
            yield extra, marker, ""
        elif line and not line.startswith("#"):
            yield extra, marker, line


# ── requirements ────────────────────────────────────────────────────────────────────────────────────


def _parse(text: str) -> Requirement | None:
    if len(text) > MAX_REQUIREMENT_LENGTH:
        return None
    try:
        return Requirement(text)
    except (ValueError, RecursionError):
        return None


def _parse_marker(text: str) -> str | None:
    """``text`` in its usual form; ``None`` where it is no marker."""
    if len(text) > MAX_REQUIREMENT_LENGTH:
        return None
    try:
        return str(Marker(text))
    except (ValueError, RecursionError):
        return None


def _is_extra(name: str) -> bool:
    return len(name) <= _MAX_EXTRA_LENGTH and _EXTRA.fullmatch(name) is not None


def _render(text: str, *, extra: str = "", marker: str = "") -> str | None:
    """``text`` under the conditions of its section as well; ``None`` where it is no requirement."""
    requirement = _parse(text)
    if requirement is None:
        return None
    if not extra and not marker:
        return text
    try:
        markers = [*([str(requirement.marker)] if requirement.marker else []), *([marker] if marker else [])]
    except RecursionError:
        return None
    conditions = [*markers, *([f'extra == "{canonicalize_name(extra)}"'] if extra else [])]
    if len(conditions) > 1:
        conditions = [f"({each})" if " or " in each else each for each in conditions]
    requirement.marker = None
    blank = " " if requirement.url else ""  # a semicolon right behind a URL is a part of it
    return f"{requirement}{blank}; {' and '.join(conditions)}"


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
