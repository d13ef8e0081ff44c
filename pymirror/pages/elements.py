"""A small tree of elements, and what kind each element is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
BLOCKS = HEADINGS | {"p", "div", "blockquote", "pre", "ul", "ol", "dl", "table", "details", "hr"}
INLINE = frozenset(
    {"a", "abbr", "b", "br", "cite", "code", "del", "em", "i", "kbd", "span", "strong", "sub", "sup", "var"}
)
OTHERS = frozenset({"caption", "dd", "dt", "li", "summary", "tbody", "td", "th", "thead", "tr"})
"""Those that stand only in a parent of their own."""

VOID = frozenset({"br", "hr", "img", "input", "col"})

# What scrolls by itself must take the focus, since only some browsers let keys scroll it otherwise (WCAG 2.1.1).
SCROLLS = {"tabindex": "0"}
TABLE_BOX = {"class": "scroll", "role": "group", "aria-label": "Table", **SCROLLS}

Child: TypeAlias = "Node | str"


@dataclass(slots=True)
class Node:
    """An element: its attributes, and its children in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)


def has_text(children: list[Child]) -> bool:
    """Whether anything of ``children`` is to be seen."""
    return any(
        bool(child.strip()) if isinstance(child, str) else child.tag == "hr" or has_text(child.children)
        for child in children
    )
