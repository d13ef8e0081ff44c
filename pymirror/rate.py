"""How many bytes may come in a second, over all connections together: a bucket of tokens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST_SECONDS = 1.0
"""What was not used in so many seconds before may be had at once."""

LEAST_PIECE_BYTES = 4096


class Rate:
    """At most so many bytes in a second. ``clock`` is monotonic, in seconds. For any number of threads.

    Of what comes in any span of time, no more is let through than ``bytes_per_second`` for its seconds and those of the
    burst.
    """

    def __init__(self, bytes_per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._taken_until = clock() - BURST_SECONDS

    def share(self, connections: int) -> int:
        """The bytes that each may read at a time, so that none stays away from its server for much over a second."""
        return max(self._bytes_per_second // connections, LEAST_PIECE_BYTES)

    def take(self, size: int) -> float:
        """How many seconds to wait until ``size`` bytes more may be let through, after all that was taken before."""
        with self._lock:
            now = self._clock()
            self._taken_until = max(self._taken_until, now - BURST_SECONDS) + size / self._bytes_per_second
            return max(0.0, self._taken_until - now)
