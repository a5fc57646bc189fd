"""A benchmarking harness for semi-supervised medical segmentation under identical budgets."""

__version__ = "0.1.0"
