"""calibration.json: what a step of each method costs, in steps of plain supervised training, with all samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from harness.api.errors import UsageError
from harness.api.strict import Instant, Strict, digest
from harness.records.budget import Budget, StageSteps
from harness.records.schema import CalibrationRef, Engine, Pace, Preprocessing

FEWEST_STEPS = 20
PRECISION = 0.02
"""Half width of the 95 % interval of a ratio, relative to it, from which on it is known well enough."""
NOT_COST = (
    "validations", "warmup_steps", "optimiser", "window_stride", "validation_stride", "largest_component",
    "nsd_tolerance_voxels", "nsd_tolerance_mm",
)  # fmt: skip

Pair = tuple[float, float]
"""Seconds of a supervised step and of the stage's, measured side by side."""


class Fingerprint(Strict):
    """The device and the software that were measured; a name alone says too little of a processor.

    device: of a CPU its family, model, stepping and caches; of a GPU its multiprocessors and power limit.
    """

    device_type: Literal["cpu", "cuda"]
    device_model: str
    device: dict[str, str]
    software: dict[str, str]


class CalibrationHeader(Strict):
    """All that the entries of a calibration share. Its hash is part of a table's key.

    engine: settings that decide the cost of a step.
    """

    schema_version: Literal[2] = 2
    protocol_version: int
    dataset: str
    channels: int
    n_classes: int
    preprocessing: Preprocessing
    engine: dict[str, Any]
    fingerprint: Fingerprint
    reference: tuple[float, ...] = Field(min_length=1, description="seconds of plain supervised steps")
    measured_at: Instant = Field(description="UTC, ISO 8601")

    @property
    def hash(self) -> str:
        return digest(self.model_dump(mode="json"))

    @property
    def reference_seconds(self) -> float:
        """Mean seconds of a supervised step."""
        return _mean(self.reference)


class StageCost(Strict):
    """What one stage costs.

    pairs:  at stage progress 0.05, 0.5 and 0.95 in turn.
    start:  seconds before the stage's first step.
    events: seconds of the work at one of the points of progress that the method declares; empty without any.
    """

    name: str
    pairs: tuple[Pair, ...] = Field(min_length=2)
    start: tuple[float, ...] = Field(min_length=1)
    events: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _positive(self) -> StageCost:
        if any(seconds <= 0 for pair in self.pairs for seconds in pair):
            raise ValueError(f"stage {self.name}: a step takes more than 0 seconds")
        return self

    @property
    def ratio(self) -> float:
        """Supervised steps that one step of the stage costs: the ratio of mean seconds."""
        return _mean([own for _, own in self.pairs]) / self.reference_seconds

    @property
    def reference_seconds(self) -> float:
        """Mean seconds of the supervised steps beside it."""
        return _mean([reference for reference, _ in self.pairs])

    def fixed(self, events: int) -> float:
        """Supervised steps that the stage's start and so many events cost."""
        return (_mean(self.start) + events * _mean(self.events)) / self.reference_seconds

    @property
    def spread(self) -> float:
        """Half width of the 95 % interval of `ratio`, relative to it; linearised (Fieller's, for a small one)."""
        from scipy.stats import t

        count = len(self.pairs)
        residuals = [own - self.ratio * reference for reference, own in self.pairs]
        deviation = math.sqrt(math.fsum(residual**2 for residual in residuals) / (count - 1))
        return float(t.ppf(0.975, count - 1)) * deviation / math.sqrt(count) / (self.ratio * self.reference_seconds)


class EntryKey(Strict):
    """The configuration of an entry that decides its cost; entries with equal keys share one measurement.

    params: the hyper-parameters that the method says change the cost of a step.
    engine: settings that decide the cost, where the entry has others than the header.
    stages: those that the configuration has; a share of 0 leaves one out.
    """

    method: str
    method_version: int
    params: dict[str, Any]
    engine: dict[str, Any]
    stages: tuple[str, ...]

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in {**self.params, **self.engine}.items())
        return f"{self.method} ({settings})" if settings else self.method


class EntryCost(Strict):
    """What one entry costs.

    digest: sha256 of all other fields; with it, what was edited by hand is no calibration.
    """

    key: EntryKey
    stages: tuple[StageCost, ...] = Field(min_length=1)
    digest: str

    @classmethod
    def of(cls, key: EntryKey, stages: Sequence[StageCost]) -> EntryCost:
        """Seal what was measured."""
        content = {"key": key.model_dump(mode="json"), "stages": [stage.model_dump(mode="json") for stage in stages]}
        return cls.model_validate({**content, "digest": digest(content)})

    @model_validator(mode="after")
    def _sealed(self) -> EntryCost:
        if self.digest != digest(self.model_dump(mode="json", exclude={"digest"})):
            raise ValueError(f"the samples of {self.key} are not those that were measured: their digest is another")
        return self


