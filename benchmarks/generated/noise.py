"""Randomness of generated scans: equal names give equal numbers."""

import hashlib

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]


def seeded_by(*names: str) -> Generator:
    """A generator that depends on the names alone."""
    seed = hashlib.sha256(":".join(names).encode()).digest()
    return Generator(PCG64(int.from_bytes(seed[:16], "little")))


def smooth_noise(rng: Generator, shape: tuple[int, ...], sigma: tuple[float, float, float]) -> Array:
    """Gaussian noise blurred by `sigma` pixels, with mean 0 and standard deviation 1."""
    noise = gaussian_filter(rng.standard_normal(shape), sigma)
    result: Array = (noise - noise.mean()) / noise.std()
    return result
