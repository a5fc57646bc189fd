import pytest

from harness.api.errors import UsageError
from harness.audit import audit
from harness.execution.run import ExecuteSettings, execute
from harness.leaderboard.leaderboard import build_leaderboard
from harness.records.budget import Budget
from harness.records.calibration import Calibration, EntryCost, StageCost, engine_cost
from harness.records.reader import SuiteRecords
from harness.records.schema import PROTOCOL_VERSION
from harness.records.suite_folder import SuiteFolder
from harness.suite.costs import task_of
from harness.suite.load import load_suite
from harness.suite.plan import configurations, dataset_of, make_plan, unprepared
from harness.suite.trials import draw_sobol_points
from harness.train.stop import StopFlag
from tests.records.test_calibration import HEADER
from tests.search.simulation import Driver, FakeStore
from tests.search.suites import RATE, plan_of, refusal, trials_of
from tests.search.tiny_search import make_search, search_inline

COSTS = {"labelled": 1.5, "self_training": 2.5}
"""Supervised steps that a step of BCP's stages costs here."""

START = 2.0
"""Supervised steps before the first step of each stage."""

WIDE = {"ratio_labelled": {"scale": "log", "values": [0.05, 4.0]}}
"""Shares of BCP's first stage down to 1.6 %."""

FINALS = {"reference_steps": 1000}
METHODS = {"methods": {"supervised": None, "bcp": {"search": WIDE}}}


def calibration_of(plan, ratios):
    suite, dataset = plan.loaded.suite, dataset_of(plan.loaded)
    task = task_of(dataset, suite.preprocessing.size)
    own = {"protocol_version": PROTOCOL_VERSION, "preprocessing": suite.preprocessing, "reference": (1.0,)}
    own |= {"dataset": task.name, "channels": task.channels, "n_classes": task.n_classes}
    header = HEADER.model_copy(update={**own, "engine": engine_cost(suite.engine)})
    costs = {name: StageCost(name=name, pairs=((1.0, ratio),) * 2, start=(START,)) for name, ratio in ratios.items()}
    keys = [each.key for each in configurations(plan) if not each.unit]
    entries = (EntryCost.of(key, [costs[name] for name in key.stages]) for key in keys)
    return Calibration(header=header, entries=tuple(entries))


def calibrated(tiny, ratios):
    loaded, store = load_suite(tiny.suite), SuiteFolder.create(tiny.store)
    store.write_calibration(calibration_of(make_plan(loaded, unprepared(dataset_of(loaded))), ratios))
    return store


def priced(folder, ratios=COSTS, finals=FINALS, **search):
    fields = {"budget": {"reference_steps": 400}, "trials": 6, "engine": RATE, **search}
    plan = plan_of(folder, {**METHODS, "budget": finals}, **fields)
    return plan.on_data(plan.data, calibration_of(plan, ratios))


def refused(folder, ratios=COSTS, **search):
    with pytest.raises(UsageError) as caught:
        priced(folder, ratios, **search)
    assert caught.value.exit_code == 64
    return str(caught.value)


def test_infeasible_points_are_put_down_and_the_next_ones_take_their_place(tmp_path):
    plan = priced(tmp_path)
    tried, out = trials_of(plan, "bcp"), plan.infeasible
    assert len(tried) == len(trials_of(plan, "supervised")) == 6
    assert out
    assert {proposal.entry for proposal in out} == {"bcp"}
    assert all("steps to stage labelled" in proposal.reason for proposal in out)
    numbers = sorted([each.trial.point for each in tried] + [proposal.point for proposal in out])
    assert numbers == list(range(numbers[-1] + 1))
    drawn = draw_sobol_points(plan.entries["bcp"].space, numbers[-1], ("bcp", 0, 100))
    varied = {each.trial.point: each.trial.varied for each in tried} | {each.point: each.varied for each in out}
    assert [varied[number] for number in numbers[1:]] == drawn
    for budget in (each.run.budget for each in tried):
        assert all(stage.steps >= 20 for stage in budget.stages or ())


def test_an_own_configuration_that_cannot_be_tried_is_refused(tmp_path):
    message = refused(tmp_path, {"labelled": 12.0, "self_training": 2.5})
    assert "small.yaml" in message
    assert "methods.bcp: as the suite has it, it cannot be tried: bcp: 400 reference steps leave 8 steps" in message


def test_steps_too_coarse_for_equal_spending_are_refused(tmp_path):
    message = refused(tmp_path, {"labelled": 1.0, "self_training": 4.5})
    assert "a step of stage self_training costs 4.5 of 400 reference steps" in message
    assert message.endswith("a trial needs 450")


def test_trials_under_a_quarter_of_the_shortest_final_are_refused(tmp_path):
    ladder = {**METHODS, "budget": {"ladder": [501, 2000]}}
    message = refusal(tmp_path, ladder, budget={"reference_steps": 125})
    assert "search.budget: 125 reference steps is under a quarter of the finals' 501 reference steps" in message
    assert message.endswith("give at least 126")
    plan_of(tmp_path, ladder, budget={"reference_steps": 126})


def test_an_engine_setting_that_changes_the_cost_of_a_step_is_not_searched(tmp_path):
    fields = {"budget": {"reference_steps": 400}, "engine": {**RATE, "batch_size": {"values": [8, 16]}}}
    assert "search.engine.batch_size: changes the cost of a step" in refusal(tmp_path, {"budget": FINALS}, **fields)


def test_an_adaptive_search_charges_nothing_for_infeasible_points_and_tells_its_sampler():
    """3 x 10 steps: points 1 and 3 are infeasible, so 0, 2 and 4 run."""
    store = FakeStore(Budget(steps=10), [1.0], infeasible_points={1, 3})
    driver = Driver(store, 30, 1, [1, 2, 3, 4]).finish()
    assert [each.trial.varied["point"] for each in store.named] == [0, 2, 4]
    assert store.spent == 30
    assert [each.varied["point"] for each in store.refused] == [1, 3]
    assert driver.sampler.refused == ["1", "3"]
    assert driver.sampler.told.keys() == {"0", "2", "4"}


TINY = {"first": 1.0, "second": 1.0, "third": 1.2, "c": 1.5}


@pytest.fixture(scope="module")
def searched(make_tiny):
    budget = {"reference_steps": 160}
    search = {"budget": budget, "engine": RATE}
    tiny = make_search(make_tiny, {"tiny_staged": {}, "tiny_floor": {}}, search, budget=budget)
    calibrated(tiny, TINY)
    session, _, _ = search_inline(tiny)
    execute(session, ExecuteSettings("inline", 1, 1000.0), StopFlag())
    return build_leaderboard(SuiteRecords.open(tiny.store))


@pytest.mark.slow
def test_records_of_a_search_show_equal_spending(searched):
    records = searched.inputs.comparisons[0].records
    spent = dict.fromkeys(("tiny_staged", "tiny_floor"), 0.0)
    for trial in records.trials.trials:
        steps = records.run(trial.run).folder.require_result().stage_steps
        spent[trial.entry] += sum(TINY[name] * count + START for name, count in steps.items())
    assert spent["tiny_staged"] == pytest.approx(spent["tiny_floor"], rel=0.01)
    assert all(total == pytest.approx(3 * 160, rel=0.01) for total in spent.values())
    assert next(each for each in audit(records).findings if each.number == 7).status == "held"


def test_an_entry_with_too_little_to_vary_is_refused(tmp_path):
    message = refused(tmp_path, engine=None)
    assert "methods.supervised: only 1 of its configurations can be tried, where entries get 6 trials each" in message
