"""Rules and a project's page → the chosen files, and every other with the reason why it was left out."""

from __future__ import annotations

from collections import defaultdict

from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.selection.candidates import understand
from pymirror.selection.explain import find_unmet
from pymirror.selection.model import Chosen, Excluded, Refused, Selection, Wants
from pymirror.selection.rules import Rule, judge
from pymirror.simple.model import ProjectDetail
from pymirror.spec.model import Origin, Spec


def wants_of(spec: Spec, project: NormalizedName) -> Wants:
    """What ``spec`` says of ``project``."""
    return Wants(
        project=project,
        rules=tuple(rule for rule in spec.rules if rule.project == project),
        pins=tuple(pin for pin in spec.pins if pin.project == project),
        excludes=tuple(rule for rule in spec.excludes if rule.matches_project(project)),
        package_types=spec.package_types,
        yanked=spec.yanked,
        require_hashes=spec.require_hashes,
    )


def select(wants: Wants, detail: ProjectDetail, *, page_url: str) -> Selection:
    """The files of ``detail``, which was read from ``page_url``, that ``wants`` asks for."""
    excluded: list[Excluded] = []
    candidates = list(understand(wants.project, detail, page_url, excluded))
    rules = [Rule(rule, candidates) for rule in wants.rules]
    chosen: list[Chosen] = []
    refused: list[Refused] = []
    refusals: dict[Origin, list[Excluded]] = defaultdict(list)
    for candidate in candidates:
        verdict, misses = judge(candidate, wants, rules)
        if isinstance(verdict, Chosen):
            chosen.append(verdict)
        elif isinstance(verdict, Refused):
            refused.append(verdict)
        else:
            excluded.append(verdict)
        for origin, refusal in misses:
            refusals[origin].append(refusal)
    chosen.sort(key=_order)
    return Selection(
        project=wants.project,
        chosen=tuple(chosen),
        excluded=tuple(sorted(excluded, key=lambda item: (item.filename, item.reason))),
        unmet=tuple(find_unmet(wants, [*chosen, *refused], refusals, candidates)),
        refused=tuple(sorted(refused, key=lambda item: item.filename)),
        status=detail.status,
        status_reason=detail.status_reason,
    )


def _order(chosen: Chosen) -> tuple[Version, str]:
    return chosen.version, chosen.file.filename
