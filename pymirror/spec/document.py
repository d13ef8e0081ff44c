"""YAML text → a typed document, with every problem found and the line of every value.

YAML's own construction stops at the first surprise and loses the lines, so the node tree is walked beside the
types of :mod:`pymirror.spec.schema`.
"""

from __future__ import annotations

import datetime
import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from pymirror.errors import Problem

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_QUOTED = 120
MAX_NODES = 200_000  # of the document with its aliases written out

Path = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PLAIN_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_SECRET_KEYS = frozenset({"url", "username", "password"})  # never repeated in a message
_QUOTE_HINT = 'a value that begins with one of > < * & ! | % @ ` needs quotes: ">=1.0", "*-nightly"'
_BARE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._/<>=!~,\[\]+-]*[A-Za-z0-9._/\]*])?")
_MISSING = object()


class Reading:
    """One document while it is read: collects problems, and remembers where each value stands."""

    def __init__(self, file: str, environ: Mapping[str, str], *, has_keys: bool = True) -> None:
        self.file = file
        self._has_keys = has_keys
        self.problems: list[Problem] = []
        self._environ = environ
        self._lines: dict[Path, int] = {}

    def line_of(self, path: Path) -> int | None:
        """The line of the value at ``path``, or of the nearest thing that holds it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path)

    def place(self, path: Path, line: int) -> None:
        """Remembers the line of a value of a document that is no YAML."""
        self._lines[path] = line

    def is_given(self, path: Path) -> bool:
        """Whether the document has something at ``path``, right or wrong."""
        return path in self._lines

    def add(self, path: Path, message: str, hint: str | None = None) -> None:
        self.problems.append(
            Problem(
                file=self.file,
                line=self.line_of(path),
                key=spell(path) if self._has_keys else "",
                message=message,
                hint=hint,
            )
        )

    # ── text → nodes ────────────────────────────────────────────────────────────────────────────

    def compose(self, data: bytes) -> yaml.Node | None:
        """The node tree of ``data``, or ``None`` with a problem noted."""
        if len(data) > MAX_DOCUMENT_BYTES:
            self.add((), f"{len(data)} bytes; a spec may have {MAX_DOCUMENT_BYTES}")
            return None
        try:
            node: yaml.Node | None = yaml.compose(data, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._lines[()] = mark.line + 1 if mark else 1
            self.add((), f"not YAML: {error.problem or error.context}", _QUOTE_HINT)
            return None
        except (yaml.YAMLError, ValueError) as error:
            self.add((), f"not YAML: {str(error).splitlines()[0]}")
            return None
        except RecursionError:
            self.add((), "nested too deeply")
            return None
        if node is None:
            self.add((), "the file is empty")
        elif not self._is_bounded(node):
            return None
        return node

    def _is_bounded(self, root: yaml.Node) -> bool:
        """Whether the document stays small when its aliases are written out ("billion laughs")."""
        sizes: dict[int, int] = {}
        open_nodes: set[int] = set()

        def weigh(node: yaml.Node) -> int:
            if id(node) in open_nodes:
                return MAX_NODES + 1  # an alias to something that contains it
            if id(node) not in sizes:
                open_nodes.add(id(node))
                total = 1 + sum(weigh(child) for child in _children(node))
                open_nodes.discard(id(node))
                sizes[id(node)] = min(total, MAX_NODES + 1)
            return sizes[id(node)]

        try:
            if weigh(root) <= MAX_NODES:
                return True
        except RecursionError:
            pass
        self.add((), f"nested too deeply, or aliases that expand to more than {MAX_NODES} values")
        return False

    # ── nodes → values ──────────────────────────────────────────────────────────────────────────

    def read(self, node: yaml.Node, expected: Any, path: Path = ()) -> Any:
        """The value of ``node`` as ``expected``; ``_MISSING`` with a problem noted where it does not fit."""
        self._lines[path] = node.start_mark.line + 1
        if node.tag not in _PLAIN_TAGS and not isinstance(node, yaml.ScalarNode):
            self.add(path, f'the tag "{node.tag.removeprefix("tag:yaml.org,2002:")}" is not allowed')
            return _MISSING
        for option in _options(expected):
            if isinstance(option, type) and issubclass(option, msgspec.Struct):
                if isinstance(node, yaml.MappingNode):
                    return self._read_struct(node, option, path)
            elif get_origin(option) is dict and isinstance(node, yaml.MappingNode):
                return self._read_mapping(node, get_args(option)[1], path)
            elif get_origin(option) is list and isinstance(node, yaml.SequenceNode):
                (item_type,) = get_args(option)
                items = [self.read(item, item_type, (*path, index)) for index, item in enumerate(node.value)]
                good = [item for item in items if item is not _MISSING]
                return good if good or not items else _MISSING  # a list that nothing is left of is not an empty one
        if isinstance(node, yaml.ScalarNode):
            return self._read_scalar(node, expected, path)
        return self._refuse(node, expected, path)

    def _read_struct(self, node: yaml.MappingNode, struct: type[msgspec.Struct], path: Path) -> Any:
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        hints = get_type_hints(struct, include_extras=True)
        values: dict[str, Any] = {}
        given = set()
        for key, value_node in self._read_keys(node, path):
            given.add(key)
            if key not in fields:
                self.add((*path, key), f'unknown key "{key}"', suggest(key, fields))
            elif (value := self._read_item(value_node, hints[fields[key].name], (*path, key))) is not _MISSING:
                values[fields[key].name] = value
        for key, field in fields.items():
            if field.required and key not in given:
                self.add(path, f'the key "{key}" is missing')
        # A value that was refused has its problem noted, and its default stands in: so the rest is checked too.
        return struct(**values) if all(f.name in values for f in fields.values() if f.required) else _MISSING

    def _read_mapping(self, node: yaml.MappingNode, expected: Any, path: Path) -> dict[str, Any]:
        """A mapping whose keys are names, as far as it can be read."""
        items = {key: self._read_item(item, expected, (*path, key)) for key, item in self._read_keys(node, path)}
        return {key: value for key, value in items.items() if value is not _MISSING}

    def _read_keys(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node]]:
        """The keys of a mapping with what stands there, each once, and their lines noted."""
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            key = key if quote(key) == f'"{key}"' else "…"  # a URL with a colon too many
            line = key_node.start_mark.line + 1
            if key in seen:
                self._lines[(*path, key)] = line
                self.add((*path, key), f'duplicate key "{key}"', f"first given on line {seen[key]}")
            else:
                seen[key] = self._lines[(*path, key)] = line
                yield key, value_node

    def _read_item(self, node: yaml.Node, expected: Any, path: Path) -> Any:
        """What stands at a key; problems of it are those of the key's line, not of the line where its value begins."""
        line = self._lines[path]
        value = self.read(node, expected, path)
        self._lines[path] = line
        return value

    def _read_scalar(self, node: yaml.ScalarNode, expected: Any, path: Path) -> Any:
        constructor = yaml.SafeLoader("")
        try:
            value = constructor.construct_object(node)
            if isinstance(value, datetime.date) and str in _options(expected):
                value = node.value  # YAML makes dates of what looks like one
        except (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError, TypeError):
            value = None  # an unknown tag, a date that is none: PyYAML raises whatever comes
        if value is None or (isinstance(value, int) and abs(value) >= 2**63):
            return self._refuse(node, expected, path)
        is_substituted = False
        if isinstance(value, str):
            given, value = value, self._substitute(value, path)
            if value is _MISSING:
                return _MISSING
            is_substituted = value != given
        try:
            # A variable is text; where a number or a truth value is expected, it is read as one.
            return msgspec.convert(value, expected, strict=not (is_substituted and str not in _options(expected)))
        except msgspec.ValidationError:
            return self._refuse(node, expected, path, value)

    def _substitute(self, text: str, path: Path) -> Any:
        """``text`` with each ``${NAME}`` replaced by the environment's value, once; values are not looked into."""
        if path[:1] == ("ignore",):
            return text  # compared with a line as it stands, which may have a variable of its own
        missing = sorted({name for name in _VARIABLE.findall(text) if name not in self._environ})
        if missing:
            self.add(path, f"the environment variable {', '.join(missing)} is not set")
            return _MISSING
        return _VARIABLE.sub(lambda match: self._environ[match.group(1)], text)

    def _refuse(self, node: yaml.Node, expected: Any, path: Path, value: object = _MISSING) -> object:
        wanted = _spell_type(expected)
        if isinstance(node, yaml.MappingNode):
            got = "a mapping"
        elif isinstance(node, yaml.SequenceNode):
            got = "a list"
        elif node.value == "" or node.tag == "tag:yaml.org,2002:null":
            got = "nothing"
        else:
            got = "something else" if _SECRET_KEYS.intersection(path) else quote(node.value)
        hint = None
        if isinstance(node, yaml.ScalarNode):
            if str in _options(expected) and value is not _MISSING and not isinstance(value, str):
                hint = "put it in quotes" if got == "something else" else f"put it in quotes: {got}"
            elif choices := _choices(expected):
                hint = _suggest_choice(node.value, choices, is_whole=_is_choice_only(expected))
            elif any(get_origin(option) is list for option in _options(expected)) and got != "nothing":
                hint = f"write it as a list: [{got[1:-1]}]"
        self.add(path, f"expected {wanted}, got {got}", hint)
        return _MISSING


