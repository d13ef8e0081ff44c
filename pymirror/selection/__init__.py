"""Rules and a project's page → chosen files, and every other with the reason why it was left out.

The order of files and rules never changes the result. A file is kept when any rule or pin for its project wants it
and no exclusion names it; where several rules leave it out, the one that it came nearest to meeting is quoted.
Exclusions come last and change nothing else: to exclude a file never lets another one in.
"""

from pymirror.selection.candidates import Candidate, Offered, read_offered
from pymirror.selection.model import (
    Chosen,
    Excluded,
    LockHashes,
    Need,
    Reason,
    Refused,
    Selection,
    Unmet,
    Verdict,
    Wants,
)
from pymirror.selection.select import Judgement, examine, select
from pymirror.selection.wants import Demands, is_moot, list_reasons, wants_of

__all__ = [
    "Candidate",
    "Chosen",
    "Demands",
    "Excluded",
    "Judgement",
    "LockHashes",
    "Need",
    "Offered",
    "Reason",
    "Refused",
    "Selection",
    "Unmet",
    "Verdict",
    "Wants",
    "examine",
    "is_moot",
    "list_reasons",
    "read_offered",
    "select",
    "wants_of",
]
