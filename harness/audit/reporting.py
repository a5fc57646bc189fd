"""Rules about what a table shows and leaves out."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from harness.audit.evidence import (
    UNSEEN,
    combine,
    counted,
    group_by_entry,
    group_runs,
    held,
    name_runs,
    not_applicable,
    not_held,
    one_value,
)
from harness.audit.finding import Verdict
from harness.audit.records import AuditedSuite, EndedRun
from harness.audit.rule import rule

TABLE = "leaderboard/leaderboard.csv"


@rule(
    28,
    "Every result was trained here",
    "Rows equal to another paper's to the last digit stand under captions that claim an identical setting.",
)
def trained_here(suite: AuditedSuite) -> Verdict:
    """Every finished run has steps in a ledger.jsonl of its own, and weights that no other run has.

    That nobody wrote a record by hand cannot be seen; `harness replay` proves a run.
    """
    if idle := [run for run in suite.finished if not any(line.steps for line in run.ledger)]:
        return not_held(idle, "no step in ledger.jsonl")
    by_weights = group_runs(suite.finished, lambda run: str(run.result.weights_sha256))
    copies = [runs for runs in by_weights.values() if len(runs) > 1]
    if copies:
        lines = [f"the same weights in result.json: {name_runs(runs)}" for runs in copies]
        return Verdict("not held", tuple(lines), tuple(run.id for runs in copies for run in runs))
    seconds = sum(run.result.spent.useful_device_seconds for run in suite.finished)
    return held(
        f"{counted(len(suite.finished), 'run')} with {seconds:,.0f} device-seconds in their own ledger.jsonl and "
        f"{len(by_weights)} different weights"
    )


@rule(
    29,
    "Every suite runs a labelled-only baseline and a fully supervised reference",
    "Published baselines differ by 17 Dice at the same labels, and a weak baseline inflates every gain.",
    needs="selection",
)
def baseline_and_reference(suite: AuditedSuite) -> Verdict:
    """selection.json holds an unranked method with all labels, the fully supervised reference.

    At least one ranked method saw labelled images alone (result.json), the labelled-only baseline.
    """
    entries = suite.selection.entries
    ranked = dict.fromkeys(entry.planned_run.entry for entry in entries if entry.ranked)
    if len(ranked) <= 1:
        return not_applicable(f"{counted(len(ranked), 'ranked method')}: nothing is compared between methods")
    references = [
        entry.planned_run.entry for entry in entries if not entry.ranked and entry.planned_run.labelled is None
    ]
    if not references:
        return not_held([], "no fully supervised reference: selection.json holds no unranked method with all labels")
    finished = group_by_entry(suite.finished)
    baselines = [entry for entry in ranked if entry in finished and all(map(_labelled_alone, finished[entry]))]
    reference = f"fully supervised reference {references[0]}"
    if baselines:
        return held(f"{reference} (selection.json), labelled-only baseline {', '.join(baselines)} (result.json)")
    if ranked.keys() <= finished.keys():
        return not_held([], "no labelled-only baseline: every ranked method saw unlabelled images (result.json)")
    return not_applicable(f"{reference}; no labelled-only baseline has finished yet: {suite.progress}")


def _labelled_alone(run: EndedRun) -> bool:
    return 0 < run.result.images_seen == run.result.labelled_images_seen


@rule(
    30,
    "A failed run is shown and counted",
    "A method that diverges on some seeds is not as good as the mean of the others.",
    needs="selection",
)
def failures_shown(suite: AuditedSuite) -> Verdict:
    """Every failed run has a kind and a reason (result.json), and leaderboard.csv, once written, counts it.

    What ran again after a failure is named.
    """
    if unexplained := [run for run in suite.failed if run.result.failure is None]:
        return not_held(unexplained, "failed without a reason in result.json")
    without_failures = _tables_without_failures(suite)
    if hidden := [run for run in suite.failed if run.entry in without_failures]:
        return not_held(hidden, f"failed, and {TABLE} counts no failure of the entry")
    failures = ((run, run.result.failure) for run in suite.failed)
    lines = [f"{run.name}/result.json: {failure.kind}, {failure.reason}" for run, failure in failures if failure]
    if retried := [run for run in suite.finished if _failed_before(run)]:
        lines.append(f"run again after a failure (ledger.jsonl): {name_runs(retried)}")
    left = suite.planned - len(suite.ended)
    counts = f"{len(suite.finished)} finished, {len(suite.failed)} failed, {left} to run"
    return held(f"{counts}, of {counted(suite.planned, 'run')} in selection.json", *lines)


def _tables_without_failures(suite: AuditedSuite) -> set[str]:
    """Entries of which leaderboard.csv knows finished runs alone: one that had yet to run may have failed since."""
    open_ends: dict[str, int] = {}
    for row in _table(suite):
        count = sum(int(float(row.get(name) or 0)) for name in ("n_failed", "n_missing"))
        open_ends[row["entry"]] = open_ends.get(row["entry"], 0) + count
    return {entry for entry, count in open_ends.items() if not count}


def _table(suite: AuditedSuite) -> list[dict[str, str]]:
    """Rows of the leaderboard as it was written last; none where it was not."""
    path = suite.root / TABLE
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _failed_before(run: EndedRun) -> bool:
    return any(line.kind == "end" and (line.note or "").startswith("failed") for line in run.ledger)


@rule(
    31,
    "One table never mixes versions of the protocol or of a method",
    "A change that changes numbers makes another experiment of the same name.",
    needs="runs",
)
def one_version(suite: AuditedSuite) -> Verdict:
    """The protocol's version in run.json is the same for every run, and so is each method's."""
    protocol = one_value(suite.runs, "protocol version", lambda run: str(run.asked.protocol_version))
    methods = [
        one_value(runs, f"version of {method}", lambda run: str(run.asked.method_version))
        for method, runs in group_by_entry(suite.runs).items()
    ]
    return combine(protocol, *(verdict for verdict in methods if verdict.status == "not held"))


@rule(
    32,
    "Patients are the unit of every interval, and differences that are not significant are called so",
    "Means of one run, to four digits, say little: most gains of semi-supervision are not significant.",
    needs="selection",
)
def intervals_shown(suite: AuditedSuite) -> Verdict:
    """leaderboard/leaderboard.csv, where it was written, has patients and an interval beside each mean Dice.

    Both frames of a patient are resampled together.
    """
    rows = _table(suite)
    if not rows:
        return not_applicable(f"{TABLE} was not written yet")
    absent = [what for what, shown in _shown(list(rows[0])).items() if not shown]
    if absent:
        return not_held([], f"{TABLE} lacks {' and '.join(absent)}")
    return held(f"{TABLE}: number of patients and an interval beside every mean Dice")


def _shown(columns: Sequence[str]) -> dict[str, bool]:
    lows = [name for name in columns if name.startswith("dice") and name.endswith("_low")]
    return {
        "the number of patients": "n_patients" in columns,
        "an interval of Dice": any(f"{low.removesuffix('_low')}_high" in columns for low in lows),
    }


@rule(
    33,
    "Everything is written from the papers' formulas",
    "Much released code has no licence at all; what is copied cannot be shared.",
    needs="selection",
)
def own_code(_suite: AuditedSuite) -> Verdict:
    """Not visible in records: it is a rule about source code. MedPy (GPL-3.0) is used by tests alone."""
    return not_applicable(f"{UNSEEN}it is about source code; see LICENSE and the docstring of each method")
