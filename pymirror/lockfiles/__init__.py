"""Lock files → pins: exact versions and hashes, never re-resolved. A file per format."""

from pymirror.lockfiles.interface import Lock
from pymirror.lockfiles.requirements import read_requirements

__all__ = ["Lock", "read_lockfile"]


def read_lockfile(data: bytes, *, file: str) -> Lock:
    """What the lock file ``file``, whose content is ``data``, pins."""
    return read_requirements(data, file=file)
