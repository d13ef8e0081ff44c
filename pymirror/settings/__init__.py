"""Settings for others: web servers, clients and schedulers, each as the text that is to be put somewhere."""

from pymirror.settings.make import Facts, find_tool, list_tools, make_config

__all__ = ["Facts", "find_tool", "list_tools", "make_config"]
