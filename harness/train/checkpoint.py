"""Everything that a checkpoint holds: method, optimiser, generators, sampler, meter, validations."""

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.api.errors import RecordError
from harness.api.method import BatchPlan, Method, Stage
from harness.data.sampler import Sampler
from harness.records.checksums import refuse_damaged_zip
from harness.records.files import is_there, read_errors, refuse_other_than_file, refuse_other_version, write_atomic
from harness.records.run_folder import DamagedRecordError, RunFolder
from harness.records.schema import SCHEMA, Run, Validation
from harness.records.tensors import save_tensors
from harness.train.meter import Meter
from harness.train.monitor import MethodMonitor, tensors_sha256

Weights = dict[str, torch.Tensor]
PARTS = ("method", "optimiser", "sampler", "monitor")
"""Of a state, with a state dict of their own; the meter, whose state is loaded first, is another."""
VALUES = ("best", "best_validation", "images_seen", "labelled_images_seen")
"""Of a state, plain."""


@dataclass
class TrainingState:
    """What changes while a run trains."""

    run: Run
    device: torch.device
    method: Method
    sampler: Sampler
    meter: Meter
    optimiser: torch.optim.Optimizer
    validations: list[Validation] = field(default_factory=list)
    best: Weights | None = None
    best_validation: int | None = None
    images_seen: int = 0
    labelled_images_seen: int = 0
    monitor: MethodMonitor = field(default_factory=MethodMonitor)

    @property
    def stage(self) -> Stage:
        return self.method.stages[self.meter.stage]

    @property
    def last_validation(self) -> int:
        """Number of the last validation, 0 before the first."""
        return self.validations[-1].validation if self.validations else 0

    def count_step(self, plan: BatchPlan) -> None:
        self.meter.count_step()
        self.images_seen += plan.labelled + plan.unlabelled
        self.labelled_images_seen += plan.labelled

    def load(self, content: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; the optimiser must already be that of the checkpoint's stage."""
        for name in PARTS:
            getattr(self, name).load_state_dict(content[name])
        for name in VALUES:
            setattr(self, name, content[name])
        self.validations = [Validation.model_validate(validation) for validation in content["validations"]]
        set_generator_states(self.device, content["generators"])

    def remember_best(self, validation: Validation) -> None:
        """Keep the predictor's weights if this validation is the best so far; a tie keeps the earlier one.

        No validation is the best where there are no validation cases.
        """
        self.validations.append(validation)
        best = next((old.mean_dice for old in self.validations if old.validation == self.best_validation), None)
        if validation.mean_dice is not None and (best is None or validation.mean_dice > best):
            state = self.method.predictor.state_dict()
            self.best = {name: tensor.detach().clone() for name, tensor in state.items()}
            self.best_validation = validation.validation


def save_checkpoint(state: TrainingState, folder: RunFolder, environment: str) -> None:
    """Write a checkpoint atomically. Raises `DiskError` where that is not possible, and as `RunFolder.to_write`."""
    content = {"schema_version": SCHEMA, "run": state.run.id, "environment": environment, **content_of(state)}
    write_atomic(folder.to_write(folder.checkpoint.name), lambda temporary: save_tensors(content, temporary))


def content_of(state: TrainingState) -> dict[str, Any]:
    """What a checkpoint holds of a state; its tensors are the state's own."""
    return {
        "generators": generator_states(state.device),
        "validations": [validation.model_dump() for validation in state.validations],
        **{name: getattr(state, name).state_dict() for name in (*PARTS, "meter")},
        **{name: getattr(state, name) for name in VALUES},
    }


def read_checkpoint(path: Path, run: Run, environment: str) -> dict[str, Any] | None:
    """The checkpoint's content; None if there is none, or where it is of another environment: the run starts again.

    Raises `DamagedRecordError` where it is not what was written, `RecordError` where it belongs to another program or
    version, `DiskError` where it cannot be read.
    """
    if not is_there(path):
        return None
    try:
        with read_errors(path):
            refuse_other_than_file(path)
            refuse_damaged_zip(path)
    except zipfile.BadZipFile as error:
        raise DamagedRecordError(f"{path}: damaged: {error}") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, KeyError, pickle.UnpicklingError):
        content = None
    if not isinstance(content, dict) or not {"schema_version", "run", "environment"} <= content.keys():
        raise RecordError(f"{path}: whole, but not the checkpoint of a run; move it away, then run the same again")
    refuse_other_version(content["schema_version"], path)
    same_place = run.budget.reference_steps is not None or content["environment"] == environment
    return content if content["run"] == run.id and same_place else None


def generator_states(device: torch.device) -> dict[str, torch.Tensor]:
    """torch's default generators, where all of a method's randomness comes from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_generator_states(device: torch.device, states: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def derive_seed(seed: int, purpose: str) -> int:
    """Independent seeds for initial weights, training and sampling: equal for every method of one run seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:7], "big")


def weights_sha256(network: nn.Module) -> str:
    """sha256 over names and bytes of a network's state: equal means bitwise equal."""
    return tensors_sha256(network.state_dict())
