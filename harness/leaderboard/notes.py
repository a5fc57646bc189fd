"""Notes beside every table: conditions, sample, intervals, rules, and missing runs."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd

from harness.leaderboard import allocation
from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.records.untrusted_text import single_line
from harness.stats.bootstrap import LEAST_SUBSETS

MINI = "mini: small images, not comparable with published tables"
WARNED = "Warned of in the data: "
LOUD = (MINI, "Unfinished:", "Failed:", "Unfit:", "Marked:", "Unexplained:", WARNED)

INTERVAL = (
    "Intervals: 95 % bootstrap-t of the mean over patients (classes, phases, seeds and subsets of a patient averaged), "
    "conditional on the seeds and subsets that ran."
)
EMPTY_MASKS = (
    "Empty masks: both empty = Dice and NSD 1, distances 0; one empty = Dice and NSD 0, distances the diagonal of the "
    "volume; "
    "missed = structures of which no voxel was found."
)
RANKING = (
    "Rank: from 1 + the number of significantly better methods to the number of methods that are not significantly "
    "worse. Rows are sorted by mean Dice of the last checkpoint. A method with a failed or unfit run ranks after all "
    "without."
)
SIGNIFICANCE = (
    "Significant: the simultaneous 95 % interval of the paired difference excludes zero (bootstrap max-t "
    "over patients, all pairs of ranked methods at once; pairs with a reference are a family of their own) and "
    "Wilcoxon's signed-rank test rejects at 5 % after Holm."
)
DEVIATION = "After ±: standard deviation over runs (seeds and subsets) of a run's mean over patients."
SUBSETS = (
    "Over subsets: 95 % t-interval of the mean over labelled subsets (each the mean over its seeds and patients) on "
    "these test patients, clipped to the range of the metric; from three subsets on."
)
IMPUTED = "Dice, failed = 0: every case of a failed run counts as Dice 0. Distances are not imputed."
BREAK_EVEN = (
    "Break-even: the smallest rung from which on, there and on every longer rung with at least three seeds, a method "
    "is significantly ahead of every labelled-only baseline. Intervals and tests are over all pairs of ranked methods "
    "on all these rungs at once, so a lead that is significant among those of its rung alone need not be so here. "
    "Shown: Dice points over the nearest baseline."
)
IMPROVEMENT = (
    "P(better): probability that the first beats the second on the same patient, over all pairs of their runs; ties "
    "count one half. 95 % percentile bootstrap over patients."
)


def heading(inputs: LeaderboardInput, comparison: Comparison) -> str:
    """Name of the suite; where it has several comparisons also number and title of this one."""
    table = f", table {comparison.number}: {comparison.title}" if comparison.title else ""
    return single_line(f"Leaderboard of {inputs.suite}{table}")


def notes(inputs: LeaderboardInput, comparison: Comparison) -> list[str]:
    """Lines below the heading, the most important first."""
    *conditions, sample = [f"{name}: {text}." for name, text in facts(comparison)]
    lines = [
        *([MINI] if inputs.suite.endswith("_mini") else []),
        *conditions,
        *_unrun_rungs(inputs),
        *_search(inputs, comparison),
        *_gaps(comparison),
        *_marked(inputs, comparison),
        *(f"{WARNED}{warning}." for warning in comparison.data_warnings),
        sample,
        INTERVAL,
        *_beside(comparison),
        EMPTY_MASKS,
        RANKING,
        SIGNIFICANCE,
        *_declared(inputs),
        *_allocations(inputs, comparison),
    ]
    return [single_line(line) for line in lines]


def facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Budget, device and data in words; then the test and what ran."""
    if shared := comparison.conditions:
        threads = f"{shared.threads} thread{'s' if shared.threads != 1 else ''}"
        cuda = "" if shared.cuda == "none" else f", CUDA {shared.cuda}"
        code = f"; commit {', '.join(commit[:10] for commit in comparison.commits)}" if comparison.commits else ""
        models = " and ".join(comparison.devices) or shared.device_model
        device = f"{models} ({shared.device_type}, {threads}, {shared.precision})"
        data = f"{shared.dataset} v{shared.dataset_version} (checksum {shared.data_checksum[:10]})"
        yield "Budget", f"{shared.budget} a run, all stages counted"
        yield "Device", f"{device}, torch {shared.torch}{cuda}{code}"
        yield "Data", f"{data}, training images {shared.preprocessing}; protocol {shared.protocol_version}"
        tolerance = shared.nsd_tolerance if _in_mm(comparison) else shared.nsd_tolerance.partition(",")[0]
        yield "Surface Dice", f"NSD is the share of surface voxels within {tolerance} of the other surface"
    if comparison.voxel_sizes:
        yield "Voxel size", " or ".join(comparison.voxel_sizes)
    yield "Labels", _labels(comparison)
    patients, cases = comparison.tested["patient"].nunique(), comparison.tested["case"].nunique()
    ok = comparison.runs[comparison.runs["status"] == "ok"]
    seeds, subsets = (", ".join(map(str, sorted(ok[name].unique()))) or "none" for name in ("seed", "subset"))
    yield "Test", f"n = {patients} patients ({cases} volumes); seeds {seeds}; labelled subsets {subsets}"


