"""The points that a search tries. They are drawn before anything runs, whatever the timing, workers and machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from harness.api.params import Dimension
from harness.api.strict import digest


def draw_sobol_points(space: Mapping[str, Dimension], count: int, key: Sequence[str | int]) -> list[dict[str, Any]]:
    """`count` points of a scrambled Sobol sequence (Owen 1998), one coordinate per dimension.

    Args:
        space: Dimensions by name.
        count: Number of points.
        key: What seeds the scrambling (entry, study, seed). A dimension that one entry gains moves no other entry's
            points.

    Returns:
        The points, each with a value for every dimension.
    """
    import numpy as np
    from scipy.stats import qmc

    if count <= 0 or not space:
        return [{} for _ in range(max(count, 0))]
    generator = np.random.default_rng(int(digest(list(key))[:16], 16))
    sequence = qmc.Sobol(len(space), scramble=True, rng=generator)
    shares = sequence.random_base2((count - 1).bit_length())[:count]  # a power of two keeps the sequence balanced
    return [
        {name: dimension.at(float(share)) for (name, dimension), share in zip(space.items(), coordinates, strict=True)}
        for coordinates in shares
    ]


def combine_choices(space: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """Every combination of the choices, the last dimension fastest. Raises ValueError for a dimension without any."""
    ranges = [name for name, dimension in space.items() if dimension.scale != "choice"]
    if ranges:
        raise ValueError(f"a grid needs choices: list the values of {', '.join(ranges)}, or pin them with null")
    return [
        dict(zip(space, values, strict=True)) for values in product(*(dimension.values for dimension in space.values()))
    ]
