"""Every method and stage on 3D patches, through the same files as on slices: start, step, resumption, values."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F

from harness.api.method import Method
from harness.api.progress import Progress
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from methods.bcp import BCP
from methods.cps import CPS
from methods.dtc import DTC
from methods.mc_net import MCNet
from methods.mean_teacher import MeanTeacher
from methods.ss_net import SSNet
from methods.supervised import Supervised
from methods.supervised_full import SupervisedFull
from methods.ua_mt import UAMT
from methods.unimatch import UniMatch
from methods.urpc import URPC
from tests.methods.staged import SMALL, SMALL_PP
from tests.methods.test_methods import same_state
from tests.methods.tiny import TASK_3D, batch_for, build, step_loss

PARAMS: Mapping[type[Method], Mapping[str, object]] = {
    Supervised: {"strong": True},
    SupervisedFull: {},
    UAMT: {"passes": 2, "strong": True, "threshold_start": 1.0, "entropy_scale": "classes"},
    MCNet: {"decoders": 3},
    MeanTeacher: {},
    CPS: {},
    BCP: {},
    UniMatch: {},
    URPC: {},
    DTC: {},
    SSNet: {},
    ACTION: {**SMALL, "mixing": "classmix"},
    ACTIONPP: SMALL_PP,
}
every_method = pytest.mark.parametrize("kind", PARAMS, ids=lambda kind: kind.name)


def volumes(kind: type[Method], seed: int = 0) -> Method:
    return build(kind, seed, PARAMS[kind], TASK_3D)


@every_method
def test_backbones_start_from_the_same_weights_and_are_what_is_tested(kind: type[Method]) -> None:
    predictor = volumes(kind, 11).predictor
    assert same_state(predictor, volumes(Supervised, 11).predictor)
    assert sum(p.numel() for p in predictor.parameters()) == 9_448_866
    assert predictor.eval()(torch.rand(1, 1, *TASK_3D.size)).shape == (1, 2, *TASK_3D.size)


def test_what_each_stage_reads_has_the_shape_of_patches() -> None:
    method = volumes(ACTION)
    assert isinstance(method, ACTION)
    # 5 x 5 x 4 at strides of 2: 14 x 14 x 7 windows of 4^3 cells of two classes
    assert method.local.bank.entries.shape == (6, 14 * 14 * 7, 4**3 * 2)
    batch = batch_for(method)
    loss = step_loss(method, batch, method.stages[2], Progress(run=0.5, stage=0.5, step=5))
    assert loss.terms["valid_pixels"].item() >= 2 * math.prod(TASK_3D.size)  # every given label
    assert loss.terms["anatomical_queries"].item() == 2 * 8  # both classes, all hard for an untrained network


def test_mutual_consistency_and_dice_of_patches_by_hand() -> None:
    """The step's terms from the logits of both decoders, written out for two classes."""
    method = build(MCNet, task=TASK_3D)
    assert isinstance(method, MCNet)
    batch = batch_for(method)
    logits: list[tuple[torch.Tensor, torch.Tensor]] = []
    handle = method.net.register_forward_hook(lambda _, __, output: logits.append(output))
    loss = step_loss(method, batch, method.stages[0], Progress(run=1.0, stage=1.0, step=5))
    handle.remove()
    p, q = ((one[:, 1] - one[:, 0]).sigmoid().double() for one in logits[0])  # two classes: softmax is a sigmoid
    sharp = [v**10 / (v**10 + (1 - v) ** 10) for v in (p, q)]
    consistency = ((p - sharp[1]) ** 2).mean() + ((q - sharp[0]) ** 2).mean()  # the same for either class
    assert loss.terms["consistency"].item() == pytest.approx(consistency.item(), rel=1e-3)
    own, given = p[:2], batch.labels.double()
    shares = [(f, g) for f, g in ((own, given), (1 - own, 1 - given))]
    dice = [1 - (2 * (f * g).sum() + 1e-5) / ((f**2).sum() + (g**2).sum() + 1e-5) for f, g in shares]
    assert loss.terms["dice_1"].item() == pytest.approx(sum(dice).item() / 2, rel=1e-4)  # type: ignore[union-attr]


def test_uncertainty_of_patches_is_that_of_two_classes() -> None:
    """With noise and dropout off all passes agree: the mask is where -sum p ln p of the teacher is under ln 2."""
    method = build(UAMT, params={"noise": 0.0, "threshold_start": 1.0}, task=TASK_3D)
    assert isinstance(method, UAMT)
    for module in method.modules():
        if isinstance(module, torch.nn.Dropout3d):
            module.p = 0.0
    batch = batch_for(method)
    with torch.no_grad():
        p = F.softmax(copy.deepcopy(method.teacher)(batch.unlabelled[0]).double(), dim=1)
    entropy = -(p * (p + 1e-6).log()).sum(1)
    loss = step_loss(method, batch, method.stages[0], Progress(run=0.5, stage=0.5, step=5))
    expected = (entropy < math.log(2)).double().mean().item()
    assert loss.terms["mask_share"].item() == pytest.approx(expected, abs=1e-3)
