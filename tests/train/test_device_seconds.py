import pytest

from harness.train.replay import replay
from harness.train.stop import StopFlag
from tests.train.tiny import interrupt, train

pytestmark = pytest.mark.slow

BUDGET_SECONDS = 0.6
STAGED = "tiny_staged/2/0/0"


def assert_within_one_step(result, budget_seconds):
    spent = result.spent.useful_device_seconds
    assert abs(spent - budget_seconds) <= result.longest_step_seconds
    assert sum(result.stage_device_seconds.values()) == pytest.approx(spent)
    assert sum(result.stage_steps.values()) == result.spent.useful_steps


def assert_history_agrees(folder, result):
    """What a stage did before its first step is charged too, and is all that no step shows."""
    history = folder.history()
    assert history["step"].tolist() == list(range(result.spent.useful_steps))
    assert history["step_seconds"].max() == result.longest_step_seconds
    spent, end = 0.0, 0.0
    for name, share in (("first", 0.25), ("second", 0.25), ("third", 0.5)):
        stage = history[history["stage"] == name]
        assert len(stage) == result.stage_steps[name]
        start = result.stage_device_seconds[name] - stage["step_seconds"].sum()
        assert -1e-9 <= start <= 0.05 * BUDGET_SECONDS
        before = start + stage["step_seconds"].cumsum() - stage["step_seconds"]
        end += share * BUDGET_SECONDS
        assert stage["progress_run"].tolist() == pytest.approx(((spent + before) / BUDGET_SECONDS).tolist())
        assert stage["progress_stage"].tolist() == pytest.approx((before / (end - spent)).tolist())
        spent += result.stage_device_seconds[name]
    assert spent == pytest.approx(result.spent.useful_device_seconds)


@pytest.mark.parametrize("stops", [[], [1, 2, 30, 5]], ids=["whole", "interrupted"])
def test_budget_records_and_replay(stops, make_tiny):
    tiny = make_tiny({"tiny_staged": {}}, budget={"device_seconds": BUDGET_SECONDS})
    for steps in stops:
        interrupt(tiny, STAGED, steps)
    result, folder = train(tiny, STAGED), tiny.folder(STAGED)
    assert result.failure is None
    assert result.spent.attempts == len(stops) + 1
    assert_within_one_step(result, BUDGET_SECONDS)
    assert_history_agrees(folder, result)
    assert [validation.validation for validation in result.validations] == [1, 2, 3, 4]
    records = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    assert replay(folder, tiny.session().cache, StopFlag()) == result.weights_sha256
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == records, "a replay writes nothing"


def test_an_abrupt_end_loses_time_and_not_the_bound(make_tiny, monkeypatch):

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    tiny = make_tiny({"tiny_staged": {}}, budget={"device_seconds": BUDGET_SECONDS})
    with monkeypatch.context() as patch:
        patch.setattr("harness.train.measure.mean_dice", die)
        with pytest.raises(Killed):
            train(tiny, STAGED, checkpoint_seconds=0.05)
    result = train(tiny, STAGED)
    assert_within_one_step(result, BUDGET_SECONDS)
    assert_history_agrees(tiny.folder(STAGED), result)
    assert replay(tiny.folder(STAGED), tiny.session().cache, StopFlag()) == result.weights_sha256


def test_a_stage_without_a_step_is_replayed_as_such(make_tiny):
    """Starting the first stage, or its first step, overspends the second one's share as well."""
    tiny = make_tiny({"tiny_short": {}}, budget={"device_seconds": 0.1})
    result = train(tiny, "tiny_short/2/0/0")
    assert result.stage_steps["a"] <= 1
    assert result.stage_steps["b"] == 0
    assert result.stage_steps["c"] > 1
    folder = tiny.folder("tiny_short/2/0/0")
    assert replay(folder, tiny.session().cache, StopFlag()) == result.weights_sha256
