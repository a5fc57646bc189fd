"""The benchmark of a GPU, its parts on a CPU and at sizes that say nothing about speed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch

from harness.check.recording import RecordedStep
from tests.bench import device_bench
from tests.bench.device import agreement, rates
from tests.bench.device.common import Asked, started
from tests.bench.device.counted import count, large_copy, matrix_product
from tests.bench.device.planner import GRACE_SECONDS, Part, Planner, Row
from tests.bench.device.same_draws import SameDraws, without_dropout
from tests.bench.device.table import markdown
from tests.bench.workload import Entry, Precision

CPU = torch.device("cpu")
LIKE_A_GPU = torch.device("cpu", 0)
"""The same device under another name."""


def asked(*names: str, precisions: tuple[Precision, ...] = ("float32",)) -> Asked:
    """A part's measurement at the smallest size."""
    return Asked(LIKE_A_GPU, (16, 16), 4, 2, names, precisions)


def shell(name: str, script: str, expected: float = 0.0) -> Part:
    """A part that is a few words of shell."""
    return Part(name, ("sh", "-c", script), expected)


class Written:
    """Keeps what a planner wrote last."""

    def __call__(self, rows: Sequence[Row], outcomes: Mapping[str, str]) -> None:
        self.rows, self.outcomes = list(rows), dict(outcomes)


def test_a_planner_keeps_the_rows_of_parts_that_fail_and_lists_what_does_not_fit() -> None:
    written = Written()
    planner = Planner(600, written)
    planner.run(shell("fails", """echo words; echo '{"a": 1}'; exit 3"""))
    planner.run(shell("long", "echo '{}'", expected=590))
    planner.run(shell("works", "echo '{\"a\": 3}'", expected=100))
    assert written.rows == [{"part": "fails", "a": 1}, {"part": "works", "a": 3}]
    assert written.outcomes["fails"].startswith("exit code 3 after")
    assert written.outcomes["long"].startswith("left out: takes about 590 s, 5")
    assert written.outcomes["works"].endswith(" s")


def test_a_part_is_stopped_when_the_minutes_are_over() -> None:
    written = Written()
    Planner(GRACE_SECONDS + 2, written).run(shell("hangs", """echo '{"a": 2}'; sleep 600"""))
    assert written.rows == [{"part": "hangs", "a": 2}]
    assert written.outcomes["hangs"].startswith("stopped after")


def test_a_planner_starts_nothing_in_its_last_seconds() -> None:
    written = Written()
    Planner(GRACE_SECONDS - 1, written).run(shell("late", "echo '{}'"))
    assert written.rows == []
    assert written.outcomes == {"late": "left out: takes about 0 s, 0 s were left"}


def test_work_is_counted_as_by_hand() -> None:
    first, second, row = torch.randn(3, 4), torch.randn(4, 5), torch.randn(1, 5)
    product = count(lambda: first @ second)
    assert (product.flops, product.bytes, product.calls) == (2 * 3 * 4 * 5, 4 * (12 + 20 + 15), 1)
    total = torch.zeros(3, 5)
    added = count(lambda: total.add_(row.expand(3, 5)))
    assert (added.flops, added.bytes, added.calls) == (0, 4 * (15 + 5 + 15), 1)
    assert count(lambda: torch.empty(9).view(3, 3).t()).calls == 0


def test_ceilings_are_of_a_product_and_a_copy() -> None:
    step, flops = matrix_product(8, torch.bfloat16, CPU)
    assert flops == count(step).flops
    step, moved = large_copy(1 << 10, CPU)
    assert moved == 2 << 10
    assert [sorted(row.keys() - {"device", "torch"}) for row in rates.ceilings(asked())] == [
        ["flops_a_second", "precision"],
        ["flops_a_second", "precision"],
        ["bytes_a_second"],
    ]


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
    assert min(host["seconds"], host["flops"], host["bytes"], graph["seconds"], graph["compile_seconds"]) > 0


def test_a_step_that_fails_is_a_row_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("called a synchronizing CUDA operation\nmore")

    monkeypatch.setattr(agreement, "update", fail)
    rows = list(agreement.correct(asked("supervised/train", "mc_net/train")))
    assert {row["error"] for row in rows} == {"RuntimeError: called a synchronizing CUDA operation more"}
    assert [row["name"] for row in rows] == ["supervised/train", "mc_net/train"]


def test_the_table_says_how_much_faster_and_how_far_from_the_roofline() -> None:
    step = {"name": "ua_mt/train", "size": "256 x 256", "batch": 24}
    rows: list[Row] = [
        {"kind": "ceilings", "device": "GPU", "torch": "2", "precision": "bfloat16", "flops_a_second": 1e14},
        {"kind": "ceilings", "device": "GPU", "torch": "2", "bytes_a_second": 4e12},
        {"kind": "correct", "name": "ua_mt/train", "size": "64 x 64", "loss": 1e-5, "weights": 0.1, "agree": False},
        {"kind": "correct", "name": "dtc/train", "size": "64 x 64", "error": "out of memory"},
        {"kind": "speed", **step, "precision": "bfloat16", "how": "host", "seconds": 0.05, "peak_bytes": 2e9,
         "flops": 1e12, "bytes": 2e10, "calls": 900},
        {"kind": "speed", **step, "precision": "bfloat16", "how": "graph", "seconds": 0.025, "peak_bytes": 3e9},
        {"kind": "speed", **step, "name": "dtc/train", "precision": "bfloat16", "how": "graph", "error": "it copies"},
    ]  # fmt: skip
    text = markdown(rows, {"speed 2D": "9 s", "speed 3D": "left out"})
    assert "- GPU: 4.00 TB/s" in text
    assert "| ua_mt/train | 64 x 64 | 1.0e-05 | 1.0e-01 | DIFFERS |" in text
    assert "| dtc/train | 64 x 64 |  |  | out of memory |" in text
    # 1e12 operations take 10 ms, 2e10 bytes 5 ms; 10 of 25 ms
    assert "| ua_mt/train | 20.0 | 40.0 | 2.00 | 2.00, 3.00 | 40% |  |" in text
    assert "| dtc/train |  |  |  |  |  | graph: it copies |" in text
    assert "| speed 3D | left out |" in text


@pytest.mark.slow
def test_the_command_measures_what_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--minutes", "30", "--out", str(tmp_path / "out"), "--parts", "ceilings", "--small"]
    assert device_bench.main(options) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["parts"]) == ["ceilings"]
    assert {row["kind"] for row in results["rows"]} == {"ceilings"}
    assert capsys.readouterr().out.startswith("# Benchmark of a GPU")
