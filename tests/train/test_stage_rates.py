import pytest

from tests.train.fixtures import MakeTiny
from tests.train.tiny import train


@pytest.mark.slow
def test_a_run_trains_each_stage_at_its_rate(make_tiny: MakeTiny):
    """From record to optimiser: the first rates of the stages are those of the suite times 0.5 and 2."""
    params = {"share_labelled": 0.5, "share_self_training": 0.5, "rate_labelled": 0.5, "rate_self_training": 2.0}
    tiny = make_tiny({"bcp": params}, budget={"steps": 6})
    result = train(tiny, "bcp/2/0/0")
    assert result.stage_steps == {"labelled": 3, "self_training": 3}
    usual = tiny.folder("bcp/2/0/0").run.engine.optimiser.learning_rate
    first = tiny.folder("bcp/2/0/0").history().groupby("stage", sort=False)["learning_rate"].first()
    assert first.tolist() == [0.5 * usual, 2.0 * usual]
