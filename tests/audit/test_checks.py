from dataclasses import replace

import pytest

from benchmarks.acdc import ACDC
from harness.api.params import OptimiserSettings
from harness.audit import RULES, reporting
from harness.audit.records import rate_error
from harness.records.budget import Budget, StageSteps
from harness.records.schema import PROTOCOL_VERSION, DatasetRef, Failure, Trial
from harness.records.suite_folder import Trials
from tests.audit.fair import (
    asked,
    bend,
    cases_of,
    engine,
    environment,
    fair_suite,
    planned,
    result,
    rows,
    seen,
    trial,
    with_cases,
)
from tests.synthetic import RunSpec, history_frame, ledger_line

UNSEEN = {23, 33}


@pytest.fixture(scope="module")
def fair(tmp_path_factory):
    return fair_suite(tmp_path_factory.mktemp("fair"))


def verdicts(suite):
    return {rule.number: rule.judge(suite) for rule in RULES}


def judged(suite, number):
    return RULES[number - 1].judge(suite)


def broken(suite):
    return {number for number, verdict in verdicts(suite).items() if verdict.status == "not held"}


def test_a_fair_suite_holds_all_that_applies(fair):
    found = verdicts(fair)
    assert broken(fair) == set()
    left = {number for number, verdict in found.items() if verdict.status == "not applicable"}
    assert left == {7, 32, 34, 35, *UNSEEN}
    assert all(verdict.evidence for verdict in found.values())


@pytest.mark.parametrize(("count", "wrong"), [(None, set()), (10, set()), (2, {1})])
def test_validation_patients_who_were_not_drawn_are_strangers(fair, count, wrong):
    def validated_on_all_ten(run):
        patients = {"patients": ACDC.splits["val"]}
        validations = [each.model_copy(update=patients) for each in run.result.validations]
        return asked(validation_patients=count)(result(validations=validations)(run))

    assert broken(replace(fair, runs=tuple(map(validated_on_all_ten, fair.runs)))) == wrong


def timed(fair, steps, seconds=300.0):
    ran = result(stage_steps={"train": steps}, stage_device_seconds={"train": seconds})
    budget = asked(budget=Budget(device_seconds=seconds))
    return replace(fair, runs=tuple(ran(budget(run)) for run in fair.runs))


def test_runs_of_one_work_ran_at_one_speed(fair):
    suite = timed(fair, 1000)
    near = bend(suite, result(stage_steps={"train": 1200}))
    assert judged(near, 16).status == "held"
    for steps in (1300, 700):
        far = judged(bend(suite, result(stage_steps={"train": steps})), 16)
        assert far.status == "not held"
        assert [run.id for run in fair.runs if str(run.planned_run) == "ua_mt/7/0/1"] == list(far.runs)
    assert judged(bend(suite, result(stage_device_seconds={})), 16).status == "held", "no seconds are no speed"
    short = judged(bend(timed(fair, 99), result(stage_steps={"train": 10})), 16)
    assert short.status == "held"


def first(missed, run):
    cases = cases_of(run)
    return int(cases.index[cases["missed"] == missed][0])


def ledger(*lines):
    return lambda run: replace(run, ledger=(*run.ledger, *lines))


def trace(**update):
    def change(run):
        return replace(run, trace=replace(run.trace, **update))

    return change


def spent(**update):
    def change(run):
        return result(spent=run.result.spent.model_copy(update=update))(run)

    return change


def validated(value, field="dice"):
    def change(run):
        first, *rest = run.result.validations
        return result(validations=[first.model_copy(update={field: value}), *rest])(run)

    return change


