"""TOML and JSON → tables with typed getters, which name the path of a bad key and the line of its entry.

https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from pymirror.lockfiles.findings import Findings, may_hold_credential, shown

# The parser's time grows with the square of the parts of a dotted key; no lock has one of more than a few.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")

T = TypeVar("T")

_NAMES = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}


class Table:
    """A table of a document; a getter gives nothing for a key that is absent, or of another type: then that is noted.

    ``path`` is the table's own in the document, ``line`` that of the entry that it belongs to.
    """

    __slots__ = ("_findings", "_values", "line", "path")

    def __init__(self, values: Mapping[str, object], findings: Findings, *, path: str, line: int | None) -> None:
        self._values = values
        self._findings = findings
        self.path = path
        self.line = line

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @property
    def findings(self) -> Findings:
        return self._findings

    @property
    def values(self) -> Mapping[str, object]:
        return self._values

    def problem(self, key: str, message: str, hint: str | None = None) -> None:
        """Notes what is wrong with the value of ``key``; with the table itself where that is empty."""
        self._findings.problem(self.line, message, hint, key=self._path_of(key) if key else self.path)

    def text(self, key: str) -> str | None:
        return self._get(key, str)

    def need_text(self, key: str) -> str | None:
        """As :meth:`text`, and that the key is absent is noted too."""
        if key not in self._values:
            self.problem("", f'the key "{key}" is missing')
        return self.text(key)

    def flag(self, key: str) -> bool:
        return self._get(key, bool) or False

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._items(key, str))

    def table(self, key: str) -> Table | None:
        values = self._get(key, dict)
        if values is None:
            return None
        return Table(values, self._findings, path=self._path_of(key), line=self.line)

    def tables(self, key: str, *, lines: Sequence[int] = ()) -> tuple[Table, ...]:
        """The tables of an array; ``lines`` are those of its headers, used if they are as many."""
        items = list(self._items(key, dict))
        path = self._path_of(key)
        numbers: Sequence[int | None] = lines if len(lines) == len(items) else [self.line] * len(items)
        return tuple(
            Table(values, self._findings, path=f"{path}[{index}]", line=line)
            for index, (values, line) in enumerate(zip(items, numbers, strict=True))
        )

    def _items(self, key: str, expected: type[T]) -> Iterator[T]:
        for index, item in enumerate(self._get(key, list) or ()):
            if isinstance(item, expected):
                yield item
            else:
                self.problem(f"{key}[{index}]", _expectation(expected, item))

    def _get(self, key: str, expected: type[T]) -> T | None:
        value = self._values.get(key)
        if isinstance(value, expected):
            return value
        if key in self._values:
            self.problem(key, _expectation(expected, value))
        return None

    def _path_of(self, key: str) -> str:
        key = shown(key)
        return f"{self.path}.{key}" if self.path else key


def _expectation(expected: type[object], value: object) -> str:
    got = "nothing" if value is None else _NAMES.get(type(value), "a date or a time")
    return f"expected {_NAMES[expected]}, got {got}"


def parse_toml(text: str, findings: Findings) -> Table | None:
    """The document; ``None`` with a problem noted where it is none."""
    if match := _LONG_KEY.search(text):
        findings.problem(text.count("\n", 0, match.start()) + 1, "not TOML that a tool wrote: a key of too many parts")
        return None
    try:
        return Table(tomllib.loads(text), findings, path="", line=None)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else None
        reason = _PLACE.sub("", str(error))  # which may repeat a key
        findings.problem(line, "not TOML" if may_hold_credential(reason) else f"not TOML: {shown(reason)}")
    except RecursionError:
        findings.problem(None, "nested too deeply")
    except ValueError:
        findings.problem(None, "not TOML: a number of too many digits")
    return None


def parse_json(text: str, findings: Findings) -> Table | None:
    """The document; ``None`` with a problem noted where it is none."""
    try:
        document = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        findings.problem(None, f"not JSON: {error}")
    except RecursionError:
        findings.problem(None, "nested too deeply")
    else:
        if isinstance(document, dict):
            return Table(document, findings, path="", line=None)
        findings.problem(None, _expectation(dict, document))
    return None


def header_lines(text: str, name: str) -> list[int]:
    """The lines of the headers ``[[name]]``: the parser keeps no lines, but an array's tables are in their order."""
    lines: list[int] = []
    line, start = 1, 0
    for match in re.finditer(rf"^[ \t]*\[\[[ \t]*{re.escape(name)}[ \t]*\]\]", text, re.MULTILINE):
        line += text.count("\n", start, match.start())
        start = match.start()
        lines.append(line)
    return lines
