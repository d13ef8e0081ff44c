"""The hashes of lock files: ``sha256:…``, in the names of :mod:`hashlib`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from pymirror.lockfiles.findings import shown

# In hexadecimal digits. The names are those that a project page may use too (PEP 503, PEP 691).
DIGEST_LENGTHS = {
    "md5": 32,
    "sha1": 40,
    "sha224": 56,
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
    "sha3_224": 56,
    "sha3_256": 64,
    "sha3_384": 96,
    "sha3_512": 128,
    "blake2b": 128,
    "blake2s": 64,
}
PIP_HASHES = ("sha256", "sha384", "sha512")  # what pip's --hash takes

_HEX = re.compile(r"[0-9A-Fa-f]+")


def read_hashes(texts: Iterable[str], note: Callable[[str], None]) -> frozenset[tuple[str, str]]:
    """(algorithm, digest) pairs; ``note`` is told of a digest that can be none.

    A hash of an unknown algorithm is left out where another tells the file, and noted where none does.
    """
    known: set[tuple[str, str]] = set()
    unknown: list[str] = []
    for text in texts:
        algorithm, _, digest = text.partition(":")
        algorithm = algorithm.lower()
        if algorithm not in DIGEST_LENGTHS:
            unknown.append(algorithm)
        elif problem := digest_problem(algorithm, digest):
            note(problem)
            return frozenset()
        else:
            known.add((algorithm, digest.lower()))
    if unknown and not known:
        note(f'unknown hash "{shown(unknown[0])}"')
    return frozenset(known)


def digest_problem(algorithm: str, digest: str) -> str | None:
    """What keeps ``digest`` from being one of ``algorithm``, which is known."""
    length = DIGEST_LENGTHS[algorithm]
    if len(digest) == length and _HEX.fullmatch(digest):
        return None
    return f"a {algorithm} hash has {length} hexadecimal digits"
