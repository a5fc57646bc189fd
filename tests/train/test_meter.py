import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import cycle, islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Progress
from harness.records.budget import Budget, StageSteps
from harness.train.clock import Phases, StepClock
from harness.train.meter import Meter, ReplayMeter

LATENCY = 10
"""A device clock may report so many steps late (DESIGN: synchronised every 10 steps or so)."""


@dataclass
class FakeClock(StepClock):
    """Step times from a script; known at once (`every` = 1) or in batches, as events on a device are."""

    script: Sequence[float]
    every: int = 1
    issued: int = 0
    unread: list[float] = field(default_factory=list)

    @property
    def pending(self):
        return len(self.unread)

    def start(self):
        pass

    def stop(self):
        self.unread.append(self.script[self.issued % len(self.script)])
        self.issued += 1
        return self.flush() if len(self.unread) >= self.every else []

    def flush(self):
        known, self.unread = self.unread, []
        return known


@dataclass
class Trace:
    """What one run did: (stage, progress before the step, known to be exact) per step, and where each stage ended."""

    progress: list[tuple[int, Progress, bool]] = field(default_factory=list)
    stage_ends: list[tuple[float, int]] = field(default_factory=list)


def spend(meter, clock, limit=10**9, allowance=math.inf):
    trace = Trace()
    while True:
        while meter.may_step(clock.pending) and len(trace.progress) < limit:
            if not meter.fits(allowance, clock.pending):
                for seconds in clock.flush():
                    meter.charge(seconds)
                if not meter.fits(allowance):
                    return trace
            trace.progress.append((meter.stage, meter.progress(clock.pending), clock.pending == 0))
            clock.start()
            known = clock.stop()
            meter.count_step()
            for seconds in known:
                meter.charge(seconds)
        for seconds in clock.flush():
            meter.charge(seconds)
        if meter.may_step():
            return trace
        trace.stage_ends.append((meter.seconds, meter.steps))
        if not meter.next_stage():
            return trace


times = st.lists(st.floats(0.05, 8.0), min_size=1, max_size=40)
# Shares as integer weights: they add up to 1 up to rounding.
shares = st.lists(st.integers(1, 20), min_size=1, max_size=5).map(lambda w: [part / sum(w) for part in w])
seconds_budgets = st.floats(0.5, 20.0).map(lambda amount: Budget(device_seconds=amount))
steps_budgets = st.integers(1, 200).map(lambda amount: Budget(steps=amount))


@given(
    budget=steps_budgets,
    weights=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    script=times,
    every=st.integers(1, LATENCY),
)
def test_steps_are_exactly_the_budget_and_stages_end_at_the_rounded_sums_of_shares(budget, weights, script, every):
    meter = Meter(budget, [weight / sum(weights) for weight in weights])
    clock = FakeClock(script, every)
    trace = spend(meter, clock)
    assert clock.issued == meter.steps == budget.steps == len(trace.progress)
    assert meter.seconds == pytest.approx(sum(islice(cycle(script), meter.steps)))
    for k, (_, steps) in enumerate(trace.stage_ends):
        exact = Fraction(budget.steps * sum(weights[: k + 1]), sum(weights))
        assert abs(steps - exact) <= Fraction(1, 2) + Fraction(1, 10**9)


@given(budget=seconds_budgets, parts=shares, script=times, every=st.integers(1, LATENCY))
def test_device_seconds_end_within_the_steps_that_were_pending(budget, parts, script, every):
    meter = Meter(budget, parts)
    spend(meter, FakeClock(script, every))
    taken = list(islice(cycle(script), meter.steps))
    assert meter.seconds == pytest.approx(sum(taken), rel=1e-9)
    assert meter.longest_step_seconds == max(taken)
    assert abs(meter.seconds - budget.amount) <= every * max(taken) * (1 + 1e-9)
    assert meter.steps >= 1


