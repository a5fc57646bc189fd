"""Calls a network without leaving a trace in it or in torch's generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

Precision = Literal["float32", "bfloat16"]


@contextmanager
def inference(network: nn.Module, device: torch.device, precision: Precision = "float32") -> Iterator[None]:
    """Evaluation mode without gradients; every part's training flag and random generators return to what they were.

    precision: of the calls within; bfloat16 runs under autocast.
    """
    forked = [device] if device.type == "cuda" else []  # the CPU's generator is always forked
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
    with _evaluating(network), torch.random.fork_rng(devices=forked), torch.inference_mode(), autocast:
        yield


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode within, and each part's own flag afterwards: a method may keep some parts frozen."""
    flags = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training
