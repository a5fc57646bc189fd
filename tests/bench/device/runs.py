"""Full-size runs at the end of the benchmark: as long as what is left of the minutes allows, alike for all."""

import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import yaml

from harness.records.run_folder import RunFolder
from harness.records.schema import Result
from tests.bench.device.planner import Part, Row

METHODS = ("supervised", "mc_net", "action_pp")
LABELLED = 3
OVERHEAD_SECONDS = 60.0
"""Of a run beside its training: start, data, warm-up, compiling, validations, the test."""
PREPARE_SECONDS = 30.0
LEAST_SECONDS = 10
"""Of training; below it a run says nothing."""


def device_seconds(left: float) -> int:
    """Training seconds of each run when so many seconds are left for all of them; a planner leaves out what is late."""
    return max(int(left / len(METHODS) - OVERHEAD_SECONDS), LEAST_SECONDS)


def write_suite(path: Path, seconds: int, compiled: bool) -> None:
    suite = {
        "name": path.stem,
        "dataset": "acdc",
        "preprocessing": {"size": [256, 256], "resize": "nearest"},
        "labelled": [LABELLED],
        "seeds": [0],
        "methods": dict.fromkeys(METHODS),
        "budget": {"device_seconds": seconds},
        "engine": {
            "batch_size": 24,
            "validations": 3,
            "precision": "bfloat16",
            "channels_last": True,
            "compile": compiled,
            "optimiser": {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1.0e-4},
        },
    }
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")


def preparation(data: Path) -> Part:
    command = (sys.executable, "-m", "harness", "data", "prepare", "acdc", "--from", str(data))
    return Part("prepare scans", command, PREPARE_SECONDS)


def parts(suite: Path, seconds: int, data: Path, folder: Path) -> Iterator[Part]:
    for method in METHODS:
        name = f"{method}/{LABELLED}/0/0"
        command = [sys.executable, "-m", "harness", "train", name, "--suite", str(suite), "--data", str(data)]
        yield Part(f"run {name}", [*command, "--runs", str(folder)], seconds + OVERHEAD_SECONDS)


def row_of(run: RunFolder, result: Result) -> Row:
    cases = pd.read_parquet(run.path / "cases.parquet") if result.status == "ok" else None
    return {
        "kind": "run",
        "name": run.run.label,
        "status": result.status,
        "steps": result.spent.useful_steps,
        "device_seconds": result.spent.useful_device_seconds,
        "dice": None if cases is None else float(cases.loc[cases["checkpoint"] == "last", "dice"].mean()),
        "wall_seconds": result.wall_seconds,
    }


def pack(folder: Path, target: Path) -> Sequence[Row]:
    """Write all records but checkpoints as one archive; a row for each run with a result."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".pt":
                archive.write(path, path.relative_to(folder))
    runs = [RunFolder(path.parent) for path in sorted(folder.glob("*/runs/*/run.json"))]
    return [row_of(run, result) for run in runs if (result := run.result()) is not None]
