"""Adaptive allocation of class centres (You et al., ACTION++, MICCAI 2023), with r centres a class.

K classes have M slots, r each. A slot has a prototype, the running mean phi <- (1 - eta) phi + eta mean(batch) of the
pixels that chose it, and holds one of M centres; M slots hold M centres, so a class's capacity holds by construction.
    choice      a pixel chooses, among its class's slots, the one whose centre is nearest
    assignment  the permutation of least sum of -cos(prototype, centre), by the Hungarian algorithm
    dead slot   nobody chose it since the last assignment, though its class had pixels: its prototype becomes the pixel
                of its class least similar to the class's other slots
With r = 1 this is the paper's: a slot is a class. r > 1, dead slots and `frequency` are this project's.

Readings: a prototype is zero until its first pixel, and then that pixel's direction, so that no centre is favoured
before there is evidence. A class without pixels keeps its prototypes; its slots take the centres that are left.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from methods.action_parts.arithmetic import class_masks, unrounded

AllocationMode = Literal["adaptive", "random", "frequency"]
"""adaptive: by prototypes; random: fixed, by seed; frequency: adaptive, capacities by the root of a class's voxels."""


def capacities(voxels: Sequence[int], total: int) -> list[int]:
    """Share `total` slots among classes: one each, then in proportion to the root of their voxels (Sainte-Lague).

    Each slot goes to the class of the highest sqrt(voxels) / (2 r + 1) that has r slots; the first of equals.
    """
    slots = [1] * len(voxels)
    for _ in range(total - len(voxels)):
        claims = [count**0.5 / (2 * own + 1) for count, own in zip(voxels, slots, strict=True)]
        slots[claims.index(max(claims))] += 1
    return slots


