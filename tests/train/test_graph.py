"""Steps that are recorded once and replayed train as steps that the host takes."""

import pytest
import torch

from harness.api import UsageError
from harness.check.recording import RecordedStep
from harness.records.schema import Engine
from harness.suite.load import load_suite
from harness.suite.plan import dataset_of, make_plan, unprepared
from harness.train import graph, trainer
from harness.train import run as training
from harness.train.checkpoint import generator_states
from harness.train.environment import prepare_device
from methods.mc_net import MCNet
from tests.bench.device.common import Asked, started, take_steps
from tests.train.tiny import interrupt, train, write_suite

CPU = torch.device("cpu")


def everything(state):
    """Weights, buffers, momenta and generators."""
    momenta = [own["momentum_buffer"] for own in state.optimiser.state.values()]
    generators = {**generator_states(state.device), "data": state.sampler.state_dict()["generator"]}
    method = {name: value.detach() for name, value in state.method.state_dict().items()}
    return {**method, **{f"momentum {k}": value for k, value in enumerate(momenta)}, **generators}


def test_capturing_leaves_no_trace():
    asked = Asked(CPU, (16, 16), batch=4, steps=4, names=(), precisions=())
    state, stage = started("action/anatomical", asked, CPU, "float32", compiled=True)
    take_steps((state, stage), 4, None)
    before = everything(state)
    streams = state.sampler.state_dict()
    RecordedStep(state, stage, state.method.batches(stage, 4))
    torch.testing.assert_close(everything(state), before, rtol=0, atol=0)
    torch.testing.assert_close(state.sampler.state_dict(), streams, rtol=0, atol=0)


def test_compiling_is_refused_on_a_cpu():
    with pytest.raises(UsageError, match=r"engine\.compile: true needs a CUDA device"):
        prepare_device(CPU, Engine(compile=True))


def test_a_plan_refuses_a_method_that_cannot_be_captured(tmp_path, monkeypatch):
    suite = load_suite(write_suite(tmp_path, {"ua_mt": {}, "mc_net": {}}, dataset="phantom", engine={"compile": True}))
    data = unprepared(dataset_of(suite))
    assert {planned.run.engine.compile for planned in make_plan(suite, data).finals} == {True}
    monkeypatch.setattr(MCNet, "capturable", False)
    with pytest.raises(UsageError, match=r"tiny\.yaml:\d+: engine.compile: mc_net does not declare"):
        make_plan(suite, data)


def test_reference_steps_are_not_bought_for_steps_that_cost_something_else(tmp_path):
    compiled = {"budget": {"reference_steps": 400}, "engine": {"compile": True}}
    with pytest.raises(UsageError, match=r"engine\.compile: calibrations are of steps that the host takes"):
        load_suite(write_suite(tmp_path, {"ua_mt": {}}, dataset="phantom", **compiled))


@pytest.fixture
def compiling_anywhere(monkeypatch):
    monkeypatch.setattr(training, "prepare_device", lambda _device, _engine: torch.set_num_threads(1))
    for module in (trainer, graph):
        monkeypatch.setattr(module, "CapturedStep", RecordedStep)


@pytest.mark.slow
@pytest.mark.usefixtures("compiling_anywhere")
def test_a_compiled_run_goes_on_bitwise_and_records_what_compiling_took(make_tiny):
    settings = {"budget": {"steps": 12}, "engine": {"compile": True, "validations": 2}}
    whole, cut = (make_tiny({"ua_mt": {}}, **settings) for _ in range(2))
    result = train(whole, "ua_mt/2/0/0")
    interrupt(cut, "ua_mt/2/0/0", 4)
    resumed = train(cut, "ua_mt/2/0/0")
    assert resumed.weights_sha256 == result.weights_sha256
    assert result.wall_seconds["compile"] > 0
    assert result.shown["compile"] == "one CUDA graph a stage"
    assert result.observed is not None
    assert result.observed.steps == 2  # the stage's first, and that after the validation