BENT = {
    "tested on a training patient": (rows("patient", "patient099"), {1, 27}),
    "another checksum": (asked(dataset=DatasetRef(name="acdc", version=1, checksum="d" * 64)), {2}),
    "other data than planned": (environment(data_checksum="d" * 64), {2}),
    "more labels than planned": (asked(labelled=70), {3}),
    "asked for test cases": (ledger(ledger_line("violation", note="test cases were asked for")), {5}),
    "weights changed after the split opened": (lambda run: replace(run, final_sha256="0" * 64), {5}),
    "parameters that nobody selected": (asked(params={"consistency": 0.2}), {5}),
    "no best column": (lambda run: with_cases(run, cases_of(run).query("checkpoint == 'last'")), {6, 27}),
    "not the best validation": (result(best_validation=0), {6}),
    "another budget": (asked(budget=Budget(steps=21)), {8, 10}),
    "a stage that nobody counted": (result(stage_steps={"train": 15}), {9}),
    "one step too many": (spent(useful_steps=21), {9, 10, 13, 18}),
    "seconds that the ledger does not hold": (spent(lost_device_seconds=5.0), {13}),
    "a validation that trained": (seen(validations_that_trained=1), {11}),
    "a second thread": (seen(process_cpu_seconds=8.0), {11}),
    "more validations": (engine(validations=100), {12, 21}),
    "a rate that is no function of progress": (trace(rate_error=0.01), {14}),
    "larger batches": (result(images_seen=161), {15}),
    "another device model": (environment(device_model="Abacus 3000"), {16}),
    "a slice of a GPU": (environment(shown={"gpu_part": "a slice (MIG 1g.5gb)"}), {16}),
    "moved to another environment": (
        ledger(ledger_line("start", 1, environment="f", base_steps=3), ledger_line("end", 1, environment="f")),
        {13, 16},
    ),
    "half precision": (environment(precision="bfloat16"), {17}),
    "steps without a history": (trace(steps=19), {18}),
    "no augmentation": (engine(augmentation="none"), {19, 21}),
    "another augmentation than asked for": (seen(sampled="none"), {19}),
    "another loss of one run": (engine(loss="nnunet"), {21, 23}),
    "undeclared noise": (seen(images_altered=3), {20}),
    "undeclared mixing": (seen(images_mixed=1, images_altered=3, declared=("altered",)), {20}),
    "declared and not done": (seen(declared=("mixed",)), {20}),
    "several settings of one method": (engine(batch_size=12), {21}),
    "a failure without a reason": (result(status="failed", failure=None), {30}),
    "the largest component for one": (engine(largest_component=True), {21, 24}),
    "another network": (result(parameters_predictor=2_000_000), {22}),
    "another volume": (rows("voxels_true", 4999), {25, 27}),
    "a missed structure at no cost": (lambda run: rows("hd95_voxel", 0.0, first(True, run))(run), {26}),
    "a miss that is not marked": (lambda run: rows("voxels_predicted", 0, first(False, run))(run), {26}),
    "one row alone": (lambda run: with_cases(run, cases_of(run).query("checkpoint == 'last'").head(1)), {1, 6, 27}),
    "a Dice that none can be": (rows("dice", 7.3), {27}),
    "validations of a Dice that none can be": (validated({"RV": 7.0, "Myo": 0.8, "LV": 0.9}), {6, 27}),
    "validated on a test patient": (validated(("patient001",), "patients"), {1, 27}),
    "no per-case records": (lambda run: replace(run, cases=None), {27}),
    "a ledger without steps": (lambda run: replace(run, ledger=()), {13, 28}),
    "another protocol": (asked(protocol_version=PROTOCOL_VERSION + 1), {31}),
    "another version of the method": (asked(method_version=2), {31}),
}


@pytest.mark.parametrize("name", BENT)
def test_bending_a_record_breaks_the_rule_about_it(name, fair):
    change, expected = BENT[name]
    bent = bend(fair, change)
    found = verdicts(bent)
    assert {number for number, verdict in found.items() if verdict.status == "not held"} == expected
    run = next(run.id for run in fair.runs if str(run.planned_run) == "ua_mt/7/0/1")
    for number in expected:
        assert run in found[number].runs
        assert "ua_mt" in " ".join(found[number].evidence)


@pytest.mark.parametrize(("annotated", "status"), [(7, "held"), (70, "not held"), (None, "not applicable")])
def test_the_reference_by_another_name_is_no_copy(annotated, status, fair, monkeypatch):
    monkeypatch.setattr(reporting, "count_annotated", lambda _: annotated)
    reference = next(run for run in fair.finished if str(run.planned_run) == "supervised_full/all/0/1")
    sha256 = reference.result.weights_sha256
    bent = bend(fair, result(weights_sha256=sha256), "supervised/7/0/1")
    assert judged(bent, 28).status == status
    assert judged(bend(fair, result(weights_sha256=sha256)), 28).status == "not held", "it saw unlabelled images"


