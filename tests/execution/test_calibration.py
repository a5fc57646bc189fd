import json
import lzma
import re
import shlex
import shutil
import signal
from dataclasses import replace

import pytest
import torch

from harness.api.errors import InterruptedRunError, UsageError
from harness.audit import audit
from harness.cli.tables import plan_table
from harness.execution import calibration as finding_calibrations
from harness.execution.device_time import confirm, device_time
from harness.execution.dry_run import make_dry_run
from harness.execution.forecast import Forecast
from harness.execution.session import open_session
from harness.leaderboard.leaderboard import build_leaderboard
from harness.pipeline import has_failed_runs
from harness.records.calibration import Calibration, StageCost
from harness.records.reader import SuiteRecords
from harness.suite.load import load_suite
from harness.train import calibrate as calibrating
from harness.train.calibrate import PAIRS, PROCESSES, measure
from harness.train.pacing import Pacer
from tests.search.suites import end
from tests.support import LIMIT_SECONDS, call_cli, wait_until
from tests.synthetic import edit_record
from tests.train.tiny import train

COSTS = {
    "tiny_staged": {"first": 1.0, "second": 2.0, "third": 4.0},
    "supervised": {"train": 1.0},
    "supervised_full": {"train": 1.0},
    "tiny_floor": {"c": 1.5},
    "action_pp": {"global": 0.7, "local": 1.6, "anatomical": 3.0},
}
REFERENCE_STEPS = {"reference_steps": 400}
STAGED, STEPS = "tiny_staged/2/0/0", {"first": 98, "second": 49, "third": 49}


