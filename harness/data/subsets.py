"""Which training patients are labelled, and whose labels choose checkpoints and hyper-parameters."""

import hashlib
from collections.abc import Sequence

from harness.api.errors import UsageError


def labelled_patients(order: Sequence[str], count: int | None, subset: int, dataset: str) -> tuple[str, ...]:
    """The labelled patients of one subset, of training patients in published order; None labels all.

    Subset 0 is the literature's (the first `count`); k >= 1 takes the first `count` of a permutation seeded by k and
    the dataset's name, so larger counts contain the smaller ones. Raises `UsageError` for a count or a subset that does
    not exist.
    """
    if subset < 0:
        raise UsageError(f"subset: {subset} does not exist; subsets count from 0")
    if count is None:
        return tuple(order)
    if not 1 <= count <= len(order):
        raise UsageError(f"labelled: {dataset} has {len(order)} training patients; give 1 to {len(order)}, not {count}")
    if subset == 0:
        return tuple(order[:count])
    return drawn(order, count, f"{dataset}:{subset}")


def validation_patients(order: Sequence[str], count: int | None, dataset: str) -> tuple[str, ...]:
    """The patients on whom a run is validated, in published order; None takes all.

    The dataset's name alone seeds the draw; larger counts contain the smaller ones. Raises `UsageError` for a count
    that does not exist.
    """
    if count is None:
        return tuple(order)
    if not 1 <= count <= len(order):
        raise UsageError(
            f"validation_patients: {dataset} has {len(order)}; give 1 to {len(order)}, not {count}, or leave it out"
        )
    chosen = drawn(order, count, f"{dataset}:validation")
    return tuple(patient for patient in order if patient in chosen)


def drawn(order: Sequence[str], count: int, purpose: str) -> tuple[str, ...]:
    """The first patients of a permutation that the purpose seeds, by sha256."""

    def key(patient: str) -> str:
        return hashlib.sha256(f"{purpose}:{patient}".encode()).hexdigest()

    return tuple(sorted(order, key=key)[:count])
