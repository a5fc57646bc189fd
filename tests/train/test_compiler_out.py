import subprocess
import sys

import pytest

from tests.support import command_environment

STEPS = """
import sys
import torch
from harness.records.schema import Engine
from harness.train.environment import prepare_device

compiles = "compiles" in sys.argv
if compiles:
    import torch._dynamo
prepare_device(torch.device("cpu"), Engine())
weight = torch.nn.Parameter(torch.tensor([3.0]))
optimiser = torch.optim.SGD([weight], lr=0.5, momentum=0.9)
for _ in range(2):
    optimiser.zero_grad()
    (weight * weight).sum().backward()
    optimiser.step()
optimiser.load_state_dict(optimiser.state_dict())
assert weight.requires_grad and weight.grad is not None
zero_grad = torch.optim.Optimizer.zero_grad.__wrapped__
marked = zero_grad.__dynamo_disable is not zero_grad
print("torch._dynamo" in sys.modules, marked, weight.item())
"""


@pytest.mark.slow
@pytest.mark.parametrize("compiles", [False, True])
def test_a_first_optimiser_loads_the_compiler_only_where_it_is_wanted(compiles: bool):
    """Two steps on w^2 with rate 1/2 and momentum 0.9: velocities 6 and 0.9 x 6, so w = 3 - 3 - 2.7."""
    command = [sys.executable, "-c", STEPS, *["compiles"] * compiles]
    done = subprocess.run(command, env=command_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded, marked, weight = done.stdout.split()
    assert (loaded, marked) == (str(compiles), str(compiles))
    assert float(weight) == pytest.approx(-2.7)
