"""Where an attempt runs: which process, on which machine, in which of Slurm's allocations."""

from __future__ import annotations

from pydantic import Field

from harness.api.strict import Strict


class ProcessInfo(Strict):
    """One process. What Slurm does not say, or outside of it, is None."""

    host: str
    pid: int
    process_started_at: str | None = Field(description="when the process was created, UTC, ISO 8601")
    gpu_uuid: str | None = Field(description="of the GPU that trains; None on a CPU")
    job: str | None = Field(None, description="Slurm's id of the job; each task of an array has one of its own")
    array_job: str | None = Field(None, description="the job id that the tasks of an array share")
    array_index: int | None = None
    node: str | None = Field(None, description="Slurm's name of the node")
    gres: str | None = Field(None, description="GPUs of the job on this node as they were asked for: gpu:a100:2, gpu:1")
    restarts: int | None = Field(None, description="times that Slurm had requeued the job before")
