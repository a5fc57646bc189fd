"""Which process this is, and what Slurm's environment says about its allocation."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch

from harness.records.ledger import ProcessInfo


def read_process_info(device: torch.device, environment: Mapping[str, str] = os.environ) -> ProcessInfo:
    """The calling process, as the ledger remembers it; environment: its variables, where Slurm says what it knows."""
    job = environment.get("SLURM_JOB_ID") or None
    index = environment.get("SLURM_ARRAY_TASK_ID", "")
    return ProcessInfo(
        host=socket.gethostname(),
        pid=os.getpid(),
        process_started_at=process_started_at(),
        gpu_uuid=gpu_uuid(device),
        job=job,
        array_job=environment.get("SLURM_ARRAY_JOB_ID"),
        array_index=int(index) if index.isdecimal() else None,
        node=environment.get("SLURMD_NODENAME"),
        gres=gres(environment),
        restarts=None if job is None else int(environment.get("SLURM_RESTART_COUNT") or 0),
    )


def gres(environment: Mapping[str, str]) -> str | None:
    """GPUs of the job on this node: gpu:TYPE:COUNT, without a type where none was requested; None without GPUs.

    --gpus=a100:2 and --gpus-per-node=a100:2 leave the type in a variable, --gres=gpu:a100:2 does not: the scheduler's
    accounts tell it later.
    """
    count = environment.get("SLURM_GPUS_ON_NODE")
    if not count:
        return None
    requested = environment.get("SLURM_GPUS_PER_NODE") or environment.get("SLURM_GPUS") or ""
    kind = requested.rpartition(":")[0]
    return f"gpu:{kind}:{count}" if kind else f"gpu:{count}"


def process_started_at() -> str | None:
    """When the calling process was created, UTC, ISO 8601, to 10 ms; None where there is no /proc.

    Its age on the clock that runs since boot is taken from the time of day: the boot time in /proc/stat is whole
    seconds.
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    age_seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - max(0.0, age_seconds), UTC).isoformat(timespec="milliseconds")


def gpu_uuid(device: torch.device) -> str | None:
    """As nvidia-smi writes it; None on a CPU and where torch does not say."""
    if device.type != "cuda":
        return None
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if uuid is None else f"GPU-{uuid}"
