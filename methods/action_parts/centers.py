"""Class centres: unit vectors that lie as far from each other as they can, found before training.

Up to M = d + 1 the optimum is the regular simplex, in closed form. Beyond it the centres minimise the uniformity energy
of Wang and Isola (ICML 2020) without the self term, smoothed to a largest cosine as tau falls,

    E_tau = tau ln sum_{i < j} exp(x_i . x_j / tau),    tau = 0.5, 0.05, 0.005:

first spread evenly, then pushed apart where two are nearest. It sums over pairs, not a logarithm a centre, because then
universally optimal codes (octahedron, icosahedron, 2 d vertices of the cross-polytope) minimise it at every tau (Cohn
and Kumar, J. AMS 2007). One start finds a local optimum: the best known code for most small M, 0.03 of the largest
cosine above it for a few.

`optimised_centers` is the optimiser that ACTION++ (You et al., MICCAI 2023) took from targeted supervised contrastive
learning (Li et al., CVPR 2022), for comparison. The release keeps the lowest loss it saw, but beside the self term
exp(1 / 0.07) float32 cannot tell losses apart: what it keeps is far from the simplex.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

TEMPERATURES = (0.5, 0.05, 0.005)
JITTER = 0.01
"""Noise between temperatures: a symmetric optimum of one is a saddle of the next (M = 7, d = 3)."""
GRADIENT_TOLERANCE = 1e-6
"""Largest component of the gradient of E_tau on the sphere at the centres that are returned."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How `optimised_centers` minimises; the defaults converge, `RELEASED` are the release's settings."""

    tau: float = 0.5
    learning_rate: float = 0.1
    steps: int = 1000
    with_self: bool = False


RELEASED = Recipe(tau=0.07, learning_rate=1e-3, steps=10_000, with_self=True)


def class_centers(count: int, dimension: int, seed: int) -> Tensor:
    """M = `count` unit vectors in R^`dimension`, float32 [M, d]; the caller's own copy of a cached result.

    Up to d + 1 all pairs have cosine -1 / (M - 1), and the seed turns them as one rigid body. Beyond that it also picks
    the local optimum. M and d are at least 2. Raises `RuntimeError` where nothing converged.
    """
    return _class_centers(count, dimension, seed).clone()


@lru_cache(maxsize=64)
def _class_centers(count: int, dimension: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = (_simplex if count <= dimension + 1 else _spread)(count, dimension, generator)
    return F.normalize(centres, dim=1).float()


def _normal(count: int, dimension: int, generator: torch.Generator) -> Tensor:
    return torch.randn(count, dimension, generator=generator, dtype=torch.float64)


def _simplex(count: int, dimension: int, generator: torch.Generator) -> Tensor:
    """Rows of I - 1/M in a basis of the M - 1 dimensions that they span, embedded by a random orthonormal basis."""
    rows = torch.eye(count, dtype=torch.float64) - 1.0 / count
    basis: Tensor = torch.linalg.qr(rows).Q[:, : count - 1]
    embedding: Tensor = torch.linalg.qr(_normal(dimension, count - 1, generator)).Q
    return rows @ basis @ embedding.T


def _spread(count: int, dimension: int, generator: torch.Generator) -> Tensor:
    centres = _normal(count, dimension, generator)
    for tau in TEMPERATURES:
        start = F.normalize(centres, dim=1) + JITTER * _normal(count, dimension, generator)
        centres = torch.from_numpy(_descend(start.numpy(), tau))
    return centres


def _descend(start: Array, tau: float) -> Array:
    """The local minimum of E_tau downhill from [M, d], by L-BFGS."""
    arguments = (start.shape, tau)
    result = minimize(
        energy,
        start.ravel(),
        args=arguments,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 40_000, "maxcor": 30, "ftol": 0.0, "gtol": GRADIENT_TOLERANCE / 10},
    )
    centres: Array = result.x.reshape(start.shape)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    steepest = np.abs(energy(centres.ravel(), *arguments)[1]).max()
    if steepest > GRADIENT_TOLERANCE:
        raise RuntimeError(
            f"{start.shape} centres at tau {tau}: a gradient of {steepest:.1e} is left: {result.message}"
        )
    return centres


def energy(flat: Array, shape: tuple[int, int], tau: float) -> tuple[float, Array]:
    """E_tau of the directions of M vectors [M * d] of any length, and its gradient [M * d] by those vectors."""
    vectors = flat.reshape(shape)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / lengths
    logits = units @ units.T / tau
    np.fill_diagonal(logits, -np.inf)
    top = logits.max()
    weights = np.exp(logits - top)
    total = weights.sum()  # each pair twice
    slope = 2.0 * (weights / total) @ units
    slope -= (slope * units).sum(axis=1, keepdims=True) * units
    return float(tau * (top + np.log(total / 2.0))), (slope / lengths).ravel()


def optimised_centers(count: int, dimension: int, seed: int, recipe: Recipe) -> Tensor:
    """Minimise sum_c ln sum_c' exp(psi_c . psi_c' / tau) by Adam from normal vectors; the best seen, float32 [M, d].

    As released in float32 throughout: tau must be at least 0.02, or the exponential overflows.
    """
    generator = torch.Generator().manual_seed(seed)
    free = torch.randn(count, dimension, generator=generator).requires_grad_()
    left_out = torch.eye(count, dtype=torch.bool) & (not recipe.with_self)
    adam = torch.optim.Adam([free], lr=recipe.learning_rate)
    lowest, best = torch.tensor(torch.inf), free.detach().clone()
    for _ in range(recipe.steps):
        units = F.normalize(free, dim=1)
        likeness = (units @ units.T / recipe.tau).exp()
        loss = likeness.masked_fill(left_out, 0.0).sum(dim=1).log().sum()
        if loss < lowest:
            lowest, best = loss.detach(), units.detach().clone()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return F.normalize(best, dim=1)