def test_copied_weights_are_found(fair):
    (original,) = [run for run in fair.runs if str(run.planned_run) == "mc_net/7/0/1"]
    sha256 = original.result.weights_sha256
    bent = bend(fair, lambda run: replace(result(weights_sha256=sha256)(run), final_sha256=sha256))
    assert broken(bent) == {28}
    assert "mc_net/7/0/1" in judged(bent, 28).evidence[0]
    assert "ua_mt/7/0/1" in judged(bent, 28).evidence[0]


PLANNED = {
    "one subset": (lambda run: run.subset == 0, set(), 4, "1 labelled subset (0) x 3 seeds"),
    "uneven": (lambda run: str(run) != "ua_mt/7/0/1", {3}, 3, "selection.json is uneven ua_mt lacks 7/0/1"),
    "no reference": (lambda run: run.entry != "supervised_full", {29}, 29, "no fully supervised reference"),
    "no baseline": (lambda run: run.entry != "supervised", {29}, 29, "no labelled-only baseline"),
    "one method": (lambda run: run.entry == "mc_net", set(), 29, ""),
}


@pytest.mark.parametrize("name", PLANNED)
def test_what_was_planned_is_even_and_has_its_references(name, fair):
    keep, violated, number, words = PLANNED[name]
    suite = planned(fair, keep)
    assert broken(suite) == violated
    assert judged(suite, number).status == ("not held" if violated else "not applicable")
    assert words in " ".join(judged(suite, number).evidence)


def strong(entry, fair):
    bend = engine(augmentation="nnunet", loss="nnunet")
    sampled = seen(sampled="nnunet")
    return replace(fair, runs=tuple(sampled(bend(run)) if run.entry == entry else run for run in fair.runs))


def test_a_labelled_only_baseline_may_be_strong_and_nothing_else(fair):
    baseline = verdicts(strong("supervised", fair))
    assert (baseline[19].status, "supervised declares nnunet" in " ".join(baseline[19].evidence)) == ("held", True)
    assert baseline[23].status != "not held"
    for entry in ("ua_mt", "supervised_full"):
        found = verdicts(strong(entry, fair))
        assert (found[19].status, found[23].status) == ("not held", "not held"), entry


def search(fair, steps):
    trials = [trial(fair, method, n, number=k) for method, all_ in steps.items() for k, n in enumerate(all_)]
    names = [Trial(entry=run.asked.method, study=0, point=k, varied={}, run=run.id) for k, run in enumerate(trials)]
    trials_of_search = Trials(suite_hash=fair.selection.suite_hash, trials=names)
    return replace(fair, others=tuple(trials), search=trials_of_search)


def test_a_trial_that_diverged_counts_with_its_budget(fair):
    even = search(fair, {"supervised": [20] * 8, "ua_mt": [20] * 8, "mc_net": [20] * 7 + [3]})
    assert broken(even) == {7}
    last = even.others[-1]
    budget = last.asked.model_copy(update={"budget": Budget(steps=20)})
    failed = replace(last, asked=budget, result=last.result.model_copy(update={"status": "failed"}))
    diverged = replace(even, others=(*even.others[:-1], failed))
    assert broken(diverged) == set()


@pytest.mark.parametrize(("supervised", "ua_mt", "wrong"), [(8, 8, set()), (0, 8, {7}), (8, 9, {7})])
def test_searches_cost_alike(supervised, ua_mt, wrong, fair):
    assert broken(search(fair, {"supervised": [20] * supervised, "ua_mt": [20] * ua_mt, "mc_net": [10] * 16})) == wrong


def test_a_search_that_touched_the_test_split_is_a_violation(fair):
    tested = replace(fair, others=(trial(fair, "ua_mt", 20, tested=True),))
    assert 5 in broken(tested)
    assert "a run of the search was tested" in judged(tested, 5).evidence[1]


