import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
import torch

from harness.train.environment import gpu_part, read_process_info
from tests.support import LIMIT_SECONDS

CPU = torch.device("cpu")
TASK = {
    "SLURM_JOB_ID": "11",
    "SLURM_ARRAY_JOB_ID": "10",
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURMD_NODENAME": "node1",
    "SLURM_GPUS_ON_NODE": "1",
}
"""As a task of an array has them."""


def test_a_task_of_an_array():
    process = read_process_info(CPU, TASK)
    assert (process.job, process.array_job, process.array_index, process.node) == ("11", "10", 3, "node1")
    assert (process.gres, process.restarts, process.gpu_uuid) == ("gpu:1", 0, None)
    assert read_process_info(CPU, TASK | {"SLURM_RESTART_COUNT": "2"}).restarts == 2


@pytest.mark.parametrize(
    ("model", "variables", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", {"SLURM_GPUS_ON_NODE": "1"}, None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", {}, "a slice (MIG 1g.5gb)"),
        ("NVIDIA H100 80GB HBM3", {"SLURM_SHARDS_ON_NODE": "2"}, "shared (a shard of Slurm)"),
        ("NVIDIA H100 80GB HBM3", {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "50"}, "shared (MPS)"),
    ],
)
def test_a_part_of_a_gpu(model, variables, expected):
    assert gpu_part(model, variables) == expected


@pytest.mark.slow
def test_a_process_knows_when_it_was_born():
    code = (
        "import sys, time; sys.path[:0] = sys.argv[1:]; time.sleep(0.5); from harness.train import environment; "
        "print(environment.process_started_at())"
    )
    before = time.time()
    process = subprocess.Popen([sys.executable, "-c", code, *sys.path], stdout=subprocess.PIPE, text=True)
    after = time.time()
    said, _ = process.communicate(timeout=LIMIT_SECONDS)
    born = datetime.fromisoformat(said.strip())
    assert born.tzinfo == UTC
    assert before - 0.05 <= born.timestamp() <= after + 0.05
