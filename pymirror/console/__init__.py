"""The terminal: bars, tables, messages, and what each report looks like."""

from pymirror.console.terminal import Terminal, Verbosity

__all__ = ["Terminal", "Verbosity"]