class Allocation(nn.Module):
    """Which centre each class's pixels are drawn to. All state is in buffers; nothing here has a gradient.

    In the step (device only, no host copy): `update`, `target`, `own_class_mask`, `observe`.
    At stage start and at every 1 % of its progress (host copies): `reassign`.

    centres [M, d]:    unit vectors.
    prototypes [M, d]: unit vectors, or zero before a slot's first pixel.
    slot_class [M]:    class of each slot.
    assignment [M]:    centre that each slot holds, a permutation.
    chosen_since [M]:  pixels that chose each slot since the last assignment.
    voxels [K]:        labels seen by `observe`.
    apportioned:       whether `frequency` has set the capacities.
    changes:           slots that changed their centre, over all assignments.
    """

    def __init__(self, centres: Tensor, n_classes: int, mode: AllocationMode = "adaptive", seed: int = 0) -> None:
        """Give each class r = M / K slots, which hold the centres in order, or as `seed` shuffles them in `random`."""
        super().__init__()
        count = len(centres)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        self.mode = mode
        self.n_classes = n_classes
        self.centres: Tensor = nn.Buffer(centres.detach().clone())
        self.prototypes: Tensor = nn.Buffer(torch.zeros_like(self.centres))
        self.slot_class: Tensor = nn.Buffer(torch.arange(count) // (count // n_classes))
        self.assignment: Tensor = nn.Buffer(order if mode == "random" else torch.arange(count))
        self.chosen_since: Tensor = nn.Buffer(torch.zeros(count, dtype=torch.int64))
        self.voxels: Tensor = nn.Buffer(torch.zeros(n_classes, dtype=torch.int64))
        self.apportioned: Tensor = nn.Buffer(torch.zeros((), dtype=torch.bool))
        self.changes: Tensor = nn.Buffer(torch.zeros((), dtype=torch.int64))

    @property
    def similarity(self) -> Tensor:
        """Cosine of each slot's prototype and each centre, [M slots, M centres]; 0 before a slot's first pixel."""
        return self.prototypes @ self.centres.T

    @property
    def centre_class(self) -> Tensor:
        """Class that holds each centre, [M]."""
        return torch.empty_like(self.slot_class).scatter_(0, self.assignment, self.slot_class)

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor, used: Tensor, momentum: float = 0.1) -> None:
        """Move the prototypes towards the pixels that chose them; a slot that none chose stays.

        features [N, d] of unit length, labels [N], used [N] bool: False leaves a pixel out. `momentum` is eta, the
        share of the batch: prototype <- normalise((1 - eta) prototype + eta normalise(sum f)).
        """
        slots = torch.arange(len(self.centres), device=labels.device)
        chosen = self._choose(features, labels).unsqueeze(1) == slots  # a product with it is deterministic on CUDA
        chosen = chosen & used.unsqueeze(1)
        shares = chosen.to(self.prototypes.dtype)
        with unrounded(features):
            means = F.normalize(shares.T @ features.to(shares.dtype), dim=1)
        counts = chosen.sum(dim=0)
        moved = F.normalize((1.0 - momentum) * self.prototypes + momentum * means, dim=1)
        self.prototypes.copy_(torch.where((counts > 0).unsqueeze(1), moved, self.prototypes))
        self.chosen_since += counts

    @torch.no_grad()
    def target(self, features: Tensor, labels: Tensor) -> Tensor:
        """Index of the centre of each pixel, [N]: the nearest of its own class's. Labels must be 0 .. K - 1."""
        return self.assignment[self._choose(features, labels)]

    @torch.no_grad()
    def own_class_mask(self, labels: Tensor, target: Tensor) -> Tensor:
        """Centres to leave out of each pixel's denominator, bool [N, M]: its own class's but for its target [N]."""
        own = self.centre_class == labels.unsqueeze(1)
        return own.scatter_(1, target.unsqueeze(1), value=False)

    @torch.no_grad()
    def observe(self, labels: Tensor) -> None:
        """Count the voxels of each class in labels of any shape, for `frequency`; the other modes count nothing."""
        if self.mode == "frequency":
            self.voxels += class_masks(labels, self.n_classes).sum(dim=1)

    @torch.no_grad()
    def reassign(self, features: Tensor | None = None, labels: Tensor | None = None) -> None:
        """Revive dead slots from pixels [N, d] with labels [N], -1 for none; then assign the centres anew.

        Without features, as at the start of a stage, no slot is revived. `random` keeps its assignment. `frequency`
        sets its capacities, and starts its slots afresh, the first time that voxels have been observed. Copies to the
        host: not for every step.
        """
        if self.mode == "frequency" and not self.apportioned and self.voxels.any():
            self._apportion()
        if features is not None and labels is not None:
            self._revive(features, labels)
        if self.mode != "random":
            cost = -self.similarity.double().cpu().numpy()
            best = torch.from_numpy(linear_sum_assignment(cost)[1]).to(self.assignment)
            self.changes += (best != self.assignment).sum()
            self.assignment.copy_(best)
        self.chosen_since.zero_()

    def _choose(self, features: Tensor, labels: Tensor) -> Tensor:
        """Slot of each pixel, [N]; in full precision, so that a forward under autocast chooses the same."""
        with unrounded(features):
            cosines = features.detach().to(self.centres.dtype) @ self.centres[self.assignment].T
        return cosines.masked_fill(self.slot_class != labels.unsqueeze(1), -torch.inf).argmax(dim=1)

    def _apportion(self) -> None:
        sizes = torch.tensor(capacities(self.voxels.tolist(), len(self.centres)))
        self.slot_class.copy_(torch.arange(self.n_classes).repeat_interleave(sizes))
        self.prototypes.zero_()
        self.chosen_since.zero_()
        self.apportioned.fill_(1)

    def _revive(self, features: Tensor, labels: Tensor) -> None:
        """Give dead slots a prototype, one after the other; each counts for those that follow."""
        alive = self.chosen_since > 0
        for slot in (~alive).nonzero().flatten().tolist():
            name = self.slot_class[slot]
            others = self.prototypes[alive & (self.slot_class == name)]
            pixels = features[labels == name].to(others.dtype)
            if len(others) and len(pixels):  # a class that nothing chose is absent, not dead
                self.prototypes[slot] = pixels[(pixels @ others.T).amax(dim=1).argmin()]
                alive[slot] = True
