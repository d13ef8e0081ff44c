"""The JSON Schema of the spec, made from the very types that load it, so that editors complete and check it.

https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from typing import Any

import msgspec

from pymirror.spec.schema import (
    Document,
    EnvironmentEntry,
    EnvironmentProduct,
    ExcludeEntry,
    FileEntry,
    KeepLatestEntry,
    NetworkEntry,
    ProjectEntry,
    UpstreamEntry,
)

_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}

_FILTERS = {
    "environments": "What must be installable: interpreters and platforms; left out, every wheel is kept.",
    "package-types": "The types of files that are kept: bdist_wheel (or wheel), sdist, bdist_egg (or egg) and older.",
    "sdists": "all keeps every sdist; fallback keeps those of releases that have no wheel for one of the environments.",
    "prereleases": "true keeps every pre-release that the specifier admits; false follows PEP 440, as pip does.",
    "yanked": "Which yanked files (PEP 592) are kept.",
    "keep-latest": "The newest so many releases, for each environment; or of each release line.",
    "exclude-newer": "Leaves out what was uploaded later: a date, a time or an age such as 7 days.",
    "exclude-older": "Leaves out what was uploaded earlier: a date, a time or an age such as 3 years.",
    "max-file-size": "Leaves out larger files: a size such as 500 MB.",
    "dependencies": "true adds what the newest releases need in each environment; every, what all kept releases need.",
    "build-dependencies": "false adds nothing for the building of sdists that the dependencies bring.",
}

DESCRIPTIONS: dict[type[msgspec.Struct], dict[str, str]] = {
    Document: {
        "include": "Other spec files whose entries are added to this one's; single values of this one go first.",
        "output": "The folder that becomes the mirror, relative to this file.",
        "upstreams": "The indexes to mirror from; left out, the one that pip is configured for, else PyPI.",
        "projects": "What is wanted: requirements, patterns over upstream's projects, or rules of their own.",
        "groups": "Requirements by the name of their group: they can be installed together, with all that they need.",
        "files": "Single files that are wanted, by name or pattern.",
        "lockfiles": "Exact versions and hashes: pip freeze, requirements, pylock.toml, uv, Poetry, PDM and Pipenv.",
        "ignore": "Entries of lock files that no index can serve, and that are not to be reported.",
        "exclude": "What is never mirrored, whoever wants it.",
        "exclude-from": "Block lists that are shared by several mirrors; they win over everything.",
        **_FILTERS,
        "allow-newer": "Releases that exclude-newer does not hold back, such as a security fix.",
        "max-total-size": "The most that the whole mirror may take: beyond it, sync stops before the first byte.",
        "require-hashes": "false accepts files for which upstream gives no sha256.",
        "on-upstream-removal": "What becomes of a published file that upstream lists no more.",
        "public-url": "Where the tree is served from: for links that must be absolute, such as those to provenance.",
        "flat": "true adds the folder flat/ with every file, as further names of those in the pool.",
        "legacy-json": "false leaves out the legacy JSON API, /pypi/<project>/json.",
        "pages": "false leaves out the pages for people: the top index.html and one for each project.",
        "provenance": "false fetches no provenance objects (PEP 740).",
        "file-mode": 'The permissions of every served file, octal and in quotes: "0640". The default is "0644".',
        "folder-mode": 'The permissions of every served folder: "0750", or "2750" with setgid. The default is "0755".',
        "network": "The limits of every request.",
        "max-removal": "How much one sync may take off the pages: 25 %, or a number of files. The default is 10 %.",
        "stop-after": "A duration such as 6h: sync begins nothing new then, and publishes what is complete.",
        "allow-http": "true lets upstreams, the default one too, have http:// URLs.",
    },
    ProjectEntry: {
        "name": "The project, with or without a specifier, or a pattern over upstream's projects.",
        "version": "A version specifier (PEP 440).",
        "files": "Patterns over file names, one of which a file must match.",
        **_FILTERS,
    },
    UpstreamEntry: {
        "url": "The URL of the index, the one that pip's --index-url takes.",
        "name": "What messages call it.",
        "username": "The user; use a variable: ${INDEX_USER}.",
        "password": "The password or token; use a variable: ${INDEX_TOKEN}.",
        "projects": "Names and patterns of what comes from here and from nowhere else.",
        "allow-http": "true lets the URL be an http:// one of another machine.",
        "serials": "false asks for every page, though the list of projects may say that it has not changed.",
        "ca-file": "A PEM file of CAs that may have signed this host's certificate, beside those of the system.",
        "client-cert": "A PEM file with the certificate that is shown to this host where it asks for one.",
        "client-key": "A PEM file with its key, where that is not in the same file.",
    },
    EnvironmentProduct: {
        "python": 'Interpreters: "3.12", "3.13t", "pypy3.10".',
        "platform": "Platforms by uv's names, such as x86_64-manylinux_2_28, or by wheel tags.",
    },
    EnvironmentEntry: {
        "python": 'The interpreter: "3.12", "3.13t", "pypy3.10".',
        "platform": "The platform by uv's name, such as x86_64-manylinux_2_28, or by wheel tag.",
        "implementation": "cpython or pypy.",
    },
    KeepLatestEntry: {
        "per": "The release line that is counted in: minor is 1.2 of 1.2.3, major is 1.",
        "count": "How many releases of each line.",
    },
    FileEntry: {
        "project": "The project that the file is of.",
        "file": "The file's name, or a pattern.",
    },
    ExcludeEntry: {
        "name": "The project, or a pattern; left out, every project.",
        "version": "A version specifier; left out, every release.",
        "files": "Patterns over file names; left out, every file.",
        "reason": "Why, shown wherever the exclusion is.",
    },
    NetworkEntry: {
        "connections": "Pages and files that are fetched at the same time.",
        "connections-per-host": "The most of them to one host.",
        "timeout": "How long to wait for a connection and for the next bytes of an answer.",
        "page-timeout": "How long a request for a page may take in all.",
        "file-timeout": "How long a request for a file may take in all.",
        "retries": "How often a failed request is made again.",
        "max-page-size": "A larger page is a failure.",
        "max-file-size": "A larger file is a failure.",
        "max-rate": "How much may come in a second, over all connections together: 10 MB/s.",
        "ca-file": "A PEM file of CAs that are trusted for every host, beside those of the system.",
    },
}


def make_json_schema() -> dict[str, Any]:
    """The schema as a JSON document."""
    schema: dict[str, Any] = msgspec.json.schema(Document)
    for struct, descriptions in DESCRIPTIONS.items():
        properties = schema["$defs"][struct.__name__]["properties"]
        for key, text in descriptions.items():
            properties[key] = {"description": text, **properties[key]}
    _admit(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A pymirror spec (mirror.yaml)",
        **schema,
    }


def _admit(node: Any) -> None:
    """Makes the schema admit what the loader does: a variable for a number, a truth value or a word, and no ``null``.

    ``None`` is how a type says that a key is not given; nobody writes it.
    """
    if isinstance(node, list):
        for item in node:
            _admit(item)
    if not isinstance(node, dict):
        return
    if node.get("default", ...) is None:
        del node["default"]
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    if "anyOf" in node:
        del node["anyOf"]
        node |= options[0] if len(options) == 1 else {"anyOf": options}
    for value in list(node.values()):
        _admit(value)
    if node.get("type") in ("integer", "boolean") or "enum" in node:
        plain = {key: node.pop(key) for key in ("type", "enum", "minimum", "maximum") if key in node}
        node["anyOf"] = [plain, _VARIABLE]
