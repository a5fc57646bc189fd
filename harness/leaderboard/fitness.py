"""Which runs may stand in a table: those that were tested on what the others were, with scores that are possible."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.records.cases import FRACTIONS, METRICS, ROW, Block
from harness.records.ended import Validated

ROUNDING = 1e-9
NAMED = 3

_MOST = {name: 1.0 + ROUNDING if name in FRACTIONS else np.finfo(np.float64).max for name in METRICS}

T = TypeVar("T", bound=Hashable)


def unfit_reasons(blocks: Sequence[Block], validated: Sequence[Validated]) -> list[str | None]:
    """By run, why its records cannot share a table with the others'; None for a run that fits.

    What the others have is what most of the runs have; where no more than half of them agree, what the most rows are on
    record for, in two runs if possible.
    """
    if not validated:
        return []
    reasons: list[list[str]] = [[] for _ in validated]
    checks = (_impossible_scores(blocks), _repeated_rows(blocks), _other_rows(blocks, len(validated)))
    others = (_other_validations(validated, what) for what in ("dice", "patients"))
    for faults in (*checks, _impossible_validations(validated), *others):
        for place, reason in faults.items():
            reasons[place].append(reason)
    return ["; ".join(own) or None for own in reasons]


def fit_block(blocks: Sequence[Block], fit: NDArray[np.bool_]) -> Block:
    """The runs that fit, as one block, numbered anew. fit: by run, of `unfit_reasons`; at least one."""
    if fit.all() and len(blocks) == 1:
        return blocks[0]
    kept = [block for block in blocks if fit[block.runs].any()]
    usual = _hashes(kept[0])
    orders = [order[np.searchsorted(own[order], usual)] for own in map(_hashes, kept) for order in [np.argsort(own)]]
    runs = np.concatenate([block.runs[fit[block.runs]] for block in kept])
    by_run = np.argsort(runs)
    values = {
        name: np.concatenate(
            [block.values[name][fit[block.runs]][:, order] for block, order in zip(kept, orders, strict=True)]
        )[by_run]
        for name in kept[0].values
    }
    return Block(kept[0].tested, np.arange(len(runs)), values)


def _hashes(block: Block) -> NDArray[np.uint64]:
    """Of what each row is about, its true voxels included."""
    return np.asarray(pd.util.hash_pandas_object(block.tested.to_pandas(), index=False))


def _impossible_scores(blocks: Sequence[Block]) -> dict[int, str]:
    first: dict[int, str] = {}
    for block in blocks:
        guilty = np.any([_impossible(name, block.values[name]).any(axis=1) for name in METRICS], axis=0)
        for run in np.flatnonzero(guilty):
            wrong = np.stack([_impossible(name, block.values[name][run]) for name in METRICS], axis=1)
            row, column = np.argwhere(wrong)[0]
            value = block.values[METRICS[column]][run, row]
            text = f"cases.parquet has a {METRICS[column]} of {value:g}, which none can be"
            first[int(block.runs[run])] = text
    return first


def _impossible(metric: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Millimetres may be unknown."""
    possible = (values >= 0.0) & (values <= _MOST[metric])
    return ~(possible | np.isnan(values)) if metric.endswith("_mm") else ~possible


def _repeated_rows(blocks: Sequence[Block]) -> dict[int, str]:
    counts = [(block, int(block.tested.select(ROW).to_pandas().duplicated().sum())) for block in blocks]
    return {
        run: f"cases.parquet repeats {count} rows" for block, count in counts if count for run in block.runs.tolist()
    }


def _other_rows(blocks: Sequence[Block], runs: int) -> dict[int, str]:
    rows = [np.unique(_hashes(block)) for block in blocks]
    of_run = [b""] * runs
    for block, own in zip(blocks, rows, strict=True):
        content = own.tobytes()
        for run in block.runs.tolist():
            of_run[run] = content
    usual = np.frombuffer(_usual(of_run), np.uint64)
    texts = (_difference(block, own, usual) for block, own in zip(blocks, rows, strict=True))
    return {run: text for block, text in zip(blocks, texts, strict=True) if text for run in block.runs.tolist()}


def _difference(block: Block, own: NDArray[np.uint64], usual: NDArray[np.uint64]) -> str:
    if not len(own):
        return "cases.parquet has no row"
    missing, more = len(np.setdiff1d(usual, own)), np.setdiff1d(own, usual)
    texts = [f"lacks {missing} of the {len(usual)} rows that the other runs have"] if missing else []
    if len(more):
        odd = block.tested["patient"].to_pandas()[np.isin(_hashes(block), more)].unique()
        texts.append(f"has {len(more)} rows that the other runs lack ({_some(sorted(map(str, odd)))})")
    return f"cases.parquet {' and '.join(texts)}" if texts else ""


def _usual(values: Sequence[T]) -> T:
    counts = Counter(values)
    most, count = counts.most_common(1)[0]
    if 2 * count > len(values):
        return most
    return max(counts, key=lambda value: (counts[value] > 1, len(value), counts[value]))  # type: ignore[arg-type]


def _impossible_validations(validated: Sequence[Validated]) -> dict[int, str]:
    wrong = {place: ", ".join(map(str, own.impossible)) for place, own in enumerate(validated) if own.impossible}
    return {place: f"a Dice outside [0, 1] in validation {odd}" for place, odd in wrong.items()}


def _other_validations(validated: Sequence[Validated], what: str) -> dict[int, str]:
    """what: "dice" or "patients"."""
    names: list[tuple[str, ...]] = [getattr(own, what) for own in validated]
    usual = _usual(names)
    return {
        place: f"its validations are of {_some(own)}, those of the other runs of {_some(usual)}"
        for place, own in enumerate(names)
        if own != usual
    }


def _some(names: Sequence[str]) -> str:
    shown = [*names[:NAMED], *(["..."] if len(names) > NAMED else [])]
    return ", ".join(shown) or "none"
