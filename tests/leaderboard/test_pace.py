from operator import methodcaller

from harness.audit import audit
from harness.leaderboard.inputs import read_input
from harness.leaderboard.leaderboard import build_leaderboard
from harness.leaderboard.render import markdown
from harness.records.calibration import Calibration, EntryCost, EntryKey, StageCost
from harness.records.reader import SuiteRecords
from harness.records.schema import CalibrationRef, Pace
from tests.records.test_calibration import DEVICE, HEADER
from tests.synthetic import RunSpec, edit_record, write_records

RATIO = 0.5
COST = EntryCost.of(
    EntryKey(method="ua_mt", method_version=1, params={}, engine={}, stages=("train",)),
    [StageCost(name="train", pairs=((0.3, 0.3 * RATIO),) * 2, start=(0.0,))],
)
SPEC = RunSpec(
    methods={"supervised": 0.0, "ua_mt": 0.1}, labelled=(3,), seeds=2, patients=6, validations=1, history_steps=1,
    ladder=(500, 2000),
)  # fmt: skip


def records_with(root, factors, sealed=COST):
    store = write_records(root / "s", SPEC)
    store.write_calibration(Calibration(header=HEADER, entries=(sealed,)))
    for planned in SPEC.planned_runs:
        cost = sealed.stages[0].ratio * factors[planned.rung or 0] if planned.entry == "ua_mt" else 1.0
        pace = Pace(stage="train", reference=(0.3,) * 15, own=(0.3 * cost,) * 15, device=DEVICE)
        entry = sealed.digest if planned.entry == "ua_mt" else None
        calibration = CalibrationRef(header=HEADER.hash, entry=entry).model_dump()
        folder = store.by_id(SPEC.run(planned).id)
        edit_record(folder.path / "run.json", methodcaller("update", calibration=calibration))
        result = folder.require_result()
        (validation,) = result.validations
        folder.write_result(result.model_copy(update={"validations": [validation.model_copy(update={"pace": pace})]}))
    return SuiteRecords(store)


def statuses(inputs):
    return {
        (entry, status)
        for comparison in inputs.comparisons
        for entry, status in comparison.runs[["entry", "status"]].itertuples(index=False)
    }


def rule_35(records):
    (finding,) = [finding for finding in audit(records).findings if finding.number == 35]
    return finding


ALL_OK = {("supervised", "ok"), ("ua_mt", "ok")}


def test_5_to_10_per_cent_are_marked_and_ranked(tmp_path):
    board = build_leaderboard(records_with(tmp_path, {500: 1.08, 2000: 1.08}))
    assert board.inputs.marked == {"ua_mt@3": "a step of stage train costs +8% against its calibration"}
    assert statuses(board.inputs) == ALL_OK
    marked = board.results.set_index("entry")["marked"]
    assert set(marked["ua_mt"]) == {"a step of stage train costs +8% against its calibration"}
    assert set(marked["supervised"]) == {""}
    text = markdown(board)
    assert text.count("Marked: ua_mt (3 labelled) is ranked, but a step of stage train costs +8%") == 2, "on each rung"
    assert "2/2 ok, marked" in text


def test_more_than_10_per_cent_are_in_no_number(tmp_path):
    records = records_with(tmp_path, {500: 0.85, 2000: 0.85})
    finding, inputs = rule_35(records), read_input(records)
    assert (finding.status, len(finding.runs)) == ("not held", 4), "all runs of the cell"
    assert inputs.marked == {}
    assert statuses(inputs) == {("supervised", "ok"), ("ua_mt", "unfit")}
    reasons = inputs.comparisons[0].runs.query("entry == 'ua_mt'")["failure_reason"]
    assert set(reasons) == {"a step of stage train costs -15% against its calibration"}


def test_an_edited_cost_that_is_sealed_anew_is_not_the_one_that_gave_the_steps(tmp_path):
    records = records_with(tmp_path, {500: 1.0, 2000: 1.0})
    assert rule_35(records).status == "held"
    dearer = COST.stages[0].model_copy(update={"pairs": ((0.3, 1.5 * RATIO),) * 2})
    records.store.write_calibration(Calibration(header=HEADER, entries=(EntryCost.of(COST.key, [dearer]),)))
    finding = rule_35(SuiteRecords(records.store))
    assert finding.status == "not held"
    assert "calibrations/ lacks the costs that run.json names: removed, or edited by hand" in finding.evidence[0]


def test_more_steps_than_a_budget_buys_break_the_rule(tmp_path):
    dear = COST.stages[0].model_copy(update={"pairs": ((0.3, 0.3003),) * 2})
    finding = rule_35(records_with(tmp_path, {500: 1.0, 2000: 1.0}, EntryCost.of(COST.key, [dear])))
    assert finding.status == "not held"
    assert "more steps than its budget buys at the costs that it names: ua_mt/3/0/0/500" in finding.evidence[0]


def test_rungs_are_judged_together(tmp_path):
    """12 % more on one and as calibrated on the other: 6 % in all, so both are marked and neither is left out."""
    inputs = read_input(records_with(tmp_path, {500: 1.0, 2000: 1.12}))
    assert inputs.marked == {"ua_mt@3": "a step of stage train costs +6% against its calibration"}
    assert statuses(inputs) == ALL_OK
