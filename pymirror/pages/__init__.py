"""The pages for people: ``front`` is all projects, ``project`` one of them. Values in, bytes out.

Each page is one file that needs no other: its style and its script stand in it, allowed by their digests alone. All
that comes from upstream is text; only a description has markup, and that was made safe before (``prose``).
"""
