import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reconcile.apportion import (
    AttemptInterval,
    account_by_entry,
    account_for,
    extend_to_process_start,
    find_allocation,
    group_by_job,
    split_by_use,
)
from harness.records.accounts import Allocation, Seconds
from harness.records.ledger import ProcessInfo
from tests.synthetic import ledger_line

START = 1_000_000.0
MINUTE = Allocation(
    job="7",
    name="7",
    state="COMPLETED",
    node="node1",
    gres="gpu",
    currency="GPU",
    devices=1,
    started_at="1970-01-12T13:46:40+00:00",
    elapsed_seconds=60,
    open=False,
)
"""Of a job with one GPU, from START on."""


def changed(**changes):
    """That minute with other fields. start: in seconds of the job."""
    if "start" in changes:
        changes["started_at"] = datetime.fromtimestamp(START + changes.pop("start"), UTC).isoformat()
    if "state" in changes:
        changes["open"] = changes["state"] == "RUNNING"
    return MINUTE.model_copy(update=changes)


def interval(begin, last, run="u", entry="ua_mt", **changes):
    """An attempt that trained all the time from `begin` to `last`, in seconds of the job, and said that it ended."""
    process = ProcessInfo(host="node1", pid=1, process_started_at=None, gpu_uuid=None, job="7")
    seconds = Seconds(useful=last - begin)
    whole = AttemptInterval(
        run, entry, 0, process, START + begin, START + last, None, ended=True, started=True, seconds=seconds
    )
    return replace(whole, **changes)


def test_a_run_alone_by_hand():
    """60 s: 3 to the process, 55 of it, 2 after it."""
    parts = Seconds(start_up=7, useful=40, evaluation=5, checkpoint=2, unexplained=1)
    found = account_for(MINUTE, [interval(3, 58, seconds=parts)], 12.0)
    assert found.seconds == Seconds(useful=40, evaluation=5, checkpoint=2, start_up=10, idle=2, unexplained=1)
    assert found.seconds.total == found.allocated == 60
    assert found.tolerated_seconds == pytest.approx(0.02 * 60 + 2)
    assert not found.violation
    assert (found.seconds.ledger, found.seconds.training) == (57, 40)


def test_three_runs_on_two_gpus_by_hand():
    """2 GPUs x 60 s. One process from 5 to 55; beside it one from 10 to 20 and one from 30 to 60: 120 - 2 x 5 - 90."""
    allocation = changed(devices=2)
    intervals = [interval(5, 55, "a"), interval(10, 20, "b", "mc_net"), interval(30, 60, "c", "mc_net")]
    found = account_for(allocation, intervals, 0.0)
    assert found.seconds == Seconds(useful=90, start_up=10, idle=20)
    first, second = account_by_entry([found])
    assert (first.entry, first.attempts, first.allocated) == ("ua_mt", 1, 50 + 30 * 50 / 90)
    assert (second.entry, second.attempts) == ("mc_net", 2)
    assert second.seconds.idle == pytest.approx(20 * 40 / 90)
    assert first.allocated + second.allocated == pytest.approx(120)
    assert first.training_share == first.seconds.useful / first.allocated


def test_a_killed_run_lost_what_it_did_after_its_last_word_but_no_more_than_a_heartbeat():
    killed = interval(0, 57, ended=False)
    assert account_for(MINUTE, [killed], 0.0).seconds == Seconds(useful=57, lost=3)
    silent = account_for(MINUTE, [interval(0, 30, ended=False)], 0.0)
    assert silent.seconds == Seconds(useful=30, lost=5, unexplained=25)
    assert silent.violation
    starting = interval(0, 57, ended=False, started=False, seconds=Seconds(start_up=57))
    assert account_for(MINUTE, [starting], 0.0).seconds == Seconds(start_up=60)


def test_a_cancelled_run_may_write_its_checkpoint_after_slurm_has_stopped_charging():
    cancelled = changed(state="CANCELLED")
    late = account_for(cancelled, [interval(2, 68)], 0.0)
    assert late.seconds == Seconds(useful=66, start_up=2, unexplained=-8)
    assert late.tolerated_seconds == pytest.approx(0.02 * 60 + 2 + 8)
    assert not late.violation
    assert account_for(cancelled, [interval(0, 60, seconds=Seconds(useful=68))], 0.0).violation, (
        "all of it within the allocation"
    )
    assert account_for(cancelled, [interval(0, 200)], 0.0).violation, "nobody takes minutes"
    assert account_for(MINUTE, [interval(2, 68)], 0.0).violation, "nobody told it to stop"


