"""Why a root is unsolved, in a sentence or a few: the chain, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.closure.catalog import Catalog
from pymirror.closure.model import LeftOut, Options, Root
from pymirror.closure.requirements import Need
from pymirror.closure.trail import Asked, Trail
from pymirror.errors import printable

_MAX_CONFLICTS = 3
_MAX_LISTED = 3
_MAX_COMPARED = 50
_MAX_CHAIN = 8


def explain(root: Root, catalog: Catalog, trail: Trail, projects: Iterable[NormalizedName]) -> str:
    """What came to nothing about ``projects``, else about all that ``trail`` knows."""
    named = [project for project in dict.fromkeys(projects) if project in trail.conflicts]
    sentences: dict[str, None] = {}
    for project in named or trail.conflicts:
        sentence = _explain_project(root, catalog, trail, trail.conflicts[project])
        if sentence:
            sentences[sentence] = None
    if not sentences:
        return "nothing meets all requirements together"
    shown = list(sentences)[:_MAX_CONFLICTS]
    more = len(sentences) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _explain_project(root: Root, catalog: Catalog, trail: Trail, conflict: Sequence[Asked]) -> str | None:
    """What is wrong with the project that all of ``conflict`` asks for; ``None`` where others are to blame."""
    listing = catalog.listing(conflict[0].need.project)
    asked = _without_repeats(conflict)
    if listing is None:
        return None
    if listing.problem is not None and not listing.options:
        return f"{_tell_needs(root, trail, asked[:1])}: {printable(listing.problem)}"
    if urls := [item for item in asked if item.need.has_url]:
        return f"{_tell_needs(root, trail, urls[:1])}: an index cannot serve a URL"
    fewest = _find_fewest(catalog, asked)
    needs = [item.need for item in fewest]
    if _is_met(catalog, needs):
        return None
    why = _tell_refused(catalog, needs) or _tell_left_out(listing, needs) or _tell_yanked(listing, needs)
    if why is None and len(needs) == 1:
        why = _tell_versions(listing)
    return _tell_needs(root, trail, fewest) + (f": {why}" if why else "")


def _without_repeats(conflict: Sequence[Asked]) -> list[Asked]:
    """One for each condition; what an extra asks of its own project only where nothing else is asked."""
    by_condition: dict[str, Asked] = {}
    for item in conflict:
        by_condition.setdefault(item.need.condition, item)
    asked = [item for item in by_condition.values() if item.need.only is None]
    return asked or [conflict[0]]


def _is_met(catalog: Catalog, needs: Sequence[Need]) -> bool:
    return any(
        not catalog.is_known(candidate) or catalog.refusal(candidate) is None
        for candidate in catalog.matches(needs[0].project, needs)
    )


def _find_fewest(catalog: Catalog, asked: list[Asked]) -> list[Asked]:
    """Of requirements that nothing meets together: so few that nothing meets these together."""
    kept = asked[:_MAX_COMPARED]
    for item in asked[:_MAX_COMPARED]:
        fewer = [other for other in kept if other is not item]
        if fewer and not _is_met(catalog, [other.need for other in fewer]):
            kept = fewer
    return kept


# ── as text ─────────────────────────────────────────────────────────────────────────────────────────


def _tell_needs(root: Root, trail: Trail, asked: Sequence[Asked]) -> str:
    """``a 1.0 needs c<2 and web 1.0 → b 1.0 needs c>=2``."""
    texts: dict[str, list[str]] = {}
    for item in asked:
        texts.setdefault(_tell_asker(root, trail, item), []).append(item.need.text)
    return " and ".join(
        f"{asker} {' and '.join(needs)}" if asker else f"{' and '.join(needs)} is asked for"
        for asker, needs in texts.items()
    )


def _tell_asker(root: Root, trail: Trail, asked: Asked) -> str:
    """``web 1.0 → acme 1.0 needs``; empty where a root asks for itself."""
    if asked.parent is None:
        if root.built is not None:
            return f"{root.built} is built with"
        is_itself = canonicalize_name(root.name.partition("[")[0]) == asked.need.project
        return "" if is_itself else f"{root.name} asks for"
    names = list(dict.fromkeys(candidate.name for candidate in trail.chain(asked.parent)))
    if len(names) > _MAX_CHAIN:
        names = [*names[: _MAX_CHAIN // 2], "…", *names[-(_MAX_CHAIN // 2) :]]
    return f"{' → '.join(names)} needs"


def _tell_refused(catalog: Catalog, needs: Sequence[Need]) -> str | None:
    """The releases that would do, but for what their own metadata say."""
    told = [
        f"{candidate.option.version} cannot be taken: {refusal}"
        for candidate in catalog.matches(needs[0].project, needs)
        if catalog.is_known(candidate) and (refusal := catalog.refusal(candidate)) is not None
    ]
    return _list(told, "; ") if told else None


def _tell_left_out(listing: Options, needs: Sequence[Need]) -> str | None:
    """The files that would do, and why they may not be chosen."""
    fitting = [item for item in listing.left_out if item.version is not None and _lets_in(needs, item.version)]
    by_version: dict[str, dict[str, None]] = {}
    for item in sorted(fitting, key=_age, reverse=True):
        by_version.setdefault(str(item.version), {})[printable(item.reason)] = None
    told = [f"{version} is left out: {_list(list(reasons), ', ')}" for version, reasons in by_version.items()]
    return _list(told, "; ") if told else None


def _lets_in(needs: Sequence[Need], version: Version) -> bool:
    return all(need.specifier.contains(version, prereleases=True) for need in needs)


def _tell_yanked(listing: Options, needs: Sequence[Need]) -> str | None:
    yanked = [str(each.version) for each in listing.options if each.is_yanked and _lets_in(needs, each.version)]
    if not yanked:
        return None
    return f"{_list(yanked, ', ')} {'is' if len(yanked) == 1 else 'are'} yanked, and no == asks for it"


def _tell_versions(listing: Options) -> str:
    versions = [str(option.version) for option in listing.options]
    if not versions:
        return "every release of it is left out" if listing.left_out else "there is no release of it"
    return f"there {'is' if len(versions) == 1 else 'are'} only {_list(versions, ', ')}"


def _age(item: LeftOut) -> tuple[object, ...]:
    return (item.version, item.filename)


def _list(texts: list[str], sign: str) -> str:
    shown = sign.join(texts[:_MAX_LISTED])
    return shown if len(texts) <= _MAX_LISTED else f"{shown}{sign}and {len(texts) - _MAX_LISTED} more"
