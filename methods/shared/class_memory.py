"""Pixels drawn to a memory of their class: the class-level separation of SS-Net (Alonso et al., ICCV 2021, its origin).

All pixels pass as rows, [P, features], with a class each: no shape depends on how many a class has. Per class, the mean
over pixels i and memory entries j of a_i b_j (1 - cos(f_i, m_j)), with learned weights a and b of mean 1, equals
    1 - mean_i(a_i f_i / |f_i|) . mean_j(b_j m_j / |m_j|)
so that no table of pixels by entries is needed.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def class_rows(labels: Tensor, counted: Tensor, n_classes: int) -> Tensor:
    """1 where a row is counted and of the class: labels and counted [P] -> float32 [P, n_classes]."""
    classes = torch.arange(n_classes, device=labels.device)
    return ((labels.unsqueeze(1) == classes) & counted.unsqueeze(1)).float()


def class_means(rows: Tensor, members: Tensor) -> Tensor:
    """Mean row of each class, 0 for a class without one: [P, D] and [P, K] -> [K, D]."""
    return (members.t() @ rows) / members.sum(dim=0).clamp(min=1.0).unsqueeze(1)


class Selectors(nn.Module):
    """One small network a class: Linear, batch norm over the class's own rows, LeakyReLU 0.2, Linear to one number.

    Each row passes through that of its class alone. Normalisation uses the statistics of the rows at hand.
    """

    def __init__(self, n_classes: int, width: int) -> None:
        super().__init__()
        layers = [nn.Linear(width, width) for _ in range(n_classes)], [nn.Linear(width, 1) for _ in range(n_classes)]
        self.weight = nn.Parameter(torch.stack([each.weight.detach() for each in layers[0]]))
        self.bias = nn.Parameter(torch.stack([each.bias.detach() for each in layers[0]]))
        self.scale = nn.Parameter(torch.ones(n_classes, width))
        self.shift = nn.Parameter(torch.zeros(n_classes, width))
        self.last_weight = nn.Parameter(torch.cat([each.weight.detach() for each in layers[1]]))
        self.last_bias = nn.Parameter(torch.cat([each.bias.detach() for each in layers[1]]))

    def forward(self, rows: Tensor, members: Tensor) -> Tensor:
        """Weights in (0, 1) of rows [P, D] with members [P, K] -> [P]; of no meaning where a row is of no class."""
        hidden = members @ self.bias
        for number, weight in enumerate(
            self.weight
        ):  # products with 0: quicker than gathering from all classes' layers
            hidden = hidden + (rows * members[:, number, None]) @ weight.t()
        apart = hidden - members @ class_means(hidden, members)
        deviation = (class_means(apart.square(), members) + 1e-5).sqrt()
        normalised = apart * (members @ (self.scale / deviation)) + members @ self.shift
        hidden = F.leaky_relu(normalised, 0.2)
        return ((hidden * (members @ self.last_weight)).sum(dim=1) + members @ self.last_bias).sigmoid()


class ClassMemory(nn.Module):
    """A few features of each class, those of the last batch that held any, and what selects among rows and among them.

    entries: [K, size, D]; filled: bool [K, size].
    """

    def __init__(self, n_classes: int, size: int, width: int, *, keep_highest: bool) -> None:
        super().__init__()
        self.keep_highest = keep_highest
        self.row_selectors = Selectors(n_classes, width)
        self.entry_selectors = Selectors(n_classes, width)
        self.entries: Tensor = nn.Buffer(torch.zeros(n_classes, size, width))
        self.filled: Tensor = nn.Buffer(torch.zeros(n_classes, size, dtype=torch.bool))

    @torch.no_grad()
    def update(self, rows: Tensor, members: Tensor) -> None:
        """Replace the entries of each class that has rows [P, D] (members [P, K]) by those that its selector ranks."""
        scores = self.row_selectors(rows, members)
        scores = (scores if self.keep_highest else -scores).unsqueeze(1).masked_fill(members == 0, -math.inf)
        best = scores.topk(self.filled.shape[1], dim=0)
        new, filled = rows[best.indices.t()], best.values.t() > -math.inf
        present = members.any(dim=0)
        self.entries.copy_(torch.where(present.view(-1, 1, 1), new, self.entries))
        self.filled.copy_(torch.where(present.unsqueeze(1), filled, self.filled))

    def loss(self, rows: Tensor, members: Tensor) -> Tensor:
        """Weighted mean of 1 - cos over pairs, summed over classes with two rows and two entries, over K -> scalar."""
        n_classes, size = self.filled.shape
        owners = torch.arange(n_classes, device=rows.device).unsqueeze(1).expand(-1, size).flatten()
        held = class_rows(owners, self.filled.flatten(), n_classes).to(rows.dtype)
        entries = F.normalize(self.entries.flatten(0, 1), dim=1)
        towards = class_means(self._weighted(entries, self.entry_selectors(entries, held), held), held)
        weights = self.row_selectors(rows.detach(), members)
        drawn = class_means(self._weighted(F.normalize(rows, dim=1), weights, members), members)
        compared = (members.sum(dim=0) > 1) & (held.sum(dim=0) > 1)
        return (compared * (1.0 - (drawn * towards).sum(dim=1))).sum() / n_classes

    @staticmethod
    def _weighted(rows: Tensor, weights: Tensor, members: Tensor) -> Tensor:
        """Rows times weights scaled to mean 1 over each class."""
        scale = members @ class_means(weights.unsqueeze(1), members).squeeze(1)
        return rows * (weights / scale.where(scale > 0, 1.0)).unsqueeze(1)
