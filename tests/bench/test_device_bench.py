import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch

from harness.check.recording import RecordedStep
from harness.suite.load import load_suite
from harness.suite.plan import dataset_of, make_plan, unprepared
from tests.bench import device_bench
from tests.bench.device import agreement, rates, runs
from tests.bench.device.common import Asked, started
from tests.bench.device.counted import count, large_copy, matrix_product
from tests.bench.device.planner import Part, Planner, Row
from tests.bench.device.same_draws import SameDraws
from tests.bench.device.table import markdown
from tests.bench.workload import Entry, Precision
from tests.support import REPO

CPU = torch.device("cpu")
LIKE_A_GPU = torch.device("cpu", 0)
"""The same device under another name."""


def asked(*names: str, precisions: tuple[Precision, ...] = ("float32",), tree: Path | None = None) -> Asked:
    return Asked(LIKE_A_GPU, (16, 16), 4, 2, names, precisions, tree)


def shell(name: str, script: str, expected: float = 0.0, most: float | None = None) -> Part:
    return Part(name, ("sh", "-c", script), expected, most)


class Written:
    def __call__(self, rows: Sequence[Row], outcomes: Mapping[str, str]) -> None:
        self.rows, self.outcomes = list(rows), dict(outcomes)


def test_a_planner_keeps_the_rows_of_parts_that_fail_or_are_stopped_and_lists_what_does_not_fit():
    written = Written()
    planner = Planner(600, written)
    planner.run(shell("fails", """echo words; echo '{"a": 1}'; exit 3"""))
    planner.run(shell("hangs", """echo '{"a": 2}'; sleep 600""", most=2.0))
    planner.run(shell("long", "echo '{}'", expected=590))
    planner.run(shell("works", "echo '{\"a\": 3}'", expected=100))
    assert written.rows == [{"part": "fails", "a": 1}, {"part": "hangs", "a": 2}, {"part": "works", "a": 3}]
    assert [outcome.partition(" after")[0] for outcome in written.outcomes.values()][:2] == ["exit code 3", "stopped"]
    assert written.outcomes["long"].startswith("left out: takes about 590 s, 5")
    assert written.outcomes["works"].endswith(" s")


def test_work_is_counted_as_by_hand():
    first, second, row = torch.randn(3, 4), torch.randn(4, 5), torch.randn(1, 5)
    product = count(lambda: first @ second)
    assert (product.flops, product.bytes, product.calls) == (2 * 3 * 4 * 5, 4 * (12 + 20 + 15), 1)
    total = torch.zeros(3, 5)
    added = count(lambda: total.add_(row.expand(3, 5)))
    assert (added.flops, added.bytes, added.calls) == (0, 4 * (15 + 5 + 15), 1)
    assert count(lambda: torch.empty(9).view(3, 3).t()).calls == 0


def test_ceilings_are_of_a_product_and_a_copy():
    step, flops = matrix_product(8, torch.bfloat16, CPU)
    assert flops == count(step).flops
    step, moved = large_copy(1 << 10, CPU)
    assert moved == 2 << 10
    assert [sorted(row.keys() - {"device", "torch"}) for row in rates.ceilings(asked())] == [
        ["flops_a_second", "precision"],
        ["flops_a_second", "precision"],
        ["bytes_a_second"],
    ]


def test_draws_are_those_of_the_cpu_wherever_they_are_made():
    torch.manual_seed(0)
    expected = [torch.rand(3), torch.empty(3).exponential_(), torch.randn_like(torch.ones(2))]
    torch.manual_seed(0)
    with SameDraws():
        drawn = [torch.rand(3), torch.empty(3).exponential_(), torch.randn_like(torch.ones(2))]
        elsewhere = torch.rand(3, device="meta")
    torch.testing.assert_close(drawn, expected, rtol=0, atol=0)
    assert elsewhere.device.type == "meta"


def test_a_device_that_computes_otherwise_is_found(monkeypatch: pytest.MonkeyPatch):
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
    for module in (agreement, rates):
        monkeypatch.setattr(module, "CapturedStep", RecordedStep)


@pytest.mark.usefixtures("recorded")
def test_replayed_steps_are_compared_and_measured():
    (row,) = agreement.captured(asked("supervised/train"))
    assert (row["weights"], row["agree"]) == (0.0, True)
    host, graph = rates.speed(asked("supervised/train", precisions=("bfloat16",)))
    assert (host["how"], graph["how"]) == ("host", "graph")
    assert min(host["seconds"], host["flops"], host["bytes"], graph["seconds"], graph["compile_seconds"]) > 0


