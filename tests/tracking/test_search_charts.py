"""What parallel coordinates of a search show, and settings as columns."""

from pathlib import Path
from typing import Any

from harness.records.reader import SuiteRecords
from harness.records.schema import Run
from harness.records.suite_folder import SuiteFolder
from harness.tracking.content import hyper_params, joined_params, run_params
from harness.tracking.saved_views import MAX_CATEGORIES, saved_views, varied_columns
from harness.tracking.tracked import TrackedSuite
from tests.synthetic import RunSpec

CONSTANT = {"family": "constant", "tau": 0.1}
COSINE = {"family": "cosine", "low": 0.1, "high": 1.0, "periods": 1.0}


def searched(*params: dict[str, Any]) -> list[Run]:
    return [run for _, run in RunSpec(search={"action_pp": params}).searched()]


def columns(*params: dict[str, Any]) -> list[str]:
    return varied_columns([hyper_params(run) for run in searched(*params)])


def test_nested_settings_become_columns():
    (run,) = searched({"student_temperature": COSINE, "bank": 36, "mixing": "cutmix", "strong": True, "seed": 3})
    found = run_params(run)
    assert found["student_temperature"] == "cosine 0.1 1 1"
    assert [found[f"student_temperature.{name}"] for name in ("family", "low", "high", "periods")] == [
        "cosine", "0.1", "1.0", "1.0",
    ]  # fmt: skip
    assert (found["bank"], found["mixing"], found["strong"]) == ("36", "cutmix", "true")
    assert (found["params.seed"], found["seed"]) == ("3", "100")  # the run has a seed too
    assert (found["budget.currency"], found["budget.amount"]) == ("device_seconds", "60.0")


def test_a_grid_of_schedules_and_centres_is_one_chart_of_what_all_share():
    grid = [
        {"bank": 36, "centers_per_class": r, "student_temperature": t, "teacher_temperature": t}
        for t in (CONSTANT, COSINE, {**COSINE, "periods": 10.0})
        for r in (1, 4)
    ]
    shared = ["centers_per_class", "student_temperature", "student_temperature.family"]
    assert columns(*grid) == shared  # the teacher's are equal, the bank never varies


def test_numbers_that_all_differ_are_columns_and_so_many_words_are_not():
    drawn = [
        {"consistency": 0.1 + i, "contrast_weight": 0.2 + i, "student_temperature": {**COSINE, "low": 0.01 * (i + 1)}}
        for i in range(MAX_CATEGORIES + 1)
    ]
    assert columns(*drawn) == ["consistency", "contrast_weight", "student_temperature.low"]


def test_a_searched_learning_rate_is_a_column():
    runs = [
        run.model_copy(update={"engine": run.engine.model_copy(
            update={"optimiser": run.engine.optimiser.model_copy(update={"learning_rate": rate})})})
        for run, rate in zip(searched({}, {}), (0.01, 0.1), strict=True)
    ]  # fmt: skip
    assert varied_columns([hyper_params(run) for run in runs]) == ["engine.optimiser.learning_rate"]


def test_one_configuration_gives_no_chart():
    assert columns({"bank": 36}) == []


def test_equal_columns_are_told_once_by_the_first_name():
    assert varied_columns([{"b": "1", "a": "1", "c": "x"}, {"b": "2", "a": "2", "c": "x"}]) == ["a"]


def test_a_parent_shows_different_settings_side_by_side():
    runs = searched(*({"bank": i} for i in (36, 8)))
    assert joined_params(runs)["bank"] == "8, 36"
    assert joined_params(runs)["method"] == "action_pp"
    assert joined_params(searched(*({"bank": i} for i in range(20))))["bank"] == "20 values"
    assert "strong" not in joined_params(searched({"strong": True}, {}))


def test_no_views_without_runs(tmp_path: Path):
    empty = SuiteFolder.create(tmp_path / "nothing_yet")
    assert saved_views(TrackedSuite(SuiteRecords(empty))) == []