def write_scalar(text: str) -> str:
    """``text`` as YAML that is read back as this very text: bare where that is so, else in quotes."""
    try:
        is_bare = bool(_BARE.fullmatch(text)) and yaml.safe_load(text) == text
    except (yaml.YAMLError, ValueError):
        is_bare = False
    if is_bare:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', width=1_000_000_000, allow_unicode=True)
    return quoted.rstrip("\n")


def spell(path: Path) -> str:
    """``("projects", 2, "name")`` as ``projects[2].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def quote(text: str) -> str:
    """``text`` in quotes for a message, unless it may hold a credential."""
    if "://" in text or "@" in text:
        return '"…"'
    return f'"{text}"' if len(text) <= MAX_QUOTED else f'"{text[:MAX_QUOTED]}…" ({len(text)} characters)'


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """``did you mean "specifier"?``, or the whole choice where nothing comes near."""
    known = list(known)
    close = difflib.get_close_matches(word.lower().replace("_", "-"), known, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known: {', '.join(sorted(known))}"


def _suggest_choice(word: str, choices: list[str], *, is_whole: bool) -> str | None:
    """The word that may be meant; where other things than words are allowed, only one that comes near."""
    hint = suggest(word, choices)
    return hint if is_whole or hint.startswith("did you mean") else None


def _is_choice_only(expected: Any) -> bool:
    return all(get_origin(option) is typing.Literal for option in _options(expected))


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return []


def _options(expected: Any) -> tuple[Any, ...]:
    if get_origin(expected) in (Union, types.UnionType):
        return tuple(option for option in get_args(expected) if option is not type(None))
    return (expected,)


def _choices(expected: Any) -> list[str]:
    return [
        str(choice)
        for option in _options(expected)
        if get_origin(option) is typing.Literal
        for choice in get_args(option)
    ]


def _spell_type(expected: Any) -> str:
    names = []
    for option in _options(expected):
        if get_origin(option) is typing.Annotated:
            option, meta = get_args(option)[:2]
            names.append(f"a whole number from {meta.ge} to {meta.le}" if option is int else str(option))
        elif get_origin(option) is list:
            names.append("a list")
        elif get_origin(option) is dict:
            names.append("a mapping")
        elif get_origin(option) is typing.Literal:
            names.append(" or ".join(f'"{choice}"' for choice in get_args(option)))
        elif isinstance(option, type) and issubclass(option, msgspec.Struct):
            names.append("a mapping")
        else:
            names.append({str: "text", bool: "true or false", int: "a whole number"}.get(option, str(option)))
    return " or ".join(names)
