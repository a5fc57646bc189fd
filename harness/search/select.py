"""Selects hyper-parameters from the records of a search. The order in which trials ran does not matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.records.schema import Result
from harness.records.selection import Candidate, Selection, candidates_digest
from harness.records.suite_folder import SuiteFolder
from harness.suite.plan import Plan
from harness.suite.trials import PlannedTrial

Key = tuple[str, int]
"""Entry and study."""


def decide(plan: Plan, trials: Sequence[PlannedTrial], store: SuiteFolder) -> tuple[Plan, Selection]:
    """Choose the best trial of each entry and study.

    It is the one with the highest validation Dice at the last validation, among those that spent their whole budget.
    The earlier point wins a tie. Where no trial has a score, the suite's own configuration is taken.

    Args:
        plan:   the plan of a suite with a search.
        trials: all trials of the search.
        store:  the records.

    Returns:
        The plan with its final runs, and the selection with all candidates.

    Raises:
        ValueError: a trial has no result yet.
    """
    results = {
        planned.run.id: result for planned in trials if (result := store.by_id(planned.run.id).result()) is not None
    }
    if unfinished := {planned.run.id for planned in trials} - results.keys():
        raise ValueError(f"{len(unfinished)} trials have no result yet")
    scores = {run: score(result) for run, result in results.items()}
    best: dict[Key, PlannedTrial] = {}
    for planned in sorted(trials, key=lambda planned: planned.trial.point):
        key, dice = (planned.trial.entry, planned.trial.study), scores[planned.run.id]
        leader = best.get(key)
        if dice is not None and (leader is None or dice > (scores[leader.run.id] or 0.0)):
            best[key] = planned
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
    suite = plan.loaded.suite
    selection = Selection(
        rule="best_validation",
        suite_hash=suite.hash,
        engine=suite.engine,
        entries=decided.selection_entries(),
        candidates=candidates,
        digest=candidates_digest(candidates),
    )
    return decided, selection


def score(result: Result) -> float | None:
    """Dice of the last validation, mean over foreground classes. None unless the whole budget was spent."""
    return result.validations[-1].mean_dice if result.status == "ok" and result.validations else None


def describe_choices(selection: Selection) -> list[str]:
    """Say what was chosen, in one line for each entry and study."""
    return [
        f"chosen: {candidate.trial} with validation Dice {candidate.score:.3f}: {_described(candidate.trial.varied)}"
        for candidate in selection.candidates or []
        if candidate.chosen and candidate.score is not None
    ]


def _described(varied: Mapping[str, Any]) -> str:
    values = [f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in varied.items()]
    return ", ".join(values) or "nothing to vary"
