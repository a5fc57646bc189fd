"""Runs trials on Ray Tune: a trainable whose steps are the validations of a child process, and the driver.

Tune's folder is deleted afterwards: the records alone say which trials have ended.
"""

import json
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import RunConfig, TuneConfig
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from harness.api.errors import InterruptedRunError
from harness.api.strict import canonical_json
from harness.execution.outcome import Outcome, settle
from harness.execution.process import Order, RestartingRun, make_order, run_process, stop_on_this_host
from harness.execution.ray import SIGNAL_SECONDS, Cluster, StopForwarder
from harness.execution.run import Display
from harness.execution.session import Session
from harness.records.owner import current_job
from harness.records.schema import Run
from harness.records.temporary import temporary_folder
from harness.search.optuna import METRIC
from harness.search.proposals import DONE, WAIT, Proposals
from harness.train.stop import RETIRE, StopFlag

OUTCOME = "outcome"
"""Key of a trial's last result. It holds the `Outcome` as JSON text, since Tune flattens mappings."""
STEP_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
NO_MORE = -1.0
"""An allowance below the cost of any step."""
REDUCTION = 3
"""ASHA keeps one trial in three at each rung: validations 1, 3, 9, ..."""

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


class RunTrainable(tune.Trainable):
    """Trains one run. Reports recorded validations first, and starts a process once Tune wants more.

    A step returns {"validation": its number, "dice": validation Dice} of the next validation, or of the last one again
    after a second without a new one; the last step also the outcome and `done`. The run's own checkpoint is the only
    one.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """config: the fields of an `Order`."""
        self._order = Order(**config)
        self._folder = self._order.folder
        self._reported = 0
        self._retired = StopFlag()
        self._run: RestartingRun | None = None
        self._outcome: Outcome | None = Outcome(self._order.run, "ok") if self._folder.done else None

    def step(self) -> dict[str, Any]:
        """Report one validation, or wait for a second."""
        validations = self._folder.validations()
        if self._reported >= len(validations) and self._outcome is None:
            self._run = self._run or RestartingRun(self._order, self._retired)
            self._outcome = self._run.wait(STEP_SECONDS)
            validations = self._folder.validations()
        if self._reported < len(validations):
            self._reported += 1
        shown = validations[: self._reported]
        report = {"validation": shown[-1].validation, METRIC: shown[-1].mean_dice} if shown else {}
        if self._outcome is None or self._reported < len(validations):
            return report
        return report | {"done": True, OUTCOME: canonical_json(asdict(self._outcome))}

    def cleanup(self) -> None:
        """End the run early, since Tune has ended the trial."""
        if self._run is None or self._outcome is not None:
            return
        self._retired.set("the search has seen enough")
        until = time.monotonic() + PATIENCE_SECONDS
        while self._run.wait(0) is None and time.monotonic() < until:
            stop_on_this_host([str(self._folder.path)], self._order.driver, current_job(), RETIRE)
            self._run.wait(STEP_SECONDS)

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Save nothing: the run keeps its own checkpoint."""
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Load nothing."""


@dataclass(eq=False)
class ProposedSearch(Searcher):
    """Tune's searcher over our proposals; records how each trial ended.

    Tune pickles its searcher, but this one has no meaning in another process: it pickles as an empty object.
    """

    session: Session
    proposals: Proposals
    cluster: Cluster
    stop: StopFlag
    checkpoint_seconds: float
    display: Display
    running: dict[str, Run] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(metric=METRIC, mode="max")
        self.forward_stop = StopForwarder(self.cluster.ray)

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401 - Tune's base forgets its own FINISHED
        """The fields of the next trial's `Order`; None asks Tune to try later."""
        if self.stop.is_set():
            return Searcher.FINISHED
        self.stop.install()  # Tune puts its own SIGUSR1 handler in the driver's place
        proposal = self.proposals.next(trial_id)
        if isinstance(proposal, str):
            return {WAIT: None, DONE: Searcher.FINISHED}[proposal]
        run = proposal.planned.run
        self.running[trial_id] = run
        return asdict(make_order(self.session, run, self.checkpoint_seconds, proposal.allowance))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Settle a trial that ended: by itself, with its worker, by a stop of Tune, or by the scheduler."""
        run, report = self.running.pop(trial_id), result or {}
        if error:
            self.stop.wait(SIGNAL_SECONDS)
        if OUTCOME in report:
            outcome = Outcome(**json.loads(report[OUTCOME]))
        elif self.stop.is_set():
            outcome = Outcome(run.id, "interrupted", self.stop.reason, InterruptedRunError.exit_code)
        elif error:
            outcome = Outcome(run.id, "killed", "its Ray worker died")
        else:
            outcome = Outcome(run.id, "ok", "ended early, others of its rung were better")
        outcome = settle(self.session.folder(run), outcome, self.stop)
        self.outcomes[run.id] = outcome
        self.proposals.ended(trial_id, report.get(METRIC), error or outcome.status == "failed")
        self.display.ended(run, outcome)
        if outcome.status == "refused":
            self.stop.set(outcome.message)

    def end_retired(self) -> None:
        """Write the result of trials that the scheduler ended before their processes had begun.

        Such a trial has validations on record, of a driver that was killed.
        """
        for run_id, outcome in self.outcomes.items():
            folder = self.session.store.by_id(run_id)
            if outcome.status == "ok" and not folder.done and not self.stop.is_set():
                order = make_order(self.session, folder.run, self.checkpoint_seconds, NO_MORE)
                self.outcomes[run_id] = settle(folder, run_process(order), self.stop)

    def save(self, checkpoint_path: str) -> None:
        """Write an empty file, since Tune wants one."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing from Tune."""


