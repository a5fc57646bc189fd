"""The engine's whole step waits for no value: batch, augmentation, loss, backward, update and what comes after."""

import pytest
import torch

from harness.check.watching import ReadWatch
from harness.train.clock import clock_of
from harness.train.environment import prepare_device
from tests.bench.workload import entries, take_middle_step
from tests.support import require

pytestmark = pytest.mark.slow


def read_in_backward(x):
    x.requires_grad_().register_hook(lambda gradient: gradient * gradient.sum().item())
    x.square().sum().backward()


def started(device, size=(32, 32)):
    """Every method and stage after a first step at the same progress: centres are allotted anew in that one."""
    states = entries(size, 4, device)
    for entry in states.values():
        take_middle_step(*entry)
    return states


def test_on_a_cpu_no_operation_of_a_step_of_patches_reads_a_value():
    for name, entry in started(torch.device("cpu"), (32, 16, 16)).items():
        with ReadWatch() as watch:
            take_middle_step(*entry)
        assert watch.seen == [], name


@pytest.mark.parametrize("read", [lambda x: x[x > 0], lambda x: [0, 1, 2][int(x.argmax())], read_in_backward])
def test_a_planted_read_is_found(read):
    with ReadWatch() as watch:
        read(torch.tensor([1.0, -1.0, 2.0]))
    assert watch.seen


def test_on_cuda_a_step_copies_nothing_to_the_host():
    require("cuda", torch.cuda.is_available(), "no CUDA device: copies can only be counted where there are some")
    from torch.profiler import ProfilerActivity, profile

    device = torch.device("cuda", 0)
    prepare_device(device, next(iter(entries((32, 32), 4, torch.device("cpu")).values()))[0].run.engine)
    copies = {}
    for name, entry in {**started(device), "planted": None}.items():
        clock = clock_of(device)
        torch.cuda.synchronize(device)
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            clock.start()
            if entry is None:
                torch.ones(3, device=device).sum().item()
            else:
                take_middle_step(*entry)
            clock.stop()
            clock.flush()
        copies[name] = [event.name for event in profiler.events() or [] if "DtoH" in event.name]
    assert copies.pop("planted"), "the profiler sees copies"
    assert {name: found for name, found in copies.items() if found} == {}
