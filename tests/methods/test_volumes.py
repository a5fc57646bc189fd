from collections.abc import Mapping

import pytest

from harness.api.method import Method
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from methods.supervised import Supervised
from tests.methods.staged import SMALL, SMALL_PP
from tests.methods.test_methods import same_state
from tests.methods.tiny import METHODS, TASK_3D, build, parameters

PARAMS: Mapping[type[Method], Mapping[str, object]] = {ACTION: SMALL, ACTIONPP: SMALL_PP}


@pytest.mark.parametrize("kind", [*METHODS, *PARAMS], ids=lambda kind: kind.name)
def test_backbones_start_from_the_same_weights_and_are_what_is_tested(kind):
    predictor = build(kind, 11, TASK_3D, **PARAMS.get(kind, {})).predictor
    assert same_state(predictor, build(Supervised, 11, TASK_3D).predictor)
    assert parameters(predictor) == 9_448_866
