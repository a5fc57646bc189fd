import heapq
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api.errors import UsageError
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.slurm.packing import (
    OVERHEAD,
    RUN_START_SECONDS,
    TASK_START_SECONDS,
    expected_seconds,
    pack_tasks,
    plan_tasks,
)
from harness.slurm.submit import Drafter
from tests.search.suites import plan_of
from tests.slurm.submissions import cluster_of


def walltime(one, seconds, lanes):
    """What a task takes whose runs start in their order, each on the first lane that is free."""
    free = [0.0] * lanes
    for index in one.runs:
        heapq.heappush(free, heapq.heappop(free) + seconds[index])
    return TASK_START_SECONDS + max(free)


@given(seconds=st.lists(st.floats(0, 3000), max_size=60), lanes=st.integers(1, 4), parallel=st.integers(1, 20))
def test_every_run_once_and_none_beyond_the_limit(seconds, lanes, parallel):
    found = pack_tasks(seconds, 3000.0, lanes, parallel)
    assert sorted(index for one in found for index in one.runs) == list(range(len(seconds)))
    for one in found:
        assert walltime(one, seconds, lanes) <= one.seconds * (1 + 1e-9)
        assert one.seconds <= TASK_START_SECONDS + 3000.0 + 1e-6
    assert len(found) >= math.ceil(sum(seconds) / (lanes * 3000.0) - 1e-9)
    assert found == pack_tasks(seconds, 3000.0, lanes, parallel)
    assert [min(one.runs) for one in found] == sorted(min(one.runs) for one in found)


def test_as_many_tasks_as_may_run_at_once_where_they_are_worth_their_start():
    """24 runs of ten minutes would fit one task of four hours; 16 run at once, but six do in an hour what fits ten."""
    assert len(pack_tasks([600.0] * 24, 14_400.0, lanes=1, parallel=16)) == 16
    assert len(pack_tasks([600.0] * 24, 14_400.0, lanes=1, parallel=1)) == 1
    assert len(pack_tasks([60.0] * 24, 14_400.0, lanes=1, parallel=16)) == 2


def test_expected_are_budget_times_factor_and_start_or_what_the_file_says(tmp_path):
    plan = plan_of(tmp_path, {"budget": {"device_seconds": 100}, "search": None})
    store = SuiteRecords(SuiteFolder(tmp_path / "none"))
    plain, told = cluster_of(tmp_path, "time: 60\n"), cluster_of(tmp_path, "time: 60\nrun_time: 3\n")
    assert set(expected_seconds(plan.runs, store, plain)) == {100 * OVERHEAD + RUN_START_SECONDS}
    assert set(expected_seconds(plan.runs, store, told)) == {180.0}


def test_steps_of_unknown_length_get_a_task_each(tmp_path):
    plan = plan_of(tmp_path, {"search": None})
    loaded, store = cluster_of(tmp_path, "time: 60\n"), SuiteRecords(SuiteFolder(tmp_path / "none"))
    assert set(expected_seconds(plan.runs, store, loaded)) == {None}
    names = [plan.names[run.id] for run in plan.runs]
    assert [len(one.runs) for one in plan_tasks(plan.runs, names, store, loaded)] == [1] * len(plan.runs)


def test_a_time_too_short_for_one_run_names_the_run_and_a_time_that_is_enough(tmp_path):
    plan = plan_of(tmp_path, {"budget": {"device_seconds": 3600}, "search": None})
    drafter = Drafter(plan, SuiteRecords(SuiteFolder(tmp_path / "none")), tmp_path, cluster_of(tmp_path, "time: 60\n"))
    with pytest.raises(UsageError) as caught:
        drafter.arrays(plan.runs)
    said = str(caught.value)
    assert "mini.yaml:1: time: too short for one run: supervised/3/0/0 (3600 device seconds)" in said
    enough = int(said.split("set time: ")[1].split(maxsplit=1)[0])
    for time_limit, fits in ((enough, True), (enough - 1, False)):
        loaded = cluster_of(tmp_path, f"time: {time_limit}\n")
        try:
            plan_tasks(plan.runs, list(plan.names.values()), drafter.records, loaded)
            assert fits
        except UsageError:
            assert not fits


def test_arrays_are_no_longer_than_slurm_takes(tmp_path):
    plan = plan_of(tmp_path, {"search": None})
    loaded = cluster_of(tmp_path, "time: 60\nmax_array_size: 3\n")
    drafts = Drafter(plan, SuiteRecords(SuiteFolder(tmp_path / "none")), tmp_path, loaded).arrays(plan.runs)
    assert [len(draft.submission.tasks) for draft in drafts] == [3, 3, 3, 3, 3, 1]
    assert len({draft.submission.name for draft in drafts}) == len(drafts)
    assert [u for d in drafts for b in d.submission.tasks for u in b] == [run.id for run in plan.runs]
