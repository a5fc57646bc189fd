"""Schemas of everything that is written to disk. Unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from harness.api.params import Alteration, OptimiserSettings
from harness.api.strict import Instant, Strict, digest, is_none, without_none
from harness.records.budget import Budget

PROTOCOL_VERSION = 3
"""Raised when the engine changes in a way that changes numbers; part of every run's id."""

SCHEMA = 2

BY_FIRST_VERSION = "harness 0.1.0, which reads it"
"""The end of a sentence about what the first version wrote; its records have schema 1, and lie in units/."""


Augmentation = Literal["weak", "none", "nnunet"]

Stride = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


SuiteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
EntryName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Preprocessing(Strict):
    """How native scans become training images; the same for every method of a suite.

    size:   2D: pixels of a training slice; 3D: voxels of a training patch, (X, Y, Z).
    resize: 2D alone: how slices are brought to `size`; labels always go by nearest neighbour.
    shrink: 3D alone: volumes are trained on and predicted at 1 / shrink of their native resolution, by area averaging
            (labels by nearest neighbour); predictions go back by nearest neighbour, and metrics are native. None: as
            they are.
    """

    size: tuple[int, ...] = Field(min_length=2, max_length=3)
    resize: Literal["nearest", "area", "bilinear"] = "nearest"
    shrink: int | None = Field(None, ge=2, le=8, exclude_if=is_none)

    @model_validator(mode="after")
    def _possible(self) -> Preprocessing:
        if any(side < 16 or side % 16 for side in self.size):
            sizes = list(self.size)
            raise ValueError(f"every side of size must be a positive multiple of 16 (four poolings), not {sizes}")
        if len(self.size) == 2 and self.shrink is not None:
            raise ValueError("shrink is for volumes (size of three sides); slices are brought to size by resize")
        if len(self.size) == 3 and self.resize != "nearest":
            raise ValueError("resize is for slices; volumes keep their resolution, or shrink makes it coarser")
        return self

    def __str__(self) -> str:
        """As tables show it: 96 x 96 area; 48 x 48 x 16 patches at 1/3 of the resolution."""
        size = " x ".join(map(str, self.size))
        if len(self.size) == 2:
            return f"{size} {self.resize}"
        return f"{size} patches" + (f" at 1/{self.shrink} of the resolution" if self.shrink else "")


_NSD_TOLERANCE = {"nsd_tolerance_voxels": 1.0, "nsd_tolerance_mm": 2.0}


