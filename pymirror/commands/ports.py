"""What every command works with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from pymirror.progress import Progress
from pymirror.storage.interface import Storage
from pymirror.workers import Stop

DISK_THREADS = 8
"""Threads that read and hash files: enough for fast disks, few enough for slow ones."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """What a command works with; the command line makes it once. ``now`` is when the run began (aware UTC).

    ``fingerprint`` is a digest of all that the spec was read from; empty where that is not known.
    """

    storage: Storage
    environ: Mapping[str, str]
    progress: Progress
    stop: Stop
    now: datetime
    fingerprint: str = ""
