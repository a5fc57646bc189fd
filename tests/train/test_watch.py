import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.api import Batch
from harness.api.errors import ClosedSplitError
from harness.data.cache import Cache, read_cases
from harness.data.permit import TestPermit, guard, keep_closed
from harness.train.monitor import MethodMonitor, alterations, first_layer
from tests.train.tiny import interrupt, train

STAGED = "tiny_staged/2/0/0"


def batch(labelled=3, unlabelled=2):
    images = torch.rand(labelled + 2 * unlabelled, 1, 8, 8)
    labels = torch.zeros(labelled, 8, 8, dtype=torch.long)
    return Batch(images[:labelled], labels, tuple(images[labelled:].chunk(2)) if unlabelled else ())


def test_a_pasted_box_is_mixed_and_any_other_value_altered():
    given = batch()
    pasted = given.images.clone()
    pasted[:, :, 2:5, 3:6] = given.images.roll(1, dims=0)[:, :, 2:5, 3:6]
    assert alterations(pasted, given) == ["mixed"] * 3
    brighter = given.images * 1.1
    moved = given.images.roll(1, dims=-1)
    nearly = given.images.clone()
    nearly[1, 0, 4, 4] += 1e-6
    assert alterations(brighter, given) == alterations(moved, given) == ["altered"] * 3
    assert alterations(nearly, given) == ["same", "altered", "same"]
    assert alterations(given.images[:, :, :4], given) == ["altered"] * 3, "a crop"


def test_the_first_layer_is_found_without_a_trace():
    first = nn.Conv2d(1, 2, 3, padding=1)
    network = nn.Sequential(nn.Sequential(first, nn.BatchNorm2d(2), nn.Dropout(0.5)), nn.Conv2d(2, 3, 1))
    image, before = torch.rand(1, 1, 8, 8), copy.deepcopy(network.state_dict())
    seed = torch.get_rng_state()
    assert first_layer(network, image) is first
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), seed)
    assert all(module.training and not module._forward_pre_hooks for module in network.modules())


def seen(watch):
    return watch.record("weak", ())


def test_a_change_in_place_cannot_hide():
    network, given, watch = nn.Conv2d(1, 3, 3, padding=1), batch(unlabelled=0), MethodMonitor()
    watch.request_image_check(network, given.images[:1])
    with watch.step():
        watch.given(given)
        given.images.mul_(0.5)
        network(given.images)
    watch.compare()
    assert seen(watch).images_altered == 3


CHANGES = {
    "nothing": lambda network: None,
    "a weight": lambda network: network[0].weight.data[0, 0, 1, 1].add_(1e-6),
    "a mean": lambda network: network[1].running_mean.add_(1),
    "a buffer": lambda network: setattr(network[1], "running_var", torch.full((2,), 2.0)),
    "rows": lambda network: network.bank.copy_(network.bank.flip(0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_validation_that_changes_the_method_is_counted(change):
    """Whatever way it goes, also past the counters of changes in place; a NaN that stays one is no change."""
    network, watch = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), MethodMonitor()
    network.register_buffer("bank", torch.tensor([[1.0, 2.0], [2.0, float("nan")]]))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with watch.validation(network):
        network.eval()(torch.rand(1, 1, 8, 8))
        CHANGES[change](network)
    assert seen(watch).validations_that_trained == (change != "nothing")


def observed(tiny, planned_run):
    return tiny.folder(planned_run).require_result().observed


def test_a_resumed_run_goes_on_counting(make_tiny):
    """The first step of each of three stages and the one after a validation; an interruption adds one."""
    whole, cut = (make_tiny({"tiny_staged": {}}) for _ in range(2))
    train(whole, STAGED)
    interrupt(cut, STAGED, 17)
    train(cut, STAGED)
    assert (observed(whole, STAGED).steps, observed(cut, STAGED).steps) == (4, 5)
    assert observed(whole, STAGED).validations_that_trained == observed(cut, STAGED).validations_that_trained == 0
    assert observed(cut, STAGED).process_cpu_seconds > 0


def test_every_door_to_the_test_split_is_closed_while_somebody_keeps_it(make_tiny):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": 4})
    train(tiny, STAGED)
    session, folder = tiny.session(), tiny.folder(STAGED)
    permit = TestPermit(session.store.selection_path, folder.id, folder.path / "final.json")
    cache = Cache.open(session.cache.folder)
    infos = [info for info in cache.manifest.cases if info.split == "test"]
    assert len(list(cache.test_cases(permit))) == len(infos) == 2
    told: list[str] = []
    with keep_closed(told.append):
        for ask in (
            lambda: cache.cases("test"),
            lambda: cache.test_cases(permit),
            lambda: list(read_cases(cache.folder / "test.h5", infos)),
            lambda: list(read_cases(Path(cache.folder / "." / "test.h5"), infos)),
        ):
            with pytest.raises(ClosedSplitError):
                ask()
        assert len(list(cache.cases("val"))) == 2
    assert len(told) == 4
    assert guard() is None
    assert len(list(cache.test_cases(permit))) == 2
