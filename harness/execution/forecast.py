"""What the runs of a plan take on the device and on disk: measured on finished runs, else calculated."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from harness.execution.calibration import find_calibration
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.suite.plan import Plan, PlannedTraining

RECORD_BYTES = 300_000
"""Of a run without its weights, where none has ended: 0.15 to 0.34 MB in acdc_mini, which tests 20 patients."""


@dataclass(frozen=True)
class DiskUse:
    """Bytes that a run leaves: its checkpoint, until `clean`, and all other files."""

    checkpoint: float
    rest: float

    @property
    def total(self) -> float:
        return self.checkpoint + self.rest


@dataclass(frozen=True)
class Forecast:
    plan: Plan
    store: SuiteFolder
    _disk: dict[str, DiskUse] = field(default_factory=dict)

    def seconds(self, training: PlannedTraining) -> float | None:
        """Device-seconds of one run; None where nothing is known.

        Under reference steps as the calibration says; under steps as finished runs of the same entry took.
        """
        budget = training.budget
        if budget.device_seconds is not None:
            return budget.device_seconds
        rate = self._reference_seconds if budget.reference_steps else self._step_seconds.get(training.entry)
        return None if rate is None else budget.amount * rate

    def disk(self, training: PlannedTraining) -> DiskUse:
        """Of one run: the mean of finished ones of its entry, else an estimate from its network."""
        if training.entry not in self._disk:
            checkpoints, rests = (self._measured[name].get(training.entry) for name in ("checkpoint", "rest"))
            known = DiskUse(fmean(checkpoints), fmean(rests)) if checkpoints and rests else None
            self._disk[training.entry] = known or estimate(self.plan, training.entry)
        return self._disk[training.entry]

    @property
    def measured(self) -> int:
        """Finished runs whose checkpoints are still there."""
        return sum(map(len, self._measured["checkpoint"].values()))

    @cached_property
    def _reference_seconds(self) -> float | None:
        """Of a reference step, the same for all entries: a calibration that lacks some will do."""
        known = self.plan.calibration or find_calibration(self.plan, self.store)
        return None if known is None else known.header.reference_seconds

    @cached_property
    def _step_seconds(self) -> dict[str, float]:
        """Entry -> device-seconds of a step, mean over its finished runs."""
        records = self._records
        rates: dict[str, list[float]] = {}
        for run, spent in zip(records.ended.column("run"), records.ended.spent, strict=True):
            if spent.useful_steps:
                rates.setdefault(records.entry_of[run], []).append(spent.useful_device_seconds / spent.useful_steps)
        return {entry: fmean(own) for entry, own in rates.items()}

    @cached_property
    def _measured(self) -> dict[str, dict[str, list[float]]]:
        """Bytes of finished runs by entry. Imported and cleaned runs have no checkpoint, and are left out."""
        sizes: dict[str, dict[str, list[float]]] = {"checkpoint": {}, "rest": {}}
        for run in self._records.ended.rows:
            folder, entry = self._records.run(run).folder, self._records.entry_of[run]
            if folder.checkpoint.is_file():
                checkpoint = folder.checkpoint.stat().st_size
                total = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
                sizes["checkpoint"].setdefault(entry, []).append(checkpoint)
                sizes["rest"].setdefault(entry, []).append(total - checkpoint)
        return sizes

    @cached_property
    def _records(self) -> SuiteRecords:
        return SuiteRecords(self.store)


def estimate(plan: Plan, name: str) -> DiskUse:
    """Bytes of a run by the tensors that it keeps.

    A checkpoint holds the method, the momentum of what it trains, and the network at the best validation; weights.pt
    holds the tested network.
    """
    import torch

    from harness.train.build import build_method
    from harness.train.run import trainable_parameters

    entry = plan.entries[name]
    run = plan.sample_run(entry.method, entry.params.model_dump(mode="json"), entry.engine)
    with torch.random.fork_rng(devices=[]):
        method = build_method(run, torch.device("cpu"))
        method_bytes, predictor_bytes = sum(_sizes(method)), sum(_sizes(method.predictor))
        momentum = 4 * trainable_parameters(method)
    return DiskUse(method_bytes + momentum + predictor_bytes, predictor_bytes + RECORD_BYTES)


def _sizes(module: object) -> Iterator[int]:
    from torch import nn

    assert isinstance(module, nn.Module)
    yield from (tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
