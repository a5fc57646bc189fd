"""Schemas of everything that is written to disk. Unknown keys are errors; every record carries its schema version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.spec.place import Place

PROTOCOL_VERSION = 1
"""Raised when the engine changes in a way that changes numbers; part of every unit's id."""

SCHEMA = 1
"""Version of the record formats below."""


class Strict(BaseModel):
    """Immutable, unknown keys refused, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def canonical_json(value: Any) -> str:  # noqa: ANN401 - anything JSON can hold
    """JSON with sorted keys and no white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:  # noqa: ANN401
    """sha256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _without_none(value: Any) -> Any:  # noqa: ANN401
    """The value without fields that are None, at any depth; hyper-parameters too."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return value


class Budget(Strict):
    """What a unit may spend, over all its stages: exactly one of the two currencies."""

    device_seconds: float | None = Field(None, gt=0, description="synchronised seconds inside training steps")
    steps: int | None = Field(None, gt=0, description="optimiser steps")

    @model_validator(mode="after")
    def _one_currency(self) -> Budget:
        if (self.device_seconds is None) == (self.steps is None):
            raise ValueError("give exactly one of device_seconds and steps")
        return self

    @property
    def currency(self) -> Literal["device_seconds", "steps"]:
        """The currency that binds."""
        return "steps" if self.steps is not None else "device_seconds"

    @property
    def amount(self) -> float:
        """The budget in its currency."""
        return float(self.steps if self.steps is not None else self.device_seconds or 0.0)

    def of(self, amount: float) -> Budget:
        """Another amount of the same currency."""
        return Budget(steps=round(amount)) if self.steps is not None else Budget(device_seconds=amount)

    def __str__(self) -> str:
        return f"{self.amount:g} {self.currency}"


class Preprocessing(Strict):
    """How native scans become training images; the same for every method of a suite.

    size:   pixels of a training image.
    resize: how images are brought to `size`; labels always go by nearest neighbour.
    """

    size: tuple[int, ...] = Field(min_length=2, max_length=3)
    resize: Literal["nearest", "area", "bilinear"] = "nearest"

    @model_validator(mode="after")
    def _sizes(self) -> Preprocessing:
        if any(side < 16 or side % 16 for side in self.size):
            sizes = list(self.size)
            raise ValueError(f"every side of size must be a positive multiple of 16 (four poolings), not {sizes}")
        return self


class OptimiserSettings(Strict):
    """SGD, the field's optimiser; the learning rate is the value at progress 0 of each stage."""

    learning_rate: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["poly", "constant"] = "poly"
    poly_power: float = Field(0.9, gt=0)


class Engine(Strict):
    """What the engine owns; one setting for all methods unless a method's entry in the suite declares another."""

    batch_size: int = Field(24, ge=2, description="images per step, both streams together")
    threads: Literal[1] = Field(1, description="CPU threads of a unit; the CPU clock charges one thread alone")
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    augmentation: Literal["weak", "none"] = "weak"
    looks: int = Field(10, ge=1, description="validation looks at equal fractions of the budget")
    warmup_steps: int = Field(3, ge=0, description="uncharged steps on a throw-away copy")
    optimiser: OptimiserSettings = OptimiserSettings()


class DatasetRef(Strict):
    """Which data, to the pixel."""

    name: str
    version: int
    checksum: str


class Unit(Strict):
    """One training: all that determines its numbers, and nothing else.

    A field that is added later defaults to None, which means "as before the field existed" and leaves ids alone.
    """

    schema_version: Literal[1] = 1
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
    engine: Engine
    budget: Budget

    @property
    def id(self) -> str:
        """sha256 of the canonical JSON of this record, without the format's version and without what is None."""
        return digest(_without_none(self.model_dump(mode="json", exclude={"schema_version"})))

    @property
    def label(self) -> str:
        """Short text for people: method, labelled count, subset, seed."""
        return f"{self.method} {self.labelled or 'all'}-labelled subset {self.subset} seed {self.seed}"


class Environment(Strict):
    """Where numbers were made. `compared` fields make the fingerprint; a table never mixes two of them."""

    schema_version: Literal[1] = 1
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
        """sha256 over the compared fields."""
        return digest(_without_none(self.model_dump(mode="json", exclude={"shown", "schema_version"})))


class LedgerLine(Strict):
    """One line of ledger.jsonl. Seconds and steps are those of this attempt up to now, `base_*` what it resumed from.

    useful at the end = base of the last attempt + what it spent; everything else that was spent is lost.
    begin: the first line of an attempt, which says where it runs; start: what it goes on from is known.
    """

    schema_version: Literal[1] = 1
    kind: Literal["begin", "start", "heartbeat", "checkpoint", "end", "breach"]
    attempt: int = Field(ge=0)
    at: str = Field(description="UTC, ISO 8601")
    environment: str = Field(description="fingerprint")
    base_device_seconds: float = Field(0.0, ge=0)
    base_steps: int = Field(0, ge=0)
    device_seconds: float = Field(0.0, ge=0, description="charged in this attempt")
    steps: int = Field(0, ge=0, description="finished in this attempt")
    wall_seconds: dict[str, float] = Field(default_factory=dict, description="by phase, in this attempt")
    place: Place | None = Field(None, description="of a line `begin`; early versions wrote none")
    note: str | None = None


class Spent(Strict):
    """A unit's ledger, summed over attempts."""

    useful_device_seconds: float
    lost_device_seconds: float
    useful_steps: int
    lost_steps: int
    attempts: int


class Failure(Strict):
    """Why a unit has no numbers."""

    kind: Literal["oom", "nan", "error", "killed", "timeout", "data"]
    reason: str


