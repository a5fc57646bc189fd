import pytest
import torch

from harness.api import Batch, OptimiserSettings, Progress, Stage
from harness.api.warm_start import WARM_UP
from harness.suite.registry import load_method
from methods.supervised import Supervised
from tests.methods.test_methods import same_state
from tests.methods.tiny import batch_for, blobs, build, enter, no_dropout, stage_of, stage_step, step_loss

START = Progress(run=0.0, stage=0.0, step=0)
every_paper = pytest.mark.parametrize("name", ["mean_teacher", "mc_net", "unimatch", "bcp", "action_pp"])


def labelled(method):
    plan = method.batches(method.stages[0], 4)
    assert (plan.labelled, plan.unlabelled) == (4, 0)
    return Batch(*blobs(4))


def gradients(network):
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def decoder_of(method):
    return method.predictor.get_submodule("decoder")


@every_paper
def test_the_first_stage_is_the_labelled_only_baseline(name):
    method, baseline = build(load_method(f"{name}_warm")), build(Supervised)
    baseline.predictor.load_state_dict(method.predictor.state_dict())
    no_dropout(method)
    no_dropout(baseline)
    batch = labelled(method)
    step_loss(method, batch, method.stages[0], START).total.backward()
    step_loss(baseline, batch, Stage("train"), START).total.backward()
    ours, theirs = gradients(method.predictor), gradients(baseline.predictor)
    assert len(ours) == len(theirs)
    if name == "mc_net":
        ours, theirs = gradients(decoder_of(method)), [each / 2 for each in gradients(decoder_of(baseline))]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
    with_gradient = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    trained = {id(parameter) for parameter in method.parameter_groups(method.stages[0])}
    assert trained == {id(p) for name, p in method.named_parameters() if name in with_gradient}


@every_paper
def test_the_method_goes_on_from_those_weights(name):
    method = build(load_method(f"{name}_warm"))
    warm, sgd = enter(method, WARM_UP)
    before = [parameter.detach().clone() for parameter in method.predictor.parameters()]
    assert method.diagnostics() == {}
    for number in range(2):
        stage_step(method, warm, sgd, labelled(method), number)
    assert all(not torch.equal(a, b) for a, b in zip(before, method.predictor.parameters(), strict=True))
    stage = method.stages[-1]
    method.start_stage(stage)
    assert same_state(method.pseudo_label_network, method.predictor)
    paper = build(load_method(name), 1)
    paper.start_stage(paper.stages[-1])
    paper.load_state_dict(method.state_dict())
    batch, losses = batch_for(method), []
    for each in (method, paper):
        torch.manual_seed(3)
        losses.append(step_loss(each, batch, each.stages[-1], START).total)
    assert torch.equal(*losses)


def test_the_first_stage_has_the_engine_s_optimiser():
    method, settings = build(load_method("action_pp_warm")), OptimiserSettings(momentum=0.9)
    warm = method.optimiser(stage_of(method, WARM_UP), settings)
    assert [group["nesterov"] for group in warm.param_groups] == [False]
    assert method.optimiser(stage_of(method, "anatomical"), settings).param_groups[0]["nesterov"]
