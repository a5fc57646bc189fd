import importlib
import math
import os
import random
import re
import socket

import pandas as pd
import pytest
import torch

from harness.api.errors import InterruptedRunError, RecordError
from harness.data.cache import Cache
from harness.train.checkpoint import read_checkpoint
from tests.support import cases_of, environment_of
from tests.train.tiny import StopAfter, interrupt, lines_of, run_of, train

pytestmark = pytest.mark.slow

STAGED = "tiny_staged/2/0/0"
STEPS = 40


@pytest.fixture(scope="module")
def whole(make_tiny):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": STEPS})
    train(tiny, STAGED)
    return tiny


@pytest.fixture(scope="module")
def reference(whole):
    return result_of(whole.folder(STAGED))


@pytest.fixture
def tiny(make_tiny):
    return make_tiny({"tiny_staged": {}}, budget={"steps": STEPS})


def stop_after(tiny, steps):
    interrupt(tiny, STAGED, steps)
    return tiny.folder(STAGED)


def change_checkpoint(folder, **changes):
    torch.save(torch.load(folder.checkpoint, weights_only=True) | changes, folder.checkpoint)


def result_of(folder):
    result = folder.require_result()
    assert result.failure is None
    return result


def assert_same_numbers(folder, other):
    """Weights, cases, validations, best validation and every step's losses and schedules: equal to the bit."""
    mine, theirs = result_of(folder), result_of(other)
    for name in ("weights_sha256", "best_validation", "images_seen", "labelled_images_seen"):
        assert getattr(mine, name) == getattr(theirs, name), name
    assert [validation.dice for validation in mine.validations] == [
        validation.dice for validation in theirs.validations
    ]
    pd.testing.assert_frame_equal(cases_of(folder), cases_of(other), check_exact=True)
    predicted, kept = folder.predictions(), other.predictions()
    assert predicted.keys() == kept.keys()
    assert all((predicted[case] == kept[case]).all() for case in predicted)
    pd.testing.assert_frame_equal(
        folder.history().drop(columns="step_seconds"), other.history().drop(columns="step_seconds"), check_exact=True
    )


def test_records_are_complete(whole, reference):
    folder = whole.folder(STAGED)
    names = {path.name for path in folder.path.iterdir()}
    files = {"run.json", "ledger.jsonl", "history.parquet", "checkpoint.pt", "cases.parquet", "predictions.npz"}
    assert files | {"result.json"} <= names
    assert not [name for name in names if name in {"lease", "history", "error.txt"} or name.startswith(".")]
    assert reference.stage_steps == {"first": 10, "second": 10, "third": 20}
    assert sum(reference.stage_device_seconds.values()) == pytest.approx(reference.spent.useful_device_seconds)
    assert (reference.images_seen, reference.labelled_images_seen) == (4 * STEPS, 4 * 10 + 2 * 30)
    assert 0 < reference.longest_step_seconds <= reference.spent.useful_device_seconds
    assert reference.peak_memory_bytes > 10_000_000
    environment = environment_of(folder)
    assert environment is not None
    assert (environment.threads, environment.data_checksum) == (1, run_of(whole, STAGED).dataset.checksum)
    assert {"data", "build", "warmup", "train", "eval", "checkpoint", "unaccounted"} <= reference.wall_seconds.keys()


def test_the_ledger_says_what_was_spent(whole, reference):
    lines = whole.folder(STAGED).ledger.lines()
    assert [line.kind for line in lines if line.kind != "heartbeat"][:2] == ["begin", "start"]
    process = lines[0].process
    assert (process.pid, process.host, process.gpu_uuid) == (os.getpid(), socket.gethostname(), None)
    assert {line.environment for line in lines} == {reference.environment}
    assert (lines[-1].kind, lines[-1].steps, lines[-1].base_steps) == ("end", STEPS, 0)
    spent = whole.folder(STAGED).ledger.spent()
    assert spent == reference.spent
    assert (spent.useful_steps, spent.lost_steps, spent.attempts) == (STEPS, 0, 1)


