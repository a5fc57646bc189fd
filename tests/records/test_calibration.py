import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.api.strict import digest
from harness.records.budget import Budget
from harness.records.calibration import (
    Calibration,
    CalibrationHeader,
    EntryCost,
    EntryKey,
    Fingerprint,
    StageCost,
    StagePlan,
    TooFewStepsError,
    judge_cells,
    judge_pace,
    resolve,
)
from harness.records.schema import CalibrationRef, Pace, Preprocessing

KEY = EntryKey(method="two_stages", method_version=1, params={"passes": 8}, engine={}, stages=("first", "last"))


def stage(name, ratio, start=0.0, events=0.0, reference=0.5):
    pairs = ((reference * 0.9, ratio * reference * 0.9), (reference * 1.1, ratio * reference * 1.1))
    return StageCost(name=name, pairs=pairs, start=(start * reference,), events=(events * reference,) if events else ())


def steps(budget):
    return [each.steps for each in budget.stages or ()]


def test_steps_by_hand():
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


def test_a_stage_under_20_steps_is_refused():
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
def test_what_is_resolved_costs_the_budget(total, stages):
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


def test_the_spread_is_that_of_a_ratio_of_means():
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        reference = generator.gamma(100.0, 0.01, 30)
        own = 2.0 * generator.gamma(100.0, 0.01, 30)
        measured = StageCost(name="s", pairs=tuple(zip(reference, own, strict=True)), start=(0.0,))
        inside += abs(measured.ratio - 2.0) <= measured.spread * measured.ratio
    assert abs(inside / 400 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 400)


def test_samples_that_were_edited_are_refused():
    content = json.loads(EntryCost.of(KEY, [stage("train", 2.0)]).model_dump_json())
    assert EntryCost.model_validate(content).key == KEY
    content["stages"][0]["pairs"][0][1] *= 0.5
    with pytest.raises(ValidationError, match=r"samples of two_stages \(passes=8\) are not those that were measured"):
        EntryCost.model_validate(content)


HEADER = CalibrationHeader(
    protocol_version=2,
    dataset="acdc",
    channels=1,
    n_classes=4,
    preprocessing=Preprocessing(size=(96, 96)),
    engine={"batch_size": 8},
    fingerprint=Fingerprint(device_type="cpu", device_model="a processor", device={}, software={"torch": "2"}),
    reference=(0.3,),
    measured_at="2026-11-28T12:00:00+00:00",
)
DEVICE = digest(HEADER.fingerprint.model_dump(mode="json"))


def paces(costs, device=DEVICE):
    """Three supervised steps of 0.3 s at each of several validations, beside steps of so many times that."""
    return [Pace(stage="train", reference=(0.3,) * 3, own=(0.3 * cost,) * 3, device=device) for cost in costs]


@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.96, "holds"), (1.04, "holds"), (0.92, "marked"), (1.11, "not ranked")]
)
def test_a_cost_that_was_calibrated_too_low_is_not_ranked(factor, verdict):
    judged = judge_pace(paces([2.0 * factor] * 10), 2.0, HEADER)
    assert judged.deviation == pytest.approx(factor - 1.0)
    assert (judged.samples, judged.verdict) == (30, verdict)


def test_a_cell_is_judged_by_the_worst_of_its_configurations():
    """Two studies of a search chose them; the first costs 40 % more than calibrated."""
    costs = [EntryCost.of(KEY, [stage("train", ratio)]) for ratio in (2.0, 3.0)]
    runs = (
        ("m@3", CalibrationRef(header=HEADER.hash, entry=cost.digest), paces([own] * 10))
        for cost, own in zip(costs, (2.8, 3.0), strict=True)
    )
    judged = judge_cells(runs, [Calibration(header=HEADER, entries=tuple(costs))])
    assert judged["m@3", "train"].verdict == "not ranked"


def test_nine_samples_of_three_steps_judge_nothing():
    assert judge_pace(paces([9.0] * 9), 2.0, HEADER).verdict == "not judged"


@pytest.mark.parametrize(("factor", "verdict"), [(1.3, "marked"), (1.6, "not ranked")])
def test_another_device_may_differ_by_more(factor, verdict):
    mixed = paces([2.0 * factor] * 9) + paces([2.0 * factor], device="f" * 64)
    assert judge_pace(mixed, 2.0, HEADER).verdict == verdict
