"""A benchmarking harness for semi-supervised medical segmentation under identical budgets.

Example:
    >>> import harness
    >>> leaderboard = harness.run_suite("demo", runs="runs")  # doctest: +SKIP
    >>> harness.load_leaderboard("runs/demo")  # doctest: +SKIP
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.pipeline import load_leaderboard, plan_suite, run_suite, score_predictions, submit_suite

__version__ = "0.2.0"
__all__ = ["load_leaderboard", "plan_suite", "run_suite", "score_predictions", "submit_suite"]

PLUGIN_PACKAGES = ("methods", "benchmarks")


def __getattr__(name: str) -> Any:  # noqa: ANN401 - functions of several signatures
    """Import the front door when one of its functions is first asked for: this package alone loads nothing heavy."""
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module("harness.pipeline"), name)


class _OwnPackages:
    """Finds `methods` and `benchmarks` beside this package.

    Their names are common, and `python -m` puts the working directory first on the search path: without this, a
    folder of such a name there would take the place of ours.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """The spec of one of our packages; None for every other module."""
        if name not in PLUGIN_PACKAGES:
            return None
        return PathFinder.find_spec(name, [str(Path(__file__).resolve().parent.parent)])


sys.meta_path.insert(0, _OwnPackages)
