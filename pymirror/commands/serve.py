"""``pymirror serve``: the tree on this machine, for a try and for tests."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from pymirror.errors import NoMirrorError, UsageError
from pymirror.layout import HTML_PAGE, SIMPLE
from pymirror.progress import Progress
from pymirror.serving.server import TreeServer
from pymirror.workers import Stop

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a user may ask for


def serve(
    folder: Path, *, bind: str, port: int, progress: Progress, stop: Stop, announce: Callable[[str], None]
) -> None:
    """Serves until it is interrupted. ``announce`` is told the URL of the index once it is answered.

    Raises :class:`NoMirrorError` where nothing is published, :class:`UsageError` where it cannot listen.
    """
    if not (folder / SIMPLE / HTML_PAGE).is_file():
        raise NoMirrorError(str(folder))
    with _listen(folder, bind=bind, port=port, progress=progress, stop=stop) as server:
        host = _ANYWHERE.get(server.server_name, server.server_name)
        if not (host.startswith("127.") or host == "::1") or host != server.server_name:
            progress.warn("others can reach this server, which is made for a try and not for them")
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{server.server_port}/{SIMPLE}/")
        server.serve_forever()


@contextlib.contextmanager
def _listen(folder: Path, *, bind: str, port: int, progress: Progress, stop: Stop) -> Iterator[TreeServer]:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        server = TreeServer(
            folder, address=(str(address[0]), int(address[1])), family=family, note=progress.note, stop=stop
        )
    except (OSError, OverflowError, UnicodeError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"cannot listen on {bind}, port {port}: {problem}", hint="--port 0 takes a free port"
        ) from None
    with server:
        yield server
