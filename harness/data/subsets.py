"""Which training patients are labelled."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from harness.api.errors import UsageError


def labelled_patients(order: Sequence[str], count: int | None, subset: int, dataset: str) -> tuple[str, ...]:
    """The labelled patients of one subset.

    order:   training patients in published order.
    count:   how many are labelled; None takes all of them.
    subset:  0 is the literature's (the first `count`); k >= 1 takes the first `count` of a permutation seeded by
             k and the dataset's name, so larger counts of one subset contain the smaller ones.
    dataset: its name.

    The permutation sorts sha256 digests: no version of any library can change it.
    Raises `UsageError` for a count or a subset that does not exist.
    """
    if subset < 0:
        raise UsageError(f"subset: {subset} does not exist; subsets count from 0")
    if count is None:
        return tuple(order)
    if not 1 <= count <= len(order):
        raise UsageError(f"labelled: {dataset} has {len(order)} training patients; give 1 to {len(order)}, not {count}")
    if subset == 0:
        return tuple(order[:count])

    def key(patient: str) -> str:
        return hashlib.sha256(f"{dataset}:{subset}:{patient}".encode()).hexdigest()

    return tuple(sorted(order, key=key)[:count])
