"""Stages and steps of ACTION and ACTION++ at a size that a test can afford."""

from collections.abc import Mapping
from typing import TypeVar

import torch

from harness.api.method import Method, Stage
from harness.api.params import OptimiserSettings
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from tests.methods.tiny import build

SMALL: Mapping[str, object] = {"queries": 8, "keys": 12, "dimension": 16, "bank": 6}
SMALL_PP: Mapping[str, object] = {**SMALL, "anchors": 8, "queue": 64}
A = TypeVar("A", bound=ACTION)
KINDS: tuple[type[ACTION], ...] = (ACTION, ACTIONPP)


def small(kind: type[A], seed: int = 0, /, **params: object) -> A:
    """A method with few queries and short banks."""
    return build(kind, seed, **{**(SMALL_PP if issubclass(kind, ACTIONPP) else SMALL), **params})


def action_pp(**params: object) -> ACTIONPP:
    return small(ACTIONPP, **params)


def stage_of(method: Method, name: str) -> Stage:
    (stage,) = (one for one in method.stages if one.name == name)
    return stage


def enter(method: Method, name: str) -> tuple[Stage, torch.optim.Optimizer]:
    """Start a stage, and no other before it."""
    stage = stage_of(method, name)
    method.start_stage(stage)
    return stage, method.optimiser(stage, OptimiserSettings(learning_rate=0.02))
