"""Requirements as a resolution compares them: parsed once, and one for each project or extra that they name.

https://packaging.python.org/specifications/dependency-specifiers/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from pymirror.closure.model import Option
from pymirror.errors import printable, printable_url

_MAX_REQUIREMENT = 20_000  # characters; the longest markers that tools write have some hundreds
_USER = re.compile(r"//[^/\s]*@")
_MAX_CLAUSES = 200  # of one specifier; the time to compare them grows with the square


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Need:
    """That a project, or an extra of it, be there. Two of them are the same only where they are one object.

    ``key`` is the project, or ``project[extra]``: what a resolution chooses for. ``text`` is the requirement for
    messages, without its marker. ``condition`` is ``specifier`` as text. ``only`` is the one option that will do: an
    extra needs its own project in its own version.
    """

    key: str
    project: NormalizedName
    extra: NormalizedName | None
    specifier: SpecifierSet
    condition: str
    text: str
    has_url: bool = False
    only: Option | None = None
    is_pinned: bool = False
    is_bounded: bool = False
    takes_prereleases: bool = False

    @property
    def is_free(self) -> bool:
        return not self.condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A requirement as it is declared: what it needs where ``marker`` holds."""

    needs: tuple[Need, ...]
    marker: str | None


def parse_requirement(text: str) -> Requirement:
    """Raises ValueError with what is wrong with ``text``: ``is no valid requirement``."""
    if len(text) > _MAX_REQUIREMENT:
        raise ValueError(f"is too long: {len(text)} characters")
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise ValueError("is no valid requirement") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if len(requirement.specifier) > _MAX_CLAUSES:
        raise ValueError(f"has {len(requirement.specifier)} version clauses, more than the limit of {_MAX_CLAUSES}")
    return requirement


@lru_cache(maxsize=65536)
def read_requirement(text: str) -> Line:
    """What ``text``, a ``Requires-Dist``, asks for. Raises ValueError where it is no requirement."""
    requirement = parse_requirement(text)
    return Line(needs=needs_of(requirement), marker=str(requirement.marker) if requirement.marker else None)


def quote_requirement(text: str) -> str:
    """A requirement that could not be read, for messages: without what may be a password in it."""
    return f'"{printable(_USER.sub("//", text), limit=80)}"'


def needs_of(requirement: Requirement) -> tuple[Need, ...]:
    """What ``requirement`` asks for, its marker aside: the project itself, then each of its extras."""
    project = canonicalize_name(requirement.name)
    extras = sorted({canonicalize_name(extra) for extra in requirement.extras})
    asked = f"{project}[{','.join(extras)}]" if extras else project
    condition = str(requirement.specifier)
    if requirement.url:
        where = f"@ {printable_url(requirement.url)}"
        return (_intern(project, None, where, f"{asked} {where}", has_url=True),)
    text = printable(f"{asked}{condition}")
    return tuple(_intern(project, extra, condition, text) for extra in (None, *extras))


def need_only(option: Option) -> Need:
    """That ``option`` and no other be chosen of its project."""
    return Need(
        key=option.project,
        project=option.project,
        extra=None,
        specifier=_parse_specifier(""),
        condition=f"={option.filename}",
        text=f"{option.project}=={option.version}",
        only=option,
        is_pinned=True,
    )


@lru_cache(maxsize=65536)
def _intern(
    project: NormalizedName, extra: NormalizedName | None, condition: str, text: str, *, has_url: bool = False
) -> Need:
    specifier = _parse_specifier("" if has_url else condition)
    operators = [(item.operator, item.version.endswith(".*")) for item in specifier]
    return Need(
        key=project if extra is None else f"{project}[{extra}]",
        project=project,
        extra=extra,
        specifier=specifier,
        condition=condition,
        text=text,
        has_url=has_url,
        takes_prereleases=bool(specifier.prereleases),
        is_pinned=any(operator in ("==", "===") and not is_prefix for operator, is_prefix in operators),
        is_bounded=any(
            operator in ("<", "<=", "~=") or (operator == "==" and is_prefix) for operator, is_prefix in operators
        ),
    )


_parse_specifier = lru_cache(maxsize=65536)(SpecifierSet)
