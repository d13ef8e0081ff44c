"""A finished tree over HTTP, for a try and for tests: ``target``, ``negotiate``, ``conditions`` (pure), ``server``."""
