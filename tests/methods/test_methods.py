from typing import Any

import pytest
import torch

from harness.api import Batch, BatchPlan, ConsistencyParams
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from methods.supervised import Supervised
from methods.supervised_full import SupervisedFull
from tests.methods.tiny import (
    METHODS,
    RAMP,
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


COUNTING: dict[str, dict[str, Any]] = {
    "unimatch": {"confident": 0.3},
    "ua_mt": {"entropy_scale": "classes", "threshold_start": 1.0},
}
"""With these an untrained network's own labels count."""


@pytest.mark.parametrize("kind", [kind for kind in METHODS if kind.name != "ss_net"], ids=lambda kind: kind.name)
def test_a_gradient_is_the_slope_of_the_loss_and_teachers_normalise_by_their_batch(kind):
    """By central differences: targets and masks, which have no gradient, stay as they are under so small a step."""
    params: dict[str, Any] = RAMP if issubclass(kind.Params, ConsistencyParams) else {}
    method = build(kind, **params | COUNTING.get(kind.name, {})).double()
    given = batch_for(method)
    batch = Batch(given.images.double(), given.labels, tuple(view.double() for view in given.unlabelled))
    state = {name: value.clone() for name, value in method.state_dict().items()}
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    direction = {name: torch.randn_like(p) for name, p in trained.items()}

    def loss(step):
        method.load_state_dict({name: value + step * direction.get(name, 0) for name, value in state.items()})
        torch.manual_seed(1)
        return step_loss(method, batch, method.stages[-1], progress_at(0.6)).total

    loss(0.0).backward()
    slope = (loss(1e-9) - loss(-1e-9)).item() / 2e-9
    found = sum((p.grad * direction[name]).sum().item() for name, p in trained.items() if p.grad is not None)
    assert found == pytest.approx(slope, rel=1e-3)
    assert all(value > 0 for name, value in method.state_dict().items() if name.endswith("num_batches_tracked"))


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