def test_where_a_node_died_slurm_may_not_notice_for_a_while():
    dead = [interval(0, 40, ended=False)]
    assert account_for(MINUTE, dead, 12.0).violation
    failed = account_for(changed(state="NODE_FAIL"), dead, 12.0)
    assert failed.seconds.unexplained == 15
    assert failed.tolerated_seconds == pytest.approx(1.2 + 2 + 12)
    assert not failed.violation


def test_an_attempt_belongs_to_the_run_in_which_it_began():
    runs = group_by_job([changed(start=100), MINUTE, changed(job="8", name="8")])
    assert [one.start for one in runs["7"]] == [START, START + 100]
    for begin, start in ((0.5, 0), (-1, 0), (50, 0), (99, 100), (130, 100), (1e5, 100), (-1e5, 0)):
        found = find_allocation(interval(begin, begin + 1), runs)
        assert found is not None
        assert found.start == START + start
    for job in (None, "9"):
        elsewhere = interval(0, 1).process.model_copy(update={"job": job})
        assert find_allocation(interval(0, 1, process=elsewhere), runs) is None


def test_only_the_first_attempt_of_a_process_has_its_start():
    """Born at 1970-01-01T00:01:40; its first attempt began 4 s later. A second process has a birth of its own."""
    process = ProcessInfo(host="n", pid=1, process_started_at="1970-01-01T00:01:40+00:00", gpu_uuid=None, job="7")
    intervals = [
        interval(104 - START, 110 - START, process=process),
        interval(120 - START, 130 - START, "v", process=process),
    ]
    other = interval(120 - START, 130 - START, "w", process=process.model_copy(update={"pid": 2}))
    first, second, third = extend_to_process_start([*intervals, other])
    assert (first.origin, first.seconds) == (100.0, Seconds(useful=6, start_up=4))
    assert (second.origin, second.seconds) == (120.0, Seconds(useful=10))
    assert (third.origin, third.seconds.start_up) == (100.0, 20.0)


def test_phases_by_hand():
    """Of 8 device-seconds 6 count, so three quarters of 12 wall seconds in steps; 2 of 20 seconds have no phase."""
    phases = {"train": 12.0, "eval": 1.0, "checkpoint": 0.5, "log": 0.25, "data": 1.0, "build": 2.0, "warmup": 1.0}
    found = split_by_use(
        ledger_line("end", device_seconds=8.0, wall_seconds={**phases, "unaccounted": 0.25}), 6.0, 20.0
    )
    assert found == Seconds(useful=9, lost=3, evaluation=1, checkpoint=0.75, start_up=4, unexplained=2.25)


moments = st.integers(-50, 700).map(lambda tenths: tenths / 10)


@st.composite
def lives_of(draw):
    found = []
    for number in range(draw(st.integers(0, 6))):
        begin, last = sorted((draw(moments), draw(moments)))
        share = draw(st.floats(0, 1))
        seconds = Seconds(useful=share * (last - begin), unexplained=(1 - share) * (last - begin))
        changes = {name: draw(st.booleans()) for name in ("ended", "started")}
        until = draw(st.none() | moments.map(lambda moment: START + moment))
        entry = draw(st.sampled_from(["a", "b", "c"]))
        found.append(interval(begin, last, str(number), entry, seconds=seconds, until=until, **changes))
    return found


@given(
    intervals=lives_of(),
    devices=st.integers(1, 4),
    elapsed=st.integers(0, 400),
    state=st.sampled_from(["COMPLETED", "NODE_FAIL", "RUNNING"]),
)
def test_the_parts_are_the_allocation_whatever_the_ledgers_say(intervals, devices, elapsed, state):
    allocation = changed(devices=devices, elapsed_seconds=elapsed, state=state)
    found = account_for(allocation, intervals, 12.0)
    assert math.isclose(found.seconds.total, devices * elapsed, abs_tol=1e-6)
    assert found.seconds.idle >= 0
    assert found.violation is (state != "RUNNING" and abs(found.seconds.unexplained) > found.tolerated_seconds)
    entries = account_by_entry([found])
    if intervals:
        assert math.isclose(sum(one.allocated for one in entries), devices * elapsed, abs_tol=1e-6)
        assert sum(one.attempts for one in entries) == len(intervals)
