import numpy as np
import torch

from harness.api import Task
from harness.train.run import keep_arrays
from methods.supervised import Supervised
from tests.synthetic import RunSpec, write_checksums, write_records

TASK = Task(name="tiny", dimension=2, channels=1, classes=("background", "a"), size=(16, 16))


class Showing(Supervised):
    def __init__(self, shown):
        super().__init__(TASK, Supervised.Params())
        self.shown = shown

    def arrays(self):
        if self.shown is None:
            raise RuntimeError("no such buffer")
        return self.shown

    def figures(self, arrays, diagnostics):
        assert len(diagnostics) == RunSpec().validations
        return {}


def keep(folder, method):
    store = write_records(folder / "suite", RunSpec(methods={"supervised": 0.0}, labelled=(3,), seeds=1, patients=1))
    (run,) = store.folders()
    keep_arrays(run, method)
    write_checksums(run)
    return run


def test_tensors_become_arrays(tmp_path, caplog):
    matrix = torch.arange(6.0, requires_grad=True).view(2, 3)
    run = keep(tmp_path, Showing({"matrix": matrix, "labels": torch.tensor([1, 0])}))
    kept = run.arrays()
    assert np.array_equal(kept["matrix"], [[0, 1, 2], [3, 4, 5]])
    assert kept["labels"].dtype == np.int64
    assert caplog.text == ""


def test_arrays_that_fail_cost_a_warning_alone(tmp_path, caplog):
    for number, (shown, words) in enumerate(
        [(None, "no such buffer"), ({"scan": torch.zeros(1_000_000)}, "more than a record holds")]
    ):
        caplog.clear()
        run = keep(tmp_path / str(number), Showing(shown))
        (line,) = caplog.messages
        assert f"{run.run.label}: arrays are not kept" in line
        assert words in line
        assert run.arrays() == {}
