"""One file per verb: each takes a Spec and the ports, and returns a report. No click, no rich, no httpx."""
