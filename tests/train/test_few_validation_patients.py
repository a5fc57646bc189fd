import pytest

from harness.api import UsageError
from harness.data.subsets import validation_patients
from harness.suite.load import load_suite
from harness.suite.plan import dataset_of, make_plan, unprepared
from tests.support import cases_of
from tests.train.tiny import train, write_suite

PLANNED_RUN = "tiny_floor/2/0/0"
VALIDATED = ("p6", "p7")


@pytest.fixture(scope="module")
def results(make_tiny):
    trained = {}
    for count in (None, 2, 1):
        changes = {} if count is None else {"validation_patients": count}
        tiny = make_tiny({"tiny_floor": {}}, engine={"optimiser": {"learning_rate": 1.0}}, **changes)
        trained[count] = tiny, train(tiny, PLANNED_RUN)
    return trained


@pytest.mark.slow
def test_exactly_the_drawn_patients_choose(results):
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
def test_training_and_test_do_not_know_of_it(results):
    assert len({result.weights_sha256 for _, result in results.values()}) == 1
    for tiny, _ in results.values():
        cases = cases_of(tiny.folder(PLANNED_RUN))
        assert set(cases["patient"]) == {"p8", "p9"}


def test_more_than_there_are_is_refused(tmp_path):
    path = write_suite(tmp_path, {"supervised": {}}, dataset="phantom", validation_patients=5)
    with pytest.raises(UsageError, match=r"tiny\.yaml:\d+: validation_patients: phantom has 4 validation patients"):
        plan_of(path)


def plan_of(path):
    loaded = load_suite(path)
    return make_plan(loaded, unprepared(dataset_of(loaded)))
