import subprocess
import sys

import pytest

from tests.support import command_environment

STEPS = """
import sys
import torch
from harness.records.schema import Engine
from harness.train.environment import prepare_device

prepare_device(torch.device("cpu"), Engine())
weight = torch.nn.Parameter(torch.tensor([3.0]))
optimiser = torch.optim.SGD([weight], lr=0.5, momentum=0.9)
for _ in range(2):
    optimiser.zero_grad()
    (weight * weight).sum().backward()
    optimiser.step()
optimiser.load_state_dict(optimiser.state_dict())
assert weight.requires_grad and weight.grad is not None
print("torch._dynamo" in sys.modules, weight.item())
"""


@pytest.mark.slow
def test_a_first_optimiser_does_not_load_the_compiler():
    """Two steps on w^2 with rate 1/2 and momentum 0.9: velocities 6 and 0.9 x 6, so w = 3 - 3 - 2.7."""
    command = [sys.executable, "-c", STEPS]
    done = subprocess.run(command, env=command_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded, weight = done.stdout.split()
    assert loaded == "False"
    assert float(weight) == pytest.approx(-2.7)
