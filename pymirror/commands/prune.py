"""``pymirror prune``: deletes the files that no kept snapshot names."""

from __future__ import annotations

import math

from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import PruneReport
from pymirror.contents import forget_sdists
from pymirror.errors import NoMirrorError, StorageError
from pymirror.history import History
from pymirror.layout import BESIDE_SUFFIXES, POOL, blake2b_of_pool_path
from pymirror.lock import hold_lock
from pymirror.pool import Pool
from pymirror.quarantine import Quarantine
from pymirror.storage.interface import is_full


def prune(ports: Ports, *, grace_seconds: float, now: float, dry_run: bool) -> PruneReport:
    """Deletes what is not on a page, nor was within the last ``grace_seconds``, and has had its time in quarantine.

    Raises :class:`NoMirrorError` where nothing is published, :class:`DamagedIndexError` where it cannot be told what
    is, :class:`LockedError` during a run.
    """
    storage = ports.storage
    history, quarantine = History(storage), Quarantine(storage)
    if history.is_empty():
        raise NoMirrorError(storage.location)
    with hold_lock(storage, command="prune"):
        ports.progress.phase("pruning", items=0)
        snapshots = history.kept()
        kept = {path for snapshot in snapshots for _, file in snapshot.files() for path in file.paths}
        # The grace is counted by the clock of the disk, whatever time the run is told to have.
        recent, expired = history.superseded(since=now - grace_seconds if grace_seconds else math.inf)
        graced = {path for snapshot in recent for _, file in snapshot.files() for path in file.paths} - kept
        aside = [each.file for each in quarantine.load() if not each.is_over(ports.now)]
        held = {path for file in aside for path in file.paths} - kept
        # Only what has the form of the pool: whatever else lies there, pymirror did not put there.
        pool = (path for path in storage.walk(POOL) if blake2b_of_pool_path(path) is not None)
        doomed = [path for path in pool if path not in kept and path not in graced and path not in held]
        size = sum(stat.size for path in doomed if (stat := storage.stat(path)) is not None)
        if not dry_run:
            _delete(ports, doomed, expired)
            stay = (file for snapshot in [*snapshots, *recent] for _, file in snapshot.files())
            forget_sdists(storage, keep={file.sha256 for file in [*stay, *aside]})
            storage.sync()
            quarantine.expire(ports.now)
    return PruneReport(
        output=storage.location,
        deleted=tuple(doomed),
        size=size,
        kept_for_grace=sum(1 for path in graced if storage.stat(path) is not None),
        kept_in_quarantine=sum(1 for path in held if storage.stat(path) is not None),
        is_dry_run=dry_run,
    )


def _delete(ports: Ports, paths: list[str], snapshots: list[str]) -> None:
    pool = Pool(ports.storage)
    try:
        pool.load(progress=ports.progress, stop=ports.stop, threads=DISK_THREADS, write=True)
        pool.forget_paths(path for path in paths if not path.endswith(BESIDE_SUFFIXES))
    except StorageError as error:
        if not is_full(error):  # then it is now that room is needed; what is recorded and not there is not held
            raise
    for path in [*paths, *snapshots]:
        ports.stop.check()
        ports.storage.remove(path)