class Calibration(Strict):
    header: CalibrationHeader
    entries: tuple[EntryCost, ...]

    def cost_of(self, key: EntryKey) -> EntryCost | None:
        """What an entry costs, measured with all of its stages, perhaps with more. None where the file lacks it."""
        named = key.model_dump(exclude={"stages"})
        same = (entry for entry in self.entries if entry.key.model_dump(exclude={"stages"}) == named)
        return next((entry for entry in same if set(key.stages) <= set(entry.key.stages)), None)

    def joined(self, other: Calibration) -> Calibration:
        """The entries of two calibrations with one header, these first."""
        own = {entry.digest for entry in self.entries}
        further = [entry for entry in other.entries if entry.digest not in own]
        return self.model_copy(update={"entries": (*self.entries, *further)})

    def ratios(self, entry: str | None) -> dict[str, float]:
        """Stage -> supervised steps that one of its steps costs, of an entry by its digest."""
        return {stage.name: stage.ratio for cost in self.entries if cost.digest == entry for stage in cost.stages}


AGREEMENT, MARKED, ELSEWHERE = 0.05, 0.10, 0.50
"""How far measured costs may be apart: from the first on a cell is marked, from the second on it is not ranked; on
another device than the calibration's from the third on."""
FEWEST_SAMPLES = 30
"""Of a cell's stage: fewer supervised steps beside its runs say nothing."""


Verdict = Literal["not judged", "holds", "marked", "not ranked"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""The worst one last."""


@dataclass(frozen=True)
class PaceJudgement:
    """Whether steps of one stage cost what their calibration says.

    samples:   supervised steps beside them.
    deviation: their cost over that of the calibration, less 1.
    elsewhere: some were taken on another device than the calibration's.
    """

    samples: int
    deviation: float
    elsewhere: bool

    @property
    def verdict(self) -> Verdict:
        """As RULES.md says."""
        if self.samples < FEWEST_SAMPLES:
            return "not judged"
        if abs(self.deviation) > (ELSEWHERE if self.elsewhere else MARKED):
            return "not ranked"
        return "marked" if abs(self.deviation) > AGREEMENT else "holds"


def judge_pace(paces: Sequence[Pace], ratio: float, header: CalibrationHeader) -> PaceJudgement:
    """Compare what steps of a stage cost with `ratio`, in supervised steps."""
    own = math.fsum(_mean(pace.own) for pace in paces)
    reference = math.fsum(_mean(pace.reference) for pace in paces)
    device = digest(header.fingerprint.model_dump(mode="json"))
    elsewhere = any(pace.device != device for pace in paces)
    return PaceJudgement(sum(len(pace.reference) for pace in paces), own / reference / ratio - 1.0, elsewhere)


def judge_cells(
    runs: Iterable[tuple[str, CalibrationRef | None, Sequence[Pace]]], calibrations: Sequence[Calibration]
) -> dict[tuple[str, str], PaceJudgement]:
    """(cell, stage) -> judgement, by the supervised steps beside the runs whose calibration is on record.

    Where studies of a search chose configurations of other costs for a cell, that of the worst.
    """
    by_hash = {calibration.header.hash: calibration for calibration in calibrations}
    paces: dict[tuple[str, str, str, float], list[Pace]] = {}
    for cell, calibration, own in runs:
        if calibration is None or calibration.header not in by_hash:
            continue
        ratios = by_hash[calibration.header].ratios(calibration.entry)
        for pace in own:
            key = (cell, pace.stage, calibration.header, ratios.get(pace.stage, 1.0))
            paces.setdefault(key, []).append(pace)
    judged: dict[tuple[str, str], PaceJudgement] = {}
    for (cell, stage, header, ratio), own in paces.items():
        judgement = judge_pace(own, ratio, by_hash[header].header)
        judged[cell, stage] = max(
            judged.get((cell, stage), judgement), judgement, key=lambda each: VERDICTS.index(each.verdict)
        )
    return judged


class TooFewStepsError(UsageError):
    """A stage would have less than `FEWEST_STEPS` steps."""


def engine_cost(engine: Engine) -> dict[str, Any]:
    """The engine settings that decide the cost of a step."""
    return engine.model_dump(mode="json", exclude_none=True, exclude=set(NOT_COST))


class StagePlan(Strict):
    """A stage as the method plans it, with its points of progress."""

    name: str
    share: float
    events: int = 0


def resolve(budget: Budget, stages: Sequence[StagePlan], cost: EntryCost | None) -> Budget:
    """The steps of each stage that a suite's budget of reference steps buys.

    floor((share N - h - events e) / c): c what a step costs, h the stage's start and e an event, all in supervised
    steps. What the floors leave goes to the last stage. The supervised entry itself has no cost: it takes N steps.
    Raises `TooFewStepsError` where a stage would have less than 20 steps.
    """
    total = int(budget.amount)
    if cost is None:
        steps = [total]
    else:
        costs = {stage.name: stage for stage in cost.stages}
        steps, left = [], float(total)
        for index, stage in enumerate(stages):
            own = costs[stage.name]
            fixed = own.fixed(stage.events)
            amount = left if index + 1 == len(stages) else stage.share * total
            steps.append(math.floor((amount - fixed) / own.ratio))
            left -= steps[-1] * own.ratio + fixed
    for stage, count in zip(stages, steps, strict=True):
        if count < FEWEST_STEPS:
            raise TooFewStepsError(
                f"{total} reference steps leave {max(count, 0)} steps to stage {stage.name} (share {stage.share:g}); "
                f"a stage needs {FEWEST_STEPS}"
            )
    resolved = [StageSteps(name=s.name, share=s.share, steps=count) for s, count in zip(stages, steps, strict=True)]
    return budget.model_copy(update={"stages": tuple(resolved)})


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
