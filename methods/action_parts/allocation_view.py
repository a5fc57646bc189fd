"""What is shown of an allocation of class centres: scalars at validations, arrays at the end."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.action_parts.allocation import Allocation
from methods.action_parts.bank import LabelledBank

SHOWN_SLOTS = 16
"""Up to so many slots the cosine matrix is shown entry by entry at validations."""

SHOWN_FEATURES = 64
"""Of a class, at the end."""


def allocation_diagnostics(allocation: Allocation) -> dict[str, float]:
    """Cosine of prototypes with their own centre and, at most, with another; changes; assignment; matrix.

    assignment/<s>:        centre that slot s holds.
    similarity/<s>/<m>:    cosine of slot s's prototype and centre m.
    """
    cosines = allocation.similarity.double().cpu()
    held = allocation.assignment.cpu()
    own = cosines.gather(1, held.unsqueeze(1))
    others = cosines.scatter(1, held.unsqueeze(1), -1.0)
    shown = {
        "own_center_mean": own.mean().item(),
        "own_center_least": own.min().item(),
        "other_center_most": others.max().item(),
        "assignment_changes": float(allocation.changes),
    }
    shown |= {f"assignment/{slot}": float(centre) for slot, centre in enumerate(held.tolist())}
    if len(held) <= SHOWN_SLOTS:
        rows = enumerate(cosines.tolist())
        shown |= {f"similarity/{slot}/{centre}": cosine for slot, row in rows for centre, cosine in enumerate(row)}
    return shown


def allocation_arrays(allocation: Allocation, queue: LabelledBank) -> dict[str, Tensor]:
    """Centres and prototypes with all that relates them, and some of the queue's features.

    centres, prototypes [M, d]: unit vectors; similarity [M slots, M centres]: their cosines.
    assignment [M]:             centre that each slot holds; slot_class [M]: its class.
    features [n, d], labels [n]: float16 unit vectors of single pixels, evenly over what the queue holds of each class.
    """
    chosen = spread_entries(queue, allocation.n_classes, SHOWN_FEATURES)
    return {
        "centres": allocation.centres,
        "prototypes": allocation.prototypes,
        "similarity": allocation.similarity,
        "assignment": allocation.assignment,
        "slot_class": allocation.slot_class,
        "features": queue.entries[chosen].half(),
        "labels": queue.labels[chosen],
    }


def spread_entries(queue: LabelledBank, n_classes: int, count: int) -> Tensor:
    """Numbers of at most `count` entries of each class, class after class: the newest, the oldest, evenly between."""
    size = len(queue.labels)
    newest_first = (queue.enqueued - 1 - torch.arange(size, device=queue.labels.device)) % size
    labels = queue.labels[newest_first]
    chosen = []
    for name in range(n_classes):
        own = newest_first[labels == name]
        places = torch.linspace(0, max(len(own) - 1, 0), min(count, len(own))).round().long()
        chosen.append(own[places.to(own.device)])
    return torch.cat(chosen)
