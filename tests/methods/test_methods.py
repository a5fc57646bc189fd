import pytest
import torch

from harness.api import BatchPlan
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from methods.supervised import Supervised
from methods.supervised_full import SupervisedFull
from tests.methods.tiny import (
    METHODS,
    TASK,
    TASK_3D,
    batch_for,
    build,
    optimiser,
    parameters,
    progress_at,
    step,
    step_loss,
)

every_method = pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.name)


def same_state(a, b):
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(("task", "count"), [(TASK, 1_813_764), (TASK_3D, 9_448_866)], ids=["2D", "3D"])
@pytest.mark.parametrize("kind", [*METHODS, ACTION, ACTIONPP], ids=lambda kind: kind.name)
def test_predictors_are_the_common_network_and_start_from_the_same_weights(kind, task, count):
    predictor = build(kind, 11, task=task).predictor
    assert same_state(predictor, build(Supervised, 11, task=task).predictor)
    assert parameters(predictor) == count


@every_method
def test_a_step_in_bfloat16_has_losses_in_float32_and_close_to_those(kind):
    losses = []
    for precise in (True, False):
        method = build(kind)
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            losses.append(step_loss(method, batch_for(method), method.stages[-1], progress_at(0.5)))
        losses[-1].total.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())
    exact, rounded = losses
    assert {value.dtype for value in (rounded.total, *rounded.terms.values())} == {torch.float32}
    assert rounded.total.item() == pytest.approx(exact.total.item(), rel=0.02)


def test_the_reference_is_the_baseline_with_all_labels_and_never_ranked():
    for kind in METHODS:
        reference = kind is SupervisedFull
        assert (kind.labels, kind.ranked) == (("all", False) if reference else ("subset", True))
    floor, ceiling = build(Supervised), build(SupervisedFull)
    batch = batch_for(floor)
    losses = []
    for method in (floor, ceiling):
        torch.manual_seed(0)
        losses.append(step(method, optimiser(method), batch, 0).total.item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("size", "labelled", "unlabelled"), [(24, 12, 12), (5, 3, 2)])
def test_batches_are_split_as_declared(size, labelled, unlabelled):
    for kind in METHODS:
        method = build(kind)
        plan = method.batches(method.stages[-1], size)
        supervised = isinstance(method, Supervised)
        assert plan == (BatchPlan(size, 0) if supervised else BatchPlan(labelled, unlabelled))
