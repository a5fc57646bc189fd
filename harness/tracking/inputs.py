"""Which data a run read, as MLflow's dataset inputs: names and checksums; no path, no scan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.api.strict import canonical_json
from harness.records.schema import Run

DIGEST_LENGTH = 12
"""Of the checksum's hexadecimal digits; the whole one is in `source`."""

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Input:
    """One split of a dataset version. MLflow tells inputs apart by name and digest, so the name says the split."""

    name: str
    context: Literal["train", "validation", "test"]
    digest: str
    source: str
    profile: str = "{}"


def run_inputs(asked: Run, *, tested: bool) -> tuple[Input, ...]:
    """Training images with their labels, validation, and test if its cases were opened."""
    data = asked.dataset
    labelled = "all labelled" if asked.labelled is None else f"{asked.labelled} labelled, subset {asked.subset}"
    drawn = canonical_json({"labelled_patients": asked.labelled or "all", "subset": asked.subset})
    source = canonical_json({"dataset": data.name, "version": data.version, "checksum": data.checksum})
    where = data.checksum[:DIGEST_LENGTH], source
    inputs = (
        Input(f"{data.name} train ({labelled})", "train", *where, profile=drawn),
        Input(f"{data.name} validation", "validation", *where),
        Input(f"{data.name} test", "test", *where),
    )
    return inputs if tested else inputs[:2]


def ordered(inputs: Iterable[Input]) -> list[Input]:
    """Each once, training first."""
    return sorted(set(inputs), key=lambda data: (SPLITS.index(data.context), data.name, data.digest))
