"""What a process has one of: read, compared, and put back after a line of the check."""

import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch


def settings() -> dict[str, str]:
    """Settings of torch, numpy and the process, as text."""
    cudnn = torch.backends.cudnn
    return {
        "torch's default dtype": str(torch.get_default_dtype()),
        "torch's default device": str(torch.get_default_device()),
        "torch's number of threads": str(torch.get_num_threads()),
        "torch's grad mode": str(torch.is_grad_enabled()),
        "torch's anomaly mode": str(torch.is_anomaly_enabled()),
        "torch's deterministic algorithms": str(torch.are_deterministic_algorithms_enabled()),
        "torch's matmul precision": torch.get_float32_matmul_precision(),
        "torch's cudnn flags": f"{cudnn.benchmark} {cudnn.deterministic} {cudnn.allow_tf32} {cudnn.enabled}",
        "numpy's error handling": str(np.geterr()),
        "the working directory": str(Path.cwd()),
        "the environment variables": str(sorted(os.environ.items())),
        "the warning filters": str(warnings.filters),
        "the root logger": f"{logging.root.level} {logging.root.handlers} {logging.root.manager.disable}",
        "the recursion limit": str(sys.getrecursionlimit()),
    }


SETTERS = r"\.set_\w+\(|use_deterministic|backends\.|seterr|chdir|setrecursion|environ|putenv|warnings\.|logging\."
"""What a line of a program that changes one of them looks like."""


def changed_settings(before: Mapping[str, str]) -> list[str]:
    return [name for name, text in settings().items() if before[name] != text]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within, torch uses one thread; afterwards generators and settings are what they were."""
    generators = random.getstate(), np.random.get_state()  # noqa: NPY002 - put back, not drawn from
    folder, variables, handlers = Path.cwd(), dict(os.environ), list(logging.root.handlers)
    dtype, threads, precision = torch.get_default_dtype(), torch.get_num_threads(), torch.get_float32_matmul_precision()
    deterministic, limit = torch.are_deterministic_algorithms_enabled(), sys.getrecursionlimit()
    anomaly = torch.is_anomaly_enabled()
    torch.set_num_threads(1)
    flags = torch.backends.cudnn.flags(torch.backends.cudnn.enabled)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), np.errstate(), warnings.catch_warnings(), flags:
            yield
    finally:
        random.setstate(generators[0])
        np.random.set_state(generators[1])  # noqa: NPY002
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        logging.root.handlers[:] = handlers
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(deterministic)
        torch.autograd.set_detect_anomaly(anomaly)
        sys.setrecursionlimit(limit)