class Engine(Strict):
    """What the engine owns. All methods share it, unless an entry declares another."""

    batch_size: int = Field(24, ge=2, description="images per step, both streams together")
    threads: Literal[1] = Field(1, description="CPU threads of a run; the CPU clock charges one thread alone")
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    compile: Literal[True] | None = Field(
        None, exclude_if=is_none, description="on CUDA: record each stage's step once as a graph, then replay it"
    )
    augmentation: Augmentation = "weak"
    loss: Literal["default", "nnunet"] = Field(
        "default",
        exclude_if=lambda loss: loss == "default",
        description="of labelled images: 0.5 (cross-entropy + Dice), or nnU-Net's, without a Dice of the background",
    )
    validations: int = Field(10, ge=1, description="validations at equal fractions of the budget")
    warmup_steps: int = Field(3, ge=0, description="uncharged steps on a throw-away copy")
    optimiser: OptimiserSettings = OptimiserSettings()
    window_stride: Stride | None = Field(
        None, exclude_if=is_none, description="of windows in whole volumes (3D), in voxels; None: 18 x 18 x 4"
    )
    validation_stride: Stride | None = Field(
        None, exclude_if=is_none, description="the same for validations; None: as for the test"
    )
    largest_component: Literal[True] | None = Field(
        None, exclude_if=is_none, description="keep the largest component of each class alone"
    )
    nsd_tolerance_voxels: float | None = Field(
        None, gt=0, le=100, exclude_if=is_none, description="of the test's surface Dice in voxels; None: 1"
    )
    nsd_tolerance_mm: float | None = Field(
        None, gt=0, le=100, exclude_if=is_none, description="the same in millimetres; None: 2"
    )

    @field_validator("compile", "largest_component", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """False means the same as None and must not make another run of it."""
        return None if value is False else value

    @field_validator("nsd_tolerance_voxels", "nsd_tolerance_mm")
    @classmethod
    def _usual(cls, value: float | None, info: ValidationInfo) -> float | None:
        """The default, written out, must not make another run either."""
        return None if value == _NSD_TOLERANCE[str(info.field_name)] else value

    @property
    def nsd_tolerance(self) -> tuple[float, float]:
        """Up to which distance two surfaces agree for the test's surface Dice: in voxels, and in millimetres."""
        own = {"nsd_tolerance_voxels": self.nsd_tolerance_voxels, "nsd_tolerance_mm": self.nsd_tolerance_mm}
        voxels, mm = (_NSD_TOLERANCE[name] if value is None else value for name, value in own.items())
        return voxels, mm


class DatasetRef(Strict):
    name: str
    version: int
    checksum: str


class CalibrationRef(Strict):
    """Where a run's steps come from: the hash of a calibration's header, and the digest of its entry.

    entry: None for the supervised one.
    """

    header: str
    entry: str | None = None


class Run(Strict):
    """One training: all that determines its numbers, and where its number of steps comes from."""

    schema_version: Literal[2] = 2
    protocol_version: int = PROTOCOL_VERSION
    role: Literal["final", "search"] = "final"
    method: str
    method_version: int
    params: dict[str, Any]
    dataset: DatasetRef
    preprocessing: Preprocessing
    labelled: int | None = Field(description="labelled patients; None: all of the training split")
    subset: int = Field(ge=0)
    seed: int = Field(ge=0)
    validation_patients: int | None = Field(
        None, ge=1, exclude_if=is_none, description="drawn from the validation split; None: all of it"
    )
    engine: Engine
    budget: Budget
    calibration: CalibrationRef | None = Field(None, exclude_if=is_none)

    @property
    def id(self) -> str:
        """sha256 of the canonical JSON of all that determines the numbers, without fields that are None."""
        return digest(without_none(self.model_dump(mode="json", exclude={"schema_version", "calibration"})))

    @property
    def label(self) -> str:
        return self.label_in(self.method)

    def label_in(self, entry: str) -> str:
        return f"{entry} {self.labelled or 'all'}-labelled subset {self.subset} seed {self.seed}"


class Environment(Strict):
    """Where numbers were made. All fields but `shown` make the fingerprint."""

    schema_version: Literal[2] = 2
    device_model: str
    device_type: Literal["cpu", "cuda"]
    threads: int
    precision: str
    torch: str
    cuda: str | None
    data_checksum: str
    shown: dict[str, str | None] = Field(
        default_factory=dict, description="commit, driver, host, versions of one run: not compared, kept in its result"
    )

    @property
    def fingerprint(self) -> str:
        return digest(without_none(self.model_dump(mode="json", exclude={"shown", "schema_version"})))


class Spent(Strict):
    """A run's ledger, summed over attempts."""

    useful_device_seconds: float
    lost_device_seconds: float
    useful_steps: int
    lost_steps: int
    attempts: int

    def in_currency(self, budget: Budget) -> tuple[float, float]:
        """Useful and lost spending, in the currency of a budget.

        A lost step counts as one of the run's mean: nobody knows which stage it was of.
        """
        useful = budget.spent(self.useful_steps, self.useful_device_seconds)
        if budget.reference_steps is not None:
            return useful, budget.amount * self.lost_steps / budget.total_steps
        return useful, budget.spent(self.lost_steps, self.lost_device_seconds)


Rounded = Annotated[float, AfterValidator(lambda value: round(value, 7))]
"""Dice or seconds of a validation: as exact as a test's metrics."""

FourDigits = Annotated[float, AfterValidator(lambda value: float(f"{value:.4g}"))]


class Failure(Strict):
    kind: Literal["oom", "nan", "error", "killed", "timeout", "data"]
    reason: str


class Pace(Strict):
    """Seconds of plain supervised steps beside a run, and of the run's own latest steps.

    device: sha256 of the fingerprint of the device and its software.
    """

    stage: str
    reference: tuple[Rounded, ...] = Field(min_length=1)
    own: tuple[Rounded, ...] = Field(min_length=1)
    device: str


class Validation(Strict):
    """One validation: mean Dice by class over validation volumes, at a point of the budget.

    dice: empty without validation cases.
    """

    validation: int
    progress: float
    step: int
    device_seconds: Rounded
    dice: dict[str, Rounded]
    patients: tuple[str, ...] = Field((), description="whose validation volumes there are")
    diagnostics: dict[str, FourDigits] = Field(default_factory=dict, description="scalars that the method shows")
    unlabelled_dice: dict[str, Rounded] | None = Field(
        None,
        description="of the pseudo-label network on whole unlabelled training scans, against their hidden labels; "
        "at every third validation and the last, and nowhere if no training image is unlabelled",
    )

    pace: Pace | None = Field(
        None, exclude_if=is_none, description="under reference steps, at a few validations: what steps cost here"
    )

    @property
    def mean_dice(self) -> float | None:
        """Mean over foreground classes; None without validation cases."""
        return _mean(self.dice)

    @property
    def possible(self) -> bool:
        """Whether every Dice lies in [0, 1], but for rounding."""
        return all(0.0 <= dice <= 1.0 + 1e-9 for dice in (*self.dice.values(), *(self.unlabelled_dice or {}).values()))

    @property
    def mean_unlabelled_dice(self) -> float | None:
        """The same on unlabelled images; None where it was not measured."""
        return _mean(self.unlabelled_dice or {})


def _mean(by_class: dict[str, float]) -> float | None:
    return sum(by_class.values()) / len(by_class) if by_class else None


class Observed(Strict):
    """What the engine saw a method do beyond its loss, over the run's useful steps. Nothing here made a number.

    In the first step of each stage and the first after each validation, the images that reach the first layer of the
    tested network with gradients on are compared, bit by bit, with the batch that the engine gave.
    """

    sampled: Augmentation = Field(description="augmentation that the engine's sampler applied")
    declared: tuple[Alteration, ...] = Field(description="by the method's `augmentation`")
    steps: int = Field(0, description="in which images were compared")
    images_same: int = 0
    images_mixed: int = 0
    images_altered: int = 0
    process_cpu_seconds: float = Field(0.0, description="in training steps, all threads of the process")
    validations_that_trained: int = Field(0, description="validations after which parameters or buffers had changed")

    @property
    def images(self) -> dict[str, int]:
        """Compared images by what had happened to them."""
        return {"same": self.images_same, "mixed": self.images_mixed, "altered": self.images_altered}


class FinalWeights(Strict):
    """final.json: the run's weights can no longer change, so its test split may be opened."""

    schema_version: Literal[2] = 2
    weights_sha256: str


class Result(Strict):
    """Written last; its existence is what done means. Numbers of cases are in cases.parquet."""

    schema_version: Literal[2] = 2
    run: RunId
    status: Literal["ok", "failed", "ended_early"] = Field(
        description="ended_early: a search ended it before its budget"
    )
    failure: Failure | None = None
    environment: str = Field(pattern=r"^([0-9a-f]{64})?$")
    spent: Spent
    stage_device_seconds: dict[str, float] = Field(default_factory=dict)
    stage_steps: dict[str, int] = Field(default_factory=dict)
    longest_step_seconds: float = 0.0
    wall_seconds: dict[str, float] = Field(
        default_factory=dict, description="by phase, all attempts, with 'unaccounted'"
    )
    images_seen: int = 0
    labelled_images_seen: int = 0
    parameters_training: int = 0
    parameters_predictor: int = 0
    peak_memory_bytes: int = 0
    validations: list[Validation] = Field(default_factory=list)
    best_validation: int | None = Field(None, description="None without validation cases")
    weights_sha256: str | None = Field(None, description="of the final predictor's weights")
    observed: Observed | None = Field(None, description="None where it failed")
    shown: dict[str, str | None] = Field(default_factory=dict, description="the environment's, of the last attempt")
    files: dict[str, str] = Field(default_factory=dict, description="start of the sha256 of each other record, by path")
    finished_at: Instant = Field(description="UTC, ISO 8601")


class PlannedRun(Strict):
    """A final run that the plan can enumerate before any search ran.

    entry: its name in the suite: a registered method, or a variant of one with its own name.
    rung:  its budget in reference steps, where the suite has a ladder of them.
    """

    entry: EntryName
    labelled: int | None
    subset: int
    seed: int
    rung: int | None = Field(None, exclude_if=is_none)

    def __str__(self) -> str:
        """As the command line names it: ua_mt/7/0/1, supervised_full/all/0/1; ua_mt/7/0/1/2000 on a ladder's rung."""
        name = f"{self.entry}/{self.labelled or 'all'}/{self.subset}/{self.seed}"
        return name if self.rung is None else f"{name}/{self.rung}"


class Proposal(Strict):
    """One configuration of a search: which entry tries what.

    point:  number within the study; 0 is the configuration that the suite asks for without a search, in a grid the
            first combination.
    varied: value of each searched dimension. Engine settings are named engine.<name>.
    """

    entry: EntryName
    study: int
    point: int
    varied: dict[str, Any]


class Trial(Proposal):
    """A configuration that a search tries, and the run that measures it."""

    run: RunId

    def __str__(self) -> str:
        """As the command line names it: action_pp/trial/0/5 is study 0, point 5."""
        return f"{self.entry}/trial/{self.study}/{self.point}"


class Infeasible(Proposal):
    """A configuration that no budget of the search could train; another one took its place."""

    reason: str
