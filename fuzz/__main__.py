"""``python -m fuzz TARGET [options of libFuzzer]``: what comes to light is written to the folder it is run in."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pymirror"]):
    from fuzz.targets import SEEDS, TARGETS


def main() -> None:
    """Runs until the time that the options give is over, or something is found."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"usage: python -m fuzz {{{','.join(TARGETS)}}} [-max_total_time=SECONDS]")
    seeds = Path(tempfile.mkdtemp(prefix="pymirror-fuzz-"))  # the fuzzer ends the process, so it stays
    for number, seed in enumerate(SEEDS[name]):
        (seeds / str(number)).write_bytes(seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:], str(seeds)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
