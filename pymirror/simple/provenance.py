"""Provenance objects (PEP 740): who attests that a file is what it says.

Whether the signatures are right is for those who install to judge; here it is only seen that an object speaks of the
file that it is published beside. https://packaging.python.org/specifications/index-hosted-attestations/
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

ACCEPT = "application/vnd.pypi.integrity.v1+json"

MAX_BYTES = 4 * 1024 * 1024
"""The largest object that is taken: a hundred times a real one."""


class _Subject(msgspec.Struct):
    digest: dict[str, Any] = {}


class _Statement(msgspec.Struct):
    subject: list[_Subject]


class _Envelope(msgspec.Struct):
    statement: str


class _Attestation(msgspec.Struct):
    envelope: _Envelope


class _Bundle(msgspec.Struct):
    attestations: list[_Attestation]


class _Provenance(msgspec.Struct):
    version: int
    attestation_bundles: list[_Bundle]


_provenance = msgspec.json.Decoder(_Provenance)
_statement = msgspec.json.Decoder(_Statement)


def find_problem(data: bytes, *, sha256: str) -> str | None:
    """Why ``data`` is no provenance object of the file with this ``sha256``; ``None`` where it is one."""
    try:
        provenance = _provenance.decode(data)
        attestations = [each for bundle in provenance.attestation_bundles for each in bundle.attestations]
        statements = [_statement.decode(base64.b64decode(each.envelope.statement)) for each in attestations]
    except (msgspec.DecodeError, binascii.Error, RecursionError, ValueError):
        return "it is no provenance object"
    if provenance.version != 1:
        return f"its version is {provenance.version}, which is not known here"
    if not statements:
        return "it attests nothing"
    for statement in statements:
        if sha256 not in [str(subject.digest.get("sha256", "")).lower() for subject in statement.subject]:
            return "it attests another file"
    return None
