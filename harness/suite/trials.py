"""The trials of a search: the points of every entry, drawn before anything runs, and the runs that measure them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from harness.api.params import Dimension, Point
from harness.api.strict import digest
from harness.records.schema import DatasetRef, Run, Trial
from harness.suite.entries import Entry
from harness.suite.load import LoadedSuite, Search

PROBES = 64
"""Points of an adaptive search's space that are tried in the plan."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and its run."""

    trial: Trial
    run: Run


def make_trials(loaded: LoadedSuite, entries: Mapping[str, Entry], data: DatasetRef) -> tuple[PlannedTrial, ...]:
    """All trials that can be named before any has run, point by point, so that entries advance together.

    A point that equals an earlier one of its entry and study is left out: the same run would measure it. An adaptive
    search names only the default here. Its other points depend on results.
    """
    search = loaded.suite.search
    if search is None:
        return ()
    trials: dict[tuple[int, str, str], PlannedTrial] = {}
    for study in range(search.studies):
        points = {name: _points(loaded, search, entry, study) for name, entry in entries.items()}
        for number in range(max(map(len, points.values()))):
            for name, own in points.items():
                if number < len(own):
                    planned = make_trial(loaded, search, entries[name], study, number, own[number], data)
                    trials.setdefault((study, name, planned.run.id), planned)
    return tuple(trials.values())


def make_trial(
    loaded: LoadedSuite, search: Search, entry: Entry, study: int, number: int, point: Point, data: DatasetRef
) -> PlannedTrial:
    """One point of one entry, and its run."""
    try:
        params, engine = entry.params_at(point), entry.engine_at(point)
    except ValidationError as error:
        raise loaded.invalid(("methods", entry.name, "search"), error, entry.method.Params) from None
    run = Run(
        role="search",
        method=entry.method.name,
        method_version=entry.method.version,
        params=params.model_dump(mode="json"),
        dataset=data,
        preprocessing=loaded.suite.preprocessing,
        labelled=None if entry.takes_all_labels else search.labelled,
        subset=0 if entry.takes_all_labels else search.subset,
        seed=search.seed + study,
        engine=engine.model_copy(update={"validations": search.validations}),
        budget=search.budget,
    )
    varied = {**entry.current_values(), **point}
    return PlannedTrial(Trial(entry=entry.name, study=study, point=number, varied=varied, run=run.id), run)


def _points(loaded: LoadedSuite, search: Search, entry: Entry, study: int) -> list[dict[str, Any]]:
    """The default first, then what the mode adds."""
    if search.mode == "adaptive":
        _check_inside(loaded, entry)
        return [{}]
    if search.mode == "grid":
        try:
            return [point for point in combine_choices(entry.space) if _possible(entry, point)]
        except ValueError as error:
            raise loaded.error(("methods", entry.name), str(error)) from None
    return (
        [{}]
        if not entry.space
        else [{}, *draw_sobol_points(entry.space, (search.trials or 1) - 1, (entry.name, study, search.seed))]
    )


def _check_inside(loaded: LoadedSuite, entry: Entry) -> None:
    """Refuse a space with impossible points now, by points drawn from it, and not in the middle of a search."""
    for point in draw_sobol_points(entry.space, PROBES, (entry.name, "probe")):
        try:
            entry.params_at(point)
        except ValidationError as error:
            raise loaded.invalid(("methods", entry.name, "search"), error, entry.method.Params) from None


def _possible(entry: Entry, point: Point) -> bool:
    try:
        entry.params_at(point)
    except ValidationError:
        return False
    return True


def draw_sobol_points(space: Mapping[str, Dimension], count: int, key: Sequence[str | int]) -> list[dict[str, Any]]:
    """`count` points of a scrambled Sobol sequence (Owen 1998), one coordinate per dimension.

    Args:
        space: Dimensions by name.
        count: Number of points.
        key: What seeds the scrambling (entry, study, seed). A dimension that one entry gains moves no other entry's
            points.

    Returns:
        The points, each with a value for every dimension.
    """
    import numpy as np
    from scipy.stats import qmc

    if count <= 0 or not space:
        return [{} for _ in range(max(count, 0))]
    generator = np.random.default_rng(int(digest(list(key))[:16], 16))
    sequence = qmc.Sobol(len(space), scramble=True, rng=generator)
    shares = sequence.random_base2((count - 1).bit_length())[:count]  # a power of two keeps the sequence balanced
    return [
        {name: dimension.at(float(share)) for (name, dimension), share in zip(space.items(), coordinates, strict=True)}
        for coordinates in shares
    ]


def combine_choices(space: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """Every combination of the choices, the last dimension fastest. Raises ValueError for a dimension without any."""
    ranges = [name for name, dimension in space.items() if dimension.scale != "choice"]
    if ranges:
        raise ValueError(f"a grid needs choices: list the values of {', '.join(ranges)}, or pin them with null")
    return [
        dict(zip(space, values, strict=True)) for values in product(*(dimension.values for dimension in space.values()))
    ]
