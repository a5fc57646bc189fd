"""Drives Ray Tune. Its directory is thrown away: what is done is read from the records, whatever ended the last run."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
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
from harness.records.schema import Unit
from harness.search.optuna import METRIC
from harness.search.proposals import DONE, WAIT, Proposal, Proposals
from harness.search.trainable import OUTCOME, PATIENCE_SECONDS, UnitTrainable
from harness.train.stop import StopFlag

NO_MORE = -1.0
"""An allowance into which no step fits."""
REDUCTION = 3
"""ASHA keeps one in so many at each rung: looks 1, 3, 9, ..."""

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


class Driver:
    """What Tune asks on this side. Tune pickles what it holds, and this must not travel: it pickles as nothing."""

    def __init__(
        self,
        session: Session,
        proposals: Proposals,
        cluster: Cluster,
        stop: StopFlag,
        checkpoint_seconds: float,
        display: Display,
    ) -> None:
        self.session = session
        self.proposals = proposals
        self.cluster = cluster
        self.stop = stop
        self.checkpoint_seconds = checkpoint_seconds
        self.display = display
        self.running: dict[str, Unit] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.retired: list[Unit] = []
        self._forward = StopForwarder(cluster.ray)

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        """Nothing of a driver means anything elsewhere."""
        return object, ()

    def config(self, proposal: Proposal) -> dict[str, Any]:
        """What the trainable is told."""
        unit = proposal.planned.unit
        return asdict(make_order(self.session, unit, self.checkpoint_seconds, proposal.allowance))

    def ended(self, trial_id: str, told: str | None, dice: float | None, failed: bool) -> None:
        """A trial ended: by itself, which it told, with its worker, because Tune was stopped, or by the scheduler."""
        unit = self.running.pop(trial_id)
        if failed:
            self.stop.wait(RUMOUR_SECONDS)
        if told is not None:
            outcome = Outcome(**json.loads(told))
        elif self.stop.is_set():
            outcome = Outcome(unit.id, "interrupted", self.stop.reason, InterruptedRunError.exit_code)
        elif failed:
            outcome = Outcome(unit.id, "killed", "its worker died")
        else:
            outcome = Outcome(unit.id, "ok", "ended early, others of its rung were better")
            self.retired.append(unit)
        outcome = settle(self.session.folder(unit), outcome, self.stop)
        self.outcomes[unit.id] = outcome
        self.proposals.ended(trial_id, dice, failed or outcome.status == "failed")
        self.display.ended(unit, outcome)
        if outcome.status == "refused":
            self.stop.set(outcome.message)

    def end_retired(self) -> None:
        """Give a record to trials that the scheduler ended before their processes could hear of it.

        Such a trial had looks on record, from an earlier run that was killed.
        """
        for unit in self.retired:
            if not self.session.folder(unit).done and not self.stop.is_set():
                order = make_order(self.session, unit, self.checkpoint_seconds, NO_MORE)
                self.outcomes[unit.id] = settle(order.folder, run_process(order), self.stop)

    def interrupt(self) -> None:
        """Ask the processes of running units to checkpoint and leave."""
        self._forward([self.session.folder(unit) for unit in self.running.values()])


class ProposedSearch(Searcher):
    """Tune's searcher over our proposals."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._driver = driver

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401 - Tune's base forgets its own FINISHED
        """The next trial's configuration."""
        driver = self._driver
        driver.stop.install()  # Tune puts its own SIGUSR1 handler in the driver's place
        if driver.stop.is_set():
            return Searcher.FINISHED
        proposal = driver.proposals.next(trial_id)
        if isinstance(proposal, str):
            return {WAIT: None, DONE: Searcher.FINISHED}[proposal]
        driver.running[trial_id] = proposal.planned.unit
        return driver.config(proposal)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial ended, by itself or by the scheduler."""
        last = result or {}
        self._driver.ended(trial_id, last.get(OUTCOME), last.get(METRIC), error)

    def save(self, checkpoint_path: str) -> None:
        """An empty file, since Tune wants one."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is restored from Tune."""


class StopAll(Stopper):
    """Ends the experiment when the driver was asked to stop, once the units have left their checkpoints.

    Tune ends a trial for good that still runs then, so it must not be told earlier.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._until = math.inf

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is ended here."""
        return False

    def stop_all(self) -> bool:
        """Whether somebody asked, and nothing runs any more."""
        if not self._driver.stop.is_set():
            return False
        self._until = min(self._until, time.monotonic() + PATIENCE_SECONDS)
        self._driver.interrupt()
        return not self._driver.running or time.monotonic() > self._until


class Watch(tune.Callback):
    """Tells the display what runs."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """A display does not travel."""
        return tune.Callback, ()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ANN401 - Tune's signature
        """Tune looked around once more."""
        self._driver.display.tick(list(self._driver.running.values()))


def tune_units(driver: Driver, looks: int | None) -> list[Outcome]:
    """Run what the driver's proposals give on the Ray that is up; an outcome per unit that ended.

    looks: of a trial, where ASHA may end it early; None lets every trial end by itself.
    """
    with _quiet_folder() as folder:
        resources = {"cpu": 1.0, "gpu": float(driver.cluster.unit_gpus)}
        tuner = tune.Tuner(
            tune.with_resources(UnitTrainable, resources),
            tune_config=TuneConfig(
                search_alg=ProposedSearch(driver),
                scheduler=None if looks is None else _asha(looks),
                num_samples=-1,
                max_concurrent_trials=driver.cluster.workers,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=RunConfig(
                name="search",
                storage_path=folder,
                stop=StopAll(driver),
                callbacks=[Watch(driver)],
                verbose=0,
            ),
        )
        tuner.fit()
    driver.end_retired()
    return list(driver.outcomes.values())


def _asha(looks: int) -> ASHAScheduler:
    """Rungs at equal spent budgets: a look comes at a fixed share of the full budget. One that gets there stays."""
    return ASHAScheduler(
        time_attr="look", metric=METRIC, mode="max", max_t=looks + 1, grace_period=1, reduction_factor=REDUCTION
    )


@contextmanager
def _quiet_folder() -> Iterator[str]:
    """A directory for Tune's own state, and its chatter off; both as before in the end."""
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # our own outcomes say what failed, without a traceback
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    folder = tempfile.mkdtemp(prefix="tune")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        logger.setLevel(level)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
