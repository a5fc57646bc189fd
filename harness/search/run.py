"""Runs a suite's search until every trial has ended, and writes the selection."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager

from harness.api.errors import ServiceError
from harness.execution.display import Display, make_display
from harness.execution.outcome import Outcome
from harness.execution.ray_cluster import Cluster, ray_cluster
from harness.execution.run import ExecuteSettings, execute, raise_refused
from harness.execution.session import Session
from harness.execution.suite_lock import alone
from harness.search.adaptive import recorded_trials, studies
from harness.search.proposals import Listed, Proposals
from harness.search.select import choices, decide
from harness.suite.load import Search
from harness.suite.trials import PlannedTrial
from harness.train.stop import StopFlag

LEADS = "leads this adaptive search"
PATIENCE_SECONDS = 15.0
"""With another driver that is just ending: two would both spend the budget of every row."""


def run_search(
    session: Session, settings: ExecuteSettings, stop: StopFlag, say: Callable[[str], None]
) -> tuple[Session, list[Outcome]]:
    """Run what is left of the search; the session has its finals once every trial has ended.

    A suite without a search, or with a finished one, is left as it is. The same records lead to the same selection.
    """
    search = session.plan.loaded.suite.search
    if search is None or session.plan.finals:
        return session, []
    if search.mode == "adaptive":
        say(f"{session.store.root}: adaptive search, {search.trials} x {search.budget} a row and study")
        outcomes = _adaptive(session, search, settings, stop)
    else:
        say(f"{session.store.root}: {search.mode} search, {session.outlook}, each {search.budget}")
        outcomes = _listed(session, settings, stop)
    left = sum(not session.store.by_id(one.unit.id).done for one in recorded_trials(session))
    if stop.is_set() or left:
        say(f"the search is not over ({left} trials to go on with); the same command goes on")
        return session, outcomes
    return select_when_over(session, say), outcomes


def select_when_over(session: Session, say: Callable[[str], None]) -> Session:
    """The session with its finals, if it has a search whose trials have all ended; otherwise as it is."""
    trials = recorded_trials(session)
    searching = session.plan.loaded.suite.search is not None and not session.plan.finals
    if not searching or not all(session.store.by_id(one.unit.id).done for one in trials):
        return session
    plan, selection = decide(session.plan, trials, session.store)
    for line in choices(selection):
        say(line)
    return session.selected(plan, selection)


def _listed(session: Session, settings: ExecuteSettings, stop: StopFlag) -> list[Outcome]:
    """Trials that the plan drew: through Tune, or one after the other in this process."""
    if not uses_tune(settings):
        return execute(session, settings, stop)
    left: list[PlannedTrial] = [one for one in session.plan.trials if not session.folder(one.unit).done]
    unique = {one.unit.id: one for one in left}.values()
    if not unique:
        return []
    count = len(unique)
    with stop.on_signals(), make_display(session, count) as display, _cluster(settings, count) as cluster:
        outcomes = _tune(session, Listed(unique), cluster, settings, stop, display, None)
    raise_refused(outcomes)
    return outcomes


def _adaptive(session: Session, search: Search, settings: ExecuteSettings, stop: StopFlag) -> list[Outcome]:
    """One study after the other."""
    if not uses_tune(settings):
        raise ServiceError("an adaptive search runs on Ray Tune; use --executor ray, or a headline search")
    outcomes: list[Outcome] = []
    asked = search.studies * len(session.plan.rows) * (search.trials or 1)
    with (
        stop.on_signals(),
        alone(session.store.search_lease, LEADS, stop, PATIENCE_SECONDS),
        make_display(session, asked) as display,
        _cluster(settings, asked) as cluster,
    ):
        for study in studies(session, search):
            begun = sum(session.folder(one.unit).ledger.spent().attempts > 0 for one in study.recorded())
            again = f"; goes on from {begun} trials, its sampler seeded from their records" if begun else ""
            display.say(f"{study.row.name} study {study.number}: {study.search.trials} x {search.budget}{again}")
            outcomes += _tune(session, study.proposals(), cluster, settings, stop, display, search.looks)
            if stop.is_set():
                break
    raise_refused(outcomes)
    return outcomes


def uses_tune(settings: ExecuteSettings) -> bool:
    """Whether trials run on Ray Tune: where it is installed, unless the user wants one process."""
    if settings.executor == "auto" and settings.ray_address is None:
        return importlib.util.find_spec("ray") is not None
    return settings.executor != "inline"


def _cluster(settings: ExecuteSettings, most: int) -> AbstractContextManager[Cluster]:
    return ray_cluster(settings.ray_address, settings.workers, most)


def _tune(
    session: Session,
    proposals: Proposals,
    cluster: Cluster,
    settings: ExecuteSettings,
    stop: StopFlag,
    display: Display,
    looks: int | None,
) -> list[Outcome]:
    from harness.search.tuner import Driver, tune_units

    stop.install()  # Ray puts its own SIGTERM handler in the driver's place
    driver = Driver(session, proposals, cluster, stop, settings.checkpoint_seconds, display)
    return tune_units(driver, looks)
