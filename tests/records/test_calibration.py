"""Steps that reference steps buy, by hand, and what makes a file a calibration."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.records.budget import Budget
from harness.records.calibration import EntryCost, EntryKey, StageCost, StagePlan, TooFewStepsError, resolve

KEY = EntryKey(method="two_stages", method_version=1, params={"passes": 8}, engine={}, stages=("first", "last"))


def stage(name: str, ratio: float, start: float = 0.0, events: float = 0.0, reference: float = 0.5) -> StageCost:
    """A stage whose steps cost `ratio` supervised ones of half a second; start and events in supervised steps."""
    pairs = ((reference * 0.9, ratio * reference * 0.9), (reference * 1.1, ratio * reference * 1.1))
    return StageCost(name=name, pairs=pairs, start=(start * reference,), events=(events * reference,) if events else ())


def steps(budget: Budget) -> list[int]:
    return [each.steps for each in budget.stages or ()]


def test_steps_by_hand() -> None:
    """1000 reference steps; a third at 0.7 each with a start of 3: floor((333.33 - 3) / 0.7) = 471.

    It used 471 x 0.7 + 3 = 332.7, so the last stage has 667.3: less 100 events of 0.2 and a start of 1, 646.3; at 2.5
    each that is 258.
    """
    cost = EntryCost.of(KEY, [stage("first", 0.7, start=3.0), stage("last", 2.5, start=1.0, events=0.2)])
    plans = [StagePlan(name="first", share=1 / 3), StagePlan(name="last", share=2 / 3, events=100)]
    resolved = resolve(Budget(reference_steps=1000), plans, cost)
    assert steps(resolved) == [471, 258]
    assert [each.share for each in resolved.stages or ()] == [1 / 3, 2 / 3]
    assert resolved.total_steps == 729


def test_the_supervised_entry_gets_its_steps_by_definition() -> None:
    assert steps(resolve(Budget(reference_steps=77), [StagePlan(name="train", share=1.0)], None)) == [77]


def test_a_stage_under_20_steps_is_refused() -> None:
    cost = EntryCost.of(KEY, [stage("first", 1.0), stage("last", 10.0)])
    plans = [StagePlan(name="first", share=0.5), StagePlan(name="last", share=0.5)]
    assert steps(resolve(Budget(reference_steps=400), plans, cost)) == [200, 20]
    with pytest.raises(TooFewStepsError, match=r"398 reference steps leave 19 steps to stage last \(share 0.5\)"):
        resolve(Budget(reference_steps=398), plans, cost)


@given(
    total=st.integers(2000, 50_000),
    stages=st.lists(
        st.tuples(st.integers(1, 9), st.floats(0.3, 5.0), st.floats(0.0, 10.0), st.integers(0, 100), st.floats(0, 0.1)),
        min_size=1,
        max_size=4,
    ),
)
def test_what_is_resolved_costs_the_budget(total: int, stages: list[tuple[int, float, float, int, float]]) -> None:
    """In exact arithmetic: never more than the budget, and less by one step of the last stage at most."""
    weight = sum(part for part, *_ in stages)
    names = [f"stage{index}" for index in range(len(stages))]
    costs = [stage(n, ratio, start, event) for n, (_, ratio, start, _, event) in zip(names, stages, strict=True)]
    plans = [
        StagePlan(name=name, share=part / weight, events=count)
        for name, (part, _, _, count, _) in zip(names, stages, strict=True)
    ]
    resolved = resolve(Budget(reference_steps=total), plans, EntryCost.of(KEY, costs))
    spent = sum(
        Fraction(cost.ratio) * count + Fraction(cost.fixed(plan.events))
        for cost, count, plan in zip(costs, steps(resolved), plans, strict=True)
    )
    assert -1e-6 <= total - spent <= costs[-1].ratio + 1e-6


def test_the_spread_is_that_of_a_ratio_of_means() -> None:
    """Against a simulation: the interval covers the true ratio about as often as it says."""
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        reference = generator.gamma(100.0, 0.01, 30)
        own = 2.0 * generator.gamma(100.0, 0.01, 30)
        measured = StageCost(name="s", pairs=tuple(zip(reference, own, strict=True)), start=(0.0,))
        inside += abs(measured.ratio - 2.0) <= measured.spread * measured.ratio
    assert abs(inside / 400 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 400)


def test_samples_that_were_edited_are_refused() -> None:
    content = json.loads(EntryCost.of(KEY, [stage("train", 2.0)]).model_dump_json())
    assert EntryCost.model_validate(content).key == KEY
    content["stages"][0]["pairs"][0][1] *= 0.5
    with pytest.raises(ValidationError, match=r"samples of two_stages \(passes=8\) are not those that were measured"):
        EntryCost.model_validate(content)


def test_a_step_of_no_time_is_refused() -> None:
    with pytest.raises(ValidationError, match="more than 0 seconds"):
        StageCost(name="s", pairs=((0.1, 0.2), (0.1, 0.0)), start=(0.0,))