def test_history_holds_each_step_once(whole):
    history = whole.folder(STAGED).history()
    assert history["step"].tolist() == list(range(STEPS))
    assert history["stage"].tolist() == ["first"] * 10 + ["second"] * 10 + ["third"] * 20
    assert history["step_in_stage"].tolist() == [*range(10), *range(10), *range(20)]
    assert history["progress_run"].tolist() == [k / STEPS for k in range(STEPS)]
    assert history["progress_stage"].tolist() == [k / n for n in (10, 10, 20) for k in range(n)]
    # the rate restarts with each stage: 0.05 (1 - p)^0.9
    rates = [0.05 * math.pow(1 - p, 0.9) for p in history["progress_stage"]]
    assert history["learning_rate"].tolist() == pytest.approx(rates)
    assert (history["step_seconds"] > 0).all()
    assert history["loss"].notna().all()
    assert history.loc[:9, "term/consistency"].isna().all()
    assert history.loc[10:, "term/consistency"].notna().all()


def test_validations_stand_at_equal_fractions(reference):
    places = [(validation.validation, validation.step, validation.progress) for validation in reference.validations]
    assert places == [(1, 10, 0.25), (2, 20, 0.5), (3, 30, 0.75), (4, 40, 1.0)]
    assert all(validation.dice.keys() == {"bright", "dim"} for validation in reference.validations)
    best = max(reference.validations, key=lambda validation: (validation.mean_dice, -validation.validation))
    assert reference.best_validation == best.validation, "the first of the best"
    assert all(validation.diagnostics.keys() == {"noise", "bank"} for validation in reference.validations)


def test_cases_are_the_test_patients_for_both_selections(whole):
    cases = cases_of(whole.folder(STAGED))
    key = ["checkpoint", "case", "class_name"]
    assert len(cases) == 2 * 2 * 2
    assert not cases.duplicated(key).any()
    assert set(cases["checkpoint"]) == {"last", "best_val"}
    assert set(cases["patient"]) == {"p8", "p9"}
    assert set(cases["class_name"]) == {"bright", "dim"}
    assert cases["dice"].between(0, 1).all()
    assert cases["hd95_mm"].isna().all(), "the spacing is unknown"
    assert cases["hd95_voxel"].notna().all()


def test_parameters_count_what_some_stage_trains(reference):
    """conv 1 -> 6 (54 + 6), batch norm (12), conv 6 -> 3 (162 + 3); the teacher is trained by no optimiser."""
    assert reference.parameters_predictor == 60 + 12 + 165
    assert reference.parameters_training == 60 + 12 + 165, "the encoder trains in the first stage"


def test_a_finished_run_is_not_touched_again(whole, reference):
    folder = whole.folder(STAGED)
    before = {path.name: path.stat().st_mtime_ns for path in folder.path.iterdir()}
    assert train(whole, STAGED) == reference
    assert {path.name: path.stat().st_mtime_ns for path in folder.path.iterdir()} == before


@pytest.mark.parametrize("change", [{"seeds": [1]}, {"engine": {"augmentation": "none"}}, {"subsets": [1]}])
def test_what_is_in_the_record_matters(change, make_tiny, reference):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": STEPS}, **change)
    (run,) = tiny.session().plan.runs
    result = train(tiny, run.id)
    assert result.weights_sha256 != reference.weights_sha256


def test_neither_validations_nor_warm_up_change_the_weights(make_tiny, reference):
    """Validations see dropout layers and batch statistics, and this method's diagnostics draw numbers."""
    engine = {"validations": 7, "warmup_steps": 0}
    result = train(make_tiny({"tiny_staged": {}}, budget={"steps": STEPS}, engine=engine), STAGED)
    assert len(result.validations) == 7
    assert result.weights_sha256 == reference.weights_sha256


def test_stopped_and_resumed_to_the_bit(tiny, whole):
    folder = tiny.folder(STAGED)
    stops, done = (3, 4, 9, 4, 5, 6), 0
    for steps in stops:
        done += steps
        with pytest.raises(InterruptedRunError, match=f"step {done}.*goes on"):
            train(tiny, STAGED, StopAfter(steps))
        assert folder.checkpoint.exists()
        assert not folder.done
        assert not folder.lease.held()
        assert folder.history()["step"].tolist() == list(range(done))
    torch.manual_seed(7)
    result = train(tiny, STAGED)
    assert_same_numbers(folder, whole.folder(STAGED))
    assert (result.spent.useful_steps, result.spent.lost_steps) == (STEPS, 0)
    assert result.spent.attempts == len(stops) + 1
    assert result.spent.lost_device_seconds == pytest.approx(0, abs=1e-9)
    assert sum(result.stage_device_seconds.values()) == pytest.approx(result.spent.useful_device_seconds)


class Killed(BaseException):
    """As abrupt as a kill, for a process that must live on: nothing of the engine catches it."""


