"""Tunes every entry of a suite with the same budget, on validation, before any final run starts."""
