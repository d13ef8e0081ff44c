"""``flat/``: every file of the index in one folder, for tools that want one.

The files are further names of those in the pool, or copies where the disk has no such thing. A folder can say of a file
neither that it is yanked nor which Pythons it is for: yanked ones are left out, and the rest is the reader's risk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pymirror.history import History
from pymirror.layout import FLAT
from pymirror.pieces import is_same
from pymirror.snapshot import Snapshot, SnapshotFile
from pymirror.storage.interface import Storage


def publish_flat(snapshot: Snapshot, previous: Snapshot, storage: Storage) -> int:
    """Makes the folder hold the files of ``snapshot``, or none where its site has no such folder; how many changed.

    ``previous`` is what the pages showed before.
    """
    expected = dict(list_flat(snapshot))
    changed = 0
    for name, file in expected.items():
        if not _is_there(storage, name, file):
            storage.link(file.path, name)
            changed += 1
    known = set(storage.walk(FLAT))
    if known and not snapshot.site.flat:
        # One that is there may be the user's own. What is ours is of any run that came to no end, too.
        ours = itertools.chain.from_iterable(map(list_flat, [previous, *History(storage).recent()]))
        known = {name for name, _ in ours}
    for name in sorted(known - expected.keys()):
        if storage.stat(name) is not None:
            storage.remove(name)
            changed += 1
    storage.sync()
    return changed


def list_flat(snapshot: Snapshot) -> Iterator[tuple[str, SnapshotFile]]:
    """The names below ``flat/`` and their files. Of two files with one name, the first has it.

    Names that differ in case alone are one name: many disks that a tree is carried on keep no more apart.
    """
    if snapshot.site.flat:
        seen = set()
        for _, file in snapshot.files():
            if not file.yanked and file.filename.casefold() not in seen:
                seen.add(file.filename.casefold())
                yield f"{FLAT}/{file.filename}", file


def check_flat(snapshot: Snapshot, storage: Storage) -> Iterator[tuple[str, str]]:
    """(name, what is wrong with it)."""
    expected = dict(list_flat(snapshot))
    for name, file in expected.items():
        if storage.stat(name) is None:
            yield name, "the file is missing"
        elif not storage.is_linked(name, file.path) and not is_same(
            storage.read_pieces(name), storage.read_pieces(file.path)
        ):
            yield name, "the file is not the one in the pool"
    if snapshot.site.flat:
        for name in storage.walk(FLAT):
            if name not in expected:
                yield name, "a foreign file among the files"


def _is_there(storage: Storage, name: str, file: SnapshotFile) -> bool:
    return storage.stat(name) == storage.stat(file.path)
