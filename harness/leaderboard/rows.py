"""Records as rows of the frames in `harness.leaderboard.inputs`: runs, validations, and trials of a search."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.api.strict import canonical_json
from harness.records.budget import Budget
from harness.records.ended import COUNTS, EndedRuns, Validated
from harness.records.reader import SuiteRecords
from harness.records.schema import PlannedRun, Trial
from harness.records.suite_folder import SelectionEntry

RUN_COLUMNS = (
    "run", "cell", "entry", "labelled", "reference", "baseline", "subset", "seed", "rung", "status", "method_version",
    "failure_kind", "failure_reason", "useful_device_seconds", "lost_device_seconds", "steps", "attempts",
    "images_seen", "labelled_images_seen", "parameters_training", "parameters_predictor", "peak_memory_bytes",
    "validations", "validation_patients", "wall_seconds", "slurm_job",
)  # fmt: skip
"""
cell:         what is averaged into one row, see `cell`.
reference:    shown below the ranked rows, never ranked.
baseline:     plain supervised training on the labelled patients alone.
rung:         its budget in reference steps, where the suite has a ladder of them; else NO_RUNG.
status:       ok, failed, missing (not run yet), elsewhere (ran under other conditions) or unfit (its records do not fit
              those of the others; failure_reason says why).
validation_patients: how many its validations are of.
wall_seconds: by phase, a dict.
From method_version on, empty where there is no result.
"""

NO_RUNG = 0

TEXTS = ("environment", "settings", "shown", "validated", "paces")

VALIDATION_COLUMNS = ("run", "validation", "progress", "step", "device_seconds", "dice", "unlabelled_dice")
"""Dice is the mean over foreground classes, a fraction; progress lies in [0, 1]."""

SEARCH_COLUMNS = (
    "suite", "entry", "study", "point", "run", "varied", "params", "status", "score", "useful_device_seconds",
    "lost_device_seconds", "reference_steps", "reference_steps_budget", "chosen",
)  # fmt: skip


def cell(planned_run: PlannedRun) -> str:
    """What is averaged into one row: "ua_mt@7"; "supervised_full@all" for a reference."""
    return f"{planned_run.entry}@{'all' if planned_run.labelled is None else planned_run.labelled}"


def run_frame(entries: Sequence[SelectionEntry], ended: EndedRuns) -> pd.DataFrame:
    """One row per selected run, with `RUN_COLUMNS`, and with `TEXTS` of its record."""
    planned = pd.DataFrame([
        entry.planned_run.model_dump() | {
            "run": entry.run,
            "cell": cell(entry.planned_run),
            "rung": entry.planned_run.rung or NO_RUNG,
            "baseline": entry.baseline,
            "reference": entry.planned_run.labelled is None or not entry.ranked,
        }
        for entry in entries
    ])  # fmt: skip
    own = ("run", "status", "method_version", "failure_kind", "failure_reason", "useful_device_seconds",
           "lost_device_seconds", "attempts", *COUNTS, *TEXTS)  # fmt: skip
    results = pd.DataFrame({name: ended.column(name) for name in own}).assign(
        steps=ended.column("useful_steps"),
        validations=ended.table["validations"].combine_chunks().value_lengths().to_numpy(),
        validation_patients=[len(ended.validated[text].patients) for text in ended.column("validated")],
        wall_seconds=[json.loads(text) for text in ended.column("wall_seconds")],
        slurm_job=[json.loads(text).get("slurm_job") for text in ended.column("shown")],
    )
    words = ("run", "status", "failure_kind", "failure_reason")  # also where nothing has ended
    results = results.astype(dict.fromkeys(words, "str") | dict.fromkeys(TEXTS, "object"))
    frame: pd.DataFrame = planned.merge(results, on="run", how="left")[[*RUN_COLUMNS, *TEXTS]]
    return frame.assign(status=frame["status"].fillna("missing"))


def ended_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Those of a frame's runs that ended under its conditions."""
    return runs[runs["status"].isin(["ok", "failed", "unfit"])]


def validation_frame(ended: EndedRuns, runs: Sequence[str]) -> pd.DataFrame:
    """Validations of these runs, with `VALIDATION_COLUMNS`."""
    lists = ended.table["validations"].combine_chunks().take(pa.array([ended.rows[run] for run in runs], pa.int64()))
    frame = pa.Table.from_struct_array(lists.flatten()).to_pandas()
    frame.insert(0, "run", np.repeat(np.array(runs, object), lists.value_lengths().to_numpy()))
    known: pd.DataFrame = frame.loc[frame["dice"].notna(), list(VALIDATION_COLUMNS)]
    return known


def read_search(records: SuiteRecords) -> pd.DataFrame:
    """One row per trial of the current search, in the order in which they were named; none without a search.

    point:  0 is the suite's own configuration (but in a grid).
    varied: JSON, the trial's value on each searched dimension; params: JSON, all hyper-parameters.
    status: ok, failed, ended_early (by the search), missing (not over yet) or unfit (its Dice lies outside [0, 1]).
    score:  mean Dice of the last validation, a fraction.
    reference_steps: what it usefully spent, and what it might spend; empty under another currency.
    """
    trials = [] if records.trials is None else records.trials.trials
    chosen = _chosen(records)
    rows = [_trial_row(records, trial, chosen) for trial in trials]
    frame = pd.DataFrame(rows, columns=list(SEARCH_COLUMNS))
    numbers = dict.fromkeys(("score", "reference_steps", "reference_steps_budget"), "float64")
    return frame.astype({"study": "int64", "point": "int64", "chosen": "bool", **numbers})


def _chosen(records: SuiteRecords) -> set[tuple[str, int, int]]:
    """(entry, study, point) of what the selection chose, if it belongs to this search."""
    selection, search = records.selection, records.trials
    if selection is None or search is None or selection.suite_hash != search.suite_hash:
        return set()
    chosen = (candidate.trial for candidate in selection.candidates or [] if candidate.chosen)
    return {(trial.entry, trial.study, trial.point) for trial in chosen}


def _trial_row(records: SuiteRecords, trial: Trial, chosen: set[tuple[str, int, int]]) -> dict[str, Any]:
    row = trial.model_dump() | {
        "suite": records.name,
        "varied": canonical_json(trial.varied),
        "chosen": (trial.entry, trial.study, trial.point) in chosen,
    }
    ended = records.ended.values(trial.run)
    if ended is None:
        record = records.run(trial.run)
        own = record.spent.model_dump() | {"status": "missing", "params": canonical_json(record.run.params)}
        return row | own | _reference_steps(record.run.budget, record.spent.useful_steps) | {"score": None}
    impossible = Validated.model_validate_json(ended["validated"]).impossible
    fits = not ended["validations"] or ended["validations"][-1]["validation"] not in impossible
    spent = _reference_steps(records.ended.settings[ended["settings"]].budget, ended["useful_steps"])
    return row | ended | spent | {"status": ended["status"] if fits else "unfit", "score": ended["validation_dice"]}


def _reference_steps(budget: Budget, steps: int) -> dict[str, float]:
    if budget.stages is None:
        return {}
    return {"reference_steps": budget.spent(steps, 0.0), "reference_steps_budget": budget.amount}
