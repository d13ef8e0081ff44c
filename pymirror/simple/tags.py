"""The tags of an HTML page, told apart as a browser does it; in one pass, without a tree.

https://html.spec.whatwg.org/multipage/parsing.html#tokenization. Where an anchor stands in the tree means nothing here,
and to build the tree takes time and memory that grow with the square of what a hostile page has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from html.entities import html5

MAX_ATTRIBUTES = 1000
"""Of one tag; a page of files has ten."""

_NAME = re.compile(r"[a-zA-Z][^\t\n\f />]*")
_ATTRIBUTE = re.compile(
    r"[\t\n\f /]*+(=[^\t\n\f />=]*+|[^\t\n\f />=]++)"
    r"""(?:[\t\n\f ]*+=[\t\n\f ]*+(?:"([^"]*+)(?:"|\Z)|'([^']*+)(?:'|\Z)|([^\t\n\f >"'][^\t\n\f >]*+)|(?=>)))?+"""
)
_TAG_END = re.compile(r"[\t\n\f /]*+>")
_COMMENT_END = re.compile(r"--!?>")
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|([A-Za-z][A-Za-z0-9]*+)(;|=)?)")

# What is between these tags is text, whatever it looks like.
_TEXT_ONLY = frozenset({"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"})


class TooManyAttributesError(ValueError):
    """A tag with more attributes than :data:`MAX_ATTRIBUTES`."""


@dataclass(slots=True, kw_only=True)
class Tag:
    """A start tag, name and names of attributes in lower case; ``texts`` is what follows, up to the next of its kind or
    to its end tag.
    """

    name: str
    attributes: dict[str, str | None]
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return unescape("".join(self.texts)).strip()


def walk_tags(text: str, wanted: Callable[[str], frozenset[str] | None]) -> Iterator[Tag]:
    """The start tags that are ``wanted``, in order; ``wanted`` says which attributes of a tag count, ``None`` for none.

    A template is passed over, as are comments and scripts. The texts of a tag are complete when the next one comes.
    Raises :class:`TooManyAttributesError`.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    here, templates = 0, 0
    current: Tag | None = None
    while (start := text.find("<", here)) != -1:
        if current is not None and start > here:
            current.texts.append(text[here:start])
        is_end = text.startswith("/", start + 1)
        match = _NAME.match(text, start + 1 + is_end)
        if match is None:
            here = _skip_markup(text, start)
            if here == start + 1 and current is not None:
                current.texts.append("<")
            continue
        name = match[0].lower()
        known = None if is_end or templates else wanted(name)
        attributes, here = _read_attributes(text, match.end(), known or frozenset())
        if here == -1:
            return  # a tag that does not end is none
        if name == "template":
            templates = max(0, templates + (-1 if is_end else 1))
        elif is_end:
            current = None if current is not None and current.name == name else current
        elif known is not None:
            current = Tag(name=name, attributes=attributes)
            yield current
        if name in _TEXT_ONLY and not is_end:
            here = _skip_text(text, here, name)
        elif name == "plaintext" and not is_end:
            return
    if current is not None:
        current.texts.append(text[here:])


def _read_attributes(text: str, here: int, known: frozenset[str]) -> tuple[dict[str, str | None], int]:
    """The attributes that are ``known``, the first of each name, and where the tag ends; -1 where it does not."""
    found: dict[str, str | None] = {}
    for _ in range(MAX_ATTRIBUTES + 1):
        match = _ATTRIBUTE.match(text, here)
        if match is None:
            end = _TAG_END.match(text, here)
            return found, end.end() if end is not None else -1
        here = match.end()
        name = match[1].lower()
        if name in known and name not in found:
            value = next((value for value in match.group(2, 3, 4) if value is not None), None)
            found[name] = _decode(value) if value is not None else None
    raise TooManyAttributesError(f"a tag has more than {MAX_ATTRIBUTES} attributes")


def _skip_markup(text: str, start: int) -> int:
    """Where it goes on after a ``<`` that begins no tag: behind a comment or the like, or it is text."""
    if text.startswith("<!--", start):
        # <!--> and <!---> are comments too, so the end may overlap the beginning.
        if text.startswith((">", "->"), start + 4):
            return text.find(">", start) + 1
        end = _COMMENT_END.search(text, start + 4)
        return end.end() if end is not None else len(text)
    if text.startswith(("<!", "<?", "</"), start):
        end_at = text.find(">", start)
        return end_at + 1 if end_at != -1 else len(text)
    return start + 1


def _skip_text(text: str, here: int, name: str) -> int:
    end = re.compile(rf"</{name}(?=[\t\n\f />])", re.IGNORECASE).search(text, here)
    return end.start() if end is not None else len(text)


def _decode(value: str) -> str:
    """An attribute's value with its character references replaced, and without NUL."""
    if "&" in value:
        value = _REFERENCE.sub(_replace_reference, value)
    return value.replace("\0", "\ufffd")


def _replace_reference(match: re.Match[str]) -> str:
    """As in text, but ``&copy=1`` and ``&copyright`` are part of an address, and no signs."""
    whole, name, follower = match[0], match[1], match[2]
    if name is None:
        return _replace_number(whole)
    return html5.get(whole[1:] if follower == ";" else "" if follower == "=" else name, whole)


def _replace_number(reference: str) -> str:
    """The standard library's leaves out what is no character, which a browser keeps."""
    digits = reference.strip("&#;")
    number = int(digits[1:], 16) if digits[:1] in ("x", "X") else int(digits[:9])
    is_plain = 0 < number <= 0x10FFFF and not 0x80 <= number < 0xA0 and not 0xD800 <= number < 0xE000
    return chr(number) if is_plain else unescape(reference)
