"""The benchmark of a GPU, its parts on a CPU and at sizes that say nothing about speed."""

from __future__ import annotations

import json

import pytest
import torch

from harness.check.recording import RecordedStep
from tests.bench.device import agreement, rates
from tests.bench.device.__main__ import main
from tests.bench.device.common import Asked, started
from tests.bench.device.same_draws import SameDraws, without_dropout
from tests.bench.workload import Entry, Precision

CPU = torch.device("cpu")
LIKE_A_GPU = torch.device("cpu", 0)
"""The same device under another name."""


def asked(*names: str, precisions: tuple[Precision, ...] = ("float32",)) -> Asked:
    """A part's measurement at the smallest size."""
    return Asked(LIKE_A_GPU, (16, 16), 4, 2, names, precisions)


def test_draws_are_those_of_the_cpu_wherever_they_are_made() -> None:
    torch.manual_seed(0)
    expected = [torch.rand(3), torch.empty(3).exponential_(), torch.randn_like(torch.ones(2))]
    torch.manual_seed(0)
    with SameDraws():
        drawn = [torch.rand(3), torch.empty(3).exponential_(), torch.randn_like(torch.ones(2))]
        elsewhere = torch.rand(3, device="meta")
    torch.testing.assert_close(drawn, expected, rtol=0, atol=0)
    assert elsewhere.device.type == "meta"


def test_nothing_is_dropped_afterwards() -> None:
    state, _ = started("supervised/train", asked(), CPU, "float32")
    without_dropout(state.method)
    images = torch.rand(2, 1, 16, 16)
    torch.testing.assert_close(state.method.predictor(images), state.method.predictor(images), rtol=0, atol=0)


def test_a_device_that_computes_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def off(name: str, what: Asked, device: torch.device, precision: Precision) -> Entry:
        state, stage = started(name, what, device, precision)
        if device == LIKE_A_GPU:
            with torch.no_grad():
                next(state.method.predictor.parameters()).mul_(1.1)
        return state, stage

    (row,) = agreement.correct(asked("ua_mt/train"))
    assert (row["loss"], row["weights"], row["agree"]) == (0.0, 0.0, True)
    monkeypatch.setattr(agreement, "started", off)
    (row,) = agreement.correct(asked("ua_mt/train"))
    assert row["agree"] is False


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs without a GPU."""
    monkeypatch.setattr(rates, "CapturedStep", RecordedStep)


@pytest.mark.usefixtures("recorded")
def test_replayed_steps_are_measured() -> None:
    host, graph = rates.speed(asked("supervised/train", precisions=("bfloat16",)))
    assert (host["how"], graph["how"]) == ("host", "graph")
    assert min(host["seconds"], graph["seconds"], graph["compile_seconds"]) > 0


def test_a_step_that_fails_is_a_row_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("called a synchronizing CUDA operation\nmore")

    monkeypatch.setattr(agreement, "update", fail)
    rows = list(agreement.correct(asked("supervised/train", "mc_net/train")))
    assert {row["error"] for row in rows} == {"RuntimeError: called a synchronizing CUDA operation more"}
    assert [row["name"] for row in rows] == ["supervised/train", "mc_net/train"]


def test_the_command_prints_a_row_of_each_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["correct", "--size", "16", "16", "--batch", "4", "--steps", "1", "--only", "supervised/train"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["kind"], row["name"], row["size"], row["agree"]) == ("correct", "supervised/train", "16 x 16", True)
