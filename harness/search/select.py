"""From the records of a search to the selection: a pure function, whatever ran the trials and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.records.schema import Result
from harness.records.selection import Candidate, Selection, candidates_digest
from harness.records.suite_folder import RunStore
from harness.suite.plan import Choice, Plan
from harness.suite.trials import PlannedTrial

Key = tuple[str, int]
"""Row and study."""


def decide(plan: Plan, trials: Sequence[PlannedTrial], store: RunStore) -> tuple[Plan, Selection]:
    """The plan with its finals, and the record of why they got their hyper-parameters.

    The best of the trials that spent their whole budget, by validation Dice of the last look; ties go to the earlier
    point; the suite's own configuration where no trial has a score.

    Raises:
        ValueError: a trial has no result yet.
    """
    results = {planned.trial.unit: store.by_id(planned.trial.unit).result() for planned in trials}
    unfinished = [unit for unit, result in results.items() if result is None]
    if unfinished:
        raise ValueError(f"{len(unfinished)} trials have no result yet")
    scores = {unit: score(result) for unit, result in results.items()}
    best: dict[Key, PlannedTrial] = {}
    for planned in sorted(trials, key=lambda one: one.trial.point):
        key, own = (planned.trial.method, planned.trial.study), scores[planned.trial.unit]
        held = best.get(key)
        if own is not None and (held is None or own > (scores[held.trial.unit] or 0.0)):
            best[key] = planned
    choices: dict[Key, Choice] = {key: plan.choice_of(planned) for key, planned in best.items()}
    decided = plan.with_choices(choices)
    chosen = {(one.trial.method, one.trial.study, one.trial.point) for one in best.values()}
    candidates = [
        Candidate(
            trial=planned.trial,
            status=_status(results[planned.trial.unit]),
            score=scores[planned.trial.unit],
            chosen=(planned.trial.method, planned.trial.study, planned.trial.point) in chosen,
        )
        for planned in trials
    ]
    suite = plan.loaded.suite
    selection = Selection(
        rule="best_validation",
        suite_hash=suite.hash,
        engine=suite.engine,
        entries=decided.entries(),
        candidates=candidates,
        digest=candidates_digest(candidates),
    )
    return decided, selection


def score(result: Result | None) -> float | None:
    """Validation Dice of the last look, mean over classes; None unless the whole budget was spent."""
    if result is None or result.status != "ok" or not result.looks:
        return None
    return result.looks[-1].mean_dice


def _status(result: Result | None) -> Literal["ok", "failed", "stopped"]:
    assert result is not None, "checked above"
    return result.status


def choices(selection: Selection) -> list[str]:
    """What was chosen, a line per row and study."""
    return [
        f"chosen: {one.trial} with validation Dice {one.score:.3f}: {_words(one.trial.varied)}"
        for one in selection.candidates or []
        if one.chosen and one.score is not None
    ]


def _words(varied: Mapping[str, Any]) -> str:
    told = [f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in varied.items()]
    return ", ".join(told) or "nothing to vary"
