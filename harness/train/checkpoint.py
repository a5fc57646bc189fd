"""Everything that a checkpoint holds: method, optimiser, generators, sampler, meter, validations."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.api.errors import DiskError, RecordError
from harness.api.method import BatchPlan, Method, Stage
from harness.data.sampler import Sampler
from harness.records.files import refuse_other_version, write_atomic
from harness.records.schema import SCHEMA, Run, Validation
from harness.train.meter import Meter
from harness.train.monitor import MethodMonitor

Weights = dict[str, torch.Tensor]


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
        """The stage that trains now."""
        return self.method.stages[self.meter.stage]

    @property
    def last_validation(self) -> int:
        """Number of the last validation, 0 before the first."""
        return self.validations[-1].validation if self.validations else 0

    def count_step(self, plan: BatchPlan) -> None:
        """A step was taken on so many images."""
        self.meter.count_step()
        self.images_seen += plan.labelled + plan.unlabelled
        self.labelled_images_seen += plan.labelled

    def load(self, content: dict[str, Any]) -> None:
        """Go on from a checkpoint; the optimiser must already be that of the checkpoint's stage."""
        self.method.load_state_dict(content["method"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.sampler.load_state_dict(content["sampler"])
        self.validations = [Validation.model_validate(validation) for validation in content["validations"]]
        self.best = content["best"]
        self.best_validation = content["best_validation"]
        self.images_seen = content["images_seen"]
        self.labelled_images_seen = content["labelled_images_seen"]
        self.monitor.load_state_dict(content["monitor"])
        set_generator_states(self.device, content["generators"])

    def remember_best(self, validation: Validation) -> None:
        """Keep the predictor's weights if this validation is the best so far; a tie keeps the earlier one.

        No validation is the best where there are no validation cases.
        """
        self.validations.append(validation)
        best = next((old.mean_dice for old in self.validations if old.validation == self.best_validation), None)
        if validation.mean_dice is not None and (best is None or validation.mean_dice > best):
            self.best = copy_weights(self.method.predictor)
            self.best_validation = validation.validation


def save_checkpoint(state: TrainingState, path: Path, environment: str) -> None:
    """Write a checkpoint atomically. Raises `DiskError` where that is not possible."""
    content = {
        "schema_version": SCHEMA,
        "run": state.run.id,
        "environment": environment,
        "method": state.method.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "generators": generator_states(state.device),
        "sampler": state.sampler.state_dict(),
        "meter": state.meter.state_dict(),
        "validations": [validation.model_dump() for validation in state.validations],
        "best": state.best,
        "best_validation": state.best_validation,
        "images_seen": state.images_seen,
        "labelled_images_seen": state.labelled_images_seen,
        "monitor": state.monitor.state_dict(),
    }
    with checkpoint_errors(path):
        write_atomic(path, lambda temporary: save_torch(content, temporary))


@contextmanager
def checkpoint_errors(path: Path) -> Iterator[None]:
    """torch.save says RuntimeError where its file could not be written, which no method is to blame for."""
    try:
        yield
    except RuntimeError as error:
        if "inline_container" not in str(error) and "PytorchStreamWriter" not in str(error):
            raise
        message = str(error).splitlines()[0]
        raise DiskError(f"cannot write {path}: {message}. Free space, then run again.") from None


def save_torch(content: dict[str, Any], path: Path) -> None:
    """`torch.save` that tells a full disk as an `OSError`: torch itself reports a RuntimeError about positions."""
    try:
        with path.open("wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def read_checkpoint(path: Path, run: Run, environment: str) -> dict[str, Any] | None:
    """The checkpoint's content, None if there is none or it was made in another environment (the run starts again)."""
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); delete it to start the run again") from None
    refuse_other_version(content["schema_version"], path)
    return content if content["run"] == run.id and content["environment"] == environment else None


def generator_states(device: torch.device) -> dict[str, torch.Tensor]:
    """torch's default generators, where all of a method's randomness comes from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_generator_states(device: torch.device, states: dict[str, torch.Tensor]) -> None:
    """Put them back."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def derive_seed(seed: int, purpose: str) -> int:
    """Independent seeds for initial weights, training and sampling: equal for every method of one run seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:7], "big")


def copy_weights(network: nn.Module) -> Weights:
    """A detached copy of a network's state."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def weights_sha256(network: nn.Module) -> str:
    """sha256 over names and bytes of a network's state: equal means bitwise equal."""
    total = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
