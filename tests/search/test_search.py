from typing import Any

import pytest

from harness.api.errors import InterruptedRunError, UsageError
from harness.data.permit import TestPermit
from harness.execution.run import ExecuteSettings, execute
from harness.train.replay import replay
from harness.train.run import RunSettings, train_run
from harness.train.stop import StopFlag
from tests.search.tiny_search import files_of, folder_of, make_search, search_inline, store_of, trials_of
from tests.support import cases_of
from tests.train.tiny import StopAfter, lines_of

pytestmark = pytest.mark.slow

METHODS: dict[str, dict[str, Any]] = {"tiny_staged": {}, "tiny_short": {}}
INLINE = ExecuteSettings("inline", 1, 1000.0)
TRIALS = ["tiny_staged/trial/0/0", "tiny_short/trial/0/0", "tiny_staged/trial/0/1", "tiny_staged/trial/0/2"]


@pytest.fixture(scope="module")
def searched(make_tiny):
    tiny = make_search(make_tiny, METHODS)
    search_inline(tiny)
    return tiny


def test_the_search_leaves_points_trials_and_a_selection(searched):
    assert [str(one) for one in trials_of(searched)] == TRIALS
    for name in TRIALS:
        folder = folder_of(searched, name)
        result = folder.require_result()
        assert (result.status, result.spent.useful_steps, len(result.validations)) == ("ok", 12, 2)
        assert (folder.run.role, folder.run.seed, folder.run.subset) == ("search", 100, 1)
    selection = store_of(searched).selection()
    assert selection.rule == "best_validation"
    assert [one.trial for one in selection.candidates or []] == trials_of(searched)
    assert [str(entry.planned_run) for entry in selection.entries] == ["tiny_staged/2/0/0", "tiny_short/2/0/0"]


def test_trials_never_meet_the_test_split(searched):
    names = files_of(searched.store / "runs")
    assert "result.json" in names
    assert {"cases.parquet", "final.json"} & names == set()
    for name in TRIALS:
        assert {line.kind for line in folder_of(searched, name).ledger.lines()}.isdisjoint({"violation"})


@pytest.mark.parametrize("method", ["tiny_peek", "tiny_quiet_peek"])
def test_a_trial_that_validations_at_test_cases_is_found_and_not_chosen(method, make_tiny):
    tiny = make_search(make_tiny, {method: {}})
    session, _, _ = search_inline(tiny)
    folder = folder_of(tiny, f"{method}/trial/0/0")
    assert [line for line in folder.ledger.lines() if line.kind == "violation"]
    (candidate,) = store_of(tiny).selection().candidates or []
    result = folder.require_result()
    if method == "tiny_peek":
        assert (result.status, candidate.chosen, candidate.score) == ("failed", False, None)
    assert len(session.plan.finals) == 1, "the suite's own configuration"


def test_a_final_cannot_start_before_the_selection_exists(make_tiny):
    tiny = make_search(make_tiny, METHODS)
    session = tiny.session()
    assert session.plan.finals == ()
    assert {run.role for run in session.pending()} == {"search"}
    with pytest.raises(UsageError, match="'tiny_staged/2/0/0' names 0 runs"):
        session.find("tiny_staged/2/0/0")
    assert not store_of(tiny).selection_path.exists()


def test_finals_run_after_the_search_and_neither_a_retirement_nor_an_allowance_ends_one(make_tiny):
    tiny = make_search(make_tiny, METHODS)
    session, outcomes, _ = search_inline(tiny)
    assert [outcome.status for outcome in outcomes] == ["ok"] * 4
    final = session.folder(session.find("tiny_staged/2/0/0"))
    selection = session.store.selection_path
    with pytest.raises(InterruptedRunError, match="stopped by SIGTEST after step 8"):
        train_run(final, session.cache, selection, RunSettings(stop=RetireAfter(8)))
    assert not final.done
    train_run(final, session.cache, selection, RunSettings(allowance=3.0))
    execute(session, INLINE, StopFlag())
    for planned in session.plan.finals:
        folder = session.folder(planned.run)
        result = folder.require_result()
        assert (result.status, result.spent.useful_steps) == ("ok", 16)
        assert len(result.validations) == 4, "as many as the suite says"
        TestPermit(session.store.selection_path, folder.id, folder.path / "final.json").check()
        assert set(cases_of(folder)["patient"]) == {"p8", "p9"}


def test_a_search_that_is_stopped_goes_on_to_the_same_selection(searched, make_tiny):
    tiny, stops = make_search(make_tiny, METHODS), 0
    while True:
        session, outcomes, said = search_inline(tiny, StopAfter(9))
        if session.plan.finals:
            break
        stops += 1
        assert outcomes[-1].status == "interrupted"
        assert "trials to go on with); the same command goes on" in said[-1]
        assert not store_of(tiny).selection_path.exists()
    assert stops >= 4
    assert store_of(tiny).selection().candidates == store_of(searched).selection().candidates
    assert [str(one) for one in trials_of(tiny)] == TRIALS


def run_trial(tiny, settings, name=TRIALS[0]):
    session = tiny.session()
    return train_run(folder_of(tiny, name), session.cache, session.store.selection_path, settings)


class RetireAfter(StopAfter):
    """SIGUSR2 after so many steps, as the handler would raise the flag."""

    def set(self, reason):
        self.retired = self.retired or not self.reason
        super().set(reason)


def test_a_retired_trial_ends_for_good_with_the_validations_it_has(make_tiny):
    """12 steps, validations after 6 and 12; retired after 8."""
    tiny = make_search(make_tiny, METHODS)
    result = run_trial(tiny, RunSettings(stop=RetireAfter(8)))
    assert (result.status, result.failure) == ("ended_early", None)
    assert (result.spent.useful_steps, result.spent.lost_steps) == (8, 0)
    assert [validation.step for validation in result.validations] == [6]
    folder = folder_of(tiny, TRIALS[0])
    assert len(folder.history()) == 8
    assert run_trial(tiny, RunSettings()) == result, "nothing goes on"
    assert len(lines_of(folder, 0)) == len(folder.ledger.lines())
    assert replay(folder, tiny.session().cache, StopFlag()) == result.weights_sha256


def test_what_an_interruption_lost_counts_in_the_allowance(make_tiny):
    """4 steps in the checkpoint, 3 lost beyond it; of 10 that it may spend in all, 3 are left: 7 useful ones."""
    tiny = make_search(make_tiny, METHODS)
    with pytest.raises(InterruptedRunError):
        run_trial(tiny, RunSettings(stop=StopAfter(4)))
    folder = folder_of(tiny, TRIALS[0])
    last = folder.ledger.lines()[-1]
    folder.ledger.append(last.model_copy(update={"kind": "heartbeat", "steps": 7}))
    result = run_trial(tiny, RunSettings(allowance=10.0))
    assert (result.status, result.spent.useful_steps, result.spent.lost_steps) == ("ended_early", 7, 3)
