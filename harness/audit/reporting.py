"""Rules about what a table shows and leaves out, and about what Slurm charged."""

import io
import shlex
from collections.abc import Sequence

import pandas as pd

from harness.api.errors import RecordError
from harness.audit.data import count_annotated
from harness.audit.finding import Verdict, combine, held, name_runs, not_applicable, not_held
from harness.audit.records import AuditedSuite, EndedRun, SelectedRun
from harness.audit.rule import UNSEEN, counted, group_by_entry, group_runs, one_value, rule
from harness.records.accounts import Reconciliation
from harness.records.files import is_there, read_content

TABLE = "leaderboard/leaderboard.csv"


@rule(28)
def trained_here(suite: AuditedSuite) -> Verdict:
    if idle := [run for run in suite.finished if not any(line.steps for line in run.ledger)]:
        return not_held(idle, "no step in ledger.jsonl")
    by_weights = group_runs(suite.finished, lambda run: str(run.result.weights_sha256))
    copies = [runs for runs in by_weights.values() if len(runs) > 1]
    annotated = count_annotated(suite.finished[0].asked.dataset) if copies else None
    if others := [runs for runs in copies if not _same_training(runs, annotated)]:
        lines = [f"the same weights in result.json: {name_runs(runs)}" for runs in others]
        return Verdict("not held", tuple(lines), tuple(run.id for runs in others for run in runs))
    if copies and annotated is None:
        named = "; ".join(name_runs(runs) for runs in copies)
        return not_applicable(f"the same training by two names if these are all labels; no such data here: {named}")
    seconds = sum(run.result.spent.useful_device_seconds for run in suite.finished)
    return held(
        f"{counted(len(suite.finished), 'run')} with {seconds:,.0f} device-seconds in their own ledger.jsonl and "
        f"{len(by_weights)} different weights"
    )


def _same_training(runs: Sequence[EndedRun], annotated: int | None) -> bool:
    """Whether one of two runs is the reference, and the other has as many labels: the same training, by two names.

    annotated: training patients with labels. None: not known, taken for the other run's.
    """
    counts = {run.asked.labelled for run in runs}
    alike = {(run.asked.seed, str(run.asked.budget)) for run in runs}
    if None not in counts or len(counts) != len(runs) or len(alike) > 1:
        return False
    return counts - {None} == {annotated or max(count or 0 for count in counts)} and all(
        run.labelled_alone for run in runs
    )


@rule(29, needs="selection")
def baseline_and_reference(suite: AuditedSuite) -> Verdict:
    ranked = dict.fromkeys(run.entry for run in suite.ranked)
    if len(ranked) <= 1:
        return not_applicable(f"{counted(len(ranked), 'ranked method')}: nothing is compared between methods")
    unranked = [entry.planned_run for entry in suite.selection.entries if not entry.ranked]
    references = [run.entry for run in unranked if run.labelled is None]
    if not references:
        return not_held([], "no fully supervised reference: selection.json holds no unranked method with all labels")
    finished = group_by_entry(suite.finished)
    baselines = [entry for entry in ranked if entry in finished and all(run.labelled_alone for run in finished[entry])]
    reference = f"fully supervised reference {references[0]}"
    if baselines:
        return held(f"{reference} (selection.json), labelled-only baseline {', '.join(baselines)} (result.json)")
    if ranked.keys() <= finished.keys():
        return not_held([], "no labelled-only baseline: every ranked method saw unlabelled images (result.json)")
    return not_applicable(f"{reference}; no labelled-only baseline has finished yet: {suite.progress}")


@rule(30, needs="selection")
def failures_shown(suite: AuditedSuite) -> Verdict:
    if unexplained := [run for run in suite.failed if run.result.failure is None]:
        return not_held(unexplained, "failed without a reason in result.json")
    without_failures = _rows_without_failures(suite)
    if hidden := [run for run in suite.failed if _row_of(run) in without_failures]:
        return not_held(hidden, f"failed, and {TABLE} counts no failure of the entry")
    failures = ((run, run.result.failure) for run in suite.failed)
    lines = [f"{run.name}/result.json: {failure.kind}, {failure.reason}" for run, failure in failures if failure]
    if retried := [run for run in suite.finished if _failed_before(run)]:
        lines.append(f"run again after a failure (ledger.jsonl): {name_runs(retried)}")
    left = suite.planned - len(suite.ended)
    counts = f"{len(suite.finished)} finished, {len(suite.failed)} failed, {left} to run"
    return held(f"{counts}, of {counted(suite.planned, 'run')} in selection.json", *lines)


_ROW = ["entry", "trained_on", "rung"]
_Row = tuple[str, str, str]
"""Of the leaderboard: entry, labelled count ("all" for a reference) and rung (empty without a ladder)."""


def _row_of(run: SelectedRun) -> _Row:
    name = run.planned_run
    return name.entry, str(name.labelled or "all"), str(name.rung or "")


