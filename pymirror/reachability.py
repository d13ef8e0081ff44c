"""Which servers answer at all: one that is dead is given up for all its files, and not for each of them anew.

Without this, a dead upstream costs every page and file all its retries, and each of them a timeout.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from pymirror.credentials import Origin
from pymirror.errors import UnansweredError, UnreachableError
from pymirror.workers import Stop

MAX_UNANSWERED = 8
"""So many requests in a row, each with all its retries, must go without any answer until a server is given up.

One that did answer in this run is not: some of its pages may be what breaks it, or it starts anew, and what is queued
would be lost though it is back in seconds.
"""

PAUSE_SECONDS = 60.0
"""A server that was given up is tried again by one request then; until it answers, this is all that it is asked."""

_LOOK_SECONDS = 0.2


class _Server(msgspec.Struct):
    unanswered: int = 0
    is_tried: bool = False
    silent_until: float = 0.0
    is_told: bool = False
    has_answered: bool = False

    @property
    def is_given_up(self) -> bool:
        return not self.has_answered and self.unanswered >= MAX_UNANSWERED


class Reachability:
    """What is known of each server. For any number of threads."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._changed = threading.Condition()
        self._servers: dict[Origin, _Server] = {}
        self._unanswered: set[str] = set()

    @contextmanager
    def attempt(self, origin: Origin, url: str) -> Iterator[None]:
        """Around one attempt to ask ``origin``; :meth:`answered` tells of the answer.

        Of a server that was given up one attempt is let through, for what did not fail before, and the others wait for
        how it ends. Raises :class:`UnreachableError` where it went without an answer.
        """
        server = self._find(origin)
        is_trial = self._enter(server, url)
        try:
            yield
        except UnansweredError as error:
            with self._changed:
                self._unanswered.add(url)
            if not is_trial:
                raise
            with self._changed:
                server.silent_until = time.monotonic() + PAUSE_SECONDS
            raise UnreachableError(url, f"{error.problem}; no answer to the last requests either") from None
        finally:
            if is_trial:
                with self._changed:
                    server.is_tried = False
                    self._changed.notify_all()

    def answered(self, origin: Origin) -> None:
        """The server has said something, be it an error."""
        server = self._find(origin)
        with self._changed:
            server.unanswered = 0
            server.has_answered = True
            self._changed.notify_all()

    def give_up_on(self, origin: Origin) -> bool:
        """A request has used up its retries without an answer. Whether that is the one too many, the first time."""
        server = self._find(origin)
        with self._changed:
            server.unanswered += 1
            is_news = server.is_given_up and not server.is_told
            server.is_told |= is_news
        return is_news

    def _find(self, origin: Origin) -> _Server:
        with self._changed:
            return self._servers.setdefault(origin, _Server())

    def _enter(self, server: _Server, url: str) -> bool:
        """Waits for leave to ask; whether this is the attempt that tells of the server."""
        with self._changed:
            while server.is_given_up:
                if time.monotonic() < server.silent_until or url in self._unanswered:
                    raise UnreachableError(url, "not asked: no answer came to the last requests to this server")
                if not server.is_tried:
                    server.is_tried = True
                    return True
                self._changed.wait(_LOOK_SECONDS)
                self._stop.check()
        return False
