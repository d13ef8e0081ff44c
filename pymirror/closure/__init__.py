"""Dependencies: says what it must know of upstream, is fed the answers, and gives what each root needs. Pure.

A real resolution with backtracking, by ``resolvelib``, for each root and environment by itself.
"""

from pymirror.closure.closure import Closure
from pymirror.closure.model import (
    AskNeeds,
    AskProject,
    Edge,
    Facts,
    LeftOut,
    NoNeeds,
    Option,
    Options,
    Outcome,
    Pick,
    Question,
    Root,
    Solution,
    Unsolved,
    sort_outcomes,
)

__all__ = [
    "AskNeeds",
    "AskProject",
    "Closure",
    "Edge",
    "Facts",
    "LeftOut",
    "NoNeeds",
    "Option",
    "Options",
    "Outcome",
    "Pick",
    "Question",
    "Root",
    "Solution",
    "Unsolved",
    "sort_outcomes",
]
