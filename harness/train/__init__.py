"""Runs one unit: the only training loop."""

from harness.train.stop import StopFlag
from harness.train.unit import RunSettings, run_unit

__all__ = ["RunSettings", "StopFlag", "run_unit"]
