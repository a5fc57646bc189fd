"""A pool of child processes: all results, deaths that harm no other run, a stop that is passed on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.execution.process import make_order, parent_and_allowance
from harness.execution.process_pool import ProcessPool, pool_devices
from harness.execution.session import Session
from harness.records.schema import Run
from harness.train.stop import StopFlag
from tests.train.fixtures import MakeTiny
from tests.train.test_run import assert_same_numbers
from tests.train.tiny import train

pytestmark = pytest.mark.slow


def pool_of(session: Session, stop: StopFlag, seen: set[str]) -> ProcessPool:
    def tick(running: list[Run]) -> None:
        seen.update(run.id for run in running)

    return ProcessPool(session, [None, None], 0.3, stop, tick)


def test_runs_side_by_side_with_a_death_among_them(make_tiny: MakeTiny, tmp_path: Path) -> None:
    """One good run, one that is killed once, one that is killed whenever it starts, and one that raises."""
    tiny = make_tiny(
        {
            "tiny_staged": {},
            "tiny_mortal": {"die_before_step": 25, "deaths": 1, "tally": str(tmp_path / "mortal")},
            "tiny_doomed": {"die_before_step": 12, "deaths": 99, "tally": str(tmp_path / "doomed")},
            "tiny_error": {},
        },
        budget={"steps": 40},
    )
    session, seen = tiny.session(), set[str]()
    outcomes = {outcome.run: outcome for outcome in pool_of(session, StopFlag(), seen).run(session.pending())}
    by_method = {run.method: outcomes[run.id] for run in session.plan.runs}
    assert {method: outcome.status for method, outcome in by_method.items()} == {
        "tiny_staged": "ok",
        "tiny_mortal": "ok",
        "tiny_doomed": "failed",
        "tiny_error": "failed",
    }
    assert by_method["tiny_doomed"].message == "killed: its process died 2 times (signal 9)"
    assert len((tmp_path / "doomed").read_text(encoding="utf-8")) == 2, "started twice, and no more"
    assert seen == {run.id for run in session.plan.runs}
    inline = make_tiny({"tiny_staged": {}}, budget={"steps": 40})
    train(inline, "tiny_staged/2/0/0")
    for planned_run in ("tiny_staged/2/0/0", "tiny_mortal/2/0/0"):
        assert_same_numbers(tiny.folder(planned_run), inline.folder("tiny_staged/2/0/0"))


def test_a_stop_is_passed_on_and_starts_nothing_more(make_tiny: MakeTiny) -> None:
    tiny = make_tiny({"tiny_staged": {"pause_seconds": 0.1}}, budget={"steps": 400}, seeds=[0, 1, 2])
    session, stop = tiny.session(), StopFlag()
    first, second, third = (session.folder(run) for run in session.plan.runs)

    def tick(_running: list[Run]) -> None:
        if first.ledger.spent().useful_steps and second.ledger.spent().useful_steps:
            stop.set("SIGTEST")

    outcomes = list(ProcessPool(session, [None, None], 1000.0, stop, tick).run(session.pending()))
    assert [outcome.status for outcome in outcomes] == ["interrupted"] * 2
    for folder in (first, second):
        assert folder.checkpoint.exists()
        assert folder.ledger.spent().lost_steps == 0
        assert not folder.lease.path.exists()
    assert not third.log.exists()


def test_a_log_that_cannot_be_written_refuses_the_run(make_tiny: MakeTiny) -> None:
    session = make_tiny({"tiny_short": {}}, budget={"steps": 4}).session()
    session.folder(session.plan.runs[0]).log.mkdir()
    (outcome,) = pool_of(session, StopFlag(), set()).run(session.pending())
    assert (outcome.status, outcome.exit_code) == ("refused", 74)
    assert "cannot write" in outcome.message


@pytest.mark.parametrize(
    ("visible", "size", "devices"),
    [
        ("", 2, [None, None]),
        ("0", 1, ["0"]),
        ("2,5,7", 2, ["2", "5"]),
        ("GPU-8a,GPU-9b", 4, ["GPU-8a", "GPU-9b"]),
    ],
)
def test_runs_side_by_side_have_a_gpu_each(
    visible: str, size: int, devices: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert pool_devices(size) == devices


@pytest.mark.parametrize(("gpus", "devices"), [(0, [None] * 3), (2, ["0", "1"])])
def test_without_the_variable_torch_says_which_gpus_there_are(
    gpus: int, devices: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert pool_devices(3) == devices


def test_a_child_hears_its_driver_its_allowance_and_its_devices(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_tiny({"tiny_short": {}}).session()
    (run,) = session.plan.runs
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert make_order(session, run, 1.0).environment()["CUDA_VISIBLE_DEVICES"] == "0,1"
    order = make_order(session, run, 1.0, allowance=2.5, devices="1")
    environment = order.environment()
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["HARNESS_DRIVER"]) == ("1", str(os.getpid()))
    assert parent_and_allowance() == (None, float("inf"))
    for name in ("HARNESS_PARENT", "HARNESS_ALLOWANCE"):
        monkeypatch.setenv(name, environment[name])
    assert parent_and_allowance() == (os.getpid(), 2.5)