def killed_during(tiny, monkeypatch, target, call, *, after):
    module, _, name = target.rpartition(".")
    owner = importlib.import_module(module)
    real, calls = getattr(owner, name), []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == call and not after:
            raise Killed
        value = real(*args, **kwargs)
        if len(calls) == call:
            raise Killed
        return value

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        with pytest.raises(Killed):
            train(tiny, STAGED)


@pytest.mark.parametrize(
    ("target", "call", "after"),
    [
        ("harness.records.run_folder.write_bytes", 2, True),  # a part of the history
        ("harness.train.checkpoint.write_atomic", 2, False),  # a checkpoint
        ("harness.train.measure.mean_dice", 3, False),  # a validation
        ("harness.train.measure.write_record", 1, True),  # before the test split opens
        ("harness.train.measure.case_rows", 1, False),  # while testing
        ("harness.train.run.weights_sha256", 1, False),  # while the result is made
    ],
)
def test_dying_at_any_point_costs_nothing(target, call, after, tiny, whole, monkeypatch):
    killed_during(tiny, monkeypatch, target, call, after=after)
    folder = tiny.folder(STAGED)
    assert not folder.done
    train(tiny, STAGED)
    assert_same_numbers(folder, whole.folder(STAGED))
    spent = folder.ledger.spent()
    assert (spent.useful_steps, spent.attempts) == (STEPS, 2)
    assert spent.lost_steps >= 0


def test_another_environment_starts_again_and_the_old_attempt_is_lost(tiny, whole, reference):
    folder = stop_after(tiny, 17)
    assert torch.load(folder.checkpoint, weights_only=True)["environment"] == reference.environment
    change_checkpoint(folder, environment="f" * 64)
    result = train(tiny, STAGED)
    assert (result.spent.useful_steps, result.spent.lost_steps, result.spent.attempts) == (STEPS, 17, 2)
    assert result.spent.lost_device_seconds == pytest.approx(lines_of(folder, 0)[-1].device_seconds)
    assert lines_of(folder, 1)[0].base_steps == 0
    assert_same_numbers(folder, whole.folder(STAGED))


def test_a_run_with_a_damaged_checkpoint_starts_again_and_says_so(tiny, caplog):
    path = stop_after(tiny, 3).checkpoint
    path.write_bytes(path.read_bytes()[:3000])
    result = train(tiny, STAGED)
    assert (result.status, result.spent.useful_steps, result.spent.lost_steps) == ("ok", STEPS, 3)
    assert re.search(r"checkpoint\.pt: damaged: .*; the run starts again", caplog.text)
    notes = [line.note for line in tiny.folder(STAGED).ledger.lines() if line.note]
    assert any(note.startswith("starts again: ") for note in notes)


def test_any_flipped_bit_of_a_checkpoint_is_found_or_changes_nothing(tiny):
    folder = stop_after(tiny, 3)
    environment = folder.ledger.lines()[-1].environment
    whole = folder.checkpoint.read_bytes()
    expected = torch.load(folder.checkpoint, weights_only=True)
    generator = random.Random(7)
    damaged = 0
    for _ in range(150):
        content = bytearray(whole)
        content[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        folder.checkpoint.write_bytes(content)
        try:
            read = read_checkpoint(folder.checkpoint, folder.run, environment)
        except RecordError:
            damaged += 1
        else:  # names, times and padding of the file
            assert str(read) == str(expected)
    assert damaged > 75


def test_the_test_split_is_closed_until_the_weights_are_final(tiny, monkeypatch):
    folder = tiny.folder(STAGED)
    opened = []
    real = Cache.test_cases

    def watching(self, permit):
        steps = torch.load(folder.checkpoint, weights_only=True)["meter"]["steps"]
        opened.append((tiny.session().store.selection_path.exists(), steps))
        return real(self, permit)

    monkeypatch.setattr(Cache, "test_cases", watching)
    train(tiny, STAGED)
    assert opened == [(True, STEPS)], "once, after the last step, with the selection recorded"


class Code:
    """Makes the folder `ran` where somebody unpickles it."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_checkpoint_runs_no_code(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.folder(STAGED).path.mkdir(parents=True, exist_ok=True)
    torch.save({"schema_version": 2, "run": Code()}, tiny.folder(STAGED).checkpoint)
    with pytest.raises(RecordError, match=r"checkpoint\.pt"):
        train(tiny, STAGED)
    assert not list(tmp_path.iterdir())
