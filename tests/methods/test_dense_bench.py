"""The plainly written stage that the benchmark compares with has the losses of the product, so both can be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from methods.action import ACTION
from methods.action_parts.pixel_contrast import Anchors
from methods.action_pp import ACTIONPP
from tests.bench.alone import measure_alone
from tests.bench.dense import DenseACTION, DenseACTIONPP
from tests.bench.steps_bench import main
from tests.methods.staged import action_pp, of_seed, small
from tests.methods.test_action import no_dropout, progress_at
from tests.methods.tiny import TASK_3D, batch_for, step_loss

QUIET = {"strong": False, "mixing": "none", "queries": 64, "keys": 64}
PAIRS = [(ACTION, DenseACTION), (ACTIONPP, DenseACTIONPP)]


@pytest.mark.parametrize(("kind", "plain"), PAIRS, ids=["action", "action_pp"])
def test_fine_tuning_has_the_same_losses(kind: type[ACTION], plain: type[ACTION]) -> None:
    ours, theirs = no_dropout(small(kind, **QUIET)), no_dropout(small(plain, **QUIET))
    theirs.load_state_dict(ours.state_dict())
    stage = ours.stages[2]
    torch.manual_seed(3)
    found, expected = (step_loss(one, batch_for(one), stage, progress_at(0.5)).terms for one in (ours, theirs))
    assert found.keys() == expected.keys()
    for name in ("ce", "dice", "unsupervised", "confident_pixels", "valid_pixels"):
        assert found[name].item() == pytest.approx(expected[name].item(), rel=1e-4, abs=1e-6), name
    for name in found.keys() & {"anatomical", "supervised_contrast"}:  # other pixels are drawn
        assert found[name].item() == pytest.approx(expected[name].item(), rel=0.1), name


@pytest.mark.parametrize("centers", [True, False])
def test_supervised_contrast_is_equal_on_equal_draws(centers: bool) -> None:
    ours = action_pp(centers=centers)
    theirs = of_seed(DenseACTIONPP, 1, {"centers": centers})
    assert isinstance(theirs, ACTIONPP)
    labels = torch.arange(4).repeat_interleave(5)
    student, teacher, queued = (F.normalize(torch.randn(count, 16), dim=1) for count in (20, 20, 30))
    ours.queue.enqueue_labelled(queued, torch.arange(30) % 3)  # nothing of the last class
    theirs.load_state_dict(ours.state_dict())
    losses, gradients = [], []
    for method in (ours, theirs):
        torch.manual_seed(7)
        leaf = student.clone().requires_grad_()
        loss = method._supervised_contrast(Anchors(leaf, teacher, labels, labels != 1), 0.2)
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, leaf)[0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "plain"), PAIRS, ids=["action", "action_pp"])
def test_fine_tuning_of_patches_has_the_same_losses(kind: type[ACTION], plain: type[ACTION]) -> None:
    task = replace(TASK_3D, size=(16, 16, 16))
    ours, theirs = (no_dropout(of_seed(one, 0, QUIET, task)) for one in (kind, plain))
    theirs.load_state_dict(ours.state_dict())
    torch.manual_seed(3)
    found, expected = (step_loss(one, batch_for(one), one.stages[2], progress_at(0.5)).terms for one in (ours, theirs))
    for name in ("ce", "dice", "unsupervised", "valid_pixels"):
        assert found[name].item() == pytest.approx(expected[name].item(), rel=1e-4, abs=1e-6), name
    for name in found.keys() & {"anatomical", "supervised_contrast"}:  # other voxels are drawn
        assert found[name].item() == pytest.approx(expected[name].item(), rel=0.1), name


@pytest.mark.slow
@pytest.mark.parametrize(("dimension", "size"), [("2", ["32"]), ("3", ["32", "16", "16"])])
def test_the_table_names_every_method_and_stage(
    dimension: str, size: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--batch", "4", "--steps", "1", "--dense", "0", "--precision", "float32"]
    assert main(["--dimension", dimension, "--size", *size, *few]) == 0
    lines = capsys.readouterr().out.splitlines()
    named = [line.split()[0] for line in lines if "x supervised" in line]
    assert {f"{m}/{s}" for m in ("action", "action_pp") for s in ("global", "local", "anatomical")} <= set(named)
    assert {"supervised/train", "ua_mt/train", "mc_net/train"} <= set(named)
    assert "1.00 x supervised" in next(line for line in lines if "supervised/train" in line)


def test_a_size_of_another_dimension_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"--size 48 48 16 has not 2 sides"):
        main(["--size", "48", "48", "16"])


@pytest.mark.slow
def test_a_process_of_its_own_tells_seconds_and_peak() -> None:
    found = measure_alone("supervised/train", (16, 16, 16), batch_size=2, warm_up_steps=0)
    assert found.seconds > 0
    weights_gradients_momentum = 3 * 4 * 9_448_866
    assert found.peak_bytes - found.idle_bytes > weights_gradients_momentum
    assert found.idle_bytes > 5e7  # torch itself
