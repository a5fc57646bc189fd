from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api.errors import ClosedSplitError
from harness.data.permit import TestPermit
from harness.records.suite_folder import SuiteFolder, candidates_digest
from harness.search.run import decide
from tests.search.suites import RATE, end, plan_of, result_of, store_of, trials_of
from tests.synthetic import edit_record

ENDINGS = st.tuples(
    st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.75]), st.sampled_from(["ok", "ok", "failed", "ended_early"])
)
"""Dice of the last validation, None without any validation, and how the trial ended."""


def decided(plan, root, endings):
    store = store_of(root, plan)
    for planned in plan.trials:
        end(store.by_id(planned.run.id), *endings(planned))
    return *decide(plan, plan.trials, store), store


def chosen(selection):
    candidates = selection.candidates or []
    return {(one.trial.entry, one.trial.study): one.trial.point for one in candidates if one.chosen}


def scores(*dice):
    return lambda planned: (dice[planned.trial.point], "ok")


THIRD_BEST = scores(0.5, 0.4, 0.8, 0.7)


@pytest.fixture(scope="module")
def two_studies(tmp_path_factory):
    return plan_of(tmp_path_factory.mktemp("select"), {"methods": {"ua_mt": None}}, trials=3, studies=2)


@given(endings=st.lists(ENDINGS, min_size=6, max_size=6), shuffle=st.randoms(use_true_random=False))
def test_the_rule_re_derived(endings, shuffle, two_studies):
    plan, store = two_studies, Mock(spec=SuiteFolder)
    results = {each.run.id: result_of(each.run.id, *ending) for each, ending in zip(plan.trials, endings, strict=True)}
    store.by_id.side_effect = lambda run: SimpleNamespace(require_result=lambda: results[run])
    _, selection = decide(plan, plan.trials, store)

    expected = {}
    for study in (0, 1):
        held = [(one.trial.point, endings[plan.trials.index(one)]) for one in trials_of(plan, "ua_mt", study)]
        valid = [(-dice, point) for point, (dice, status) in held if status == "ok" and dice is not None]
        if valid:
            expected["ua_mt", study] = min(valid)[1]
    assert chosen(selection) == expected

    mixed = list(plan.trials)
    shuffle.shuffle(mixed)
    _, again = decide(plan, mixed, store)
    assert again.entries == selection.entries
    assert chosen(again) == chosen(selection)


def test_seed_k_takes_what_study_k_chose(tmp_path):
    """Study 0 finds point 2 best, study 1 point 3; seeds 5, 6, 7 take studies 0, 1, 0."""
    plan = plan_of(tmp_path, {"seeds": [5, 6, 7]}, studies=2)
    after, selection, _ = decided(
        plan, tmp_path, lambda one: (0.9 if one.trial.point == 2 + one.trial.study else 0.1, "ok")
    )
    best = {study: trials_of(plan, "ua_mt", study)[2 + study] for study in (0, 1)}
    for planned in (one for one in after.finals if one.planned_run.entry == "ua_mt"):
        mine = best[{5: 0, 6: 1, 7: 0}[planned.planned_run.seed]]
        assert planned.trial == mine.trial
        assert planned.run.params == mine.run.params
        assert (planned.run.role, planned.run.seed) == ("final", planned.planned_run.seed)
    assert [entry.run for entry in selection.entries] == [one.run.id for one in after.finals]


def test_finals_take_the_searched_engine_settings_and_the_suites_validations(tmp_path):
    rows = {"supervised": None, "ua_mt": {"engine": {"optimiser": {"momentum": 0.5}}}}
    plan = plan_of(tmp_path, {"methods": rows}, engine=RATE)
    after, selection, _ = decided(plan, tmp_path, THIRD_BEST)
    for planned in after.finals:
        trial = trials_of(plan, planned.planned_run.entry)[2].run
        assert planned.run.engine.optimiser == trial.engine.optimiser
        assert (planned.run.engine.validations, trial.engine.validations) == (5, 2)
        assert planned.run.budget.steps == 100
    assert {one.run.engine.optimiser.momentum for one in after.finals} == {0.9, 0.5}
    assert all(entry.engine is not None and entry.engine.validations == 5 for entry in selection.entries)


def _permit(store, selection, tmp_path):
    store.write_selection(selection)
    (tmp_path / "final.json").write_text("{}")
    return TestPermit(store.selection_path, selection.entries[0].run, tmp_path / "final.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw["candidates"][0].update(score=0.99),
        lambda raw: raw["candidates"].pop(),
        lambda raw: raw.update(digest=None),
    ],
    ids=["score", "one fewer", "no digest"],
)
def test_the_test_split_stays_closed_for_a_selection_that_was_changed(change, tmp_path):
    _, selection, store = decided(plan_of(tmp_path), tmp_path, THIRD_BEST)
    assert selection.digest == candidates_digest(selection.candidates)
    permit = _permit(store, selection, tmp_path)
    permit.check()
    edit_record(store.selection_path, change)
    with pytest.raises(ClosedSplitError, match="its candidates are not those that it was made from"):
        permit.check()


def test_the_test_split_stays_closed_for_a_trial(tmp_path):
    plan, selection, store = decided(plan_of(tmp_path), tmp_path, THIRD_BEST)
    permit = _permit(store, selection, tmp_path)
    for planned in plan.trials:
        with pytest.raises(ClosedSplitError, match="does not name run"):
            TestPermit(permit.selection, planned.run.id, permit.final).check()
