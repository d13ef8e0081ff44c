"""Whether what a lock file pins is in the tree, and whether it goes together there.

A lock is never resolved anew: each pin that can hold in an environment needs a file that suits it and that the lock
allows. Then the pins are solved together, with all that they need, which shows whether anything is missing in the lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.closure.model import NoNeeds, Root
from pymirror.commands.check_roots import join_some
from pymirror.environment import Environment, meets_marker
from pymirror.lockfiles.formats import detect_format
from pymirror.lockfiles.interface import LockFormat
from pymirror.selection.candidates import Candidate
from pymirror.selection.checks import Locked, check_lock
from pymirror.selection.fit import Fit
from pymirror.selection.model import Reason
from pymirror.spec.model import Origin, Pin, Spec
from pymirror.tree_facts import HeldFile, Tree, choose_file, why_unfit

_INCLUDE = "include: "  # what the line of a document that includes another is called


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """The pins of one entry of ``lockfiles``. ``is_resolved`` where installers solve what it lists, as pip does with
    requirements; the other formats are installed as they are.
    """

    name: str
    origin: Origin
    pins: tuple[Pin, ...]
    unservable: tuple[str, ...] = ()
    is_resolved: bool = True

    @property
    def is_hashed(self) -> bool:
        """Whether pip takes nothing beside what the lock pins."""
        return any(pin.hashes for pin in self.pins)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPin:
    """A pin that holds in an environment: the file that an installer takes for it, or why there is none."""

    pin: Pin
    held: HeldFile | None = None
    problem: str | None = None

    @property
    def text(self) -> str:
        """``foo==1.0``."""
        return f"{self.pin.project}{self.pin.specifier}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTask:
    """A lock in one environment. ``roots`` is the one that all of it makes, or one for each pin where the lock has two
    versions of a project there; none where a pin has no file.
    """

    lock: LockFile
    environment: Environment
    pins: tuple[HeldPin, ...]
    roots: tuple[Root, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        return tuple(dict.fromkeys(each for root in self.roots for each in root.requirements))

    @property
    def is_one(self) -> bool:
        return len(self.roots) == 1

    @property
    def problems(self) -> list[tuple[HeldPin, str]]:
        return [(each, each.problem) for each in self.pins if each.problem is not None]


def list_locks(spec: Spec) -> list[LockFile]:
    """The locks of a spec, in its order."""
    pins: dict[Origin, list[Pin]] = {}
    files = {pin.origin.file for pin in spec.pins}
    resolved = {file for file in files if _is_requirements(spec.path.parent, file)}
    unservable: dict[Origin, list[str]] = {}
    for pin in spec.pins:
        pins.setdefault(_find_entry(pin.origin), []).append(pin)
    for line in spec.unservable:
        entry = _find_entry(line.origin)
        pins.setdefault(entry, [])
        unservable.setdefault(entry, []).append(f"{line.origin.text} ({line.origin}): {line.problem}")
    return [
        LockFile(
            name=f"lock {entry.text}",
            origin=entry,
            pins=tuple(found),
            unservable=tuple(unservable.get(entry, ())),
            is_resolved=all(pin.origin.file in resolved for pin in found),
        )
        for entry, found in pins.items()
    ]


def list_lock_tasks(
    lock: LockFile, environments: Sequence[Environment], tree: Tree, *, build_dependencies: bool
) -> Iterator[LockTask]:
    """The lock in each environment in which any of its pins can hold."""
    for environment in environments:
        pins = [_look_up(pin, environment, tree) for pin in lock.pins if _holds(pin, environment)]
        pins, notes = _drop_unneeded(pins, environment, tree)
        if pins or lock.unservable:
            is_whole = all(each.problem is None for each in pins)
            roots = _make_roots(lock, pins, environment, build_dependencies=build_dependencies) if is_whole else ()
            yield LockTask(lock=lock, environment=environment, pins=tuple(pins), roots=roots, notes=notes)


def find_conflicts(task: LockTask, tree: Tree) -> list[str]:
    """Pins that another pin does not go with, by what that says of its needs."""
    pinned: dict[NormalizedName, HeldPin] = {each.pin.project: each for each in task.pins}
    found = []
    for each in task.pins:
        for requirement in _needs_of(each, task.environment, tree):
            other = pinned.get(canonicalize_name(requirement.name))
            if other is None or other.held is None:
                continue
            if not requirement.specifier.contains(other.held.version, prereleases=True):
                found.append(f"{each.text} needs {requirement.name}{requirement.specifier}, {other.text} is pinned")
    return sorted(set(found))


# ── the spec ────────────────────────────────────────────────────────────────────────────────────────


def _find_entry(origin: Origin) -> Origin:
    """The line of ``lockfiles`` that led to ``origin``: the first of its chain that is no include."""
    chain = [origin]
    while chain[-1].parent is not None:
        chain.append(chain[-1].parent)
    return next((each for each in reversed(chain) if not each.text.startswith(_INCLUDE)), origin)


def _is_requirements(folder: Path, file: str) -> bool:
    """Whether the lock ``file``, as the spec names it, is a requirements file."""
    try:
        with (folder / file).open("rb") as opened:
            data = opened.read(64 * 1024)
    except OSError:
        data = b""
    return detect_format(data, file=file) is LockFormat.REQUIREMENTS


# ── pins ────────────────────────────────────────────────────────────────────────────────────────────


def _holds(pin: Pin, environment: Environment) -> bool:
    return bool(Fit((environment,), pin.marker, pin.marker_extras, pin.marker_groups).every)


def _look_up(pin: Pin, environment: Environment, tree: Tree) -> HeldPin:
    """The file of the tree that installs the pin."""
    page = tree.project(pin.project)
    if page.problem is not None:
        return HeldPin(pin=pin, problem=page.problem)
    locked = Locked(pin)
    fitting: list[HeldFile] = []
    reasons: list[str] = []
    for held in page.files:
        refusal = check_lock(Candidate(held.file, held.distribution, held.version), pin, locked)
        if refusal is None:
            reason = why_unfit(held, environment)
            if reason is None:
                fitting.append(held)
            else:
                reasons.append(f"{held.filename}: {reason}")
        elif pin.specifier.contains(held.version, prereleases=True):
            other = refusal.reason is Reason.LOCK_MISMATCH
            reasons.append(f"{held.filename}: the lock allows {'other bytes' if other else 'other files'} only")
    if fitting:
        chosen = choose_file(fitting, environment)
        fault = tree.find_fault(chosen)
        return HeldPin(pin=pin, held=chosen, problem=f"{chosen.filename}: {fault}" if fault is not None else None)
    return HeldPin(pin=pin, problem=join_some(reasons) or "its page in the tree has no such release")


def _drop_unneeded(
    pins: Sequence[HeldPin], environment: Environment, tree: Tree
) -> tuple[list[HeldPin], tuple[str, ...]]:
    """Without those that have no file and that nothing needs there: some locks do not say where an entry is meant.

    Only one of which the lock says what needs it can be left out, and only where none of these does so there.
    """
    needed = {
        canonicalize_name(requirement.name)
        for each in pins
        if each.held is not None
        for requirement in _needs_of(each, environment, tree, with_extras=True)
    }
    present = {each.pin.project for each in pins if each.held is not None}
    left: list[HeldPin] = []
    notes: list[str] = []
    for each in pins:
        is_judged = each.pin.required_by and present.issuperset(each.pin.required_by)
        if each.problem is not None and is_judged and each.pin.project not in needed:
            notes.append(f"{each.text} is not needed there")
        else:
            left.append(each)
    return left, tuple(notes)


def _needs_of(
    each: HeldPin, environment: Environment, tree: Tree, *, with_extras: bool = False
) -> Iterator[Requirement]:
    """What a pinned file needs in ``environment``; with all of its extras, or with those that the pin asks for."""
    needs = tree.needs(each.held) if each.held is not None else None
    if needs is None or isinstance(needs, NoNeeds):
        return
    extras = frozenset(needs.extras) if with_extras else each.pin.extras
    for text in needs.requires:
        try:
            requirement = Requirement(text)
        except (InvalidRequirement, RecursionError):
            continue
        if requirement.marker is None or meets_marker(environment, str(requirement.marker), extras=extras):
            yield requirement


# ── roots ───────────────────────────────────────────────────────────────────────────────────────────


def _make_roots(
    lock: LockFile, pins: Sequence[HeldPin], environment: Environment, *, build_dependencies: bool
) -> tuple[Root, ...]:
    requirements: dict[Requirement, Origin] = {}
    versions: dict[NormalizedName, set[Version]] = {}
    for each in pins:
        if each.held is not None:
            extras = f"[{','.join(sorted(each.pin.extras))}]" if each.pin.extras else ""
            requirement = Requirement(f"{each.pin.project}{extras}=={each.held.version}")
            requirements.setdefault(requirement, each.pin.origin)
            versions.setdefault(each.pin.project, set()).add(each.held.version)
    whole = Root(
        name=lock.name,
        requirements=tuple(requirements),
        environment=environment,
        origin=lock.origin,
        build_dependencies=build_dependencies,
    )
    if all(len(found) == 1 for found in versions.values()):
        return (whole,) if requirements else ()
    return tuple(
        replace(whole, name=f"{lock.name}: {requirement}", requirements=(requirement,), origin=origin)
        for requirement, origin in requirements.items()
    )