def test_a_step_that_fails_is_a_row_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch):
    def fail(*_arguments: object) -> None:
        raise RuntimeError("called a synchronizing CUDA operation\nmore")

    (row,) = agreement.guard(asked("supervised/train"))
    assert row["says"] == "not watched: no GPU"
    monkeypatch.setattr(agreement, "take_middle_step", fail)
    rows = list(agreement.guard(asked("supervised/train", "mc_net/train")))
    assert {row["error"] for row in rows} == {"RuntimeError: called a synchronizing CUDA operation more"}
    assert [row["name"] for row in rows] == ["supervised/train", "mc_net/train"]


@pytest.mark.slow
def test_the_steps_of_another_tree_are_measured_there():
    rows = {row["name"]: row for row in rates.reference(asked(tree=REPO))}
    assert min(rows[name]["seconds"] for name in ("supervised/train", "action_pp/anatomical")) > 0
    assert rows["bcp/self_training"]["error"].startswith("ValueError: Expected more than 1 value")  # of half a batch


def test_the_table_says_how_much_faster_and_how_far_from_the_roofline():
    step = {"name": "ua_mt/train", "size": "256 x 256", "batch": 24}
    rows: list[Row] = [
        {"kind": "ceilings", "device": "GPU", "torch": "2", "precision": "bfloat16", "flops_a_second": 1e14},
        {"kind": "ceilings", "device": "GPU", "torch": "2", "bytes_a_second": 4e12},
        {"kind": "correct", "name": "ua_mt/train", "size": "64 x 64", "loss": 1e-5, "weights": 0.1, "agree": False},
        {"kind": "guard", "name": "ua_mt/train", "size": "64 x 64", "precision": "bfloat16", "error": "it waits"},
        {"kind": "reference", **step, "precision": "float32", "how": "reference", "seconds": 0.1},
        {"kind": "speed", **step, "precision": "bfloat16", "how": "host", "seconds": 0.05, "peak_bytes": 2e9,
         "flops": 1e12, "bytes": 2e10, "calls": 900},
        {"kind": "speed", **step, "precision": "bfloat16", "how": "graph", "seconds": 0.025, "peak_bytes": 3e9},
        {"kind": "fused", **step, "precision": "bfloat16", "how": "fused graph", "error": "no compiler"},
        {"kind": "run", "name": "ua_mt", "status": "ok", "steps": 7, "device_seconds": 3.0, "dice": 0.5},
    ]  # fmt: skip
    text = markdown(rows, {"speed 2D": "9 s", "runs": "left out"})
    assert "- GPU: 4.00 TB/s" in text
    assert "| correct | ua_mt/train | 64 x 64 | float32 | 1.0e-05 | 1.0e-01 | DIFFERS |" in text
    assert "| guard | ua_mt/train | 64 x 64 | bfloat16 |  |  | it waits |" in text
    # 1e12 operations take 10 ms, 2e10 bytes 5 ms; 10 of 25 ms
    assert "| ua_mt/train | 10.0 | 20.0 | 40.0 |  | 4.00 | 2.00, 3.00 | 40% | fused graph: no compiler |" in text
    assert "| ua_mt | ok | 7 | 3.0 | 0.5000 |" in text
    assert "| runs | left out |" in text


def test_full_size_runs_share_what_is_left(tmp_path: Path):
    assert runs.device_seconds(3 * (runs.OVERHEAD_SECONDS + 40), 3) == 40
    assert runs.device_seconds(3 * (runs.OVERHEAD_SECONDS + 9), 3) == 0
    runs.write_suite(tmp_path / "device_bench.yaml", 40, compiled=True)
    suite = load_suite(tmp_path / "device_bench.yaml")
    plan = make_plan(suite, unprepared(dataset_of(suite)))
    commands = [part.command for part in runs.parts(suite.path, 40, tmp_path, tmp_path)]
    assert [str(planned) for planned in plan.planned_runs] == [command[4] for command in commands]
    assert {final.run.engine.compile for final in plan.finals} == {True}


@pytest.mark.slow
def test_the_command_measures_what_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--minutes", "30", "--out", str(tmp_path / "out"), "--parts", "ceilings", "--small"]
    assert device_bench.main(options) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["parts"]) == ["ceilings"]
    assert {row["kind"] for row in results["rows"]} == {"ceilings"}
    assert capsys.readouterr().out.startswith("# Benchmark of a GPU")