def test_the_reserve_by_hand():
    """Budget 10, steps of 3: three unreserved steps reach 9, a fourth would need 12. Steps of 2.5 fit four times."""
    for cost, steps, total in ((3.0, 3, 9.0), (2.5, 4, 10.0), (11.0, 1, 11.0), (4.0, 3, 12.0)):
        meter = Meter(Budget(device_seconds=10), [1.0])
        spend(meter, FakeClock([cost]))
        assert (meter.steps, meter.seconds) == (steps, total), cost


def test_the_reserve_forgets_a_slow_step_after_twenty_others():
    """One step of 5 among steps of 0.5, budget 30: within its last 20 steps it is reserved for, later it is not."""
    early = Meter(Budget(device_seconds=30), [1.0])
    spend(early, FakeClock([5.0] + [0.5] * 100))
    assert early.seconds == 30.0  # 50 quick steps after the slow one: long forgotten
    late = Meter(Budget(device_seconds=30), [1.0])
    spend(late, FakeClock([0.5] * 45 + [5.0] + [0.5] * 100))
    assert late.seconds == 27.5  # 22.5 + 5, and then 27.5 + 5 > 30


def test_first_three_steps_of_each_stage_run_unreserved_and_their_excess_is_carried():
    """Budget 12 in thirds, steps of 3 in all stages: a stage ends where the *sum* of shares ends, 4, 8, 12."""
    meter = Meter(Budget(device_seconds=12), [1 / 3, 1 / 3, 1 / 3])
    trace = spend(meter, FakeClock([3.0]))
    # pre: 0 -> 3 -> 6 (3 < 4 starts); second: 6 -> 9; third: 9 -> 12
    assert trace.stage_ends == [(6.0, 2), (9.0, 3), (12.0, 4)]
    assert meter.stage_steps == [2, 1, 1]
    assert meter.stage_seconds == [6.0, 3.0, 3.0]


@given(budget=seconds_budgets | steps_budgets, parts=shares, script=times, every=st.integers(1, LATENCY))
def test_progress_stays_in_bounds_and_rises_and_restarts_with_each_stage(budget, parts, script, every):
    trace = spend(Meter(budget, parts), FakeClock(script, every))
    seen: dict[int, list[tuple[Progress, bool]]] = {}
    for stage, progress, exact in trace.progress:
        assert 0.0 <= progress.run <= 1.0
        assert 0.0 <= progress.stage <= 1.0
        seen.setdefault(stage, []).append((progress, exact))
    for rows in seen.values():
        assert rows[0][0].stage == 0.0
        assert [progress.step for progress, _ in rows] == list(range(len(rows)))
        exact_rows = [progress for progress, exact in rows if exact]
        for before, after in pairwise(exact_rows):  # between two readings progress is an estimate and may step back
            assert before.run < after.run
            assert before.stage < after.stage
    exact_runs = [progress.run for _, progress, exact in trace.progress if exact]
    assert exact_runs == sorted(exact_runs)


@given(budget=seconds_budgets | steps_budgets, parts=shares, script=times, stop=st.integers(0, 80))
def test_a_meter_that_was_saved_and_loaded_goes_on_as_if_nothing_had_happened(budget, parts, script, stop):
    whole, whole_clock = Meter(budget, parts), FakeClock(script)
    first = spend(whole, whole_clock, stop)
    state = json.loads(json.dumps(whole.state_dict()))  # plain values only: a checkpoint keeps nothing else
    rest = spend(whole, whole_clock)
    resumed = Meter(budget, parts)
    resumed.load_state_dict(state)
    clock = FakeClock(script, issued=len(first.progress))
    again = spend(resumed, clock)
    assert again == rest
    assert resumed.state_dict() == whole.state_dict()


@given(budget=seconds_budgets | steps_budgets, parts=shares, script=times, every=st.integers(1, LATENCY))
def test_a_replay_feeds_the_recorded_series_to_the_bit(budget, parts, script, every):
    recorded = spend(Meter(budget, parts), FakeClock(script, every))
    series = [(stage, progress.run, progress.stage) for stage, progress, _ in recorded.progress]
    meter = ReplayMeter(budget, parts, series)
    replayed = spend(meter, FakeClock([123.0]))  # its own clock must not matter
    assert [(stage, progress) for stage, progress, _ in replayed.progress] == [
        (stage, progress) for stage, progress, _ in recorded.progress
    ]
    assert meter.steps == len(series)