@pytest.mark.parametrize(
    ("device_type", "seconds", "violation"),
    [("cpu", 0.29, False), ("cpu", 0.31, True), ("cpu", -0.31, True), ("cuda", 2.9, False), ("cuda", 3.1, True)],
)
def test_one_step_of_device_seconds_is_allowed_and_ten_on_cuda(device_type, seconds, violation, fair):
    def change(run):
        run = environment(device_type=device_type)(asked(budget=Budget(device_seconds=4.0))(run))
        return result(longest_step_seconds=0.3)(spent(useful_device_seconds=4.0 + seconds)(run))

    (run,) = [run for run in fair.runs if str(run.planned_run) == "ua_mt/7/0/1"]
    alone = replace(fair, runs=(change(run),))
    assert (judged(alone, 10).status == "not held") is violation


def test_a_stage_takes_the_steps_that_its_reference_steps_buy(fair):
    budget = Budget(reference_steps=20, stages=(StageSteps(name="train", share=1.0, steps=20),))
    suite = replace(fair, runs=tuple(map(asked(budget=budget), fair.runs)))
    assert broken(suite) == set()
    more = bend(suite, lambda run: result(stage_steps={"train": 200})(spent(useful_steps=200)(run)))
    assert judged(more, 10).status == "not held"


def test_a_suite_in_which_nothing_ran_is_no_violation(fair):
    found = verdicts(replace(fair, runs=()))
    assert {verdict.status for verdict in found.values()} == {"held", "not applicable"}
    assert {number for number, verdict in found.items() if verdict.status == "held"} == {3, 4, 5, 30}


def test_a_rate_follows_its_schedule_or_does_not():
    """By hand: rates 0.01 (1 - p)^0.9 of one stage, then that of p = 0.5 doubled."""
    history = history_frame(RunSpec().planned_runs[0], RunSpec())
    assert rate_error(history, OptimiserSettings()) < 1e-12
    doubled = history["learning_rate"].where(history["progress_stage"] != 0.5, 2 * history["learning_rate"])
    bent = history.assign(learning_rate=doubled)
    assert rate_error(bent, OptimiserSettings()) == pytest.approx(0.5**0.9)
    assert rate_error(history, OptimiserSettings(schedule="constant")) > 0.5
    constant = history.assign(learning_rate=0.02)
    assert rate_error(constant, OptimiserSettings(schedule="constant")) == 0.0
    assert rate_error(history.assign(learning_rate=0.0), OptimiserSettings()) == 0.0


def test_tables_need_patients_and_intervals(fair, tmp_path):
    path = tmp_path / "leaderboard" / "leaderboard.csv"
    path.parent.mkdir()
    whole, bare = "entry,dice,dice_low,dice_high,n_patients", "entry,dice,n_patients"
    for header, status in ((whole, "held"), (bare, "not held")):
        path.write_text(f"{header}\nua_mt{',1' * header.count(',')}\n")
        assert judged(replace(fair, root=tmp_path), 32).status == status
    path.write_text(f"{whole}\nua_mt,1,1,1,9\nmc_net,1,,,3\n")
    assert "none beside those of mc_net: too few" in judged(replace(fair, root=tmp_path), 32).evidence[1]


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ("ua_mt,7,,1,0", "held"),
        ("ua_mt,7,,0,0", "not held"),
        ("ua_mt,7,,0,1", "held"),
        ("ua_mt,7,,0,0\nua_mt,3,,1,0", "not held"),
        ("ua_mt,7,,0,0\nua_mt,7,500,1,0", "not held"),
        ("ua_mt,7,,0,0\nua_mt,7,,1,0", "held"),  # a second table of the same cell
    ],
)
def test_a_table_that_hides_a_failure_is_a_violation(rows, status, fair, tmp_path):
    path = tmp_path / "leaderboard" / "leaderboard.csv"
    path.parent.mkdir()
    path.write_text(f"entry,trained_on,rung,n_failed,n_missing\nmc_net,7,,0,0\n{rows}\n")
    bent = bend(fair, result(status="failed", failure=Failure(kind="nan", reason="NaN")))
    assert judged(replace(bent, root=tmp_path), 30).status == status
