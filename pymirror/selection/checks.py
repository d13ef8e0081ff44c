"""One file and one filter: ``None`` where it passes, else why not, with the line that says so."""

from __future__ import annotations

from datetime import timedelta

from pymirror.selection.candidates import Candidate
from pymirror.selection.fit import Fit
from pymirror.selection.model import Excluded, Reason, Wants
from pymirror.simple.model import File
from pymirror.spec.model import Filters, LockedFile, Origin, Pin, ProjectRule, RemovalPolicy, YankedPolicy
from pymirror.spec.units import format_size


def check_type(candidate: Candidate, filters: Filters, rule: Origin) -> Excluded | None:
    kind = candidate.distribution.package_type
    if kind in filters.package_types:
        return None
    return candidate.leave_out(Reason.PACKAGE_TYPE, kind.value, filters.origin_of("package-types") or rule)


def check_environment(candidate: Candidate, filters: Filters, fit: Fit, rule: Origin) -> Excluded | None:
    origin = filters.origin_of("environments") or rule
    by_tags = fit.by_tags(candidate)
    if not by_tags:
        tags = sorted(map(str, candidate.distribution.tags))
        return candidate.leave_out(Reason.ENVIRONMENT, f"{tags[0]} suits no environment", origin)
    if not by_tags & fit.by_python(candidate):
        return candidate.leave_out(Reason.REQUIRES_PYTHON, candidate.file.requires_python or "", origin)
    return None


def keeps_yanked(rule: ProjectRule) -> bool:
    yanked = rule.filters.yanked
    return yanked is YankedPolicy.INCLUDE or (yanked is YankedPolicy.PINNED and rule.is_exact)


class Locked:
    """The files that a lock names. Some tools write a name as it is spelt today, which is not what upstream has."""

    def __init__(self, pin: Pin) -> None:
        self._by_name = {file.filename.lower(): file for file in pin.files}
        self._by_hash = {pair: file for file in pin.files for pair in file.hashes}

    def find(self, file: File) -> LockedFile | None:
        """The entry of the lock that means ``file``: by its name, else by one of its hashes."""
        by_name = self._by_name.get(file.filename.lower())
        by_hash = (self._by_hash[pair] for pair in file.hashes if pair in self._by_hash)
        return by_name if by_name is not None else next(by_hash, None)


def check_lock(candidate: Candidate, pin: Pin, locked: Locked) -> Excluded | None:
    """Whether the lock means the file: by its name where the lock has names, else by its version and hashes."""
    if pin.files:
        # What the lock calls the version is not compared: some write it without its local part.
        named = locked.find(candidate.file)
        if named is None:
            is_other = bool(str(pin.specifier)) and not pin.specifier.contains(candidate.version, prereleases=True)
            reason = Reason.VERSION if is_other else Reason.NOT_IN_LOCK
            return candidate.leave_out(reason, str(pin.specifier), pin.origin)
        if not is_same(candidate.file, named):
            return candidate.leave_out(
                Reason.LOCK_MISMATCH, "upstream's hash is not the one in the lock file", pin.origin
            )
        return None
    if not pin.specifier.contains(candidate.version, prereleases=True):
        return candidate.leave_out(Reason.VERSION, str(pin.specifier), pin.origin)
    if not is_allowed(candidate.file, pin.hashes):
        return candidate.leave_out(Reason.NOT_IN_LOCK, origin=pin.origin)
    return None


def is_same(file: File, named: LockedFile) -> bool:
    """Whether no hash of the file's is another than the lock's: they are all of one file."""
    ours = dict(named.hashes)
    return all(ours.get(name, digest) == digest for name, digest in file.hashes)


def is_allowed(file: File, hashes: frozenset[tuple[str, str]]) -> bool:
    """Whether one of a lock's hashes is the file's; a file that shares no algorithm with the lock may be."""
    algorithms = {name for name, _ in hashes}
    comparable = [pair for pair in file.hashes if pair[0] in algorithms]
    return not comparable or any(pair in hashes for pair in comparable)


def check_old(candidate: Candidate, filters: Filters, wants: Wants, rule: Origin) -> Excluded | None:
    if filters.exclude_older is None:
        return None
    uploaded = candidate.file.upload_time
    if uploaded is not None and uploaded >= filters.exclude_older.at(wants.now):
        return None
    detail = "upstream gives no upload time" if uploaded is None else f"uploaded {uploaded:%Y-%m-%d}"
    return candidate.leave_out(Reason.TOO_OLD, detail, filters.origin_of("exclude-older") or rule)


def check_policy(candidate: Candidate, filters: Filters, wants: Wants, rule: Origin) -> Excluded | None:
    """What decides on what may come in at all, whoever asks for it: age and size."""
    return _check_new(candidate, filters, wants, rule) or _check_size(candidate, filters, rule)


def _check_new(candidate: Candidate, filters: Filters, wants: Wants, rule: Origin) -> Excluded | None:
    cutoff = filters.exclude_newer
    if cutoff is None or any(each.matches(candidate.file.filename, candidate.version) for each in wants.allow_newer):
        return None
    uploaded = candidate.file.upload_time
    if uploaded is not None and uploaded < cutoff.at(wants.now):
        return None
    origin = filters.origin_of("exclude-newer") or rule
    if uploaded is None:
        return candidate.leave_out(Reason.TOO_NEW, "upstream gives no upload time", origin)
    until = None
    if cutoff.moment is None:
        try:
            until = uploaded + timedelta(seconds=cutoff.age_seconds)
        except OverflowError:
            until = None
    return candidate.leave_out(Reason.TOO_NEW, f"uploaded {uploaded:%Y-%m-%d %H:%M} UTC", origin, until=until)


def _check_size(candidate: Candidate, filters: Filters, rule: Origin) -> Excluded | None:
    size, limit = candidate.file.expected_size, filters.max_file_size
    if limit is None or size is None or size <= limit:
        return None
    return candidate.leave_out(Reason.TOO_LARGE, format_size(size), filters.origin_of("max-file-size") or rule)


def check_removed(candidate: Candidate, wants: Wants, rule: Origin) -> Excluded | None:
    if not candidate.is_removed or wants.on_upstream_removal is RemovalPolicy.KEEP:
        return None
    return candidate.leave_out(Reason.REMOVED_UPSTREAM, f"on-upstream-removal: {wants.on_upstream_removal.value}", rule)
