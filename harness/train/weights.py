"""weights.pt: the tested network's last weights, with what a new scan must be brought into before it meets them."""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from harness.api.dataset import Dataset
from harness.api.errors import RecordError, UsageError
from harness.api.reading import one_line
from harness.records.files import is_there, refuse_other_version, write_atomic
from harness.records.manifest import Manifest, Preparation
from harness.records.reader import RunRecord
from harness.records.run_folder import RunFolder
from harness.records.schema import SCHEMA, Run
from harness.records.tensors import save_tensors
from harness.suite.costs import task_of
from harness.suite.prepared import describe
from harness.suite.registry import load_dataset
from harness.train.build import build_method
from harness.train.checkpoint import TrainingState, weights_sha256

FIELDS = {"schema_version", "run", "layout", "classes", "preparation", "predictor"}


@dataclass(frozen=True)
class Predictor:
    """The tested network of a finished run, on a device.

    dataset: What it learnt from.
    layout: That its training scans were read from, as the dataset calls it.
    preparation: What was done to them; None where the dataset's code says it.
    """

    network: nn.Module
    dataset: Dataset
    layout: str
    preparation: Preparation | None


def save_weights(state: TrainingState, folder: RunFolder, manifest: Manifest) -> None:
    """Write weights.pt atomically; result.json will hold its checksum. Raises as `RunFolder.to_write`."""
    content = {
        "schema_version": SCHEMA,
        "run": state.run.id,
        "layout": manifest.layout,
        "classes": manifest.classes,
        "preparation": manifest.preparation and manifest.preparation.model_dump(mode="json"),
        "predictor": {name: tensor.cpu() for name, tensor in state.method.predictor.state_dict().items()},
    }
    write_atomic(folder.to_write(folder.weights.name), lambda temporary: save_tensors(content, temporary))


def load_predictor(record: RunRecord, device: torch.device) -> Predictor:
    """The network of a run with its last weights, in evaluation mode.

    Raises `UsageError` where the run has not ended, failed, or is a trial, which keeps no weights; `RecordError` where
    weights.pt is missing, damaged, or of another run or version.
    """
    _refuse_unfinished(record)
    content = _content(record.folder)
    run, dataset, preparation = record.run, *_dataset(record.run, content, record.folder.weights)
    method = build_method(run, device, task_of(dataset, run.preprocessing.size))
    for stage in method.stages:  # what is tested is what the last stage leaves
        method.start_stage(stage)
    network, path = method.predictor, record.folder.weights
    try:
        network.load_state_dict(content["predictor"])
    except (RuntimeError, TypeError, KeyError) as error:
        reason = one_line(str(error))
        raise RecordError(f"{path}: not the weights of {run.method} as it is here ({reason})") from None
    if record.result is None or weights_sha256(network) != record.result.weights_sha256:
        raise RecordError(f"{path}: holds other weights than those that result.json names; get it from a copy")
    return Predictor(network.eval(), dataset, str(content["layout"]), preparation)


def _dataset(run: Run, content: Mapping[str, Any], path: Path) -> tuple[Dataset, Preparation | None]:
    """What a run learnt from: from code, or from what the file says, so that no prepared cache is needed."""
    if content["preparation"] is None:
        return load_dataset(run.dataset.name), None
    try:
        preparation = Preparation.model_validate(content["preparation"])
    except ValidationError as error:
        raise RecordError(f"{path}: preparation: {error.errors()[0]['msg']}; get it from a copy") from None
    return describe(run.dataset.name, preparation, content["classes"], {}, ()), preparation


def _refuse_unfinished(record: RunRecord) -> None:
    result, run = record.result, record.id[:10]
    if result is None:
        raise UsageError(f"run {run} is not finished: the command that began it goes on")
    if result.status == "failed":
        reason = one_line(result.failure.reason) if result.failure else "no reason on record"
        raise UsageError(f"run {run} failed ({reason}): it has no weights to predict with; name another run")
    if record.run.role == "search":
        raise UsageError(f"run {run} is a trial of a search, which keeps no weights; name a final run")


def _content(folder: RunFolder) -> dict[str, Any]:
    path = folder.weights
    if not is_there(path):
        raise RecordError(
            f"{path}: not there: deleted by `harness clean --weights`, left out of an export, or never written, as by "
            "versions before this file. Get it from whoever ran it, or delete result.json to train the run again"
        )
    try:
        content = torch.load(io.BytesIO(folder.content(path.name)), map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise RecordError(f"{path}: not the weights of a run ({one_line(str(error))})") from None
    if not isinstance(content, dict) or not content.keys() >= FIELDS:
        raise RecordError(f"{path}: whole, but not the weights of a run; get it from a copy")
    refuse_other_version(content["schema_version"], path)
    if content["run"] != folder.id:
        raise RecordError(f"{path}: is of run {str(content['run'])[:10]}, not of the folder's; get it from a copy")
    return content
