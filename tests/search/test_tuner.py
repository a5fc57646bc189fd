import importlib.util
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from harness.api.errors import InterruptedRunError
from harness.api.strict import canonical_json
from harness.execution.outcome import Outcome
from harness.execution.process import make_order
from harness.execution.ray import Cluster
from harness.execution.run import Display
from harness.execution.session import Session
from harness.records.run_folder import RunFolder
from harness.search.proposals import Listed
from harness.train.run import RunSettings, train_run
from harness.train.stop import StopFlag
from tests.search.suites import end
from tests.search.tiny_search import make_search
from tests.support import LIMIT_SECONDS, require
from tests.train.fixtures import MakeTiny
from tests.train.tiny import StopAfter

Told = tuple[str, float | None, bool]


@pytest.fixture(autouse=True, scope="module")
def _ray() -> None:
    require("ray", importlib.util.find_spec("ray") is not None, "Ray is not installed")


@pytest.fixture
def session(make_tiny: MakeTiny) -> Session:
    return make_search(make_tiny, {"tiny_short": {}}).session()


def trainable_of(session: Session) -> Any:
    from harness.search.tuner import RunTrainable

    (planned,) = session.plan.trials
    return RunTrainable(asdict(make_order(session, planned.run, 1000.0)))


def as_tune_tells(result: Mapping[str, Any]) -> dict[str, Any]:
    """Results as searchers get them: mappings are taken apart."""
    from ray.tune.utils import flatten_dict

    return dict(flatten_dict(dict(result)))


class Recording(Listed):
    def __init__(self, session: Session) -> None:
        super().__init__(session.plan.trials)
        self.told: list[Told] = []

    def ended(self, name: str, dice: float | None, failed: bool) -> None:
        self.told.append((name, dice, failed))


Searcher = tuple[Any, Recording, StopFlag]


@pytest.fixture
def searcher(session: Session) -> Searcher:
    """Tune's searcher over the one trial, and what it tells."""
    import ray

    from harness.search.tuner import ProposedSearch

    stop, proposals = StopFlag(), Recording(session)
    search = ProposedSearch(session, proposals, Cluster(ray, 1, 0), stop, 1000.0, Display(session, 1))
    return search, proposals, stop


def test_a_run_that_has_ended_tells_its_validations_one_by_one(session: Session):
    end(session.folder(session.plan.trials[0].run), 0.5)
    trainable = trainable_of(session)
    first, last = trainable.step(), trainable.step()
    assert first == {"validation": 1, "dice": 0.99}
    assert {name: last[name] for name in ("validation", "dice", "done")} == {"validation": 2, "dice": 0.5, "done": True}
    trainable.cleanup()


def half_trained(session: Session) -> RunFolder:
    """8 of 12 steps and the first validation, then interrupted."""
    folder = session.folder(session.plan.trials[0].run)
    with pytest.raises(InterruptedRunError):
        train_run(folder, session.cache, session.store.selection_path, RunSettings(stop=StopAfter(8)))
    return folder


def test_validations_on_record_are_told_before_a_process_starts(session: Session):
    """The scheduler may have seen enough already; a process that is just starting would not hear it say so."""
    folder = half_trained(session)
    trainable = trainable_of(session)
    assert trainable.step()["validation"] == 1
    assert not folder.log.exists(), "nothing was started"
    trainable.cleanup()
    assert not folder.done
    assert trainable.step()["validation"] == 1, "no news within a second of the start"
    assert folder.log.exists()
    last = next(told for told in (trainable.step() for _ in range(int(LIMIT_SECONDS))) if told.get("done"))
    assert (last["validation"], last["done"], Outcome(**json.loads(last["outcome"])).status) == (2, True, "ok")


def test_a_trial_that_was_retired_before_its_process_began_gets_its_record(session: Session, searcher: Searcher):
    """Without one the search would never be over."""
    search, _, _ = searcher
    folder = half_trained(session)
    search.suggest("a")
    search.on_trial_complete("a", {"validation": 1, "dice": 0.5})
    assert folder.result() is None
    search.end_retired()
    result = folder.require_result()
    assert (result.status, result.spent.useful_steps, len(result.validations)) == ("ended_early", 8, 1)
    assert [outcome.status for outcome in search.outcomes.values()] == ["ok"]
    search.end_retired()
    assert folder.result() == result


def test_what_a_trial_told_reaches_the_driver(session: Session, searcher: Searcher):
    """Its log cannot be written, so its process never starts: others must not start either."""
    search, proposals, stop = searcher
    assert search.suggest("a")["run"] == session.plan.trials[0].run.id
    session.folder(session.plan.trials[0].run).log.mkdir()
    trainable = trainable_of(session)
    search.on_trial_complete("a", as_tune_tells(trainable.step()))
    (outcome,) = search.outcomes.values()
    assert (outcome.status, outcome.exit_code) == ("refused", 74)
    assert "cannot write" in outcome.message
    assert stop.is_set()
    assert proposals.told == [("a", None, False)]


def report_of(status: str, **more: Any) -> dict[str, Any]:
    outcome = Outcome("u", status, "why", 1)  # type: ignore[arg-type]
    return as_tune_tells({"validation": 1, "dice": 0.5, "outcome": canonical_json(asdict(outcome)), **more})


@pytest.mark.parametrize(
    ("result", "error", "stopped", "status", "failed"),
    [
        (report_of("ok"), False, False, "ok", False),
        (report_of("failed"), False, False, "failed", True),
        (report_of("killed"), False, False, "failed", True),  # it has its record now
        (report_of("interrupted"), False, True, "interrupted", False),
        (report_of("busy"), False, False, "busy", False),
        ({"validation": 1, "dice": 0.5}, False, False, "ok", False),  # ended by the scheduler
        ({"validation": 1, "dice": 0.5}, False, True, "interrupted", False),
        (None, False, True, "interrupted", False),  # never started
        (None, True, False, "interrupted", True),
        (None, True, True, "interrupted", True),
    ],
)
def test_how_a_trial_ended(
    result: dict[str, Any] | None,
    error: bool,
    stopped: bool,
    status: str,
    failed: bool,
    session: Session,
    searcher: Searcher,
):
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


def test_nothing_is_suggested_after_the_last_trial_or_a_stop(searcher: Searcher):
    search, _, stop = searcher
    assert "run" in search.suggest("a")
    assert search.suggest("b") == search.FINISHED
    stop.set("SIGUSR1")
    assert search.suggest("c") == search.FINISHED


def test_tune_is_stopped_once_the_runs_have_left(searcher: Searcher, monkeypatch: pytest.MonkeyPatch):
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


def test_a_search_pickles_as_nothing(searcher: Searcher):
    search, _, _ = searcher
    assert type(pickle.loads(pickle.dumps(search))) is object
