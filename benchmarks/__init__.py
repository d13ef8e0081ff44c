"""What pymirror costs, measured against an upstream that is made here; see ``docs/performance.md``.

No test and no CI runs these: their numbers mean something on a quiet machine only, and there as ratios.
"""
