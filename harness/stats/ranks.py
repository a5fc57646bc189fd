"""Shared ranks: the ranks that a method can have, given which differences are significant.

A method's rank lies between 1 + (methods significantly better) and (methods) - (methods significantly worse). With
simultaneous comparisons this holds for all methods at once in 95 % of experiments (Mogstad, Romano, Shaikh and Wilhelm
2024), and separations that are not transitive contradict nothing: where only a and c differ significantly, a has rank
1-2, b 1-3 and c 2-3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rank_bounds(better: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Best and worst rank of each method, each [methods].

    better: [methods, methods], whether method i is significantly better than method j.
    """
    return 1 + better.sum(axis=0), len(better) - better.sum(axis=1)
