"""The trials of a search: every row's points and the runs that measure them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harness.api.space import Point
from harness.records.schema import DatasetRef, Run, Trial
from harness.suite.entries import Row
from harness.suite.load import LoadedSuite, Search
from harness.suite.points import drawn, grid

PROBES = 64
"""Points of an adaptive search's space that are tried in the plan."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and its run."""

    trial: Trial
    run: Run

    def on_data(self, data: DatasetRef) -> PlannedTrial:
        """The same trial on another version of the data."""
        run = self.run.model_copy(update={"dataset": data})
        return PlannedTrial(self.trial.model_copy(update={"run": run.id}), run)


def make_trials(loaded: LoadedSuite, rows: Mapping[str, Row], data: DatasetRef) -> tuple[PlannedTrial, ...]:
    """All trials that can be named before any ran, point by point, so that rows advance together.

    A point that falls on an earlier one of its row and study is left out: the same unit would measure it. An adaptive
    search names only the default here; the rest depends on what it finds.
    """
    search = loaded.suite.search
    if search is None:
        return ()
    found: list[PlannedTrial] = []
    for study in range(search.studies):
        points = {name: _points(loaded, row, study) for name, row in rows.items()}
        most = max(len(one) for one in points.values())
        candidates = (
            make_trial(loaded, rows[name], study, number, one[number], data)
            for number in range(most)
            for name, one in points.items()
            if number < len(one)
        )
        seen: set[tuple[str, str]] = set()
        for planned in candidates:
            key = (planned.trial.entry, planned.run.id)
            if key not in seen:
                seen.add(key)
                found.append(planned)
    return tuple(found)


def make_trial(loaded: LoadedSuite, row: Row, study: int, number: int, point: Point, data: DatasetRef) -> PlannedTrial:
    """One point of one row, and its run."""
    search = _search(loaded)
    try:
        params, engine = row.params_at(point), row.engine_at(point)
    except ValidationError as error:
        raise loaded.invalid(("methods", row.name, "search"), error, row.method.Params) from None
    run = Run(
        role="search",
        method=row.method.name,
        method_version=row.method.version,
        params=params.model_dump(mode="json"),
        dataset=data,
        preprocessing=loaded.suite.preprocessing,
        labelled=None if row.takes_all_labels else search.labelled,
        subset=0 if row.takes_all_labels else search.subset,
        seed=search.seed + study,
        engine=engine.model_copy(update={"validations": search.validations}),
        budget=search.budget,
    )
    varied = {**row.current_values(), **point}
    return PlannedTrial(Trial(entry=row.name, study=study, point=number, varied=varied, run=run.id), run)


def _points(loaded: LoadedSuite, row: Row, study: int) -> list[dict[str, Any]]:
    """The default first, then what the mode adds."""
    search = _search(loaded)
    if search.mode == "adaptive":
        _check_inside(loaded, row)
        return [{}]
    if search.mode == "grid":
        try:
            return [point for point in grid(row.space) if _possible(row, point)]
        except ValueError as error:
            raise loaded.error(("methods", row.name), str(error)) from None
    if not row.space:
        return [{}]
    return [{}, *drawn(row.space, (search.trials or 1) - 1, (row.name, study, search.seed))]


def _check_inside(loaded: LoadedSuite, row: Row) -> None:
    """What a sampler may come to must be possible: told now by points of the same space, not in the middle of a run."""
    for point in drawn(row.space, PROBES, (row.name, "probe")):
        try:
            row.params_at(point)
        except ValidationError as error:
            raise loaded.invalid(("methods", row.name, "search"), error, row.method.Params) from None


def _possible(row: Row, point: Point) -> bool:
    try:
        row.params_at(point)
    except ValidationError:
        return False
    return True


def _search(loaded: LoadedSuite) -> Search:
    if loaded.suite.search is None:
        raise ValueError(f"{loaded.path}: no search is asked for")
    return loaded.suite.search
