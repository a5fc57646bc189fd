"""What the tests of submitting stand on: cluster files, submissions on record, and stand-ins for Slurm's commands."""

from __future__ import annotations

import os
from pathlib import Path

from harness.slurm.cluster import LoadedCluster, load_cluster
from harness.slurm.record import Submission

CLUSTER = "time: 5\nmemory: 500M\nunit_time: 2\nmax_parallel: 2\nfinish: {memory: 500M, time: 5}\n"


def write_cluster(folder: Path, text: str = CLUSTER) -> Path:
    """mini.yaml in `folder`."""
    path = folder / "mini.yaml"
    path.write_text(text)
    return path


def cluster_of(folder: Path, text: str) -> LoadedCluster:
    """A cluster file with this text, loaded."""
    return load_cluster(write_cluster(folder, text))


def submission(*bundles: list[str], name: str = "tiny-bundles-1", job: str | None = "55", at: str = "") -> Submission:
    """One that was submitted."""
    kind = "bundles" if bundles else "finish"
    return Submission.model_validate(
        {
            "name": name,
            "job": job,
            "kind": kind,
            "suite": "a" * 64,
            "cluster": "c" * 64,
            "cache": "/scratch/cache/phantom",
            "bundles": list(bundles),
            "at": at,
        }
    )


def stand_in(folder: Path, command: str, script: str) -> None:
    """A shell script in the place of a command of Slurm's, for answers that a healthy cluster does not give."""
    folder.mkdir(exist_ok=True)
    path = folder / command
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def path_with(folder: Path) -> str:
    """PATH with a folder of stand-ins first."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
