"""Schemas of trials.json and selection.json: what a search tries, and what it leads to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from harness.api.strict import Strict, digest
from harness.records.schema import Engine, PlannedRun, Trial


class SelectionEntry(Strict):
    """Which hyper-parameters one planned run got, and which run that makes.

    trial: the point of the search that was chosen for it; engine: the settings that came with it.
    """

    planned_run: PlannedRun
    params: dict[str, Any]
    run: str
    engine: Engine | None = None
    trial: Trial | None = None
    ranked: bool = Field(True, description="False for references such as the ceiling")


class Trials(Strict):
    """trials.json: every configuration that a search tries, in the order in which they start."""

    schema_version: Literal[2] = 2
    suite_hash: str
    trials: list[Trial]


class Candidate(Strict):
    """One configuration as the selection saw it. score.

    Validation Dice of the last validation, None where it has none.
    """

    trial: Trial
    status: Literal["ok", "failed", "ended_early"]
    score: float | None
    chosen: bool


class Selection(Strict):
    """selection.json: binds planned runs to hyper-parameters; must exist before a test split opens.

    rule:       default: as the suite says; best_validation: the best candidate of the planned run's study, ties to the
                earlier point, the default where none has a score.
    candidates: every trial of the search; digest: sha256 of their canonical JSON.
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
