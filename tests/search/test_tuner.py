from dataclasses import asdict

import pytest

from harness.api.strict import canonical_json
from harness.execution.outcome import Outcome
from harness.execution.ray import Cluster
from harness.execution.run import Display
from harness.search.proposals import Listed
from harness.train.stop import StopFlag
from tests.search.tiny_search import make_search

Told = tuple[str, float | None, bool]


pytestmark = pytest.mark.usefixtures("_ray")


@pytest.fixture
def session(make_tiny):
    return make_search(make_tiny, {"tiny_short": {}}).session()


def as_tune_tells(result):
    from ray.tune.utils import flatten_dict

    return dict(flatten_dict(dict(result)))


class Recording(Listed):
    def __init__(self, session):
        super().__init__(session.plan.trials)
        self.told: list[Told] = []

    def ended(self, name, dice, failed):
        self.told.append((name, dice, failed))


@pytest.fixture
def searcher(session):
    import ray

    from harness.search.tuner import ProposedSearch

    stop, proposals = StopFlag(), Recording(session)
    search = ProposedSearch(session, proposals, Cluster(ray, 1, 0), stop, 1000.0, Display(session, 1))
    return search, proposals, stop


def report_of(status, **more):
    outcome = Outcome("u", status, "why", 1)
    return as_tune_tells({"validation": 1, "dice": 0.5, "outcome": canonical_json(asdict(outcome)), **more})


@pytest.mark.parametrize(
    ("result", "error", "stopped", "status", "failed"),
    [
        (report_of("failed"), False, False, "failed", True),
        (report_of("killed"), False, False, "failed", True),  # it has its record now
        (report_of("interrupted"), False, True, "interrupted", False),
        ({"validation": 1, "dice": 0.5}, False, False, "ok", False),  # ended by the scheduler
        (None, False, True, "interrupted", False),  # never started
        (None, True, False, "interrupted", True),
    ],
)
def test_how_a_trial_ended(result, error, stopped, status, failed, session, searcher):
    search, proposals, stop = searcher
    search.suggest("a")
    if stopped:
        stop.set("SIGUSR1")
    search.on_trial_complete("a", result, error)
    (outcome,) = search.outcomes.values()
    assert outcome.status == status
    assert proposals.told == [("a", 0.5 if result else None, failed)]
    assert search.running == {}
    record = session.folder(session.plan.trials[0].run).result()
    killed = result == report_of("killed")
    assert (record is not None and record.failure is not None and record.failure.kind == "killed") == killed


def test_tune_is_stopped_once_the_runs_have_left(searcher, monkeypatch):
    """It would retire for good what still runs. A run that never leaves does not hold it for ever."""
    from harness.search.tuner import StopAll

    search, _, stop = searcher
    told: list[int] = []
    monkeypatch.setattr(search, "forward_stop", lambda _running: told.append(1))
    stopper = StopAll(search)
    search.suggest("a")
    assert not stopper.stop_all()
    stop.set("SIGUSR1")
    assert not stopper.stop_all()
    assert not stopper.stop_all()
    assert len(told) == 2
    with monkeypatch.context() as patch:
        patch.setattr("harness.search.tuner.time.monotonic", lambda: 1e12)
        assert stopper.stop_all()
    search.on_trial_complete("a", None)
    assert stopper.stop_all()
    assert not stopper("a", {})
