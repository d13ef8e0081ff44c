"""What could not be had: the rules and pins that no file meets, and what came nearest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.specifiers import SpecifierSet

from pymirror.selection.candidates import Candidate
from pymirror.selection.model import Chosen, Excluded, Refused, Unmet, Wants, nearest
from pymirror.spec.model import Origin


def find_unmet(
    wants: Wants,
    taken: Sequence[Chosen | Refused],
    refusals: Mapping[Origin, Sequence[Excluded]],
    candidates: Sequence[Candidate],
) -> Iterable[Unmet]:
    met = {origin for item in taken for origin in item.origins}
    asked: list[tuple[Origin, SpecifierSet]] = [(rule.origin, rule.specifier) for rule in wants.rules]
    asked += [(pin.origin, pin.specifier) for pin in wants.pins]
    for origin, specifier in asked:
        if origin not in met:
            problem = _explain(origin, specifier, refusals.get(origin, ()), candidates)
            yield Unmet(project=wants.project, origin=origin, problem=problem)


def _explain(
    origin: Origin, specifier: SpecifierSet, refusals: Sequence[Excluded], candidates: Sequence[Candidate]
) -> str:
    """Why nothing was chosen, from what came nearest."""
    versions = {candidate.file.filename: candidate.version for candidate in candidates}
    near = [item for item in refusals if specifier.contains(versions[item.filename], prereleases=True)]
    if near:
        best = nearest(near)
        by = f" ({best.origin})" if best.origin and best.origin != origin else ""
        what = f"{len(near)} matching files were left out" if len(near) > 1 else "the one matching file was left out"
        return f"{what}: {best.reason.label}{': ' + best.detail if best.detail else ''}{by}"
    if versions:
        return f"no release matches; the newest upstream is {max(versions.values())}"
    return "upstream lists no distribution that can be used"
