"""Core metadata, as far as a mirror reads it.

https://packaging.python.org/specifications/core-metadata/
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_METADATA_BYTES = 16 * 1024 * 1024
"""The largest METADATA that is taken out of a wheel: far above any real one, far below what hurts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMetadata:
    """The bytes of a METADATA file and the two fields that must agree with the name of its wheel."""

    data: bytes
    name: str | None
    version: str | None
