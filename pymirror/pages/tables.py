"""A table of a description: rows of cells that fill their places, in a box that scrolls by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from pymirror.pages.elements import TABLE_BOX, Child, Node, has_text

_MAX_SPAN = 100
_NUMBER = re.compile(r"[0-9]{1,3}")

Rows = list[list[Node]]
"""The cells of each row."""


class Place(Protocol):
    """Puts children where blocks may stand, or where only text may."""

    def __call__(self, children: list[Child], *, is_flow: bool) -> list[Child]: ...


def lay_out_table(table: Node, place: Place) -> list[Child]:
    """The table in its box; nothing where it has no cell."""
    caption = next((child for child in table.children if isinstance(child, Node) and child.tag == "caption"), None)
    title = place(caption.children, is_flow=False) if caption else []
    sections = [
        [[Node(cell.tag, _read_spans(cell), place(cell.children, is_flow=True)) for cell in row] for row in rows]
        for rows in _find_sections(table)
    ]
    if not sections:
        return []
    if not _fit(sections):
        _make_square(sections)
    parts: list[Child] = [Node("caption", {}, title)] if has_text(title) else []
    for number, rows in enumerate(sections):
        is_head = not number and len(sections) > 1 and all(cell.tag == "th" for row in rows for cell in row)
        parts.append(Node("thead" if is_head else "tbody", {}, [Node("tr", {}, [*row]) for row in rows]))
    return [Node("div", {**TABLE_BOX}, [Node("table", {}, parts)])]


def _find_sections(table: Node) -> Iterator[Rows]:
    """Each section that has cells; rows without one are left out."""
    for section in _children(table, "thead", "tbody", "tfoot"):
        rows = [cells for row in _children(section, "tr") if (cells := list(_children(row, "th", "td")))]
        if rows:
            yield rows


def _children(node: Node, *tags: str) -> Iterator[Node]:
    return (child for child in node.children if isinstance(child, Node) and child.tag in tags)


def _read_spans(cell: Node) -> dict[str, str]:
    spans = {}
    for name in ("colspan", "rowspan"):
        text = cell.attributes.get(name, "")
        if _NUMBER.fullmatch(text) and 1 < int(text) <= _MAX_SPAN:
            spans[name] = str(int(text))
    return spans


def _fit(sections: list[Rows]) -> bool:
    """Whether the cells make a rectangle: no place is taken twice or by nobody, and a cell begins in each column."""
    width = 0
    begun: set[int] = set()
    for rows in sections:
        taken: set[tuple[int, int]] = set()
        for number, row in enumerate(rows):
            column = 0
            for cell in row:
                while (number, column) in taken:
                    column += 1
                begun.add(column)
                places = {
                    (number + down, column + right)
                    for down in range(int(cell.attributes.get("rowspan", "1")))
                    for right in range(int(cell.attributes.get("colspan", "1")))
                }
                if places & taken:
                    return False
                taken |= places
        width = width or 1 + max(column for _, column in taken)
        if taken != {(row, column) for row in range(len(rows)) for column in range(width)}:
            return False
    return len(begun) == width


def _make_square(sections: list[Rows]) -> None:
    """No cell spans another's place, and rows that are shorter than the longest are filled."""
    width = max(len(row) for rows in sections for row in rows)
    for rows in sections:
        for row in rows:
            for cell in row:
                cell.attributes.clear()
            row.extend(Node("td") for _ in range(width - len(row)))
