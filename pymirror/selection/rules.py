"""What the spec says of a candidate: each rule's and each pin's verdict, then the exclusions, which always win."""

from __future__ import annotations

from collections.abc import Sequence

from pymirror.selection.candidates import Candidate
from pymirror.selection.model import Chosen, Excluded, Reason, Refused, Wants, nearest
from pymirror.simple.model import File
from pymirror.spec.model import Origin, Pin, ProjectRule, YankedPolicy


class Rule:
    """A project rule, with the versions that it admits worked out once for the page."""

    def __init__(self, rule: ProjectRule, candidates: Sequence[Candidate]) -> None:
        self.rule = rule
        versions = {c.version for c in candidates if c.distribution.package_type in rule.package_types}
        # PEP 440: pre-releases count where the specifier names one, or where nothing else matches. Judged over all
        # that upstream has, before any exclusion: to exclude a release must not let a pre-release in.
        self.matching = frozenset(rule.specifier.filter(versions, prereleases=True))
        self.admitted = self.matching if rule.prereleases else frozenset(rule.specifier.filter(versions))

    def verdict(self, candidate: Candidate) -> Excluded | None:
        """``None`` where the rule wants the file."""
        rule = self.rule
        name = candidate.file.filename
        if candidate.distribution.package_type not in rule.package_types:
            kind = candidate.distribution.package_type.value
            return Excluded(filename=name, reason=Reason.PACKAGE_TYPE, detail=kind, origin=rule.origin)
        if candidate.version not in self.admitted:
            reason = Reason.PRERELEASE if candidate.version in self.matching else Reason.VERSION
            return Excluded(filename=name, reason=reason, detail=str(rule.specifier), origin=rule.origin)
        if candidate.file.yanked and not _keeps_yanked(rule):
            return Excluded(filename=name, reason=Reason.YANKED, detail=rule.yanked.value, origin=rule.origin)
        return None


def _keeps_yanked(rule: ProjectRule) -> bool:
    return rule.yanked is YankedPolicy.INCLUDE or (rule.yanked is YankedPolicy.PINNED and rule.is_exact)


def _judge_pin(pin: Pin, candidate: Candidate, wants: Wants) -> Excluded | None:
    """``None`` where the line of the lock file wants the file; it is exact, so a pre-release is as good as any."""
    name = candidate.file.filename
    if not pin.specifier.contains(candidate.version, prereleases=True):
        return Excluded(filename=name, reason=Reason.VERSION, detail=str(pin.specifier), origin=pin.origin)
    if candidate.distribution.package_type not in wants.package_types:
        kind = candidate.distribution.package_type.value
        return Excluded(filename=name, reason=Reason.PACKAGE_TYPE, detail=kind, origin=pin.origin)
    if not _is_allowed(candidate.file, pin):
        return Excluded(filename=name, reason=Reason.NOT_IN_LOCK, origin=pin.origin)
    if candidate.file.yanked and wants.yanked is YankedPolicy.EXCLUDE:
        return Excluded(filename=name, reason=Reason.YANKED, detail=wants.yanked.value, origin=pin.origin)
    return None


def _is_allowed(file: File, pin: Pin) -> bool:
    """Whether one of the pin's hashes is the file's; a file that shares no algorithm with the pin may be."""
    algorithms = {name for name, _ in pin.hashes}
    comparable = [pair for pair in file.hashes if pair[0] in algorithms]
    return not comparable or any(pair in pin.hashes for pair in comparable)


def _find_lock_hashes(file: File, wants: Wants, wanted_by: Sequence[Origin]) -> frozenset[tuple[str, str]]:
    """The hashes to compare the file with once it is there: where only pins want it, and none could be compared yet."""
    known = {name for name, _ in file.hashes}
    pins = [pin for pin in wants.pins if pin.origin in wanted_by]
    if len({pin.origin for pin in pins}) < len(wanted_by) or not all(pin.hashes for pin in pins):
        return frozenset()
    return frozenset(pair for pin in pins if known.isdisjoint(n for n, _ in pin.hashes) for pair in pin.hashes)


_Refusals = list[tuple[Origin, Excluded]]
"""Which rule or pin did not take a file, and why."""


def judge(candidate: Candidate, wants: Wants, rules: Sequence[Rule]) -> tuple[Chosen | Refused | Excluded, _Refusals]:
    verdicts = [(rule.rule.origin, rule.verdict(candidate)) for rule in rules]
    verdicts += [(pin.origin, _judge_pin(pin, candidate, wants)) for pin in wants.pins]
    wanted_by = tuple(sorted({origin for origin, refusal in verdicts if refusal is None}))
    refusals = [(origin, refusal) for origin, refusal in verdicts if refusal is not None]
    if not wanted_by:
        return nearest(refusal for _, refusal in refusals), refusals
    veto = _find_veto(candidate, wants)
    if veto is not None:
        return veto, [*refusals, *((origin, veto) for origin in wanted_by)]
    fault = candidate.fault
    if fault is None and wants.require_hashes and candidate.file.sha256 is None:
        fault = (Reason.NO_SHA256, "upstream gives none (see require-hashes)")
    if fault is not None:
        filename = candidate.file.filename
        reason, detail = fault
        refused = Refused(filename=filename, version=candidate.version, reason=reason, detail=detail, origins=wanted_by)
        return refused, refusals
    chosen = Chosen(
        file=candidate.file,
        distribution=candidate.distribution,
        version=candidate.version,
        origins=wanted_by,
        lock_hashes=_find_lock_hashes(candidate.file, wants, wanted_by),
    )
    return chosen, refusals


def _find_veto(candidate: Candidate, wants: Wants) -> Excluded | None:
    """What keeps a file out whoever wants it."""
    name = candidate.file.filename
    vetoes = [
        Excluded(filename=name, reason=Reason.EXCLUDED, detail=exclude.origin.text, origin=exclude.origin)
        for exclude in wants.excludes
        if exclude.specifier.contains(candidate.version, prereleases=True)
    ]
    return nearest(vetoes) if vetoes else None