class StopAll(Stopper):
    """Ends the experiment after a stop of the driver, once the runs have written their checkpoints.

    Tune would end for good any trial that still runs, so it must not learn of the stop earlier.
    """

    def __init__(self, search: ProposedSearch) -> None:
        self._search = search
        self._until = math.inf

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """End no single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether a stop was asked for and no trial runs any more; called in each turn of Tune's loop."""
        search = self._search
        search.display.tick(list(search.running.values()))
        if not search.stop.is_set():
            return False
        self._until = min(self._until, time.monotonic() + PATIENCE_SECONDS)
        search.forward_stop([search.session.folder(run) for run in search.running.values()])
        return not search.running or time.monotonic() > self._until


def tune_trials(search: ProposedSearch, validations: int | None) -> list[Outcome]:
    """Run what a search proposes on the Ray that is up; an outcome for each trial that ended.

    validations: of a trial, where ASHA may end it early. None lets every trial end by itself.
    """
    scheduler = None
    if validations is not None:  # rungs at equal budgets: a validation comes at a fixed share of the full budget
        rungs: dict[str, Any] = {"max_t": validations + 1, "grace_period": 1, "reduction_factor": REDUCTION}
        scheduler = ASHAScheduler(time_attr="validation", metric=METRIC, mode="max", **rungs)
    with _quiet_folder() as folder:
        resources = {"cpu": 1.0, "gpu": float(search.cluster.run_gpus)}
        tuner = tune.Tuner(
            tune.with_resources(RunTrainable, resources),
            tune_config=TuneConfig(
                search_alg=search,
                scheduler=scheduler,
                num_samples=-1,
                max_concurrent_trials=search.cluster.workers,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=RunConfig(name="search", storage_path=folder, stop=StopAll(search), verbose=0),
        )
        tuner.fit()
    search.end_retired()
    return list(search.outcomes.values())


@contextmanager
def _quiet_folder() -> Iterator[str]:
    """A temporary folder for Tune's own state, with its messages turned off in the meantime."""
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # our own outcomes say what failed, without a traceback
    before = dict(os.environ)
    os.environ.update(QUIET)
    try:
        with temporary_folder("harness-tune-") as folder:
            yield str(folder)
    finally:
        logger.setLevel(level)
        for name in QUIET:
            os.environ.pop(name, None)
        os.environ.update({name: before[name] for name in QUIET if name in before})
