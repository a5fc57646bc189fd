"""What a method leaves to be drawn is kept beside its records, and can never cost it its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.api.task import Task
from harness.records.run_folder import UnitFolder
from harness.train.arrays import keep_arrays
from methods.supervised import Supervised
from tests.synthetic import RunSpec, write_run

TASK = Task(name="tiny", dimension=2, channels=1, classes=("background", "a"), size=(16, 16))


class Showing(Supervised):
    """Leaves what it is told to, or raises."""

    def __init__(self, shown: Mapping[str, Tensor] | None) -> None:
        super().__init__(TASK, Supervised.Params())
        self.shown = shown

    def arrays(self) -> Mapping[str, Tensor]:
        if self.shown is None:
            raise RuntimeError("no such buffer")
        return self.shown


def kept(shown: Mapping[str, Tensor] | None, folder: Path) -> tuple[UnitFolder, list[str]]:
    store = write_run(folder / "suite", RunSpec(methods={"supervised": 0.0}, labelled=(3,), seeds=1, patients=1))
    (unit,) = store.folders()
    said: list[str] = []
    keep_arrays(unit, Showing(shown), said.append)
    return unit, said


def test_tensors_become_arrays(tmp_path: Path) -> None:
    matrix = torch.arange(6.0, requires_grad=True).view(2, 3)
    unit, said = kept({"matrix": matrix, "labels": torch.tensor([1, 0])}, tmp_path)
    found = unit.arrays()
    assert np.array_equal(found["matrix"], [[0, 1, 2], [3, 4, 5]])
    assert found["labels"].dtype == np.int64
    assert said == []


def test_a_method_that_leaves_nothing_gets_no_file(tmp_path: Path) -> None:
    unit, said = kept({}, tmp_path)
    assert not (unit.path / "arrays.npz").exists()
    assert said == []


def test_what_goes_wrong_is_said_and_nothing_more(tmp_path: Path) -> None:
    for number, (shown, words) in enumerate([(None, "no such buffer"), ({"scan": torch.zeros(1_000_000)}, "not kept")]):
        unit, (line,) = kept(shown, tmp_path / str(number))
        assert words in line
        assert unit.unit.label in line
        assert unit.arrays() == {}
