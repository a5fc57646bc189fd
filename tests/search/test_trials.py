from typing import Any

from harness.cli.plan import tuning_lines
from harness.execution import session as sessions
from harness.execution.dry_run import make_dry_run
from harness.search.proposals import Study
from harness.search.run import select_when_over
from harness.suite.load import load_suite
from tests.search.suites import RATE, SUITE, end, plan_of, trials_of
from tests.search.tiny_search import make_search


def points(plan, row, study=0):
    return [one.trial.varied for one in trials_of(plan, row, study)]


def runs(plan, row):
    return [one.run.id for one in plan.trials if one.trial.entry == row]


def test_point_0_is_what_the_suite_asks_for_without_a_search(tmp_path):
    plan = plan_of(tmp_path, studies=2, engine=RATE)
    bare = plan_of(tmp_path, {"search": None})
    for row in ("supervised", "ua_mt"):
        final = next(one.run for one in bare.finals if one.planned_run.entry == row)
        for study in (0, 1):
            first = trials_of(plan, row, study)[0]
            assert (first.trial.point, first.run.params) == (0, final.params)
            assert first.run.engine == final.engine.model_copy(update={"validations": 2})
            assert first.trial.varied["engine.optimiser.learning_rate"] == 0.01


def test_neither_other_rows_nor_finals_nor_more_trials_move_points(tmp_path):
    before = runs(plan_of(tmp_path), "ua_mt")
    changes: list[dict[str, Any]] = [
        {"methods": {"mc_net": None, **SUITE["methods"]}},
        {"methods": {"ua_mt": SUITE["methods"]["ua_mt"]}},
        {"seeds": [5, 6, 7], "labelled": [2], "budget": {"steps": 7}},
    ]
    for change in changes:
        assert runs(plan_of(tmp_path, change), "ua_mt") == before
    assert runs(plan_of(tmp_path, trials=9), "ua_mt")[:4] == before
    assert runs(plan_of(tmp_path, studies=2), "ua_mt")[:4] == before


def test_a_suite_narrows_pins_and_extends_a_space(tmp_path):
    search = {
        "consistency": {"scale": "log", "values": [0.1, 0.2]},  # narrower
        "ema_decay": None,  # pinned
        "noise_clip": {"values": [0.1, 0.2, 0.3]},  # not searched by the method itself
    }
    plan = plan_of(tmp_path, {"methods": {"ua_mt": {"search": search}}}, trials=9)
    space = plan.entries["ua_mt"].space
    assert set(space) == {"consistency", "noise_clip", "passes", "noise", "threshold_start"}
    drawn = [one.run.params for one in trials_of(plan, "ua_mt")[1:]]
    assert all(0.1 <= params["consistency"] <= 0.2 for params in drawn)
    assert {params["ema_decay"] for params in drawn} == {0.99}
    assert {params["noise_clip"] for params in drawn} == {0.1, 0.2, 0.3}
    assert all("ema_decay" not in point for point in points(plan, "ua_mt"))


def adaptive(make_tiny):
    """A suite whose search is at its second of three trials, and what names that one."""
    tiny = make_search(make_tiny, {"tiny_staged": {}}, {"mode": "adaptive"})
    session = tiny.session()
    study = Study(session, session.plan.loaded.suite.search, session.plan.entries["tiny_staged"], 0)
    return tiny, session, lambda: study.record(study.plan(1, {"weight": 0.5}))


def test_a_plan_knows_what_an_adaptive_search_has_tried_and_when_it_is_over(make_tiny):
    tiny, session, name_second = adaptive(make_tiny)
    name_second()
    for trial in session.recorded_trials():
        end(session.store.by_id(trial.run), 0.5)

    def states():
        dry_run = make_dry_run(load_suite(str(tiny.suite)), None, tiny.runs)
        return [dry_run.state(training) for training in dry_run.plan.trainings()]

    assert states() == ["done", "done", "to run", "to run"], "trials, then the final run"
    select_when_over(session)
    assert states() == ["done", "done", "to run"]


def test_whoever_opens_a_suite_leaves_the_trials_that_its_driver_names(make_tiny, monkeypatch):
    tiny, session, name_second = adaptive(make_tiny)
    read = sessions._trials_of

    def read_before_the_driver_writes(*given):
        monkeypatch.undo()
        trials = read(*given)
        name_second()
        return trials

    monkeypatch.setattr(sessions, "_trials_of", read_before_the_driver_writes)
    tiny.session()
    assert len(session.recorded_trials()) == 2


def test_a_plan_says_who_is_tuned_with_less_and_what_no_final_takes(tmp_path):
    (unequal,) = tuning_lines(plan_of(tmp_path))
    assert "(rule 7): trials supervised 1, ua_mt 4" in unequal, "supervised has nothing to search"
    assert list(tuning_lines(plan_of(tmp_path, engine=RATE))) == []
    assert list(tuning_lines(plan_of(tmp_path, {"search": None}))) == []
    (idle,) = tuning_lines(plan_of(tmp_path, engine=RATE, studies=3))
    assert "2 of 3 studies serve a final run" in idle
