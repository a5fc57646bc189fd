"""What is shown of an allocation of class centres at a validation look."""

from __future__ import annotations

from methods.parts.allocation import Allocation

SHOWN_SLOTS = 16
"""Up to so many slots the assignment and the cosine matrix are shown entry by entry."""


def allocation_diagnostics(allocation: Allocation) -> dict[str, float]:
    """Cosine of prototypes with their own centre and, at most, with another; changes; then the entries.

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
    if len(held) <= SHOWN_SLOTS:
        shown |= {f"assignment/{slot}": float(centre) for slot, centre in enumerate(held.tolist())}
        rows = enumerate(cosines.tolist())
        shown |= {f"similarity/{slot}/{centre}": cosine for slot, row in rows for centre, cosine in enumerate(row)}
    return shown
