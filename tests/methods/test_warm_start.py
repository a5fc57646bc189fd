from collections.abc import Mapping

import pytest
import torch
from torch import nn

from harness.api.method import Batch, Method, Stage
from harness.api.params import OptimiserSettings
from harness.api.progress import Progress
from harness.api.warm_start import WARM_UP, WarmStart
from methods.action_pp import ACTIONPP
from methods.action_pp_warm import ActionPPWarm
from methods.bcp import BCP
from methods.bcp_warm import BCPWarm
from methods.mc_net import MCNet
from methods.mc_net_warm import MCNetWarm
from methods.mean_teacher import MeanTeacher
from methods.mean_teacher_warm import MeanTeacherWarm
from methods.supervised import Supervised
from methods.unimatch import UniMatch
from methods.unimatch_warm import UniMatchWarm
from tests.methods.staged import SMALL_PP, enter, stage_of
from tests.methods.test_methods import same_state
from tests.methods.tiny import batch_for, blobs, build, no_dropout, stage_step, step_loss

PAPERS: Mapping[type[WarmStart], type[Method]] = {
    MeanTeacherWarm: MeanTeacher,
    MCNetWarm: MCNet,
    UniMatchWarm: UniMatch,
    BCPWarm: BCP,
    ActionPPWarm: ACTIONPP,
}
START = Progress(run=0.0, stage=0.0, step=0)
every_kind = pytest.mark.parametrize("kind", PAPERS, ids=lambda kind: kind.name)


def small(kind: type[WarmStart], **params: object) -> WarmStart:
    return build(kind, **{**(SMALL_PP if kind is ActionPPWarm else {}), **params})


def labelled(method: WarmStart) -> Batch:
    plan = method.batches(method.stages[0], 4)
    assert (plan.labelled, plan.unlabelled) == (4, 0)
    return Batch(*blobs(4))


def gradients(network: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def decoder_of(method: Method) -> nn.Module:
    return method.predictor.get_submodule("decoder")


@every_kind
def test_the_first_stage_is_the_labelled_only_baseline(kind):
    method, baseline = small(kind), build(Supervised)
    baseline.predictor.load_state_dict(method.predictor.state_dict())
    no_dropout(method)
    no_dropout(baseline)
    batch = labelled(method)
    step_loss(method, batch, method.stages[0], START).total.backward()
    step_loss(baseline, batch, Stage("train"), START).total.backward()
    ours, theirs = gradients(method.predictor), gradients(baseline.predictor)
    assert len(ours) == len(theirs)
    if kind is MCNetWarm:
        ours, theirs = gradients(decoder_of(method)), [each / 2 for each in gradients(decoder_of(baseline))]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
    with_gradient = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    trained = {id(parameter) for parameter in method.parameter_groups(method.stages[0])}
    assert trained == {id(p) for name, p in method.named_parameters() if name in with_gradient}


@every_kind
def test_the_method_goes_on_from_those_weights(kind):
    method = small(kind)
    warm, sgd = enter(method, WARM_UP)
    before = [parameter.detach().clone() for parameter in method.predictor.parameters()]
    assert method.diagnostics() == {}
    for number in range(2):
        stage_step(method, warm, sgd, labelled(method), number)
    assert all(not torch.equal(a, b) for a, b in zip(before, method.predictor.parameters(), strict=True))
    stage = method.stages[-1]
    method.start_stage(stage)
    assert same_state(method.pseudo_label_network, method.predictor)
    paper = build(PAPERS[kind], 1, **(SMALL_PP if kind is ActionPPWarm else {}))
    paper.start_stage(paper.stages[-1])
    paper.load_state_dict(method.state_dict())
    batch, losses = batch_for(method), []
    for each in (method, paper):
        torch.manual_seed(3)
        losses.append(step_loss(each, batch, each.stages[-1], START).total)
    assert torch.equal(*losses)


def test_the_first_stage_has_the_engine_s_optimiser():
    method, settings = small(ActionPPWarm), OptimiserSettings(momentum=0.9)
    warm = method.optimiser(stage_of(method, WARM_UP), settings)
    assert [group["nesterov"] for group in warm.param_groups] == [False]
    assert method.optimiser(stage_of(method, "anatomical"), settings).param_groups[0]["nesterov"]
