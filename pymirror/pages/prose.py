"""The HTML of a description → what a page has room for: valid HTML5 below a second-level heading, without images.

This makes a description look right, and valid: elements stand where they may, headings go on below those of the page,
badges are their text, and links lead to the web or to within the text. What is safe is not decided here: a sanitizer
comes before this and another after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from urllib.parse import quote, unquote

from pymirror.pages.elements import BLOCKS, HEADINGS, INLINE, SCROLLS, VOID, Child, Node, has_text
from pymirror.pages.tables import lay_out_table

ID_PREFIX = "user-content-"
MAX_DEPTH = 64
"""Elements that stand deeper lose their tags and keep their text."""

CLASSES = frozenset({"admonition", "admonition-title", "line-block", "label", "scroll", "topic-title"})

_FIRST_HEADING = 3
_RENAMED = {
    "tt": "code",
    "acronym": "abbr",
    "section": "div",
    "aside": "div",
    "nav": "div",
    "figure": "div",
    "figcaption": "div",
}
_TOKEN = re.compile(r"[a-z]{1,3}[0-9]?")  # a class that Pygments gives
_WEB = re.compile(r"(?:https?://|mailto:)[^\s\x00-\x20]+", re.IGNORECASE)
_FILE_LIKE = re.compile(r"(?:https?:)?//\S*|\S+\.(?:png|svg|gif|jpe?g|webp)", re.IGNORECASE)
_BOXES = {True: "\u2611", False: "\u2610"}


def tidy(html: str) -> str:
    """``html``, which a sanitizer wrote, in the form that the page has for it."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "".join(_write(_Tidier(reader.ids).place(reader.root.children, is_flow=True)))


