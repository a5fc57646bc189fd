"""Drives Ray Tune. Its directory is thrown away: what is done is read from the records, whatever ended the last run."""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import RunConfig, TuneConfig
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from harness.api.errors import InterruptedRunError
from harness.execution.display import Display
from harness.execution.outcome import Outcome, settle
from harness.execution.process import make_order, run_process
from harness.execution.ray import RUMOUR_SECONDS
from harness.execution.ray_cluster import Cluster
from harness.execution.session import Session
from harness.execution.signal_forwarding import StopForwarder
from harness.records.schema import Run
from harness.search.optuna import METRIC
from harness.search.proposals import DONE, WAIT, Proposals
from harness.search.trainable import OUTCOME, PATIENCE_SECONDS, RunTrainable
from harness.train.stop import StopFlag

NO_MORE = -1.0
"""An allowance into which no step fits."""
REDUCTION = 3
"""ASHA keeps one in so many at each rung: validations 1, 3, 9, ..."""

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


class ProposedSearch(Searcher):
    """Tune's searcher over our proposals. It also takes down how each trial ended.

    Tune pickles what it holds. Nothing of this means anything elsewhere, so it pickles as nothing.
    """

    def __init__(
        self,
        session: Session,
        proposals: Proposals,
        cluster: Cluster,
        stop: StopFlag,
        checkpoint_seconds: float,
        display: Display,
    ) -> None:
        super().__init__(metric=METRIC, mode="max")
        self.session = session
        self.proposals = proposals
        self.cluster = cluster
        self.stop = stop
        self.checkpoint_seconds = checkpoint_seconds
        self.display = display
        self.running: dict[str, Run] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.forward_stop = StopForwarder(cluster.ray)

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        """Pickle as nothing."""
        return object, ()

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401 - Tune's base forgets its own FINISHED
        """The next trial's configuration: the fields of an `Order`."""
        self.stop.install()  # Tune puts its own SIGUSR1 handler in the driver's place
        if self.stop.is_set():
            return Searcher.FINISHED
        proposal = self.proposals.next(trial_id)
        if isinstance(proposal, str):
            return {WAIT: None, DONE: Searcher.FINISHED}[proposal]
        run = proposal.planned.run
        self.running[trial_id] = run
        return asdict(make_order(self.session, run, self.checkpoint_seconds, proposal.allowance))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial ended: by itself, with its worker, because Tune was stopped, or by the scheduler."""
        run, report = self.running.pop(trial_id), result or {}
        if error:
            self.stop.wait(RUMOUR_SECONDS)
        if OUTCOME in report:
            outcome = Outcome(**json.loads(report[OUTCOME]))
        elif self.stop.is_set():
            outcome = Outcome(run.id, "interrupted", self.stop.reason, InterruptedRunError.exit_code)
        elif error:
            outcome = Outcome(run.id, "killed", "its worker died")
        else:
            outcome = Outcome(run.id, "ok", "ended early, others of its rung were better")
        outcome = settle(self.session.folder(run), outcome, self.stop)
        self.outcomes[run.id] = outcome
        self.proposals.ended(trial_id, report.get(METRIC), error or outcome.status == "failed")
        self.display.ended(run, outcome)
        if outcome.status == "refused":
            self.stop.set(outcome.message)

    def end_retired(self) -> None:
        """Give a record to trials that the scheduler ended before their processes had begun.

        Such a trial had validations on record, from an earlier driver that was killed.
        """
        for run_id, outcome in self.outcomes.items():
            folder = self.session.store.by_id(run_id)
            if outcome.status == "ok" and not folder.done and not self.stop.is_set():
                order = make_order(self.session, folder.run, self.checkpoint_seconds, NO_MORE)
                self.outcomes[run_id] = settle(folder, run_process(order), self.stop)

    def save(self, checkpoint_path: str) -> None:
        """An empty file, since Tune wants one."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is restored from Tune."""


class StopAll(Stopper):
    """Ends the experiment when the driver was asked to stop, once the runs have left their checkpoints.

    Tune ends a trial for good that still runs then, so it must not be told earlier.
    """

    def __init__(self, search: ProposedSearch) -> None:
        self._search = search
        self._until = math.inf

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is ended here."""
        return False

    def stop_all(self) -> bool:
        """Whether somebody asked, and nothing runs any more. Tune asks this each time that it validations around."""
        search = self._search
        search.display.tick(list(search.running.values()))
        if not search.stop.is_set():
            return False
        self._until = min(self._until, time.monotonic() + PATIENCE_SECONDS)
        search.forward_stop([search.session.folder(run) for run in search.running.values()])
        return not search.running or time.monotonic() > self._until


def tune_trials(search: ProposedSearch, validations: int | None) -> list[Outcome]:
    """Run what a search proposes on the Ray that is up.

    Args:
        search: gives the trials.
        validations:  validations of a trial, where ASHA may end it early. None lets every trial end by itself.

    Returns:
        An outcome for each trial that ended.
    """
    with _quiet_folder() as folder:
        resources = {"cpu": 1.0, "gpu": float(search.cluster.run_gpus)}
        tuner = tune.Tuner(
            tune.with_resources(RunTrainable, resources),
            tune_config=TuneConfig(
                search_alg=search,
                scheduler=None if validations is None else _asha(validations),
                num_samples=-1,
                max_concurrent_trials=search.cluster.workers,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=RunConfig(name="search", storage_path=folder, stop=StopAll(search), verbose=0),
        )
        tuner.fit()
    search.end_retired()
    return list(search.outcomes.values())


def _asha(validations: int) -> ASHAScheduler:
    """Rungs at equal spent budgets: a validation comes at a fixed share of the full budget."""
    return ASHAScheduler(
        time_attr="validation",
        metric=METRIC,
        mode="max",
        max_t=validations + 1,
        grace_period=1,
        reduction_factor=REDUCTION,
    )


@contextmanager
def _quiet_folder() -> Iterator[str]:
    """A directory for Tune's own state, and its messages off. Both are as before in the end."""
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # our own outcomes say what failed, without a traceback
    before = dict(os.environ)
    os.environ.update(QUIET)
    try:
        with tempfile.TemporaryDirectory(prefix="tune", ignore_cleanup_errors=True) as folder:
            yield folder
    finally:
        logger.setLevel(level)
        for name in QUIET:
            os.environ.pop(name, None)
        os.environ.update({name: before[name] for name in QUIET if name in before})
