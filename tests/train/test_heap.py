import platform
import subprocess
import sys

import pytest

from tests.support import command_environment

BLOCKS, BLOCK_BYTES, PAGE_BYTES = 10, 1 << 24, 1 << 12
FAULTS = f"""
import resource, sys, torch
if sys.argv[1] == "kept":
    from harness.train.heap import keep_freed_memory
    keep_freed_memory()
    keep_freed_memory()
def allocate():
    first, second = torch.ones({BLOCK_BYTES}, dtype=torch.uint8), torch.ones({BLOCK_BYTES}, dtype=torch.uint8)
    return int(first[-1] + second[-1])
allocate()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({BLOCKS}):
    allocate()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that ten rounds of allocating brought in, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], env=command_environment(), stdout=subprocess.PIPE, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a heap of another C library")
def test_a_step_takes_the_pages_that_the_one_before_freed():
    kept, default = faults("kept"), faults("default")

    one_round = 2 * BLOCK_BYTES // PAGE_BYTES
    assert kept < one_round // 8
    assert kept < default
