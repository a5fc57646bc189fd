import math
from collections.abc import Mapping

import pytest

from harness.api.method import Method
from harness.api.progress import Progress
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from methods.supervised import Supervised
from tests.methods.staged import SMALL, SMALL_PP
from tests.methods.test_methods import same_state
from tests.methods.tiny import METHODS, TASK_3D, batch_for, build, parameters, step_loss

PARAMS: Mapping[type[Method], Mapping[str, object]] = {ACTION: SMALL, ACTIONPP: SMALL_PP}


@pytest.mark.parametrize("kind", [*METHODS, *PARAMS], ids=lambda kind: kind.name)
def test_backbones_start_from_the_same_weights_and_are_what_is_tested(kind: type[Method]):
    predictor = build(kind, 11, PARAMS.get(kind), TASK_3D).predictor
    assert same_state(predictor, build(Supervised, 11, task=TASK_3D).predictor)
    assert parameters(predictor) == 9_448_866


def test_what_each_stage_reads_has_the_shape_of_patches():
    method = build(ACTION, params={**SMALL, "mixing": "classmix"}, task=TASK_3D)
    # 5 x 5 x 4 at strides of 2: 14 x 14 x 7 windows of 4^3 cells of two classes
    assert method.local.bank.entries.shape == (6, 14 * 14 * 7, 4**3 * 2)
    batch = batch_for(method)
    loss = step_loss(method, batch, method.stages[2], Progress(run=0.5, stage=0.5, step=5))
    assert loss.terms["valid_pixels"].item() >= 2 * math.prod(TASK_3D.size)  # every given label
    assert loss.terms["anatomical_queries"].item() == 2 * 8  # both classes, all hard for an untrained network