@given(budget=steps_budgets, parts=shares, script=times, allowance=st.integers(0, 250), every=st.integers(1, LATENCY))
def test_an_allowance_of_steps_is_kept_exactly(budget, parts, script, allowance, every):
    meter = Meter(budget, parts)
    spend(meter, FakeClock(script, every), allowance=allowance)
    assert meter.steps == min(allowance, budget.amount)


allowances = st.floats(0.0, 25.0)


@given(budget=seconds_budgets, parts=shares, script=times, allowance=allowances)
def test_an_allowance_of_seconds_ends_within_one_step_of_itself(budget, parts, script, allowance):
    meter, free = Meter(budget, parts), Meter(budget, parts)
    spend(meter, FakeClock(script), allowance=allowance)
    spend(free, FakeClock(script))
    longest = max(islice(cycle(script), meter.steps), default=max(script))
    assert meter.seconds <= allowance + longest * (1 + 1e-9)
    if meter.seconds < free.seconds:
        assert meter.seconds > allowance - longest * (1 + 1e-9)
    else:
        assert meter.state_dict() == free.state_dict()


def test_the_thread_clock_charges_work_and_not_waiting():
    import time

    clock = StepClock()
    clock.start()
    time.sleep(0.2)
    (asleep,) = clock.stop()
    clock.start()
    until = time.thread_time() + 0.1
    while time.thread_time() < until:
        pass
    (at_work,) = clock.stop()
    assert asleep < 0.05
    assert 0.1 <= at_work < 0.2
    assert (clock.pending, clock.flush()) == (0, [])


@st.composite
def reference_budgets(draw):
    parts = draw(shares)
    steps = draw(st.lists(st.integers(1, 40), min_size=len(parts), max_size=len(parts)))
    stages = [
        StageSteps(name=str(k), share=part, steps=own) for k, (part, own) in enumerate(zip(parts, steps, strict=True))
    ]
    return Budget(reference_steps=draw(st.integers(1, 1000)), stages=tuple(stages)), parts


@given(asked=reference_budgets(), script=times, every=st.integers(1, LATENCY))
def test_reference_steps_give_each_stage_its_steps_and_its_share(asked, script, every):
    budget, parts = asked
    meter = Meter(budget, parts)
    trace = spend(meter, FakeClock(script, every))
    assert meter.stage_steps == [stage.steps for stage in budget.stages]
    counts = Counter(stage for stage, _, _ in trace.progress)
    done = 0
    for stage, progress, _ in trace.progress:
        own = budget.stages[stage].steps
        within = progress.step / own
        assert progress.stage == pytest.approx(within)
        assert progress.run == pytest.approx(sum(parts[:stage]) + parts[stage] * within)
        assert budget.spent(done, 0.0) == pytest.approx(budget.amount * progress.run)
        done += 1
    assert counts == {k: stage.steps for k, stage in enumerate(budget.stages)}
    assert budget.spent(done, 0.0) == pytest.approx(budget.amount)


def test_whole_stages_come_to_the_budget_to_the_bit():
    stages = StageSteps(name="first", share=1 / 3, steps=409), StageSteps(name="second", share=2 / 3, steps=810)
    budget = Budget(reference_steps=2000, stages=stages)
    assert budget.spent(1219, 0.0) == 2000.0
    assert budget.spent(1219 + 405, 0.0) == pytest.approx(2000 + 2000 / 3), "what is too much counts, too"


def test_phases_and_the_remainder_are_the_wall_time():
    """A phase inside another takes its time from it; what lies outside of all is unaccounted for."""
    times = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    phases = Phases(lambda: next(times))
    with phases("train"), phases("eval"):
        pass
    assert phases.seconds() == {"train": 2.0 + 4.0, "eval": 3.0, "unaccounted": 1.0 + 5.0}
