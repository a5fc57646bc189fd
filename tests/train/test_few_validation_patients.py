from pathlib import Path

import pytest

from harness.api.errors import UsageError
from harness.audit import audit
from harness.data.subsets import validation_patients
from harness.leaderboard.leaderboard import build_leaderboard
from harness.leaderboard.notes import notes
from harness.records.reader import SuiteRecords
from harness.records.schema import Result
from harness.suite.load import load_suite
from harness.suite.plan import Plan, dataset_of, make_plan, unprepared
from tests.support import cases_of
from tests.train.fixtures import MakeTiny
from tests.train.tiny import Tiny, train, write_suite

PLANNED_RUN = "tiny_floor/2/0/0"
VALIDATED = ("p6", "p7")


@pytest.fixture(scope="module")
def results(make_tiny: MakeTiny) -> dict[int | None, tuple[Tiny, Result]]:
    """By the number of validation patients: the same training, validated on all, both and one of the two."""
    trained = {}
    for count in (None, 2, 1):
        changes = {} if count is None else {"validation_patients": count}
        tiny = make_tiny({"tiny_floor": {}}, engine={"optimiser": {"learning_rate": 1.0}}, **changes)
        trained[count] = tiny, train(tiny, PLANNED_RUN)
    return trained


@pytest.mark.slow
def test_exactly_the_drawn_patients_choose(results: dict[int | None, tuple[Tiny, Result]]):
    for count, (_, result) in results.items():
        drawn = validation_patients(VALIDATED, count, "tiny_squares")
        assert len(drawn) == (count or 2)
        assert {validation.patients for validation in result.validations} == {drawn}
    every, both, single = ([v.dice for v in results[count][1].validations] for count in (None, 2, 1))
    assert every == both != single
    for _, result in results.values():
        best = max(result.validations, key=lambda validation: (validation.mean_dice or 0.0, -validation.validation))
        assert result.best_validation == best.validation


@pytest.mark.slow
def test_training_and_test_do_not_know_of_it(results: dict[int | None, tuple[Tiny, Result]]):
    assert len({result.weights_sha256 for _, result in results.values()}) == 1
    for tiny, _ in results.values():
        cases = cases_of(tiny.folder(PLANNED_RUN))
        assert set(cases["patient"]) == {"p8", "p9"}


@pytest.mark.slow
def test_the_board_and_the_audit_say_who_chose(results: dict[int | None, tuple[Tiny, Result]]):
    records = SuiteRecords.open(results[1][0].store)
    board = build_leaderboard(records)
    assert board.results[["trained_on", "selected_on"]].drop_duplicates().to_numpy().tolist() == [["2", 1]]
    said = notes(board.inputs, board.inputs.comparisons[0])
    assert "Labels: of 2 patients for training; those of 1 validation patients choose best_val." in said
    assert next(each for each in audit(records).findings if each.number == 1).status != "not held"


def test_it_is_part_of_the_id_where_it_is_given(tmp_path: Path):
    plans = [
        plan_of(write_suite(tmp_path / str(count), {"supervised": {}}, dataset="phantom", validation_patients=count))
        for count in (None, 1, 2)
    ]
    assert len({(*plan.names, plan.loaded.suite.hash) for plan in plans}) == 3
    assert "validation_patients" not in plans[0].loaded.suite.model_dump(mode="json")


@pytest.mark.parametrize(
    ("dataset", "count", "words"),
    [
        ("phantom", 5, r"tiny\.yaml:\d+: validation_patients: phantom has 4 validation patients; give fewer"),
        ("acdc", 0, r"tiny\.yaml:\d+: validation_patients: Input should be greater than or equal to 1, not 0"),
    ],
)
def test_what_there_is_not_is_refused(dataset: str, count: int, words: str, tmp_path: Path):
    path = write_suite(tmp_path, {"supervised": {}}, dataset=dataset, validation_patients=count)
    with pytest.raises(UsageError, match=words) as caught:
        plan_of(path)
    assert caught.value.exit_code == 64


def plan_of(path: Path) -> Plan:
    loaded = load_suite(path)
    return make_plan(loaded, unprepared(dataset_of(loaded)))
