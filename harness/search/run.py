"""Runs a suite's search until every trial has ended, and records the selection: records decide, not their order."""

import importlib.util
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.api.errors import ServiceError
from harness.execution.outcome import Outcome
from harness.execution.ray import ray_cluster
from harness.execution.run import ExecuteSettings, execute, lock_suite, make_display, raise_refused
from harness.execution.session import Session
from harness.records.suite_folder import Candidate, Selection, SuiteFolder
from harness.search.proposals import Adaptive, Listed, Proposals, Study, recorded_trials
from harness.suite.load import Search
from harness.suite.plan import Plan
from harness.suite.trials import PlannedTrial
from harness.train.stop import StopFlag

log = logging.getLogger(__name__)

LEADS = "leads this adaptive search"
PATIENCE_SECONDS = 15.0
"""Time for another driver to end: two drivers would both spend the budget of every entry."""


def run_search(session: Session, settings: ExecuteSettings, stop: StopFlag) -> tuple[Session, list[Outcome]]:
    """Run what is left of a suite's search; nothing without one, or with a finished one.

    The same records give the same selection. Returns the session, with its final runs once every trial has ended, and
    an outcome for each started trial. Raises `ServiceError` for an adaptive search without Ray Tune; `UsageError`,
    `DataError` or `DiskError` for what the user must act on.
    """
    search = session.plan.loaded.suite.search
    if search is None or session.plan.finals:
        return session, []
    if search.mode == "adaptive":
        log.info("%s: adaptive search, %s x %s per entry and study", session.store.root, search.trials, search.budget)
        outcomes = _run_adaptive(session, search, settings, stop)
    else:
        log.info("%s: %s search, %s, each %s", session.store.root, search.mode, session.summary, search.budget)
        outcomes = _run_listed(session, settings, stop)
    left = sum(not session.folder(trial.run).done for trial in recorded_trials(session))
    if stop.is_set() or left:
        log.info("the search is not over (%s trials to go on with); the same command goes on", left)
        return session, outcomes
    return select_when_over(session), outcomes


def select_when_over(session: Session) -> Session:
    """The session with its final runs, if all trials of its search have ended, else as it is.

    The selection is recorded before a final run may start.
    """
    trials = recorded_trials(session)
    searching = session.plan.loaded.suite.search is not None and not session.plan.finals
    if not searching or not all(session.folder(trial.run).done for trial in trials):
        return session
    _, selection = decide(session.plan, trials, session.store)
    for line in describe_choices(selection):
        log.info("%s", line)
    return session.with_selection(selection)


def uses_tune(settings: ExecuteSettings) -> bool:
    """Whether trials run on Ray Tune: where it is installed, and the executor is not inline."""
    if settings.executor == "auto" and settings.ray_address is None:
        return importlib.util.find_spec("ray") is not None
    return settings.executor != "inline"


def _run_listed(session: Session, settings: ExecuteSettings, stop: StopFlag) -> list[Outcome]:
    if not uses_tune(settings):
        return execute(session, settings, stop)
    left = {trial.run.id: trial for trial in session.plan.trials if not session.folder(trial.run).done}
    return _run_on_tune(session, settings, stop, len(left), [Listed(left.values())], None) if left else []


def _run_adaptive(session: Session, search: Search, settings: ExecuteSettings, stop: StopFlag) -> list[Outcome]:
    if not uses_tune(settings):
        raise ServiceError("an adaptive search runs on Ray Tune; use --executor ray, or a headline search")
    most = search.studies * len(session.plan.entries) * (search.trials or 1)
    with lock_suite(session.store.search_lease, LEADS, stop, PATIENCE_SECONDS):
        entries = session.plan.entries.values()
        # every entry's first study, then every entry's second one, ...
        studies = (Study(session, search, entry, number) for number in range(search.studies) for entry in entries)
        proposals = (each for each in map(_begin, studies) if not each.over)
        return _run_on_tune(session, settings, stop, most, proposals, search.validations)


def _begin(study: Study) -> Adaptive:
    """Log the state of a study; its proposals."""
    begun = sum(study.session.folder(trial.run).ledger.spent().attempts > 0 for trial in study.recorded())
    goes_on = f"; goes on from {begun} trials, its sampler seeded from their records" if begun else ""
    search = study.search
    log.info("%s study %s: %s x %s%s", study.entry.name, study.number, search.trials, search.budget, goes_on)
    return study.proposals()


def _run_on_tune(
    session: Session,
    settings: ExecuteSettings,
    stop: StopFlag,
    most: int,
    searches: Iterable[Proposals],
    validations: int | None,
) -> list[Outcome]:
    """Run one search after the other on the same Ray; validations: of a trial, where ASHA may end it early."""
    outcomes: list[Outcome] = []
    with (
        stop.on_signals(),
        make_display(session, most) as display,
        ray_cluster(settings.ray_address, settings.workers, most) as cluster,
    ):
        # Ray reads its settings when it is imported, and `ray_cluster` makes them
        from harness.search.tuner import ProposedSearch, tune_trials

        for proposals in searches:
            search = ProposedSearch(session, proposals, cluster, stop, settings.checkpoint_seconds, display)
            outcomes += tune_trials(search, validations)
            if stop.is_set():
                break
    raise_refused(outcomes)
    return outcomes


def decide(plan: Plan, trials: Sequence[PlannedTrial], store: SuiteFolder) -> tuple[Plan, Selection]:
    """Choose the best trial of each entry and study; the plan with its final runs, and all candidates.

    It has the highest validation Dice at the last validation, among those that spent their whole budget; the earlier
    point wins a tie. A Dice outside [0, 1] is no score. Without any score the suite's own configuration is taken.
    """
    results = {planned.run.id: store.by_id(planned.run.id).require_result() for planned in trials}
    scores = {
        run: last.mean_dice if result.status == "ok" and last is not None and last.possible else None
        for run, result in results.items()
        for last in [result.validations[-1] if result.validations else None]
    }
    best: dict[tuple[str, int], PlannedTrial] = {}
    for planned in sorted(trials, key=lambda each: (scores[each.run.id] or 0.0, -each.trial.point)):
        if scores[planned.run.id] is not None:
            best[planned.trial.entry, planned.trial.study] = planned  # the best and earliest comes last
    decided = plan.with_choices({key: plan.choice_of(planned) for key, planned in best.items()})
    candidates = [
        Candidate(
            trial=planned.trial,
            status=results[planned.run.id].status,
            score=scores[planned.run.id],
            chosen=planned in best.values(),
        )
        for planned in trials
    ]
    return decided, decided.selection(candidates)


def describe_choices(selection: Selection) -> list[str]:
    """A line for each entry and study: what was chosen."""
    return [
        f"chosen: {candidate.trial} with validation Dice {candidate.score:.3f}: {_described(candidate.trial.varied)}"
        for candidate in selection.candidates or []
        if candidate.chosen and candidate.score is not None
    ]


def _described(varied: Mapping[str, Any]) -> str:
    values = [f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in varied.items()]
    return ", ".join(values) or "nothing to vary"
