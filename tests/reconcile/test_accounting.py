from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.api.errors import RecordError
from harness.reconcile.reconcile import parse, read_dead_node_seconds, read_tres
from tests.slurm.submissions import path_with, stand_in

GOLDEN = Path(__file__).with_name("sacct.txt")


@pytest.fixture
def golden():
    return parse([line.split("|") for line in GOLDEN.read_text().splitlines()])


def test_a_requeued_job_has_a_line_for_each_of_its_runs(golden):
    runs = [one for one in golden if one.job == "4"]
    assert [(one.state, one.elapsed_seconds) for one in runs] == [("REQUEUED", 21), ("COMPLETED", 63)]
    assert runs[0].start == datetime(2026, 11, 25, 2, 52, 53, tzinfo=UTC).timestamp()
    assert runs[0].end == runs[0].start + 21
    assert sum(one.allocated for one in golden if one.job == "5") == 2 * (24 + 71)


def test_tasks_of_an_array_keep_both_numbers(golden):
    tasks = {one.name: one for one in golden if one.array == "10"}
    assert {name: one.job for name, one in tasks.items()} == {"10_0": "11", "10_1": "10"}
    assert (tasks["10_0"].state, tasks["10_0"].open) == ("CANCELLED", False)
    assert (tasks["10_1"].state, tasks["10_1"].open) == ("RUNNING", True)
    assert tasks["10_1"].end == tasks["10_1"].start + 61, "of a running job: the moment of the question"


def test_what_never_started_is_no_allocation(golden):
    assert {one.job for one in golden}.isdisjoint({"13", "17"})


@pytest.mark.parametrize(
    ("tres", "expected"),
    [
        ("billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=64G,node=1", ("gpu:a100", "GPU", 2)),
        ("cpu=8,gres/gpu:a100=1,gres/gpu:h100=3,gres/gpu=4", ("gpu:a100+h100", "GPU", 4)),
        ("cpu=8,gres/gpumem=5G,gres/gpu=1", ("gpu", "GPU", 1)),
        ("billing=3,cpu=3,mem=1G,node=1", (None, "CPU", 3)),
        ("cpu=3,gres/gpu=0", (None, "CPU", 3)),
    ],
)
def test_tres(tres, expected):
    assert read_tres(tres) == expected


@pytest.mark.parametrize("line", ["1|1|COMPLETED", "1|1|COMPLETED|yesterday||3|cpu=1|node1"])
def test_other_output_is_refused(line):
    with pytest.raises(RecordError, match="sacct"):
        parse([line.split("|")])


def test_a_cluster_says_how_long_a_dead_node_goes_unnoticed(tmp_path, monkeypatch):
    said = "KillOnBadExit           = 0\nKillWait                = 2 sec\nSlurmdTimeout     = 10 sec"
    stand_in(tmp_path, "scontrol", f"echo '{said}'")
    monkeypatch.setenv("PATH", path_with(tmp_path))
    assert read_dead_node_seconds() == 12.0
