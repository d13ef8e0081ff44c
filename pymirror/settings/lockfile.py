"""Lock files that were made against the public index: one line that makes them name the mirror.

The pool's paths are those of the public index, so that only the hosts differ: see ``pymirror.layout``.
"""

from __future__ import annotations

from pymirror.settings.place import Site, parse_site

_FILES = "https?://[A-Za-z0-9.:-]+/packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/)"


def make_lockfile(site: Site, public_index: str) -> str:
    """Commands for a shell; ``public_index`` is the index URL that the lock files name."""
    # Neither sed's delimiter nor a quote can be in a URL that was parsed, and a class escapes a dot in both syntaxes.
    index = parse_site(public_index).index_url.removesuffix("/").replace(".", "[.]")
    _, _, rest = index.partition("://")
    return _LOCKFILE % {
        "index": f"https?://{rest}/?",
        "files": _FILES,
        "mirror": site.index_url,
        "packages": f"{site.url}packages/",
    }


_LOCKFILE = r"""
# A uv.lock, a pylock.toml or requirements that were made against the public index name its hosts. Either line replaces
# them by the mirror, which has the same paths; the hashes stay, and are checked as before. With a uv.lock, uv must read
# the mirror as `pymirror config uv` has it. Name the file that is meant at the end of the line.

# A shell; what was there before is kept as uv.lock.orig:
sed -E -i.orig -e 's#%(index)s#%(mirror)s#g' -e 's#%(files)s#%(packages)s\1#g' uv.lock

# Python, also where there is no such shell; on Windows it may be called py:
python3 -c "import pathlib, re, sys; p = pathlib.Path(sys.argv[1]); t = p.read_bytes().decode(); @
t = re.sub(r'%(index)s', r'%(mirror)s', t); t = re.sub(r'%(files)s', r'%(packages)s\1', t); @
p.write_bytes(t.encode())" uv.lock
""".lstrip().replace("@\n", "")
