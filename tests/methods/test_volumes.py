import math
from collections.abc import Mapping

import pytest
import torch

from harness.api.method import Method
from harness.api.progress import Progress
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from methods.mc_net import MCNet
from methods.supervised import Supervised
from methods.ua_mt import UAMT
from tests.methods.staged import SMALL, SMALL_PP
from tests.methods.test_methods import same_state
from tests.methods.tiny import METHODS, TASK_3D, batch_for, build, step_loss

PARAMS: Mapping[type[Method], Mapping[str, object]] = {
    **{kind: {} for kind in METHODS},
    Supervised: {"strong": True},
    UAMT: {"passes": 2, "strong": True, "threshold_start": 1.0, "entropy_scale": "classes"},
    MCNet: {"decoders": 3},
    ACTION: {**SMALL, "mixing": "classmix"},
    ACTIONPP: SMALL_PP,
}
every_method = pytest.mark.parametrize("kind", PARAMS, ids=lambda kind: kind.name)


def volumes(kind: type[Method], seed: int = 0) -> Method:
    return build(kind, seed, PARAMS[kind], TASK_3D)


@every_method
def test_backbones_start_from_the_same_weights_and_are_what_is_tested(kind: type[Method]):
    predictor = volumes(kind, 11).predictor
    assert same_state(predictor, volumes(Supervised, 11).predictor)
    assert sum(p.numel() for p in predictor.parameters()) == 9_448_866
    assert predictor.eval()(torch.rand(1, 1, *TASK_3D.size)).shape == (1, 2, *TASK_3D.size)


def test_what_each_stage_reads_has_the_shape_of_patches():
    method = volumes(ACTION)
    assert isinstance(method, ACTION)
    # 5 x 5 x 4 at strides of 2: 14 x 14 x 7 windows of 4^3 cells of two classes
    assert method.local.bank.entries.shape == (6, 14 * 14 * 7, 4**3 * 2)
    batch = batch_for(method)
    loss = step_loss(method, batch, method.stages[2], Progress(run=0.5, stage=0.5, step=5))
    assert loss.terms["valid_pixels"].item() >= 2 * math.prod(TASK_3D.size)  # every given label
    assert loss.terms["anatomical_queries"].item() == 2 * 8  # both classes, all hard for an untrained network
