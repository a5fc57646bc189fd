"""Post-processing, off unless a suite asks for it for all methods: the largest component of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def keep_largest(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of a label map, any dimension, in which each foreground class keeps its largest component alone.

    Voxels are connected through faces, edges and corners, as in the field's code; of equal components the first stays.
    """
    from scipy import ndimage

    kept = np.zeros_like(labels)
    everywhere = np.ones((3,) * labels.ndim, dtype=bool)
    for value in range(1, int(labels.max(initial=0)) + 1):
        components, count = ndimage.label(labels == value, everywhere)
        if count:
            sizes = np.bincount(components.ravel())
            kept[components == int(sizes[1:].argmax()) + 1] = value
    return kept
