"""Rules and a project's page → chosen files, and every other with the reason why it was left out.

The order of files and rules never changes the result. A file is kept when any rule or pin for its project wants it
and no exclusion names it; where several rules leave it out, the one that it came nearest to meeting is quoted.
"""

from pymirror.selection.model import Chosen, Excluded, Reason, Refused, Selection, Unmet, Wants
from pymirror.selection.select import select, wants_of

__all__ = ["Chosen", "Excluded", "Reason", "Refused", "Selection", "Unmet", "Wants", "select", "wants_of"]
