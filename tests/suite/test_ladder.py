from harness.suite.load import load_suite
from harness.suite.plan import dataset_of, make_plan, unprepared

SUITE = """\
name: {name}
dataset: phantom
preprocessing: {{size: [32, 32]}}
labelled: [3]
seeds: [0, 1]
methods: {{supervised: , ua_mt: }}
budget: {budget}
"""


def load(folder, budget, name="steps_up"):
    path = folder / f"{name}.yaml"
    path.write_text(SUITE.format(name=name, budget=budget))
    return load_suite(path)


def plan_of(loaded):
    return make_plan(loaded, unprepared(dataset_of(loaded)))


def test_rung_by_rung_and_seeds_outermost_on_each(tmp_path):
    plan = plan_of(load(tmp_path, "{ladder: [500, 2000]}"))
    assert [training.name for training in plan.trainings()] == [
        f"{entry}/3/0/{seed}/{rung}" for rung in (500, 2000) for seed in (0, 1) for entry in ("supervised", "ua_mt")
    ]
    assert [training.budget.reference_steps for training in plan.trainings()] == [500] * 4 + [2000] * 4
    assert str(plan.budget) == "500, 2000 reference steps"


def test_a_rung_is_a_plain_budget_and_so_are_its_ids(tmp_path):
    ladder = plan_of(load(tmp_path, "{ladder: [500, 2000]}"))
    plain = plan_of(load(tmp_path, "{reference_steps: 500}", "plain"))
    assert {run.id for run in plain.runs} == {run.id for run in ladder.at_rung(500).runs}
    assert {run.id for run in plain.runs} < {run.id for run in ladder.runs}


def test_one_rung_limits_what_runs_and_not_what_is_selected(tmp_path):
    plan = plan_of(load(tmp_path, "{ladder: [500, 2000]}")).at_rung(2000)
    assert {run.budget.reference_steps for run in plan.runs} == {2000}
    assert len(plan.selection_entries()) == 8
    assert {entry.planned_run.entry for entry in plan.selection_entries() if entry.baseline} == {"supervised"}