class _Reader(HTMLParser):
    """Text → a tree, and every ``id`` in it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("div")
        self.ids: set[str] = set()
        self._open = [self.root]
        self._too_deep: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        if node.attributes.get("id"):
            self.ids.add(_prefixed(node.attributes["id"]))
        if tag in VOID:
            self._open[-1].children.append(node)
        elif len(self._open) > MAX_DEPTH:
            self._too_deep.append(tag)
        else:
            self._open[-1].children.append(node)
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        if self._too_deep:
            if self._too_deep[-1] == tag:
                self._too_deep.pop()
        elif self._open[-1].tag == tag and len(self._open) > 1:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


class _Tidier:
    """One description: the levels of its headings so far, and the ``id``s that are taken."""

    def __init__(self, ids: set[str]) -> None:
        self._ids = ids
        self._taken: set[str] = set()
        self._levels: list[int] = []

    def place(self, children: list[Child], *, is_flow: bool, is_code: bool = False) -> list[Child]:
        """``children`` where blocks may stand, or else only what may stand in a line."""
        placed: list[Child] = []
        for child in children:
            if isinstance(child, str):
                placed.append(child)
            else:
                placed.extend(self._place(child, is_flow=is_flow, is_code=is_code))
        return placed

    def _place(self, node: Node, *, is_flow: bool, is_code: bool) -> list[Child]:
        tag = self._name(node)
        if tag == "img":
            alt = " ".join(node.attributes.get("alt", "").split())
            return [alt] if alt and not _FILE_LIKE.fullmatch(alt) else []
        if tag == "input":
            return [_BOXES["checked" in node.attributes]]
        if tag in INLINE:
            return self._place_inline(node, tag, is_flow=is_flow, is_code=is_code)
        if tag not in BLOCKS:  # what stands alone only in its own parent: here it has none
            tag = "div"
        if not is_flow:
            return [" ", *self.place(node.children, is_flow=False, is_code=is_code), " "]
        return self._place_block(node, tag)

    def _name(self, node: Node) -> str:
        if node.tag == "span" and "literal" in node.attributes.get("class", "").split():
            return "code"  # as docutils writes it
        return _RENAMED.get(node.tag, node.tag)

    def _place_inline(self, node: Node, tag: str, *, is_flow: bool, is_code: bool) -> list[Child]:
        if tag == "br":
            return [Node("br")]
        if tag == "a":
            return self._place_link(node, is_code=is_code)
        if is_flow and _holds_block(node):
            return self.place(node.children, is_flow=True)
        inner = self.place(node.children, is_flow=False, is_code=is_code)
        attributes = self._keep_id(node)
        if is_code and tag == "span":
            tokens = [name for name in node.attributes.get("class", "").split() if _TOKEN.fullmatch(name)]
            attributes |= {"class": tokens[0]} if tokens else {}
        elif "label" in node.attributes.get("class", "").split():
            attributes["class"] = "label"
        if tag == "span" and not attributes:
            return inner
        return [Node(tag, attributes, inner)] if inner or attributes else []

    def _place_link(self, node: Node, *, is_code: bool) -> list[Child]:
        inner = self.place(node.children, is_flow=False, is_code=is_code)
        attributes = self._keep_id(node)
        if not has_text(inner):
            return [Node("span", attributes)] if attributes else []
        href = self._find_target(node.attributes.get("href", ""))
        if href:
            return [Node("a", {**attributes, "href": href}, inner)]
        return [Node("span", attributes, inner)] if attributes else inner

    def _find_target(self, href: str) -> str | None:
        """``href`` where it leads to the web, or to an ``id`` of this text; a relative one leads nowhere from here."""
        if href.startswith("#"):
            target = _prefixed(unquote(href[1:]))
            return f"#{quote(target)}" if target in self._ids else None
        return href if _WEB.fullmatch(href) else None

    def _keep_id(self, node: Node) -> dict[str, str]:
        given = node.attributes.get("id", "")
        name = _prefixed(given)
        if not given or name in self._taken or re.search(r"\s", name):
            return {}
        self._taken.add(name)
        return {"id": name}

    def _place_block(self, node: Node, tag: str) -> list[Child]:
        if tag == "hr":
            return [Node("hr")]
        if tag in HEADINGS:
            return self._place_heading(node)
        if tag == "table":
            return lay_out_table(node, self.place)
        if tag in ("ul", "ol"):
            return self._place_list(node, tag)
        if tag == "dl":
            return self._place_definitions(node)
        if tag == "details":
            return self._place_details(node)
        attributes = self._keep_id(node)
        kept = [name for name in node.attributes.get("class", "").split() if name in CLASSES]
        if kept:
            attributes["class"] = kept[0]
        inner = self.place(node.children, is_flow=tag not in ("p", "pre"), is_code=tag == "pre")
        if not attributes and not has_text(inner):
            return []
        return [Node(tag, attributes | SCROLLS if tag == "pre" else attributes, inner)]

    def _place_heading(self, node: Node) -> list[Child]:
        """The first is one below the page's own, and none is more than one below that before it."""
        level = int(node.tag[1])
        while self._levels and self._levels[-1] >= level:
            self._levels.pop()
        self._levels.append(level)
        attributes = self._keep_id(node)
        inner: list[Child] = []
        for child in self.place(node.children, is_flow=False):
            inner.extend(child.children if isinstance(child, Node) and _leads_within(child) else [child])
        if not has_text(inner):
            return [Node("div", attributes)] if attributes else []
        return [Node(f"h{min(6, _FIRST_HEADING - 1 + len(self._levels))}", attributes, inner)]

    def _place_list(self, node: Node, tag: str) -> list[Child]:
        items: list[Child] = []
        for child in _elements(node):
            inner = self.place(child.children if child.tag == "li" else [child], is_flow=True)
            attributes = self._keep_id(child) if child.tag == "li" else {}
            if has_text(inner) or attributes:
                items.append(Node("li", attributes, inner))
        start = node.attributes.get("start", "")
        attributes = {"start": start} if tag == "ol" and re.fullmatch(r"[0-9]{1,6}", start) else {}
        return [Node(tag, {**self._keep_id(node), **attributes}, items)] if items else []

    def _place_definitions(self, node: Node) -> list[Child]:
        """Terms and what they mean, in the order that HTML wants; other contents stand as they come."""
        items: list[Child] = []
        follows = ""
        for child in _elements(node):
            tag = child.tag if child.tag in ("dt", "dd") else "dd"
            if tag == "dd" and not follows:
                items.append(Node("dt"))
            inner = self.place(child.children if child.tag == tag else [child], is_flow=tag == "dd")
            items.append(Node(tag, self._keep_id(child) if child.tag == tag else {}, inner))
            follows = tag
        if follows == "dt":
            items.append(Node("dd"))
        return [Node("dl", self._keep_id(node), items)] if has_text(items) else []

    def _place_details(self, node: Node) -> list[Child]:
        title: list[Child] = []
        rest: list[Child] = []
        for child in node.children:
            if isinstance(child, Node) and child.tag == "summary" and not title:
                title = self.place(child.children, is_flow=False)
            else:
                rest.append(child)
        summary = Node("summary", {}, title if has_text(title) else ["Details"])
        return [Node("details", self._keep_id(node), [summary, *self.place(rest, is_flow=True)])]


def _prefixed(name: str) -> str:
    return name if name.startswith(ID_PREFIX) else ID_PREFIX + name


def _elements(node: Node) -> Iterator[Node]:
    """The elements in ``node``; text that stands between them is one too."""
    for child in node.children:
        if isinstance(child, Node):
            yield child
        elif child.strip():
            yield Node("span", {}, [child])


def _holds_block(node: Node) -> bool:
    return any(
        isinstance(child, Node) and (_RENAMED.get(child.tag, child.tag) in BLOCKS or _holds_block(child))
        for child in node.children
    )


def _leads_within(node: Node) -> bool:
    return node.tag == "a" and node.attributes.get("href", "").startswith("#")


def _write(children: list[Child]) -> Iterator[str]:
    for child in children:
        if isinstance(child, str):
            yield escape(child, quote=False)
            continue
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in child.attributes.items())
        yield f"<{child.tag}{attributes}>"
        if child.tag not in VOID:
            yield from _write(child.children)
            yield f"</{child.tag}>"
