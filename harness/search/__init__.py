"""Tunes every row of a suite with the same budget, on validation, before any final starts."""

from harness.search.run import run_search

__all__ = ["run_search"]
