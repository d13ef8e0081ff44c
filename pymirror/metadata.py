"""Core metadata, as far as a mirror reads it.

https://packaging.python.org/specifications/core-metadata/
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_METADATA_BYTES = 4 * 1024 * 1024
"""The largest METADATA that is taken out of a wheel: far above any real one, far below what hurts."""

MAX_HEADER_BYTES = 512 * 1024
"""The largest part of it that is parsed: the fields, without the description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMetadata:
    """The fields of a METADATA file that must agree with the name of its wheel."""

    name: str | None
    version: str | None