class Look(Strict):
    """One validation look: mean Dice by class over validation volumes, at a point of the budget."""

    look: int
    progress: float
    step: int
    device_seconds: float
    dice: dict[str, float]
    diagnostics: dict[str, float] = Field(default_factory=dict, description="scalars that the method shows")

    @property
    def mean_dice(self) -> float:
        """Mean over foreground classes."""
        return sum(self.dice.values()) / len(self.dice)


Alteration = Literal["mixed", "altered"]
"""What may happen to an image after the engine's augmentation. mixed: every pixel is that of some image of the batch,
in its place (cutmix, classmix); altered: anything else (jitter, blur, noise, warps, crops)."""


class Observed(Strict):
    """What the engine saw a method do beyond its loss, over the unit's useful steps. Nothing here made a number.

    In the first step of each stage and the first after each look, the images that reach the first layer of the tested
    network with gradients on are compared, bit by bit, with the batch that the engine gave.
    """

    sampled: Literal["weak", "none"] = Field(description="augmentation that the engine's sampler applied")
    declared: tuple[Alteration, ...] = Field(description="by the method's `augmentation`")
    steps: int = Field(0, description="in which images were compared")
    images_same: int = 0
    images_mixed: int = 0
    images_altered: int = 0
    process_cpu_seconds: float = Field(0.0, description="in training steps, all threads of the process")
    looks_that_trained: int = Field(0, description="validation looks after which parameters or buffers had changed")

    @property
    def images(self) -> dict[str, int]:
        """Compared images by what had happened to them."""
        return {"same": self.images_same, "mixed": self.images_mixed, "altered": self.images_altered}


class Result(Strict):
    """Written last; its existence is what done means. Numbers of cases are in cases.parquet, not here."""

    schema_version: Literal[1] = 1
    unit: str
    status: Literal["ok", "failed", "stopped"] = Field(description="stopped: a search ended it before its budget")
    failure: Failure | None = None
    environment: str
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
    looks: list[Look] = Field(default_factory=list)
    best_look: int | None = None
    weights_sha256: str | None = Field(None, description="of the final predictor's weights")
    observed: Observed | None = Field(None, description="None in results of versions that did not look")
    shown: dict[str, str | None] = Field(default_factory=dict, description="the environment's, of the last attempt")
    finished_at: str = ""


class Slot(Strict):
    """A final that the plan can enumerate before any search ran.

    method: the row's name in the suite: a registered method, or a variant of one under a name of its own.
    """

    method: str
    labelled: int | None
    subset: int
    seed: int

    def __str__(self) -> str:
        """As the command line names it: ua_mt/7/0/1, supervised_full/all/0/1."""
        return f"{self.method}/{self.labelled or 'all'}/{self.subset}/{self.seed}"


class Trial(Strict):
    """One configuration of a search: which row tries what, and the unit that measures it.

    point:  number within the study; 0 is the configuration that the suite asks for without a search, in a grid the
            first combination.
    varied: where it stands on each searched dimension; engine settings as engine.<name>.
    """

    method: str
    study: int
    point: int
    varied: dict[str, Any]
    unit: str

    def __str__(self) -> str:
        """As the command line names it: action_pp/trial/0/5 is study 0, point 5."""
        return f"{self.method}/trial/{self.study}/{self.point}"


class SelectionEntry(Strict):
    """Which hyper-parameters one slot got, and which unit that makes.

    trial: the point of the search that was chosen for it; engine: the settings that came with it.
    """

    slot: Slot
    params: dict[str, Any]
    unit: str
    engine: Engine | None = None
    trial: Trial | None = None
    ranked: bool = Field(True, description="False for references such as the ceiling")


class Points(Strict):
    """points.json: every configuration that a search tries, in the order in which they start."""

    schema_version: Literal[1] = 1
    suite_hash: str
    trials: list[Trial]


class Candidate(Strict):
    """One configuration as the selection saw it. score: validation Dice of the last look, None where it has none."""

    trial: Trial
    status: Literal["ok", "failed", "stopped"]
    score: float | None
    chosen: bool


class Selection(Strict):
    """selection.json: binds slots to hyper-parameters; must exist before a test split opens.

    rule:       default: as the suite says; best_validation: the best candidate of the slot's study, ties to the earlier
                point, the default where none has a score.
    candidates: every trial of the search; digest: sha256 of their canonical JSON.
    """

    schema_version: Literal[1] = 1
    rule: Literal["default", "best_validation"] = "default"
    suite_hash: str
    engine: Engine | None = Field(None, description="the suite's settings; a unit that differs declared it")
    entries: list[SelectionEntry]
    candidates: list[Candidate] | None = None
    digest: str | None = None


def candidates_digest(candidates: Sequence[Candidate] | None) -> str | None:
    """sha256 of the candidates' canonical JSON; None without a search."""
    return None if candidates is None else digest([candidate.model_dump(mode="json") for candidate in candidates])


class CaseInfo(Strict):
    """One case of a prepared cache."""

    id: str
    patient: str
    split: Literal["train", "val", "test"]
    shape: tuple[int, ...]
    spacing_mm: tuple[float, float, float] | None
    phase: str | None
    phase_source: str | None
    sha256: str


class Manifest(Strict):
    """manifest.json of a prepared cache."""

    schema_version: Literal[1] = 1
    dataset: str
    version: int
    layout: str
    classes: list[str]
    checksum: str
    splits: dict[str, list[str]]
    cases: list[CaseInfo]
    warnings: list[str] = Field(default_factory=list)
