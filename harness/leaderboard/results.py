"""The leaderboard as a frame: one row per comparison, labelled count, selection and method."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from harness.leaderboard.allocation import allocation_columns
from harness.leaderboard.conditions import FIELDS
from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.leaderboard.patients import MEAN_CLASS, METRICS, SELECTIONS, UNKNOWN, Estimate, Key, estimates
from harness.leaderboard.secondary import HIERARCHICAL, IQM, hierarchical_columns, imputed_columns, iqm_columns, unknown

Row = dict[str, Any]

_NO_STRUCTURES = {"n_structures": 0, "n_missed": 0, "n_spurious": 0}


@dataclass(frozen=True)
class Entry:
    """One method in the table of one labelled count; a reference stands in the table of every count."""

    arm: str
    method: str
    reference: bool
    units: pd.DataFrame


def labelled_counts(comparison: Comparison) -> list[int | None]:
    """Labelled counts that have a table; [None] if there are only references, which then get a table of their own."""
    units = comparison.units
    ranked = units[~units["reference"] & (units["status"] != "elsewhere")]
    if comparison.number > 1:
        ranked = ranked[ranked["status"] != "missing"]
    counts: list[int | None] = [int(count) for count in sorted(ranked["labelled"].unique())]
    return counts or [None]


def entries(comparison: Comparison, labelled: int | None) -> list[Entry]:
    """The methods of one table, in the order of the selection. A further comparison lists only what ran under it."""
    found = []
    for (arm, method), units in comparison.units.groupby(["arm", "method"], sort=False):
        reference = bool(units["reference"].iloc[0])
        here = units["status"] != "elsewhere"
        if comparison.number > 1:
            here &= units["status"] != "missing"
        if here.any() and (reference or units["labelled"].iloc[0] == labelled):
            found.append(Entry(arm=str(arm), method=str(method), reference=reference, units=units))
    return found


def build_results(inputs: LeaderboardInput) -> pd.DataFrame:
    """Every table of the suite in one frame, best first, references after the ranked methods.

    Metrics stand as mean, `_low` and `_high` (95 % bootstrap-t over patients, conditional on the seeds and subsets that
    ran), Dice and Jaccard as fractions. `labelled` is the table's count; `trained_on` the method's own, "all" for a
    reference.

    place:                 order of display, by mean Dice; methods with a failed unit come after all without, methods
                           without any finished or failed unit have none, nor have references.
    rank, rank_worst:      best and worst rank that the data allow (`ranks.with_ranks` fills them; equal where the
                           rank is not shared).
    hierarchical_low, _high, _coverage: 95 % interval of the Dice over patients, subsets and seeds, and the share of
                           simulated records like these in which it holds the truth; NaN for a single unit.
    iqm, _low, _high:      interquartile mean of Dice over patients x units.
    dice_imputed, _low, _high: Dice with 0 for every case of a failed unit.
    allocation_*:          what Slurm charged, see `allocation.allocation_columns`.
    """
    tables = [
        _table(inputs, comparison, labelled, selection, found)
        for comparison, found in ((one, _found(one)) for one in inputs.comparisons)
        for labelled in labelled_counts(comparison)
        for selection in selections(comparison)
    ]
    frame = pd.DataFrame([row for table in tables for row in table])
    integers = ("labelled", "place", "rank", "rank_worst", "method_version")
    return frame.astype(dict.fromkeys(integers, "Int64"))


def selections(comparison: Comparison) -> list[str]:
    """Checkpoint rules that have records; the primary one is always shown."""
    there = set(comparison.cases["selection"].unique())
    return [name for name in SELECTIONS if name == SELECTIONS[0] or name in there]


@dataclass(frozen=True)
class _Found:
    """What the cases of one comparison say: means by (metric, selection, arm), other columns by (selection, arm)."""

    means: dict[Key, Estimate]
    second: dict[Key, Row]
    structures: dict[Key, Row]


def _found(comparison: Comparison) -> _Found:
    means = {key[:3]: one for key, one in comparison.patients.items() if key[3] == MEAN_CLASS}
    by_unit = {key[1:3]: one for key, one in comparison.scores.items() if (key[0], key[3]) == ("dice", MEAN_CLASS)}
    quartiles = iqm_columns(by_unit)
    second = {key: {**row, **quartiles[key]} for key, row in hierarchical_columns(by_unit).items()}
    return _Found(estimates(means), second, _structures(comparison.cases))


def _table(
    inputs: LeaderboardInput, comparison: Comparison, labelled: int | None, selection: str, found: _Found
) -> list[Row]:
    """Rows of one table, in the order in which they are shown."""
    engines = declared_engines(comparison.units, inputs.engine)
    rows = []
    for entry in entries(comparison, labelled):
        row: Row = {
            "suite": inputs.suite,
            "table": comparison.number,
            "labelled": labelled,
            "selection": selection,
            "block": "reference" if entry.reference else "ranked",
            "place": None,
            "rank": None,
            "rank_worst": None,
            "method": entry.method,
            "trained_on": entry.arm.rpartition("@")[2],
        }
        row.update(_progress(entry.units))
        row.update(_metrics(found.means, selection, entry.arm))
        row.update(found.second.get((selection, entry.arm), unknown((*HIERARCHICAL, *IQM))))
        dice = found.means.get(("dice", selection, entry.arm), UNKNOWN)
        row.update(imputed_columns(dice, row["n_ok"], row["n_failed"]))
        row.update(found.structures.get((selection, entry.arm), _NO_STRUCTURES))
        row.update(_costs(entry.units))
        row.update(_search(inputs.search, entry.method))
        row.update(allocation_columns(inputs.reconciliation, entry.method, entry.units))
        row["engine_declared"] = engines.get(entry.arm, "")
        row.update(_conditions(comparison))
        rows.append(row)
    return placed(rows)


def placed(rows: list[Row]) -> list[Row]:
    """Fill `place` by mean Dice (ties share the better place) and sort: ranked, not yet run, references."""
    keys = {id(row): _place_key(row) for row in rows if row["block"] == "ranked" and row["n_ok"] + row["n_failed"] > 0}
    for row in rows:
        if id(row) in keys:
            row["place"] = 1 + sum(other < keys[id(row)] for other in keys.values())
    return sorted(
        rows, key=lambda row: (row["block"] == "reference", row["place"] is None, row["place"] or 0, row["method"])
    )


def _place_key(row: Row) -> tuple[bool, bool, float]:
    """Failures after all methods without; among them, those with no number at all last."""
    none_ok = row["n_ok"] == 0
    return row["n_failed"] > 0, none_ok, 0.0 if none_ok else -row["dice"]


def _progress(units: pd.DataFrame) -> Row:
    """How many of the planned units there are, and which seeds and subsets."""
    status = Counter(units["status"])
    ok = units[units["status"] == "ok"]
    versions = units["method_version"].dropna()
    return {
        "method_version": None if versions.empty else int(versions.iloc[0]),
        "n_units": len(units),
        "n_ok": status["ok"],
        "n_failed": status["failed"],
        "n_missing": status["missing"],
        "n_elsewhere": status["elsewhere"],
        "seeds": _joined(ok["seed"]),
        "subsets": _joined(ok["subset"]),
    }


def _joined(values: pd.Series[Any]) -> str:
    return " ".join(str(value) for value in sorted(set(values)))


def _metrics(found: dict[Key, Estimate], selection: str, arm: str) -> Row:
    """Mean and bounds of every metric, and the number of patients behind the Dice."""
    row: Row = {"n_patients": found.get(("dice", selection, arm), UNKNOWN).n}
    for metric in METRICS:
        one = found.get((metric, selection, arm), UNKNOWN)
        row.update({metric: one.mean, f"{metric}_low": one.low, f"{metric}_high": one.high})
    return row


def _structures(cases: pd.DataFrame) -> dict[Key, Row]:
    """Structures (case x class, over all units) that were tested, missed altogether, or found where there are none."""
    counts = cases.groupby(["selection", "arm"], observed=True)[["missed", "spurious"]].agg(["size", "sum"])
    return {
        tuple(key): dict(zip(_NO_STRUCTURES, (int(size), int(missed), int(spurious)), strict=True))
        for key, size, missed, _, spurious in counts.itertuples(name=None)
    }


def _costs(units: pd.DataFrame) -> Row:
    """What it cost: useful figures over the ok units, lost seconds over all units that ran here."""
    here = units[units["status"].isin(["ok", "failed"])]
    ok = here[here["status"] == "ok"]
    row: Row = {}
    for source, name in (("useful_device_seconds", "device_seconds"), ("steps", "steps")):
        values = ok[source].astype("float64")
        row.update({f"{name}_mean": values.mean(), f"{name}_min": values.min(), f"{name}_max": values.max()})
    row["lost_device_seconds_total"] = float(here["lost_device_seconds"].astype("float64").sum())
    row["failed_device_seconds_total"] = float(
        here.loc[here["status"] == "failed", "useful_device_seconds"].astype("float64").sum()
    )
    for name in ("images_seen", "labelled_images_seen"):
        row[f"{name}_mean"] = ok[name].astype("float64").mean()
    for name in ("parameters_training", "parameters_predictor", "looks", "peak_memory_bytes"):
        row[name] = ok[name].astype("float64").max()
    return row


def _search(trials: pd.DataFrame, method: str) -> Row:
    """What tuning the row cost: trials that ran, what they spent, and what interruptions destroyed of it."""
    own = trials[(trials["method"] == method) & (trials["status"] != "missing")]
    return {
        "search_trials": len(own),
        "search_device_seconds_total": float(own["useful_device_seconds"].astype("float64").sum()),
        "search_lost_device_seconds_total": float(own["lost_device_seconds"].astype("float64").sum()),
    }


def _conditions(comparison: Comparison) -> Row:
    if comparison.conditions is None:
        return dict.fromkeys(FIELDS)
    return asdict(comparison.conditions)


def declared_engines(units: pd.DataFrame, suite_engine: str | None) -> dict[str, str]:
    """Arm -> engine settings in which it differs from the suite's, "optimiser.nesterov = True"; "" if none.

    Where studies of a search chose several values, all of them: "optimiser.learning_rate = 0.03 or 0.1".
    """
    known = units.dropna(subset=["engine"])
    if known.empty or suite_engine is None:
        return {}
    common = json.loads(suite_engine)
    return {str(arm): "; ".join(_differences(own["engine"], common)) for arm, own in known.groupby("arm")}


def _differences(engines: pd.Series[Any], common: Row) -> Iterator[str]:
    found = [json.loads(text) for text in sorted(set(engines))]
    for name, usual in common.items():
        values = list(dict.fromkeys(str(engine[name]) for engine in found))
        if values != [str(usual)]:
            yield f"{name} = {' or '.join(values)}"