class Machine:
    """Stands for fresh processes: says what steps cost without taking any.

    factor: how much more a step of tiny_staged costs here than in `COSTS`; asked: methods of each process; left: how
    many entries are measured until a signal arrives.
    """

    def __init__(self):
        self.factor = 1.0
        self.asked: list[list[str]] = []
        self.left = 1000

    def __call__(self, _unit, runs, _cache, _stop):
        self.asked.append([])
        for run in runs:
            if not self.left:
                raise InterruptedRunError("calibration: stopped by SIGTEST; the same command goes on")
            self.left -= 1
            self.asked[-1].append(run.method)
            yield tuple(self._stages(run.method))

    def _stages(self, method):
        for name, ratio in COSTS[method].items():
            cost = ratio * (self.factor if method == "tiny_staged" else 1.0)
            yield StageCost(name=name, pairs=((0.01, 0.01 * cost),) * (PAIRS // PROCESSES), start=(0.02,))


@pytest.fixture(scope="module")
def make_suite(make_tiny):
    def make(*methods, budget=REFERENCE_STEPS, **changes):
        return make_tiny({name: {} for name in methods}, budget=budget, **changes)

    return make


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(calibrating, "_in_fresh_process", machine)
    return machine


def steps_of(tiny, planned_run):
    stages = tiny.folder(planned_run).run.budget.stages
    return {stage.name: stage.steps for stage in stages}


def calibrations(tiny):
    return sorted((tiny.store / "calibrations").glob("*.json"))


def test_measured_once_and_written_into_every_run(make_suite, machine):
    """400 reference steps: 0.25 and 0.25 and 0.5 of them, each stage's start costs 2.

    (100 - 2) / 1 = 98; (100 - 2) / 2 = 49; 200 - 2 = 198 at 4 each is 49.
    """
    tiny = make_suite("supervised", "supervised_full", "tiny_staged")
    tiny.session()
    assert machine.asked == [["tiny_staged", "supervised_full"]] * PROCESSES, "small shares first, the unit never"
    assert steps_of(tiny, STAGED) == STEPS
    assert steps_of(tiny, "supervised/2/0/0") == {"train": 400}
    assert steps_of(tiny, "supervised_full/all/0/0") == {"train": 398}
    (path,) = calibrations(tiny)
    reference = tiny.folder(STAGED).run.calibration
    assert reference.header == path.stem
    assert str(reference.entry) in path.read_text()
    machine.factor = 3.0
    tiny.session()
    assert len(machine.asked) == PROCESSES, "the second time nothing is measured"


def test_where_the_steps_come_from_makes_no_other_run(make_suite, machine):
    ids = []
    for factor in (1.0, 1.0 - 1e-5, 1.5):
        machine.factor = factor
        ids.append(make_suite("tiny_staged").folder(STAGED).id)
    assert ids[0] == ids[1] != ids[2]


@pytest.fixture(scope="module")
def trained(make_suite):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrating, "_in_fresh_process", Machine())
        tiny = make_suite("tiny_staged")
        train(tiny, STAGED)
    return tiny


def test_a_run_trains_these_steps_and_its_shares_are_its_progress(trained):
    result = trained.folder(STAGED).require_result()
    assert result.stage_steps == STEPS
    history = trained.folder(STAGED).history()
    assert history["progress_run"].tolist()[98] == pytest.approx(0.25)
    assert history["progress_run"].tolist()[98 + 49] == pytest.approx(0.5)
    assert [validation.step for validation in result.validations] == [98, 147, 172, 196]


def test_supervised_steps_beside_a_run_leave_no_trace(make_suite, trained, monkeypatch):
    result = trained.folder(STAGED).require_result()
    taken = [validation.pace for validation in result.validations if validation.pace]
    assert [(pace.stage, len(pace.reference), len(pace.own)) for pace in taken] == [
        ("first", 3, 3), ("second", 3, 3), ("third", 3, 3), ("third", 3, 3),
    ]  # fmt: skip
    assert result.wall_seconds["pacing"] > 0
    monkeypatch.setattr(Pacer, "sample", lambda *_: None)
    without = train(make_suite("tiny_staged"), STAGED)
    assert without.weights_sha256 == result.weights_sha256
    assert [validation.pace for validation in without.validations] == [None] * 4


def test_a_method_whose_steps_cost_something_else_than_calibrated_is_not_ranked(make_suite, monkeypatch):
    """Its tiny network costs a twentieth of the U-Net's step; a calibration says that it costs as much."""
    monkeypatch.setitem(COSTS, "tiny_floor", {"c": 1.0})
    tiny = make_suite("supervised", "tiny_floor", budget={"reference_steps": 22}, seeds=[0, 1, 2])
    train(tiny, "supervised/2/0/0")
    for seed in range(3):
        train(tiny, f"tiny_floor/2/0/{seed}")
    records = SuiteRecords.open(tiny.store)
    (finding,) = [finding for finding in audit(records).findings if finding.number == 35]
    assert finding.status == "not held", finding.evidence
    assert any(re.match(r"tiny_floor@2, stage c: -[0-9.]+% in 36 supervised steps", line) for line in finding.evidence)
    runs = build_leaderboard(records).inputs.comparisons[0].runs
    statuses = runs.query("status != 'missing'").groupby("entry")["status"].unique()
    assert statuses["tiny_floor"].tolist() == ["unfit"]
    assert statuses["supervised"].tolist() == ["ok"]


def test_an_entry_does_not_join_where_recorded_ones_cost_something_else(make_suite, machine):
    tiny = make_suite("tiny_staged")
    tiny.session()
    more = make_suite("tiny_staged", "tiny_floor")
    more.store.parent.mkdir(exist_ok=True)
    tiny.store.rename(more.store)
    machine.factor = 1.06
    with pytest.raises(UsageError, match=r"stage first: costs 1\.060 supervised steps here, 1\.000 on record"):
        more.session()


def test_entries_of_one_cost_leave_a_new_entry_its_own(make_suite):
    tiny = make_suite("tiny_staged")
    twins = tiny.suite.read_text().replace("methods:", "methods:\n  twin: {method: tiny_staged}")
    for text in (twins, twins.replace("methods:", "methods:\n  tiny_floor: {}")):
        tiny.suite.write_text(text)
        tiny.session()
    assert steps_of(tiny, "tiny_floor/2/0/0") == {"c": 265}


def test_runs_whose_steps_stay_the_same_move_to_the_table_of_a_new_calibration(make_suite, machine):
    tiny = make_suite("supervised", "tiny_staged", "tiny_floor")
    train(tiny, "tiny_floor/2/0/0")
    machine.factor = 1.5
    call(tiny, "calibrate")
    train(tiny, "tiny_staged/2/0/0")
    (comparison,) = build_leaderboard(SuiteRecords.open(tiny.store)).inputs.comparisons
    assert comparison.runs["status"].tolist() == ["missing", "ok", "ok"]
    assert len({tiny.folder(f"{entry}/2/0/0").run.calibration.header for entry in comparison.runs["entry"]}) == 1


def test_a_named_calibration_of_other_settings_is_refused(make_suite):
    tiny = make_suite("tiny_staged")
    tiny.session()
    (path,) = calibrations(tiny)
    changes = {"dataset": "phantom", "engine": {"batch_size": 6}, "preprocessing": {"size": [48, 48], "resize": "area"}}
    other = make_suite("tiny_staged", calibration=str(path), **changes)
    with pytest.raises(UsageError, match=r"tiny\.yaml:\d+: calibration: was measured with ") as caught:
        other.session()
    for name in ("dataset", "n_classes", "preprocessing", "batch_size"):
        assert name in str(caught.value)


def call(tiny, verb, *options, code=0):
    return call_cli(verb, "--suite", tiny.suite, "--runs", tiny.runs, *options, code=code)


def test_what_was_measured_before_a_signal_is_kept(make_suite, machine):
    tiny = make_suite("supervised_full", "tiny_staged", "tiny_floor")
    machine.left = 4
    with pytest.raises(InterruptedRunError, match="the same command goes on"):
        tiny.session()
    machine.left = 1000
    assert (tiny.store / "calibration.part.json").exists()
    tiny.session()
    third = ["tiny_staged", "supervised_full", "tiny_floor"]
    assert machine.asked == [third, ["tiny_staged"], ["supervised_full", "tiny_floor"], third]
    assert not (tiny.store / "calibration.part.json").exists()
    (path,) = calibrations(tiny)
    measured = Calibration.model_validate_json(_opened(path))
    assert [len(stage.pairs) for cost in measured.entries for stage in cost.stages] == [PAIRS] * 5


@pytest.mark.slow
def test_sigterm_ends_a_calibration_with_75(make_suite):
    tiny = make_suite("tiny_floor", "tiny_staged")
    process = tiny.start("run", "--executor", "inline", "--no-track")
    part = tiny.store / "calibration.part.json"
    wait_until(part.exists, lambda: tiny.output, process=process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_SECONDS) == 75, tiny.output
    assert "calibration: stopped by SIGTERM; the same command goes on" in tiny.output
    assert json.loads(part.read_text())["entries"][0]["process"] == 0
    assert calibrations(tiny) == []


def planned(loaded, tiny):
    dry_run = make_dry_run(loaded, None, tiny.runs)
    return dry_run, Forecast(dry_run.plan, dry_run.store)


def test_the_plan_says_steps_and_device_hours(make_suite):
    """360,000 reference steps of 0.01 s are an hour; two seeds of two entries are four."""
    tiny = make_suite("supervised", "tiny_staged", budget={"reference_steps": 360_000}, seeds=[0, 1])
    loaded = load_suite(str(tiny.suite))
    headers, rows, _ = plan_table(*planned(loaded, tiny))
    assert [dict(zip(headers, row, strict=True))["steps by stage"] for row in rows] == ["after calibration"] * 2 + [""]
    session = tiny.session()
    headers, rows, _ = plan_table(*planned(loaded, tiny))
    cells = [dict(zip(headers, row, strict=True)) for row in rows]
    assert [row["device-hours"] for row in cells] == ["2.00", "2.00", "4.00"]
    assert [row["steps by stage"] for row in cells] == ["train 360000", "first 89998, second 44999, third 44999", ""]
    left = device_time(session.plan, session.store)
    assert left is not None
    assert left.hours == pytest.approx(4.0)
    more = make_suite("supervised", "tiny_staged", "tiny_floor", budget={"reference_steps": 360_000})
    shutil.copytree(tiny.store, more.store)
    headers, rows, _ = plan_table(*planned(load_suite(str(more.suite)), more))
    assert [row[headers.index("device-hours")] for row in rows] == ["1.00", "1.00", "1.00", "3.00"], "one is new"


def test_who_must_not_measure_names_the_command_that_does(make_suite):
    tiny = make_suite("supervised")
    with pytest.raises(UsageError) as refused:
        open_session(load_suite(str(tiny.suite)), None, tiny.runs, measure=False)
    command = str(refused.value).split("`")[1]
    call_cli(*shlex.split(command)[1:])
    assert not tiny.session().plan.uncalibrated
    assert len(calibrations(tiny)) == 1


def test_failures_of_another_rung_stay_on_record(make_suite):
    session = make_suite("supervised", budget={"ladder": [400, 800]}).session()
    short = replace(session, plan=session.plan.at_rung(400))
    folders = [session.folder(run) for run in session.plan.runs]
    for folder in reversed(folders):
        assert short.summary == "1 runs, 0 done, 1 to run", "it counts what it is limited to"
        end(folder, status="failed")
        assert has_failed_runs(build_leaderboard(SuiteRecords(session.store))), "no table shows those of the longer one"
    assert [folder.id for folder in short.failed()] == [folders[0].id]
    assert session.summary.startswith("2 runs, 2 done")
    assert str(short.plan.asked_budget) == "400 reference steps"


def test_two_days_are_asked_for_twice(make_suite):
    tiny = make_suite("supervised", budget={"reference_steps": 360_000}, seeds=list(range(49)))
    assert "49.00 device-hours" in call(tiny, "run", "--executor", "inline", "--no-track", code=64).stderr
    folders = list(SuiteRecords.open(tiny.store).store.folders())
    for folder in folders:
        end(folder, status="failed")
    again = call(tiny, "run", "--executor", "inline", "--no-track", "--retry-failed", code=64)
    assert "48.99 device-hours" in again.stderr, "it goes on from its checkpoint"
    assert all(folder.done for folder in folders), "what is refused forgets no failure"
    for folder in folders:
        folder.reopen()
    tiny.suite.write_text(tiny.suite.read_text().replace("- 48\n", ""))
    session = tiny.session()
    left = device_time(session.plan, session.store)
    assert left is not None
    confirm(left, yes=False)


def test_check_prints_each_stage_and_ends_with_76(make_suite, machine):
    tiny = make_suite("tiny_floor", "tiny_staged")
    call(tiny, "calibrate")
    machine.factor = 1.04
    call(tiny, "calibrate", "--check")
    machine.factor = 1.06
    printed = call(tiny, "calibrate", "--check", code=76)
    table = [line.split() for line in printed.stdout.splitlines()[-4:]]
    assert table[0][-5:] == ["first", "1.000", "1.060", "0.0%", "+6.0%"]
    assert table[3][-5:] == ["c", "1.500", "1.500", "0.0%", "+0.0%"]


def test_a_shipped_calibration_serves_other_processors(make_suite, machine, monkeypatch, tmp_path):
    tiny = make_suite("tiny_staged")
    call(tiny, "calibrate", "--to", tmp_path / "tiny.json")
    machine.asked.clear()
    edit_record(tmp_path / "tiny.json", lambda content: content["header"]["fingerprint"].update(device_model="Another"))
    (tmp_path / "tiny.json.xz").write_bytes(lzma.compress((tmp_path / "tiny.json").read_bytes()))
    monkeypatch.setattr(finding_calibrations, "SHIPPED", tmp_path)
    shipped = make_suite("tiny_staged", calibration="tiny")
    assert steps_of(shipped, STAGED) == STEPS
    assert machine.asked == []
    more = make_suite("tiny_staged", "tiny_floor", calibration="tiny")
    assert steps_of(more, "tiny_floor/2/0/0") == {"c": 265}, "(400 - 2) / 1.5: it is measured, and joins"
    assert machine.asked == [["tiny_staged", "tiny_floor"]] * PROCESSES
    assert steps_of(more, "tiny_floor/2/0/0") == {"c": 265}
    assert len(machine.asked) == PROCESSES
    machine.factor = 0.9
    refused = make_suite("tiny_staged", "tiny_floor", calibration="tiny")
    with pytest.raises(UsageError, match="leave `calibration: tiny` out of the suite"):
        refused.session()


def test_what_a_named_calibration_gained_is_not_measured_again(make_suite, machine, tmp_path):
    call(make_suite("tiny_staged", "tiny_floor"), "calibrate", "--to", tmp_path / "full.json")
    named = tmp_path / "named.json"
    shutil.copy(tmp_path / "full.json", named)
    edit_record(named, lambda content: content["entries"].pop())
    before = make_suite("tiny_staged", calibration=str(named))
    before.session()
    shutil.copy(tmp_path / "full.json", named)
    now = make_suite("tiny_staged", "tiny_floor", calibration=str(named))
    shutil.copytree(before.store, now.store)
    machine.asked.clear()
    now.session()
    assert machine.asked == []


def test_a_process_measures_every_stage_in_pairs(make_suite):
    session = make_suite("tiny_staged", "action_pp", budget={"reference_steps": 4000}).session()
    runs = [
        session.plan.sample_run(entry.method, entry.params.model_dump(), entry.engine)
        for entry in session.plan.entries.values()
    ]
    torch.set_num_threads(1)
    staged, action_pp = measure(session.plan.unit_run, runs, session.cache.folder, 4)
    assert [stage.name for stage in staged] == ["first", "second", "third"]
    assert [stage.name for stage in action_pp] == ["global", "local", "anatomical"]
    assert all(len(stage.pairs) == 4 and min(map(min, stage.pairs)) > 0 for stage in [*staged, *action_pp])
    assert [bool(stage.events) for stage in action_pp] == [False, False, True]
    assert all(second > first for first, second in action_pp[2].pairs), "its last stage costs more than a plain step"


def _opened(path):
    content = json.loads(path.read_text())
    return json.dumps({name: value for name, value in content.items() if name != "sha256"})
