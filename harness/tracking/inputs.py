"""Which data a unit read, as MLflow's dataset inputs: names and checksums; no path, no scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from harness.api.strict import canonical_json
from harness.records.schema import DatasetRef, Unit

DIGEST_LENGTH = 12
"""Of the checksum's hexadecimal digits; the whole one is in `source`."""


@dataclass(frozen=True)
class Input:
    """One split of a dataset version. MLflow tells inputs apart by name and digest, so the name says the split."""

    name: str
    digest: str
    context: Literal["train", "validation", "test"]
    source: str
    profile: str


def unit_inputs(unit: Unit, *, tested: bool) -> tuple[Input, ...]:
    """Training images with their labels, validation, and test if its cases were opened."""
    return tuple(_inputs(unit, tested))


def _inputs(unit: Unit, tested: bool) -> Iterator[Input]:
    data = unit.dataset
    labelled = "all labelled" if unit.labelled is None else f"{unit.labelled} labelled, subset {unit.subset}"
    drawn = canonical_json({"labelled_patients": unit.labelled or "all", "subset": unit.subset})
    yield Input(f"{data.name} train ({labelled})", _digest(data), "train", _source(data), drawn)
    yield Input(f"{data.name} validation", _digest(data), "validation", _source(data), "{}")
    if tested:
        yield Input(f"{data.name} test", _digest(data), "test", _source(data), "{}")


SPLITS = ("train", "validation", "test")


def ordered(inputs: Iterable[Input]) -> list[Input]:
    """Each once, training first."""
    return sorted(set(inputs), key=lambda one: (SPLITS.index(one.context), one.name, one.digest))


def _digest(data: DatasetRef) -> str:
    return data.checksum[:DIGEST_LENGTH]


def _source(data: DatasetRef) -> str:
    return canonical_json({"dataset": data.name, "version": data.version, "checksum": data.checksum})
