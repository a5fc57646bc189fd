import math

import pytest
import torch
from pydantic import ValidationError

from harness.api import Progress, Stage, StagedParams
from harness.records.schema import Engine
from harness.suite.registry import load_method, method_sources
from harness.train.build import set_learning_rate
from methods.action import ActionParams
from methods.bcp import BCPParams


def shares(params):
    return [stage.share for stage in params.stages()]


def placed(params, point):
    return type(params).model_validate(params.with_values(point))


def test_every_method_with_stages_gives_them_to_searches():
    """A share and a factor for each stage, searched for all but the last; none changes what a step costs."""
    kinds = {name: load_method(name).Params for name in method_sources()}
    staged = {name: kind() for name, kind in kinds.items() if issubclass(kind, StagedParams)}
    assert {"bcp", "action", "action_pp"} <= staged.keys()
    for name, params in staged.items():
        names = [stage.name for stage in params.stages()]
        space = {dimension for dimension in params.space() if dimension.startswith(("ratio_", "rate_"))}
        assert space == {f"{what}_{stage}" for what in ("ratio", "rate") for stage in names[:-1]}, name
        assert not {f"{what}_{stage}" for what in ("share", "rate") for stage in names} & set(params.cost_bearing())


def test_shares_by_hand():
    """0.25 x 2 : 0.75 = 0.4 : 0.6; 1/6 x 4 : 1/6 x 0.5 : 2/3 = 8 : 1 : 8."""
    assert shares(placed(BCPParams(), {"ratio_labelled": 2.0})) == pytest.approx([0.4, 0.6])
    action = placed(ActionParams(), {"ratio_global": 4.0, "ratio_local": 0.5})
    assert shares(action) == pytest.approx([8 / 17, 1 / 17, 8 / 17])
    assert action.current_value("ratio_global") == 4.0
    kept = placed(action, {"ratio_local": 1.0})
    assert shares(kept) == pytest.approx([4 / 9, 1 / 9, 4 / 9]), "what a point does not name stays"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"share_labelled": 0.5}, "share_labelled and share_self_training must add up to 1, not to 1.25"),
        ({"rate_labelled": 0.0}, "rate_labelled"),
    ],
)
def test_impossible_stages_are_refused(wrong, words):
    with pytest.raises(ValidationError, match=words):
        BCPParams.model_validate(wrong)


def test_the_factor_multiplies_the_engine_s_rate():
    """0.02 x 0.25^0.9 x 0.1 = 0.02 x 0.2871746 x 0.1; a factor of 1 keeps every bit."""
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.02)
    progress = Progress(0.5, 0.75, 3)
    for _ in range(2):
        assert set_learning_rate(sgd, Engine(), Stage("a", rate=0.1), progress) == pytest.approx(0.02 * 0.02871746)
    assert set_learning_rate(sgd, Engine(), Stage("a"), progress) == 0.02 * math.pow(0.25, 0.9)
    assert sgd.param_groups[0]["lr"] == 0.02 * math.pow(0.25, 0.9)
    assert [stage.rate for stage in BCPParams(rate_labelled=0.5, rate_self_training=2.0).stages()] == [0.5, 2.0]
