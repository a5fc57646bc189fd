"""Schemas of trials.json and selection.json: what a search tries, and which hyper-parameters it selects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from harness.api.strict import Strict, digest
from harness.records.schema import Engine, PlannedRun, Trial


class SelectionEntry(Strict):
    """The hyper-parameters of one planned run, and the id of the run that they make.

    trial:  the trial that was chosen for it. None without a search.
    engine: the settings of that trial. None for the suite's own.
    """

    planned_run: PlannedRun
    params: dict[str, Any]
    run: str
    engine: Engine | None = None
    trial: Trial | None = None
    ranked: bool = Field(True, description="False for references such as the fully supervised one")


class Trials(Strict):
    """trials.json: every configuration that a search tries, in the order in which they start."""

    schema_version: Literal[2] = 2
    suite_hash: str
    trials: list[Trial]


class Candidate(Strict):
    """One trial as the selection saw it.

    score: Dice of its last validation. None without one.
    """

    trial: Trial
    status: Literal["ok", "failed", "ended_early"]
    score: float | None
    chosen: bool


class Selection(Strict):
    """selection.json: binds planned runs to hyper-parameters; must exist before a test split opens.

    rule:       default: as the suite says. best_validation: the best candidate of the planned run's study. The earlier
                point wins a tie. The suite's own configuration is taken where no candidate has a score.
    candidates: every trial of the search.
    digest:     sha256 of the candidates' canonical JSON.
    """

    schema_version: Literal[2] = 2
    rule: Literal["default", "best_validation"] = "default"
    suite_hash: str
    engine: Engine = Field(description="the suite's settings; a run that differs declared it")
    entries: list[SelectionEntry]
    candidates: list[Candidate] | None = None
    digest: str | None = None


def candidates_digest(candidates: Sequence[Candidate] | None) -> str | None:
    """sha256 of the candidates' canonical JSON; None without a search."""
    return None if candidates is None else digest([candidate.model_dump(mode="json") for candidate in candidates])
