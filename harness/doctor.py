"""Checks of this machine: what works and what does not."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import harness
from harness.api.errors import HarnessError, ServiceError
from harness.records.variables import path_of
from harness.suite.registry import load_datasets, load_methods
from harness.tracking import check_tracking

CORE_PACKAGES = ("torch", "numpy", "scipy", "pandas", "pyarrow", "h5py", "pydantic", "matplotlib")
PYTHON = (3, 11)
PROBE_BYTES = 16_000_000
LOW_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    state: ok; absent (a service that only some verbs need); bad (the core does not work).
    """

    state: Literal["ok", "absent", "bad"]
    what: str
    text: str


def examine(data: Path | None, runs: Path, tracking_uri: str | None) -> Iterator[Finding]:
    """All findings, as they are made; changes nothing but a file that is written and deleted to try the disk.

    A check must never end the report: whatever it raises is its finding.
    """
    core = {"python": _python, "packages": _packages, "device": _device, "plug-ins": _plugins}
    core["disk"] = lambda: _disk(runs)
    services = {"data": lambda: _data(data), "mlflow": lambda: check_tracking(tracking_uri), "ray": _ray}
    for what, check in (core | services | {"slurm": _slurm}).items():
        try:
            yield Finding("ok", what, check())
        except Exception as error:  # noqa: BLE001 - whatever is broken here, the report goes on
            kind = "" if isinstance(error, HarnessError) else f"{type(error).__name__}: "
            yield Finding("bad" if what in core else "absent", what, kind + " ".join(str(error).split()))


def _python() -> str:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, harness {harness.__version__}"
    if sys.version_info < PYTHON:
        raise ServiceError(f"{text}; needs {PYTHON[0]}.{PYTHON[1]} or newer")
    return text


def _packages() -> str:
    missing = [name for name in CORE_PACKAGES if find_spec(name) is None]
    if missing:
        raise ServiceError(f"not installed: {', '.join(missing)}; pip install them")
    return ", ".join(f"{name} {version(name)}" for name in CORE_PACKAGES)


def _device() -> str:
    import torch

    from harness.train.environment import cpu_model, has_native_bfloat16

    bfloat16 = "with" if has_native_bfloat16() else "without"
    cpu = f"{len(os.sched_getaffinity(0))} cores of {cpu_model()} {bfloat16} bfloat16"
    total = torch.ones(8).sum().item()
    if total != 8.0:
        raise ServiceError(f"{cpu}: torch adds eight ones to {total}")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    if not names:
        return f"no GPU; {cpu}, one run each"
    torch.ones(8, device="cuda").sum().item()
    return f"{len(names)} GPU: {', '.join(names)}; {cpu}"


def _plugins() -> str:
    (methods, broken), (datasets, more) = load_methods(), load_datasets()
    if broken or more:
        raise ServiceError("; ".join([*broken.values(), *more.values()]))
    names = (", ".join(each.name for each in loaded) for loaded in (methods, datasets))
    return "methods {}; datasets {}".format(*names)


def _disk(runs: Path) -> str:
    folder = next(path for path in (runs.absolute(), *runs.absolute().parents) if os.path.lexists(path))
    if not folder.is_dir():
        raise ServiceError(f"{folder} is not a directory; choose another --runs")
    free_bytes = shutil.disk_usage(folder).free
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        raise ServiceError(f"{folder} cannot be written: {error.strerror}; choose another --runs") from None
    low = "; little space: free some" if free_bytes < LOW_FREE_BYTES else ""
    return f"{folder}: {free_bytes / 1e9:.1f} GB free, can be written{low}"


def _data(data: Path | None) -> str:
    from harness.data.cache import Cache
    from harness.data.locate import locate
    from harness.data.prepare import prepared_cache

    data = data or path_of("HARNESS_DATA")
    if data is None:
        raise ServiceError("HARNESS_DATA is not set and no --data given; generated data (--suite demo) needs none")
    if not data.is_dir():
        raise ServiceError(f"{data}: no such folder")
    if (data / "manifest.json").is_file():
        manifest = Cache.open(data).manifest
        return f"{data}: prepared {manifest.dataset} v{manifest.version}, {len(manifest.cases)} cases"
    read = [dataset for dataset in load_datasets()[0] if dataset.layouts and locate(dataset, data)]
    if not read:
        raise ServiceError(f"{data}: no layout of any dataset is recognised in it")
    states = (f"{each.name} ({'prepared' if prepared_cache(each, data) else 'not prepared yet'})" for each in read)
    return f"{data}: {', '.join(states)}"


def _ray() -> str:
    if find_spec("ray") is None:
        raise ServiceError("not installed; an adaptive search needs it")
    import ray

    return f"{ray.__version__}, imports from {Path(ray.__file__).parent}"


def _slurm() -> str:
    missing = [name for name in ("sbatch", "squeue", "sacct") if shutil.which(name) is None]
    if missing:
        raise ServiceError(f"not on PATH: {', '.join(missing)}; runs stay on this machine")
    return f"sbatch at {shutil.which('sbatch')}"
