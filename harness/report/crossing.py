"""The effects of two searched dimensions, where each pair of their levels was tried once, as numbers and as a picture.

Without a second seed the cells have no noise of their own to be compared with. But if a dimension did nothing, its
levels could be exchanged where the other dimension stays the same: so the order inside each such block is drawn anew,
and the spread of the level means is compared with what these orders give. It is a permutation test in randomised
blocks, as Friedman's but on the scores themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.leaderboard.leaderboard import Leaderboard
from harness.records.files import write_atomic
from harness.report.columns import Json
from harness.report.surface import surfaces

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

Level = str | float

DRAWS = 20_000
SEED = 20230917
SMALLEST = 2
"""Complete blocks that an effect needs."""

INK, FAINT = "#111111", "#666666"


@dataclass(frozen=True)
class Effect:
    """One dimension: mean score of each level over the blocks that have all levels, and the permutation p-value.

    means: fractions, one per level; p: of no difference between the levels; blocks: complete ones.
    """

    name: str
    levels: tuple[Level, ...]
    means: tuple[float, ...]
    p: float
    blocks: int


@dataclass(frozen=True)
class Crossing:
    """A table of scores.

    across, up: names of the dimensions; scores [up, across]: validation Dice, a fraction, nan where a trial failed.
    """

    across: str
    up: str
    across_levels: tuple[Level, ...]
    up_levels: tuple[Level, ...]
    scores: Floats

    def effects(self) -> tuple[Effect, ...]:
        """Of the two dimensions, where enough blocks are complete."""
        both = (
            _effect(self.across, self.across_levels, self.scores),
            _effect(self.up, self.up_levels, self.scores.T),
        )
        return tuple(effect for effect in both if effect is not None)


def crossing(surface: Mapping[str, Any]) -> Crossing | None:
    """The crossing of a surface's first two dimensions; None unless each pair of levels was tried exactly once.

    surface: as `surface.surfaces` gives it. Levels are in order of size, words in the order of the search.
    """
    if len(surface["axes"]) < 2:
        return None
    across, up = (surface["dimensions"][axis] for axis in surface["axes"])
    across_levels, up_levels = _levels(across), _levels(up)
    cells = [
        (-1, -1) if x is None or y is None else (up_levels.index(y), across_levels.index(x))
        for x, y in zip(across["values"], up["values"], strict=True)
    ]
    if sorted(cells) != list(np.ndindex(len(up_levels), len(across_levels))):
        return None
    scores = np.full((len(up_levels), len(across_levels)), np.nan)
    for cell, trial in zip(cells, surface["trials"], strict=True):
        if trial["status"] == "ok" and trial["score"] is not None:
            scores[cell] = trial["score"]
    return Crossing(_name(across), _name(up), across_levels, up_levels, scores)


def _levels(dimension: Json) -> tuple[Level, ...]:
    levels = list(dict.fromkeys(value for value in dimension["values"] if value is not None))
    return tuple(levels if dimension["kind"] == "choice" else sorted(levels))


def _name(dimension: Json) -> str:
    """Its own, or that of all that moves with it: "decay" for student_decay and teacher_decay."""
    names = [dimension["name"], *dimension["with"]]
    tails = {name.rsplit("_", 1)[-1] for name in names}
    name = tails.pop() if len(names) > 1 and len(tails) == 1 else names[0]
    return str(name).replace("_", " ")


def _effect(name: str, levels: tuple[Level, ...], scores: Floats) -> Effect | None:
    """scores: [blocks, levels]."""
    complete = scores[~np.isnan(scores).any(axis=1)]
    if len(complete) < SMALLEST:
        return None
    return Effect(name, levels, tuple(complete.mean(axis=0).tolist()), permutation_p(complete), len(complete))


def effects(surface: Mapping[str, Any]) -> list[Json]:
    """`Crossing.effects` for the page; empty where the surface is no crossing."""
    table = crossing(surface)
    return [] if table is None else [asdict(effect) for effect in table.effects()]


def permutation_p(scores: Floats, draws: int = DRAWS) -> float:
    """p-value of no difference between the columns of `scores` [blocks, levels], by orders drawn inside each row.

    The statistic is the sum of squares of the level means about their mean. The seed is fixed: the same scores give the
    same p. It is at least 1 / (draws + 1).
    """
    generator = np.random.default_rng(SEED)
    centred = scores - scores.mean(axis=1, keepdims=True)
    observed = _spread(centred[None])[0]
    drawn = _spread(generator.permuted(np.broadcast_to(centred, (draws, *centred.shape)), axis=2))
    return float((1 + np.count_nonzero(drawn >= observed * (1.0 - 1e-9))) / (draws + 1))


def _spread(tables: Floats) -> Floats:
    """[n, blocks, levels] -> [n]; each row of a table has mean 0."""
    return np.asarray(np.square(tables.mean(axis=1)).sum(axis=1))


def write_search_picture(leaderboard: Leaderboard, folder: Path) -> Path | None:
    """Write FOLDER/search.png, one panel for each method whose search is a crossing; without any, the file is removed.

    Returns the path of what was written. Raises `DiskError`.
    """
    path = folder / "search.png"
    both = ((surface["entry"], crossing(surface)) for surface in surfaces(leaderboard.inputs.search))
    crossings = [(method, table) for method, table in both if table is not None]
    if not crossings:
        path.unlink(missing_ok=True)
        return None
    write_atomic(path, lambda temporary: draw_crossings(crossings, leaderboard.suite, temporary))
    return path


def draw_crossings(crossings: Sequence[tuple[str, Crossing]], suite: str, path: Path) -> None:
    """Write a PNG; the same records give the same bytes."""
    from matplotlib.figure import Figure

    widths = [3.4 + 0.75 * len(table.across_levels) for _, table in crossings]
    height = 2.3 + 0.5 * max(len(table.up_levels) for _, table in crossings)
    figure = Figure(figsize=(sum(widths), height), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(crossings), squeeze=False, width_ratios=widths)[0]
    for axis, (method, table) in zip(axes, crossings, strict=True):
        _panel(axis, method, table)
    figure.suptitle(
        f"{suite}: Dice (%) of the last validation, means outside", fontsize=11.5, x=0.01, ha="left", color=INK,
        fontweight="bold",
    )  # fmt: skip
    figure.savefig(path, format="png", metadata={"Software": None})


def _panel(axis: Axes, method: str, table: Crossing) -> None:
    percent = 100.0 * table.scores
    rows, columns = percent.shape
    axis.imshow(percent, cmap="cividis", aspect="auto", origin="lower")
    middle = (np.nanmin(percent) + np.nanmax(percent)) / 2.0 if np.isfinite(percent).any() else 0.0
    for (row, column), value in np.ndenumerate(percent):
        text, colour = ("failed", INK) if np.isnan(value) else (f"{value:.1f}", "white" if value < middle else INK)
        axis.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    effects = {effect.name: effect for effect in table.effects()}
    _margin(axis, effects.get(table.across), [(i, rows - 0.3) for i in range(columns)], va="bottom")
    _margin(axis, effects.get(table.up), [(columns - 0.35, i) for i in range(rows)], va="center")
    axis.set_xticks(range(columns), [_level(level) for level in table.across_levels], fontsize=8.5)
    axis.set_yticks(range(rows), [_level(level) for level in table.up_levels], fontsize=8.5)
    axis.set_xlabel(_label(table.across, effects), fontsize=9.5)
    axis.set_ylabel(_label(table.up, effects), fontsize=9.5)
    axis.set_title(method, fontsize=10, loc="left", color=FAINT, pad=24)
    axis.tick_params(color=FAINT)
    axis.spines[:].set_visible(False)


def _margin(axis: Axes, effect: Effect | None, places: Sequence[tuple[float, float]], *, va: str) -> None:
    for (x, y), mean in zip(places, () if effect is None else effect.means, strict=False):
        ha = "center" if va == "bottom" else "left"
        axis.text(x, y, f"{100.0 * mean:.1f}", ha=ha, va=va, fontsize=8.5, color=FAINT, clip_on=False)


def _label(name: str, effects: dict[str, Effect]) -> str:
    """With how often levels that do nothing would differ as much: "decay (p = 0.021)"."""
    if name not in effects:
        return name
    p = effects[name].p
    return f"{name} (p < 0.001)" if p < 0.001 else f"{name} (p = {p:.3f})"


def _level(value: Level) -> str:
    return value if isinstance(value, str) else f"{value:g}"