def _rows_without_failures(suite: AuditedSuite) -> set[_Row]:
    """Rows of leaderboard.csv that hold finished runs alone: one that had yet to run may have failed since."""
    table = _table(suite).reindex(columns=[*_ROW, "n_failed", "n_missing"])
    rows = list(table[_ROW].fillna("").itertuples(index=False, name=None))
    left = table[["n_failed", "n_missing"]].apply(pd.to_numeric, errors="coerce").sum(axis=1)
    return set(rows) - {row for row, count in zip(rows, left, strict=True) if count}


def _table(suite: AuditedSuite) -> pd.DataFrame:
    """The leaderboard as it was written last; without rows where it was not."""
    path, hint = suite.root / TABLE, f"`harness leaderboard {shlex.quote(str(suite.root))}` writes it again"
    if not is_there(path):
        return pd.DataFrame()
    try:
        table = pd.read_csv(io.BytesIO(read_content(path)), dtype=dict.fromkeys(_ROW, str))
    except ValueError as error:  # pandas' parsing errors are ValueErrors
        raise RecordError(f"{path}: not a table ({error}); {hint}") from None
    if "entry" not in table:
        raise RecordError(f"{path}: not a leaderboard, no column entry; {hint}")
    return table


def _failed_before(run: EndedRun) -> bool:
    return any(line.kind == "end" and (line.note or "").startswith("failed") for line in run.ledger)


@rule(31, needs="runs")
def one_version(suite: AuditedSuite) -> Verdict:
    protocol = one_value(suite.runs, "protocol version", lambda run: str(run.asked.protocol_version))
    methods = [
        one_value(runs, f"version of {method}", lambda run: str(run.asked.method_version))
        for method, runs in group_by_entry(suite.runs).items()
    ]
    return combine(protocol, *(verdict for verdict in methods if verdict.status == "not held"))


@rule(32, needs="selection")
def intervals_shown(suite: AuditedSuite) -> Verdict:
    table = _table(suite)
    if table.empty:
        return not_applicable(f"{TABLE} was not written yet")
    if absent := {"dice", "n_patients", "dice_low", "dice_high"}.difference(table.columns):
        return not_held([], f"{TABLE} lacks the columns {' and '.join(sorted(absent))}")
    bare = table["entry"][table["dice"].notna() & table[["dice_low", "dice_high"]].isna().any(axis=1)]
    few = f"but none beside those of {', '.join(bare.unique())}: too few patients, or values, determine one"
    return held(f"{TABLE}: number of patients and an interval beside every mean Dice", *([] if bare.empty else [few]))


@rule(33, needs="selection")
def own_code(_suite: AuditedSuite) -> Verdict:
    return not_applicable(f"{UNSEEN}it is about source code; see LICENSE and the docstring of each method")


@rule(34, needs="selection")
def accounts_agree(suite: AuditedSuite) -> Verdict:
    on_slurm = [run for run in suite.runs if _slurm_attempts(run)]
    if not on_slurm:
        return not_applicable("no run ran in an allocation of Slurm")
    record = suite.reconciliation
    if record is None:
        ran = counted(len(on_slurm), "run")
        return not_applicable(
            f"not reconciled: {ran} ran on Slurm; `harness reconcile {shlex.quote(str(suite.root))}` asks it"
        )
    if record.problem is not None:
        return not_applicable(f"not reconciled: {record.problem}")
    known = record.reconciled
    missing = [run for run in on_slurm if any((run.id, attempt) not in known for attempt in _slurm_attempts(run))]
    if not missing:
        return _judged(suite, record)
    left = not_applicable(f"not reconciled: {name_runs(missing)}")
    return combine(_judged(suite, record), left) if record.violations else left


def _judged(suite: AuditedSuite, record: Reconciliation) -> Verdict:
    if record.violations:
        guilty = suite.named(attempt.run for job in record.violations for attempt in job.attempts)
        lines = [
            f"reconciliation.json: {job.seconds.unexplained:,.1f} of {job.allocated:,.0f} {job.currency}-seconds "
            f"unexplained, {job.tolerated_seconds:,.1f} tolerated, in an allocation with "
            f"{name_runs(suite.named(attempt.run for attempt in job.attempts)) or 'no run of the selection'}"
            for job in record.violations
        ]
        return not_held(guilty, f"{counted(len(record.violations), 'allocation')} hold more than is explained", *lines)
    lines = [
        f"{account.entry}: {account.allocated:,.0f} {account.currency}-seconds allocated, ledgers account for "
        f"{account.ledger_ratio:.1%}, {account.training_share:.1%} in training steps"
        for account in record.entries
    ]
    return held(f"{counted(len(record.allocations), 'allocation')} of Slurm agree with the ledgers", *lines)


def _slurm_attempts(run: SelectedRun) -> list[int]:
    return [line.attempt for line in run.ledger if line.process is not None and line.process.job is not None]
