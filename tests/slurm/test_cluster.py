"""The cluster that the other tests stand on: nodes apart, GPUs as tokens, accounting, and a clear end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.support import wait_until

pytestmark = pytest.mark.slurm


def test_a_job_on_two_nodes_gets_its_gpus_and_is_accounted_for(slurm: Cluster, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(
        "#!/bin/bash\n#SBATCH -N2 --ntasks-per-node=1 -c1 --gres=gpu:2 --mem=100\n"
        "srun bash -c 'echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $(readlink /proc/self/ns/net)'\n"
    )
    output = tmp_path / "out"
    job = slurm.run("sbatch", "--parsable", "-o", output, script).strip()
    assert slurm.wait_for_state(job) == "COMPLETED"
    lines = sorted(line.split() for line in output.read_text().splitlines())
    assert [line[:2] for line in lines] == [["node1", "0,1"], ["node2", "0,1"]]
    assert (lines[0][2] != lines[1][2]) == slurm.namespaces
    asked = ("sacct", "-X", "-n", "-P", "-j", job, "-o", "AllocTRES")
    wait_until(lambda: slurm.run(*asked).strip(), "the accounts have heard of it")  # they follow the controller
    assert "gres/gpu=4" in slurm.run(*asked).strip().split(",")
