"""Without pytest-benchmark, each function is called once: that tells whether it works, not how long it takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

if importlib.util.find_spec("pytest_benchmark") is None:

    @pytest.fixture
    def benchmark() -> Callable[..., Any]:
        return lambda function, *arguments: function(*arguments)