def _labels(comparison: Comparison) -> str:
    runs, trials = comparison.runs, comparison.records.trials
    counts = " and ".join(map(str, sorted(runs["labelled"].dropna().unique())))
    selecting = runs["validation_patients"].max()
    chosen = "best_val and hyper-parameters" if trials is not None and trials.trials else "best_val"
    beside = (
        f"; those of {selecting:.0f} validation patient{'s' if selecting > 1 else ''} choose {chosen}"
        if selecting > 0
        else ""
    )
    return f"of {counts or 'all'} patients for training{beside}"


def _in_mm(comparison: Comparison) -> bool:
    return any(key[0] == "nsd_mm" and not np.isnan(scores.values).all() for key, scores in comparison.scores.items())


def _beside(comparison: Comparison) -> Iterator[str]:
    runs = comparison.runs
    cells = runs[runs["status"] == "ok"].groupby("cell")
    if (cells.size() >= 2).any():
        yield DEVIATION
    if (cells["subset"].nunique() >= LEAST_SUBSETS).any():
        yield SUBSETS
    if (runs["status"] == "failed").any():
        yield IMPUTED


def _allocations(inputs: LeaderboardInput, comparison: Comparison) -> Iterator[str]:
    record = inputs.reconciliation
    if record is not None and record.entries:
        yield allocation.NOTE
        if any(account.currency == "CPU" for account in record.entries):
            yield "No GPU was allocated: allocations are counted in CPU-seconds."
        if record.violations:
            yield f"Unexplained: ledgers and scheduler disagree on {len(record.violations)} allocations."
    elif comparison.runs["slurm_job"].notna().any():
        why = "`harness reconcile` was not run" if record is None or record.problem is None else record.problem
        yield f"Not reconciled with Slurm's accounts: {why}."


def _unrun_rungs(inputs: LeaderboardInput) -> Iterator[str]:
    ran = {comparison.rung for comparison in inputs.comparisons}
    if left := [str(rung) for rung in inputs.ladder if rung not in ran and not inputs.failed.get(rung)]:
        rungs = "rungs" if len(left) > 1 else "rung"
        yield f"Not run yet: {rungs} {', '.join(left)} of the ladder {', '.join(map(str, inputs.ladder))}."
    for rung in inputs.ladder:
        if rung not in ran and (failed := inputs.failed.get(rung)):
            yield f"Failed before their first step: {failed} runs of rung {rung}; `harness errors` prints why."


def _search(inputs: LeaderboardInput, comparison: Comparison) -> Iterator[str]:
    search, trials = inputs.search, comparison.records.trials
    totals = search.groupby("entry")["reference_steps"].sum(min_count=1).dropna()
    if not totals.empty:
        low, high = (f"{total:,.0f}" for total in (totals.min(), totals.max()))
        spent = low if low == high else f"{low} to {high}"
        yield f"Search: {search['reference_steps_budget'].max():,.0f} reference steps a trial, {spent} an entry in all."
    if trials is not None and trials.infeasible:
        counts = Counter(proposal.entry for proposal in trials.infeasible)
        entries = ", ".join(f"{count} of {entry}" for entry, count in counts.items())
        yield f"Infeasible, replaced and not charged: proposals with a stage of too few steps ({entries})."


def _marked(inputs: LeaderboardInput, comparison: Comparison) -> Iterator[str]:
    for cell in dict.fromkeys(comparison.listing["cell"]):
        if why := inputs.marked.get(cell):
            entry, _, count = cell.rpartition("@")
            yield f"Marked: {entry} ({count} labelled) is ranked, but {why}; more than 10 % would not be ranked."


def _gaps(comparison: Comparison) -> Iterator[str]:
    runs = comparison.runs
    missing, elsewhere = int((runs["status"] == "missing").sum()), int((runs["status"] == "elsewhere").sum())
    if missing:
        yield f"Unfinished: {missing} of {len(runs)} runs are missing; ranks and figures are provisional."
    if elsewhere:
        yield f"{elsewhere} of {len(runs)} runs ran under other conditions and are in another table."
    for run in runs[runs["status"].isin(["failed", "unfit"])].to_dict("records"):
        labelled = "all" if pd.isna(run["labelled"]) else run["labelled"]
        where = f"{run['entry']} {labelled}-labelled subset {run['subset']} seed {run['seed']}"
        if run["status"] == "failed":
            yield f"Failed: {where} ({run['failure_kind']}: {run['failure_reason']})."
        else:
            yield f"Unfit: {where} is in no number ({run['failure_reason']})."


def _declared(inputs: LeaderboardInput) -> Iterator[str]:
    for cell, settings in inputs.declared.items():
        method, _, count = cell.rpartition("@")
        yield f"{method} ({count} labelled) declares engine settings of its own: {settings}."
